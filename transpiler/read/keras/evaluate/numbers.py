"""The few numpy functions that model-building code applies to shapes and hyperparameters, on plain numbers.

What is not computed exactly as numpy would is an unknown value, never a near one.
"""

from __future__ import annotations

import ast
import itertools
import math
import operator
import struct
from collections.abc import Callable
from typing import Any

from transpiler.read.keras.evaluate.values import Unknown

NUMBER = (int, float)


class Array(list):
    """A one-dimensional array of numbers: a list whose operators work by element."""

    code: ast.expr | None = None
    """The expression of numpy that makes it, where it is known."""

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Array(super().__getitem__(index))
        return super().__getitem__(index) if isinstance(index, int) else not_evaluated("indexing by an array")

    def __neg__(self) -> Any:
        return Array(map(operator.neg, self))

    def __contains__(self, value: Any) -> bool:
        return any(v == value for v in self)

    def __hash__(self) -> int:  # type: ignore[override]
        raise TypeError("unhashable type: 'numpy.ndarray'")

    def __bool__(self) -> bool:
        if len(self) == 1:
            return bool(self[0])
        raise ValueError("The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()")

    @property
    def shape(self) -> tuple[int]:
        return (len(self),)

    @property
    def size(self) -> int:
        return len(self)

    def tolist(self) -> list[Any]:
        return list(self)

    def astype(self, dtype: Any) -> Any:
        return Array(map(dtype, self)) if dtype in (int, float) else not_evaluated("astype")

    def any(self) -> bool:
        return any(self)

    def all(self) -> bool:
        return all(self)

    def sum(self) -> Any:
        return sum(self)

    def max(self) -> Any:
        return max(self)

    def min(self) -> Any:
        return min(self)

    def mean(self) -> float:
        return sum(self) / len(self)


def _by_element(op: Callable[[Any, Any], Any], swapped: bool = False) -> Any:
    def apply(self: Array, other: Any) -> Any:
        if not isinstance(other, (*NUMBER, list, tuple)):
            return NotImplemented
        others = [other] * len(self) if isinstance(other, NUMBER) else list(other)
        if len(others) != len(self):
            return not_evaluated("broadcasting of arrays")
        return Array(op(b, a) if swapped else op(a, b) for a, b in zip(self, others))

    return apply


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Array, f"__{_name}__", _by_element(getattr(operator, _name)))
    if len(_name) > 2:
        setattr(Array, f"__r{_name}__", _by_element(getattr(operator, _name), swapped=True))


def not_evaluated(name: str) -> Unknown:
    return Unknown(f"numpy.{name} is not evaluated")


def _of_numbers(name: str, function: Callable[..., Any], written: str) -> Callable[..., Any]:
    """A function of numbers, applied to one array by element; `written` is the same in plain Python."""

    def apply(*args: Any, **kwargs: Any) -> Any:
        if kwargs or any(isinstance(a, (list, tuple)) for a in args):
            if len(args) == 1 and not kwargs and _is_flat(args[0]):
                return Array(map(function, args[0]))
            return not_evaluated(name)
        return function(*args)

    apply.written = written  # type: ignore[attr-defined]
    return apply


def _of_array(name: str, function: Callable[[Any], Any], written: str) -> Callable[..., Any]:
    """A function that reduces one list of numbers; `written` is the same in plain Python."""

    def apply(a: Any, *args: Any, **kwargs: Any) -> Any:
        return not_evaluated(name) if args or kwargs or not _is_flat(a) else function(list(a))

    apply.written = written  # type: ignore[attr-defined]
    return apply


def _is_flat(a: Any) -> bool:
    return isinstance(a, (list, tuple)) and all(isinstance(v, NUMBER) for v in a)


def _linspace(start: float, stop: float, num: int = 50, **kwargs: Any) -> Any:
    if kwargs or not isinstance(start, NUMBER) or not isinstance(stop, NUMBER):
        return not_evaluated("linspace")
    if num in (0, 1):
        return Array([float(start)] * num)
    step = (stop - start) / (num - 1)
    return Array([*(start + step * i for i in range(num - 1)), float(stop)])


def _arange(*args: Any, dtype: Any = None) -> Any:
    if dtype not in DTYPES or not all(isinstance(a, int) for a in args):
        return not_evaluated("arange")
    return Array(map(DTYPES[dtype] or int, range(*args)))


def _array(a: Any, dtype: Any = None) -> Any:
    if dtype not in DTYPES or not (isinstance(a, NUMBER) or _is_flat(a)):
        return not_evaluated("array")
    kind = DTYPES[dtype]
    if isinstance(a, NUMBER):
        return kind(a) if kind else a
    kind = kind or (float if any(isinstance(v, float) for v in a) else None)
    return Array(map(kind, a) if kind else a)


def _float32(value: Any) -> Any:
    if not isinstance(value, NUMBER):
        return not_evaluated("float32")
    return struct.unpack("f", struct.pack("f", value))[0]


_float32.written = "np.float32"  # type: ignore[attr-defined]


def _round(value: float, decimals: int = 0) -> Any:
    if not isinstance(decimals, int) or decimals < 0 and isinstance(value, int):
        return not_evaluated("round")
    if isinstance(value, int) or not decimals:
        return value if isinstance(value, int) else float(round(value))
    return (
        round(value * 10**decimals) / 10**decimals if decimals > 0 else round(value / 10**-decimals) * 10.0**-decimals
    )


DTYPES: dict[Any, Callable[[Any], Any] | None] = {
    None: None,
    **dict.fromkeys((int, "int", "int32", "int64"), int),
    **dict.fromkeys((float, "float", "float64"), float),
    **dict.fromkeys((_float32, "float32"), _float32),
}
SCALARS: dict[str, tuple[Callable[..., Any], str]] = {
    **{n: (getattr(math, n), f"math.{n}") for n in ("sqrt", "log", "log2", "log10", "exp", "sin", "cos")},
    "floor": (lambda x: float(math.floor(x)), "math.floor"),  # written, these give the same number as an int
    "ceil": (lambda x: float(math.ceil(x)), "math.ceil"),
    "round": (_round, "round"),
    "abs": (abs, "abs"),
    "absolute": (abs, "abs"),
    "power": (pow, "pow"),
    "maximum": (max, "max"),
    "minimum": (min, "min"),
    "floor_divide": (operator.floordiv, ""),
    "mod": (operator.mod, ""),
}
REDUCTIONS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "prod": (math.prod, "math.prod"),
    "sum": (sum, "sum"),
    "max": (max, "max"),
    "min": (min, "min"),
    "amax": (max, "max"),
    "amin": (min, "min"),
    "mean": (lambda a: sum(a) / len(a), ""),
    "any": (any, "any"),
    "all": (all, "all"),
    "cumsum": (lambda a: Array(itertools.accumulate(a)), ""),
    "diff": (lambda a: Array(b - c for b, c in zip(a[1:], a)), ""),
}
FUNCTIONS = {
    **{n: _of_numbers(n, *how) for n, how in SCALARS.items()},
    **{n: _of_array(n, *how) for n, how in REDUCTIONS.items()},
}


class Numpy:
    """The module; any other name in it is unknown."""

    pi = math.pi
    e = math.e
    inf = math.inf
    nan = math.nan
    newaxis = None
    int32 = int64 = int_ = int
    float64 = float_ = float
    float32 = staticmethod(_float32)
    bool_ = bool
    linspace, arange = staticmethod(_linspace), staticmethod(_arange)
    array = asarray = staticmethod(_array)

    def __getattr__(self, name: str) -> Any:
        return FUNCTIONS.get(name) or not_evaluated(name)
