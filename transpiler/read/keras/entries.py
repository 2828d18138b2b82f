"""Models and the calls that made them: which function built a model, and how the result names it."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from transpiler.ir.program import Value, tensors
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.values import Function, Model
from transpiler.read.keras.program import Activation, Program, uses_keras
from transpiler.read.keras.units import layers_of


def makes(activation: Activation, model: Model) -> bool:
    """Whether a call returned a model, by itself or among others."""
    result = activation.result
    return result is model or isinstance(result, (tuple, list)) and any(m is model for m in result)


def outermost(activations: list[Activation]) -> list[Activation]:
    """The calls that no other of them made."""
    inner = {id(a) for outer in activations for a in outer.inner}
    return [a for a in activations if id(a) not in inner]


def kinds_of(result: Any) -> list[Any]:
    """The ranks and dtypes of the inputs and outputs of models."""
    parts = [result.inputs, result.outputs] if isinstance(result, Model) else result
    if isinstance(parts, Value):
        return [(parts.type.rank, parts.type.dtype)]
    return [kinds_of(part) for part in parts] if isinstance(parts, (tuple, list)) else [type(parts)]


def share_layers(models: Iterable[Model], interpreter: Any) -> bool:
    """Whether some layers are parts of several models."""
    found = [id(x) for model in models for x in layers_of(model, interpreter)]
    return len(found) != len(set(found))


def builder_of(model: Model, activations: list[Activation]) -> Activation | None:
    """The outermost function whose call made the model, or whose tensors the model is made of.

    A function that only has `*args` and `**kwargs` hands on what it is given: the one inside it has the parameters.
    """
    made = [a for a in reversed(activations) if a.result is model]
    made = made or [a for a in reversed(activations) if a.function.name == "__init__" and model in a.result]
    if made:
        return next((a for a in made if not hands_on(a.function)), made[0])
    ends = [*tensors(model.inputs), *tensors(model.outputs)]
    for activation in reversed(activations):
        if (
            not isinstance(activation.result, Model)
            and isinstance(activation.result, (tuple, list))
            and [*tensors(activation.result[0:1]), *tensors(activation.result[1:])] == ends
        ):
            return activation
    return None


def hands_on(function: Function) -> bool:
    """Whether a function has no parameters of its own."""
    a = function.node.args
    return not (a.posonlyargs or a.args or a.kwonlyargs) and a.vararg is not None and a.kwarg is not None


def torch_entry(expression: str, builder: Activation, program: Program) -> str | None:
    """The entry as the result builds it: `Model(*f(…))` is `f(…)` there; None if it takes more than that."""
    node = ast.parse(expression, mode="eval").body
    if isinstance(builder.result, Model) or builder.function.name == "__init__":
        calls = [n for n in nodes(node) if isinstance(n, ast.Call)]
        framework = [c for c in calls if mentions_framework(c.func, program)]
        return None if framework else expression
    if (
        isinstance(node, ast.Call)
        and mentions_framework(node.func, program)
        and len(node.args) == 1
        and isinstance(node.args[0], ast.Starred)
        and not node.keywords
    ):
        inner = node.args[0].value
        if not any(mentions_framework(n, program) for n in nodes(inner) if isinstance(n, (ast.Name, ast.Attribute))):
            return ast.unparse(inner)
    return None


def mentions_framework(node: ast.AST, program: Program) -> bool:
    env = program.entry_env
    names = [n.id for n in nodes(node) if isinstance(n, ast.Name)]
    for name in names:
        scope = env.scope_of(name) if env else None
        if scope is not None and uses_keras(scope.names.get(name)):
            return True
    return False
