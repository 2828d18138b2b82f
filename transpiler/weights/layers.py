"""Finding the variables of a model in `.weights.h5`: the paths of attributes that Keras takes when it saves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from transpiler.diagnostics import Severity
from transpiler.ir.saved import SavedLayer, flat
from transpiler.weights.found import MADE_OTHERWISE, Fit, Found
from transpiler.weights.naming import legacy_snake_case, snake_case, title
from transpiler.weights.stored import LayersFile, parts_of

OLD_LAYERS = "_layer_checkpoint_dependencies"
"""What `layers` was called in TensorFlow 2.12 and 2.13."""

SAVE_NAMED = "Save the weights as .h5, which has the names of layers, or give the layers names in the saved model."


def find_layers(file: LayersFile, root: SavedLayer, fit: Fit) -> Found:
    """The arrays of the variables of `root`, and what is missing, left over or of another shape.

    The generations walk through the attributes in different orders, so that what is held twice has different
    paths: the walk that explains more of the file is the one it was written by.
    """
    walks = [Walk(file, fit, legacy) for legacy in (False, True)]
    for walk in walks:
        walk.layer(root, "")
    best = min(walks, key=lambda w: (w.failures, w.legacy))
    best.finish()
    return best.found


class Walk:
    """One walk through a model, in the order in which one generation of Keras visits it."""

    def __init__(self, file: LayersFile, fit: Fit, legacy: bool) -> None:
        self.file, self.fit, self.legacy = file, fit, legacy
        self.found, self.visited, self.used = Found(), set[int](), set[str]()
        old = any(p.split("/")[0] == OLD_LAYERS for p in file.variables)
        self.layers = OLD_LAYERS if old else "layers"

        self.groups = prefixes(file.variables)
        self.weighty = prefixes(p for p, arrays in file.variables.items() if not all(a.counts for a in arrays))

    @property
    def failures(self) -> int:
        left = sum(not a.counts for p, arrays in self.file.variables.items() if p not in self.used for a in arrays)
        return left + sum(f.severity is Severity.ERROR for f in self.found.findings)

    def finish(self) -> None:
        self.found.extra([a for p, arrays in self.file.variables.items() if p not in self.used for a in arrays])

    def layer(self, layer: SavedLayer, path: str) -> None:
        if id(layer) in self.visited:
            return
        self.visited.add(id(layer))
        self.own(layer, path)
        for name, value in self.attributes(layer):
            where = self.public(f"{path}/{name}" if path else name)
            if isinstance(value, SavedLayer):
                self.layer(value, where)
            else:
                self.container(value, where, layer.uncertain and name == self.layers)

    def public(self, path: str) -> str:
        """Where a private attribute stands that a property shows as well: Keras came to prefer the public name."""
        head, _, name = path.rpartition("/")
        shown = f"{head}/{name[1:]}" if head else name[1:]
        return shown if name.startswith("_") and path not in self.groups and shown in self.groups else path

    def own(self, layer: SavedLayer, path: str) -> None:
        """The variables that a layer made itself."""
        wanted = [v for v in layer.variables if self.fit.exists(v)]
        arrays = self.file.variables.get(path, ())
        if not wanted or not arrays:
            for variable in wanted:
                self.found.missing(
                    f"{variable.source} of {title(layer)}, at {path or 'the top'}", self.fit.of(variable)
                )
            return
        self.used.add(path)
        weights = [a for a in arrays if not a.counts]
        self.found.extra([a for a in arrays if a.counts])
        if len(weights) != len(wanted):
            names = ", ".join(v.source for v in wanted)
            message = f"{title(layer)} has {names}; the file has {', '.join(map(str, weights))}"
            self.found.say("K2T707", message, MADE_OTHERWISE)
            return
        for variable, array in zip(wanted, weights):
            for key in self.fit.of(variable):
                if not self.fit(variable, array):
                    self.found.misfit(array, key)
            self.found.take(variable, array)

    def attributes(self, layer: SavedLayer) -> Iterator[tuple[str, Any]]:
        """What a layer holds, in the order in which it is visited."""
        held = dict(layer.parts)
        if layer.layers is not None and not self.legacy:
            yield self.layers, layer.layers
        elif layer.is_model:
            held["layers"] = layer.layers if layer.layers is not None else direct_layers(layer)
        keys = sorted(held, reverse=True) if self.legacy else sorted(held, key=lambda n: (n.startswith("_"), n))
        for name in keys:
            yield self.layers if name == "layers" else name, held[name]

    def container(self, items: Sequence[Any], path: str, uncertain: bool = False) -> None:
        """Layers in a list are called by their classes, with a number for each after the first of one class."""
        classes: dict[str, list[tuple[SavedLayer, str]]] = {}
        counts: dict[str, int] = {}
        lists: list[tuple[Sequence[Any], str]] = []
        for item in items:
            if self.legacy and (not isinstance(item, SavedLayer) or id(item) in self.visited):
                continue
            cls = item.keras_class if isinstance(item, SavedLayer) else "container"
            name = legacy_snake_case(cls) if self.legacy else snake_case(cls)
            number = counts[name] = counts.get(name, -1) + 1
            where = f"{path}/{name}_{number}" if number else f"{path}/{name}"
            if not isinstance(item, SavedLayer):
                lists.append((item, where))
            elif self.has_weights(item):
                classes.setdefault(name, []).append((item, where))
            else:
                self.layer(item, where)
        for name, placed in classes.items():
            for layer, where in self.assigned(f"{path}/{name}", placed, uncertain):
                self.layer(layer, where)
        for item, where in lists:
            self.container(item, where)

    def has_weights(self, layer: SavedLayer) -> bool:
        """Whether a layer that was not visited yet has variables, or holds a layer that has."""
        chains = layer.holders(set(self.visited))
        return any(self.fit.exists(v) for chain in chains for v in chain[-1].variables)

    def assigned(
        self, start: str, placed: list[tuple[SavedLayer, str]], uncertain: bool
    ) -> list[tuple[SavedLayer, str]]:
        """The layers of one class in a list with their paths, which are `start` and a number.

        The n-th of those with weights is the n-th path with weights, as layers without any count in Keras too. The names that
        Keras 3 notes at each path have to agree: the explicit ones, and the order of the automatic ones.
        """
        layers = [layer for layer, _ in placed]
        held = {g for g in self.weighty if parts_of(g)[0] == start}
        paths = sorted(held, key=lambda g: parts_of(g)[1])
        if len(paths) != len(layers):
            return placed
        by_path = list(zip(layers, paths))
        by_name = self.by_names(layers, paths)
        if by_name is None or by_name == by_path:
            if by_name is None and uncertain:
                self.check_places(by_path)
            for layer, where in by_path:
                name = self.file.names.get(where, "")
                if layer.name and name and name != layer.name:
                    self.found.renamed(where, name, layer)
            return by_path
        fitting = [w for w in ((by_name,) if uncertain else (by_name, by_path)) if all(self.fits(x, p) for x, p in w)]
        if len(fitting) == 2:
            self.ambiguous(by_path, by_name, "the names in the file")
        return (fitting or [by_name])[0]

    def by_names(self, layers: list[SavedLayer], paths: list[str]) -> list[tuple[SavedLayer, str]] | None:
        """Which layer is at which path by the names in the file, if these tell."""
        named = {self.file.names.get(p, ""): p for p in paths}
        explicit = {x.name for x in layers if x.name}
        auto = sorted((n for n in named if n not in explicit), key=lambda n: parts_of(n)[1])
        unnamed = sorted((x for x in layers if not x.name), key=lambda x: x.place)
        if (
            "" in named
            or len(named) < len(paths)
            or not explicit <= named.keys()
            or len({parts_of(n) for n in auto}) < len(auto)
        ):
            return None
        found = {id(x): named[n] for x, n in zip(unnamed, auto)}
        return [(x, named[x.name] if x.name else found[id(x)]) for x in layers]

    def check_places(self, by_path: list[tuple[SavedLayer, str]]) -> None:
        """Says where an order that is uncertain decides: where another one would do as well."""
        paths = [p for _, p in by_path]
        by_place = list(zip(sorted((x for x, _ in by_path), key=lambda x: x.place), paths))
        if {id(x): p for x, p in by_place} != {id(x): p for x, p in by_path} and all(
            self.fits(x, p) for x, p in by_place
        ):
            self.ambiguous(by_path, by_place, "the order in which the layers are made")

    def ambiguous(self, by_path: list[tuple[SavedLayer, str]], other: list[tuple[SavedLayer, str]], what: str) -> None:
        elsewhere = {id(x): p for x, p in other}
        for layer, path in by_path:
            if elsewhere[id(layer)] != path:
                message = f"{title(layer)} is {path} by its path and {elsewhere[id(layer)]} by {what}, and both fit"
                self.found.say("K2T705", message, SAVE_NAMED)

    def fits(self, layer: SavedLayer, path: str) -> bool:
        trial = Walk(self.file, self.fit, self.legacy)
        trial.visited = set(self.visited)
        trial.layer(layer, path)
        return not any(f.severity is Severity.ERROR for f in trial.found.findings)


def prefixes(paths: Iterable[str]) -> set[str]:
    """All paths and what they lead through."""
    return {"/".join(p.split("/")[:n]) for p in paths for n in range(1, p.count("/") + 2)}


def direct_layers(layer: SavedLayer) -> list[SavedLayer]:
    """`model.layers` of a model of the program's own class: what its attributes hold, in the order of assignment."""
    found = {id(x): x for _, value in layer.parts for x in flat(value)}
    return list(found.values())
