"""What a function that became a class reads and sets of objects around it."""

from __future__ import annotations

from typing import Any

from transpiler.ir.expr import MISSING, NeedsConstant, Sym, is_open
from transpiler.ir.program import Block
from transpiler.ir.statics import sources, sources_of
from transpiler.read.keras.evaluate.effects import Snapshot
from transpiler.read.keras.evaluate.program_classes import is_own_layer
from transpiler.read.keras.evaluate.stage_unbound import OneSided
from transpiler.read.keras.evaluate.staging import STATIC, Frame, Staged, StageError
from transpiler.read.keras.evaluate.values import Env, Function, Instance, own_copy


class StagedEffects:
    """The part of the stager that keeps track of it."""

    frame: Frame
    block: Block

    def instance_attribute(self, value: Instance, name: str) -> Any:
        """An attribute that a class reads: another value of it makes another class."""
        if self.frame.kind == "class" and (id(value.attributes), name) not in self.frame.writes:
            around = Env(None, "object", None, value.attributes)  # type: ignore[arg-type]
            found = own_copy(value.attributes.get(name, MISSING))
            self.frame.reads[id(value.attributes), name] = (around, name, found)
        return super().instance_attribute(value, name)  # type: ignore[misc]

    def setattr(self, target: Any, name: str, value: Any) -> None:
        if isinstance(target, Instance):
            self.frame.writes.add((id(target.attributes), name))
        super().setattr(target, name, value)  # type: ignore[misc]

    def effects_of(
        self, function: Function, arguments: dict[str, Any], outside: Snapshot
    ) -> list[tuple[Instance, str, Any]]:
        """The attributes of objects around a function that it sets to known values, whatever they were before.

        Raises NeedsConstant where arguments that are known to the caller decide such a value, and StageError where the
        function changes anything else that lives outside it.
        """
        if not outside.changed():
            return []
        found = None if outside.lists_set() else outside.attributes_set({})
        effects = [(owner, name, value) for (_, name), (owner, value) in (found or {}).items()]
        for owner, name, value in effects:
            read = not self.frame.reads.keys().isdisjoint((id(owner.attributes), n) for n in (name, "__dict__"))
            decides = value.test if isinstance(value, OneSided) else value
            if isinstance(decides, Sym) and not read and not is_own_layer(owner):
                lets = sources_of(self.block)
                names = [n for n in sources(decides, lets) if n not in lets]
                if all(n in arguments and not is_open(arguments[n]) for n in names):
                    raise NeedsConstant(decides, f"{function.name} changes what lives outside it")
            if read or not isinstance(value, STATIC) or is_own_layer(owner):
                effects = []
        if not effects:
            raise StageError(f"{function.name} changes what lives outside it")
        return effects

    def leave_behind(self, staged: Staged) -> None:
        """Sets, where a class is constructed, what a call of its function sets."""
        for owner, name, value in staged.effects:
            self.setattr(owner, name, value)
