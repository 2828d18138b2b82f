"""Finding the variables of a model in `.weights.h5`: the paths of attributes that Keras takes when it saves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from transpiler.diagnostics import Severity
from transpiler.ir.saved import SavedLayer, flat
from transpiler.weights.found import Fit, Found
from transpiler.weights.naming import legacy_snake_case, snake_case, title
from transpiler.weights.stored import LayersFile, parts_of

OLD_LAYERS = "_layer_checkpoint_dependencies"
"""What `layers` was called in TensorFlow 2.12 and 2.13."""


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

        self.groups = {"/".join(p.split("/")[:n]) for p in file.variables for n in range(1, p.count("/") + 2)}

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
                self.container(value, where)

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
            self.found.say("K2T707", message, "The layer was made with other arguments.")
            return
        for variable, array in zip(wanted, weights):
            for key in self.fit.of(variable):
                if not self.fit(variable, array):
                    message = f"{array} does not fit {key.name} {key.shape}"
                    self.found.say("K2T707", message, "The layer was made with other arguments.")
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

    def container(self, items: Sequence[Any], path: str) -> None:
        """Layers in a list are called by their classes, with a number for each after the first of one class."""
        counts: dict[str, int] = {}
        named: list[tuple[SavedLayer, str]] = []
        lists: list[tuple[Sequence[Any], str]] = []
        for item in items:
            if self.legacy and (not isinstance(item, SavedLayer) or id(item) in self.visited):
                continue
            cls = item.keras_class if isinstance(item, SavedLayer) else "container"
            name = legacy_snake_case(cls) if self.legacy else snake_case(cls)
            number = counts[name] = counts.get(name, -1) + 1
            where = f"{path}/{name}_{number}" if number else f"{path}/{name}"
            if isinstance(item, SavedLayer):
                named.append((item, where))
            else:
                lists.append((item, where))
        for layer, where in self.by_names(named):
            self.layer(layer, where)
        for item, where in lists:
            self.container(item, where)

    def by_names(self, placed: list[tuple[SavedLayer, str]]) -> list[tuple[SavedLayer, str]]:
        """The same layers at the same paths, checked against the names that Keras 3 notes at each."""
        classes: dict[str, list[tuple[SavedLayer, str]]] = {}
        for layer, where in placed:
            classes.setdefault(parts_of(where)[0], []).append((layer, where))
        paths: dict[int, str] = {}
        for of_class in classes.values():
            of_class = [(x, w) for x, w in of_class if any(x.holders(set(self.visited)))]
            paths |= {id(x): w for x, w in of_class}
            called = [self.file.names.get(w, "") for _, w in of_class]
            for (layer, where), name in zip(of_class, called):
                if layer.name and name and name != layer.name:
                    message = f"{where} is called {name} in the file and {layer.name} in the source"
                    self.found.say(
                        "K2T708", message, "It is taken for the same layer, as Keras does.", Severity.WARNING
                    )
            auto = [(x, w, n) for (x, w), n in zip(of_class, called) if not x.name]
            numbers = [parts_of(n) for *_, n in auto]
            if len({base for base, _ in numbers}) == 1 and len(set(numbers)) == len(auto):
                by_place = sorted(auto, key=lambda a: a[0].place)
                by_number = sorted(auto, key=lambda a: parts_of(a[2])[1])
                self.check_order(
                    [(x, w) for x, w, _ in auto], {id(x): w for (x, *_), (_, w, _) in zip(by_place, by_number)}
                )
        return [(x, paths.get(id(x), w)) for x, w in placed]

    def check_order(self, by_path: list[tuple[SavedLayer, str]], by_number: dict[int, str]) -> None:
        """Says where the numbers of automatic names, which ascend as layers are constructed, contradict the paths."""
        for layer, where in by_path:
            other = by_number[id(layer)]
            if other != where and self.fits(layer, where) and self.fits(layer, other):
                message = f"{title(layer)} is {where} by its path and {other} by the number in its name, and both fit"
                self.found.say("K2T705", message, "Give the layers names, in the source and in the saved model.")

    def fits(self, layer: SavedLayer, path: str) -> bool:
        trial = Walk(self.file, self.fit, self.legacy)
        trial.visited = set(self.visited)
        trial.layer(layer, path)
        return not any(f.severity is Severity.ERROR for f in trial.found.findings)


def direct_layers(layer: SavedLayer) -> list[SavedLayer]:
    """`model.layers` of a model of the program's own class: what its attributes hold, in the order of assignment."""
    found = {id(x): x for _, value in layer.parts for x in flat(value)}
    return list(found.values())
