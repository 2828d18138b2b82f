"""Variables that one side of a branch alone binds: they are there wherever its test has that outcome again."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from transpiler.ir.expr import MISSING, NeedsConstant, Sym, observe
from transpiler.ir.model import Step
from transpiler.ir.program import Apply, Branch, Static, Value
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
        return OneSided(unknown.reason, name, branch.test, outcome, value, self.frame)  # type: ignore[attr-defined]

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
            error = UnboundLocalError(f"{x.name} is not bound")
            test = x.test if x.outcome else Sym(ast.UnaryOp(ast.Not(), x.test.expr), observe(lambda w: not w, x.test))
            self.raise_unless(test, Static(raise_of(ProgramError(error))))  # type: ignore[attr-defined]
        elif known is not x.outcome:
            raise ProgramError(UnboundLocalError(f"{x.name} is not bound"))
        return self.bound(x.value) if isinstance(x.value, OneSided) else x.value


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
            items = [self.out(v) for v in value]
            return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
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
