"""Finding the variables of a model in a checkpoint of TensorFlow: objects by the names of the attributes that hold them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from transpiler.diagnostics import Severity
from transpiler.ir.saved import SavedLayer, SavedVariable, flat
from transpiler.weights.found import Fit, Found
from transpiler.weights.keras1 import from_cudnn
from transpiler.weights.legacy import is_name_of
from transpiler.weights.naming import align, title
from transpiler.weights.stored import TRAINING, ObjectNode, ObjectsFile, Stored, placed

LAYER = re.compile(r"layer_with_weights-(\d{1,9})")
"""What the layers of a functional or Sequential model are called, with a number each."""

GIVE_NAMES = "Save the weights as .h5, which has the names of layers."

Pairs = Sequence[tuple[SavedLayer, ObjectNode | None]]


def find_objects(file: ObjectsFile, root: SavedLayer, fit: Fit) -> Found:
    """The arrays of the variables of `root`, and what is missing, left over or of another shape.

    The checkpoint is of the model, or of several objects, of which one is the model.
    """
    whole = Walk(root, file.root, fit)
    if not whole.failures:
        return whole.found
    held = {n: node for n, node in file.root.children.items() if n not in TRAINING and not node.trains}
    walks = {n: Walk(root, node, fit) for node, n in {x: n for n, x in held.items()}.items() if weights_below(node)}
    alike = [n for n, walk in walks.items() if not walk.failures]
    if not alike:  # of another model: the only object, or the checkpoint itself
        only = list(walks.values()) if len(walks) == 1 else []
        return min([whole, *only], key=lambda w: w.failures).found
    found = walks[alike[0]].found
    others = ", ".join(n for n in walks if n != alike[0])
    if len(alike) > 1:
        message = f"several objects in the checkpoint fit: {', '.join(alike)}"
        found.say("K2T705", message, "Save the one that is meant in a checkpoint of its own.")
    elif others:
        found.say("K2T706", f"left out, as the model is {alike[0]}: {others}", "", Severity.NOTE)
    return found


def weights_below(node: ObjectNode) -> list[Stored]:
    return [n.variable for n, _ in placed(node) if n.variable is not None and not n.variable.counts]


class Walk:
    """One walk through a model, along with the objects that it was saved as."""

    def __init__(self, root: SavedLayer, node: ObjectNode, fit: Fit, before: Walk | None = None) -> None:
        self.fit, self.found = fit, Found()
        self.visited: set[int] = set(before.visited) if before else set()
        self.taken: set[int] = set(before.taken) if before else set()
        self.layer(root, node)
        self.found.extra([n.variable for n, _ in placed(node) if n.variable is not None and id(n) not in self.taken])

    @property
    def failures(self) -> int:
        return sum(f.severity is Severity.ERROR for f in self.found.findings)

    def layer(self, layer: SavedLayer, node: ObjectNode | None) -> None:
        if id(layer) in self.visited:
            return
        if node is None:
            if self.has_weights(layer):
                self.found.missing_layer(layer, self.fit)
            return
        self.visited.add(id(layer))
        self.own(layer, node)
        for name, value in layer.parts:
            self.held(value, node.children.get(name))
        if layer.layers is not None:
            self.listed(layer, node)

    def has_weights(self, layer: SavedLayer) -> bool:
        return any(self.fit.exists(v) for chain in layer.holders() for v in chain[-1].variables)

    def held(self, value: Any, node: ObjectNode | None) -> None:
        """What an attribute holds: a layer, or a list or dictionary, in whose order only what has weights counts."""
        if isinstance(value, SavedLayer):
            self.layer(value, node)
            return
        items = [x for x in value if any(map(self.has_weights, flat(x)))]
        nodes: list[ObjectNode | None] = [n for n in node.children.values() if weights_below(n)] if node else []
        for item, inner in zip(items, nodes if len(nodes) == len(items) else [None] * len(items)):
            self.held(item, inner)

    def own(self, layer: SavedLayer, node: ObjectNode) -> None:
        """The variables that a layer made itself."""
        arrays = [c.variable for c in node.children.values() if c.variable is not None]
        today = {a.path: a for a in from_cudnn(arrays)}
        for variable in layer.variables:
            if not self.fit.exists(variable):
                continue
            nodes = {id(n): n for n in candidates(variable, node)}
            (inner,) = nodes.values() if len(nodes) == 1 else (None,)
            if inner is None or inner.variable is None or id(inner) in self.taken:
                where = f"{variable.source} of {title(layer)}, at {node.path or 'the top'}"
                self.found.missing(where, self.fit.of(variable))
                continue
            self.taken.add(id(inner))
            array = today.get(inner.variable.path, inner.variable)
            if not self.fit(variable, array):
                for key in self.fit.of(variable):
                    self.found.misfit(array, key)
            self.found.take(variable, array)

    def listed(self, model: SavedLayer, node: ObjectNode) -> None:
        """The layers of a functional or Sequential model, which are numbered in its order where they have weights."""
        layers = [x for x in model.layers or () if self.has_weights(x)]
        nodes = [n for n in numbered(node) if weights_below(n)]
        for layer, inner in self.paired(layers, nodes, model.uncertain):
            self.layer(layer, inner)

    def paired(self, layers: list[SavedLayer], nodes: list[ObjectNode], uncertain: bool) -> Pairs:
        """Which layer is which object: by number, and by the names of its variables where these tell.

        Where the two disagree, shapes decide; nothing is chosen if both fit. An `uncertain` order says nothing.
        """
        if len(layers) != len(nodes):
            return by_names(layers, nodes)
        by_number = list(zip(layers, nodes))
        telling, named = [x for x in layers if x.variables], [n for n in nodes if name_of(n)]
        if len(telling) != len(named):
            telling, named = [], []
        rest = list(zip((x for x in layers if x not in telling), (n for n in nodes if n not in named)))
        if uncertain:
            self.check_places(rest)
        by_name = [*by_names(telling, named), *rest]
        if set(by_name) == set(by_number):
            return by_number
        if not uncertain and any(n is None for _, n in by_name):
            for layer, node in by_number:
                if layer.name and name_of(node) not in ("", layer.name):
                    self.found.renamed(node.path, name_of(node), layer)
            return by_number
        fitting = [way for way in ((by_name,) if uncertain else (by_name, by_number)) if self.fits(way)]
        if len(fitting) == 2:
            self.ambiguous(by_number, by_name, "the names in the file")
        return (fitting or [by_name])[0]

    def check_places(self, pairs: Pairs) -> None:
        """Says where an order that is uncertain decides, and the one in which the layers are made would do as well."""
        for cls in {x.keras_class for x, _ in pairs}:
            alike = [(x, n) for x, n in pairs if x.keras_class == cls]
            by_place = list(zip(sorted((x for x, _ in alike), key=lambda x: x.place), (n for _, n in alike)))
            if set(by_place) != set(alike) and self.fits(by_place):
                self.ambiguous(alike, by_place, "the order in which the layers are made")

    def ambiguous(self, by_number: Pairs, other: Pairs, what: str) -> None:
        elsewhere = dict(other)
        for layer, node in by_number:
            found = elsewhere.get(layer)
            if node and found and found is not node:
                message = f"{title(layer)} is {node.path} by its number and {found.path} by {what}, and both fit"
                self.found.say("K2T705", message, GIVE_NAMES)

    def fits(self, pairs: Pairs) -> bool:
        return all(node and not Walk(layer, node, self.fit, self).failures for layer, node in pairs)


def numbered(node: ObjectNode) -> list[ObjectNode]:
    """The layers of a functional or Sequential model: those with weights in legacy Keras, all in Keras 3."""
    graph = node.children.get("_functional", node)
    layers = {int(m[1]): child for n, child in graph.children.items() if (m := LAYER.fullmatch(n))}
    steps = graph.children.get("_operations", ObjectNode())
    return [layers[i] for i in sorted(layers)] or list(steps.children.values())


def candidates(variable: SavedVariable, node: ObjectNode) -> list[ObjectNode]:
    """What may be a variable: what stands at the attribute that holds it, else all that has its name."""
    inner: ObjectNode | None = node
    for name in variable.source.partition("|")[0].split("."):
        inner = inner.children.get(name) if inner else None
    if inner and inner.variable:
        return [inner]
    held = [(n.removeprefix("_"), c) for n, c in node.children.items() if c.variable]
    return [c for n, c in held if is_name_of(variable, n) or is_name_of(variable, c.full_name.rpartition("/")[2])]


def name_of(node: ObjectNode) -> str:
    """What the layer is called that made the variables of an object; empty where they do not tell."""
    names = [c.full_name.split("/") for c in node.children.values() if c.variable]
    return names[0][-2] if names and len(names[0]) > 1 else ""


def by_names(layers: list[SavedLayer], nodes: list[ObjectNode]) -> Pairs:
    """Which layer is which object by the names in the file; None for those that are not found."""
    found = align(layers, [name_of(n) for n in nodes], lambda x, i: True, uncertain=True)
    return [*((x, nodes[i]) for x, i in found.pairs), *((x, None) for x in found.missing)]
