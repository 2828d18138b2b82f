"""What is known of tests: their opposites, and what follows where one of them held or did not."""

from __future__ import annotations

import ast

OPPOSITES: dict[type, type[ast.cmpop]] = {
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}

NEGATIVE = (ast.IsNot, ast.NotEq, ast.NotIn)


def opposite(test: ast.expr) -> ast.expr:
    """The expression for `not test`."""
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and type(test.ops[0]) in OPPOSITES:
        return ast.Compare(test.left, [OPPOSITES[type(test.ops[0])]()], test.comparators)
    return ast.UnaryOp(ast.Not(), test)


def fact(test: ast.expr, outcome: bool) -> tuple[str, bool]:
    """A test in one normal form for itself and its negation, and the outcome in that form."""
    while isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        test, outcome = test.operand, not outcome
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], NEGATIVE):
        test, outcome = opposite(test), not outcome
    return ast.dump(test), outcome


def facts_of(test: ast.expr, outcome: bool) -> list[tuple[str, bool]]:
    """What is known where a test has this outcome: also each part of an `and` that holds, and of an `or` that does not."""
    while isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        test, outcome = test.operand, not outcome
    parts = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) is outcome else []
    return [fact(test, outcome), *(found for part in parts for found in facts_of(part, outcome))]
