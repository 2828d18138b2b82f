"""Layers that are random in training: nothing at inference, and in training what Keras does for the same draw."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import torch
from harness import GENERATIONS, read, real, relative, translate

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS2, KERAS3
from transpiler.ir.shape import TensorType

CERTAIN = [
    "RandomRotation((0.1, 0.1))",
    "RandomRotation((-0.3, -0.3), fill_mode='nearest')",
    "RandomRotation((0.2, 0.2), fill_mode='constant', fill_value=3.0)",
    "RandomRotation((0.07, 0.07), interpolation='nearest', fill_mode='constant')",
    "RandomZoom((0.3, 0.3))",
    "RandomZoom((-0.4, -0.4), (0.2, 0.2), fill_mode='constant')",
    "RandomTranslation((0.3, 0.3), (-0.21, -0.21))",
    "RandomTranslation((-0.6, -0.6), (0.7, 0.7), fill_mode='nearest')",
]
"""Ranges of one number: nothing is left to chance."""
TONES = [
    "RandomBrightness((0.2, 0.2), value_range=(-1, 1))",
    "RandomBrightness((-0.3, -0.3), value_range=(0, 1))",
]


def both(code: str, generation: str, x: np.ndarray, training: bool) -> tuple[np.ndarray, np.ndarray]:
    """What Keras and the translation make of `x`, in float32 as floatx: RandomRotation of Keras has no other."""
    x = x.astype("float32")
    for library in (keras, tf_keras):
        library.backend.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    translation = translate(read(code, generation), [TensorType((None, *x.shape[1:]))])
    translation.train(training)
    (have,) = translation(torch.from_numpy(x))
    return real(code, generation)(tf.constant(x), training=training).numpy(), have.numpy()


def images(n: int = 3) -> np.ndarray:
    return np.random.default_rng(5).normal(0, 1, (n, 7, 9, 2))


@pytest.mark.parametrize(
    ("code", "generation"), [*((c, g) for c in CERTAIN for g in GENERATIONS), *((c, KERAS3) for c in TONES)]
)
def test_a_certain_draw_is_keras_s(code: str, generation: str):
    want, have = both(code, generation, images(), True)
    assert relative(want, have) <= 1e-5  # TensorFlow computes the places in float32
    assert relative(images(), have) > 0.1


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("mode", ["horizontal", "vertical", "horizontal_and_vertical"])
def test_flips_are_those_of_keras(mode: str, generation: str):
    x = images(400).astype("float32")
    kinds = [x, x[:, :, ::-1], x[:, ::-1], x[:, ::-1, ::-1]]
    want, have = (
        [float(np.mean([np.array_equal(a, b) for a, b in zip(y, kind)])) for kind in kinds]
        for y in both(f"RandomFlip({mode!r})", generation, x, True)
    )
    assert np.isclose(sum(have), 1)
    assert np.allclose(want, have, atol=0.15), (want, have)


def test_contrast_of_a_certain_factor_is_keras_s():
    code, x = "RandomContrast(0.4, value_range=(-2, 2))", images()
    live = real(code, KERAS3)
    live.factor = (-0.4, 0.4)  # uniform(1 - -0.4, 1 + 0.4)
    module = translate(read(code, KERAS3), [TensorType((None, *x.shape[1:]))]).modules[0]
    module.factors = (1.4, 1.4)
    have = module(torch.from_numpy(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    assert (
        relative(live(tf.constant(x), training=True).numpy(), have.numpy()) <= 1e-6
    )  # Keras draws the factor in float32


def test_a_number_is_keras_s_range():
    for code, attribute in (("RandomContrast(0.3)", "factors"), ("RandomRotation(0.3)", "turns")):
        live = real(code, KERAS3)
        translation = translate(read(code, KERAS3), [TensorType((None, 7, 9, 2))])
        low, high = live.factor
        expected = (1 - low, 1 + high) if attribute == "factors" else (low, high)
        assert getattr(translation.modules[0], attribute) == pytest.approx(expected)


@pytest.mark.parametrize("code", [*CERTAIN, *TONES, "RandomFlip()", "RandomContrast(0.3)"])
def test_nothing_happens_at_inference(code: str):
    want, have = both(code, KERAS3, images(), False)
    assert np.array_equal(want, have)


@pytest.mark.parametrize(
    ("code", "generation", "kind"),
    [
        ("RandomRotation(0.1, fill_mode='wrap')", KERAS3, TensorType((None, 4, 5, 3))),
        ("RandomContrast(0.1)", KERAS2, TensorType((None, 4, 5, 3))),
        ("RandomBrightness(0.1)", KERAS3, TensorType((None, 4, 5, 3), "uint8")),
        ("RandomFlip()", KERAS3, TensorType((None, 5, 3))),
    ],
)
def test_what_is_not_exact_is_declined(code: str, generation: str, kind: TensorType):
    with pytest.raises(Declined):
        translate(read(code, generation), [kind])
