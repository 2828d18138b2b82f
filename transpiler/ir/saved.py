"""A Keras model as its files have it: layers inside of layers, and the variables that each of them made itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SavedVariable:
    """A variable of a layer, and the source in a weight unit (`EntryPlan.units`) that it is."""

    names: tuple[str, ...]
    """What files call it; several where the generations differ, none where Keras gives a name with a number."""
    unit: int
    source: str
    unused: bool = False
    """Whether the result has no use for it."""
    numbered: bool = False
    """Whether its name is made of that which Keras gave the layer: `names` are then without numbers."""


@dataclass(eq=False)
class SavedLayer:
    """A layer or model; the same object wherever one layer is held in several places."""

    keras_class: str
    name: str | None = None
    """None where Keras gives a name of its own, with a number that ascends in the order of `place`."""
    place: int = -1
    variables: tuple[SavedVariable, ...] = ()
    """Its own, in the order in which Keras saves them."""
    layers: list[SavedLayer] | None = None
    """Those of a functional or Sequential model, in Keras's order."""
    parts: tuple[tuple[str, Any], ...] = ()
    """Attribute → the layer it holds, or a list of layers and lists; in the order of assignment."""
    is_model: bool = False
    uncertain: bool = False
    """Whether the order of `layers` may be another one, as Keras has steps in the graph that are not known here."""

    def children(self) -> list[SavedLayer]:
        """What it holds directly, each once, in Keras's order."""
        found: dict[int, SavedLayer] = {id(x): x for x in self.layers or ()}
        for _, value in self.parts:
            found.update((id(x), x) for x in flat(value))
        return list(found.values())

    def holders(self, seen: set[int] | None = None) -> Iterator[tuple[SavedLayer, ...]]:
        """Every layer at or below this one that has variables of its own, each once, with those around it in front."""
        seen = set() if seen is None else seen
        if id(self) in seen:
            return
        seen.add(id(self))
        if self.variables:
            yield (self,)
        for child in self.children():
            for chain in child.holders(seen):
                yield (self, *chain)


def without_numbers(name: str) -> str:
    """A name without what tells it from others of its kind, and without underscores: `attention_3_scale` → `attentionscale`."""
    return re.sub(r"_\d+|_", "", name)


def flat(value: Any) -> Iterator[SavedLayer]:
    """The layers in a nest of lists."""
    if isinstance(value, SavedLayer):
        yield value
    else:
        for item in value:
            yield from flat(item)
