"""Finding the variables of a model in a legacy file: layers by name, and in each the names of its weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transpiler.ir.saved import SavedLayer, SavedVariable, flat, without_numbers
from transpiler.weights.found import Fit, Found
from transpiler.weights.keras1 import as_now
from transpiler.weights.naming import Aligned, align, families, family_of, is_called, title
from transpiler.weights.stored import Group, LegacyFile, Stored, parts_of

HINTS = {
    "forward_layer": "forward",
    "backward_layer": "backward",
    "_query_dense": "query",
    "_key_dense": "key",
    "_value_dense": "value",
    "_output_dense": "attention_output",
}
"""What the names of weights have for an attribute of one of Keras's layers."""

UNNAMED = re.compile(r"variable(_\d+)?", re.IGNORECASE)
"""What TensorFlow and Keras call a variable without a name."""


@dataclass(frozen=True)
class Holder:
    """A layer with variables of its own: `layer` is what the source made, which holds it or is it."""

    variables: tuple[SavedVariable, ...]
    layer: SavedLayer
    hints: tuple[str, ...]
    itself: bool

    @property
    def kind(self) -> tuple[object, ...]:
        """What is the same for holders that only a number tells apart."""
        return self.layer.name or frozenset(families(self.layer.keras_class)), self.hints, self.itself


def holders_of(layer: SavedLayer, fit: Fit) -> list[Holder]:
    """The holders at and below a layer, each once, in Keras's order."""
    found: list[Holder] = []
    seen: set[int] = set()

    def visit(node: SavedLayer, around: SavedLayer, hints: tuple[str, ...]) -> None:
        if id(node) in seen:
            return
        seen.add(id(node))
        if node.place >= 0:
            around, hints = node, ()
        there = tuple(v for v in node.variables if fit.exists(v))
        if there:
            found.append(Holder(there, around, hints, node is around))
        for child in node.layers or ():
            visit(child, around, hints)
        for attribute, value in node.parts:
            for child in flat(value):
                visit(child, around, (*hints, HINTS[attribute]) if attribute in HINTS else hints)

    visit(layer, layer, ())
    return found


def find_legacy(file: LegacyFile, root: SavedLayer, fit: Fit) -> Found:
    """The arrays of the variables of `root`, and what is missing, left over or of another shape."""
    found = Found()
    layers = [x for x in (flattened(root) if file.flat else root.children()) if holders_of(x, fit)]
    groups = [g for g in file.groups if g.weights]
    aligned = align_groups(layers, groups, fit, file.keras1, root.uncertain or file.flat)
    for layer in aligned.missing:
        found.missing_layer(layer, fit)
    for i in aligned.extra:
        found.extra(groups[i].weights)
    for layer, first, second in aligned.ambiguous:
        message = f"{title(layer)} is {groups[first].name} by number and {groups[second].name} by order, and both fit"
        found.say("K2T705", message, "Give the layers names, in the source and in the saved model.")
    for layer, i in aligned.pairs:
        match_group(found, holders_of(layer, fit), groups[i].weights, fit, file.keras1)
    own = tuple(v for v in root.variables if fit.exists(v))
    match_group(found, [Holder(own, root, (), True)] if own else [], file.own, fit, False)
    return found


def flattened(model: SavedLayer) -> Iterator[SavedLayer]:
    """The layers of a model, and in place of models inside of it theirs."""
    for layer in model.children():
        yield from flattened(layer) if layer.is_model and layer.layers is not None else (layer,)


def align_groups(
    layers: Sequence[SavedLayer], groups: Sequence[Group], fit: Fit, keras1: bool, uncertain: bool
) -> Aligned:
    def fits(layer: SavedLayer, i: int) -> bool:
        trial = Found()
        match_group(trial, holders_of(layer, fit), groups[i].weights, fit, keras1)
        return not trial.findings

    return align(layers, [g.name for g in groups], fits, uncertain)


def match_group(found: Found, holders: Sequence[Holder], weights: Sequence[Stored], fit: Fit, keras1: bool) -> None:
    """Pairs the variables of `holders` with all `weights` that a file has for one layer of the model."""
    weights = as_now(holders, weights, keras1)
    left = {id(w): w for w in weights}
    for holder, arrays in owners_of(holders, weights):
        for variable, array in zip(holder.variables, arrays):
            check_shape(found, variable, array, fit)
            found.take(variable, array)
            del left[id(array)]
        holders = [h for h in holders if h is not holder]
    open_variables = [(h, v) for h in holders for v in h.variables]
    for holder, variable in open_variables:
        candidates = [a for a in left.values() if names_of(variable, a) and fit(variable, a)]
        rivals = [v for _, v in open_variables if any(names_of(v, a) and fit(v, a) for a in candidates)]
        if len(candidates) == 1 and rivals == [variable]:
            found.take(variable, candidates[0])
            del left[id(candidates[0])]
        else:
            found.missing(f"{variable.source} of {title(holder.layer)}", fit.of(variable))
    found.extra(list(left.values()))


def check_shape(found: Found, variable: SavedVariable, array: Stored, fit: Fit) -> None:
    for key in fit.of(variable):
        if not fit(variable, array):
            found.misfit(array, key)


def names_of(variable: SavedVariable, array: Stored) -> bool:
    return is_name_of(variable, array.name)


def is_name_of(variable: SavedVariable, name: str) -> bool:
    """Whether an array may be called so."""
    if not variable.names:
        return bool(UNNAMED.fullmatch(name))
    return (without_numbers(name) if variable.numbered else name) in variable.names


def owners_of(holders: Sequence[Holder], weights: Sequence[Stored]) -> Iterator[tuple[Holder, list[Stored]]]:
    """Each holder with the arrays that stand under one name and are called as its variables are."""
    owners: dict[str, list[Stored]] = {}
    for array in weights:
        owners.setdefault(array.path.partition("/")[2].rpartition("/")[0], []).append(array)
    arranged = {name: arrays for name, arrays in owners.items()}
    kinds: dict[object, list[Holder]] = {}
    for holder in holders:
        kinds.setdefault((holder.kind, names_needed(holder)), []).append(holder)
    for alike in kinds.values():
        fitting = [(n, arrange(alike[0], a)) for n, a in arranged.items() if belongs(alike[0], n, len(holders) == 1)]
        fitting = [(n, a) for n, a in fitting if a is not None]
        if len(fitting) != len(alike):
            continue
        fitting.sort(key=lambda pair: number_in(alike[0], pair[0]))
        for holder, (name, arrays) in zip(sorted(alike, key=lambda h: h.layer.place), fitting):
            del arranged[name]
            yield holder, arrays


def names_needed(holder: Holder) -> tuple[object, ...]:
    return tuple(v.names for v in holder.variables)


def arrange(holder: Holder, arrays: Sequence[Stored]) -> list[Stored] | None:
    """The arrays in the order of the holder's variables, if they are called as these are."""
    rest, found = list(arrays), []
    for variable in sorted(holder.variables, key=lambda v: not v.names):
        array = next((a for a in rest if names_of(variable, a)), None)
        if array is None:
            return None
        rest.remove(array)
        found.append((variable, array))
    order = {id(v): i for i, v in enumerate(holder.variables)}
    return None if any(not a.counts for a in rest) else [a for _, a in sorted(found, key=lambda p: order[id(p[0])])]


def belongs(holder: Holder, owner: str, alone: bool) -> bool:
    """Whether the name in front of a weight's own can be that of a holder; `alone`: nothing else is in this layer."""
    parts = owner.split("/") if owner else []
    if alone:
        return True
    hinted = all(any(family_of(p) == h.replace("_", "") or (h in ("forward", "backward") and p.startswith(h)) for p in parts) for h in holder.hints)  # fmt: skip
    if holder.itself:
        return bool(parts) and is_called(holder.layer, parts[-1])
    return hinted and any(is_called(holder.layer, p) for p in parts)


def number_in(holder: Holder, owner: str) -> tuple[int, ...]:
    """By what owners of one kind are told apart: the number of the layer, then those of what is inside of it."""
    parts = owner.split("/")
    called = [i for i, p in enumerate(parts) if is_called(holder.layer, p)]
    at = called[-1] if holder.itself and called else called[0] if called else 0
    return (parts_of(parts[at])[1], *(parts_of(p)[1] for p in parts[at + 1 :]), *(parts_of(p)[1] for p in parts[:at]))
