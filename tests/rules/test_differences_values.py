"""Where layers of Keras and PyTorch differ, one test for each difference: attention, activations, images, initial weights.

Numbers go on from test_differences_layers.py.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tf_keras
import torch
from harness import GENERATIONS, KERAS2, KERAS3, ROUNDED, compare, read, real, tf, translate
from programs import agree, both, layer
from test_initializers import fill, keras_draw, same_distribution, spelled

from transpiler.diagnostics import Declined
from transpiler.ir.shape import TensorType
from transpiler.rules.initializers import fans_of

RNG = np.random.default_rng(12)
QUERY, VALUE = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 5, 4))
QUERY_KEPT = np.array([[1, 1, 0], [1, 1, 1]], bool)
VALUE_KEPT = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0]], bool)
IMAGES = RNG.normal(size=(2, 4, 5, 3))


def declined(code: str, *shape: int, generation: str = KERAS3) -> None:
    with pytest.raises(Declined):
        translate(read(code, generation), [TensorType((None, *shape))])


def test_40_multi_head_attention():
    """Kernels are (size, heads, width); scores are divided by the root of the key's width; any widths may differ."""
    named = ("query", "value", "key")
    for generation in GENERATIONS:
        for code in ("MultiHeadAttention(2, 2)", "MultiHeadAttention(3, 5, value_dim=2, output_shape=7)"):
            compare(code, (2, 3, 4), (2, 5, 4), (2, 5, 4), generation=generation, named=named)
    compare("MultiHeadAttention(2, 3)", (2, 4, 4), (2, 4, 4), named=named[:2], flags={"use_causal_mask": True})


def test_41_masks_of_attention():
    """Keras 3 joins the masks of queries and of keys, so that rows of padding attend to nothing."""
    code, named = "MultiHeadAttention(2, 3)", ("query", "value")
    layer(code, QUERY, VALUE, masks={0: QUERY_KEPT, 1: VALUE_KEPT}, named=named, bound=ROUNDED)
    (alone,) = layer(code, QUERY, VALUE, masks={1: VALUE_KEPT}, named=named, bound=ROUNDED)
    (plain,) = layer(code, QUERY, VALUE, named=named, bound=ROUNDED)
    assert np.abs(alone - plain).max() > 1e-3


def test_42_softmax_where_nothing_is_left(tmp_path: Path):
    """Without any value left, Keras 3's softmax gives 0, that of legacy Keras equal shares; never NaN."""
    for generation in GENERATIONS:
        body = "x, kept = Input((2, 3)), Input((2, 3), dtype='bool')\nreturn Model([x, kept], Softmax()(x, mask=kept))"
        kept = np.array([[[1, 0, 1], [0, 0, 0]]], bool)
        (y,) = agree(body, generation, tmp_path, RNG.normal(size=(1, 2, 3)), kept)
        assert np.allclose(y[0, 1].sum(), 0 if generation == KERAS3 else 1)
        # The mask is in Keras's order, also where the tensor has its channels first.
        body = "x, kept = Input((4, 4, 2)), Input((2, 2, 2), dtype='bool')\ny = MaxPooling2D()(x)\n"
        body += "return Model([x, kept], Softmax()(y, mask=kept))"
        agree(body, generation, tmp_path, RNG.normal(size=(3, 4, 4, 2)), RNG.random((3, 2, 2, 2)) < 0.5)


def test_43_attention_without_heads():
    """Scores are not divided by a root; the mask of the values leaves scores out, that of the queries clears rows."""
    for generation in GENERATIONS:
        for code in (
            "Attention()",
            "Attention(use_scale=True)",
            "AdditiveAttention()",
            "Attention(score_mode='concat')",
        ):
            layer(code, QUERY, VALUE, generation=generation)
            (y,) = layer(code, QUERY, VALUE, generation=generation, masks={0: QUERY_KEPT, 1: VALUE_KEPT})
            assert not y[0, 2].any() and np.isfinite(y).all()


def test_44_hard_sigmoid():
    """Keras 3 divides by 6, legacy Keras multiplies by 0.2."""
    x = np.linspace(-4, 4, 33)[None]
    third = {g: layer("Activation('hard_sigmoid')", x, generation=g)[0] for g in GENERATIONS}
    assert np.allclose(third[KERAS3], np.clip(x / 6 + 0.5, 0, 1))
    assert np.allclose(third[KERAS2], np.clip(0.2 * x + 0.5, 0, 1))


def test_45_convolutions_over_steps():
    """The gates of Keras 3 are sigmoids, those of legacy Keras hard ones."""
    for generation in GENERATIONS:
        compare("ConvLSTM2D(2, 2)", (2, 3, 4, 4, 1), generation=generation)
        assert real("ConvLSTM2D(2, 2)", generation).cell.recurrent_activation.__name__ == (
            "sigmoid" if generation == KERAS3 else "hard_sigmoid"
        )


def test_46_leaky_relu():
    """The layer's slope is 0.3 by default, the function's 0.2, torch's 0.01."""
    x = np.array([[-1.0, 2.0]])
    for generation in GENERATIONS:
        assert np.allclose(layer("LeakyReLU()", x, generation=generation, bound=ROUNDED)[0], [[-0.3, 2]])
    assert np.allclose(layer("Activation('leaky_relu')", x, bound=ROUNDED)[0], [[-0.2, 2]])
    assert np.allclose(layer("LeakyReLU(alpha=0.5)", x, generation=KERAS2)[0], [[-0.5, 2]])
    assert np.allclose(layer("LeakyReLU(negative_slope=0.5)", x)[0], [[-0.5, 2]])


def test_47_relu():
    """Above the threshold, strictly, values stay; below, the slope starts there."""
    x = np.array([[-2.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0]])
    for generation in GENERATIONS:
        for code in ("ReLU(2.0, 0.25, 1.0)", "ReLU(threshold=1.0)", "ReLU(max_value=2.0)", "ReLU(negative_slope=0.5)"):
            layer(code, x, generation=generation)


def test_48_other_activations():
    """gelu is exact by default; the others have torch's formulas."""
    names = ["softplus", "softsign", "silu", "selu", "elu", "gelu", "mish", "exponential", "relu6", "log_softmax"]
    names += [
        "celu",
        "hard_silu",
        "hard_shrink",
        "soft_shrink",
        "tanh_shrink",
        "hard_tanh",
        "sparsemax",
    ]
    x = 2 * RNG.normal(size=(3, 4))
    for name in names:
        layer(f"Activation('{name}')", x, bound=ROUNDED)
    for generation in GENERATIONS:
        layer("Activation('gelu')", x, generation=generation, bound=ROUNDED)
        layer("Softmax(axis=(1, 2))", RNG.normal(size=(2, 3, 4)), generation=generation)


def test_49_prelu():
    """Each value has a slope of its own, unless axes are shared; they start at 0."""
    for generation in GENERATIONS:
        compare("PReLU()", (2, 4, 5, 3), generation=generation)
        found = compare("PReLU(shared_axes=[1, 2])", (2, 4, 5, 3), generation=generation)
        assert found.lowering.steps[0].module.startswith("nn.PReLU(3")
    found = translate(read("PReLU(shared_axes=[1, 2])", KERAS3), [TensorType((None, 4, 5, 3))])
    assert "init" not in found.lowering.steps[0].module and real("PReLU()", KERAS3)(-np.ones((1, 2))).numpy().max() == 0


def test_50_upsampling():
    """Nearest repeats; bilinear goes by the centres of pixels; bicubic has another kernel than torch's."""
    for generation in GENERATIONS:
        for size in (2, 3, "(2, 3)"):
            layer(f"UpSampling2D({size})", IMAGES, generation=generation)
    layer("UpSampling2D(3, interpolation='bilinear')", IMAGES, bound=ROUNDED)
    declined("UpSampling2D(2, interpolation='bicubic')", 4, 5, 3)


def test_51_resizing():
    """Nearest takes the pixel whose centre is nearest; bilinear goes by centres; the others have no counterpart."""
    for generation in GENERATIONS:
        for size in ("3, 4", "7, 9", "2, 8"):
            layer(f"Resizing({size}, interpolation='nearest')", IMAGES, generation=generation)
    layer("Resizing(7, 3)", IMAGES, bound=1e-6)
    for other in ("bicubic", "lanczos3", "lanczos5", "area"):
        declined(f"Resizing(3, 3, interpolation='{other}')", 4, 5, 3)


def test_52_dropout():
    """What is kept is scaled up; whole channels go in the spatial ones; noise has the deviation that the rate says."""
    torch.manual_seed(0)
    for generation in GENERATIONS:
        module = compare("SpatialDropout2D(0.5)", (2, 3, 4, 5), generation=generation).modules[0].train()
        y = module(torch.ones(8, 6, 3, 4))
        assert torch.equal(y, y[..., :1, :1].expand_as(y)) and sorted(y.unique().tolist()) == [0, 2]
        module = compare("GaussianDropout(0.2)", (2, 3), generation=generation).modules[0].train()
        assert abs(float(module(torch.ones(400, 400)).std()) - 0.5) < 0.01
        module = compare("AlphaDropout(0.3)", (2, 3), generation=generation).modules[0].train()
        wanted = np.unique(
            np.round(np.asarray(real("AlphaDropout(0.3)", generation)(np.ones((30, 30)), training=True)), 5)
        )
        assert np.allclose(np.unique(np.round(module(torch.ones(30, 30)).numpy(), 5)), wanted, atol=1e-4)


def test_53_merges_of_other_ranks():
    """The batch is aligned, not the last axes; a product of vectors keeps an axis."""
    for generation in GENERATIONS:
        compare("Add()", (2, 4), (2, 3, 4), generation=generation)
        compare("Dot(axes=1)", (2, 4), (2, 4), generation=generation)
        compare("Dot(axes=1, normalize=True)", (2, 4), (2, 4), generation=generation)


def test_54_embedding():
    """Floats are cut to whole numbers; a number that is out of range is an error."""
    table = "Embedding(4, 2)"
    layer(table, np.array([[0, 3, 1]]))
    layer(table, np.array([[0.9, 3.2, 1.0]]))
    found = translate(read(table, KERAS3), [TensorType((None, 2), "int64")])
    with pytest.raises(IndexError):
        found(torch.tensor([[0, 4]]))
    torch.manual_seed(0)
    same_distribution(fill("uniform", (300, 200)).detach().numpy(), keras_draw("uniform", (300, 200), keras))


def test_55_preprocessing():
    """The deviation has a floor of 1e-7; a value at a boundary belongs above it; unknown numbers come first."""
    for generation in GENERATIONS:
        layer(
            "Normalization(mean=[1.0, 2.0], variance=[4.0, 1e-30])",
            np.array([[1.0, 2.5], [3.0, 2.0]]),
            generation=generation,
            bound=ROUNDED,
        )
        (y,) = layer("Discretization([0.0, 1.0])", np.array([[-1.0, 0.0, 0.5, 1.0, 2.0]]), generation=generation)
        assert y.tolist() == [[0, 1, 1, 2, 2]]
        (y,) = layer("IntegerLookup(vocabulary=[5, 7])", np.array([[7, 5, 9]]), generation=generation)
        assert y.tolist() == [[2, 1, 0]]
        layer("CenterCrop(3, 2)", IMAGES, generation=generation)
    declined("CenterCrop(8, 8)", 4, 5, 3)


def test_56_fans():
    """Fans are counted on Keras's shapes, which torch's are not for depthwise kernels."""
    torch.manual_seed(0)
    made = read("DepthwiseConv2D(3, depth_multiplier=2)", KERAS3)
    (step,) = translate(made, [TensorType((None, 9, 9, 500))]).lowering.steps
    ours = fill("glorot_uniform", (1000, 1, 3, 3), fans_of(step, "weight")).detach().numpy()
    theirs = keras_draw("glorot_uniform", (3, 3, 500, 2), keras)
    same_distribution(ours, theirs)
    torchs = torch.nn.init.xavier_uniform_(torch.empty(1000, 1, 3, 3))
    assert abs(float(torchs.abs().max()) / np.abs(theirs).max() - 1) > 0.2
    (step,) = translate(read("Conv2DTranspose(64, 3)", KERAS3), [TensorType((None, 9, 9, 16))]).lowering.steps
    ours = fill("he_normal", (16, 64, 3, 3), fans_of(step, "weight")).detach().numpy()
    same_distribution(ours, keras_draw("he_normal", (3, 3, 64, 16), keras))


def test_57_truncated_normals():
    """Normals are cut at two of their own deviations; those of variance scaling are widened for it."""
    torch.manual_seed(0)
    for text in ("he_normal", "lecun_normal", "TruncatedNormal()", "TruncatedNormal(stddev=3.0)", "truncated_normal"):
        for library in (keras, tf_keras):
            ours = fill(spelled(text), (128, 48, 3, 3)).detach().numpy()
            same_distribution(ours, keras_draw(text, (3, 3, 48, 128), library))


def test_58_initial_weights_of_recurrent_layers(tmp_path: Path):
    """The recurrent kernel of all gates is orthogonal as a whole; the bias of the forget gate starts at 1."""
    for generation in GENERATIONS:
        model, module = both("x = Input((3, 2))\nreturn Model(x, LSTM(4)(x))", generation, tmp_path)
        (found,) = [w for n, w in module.named_parameters() if "weight_hh" in n]
        kernel = model.layers[-1].cell.recurrent_kernel.numpy()
        for weight in (found.detach().numpy().T, kernel):
            assert np.allclose(weight @ weight.T, np.eye(4), atol=1e-6)
        (bias,) = [w for n, w in module.named_parameters() if "bias_ih" in n]
        assert np.array_equal(bias.detach().numpy(), model.layers[-1].cell.bias.numpy())


def test_62_functions_on_tensors(tmp_path: Path):
    """Deviations have no correction, a median averages, rounding is to even, a remainder has the sign of the divisor."""
    body = """
x, i = Input((6,)), Input((3,), dtype="int64")
f = lambda v: [ops.std(v, axis=1), ops.var(v, axis=1), ops.median(v, axis=1), ops.round(v), ops.mod(v, 2.0)]
return Model([x, i], [*f(x), ops.one_hot(i, 3), ops.argmax(x, axis=1)])
""".replace("ops.", "keras.ops.")
    x = np.array([[0.5, 1.5, 2.5, -0.5, -1.5, 3.0], [1.0, 4.0, -3.0, 2.0, 2.0, 0.0]])
    agree(body, KERAS3, tmp_path, x, np.array([[0, 2, 3], [-1, 1, 5]]))


def test_64_moving_variance_in_float64():
    """In float64 Keras averages the biased variance in both generations."""
    x = RNG.normal(size=(2, 2, 2, 3))
    for generation in GENERATIONS:
        live = real("BatchNormalization(momentum=0.5)", generation)
        live(tf.constant(x), training=True)
        assert np.allclose(live.moving_variance.numpy(), 0.5 + 0.5 * x.reshape(-1, 3).var(axis=0), atol=1e-6)


def test_65_float64_is_kept():
    """Layers of Keras 3 keep float64; bilinear upsampling of legacy Keras does not."""
    for generation in GENERATIONS:
        live = real("UpSampling2D(2, interpolation='bilinear')", generation)
        assert live(tf.constant(IMAGES)).dtype == (tf.float64 if generation == KERAS3 else tf.float32)
        for code, x in (("Conv2D(2, 2)", IMAGES), ("Conv2DTranspose(2, 2)", IMAGES), ("LSTM(2)", QUERY)):
            assert real(code, generation)(tf.constant(x)).dtype == tf.float64
            layer(code, x, generation=generation, bound=1e-12)
