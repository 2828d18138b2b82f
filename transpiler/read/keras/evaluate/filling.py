"""Which lists the body of a loop fills, and in what way it does."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from transpiler.ir.program import Value
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.effects import Snapshot
from transpiler.read.keras.evaluate.gathered import Gathered
from transpiler.read.keras.evaluate.staging import StageError
from transpiler.read.keras.evaluate.syntax import MUTATING
from transpiler.read.keras.evaluate.values import Env


class Filling(list):  # type: ignore[type-arg]
    """A list while the body of the loop that fills it is evaluated: the functions that the body calls must not read it."""


@dataclass(eq=False)
class Filled:
    """A list that a loop fills: what is in it before, tensors or an open list, and whether each item goes to its front."""

    before: Any
    front: bool


def filling(statement: ast.stmt) -> tuple[str, bool, ast.AST] | None:
    """The list that a statement puts one item into, whether at its front, and the node that does it."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        call = statement.value
        owner = call.func.value if isinstance(call.func, ast.Attribute) else None
        if isinstance(owner, ast.Name) and not call.keywords:
            method, args = call.func.attr, call.args  # type: ignore[attr-defined]
            if method == "append" and len(args) == 1 or method == "extend" and len(args) == 1 and _one_item(args[0]):
                return owner.id, False, call
            if method == "insert" and len(args) == 2 and isinstance(args[0], ast.Constant) and args[0].value == 0:
                return owner.id, True, call
    if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Add) and _one_item(statement.value):
        return (statement.target.id, False, statement) if isinstance(statement.target, ast.Name) else None
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, value = statement.targets[0], statement.value
        if isinstance(target, ast.Name) and isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
            for old, new, front in ((value.left, value.right, False), (value.right, value.left, True)):
                if isinstance(old, ast.Name) and old.id == target.id and _one_item(new):
                    return target.id, front, statement
    return None


def _one_item(node: ast.expr) -> bool:
    return isinstance(node, ast.List) and len(node.elts) == 1 and not isinstance(node.elts[0], ast.Starred)


def filled_lists(
    body: list[ast.stmt], env: Env, scopes: Iterable[Env], drained: Collection[str] = ()
) -> dict[str, Filled]:
    """The lists around a loop into which each iteration puts one tensor, and which it does not use otherwise.

    Raises StageError where the body changes a list, dict or set around it in any other way, and where something else
    that is reached from `env` or from `scopes`, those of the calls under way, holds the list as well. The lists
    `drained` change in a way that is known.
    """
    uses = Counter(n.id for s in body for n in nodes(s) if isinstance(n, ast.Name))
    found: dict[str, Filled] = {}
    known: set[int] = set()
    for statement in body:
        fill = filling(statement)
        if fill is None:
            continue
        name, front, node = fill
        before = env.names.get(name)
        own = Counter(n.id for n in nodes(statement) if isinstance(n, ast.Name))[name]
        if uses[name] == own and (
            isinstance(before, Gathered) or type(before) is list and all(isinstance(x, Value) for x in before)
        ):
            found[name] = Filled(before, front)
            known.add(id(node))
    known |= {id(n) for s in body for n in nodes(s) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and isinstance(n.func.value, ast.Name) and n.func.value.id in drained}  # fmt: skip
    if mutates_containers(body, env, known):
        raise StageError("the loop fills a list")
    held = Snapshot(env, scopes=scopes).references if found or drained else Counter()
    if any(held[id(env.names[n])] > 1 for n in (*found, *drained)):
        raise StageError("the loop fills a list that has two names")
    return found


def mutates_containers(body: list[ast.stmt], env: Env, known: Collection[int] = ()) -> bool:
    """Whether the body changes a list, dict or set that lives outside it, other than by the nodes `known` by id."""
    for statement in body:
        for node in nodes(statement):
            if id(node) in known:
                continue
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATING:
                owner = node.func.value
                if isinstance(owner, ast.Name) and isinstance(env.names.get(owner.id), (list, dict, set, Gathered)):
                    return True
            if isinstance(node, (ast.Assign, ast.AugAssign)):
                for t in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(t, ast.Subscript):
                        return True
                    if (
                        isinstance(node, ast.AugAssign)
                        and isinstance(t, ast.Name)
                        and isinstance(env.names.get(t.id), (list, Gathered))
                    ):
                        return True
    return False
