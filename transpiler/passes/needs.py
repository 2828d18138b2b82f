"""When tensors lead to the results of a model, whichever classes its functions became."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Collection, Iterable
from functools import reduce
from typing import Any

from transpiler.ir.expr import MISSING, Sym, constant_value, is_open, to_ast
from transpiler.ir.facts import fact, opposite
from transpiler.ir.liveness import results_of, uses_of
from transpiler.ir.program import (
    Block,
    Branch,
    Construction,
    ForLoop,
    Let,
    Loop,
    ModuleClass,
    Return,
    Static,
    Value,
    tensors,
)
from transpiler.ir.statics import bound_names
from transpiler.ir.trees import variables_in, with_names
from transpiler.passes.structure import called_class

Condition = frozenset[frozenset[tuple[str, bool]]]
"""Where all tests of one of these sets have these outcomes; tests as `facts.fact` writes them."""

NEVER: Condition = frozenset()
ALWAYS: Condition = frozenset({frozenset()})
MAX_WAYS = 32
"""Most sets of outcomes that are told apart; what has more counts as needed."""


def either(a: Condition, b: Condition) -> Condition:
    """Where one of two conditions holds."""
    ways = set(a | b)
    while True:
        joined = {x - {way} for x in ways for way in x if (x - {way}) | {(way[0], not way[1])} in ways}
        if joined <= ways:
            break
        ways |= joined
    least = frozenset(x for x in ways if not any(y < x for y in ways))
    return least if len(least) <= MAX_WAYS else ALWAYS


def both(a: Condition, b: Condition) -> Condition:
    """Where two conditions hold."""
    ways = (x | y for x in a for y in b)
    return either(
        frozenset(x for x in ways if all(known(t, x - {(t, outcome)}) in (outcome, None) for t, outcome in x)), NEVER
    )


def negated(condition: Condition) -> Condition:
    """Where a condition does not hold."""
    sides = [frozenset(frozenset({(test, not outcome)}) for test, outcome in way) for way in condition]
    return reduce(both, sides, ALWAYS)


def holds(condition: Condition, where: Condition = ALWAYS) -> bool:
    """Whether one condition holds wherever another does."""
    return all(_is_certain(under(condition, way)) for way in where)


def _is_certain(condition: Condition) -> bool:
    if condition in (ALWAYS, NEVER):
        return condition == ALWAYS
    test, _ = next(iter(next(iter(condition))))
    return all(_is_certain(under(condition, [(test, outcome)])) for outcome in (True, False))


def under(condition: Condition, facts: Iterable[tuple[str, bool]]) -> Condition:
    """What is left of a condition where tests are known to have had these outcomes."""
    facts = set(facts)
    possible = (x for x in condition if all(known(test, facts) in (outcome, None) for test, outcome in x))
    return either(frozenset(frozenset(t for t in x if known(t[0], facts) is None) for x in possible), NEVER)


def known(test: str, facts: Collection[tuple[str, bool]]) -> bool | None:
    """The outcome of a test where those of others are known: what is equal to one constant is not equal to another."""
    found = equality(test)
    for other, outcome in facts:
        if other == test:
            return outcome
        if outcome and found is not None:
            same = equality(other)
            if same is not None and same[0] == found[0] and same[1] != found[1]:
                return False
    return None


LITERAL = r"""True|False|None|\d[\w.+-]*|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
EQUALITY = re.compile(rf"Compare\(left=(.*), ops=\[(?:Eq|Is)\(\)\], comparators=\[Constant\(value=({LITERAL})\)\]\)")


@functools.lru_cache(maxsize=4096)
def equality(test: str) -> tuple[str, Any] | None:
    """What a test compares with a constant, and the constant."""
    parts = EQUALITY.fullmatch(test)
    return (parts[1], ast.literal_eval(parts[2])) if parts is not None else None


def add_need(found: dict[Value, Condition], values: Iterable[Value], when: Condition) -> None:
    """Notes that tensors are needed where a condition holds, too."""
    for x in values:
        found[x] = either(found.get(x, NEVER), when)


class Needs:
    """When the tensors of one class are needed. `others` has the same of the classes it constructs, and gets more."""

    def __init__(self, cls: ModuleClass, others: dict[ModuleClass, Needs]) -> None:
        self.cls, self.others = cls, others
        self.tests: dict[str, Sym] = {}
        self.branches: dict[str, set[ast.AST]] = {}
        """Tests → the branches of the source that they decide."""
        self.results = [x for op in cls.block.ops if isinstance(op, Return) for x in uses_of(op)]
        self.inputs: list[list[Condition]] = [[ALWAYS] * len(cls.inputs) for _ in self.results]
        """For each result, when it needs each of the inputs."""
        top = [op.name for op in cls.block.ops if isinstance(op, Let)]
        self.changing = bound_names(cls.block) - {name for name in top if top.count(name) == 1}
        """Static variables that branches and loops assign: what tests of them say follows from other tests."""
        others[cls] = self
        found = []
        for result in self.results:
            needed = {result: ALWAYS}
            self._walk(Block([op for op in cls.block.ops if not isinstance(op, Return)]), needed)
            found.append([needed.get(x, NEVER) for x in cls.inputs])
        self.inputs = found
        self.needed: dict[Value, Condition] = {}
        """When each tensor is needed, if all results are."""
        self._walk(self.cls.block, self.needed)

    def deciding(self, condition: Condition) -> set[ast.AST]:
        """The branches of the source whose tests a condition is about."""
        return {branch for way in condition for code, _ in way for branch in self.branches[code]}

    def of_class(self, cls: ModuleClass) -> Needs:
        return self.others[cls] if cls in self.others else Needs(cls, self.others)

    def _walk(self, block: Block, found: dict[Value, Condition]) -> None:
        """Follows the operations of a block from its end; `found` has what is needed so far, and gets the rest."""

        def need(values: Iterable[Value], when: Condition) -> None:
            add_need(found, values, when)

        for op in reversed(block.ops):
            own = reduce(either, (found.get(x, NEVER) for x in results_of(op)), NEVER)
            if isinstance(op, Return):
                need(uses_of(op), ALWAYS)
            elif own == NEVER:
                continue
            elif isinstance(op, Branch):
                for position, side, outcome in ((1, op.then, True), (2, op.otherwise, False)):
                    is_open = op.by_mode or op.taken is not None  # items of lists are for `check_taken`
                    when = ALWAYS if is_open else self.outcome(op.test, outcome, [op.node])
                    for phi in op.phis:
                        need([phi[position]], both(found.get(phi[0], NEVER), when))
                    self._walk(side, found)
            elif isinstance(op, (Loop, ForLoop)):
                self._walk_loop(op, found)
            elif (made := called_class(op)) is not None:
                for result, conditions in zip(op.results, self.of_class(made.cls).inputs):
                    for x, condition in zip(op.args, conditions):
                        need([x], both(found.get(result, NEVER), self.outside(condition, made)))
            else:
                need(uses_of(op), own)

    def _walk_loop(self, loop: Loop | ForLoop, found: dict[Value, Condition]) -> None:
        while True:
            before = [found.get(start, NEVER) for _, start, _, _ in loop.carried]
            for initial, start, end, result in loop.carried:
                when = either(found.get(start, NEVER), found.get(result, NEVER))
                add_need(found, [initial, end], when)
            for series, item, initial in loop.gathered:
                add_need(found, [item, *tensors(initial)], found.get(series, NEVER))
            self._walk(loop.body, found)
            for series, item, _ in loop.zipped:
                add_need(found, [series], found.get(item, NEVER))
            if before == [found.get(start, NEVER) for _, start, _, _ in loop.carried]:
                break

    def outcome(self, test: Any, outcome: bool, branches: Iterable[ast.AST | None]) -> Condition:
        """The condition that the test of these branches has an outcome."""
        if not isinstance(test, Sym):
            return ALWAYS if bool(test) is outcome else NEVER
        if not self.changing.isdisjoint(test.names()):
            return ALWAYS if not self.cls.root or test.witness in (MISSING, outcome) else NEVER
        return self._outcome(test.expr, outcome, [b for b in branches if b is not None])

    def _outcome(self, test: ast.expr, outcome: bool, branches: Collection[ast.AST]) -> Condition:
        if isinstance(test, ast.BoolOp):
            parts = [self._outcome(part, outcome, branches) for part in test.values]
            return reduce(both if isinstance(test.op, ast.And) is outcome else either, parts)
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return self._outcome(test.operand, not outcome, branches)
        code, holds = fact(test, outcome)
        self.tests.setdefault(code, Sym(test if holds is outcome else opposite(test)))
        self.branches.setdefault(code, set()).update(branches)
        return frozenset({frozenset({(code, holds)})})

    def passed(self) -> Condition:
        """Where the constructor of the class does not raise."""
        found = ALWAYS

        def look(block: Block, path: Condition) -> None:
            nonlocal found
            for op in block.ops:
                if isinstance(op, Static) and isinstance(op.statement, ast.Raise):
                    found = both(found, negated(path))
                elif isinstance(op, Branch) and not op.by_mode and self.changing.isdisjoint(op.test.names()):
                    for side, outcome in ((op.then, True), (op.otherwise, False)):
                        look(side, both(path, self.outcome(op.test, outcome, ())))

        look(self.cls.block, ALWAYS)
        return found

    def outside(self, condition: Condition, made: Construction) -> Condition:
        """A condition on what a class is given, in terms of the one that constructs it."""
        if condition in (ALWAYS, NEVER):
            return condition
        inner, known = self.of_class(made.cls), known_variables(made)
        found = NEVER
        for way in condition:
            here = ALWAYS
            for code, outcome in way:
                test = put_into(inner.tests[code], made, known)
                here = both(here, self.outcome(test, outcome, inner.branches[code]))
            found = either(found, here)
        return found


def put_into(test: Sym, made: Construction, known: dict[str, Any]) -> Any:
    """A test of a class as its user sees it: its outcome, an expression of the user's, or a name of its own."""
    value = value_of(test, known)
    if value is not MISSING:
        return value
    if test.names() <= made.values.keys():
        return Sym(with_names(test.expr, {n: to_ast(made.values[n]) for n in test.names()}))
    return Sym(ast.Name(f"{id(made)} {test.code}"))


def known_variables(made: Construction) -> dict[str, Any]:
    """The static variables of a class that are known for one object of it."""
    known = {n: v for n, v in made.values.items() if not is_open(v)}
    _assign(made.cls.block, known)
    return known


def _assign(block: Block, known: dict[str, Any]) -> None:
    for op in block.ops:
        if isinstance(op, Let):
            known[op.name] = value_of(op.value, known)
        elif isinstance(op, Branch) and (outcome := value_of(op.test, known)) is not MISSING:
            _assign(op.then if outcome else op.otherwise, known)
        elif isinstance(op, (Branch, Loop, ForLoop)):
            known |= dict.fromkeys(bound_names(Block([op])), MISSING)


def value_of(value: Any, known: dict[str, Any]) -> Any:
    """The value of an expression over known variables; MISSING if it depends on others."""
    try:
        expression = to_ast(value)
        names = variables_in(expression)
        if any(known.get(n, MISSING) is MISSING for n in names):
            return MISSING
        return constant_value(with_names(expression, {n: to_ast(known[n]) for n in names}))
    except TypeError:
        return MISSING
