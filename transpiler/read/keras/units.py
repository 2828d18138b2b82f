"""The weights of an evaluated model: which torch modules hold what the variables of each Keras layer hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from transpiler.ir.conversion import WeightUnit
from transpiler.ir.model import Layer, Weight
from transpiler.ir.naming import identifier
from transpiler.ir.program import Apply, Value, tensors
from transpiler.ir.weights import by_module
from transpiler.read.keras.evaluate.values import Instance, Model


def units(model: Model, interpreter: Any) -> tuple[WeightUnit, ...]:
    """The layers of a model that have weights, in construction order."""
    layers: list[Any] = []
    seen: set[Value] = set()
    todo = list(tensors(model.outputs))
    while todo:
        x = todo.pop()
        if x in seen:
            continue
        seen.add(x)
        origin = interpreter.origins.get(x)
        if origin is None:
            continue
        todo += origin.inputs
        if origin.layer is not None and origin.layer not in layers:
            layers.append(origin.layer)
    found = [(order_of(layer), unit_of(layer, interpreter)) for layer in layers if isinstance(layer, (Layer, Instance))]
    return tuple(u for _, u in sorted(((o, u) for o, u in found if u is not None), key=lambda p: p[0]))


def order_of(layer: Any) -> int:
    return layer.index if isinstance(layer, Layer) else layer.attributes["__common__"]["index"]


def unit_of(layer: Any, interpreter: Any) -> WeightUnit | None:
    """The weights of one layer; None if it has none."""
    if isinstance(layer, Layer):
        built = interpreter.built.get(layer)
        modules = tuple(m for s in built.steps if s.weights for m in by_module(s.weights)) if built else ()
        return WeightUnit(layer.rule.keras[0], layer.name, modules, layer.span) if modules else None
    own: dict[str, Weight] = {}
    inner: list[tuple[int, Any]] = []
    for name, value in layer.attributes.items():
        if name.startswith("__"):
            continue
        for path, item in _items(name, value):
            if isinstance(item, Value) and item in layer.attributes.get("__weights__", ()):
                own[_weight_name(item, interpreter)] = Weight(path)
            elif isinstance(item, Layer):
                unit = unit_of(item, interpreter)
                if unit is not None:
                    inner += [
                        (item.index, {p: replace(w, source=f"{path}.{w.source}") for p, w in m.items()})
                        for m in unit.modules
                    ]
    modules = [own] if own else []
    modules += [m for _, m in sorted(inner, key=lambda p: p[0])]
    name = layer.attributes["__common__"].get("name")
    return (
        WeightUnit(
            layer.cls.name,
            name if isinstance(name, str) else None,
            tuple(modules),
            layer.attributes["__common__"]["span"],
        )
        if modules
        else None
    )


def _items(name: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, (list, tuple)):
        return [pair for i, v in enumerate(value) for pair in _items(f"{name}.{i}", v)]
    return [(name, value)]


def _weight_name(weight: Value, interpreter: Any) -> str:
    return next(
        (
            identifier(op.member.hint, "layer")
            for op in interpreter.block.ops
            if isinstance(op, Apply) and weight in op.results and op.member is not None
        ),
        "weight",
    )
