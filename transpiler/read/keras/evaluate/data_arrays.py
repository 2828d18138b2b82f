"""Arrays of data: numbers that only the program has, in arrays whose shapes follow from what makes them.

They are unknown values with a shape. What is made of them is such an array again where its shape is known, else unknown.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from transpiler.ir.expr import Sym
from transpiler.ir.model import ApiValue
from transpiler.read.keras.evaluate.array_shapes import (
    NotShaped,
    dtype_in,
    made,
    made_by_method,
    promote,
    shape_in,
)
from transpiler.read.keras.evaluate.arrays import ArrayFunction, DataArray, NumpyArray, Shape
from transpiler.read.keras.evaluate.data_objects import holds_data
from transpiler.read.keras.evaluate.values import Unknown, has_tensors
from transpiler.rules.base import parse_signature
from transpiler.rules.ops.base import broadcast, is_float


def _images(count: int, tests: int, shape: Shape, labels: Shape = ()) -> tuple[tuple[Shape, Shape], ...]:
    return ((count, *shape), (count, *labels)), ((tests, *shape), (tests, *labels))


DATASETS: Mapping[str, tuple[tuple[Shape, Shape], ...]] = {
    "mnist": _images(60000, 10000, (28, 28)),
    "fashion_mnist": _images(60000, 10000, (28, 28)),
    "cifar10": _images(50000, 10000, (32, 32, 3), (1,)),
    "cifar100": _images(50000, 10000, (32, 32, 3), (1,)),
    "imdb": (((25000,), (25000,)), ((25000,), (25000,))),
    "reuters": (((None,), (None,)), ((None,), (None,))),
    "boston_housing": (((None, 13), (None,)), ((None, 13), (None,))),
    "california_housing": (((None, 8), (None,)), ((None, 8), (None,))),
}
"""The data sets of `keras.datasets`: shapes of (inputs, targets) to train with and to test with, whatever is asked for."""


@dataclass(frozen=True, eq=False)
class DataArrayMethod:
    """A method of an array of data."""

    receiver: DataArray
    name: str


def _categories(shape: Shape, num_classes: Any) -> Shape:
    kept = shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape
    return (*kept, num_classes if isinstance(num_classes, (int, Sym)) else None)


def _padded(sequences: Any, maxlen: Any) -> Shape:
    count = len(sequences) if isinstance(sequences, (list, tuple)) else getattr(sequences, "shape", (None,))[0]
    return count, maxlen if isinstance(maxlen, (int, Sym)) else None


MAKERS: Mapping[str, tuple[str, Callable[..., tuple[Shape, str]]]] = {
    "to_categorical": (
        "y, num_classes=None, dtype='float32'",
        lambda y, num_classes, dtype: (_categories(shape_in(y), num_classes), "float32"),
    ),
    "pad_sequences": (
        "sequences, maxlen=None, dtype='int32', padding='pre', truncating='pre', value=0.0",
        lambda sequences, maxlen, *rest: (_padded(sequences, maxlen), "int32"),
    ),
}
"""Functions of Keras that make arrays: how they are called, and the shape and dtype of what they return."""


class DataArrays:
    """The part of the interpreter that follows their shapes."""

    home: Any
    image_data_format: str

    def as_data(self, value: Any) -> Any:
        """A value with arrays of data for the arrays that changed where no code is kept of it."""
        if isinstance(value, NumpyArray) and value.changed and self.home is not None:
            return DataArray("numbers that are changed around the model's code", value.shape, value.dtype)
        return value

    def with_data(self, value: Any) -> Any:
        """The same for an argument, which may be a list of arrays."""
        if type(value) in (list, tuple) and any(isinstance(v, (NumpyArray, list, tuple)) for v in value):
            items = [self.with_data(v) for v in value]
            return value if all(a is b for a, b in zip(items, value)) else type(value)(items)
        return self.as_data(value)

    def made_of_data(self, make: Callable[[], tuple[Shape, str]], of: str) -> Unknown:
        """What is computed from such arrays."""
        try:
            shape, dtype = make()
        except (NotShaped, TypeError, ValueError):
            return Unknown(f"{of} is not evaluated")
        reason = f"{of} is not evaluated"
        return DataArray(reason, shape, dtype) if shape else Unknown(reason)

    def call(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if isinstance(function, ArrayFunction):
            args, kwargs = [self.with_data(a) for a in args], {k: self.with_data(v) for k, v in kwargs.items()}
            if shaped_by_data([*args, *kwargs.values()]) and not has_tensors([*args, *kwargs.values()]):
                known = without_sizes(args), {k: without_sizes(v) for k, v in kwargs.items()}
                return self.made_of_data(lambda: made(function.name, *known), f"numpy.{function.name}")
        if isinstance(function, DataArrayMethod):
            return self.call_data_method(function.receiver, function.name, args, kwargs)
        return super().call(function, args, kwargs)  # type: ignore[misc]

    def call_api(self, api: ApiValue, args: list[Any], kwargs: dict[str, Any]) -> Any:
        parts = api.path.split(".")
        if parts[:2] == ["keras", "datasets"] and parts[-1] == "load_data" and parts[-2] in DATASETS:
            return tuple(tuple(self.part_of(parts[-2], s) for s in pair) for pair in DATASETS[parts[-2]])
        if api.leaf in MAKERS and parts[0] == "keras":
            signature, make = MAKERS[api.leaf]
            try:
                bound = parse_signature(signature).bind(*map(self.with_data, args), **kwargs)
            except TypeError:
                return super().call_api(api, args, kwargs)  # type: ignore[misc]
            bound.apply_defaults()
            return self.made_of_data(lambda: make(*bound.arguments.values()), f"{api.path}()")
        return super().call_api(api, args, kwargs)  # type: ignore[misc]

    def part_of(self, name: str, shape: Shape) -> DataArray:
        """One of the arrays of a data set; images come as the file of settings says, or the program."""
        if len(shape) == 4 and self.image_data_format == "channels_first":
            shape = (shape[0], shape[3], *shape[1:3])
        return DataArray(f"the data of {name}", shape, "uint8" if len(shape) > 2 else "int64")

    def length(self, value: Any) -> Any:
        value = self.as_data(value)
        if not isinstance(value, DataArray):
            return super().length(value)  # type: ignore[misc]
        known = value.shape[0] if value.shape else None
        return Unknown("the length of an array of data") if known is None else known

    def getattr(self, value: Any, name: str) -> Any:
        if holds_data(value, name):
            return Unknown(f"the {name} of {value.reason}")
        value = self.as_data(value)
        if not isinstance(value, DataArray):
            return super().getattr(value, name)  # type: ignore[misc]
        if name == "shape":
            return tuple(Unknown("the size of an array of data") if d is None else d for d in value.shape)
        if name in ("ndim", "dtype"):
            return len(value.shape) if name == "ndim" else value.dtype
        if name == "T":
            return DataArray(value.reason, value.shape[::-1], value.dtype)
        return DataArrayMethod(value, name)

    def call_data_method(self, x: DataArray, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        args, kwargs = without_sizes(args), {k: without_sizes(v) for k, v in kwargs.items()}

        def make() -> tuple[Shape, str]:
            if name == "astype":
                kind = next(iter((*args, *kwargs.values())))
                return x.shape, kind if isinstance(kind, str) else getattr(kind, "__name__", "float64")
            return made_by_method(name, x, args, kwargs)

        return self.made_of_data(make, f"{name}() of an array of data")

    def getitem(self, value: Any, index: Any) -> Any:
        value = self.as_data(value)
        if not isinstance(value, DataArray):
            return super().getitem(value, index)  # type: ignore[misc]
        items = list(index) if isinstance(index, tuple) else [index]
        picks = any(isinstance(i, (DataArray, NumpyArray, list)) for i in items)
        shape = picked(value.shape, items) if picks else sliced(value.shape, items)
        return DataArray("items of data", shape, value.dtype) if shape else Unknown("items of data")

    def binop(self, op: ast.operator, left: Any, right: Any) -> Any:
        return self.between(left, right, "float64" if isinstance(op, ast.Div) else None) or super().binop(op, left, right)  # type: ignore[misc]

    def compare(self, op: ast.cmpop, left: Any, right: Any) -> Any:
        plain = not isinstance(op, (ast.Is, ast.IsNot, ast.In, ast.NotIn))
        found = self.between(left, right, "bool") if plain else None
        return found or super().compare(op, left, right)  # type: ignore[misc]

    def between(self, left: Any, right: Any, dtype: str | None) -> Unknown | None:
        """What arithmetic gives, or a comparison; None if neither operand is an array of data."""
        left, right = self.as_data(left), self.as_data(right)
        if not isinstance(left, DataArray) and not isinstance(right, DataArray):
            return None
        if has_tensors(left) or has_tensors(right):
            return None

        def make() -> tuple[Shape, str]:
            kind = promote(left, right)
            kind = kind if dtype is None or dtype == "float64" and is_float(kind) else dtype
            return broadcast([shape_in(left), shape_in(right)]), kind

        return self.made_of_data(make, "arithmetic on data")

    def unary(self, op: ast.unaryop, value: Any) -> Any:
        value = self.as_data(value)
        return value if isinstance(value, DataArray) else super().unary(op, value)  # type: ignore[misc]

    def iterate(self, value: Any) -> Any:
        return super().iterate(self.as_data(value))  # type: ignore[misc]


def shaped_by_data(values: Any) -> bool:
    """Whether there are arrays of data among the arguments of a function, or shapes with sizes that only the data know."""
    sequences = [v for v in values if isinstance(v, (list, tuple))]
    inside = [*values, *(v for s in sequences for v in s)]
    sizes = any(isinstance(v, Unknown) for s in sequences for v in s)
    return sizes or any(isinstance(v, DataArray) for v in inside) or any(map(shaped_by_data, sequences))


def without_sizes(value: Any) -> Any:
    """An argument with None for each size that is not known."""
    if type(value) in (list, tuple):
        return type(value)(map(without_sizes, value))
    return None if isinstance(value, Unknown) and not isinstance(value, DataArray) else value


def picked(shape: Shape, items: list[Any]) -> Shape | None:
    """The shape of what an array of indices takes out of an array, or a mask; None if that is not known."""
    first, *others = items
    if others or not isinstance(first, (DataArray, NumpyArray)):
        return None
    if dtype_in(first) == "bool":
        return (None, *shape[1:]) if len(first.shape) == 1 else None
    return (*first.shape, *shape[1:])


def sliced(shape: Shape, items: list[Any]) -> Shape | None:
    """The shape of what slices and numbers take out of an array; None if that is not known."""
    if any(i is Ellipsis for i in items):
        at = next(n for n, i in enumerate(items) if i is Ellipsis)
        taken = sum(1 for i in items if i is not None) - 1
        items = [*items[:at], *[slice(None)] * (len(shape) - taken), *items[at + 1 :]]
    left, found = list(shape), []
    for item in items:
        if item is None:
            found.append(1)
            continue
        if not left:
            return None
        size = left.pop(0)
        if isinstance(item, slice):
            bounds = (item.start, item.stop, item.step)
            if bounds == (None, None, None):
                found.append(size)
            elif isinstance(size, int) and all(b is None or type(b) is int for b in bounds):
                found.append(len(range(*item.indices(size))))
            else:
                found.append(None)
    return (*found, *left)
