"""Lists of tensors whose length is open: a loop that is kept appends one tensor an iteration."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from transpiler.ir.expr import MISSING, Sym, to_ast
from transpiler.ir.program import Value
from transpiler.read.keras.evaluate.signals import NotKept


class NotGathered(NotKept):
    """A list is used in a way that needs its single tensors: the loop `node` that fills it has to be unrolled."""

    def __init__(self, node: ast.For) -> None:
        super().__init__("a list that a loop fills is used in a way that is not kept")
        self.node = node


@dataclass(eq=False)
class Gathered:
    """The list after the loop. What it cannot do as an open list raises NotGathered, so that nothing is missed."""

    series: Value
    """Stands for the list in `forward`; its type is that of the items, with sizes that differ between them open."""
    iterable: Any
    """What the loop ran over: the list is as long."""
    channels: Sym | None
    """The list, in the constructor, of the last sizes of the items, where they differ."""
    node: ast.For
    backwards: bool = False
    holds_tensors: ClassVar[bool] = True

    def __reversed__(self) -> Gathered:
        return replace(self, backwards=not self.backwards)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice) and (index.start, index.stop, index.step) == (None, None, -1):
            return reversed(self)
        raise NotGathered(self.node)

    def _not_kept(self, *args: Any, **kwargs: Any) -> Any:
        raise NotGathered(self.node)

    __eq__ = _not_kept
    __hash__ = object.__hash__
    __iter__ = __len__ = __bool__ = __contains__ = __add__ = __radd__ = __mul__ = __rmul__ = __iadd__ = _not_kept

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotGathered(self.node)

    @property
    def total(self) -> Any:
        """The sum of the last sizes of the items."""
        if self.channels is not None:
            return Sym(ast.Call(ast.Name("sum", ast.Load()), [self.channels.expr], []), MISSING, True)
        size = self.series.type.shape[-1]
        return None if size is None else size * self.count

    @property
    def count(self) -> Any:
        """How many items there are, in terms of the constructor's variables."""
        return length_of(self.iterable)


@dataclass(eq=False)
class Zipped:
    """`zip` or `enumerate` over open lists; `parts` are open lists, such zips, and static iterables."""

    parts: list[Any]
    holds_tensors: ClassVar[bool] = True

    @property
    def node(self) -> ast.For:
        return next(p.node for p in self.parts if isinstance(p, (Gathered, Zipped)))

    def __iter__(self) -> Any:
        raise NotGathered(self.node)

    __len__ = __getitem__ = __iter__


def length_of(iterable: Any) -> Any:
    """The length of what a loop runs over."""
    if not isinstance(iterable, Sym):
        return len(iterable)
    call = iterable.expr
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and len(call.args) == 1:
        if call.func.id == "range":
            return Sym(call.args[0], len(iterable.witness), True)
        if call.func.id in ("enumerate", "reversed", "list", "tuple"):
            return length_of(Sym(call.args[0], iterable.witness))
    return Sym(ast.Call(ast.Name("len", ast.Load()), [iterable.expr], []), len(iterable.witness), True)


def zipped(function: Any, args: list[Any]) -> Any:
    """`zip(…)` or `enumerate(list)` over arguments of which some are open lists."""
    if function is zip:
        return Zipped(list(args))
    if len(args) == 1 and isinstance(args[0], Gathered):
        count = args[0].count
        numbers = Sym(ast.Call(ast.Name("range", ast.Load()), [to_ast(count)], []), range(_seen(count)))
        return Zipped([numbers, args[0]])
    return None


def _seen(count: Any) -> int:
    return count.witness if isinstance(count, Sym) else count


def gathered_in(value: Any) -> Gathered | None:
    """An open list among arguments or results, if there is one."""
    if isinstance(value, Gathered):
        return value
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return next((g for g in map(gathered_in, items) if g is not None), None)
