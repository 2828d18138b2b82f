"""Padding in drawn inputs: without steps that a mask leaves out, a comparison says nothing about masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from transpiler.verify.live import all_layers

LEFT_OUT = 0.3
"""The share of steps that are padding where it is scattered."""


def padding_values(model: Any) -> tuple[float | None, float | None]:
    """What stands for padding in the ids and in the steps of floats that a model takes; None where it makes no masks."""
    ids = steps = None
    for layer in all_layers(model):
        name = type(layer).__name__
        if name == "Masking":
            steps = float(layer.mask_value)
        elif name == "Embedding":
            ids = 0.0 if layer.mask_zero else ids
        elif own_mask(type(layer)):
            ids, steps = 0.0, 0.0 if steps is None else steps
    return ids, steps


def own_mask(cls: type) -> bool:
    """Whether the program defines what mask a layer's output has."""
    owner = next((c for c in cls.__mro__ if "compute_mask" in vars(c)), None)
    return owner is not None and owner.__module__.partition(".")[0] not in ("keras", "tf_keras")


def pad_steps(x: np.ndarray, value: float, rng: np.random.Generator, *, whole: bool) -> np.ndarray:
    """`x` with some of its steps (axis 1) set to `value`.

    Every second sample is padded at its end, the others anywhere; with `whole`, the last sample is nothing but padding.
    """
    count, steps = x.shape[:2]
    ends = np.arange(steps) < rng.integers(1, steps + 1, (count, 1))
    kept = np.where(np.arange(count)[:, None] % 2 == 0, ends, rng.random((count, steps)) > LEFT_OUT)
    if whole:
        kept[-1] = False
    return np.where(kept.reshape(count, steps, *(1,) * (x.ndim - 2)), x, value).astype(x.dtype)
