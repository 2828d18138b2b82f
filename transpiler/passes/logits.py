"""Models whose outputs end in a sigmoid or a softmax: what comes before these is what a crossentropy is computed from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from transpiler.ir.liveness import use_counts
from transpiler.ir.model import Step
from transpiler.ir.program import Apply, Member, ModuleClass, Return, Value, replace_tensors, tensors

ENDINGS = {"nn.Sigmoid": "torch.sigmoid({0})", "nn.Softmax": "F.softmax({0}, dim=-1)"}
"""Module of an activation → what it does to an output, in the order of axes that outputs have."""


def last_activations(cls: ModuleClass) -> list[str]:
    """The activation that ends each output of a whole model, over `{0}`; "" where there is none to take off."""
    if cls.logits is not None:
        return ["" if text == "{0}" else text for text in cls.logits]
    return [ending.text if ending is not None else "" for ending in _endings(cls)]


def split_logits(cls: ModuleClass) -> None:
    """Parts the last activations of a whole model from the rest."""
    if cls.logits is not None:
        return
    endings = _endings(cls)
    returned = _returned(cls)
    values = tensors(returned.value) if returned is not None else []
    cls.logits = [e.text if e is not None else "{0}" for e in endings]
    for ending in endings:
        for change in ending.changes if ending is not None else ():
            change()
    if returned is not None:
        before = {v: e.before for v, e in zip(values, endings) if e is not None}
        returned.value = replace_tensors(returned.value, before)


def last_call(cls: ModuleClass) -> tuple[Apply, int] | None:
    """The call of a submodule of which one result is all that a whole model returns, and which result that is."""
    returned = _returned(cls)
    values = tensors(returned.value) if returned is not None else []
    ops = [o for o in cls.block.ops if isinstance(o, Apply) and len(values) == 1 and values[0] in o.results]
    if (
        len(ops) != 1
        or ops[0].member is None
        or any(use_counts(cls.block)[x] for x in ops[0].results if x not in values)
    ):
        return None
    return ops[0], ops[0].results.index(values[0])


def pass_logits_on(cls: ModuleClass, ending: str) -> None:
    """Has a model that ends in another one give that one's logits, where `ending` is the activation after these."""
    last = last_call(cls)
    if cls.logits is None and last is not None:
        cls.logits = [ending]
        _take_logits(last[0])


@dataclass
class Ending:
    """The last activation of an output: the tensor before it, its text, and what taking it off changes."""

    before: Value
    text: str
    changes: list[Callable[[], Any]]


def _returned(cls: ModuleClass) -> Return | None:
    return next((op for op in cls.block.ops if isinstance(op, Return)), None)


def _endings(cls: ModuleClass) -> list[Ending | None]:
    returned = _returned(cls)
    values = tensors(returned.value) if returned is not None else []
    counts = use_counts(cls.block)
    return [_ending(cls, v, counts) if counts[v] == 1 else None for v in values]


def _ending(cls: ModuleClass, value: Value, counts: Counter[Value]) -> Ending | None:
    op = next((o for o in cls.block.ops if isinstance(o, Apply) and o.results == [value]), None)
    if op is None or op.outputs:
        return None
    inner = op.member.construction.cls if op.member is not None and op.member.construction is not None else None
    if inner is not None and not op.member.shared and len(texts := last_activations(inner)) == 1 and texts[0]:  # type: ignore[union-attr]
        return Ending(value, texts[0], [partial(split_logits, inner), partial(_take_logits, op)])
    if len(op.args) != 1:
        return None
    if op.step.permutes is not None:  # into Keras's order of axes; activations do not mind
        inner = _ending(cls, op.args[0], counts) if counts[op.args[0]] == 1 else None
        return (
            None if inner is None else Ending(value, inner.text, [*inner.changes, partial(_rewire, op, inner.before)])
        )
    if op.member is not None and op.member.parts:
        *rest, last = op.member.parts
        text = _text(last.step, value)
        if text is None or last.shared or not rest:
            return None
        before = Value(value.type, value.hint)
        return Ending(before, text, [partial(_shorten, op, rest, before)])
    text = _text(op.step, value)
    if text is None:
        return None
    return Ending(op.args[0], text, [partial(cls.block.ops.remove, op)])


def _take_logits(op: Apply) -> None:
    """Has a call of a submodule give that one's logits."""
    operands = ", ".join(f"{{{i}}}" for i in range(len(op.args)))
    text = op.step.fn or f"{{self}}({operands})"
    op.step = replace(op.step, fn=f"{text.removesuffix(f'({operands})')}.logits({operands})")


def _rewire(op: Apply, value: Value) -> None:
    op.args[0] = value


def _shorten(op: Apply, rest: list[Member], before: Value) -> None:
    """Takes the last submodule off a chain."""
    assert op.member is not None
    if len(rest) == 1:
        op.member, op.step = rest[0], rest[0].step or op.step
    else:
        op.member.parts = rest
    op.results = [before]


def _text(step: Step | None, value: Value) -> str | None:
    """The text of an activation that Keras recovers the input of; None for others, and for other axes than the last."""
    name, _, arguments = (step.module or "").partition("(") if step is not None else ("", "", "")
    if arguments not in (")", f"dim={value.type.axis(-1)})", "dim=-1)"):
        return None
    return ENDINGS.get(name)
