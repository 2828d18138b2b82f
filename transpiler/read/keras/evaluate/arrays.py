"""Arrays of numpy whose numbers nothing here needs: the code that makes them, and their shapes.

The constructor of the generated class makes them with numpy, as the source does.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from transpiler.ir.expr import NeedsConstant, Sym, to_ast
from transpiler.read.keras.evaluate.numbers import Array, Numpy
from transpiler.read.keras.evaluate.values import Unknown

Shape = tuple[Any, ...]


@dataclass(eq=False)
class NumpyArray:
    """An array that the constructor makes: its expression, shape, and dtype as numpy names it."""

    code: ast.expr
    shape: Shape
    dtype: str = "float64"
    home: Any = None
    """The class under construction whose names the code is written in."""
    variable: str = ""
    """The constructor's variable that holds it."""
    root: str = ""
    """The variable of the array whose memory it may share; "" for one of its own."""
    reads: dict[str, int] = field(default_factory=dict)
    """The variables of arrays that its code reads → how often these had changed by then."""
    decides: Sym | None = None
    """A parameter that its numbers or its shape depend on."""
    changed: bool = False
    """Whether its numbers are not what its code makes: they were drawn or changed where no code is kept of it."""

    def __deepcopy__(self, memo: dict[int, Any]) -> NumpyArray:
        return self

    def __repr__(self) -> str:
        return f"<array {ast.unparse(self.code)}>"


@dataclass(frozen=True, eq=False, repr=False)
class DataArray(Unknown):
    """An array whose numbers only the program has. A size that is not known is None."""

    shape: Shape = ()
    dtype: str = "float64"


class ArrayList(list):  # type: ignore[type-arg]
    """A list of arrays that one function returns, with the expression that makes it."""

    code: ast.expr
    home: Any = None
    variable: str = ""

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)


@dataclass(eq=False)
class RandomSource:
    """`np.random`, or a generator of random numbers that the constructor makes."""

    code: ast.expr
    home: Any = None
    made: bool = False
    """Whether it is an object of its own, with a state."""
    variable: str = ""

    def __deepcopy__(self, memo: dict[int, Any]) -> RandomSource:
        return self


@dataclass(eq=False)
class ArrayFunction:
    """A function of numpy by its name; `plain` is what it does to numbers and lists of them."""

    name: str
    plain: Callable[..., Any] | None
    call: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(self, list(args), kwargs)


@dataclass(eq=False)
class ArrayMethod:
    """A method of an array or of a source of random numbers."""

    name: str
    receiver: NumpyArray | RandomSource


def not_known(value: Any, why: str) -> Unknown:
    """What a use that needs the numbers of an array gives; raises NeedsConstant where parameters decide them."""
    found = open_in(value)
    if found is not None:
        raise NeedsConstant(found, why)
    return Unknown(why)


def open_in(value: Any) -> Sym | None:
    """A parameter that an array in a value depends on."""
    if isinstance(value, NumpyArray):
        return value.decides
    if isinstance(value, (list, tuple)):
        return next((s for s in map(open_in, value) if s is not None), None)
    return value if isinstance(value, Sym) else None


def has_arrays(value: Any) -> bool:
    """Whether a value is an array of this kind, or a sequence with one in it."""
    if isinstance(value, (NumpyArray, RandomSource)):
        return True
    return isinstance(value, (list, tuple)) and any(map(has_arrays, value))


def dtype_code(value: Any) -> ast.expr | None:
    """`np.float32`, where an argument is such a type."""
    return ast.parse("np.float32", mode="eval").body if value is Numpy.float32 else None


def type_code(value: type) -> ast.expr:
    return ast.Name(value.__name__, ast.Load())


def plain_code(value: Any) -> ast.expr:
    """The expression of an argument that holds no array."""
    if isinstance(value, Array) and value.code is not None:
        return value.code
    if isinstance(value, type):
        return type_code(value)
    return dtype_code(value) or to_ast(value)
