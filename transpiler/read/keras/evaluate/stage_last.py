"""Loops whose last iteration is another one than those before: it is parted from them.

`for i in range(n)` with `return_sequences=i < n - 1` becomes a loop over `range(n - 1)`, and what the source does once more
for `i = n - 1`.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import MISSING, NeedsConstant, Sym, observe, surely_int, to_ast
from transpiler.ir.linear import Linear, linear, plus, times
from transpiler.ir.program import Block, Static
from transpiler.ir.trees import variables_in
from transpiler.read.keras.evaluate.gathered import called, length_of
from transpiler.read.keras.evaluate.signals import Signal
from transpiler.read.keras.evaluate.staging import number_of
from transpiler.read.keras.evaluate.values import Env

MIRRORED: dict[type, type] = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE, ast.Eq: ast.Eq, ast.NotEq: ast.NotEq}  # fmt: skip
"""A comparison → the one that says the same with its sides exchanged."""

OPERATIONS = {ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq, ast.NotEq: operator.ne}  # fmt: skip
FOR_ALL: dict[type, Callable[[int], tuple[bool, bool]]] = {
    ast.Lt: lambda most: (most < 0, True),
    ast.LtE: lambda most: (most <= 0, True),
    ast.Gt: lambda most: (most <= 0, False),
    ast.GtE: lambda most: (most < 0, False),
    ast.Eq: lambda most: (most < 0, False),
    ast.NotEq: lambda most: (most < 0, True),
}
"""A comparison of a number with 0 → whether it has one outcome for all numbers up to `most`, and which."""


class StagedLast:
    """The part of the stager that knows how far the counter of a loop goes."""

    most: dict[str, Linear]
    """A loop's counter → the largest value that it has."""

    def compare(self, op: ast.cmpop, left: Any, right: Any) -> Any:
        found = super().compare(op, left, right)  # type: ignore[misc]
        if isinstance(found, Sym) and isinstance(found.expr, ast.Compare):
            if surely_int(left) or surely_int(right):
                exact = plus(linear(left), times(linear(right), -1))
                if exact.keys() <= {""} and type(op) in MIRRORED:
                    return bool(OPERATIONS[type(op)](exact.get("", 0), 0))
            for counter in found.names() & self.most.keys():
                outcome = decided(found.expr, counter, self.most[counter])
                if outcome is not MISSING:
                    return outcome
        return found

    def note_counter(self, target: Any, iterable: Any) -> None:
        counter, last = (target[0] if isinstance(target, tuple) else target), last_index(iterable)
        if last is not None and isinstance(counter, Sym):
            self.most[counter.code] = last

    def last_differs(self, error: Exception, body: Block, iterable: Any, began: int) -> bool:
        """Whether a decision in the body of a loop is known for all iterations but the last, and for that one."""
        last = last_index(iterable)
        if last is None or not isinstance(error, NeedsConstant):
            return False
        tests = [n for n in self.behind(error.sym, body) if isinstance(n, ast.Compare)]  # type: ignore[attr-defined]
        return any(
            decided(test, counter, last) is MISSING and decided(test, counter, plus(last, {"": -1})) is not MISSING
            for test in tests
            for counter in variables_in(test) & self.most.keys()
            if number_of(counter) > began
        )

    def last_apart(self, node: ast.For, iterable: Sym, env: Env) -> Signal | None:
        """A loop over all items but the last, and one more iteration for that. The result raises where there is none."""
        count = length_of(iterable)
        some = Sym(ast.Compare(to_ast(count), [ast.Gt()], [ast.Constant(0)]), bool(iterable.witness))
        if self.truth(some) is not True:  # type: ignore[attr-defined]
            message = "a loop without an iteration is not translated"
            declined = Declined("K2T302", message, "", self.where())  # type: ignore[attr-defined]
            self.raise_unless(some, Static(self.decline_side(declined)))  # type: ignore[attr-defined]
        others, last = parted(iterable, count)
        self.loop(node, others, env)  # type: ignore[attr-defined]
        self.assign_target(node.target, last, env)  # type: ignore[attr-defined]
        return self.exec_block(node.body, env)  # type: ignore[attr-defined]


def function_of(iterable: Any) -> tuple[str, list[ast.expr]]:
    """The name and the arguments of `range(n)`, `range(a, n)` or `enumerate(xs)`; "" for what is none of these."""
    node = to_ast(iterable) if isinstance(iterable, (Sym, range)) else None
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.keywords:
        return "", []
    known = (node.func.id, len(node.args)) in (("range", 1), ("range", 2), ("enumerate", 1))
    return (node.func.id, node.args) if known else ("", [])


def last_index(iterable: Any) -> Linear | None:
    """What the counter of a loop is in the last iteration; None for what does not count up."""
    name, args = function_of(iterable)
    if not name:
        return None
    if name == "range":
        return plus(linear(args[0] if len(args) == 1 else args[1]), {"": -1})
    items, left_out = args[0], 0
    while isinstance(items, ast.Subscript) and ast.unparse(items.slice) == ":-1":
        items, left_out = items.value, left_out + 1
    return plus(linear(called("len", items)), {"": -1 - left_out})


def parted(iterable: Sym, count: Any) -> tuple[Sym, Any]:
    """All items but the last, and the last one. That the others were seen to be none is not said: they may be."""
    name, args = function_of(iterable)
    seen = list(iterable.witness)
    before = seen[:-1] or seen
    if name == "range":
        last = Sym(args[-1], observe(lambda w: w[-1] + 1, iterable), True) - 1
        return Sym(ast.Call(ast.Name(name, ast.Load()), [*args[:-1], to_ast(last)], []), before), last
    items = Sym(args[0], [x for _, x in seen])
    sliced = Sym(ast.Subscript(items.expr, ast.Slice(None, to_ast(-1)), ast.Load()), [x for _, x in before])
    return called(name, sliced, witness=before), (count - 1, items[-1])


def decided(test: ast.Compare, counter: str, most: Linear) -> Any:
    """The outcome of a comparison for all values of `counter` up to `most`; MISSING if there are two."""
    op = type(test.ops[0])
    if len(test.ops) != 1 or op not in MIRRORED:
        return MISSING
    difference = plus(linear(test.left), times(linear(test.comparators[0]), -1))
    if difference.get(counter) == -1:
        difference, op = times(difference, -1), MIRRORED[op]
    if difference.get(counter) != 1:
        return MISSING
    bound = plus({t: n for t, n in difference.items() if t != counter}, most)
    if not bound.keys() <= {""}:
        return MISSING
    holds, outcome = FOR_ALL[op](bound.get("", 0))
    return outcome if holds else MISSING
