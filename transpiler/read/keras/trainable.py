"""Which layers a program freezes or sets free around its training: the training code does that, and no class knows of it."""

from __future__ import annotations

import ast
from typing import Any

from transpiler.ir.model import Layer
from transpiler.read.keras.evaluate.training_calls import TrainingCall
from transpiler.read.keras.evaluate.values import Model
from transpiler.read.keras.units import layers_of


def layers_in(target: Any, interpreter: Any) -> list[Any]:
    """The layers with weights in a model, or a layer itself."""
    if not isinstance(target, Model):
        return [target] if has_weights(target, interpreter) else []
    return [x for x in layers_of(target, interpreter) if has_weights(x, interpreter)]


def has_weights(layer: Any, interpreter: Any) -> bool:
    built = interpreter.built.get(layer) if isinstance(layer, Layer) else None
    return built is None or any(step.weights for step in built.steps)


def parts_of(target: Any, interpreter: Any) -> set[int]:
    """The layers with weights in a model or layer, by their ids."""
    return set(map(id, layers_in(target, interpreter)))


def compiled_parts(interpreter: Any) -> list[tuple[TrainingCall, set[int]]]:
    """Every evaluation of `compile`, and the layers with weights of its model."""
    calls = [c for found in interpreter.training_calls.values() for c in found if isinstance(c.model, Model)]
    return [(c, parts_of(c.model, interpreter)) for c in calls if c.method == "compile"]


def toggles_of_training(interpreter: Any) -> set[ast.AST]:
    """The statements that set `trainable` and stay, as the training code does it.

    They do it when models were compiled, of layers that are set again then, of models that others call, and of layers that
    stand in classes which do not know of it.
    """
    called = {id(inner) for inner, _, _ in interpreter.nested.values() if isinstance(inner, Model)}
    called |= interpreter.left_to_training
    compiled = compiled_parts(interpreter) if interpreter.toggles else []
    late = [
        t
        for moment, t in enumerate(interpreter.toggles)
        if t.late or any(c.moment <= moment and parts & parts_of(t.target, interpreter) for c, parts in compiled)
    ]
    again = {part for t in late for part in parts_of(t.target, interpreter)}
    return {
        t.statement
        for t in interpreter.toggles
        if t in late or id(t.target) in called or again & parts_of(t.target, interpreter)
    }
