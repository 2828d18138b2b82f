"""Functions on tensors where they are delicate: infinities, NaN, zeros, ties, integers, several results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import torch
from test_ops import HEAD, SCOPE

from transpiler.ir.model import KERAS3
from transpiler.pipeline import convert_file

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
