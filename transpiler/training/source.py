"""Expressions of the source as values of rules: those that read the same where the result writes them."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import MISSING, Sym
from transpiler.ir.model import ApiObject
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.training_calls import TrainingCall
from transpiler.read.keras.evaluate.values import Unknown
from transpiler.read.keras.parse import SourceModule
from transpiler.rules.base import show
from transpiler.rules.training.base import TRAINING

FILES = ("filepath", "filename", "log_dir", "backup_dir")
"""Arguments that name files: these stay as they are written."""
FIRST_FILES = {
    "ModelCheckpoint": "filepath",
    "CSVLogger": "filename",
    "TensorBoard": "log_dir",
    "BackupAndRestore": "backup_dir",
}
"""Classes whose first argument is one of them."""

Scope = ast.AST | None
"""A function of the source; None for the top level of a file."""


class Scopes:
    """The scopes of a file: which statement and expression stands in which function, and how often names are bound."""

    def __init__(self, source: SourceModule) -> None:
        self.source = source
        self.scope: dict[ast.AST, Scope] = {}
        self.statement: dict[ast.AST, ast.stmt] = {}
        self.bound: dict[tuple[Scope, str], int] = {}
        self.declared: dict[Scope, set[str]] = {}
        """Functions → the names of the top level that they bind (`global`)."""
        for statement in source.tree.body:
            self._enter(statement, None, statement)

    def _enter(self, node: ast.AST, scope: Scope, statement: ast.stmt) -> None:
        self.scope[node] = scope
        self.statement[node] = statement
        if isinstance(node, ast.Global):
            self.declared.setdefault(scope, set()).update(node.names)
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            own = None if node.id in self.declared.get(scope, ()) else scope
            self.bound[own, node.id] = self.bound.get((own, node.id), 0) + 1
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            a = node.args
            for p in (*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))):
                self.bound[node, p.arg] = self.bound.get((node, p.arg), 0) + 1
            scope = node
        for child in ast.iter_child_nodes(node):
            self._enter(child, scope, child if isinstance(child, ast.stmt) else statement)

    def bound_by(self, statement: ast.stmt) -> frozenset[str]:
        """The variables of the top level that a statement of it binds."""
        found = {
            n.id
            for n in nodes(statement)
            if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load) and self.scope[n] is None
        }
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            found = {statement.name}
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            found = {a.asname or a.name.partition(".")[0] for a in statement.names}
        return frozenset(found)

    def names_at(self, place: ast.AST) -> frozenset[str]:
        """The names that mean something at a place, or would if its scope bound them."""
        own = self.scope[place]
        found = {name for scope, name in self.bound if scope is own or scope is None}
        for node, scope in self.scope.items():
            if isinstance(node, ast.Name) and (scope is own or (scope, node.id) not in self.bound):
                found.add(node.id)
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and scope in (None, own):
                found.add(node.name)
            elif isinstance(node, ast.alias):
                found.add(node.asname or node.name.partition(".")[0])
        return frozenset(found)

    def reads_alike(self, expression: ast.expr, place: ast.AST) -> bool:
        """Whether an expression surely has the same value at another place: names that are bound once, no calls."""
        if expression not in self.scope:  # of another file
            return False
        scope, there = self.reading_scope(expression), self.scope.get(place)
        if scope is not None and scope is not there:
            return self.of_one_object(expression, scope, there)
        for node in nodes(expression):
            if isinstance(node, (ast.Await, ast.Lambda, ast.NamedExpr)):
                return False
            if isinstance(node, ast.Call) and not makes_path(node):
                return False
            name = node.id if isinstance(node, ast.Name) else ""
            if self.bound.get((scope, name), 0) > 1 or there is not scope and (there, name) in self.bound:
                return False
        return True

    def reading_scope(self, expression: ast.expr) -> Scope:
        """The scope of an expression, or the top level where it reads none of the variables of functions around it."""
        scope: Scope = self.scope[expression]
        names = [n.id for n in nodes(expression) if isinstance(n, ast.Name)]
        around = scope
        while around is not None and not any((around, n) in self.bound for n in names):
            around = self.scope[around]
        return scope if around is not None else None

    def at(self, node: ast.expr, place: ast.AST) -> ast.expr | None:
        """An expression as it is written at another place; None where it may have another value there."""
        return node if self.reads_alike(node, place) else None

    def statements(self) -> list[ast.stmt]:
        """All statements, in the order of the source."""
        return list(dict.fromkeys(self.statement.values()))

    def of_one_object(self, expression: ast.expr, scope: Scope, there: Scope) -> bool:
        """Whether an expression of one method has nothing but attributes that are set once, and another is of the same class."""
        classes = [c for c in self.scope if isinstance(c, ast.ClassDef)]
        methods = {c: [f for f in c.body if f in (scope, there)] for c in classes}
        own, both = next(((c, m) for c, m in methods.items() if len(m) == 2), (None, []))
        first = {f.args.args[0].arg if f.args.args else "" for f in both}  # type: ignore[attr-defined]
        if own is None or len(first) != 1 or "" in first:
            return False
        named = {c: {c.name, *map(ast.unparse, c.bases)} - {"object"} for c in classes}
        family = named[own]
        while more := [c for c in classes if named[c] & family and not named[c] <= family]:
            family = family.union(*(named[c] for c in more))
        others = {n for c in classes if not family & named[c] for n in nodes(c)}
        stored = [
            n.attr
            for n in self.scope
            if isinstance(n, ast.Attribute)
            and not isinstance(n.ctx, ast.Load)
            and not (n in others and isinstance(n.value, ast.Name) and n.value.id == "self")
        ]
        plain = (
            ast.Attribute,
            ast.Name,
            ast.Constant,
            ast.BinOp,
            ast.UnaryOp,
            ast.operator,
            ast.unaryop,
            ast.expr_context,
        )
        inside = list(nodes(expression))
        held = {n.value for n in inside if isinstance(n, ast.Attribute) and stored.count(n.attr) == 1}
        return all(
            isinstance(n, plain) and (not isinstance(n, ast.Name) or n.id in first and n in held) for n in inside
        )

    def condition(self, node: ast.AST, place: ast.AST) -> str:
        """The test of the only `if` around an expression, where it means the same at a place in the same scope; else ""."""
        around = [s for s in self.statements() if isinstance(s, (ast.If, ast.For, ast.While, ast.Try))]
        around = [
            s for s in around if self.scope[s] is self.scope[place] and node in nodes(s) and place not in nodes(s)
        ]
        test = around[0].test if len(around) == 1 and isinstance(around[0], ast.If) else None
        inside = test is not None and any(node in nodes(s) for s in around[0].body)  # type: ignore[attr-defined]
        return ast.unparse(test) if test is not None and inside and self.reads_alike(test, place) else ""

    def written_out(self, name: ast.expr, place: ast.AST) -> dict[str, ast.expr] | None:
        """The items of a dictionary that a variable was once set to and that nothing can have changed since."""
        scope = self.scope.get(place)
        if not isinstance(name, ast.Name) or self.bound.get((scope, name.id)) != 1:
            return None
        used = [n for n in self.scope if isinstance(n, ast.Name) and n.id == name.id and isinstance(n.ctx, ast.Load)]
        passed = {k.value for n in self.scope if isinstance(n, ast.Call) for k in n.keywords if k.arg is None}
        values = [
            s.value
            for s in self.statements()
            if isinstance(s, ast.Assign) and self.scope[s] is scope and ast.unparse(s.targets[0]) == name.id
        ]
        items = items_of(values[0]) if len(values) == 1 and all(n in passed for n in used) else None
        return items if items is not None and all(self.reads_alike(v, place) for v in items.values()) else None


def items_of(node: ast.expr) -> dict[str, ast.expr] | None:
    """The items of a dictionary that is written out: `{"a": 1}`, `dict(a=1)`."""
    if isinstance(node, ast.Dict):
        keys = [k.value if isinstance(k, ast.Constant) else None for k in node.keys]
        return dict(zip(keys, node.values)) if all(isinstance(k, str) for k in keys) else None  # type: ignore[arg-type]
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "dict" and not node.args:
        return {k.arg: k.value for k in node.keywords if k.arg} if all(k.arg for k in node.keywords) else None
    return None


def makes_path(node: ast.Call) -> bool:
    """Whether a call joins or formats text."""
    text = ast.unparse(node.func)
    return text.startswith("os.path.") or text.endswith(".format") or text in ("str", "Path", "pathlib.Path")


def value_at(value: Any, node: ast.expr | None, place: ast.AST, scopes: Scopes, name: str = "") -> Any:
    """A value as the result has it at a place: as it stands in the source, where that is the same; else as it is.

    Raises Declined for one that is only known when the program runs and cannot be repeated there.
    """
    again = scopes.at(node, place) if node is not None and not isinstance(node, ast.Constant) else None
    plain = isinstance(value, (int, float)) and not isinstance(value, bool) or name in FILES
    if again is not None and plain and any(isinstance(n, ast.Name) for n in nodes(again)):
        return Sym(again, value)
    if isinstance(value, Unknown):
        if again is not None:
            return Sym(again, MISSING)
        raise Declined(TRAINING, f"{ast.unparse(node) if node is not None else 'an argument'} cannot be evaluated")
    return value


def object_at(value: ApiObject, place: ast.AST, scopes: Scopes, call: TrainingCall) -> ApiObject:
    """An object of Keras with its arguments as `value_at` has them."""
    node = call.objects.get(value)
    if node is None:
        return value
    positional = [n for n in node.args if not isinstance(n, ast.Starred)]
    if len(positional) != len(value.args):
        positional = [None] * len(value.args)  # type: ignore[list-item]
    named: Mapping[str | None, ast.expr] = {k.arg: k.value for k in node.keywords}
    first = FIRST_FILES.get(value.leaf, "")
    args = [
        argument_at(v, n, place, scopes, call, "" if i else first)
        for i, (v, n) in enumerate(zip(value.args, positional))
    ]
    kwargs = {k: argument_at(v, named.get(k), place, scopes, call, k) for k, v in value.kwargs.items()}
    return ApiObject(value.api, tuple(args), kwargs)


def argument_at(
    value: Any, node: ast.expr | None, place: ast.AST, scopes: Scopes, call: TrainingCall, name: str = ""
) -> Any:
    """An argument as the result has it at a place; an object of Keras with its own arguments so."""
    if isinstance(value, ApiObject):
        return object_at(value, place, scopes, call)
    return value_at(value, node, place, scopes, name)


def known_here(call: TrainingCall, name: str, default: Any) -> Any:
    """An argument that decides what is written. Raises Declined if it cannot be evaluated."""
    value = call.arguments.get(name, default)
    if isinstance(value, Unknown):
        raise Declined(TRAINING, f"{call.method}({name}=…) cannot be evaluated: {value.reason}")
    return value


__all__ = ["Scopes", "argument_at", "known_here", "object_at", "show", "value_at"]
