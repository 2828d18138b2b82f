"""Straight chains of modules become one `nn.Sequential`."""

from __future__ import annotations

from collections import Counter
from typing import Any

from transpiler.ir.liveness import use_counts
from transpiler.ir.model import Step
from transpiler.ir.program import Apply, Block, Member, Value, holds_weights

MIN_CHAIN = 3
MIN_CHAIN_INSIDE = 6


def group_chains(block: Block, root: bool) -> None:
    """Joins runs of unnamed modules that thread one tensor, in place; inside helper classes long runs only."""
    counts = use_counts(block)
    least = MIN_CHAIN if root else MIN_CHAIN_INSIDE
    done: list[Any] = []
    run: list[Apply] = []
    for op in [*block.ops, None]:
        if run and _continues(run, op, counts):
            run.append(op)
            continue
        done += _joined(run, least, root)
        run = [op] if _can_join(op) else []
        if not run and op is not None:
            done.append(op)
    block.ops[:] = done


def _can_join(op: Any) -> bool:
    return (
        isinstance(op, Apply)
        and op.step.module is not None
        and op.step.result is None
        and not op.outputs
        and len(op.args) == len(op.results) == 1
        and op.member is not None
        and not (op.member.shared or op.member.exposed or op.member.name or op.member.code.startswith("nn.Parameter"))
    )


def _continues(run: list[Apply], op: Any, counts: Counter[Value]) -> bool:
    value = run[-1].results[0]
    return _can_join(op) and op.args == [value] and counts[value] == 1 and _in_order(run, op)


def _in_order(run: list[Apply], op: Apply) -> bool:
    """Whether the program constructs what holds weights in the order in which it calls it, as `nn.Sequential` does."""
    held = [a.member.order for a in (*run, op) if a.member is not None and holds_weights(a)]
    return held == sorted(held)


def _joined(run: list[Apply], least: int, root: bool) -> list[Apply]:
    if len(run) < least or not any(a.step.weights or a.step.stateful for a in run):
        return run
    linear = any(a.member.code.startswith(("nn.Flatten", "nn.Linear")) for a in run if a.member is not None)
    return [joined(run, "layers" if not root else "classifier" if linear else "features")]


def joined(run: list[Apply], hint: str) -> Apply:
    """A chain of submodules as one `nn.Sequential`."""
    parts = [a.member for a in run if a.member is not None]
    helpers = tuple(dict.fromkeys(h for a in run for h in a.step.helpers))
    step = Step(module="nn.Sequential()", hint=hint, helpers=helpers, stateful=True)
    member = Member("", hint, None, None, step, order=min(p.order for p in parts), parts=parts)
    return Apply(run[-1].results, run[0].args, step, member, (), run[0].span)
