"""Shared layers with running statistics: their calls in the order in which Keras makes them.

Keras calls the layers of a functional model by their distance from the outputs, whatever the order in the source. Each call
of a shared BatchNormalization moves its statistics, so that their order shows.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from typing import Any

from transpiler.ir.liveness import all_uses, results_of
from transpiler.ir.model import Layer
from transpiler.ir.program import Apply, Block, Change, Let, Member, Value
from transpiler.ir.statics import used_names
from transpiler.read.keras.evaluate.staging import StageError
from transpiler.read.keras.evaluate.values import Model


def in_keras_order(stager: Any, region: Block, inputs: Any, outputs: Any) -> None:
    """Sorts the operations of a model, in place, so that such layers are called in Keras's order.

    Raises StageError where that cannot be, and what `stager.graph_of_calls` raises.
    """
    calls: dict[Layer, list[Apply]] = defaultdict(list)
    for op in region.ops:
        if isinstance(op, Apply) and op.member is not None and op.member.shared and has_statistics(op.member):
            calls[op.member.layer].append(op)  # type: ignore[index]
    made: dict[Value, Apply] = {}
    for layer, ops in calls.items():
        results = [result for _, result in layer.attributes.get("calls", [])]
        if len(results) == len(ops):
            made.update({result[0]: op for result, op in zip(results, ops)})
    if not made:
        return
    wanted: dict[Layer, list[Apply]] = defaultdict(list)
    for node in stager.graph_of_calls(Model(inputs, outputs)).calls():
        if node.outputs and node.outputs[0] in made:
            wanted[node.layer].append(made[node.outputs[0]])
    first = [pair for ops in wanted.values() for pair in zip(ops, ops[1:])]
    if any(region.ops.index(a) > region.ops.index(b) for a, b in first):
        region.ops[:] = sorted_ops(region.ops, first)


def has_statistics(member: Member) -> bool:
    """Whether calls of a submodule move statistics of its own in training."""
    step = member.step
    if member.layer is None or step is None or (step.module or "").startswith("Frozen"):
        return False
    return any(w.source.startswith("moving_") for w in step.weights.values())


def sorted_ops(ops: list[Any], first: list[tuple[Any, Any]]) -> list[Any]:
    """The operations in an order as near to theirs as can be where each pair in `first` is kept."""
    place = {id(op): i for i, op in enumerate(ops)}
    after: dict[int, set[int]] = defaultdict(set)
    maker = {y: i for i, op in enumerate(ops) for y in results_of(op)}
    for i, op in enumerate(ops):
        for x in all_uses(op):
            if x in maker:
                after[maker[x]].add(i)
        for j in range(i):
            if not independent(ops[j], op):
                after[j].add(i)
    for a, b in first:
        after[place[id(a)]].add(place[id(b)])
    waiting = [0] * len(ops)
    for later in after.values():
        for i in later:
            waiting[i] += 1
    ready = [i for i, count in enumerate(waiting) if not count]
    found: list[Any] = []
    while ready:
        i = heapq.heappop(ready)
        found.append(ops[i])
        for j in after[i]:
            waiting[j] -= 1
            if not waiting[j]:
                heapq.heappush(ready, j)
    if len(found) < len(ops):
        raise StageError("a layer with running statistics cannot be called in Keras's order")
    return found


def independent(earlier: Any, later: Any) -> bool:
    """Whether two operations may change places as far as the constructor goes."""
    if isinstance(earlier, Apply) and isinstance(later, Apply):
        return True
    if not all(isinstance(op, (Apply, Let, Change)) for op in (earlier, later)):
        return False
    pair = (earlier, later)
    if not any(isinstance(op, Apply) for op in pair):
        return False
    (apply,) = [op for op in pair if isinstance(op, Apply)]
    (static,) = [op for op in pair if not isinstance(op, Apply)]
    bound = {static.name} if isinstance(static, Let) else set(static.names)
    return bound.isdisjoint(used_names(Block([apply]), let_values=True))
