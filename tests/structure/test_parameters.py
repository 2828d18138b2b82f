"""Parameters that decide what kind of value there is stay parameters, and the result is right for other values."""

from __future__ import annotations

import types
from pathlib import Path

import pytest
import torch
from held import assert_same, build, convert, load
from torch import Tensor, nn

HEAD = """
import keras
from keras.layers import *
from keras.models import Model

"""
POOLED = """
def build(shape=(8, 8, 3), pool=None):
    x = inputs = keras.Input(shape)
    x = Conv2D(4, 3)(x)
    if pool == "avg":
        x = GlobalAveragePooling2D()(x)
    elif pool == "max":
        x = GlobalMaxPooling2D(keepdims=True)(x)
    elif pool == "rows":
        x = Reshape((-1, 4))(x)
"""
USES = ("build()", "build(pool='avg')", "build((9, 7, 1), 'max')", "build(pool='rows')")
KEPT = {
    "the rank of what is returned": (f"{POOLED}    return Model(inputs, x)", USES),
    "layers that act on the last axis": (
        f"""{POOLED}
    x = LayerNormalization(epsilon=1e-6)(x)
    x = Dropout(0.5)(Dense(6, activation="relu")(x))
    return Model(inputs, Dense(5, activation="softmax")(x) * 2.0)
""",
        USES,
    ),
    "the rank of what a function returns": (
        """
def tail(x, flat):
    x = Conv2D(4, 3)(x)
    if flat:
        return GlobalAveragePooling2D()(x)
    return x

def build(shape=(8, 8, 3), flat=True):
    inputs = keras.Input(shape)
    return Model(inputs, Dense(5, activation="softmax")(tail(inputs, flat)))
""",
        ("build()", "build(flat=False)"),
    ),
    "the rank of what a function is given": (
        f"""
def head(x, n):
    return Softmax()(Dense(n)(x))

{POOLED}
    return Model(inputs, head(x, 5))
""",
        USES,
    ),
    "a decision on the rank": (
        f"""{POOLED}
    n = 5 if len(x.shape) == 2 else 7
    return Model(inputs, Dense(n)(x))
""",
        USES,
    ),
    "a loop over layers for any rank": (
        f"""{POOLED}
    for n in (5, 6):
        x = Dense(n, activation="tanh")(x)
    return Model(inputs, x)
""",
        USES,
    ),
    "one of a few classes by name": (
        """
KINDS = {"bn": BatchNormalization, "ln": LayerNormalization, "none": Identity}

def build(shape=(8, 8, 3), norm="bn", act="relu"):
    inputs = keras.Input(shape)
    x = Conv2D(4, 3)(inputs)
    x = KINDS[norm](name="norm")(x)
    x = {"relu": ReLU(), "leaky": LeakyReLU()}[act](x)
    return Model(inputs, Dense(5)(Flatten()(x)))
""",
        ("build()", "build(norm='none')", "build((9, 7, 1), norm='ln', act='leaky')"),
    ),
    "one of a few functions by name": (
        """
def plain(x, n):
    return Conv2D(n, 3, padding="same")(x)

def separable(x, n):
    return SeparableConv2D(n, 3, padding="same", use_bias=False)(x)

BLOCKS = {"plain": plain, "separable": separable}

def build(shape=(8, 8, 3), kind="plain"):
    x = inputs = keras.Input(shape)
    x = BLOCKS[kind](x, 4)
    x = BLOCKS[kind](x, 6)
    return Model(inputs, x)
""",
        ("build()", "build(kind='separable')"),
    ),
    "a table that the constructor reads": (
        """
WIDTHS = {"small": 2, "large": 8}

def build(shape=(8, 8, 3), size="small"):
    inputs = keras.Input(shape)
    return Model(inputs, Conv2D(WIDTHS[size] + WIDTHS.get(size, 0), 3)(inputs))
""",
        ("build()", "build(size='large')"),
    ),
    "an input for each kind of shape": (
        """
def build(shape=(20, 2), units=4, activation="tanh"):
    if isinstance(shape, int):
        inputs = keras.Input((shape, 1))
    elif len(shape) == 1:
        inputs = keras.Input((*shape, 1))
    elif len(shape) == 2:
        inputs = keras.Input(shape)
    else:
        raise ValueError(f"the type {type(shape)} is not known")
    x = SimpleRNN(units, activation=activation)(inputs)
    return Model(inputs, x)
""",
        ("build()", "build((12,), activation='relu')", "build(15, units=3)"),
    ),
    "an activation that is called": (
        """
def build(shape=(20, 2), activation=None, last="softmax"):
    activation = keras.activations.get(activation)
    x = inputs = keras.Input(shape)
    x = activation(Conv1D(4, 3)(x))
    x = LSTM(3, activation="softsign", recurrent_activation=last, return_sequences=True)(x)
    return Model(inputs, keras.activations.get(last)(x))
""",
        ("build()", "build(activation='relu')", "build(activation='elu', last='sigmoid')"),
    ),
    "a side that needs what it tests": (
        """
def build(shape=(8, 8, 3), depth=None, width=4):
    x = inputs = keras.Input(shape)
    if depth is not None:
        for part in depth:
            x = part(x)
    return Model(inputs, Conv2D(width, 3)(x))
""",
        ("build()", "build((9, 7, 1), width=2)"),
    ),
    "modules of Keras that are handed on": (
        """
def parts(kwargs):
    for key in kwargs:
        if key not in ("layers", "models"):
            raise TypeError(key)
    return kwargs.get("layers", keras.layers), kwargs.get("models", keras.models)

def build(shape=(8, 8, 3), width=4, **kwargs):
    layers, models = parts(kwargs)
    inputs = layers.Input(shape)
    return models.Model(inputs, layers.Conv2D(width, 3)(inputs))
""",
        ("build(layers=keras.layers, models=keras.models)", "build(width=3, layers=keras.layers, models=keras.models)"),
    ),
    "sizes that numpy rounds": (
        """
import numpy as np

def build(shape=(12, 12, 3), factor=4):
    inputs = keras.Input(shape)
    pool = int(np.round(float(shape[0]) / factor))
    x = AveragePooling2D(pool, strides=int(np.ceil(pool / 2)))(inputs)
    return Model(inputs, Dense(int(np.floor(shape[1] / factor)) + 1)(x))
""",
        ("build()", "build(factor=5)", "build((9, 14, 1), factor=2)"),
    ),
    "rates that numpy spreads": (
        """
import numpy as np

class Scale(keras.layers.Layer):
    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate

    def call(self, x):
        return x * (1 + self.rate)

def build(shape=(6,), depth=3, rate=0.3):
    x = inputs = keras.Input(shape)
    rates = [r for r in np.linspace(0, rate, depth)]
    for i in range(depth):
        x = Scale(rates[i])(Dense(4)(x))
    for r in np.linspace(0.1, rate, depth)[1:]:
        x = Scale(r)(Dense(5)(x))
    return Model(inputs, Dense(len(np.linspace(0, 1, depth).tolist()))(x))
""",
        ("build()", "build((7,), depth=5, rate=0.5)", "build(depth=1)"),
    ),
    "padding of any kind": (
        """
def block(x, filters, padding, pool=3):
    x = Conv2D(filters, 3, strides=2, padding=padding)(x)
    return MaxPooling2D(pool, strides=2, padding=padding)(x)

def build(shape=(32, 30, 3), padding="same", first="valid"):
    x = inputs = keras.Input(shape)
    x = AveragePooling2D(3, strides=1, padding=first)(x)
    x = block(x, 4, padding)
    x = block(x, 5, padding, 2)
    return Model(inputs, Dense(3)(Flatten()(x)))
""",
        ("build()", "build(padding='valid')", "build((27, 31, 1), padding='valid', first='same')"),
    ),
    "items of a sequence of known length": (
        """
def conv(filters, n1, n2):
    return lambda x: Conv2D(filters, (n1, n2), padding="same")(x)

def build(shape=(8, 9, 3), size=(3, 5), widths=[4, 6, 5]):
    x = inputs = keras.Input(shape)
    skips = [conv(5, *size)(x)]
    for i in range(len(widths)):
        skip = skips[i] if i < len(skips) else None
        x = conv(widths[i], *size)(x)
        if skip is not None:
            x = Concatenate()([x, skip])
    return Model(inputs, x)
""",
        ("build()", "build(size=(1, 3))", "build((7, 7, 1), widths=[2, 3, 9])"),
    ),
    "one item that decides": (
        """
def build(shape=(12, 2), width=4):
    inputs = [keras.Input((shape[0], 1)) for _ in range(shape[1])]
    x = Concatenate()([Conv1D(width, 3)(i) for i in inputs])
    return Model(inputs, Dense(2)(Flatten()(x)))
""",
        ("build()", "build((9, 2), width=3)"),
    ),
    "the number of axes of a kernel": (
        """
def build(shape=(8, 8, 3), size=3, axes=2, width=4):
    inputs = keras.Input(shape)
    x = Conv2D(width, (size,) * 2, padding="same")(inputs)
    return Model(inputs, GlobalAveragePooling2D()(x))
""",
        ("build()", "build(size=5)"),
    ),
    "a variable of the factory whose older value is used later": (
        """
def build(channels=3, width=4):
    w = width * 2
    first = w
    w = w + 1
    inputs = keras.Input((channels,))
    return Model(inputs, Dense(w)(Dense(first)(inputs)))
""",
        ("build()", "build(2, 3)"),
    ),
    "a large table that a function and a loop read": (
        """
BLOCKS = {f"dense{n}": (lambda x, n=n: Dense(n + 1)(x)) for n in range(9)}
PARTS = {"a": [("Dense", 3)], "b": [("Dense", 4), ("Dense", 2)], "c": []}

def block(x, kind, part):
    x = BLOCKS[kind](x)
    for name, n in PARTS[part]:
        x = getattr(keras.layers, name)(n)(x)
    return x

def build(channels=3, width=2):
    x = inputs = keras.Input((channels,))
    x = block(block(x, "dense2", "a"), "dense5", "b")
    for kind in ("dense1", "dense3"):
        x = BLOCKS[kind](x)
    return Model(inputs, Dense(width)(x))
""",
        ("build()", "build(2, 3)"),
    ),
    "the rank is known again": (
        f"""{POOLED}
    x = Dense(6, activation="tanh")(x)
    if pool == "avg":
        x = Concatenate()([x, x])
    elif pool == "max":
        x = Flatten()(Conv2D(4, 1)(x))
    return Model(inputs, x)
""",
        USES,
    ),
    "what kind of value there is": (
        """
def build(shape=(17, 16, 3), strides=2, kernel=3, width=4, n=3, top=None):
    if type(strides) not in (tuple, list):
        strides = [(strides, strides), (strides, strides), (strides, strides)]
    else:
        strides = list(strides)
    for i in range(len(strides)):
        if type(strides[i]) == int:
            strides[i] = (strides[i], strides[i])
    x = inputs = keras.Input(shape)
    if type(kernel) is int:
        kernel = (kernel, kernel)
    for i in range(n):
        x = Conv2D(width, kernel, strides=strides[i], padding="same")(x)
    if not isinstance(top, type(None)):
        x = Dense(top)(x)
    return Model(inputs, x)
""",
        ("build()", "build(top=5)", "build(strides=1, width=2)", "build(kernel=(5, 3), n=2)"),
    ),
}


def text_of(source: str, seen: str, folder: Path) -> str:
    conversion = convert(HEAD + source, seen, folder)
    assert conversion.entries[0].tier == "structure", [f.message for f in conversion.findings]
    return conversion.modules[0].text


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_parameter_holds_for_other_values(name: str, tmp_path: Path):
    source, uses = KEPT[name]
    for seen in uses[:2]:
        names = load(text_of(source, seen, tmp_path)) | {"keras": keras_stand_in()}
        for entry in uses:
            assert_same(names, HEAD + source, entry, tmp_path)


FIXED = {
    "an array of numbers": f"""
import numpy as np

{POOLED}    return Model(inputs, Dense(int((np.linspace(0, 1, len(pool or "none")) * 4)[-1]))(inputs))
""",
    "another layer for each rank": f"{POOLED}    return Model(inputs, Dense(3)(Flatten()(x)))",
    "tensors of other ranks": f"{POOLED}    return Model(inputs, Concatenate()([x, x]))",
    "a loop that may not run": f"""{POOLED}
    for i in range(len(shape)):
        x = Dense(4, activation="relu")(x)
    return Model(inputs, x)
""",
}


@pytest.mark.parametrize("name", FIXED)
def test_what_differs_by_rank_fixes_the_parameter(name: str, tmp_path: Path):
    source = HEAD + FIXED[name]
    for seen, other in (("build(pool='avg')", "build()"), ("build()", "build(pool='avg')")):
        names = load(convert(source, seen, tmp_path).modules[0].text)
        assert_same(names, source, seen, tmp_path)
        try:
            build(names, other)
        except NotImplementedError as error:
            assert "K2T30" in str(error)
        else:
            assert_same(names, source, other, tmp_path)


GIVEN = """
def stem(x, width, aug):
    if aug:
        x = aug(x)
    return Conv2D(width, 3)(x)

def build(shape=(8, 8, 3), aug=None, inner=None):
    inputs = keras.Input(shape)
    x = aug(inputs) if aug is not None else inputs
    x = stem(x, 4, inner)
    return Model(inputs, Dense(5)(Flatten()(x)))
"""


class Shift(nn.Module):
    """Shifts rows: on an axis that tells a tensor in Keras's order from another one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        nn.init.constant_(self.conv.weight, 7.0)

    def forward(self, x: Tensor) -> Tensor:
        return x.roll(1, dims=1)


def test_a_layer_that_the_caller_may_give_is_a_module_in_the_result(tmp_path: Path):
    names = load(text_of(GIVEN, "build()", tmp_path))
    for entry in ("build()", "build((9, 7, 2))"):
        assert_same(names, HEAD + GIVEN, entry, tmp_path)
    torch.manual_seed(0)
    plain, given = build(names, "build()").model, names["build"](aug=Shift(), inner=Shift()).double().eval()
    assert all((m.conv.weight == 7).all() for m in given.modules() if isinstance(m, Shift))
    own = {k: v for k, v in plain.state_dict().items()}
    missing = given.load_state_dict(own, strict=False)
    assert not missing.unexpected_keys and all("module.conv" in k for k in missing.missing_keys)
    x = torch.randn(2, 8, 8, 3, dtype=torch.float64)
    assert torch.equal(given(x), plain(x.roll(2, dims=1)))
    assert not torch.equal(plain(x), plain(x.roll(2, dims=1)))


def test_a_given_module_must_keep_the_shape(tmp_path: Path):
    names = load(text_of(GIVEN, "build()", tmp_path))
    with pytest.raises(ValueError, match=r"changes the shape \(2, 8, 8, 3\) to \(2, 192\)"):
        names["build"](aug=nn.Flatten())(torch.zeros(2, 8, 8, 3))
    with pytest.raises(TypeError, match="a PyTorch module is needed"):
        names["build"](aug="flip")


def test_a_given_layer_is_reported(tmp_path: Path):
    found = [f for f in convert(HEAD + GIVEN, "build()", tmp_path).findings if f.code == "K2T305"]
    assert [f.severity.name for f in found] == ["NOTE", "NOTE"]


REFUSED = {
    "a table whose entries decide the structure": (
        """
STAGES = {"small": [("Conv2D", 4), ("Dense", 6)], "large": [("Dense", 8)] * 5}

def build(shape=(8, 8, 3), size="small", stages="default", width=3):
    x = inputs = keras.Input(shape)
    if stages == "default":
        stages = STAGES[size]
    for kind, filters in stages:
        x = getattr(keras.layers, kind)(filters, **({"kernel_size": 3} if kind == "Conv2D" else {}))(x)
    return Model(inputs, Dense(width)(x))
""",
        ("build()", "build((9, 7, 1), width=2)"),
        {"build(size='large')": "K2T302: of a table, only the entry for 'small' is translated"},
    ),
    "a table of many functions": (
        """
BLOCKS = {f"dense{n}": (lambda x, n=n: Dense(n)(x)) for n in range(9)}

def build(shape=(8,), kind="dense3", width=2):
    x = inputs = keras.Input(shape)
    return Model(inputs, Dense(width)(BLOCKS[kind](x)))
""",
        ("build()", "build(width=5)"),
        {"build(kind='dense4')": "K2T302: of a table, only the entry for 'dense3' is translated"},
    ),
    "a padding that is not known": (
        KEPT["padding of any kind"][0],
        ("build()",),
        {"build(padding='full')": "the padding 'full' is not known here"},
    ),
    "another number of items": (
        KEPT["items of a sequence of known length"][0],
        ("build()",),
        {
            "build(size=(3, 3, 3))": "only size with 2 items is translated",
            "build(widths=[4])": "only widths with 3 items is translated",
        },
    ),
    "another item that decides": (
        KEPT["one item that decides"][0],
        ("build()",),
        {"build((12, 3))": "only shape\\[1\\] = 2 is translated"},
    ),
    "a key that a small table lacks": (
        KEPT["one of a few classes by name"][0],
        ("build()",),
        {"build(act='elu')": "'elu'"},
    ),
    "an activation that is not known": (
        KEPT["an activation that is called"][0],
        ("build()",),
        {"build(activation='elusive')": "the activation 'elusive' is not known"},
    ),
    "a recurrent activation that torch does not have": (
        KEPT["an input for each kind of shape"][0],
        ("build()",),
        {"build(activation='elu')": "elu", "build((1, 2, 3))": "the type <class 'tuple'> is not known"},
    ),
    "a side that needs what it tests": (
        KEPT["a side that needs what it tests"][0],
        ("build()",),
        {"build(depth=[3])": "K2T302"},
    ),
    "another keyword argument": (
        KEPT["modules of Keras that are handed on"][0],
        ("build(layers=keras.layers)",),
        {"build(depth=3)": r"build\(\) takes no other keyword arguments than layers"},
    ),
    "another kind of value": (
        KEPT["what kind of value there is"][0],
        ("build()",),
        {"build(strides=[1, 2, 1])": "K2T302"},
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_values_are_refused(name: str, tmp_path: Path):
    source, uses, refused = REFUSED[name]
    names = load(text_of(source, uses[0], tmp_path)) | {"keras": keras_stand_in()}
    for entry in uses:
        assert_same(names, HEAD + source, entry, tmp_path)
    for entry, message in refused.items():
        with pytest.raises((NotImplementedError, ValueError, TypeError, KeyError), match=message):
            build(names, entry)


def keras_stand_in() -> types.SimpleNamespace:
    """What the entries name of Keras, for the side that has no use for it."""
    return types.SimpleNamespace(layers=None, models=None)
