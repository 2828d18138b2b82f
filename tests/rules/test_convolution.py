"""Convolutions and pooling against Keras: every padding, stride, dilation and size that changes the result."""

import inspect
import itertools

import keras
import numpy as np
import pytest
import torch
from harness import GENERATIONS, KERAS3, compare, randomise, read, real, relative, tf, translate

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS2
from transpiler.ir.shape import Layout, TensorType
from transpiler.rules.registry import layer_rules


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, (4, 5)])
def test_conv2d_pads_as_keras(kernel, stride, padding, generation):
    for size in ((7, 8), (9, 10)):
        compare(f"Conv2D(2, {kernel}, strides={stride}, padding={padding!r})", (2, *size, 3), generation=generation)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(
    "code, shape",
    [
        ("Conv2D(4, 3, dilation_rate=2)", (2, 9, 8, 3)),
        ("Conv2D(4, (2, 3), dilation_rate=(2, 3), padding='same')", (2, 9, 8, 3)),
        ("Conv2D(4, 3, groups=2, padding='same')", (2, 9, 8, 4)),
        ("Conv2D(4, 3, strides=(1, 2), padding='SAME')", (2, 9, 8, 4)),
        ("Conv1D(4, 4, strides=3, padding='causal')", (2, 9, 3)),
        ("Conv1D(6, 2, padding='causal', dilation_rate=3, groups=3)", (2, 9, 6)),
        ("Conv1D(4, 5, strides=2, padding='same', activation='softmax')", (2, 8, 3)),
        ("Conv3D(2, (1, 2, 3), strides=2, padding='same', activation='tanh')", (2, 5, 6, 7, 2)),
        ("Conv2D(3, 3, activation='softmax')", (2, 5, 6, 2)),
        ("DepthwiseConv2D(4, strides=3, padding='same', depth_multiplier=2)", (2, 9, 10, 3)),
        ("DepthwiseConv2D(3, dilation_rate=2, padding='same')", (2, 9, 10, 3)),
        ("DepthwiseConv1D(3, strides=2)", (2, 9, 3)),
        ("SeparableConv1D(4, 4, strides=2, padding='same', depth_multiplier=3)", (2, 9, 3)),
        ("SeparableConv2D(4, 3, dilation_rate=2, padding='same')", (2, 9, 8, 3)),
    ],
)
def test_convolution_arguments(code, shape, generation):
    compare(code, shape, generation=generation)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("kernel, stride", list(itertools.product([1, 2, 3, 4, 5], [1, 2, 3])))
def test_transposed_convolution_is_cut_as_keras(kernel, stride, generation):
    for padding in ("same", "valid"):
        code = f"Conv2DTranspose(2, {kernel}, strides={stride}, padding={padding!r})"
        compare(code, (2, 4, 5, 3), generation=generation)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(
    "code, shape",
    [
        ("Conv2DTranspose(2, 3, strides=2, padding='same', output_padding=1)", (2, 4, 5, 3)),
        ("Conv2DTranspose(2, 3, strides=2, padding='valid', output_padding=1)", (2, 4, 5, 3)),
        ("Conv2DTranspose(2, (2, 3), strides=(3, 2), padding='same', use_bias=False)", (2, 4, 5, 3)),
        ("Conv1DTranspose(2, 5, strides=2, padding='same', activation='relu')", (2, 5, 3)),
        ("Conv3DTranspose(2, 3, strides=2, padding='same')", (2, 2, 3, 4, 2)),
    ],
)
def test_transposed_convolution_arguments(code, shape, generation):
    compare(code, shape, generation=generation)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_dilated_transposed_convolution(padding):
    """Legacy Keras only: Keras 3 has no CPU kernel for it."""
    compare(f"Conv2DTranspose(2, 3, dilation_rate=2, padding={padding!r})", (2, 6, 5, 3), generation=KERAS2)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("kind", ["Max", "Average"])
@pytest.mark.parametrize("pool, stride", [(2, 2), (2, 1), (3, 2), (3, 3), (3, 1), (2, 3), ((2, 3), (3, 2))])
def test_pooling_pads_as_keras(pool, stride, kind, generation):
    for size, padding in itertools.product(((7, 8), (9, 6)), ("same", "valid")):
        code = f"{kind}Pooling2D({pool}, strides={stride}, padding={padding!r})"
        compare(code, (2, *size, 3), generation=generation)


@pytest.mark.parametrize("kind", ["Max", "Average"])
@pytest.mark.parametrize("code, shape", [("1D(3, 2, 'same')", (2, 8, 3)), ("1D(2, padding='same')", (2, 7, 3))])
def test_pooling_over_one_axis(kind, code, shape):
    for generation in GENERATIONS:
        compare(f"{kind}Pooling{code}", shape, generation=generation)


def test_pooling_over_three_axes():
    """TensorFlow has no float64 kernel for these."""
    for code in ("(3, 2, 'same', dtype='float32')", "((1, 2, 3), 2, 'same', dtype='float32')"):
        compare(f"AveragePooling3D{code}", (2, 4, 5, 6, 2), dtype="float32")
        compare(f"MaxPooling3D{code}", (2, 4, 5, 6, 2), dtype="float32")


@pytest.mark.parametrize(
    "code, shape",
    [
        ("GlobalAveragePooling2D(data_format='channels_first', keepdims=True)", (2, 3, 4, 5)),
        ("GlobalMaxPooling1D(keepdims=True)", (2, 3, 4)),
        ("GlobalMaxPooling3D(data_format='channels_first')", (2, 3, 4, 5, 2)),
    ],
)
def test_global_pooling(code, shape):
    compare(code, shape)


FIRST = [
    ("Conv2D(4, 3, strides=2, padding='same'{})", (2, 8, 9, 3)),
    ("Conv1D(4, 3, padding='causal', activation='relu'{})", (2, 8, 3)),
    ("Conv3D(2, 2, strides=2{})", (2, 4, 5, 6, 3)),
    ("Conv2DTranspose(4, 3, strides=2, padding='same'{})", (2, 4, 5, 3)),
    ("DepthwiseConv2D(3, depth_multiplier=2{})", (2, 8, 9, 3)),
    ("SeparableConv2D(4, 3, padding='same'{})", (2, 8, 9, 3)),
    ("MaxPooling2D(3, strides=2, padding='same'{})", (2, 8, 7, 3)),
    ("AveragePooling2D(3, strides=2, padding='same'{})", (2, 8, 7, 3)),
    ("GlobalAveragePooling2D(keepdims=True{})", (2, 8, 7, 3)),
    ("GlobalMaxPooling1D(keepdims=True{})", (2, 8, 3)),
    ("UpSampling2D((2, 3){})", (2, 4, 3, 2)),
    ("ZeroPadding2D(((1, 2), (0, 1)){})", (2, 4, 3, 2)),
    ("Cropping2D(((1, 2), (0, 1)){})", (2, 5, 4, 2)),
    ("SpatialDropout2D(0.5{})", (2, 5, 4, 2)),
]


@pytest.mark.parametrize("code, shape", FIRST)
def test_channels_first_programs_need_no_permute(code, shape):
    """Keras itself computes these on a GPU only, so they are compared with the channels-last layer."""
    live = real(code.format(""), KERAS3)
    rng = np.random.default_rng(5)
    x = rng.normal(0, 1, shape)
    live(tf.constant(x))
    randomise(live, rng)
    want = live(tf.constant(x)).numpy()
    found = translate(
        read(code.format(", data_format='channels_first'"), KERAS3), [TensorType((None, shape[-1], *shape[1:-1]))]
    )
    assert found.layout in (None, Layout.KERAS)
    found.load(live)
    found.train(False)
    (have,) = found(torch.from_numpy(np.moveaxis(x, -1, 1)))
    assert tuple(have.shape[1:]) == found.lowering.types[0].shape[1:]
    assert relative(np.moveaxis(want, -1, 1), have.detach().numpy()) < 1e-9


def test_keras1_positions_are_not_guessed():
    rule = layer_rules()["Convolution2D"]
    with pytest.raises(Declined, match="Keras 1"):
        rule.bind((32, 3, 3), {"activation": "relu"})
    old = rule.bind((32, 3, 5), {"border_mode": "same", "subsample": (2, 2)})
    assert (old.kernel_size, old.strides, old.padding) == ((3, 5), (2, 2), "same")
    named = rule.bind((), {"nb_filter": 8, "nb_row": 3, "nb_col": 2})
    assert (named.filters, named.kernel_size) == (8, (3, 2))


def test_all_arguments_of_a_transposed_convolution_by_position():
    """Keras 3 has two of them in another order than elsewhere: see the rule's `bind`."""
    compare("Conv3DTranspose(4, 2, (1, 2, 2), 'valid', 'channels_last', None, 1, 'relu', False)", (2, 3, 4, 5, 3))
    given = list(inspect.signature(keras.layers.Conv3DTranspose.__init__).parameters)[1:-1]
    ours = [k for k in read("Conv3DTranspose(4, 2)", KERAS3).rule._signature().parameters if k in given]
    assert given[6:] == [k for k in given[6:] if k in ours] == [k for k in ours if k in given[6:]]


def test_no_groups_are_one_in_legacy_keras():
    compare("Conv2D(4, 3, groups=0)", (2, 9, 8, 4), generation=KERAS2)
    with pytest.raises(ValueError, match="positive"):
        real("Conv2D(4, 3, groups=0)", KERAS3)
