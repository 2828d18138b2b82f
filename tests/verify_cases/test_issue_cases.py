"""Whole conversions against Keras in float64: the layers that carry most models, and rules made wrong on purpose.

Many layers share few models with many outputs, as a verification costs seconds however small the model is.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from transpiler.ir.shape import Layout
from transpiler.pipeline import Conversion, convert_file
from transpiler.rules import spatial
from transpiler.rules.registry import layer_rules
from transpiler.verify import Result, verify_file
from transpiler.verify.run import verify_with

HEAD = """
import keras
from keras import layers
from keras.layers import *
from keras.models import Model, Sequential
"""
BOUND = 1e-9

SAME = """
def build(channels=3):
    outputs, inputs = [], []
    for height, width in ((8, 9), (7, 10)):
        image = keras.Input((height, width, channels))
        inputs.append(image)
        for strides in (1, 2, 3):
            for kernel in (1, 2, 3, (3, 2)):
                outputs.append(Conv2D(2, kernel, strides=strides, padding="same")(image))
            for size in (2, 3):
                outputs.append(MaxPooling2D(size, strides=strides, padding="same")(image))
                outputs.append(AveragePooling2D(size, strides=strides, padding="same")(image))
    return Model(inputs, outputs)
"""
VALID = """
def build(channels=4):
    image = keras.Input((11, 12, channels))
    outputs = []
    for strides in (1, 2, 3):
        outputs.append(Conv2D(3, 3, strides=strides)(image))
        outputs.append(Conv2D(4, 3, strides=strides, groups=2, padding="same")(image))
        outputs.append(DepthwiseConv2D(3, strides=strides, depth_multiplier=2, padding="same")(image))
        outputs.append(SeparableConv2D(3, 3, strides=strides, padding="same")(image))
        outputs.append(Conv2DTranspose(2, 3, strides=strides, padding="same")(image))
        outputs.append(Conv2DTranspose(2, 2, strides=strides)(image))
        outputs.append(MaxPooling2D(2, strides=strides)(image))
        outputs.append(AveragePooling2D(3, strides=strides)(image))
    for rate in (2, 3):
        outputs.append(Conv2D(3, 3, dilation_rate=rate)(image))
        outputs.append(Conv2D(3, (3, 2), dilation_rate=rate, padding="same")(image))
    outputs.append(Conv2D(4, 3, groups=4, dilation_rate=2, padding="same", use_bias=False)(image))
    return Model(image, outputs)
"""
SEQUENCES = """
def build(channels=4):
    series = keras.Input((13, channels))
    outputs = []
    for rate in (1, 2, 3):
        for padding in ("valid", "same", "causal"):
            outputs.append(Conv1D(2, 3, dilation_rate=rate, padding=padding)(series))
    for strides in (1, 2, 3):
        outputs.append(Conv1D(4, 2, strides=strides, groups=2, padding="causal")(series))
        outputs.append(Conv1D(4, 3, strides=strides, groups=4, padding="same")(series))
        outputs.append(MaxPooling1D(2, strides=strides, padding="same")(series))
        outputs.append(AveragePooling1D(3, strides=strides, padding="same")(series))
        outputs.append(MaxPooling1D(3, strides=strides)(series))
    volume = keras.Input((4, 5, 6, 2))
    for strides in (1, 2):
        outputs.append(Conv3D(2, 2, strides=strides, padding="same")(volume))
        outputs.append(Conv3D(2, 3, strides=strides)(volume))
    return Model([series, volume], outputs)
"""
CNN = """
def build(classes=10):
    return Sequential([
        keras.Input((64, 64, 3)),
        Conv2D(8, 3, activation="relu"),
        MaxPooling2D(2),
        Conv2D(16, 3, padding="same", activation="relu"),
        MaxPooling2D(2),
        Flatten(),
        Dense(classes, activation="softmax"),
    ])
"""
BLOCKS = """
def conv_bn_pool(x, filters, activation):
    x = Conv2D(filters, 3, padding="same", use_bias=False)(x)
    x = BatchNormalization()(x)
    x = Activation(activation)(x)
    return MaxPooling2D(2)(x)

def build(width=4):
    image = keras.Input((14, 13, 3))
    outputs, x = [], image
    for activation in ("relu", "tanh"):
        x = conv_bn_pool(x, width, activation)
    outputs.append(x)
    x = conv_bn_pool(image, 6, "swish")
    for separate in (ReLU(), ReLU(6.0), LeakyReLU(), ELU(), PReLU(), PReLU(shared_axes=[1, 2]), Softmax(), Softmax(axis=1)):
        outputs.append(separate(x))
    for name in ("elu", "selu", "softplus", "softsign", "sigmoid", "hard_sigmoid", "exponential", "gelu", "mish", "softmax"):
        outputs.append(Activation(name)(x))
    outputs.append(LayerNormalization()(x))
    outputs.append(LayerNormalization(axis=[1, 2])(x))
    outputs.append(BatchNormalization(axis=1)(x))
    outputs.append(Flatten()(x))
    outputs.append(Permute((3, 1, 2))(x))
    outputs.append(Reshape((-1, 3))(x))
    outputs.append(GlobalAveragePooling2D(keepdims=True)(x))
    outputs.append(UpSampling2D(2, interpolation="bilinear")(x))
    outputs.append(ZeroPadding2D(((1, 2), (0, 3)))(x))
    outputs.append(Cropping2D(((1, 2), (0, 3)))(x))
    return Model(image, outputs)
"""
RECURRENT = """
def build(units=3):
    series = keras.Input((6, 4))
    ids = keras.Input((5,), dtype="int32")
    outputs = []
    for layer in (LSTM, GRU, SimpleRNN):
        outputs.append(layer(units)(series))
        outputs.append(layer(units, return_sequences=True, go_backwards=True)(series))
        outputs.append(Bidirectional(layer(units, return_sequences=True))(series))
    outputs.append(GRU(units, reset_after=False)(series))
    outputs.append(Bidirectional(LSTM(units), merge_mode="sum")(series))
    outputs.append(TimeDistributed(Dense(2))(series))
    outputs.append(LSTM(units)(Embedding(7, 4)(ids)))
    return Model([series, ids], outputs)
"""
STANDARDIZED = """
def build(units=3):
    image = keras.Input((4, 5, 3))
    x = Normalization()(image)
    y = Normalization(mean=[0.485, 0.456, 0.406], variance=[0.229**2, 0.224**2, 0.225**2])(image)
    return Model(image, [Conv2D(units, 2)(x), Conv2D(units, 2)(y)])
"""
MODELS = {
    "same": SAME,
    "valid, dilated, grouped": VALID,
    "sequences": SEQUENCES,
    "cnn": CNN,
    "blocks": BLOCKS,
    "recurrent": RECURRENT,
    "standardized": STANDARDIZED,
}
POOLED_VOLUMES = """
def build(channels=2):
    volume = keras.Input((5, 6, 7, channels))
    outputs = [GlobalMaxPooling3D()(volume)]
    for strides in (1, 2, 3):
        for padding in ("same", "valid"):
            outputs.append(MaxPooling3D(2, strides=strides, padding=padding)(volume))
            outputs.append(AveragePooling3D(2, strides=strides, padding=padding)(volume))
    return Model(volume, outputs)
"""
"""TensorFlow pools volumes in float32 alone."""


def write(source: str, folder: Path) -> Path:
    path = folder / "prog.py"
    path.write_text(HEAD + textwrap.dedent(source))
    return path


def assert_passes(result: Result) -> None:
    assert (result.status, result.reason) == ("pass", "")
    assert result.forward["dtype"] == "float64"
    assert result.forward["max_rel"] <= BOUND
    assert result.training["max_rel"] <= BOUND
    assert result.gradients["max_rel"] <= BOUND
    assert len({tuple(map(tuple, c["shapes"])) for c in result.forward["cases"]}) >= 2  # batch sizes


@pytest.mark.parametrize("generation", ["keras3", "tf_keras"])
@pytest.mark.parametrize("name", MODELS)
def test_it_computes_the_same(name: str, generation: str, tmp_path: Path):
    source = MODELS[name]
    if generation == "tf_keras":  # which has no mish, and whose bilinear resizing runs in float32 alone
        source = source.replace('"gelu", "mish"', '"gelu"').replace('2, interpolation="bilinear"', "2")
    (result,) = verify_file(write(source, tmp_path), entries=["build()"], generation=generation)
    assert_passes(result)


def test_pooled_volumes(tmp_path: Path):
    (result,) = verify_file(write(POOLED_VOLUMES, tmp_path), entries=["build()"], generation="keras3")
    assert (result.status, result.reason) == ("pass", "")
    assert result.forward["max_rel"] <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("size", [5, 6, 7, 12, 13])
def test_strided_same_windows_at_many_sizes(size: int, channels: int, tmp_path: Path):
    source = SAME.replace("((8, 9), (7, 10))", f"(({size}, {size + 1}), ({size + 4}, {size}))")
    (result,) = verify_file(write(source, tmp_path), entries=[f"build({channels})"], generation="keras3")
    assert_passes(result)


# --- rules that are wrong -----------------------------------------------------------------------------------------------

NET = """
def build(classes=3):
    image = keras.Input((9, 8, 2))
    x = Conv2D(4, 3, strides=2, padding="same", name="down")(image)
    x = BatchNormalization(name="norm")(x)
    x = ReLU()(x)
    x = Conv2D(4, 1, name="mix")(x)
    x = Flatten(name="flat")(x)
    return Model(image, Dense(classes, name="head")(x))

def recurrent(units=4):
    series = keras.Input((5, 3))
    x = Dense(3, name="before")(series)
    x = GRU(units, name="gru")(x)
    return Model(series, Dense(2, name="after")(x))
"""


def wrong_epsilon(patch: pytest.MonkeyPatch) -> None:
    rule = type(layer_rules()["BatchNormalization"])
    right = rule.bind
    patch.setattr(rule, "bind", lambda *a: right(*a).replace(epsilon=1.1e-3))


def wrong_pad_side(patch: pytest.MonkeyPatch) -> None:
    right = spatial.same_pads
    patch.setattr(spatial, "same_pads", lambda *a: right(*a) and right(*a)[::-1])


def wrong_gate_order(patch: pytest.MonkeyPatch) -> None:
    rule = type(layer_rules()["GRU"])
    right = rule.cell

    def cell(self, a):
        found = right(self, a)
        return type(found)((("permute", (1, 0)),), found.recurrent, found.bias, found.recurrent_bias)

    patch.setattr(rule, "cell", cell)


def wrong_flatten_order(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(type(layer_rules()["Flatten"]), "wants", lambda *a: Layout.FIRST)


WRONG: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str, str, str]] = {
    "epsilon": (wrong_epsilon, "build()", "norm", "BatchNorm2d"),
    "pad side": (wrong_pad_side, "build()", "down", "Conv2d"),
    "gate order": (wrong_gate_order, "recurrent()", "gru", "GRU"),
    "flatten order": (wrong_flatten_order, "build()", "head", "Linear"),
}
"""What is wrong → how to make it so, the entry that shows it, the first layer that differs and its module."""


def line_of(place: str, text: str) -> str:
    """The line of `text` that a place, ending in `prog.py:LINE`, names."""
    _, found, number = place.rpartition("prog.py:")
    assert found, place
    return text.splitlines()[int(number) - 1]


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_rule_is_caught_and_the_layer_is_named(mistake: str, tmp_path: Path):
    make_wrong, entry, layer, module = WRONG[mistake]
    path = write(NET, tmp_path)
    texts: list[str] = []

    def convert(generation: str, entries: object) -> Conversion:
        with pytest.MonkeyPatch.context() as patch:
            make_wrong(patch)
            conversion = convert_file(path, entries=[entry], generation=generation)
        texts.append(conversion.modules[0].text)
        return conversion

    (result,) = verify_with(convert, path, entries=[entry], generation="keras3")
    assert result.status == "fail"
    where = result.first_divergence
    assert where is not None
    assert where["layer"] == layer
    assert f'name="{layer}"' in line_of(where["keras"], path.read_text())
    assert module in line_of(where["torch"], texts[0])
    assert layer in result.reason


def test_the_right_rules_pass_on_the_same_program(tmp_path: Path):
    results = verify_file(write(NET, tmp_path), entries=["build()", "recurrent()"], generation="keras3")
    for result in results:
        assert_passes(result)
