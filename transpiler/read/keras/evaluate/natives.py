"""Python's own functions and modules, as far as model-building code may use them without side effects."""

from __future__ import annotations

import collections
import copy
import functools
import itertools
import math
import operator
import re
import string
import types
import typing
from typing import Any

from transpiler.read.keras.evaluate.values import Native, Partial, Unknown

EXCEPTIONS = {
    n: getattr(__import__("builtins"), n)
    for n in dir(__import__("builtins"))
    if isinstance(getattr(__import__("builtins"), n), type)
    and issubclass(getattr(__import__("builtins"), n), BaseException)
}

PURE = {
    f.__name__: f
    for f in (
        abs, all, any, ascii, bin, bool, bytes, chr, complex, dict, divmod, enumerate, filter, float, format, frozenset,
        hash, hex, id, int, iter, len, list, map, max, min, next, oct, ord, pow, range, repr, reversed, round, set, slice,
        sorted, str, sum, tuple, zip, object,
    )
}  # fmt: skip


def _wraps(wrapped: Any, *_: Any, **__: Any) -> Any:
    """`functools.wraps` for functions of the program: the wrapper takes over the name."""

    def decorate(wrapper: Any) -> Any:
        if hasattr(wrapper, "attributes"):
            wrapper.attributes.update({"__name__": getattr(wrapped, "name", ""), "__wrapped__": wrapped})
        return wrapper

    return decorate


def _partial(function: Any, *args: Any, **keywords: Any) -> Partial:
    if isinstance(function, Partial):
        return Partial(function.function, (*function.args, *args), {**function.keywords, **keywords})
    return Partial(function, args, keywords)


FUNCTOOLS = types.SimpleNamespace(
    **{
        **vars(functools),
        "partial": Native("partial", _partial),
        "wraps": _wraps,
        "update_wrapper": lambda wrapper, wrapped, *_: _wraps(wrapped)(wrapper),
    }
)
"""functools, without what copies the insides of one function of the program over another's."""

MODULES: dict[str, Any] = {
    "math": math,
    "operator": operator,
    "itertools": itertools,
    "functools": FUNCTOOLS,
    "collections": collections,
    "copy": copy,
    "re": re,
    "string": string,
    "typing": typing,
    "__future__": __import__("__future__"),
}
"""Standard modules that are used as they are: they compute and do nothing else."""

INERT = (
    "os", "sys", "distutils", "packaging", "warnings", "logging", "time", "datetime", "random", "json", "pathlib", "abc", "types", "enum", "contextlib",
    "inspect", "importlib", "dataclasses", "glob", "argparse", "pickle", "shutil", "uuid", "tempfile", "subprocess", "io", "csv",
    "collections.abc", "threading", "multiprocessing", "hashlib", "urllib", "gc", "platform", "traceback", "textwrap", "struct",
)  # fmt: skip
"""Standard modules that would act on the world: only the few names given meaning by the evaluator work."""


class Array(list):
    """A one-dimensional numpy array of numbers: a list whose arithmetic is by element."""

    def _each(self, other: Any, op: Any) -> Array:
        others = other if isinstance(other, list) else [other] * len(self)
        return Array(op(a, b) for a, b in zip(self, others, strict=True))

    def __add__(self, other: Any) -> Any:
        return self._each(other, operator.add)

    def __sub__(self, other: Any) -> Any:
        return self._each(other, operator.sub)

    def __mul__(self, other: Any) -> Any:
        return self._each(other, operator.mul)

    def __truediv__(self, other: Any) -> Any:
        return self._each(other, operator.truediv)

    def __floordiv__(self, other: Any) -> Any:
        return self._each(other, operator.floordiv)

    __radd__, __rmul__ = __add__, __mul__

    def tolist(self) -> list[Any]:
        return list(self)

    def astype(self, dtype: Any) -> Any:
        return Array(map(dtype, self)) if callable(dtype) else self


class Numpy:
    """The few numpy functions that model-building code applies to shapes and hyperparameters, on plain numbers."""

    pi = math.pi
    e = math.e
    inf = math.inf
    newaxis = None

    def __getattr__(self, name: str) -> Any:
        return Unknown(f"numpy.{name} is not evaluated")

    @staticmethod
    def prod(a: Any, axis: Any = None, dtype: Any = None) -> Any:
        return math.prod(a) if isinstance(a, (list, tuple)) else a

    @staticmethod
    def sum(a: Any, axis: Any = None) -> Any:
        return sum(a)

    @staticmethod
    def mean(a: Any) -> float:
        return sum(a) / len(a)

    @staticmethod
    def cumsum(a: Any) -> list[Any]:
        return Array(itertools.accumulate(a))

    @staticmethod
    def linspace(start: float, stop: float, num: int = 50) -> Any:
        return Array(start + (stop - start) * i / (num - 1) for i in range(num)) if num > 1 else Array([float(start)])

    @staticmethod
    def arange(*args: Any) -> list[Any]:
        return Array(range(*args)) if all(isinstance(a, int) for a in args) else _unknown("numpy.arange")

    @staticmethod
    def array(a: Any, dtype: Any = None) -> Any:
        if isinstance(a, (list, tuple)):
            return Array(a) if all(isinstance(v, (int, float)) for v in a) else _unknown("numpy.array")
        return a

    asarray = array

    @staticmethod
    def issubdtype(a: Any, b: Any) -> bool:
        return False

    sqrt, log, log2, log10, exp, floor, ceil = (
        math.sqrt,
        math.log,
        math.log2,
        math.log10,
        math.exp,
        math.floor,
        math.ceil,
    )
    power, abs, absolute, maximum, minimum, round, max, min = pow, abs, abs, max, min, round, max, min
    int32 = int64 = int8 = int16 = uint8 = int_ = int
    float32 = float64 = float16 = float_ = float
    bool_ = bool
    floor_divide, mod = operator.floordiv, operator.mod


def _unknown(name: str) -> Unknown:
    return Unknown(f"{name} is not evaluated")
