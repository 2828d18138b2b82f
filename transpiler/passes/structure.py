"""Branches become conditional submodules; which iterations of loops need all of their layers."""

from __future__ import annotations

import ast
from collections.abc import Collection
from typing import Any

from transpiler.ir.liveness import all_uses, needed_in, replace_uses, results_of, uses_of
from transpiler.ir.model import Step
from transpiler.ir.program import (
    Apply,
    Block,
    Branch,
    Choice,
    Construction,
    Listed,
    Loop,
    Member,
    ModuleClass,
    Pick,
    Return,
    Value,
    blocks_of,
    holds_weights,
    tensors,
)
from transpiler.ir.statics import bound_names, used_names


class CannotKeep(Exception):
    """The structure of this part cannot be written as it is.

    What would help: `cls` is the class to do without, or, if `separate`, to make for each of its calls; `loop` the loop of
    the source to unroll, `tests` the branches of the source to decide.
    """

    def __init__(
        self,
        message: str,
        cls: ModuleClass | None = None,
        loop: ast.For | None = None,
        separate: bool = False,
        tests: Collection[ast.AST] = (),
    ) -> None:
        super().__init__(message)
        self.cls, self.loop, self.separate, self.tests = cls, loop, separate, tests


def called_class(op: Any) -> Construction | None:
    """The object that stands for a call of a function: its layers belong to the model that reads its results."""
    made = op.member.construction if isinstance(op, Apply) and op.member is not None else None
    is_function = made is not None and isinstance(made.cls.key, (ast.FunctionDef, ast.Lambda))
    return made if is_function and len(op.args) == len(made.cls.inputs) else None  # type: ignore[union-attr]


def choose_modules(block: Block) -> None:
    """Branches whose sides are chains of submodules from one tensor become one conditional submodule, in place."""
    for op in block.ops:
        for inner in blocks_of(op):
            choose_modules(inner)
    block.ops[:] = [_as_choice(op) or op if isinstance(op, Branch) else op for op in block.ops]


def fuse(block: Block) -> None:
    """Joins a branch with one on the same test before it whose tensors it reads side by side, in place.

    Raises CannotKeep where what is between them depends on the first, and the second on that.
    """
    for first in [op for op in block.ops if isinstance(op, Branch)]:
        inside = {r for side in (first.then, first.otherwise) for op in side.ops for r in results_of(op)}
        for second in block.ops[block.ops.index(first) + 1 :]:
            if not isinstance(second, Branch) or second.test.code != first.test.code:
                continue
            if not inside & set(all_uses(second)):
                continue
            between = block.ops[block.ops.index(first) + 1 : block.ops.index(second)]
            results = {r for r, _, _ in first.phis}
            names = bound_names(Block([first]))
            if any(results & set(all_uses(op)) or names & used_names(Block([op]), let_values=True) for op in between):
                raise CannotKeep("a branch reads what an earlier one on the same test computed")
            second.then.ops[:0] = first.then.ops
            second.otherwise.ops[:0] = first.otherwise.ops
            second.phis[:0] = first.phis
            block.ops.remove(first)
            break
    for op in block.ops:
        for inner in blocks_of(op):
            fuse(inner)


def is_nothing(op: Any) -> bool:
    """Whether an operation stands for a tensor that a side of a branch does not have."""
    return isinstance(op, Apply) and op.step.fn == "None"


def resume(block: Block) -> None:
    """Joins a branch that makes tensors on one side alone with the next one on the same test that reads them, in place."""
    for first in [op for op in block.ops if isinstance(op, Branch)]:
        later = block.ops[block.ops.index(first) + 1 :]
        ends = {result: ends for result, *ends in first.phis}
        nothing = {r for op in (*first.then.ops, *first.otherwise.ops) if is_nothing(op) for r in op.results}
        partly = {result for result, pair in ends.items() if not nothing.isdisjoint(pair)}
        reader = next((op for op in later if not partly.isdisjoint(all_uses(op))), None)
        if not isinstance(reader, Branch) or reader.test.code != first.test.code or first.by_mode:
            continue
        between = Block(later[: later.index(reader)])
        if bound_names(Block([first])) & used_names(between, let_values=True):
            continue
        if any(not ends.keys().isdisjoint(all_uses(op)) for op in between.ops):
            continue
        if _makes_layers(first) and any(map(_makes_layers, between.ops)):  # they are made in the source's order
            continue
        for side, position in ((reader.then, 0), (reader.otherwise, 1)):
            inner = {result: pair[position] for result, pair in ends.items()}
            replace_uses(side, inner)
            reader.phis = [
                tuple(inner.get(x, x) if i == position + 1 else x for i, x in enumerate(phi)) for phi in reader.phis
            ]  # type: ignore[misc]
        reader.then.ops[:0] = first.then.ops
        reader.otherwise.ops[:0] = first.otherwise.ops
        reader.phis[:0] = first.phis
        block.ops.remove(first)
    for op in block.ops:
        for inner_block in blocks_of(op):
            resume(inner_block)


def check_iterations(block: Block, after: Collection[Value] = ()) -> None:
    """Raises CannotKeep for a loop of which some iterations make layers that Keras leaves out of the model.

    These are the layers that only a later iteration needs (the last one's are dead), and those that are read on one
    side of a branch alone. `after` are the tensors that are read after the block.
    """
    for index, op in enumerate(block.ops):
        if isinstance(op, Branch):
            whole = _read_whole(block.ops[index + 1 :], after)
            check_iterations(op.then, [then for result, then, _ in op.phis if result in whole])
            check_iterations(op.otherwise, [otherwise for result, _, otherwise in op.phis if result in whole])
        if isinstance(op, Listed):
            _check_items(op.items, op.results[0], block.ops[index + 1 :], after, op.node)
        if not isinstance(op, Loop):
            continue
        for series, _, initial in op.gathered:
            starts = [c[0] for c in op.carried]
            begun = [x for x in tensors(initial) if isinstance(initial, list) and x not in starts]
            _check_items(begun, series, block.ops[index + 1 :], after, op.node)
        check_iterations(op.body, [*(end for _, _, end, _ in op.carried), *(item for _, item, _ in op.gathered)])
        partly = {series for series, _, _ in op.gathered} - _read_whole(block.ops[index + 1 :], after)
        read = {*after, *(v for later in block.ops[index + 1 :] for v in all_uses(later))} - partly
        always = {*after, *(v for later in block.ops[index + 1 :] for v in _always_read(later))} - partly
        for needed in (needed_in(op, read, again=False), needed_in(op, always)):
            if any(makes_unread(o, needed) for o in op.body.ops):
                raise CannotKeep("not every iteration of a loop needs all of its layers", loop=op.node)


def check_taken(block: Block, after: Collection[Value] = ()) -> None:
    """Raises CannotKeep where one of several tensors is taken, and layers are made that the others alone need.

    `after` are the tensors that are read after the block.
    """
    for op in block.ops:
        if isinstance(op, Branch):
            for position, side in ((1, op.then), (2, op.otherwise)):
                check_taken(side, [phi[position] for phi in op.phis])
    taking = {op: node for op in block.ops if (node := _taken_in(op)) is not None}
    always, perhaps = set(after), set()
    for op in reversed(block.ops) if taking else ():
        results = set(results_of(op))
        if not perhaps.isdisjoint(results) and _makes_layers(op):
            if called_class(op) is not None and makes_unread(op, always):
                raise CannotKeep("not every tensor that a class returns is read", op.member.construction.cls)  # type: ignore[union-attr]
            if always.isdisjoint(results) if isinstance(op, Apply) else not always.issuperset(results):
                raise CannotKeep("layers are made for an item that is not taken", loop=next(iter(taking.values())))
        if isinstance(op, Return) or not always.isdisjoint(results):
            always |= _always_read(op)
        if op in taking or not perhaps.isdisjoint(results):
            perhaps.update(all_uses(op))


def _taken_in(op: Any) -> Any:
    """The place in the source where an item is taken by an open number, in a branch or inside it."""
    inside = Block([op]).walk() if isinstance(op, Branch) else ()
    return next((o.taken for o in inside if isinstance(o, Branch) and o.taken is not None), None)


def makes_unread(op: Any, read: Collection[Value]) -> bool:
    """Whether an operation makes layers that lead to none of its results that are `read`.

    An object that stands for a call of a function may have such layers beside others.
    """
    results = results_of(op)
    if not _holds_layers(op):
        return False
    made = called_class(op)
    if made is None or set(results).isdisjoint(read):
        return set(results).isdisjoint(read)
    return leaves_unread(made.cls, [i for i, x in enumerate(results) if x in read])


def leaves_unread(cls: ModuleClass, read: Collection[int]) -> bool:
    """Whether a class makes layers that lead to none of the results which are `read`, given by number."""
    returned = [x for op in cls.block.ops if isinstance(op, Return) for x in tensors(op.value)]
    kept = [x for op in cls.block.ops if isinstance(op, Return) for x in op.kept.values()]
    needed = {*(x for i, x in enumerate(returned) if i in read), *kept}
    inside = [op for op in cls.block.ops if not isinstance(op, Return)]
    for op in reversed(inside):
        if not needed.isdisjoint(results_of(op)):
            needed.update(all_uses(op))
    others = [op for op in inside if (made := called_class(op)) is None or made.cls is not cls]
    return any(makes_unread(op, needed) for op in others)


def _check_items(
    items: list[Value], series: Value, later: list[Any], after: Collection[Value], node: ast.AST | None
) -> None:
    """Raises CannotKeep for tensors put into a list that may not be among those read from it, nor be read otherwise."""
    if series not in _read_whole(later, after):
        always = {*after, *(v for op in later if not isinstance(op, (Pick, Listed)) for v in _always_read(op))}
        if not always.issuperset(items):
            raise CannotKeep("not every item of a list is read", loop=node)


def _read_whole(ops: list[Any], after: Collection[Value]) -> set[Value]:
    """The tensors, and lists of tensors, of which operations surely read all."""
    found = set(after)
    for op in reversed(ops):
        made = [(series, tensors(initial)) for series, _, initial in op.gathered] if isinstance(op, Loop) else []
        made += [(result, list(ends)) for result, *ends in op.phis] if isinstance(op, Branch) else []
        made += [(op.results[0], op.args)] if isinstance(op, Listed) else []
        apart = {x for _, parts in made for x in parts}
        if not isinstance(op, (Pick, Listed)):
            found.update(x for x in uses_of(op) if x not in apart)
        found.update(x for result, parts in made if result in found for x in parts)
        for inner in blocks_of(op):
            found = _read_whole(inner.ops, found)
    return found


def _always_read(op: Any) -> set[Value]:
    """The tensors that an operation reads whichever sides of branches are taken."""
    if not isinstance(op, Branch):
        return set(all_uses(op))
    sides = [
        {v for o in side.ops for v in _always_read(o)} | {phi[position] for phi in op.phis}
        for position, side in ((1, op.then), (2, op.otherwise))
    ]
    return sides[0] & sides[1]


def _makes_layers(op: Any) -> bool:
    """Whether an operation, or one inside it, constructs something that may hold weights."""
    return any(map(holds_weights, Block([op]).walk()))


def _holds_layers(op: Any, inside: Collection[ModuleClass] = ()) -> bool:
    """Whether an operation, or one inside it, constructs something that holds weights: in the classes of `inside` it was looked for."""
    for o in Block([op]).walk():
        made = o.member.construction if isinstance(o, Apply) and o.member is not None else None
        if made is None and holds_weights(o):
            return True
        cls = made.cls if made is not None else None
        if cls is not None and cls not in inside and any(_holds_layers(x, (*inside, cls)) for x in cls.block.ops):
            return True
    return False


def sink(block: Block) -> None:
    """Moves what only one side of a branch reads into that side, in place: on the other side Keras never builds it."""
    index = len(block.ops) - 1
    while index >= 0:
        op = block.ops[index]
        if isinstance(op, Branch):
            for before in reversed(block.ops[:index]):
                side = _only_reader(before, op, block)
                if side is not None:
                    block.ops.remove(before)
                    side.ops.insert(0, before)
                    index -= 1
        for inner in blocks_of(op):
            sink(inner)
        index -= 1


def _only_reader(op: Any, branch: Branch, block: Block) -> Block | None:
    """The side of `branch` that alone reads the results of `op`."""
    if not isinstance(op, Apply) or op.member is not None and op.member.shared:
        return None
    for other in block.ops:
        if other is not branch and any(r in all_uses(other) for r in op.results):
            return None
    sides = []
    for position, side in ((1, branch.then), (2, branch.otherwise)):
        read = [v for o in side.ops for v in all_uses(o)] + [phi[position] for phi in branch.phis]
        if any(r in read for r in op.results):
            sides.append(side)
    return sides[0] if len(sides) == 1 else None


def _chain(block: Block, end: Value) -> tuple[Value, list[Member]] | None:
    """The tensor that a side starts from and its submodules, if it is a chain of them, made in this order, up to `end`."""
    members: list[Member] = []
    start: Value | None = None
    current: Value | None = None
    for op in block.ops:
        if (
            not isinstance(op, Apply)
            or op.step.module is None
            or op.step.result
            or op.outputs
            or len(op.args) != 1
            or len(op.results) != 1
        ):
            return None
        if op.member is None or op.member.shared or op.member.exposed or op.member.code.startswith("nn.Parameter"):
            return None
        if current is not None and op.args != [current]:
            return None
        start = start or op.args[0]
        current = op.results[0]
        members.append(op.member)
    if not members:
        return end, []
    held = [op.member.order for op in block.ops if holds_weights(op)]
    if held != sorted(held):
        return None  # an `nn.Sequential` would construct them in another order than the program
    return (start, members) if start is not None and current is end else None


def _as_choice(branch: Branch) -> Apply | None:
    if len(branch.phis) != 1 or branch.by_mode:
        return None
    result, then_value, else_value = branch.phis[0]
    then, otherwise = _chain(branch.then, then_value), _chain(branch.otherwise, else_value)
    if then is None or otherwise is None or then[0] is not otherwise[0]:
        return None
    longest = then[1] if len(then[1]) >= len(otherwise[1]) else otherwise[1]
    if not longest:
        return None
    hint = longest[0].hint if len(longest) == 1 or result.hint == "x" else result.hint
    name = longest[0].name if len(longest) == 1 else None
    helpers = tuple(dict.fromkeys(h for m in (*then[1], *otherwise[1]) if m.step for h in m.step.helpers))
    step = Step(module="", hint=hint, stateful=True, helpers=helpers)
    orders = [m.order for m in (*then[1], *otherwise[1])]
    member = Member("", hint, name, None, step, order=min(orders), choice=Choice(branch.test, then[1], otherwise[1]))
    return Apply([result], [then[0]], step, member)
