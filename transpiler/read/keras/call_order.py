"""Shared layers with running statistics: their calls in the order in which Keras makes them.

Keras calls the layers of a functional model by their distance from the outputs, whatever the order in the source. Each call
of a shared BatchNormalization moves its statistics, so that their order shows.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from typing import Any

from transpiler.ir.expr import NeedsConstant
from transpiler.ir.liveness import all_uses, remove_dead, results_of
from transpiler.ir.program import (
    Apply,
    Block,
    Branch,
    Change,
    Construction,
    Let,
    Loop,
    Member,
    ModuleClass,
    Value,
    tensors,
)
from transpiler.ir.statics import used_names
from transpiler.read.keras.evaluate.graph import Node
from transpiler.read.keras.evaluate.staging import StageError
from transpiler.read.keras.evaluate.values import Model

OPEN_ORDER = "a layer with running statistics may not be called in Keras's order"


def in_keras_order(stager: Any, region: Block, inputs: Any, outputs: Any) -> None:
    """Sorts the operations of a model, in place, so that such layers are called in Keras's order.

    Raises NeedsConstant where a branch has to be decided for that, StageError where it cannot be, and what
    `stager.graph_of_calls` raises.
    """
    classes = {
        op.name: op.value.cls
        for op in stager.block.walk()
        if isinstance(op, Let) and isinstance(op.value, Construction)
    }
    if not loose_calls(region, classes):
        return
    remove_dead(region, {*tensors(outputs)})
    calls = loose_calls(region, classes)
    inside = {op for ops in calls.values() for op in ops}
    outputs = without_tail(stager, region, outputs, inside)
    check_branches(region, inside, {*tensors(outputs)})
    made: dict[Value, Apply] = {}
    for member, ops in calls.items():
        known = member.layer.attributes.get("calls", []) if member.layer is not None else []
        results = [result for _, result in known] if len(known) == len(ops) else [op.results for op in ops]
        made.update({result[0]: op for result, op in zip(results, ops)})
    wanted: dict[Member, list[Apply]] = defaultdict(list)
    graph = stager.graph_of_calls(Model(inputs, outputs))
    for node in graph.nodes:
        if node.layer is None and node.outputs and node.outputs[0] in made:
            node.layer = made[node.outputs[0]].member
    for node in graph.calls():
        inner = made_between(region, node) if isinstance(node.layer, Model) else node.outputs[:1]
        for op in (made[y] for y in inner if y in made):
            wanted[op.member].append(op)  # type: ignore[index]
    if not inside.issubset(region.ops) or sum(map(len, wanted.values())) != len(made):
        raise StageError(OPEN_ORDER)
    first = [pair for ops in wanted.values() for pair in zip(ops, ops[1:])]
    if any(region.ops.index(a) > region.ops.index(b) for a, b in first):
        region.ops[:] = sorted_ops(region.ops, first)


def without_tail(stager: Any, region: Block, outputs: Any, inside: set[Apply]) -> Any:
    """The one tensor that all of the end of a model is made from, after the operations `inside`; else the outputs.

    What is between puts everything before it as much further from the outputs.
    """
    shared = {op.member for op in region.walk() if isinstance(op, Apply) and op.member is not None and op.member.shared}
    ends = set(tensors(outputs))
    for op in reversed(region.ops):
        if (
            len(ends) != 1
            or op in inside
            or not {o.member for o in Block([op]).walk() if isinstance(o, Apply)}.isdisjoint(shared)
        ):
            break
        if not ends.isdisjoint(results_of(op)):
            ends = set(all_uses(op))
            if len(ends) == 1:
                (outputs,) = (stager.permuted.get(x, x) for x in ends)
    return outputs


def check_branches(region: Block, calls: set[Apply], ends: set[Value]) -> None:
    """Raises NeedsConstant for a branch that holds some of the calls, or stands between them and the tensors `ends`."""
    after: set[Value] = set()
    for op in region.ops:
        follows = not after.isdisjoint(all_uses(op)) or not calls.isdisjoint(Block([op]).walk())
        if follows and isinstance(op, Branch) and not op.by_mode:
            raise NeedsConstant(op.test, OPEN_ORDER)
        if follows:
            after.update(results_of(op))
        ends = ends.difference(results_of(op))
        if not ends:
            return


def made_between(region: Block, node: Node) -> list[Value]:
    """The tensors from the inputs to the outputs of a model that is called as a layer, in order."""
    found: list[Value] = []
    needed = {*node.outputs}
    for op in reversed(region.ops):
        made = results_of(op)
        if not needed.isdisjoint(made):
            found[:0] = made
            needed |= {*all_uses(op)} - {*node.inputs}
    return found


def check_call_order(block: Block) -> None:
    """Raises StageError where Keras may make the calls of such a layer in another order than this part of a model does."""
    if loose_calls(block, {}):
        raise StageError(OPEN_ORDER)


def loose_calls(block: Block, classes: dict[str, ModuleClass]) -> dict[Member, list[Apply]]:
    """The layers with running statistics of which some calls could come in another order, and all their calls.

    `classes` are those of the models that variables hold.
    """
    calls: dict[Member, list[Apply]] = defaultdict(list)
    for op in block.walk():
        if isinstance(op, Apply) and op.member is not None and op.member.shared and has_statistics(op.member, classes):
            calls[op.member].append(op)
    return {
        member: ops
        for member, ops in calls.items()
        if any(not in_turn(block, a, b) for i, b in enumerate(ops) for a in ops[:i])
    }


def in_turn(block: Block, first: Apply, second: Apply) -> bool:
    """Whether `second` is made from what `first` made, or only one of the two is called at all."""
    made = set(first.results)

    def follow(ops: list[Any]) -> bool:
        """Adds what is surely made from `made`. True once `second` is among it, or on another side than `first`."""
        for op in ops:
            if op is second:
                return not made.isdisjoint(op.args)
            if isinstance(op, Apply) and not made.isdisjoint(op.args):
                made.update(op.results)
            if isinstance(op, Branch):
                sides = op.then, op.otherwise
                inside = [first in side.walk() for side in sides]
                if any(inside) and any(second in side.walk() for side, own in zip(sides, inside) if not own):
                    return True
                if any(follow(side.ops) for side in sides):
                    return True
                made.update(
                    r
                    for r, *ends in op.phis
                    if all(e in made for e, own in zip(ends, inside) if own or not any(inside))
                )
            elif isinstance(op, Loop):
                if follow(op.body.ops):
                    return True
                inner = first in op.body.walk()
                made.update(result for start, _, end, result in op.carried if (end if inner else start) in made)
        return False

    return follow(block.ops)


def has_statistics(member: Member, classes: dict[str, ModuleClass]) -> bool:
    """Whether calls of a submodule may move statistics, of its own or of what it is made of, in training."""
    if member.given and member.code not in classes:
        return True
    cls = classes[member.code] if member.given else member.construction and member.construction.cls
    if cls:
        inner = (op.member for op in cls.block.walk() if isinstance(op, Apply))
        return any(has_statistics(m, classes) for m in inner if m is not None)
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
        raise StageError(OPEN_ORDER)
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
