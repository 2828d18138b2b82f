"""Every rule's examples against both Keras generations: outputs and all gradients, in float64."""

from __future__ import annotations

import pytest
import torch
from harness import GENERATIONS, LIBRARY, compare, compare_batchnorm, evaluate_shape, read, symbolic

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS2, KERAS3
from transpiler.ir.shape import Layout, TensorType
from transpiler.rules.augmentation import augmentations
from transpiler.rules.registry import layer_rules

RULES = list({id(r): r for r in layer_rules().values()}.values())
FLOAT32 = ("MaxPooling3D", "AveragePooling3D", "AdaptiveAveragePooling3D", "AdaptiveMaxPooling3D", "MelSpectrogram")
"""TensorFlow has no float64 kernel for these on the CPU, and Keras no float64 for the last one."""

NOT_HERE = (
    ("RandomContrast", KERAS2),
    ("RandomBrightness", KERAS2),
    ("RandomCrop", KERAS2),
    ("RandomRotation", KERAS3),
    ("RandomRotation", KERAS2),
)
"""Declined in one generation, or without float64 in Keras itself: tests/rules/test_augmentation.py has them."""


def example_cases():
    for rule in RULES:
        for code, shape in rule.examples:
            for generation in GENERATIONS:
                declined = (rule.keras[0], generation) in NOT_HERE
                if hasattr(LIBRARY[generation].layers, rule.keras[0]) and not declined:
                    yield pytest.param(rule, code, shape, generation, id=f"{code}-{generation}")


@pytest.mark.parametrize("rule, code, shape, generation", example_cases())
def test_example(rule, code, shape, generation):
    shapes = shape if isinstance(shape[0], tuple) else (shape,)
    options = (
        {"ids": 4} if rule.keras[0] in ("Embedding", "ReversibleEmbedding", "CategoryEncoding", "IntegerLookup") else {}
    )
    if rule.keras[0] in FLOAT32:
        code, options = code[:-1] + (", " if code[-2] != "(" else "") + "dtype='float32')", {"dtype": "float32"}
    if rule.keras[0] in augmentations():  # tests/rules/test_augmentation.py has the rest
        options["training"] = False
    compare(code, *shapes, generation=generation, **options)


def test_every_rule_has_an_example_or_a_test():
    """ThresholdedReLU and its kin exist in one generation only; the rest must show themselves."""
    assert {r.keras[0] for r in RULES if not r.examples} <= {
        "InputLayer",
        "ThresholdedReLU",
        "MultiHeadAttention",
        "GroupQueryAttention",
        "LSTMCell",
        "GRUCell",
        "SimpleRNNCell",
        "StackedRNNCells",
        "ContrastLimitedAdaptiveHistogramEqualization",  # float32 alone: test_colors.py
    }


NAMES = [
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "swish",
    "mish",
    "sigmoid",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "log_sigmoid",
    "tanh",
    "hard_tanh",
    "tanh_shrink",
    "hard_shrink",
    "soft_shrink",
    "softplus",
    "softsign",
    "softmax",
    "log_softmax",
    "exponential",
    "sparse_sigmoid",
    "sparse_plus",
    "squareplus",
    "sparsemax",
    "linear",
]


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("name", NAMES)
def test_activation_string(name, generation):
    try:
        LIBRARY[generation].activations.get(name)
    except (ValueError, TypeError):
        pytest.skip("not a name in this generation")
    compare(f"Activation({name!r})", (5, 40), generation=generation)
    compare(f"Dense(6, activation={name!r})", (5, 4), generation=generation)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "softmax", "sigmoid", "tanh", "elu", "silu", "gelu"])
def test_activation_function_of_tensorflow(name):
    compare(f"Activation(tf.nn.{name})", (5, 7))
    compare(f"Conv1D(3, 2, activation=tf.nn.{name})", (5, 7, 2))


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(
    "code",
    [
        "ReLU(negative_slope=0.2)",
        "ReLU(threshold=0.5)",
        "ReLU(max_value=2.5)",
        "ReLU(max_value=2.0, threshold=0.5)",
        "ReLU(negative_slope=0.2, threshold=0.5)",
        "ReLU(max_value=1, negative_slope=0.2)",
        "LeakyReLU(0.1)",
        "Dense(3, activation=LeakyReLU())",
        "Dense(3, activation=ReLU(max_value=1.0))",
    ],
)
def test_activation_layer(code, generation):
    compare(code, (6, 20), generation=generation)


def test_activation_layer_with_weights_or_another_layout():
    for code in ("PReLU()", "PReLU(shared_axes=[1, 2])", "Softmax(axis=1)"):
        compare(f"Conv2D(3, 2, activation={code})", (2, 4, 4, 2))
    compare("Dense(3, activation=PReLU())", (2, 4))


def test_thresholded_relu_of_legacy_keras():
    compare("ThresholdedReLU(theta=0.7)", (6, 20), generation=KERAS2)


@pytest.mark.parametrize(
    "code, shape",
    [
        ("Activation('softmax')", (2, 3, 4, 5)),
        ("Softmax(axis=2)", (2, 3, 4, 5)),
        ("Softmax(axis=(1, 3))", (2, 3, 4, 5)),
        ("BatchNormalization()", (2, 3, 4, 5)),
        ("Concatenate(axis=2)", ((2, 3, 4, 5), (2, 3, 6, 5))),
        ("Concatenate()", ((2, 3, 4, 5), (2, 3, 4, 2))),
        ("Multiply()", ((2, 3, 4, 5), (2, 1, 1, 5))),
        ("GlobalAveragePooling2D()", (2, 3, 4, 5)),
        ("GlobalMaxPooling2D(keepdims=True)", (2, 3, 4, 5)),
        ("UnitNormalization(axis=1)", (2, 3, 4, 5)),
        ("Permute((2, 1))", (2, 3, 4)),
        ("Permute((1, 3, 2))", (2, 3, 4, 5)),
        ("Permute((3, 1, 2))", (2, 3, 4, 5)),
        ("Permute((2, 3, 1))", (2, 3, 4, 5)),
        ("Permute((1, 2, 3))", (2, 3, 4, 5)),
        ("PReLU(shared_axes=[1, 2, 3])", (2, 3, 4, 5)),
        ("Dropout(0.5, noise_shape=(None, 1, 1, 5))", (2, 3, 4, 5)),
    ],
)
def test_axes_follow_a_channels_first_layout(code, shape):
    shapes = shape if isinstance(shape[0], tuple) else (shape,)
    compare(code, *shapes, layout=Layout.FIRST)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(
    "code, shape",
    [
        ("BatchNormalization(momentum=0.8)", (6, 5)),
        ("BatchNormalization()", (6, 4, 5)),
        ("BatchNormalization(axis=2)", (6, 4, 5, 3)),
        ("BatchNormalization(scale=False)", (3, 4, 5, 2)),
        ("BatchNormalization(center=False)", (3, 4, 5, 2)),
        ("BatchNormalization(scale=False, center=False)", (3, 4, 2)),
        ("BatchNormalization()", (3, 2, 3, 4, 2)),
    ],
)
def test_batch_normalization_in_training(code, shape, generation):
    compare_batchnorm(code, shape, generation)


def test_frozen_batch_normalization_keeps_its_statistics():
    for generation in GENERATIONS:
        found = compare("BatchNormalization(trainable=False)", (4, 5, 3), generation=generation, training=True)
        assert "Frozen" in found.lowering.steps[0].module


@pytest.mark.parametrize(
    "code, shape, legacy",
    [
        ("LayerNormalization(axis=[-1, -2])", (2, 3, 4), True),
        ("LayerNormalization(axis=(2, 1))", (2, 3, 4), True),
        ("LayerNormalization(axis=[-1, -2])", (2, 3, 4), False),
        ("GroupNormalization(6)", (2, 3, 6), False),
    ],
)
def test_normalization_axes(code, shape, legacy):
    compare(code, shape, generation=KERAS2 if legacy else KERAS3)


@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_dropout_shares_its_mask_as_keras(rate):
    for code, shape, axes in [
        (f"SpatialDropout1D({rate})", (8, 5, 6), (2,)),
        (f"SpatialDropout2D({rate})", (8, 5, 4, 6), (2, 3)),
        (f"Dropout({rate}, noise_shape=(None, 1, 6))", (8, 5, 6), (1,)),
    ]:
        found = compare(code, shape)
        module = found.modules[0]
        module.train()
        x = torch.ones(shape) if "noise" in code else torch.ones(shape).movedim(-1, 1)
        y = module(x)
        kept = y.amax(dim=axes, keepdim=True).expand_as(y)
        assert torch.equal(y, kept), "the mask differs along a shared axis"
        assert sorted(y.unique().tolist()) == [0, 1 / (1 - rate)]


def test_noise_has_the_deviation_of_keras():
    torch.manual_seed(0)
    x = torch.full((200, 200), 3.0)
    for code, deviation in (("GaussianNoise(0.3)", 0.3), ("GaussianDropout(0.2)", 3 * 0.5)):
        module = compare(code, (2, 3)).modules[0].train()
        y = module(x)
        assert abs(float(y.std()) - deviation) < 0.01 * deviation * 3
        assert abs(float(y.mean()) - 3) < 0.02


@pytest.mark.parametrize("kind", ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"])
def test_merging_aligns_the_batch(kind):
    for generation in GENERATIONS:
        compare(f"{kind}()", (2, 4), (2, 3, 4), generation=generation)
        compare(f"{kind}()", (2, 3, 4), (2, 1, 4), generation=generation)


def test_merging_of_other_shapes_is_declined():
    rule = layer_rules()["Add"]
    with pytest.raises(Declined):
        rule.lower(rule.bind((), {}), [TensorType((None, 3)), TensorType((None, 4))])


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("size", [2, 3, 5, (2, 7)])
def test_upsampling_factors(size, generation):
    compare(f"UpSampling2D({size})", (2, 3, 4, 2), generation=generation)
    if generation == KERAS3:  # legacy Keras interpolates in float32
        compare(f"UpSampling2D({size}, interpolation='bilinear')", (2, 3, 4, 2))


SYMBOLIC = [
    ("Conv2D(filters, size, padding='same')", (2, 8, 9, 3), {"filters": 4, "size": 3}),
    ("Conv2D(filters, 3, strides=strides, padding='same')", (2, 8, 9, 3), {"filters": 4, "strides": 2}),
    ("Conv2D(filters, size, dilation_rate=rate)", (2, 8, 9, 3), {"filters": 4, "size": 2, "rate": 2}),
    ("Conv2D(filters, 3, padding=padding)", (2, 8, 9, 3), {"filters": 4, "padding": "same"}),
    (
        "Conv2D(filters, 3, padding=padding, use_bias=bias)",
        (2, 8, 9, 3),
        {"filters": 4, "padding": "valid", "bias": False},
    ),
    ("Conv2D(filters, size)", (2, 8, 9, 3), {"filters": 4, "size": (2, 3)}),
    ("Conv1D(filters, size, padding='causal', dilation_rate=rate)", (2, 9, 3), {"filters": 4, "size": 3, "rate": 2}),
    ("Conv2D(filters, 1, strides=2, padding='same')", (2, 7, 8, 3), {"filters": 4}),
    (
        "SeparableConv2D(filters, 3, strides=2, padding='same', depth_multiplier=m)",
        (2, 7, 8, 3),
        {"filters": 4, "m": 2},
    ),
    ("DepthwiseConv2D(size, strides=2, padding='same')", (2, 7, 8, 3), {"size": 3}),
    ("Conv2DTranspose(filters, 3, strides=2, padding='same')", (2, 4, 5, 3), {"filters": 4}),
    ("MaxPooling2D(size)", (2, 8, 9, 3), {"size": 2}),
    ("MaxPooling2D(size, strides=2, padding='same')", (2, 8, 9, 3), {"size": 3}),
    ("MaxPooling2D(2, padding='same')", (2, 7, 8, 3), {}),
    ("AveragePooling2D(3, strides=2, padding='same')", (2, 8, 9, 3), {}),
    ("AveragePooling1D(size, strides=1, padding='same')", (2, 8, 3), {"size": 3}),
    ("Dense(units, activation=act)", (2, 3), {"units": 4, "act": "tanh"}),
    ("Conv2D(2, 3, activation=act)", (2, 4, 5, 3), {"act": "softmax"}),
    ("Flatten()", (2, 3, 4, 5), {}),
    ("Reshape((a, -1))", (2, 3, 4), {"a": 2}),
    ("Reshape(shape)", (2, 12), {"shape": (3, 4)}),
    ("ZeroPadding2D(p)", (2, 3, 4, 5), {"p": 2}),
    ("ZeroPadding2D(p)", (2, 3, 4, 5), {"p": ((0, 1), (2, 1))}),
    ("Cropping2D(p)", (2, 5, 6, 5), {"p": 1}),
    ("UpSampling2D(s)", (2, 3, 4, 2), {"s": 2}),
    ("BatchNormalization(momentum=m, epsilon=e)", (4, 3, 5), {"m": 0.9, "e": 1e-4}),
    ("LayerNormalization(epsilon=e)", (2, 3, 4), {"e": 1e-4}),
    ("PReLU(shared_axes=[1, 2])", (2, 3, 4, 5), {}),
    ("LeakyReLU(s)", (2, 3), {"s": 0.1}),
    ("RepeatVector(n)", (2, 3), {"n": 4}),
    ("Dropout(r)", (2, 3), {"r": 0.4}),
    ("GlobalAveragePooling2D()", (2, 3, 4, 5), {}),
    ("GroupNormalization(groups)", (2, 3, 4, 6), {"groups": 3}),
    ("LSTM(units, return_sequences=True)", (2, 5, 3), {"units": 4}),
    ("GRU(units, reset_after=False)", (2, 5, 3), {"units": 4}),
    ("Bidirectional(GRU(units, return_sequences=True), merge_mode='sum')", (2, 5, 3), {"units": 4}),
    ("Bidirectional(LSTM(units))", (2, 5, 3), {"units": 4}),
    ("TimeDistributed(Dense(units))", (2, 5, 3), {"units": 4}),
    ("TimeDistributed(Conv1D(filters, 3, strides=2, padding='same'))", (2, 5, 8, 3), {"filters": 4}),
]


ELSEWHERE = [
    (
        "Conv2D(f, k, strides=s, padding='same')",
        (2, 8, 9, 3),
        {"f": 4, "k": 3, "s": 2},
        (2, 7, 8, 5),
        {"f": 2, "k": 2, "s": 3},
    ),
    (
        "Conv2D(f, k, strides=s, padding='same')",
        (2, 8, 9, 3),
        {"f": 4, "k": 3, "s": 1},
        (2, 7, 9, 3),
        {"f": 4, "k": 4, "s": 2},
    ),
    ("Conv2D(f, k, padding='same')", (2, 8, 9, 3), {"f": 4, "k": 3}, (2, 7, 8, 2), {"f": 4, "k": 4}),
    ("Conv2D(f, 3, padding=p)", (2, 8, 9, 3), {"f": 4, "p": "same"}, (2, 8, 9, 3), {"f": 4, "p": "valid"}),
    ("Conv2D(f, 3, strides=2, padding='valid')", (2, 8, 9, 3), {"f": 4}, (2, 7, 12, 3), {"f": 3}),
    ("Conv2D(f, 3, strides=2, padding='same')", (2, 8, 9, 3), {"f": 4}, (2, 7, 12, 3), {"f": 3}),
    (
        "Conv1D(f, k, padding='causal', dilation_rate=d)",
        (2, 9, 3),
        {"f": 4, "k": 3, "d": 2},
        (2, 9, 3),
        {"f": 4, "k": 2, "d": 1},
    ),
    (
        "DepthwiseConv2D(k, strides=s, padding='same', depth_multiplier=m)",
        (2, 8, 9, 3),
        {"k": 3, "s": 1, "m": 1},
        (2, 7, 8, 2),
        {"k": 5, "s": 2, "m": 3},
    ),
    (
        "SeparableConv2D(f, k, depth_multiplier=m)",
        (2, 8, 9, 3),
        {"f": 4, "k": 3, "m": 1},
        (2, 7, 8, 2),
        {"f": 2, "k": 2, "m": 3},
    ),
    ("MaxPooling2D(k, strides=s, padding='same')", (2, 8, 9, 3), {"k": 2, "s": 2}, (2, 8, 9, 3), {"k": 3, "s": 1}),
    ("MaxPooling2D(2, padding='same')", (2, 8, 8, 3), {}, (2, 7, 9, 3), {}),
    ("MaxPooling2D(k)", (2, 8, 8, 3), {"k": 2}, (2, 7, 9, 3), {"k": 3}),
    ("AveragePooling2D(3, strides=2, padding='same')", (2, 7, 7, 3), {}, (2, 8, 9, 3), {}),
    ("AveragePooling2D(2, padding='same')", (2, 8, 8, 3), {}, (2, 7, 9, 3), {}),
    ("AveragePooling1D(k, strides=1, padding='same')", (2, 8, 3), {"k": 3}, (2, 5, 3), {"k": 2}),
    ("Conv2DTranspose(f, 3, strides=2, padding='same')", (2, 4, 5, 3), {"f": 4}, (2, 3, 6, 2), {"f": 1}),
    ("Dense(u, activation=act)", (2, 3), {"u": 4, "act": None}, (2, 5), {"u": 2, "act": "softmax"}),
    ("Dense(u, use_bias=b)", (2, 3), {"u": 4, "b": True}, (2, 5), {"u": 2, "b": False}),
    ("Flatten()", (2, 3, 4, 5), {}, (2, 6, 1, 2), {}),
    ("Reshape((a, -1))", (2, 3, 4), {"a": 2}, (2, 3, 6), {"a": 9}),
    ("ZeroPadding2D(p)", (2, 3, 4, 5), {"p": 2}, (2, 3, 4, 5), {"p": 0}),
    ("Cropping2D(p)", (2, 5, 6, 5), {"p": 1}, (2, 5, 6, 5), {"p": 0}),
    ("UpSampling2D(s)", (2, 3, 4, 2), {"s": 2}, (2, 3, 4, 2), {"s": 3}),
    ("BatchNormalization(momentum=m, epsilon=e)", (4, 3, 5), {"m": 0.9, "e": 1e-4}, (4, 3, 2), {"m": 0.5, "e": 1e-2}),
    ("Bidirectional(LSTM(u, return_sequences=True), merge_mode='ave')", (2, 5, 3), {"u": 4}, (2, 3, 2), {"u": 1}),
    ("TimeDistributed(Conv1D(f, 3, strides=2, padding='same'))", (2, 5, 8, 3), {"f": 4}, (2, 3, 7, 2), {"f": 1}),
]


@pytest.mark.parametrize(
    "code, shape, names, at_shape, at", ELSEWHERE, ids=[f"{e[0]}-{i}" for i, e in enumerate(ELSEWHERE)]
)
def test_code_for_names_holds_at_values_that_were_not_seen(code, shape, names, at_shape, at):
    concrete = compare(code, at_shape, names=at)
    abstract = symbolic(code, shape, KERAS3, names, at, at_shape)
    agree(concrete, abstract, at_shape)


def agree(concrete, abstract, shape):
    """Both translations give the same for the same weights, and the inferred shape is the real one."""
    x = torch.randn(shape)
    weights = [t for m in concrete.modules if m for t in m.state_dict().values()]
    slots = [t for m in abstract.modules if m for t in m.state_dict().values()]
    assert [w.shape for w in weights] == [s.shape for s in slots]
    for weight, slot in zip(weights, slots):
        slot.copy_(weight)
    concrete.train(False), abstract.train(False)
    (want,), (have,) = concrete(x), abstract(x)
    assert want.shape == have.shape
    assert torch.allclose(want, have, rtol=1e-12, atol=1e-12)
    inferred = evaluate_shape(abstract.lowering.types[0], abstract.namespace)
    assert tuple(inferred[1:]) == tuple(want.shape[1:])


@pytest.mark.parametrize("code, shape, names", SYMBOLIC, ids=[c for c, _, _ in SYMBOLIC])
def test_symbolic_sizes_compute_the_same(code, shape, names):
    """Code written for names, run at the values the concrete translation saw, gives its result and its shape."""
    agree(compare(code, shape, names=names), symbolic(code, shape, KERAS3, names), shape)


@pytest.mark.parametrize(
    "code, shape",
    [
        ("Conv2D(4, 3, strides=2, padding='same')", (2, 8, 7, 3)),
        ("MaxPooling2D(3, strides=2, padding='same')", (2, 8, 7, 3)),
        ("AveragePooling2D(3, strides=2, padding='same')", (2, 8, 7, 3)),
        ("MaxPooling2D(2, padding='same')", (2, 8, 7, 3)),
        ("AveragePooling2D(2, padding='same')", (2, 8, 7, 3)),
        ("Conv2DTranspose(4, 3, strides=2, padding='same')", (2, 4, 5, 3)),
        ("SeparableConv2D(4, 3, strides=2, padding='same')", (2, 8, 7, 3)),
        ("Reshape((-1, 3))", (2, 8, 7, 3)),
        ("UpSampling2D()", (2, 8, 7, 3)),
        ("Cropping2D(1)", (2, 8, 7, 3)),
    ],
)
def test_open_sizes(code, shape):
    compare(code, shape, types=[TensorType((None, *(None,) * (len(shape) - 2), shape[-1]))])


def test_small_numbers_read_as_written():
    for text in ("1e-6", "1e-3", "1.001e-5", "9.5e-4", "1e-12", "0.01"):
        rule = layer_rules()["LayerNormalization"]
        lowering = rule.lower(rule.bind((), {"epsilon": float(text)}), [TensorType((None, 4))])
        assert lowering.steps[0].module == f"nn.LayerNorm(4, eps={text})"


@pytest.mark.parametrize(
    "code", ["LocallyConnected1D(4, 3, padding='same', implementation=2)", "LocallyConnected1D(4, 3, implementation=4)"]
)
def test_a_locally_connected_layer_that_is_not_exact_is_declined(code):
    with pytest.raises(Declined):
        layer = read(code, KERAS2)
        layer.rule.lower(layer.args, [TensorType((None, 7, 3), layout=Layout.FIRST)])


def test_the_fans_of_an_einsum_are_those_of_each_generation():
    for generation, fans in ((KERAS3, (4, 10)), (KERAS2, (4 * 2, 4 * 5))):
        layer = read("EinsumDense('abc,cde->abde', output_shape=(None, 2, 5))", generation)
        (step,) = layer.rule.lower(layer.args, [TensorType((None, 3, 4))]).steps
        assert step.fans == fans


@pytest.mark.parametrize(
    "code, shape",
    [
        ("EinsumDense('ab...,bc->ac...', 5)", (None, 3, 4)),
        ("EinsumDense('abc,cde->abde', (None, 2, 5), kernel_initializer='orthogonal')", (None, 3, 4)),
        ("CenterCrop(8, 8)", (None, 6, 9, 3)),
        ("Resizing(8, 8, interpolation='bicubic')", (None, 6, 9, 3)),
    ],
)
def test_layers_that_are_not_exact_are_declined(code, shape):
    with pytest.raises(Declined):
        layer = read(code, KERAS3)
        layer.rule.lower(layer.args, [TensorType(shape)])
