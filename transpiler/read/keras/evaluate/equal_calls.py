"""Two calls of a model on the same tensors, where one will do: `encoder(inputs)` beside tensors of the encoder's own graph."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from transpiler.ir.liveness import all_uses, replace_uses, results_of
from transpiler.ir.program import Apply, Block, ModuleClass, Return, Value, tensors

CHANCE = re.compile(r"rand|dropout|noise|bernoulli|multinomial|normal_", re.I)
"""In the text of a step: it draws numbers."""


def merge_equal_calls(block: Block, ends: Sequence[Value], classes: Mapping[str, ModuleClass]) -> dict[Value, Value]:
    """Makes one call of two where both give the same, in place; the tensors that were left out → those that stand for them.

    `ends` are tensors that are read after the block, `classes` those of the models that variables hold. What is drawn must be
    read from one of the calls alone, and nothing in a model may count its calls.
    """
    merged: dict[Value, Value] = {}
    calls = [op for op in block.ops if isinstance(op, Apply) and op.member is not None and op.member.code in classes]
    for i, first in enumerate(calls):
        for second in calls[i + 1 :]:
            if second not in block.ops or first not in block.ops:
                continue
            if second.member is not first.member or [merged.get(x, x) for x in second.args] != first.args:
                continue
            drawn = drawn_outputs(classes[first.member.code])  # type: ignore[union-attr]
            read = {x for op in block.ops for x in all_uses(op)} | {*ends}
            if drawn is None or any(first.results[k] in read and second.results[k] in read for k in drawn):
                continue
            block.ops.remove(second)
            pairs = dict(zip(second.results, first.results))
            replace_uses(block, pairs)
            merged |= pairs
    return merged


def drawn_outputs(cls: ModuleClass) -> set[int] | None:
    """Which results of a class depend on numbers that it draws; None where a call changes the module as well."""
    drawn: set[Value] = set()
    for op in cls.block.ops:
        kind = _kind(op)
        if kind is None:
            return None
        if kind or not drawn.isdisjoint(all_uses(op)):
            drawn.update(results_of(op))
    returned = [x for op in cls.block.ops if isinstance(op, Return) for x in tensors(op.value)]
    return {i for i, x in enumerate(returned) if x in drawn}


def _kind(op: Any) -> bool | None:
    """Whether an operation draws numbers; None for one that changes a module."""
    if isinstance(op, Return):
        return None if op.kept else False
    if not isinstance(op, Apply):
        inside = [_kind(o) for o in Block([op]).walk() if isinstance(o, Apply)]
        return None if None in inside else any(inside)
    found = False
    for step in [op.step, *(p.step for p in (op.member.parts if op.member is not None else ()) if p.step is not None)]:
        text = f"{step.module or ''} {step.fn or ''}"
        if CHANCE.search(text):
            found = True
        elif step.stateful or "BatchNorm" in text or "Spectral" in text:
            return None
    return found
