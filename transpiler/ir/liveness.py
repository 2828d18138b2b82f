"""Who uses a tensor: counts and positions, through loops and branches."""

from __future__ import annotations

from collections import Counter
from typing import Any

from transpiler.ir.program import Apply, Block, Branch, ForLoop, Loop, Return, Value, replace_tensors, tensors


def uses_of(op: Any) -> list[Value]:
    """The tensors that one operation reads itself (not those its blocks read)."""
    if isinstance(op, Apply):
        return list(op.args)
    if isinstance(op, Return):
        return [*tensors(op.value), *op.kept.values()]
    if isinstance(op, (Loop, ForLoop)):
        found = [*(initial for initial, _, _, _ in op.carried), *(series for series, _, _ in op.zipped)]
        found += [x for _, _, initial in op.gathered for x in tensors(initial)]
        if isinstance(op, ForLoop):
            found += [*(pick.args[0] for pick in op.picked), *op.extra]
        return found
    return []


def own_uses(op: Any) -> list[Value]:
    """The tensors that one operation reads itself, the ends of its blocks included (not what these blocks read)."""
    found = uses_of(op)
    if isinstance(op, Branch):
        found += [x for _, then, otherwise in op.phis for x in (then, otherwise)]
    elif isinstance(op, (Loop, ForLoop)):
        found += [*(end for _, _, end, _ in op.carried), *(item for _, item, _ in op.gathered)]
    return found


def all_uses(op: Any) -> list[Value]:
    """The tensors from outside that an operation reads, through its blocks as well."""
    found = uses_of(op)
    if isinstance(op, Branch):
        for position, side in ((1, op.then), (2, op.otherwise)):
            inner = [v for o in side.ops for v in all_uses(o)] + [phi[position] for phi in op.phis]
            made = {r for o in side.ops for r in results_of(o)}
            found += [v for v in inner if v not in made]
    elif isinstance(op, (Loop, ForLoop)):
        ends = [*(end for _, _, end, _ in op.carried), *(item for _, item, _ in op.gathered)]
        inner = [v for o in op.body.ops for v in all_uses(o)] + ends
        made = {r for o in op.body.ops for r in results_of(o)} | {start for _, start, _, _ in op.carried}
        made |= {item for _, item, _ in op.zipped}
        if isinstance(op, ForLoop):
            made |= {r for pick in op.picked for r in pick.results}
        found += [v for v in inner if v not in made]
    return found


def use_counts(block: Block) -> Counter[Value]:
    """How often each tensor is read, ends of loops and branches included."""
    counts: Counter[Value] = Counter()
    for op in block.walk():
        counts.update(own_uses(op))
    return counts


def replace_uses(block: Block, values: dict[Value, Value]) -> None:
    """Lets the operations of a block read other tensors, in place."""

    def new(x: Any) -> Any:
        return replace_tensors(x, values)

    for op in block.walk():
        if isinstance(op, Apply):
            op.args = new(op.args)
        elif isinstance(op, Return):
            op.value, op.kept = new(op.value), new(op.kept)
        elif isinstance(op, Branch):
            op.phis = [(result, new(then), new(otherwise)) for result, then, otherwise in op.phis]
        elif isinstance(op, (Loop, ForLoop)):
            op.carried = [(new(initial), start, new(end), result) for initial, start, end, result in op.carried]
            op.gathered = [(series, new(item), new(initial)) for series, item, initial in op.gathered]
            op.zipped = [(new(series), item, backwards) for series, item, backwards in op.zipped]


def results_of(op: Any) -> list[Value]:
    """The tensors that one operation defines in its own block."""
    if isinstance(op, Apply):
        return list(op.results)
    if isinstance(op, Branch):
        return [result for result, _, _ in op.phis]
    if isinstance(op, (Loop, ForLoop)):
        return [*(result for _, _, _, result in op.carried), *(series for series, _, _ in op.gathered)]
    return []


def needed_in(loop: Loop | ForLoop, live: set[Value], again: bool = True) -> set[Value]:
    """The tensors of an iteration that lead to the results `live` of a loop; without `again`, those of the last one."""
    wanted = {end for _, _, end, result in loop.carried if result in live}
    wanted |= {item for series, item, _ in loop.gathered if series in live}
    while True:
        needed = set(wanted)
        for op in reversed(loop.body.ops):
            if not needed.isdisjoint(results_of(op)):
                needed.update(all_uses(op))
        more = {end for _, start, end, _ in loop.carried if start in needed} - wanted
        if not again or not more:
            return needed
        wanted |= more


def remove_dead(block: Block, keep: set[Value]) -> None:
    """Drops tensor operations whose results nobody reads, in place. `keep` is read from outside."""
    while True:
        counts = use_counts(block)
        if not _sweep(block, counts, keep):
            return


def _sweep(block: Block, counts: Counter[Value], keep: set[Value]) -> bool:
    changed = False
    kept: list[Any] = []
    for op in block.ops:
        if isinstance(op, Branch):
            live = [p for p in op.phis if counts[p[0]] or p[0] in keep]
            changed |= len(live) != len(op.phis)
            op.phis = live
            changed |= _sweep(op.then, counts, keep) | _sweep(op.otherwise, counts, keep)
            if not op.phis and not op.then.ops and not op.otherwise.ops:
                changed = True
                continue
        elif isinstance(op, (Loop, ForLoop)):
            results = {r for r in results_of(op) if counts[r] or r in keep}
            needed = needed_in(op, results)
            live_carried = [c for c in op.carried if c[3] in results or c[1] in needed]
            changed |= len(live_carried) != len(op.carried)
            op.carried = live_carried
            live_gathered = [g for g in op.gathered if g[0] in results]
            live_zipped = [z for z in op.zipped if z[1] in needed]
            changed |= len(live_gathered) != len(op.gathered) or len(live_zipped) != len(op.zipped)
            op.gathered, op.zipped = live_gathered, live_zipped
            changed |= _sweep(op.body, counts, keep)
            if not op.carried and not op.gathered and not op.body.ops:
                changed = True
                continue
        elif isinstance(op, Apply) and not any(counts[r] or r in keep for r in op.results):
            changed = True
            continue
        kept.append(op)
    block.ops[:] = kept
    return changed
