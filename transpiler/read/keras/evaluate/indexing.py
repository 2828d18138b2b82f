"""Shapes and texts of indexed tensors."""

from __future__ import annotations

from typing import Any

from transpiler.ir.expr import Sym, is_open


def indexed_shape(shape: tuple[Any, ...], items: list[Any]) -> tuple[Any, ...]:
    """The shape of `x[items]`."""
    used = sum(1 for i in items if i is not None and i is not Ellipsis)
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
            size = rest.pop(0)
            dims.append(_sliced(size, item))
        else:
            rest.pop(0)
            used -= 1
            used += 1
    return tuple(dims + rest)


def _sliced(size: Any, item: slice) -> Any:
    if item.start is None and item.stop is None and item.step is None:
        return size
    if size is None or is_open((item.start, item.stop, item.step)) or isinstance(size, Sym):
        if not is_open((item.start, item.step)) and isinstance(item.stop, Sym) and item.start in (None, 0):
            return item.stop
        if (
            isinstance(size, Sym)
            and item.step is None
            and isinstance(item.start, int)
            and item.stop is None
            and item.start >= 0
        ):
            return size - item.start
        return None
    return len(range(*item.indices(size)))


def _index_text(item: Any) -> str:
    from transpiler.ir.expr import code_of

    if item is Ellipsis:
        return "..."
    if isinstance(item, slice):
        start, stop, step = ("" if p is None else code_of(p) for p in (item.start, item.stop, item.step))
        return f"{start}:{stop}" + (f":{step}" if step else "")
    return code_of(item)
