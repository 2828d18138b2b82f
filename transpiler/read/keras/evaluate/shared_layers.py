"""Models that share layers: the operations of one that occur again in another, on other tensors.

A decoder for inference is built of the layers that the model in training calls: where the operations are the same, that
model calls the decoder instead.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from transpiler.ir.liveness import all_uses, results_of
from transpiler.ir.program import Apply, Member, Value


@dataclass
class Twin:
    """The operations of a model once more."""

    ops: dict[Apply, Apply] = field(default_factory=dict)
    """The model's operations → those that do the same here."""
    values: dict[Value, Value] = field(default_factory=dict)
    """The model's tensors → those in their places here."""
    turned: dict[Value, Value] = field(default_factory=dict)
    """Inputs of the model that it permutes first → what stands here in the place of the permuted ones."""

    def __contains__(self, op: Any) -> bool:
        return any(op is own for own in self.ops.values())


def twins_of(
    region: Sequence[Any],
    inputs: Collection[Value],
    outputs: Collection[Value],
    others: Sequence[Any],
    ends: Collection[Value],
    shared: Collection[Member],
) -> list[Twin] | None:
    """Where the operations of a model occur among `others`; None where one of the `shared` layers is called otherwise.

    `ends` are the tensors that are read after all of these operations.
    """
    found: list[Twin] = []
    anchor = next((op for op in region if isinstance(op, Apply) and op.member in shared), None)
    calls = [op for op in others if isinstance(op, Apply) and anchor is not None and op.member is anchor.member]
    for call in calls:
        twin = Search(region, inputs, [o for o in others if not any(o in t for t in found)]).match(anchor, call)
        if twin is None or not is_closed(twin, outputs, others, ends):
            return None
        found.append(twin)
    rest = [op for op in others if not any(op in t for t in found)]
    return found if found and not any(isinstance(op, Apply) and op.member in shared for op in rest) else None


def is_closed(twin: Twin, outputs: Collection[Value], others: Sequence[Any], ends: Collection[Value]) -> bool:
    """Whether nothing but the outputs is read of a twin, and these not before all of it is computed."""
    given = {twin.values[y] for y in outputs if y in twin.values}
    made = {y for op in twin.ops.values() for y in results_of(op)}
    last = max(i for i, op in enumerate(others) if op in twin)
    for i, op in enumerate(others):
        read = made & set(all_uses(op)) if op not in twin else set()
        if not read <= given or read and i < last:
            return False
    return made & set(ends) <= given


class Search:
    """Looks for the operations of a model among others."""

    def __init__(self, region: Sequence[Any], inputs: Collection[Value], others: Sequence[Any]) -> None:
        self.region, self.inputs, self.others = region, inputs, others
        self.makers = {y: op for op in (*region, *others) for y in results_of(op)}
        self.twin = Twin()
        self.skipped: list[Any] = []
        """Permutes of inputs, where what stands for these comes permuted already."""

    def match(self, anchor: Any, call: Apply) -> Twin | None:
        """The twin in which `call` stands for `anchor`."""
        if any(type(op) is not Apply for op in self.region) or not self.pair(anchor, call):
            return None
        for op in self.region:
            if op in self.twin.ops or op in self.skipped:
                continue
            found = [o for o in self.others if self.follows(op, o)]
            if len(found) != 1 or not self.pair(op, found[0]):
                return None
        return self.twin if set(self.inputs) <= self.twin.values.keys() | self.twin.turned.keys() else None

    def follows(self, op: Apply, other: Any) -> bool:
        """Whether an operation does the same as one of the model to the tensors that stand for its own."""
        return alike(op, other) and [self.twin.values.get(x) for x in op.args] == other.args and other not in self.twin

    def pair(self, op: Apply, other: Any) -> bool:
        if op in self.twin.ops:
            return self.twin.ops[op] is other
        if not alike(op, other) or other in self.twin or other in self.region:
            return False
        self.twin.ops[op] = other
        pairs = [*zip(op.args, other.args), *zip(op.results, other.results)]
        return all(self.unify(x, y) for x, y in pairs)

    def unify(self, x: Value, y: Value) -> bool:
        """Lets one tensor stand for another of the model, and what makes it for what makes that."""
        if x in self.twin.values:
            return self.twin.values[x] is y
        self.twin.values[x] = y
        if x in self.inputs:
            return True
        maker, other = self.makers.get(x), self.makers.get(y)
        if maker is None:
            return x is y
        if maker.step.permutes is not None and maker.args[0] in self.inputs:
            self.skipped.append(maker)
            self.twin.turned[maker.args[0]] = y
            return x.type.layout is y.type.layout
        return other is not None and self.pair(maker, other)


def alike(op: Apply, other: Any) -> bool:
    """Whether two operations do the same, each to its own tensors."""
    same = type(other) is Apply and op.member is other.member and len(op.args) == len(other.args)
    if not same or op.outputs != other.outputs:
        return False
    return op.step is other.step or (op.step.fn, op.step.result, op.step.module) == (
        other.step.fn,
        other.step.result,
        other.step.module,
    )
