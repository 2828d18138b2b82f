"""What there is to say of a converted builder."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from transpiler.diagnostics import Finding, Severity, excerpt
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.syntax import free_names
from transpiler.read.keras.evaluate.values import Function, Module, Unknown
from transpiler.read.keras.factory import Factory


def finding_of_tier(factory: Factory, errors: list[str]) -> Iterator[Finding]:
    """Why a builder is not kept as it is; `errors` are those of the tiers tried before."""
    span = factory.function.module.span(factory.function.node)
    if factory.statements is not None and not factory.frozen:
        return  # what it makes depends on nothing
    if factory.tier == "flat":
        why = f": {errors[0]}" if errors else ""
        message = f"the structure of {factory.function.name} is not kept{why}"
        advice = "The result is correct for these arguments only."
        yield Finding("K2T303", Severity.WARNING, message, advice, span, excerpt(span))
    elif factory.tier == "specialised":
        names = ", ".join(factory.frozen) or "its arguments"
        message = f"{factory.function.name} is converted for one value of {names} ({'; '.join(factory.reasons)})"
        yield Finding("K2T301", Severity.WARNING, message, "It raises for other values.", span, excerpt(span))


def unchecked(function: Function, name: str) -> Finding:
    """A parameter that is fixed at a value which the result cannot tell from others."""
    span = function.module.span(function.node)
    message = f"{name} of {function.name} is not checked: whatever is given, the result is that for the value seen"
    return Finding("K2T301", Severity.WARNING, message, "Give it no other value.", span, excerpt(span))


def findings_of_builder(factory: Factory) -> Iterator[Finding]:
    """What a builder does beside making its model, and the result does not."""
    function = factory.function
    if factory.effects and factory.statements is None:
        span = function.module.span(function.node)
        message = f"{function.name} changes something that outlives its call; the result does not"
        advice = "The result is what the first call builds. Pass what changes as an argument."
        yield Finding("K2T203", Severity.WARNING, message, advice, span, excerpt(span))
    for statement in nodes(function.node) if factory.statements is None or function.name == "__init__" else ():
        call = statement.value if isinstance(statement, ast.Expr) else None
        if isinstance(call, ast.Call) and is_for_effect(call, factory):
            span = function.module.span(statement)
            message = f"{ast.unparse(call.func)}() in {function.name} is left out"
            advice = "Call it where the model is made, if it matters."
            yield Finding("K2T405", Severity.NOTE, message, advice, span, excerpt(span))


def is_for_effect(call: ast.Call, factory: Factory) -> bool:
    """Whether a call acts on something else than the builder's model."""
    if isinstance(call.func, ast.Name) and call.func.id == "super":
        return False
    root: ast.expr = call.func
    while isinstance(root, (ast.Attribute, ast.Call)):
        root = root.value if isinstance(root, ast.Attribute) else root.func
    if not isinstance(root, ast.Name) or root.id not in free_names(factory.function.node):
        return False
    scope = factory.function.env.scope_of(root.id)
    value = scope.names[root.id] if scope is not None else None
    foreign = isinstance(value, (Unknown, Module)) and getattr(value, "source", None) is None
    return foreign or scope is None and root.id in ("print", "open")
