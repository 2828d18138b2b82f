"""When two results count as the same. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23}
FLOOR = {"float64": 1e-9, "float32": 1e-5}
GRADIENT_FLOOR = {"float64": 1e-8, "float32": 1e-2}
"""Gradients are judged in float64; in float32 alone (ReLU and pooling flips) only gross errors show."""


KAPPA_LIMIT = 1e3
"""Draws conditioned worse than this are rejected; one that had to be kept gets no more room."""


def bound(dtype: str, kappa: float) -> float:
    """The largest relative error that rounding alone explains: it grows with conditioning, not with depth."""
    return max(FLOOR[dtype], 100 * EPSILON[dtype] * _capped(kappa))


def gradient_bound(dtype: str, kappa: float) -> float:
    return max(GRADIENT_FLOOR[dtype], 1000 * EPSILON[dtype] * _capped(kappa))


def _capped(kappa: float) -> float:
    return kappa if kappa < KAPPA_LIMIT else KAPPA_LIMIT


@dataclass(frozen=True)
class Difference:
    """max|Δ|, that relative to the largest expected value, and why the two cannot be compared if they cannot."""

    max_abs: float = 0.0
    max_rel: float = 0.0
    problem: str = ""

    def worst(self, other: Difference) -> Difference:
        return Difference(
            max(self.max_abs, other.max_abs), max(self.max_rel, other.max_rel), self.problem or other.problem
        )

    def within(self, limit: float) -> bool:
        return not self.problem and self.max_rel <= limit


def difference(expected: np.ndarray, actual: np.ndarray, scale: float | None = None) -> Difference:
    """How far `actual` is from `expected`; relative to `scale`, or to the largest finite expected value.

    Equal NaN and infinity masks count as equal; unequal ones are a problem, as are unequal shapes.
    """
    if expected.shape != actual.shape:
        return Difference(np.inf, np.inf, f"shape {actual.shape} instead of {expected.shape}")
    if not expected.size:
        return Difference()
    a, b = expected.astype(np.float64), actual.astype(np.float64)
    finite = np.isfinite(a)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True) or not np.isfinite(b[finite]).all():
        return Difference(np.inf, np.inf, "NaN or infinity in other places")
    if not finite.any():
        return Difference()
    gap = float(np.abs(a[finite] - b[finite]).max())
    size = float(np.abs(a[finite]).max()) if scale is None else scale
    return Difference(gap, gap / size if size > 0 else (0.0 if gap == 0 else np.inf))


def all_differences(expected: Sequence[np.ndarray], actual: Sequence[np.ndarray]) -> Difference:
    """The worst over several outputs, each against its own size."""
    if len(expected) != len(actual):
        return Difference(np.inf, np.inf, f"{len(actual)} outputs instead of {len(expected)}")
    worst = Difference()
    for a, b in zip(expected, actual):
        worst = worst.worst(difference(a, b))
    return worst
