"""Variables that one side of a branch alone binds: they are there wherever its test has that outcome again."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from transpiler.ir.expr import MISSING, NeedsConstant, Sym, either, observe, rebuilt, witness_of_choice
from transpiler.ir.model import Step
from transpiler.ir.program import Apply, Block, Branch, Let, Static, Value
from transpiler.ir.statics import bound_names
from transpiler.read.keras.evaluate.program_classes import is_own_layer
from transpiler.read.keras.evaluate.signals import ProgramError
from transpiler.read.keras.evaluate.staging import is_static, raise_of
from transpiler.read.keras.evaluate.values import Instance, Model, Origin, Unknown, has_tensors

if TYPE_CHECKING:
    from transpiler.read.keras.evaluate.effects import Snapshot


AttributesSet = dict[tuple[int, str], tuple[Instance, Any]]
"""Attributes of objects that have another value now: (id of the object, name) → (object, value)."""

USED_AFTER = "what a side of a branch changes is used after it"


@dataclass(frozen=True, eq=False)
class OneSided(Unknown):
    """What a name is where `test` has this `outcome`; elsewhere it is not bound."""

    name: str
    test: Sym
    outcome: bool
    value: Any
    home: Any
    """The class or factory under construction whose names the test is written in."""
    sides: tuple[Block, ...]
    """The sides of branches at whose ends it is bound."""
    start: Let | None = None
    """Where it is a variable that several of them assign: the assignment of None that comes before."""


class StagedUnbound:
    """The part of the stager that keeps such variables."""

    def one_sided(self, branch: Branch, name: str, value: Any, outcome: bool, outside: Snapshot) -> Unknown:
        """The variable after the branch. Its tensors are None on the other side, its containers have been made on this."""
        unknown = Unknown(f"{name} is bound on one side of a branch only")
        if branch.by_mode or not self.can_carry(value, outside):
            return unknown
        carried = _Carried(branch, outcome, outside)
        value = carried.out(value)
        for x, result in carried.results.items():
            self.origins[result] = Origin([x], [result], lambda new: self.not_again())  # type: ignore[attr-defined]
        sides = (branch.then if outcome else branch.otherwise,)
        return OneSided(unknown.reason, name, branch.test, outcome, value, self.frame, sides)  # type: ignore[attr-defined]

    def bound_on_ways(self, branch: Branch, name: str, a: Any, b: Any) -> Any:
        """What both sides of a branch bind, at least one of them not on every way through it: one variable of all ways.

        It is None on the other ways, so that it can be handed to a class that does not read it then.
        """
        ways = [_ways_of(x, side) for x, side in ((a, branch.then), (b, branch.otherwise))]
        here = all(x.home is self.frame for x in (a, b) if isinstance(x, OneSided))  # type: ignore[attr-defined]
        test, reason = _bound_where(branch.test, a, b), f"{name} is bound on some ways only"
        told = not branch.by_mode and here and not test.names() & bound_names(Block([branch]))
        x, y = _bound_value(a), _bound_value(b)
        if isinstance(x, Value) or isinstance(y, Value):
            if not told or not isinstance(x, Value) or not isinstance(y, Value) or self.has_open_rank(x, y):  # type: ignore[attr-defined]
                return Unknown(reason)
            found = self.merge_tensors(branch, x, y)  # type: ignore[attr-defined]
            return OneSided(reason, name, test, True, found, self.frame, ())  # type: ignore[attr-defined]
        if not told or not all(w is not None and is_static(w.value) for w in ways):
            return self.merge(branch, a, b, name)  # type: ignore[attr-defined]
        known = next((way for way in ways if way.start is not None), None)
        slot = self.fresh(name) if known is None else known.value.code  # type: ignore[attr-defined]
        for way in ways:
            for side in way.sides if way is not known else ():
                side.ops.append(Let(slot, way.value, name))
        start = Let(slot, None, name)
        if known is not None:
            start = known.start
            known.remove_start()
        if not all(way.always for way in ways):
            ops = self.block.ops  # type: ignore[attr-defined]
            ops.insert(next(i for i, op in enumerate(ops) if op is branch), start)
        values = [way.value for way in ways]
        found = replace(Sym.name(slot, witness_of_choice(branch.test, *values)), possible=either(*values))
        sides = (*ways[0].sides, *ways[1].sides)
        return OneSided(reason, name, test, True, found, self.frame, sides, start)  # type: ignore[attr-defined]

    def can_carry(self, value: Any, outside: Snapshot) -> bool:
        if isinstance(value, OneSided):
            return self.can_carry(value.value, outside)
        if isinstance(value, Value):
            return value not in self.poly  # type: ignore[attr-defined]
        if isinstance(value, (list, tuple, dict)):
            items = value.values() if isinstance(value, dict) else value
            return outside.holds(value) or all(self.can_carry(v, outside) for v in items)
        return not has_tensors(value) and (not isinstance(value, (Instance, Model)) or is_own_layer(value))

    def merge_attributes(
        self, branch: Branch, then: AttributesSet, otherwise: AttributesSet, outside: Snapshot
    ) -> None:
        """Gives objects the attributes that the sides of a branch have set. Raises NeedsConstant where that is not kept."""
        for (key, name), (owner, _) in {**then, **otherwise}.items():
            before = owner, owner.attributes.get(name, MISSING)
            (_, a), (_, b) = then.get((key, name), before), otherwise.get((key, name), before)
            found: Any = None
            if name == "built":  # its weights would belong to that side
                raise NeedsConstant(branch.test, USED_AFTER)
            if a is not MISSING and b is not MISSING and all(isinstance(x, Value) or is_static(x) for x in (a, b)):
                found = self.merge(branch, a, b, name)  # type: ignore[attr-defined]
            elif (a is MISSING or b is MISSING) and owner.cls.lookup(name) is None:
                found = self.one_sided(branch, name, b if a is MISSING else a, b is MISSING, outside)
            if not isinstance(found, (OneSided, Value)) and (found is None or not is_static(found)):
                raise NeedsConstant(branch.test, USED_AFTER)
            owner.attributes[name] = found

    def attribute_bound(self, owner: Instance, name: str, x: OneSided) -> Any:
        """An attribute that one side of a branch has set."""
        known = self.truth(x.test) if x.home is self.frame else x.test  # type: ignore[attr-defined]
        if isinstance(known, Sym):
            raise NeedsConstant(known, USED_AFTER)
        return x.value if known is x.outcome else self.missing_attribute(owner, name)  # type: ignore[attr-defined]

    def bound(self, x: OneSided) -> Any:
        """The value, where the test is known to have had that outcome; where that is open, the other outcome raises."""
        if x.home is not self.frame:  # type: ignore[attr-defined]
            return x
        known = self.truth(x.test)  # type: ignore[attr-defined]
        if isinstance(known, Sym):
            kind = AttributeError if "." in x.name else UnboundLocalError
            error = kind(f"{x.name} is not bound")
            self.raise_unless(_holds(x.test, x.outcome), Static(raise_of(ProgramError(error))))  # type: ignore[attr-defined]
        elif known is not x.outcome:
            raise ProgramError(UnboundLocalError(f"{x.name} is not bound"))
        return self.bound(x.value) if isinstance(x.value, OneSided) else x.value


@dataclass(frozen=True)
class _Ways:
    """The ways through one side of a branch that bind a variable."""

    side: Block
    value: Any
    sides: tuple[Block, ...]
    """The sides of branches, within that one or itself, at whose ends it is bound."""
    start: Let | None
    """If branches within that side have made one variable of several ways: the first assignment to it."""

    @property
    def always(self) -> bool:
        """Whether the variable has a value at the end of that side, on whatever way."""
        return any(self.side is one for one in self.sides)

    def remove_start(self) -> None:
        for block in _blocks_in(self.side):
            block.ops[:] = [op for op in block.ops if op is not self.start]


def _ways_of(x: Any, side: Block) -> _Ways | None:
    """The ways that bind `x`; None where it was bound before, and there is no variable that is None elsewhere."""
    value, sides, start = x, (side,), None
    while isinstance(value, OneSided):
        value, sides, start = value.value, value.sides, value.start
    inside = _blocks_in(side)
    if all(any(one is block for block in inside) for one in sides):
        return _Ways(side, value, sides, start)
    return _Ways(side, value, (side,), None) if x.start is not None else None


def _bound_value(x: Any) -> Any:
    """What it is where it is bound."""
    while isinstance(x, OneSided):
        x = x.value
    return x


def _blocks_in(side: Block) -> list[Block]:
    """A side of a branch, and the sides of branches within it."""
    branches = [op for op in side.walk() if isinstance(op, Branch)]
    return [side, *(block for branch in branches for block in (branch.then, branch.otherwise))]


def _bound_where(test: Sym, a: Any, b: Any) -> Sym:
    """The test for whether a variable is bound that is `a` where `test` holds and `b` elsewhere."""
    conditions = [_condition(x) for x in (a, b)]
    seen = observe(lambda w: conditions[0 if w else 1].witness, test)
    if not isinstance(a, OneSided) or not isinstance(b, OneSided):
        plain = not isinstance(a, OneSided)
        parts = [_holds(test, plain).expr, conditions[plain].expr]
        parts[1:] = (
            parts[1].values if isinstance(parts[1], ast.BoolOp) and isinstance(parts[1].op, ast.Or) else parts[1:]
        )
        return Sym(ast.BoolOp(ast.Or(), parts), seen)
    return Sym(ast.IfExp(test.expr, conditions[0].expr, conditions[1].expr), seen)


def _condition(x: Any) -> Sym:
    """The test for whether it is bound; one that always holds for what is no `OneSided`."""
    if not isinstance(x, OneSided):
        return Sym(ast.Constant(True), True)
    own = _holds(x.test, x.outcome)
    if not isinstance(x.value, OneSided):
        return own
    inner = _condition(x.value)
    seen = observe(lambda w: bool(w) and inner.witness, own)
    return Sym(ast.BoolOp(ast.And(), [own.expr, inner.expr]), seen)


def _holds(test: Sym, outcome: bool) -> Sym:
    """The test for whether a test has this outcome."""
    return test if outcome else Sym(ast.UnaryOp(ast.Not(), test.expr), observe(lambda w: not w, test))


class _Carried:
    """Carries the tensors of a structure out of one side of a branch; those in containers that are new there in place."""

    def __init__(self, branch: Branch, outcome: bool, outside: Snapshot) -> None:
        self.branch, self.outcome, self.outside = branch, outcome, outside
        self.results: dict[Value, Value] = {}

    def out(self, value: Any) -> Any:
        if isinstance(value, OneSided):
            return replace(value, value=self.out(value.value))
        if isinstance(value, Value):
            return self.results.get(value) or self.joined(value)
        if isinstance(value, tuple):
            return rebuilt(value, [self.out(v) for v in value])
        if isinstance(value, list) and not self.outside.holds(value):
            value[:] = [self.out(v) for v in value]
        if isinstance(value, dict) and not self.outside.holds(value):
            value.update({k: self.out(v) for k, v in value.items()})
        return value

    def joined(self, value: Value) -> Value:
        nothing, result = Value(value.type, value.hint), Value(value.type, value.hint)
        other = self.branch.otherwise if self.outcome else self.branch.then
        other.ops.append(Apply([nothing], [], Step(fn="None")))
        self.branch.phis.append((result, *((value, nothing) if self.outcome else (nothing, value))))
        self.results[value] = result
        return result
