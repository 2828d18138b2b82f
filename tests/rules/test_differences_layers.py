"""Where layers of Keras and PyTorch differ, one test for each difference: convolutions to masks.

Numbers go on in test_differences_values.py, and in tests/training for what a training does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from harness import GENERATIONS, KERAS2, KERAS3, ROUNDED, compare, find, randomise, read, real, relative, tf, translate
from programs import agree, both, close, layer

from transpiler.diagnostics import Declined
from transpiler.ir.shape import TensorType

RNG = np.random.default_rng(11)
STEPS = RNG.normal(size=(3, 5, 2))
HOLES = np.array([[1, 0, 1, 1, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]], bool)
"""Steps that count: with gaps, padded on both sides, none at all."""
MASKED = np.where(HOLES[..., None], STEPS, 9.0)
"""The same for a `Masking(9.0)`."""


def declined(code: str, *shape: int, generation: str = KERAS3) -> None:
    with pytest.raises(Declined):
        translate(read(code, generation), [TensorType((None, *shape))])


def test_01_a_mode_given_in_a_functional_model(tmp_path: Path):
    """Keras 3: the mode of the model overrides `training=` at a layer's call; legacy Keras: that of the call stays."""
    x = np.ones((3, 40))
    for generation in GENERATIONS:
        body = "x = Input((40,))\nreturn Model(x, Dropout(0.5)(x, training=True))"
        model, module = both(body, generation, tmp_path)
        drops = bool((module(torch.from_numpy(x)) == 0).any())
        assert drops == (np.asarray(model(x, training=False)) == 0).any() == (generation == KERAS2)
        body = "x = Input((40,))\nreturn Model(x, BatchNormalization()(x, training=False))"
        agree(body, generation, tmp_path, RNG.normal(size=(3, 40)), training=True)


def test_02_same_padding_of_a_convolution_with_strides():
    """Keras pads what the last window needs, the smaller half before; with strides that depends on the size."""
    for generation in GENERATIONS:
        compare("Conv2D(2, 3, strides=2, padding='same')", (2, 8, 9, 3), generation=generation)
        compare("Conv2D(2, 2, padding='same')", (2, 8, 9, 3), generation=generation)
        compare("Conv1D(2, 5, strides=3, padding='same')", (2, 7, 3), generation=generation)
        declined("Conv2D(2, 3, strides=2, dilation_rate=2)", 9, 9, 3, generation=generation)
    for size in (7, 8):
        open_sizes = [TensorType((None, None, None, 3))]
        compare("Conv2D(2, 3, strides=2, padding='same')", (2, size, size, 3), types=open_sizes)


def test_03_same_padding_of_a_maximum():
    """What is padded never is the maximum, and stands on both sides."""
    for generation in GENERATIONS:
        for code, size in (("3, strides=3", 7), ("2, strides=2", 5), ("3, strides=2", 6), ("4, strides=3", 6)):
            x = -1 - RNG.random((2, size, size, 2))
            (y,) = layer(f"MaxPooling2D({code}, padding='same')", x, generation=generation)
            assert y.max() < 0


def test_04_same_padding_of_an_average():
    """An average counts the cells that are there."""
    for generation in GENERATIONS:
        for code, size in (("3, strides=2", 6), ("2, strides=2", 5), ("3, strides=1", 5), ("4, strides=3", 6)):
            (y,) = layer(
                f"AveragePooling2D({code}, padding='same')", np.ones((2, size, size, 2)), generation=generation
            )
            assert np.allclose(y, 1)
            compare(f"AveragePooling2D({code}, padding='same')", (2, size, size, 2), generation=generation)


def test_05_transposed_convolution():
    """What is cut off, or filled up with the bias, is on the right, so that sizes are those that Keras says."""
    for generation in GENERATIONS:
        for options in (
            "3, strides=2, padding='same'",
            "5, strides=2, padding='same'",
            "4, strides=2, padding='same'",
            "2, strides=3",
            "2, strides=3, padding='same'",
            "3, strides=2, output_padding=1",
            "3, strides=3, padding='same', output_padding=1",
        ):
            compare(f"Conv2DTranspose(2, {options})", (2, 4, 5, 3), generation=generation)


def test_06_layouts_of_kernels():
    """Kernels are (height, width, in, out); transposed ones have out before in, depthwise ones the multiplier last."""
    for generation in GENERATIONS:
        for code in (
            "Conv2D(4, (2, 3))",
            "Conv2D(4, (2, 3), groups=2)",
            "Conv2DTranspose(3, (2, 3))",
            "DepthwiseConv2D((2, 3), depth_multiplier=3)",
            "SeparableConv2D(3, (2, 3), depth_multiplier=2)",
        ):
            compare(code, (2, 5, 6, 4), generation=generation)


def test_07_causal_convolution():
    """All padding is on the left; only Conv1D has it, and SeparableConv1D of legacy Keras."""
    for generation in GENERATIONS:
        compare("Conv1D(2, 3, padding='causal', dilation_rate=2)", (2, 7, 3), generation=generation)
        compare("Conv1D(2, 3, padding='causal', strides=2)", (2, 7, 3), generation=generation)
    for code in ("DepthwiseConv1D(3, padding='causal')", "SeparableConv1D(2, 3, padding='causal')"):
        with pytest.raises(ValueError):
            real(code, KERAS3)(np.ones((2, 7, 3)))
        declined(code, 7, 3)
    compare("SeparableConv1D(2, 3, padding='causal', dilation_rate=2)", (2, 7, 3), generation=KERAS2)


def test_08_axes_are_those_of_channels_last(tmp_path: Path):
    """Values are flattened with the channels last, and the last axis is that of the channels."""
    body = """
x = Input((6, 4, 3))
y = MaxPooling2D()(x)
return Model(x, [Flatten()(y), Softmax()(y), Concatenate()([y, y]), Concatenate(axis=1)([y, y]), y[..., 1], y[:, -1]])
"""
    for generation in GENERATIONS:
        agree(body, generation, tmp_path, RNG.normal(size=(2, 6, 4, 3)))
        body_of_weights = "x = Input((4, 4, 2))\ny = Flatten()(Conv2D(3, 1, kernel_initializer='ones')(x))\n"
        kernel = "kernel_initializer=keras.initializers.Constant([[float(k)] for k in range(48)])"
        body_of_weights += f"return Model(x, Dense(1, {kernel})(UpSampling2D()(y[:, None, None])[:, 0, 0]))"
        agree(body_of_weights, generation, tmp_path, RNG.normal(size=(2, 4, 4, 2)))


def test_09_moving_statistics():
    """Keras counts momentum the other way round, and averages the biased variance; legacy Keras's fused kernel does not."""
    for generation in GENERATIONS:
        for shape in ((2, 2, 2, 3), (8, 3)):
            code, x = "BatchNormalization(momentum=0.75, dtype='float32')", RNG.normal(size=shape).astype("float32")
            live, layer_of = real(code, generation), read(code, generation)
            live(x, training=True)
            found = translate(layer_of, [TensorType((None, *shape[1:]))])
            (module,) = found.modules
            found.train(True)
            module.float()(torch.from_numpy(np.moveaxis(x, -1, 1)))
            assert np.allclose(find(live, "moving_mean").numpy(), module.running_mean.numpy(), atol=1e-6)
            variance, n = find(live, "moving_variance").numpy(), x[..., 0].size
            fused = generation == KERAS2 and len(shape) == 4
            share = 1 if fused else (n - 1) / n
            assert np.allclose(variance, 0.75 + (module.running_var.numpy() - 0.75) * share, atol=1e-6)
            assert module.eps == 1e-3


def test_10_modes_of_batch_normalization():
    """A layer that is not trainable is in inference mode; masked steps do not count; one sample gives 0, torch raises."""
    for generation in GENERATIONS:
        compare("BatchNormalization(trainable=False)", (4, 5, 3), generation=generation, training=True)
        compare("BatchNormalization()", (4, 5, 3), generation=generation, training=True, masks=(0,))
        found = compare("BatchNormalization(axis=1)", (4, 3, 5, 2), generation=generation, training=True)
        assert [s.module for s in found.lowering.steps] == ["nn.BatchNorm2d(3, eps=1e-3, momentum=0.01)"]
    one, live = np.ones((1, 3)) * 5, real("BatchNormalization()", KERAS3)
    assert not np.asarray(live(one, training=True)).any()
    found = translate(read("BatchNormalization()", KERAS3), [TensorType((None, 3))])
    found.train(True)
    with pytest.raises(ValueError):
        found(torch.from_numpy(one))


def test_11_batch_renormalization():
    """`renorm` is another computation, with weights of its own in legacy Keras: it is not taken for the plain one."""
    for generation in GENERATIONS:
        declined("BatchNormalization(renorm=True)", 4, 5, 3, generation=generation)
    names = [w.name for w in real("BatchNormalization(renorm=True)", KERAS2).weights]
    live = real("BatchNormalization(renorm=True)", KERAS2)
    live.build((None, 3))
    assert names == [] and {"moving_stddev:0", "renorm_mean:0", "renorm_stddev:0"} <= {w.name for w in live.weights}


def test_12_layer_normalization():
    """epsilon is 1e-3; axes may be any; weights over several axes are in the order of the axes in legacy Keras alone."""
    small = 1e-2 * RNG.normal(size=(2, 3, 4, 5))
    for generation in GENERATIONS:
        for code in ("", "axis=1", "axis=[1, 3]", "axis=[-1, -2]"):
            layer(f"LayerNormalization({code})", small, generation=generation)
        live = real("LayerNormalization(axis=[-1, -2])", generation)
        live.build((2, 3, 4))
        assert tuple(live.gamma.shape) == ((4, 3) if generation == KERAS2 else (3, 4))
    declined("LayerNormalization(rms_scaling=True)", 3, 4)  # which divides by the deviation, not the root mean square


def test_13_other_normalizations():
    """Epsilons are Keras's: 1e-6 for RMS, 1e-3 for groups; 32 groups, or -1 for each channel; a unit has its own floor."""
    small = 1e-4 * RNG.normal(size=(2, 3, 64))
    layer("RMSNormalization()", small)
    for code in ("", "-1", "8"):
        layer(f"GroupNormalization({code})", small)
    for generation in GENERATIONS:
        (y,) = layer("UnitNormalization()", np.full((2, 2), 1e-7), generation=generation)
        assert np.allclose(y, 0.1 if generation == KERAS2 else 0.5**0.5, atol=2e-2)


def test_14_spectral_normalization():
    """Every training call divides the stored kernel itself; inference takes it as it is then."""
    code, x = "SpectralNormalization(Dense(3))", RNG.normal(size=(4, 5))
    for generation in GENERATIONS:
        live, found = real(code, generation), translate(read(code, generation), [TensorType((None, 5))])
        live(tf.constant(x))
        randomise(live, RNG)
        before = live.layer.kernel.numpy()
        found.load(live)
        for training in (True, True, False):
            found.train(training)
            (y,) = found(torch.from_numpy(x))
            close([live(tf.constant(x), training=training).numpy()], [y.detach().numpy()], ROUNDED)
        assert np.abs(live.layer.kernel.numpy() - before).max() > 0.01


def test_15_lstm():
    """Gates are in torch's order; other activations than tanh and sigmoid need cells; None is linear; states h, c."""
    for generation in GENERATIONS:
        for options in ("", "activation='relu'", "activation=None", "recurrent_activation='hard_sigmoid'"):
            code = f"LSTM(3, return_state=True{options and ', '}{options})"
            compare(code, (2, 5, 4), generation=generation)


def test_16_gru():
    """Gates are z, r, h where torch has r, z, n; the bias has two rows."""
    for generation in GENERATIONS:
        found = compare("GRU(3, return_sequences=True)", (2, 5, 4), generation=generation)
        assert "nn.GRU" in found.lowering.steps[0].module


def test_17_gru_that_resets_before():
    """Where the state is reset before it is multiplied, torch's own layer computes something else."""
    for generation in GENERATIONS:
        found = compare("GRU(3, reset_after=False)", (2, 5, 4), generation=generation)
        assert "nn.GRU" not in found.lowering.steps[0].module


def test_18_backwards_and_stateful(tmp_path: Path):
    """Results of `go_backwards` are not turned round; a stateful layer goes on where it was, until it is reset."""
    for generation in GENERATIONS:
        for kind in ("LSTM", "GRU", "SimpleRNN"):
            compare(f"{kind}(3, go_backwards=True, return_sequences=True)", (2, 5, 4), generation=generation)
        body = "x = Input(batch_shape=(2, 5, 2))\nplain = dict(kernel_initializer='ones', recurrent_initializer='identity')\n"
        body += "return Model(x, SimpleRNN(3, stateful=True, **plain)(x))"
        model, module = both(body, generation, tmp_path)
        x = 0.1 * STEPS[:2]
        first, second = (np.asarray(model(x)) for _ in range(2))
        close([first, second], [module(torch.from_numpy(x)).detach().numpy() for _ in range(2)])
        assert np.abs(first - second).max() > 1e-3


def test_19_both_directions():
    """The backward half of a sequence is turned round; without sequences it is its own last step, the first in time."""
    for generation in GENERATIONS:
        for merge in ("'concat'", "'sum'", "'mul'", "'ave'", "None"):
            for options in ("", ", return_sequences=True"):
                code = f"Bidirectional(LSTM(3{options}), merge_mode={merge})"
                compare(code, (2, 5, 4), generation=generation)
        compare("Bidirectional(LSTM(3, return_state=True))", (2, 5, 4), generation=generation)


def test_20_masked_steps_of_recurrent_layers():
    """A step that does not count keeps the state and repeats the output, or gives 0; gaps and empty samples are fine."""
    for generation in GENERATIONS:
        for code in (
            "LSTM(3, return_sequences=True, return_state=True)",
            "GRU(3, return_sequences=True, zero_output_for_mask=True)",
            "SimpleRNN(3)",
            "Bidirectional(LSTM(3, return_sequences=True))",
            "Bidirectional(GRU(3))",
        ):
            first = layer(code, STEPS, generation=generation, masks={0: HOLES})[0]
            assert not first[2].any()
            if code.startswith("LSTM"):
                assert np.array_equal(first[0, 1], first[0, 0])
            elif "sequences" in code:
                assert not first[0, 1].any()


def test_21_dropout_of_recurrent_layers(tmp_path: Path):
    """All steps drop the same inputs; torch's own argument would drop between layers."""
    body = "x = Input((5, 8))\nplain = dict(kernel_initializer='identity', recurrent_initializer='zeros')\n"
    body += "return Model(x, SimpleRNN(8, activation='linear', dropout=0.5, return_sequences=True, **plain)(x))"
    for generation in GENERATIONS:
        model, module = both(body, generation, tmp_path)
        for y in (
            np.asarray(model(np.ones((9, 5, 8)), training=True)),
            module.train()(torch.ones(9, 5, 8)).detach().numpy(),
        ):
            assert np.array_equal(y, np.broadcast_to(y[:, :1], y.shape)) and set(np.unique(y)) == {0, 2}


KEEPS = (
    "Dense(2, kernel_initializer='ones')",
    "Dropout(0.5)",
    "GaussianNoise(1.0)",
    "Activation('tanh')",
    "LayerNormalization()",
    "BatchNormalization()",
    "LSTM(2, return_sequences=True, **ones)",
    "TimeDistributed(Dense(2, kernel_initializer='ones'))",
    "Bidirectional(SimpleRNN(1, return_sequences=True, **ones))",
)
DROPS = (
    "Conv1D(2, 1, kernel_initializer='ones')",
    "MaxPooling1D(1)",
    "Reshape((5, 2))",
    "UpSampling1D(1)",
    "ZeroPadding1D(1)",
    "Cropping1D((1, 0))",
    "Lambda(lambda v: v * 2.0)",
)


def test_22_layers_that_keep_and_drop_masks(tmp_path: Path):
    """Layers that compute step by step hand a mask on, those that move or mix steps drop it; so do functions."""
    ones = "ones = dict(kernel_initializer='ones', recurrent_initializer='zeros')"
    for generation in GENERATIONS:
        ends = [f"GlobalAveragePooling1D()({code}(x))" for code in (*KEEPS, *DROPS)]
        ends += ["GlobalAveragePooling1D()(x * 3.0)", "GlobalAveragePooling1D()(Add()([x, ReLU()(x)]))"]
        body = f"{ones}\ni = Input((5, 2))\nx = Masking(9.0)(i)\nreturn Model(i, [{', '.join(ends)}])"
        outputs = agree(body, generation, tmp_path, MASKED)
        # Of a sample without a step there is no mean.
        nan = [bool(np.isnan(y[2]).any()) for y in outputs]
        assert nan == [True] * len(KEEPS) + [False] * len(DROPS) + [False, True]


def test_23_masks_of_merges(tmp_path: Path):
    """Keras 3 joins masks by or, and an input without one ends it; legacy Keras joins those there are by and."""
    found = {}
    for generation in GENERATIONS:
        body = "a, b, p = Input((5, 2)), Input((5, 2)), Input((5, 2))\nx, y = Masking(9.0)(a), Masking(9.0)(b)\n"
        kinds = ("Add()", "Average()", "Concatenate()")
        ends = [f"GlobalAveragePooling1D()({kind}([x, {other}]))" for kind in kinds for other in "yp"]
        body += f"return Model([a, b, p], [{', '.join(ends)}])"
        other = np.where(HOLES[::-1, ::-1, None], STEPS, 9.0)
        found[generation] = agree(body, generation, tmp_path, MASKED, other, STEPS)
    empty = {g: [bool(np.isnan(y[2]).any()) for y in ys] for g, ys in found.items()}
    assert empty[KERAS3] == [False, False] * 3 and empty[KERAS2] == [True, True] * 3


def test_24_what_reads_masks(tmp_path: Path):
    """An average leaves masked steps out (none: NaN), a maximum does not; row 0 of a table with a mask is no zero row."""
    for generation in GENERATIONS:
        (mean,) = layer("GlobalAveragePooling1D()", STEPS, generation=generation, masks={0: HOLES})
        assert np.isnan(mean[2]).all() and relative(STEPS[0, HOLES[0]].mean(axis=0), mean[0]) < 1e-9
        layer("Masking(9.0)", MASKED, generation=generation)
        body = "i = Input((4,), dtype='int64')\nx = Embedding(3, 2, mask_zero=True, embeddings_initializer='ones')(i)\n"
        body += (
            "return Model(i, [x, GlobalAveragePooling1D()(x), GlobalMaxPooling1D()(x * 1.0), GlobalMaxPooling1D()(x)])"
        )
        table, *_ = agree(body, generation, tmp_path, np.array([[1, 2, 0, 0], [0, 1, 0, 2]]))
        assert (table == 1).all()
