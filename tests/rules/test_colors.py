"""Layers that change colors and places at random: exact for the same draw, alike where nothing fixes it."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import torch
from harness import compare, read, real, relative, translate
from test_augmentation import both

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS2, KERAS3
from transpiler.ir.shape import TensorType

WIDE, NARROW = (0, 255), (-1, 1)
CERTAIN = [
    ("Equalization()", WIDE),
    ("Equalization((-1, 1), bins=16)", NARROW),
    ("RandomGrayscale(1.0)", WIDE),
    ("RandomInvert((1.0, 1.0))", WIDE),
    ("RandomInvert((1.0, 1.0), value_range=(-1, 1))", NARROW),
    ("RandomPosterization((3, 3))", WIDE),
    ("RandomPosterization((5, 6), value_range=(-1, 1))", NARROW),
    ("Solarization()", WIDE),
    ("Solarization(value_range=(-1, 1))", NARROW),
    ("RandomSaturation((0.7, 0.7))", WIDE),
    ("RandomSaturation((0.3, 0.3), value_range=(-1, 1))", NARROW),
    ("RandomColorDegeneration((0.3, 0.3))", WIDE),
    ("RandomColorDegeneration((-0.6, -0.6), value_range=(-1, 1))", NARROW),
    ("RandomSharpness((0.1, 0.1))", WIDE),
    ("RandomSharpness((0.9, 0.9), value_range=(-1, 1))", NARROW),
    ("RandomGaussianBlur((1.0, 1.0), kernel_size=5, sigma=(0.7, 0.7))", WIDE),
    ("RandomColorJitter((0, 255), (0.1, 0.1), 0.0, (0.6, 0.6))", WIDE),
    ("RandomShear((0.0, 0.0), (0.0, 0.0))", WIDE),
    ("RandomErasing((0.0, 0.0))", WIDE),
    ("RandomErasing((1.0, 1.0), scale=(1.0, 1.0), fill_value=[1.0, 2.0, 300.0])", WIDE),
    ("RandomPerspective((1.0, 1.0), scale=0.0)", WIDE),
]
EITHER_WAY = [
    ("RandomHue((0.4, 0.4))", WIDE),
    ("RandomHue((0.9, 0.9), value_range=(-1, 1))", NARROW),
    ("RandomColorJitter((0, 255), hue_factor=(0.3, 0.3))", WIDE),
    ("RandomShear((0.3, 0.3), (0.1, 0.1))", WIDE),
    ("RandomShear((0.2, 0.2), fill_mode='constant', fill_value=2.0)", WIDE),
]
SHARES = [
    "RandomGrayscale(0.3)",
    "RandomInvert()",
    "RandomInvert((0.1, 0.4))",
    "RandomGaussianBlur((0.2, 0.6), sigma=(0.6, 1.0))",
    "RandomErasing(0.8, scale=(0.5, 0.6))",
    "RandomPerspective(0.5)",
]
NUMBERS = [
    "RandomSaturation(0.3)",
    "RandomHue(0.3)",
    "RandomColorDegeneration(0.3)",
    "RandomSharpness(0.3)",
]


def pictures(values: tuple[int, int], n: int = 3, same: bool = False) -> np.ndarray:
    low, high = values
    x = np.random.default_rng(5).uniform(low, high, (1 if same else n, 7, 9, 3)).astype("float32")
    x[0, 0] = x[0, 0, :, :1]  # some pixels without color
    return np.repeat(x, n, axis=0) if same else x


@pytest.mark.parametrize(("code", "values"), CERTAIN)
def test_a_certain_draw_is_keras_s(code: str, values: tuple[int, int]):
    want, have = both(code, KERAS3, pictures(values), True)
    assert relative(want, have) <= 2e-5


@pytest.mark.parametrize(("code", "values"), EITHER_WAY)
def test_both_ways_are_those_of_keras(code: str, values: tuple[int, int]):
    want, have = both(code, KERAS3, pictures(values, 300, same=True), True)
    ways = [np.unique(y.round(3 if values == NARROW else 1), axis=0, return_counts=True) for y in (want, have)]
    kinds = [have[0], next(y for y in have if relative(have[0], y) > 1e-3)]
    for y in (want, have):
        near = np.array([[relative(kind, image) <= 2e-5 for kind in kinds] for image in y])
        assert near.any(axis=1).all(), ways
        assert abs(near[:, 0].mean() - 0.5) < 0.15


@pytest.mark.parametrize("code", SHARES)
def test_as_many_images_are_changed(code: str):
    x = pictures(WIDE, 800, same=True)
    want, have = ((y != x).any(axis=(1, 2, 3)).mean() for y in both(code, KERAS3, x, True))
    assert 0 < have < 1
    assert abs(want - have) < 0.08


@pytest.mark.parametrize("code", NUMBERS)
def test_a_number_is_keras_s_range(code: str):
    module = translate(read(code, KERAS3), [TensorType((None, 7, 9, 3))]).modules[0]
    assert module.factors == pytest.approx(tuple(real(code, KERAS3).factor))


@pytest.mark.parametrize("code", [*NUMBERS, "RandomPosterization(5)", "Solarization(0.3, 0.6)"])
def test_the_mean_of_many_draws_is_keras_s(code: str):
    x = pictures(WIDE, 2000, same=True)
    want, have = both(code, KERAS3, x, True)
    assert np.abs(want.mean(axis=0) - have.mean(axis=0)).max() < 12
    assert np.abs(want.std(axis=0) - have.std(axis=0)).max() < 12


def test_solarization_of_certain_numbers_is_keras_s():
    code, x = "Solarization(value_range=(-1, 1))", pictures(NARROW)
    live = real(code, KERAS3)
    live.addition_factor, live.threshold_factor = (40.0, 40 / 255), (90.0, 90 / 255)
    module = translate(read(code, KERAS3), [TensorType((None, 7, 9, 3))]).modules[0]
    module.added, module.thresholds = (40.0, 40.0), (90.0, 90.0)
    have = module(torch.from_numpy(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    assert relative(live(tf.constant(x), training=True).numpy(), have.numpy()) <= 1e-5
    assert translate(read("Solarization(0.1, (0.2, 0.4))", KERAS3), [TensorType((None, 7, 9, 3))]).modules[0].added == (
        0,
        25.5,
    )


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_a_perspective_is_keras_s_for_the_same_corners(interpolation: str, monkeypatch: pytest.MonkeyPatch):
    code = f"RandomPerspective((1.0, 1.0), scale=0.4, fill_value=3.0, interpolation={interpolation!r}, dtype='float32')"
    x = pictures(WIDE)
    live = real(code, KERAS3)
    draw = live.get_random_transformation(tf.constant(x))
    want = live.transform_images(tf.constant(x), draw).numpy()
    start, end = (np.array(draw[k]) for k in ("start_points", "end_points"))
    shares = np.divide(end - start, start, out=np.zeros_like(start), where=start != 0)
    module = translate(read(code, KERAS3), [TensorType((None, 7, 9, 3))]).modules[0]
    monkeypatch.setattr(torch.Tensor, "uniform_", lambda self, low, high: self.copy_(torch.from_numpy(shares)))
    have = module(torch.from_numpy(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    assert relative(want, have.numpy()) <= 1e-4
    assert relative(x, have.numpy()) > 0.1


def test_what_is_erased_is_alike():
    x = np.ones((4000, 7, 9, 1), "float32")
    want, have = both("RandomErasing((1.0, 1.0), scale=(0.1, 0.4), fill_value=0.0)", KERAS3, x, True)
    assert np.abs(want.mean(axis=0) - have.mean(axis=0)).max() < 0.05
    assert abs(want.mean(axis=(1, 2, 3)).std() - have.mean(axis=(1, 2, 3)).std()) < 0.01
    want, have = both("RandomErasing((1.0, 1.0), scale=(1.0, 1.0), value_range=(-2, 3))", KERAS3, x, True)
    for measure in (np.mean, np.std, np.min, np.max):
        assert abs(measure(want) - measure(have)) < 0.05


def test_crops_are_those_of_keras():
    x = np.arange(42, dtype="float32").reshape(1, 6, 7, 1)
    for layer in (real("RandomCrop(4, 6)", KERAS3), None):
        translation = translate(read("RandomCrop(4, 6)", KERAS3), [TensorType((None, 6, 7, 1))])
        translation.train(True)
        draws = [
            layer(tf.constant(x), training=True).numpy() if layer else translation(torch.from_numpy(x))[0].numpy()
            for _ in range(240)
        ]
        assert {y.shape for y in draws} == {(1, 4, 6, 1)}
        found, counts = np.unique([y[0, 0, 0, 0] for y in draws], return_counts=True)
        assert found.tolist() == [0, 1, 7, 8, 14, 15]
        assert counts.min() > 20
        assert all(
            np.array_equal(y, x[:, int(k) // 7 :, int(k) % 7 :][:, :4, :6]) for y in draws[:20] for k in [y.flat[0]]
        )


@pytest.mark.parametrize("code", [c for c, _ in [*CERTAIN, *EITHER_WAY]] + ["RandomCrop(4, 6)"])
def test_nothing_happens_at_inference(code: str):
    want, have = both(code, KERAS3, pictures(WIDE), False)
    assert np.array_equal(want, have)


def test_contrast_of_a_flat_channel():
    x = np.full((2, 4, 5, 2), 7.0, "float32")
    x[1, 2, 3] = 9
    want, have = both("AutoContrast()", KERAS3, x, True)
    assert np.array_equal(want, have)


@pytest.mark.parametrize(
    ("options", "values"),
    [
        ("", WIDE),
        ("clip_limit=0.0, tile_grid_size=(2, 3)", WIDE),
        ("value_range=(-1, 1), clip_limit=1.5, tile_grid_size=(3, 2)", NARROW),
        ("tile_grid_size=(1, 1)", WIDE),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_contrast_by_tiles_is_keras_s(options: str, values: tuple[int, int], training: bool):
    x = np.random.default_rng(5).uniform(*values, (2, 16, 17, 3)).astype("float32")
    x[0] = x[0] / 8  # little contrast
    x[1, :8, :8] = values[1]
    want, have = both(f"ContrastLimitedAdaptiveHistogramEqualization({options})", KERAS3, x, training)
    assert relative(want, have) <= 1e-5
    assert relative(x, have) > 0.05


def test_contrast_is_the_same_in_training():
    compare("AutoContrast((-1, 3))", (2, 4, 5, 3), training=True)


@pytest.mark.parametrize(
    ("code", "generation", "kind"),
    [
        ("RandomGrayscale()", KERAS3, TensorType((None, 4, 5, 1))),
        ("RandomHue(0.1)", KERAS3, TensorType((None, 4, 5, None))),
        ("RandomHue(0.1)", KERAS3, TensorType((None, 4, 5, 3), "uint8")),
        ("AutoContrast(data_format='channels_first')", KERAS3, TensorType((None, 3, 4, 5))),
        ("RandomColorJitter(data_format='channels_first')", KERAS3, TensorType((None, 3, 4, 5))),
        ("RandomPosterization(2.5)", KERAS3, TensorType((None, 4, 5, 3))),
        ("RandomInvert((-0.2, 0.5))", KERAS3, TensorType((None, 4, 5, 3))),
        ("RandomGaussianBlur(kernel_size=(3, 5))", KERAS3, TensorType((None, 4, 5, 3))),
        ("RandomSaturation(0.1, value_range=(1, 2))", KERAS3, TensorType((None, 4, 5, 3))),
        ("RandomShear(0.1, fill_mode='wrap')", KERAS3, TensorType((None, 4, 5, 3))),
        ("RandomCrop(4, 3)", KERAS3, TensorType((None, 4, 5, 3))),
        ("RandomCrop(2, 3)", KERAS3, TensorType((None, None, 5, 3))),
        ("RandomCrop(2, 3)", KERAS2, TensorType((None, 4, 5, 3))),
    ],
)
def test_what_is_not_exact_is_declined(code: str, generation: str, kind: TensorType):
    with pytest.raises(Declined):
        translate(read(code, generation), [kind])
