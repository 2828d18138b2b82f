"""Branches and loops that make layers, and go by what only the data or the command line know: `if args.mse:`, `range(args.depth)`.

In the plain evaluation what is asked for gets a value that stands for it; the staged one makes it a parameter of the class, and the
branch or the loop is one on a parameter, as in a builder.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

from transpiler.ir.model import ApiValue
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.api import MODEL_CLASSES
from transpiler.read.keras.evaluate.run_time import RunTime, name_of
from transpiler.read.keras.evaluate.values import Class, Env, Function, Model, Module
from transpiler.read.keras.examples import likely_value

COUNTED = ("range", "len", "int", "float", "bool", "min", "max")
"""Functions of numbers that stay what they are."""
MAKING = ("keras.layers.", "keras.models.", "keras.applications.", "keras.engine.")
MOST_ROUNDS = 4
"""The most rounds of such a loop that are evaluated."""


class OpenDecisions:
    """The part of the interpreter that decides by such values."""

    made_up: dict[str, Any]
    open_choices: set[ast.AST]
    """The branches and loops that were decided so."""

    def choice(self, value: Any, node: ast.If | ast.For | ast.IfExp, env: Env) -> Any:
        """The test of a branch or the items of a loop, where layers are made there and the value is that of plain variables."""
        if not isinstance(value, RunTime):
            return value
        asked = node.iter if isinstance(node, ast.For) else node.test
        bodies: Sequence[ast.AST] = (
            [node.body, node.orelse] if isinstance(node, ast.IfExp) else [*node.body, *node.orelse]
        )
        if not is_plain(asked) or not any(makes_layers(b, env, set()) for b in bodies):
            return value
        self.open_choices.add(node)
        names: dict[str, Any] = {}
        renamed = self.with_values(asked, env, names, None if isinstance(node, ast.For) else True)
        scope = Env(env, "comprehension", env.module)
        scope.names |= names
        if isinstance(node, ast.For):
            return self.eval(renamed, scope)  # type: ignore[attr-defined]
        return self.eval_test(renamed, scope)  # type: ignore[attr-defined]

    def with_values(self, node: ast.expr, env: Env, names: dict[str, Any], likely: Any) -> ast.expr:
        """An expression with variables for what is known when the program runs; `likely` is what stands for the whole."""
        if isinstance(node, ast.Constant):
            return node
        if isinstance(node, ast.BoolOp):
            return ast.copy_location(
                ast.BoolOp(node.op, [self.with_values(v, env, names, likely) for v in node.values]), node
            )
        if isinstance(node, ast.UnaryOp):
            return ast.copy_location(ast.UnaryOp(node.op, self.with_values(node.operand, env, names, likely)), node)
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
            known = [p.value for p in parts if isinstance(p, ast.Constant)]
            above = isinstance(node.ops[0], (ast.Gt, ast.GtE)) and known and isinstance(known[0], int)
            seen = known[0] + 1 if above else known[0] if known else likely
            own = [self.with_values(p, env, names, seen) for p in parts]
            return ast.copy_location(ast.Compare(own[0], node.ops, own[1:]), node)
        if isinstance(node, ast.BinOp):
            sides = [self.with_values(v, env, names, None) for v in (node.left, node.right)]
            return ast.copy_location(ast.BinOp(sides[0], node.op, sides[1]), node)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "range":
            given = [self.with_values(a, env, names, 2) for a in node.args]
            return ast.copy_location(ast.Call(node.func, given, []), node)
        value = self.eval(node, env)  # type: ignore[attr-defined]
        if isinstance(value, RunTime):
            value = self.number_for(value, likely)
        name = f"__value{len(names)}"
        names[name] = value
        return ast.copy_location(ast.Name(name, ast.Load()), node)

    def number_for(self, value: RunTime, likely: Any) -> Any:
        """What stands for a value that decides: what it is compared with, else what its name says."""
        first = value.first()
        if first.text not in self.made_up and first.parts is None:
            found = likely_value([name_of(value.code), name_of(first.code)], likely)
            fits = likely is None or type(found) is type(likely) and not isinstance(likely, str)
            found = found if fits else likely
            self.made_up[first.text] = min(found, MOST_ROUNDS) if type(likely) is int and type(found) is int else found
        return self.at_run_time(value)  # type: ignore[attr-defined]


def is_plain(node: ast.expr) -> bool:
    """Whether an expression is made of variables, their attributes and items, numbers and texts."""
    if isinstance(node, ast.Call):
        return (
            isinstance(node.func, ast.Name)
            and node.func.id in COUNTED
            and not node.keywords
            and all(map(is_plain, node.args))
        )
    if isinstance(node, ast.Compare) and any(isinstance(o, (ast.Is, ast.IsNot)) for o in node.ops):
        return False
    if isinstance(node, (ast.Name, ast.Constant)):
        return True
    if isinstance(node, (ast.Attribute, ast.Subscript)):
        return is_plain(node.value) and (isinstance(node, ast.Attribute) or isinstance(node.slice, ast.Constant))
    parts = [n for n in ast.iter_child_nodes(node) if isinstance(n, ast.expr)]
    return isinstance(node, (ast.BoolOp, ast.UnaryOp, ast.Compare, ast.BinOp)) and all(map(is_plain, parts))


def makes_layers(node: ast.AST, env: Env, seen: set[ast.AST]) -> bool:
    """Whether code calls layers or models of Keras, or functions of the program that do."""
    for call in nodes(node):
        if not isinstance(call, ast.Call):
            continue
        value = value_at(call.func, env)
        if isinstance(value, ApiValue) and (
            value.path.startswith(MAKING) or value.leaf in (*MODEL_CLASSES, "Sequential", "Input")
        ):
            return True
        if (
            isinstance(call.func, ast.Attribute)
            and call.func.attr == "add"
            and isinstance(value_at(call.func.value, env), Model)
        ):
            return True
        if isinstance(value, (Function, Class)) and value.node not in seen:
            seen.add(value.node)
            if any(makes_layers(s, value.env, seen) for s in body_of(value)):
                return True
    return False


def body_of(value: Function | Class) -> Iterator[ast.AST]:
    body = value.node.body
    yield from body if isinstance(body, list) else [body]


def value_at(node: ast.expr, env: Env) -> Any:
    """The value of a dotted name, without evaluating anything; None if it is not known."""
    if isinstance(node, ast.Name):
        scope = env.scope_of(node.id)
        return scope.names[node.id] if scope is not None else None
    if isinstance(node, ast.Attribute):
        owner = value_at(node.value, env)
        if isinstance(owner, Module):
            return owner.names.get(node.attr)
        return ApiValue(f"{owner.path}.{node.attr}") if isinstance(owner, ApiValue) else None
    return None
