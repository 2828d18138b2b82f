"""An evaluated model as Keras's files have it: which layer is held where, and in which order."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.conversion import WeightUnit
from transpiler.ir.model import KERAS2, ApiObject, Layer
from transpiler.ir.saved import SavedLayer, SavedVariable, without_numbers
from transpiler.read.keras.evaluate.program_classes import MODEL_KINDS, is_own_layer, keras_base
from transpiler.read.keras.evaluate.values import Instance, LambdaLayer, Model
from transpiler.read.keras.units import class_of

ORDER = (
    "embeddings", "reverse_embeddings", "depthwise_kernel", "pointwise_kernel", "kernel", "left_kernel",
    "right_kernel", "recurrent_kernel", "bias", "gamma", "beta", "scale", "alpha", "concat_score_weight",
    "real_kernel", "imag_kernel", "moving_mean", "moving_variance", "adapt_mean", "adapt_variance", "count",
)  # fmt: skip
"""The order in which Keras's own layers make their variables, the trained ones first."""

NAMES = {"adapt_mean": ("mean",), "adapt_variance": ("variance",)}
"""Variables that files call otherwise than the attribute that holds them."""


def saved_model(root: Any, pairs: list[tuple[Any, WeightUnit]], interpreter: Any) -> SavedLayer | None:
    """The model (or object of a model's class) `root`; `pairs` are its layers with weights.

    None where the order of the layers of one of its models cannot be known.
    """
    try:
        return _Reader(pairs, interpreter).layer(root)
    except Declined:
        return None


class _Reader:
    """Makes a `SavedLayer` of each layer, once."""

    def __init__(self, pairs: list[tuple[Any, WeightUnit]], interpreter: Any) -> None:
        self.units = {id(layer): (number, unit) for number, (layer, unit) in enumerate(pairs)}
        self.interpreter = interpreter
        self.known: dict[int, SavedLayer] = {}
        self.kept: list[Any] = []
        """What `known` refers to by id."""

    def layer(self, value: Any) -> SavedLayer:
        if isinstance(value, Instance) and "__graph__" in value.attributes:
            value = value.attributes["__graph__"]
        if id(value) not in self.known:
            self.kept.append(value)
            self.known[id(value)] = made = SavedLayer("")
            self.fill(made, value)
        return self.known[id(value)]

    def fill(self, made: SavedLayer, value: Any) -> None:
        if isinstance(value, Model):
            self.fill_model(made, value)
        elif isinstance(value, Instance):
            self.fill_own(made, value)
        elif isinstance(value, Layer):
            self.fill_layer(made, value)
        else:
            made.keras_class = value.leaf if isinstance(value, ApiObject) else "Lambda"
            made.name = value.name if isinstance(value, LambdaLayer) else None

    def fill_model(self, made: SavedLayer, model: Model) -> None:
        made.keras_class = model.cls.name if model.cls else "Sequential" if model.sequential else "Functional"
        made.name, made.place, made.is_model = model.name, model.index, True
        if model.sequential:
            made.layers = [self.layer(x) for x in model.layers or []]
        else:
            graph = self.interpreter.graph(model)
            made.layers = [self.layer(x) for x in graph.layers()]
            made_by = [(y, n.layer) for n in graph.nodes for y in n.outputs]
            unchanged = any(y in self.interpreter.unchanged for y, _ in made_by)
            # a function of legacy Keras itself may be several of its layers
            several = any(layer is None and y not in self.interpreter.single for y, layer in made_by)
            made.uncertain = unchanged or several and self.interpreter.generation == KERAS2
        made.parts = self.parts_of(model.attributes) if model.cls else ()

    def fill_own(self, made: SavedLayer, layer: Instance) -> None:
        """A layer or model of a class of the program."""
        common = layer.attributes["__common__"]
        name = common.get("name")
        made.keras_class, made.place = layer.cls.name, common["index"]
        made.name = name if isinstance(name, str) else None
        made.is_model = keras_base(layer.cls) in MODEL_KINDS
        made.parts = self.parts_of(layer.attributes)
        number, unit = self.units.get(id(layer), (-1, None))
        if unit is not None:
            saved = layer.attributes.get("__saved__", {})
            own = list(zip(layer.attributes["__weights__"], unit.modules[0].values()))
            own.sort(key=lambda pair: not saved[pair[0]][1])  # those that are not trained come last
            made.variables = tuple(self.variable(made, saved[v][0], number, w.source) for v, w in own)

    def variable(self, layer: SavedLayer, name: Any, unit: int, source: str) -> SavedVariable:
        """A variable that a layer of the program made under a name, or without one."""
        if not isinstance(name, str):
            return SavedVariable((), unit, source)
        numbered = layer.name is None and layer.keras_class.lower() in without_numbers(name).lower()
        return SavedVariable((without_numbers(name) if numbered else name,), unit, source, numbered=numbered)

    def parts_of(self, attributes: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
        named = ((n, self.part(v)) for n, v in attributes.items() if not n.startswith("__"))
        return tuple((n, part) for n, part in named if part is not None and part != [])

    def part(self, value: Any) -> Any:
        """The layer that a value is, the list of layers and lists that it holds, or None."""
        if isinstance(value, (Layer, Model, LambdaLayer)) or is_own_layer(value):
            return self.layer(value)
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, (list, tuple)):
            found = [self.part(v) for v in value]
            return [v for v in found if v is not None]
        return None

    def fill_layer(self, made: SavedLayer, layer: Layer) -> None:
        """One of Keras's layers, with the parts that it makes or is given: cells, directions, projections."""
        made.keras_class, made.name, made.place = class_of(layer), layer.name, layer.index
        number, unit = self.units.get(id(layer), (-1, None))
        if unit is not None:
            sources = dict.fromkeys(w.source for m in unit.modules for w in m.values() if w.source)
            paths = {s: s.partition("|")[0].split(".") for s in sources}
            unused = {name: [name] for name in unit.unused}
            self.spread(made, layer, number, {**paths, **unused}, set(unused))
        given = [(n, self.part(layer.args.get(n))) for n in layer.args if n in ("layer", "cell", "layers")]
        held = {n for n, _ in made.parts}
        made.parts += tuple((n, v) for n, v in given if v and n not in held)

    def spread(self, made: SavedLayer, layer: Any, unit: int, paths: dict[str, list[str]], unused: set[str]) -> None:
        """Gives `made` the variables that end at it, and its parts the others. `paths`: source → the rest of its path."""
        own = sorted((s for s, path in paths.items() if len(path) == 1), key=lambda s: _place(paths[s][0]))
        made.variables = tuple(SavedVariable(_names(s), unit, s, s in unused) for s in own)
        held = list(dict.fromkeys(path[0] for path in paths.values() if len(path) > 1))
        parts = []
        for name in held:
            rest = {s: path[1:] for s, path in paths.items() if path[0] == name and len(path) > 1}
            inner = layer.args.get(name) if isinstance(layer, Layer) else None
            parts.append((name, self.inner(inner, unit, rest, unused)))
        made.parts = tuple(parts)

    def inner(self, layer: Any, unit: int, paths: dict[str, list[str]], unused: set[str]) -> Any:
        """The part of a layer that `paths` lead into: a layer, or a list of layers if they go on with a number."""
        numbers = sorted({int(path[0]) for path in paths.values() if path[0].isdigit()})
        if numbers:
            items = layer if isinstance(layer, (list, tuple)) else [None] * (numbers[-1] + 1)
            rest = [{s: p[1:] for s, p in paths.items() if p[0] == str(n)} for n in range(len(items))]
            return [self.inner(item, unit, r, unused) for item, r in zip(items, rest)]
        if isinstance(layer, (list, tuple)):  # a list of cells, which Keras makes a stack of
            made = SavedLayer("StackedRNNCells")
            rest = {s: p[1:] for s, p in paths.items()}
            made.parts = (("cells", self.inner(layer, unit, rest, unused)),)
            return made
        made = SavedLayer(class_of(layer) if isinstance(layer, Layer) else "")
        made.name = layer.name if isinstance(layer, Layer) else None
        self.spread(made, layer, unit, paths, unused)
        return made


def _place(name: str) -> int:
    return ORDER.index(name) if name in ORDER else len(ORDER)


def _names(source: str) -> tuple[str, ...]:
    leaves = dict.fromkeys(path.rpartition(".")[2] for path in source.split("|"))
    return tuple(n for leaf in leaves for n in NAMES.get(leaf, (leaf,)))
