"""Loops become lists of submodules; bodies that are more than a chain become classes of their own."""

from __future__ import annotations

import ast
import itertools
import re
from dataclasses import replace
from typing import Any

from transpiler.ir.expr import Sym
from transpiler.ir.liveness import all_uses
from transpiler.ir.model import Step
from transpiler.ir.program import (
    Apply,
    Block,
    Branch,
    Construction,
    ForLoop,
    Let,
    Loop,
    Member,
    ModuleClass,
    Pick,
    Return,
    Value,
    blocks_of,
    tensors,
)
from transpiler.ir.statics import bound_names, names_in, names_outside, remove_dead_lets, rename_static, used_names
from transpiler.ir.trees import nodes, variables_in
from transpiler.passes.chains import joined
from transpiler.passes.structure import CannotKeep


def settle_loops(block: Block, cls: ModuleClass, new_class: Any) -> None:
    """Every `Loop` becomes a `ForLoop`, in place; bodies that are more than a chain become classes of their own.

    `new_class(name, inputs, block)` registers a class and settles it. Raises CannotKeep.
    """
    for op in block.ops:
        for inner in blocks_of(op):
            settle_loops(inner, cls, new_class)
    block.ops[:] = [_settled(op, cls, new_class) if isinstance(op, Loop) else op for op in block.ops]


def _settled(loop: Loop, cls: ModuleClass, new_class: Any) -> Any:
    try:
        return _as_for_loop(loop, cls, new_class)
    except CannotKeep as error:
        raise CannotKeep(str(error), error.cls, error.loop or loop.node) from None


def _as_for_loop(loop: Loop, cls: ModuleClass, new_class: Any) -> Any:
    tensor_ops = _tensor_ops(loop.body)
    if not loop.carried and not loop.gathered:
        raise CannotKeep("a loop that carries no tensor")
    starts = [c[1] for c in loop.carried]
    picked = [op for op in tensor_ops if isinstance(op, Pick)]
    tensor_ops = [op for op in tensor_ops if op not in picked]
    own = [*(c[0] for c in loop.carried), *(z[0] for z in loop.zipped), *(p.args[0] for p in picked)]
    own += [x for _, _, initial in loop.gathered for x in tensors(initial)]
    extra = [v for v in dict.fromkeys(all_uses(loop)) if v not in own]
    hint = "blocks"
    alone = len(loop.carried) == 1 and not extra and not loop.gathered and not loop.zipped and not picked
    if alone and _is_chain(loop.body, loop.carried[0][1:3], names_outside(loop.body, cls)):
        member = Member("", hint, None, None, Step(module="", hint=hint, stateful=True), order=_order(tensor_ops))
        return ForLoop(loop.target, loop.iterable, loop.body, member, loop.carried, [], True)
    slots = _outer_slots(loop, cls.block)
    single = _single(tensor_ops, loop, slots, names_outside(loop.body, cls))
    if single is not None:
        series = loop.gathered[0][0]
        ops = [single if op is tensor_ops[-1] else op for op in loop.body.ops if op not in tensor_ops[:-1]]
        holder = Member(
            "", series.hint, None, None, Step(module="", hint=series.hint, stateful=True), order=_order(tensor_ops)
        )
        return ForLoop(
            loop.target,
            loop.iterable,
            Block(ops),
            holder,
            [],
            extra,
            False,
            [(series, single.results[0], loop.gathered[0][2])],
        )
    copied = _copy_statics(loop.body, tensor_ops, slots)
    lets = [op for op in loop.body.ops if op not in tensor_ops and op not in picked]
    inner, kept_here = bound_names(Block(tensor_ops)), bound_names(Block(copied))
    begins = [
        op for op in lets if isinstance(op, Let) and op.name in inner - kept_here - slots
    ]  # variables of loops within this one
    shared = {name: _own_variable(loop.body, tensor_ops, name) for name in sorted(inner & slots)}
    if any(len(own) > 1 for name, own in shared.items() if name in kept_here):
        raise CannotKeep("a loop within this loop changes a variable of it")
    begins += [let for own in shared.values() for let in own]
    lets = [op for op in lets if op not in begins]
    after = _after_call(loop.body.ops, lets, tensor_ops, slots)
    tensor_ops = [op for op in loop.body.ops if op in tensor_ops or op in begins]
    items = [*(z[1] for z in loop.zipped), *(p.results[0] for p in picked)]
    call = _only_module(loop, tensor_ops, [*starts, *items, *extra], names_outside(loop.body, cls))
    if call is None:
        handed = {
            n: own[0].name
            for n, own in shared.items()
            if n not in kept_here and not _bound_after(loop.body, tensor_ops, n)
        }
        call, learnt = _outline(loop, tensor_ops, [*starts, *items], extra, cls, new_class, handed)
        tail = loop.body.ops[max(loop.body.ops.index(op) for op in tensor_ops) :]
        early = Block([op for op in lets if op not in after or op not in tail])
        if handed.keys() & used_names(early, let_values=True):
            raise CannotKeep("a loop within this loop changes a variable of it")
        after = [*learnt, *after]
    member = Member("", hint, None, None, Step(module="", hint=hint, stateful=True), order=_order(tensor_ops))
    before = [op for op in lets if op not in after]
    return ForLoop(
        loop.target,
        loop.iterable,
        Block([*before, call, *after]),
        member,
        loop.carried,
        extra,
        alone,
        loop.gathered,
        loop.zipped,
        picked,
    )


def _single(ops: list[Any], loop: Loop, slots: set[str], read_outside: set[str]) -> Apply | None:
    """The one submodule of an iteration that makes a list's item from a tensor around the loop; None for other loops."""
    if (
        loop.carried
        or loop.zipped
        or len(loop.gathered) != 1
        or any(isinstance(op, Pick) for op in loop.body.ops)
        or not all(isinstance(op, Apply) for op in ops)
        or not ops
    ):
        return None
    start, item = ops[0].args[0], loop.gathered[0][1]
    between = loop.body.ops[loop.body.ops.index(ops[0]) : loop.body.ops.index(ops[-1])]
    if not _is_chain(loop.body, (start, item), read_outside) or any(
        isinstance(o, Let) and o.name in slots for o in between
    ):
        return None
    return ops[0] if len(ops) == 1 else joined(ops, "block")


def _own_variable(body: Block, tensor_ops: list[Any], name: str) -> list[Let]:
    """A variable of a loop that a loop within it changes as well gets another name there; its assignments until then.

    Raises CannotKeep where the outer loop reads it in between.
    """
    places = [i for i, op in enumerate(body.ops) if op in tensor_ops and name in bound_names(Block([op]))]
    moved = [op for op in body.ops[: places[-1]] if isinstance(op, Let) and op.name == name]
    first = min(places[0], *map(body.ops.index, moved)) if moved else places[0]
    between = [op for op in body.ops[first + 1 : places[-1]] if op not in tensor_ops and op not in moved]
    if name in used_names(Block(between), let_values=True):
        raise CannotKeep("a loop within this loop changes a variable of it")
    base, _, number = name.partition("__v")
    own = f"{base}__v{int(number or 0) + 1_000_000 * (first + 1)}"
    rename_static(Block([*tensor_ops, *moved]), name, own)
    start = Let(own, Sym.name(name), base)
    body.ops.insert(0, start)
    return [start, *moved]


def _bound_after(body: Block, tensor_ops: list[Any], name: str) -> bool:
    """Whether the outer loop gives a variable that a loop within it changes a value of its own, before it reads it."""
    first = max(i for i, op in enumerate(body.ops) if op in tensor_ops)
    for op in body.ops[first + 1 :]:
        if name in used_names(Block([op]), let_values=True):
            return False
        if isinstance(op, Let) and op.name == name:
            return True
    return False


def _only_module(loop: Loop, ops: list[Any], given: list[Value], read_outside: set[str]) -> Apply | None:
    """The call of the one submodule that an iteration is, on all that it is given; None for other loops."""
    ends = {*(end for _, _, end, _ in loop.carried), *(item for _, item, _ in loop.gathered)} - set(given)
    if len(ops) == 1 and _is_link(ops[0], given, read_outside) and ends <= set(ops[0].results):
        return ops[0]
    return None


def _copy_statics(body: Block, tensor_ops: list[Any], slots: set[str]) -> list[Branch]:
    """Puts after each branch on tensors a copy of what it assigns of `slots` and of what the rest of the body reads.

    The body's tensor operations become a class, which has such a variable to itself.
    """
    left = Block([op for op in body.ops if op not in tensor_ops])
    found = []
    for op in [o for o in tensor_ops if isinstance(o, Branch)]:
        copy = _statics_of(op)
        remove_dead_lets(Block([copy]), used_names(left, let_values=True) | slots)
        if bound_names(Block([copy])):
            body.ops.insert(body.ops.index(op) + 1, copy)
            found.append(copy)
    return found


def _statics_of(branch: Branch) -> Branch:
    """The branch without its tensors."""
    sides = []
    for side in (branch.then, branch.otherwise):
        kept = [
            _statics_of(op) if isinstance(op, Branch) else replace(op)
            for op in side.ops
            if isinstance(op, (Branch, Let))
        ]
        sides.append(Block(kept))
    return Branch(branch.test, *sides)


def _after_call(ops: list[Any], lets: list[Any], tensor_ops: list[Any], slots: set[str]) -> list[Any]:
    """The updates of a loop's variables that go after the call of its submodule: nothing later in the body reads them."""
    after = [op for op in lets if bound_names(Block([op])) & slots]
    moved = True
    while moved:
        moved = False
        for let in list(after):
            later = [op for op in ops[ops.index(let) + 1 :] if op in tensor_ops or op in lets and op not in after]
            if bound_names(Block([let])) & used_names(Block(later), let_values=True):
                after.remove(let)
                moved = True
    for let in lets:
        if let not in after and bound_names(Block([let])) & slots:
            earlier = [op for op in ops[: ops.index(let)] if op in tensor_ops]
            if bound_names(Block([let])) & used_names(Block(earlier), let_values=True):
                raise CannotKeep("a variable of a loop changes between two of its layers")
    return after


def _tensor_ops(block: Block) -> list[Any]:
    """The operations of a block that are on tensors."""
    return [op for op in block.ops if isinstance(op, (Apply, ForLoop)) or isinstance(op, Branch) and _has_tensors(op)]


def _has_tensors(branch: Branch) -> bool:
    return bool(branch.phis) or any(
        isinstance(op, (Apply, ForLoop)) for side in (branch.then, branch.otherwise) for op in side.walk()
    )


def _order(ops: list[Any]) -> int:
    orders = [
        op.member.order for b in ops for op in (Block([b]).walk()) if isinstance(op, Apply) and op.member is not None
    ]
    return min(orders, default=0)


def _outer_slots(loop: Loop, around: Block) -> set[str]:
    """Variables of the loop that live before it: updated at the end of each iteration."""
    inner = {op.name for op in loop.body.walk() if isinstance(op, Let)}
    outer = {op.name for op in around.walk() if isinstance(op, Let) and op not in list(loop.body.walk())}
    return inner & outer


def _is_chain(body: Block, ends: tuple[Value, Value], read_outside: set[str]) -> bool:
    """Whether a block passes one tensor from submodule to submodule, from the first of `ends` to the second.

    `read_outside` are the static names read around it: a submodule whose sizes are among them is not in a list.
    """
    current = ends[0]
    for op in _tensor_ops(body):
        if isinstance(op, ForLoop) and op.sequential and op.carried[0][0] is current:
            current = op.carried[0][3]
        elif isinstance(op, Branch) and not op.by_mode and len(op.phis) == 1:
            rest = used_names(Block([o for o in body.ops if o is not op]), let_values=True)
            result, *sides = op.phis[0]
            if not all(_is_chain(b, (current, e), read_outside | rest) for b, e in zip((op.then, op.otherwise), sides)):
                return False
            current = result
        elif _is_link(op, [current], read_outside):
            current = op.results[0]
        else:
            return False
    return current is ends[1]


def _is_link(op: Any, given: list[Value], read_outside: set[str]) -> bool:
    """Whether an operation is nothing but a call of a submodule of its own on the tensors `given`."""
    return (
        isinstance(op, Apply)
        and op.step.module is not None
        and not op.step.result
        and not op.outputs
        and op.args == given
        and (len(given) == 1 or op.step.fn is None)
        and len(op.results) == 1
        and op.member is not None
        and not op.member.shared
        and f"member__{id(op.member)}" not in read_outside
    )


def _outline(
    loop: Loop, ops: list[Any], starts: list[Value], extra: list[Value], cls: ModuleClass, new_class: Any,
    handed: dict[str, str],
) -> tuple[Apply, list[Let]]:  # fmt: skip
    """Moves the tensor operations of a loop's body into a class; the call that stays in their place.

    `handed` are variables of the loop → those of the class whose last values they take: the assignments that do that.
    """
    items = [item for _, item, _ in loop.gathered if item not in starts]
    ends = list(dict.fromkeys([*(c[2] for c in loop.carried), *items]))
    body = Block([*ops, Return(ends[0] if len(ends) == 1 else tuple(ends))])
    moved = {op.name for op in body.walk() if isinstance(op, Let)}
    left = Block([op for op in loop.body.ops if op not in ops and not isinstance(op, Pick)])
    if (moved - bound_names(left)) & used_names(left, let_values=True):
        raise CannotKeep("a size decided inside a branch of a loop is used after it")
    step = Step(module="", hint="block", stateful=True)
    member = Member("", "block", None, None, step, order=_order(ops))
    outs = _shown(left, body, member)
    learnt = []
    for name, own in handed.items():
        plain = f"out_{own.partition('__v')[0]}"
        label = next(n for n in itertools.chain((plain,), (f"{plain}{i}" for i in itertools.count(2))) if n not in outs)
        outs[label] = Sym.name(own, integer=True)
        learnt.append(Let(name, Sym.parse(f"member__{id(member)}.{label}"), own.partition("__v")[0]))
    visible = bound_names(cls.block) | {*cls.sizes, *cls.statics} | variables_in(loop.target)
    free = sorted(((used_names(body, let_values=True) | names_in(list(outs.values()))) - bound_names(body)) & visible)
    inner = new_class(f"{cls.name}Block", [*starts, *extra], body, free, outs)
    results = {e: Value(e.type, e.hint) for e in ends}
    values = {n: _name(n) for n in free}
    member.construction = Construction(inner, values)
    loop.carried = [(initial, start, results[end], after) for initial, start, end, after in loop.carried]
    loop.gathered = [(series, results.get(item, item), initial) for series, item, initial in loop.gathered]
    return Apply(list(results.values()), [*starts, *extra], step, member), learnt


def _shown(left: Block, body: Block, member: Member) -> dict[str, Sym]:
    """The sizes that `left` reads from submodules of `body`, which becomes the class of `member`: it passes them on.

    What is one of several sizes is chosen inside, where each of the submodules may be there or not.
    """
    outs: dict[str, Sym] = {}
    later = bound_names(left) - used_names(body, let_values=True)
    for op in left.walk():
        value = op.value if isinstance(op, Let) else None
        found = re.findall(r"\b(member__\d+)\.(\w+)", value.code) if isinstance(value, Sym) else []
        if found and any(isinstance(n, ast.IfExp) for n in nodes(value.expr)):
            label = found[0][1]
            if names_in(value) & (later - {op.name}) or str(outs.setdefault(label, value)) != str(value):
                raise CannotKeep("a size decided inside a branch of a loop is used after it")
            op.value = Sym.parse(f"member__{id(member)}.{label}", value.witness, True)
            continue
        for name, label in found:
            outs[label] = Sym.parse(f"{name}.{label}", integer=True)
            op.value = Sym.parse(op.value.code.replace(name, f"member__{id(member)}"), value.witness, True)
    return outs


def _name(name: str) -> Any:
    return Sym.name(name)
