"""The shapes and dtypes of what functions of numpy return. A shape has None for a size that is not known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from transpiler.ir.expr import Sym, is_open, witness_of
from transpiler.read.keras.evaluate.arrays import DataArray, NumpyArray, Shape
from transpiler.read.keras.evaluate.numbers import Numpy
from transpiler.rules.base import parse_signature
from transpiler.rules.ops.base import broadcast


class NotShaped(Exception):
    """What a function of numpy makes of these arguments is not known here."""


def shape_in(value: Any) -> Shape:
    """The shape of an argument: an array, nested lists, or a number."""
    if isinstance(value, (NumpyArray, DataArray)):
        return value.shape
    if isinstance(value, (list, tuple)):
        inner = [shape_in(v) for v in value]
        if not inner or any(s != inner[0] for s in inner):
            raise NotShaped("lists of different lengths")
        return (len(value), *inner[0])
    if isinstance(value, (int, float, Sym)):
        return ()
    raise NotShaped(f"{value!r} among numbers")


def dtype_in(value: Any) -> str:
    """The dtype of an argument; that of a number on its own begins with "python"."""
    if isinstance(value, (NumpyArray, DataArray)):
        return value.dtype
    if isinstance(value, (list, tuple)):
        kinds = {dtype_in(v).removeprefix("python ") for v in value}
        return next((k for k in ("float64", "float32", "int64", "int32", "bool") if k in kinds), "int64")
    kind = type(witness_of(value))
    return {bool: "python bool", int: "python int64"}.get(kind, "python float64")


def dtype_named(value: Any, default: str) -> str:
    """A `dtype=` argument."""
    if value is None:
        return default
    if isinstance(value, type):
        return {float: "float64", int: "int64", bool: "bool"}[value]
    name = {Numpy.float32: "float32"}.get(value, value) if callable(value) else value
    if name in ("float64", "float32", "int64", "int32", "bool"):
        return name
    if name in ("float", "int"):
        return f"{name}64"
    raise NotShaped(f"the dtype {name!r}")


def promote(*values: Any) -> str:
    """The dtype of arithmetic: a number takes the array's, if it is of no higher kind."""
    kinds = [dtype_in(v) for v in values]
    own = {k for k in kinds if not k.startswith("python")}
    alone = {k.removeprefix("python ") for k in kinds} - own
    if len(own) > 1:
        own = {"float64"} if any(k.startswith("float") for k in own) else {"int64"}
    if not own:
        return next(k for k in ("float64", "int64", "bool") if k in alone)
    (kind,) = own
    if "float64" in alone and not kind.startswith("float"):
        return "float64"
    return "int64" if kind == "bool" and alone - {"bool"} else kind


def as_shape(value: Any) -> Shape:
    sizes = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    if not all(d is None or isinstance(d, (int, Sym)) for d in sizes):
        raise NotShaped("a shape that is not known")
    return sizes


def axes_in(axis: Any, rank: int) -> list[int]:
    axes = list(range(rank)) if axis is None else list(axis) if isinstance(axis, (list, tuple)) else [axis]
    if not all(type(a) is int and -rank <= a < rank for a in axes):
        raise NotShaped("an axis that is not known")
    return [a % rank for a in axes]


def reshaped(shape: Shape, wanted: Shape) -> Shape:
    if not any(type(d) is int and d == -1 for d in wanted):
        return wanted
    rest = [d for d in wanted if not (type(d) is int and d == -1)]
    if None in shape or None in rest:
        return tuple(None if type(d) is int and d == -1 else d for d in wanted)
    missing = math.prod(shape) // math.prod(rest) if rest else math.prod(shape)
    return tuple(missing if type(d) is int and d == -1 else d for d in wanted)


Made = tuple[Shape, str]
"""The shape and dtype of a result."""


def _filled(shape: Any, dtype: Any = None) -> Made:
    return as_shape(shape), dtype_named(dtype, "float64")


def _full(shape: Any, fill_value: Any, dtype: Any = None) -> Made:
    if shape_in(fill_value):
        raise NotShaped("an array to fill with")
    return as_shape(shape), dtype_named(dtype, dtype_in(fill_value).removeprefix("python "))


def _like(a: Any, dtype: Any = None) -> Made:
    return shape_in(a), dtype_named(dtype, dtype_in(a))


def _eye(n: Any, m: Any = None, k: Any = 0, dtype: Any = None) -> Made:
    return as_shape((n, n if m is None else m)), dtype_named(dtype, "float64")


def _arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Made:
    first, last = (0, start) if stop is None else (start, stop)
    if any(type(witness_of(v)) is not int for v in (first, last, step)):
        raise NotShaped("a range of fractions")
    if is_open([first, last, step]):
        length = last - first if type(step) is int and step == 1 else None
    else:
        length = len(range(first, last, step))
    return (length,), dtype_named(dtype, "int64")


def _linspace(start: Any, stop: Any, num: Any = 50, endpoint: Any = True, retstep: Any = False, dtype: Any = None) -> Made:  # fmt: skip
    if retstep or shape_in(start) or shape_in(stop):
        raise NotShaped("linspace() of arrays")
    return as_shape(num), dtype_named(dtype, "float64")


def _array(a: Any, dtype: Any = None) -> Made:
    return shape_in(a), dtype_named(dtype, dtype_in(a).removeprefix("python "))


def _reshape(a: Any, newshape: Any) -> Made:
    return reshaped(shape_in(a), as_shape(newshape)), dtype_in(a)


def _transpose(a: Any, axes: Any = None) -> Made:
    shape = shape_in(a)
    order = list(reversed(range(len(shape)))) if axes is None else axes_in(axes, len(shape))
    if sorted(order) != list(range(len(shape))):
        raise NotShaped("these axes")
    return tuple(shape[i] for i in order), dtype_in(a)


def _flat(a: Any) -> Made:
    return reshaped(shape_in(a), (-1,)), dtype_in(a)


def _expand_dims(a: Any, axis: Any) -> Made:
    shape = list(shape_in(a))
    (place,) = axes_in(axis, len(shape) + 1)
    return (*shape[:place], 1, *shape[place:]), dtype_in(a)


def _same(a: Any, *args: Any, **kwargs: Any) -> Made:
    return shape_in(a), dtype_in(a)


def _stack(arrays: Any, axis: Any = 0) -> Made:
    shapes = [shape_in(a) for a in arrays]
    (place,) = axes_in(axis, len(shapes[0]) + 1)
    return (*shapes[0][:place], len(shapes), *shapes[0][place:]), promote(*arrays)


def _concatenate(arrays: Any, axis: Any = 0) -> Made:
    shapes = [shape_in(a) for a in arrays]
    (place,) = axes_in(axis, len(shapes[0]))
    sizes = [s[place] for s in shapes]
    total = None if None in sizes else sum(sizes[1:], sizes[0])
    return (*shapes[0][:place], total, *shapes[0][place + 1 :]), promote(*arrays)


def _repeated(a: Any, repeats: Any, axis: Any = None) -> Made:
    if not isinstance(repeats, (int, Sym)):
        raise NotShaped("a number of repeats for each item")
    shape = reshaped(shape_in(a), (-1,)) if axis is None else shape_in(a)
    (place,) = axes_in(0 if axis is None else axis, len(shape))
    size = None if shape[place] is None else shape[place] * repeats
    return (*shape[:place], size, *shape[place + 1 :]), dtype_in(a)


def _reduced(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Made:
    shape = shape_in(a)
    axes = axes_in(axis, len(shape))
    kept = tuple(1 if i in axes else d for i, d in enumerate(shape) if keepdims or i not in axes)
    return kept, dtype_named(dtype, dtype_in(a))


def _counted(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Made:
    shape, kind = _reduced(a, axis, dtype, keepdims)
    return shape, "int64" if kind in ("bool", "int32") and dtype is None else kind


def _mean(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Made:
    shape, kind = _reduced(a, axis, dtype, keepdims)
    return shape, kind if kind.startswith("float") else "float64"


def _fraction(x: Any) -> Made:
    kind = dtype_in(x)
    return shape_in(x), kind if kind == "float32" else "float64"


def _both(a: Any, b: Any) -> Made:
    return broadcast([shape_in(a), shape_in(b)]), promote(a, b)


def _divided(a: Any, b: Any) -> Made:
    shape, kind = _both(a, b)
    return shape, kind if kind.startswith("float") else "float64"


def _where(condition: Any, x: Any, y: Any) -> Made:
    return broadcast([shape_in(v) for v in (condition, x, y)]), promote(x, y)


SHAPES: dict[str, tuple[str, Callable[..., Made]]] = {
    **dict.fromkeys(("zeros", "ones"), ("shape, dtype=None", _filled)),
    "full": ("shape, fill_value, dtype=None", _full),
    **dict.fromkeys(("zeros_like", "ones_like"), ("a, dtype=None", _like)),
    "eye": ("N, M=None, k=0, dtype=None", _eye),
    "identity": ("N, dtype=None", lambda n, dtype: _eye(n, dtype=dtype)),
    "arange": ("start, stop=None, step=1, dtype=None", _arange),
    "linspace": ("start, stop, num=50, endpoint=True, retstep=False, dtype=None", _linspace),
    **dict.fromkeys(("array", "asarray"), ("a, dtype=None", _array)),
    "reshape": ("a, shape", _reshape),
    "transpose": ("a, axes=None", _transpose),
    "ravel": ("a", _flat),
    "flip": ("a, axis=None", _same),
    "expand_dims": ("a, axis", _expand_dims),
    "repeat": ("a, repeats, axis=None", _repeated),
    "stack": ("arrays, axis=0", _stack),
    "concatenate": ("arrays, axis=0", _concatenate),
    **dict.fromkeys(("sum", "prod"), ("a, axis=None, dtype=None, keepdims=False", _counted)),
    "mean": ("a, axis=None, dtype=None, keepdims=False", _mean),
    **dict.fromkeys(("max", "min", "amax", "amin"), ("a, axis=None, dtype=None, keepdims=False", _reduced)),
    **dict.fromkeys(("sin", "cos", "tan", "tanh", "exp", "log", "log2", "log10", "sqrt"), ("x", _fraction)),
    **dict.fromkeys(("floor", "ceil"), ("x", _fraction)),
    **dict.fromkeys(("abs", "absolute", "square", "sign", "negative"), ("x", _same)),
    **dict.fromkeys(("add", "subtract", "multiply", "power", "maximum", "minimum", "mod", "floor_divide"), ("a, b", _both)),
    **dict.fromkeys(("divide", "true_divide"), ("a, b", _divided)),
    "where": ("condition, x, y", _where),
}  # fmt: skip
"""Functions of numpy: how they are called, and the shape and dtype of what they return."""

METHODS: dict[str, tuple[str, Callable[..., Made]]] = {
    **{n: SHAPES[n] for n in ("sum", "prod", "mean", "max", "min", "ravel")},
    "flatten": ("a", _flat),
    "copy": ("a", _same),
    "astype": ("a, dtype", _array),
}
"""Methods of arrays."""

VIEWS = ("reshape", "transpose", "ravel", "flip", "expand_dims", "asarray")
"""Functions whose result may share the memory of their first argument."""

GENERATORS = ("default_rng", "RandomState")
"""What makes a source of random numbers with a state of its own."""

DRAWS: dict[str, tuple[str, str]] = {
    "normal": ("loc=0.0, scale=1.0, size=None", "float64"),
    "uniform": ("low=0.0, high=1.0, size=None", "float64"),
    "standard_normal": ("size=None", "float64"),
    "random": ("size=None", "float64"),
    "integers": ("low, high=None, size=None", "int64"),
    "randint": ("low, high=None, size=None", "int64"),
}
"""Random numbers of a shape: how they are called, and their dtype."""


def made(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Made:
    """The shape and dtype of what a function of numpy returns. Raises NotShaped."""
    return _called(SHAPES, name, args, kwargs)


def made_by_method(name: str, x: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Made:
    """The shape and dtype of what a method of the array `x` returns. Raises NotShaped."""
    if name == "reshape" and not kwargs:
        whole = len(args) == 1 and isinstance(args[0], (list, tuple))
        return reshaped(x.shape, as_shape(args[0] if whole else args)), x.dtype
    if name == "transpose" and not kwargs:
        return made("transpose", [x, args if len(args) > 1 else args[0] if args else None], {})
    return _called(METHODS, name, [x, *args], kwargs)


def _called(
    table: dict[str, tuple[str, Callable[..., Made]]], name: str, args: Sequence[Any], kwargs: dict[str, Any]
) -> Made:
    if name not in table:
        raise NotShaped(name)
    signature, function = table[name]
    try:
        bound = parse_signature(signature).bind(*args, **kwargs)
    except TypeError as error:
        raise NotShaped(str(error)) from None
    bound.apply_defaults()
    return function(*bound.arguments.values())


def drawn(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Made:
    """The shape and dtype of random numbers. Raises NotShaped."""
    if name in ("rand", "randn"):
        return as_shape(args), "float64"
    if name == "permutation" and len(args) == 1 and not kwargs:
        (a,) = args
        return ((a,), "int64") if isinstance(a, (int, Sym)) else (shape_in(a), dtype_in(a))
    if name not in DRAWS:
        raise NotShaped(name)
    signature, dtype = DRAWS[name]
    try:
        bound = parse_signature(signature).bind(*args, **kwargs)
    except TypeError as error:
        raise NotShaped(str(error)) from None
    bound.apply_defaults()
    *others, size = bound.arguments.values()
    if size is None or any(shape_in(o) for o in others if o is not None):
        raise NotShaped("a single draw")
    return as_shape(size), dtype
