"""Lists of tensors whose length is open: a loop that is kept appends one tensor an iteration."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from transpiler.ir.expr import MISSING, Sym, constant_value, observe, to_ast
from transpiler.ir.linear import counted, linear, plus, times
from transpiler.ir.program import Value
from transpiler.read.keras.evaluate.signals import NotKept


class NotGathered(NotKept):
    """A list is used in a way that needs its single tensors: the loop `node` that fills it has to be unrolled."""

    def __init__(self, node: ast.AST) -> None:
        super().__init__("a list that a loop fills is used in a way that is not kept")
        self.node = node


@dataclass(frozen=True, eq=False)
class Sides:
    """The lists that an open list is on the sides of the branch on `test`, itself made in the names of `home`."""

    test: Sym
    then: Any
    otherwise: Any
    home: Any


@dataclass(eq=False)
class Gathered:
    """The list after the loop. What it cannot do as an open list raises NotGathered, so that nothing is missed.

    It changes as the program changes the list; the tensors of `forward` and the variables of the constructor do not.
    """

    series: Value
    """Stands for the list in `forward`; its type is that of the items, with sizes that differ between them open."""
    count: Any
    """How many items there are, in terms of the constructor's variables; None where that is not said."""
    over: Any
    """Something of the constructor that is as long."""
    sizes: dict[int, Sym]
    """Axis → the list, in the constructor, of the sizes of the items along it, where they differ."""
    node: ast.AST
    backwards: bool = False
    """Whether the program's list is `series` from its end."""
    sides: Sides | None = None
    """If it is one of two lists, by an open test: what it is where that test is decided."""
    holds_tensors: ClassVar[bool] = True

    def __reversed__(self) -> Gathered:
        return replace(self, backwards=not self.backwards)

    def _not_kept(self, *args: Any, **kwargs: Any) -> Any:
        raise NotGathered(self.node)

    __eq__ = _not_kept
    __hash__ = object.__hash__
    __iter__ = __len__ = __bool__ = __contains__ = __getitem__ = _not_kept
    __add__ = __radd__ = __mul__ = __rmul__ = __iadd__ = _not_kept

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotGathered(self.node)

    @property
    def total(self) -> Any:
        """The sum of the last sizes of the items."""
        last = self.sizes.get(self.series.type.rank - 1)
        if last is not None:
            return Sym(ast.Call(ast.Name("sum", ast.Load()), [last.expr], []), MISSING, True)
        size = self.series.type.shape[-1]
        return None if size is None or self.count is None else size * self.count

    def sizes_along(self, axis: int) -> Sym:
        """The list of the sizes along an axis, in the order in which the program reads it."""
        sizes = self.sizes[axis]
        return called("reversed", sizes) if self.backwards else sizes

    def direction(self, index: Any, target: ast.expr, iterable: Any) -> bool | None:
        """Whether `list[index]` in a loop is each item in turn, from the first (False) or from the last (True).

        None where that is not sure.
        """
        if isinstance(target, ast.Tuple) and _enumerates(iterable):
            target, iterable = target.elts[0], numbers(length_of(iterable))
        steps = counted(iterable)
        if steps is None or not isinstance(target, ast.Name) or self.count is None:
            return None
        start, slope, count = steps
        if linear(count) != linear(self.count):
            return None
        form = linear(index)
        factor = form.pop(target.id, 0)
        if any(target.id in term for term in form):
            return None
        first = plus(form, times(start, factor))
        each = times(slope, factor)
        if each == {"": 1} and first == {}:
            return self.backwards
        if each == {"": -1} and first in ({"": -1}, plus(linear(count), {"": -1})):
            return not self.backwards
        return None


@dataclass(eq=False)
class Zipped:
    """`zip` or `enumerate` over open lists; `parts` are open lists, such zips, and static iterables."""

    parts: list[Any]
    holds_tensors: ClassVar[bool] = True

    @property
    def node(self) -> ast.AST:
        return next(p.node for p in self.parts if isinstance(p, (Gathered, Zipped)))

    def __iter__(self) -> Any:
        raise NotGathered(self.node)

    __len__ = __getitem__ = __iter__


@dataclass(eq=False)
class Draining:
    """A list while the body of a loop is evaluated that takes one item from its end in each iteration."""

    item: Value

    def pop(self, index: int = -1) -> Value:
        return self.item


def contents(known: Any) -> Any:
    """A list of its own with what is in this one."""
    return replace(known) if isinstance(known, Gathered) else list(known)


def called(function: str, *args: Any, witness: Any = MISSING, integer: bool = False) -> Sym:
    """A call of one of Python's functions in the constructor."""
    return Sym(ast.Call(ast.Name(function, ast.Load()), [to_ast(a) for a in args], []), witness, integer)


def length_of(iterable: Any) -> Any:
    """The length of what a loop runs over; None for a `zip`."""
    if not isinstance(iterable, Sym):
        return len(iterable)
    call, seen = iterable.expr, observe(len, iterable)
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
        if call.func.id == "range" and len(call.args) == 1:
            return Sym(call.args[0], seen, True) if not isinstance(call.args[0], ast.Constant) else call.args[0].value
        if call.func.id in ("enumerate", "reversed", "list", "tuple"):
            return length_of(known(call.args[0], iterable.witness))
        if call.func.id == "zip":
            return None
    return called("len", iterable, witness=seen, integer=True)


def known(node: ast.expr, seen: Any) -> Any:
    """An expression of the constructor, as its value where it is a literal."""
    value = constant_value(node)
    return Sym(node, seen) if value is MISSING else value


def _enumerates(iterable: Any) -> bool:
    """Whether a loop runs over `enumerate(x)`, numbered from 0, whose length is known."""
    call = iterable.expr if isinstance(iterable, Sym) else None
    named = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "enumerate"
    return named and len(call.args) == 1 and not call.keywords and length_of(iterable) is not None  # type: ignore[union-attr]


def numbers(count: Any) -> Sym:
    """`range(count)`."""
    return called("range", count, witness=observe(range, count))


def zipped(function: Any, args: list[Any]) -> Any:
    """`zip(…)` or `enumerate(list)` over arguments of which some are open lists."""
    if function is zip:
        return Zipped(list(args))
    if len(args) == 1 and isinstance(args[0], Gathered) and args[0].count is not None:
        return Zipped([numbers(args[0].count), args[0]])
    return None


def gathered_in(value: Any) -> Gathered | None:
    """An open list among arguments or results, if there is one."""
    if isinstance(value, Gathered):
        return value
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return next((g for g in map(gathered_in, items) if g is not None), None)
