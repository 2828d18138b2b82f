"""Functions on tensors where they are delicate: infinities, NaN, zeros, ties, integers, several results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import torch
from test_ops import HEAD, SCOPE, compare, program

from transpiler.ir.model import KERAS3
from transpiler.pipeline import convert_file
from transpiler.rules.ops.base import Example

INF, NAN = np.inf, np.nan
SPECIAL = np.array([[0.0, -0.0, 1.5, -1.5], [INF, -INF, NAN, 2.5], [NAN, NAN, NAN, NAN], [INF, -INF, -2.5, 0.5]])
OTHER = np.array([[0.0, 1.0, -0.0, NAN], [INF, -INF, 1.0, NAN], [1.0, INF, NAN, 0.0], [-INF, -INF, 0.5, -0.5]])
WHOLE = np.array([[0, -3, 7, 2], [5, 5, -8, 1]])

UNARY = (
    "angle",
    "arcsinh",
    "cbrt",
    "deg2rad",
    "erfc",
    "exp2",
    "i0",
    "isneginf",
    "isposinf",
    "isreal",
    "signbit",
    "sinc",
)
PAIRS = ("arctan2", "fmax", "fmin", "heaviside", "logaddexp", "logaddexp2", "isclose")
NAN_OPS = ("nansum", "nanmean", "nanmax", "nanmin", "nanprod", "nanvar", "nanstd", "nanargmax", "nanargmin")

CASES: list[tuple[str, dict[str, np.ndarray]]] = [
    *((f"ops.{leaf}(x)", {"x": SPECIAL}) for leaf in (*UNARY, "trunc", "real")),
    *((f"ops.{leaf}(x, y)", {"x": SPECIAL, "y": OTHER}) for leaf in PAIRS),
    *((f"ops.{leaf}(i)", {"i": WHOLE}) for leaf in ("isneginf", "signbit", "angle", "trunc", "bitwise_not", "arcsinh")),
    ("ops.isclose(x, y, equal_nan=True)", {"x": SPECIAL, "y": OTHER}),
    ("ops.allclose(x, x)", {"x": SPECIAL[:1]}),
    ("ops.allclose(x, x)", {"x": SPECIAL}),
    ("ops.allclose(x, x, equal_nan=True)", {"x": SPECIAL}),
    ("ops.fmod(x, y)", {"x": np.array([5.5, -5.5, 5.5, -5.5, 0.0]), "y": np.array([2.0, 2.0, -2.0, INF, 3.0])}),
    ("ops.fmod(i, 3)", {"i": WHOLE}),
    ("ops.ldexp(x, i)", {"x": np.array([0.0, INF, 1.0, -1.5]), "i": np.array([5000, -5000, -1, 3])}),
    ("ops.isin(x, y)", {"x": SPECIAL, "y": OTHER[0]}),
    ("ops.gcd(i, j)", {"i": WHOLE, "j": WHOLE[::-1]}),
    ("ops.lcm(i, j)", {"i": WHOLE, "j": WHOLE[::-1]}),
    ("ops.right_shift(i, 70)", {"i": WHOLE}),
    ("ops.cast(ops.bitwise_or(i, j) * 4, 'uint8')", {"i": WHOLE[:1] + 200, "j": np.array([[1, 2, 3, 4]], "uint8")}),
    ("ops.bitwise_or(i, j)", {"i": np.array([[1, 200]], "uint8"), "j": np.array([[-1, 3]], "int8")}),
    *((f"ops.{leaf}(x, axis=1)", {"x": SPECIAL}) for leaf in NAN_OPS),
    *((f"ops.{leaf}(x, axis=-1, keepdims=True)", {"x": OTHER[1:]}) for leaf in NAN_OPS),
    ("ops.nancumsum(x, axis=1)", {"x": SPECIAL}),
    ("ops.nancumprod(x)", {"x": OTHER}),
    ("ops.nanmedian(x, axis=1)", {"x": np.where(np.isinf(SPECIAL), 1.0, SPECIAL)}),
    ("ops.median(x, axis=0)", {"x": np.where(np.isinf(OTHER), 1.0, OTHER)}),
    ("ops.quantile(x, [0.0, 0.3, 1.0], axis=1)", {"x": np.where(np.isinf(OTHER), 1.0, OTHER)}),
    ("ops.bincount(i, minlength=3)", {"i": np.array([0, 1, 1, 6])}),
    ("ops.histogram(x, bins=4)", {"x": np.array([0.0, 1.0, 2.0, 3.0, 4.0, 4.0])}),
    ("ops.histogram(x, bins=3, range=(1.0, 4.0))", {"x": np.array([0.0, 1.0, 2.0, 3.0, 4.0, 4.5])}),
    ("ops.histogram(x, bins=3)", {"x": np.array([2.0, 2.0])}),
    ("ops.digitize(x, [-1.5, 0.0, 1.5])", {"x": SPECIAL}),
    ("ops.searchsorted(x, y, side='right')", {"x": np.array([-1.5, 0.0, 0.0, 2.0]), "y": SPECIAL[0]}),
    ("ops.hsplit(x, [1, 3])", {"x": SPECIAL}),
    ("ops.array_split(x, 3, axis=1)", {"x": SPECIAL}),
    ("ops.vander(i)", {"i": WHOLE[0]}),
    ("ops.trace(i[0], -1)", {"i": np.arange(16).reshape(1, 4, 4)}),
    ("ops.append(i, x)", {"i": WHOLE, "x": OTHER}),
    *((f"ops.rot90(x, {k}, axes=(2, 1))", {"x": np.arange(32.0).reshape(2, 4, 4)}) for k in range(-1, 5)),
    *((f"ops.diagonal(x, {k}, 1, 2)", {"x": np.arange(24.0).reshape(2, 3, 4)}) for k in (-1, 0, 2)),
    *((f"ops.diag(x, k={k})", {"x": np.arange(3.0)}) for k in (-2, 0, 1)),
    ("ops.lu_factor(x)", {"x": np.random.default_rng(1).normal(size=(6, 6))}),
    ("ops.matrix_rank(x)", {"x": np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]])}),
    ("ops.pinv(x)", {"x": np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]])}),
    ("ops.lstsq(x, y)", {"x": np.array([[1.0, 2.0], [2.0, 4.0], [1.0, 2.0]]), "y": np.array([1.0, 2.0, 3.0])}),
    ("ops.qr(x)", {"x": np.random.default_rng(2).normal(size=(6, 6))}),
    ("ops.qr(x, mode='complete')", {"x": np.random.default_rng(2).normal(size=(6, 3))}),
    ("ops.searchsorted(x, y)", {"x": np.array([-1.5, 0.0, 0.0, 2.0]), "y": SPECIAL[0]}),
]


def values(code: str, arrays: dict[str, np.ndarray], folder: Path) -> tuple[list[np.ndarray], list[np.ndarray], str]:
    """What Keras computes, what the translation computes, and its text."""
    lines = [HEAD[KERAS3], "def build():"]
    for name, value in arrays.items():
        lines.append(f"    {name} = keras.Input({value.shape[1:]}, name={name!r}, dtype={str(value.dtype)!r})")
    lines.append(f"    return keras.Model([{', '.join(arrays)}], {code})")
    path = folder / "prog.py"
    path.write_text("\n".join(lines) + "\n")
    done = convert_file(path, entries=["build()"])
    problems = [f"{f.code}: {f.message}" for f in done.findings if f.severity.name == "ERROR"]
    assert not problems, problems
    text = next(m.text for m in done.modules if m.changed)
    scope: dict[str, Any] = {}
    exec(compile(text, "converted", "exec"), scope)
    wanted = eval(code, {**SCOPE[KERAS3], **{n: tf.constant(v) for n, v in arrays.items()}})
    have = scope["build"]()(*(torch.from_numpy(v.copy()) for v in arrays.values()))
    wanted, have = (list(v) if isinstance(v, (list, tuple)) else [v] for v in (wanted, have))
    return [np.asarray(v) for v in wanted], [v.detach().numpy() for v in have], text


@pytest.mark.parametrize(("code", "arrays"), [pytest.param(*case, id=f"{n}-{case[0]}") for n, case in enumerate(CASES)])
def test_values(code: str, arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    wanted, have, text = values(code, arrays, tmp_path)
    assert len(wanted) == len(have), text
    for w, h in zip(wanted, have):
        assert w.dtype.kind == h.dtype.kind and w.shape == h.shape, text
        np.testing.assert_allclose(h.astype("float64"), w.astype("float64"), rtol=1e-6, atol=1e-9, err_msg=text)


CHANNELS_FIRST = (
    "ops.threshold(P, 0.1, 0.0)",
    "ops.where(ops.signbit(P), ops.deg2rad(P), x)",
    "ops.fmax(P, 0.5 * P) + ops.hypot(P, x)",
    "ops.logaddexp(P, x[0, 0, 0])",
    "ops.isclose(P, x)",
    "ops.allclose(P, x)",
    "ops.select([P > 0.5, P < 0.0], [x, P], 0.5)",
    "ops.ptp(P, axis=1)",
    "ops.ptp(P, axis=(1, -1), keepdims=True)",
    "ops.nansum(P, axis=-1)",
    "ops.nanstd(P, axis=(1, 2))",
    "ops.nanprod(P, axis=(2, 3), keepdims=True)",
    "ops.nanargmax(P, axis=-1)",
    "ops.nancumsum(P, axis=1)",
    "ops.median(P, axis=-1)",
    "ops.average(P, axis=-1, weights=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])",
    "ops.glu(P) + ops.glu(P, axis=-1)",
    "ops.glu(P, axis=1)",
    "ops.sparsemax(P, axis=2)",
    "ops.fliplr(P) - ops.flipud(P)",
    "ops.rot90(P, axes=(1, 2))",
    "ops.diff(P, axis=2)",
    "ops.hstack([P, x])",
    "ops.dstack([P, P])",
    "ops.hsplit(P, 2)[1]",
    "ops.array_split(P, 4, axis=-1)[1]",
    "ops.append(P, x)",
    "ops.trace(P, axis1=1, axis2=3)",
    "ops.diagonal(P, 1, 1, 2)",
    "ops.inner(P, x[:, 0])",
    "ops.layer_normalization(P, axis=(1, 2)) + ops.rms_normalization(P)",
    "ops.batch_normalization(P, x[0, 0, 0], x[0, 0, 0] ** 2 + 0.5, -1)",
    "ops.unfold(P, 2)",
    "ops.adaptive_max_pool(P, 2)",
    "ops.rearrange(P, 'b h w c -> b c (h w)')",
    "ops.extract_sequences(P, 3, 2)",
    "ops.slice_update(ops.stop_gradient(P), (0, 1, 2, 0), ops.stop_gradient(x[:, :2, :3]))",
    "ops.image.rgb_to_hsv(abs(P[..., :3]))",
    "ops.image.rgb_to_grayscale(P[..., :3])",
    "ops.image.sobel_edges(P)",
    "ops.image.gaussian_blur(P)",
    "ops.image.ssim(P, x, filter_size=3)",
    "ops.image.crop_images(ops.image.pad_images(P, 1, 2, 0, 1), 0, 1, 1, 2)",
    "ops.image.affine_transform(ops.stop_gradient(P), tf.constant([1.0, 0.25, 0.5, 0.0, 1.0, 1.0, 0.0, 0.0]))",
    "ops.multi_hot(ops.cast(P > 0.0, 'int32'), 3)",
)
"""`P` stands for a tensor that is held channels first."""


@pytest.mark.parametrize("code", CHANNELS_FIRST)
def test_axes_of_what_is_held_channels_first(code: str, tmp_path: Path) -> None:
    compare(Example(code.replace("P", "ops.max_pool(x, 1)"), {"x": (2, 4, 4, 6)}), KERAS3, tmp_path)


DECLINED = {
    "half a turn that Keras mixes up": "ops.rot90(x, 2, axes=(1, 2))",
    "vectors that backends stack in other ways": "ops.vstack([x[0, 0], x[0, 1]])",
    "the bits of floats": "ops.view(x, 'int32')",
    "a rounded quantile between elements": "ops.quantile(x, 0.1, axis=1, method='lower')",
    "quantiles over axes that are apart": "ops.median(x, axis=(0, 2))",
    "cube roots of integers": "ops.cbrt(ops.cast(x, 'int32'))",
    "a number that makes narrow integers wider": "ops.bitwise_xor(ops.cast(x, 'uint8'), 3)",
    "bits of floats": "ops.bitwise_and(x, 1)",
    "what is counted by example": "ops.bincount(ops.cast(x[0], 'int32'))",
    "a geometric series through zero": "x * ops.geomspace(-1.0, 1.0, 4)",
    "singular vectors": "ops.svd(x)[0]",
    "a sum of which Keras takes one side for a bias": "ops.add(x[:, :, :3], ops.reshape(ops.arange(3.0), (3, 1)))",
    "the same as an operator": "x[:, :, :3] + ops.reshape(ops.arange(3.0), (3, 1))",
    "a window without weights": "x * ops.hanning(0)",
}


@pytest.mark.parametrize("name", DECLINED)
def test_what_is_not_exact_is_declined(name: str, tmp_path: Path) -> None:
    path = tmp_path / "prog.py"
    path.write_text(program(Example(DECLINED[name], {"x": (2, 3, 4)}), KERAS3))
    found = [f for f in convert_file(path, entries=["build()"]).findings if f.severity.name == "ERROR"]
    assert [f.code[:4] for f in found] == ["K2T1"], found


def test_the_gradient_of_hypot_is_finite_where_both_are_zero(tmp_path: Path) -> None:
    x = torch.zeros(1, 3, requires_grad=True)
    scope: dict[str, Any] = {}
    path = tmp_path / "prog.py"
    path.write_text(
        f"{HEAD[KERAS3]}\ndef build():\n    x = keras.Input((3,))\n    return keras.Model(x, ops.hypot(x, 2.0 * x))\n"
    )
    exec(next(m.text for m in convert_file(path, entries=["build()"]).modules if m.changed), scope)
    scope["build"]()(x).sum().backward()
    assert x.grad is not None and torch.equal(x.grad, torch.zeros(1, 3))
