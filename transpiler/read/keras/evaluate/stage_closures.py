"""Functions that outlive the call that made them: `def residual(filters): def apply(x): …; return apply`."""

from __future__ import annotations

import ast
from collections.abc import Hashable
from typing import Any

from transpiler.ir.expr import is_open
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.staging import Again, Memory, is_static, what_it_makes
from transpiler.read.keras.evaluate.syntax import free_names, walk_own
from transpiler.read.keras.evaluate.values import Env, Function, has_tensors


class Varies(Again):
    """What a function reads of the calls that made it differs between them: it has to be a parameter of its class."""

    def __init__(self, places: list[tuple[int, str]]) -> None:
        super().__init__("the calls that make a function differ")
        self.places = places

    def note(self, memory: Memory) -> None:
        memory.varied.update(self.places)


class StagedClosures:
    """The part of the stager that makes one class of all closures of a function."""

    memory: Memory
    closed: dict[tuple[int, str], str]
    """What closures read of the calls that made them: (function node, name) → the value seen first."""

    def closed_arguments(self, function: Function) -> dict[str, Any]:
        """What a function reads of calls that have ended, and that varies: parameters of its class.

        What is open everywhere is left to be captured.
        """
        return {n: v for n, v in closed_over(function).items() if is_static(v) and self.is_parameter(function, n)}

    def is_parameter(self, function: Function, name: str) -> bool:
        place = (id(function.node), name)
        return place in self.memory.varied and place not in self.memory.frozen

    def closure_key(self, function: Function) -> Hashable:
        """What tells closures of one function apart, other than `closed_arguments`."""
        rest = {n: v for n, v in closed_over(function).items() if not self.is_parameter(function, n)}
        scope: Env | None = function.env
        if closed_over(function) and not any(map(is_open, rest.values())):
            scope = _ended_scopes(function.env)[-1].parent
        around = id(scope) if scope is not None and scope.kind != "module" else 0
        return around, tuple((n, repr(v) if is_static(v) else id(v)) for n, v in rest.items())

    def compare_closures(self, function: Function) -> None:
        """Raises Varies for values that differ from those of an earlier closure of the same function."""
        differ = []
        for name, value in closed_over(function).items():
            place = (id(function.node), name)
            if is_static(value) and place not in self.memory.frozen and place not in self.memory.varied:
                seen = "open" if is_open(value) else repr(value)
                if self.closed.setdefault(place, seen) != seen:
                    differ.append(place)
        if differ:
            raise Varies(differ)

    def freeze_closed(self, function: Function) -> bool:
        """Leaves what a function reads of calls that have ended as it is; whether any of it was a parameter."""
        found = self.closed_arguments(function)
        self.memory.frozen.update({(id(function.node), name): True for name in found})
        return bool(found)


def closed_over(function: Function) -> dict[str, Any]:
    """What a function reads of calls that have ended, by name.

    Nothing for a function that changes such a variable, or that reads tensors from there.
    """
    if not isinstance(function.node, ast.FunctionDef) or any(isinstance(n, ast.Nonlocal) for n in nodes(function.node)):
        return {}
    found: dict[str, Any] = {}
    read = sorted(free_names(function.node))
    for scope in _ended_scopes(function.env):
        found.update({n: scope.names[n] for n in read if n in scope.names and n not in found})
    return {} if any(map(has_tensors, found.values())) else found


def as_declared(function: Function, names: tuple[str, ...]) -> tuple[str, ...]:
    """The parameters of the class of a closure: its own, those of the calls around it, and what these computed."""
    around = [scope.names.get("__function__") for scope in reversed(_ended_scopes(function.env))]
    if not around:
        return names
    signatures = [f.node.args for f in (function, *around) if isinstance(f, Function)]
    known = dict.fromkeys(p.arg for a in signatures for p in (*a.posonlyargs, *a.args, *a.kwonlyargs))
    return (*(n for n in known if n in names), *(n for n in names if n not in known))


def title(function: Function) -> str:
    """What a class for a function is called after: the function that makes and returns it, if there is one."""
    name = function.name
    for scope in _ended_scopes(function.env):
        maker = scope.names.get("__function__")
        if not isinstance(maker, Function) or not isinstance(maker.node, ast.FunctionDef):
            break
        returned = [n.value for n in walk_own(maker.node) if isinstance(n, ast.Return)]
        if not returned or not all(isinstance(v, ast.Name) and v.id == function.name for v in returned):
            break
        function, name = maker, what_it_makes(maker.name)
    return name


def _ended_scopes(scope: Env | None) -> list[Env]:
    """The scopes of calls around a function, innermost first, up to the first that has not ended."""
    found: list[Env] = []
    while scope is not None and scope.kind == "function" and scope.ended:
        found.append(scope)
        scope = scope.parent
    return found
