"""`np.linspace` with open ends or an open count: rates that grow from layer to layer."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from transpiler.ir.expr import NeedsConstant, Sym, is_open, observe, to_ast
from transpiler.read.keras.evaluate.arrays import ArrayFunction, NumpyArray
from transpiler.read.keras.evaluate.numbers import Numpy
from transpiler.read.keras.evaluate.values import Unknown

AS_LIST = (list, tuple, len, enumerate, zip, reversed, sum, max, min)
"""Functions that make the same of an array of numbers as of a list."""


@dataclass(eq=False)
class OpenArray:
    """An array of numbers that the constructor computes: `items`, as a list. What only arrays do needs its values."""

    items: Sym
    array: Any
    """The same for what only arrays do."""

    def tolist(self) -> Sym:
        return self.items

    def unknown(self, *args: Any) -> NoReturn:
        raise NeedsConstant(self.items)

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __pow__ = unknown
    __neg__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __len__ = __iter__ = __float__ = unknown


class StagedArrays:
    """The part of the stager that keeps such arrays."""

    def call_real(self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        if function in AS_LIST:
            args = [a.items if isinstance(a, OpenArray) else a for a in args]
        return super().call_real(function, args, kwargs)  # type: ignore[misc]

    def call_numpy(self, function: ArrayFunction, args: list[Any], kwargs: dict[str, Any]) -> Any:
        known = [not isinstance(a, (NumpyArray, OpenArray, Unknown)) for a in args]
        if function.name != "linspace" or kwargs or len(args) != 3 or not is_open(args) or not all(known):
            return super().call_numpy(function, args, kwargs)  # type: ignore[misc]
        text = ast.unparse(ast.Tuple([to_ast(a) for a in args], ast.Load()))[1:-1]
        seen = observe(lambda *a: list(Numpy.linspace(*a)), *args)
        items = Sym.parse(f"torch.linspace({text}, dtype=torch.float64).tolist()", seen)
        return OpenArray(items, super().call_numpy(function, args, kwargs))  # type: ignore[misc]

    def getitem(self, value: Any, index: Any) -> Any:
        if not isinstance(value, OpenArray):
            return super().getitem(value, index)  # type: ignore[misc]
        if not isinstance(index, (int, Sym, slice)):
            return super().getitem(value.array, index)  # type: ignore[misc]
        found = super().getitem(value.items, index)  # type: ignore[misc]
        return OpenArray(found, super().getitem(value.array, index)) if isinstance(index, slice) else found  # type: ignore[misc]

    def iterate(self, value: Any) -> Any:
        return super().iterate(value.items if isinstance(value, OpenArray) else value)  # type: ignore[misc]

    def loop(self, node: ast.For, iterable: Any, env: Any) -> Any:
        return super().loop(node, iterable.items if isinstance(iterable, OpenArray) else iterable, env)  # type: ignore[misc]

    def eval_ListComp(self, node: ast.ListComp, env: Any) -> Any:
        """`[x for x in array]` is the array as a list."""
        (first, *more), element = node.generators, node.elt
        whole = isinstance(element, ast.Name) and isinstance(first.target, ast.Name) and element.id == first.target.id
        if whole and not more and not first.ifs:
            found = self.eval(first.iter, env)  # type: ignore[attr-defined]
            if isinstance(found, OpenArray):
                return found.items
        return super().eval_ListComp(node, env)  # type: ignore[misc]
