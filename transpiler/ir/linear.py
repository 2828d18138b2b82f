"""Sums of static terms: whether two sizes or indices that are written differently are the same number."""

from __future__ import annotations

import ast
import itertools
from typing import Any

from transpiler.ir.expr import Sym, to_ast

TIMES = " × "

Linear = dict[str, int]
"""How often each term, a product of factors in alphabetical order, is in a sum; the number itself stands under ""."""


def linear(value: Any) -> Linear:
    """An integer expression as a sum of terms."""
    return _sum(to_ast(value))


def _sum(node: ast.expr) -> Linear:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return {"": node.value} if node.value else {}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return times(_sum(node.operand), -1)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
        return plus(_sum(node.left), times(_sum(node.right), 1 if isinstance(node.op, ast.Add) else -1))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return _product(_sum(node.left), _sum(node.right))
    return {ast.unparse(node): 1}


def _product(a: Linear, b: Linear) -> Linear:
    total: Linear = {}
    for (left, m), (right, n) in itertools.product(a.items(), b.items()):
        factors = sorted(f for term in (left, right) for f in term.split(TIMES) if f)
        total = plus(total, {TIMES.join(factors): m * n})
    return total


def plus(a: Linear, b: Linear) -> Linear:
    total = {term: a.get(term, 0) + b.get(term, 0) for term in {**a, **b}}
    return {term: n for term, n in total.items() if n}


def times(a: Linear, factor: int) -> Linear:
    return {term: n * factor for term, n in a.items() if n * factor}


def equal(a: Any, b: Any) -> bool:
    """Whether two integers are surely the same in every run."""
    return linear(a) == linear(b)


def counted(iterable: Any) -> tuple[Linear, Linear, Any] | None:
    """What a loop over a range binds at its p-th item, as (constant, factor of p), and how many items there are.

    None for what is not `range(n)`, `reversed(range(n))` or `range(n - 1, -1, -1)`.
    """
    node = to_ast(iterable) if isinstance(iterable, (Sym, range)) else None
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
        return None
    if node.func.id == "reversed" and len(node.args) == 1:
        inner = counted(Sym(node.args[0]))
        if inner is None or inner[1] != {"": 1}:
            return None
        return plus(linear(inner[2]), {"": -1}), {"": -1}, inner[2]
    if node.func.id != "range":
        return None
    if len(node.args) == 1:
        return {}, {"": 1}, Sym(node.args[0], integer=True)
    if len(node.args) == 3 and [_sum(a) for a in node.args[1:]] == [{"": -1}, {"": -1}]:
        count = Sym(node.args[0], integer=True) + 1
        return _sum(node.args[0]), {"": -1}, count
    return None
