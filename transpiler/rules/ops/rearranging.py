"""`ops.rearrange`: axes split, moved and joined, as a pattern says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of
from transpiler.ir.model import Args, Lowering
from transpiler.rules.base import show
from transpiler.rules.ops.base import Operand, OpRule, example, one, tensor
from transpiler.rules.ops.repeating import times

SIDE = re.compile(r"\s*(?:(?:[A-Za-z_]\w*|\(\s*[A-Za-z_]\w*(?:\s+[A-Za-z_]\w*)*\s*\))(?:\s+|(?=\()|$))*")
"""One side of a pattern: names, and groups of names in parentheses."""


def groups_of(side: str) -> list[list[str]]:
    """The axes that a side of a pattern names, each as the list of what it is made of."""
    if not SIDE.fullmatch(side):
        raise Declined("K2T103", f"the pattern {side.strip()!r} of rearrange() is not translated")
    return [re.findall(r"\w+", part) for part in re.findall(r"\w+|\([^)]*\)", side)]


class Rearrange(OpRule):
    """A reshape, a permute and a reshape."""

    names = ("ops.rearrange", "ops.einops.rearrange")
    examples = (
        example("ops.rearrange(x, 'b h w -> b w h')"),
        example("ops.rearrange(x, 'b (h k) c -> b h (k c)', k=3)", x=(2, 6, 4)),
        example("ops.rearrange(x, 'b h w c -> b (h w) c')", x=(2, 3, 4, 5)),
        example("ops.rearrange(x, 'b (h p) (w q) c -> b (h w) (p q c)', p=2, q=3)", x=(2, 4, 6, 3)),
        example("ops.rearrange(x, 'b h w -> (b h) w')"),
    )

    def bind(self, path: str, args: Sequence[Any], kwargs: dict[str, Any], generation: str) -> Args:
        names = ("tensor", "pattern")
        given = dict(zip(names, args)) | {n: kwargs[n] for n in names if n in kwargs}
        if set(given) != set(names) or len(args) > 2:
            raise Declined("K2T102", "rearrange() needs a tensor and a pattern")
        lengths = {k: v for k, v in kwargs.items() if k not in (*names, "name")}
        values = {"x": given["tensor"], "pattern": given["pattern"], "lengths": lengths}
        return Args(values, frozenset(values), generation)

    def groups(self, a: Args) -> tuple[list[list[str]], list[list[str]]]:
        before, arrow, after = str(a.const("pattern")).partition("->")
        sides = groups_of(before), groups_of(after)
        flat = [[name for group in side for name in group] for side in sides]
        if not arrow or sorted(flat[0]) != sorted(flat[1]) or len(set(flat[0])) != len(flat[0]):
            raise Declined("K2T103", f"the pattern {show(a.pattern)} of rearrange() is not translated")
        return sides

    def keeps_batch(self, path: str, a: Args) -> bool:
        before, after = self.groups(a)
        return before[0] == after[0] and len(before[0]) == 1

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        before, after = self.groups(a)
        if len(before) != x.rank:
            raise Declined("K2T102", f"the pattern {show(a.pattern)} is not one of {x.rank} axes")
        sizes = self.sizes(x, before, a.const("lengths"))
        flat = [name for group in before for name in group]
        order = [flat.index(name) for group in after for name in group]
        text = str(x)
        if len(flat) != x.rank:
            text += f".reshape({self.written(x, before, [[n] for n in flat], sizes)})"
        if order != list(range(len(order))):
            text += f".permute({', '.join(map(str, order))})"
        if len(after) != len(flat):
            text += f".reshape({self.written(x, before, after, sizes)})"
        shape: list[Any] = []
        for group in after:
            total: Any = 1
            for name in group:
                total = times(total, sizes[name])
            shape.append(total)
        return one(text, tuple(shape), x.dtype)

    def sizes(self, x: Operand, before: list[list[str]], lengths: dict[str, Any]) -> dict[str, Any]:
        """The size of each name; None where it is open."""
        found: dict[str, Any] = {}
        for group, whole in zip(before, x.shape):
            open_names = [n for n in group if n not in lengths] if len(group) > 1 else group
            if len(open_names) > 1 or any(type(lengths[n]) is not int for n in group if n not in open_names):
                raise Declined("K2T103", f"the sizes of {' '.join(group)} in rearrange() are not known")
            known = 1
            for n in group:
                if n not in open_names:
                    found[n] = lengths[n]
                    known *= lengths[n]
            for n in open_names:
                found[n] = None if whole is None else whole // known
        return found

    def written(self, x: Operand, before: list[list[str]], groups: list[list[str]], sizes: Any) -> str:
        """The sizes of groups as arguments: -1 for one that is open, those of the input for others."""
        parts, rest = [], False
        for group in groups:
            total: Any = 1
            for name in group:
                total = times(total, sizes[name])
            if total is not None:
                parts.append(code_of(total))
            elif not rest:
                parts.append("-1")
                rest = True
            elif len(group) == 1 and group in before:
                parts.append(f"{x}.shape[{before.index(group)}]")
            else:
                raise Declined("K2T103", "rearrange() of several axes of open size is not translated")
        return ", ".join(parts)
