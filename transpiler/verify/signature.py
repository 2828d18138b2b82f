"""A short fingerprint of a tensor that does not depend on its layout: Keras and torch order axes differently."""

from __future__ import annotations

from typing import Any

import numpy as np

POINTS = 1024


def signature(values: Any) -> np.ndarray:
    """[count of nonzero values, their order statistics at fixed ranks].

    Zeros are left out, so that padding written as a step of its own on one side does not matter.
    """
    flat = np.asarray(values, np.float64).reshape(-1)
    flat = np.sort(flat[flat != 0])
    if not flat.size:
        return np.zeros(1)
    ranks = np.linspace(0, flat.size - 1, min(POINTS, flat.size)).round().astype(int)
    return np.concatenate([[flat.size], flat[ranks]])


def trace_inputs(arrays: list[np.ndarray], single: bool) -> list[np.ndarray]:
    """What both sides run to be traced: the first sample where inputs are known to be batches of samples."""
    batches = {len(a) if a.ndim else 0 for a in arrays}
    return [a[:1] for a in arrays] if single and len(batches) == 1 and 0 not in batches else arrays


def distance(a: np.ndarray, b: np.ndarray) -> float | None:
    """The largest difference of two signatures relative to the largest value; None if the counts differ."""
    if a[0] != b[0] or a.shape != b.shape:
        return None
    if a.size == 1:
        return 0.0
    if np.array_equal(a, b, equal_nan=True):
        return 0.0
    scale = max(float(np.nanmax(np.abs(a[1:]))), 1e-300)
    gap = np.abs(a[1:] - b[1:])
    return float("inf") if np.isnan(gap).any() else float(gap.max()) / scale
