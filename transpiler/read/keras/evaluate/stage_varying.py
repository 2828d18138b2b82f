"""Functions that read more than plain arguments: `def residual(filters): def apply(x): …`, `block(x, args.filters)`."""

from __future__ import annotations

import ast
from collections.abc import Hashable
from typing import Any

from transpiler.ir.expr import is_open, is_record
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.staging import Again, Memory, StageError, holds_open, is_static, what_it_makes
from transpiler.read.keras.evaluate.syntax import free_names, walk_own
from transpiler.read.keras.evaluate.values import Env, Function, has_tensors


class Varies(Again):
    """What a function reads besides its arguments differs between its calls: it has to be a parameter of its class."""

    def __init__(self, places: list[tuple[int, str]]) -> None:
        super().__init__("what a function reads differs")
        self.places = places

    def note(self, memory: Memory) -> None:
        memory.varied.update(self.places)


class StagedVarying:
    """The part of the stager that makes one class for calls of a function that differ in more than plain arguments.

    That is what closures read of the calls that made them, and the fields of named tuples.
    """

    memory: Memory
    first_seen: dict[tuple[int, str], str]
    """(function node, variable or argument.field) → the value that the first call had."""

    def compare_calls(self, function: Function, arguments: dict[str, Any]) -> None:
        """Raises Varies for values that differ from those of an earlier call of the function."""
        values = {n: v for n, v in closed_over(function).items() if is_static(v)}
        values |= {f"{name}.{n}": v for name, fields in records(arguments).items() for n, v in fields.items()}
        differ = []
        for name, value in values.items():
            place = (id(function.node), name)
            if place not in self.memory.frozen and place not in self.memory.varied:
                seen = "open" if is_open(value) else repr(value)
                if self.first_seen.setdefault(place, seen) != seen:
                    differ.append(place)
        if differ:
            raise Varies(differ)

    def is_parameter(self, function: Function, name: str) -> bool:
        place = (id(function.node), name)
        return place in self.memory.varied and place not in self.memory.frozen

    def closed_arguments(self, function: Function) -> dict[str, Any]:
        """What a function reads of calls that have ended, and that varies: parameters of its class.

        What is open everywhere is left to be captured.
        """
        return {n: self.read_name(n, scope, scope) for n, scope in self.varying_scopes(function)}

    def varying_scopes(self, function: Function) -> list[tuple[str, Env]]:
        """The names of `closed_arguments`, and the scopes that have them."""
        found = ((n, function.env.scope_of(n)) for n, v in closed_over(function).items() if is_static(v))
        return [(n, scope) for n, scope in found if scope is not None and self.is_parameter(function, n)]

    def closed_places(self, function: Function, inside: dict[str, Any]) -> dict[tuple[int, str], tuple[Any, Any]]:
        """Where `closed_arguments` are read: (scope, name) → the value there, and the one `inside` the class."""
        return {(id(s), n): (s.names[n], inside[n]) for n, s in self.varying_scopes(function) if n in inside}

    def closure_key(self, function: Function) -> Hashable:
        """What tells closures of one function apart, other than `closed_arguments`."""
        closed = closed_over(function)
        rest = {n: v for n, v in closed.items() if not self.is_parameter(function, n)}
        scope: Env | None = function.env
        if closed and not any(map(is_open, rest.values())):
            scope = _ended_scopes(function.env)[-1].parent
        around = id(scope) if scope is not None and scope.kind != "module" else 0
        return around, tuple((n, repr(v) if is_static(v) else id(v)) for n, v in rest.items())

    def record_key(self, function: Function, name: str, record: Any) -> Hashable:
        """What tells named tuples apart as arguments: the fields that are no parameters."""
        fields = records({name: record})[name]
        rest = {n: v for n, v in fields.items() if not self.is_field(function, name, n, v)}
        return id(type(record)), tuple((n, id(v) if is_open(v) else repr(v)) for n, v in rest.items())

    def is_field(self, function: Function, name: str, field: str, value: Any) -> bool:
        """Whether a field of a named tuple is a parameter: what is open or varies."""
        frozen = (id(function.node), f"{name}.{field}") in self.memory.frozen
        return not frozen and (is_open(value) or self.is_parameter(function, f"{name}.{field}"))

    def record_parameters(self, function: Function, arguments: dict[str, Any]) -> dict[str, tuple[str, str]]:
        """The fields of named tuples that are parameters: name of the parameter → (argument, field)."""
        found: dict[str, tuple[str, str]] = {}
        for name, fields in records(arguments).items():
            for field, value in fields.items():
                if self.is_field(function, name, field, value):
                    label = field
                    while label in arguments or label in found:
                        label = f"{name}_{label}"
                    found[label] = (name, field)
        return found

    def check_inside(self, function: Function, arguments: dict[str, Any]) -> None:
        """Raises StageError for what only the caller knows inside an argument, if that is no parameter."""
        fields = self.record_parameters(function, arguments).values()
        for name, value in arguments.items():
            if not is_static(value) and not has_tensors(value):
                parts = records({name: value}).get(name, {"": value})
                if any(holds_open(v) and (name, n) not in fields for n, v in parts.items()):
                    raise StageError(f"{function.name} takes what only its caller knows inside {name}")

    def freeze_varying(self, function: Function, arguments: dict[str, Any]) -> bool:
        """Leaves what varies as it is; whether any of it was a parameter."""
        found = {n for n, _ in self.varying_scopes(function)}
        found |= {f"{name}.{field}" for name, field in self.record_parameters(function, arguments).values()}
        self.memory.frozen.update({(id(function.node), name): True for name in found})
        return bool(found)


def records(arguments: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The arguments that are named tuples of static values, and their fields."""
    found = {}
    for name, value in arguments.items():
        fields = value._asdict() if is_record(value) else {}
        if fields and all(map(is_static, fields.values())):
            found[name] = fields
    return found


def closed_over(function: Function) -> dict[str, Any]:
    """What a function reads of calls that have ended, by name.

    Nothing for a function that changes such a variable or what it holds, or that reads tensors from there.
    """
    scopes = _ended_scopes(function.env)
    if not scopes or not isinstance(function.node, ast.FunctionDef):
        return {}
    if any(isinstance(n, ast.Nonlocal) for n in nodes(function.node)):
        return {}
    found: dict[str, Any] = {}
    read = sorted(free_names(function.node))
    for scope in scopes:
        found.update({n: scope.names[n] for n in read if n in scope.names and n not in found})
    kept = {n for n, v in found.items() if isinstance(v, (list, dict))}
    return {} if any(map(has_tensors, found.values())) or kept & changed_names(function.node) else found


def changed_names(node: ast.AST) -> set[str]:
    """The variables whose items a function may set, or whose methods it calls as statements."""
    found: set[ast.expr] = set()
    for n in nodes(node):
        if isinstance(n, ast.Subscript) and not isinstance(n.ctx, ast.Load):
            found.add(n.value)
        elif isinstance(n, ast.Expr) and isinstance(n.value, ast.Call) and isinstance(n.value.func, ast.Attribute):
            found.add(n.value.func.value)
        elif (
            isinstance(n, ast.Call)
            and isinstance(n.func, ast.Attribute)
            and n.func.attr in ("pop", "popitem", "setdefault")
        ):
            found.add(n.func.value)
    return {v.id for v in found if isinstance(v, ast.Name)}


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
