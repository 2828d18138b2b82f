"""Moving one array from a live Keras layer into the form that its torch parameter has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transpiler.ir.model import Transform, Weight


def apply_transform(array: Any, transform: Transform, shape: tuple[int, ...] | None = None) -> Any:
    """`array` (numpy, as Keras holds it) as the torch parameter holds it; `shape` is the parameter's.

    `array` may be None for a parameter that Keras does not have: `transform` then starts with "fill".
    Raises ValueError for an unknown primitive, and if `shape` is given and not met.
    """
    import numpy as np

    for name, *rest in transform:
        if name == "fill":
            array = np.full(shape or (), rest[0])
        elif name == "permute":
            array = array.transpose(rest[0])
        elif name == "reshape":
            array = array.reshape(rest[0])
        elif name == "merge":
            axis = rest[0]
            array = array.reshape(*array.shape[:axis], -1, *array.shape[axis + 2 :])
        elif name == "gates":
            axis, order = rest
            parts = np.split(array, len(order), axis=axis)
            array = np.concatenate([parts[i] for i in order], axis=axis)
        elif name == "take":
            array = array.take(rest[1], axis=rest[0])
        elif name == "flip":
            array = np.flip(array, rest[0])
        elif name == "expand":
            array = np.expand_dims(array, rest[0])
        elif name == "windows":
            array = _windows(array, *rest)
        else:
            raise ValueError(f"the weight primitive {name!r} is unknown")
    if shape is not None and tuple(array.shape) != tuple(shape):
        raise ValueError(f"an array of shape {tuple(array.shape)} does not fit a parameter of shape {tuple(shape)}")
    return array


def _windows(array: Any, kernel: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """Of weights from everywhere to everywhere, (*in, C, *out, D), those in a window: (*out, C, *kernel, D)."""
    import numpy as np

    n = len(kernel)
    channels, positions, filters = array.shape[n], array.shape[n + 1 : -1], array.shape[-1]
    found = np.empty((*positions, channels, *kernel, filters), array.dtype)
    for at in np.ndindex(*positions):
        window = tuple(slice(p * s, p * s + k) for p, s, k in zip(at, strides, kernel))
        found[at] = np.moveaxis(array[(*window, slice(None), *at)], n, 0)
    return found


def by_module(weights: Mapping[str, Weight]) -> list[dict[str, Weight]]:
    """The weights of a step for every torch module that holds some itself, in the order these are constructed.

    A step's keys are paths (`forward_rnn.weight_ih`) where its module has others inside.
    """
    groups: dict[str, dict[str, Weight]] = {}
    for key, weight in weights.items():
        owner, _, leaf = key.rpartition(".")
        groups.setdefault(owner, {})[leaf] = weight
    return list(groups.values())


def find(layer: Any, source: str) -> Any:
    """The variable at the attribute path `source` of a live Keras layer; None if it has none there.

    A number is a place in a list. `a|b` names two paths, of which the first that exists counts: the generations differ
    in some names.
    """
    for path in source.split("|"):
        value = layer
        for part in path.split("."):
            value = value[int(part)] if part.isdigit() else getattr(value, part, None)
        if value is not None:
            return value
    return None
