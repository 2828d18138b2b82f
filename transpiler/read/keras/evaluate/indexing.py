"""Shapes and texts of indexed tensors."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import MISSING, Sym, code_of, is_open, witness_of
from transpiler.ir.program import Value
from transpiler.ir.shape import TensorType, to_first
from transpiler.read.keras.evaluate.values import Unknown
from transpiler.rules.ops.base import SIZE


def parts_of(item: Any) -> list[Any]:
    """The numbers of one index."""
    return [item.start, item.stop, item.step] if isinstance(item, slice) else [item]


def check_index(items: list[Any]) -> None:
    """Raises Declined for an index that is not made of ints, sizes, slices, None and `...`."""
    for item in items:
        for part in parts_of(item):
            number = isinstance(part, (int, Sym)) and not isinstance(part, bool)
            size = isinstance(part, Value) and part.type.dtype == SIZE
            if not number and not size and part is not None and part is not Ellipsis:
                raise Declined("K2T103", "this way of indexing a tensor is not translated")
        step = item.step if isinstance(item, slice) and not is_backwards(item) else None
        seen = witness_of(step)  # torch raises for a step that turns out to be negative
        open_step = isinstance(step, Sym) and seen is MISSING
        if step is not None and not open_step and (not isinstance(seen, int) or seen < 0):
            raise Declined("K2T103", "a negative or unknown step over a tensor is not translated")


def is_backwards(item: Any) -> bool:
    """`::-1`."""
    return isinstance(item, slice) and item.start is None and item.stop is None and item.step == -1


def is_whole(item: Any) -> bool:
    """`:`."""
    return isinstance(item, slice) and item.start is None and item.stop is None and item.step in (None, 1)


def axes_of(items: list[Any], rank: int) -> list[tuple[Any, int | None]]:
    """Each item with the axis that it stands for; None and `...` have none."""
    found: list[tuple[Any, int | None]] = []
    used = sum(1 for i in items if i is not None and i is not Ellipsis)
    axis = 0
    for item in items:
        if item is None or item is Ellipsis:
            found.append((item, None))
            axis += rank - used if item is Ellipsis else 0
        else:
            found.append((item, axis))
            axis += 1
    return found


def backwards(items: list[Any], rank: int) -> list[int]:
    """The axes that are read from their end."""
    return [axis for item, axis in axes_of(items, rank) if is_backwards(item) and axis is not None]


def slices_of(items: list[Any], kind: TensorType) -> list[Any] | None:
    """An index of slices alone, for a tensor held channels first; None if it takes or makes axes."""
    whole: list[Any] = [slice(None)] * kind.rank
    for item, axis in axes_of(items, kind.rank):
        if item is not Ellipsis and not isinstance(item, slice):
            return None
        if axis is not None:
            whole[axis] = item
    return [whole[i] for i in to_first(kind.rank)]


def without_trailing(items: list[Any]) -> list[Any]:
    """The index without whole axes at its end, which count where `...` stands before other items."""
    rest = list(items)
    while rest and (is_whole(rest[-1]) or rest[-1] is Ellipsis):
        rest.pop()
    return list(items) if any(i is Ellipsis for i in rest) else rest


def indexed_shape(shape: tuple[Any, ...], items: list[Any]) -> tuple[Any, ...]:
    """The shape of `x[items]`."""
    used = sum(1 for i in items if i is not None and i is not Ellipsis)
    if used > len(shape):
        raise Declined("K2T102", f"{used} indices of a tensor with {len(shape)} axes")
    dims: list[Any] = []
    rest = list(shape)
    for item in items:
        if item is None:
            dims.append(1)
        elif item is Ellipsis:
            count = len(shape) - used
            dims += rest[:count]
            rest = rest[count:]
        elif isinstance(item, slice):
            dims.append(_sliced(rest.pop(0), item))
        else:
            rest.pop(0)
    return tuple(dims + rest)


def _sliced(size: Any, item: slice) -> Any:
    """The size of a slice of an axis; None where it depends on sizes that are open."""
    start, stop = item.start, item.stop
    if is_whole(item):
        return size
    if any(isinstance(p, (Value, Unknown)) for p in (start, stop, item.step)):
        return None
    if type(size) is int and not is_open((start, stop, item.step)):
        return len(range(*item.indices(size)))
    if isinstance(item.step, Sym) or item.step not in (None, 1):
        every = start is None and stop is None and type(size) in (int, Sym) and not isinstance(item.step, Value)
        return (size + item.step - 1) // item.step if every else None
    from_start = start is None or type(start) is int and start == 0
    if from_start and type(stop) is int:
        if stop == 1:  # no axis is empty
            return 1
        return size + stop if stop < 0 and isinstance(size, Sym) else None
    if from_start and isinstance(stop, Sym):
        return stop if _counts(stop) else None
    if size is None or stop is not None:
        known = _counts(start) and _counts(stop) and type(size) in (int, Sym)
        return stop - start if known else None
    if type(start) is int and start < 0:
        return 1 if start == -1 else None
    return size - start if _counts(start) else None


def _counts(value: Any) -> bool:
    """Whether a bound of a slice counts from the front."""
    seen = witness_of(value)
    return isinstance(value, (int, Sym)) and type(seen) is int and seen >= 0


def index_text(item: Any, places: dict[Any, str]) -> str:
    """One index as text, with sizes read at run time in their places."""
    if item is Ellipsis:
        return "..."
    if isinstance(item, slice):
        start, stop, step = (
            "" if p is None else places[p] if isinstance(p, Value) else code_of(p) for p in parts_of(item)
        )
        return f"{start}:{stop}" + (f":{step}" if step else "")
    return places[item] if isinstance(item, Value) else code_of(item)
