"""The weights of an evaluated model: which torch modules hold what the variables of each Keras layer hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from transpiler.ir.conversion import WeightUnit
from transpiler.ir.model import Layer, Weight
from transpiler.ir.naming import MODULE_NAMES, Names, identifier
from transpiler.ir.program import Value, tensors
from transpiler.ir.weights import by_module
from transpiler.read.keras.evaluate.values import Instance, Model


def layers_with_units(model: Model, interpreter: Any) -> list[tuple[Any, WeightUnit]]:
    """The layers of a model that have weights, each with its unit, in the order in which torch constructs their modules.

    That is the order of construction in the program, but a layer that the program defines constructs all it is made
    of at once, whenever it made it under Keras.
    """
    return list(_units(layers_of(model, interpreter), interpreter, set()))


def layers_of(model: Model, interpreter: Any) -> list[Any]:
    """The layers that the model's tensors pass through, each once."""
    found: dict[int, Any] = {}
    seen: set[Value] = set()
    todo = list(tensors(model.outputs))
    while todo:
        x = todo.pop()
        origin = interpreter.origins.get(x)
        if x in seen or origin is None:
            continue
        seen.add(x)
        todo += origin.inputs
        if origin.layer is not None:
            found[id(origin.layer)] = origin.layer
    return list(found.values())


def _units(layers: Iterable[Any], interpreter: Any, seen: set[int]) -> Iterator[tuple[Any, WeightUnit]]:
    known = [x for x in layers if isinstance(x, (Layer, Instance))]
    for layer in sorted(known, key=order_of):
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        if isinstance(layer, Layer):
            built = interpreter.built.get(layer)
            modules = tuple(m for s in built.steps if s.weights for m in by_module(s.weights)) if built else ()
            unused = () if built else tuple(interpreter.variables_of(layer))
            if modules or unused:
                yield layer, WeightUnit(class_of(layer), layer.name, modules, layer.span, layer.index, unused)
            continue
        own = own_weights(layer)
        common = layer.attributes["__common__"]
        if own:
            name = common.get("name")
            name = name if isinstance(name, str) else None
            yield layer, WeightUnit(layer.cls.name, name, (own,), common["span"], common["index"])
        inner = [*layer.attributes.get("__inner__", ()), *unused_layers(layer)]
        yield from _units(inner, interpreter, seen)


def class_of(layer: Layer) -> str:
    """The class of one of Keras's layers, or the program's that derives from it."""
    return layer.attributes.get("class_name", layer.rule.class_name or layer.rule.keras[0])


def unused_layers(layer: Instance) -> list[Layer]:
    """The layers that a layer of the program holds and builds, and does not call."""
    held = [v for n, v in layer.attributes.items() if not n.startswith("__") and isinstance(v, Layer)]
    return [v for v in held if "built_for" in v.attributes and "calls" not in v.attributes]


def order_of(layer: Any) -> int:
    return layer.index if isinstance(layer, Layer) else layer.attributes["__common__"]["index"]


def own_weights(layer: Instance) -> dict[str, Weight]:
    """The variables that a layer of the program made itself, by the names of their parameters."""
    made = layer.attributes.get("__weights__", {})
    paths = {
        item: path
        for name, value in layer.attributes.items()
        if not name.startswith("__")
        for path, item in _items(name, value)
        if isinstance(item, Value)
    }
    names = Names(MODULE_NAMES)
    return {
        names.take(identifier(member.name or member.hint, "layer")): Weight(paths.get(value, member.hint))
        for value, member in made.items()
    }


def _items(name: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, (list, tuple)):
        return [pair for i, v in enumerate(value) for pair in _items(f"{name}.{i}", v)]
    return [(name, value)]
