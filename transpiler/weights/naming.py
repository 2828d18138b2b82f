"""Which layer of a file is which layer of the source, by explicit name or by class and order."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from transpiler.ir.saved import SavedLayer
from transpiler.weights.stored import parts_of

ONCE = {
    "Conv1D": ("convolution1d",),
    "Conv2D": ("convolution2d", "atrousconvolution2d"),
    "Conv3D": ("convolution3d",),
    "Conv2DTranspose": ("deconvolution2d", "conv2dtranspose"),
    "SeparableConv2D": ("separableconvolution2d",),
    "LSTM": ("cudnnlstm",),
    "GRU": ("cudnngru",),
    "Functional": ("model",),
}
"""What layers of a class were called by other classes' names, in other times."""


def snake_case(cls: str) -> str:
    """A class as Keras 3 puts it into names and paths: Conv2DTranspose → conv2d_transpose."""
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", cls)).lower()


def legacy_snake_case(cls: str) -> str:
    """The same in legacy Keras, which takes digits along with the letters before them."""
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z0-9]+)", r"\1_\2", cls)).lower()


def families(cls: str) -> set[str]:
    """The automatic names of a class without number and underscores, which come and go with the versions."""
    return {snake_case(cls).replace("_", ""), legacy_snake_case(cls).replace("_", ""), *ONCE.get(cls, ())}


def family_of(name: str) -> str:
    return parts_of(name)[0].replace("_", "")


def is_called(layer: SavedLayer, name: str) -> bool:
    """Whether a name in a file can be that of a layer."""
    return name == layer.name if layer.name else family_of(name) in families(layer.keras_class)


def title(layer: SavedLayer) -> str:
    return f"{layer.keras_class} {layer.name!r}" if layer.name else layer.keras_class


@dataclass
class Aligned:
    """Layers of the source with what a file has for them, by position in the file's list; and what is left over."""

    pairs: list[tuple[SavedLayer, int]] = field(default_factory=list)
    missing: list[SavedLayer] = field(default_factory=list)
    extra: list[int] = field(default_factory=list)
    ambiguous: list[tuple[SavedLayer, int, int]] = field(default_factory=list)
    """Layers for which names and order say different things, and both fit."""


def align(
    layers: Sequence[SavedLayer], names: Sequence[str], fits: Callable[[SavedLayer, int], bool], uncertain: bool = False
) -> Aligned:
    """Pairs `layers`, in Keras's order, with what a file calls `names`, in its order.

    Explicit names are taken as they are. Automatic ones count what was made before them in some session: within a class,
    they ascend as the layers were constructed, and they stand in the order in which Keras lists the layers. Where the two disagree,
    what fits in shape counts; nothing is chosen if both do. An `uncertain` order says nothing.
    """
    result, used = Aligned(), set()
    places = {name: i for i, name in enumerate(names)}
    unnamed: dict[Any, list[SavedLayer]] = {}
    for layer in layers:
        if layer.name and layer.name in places:
            result.pairs.append((layer, places[layer.name]))
            used.add(places[layer.name])
        elif layer.name:
            result.missing.append(layer)
        else:
            unnamed.setdefault(frozenset(families(layer.keras_class)), []).append(layer)
    for family, of_class in unnamed.items():
        found = [i for i, n in enumerate(names) if i not in used and family_of(n) in family]
        if len(found) != len(of_class):
            result.missing += of_class
            continue
        used.update(found)
        by_order = list(zip(of_class, found))
        numbered = sorted(found, key=lambda i: parts_of(names[i])[1])
        by_number = list(zip(sorted(of_class, key=lambda x: x.place), numbered))
        if {(id(x), i) for x, i in by_order} == {(id(x), i) for x, i in by_number}:
            result.pairs += by_order
            continue
        fitting = [p for p in ((by_number,) if uncertain else (by_number, by_order)) if all(fits(x, i) for x, i in p)]
        result.pairs += (fitting or [by_number])[0]
        if len(fitting) == 2:
            other = {id(x): i for x, i in by_order}
            result.ambiguous += [(x, i, other[id(x)]) for x, i in by_number if other[id(x)] != i]
    result.extra = [i for i in range(len(names)) if i not in used]
    return result
