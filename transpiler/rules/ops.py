"""Functions on tensors: the Keras backend, `keras.ops`, `tf.*`, and Python's operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from transpiler.diagnostics import Declined
from transpiler.ir.expr import Sym, code_of
from transpiler.ir.model import Args, Lowering, Step
from transpiler.ir.program import Value
from transpiler.ir.shape import Layout, Shape, TensorType, product
from transpiler.rules.base import parse_signature, show


class OpRule:
    """One function on tensors: its names, its signature, its shape rule and its PyTorch form.

    The function's tensors, in order of appearance in the bound arguments, are the inputs `{0}`, `{1}` … of the steps.
    """

    names: ClassVar[tuple[str, ...]] = ()
    """Canonical paths without the leading package: `backend.exp`, `ops.exp`, `tensorflow.exp`."""
    signature: ClassVar[str] = "x"
    renames: ClassVar[dict[str, str]] = {}

    def bind(self, args: Sequence[Any], kwargs: dict[str, Any], generation: str) -> Args:
        signature = parse_signature(self.signature)
        kwargs = {self.renames.get(k, k): v for k, v in kwargs.items() if k != "name"}
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise Declined("K2T102", f"{self.names[0]}: {error}") from None
        given = frozenset(bound.arguments)
        bound.apply_defaults()
        return Args(dict(bound.arguments), given, generation)

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout | None:
        return Layout.KERAS

    def lower(self, a: Args, xs: Sequence[TensorType]) -> Lowering:
        raise NotImplementedError


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """The shape of an elementwise operation, by numpy's rule."""
    rank = max(map(len, shapes))
    dims: list[Any] = []
    for axis in range(rank):
        column = [s[axis - rank + len(s)] for s in shapes if axis - rank + len(s) >= 0]
        wide = [d for d in column if not (type(d) is int and d == 1)]
        known = [d for d in wide if d is not None]
        dims.append((known[0] if known else None) if wide else 1)
    return tuple(dims)


def elementwise(template: str, xs: Sequence[TensorType], dtype: str | None = None, hint: str = "x") -> Lowering:
    """A lowering of one expression that keeps layout and broadcasts shapes."""
    shape = broadcast([x.shape for x in xs]) if xs else ()
    widest = max(xs, key=lambda x: x.rank)
    y = TensorType(shape, dtype or widest.dtype, widest.layout, widest.masked)
    return Lowering([Step(fn=template, hint=hint)], [y])


UNARY = {
    "exp": "torch.exp({0})",
    "log": "torch.log({0})",
    "log1p": "torch.log1p({0})",
    "sqrt": "torch.sqrt({0})",
    "rsqrt": "torch.rsqrt({0})",
    "square": "{0} ** 2",
    "abs": "torch.abs({0})",
    "absolute": "torch.abs({0})",
    "sign": "torch.sign({0})",
    "sin": "torch.sin({0})",
    "cos": "torch.cos({0})",
    "floor": "torch.floor({0})",
    "ceil": "torch.ceil({0})",
    "round": "torch.round({0})",
    "negative": "-{0}",
    "reciprocal": "torch.reciprocal({0})",
    "erf": "torch.erf({0})",
    "stop_gradient": "{0}.detach()",
    "identity": "{0}",
    "zeros_like": "torch.zeros_like({0})",
    "ones_like": "torch.ones_like({0})",
}
BINARY = {
    "add": "{0} + {1}",
    "subtract": "{0} - {1}",
    "multiply": "{0} * {1}",
    "divide": "{0} / {1}",
    "true_divide": "{0} / {1}",
    "maximum": "torch.maximum({0}, {1})",
    "minimum": "torch.minimum({0}, {1})",
    "pow": "{0} ** {1}",
    "power": "{0} ** {1}",
}
REDUCE = {"sum": "sum", "mean": "mean", "max": "amax", "min": "amin", "prod": "prod"}
OPERATOR = {
    "Add": "{0} + {1}",
    "Sub": "{0} - {1}",
    "Mult": "{0} * {1}",
    "Div": "{0} / {1}",
    "Pow": "{0} ** {1}",
    "FloorDiv": "{0} // {1}",
    "Mod": "{0} % {1}",
    "MatMult": "{0} @ {1}",
}


def paths(*leaves: str) -> tuple[str, ...]:
    """The usual homes of a function: `backend.f`, `ops.f`, `tensorflow.f`, `tensorflow.math.f`, `tensorflow.nn.f`."""
    return tuple(
        f"{home}.{leaf}"
        for leaf in leaves
        for home in ("backend", "ops", "tensorflow", "tensorflow.math", "tensorflow.nn")
    )


class Unary(OpRule):
    """Functions of one tensor, element by element."""

    names = paths(*UNARY)
    signature = "x"
    renames = {"input": "x", "inputs": "x"}

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout | None:
        return None

    def lower_named(self, leaf: str, a: Args, xs: Sequence[TensorType]) -> Lowering:
        return elementwise(UNARY[leaf], xs)


def scalar(value: Any) -> str:
    """A Python number or kept parameter as an operand."""
    if isinstance(value, (Sym, int, float)):
        text = code_of(value)
        return text if isinstance(value, (int, float)) and not text.startswith("-") else f"({text})"
    raise Declined("K2T103", f"{show(value)} as an operand of a tensor is not translated")


def operator_lowering(template: str, operands: Sequence[Any], dtype: str | None = None) -> Lowering:
    """`left op right`, where operands are types of tensors or Python numbers."""
    types = [o for o in operands if isinstance(o, TensorType)]
    text, index = template, 0
    for position, operand in enumerate(operands):
        if isinstance(operand, TensorType):
            text = text.replace(f"{{{position}}}", f"\0{index}\0")
            index += 1
        else:
            text = text.replace(f"{{{position}}}", scalar(operand))
    for i in range(index):
        text = text.replace(f"\0{i}\0", f"{{{i}}}")
    return elementwise(text, types, dtype)


class Binary(OpRule):
    """Functions of two tensors or numbers, element by element."""

    names = paths(*BINARY)
    signature = "x, y"
    renames = {"x1": "x", "x2": "y", "a": "x", "b": "y"}

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout | None:
        return None if len({x.rank for x in xs}) == 1 else Layout.KERAS

    def lower_named(self, leaf: str, a: Args, xs: Sequence[TensorType]) -> Lowering:
        rest = iter(xs)
        operands = [next(rest) if isinstance(v, Value) else v for v in (a.x, a.y)]
        template = BINARY[leaf]
        if leaf in ("maximum", "minimum") and len(xs) == 1:
            number = a.y if isinstance(a.x, Value) else a.x
            bound = "min" if leaf == "maximum" else "max"
            return elementwise(f"torch.clamp({{0}}, {bound}={scalar(number)})", xs)
        return operator_lowering(template, operands)


def reduced(x: TensorType, axis: Any, keepdims: bool) -> tuple[tuple[int, ...], Shape]:
    """The torch dimensions of a Keras `axis` argument (None: all) and the shape that is left."""
    axes = range(x.rank) if axis is None else axis if isinstance(axis, (list, tuple)) else (axis,)
    gone = {a % x.rank for a in axes}
    shape = tuple(1 if i in gone else d for i, d in enumerate(x.shape) if keepdims or i not in gone)
    return tuple(sorted(x.axis(a) for a in gone)), shape


class Reduce(OpRule):
    """Sums, means and extrema over axes."""

    names = (*paths(*REDUCE), *(f"tensorflow.{m}reduce_{leaf}" for m in ("", "math.") for leaf in REDUCE))
    signature = "x, axis=None, keepdims=False"
    renames = {"input_tensor": "x", "keep_dims": "keepdims", "reduction_indices": "axis"}

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout | None:
        x = xs[0]
        dims, shape = reduced(x, a.const("axis"), a.const("keepdims"))
        return (
            None
            if a.const("keepdims") or len(shape) <= 2 and (not shape or x.layout is Layout.KERAS or 1 not in dims)
            else Layout.KERAS
        )

    def lower_named(self, leaf: str, a: Args, xs: Sequence[TensorType]) -> Lowering:
        x = xs[0]
        dims, shape = reduced(x, a.const("axis"), a.const("keepdims"))
        function = REDUCE[leaf.removeprefix("reduce_")]
        if function == "prod" and len(dims) > 1:
            raise Declined("K2T103", "a product over several axes is not translated")
        dim = dims[0] if len(dims) == 1 else dims
        keep = ", keepdim=True" if a.const("keepdims") else ""
        layout = x.layout if len(shape) > 2 else Layout.KERAS
        return Lowering([Step(fn=f"{{0}}.{function}(dim={dim}{keep})")], [TensorType(shape, x.dtype, layout)])


class Reshape(OpRule):
    """Reshape to a fixed or batch-relative shape, in Keras order."""

    names = paths("reshape")
    signature = "x, shape"
    renames = {"tensor": "x", "newshape": "shape"}

    def lower_named(self, leaf: str, a: Args, xs: Sequence[TensorType]) -> Lowering:
        x, shape = xs[0], tuple(a.shape)
        if any(isinstance(d, Value) for d in shape):
            raise Declined("K2T103", "a shape computed by tensor operations is not translated")
        given = [d for d in shape]
        dims = tuple(None if isinstance(d, DynamicDim) else d for d in given)
        text = ", ".join(d.code if isinstance(d, DynamicDim) else code_of(d) for d in given)
        if -1 in [d for d in dims if type(d) is int]:
            rest = product(tuple(d for d in dims if not (type(d) is int and d == -1)))
            if dims[0] is None or (type(dims[0]) is int and dims[0] == -1):
                inner = product(dims[1:])
                whole = product(x.shape[1:])
                keeps = inner is not None and whole is not None and not isinstance(inner, Sym) and inner == whole
                missing = (
                    None if keeps or dims[0] is not None else (whole // rest if whole is not None and rest else None)
                )
            else:
                whole = product(x.shape[1:])
                missing = None if whole is None or rest is None else whole // rest
            if dims[0] is None:
                other = product(tuple(d for d in dims[1:] if not (type(d) is int and d == -1)))
                whole = product(x.shape[1:])
                missing = None if whole is None or other is None else whole // other
            dims = tuple(missing if type(d) is int and d == -1 else d for d in dims)
        return Lowering([Step(fn=f"{{0}}.reshape({text})")], [TensorType(dims, x.dtype)])


class DynamicDim:
    """The batch axis of `tf.shape(x)`: read at run time, the same for every tensor of a model."""

    code = "{0}.shape[0]"


class Dot(OpRule):
    """`K.dot`: the last axis of x with the last but one of a matrix."""

    names = ("backend.dot", "tensorflow.matmul", "ops.matmul", "tensorflow.linalg.matmul")
    signature = "x, y"
    renames = {"a": "x", "b": "y", "x1": "x", "x2": "y"}

    def lower_named(self, leaf: str, a: Args, xs: Sequence[TensorType]) -> Lowering:
        if len(xs) != 2:
            raise Declined("K2T103", "a matrix product with a constant is not translated")
        x, y = xs
        if y.rank == 2:
            return Lowering([Step(fn="{0} @ {1}")], [TensorType((*x.shape[:-1], y.shape[-1]), x.dtype)])
        if leaf == "matmul" and x.rank == y.rank:
            return Lowering([Step(fn="{0} @ {1}")], [TensorType((*x.shape[:-1], y.shape[-1]), x.dtype)])
        raise Declined("K2T103", "a product of tensors of these ranks is not translated")


class ExpandDims(OpRule):
    names = paths("expand_dims")
    signature = "x, axis=-1"
    renames = {"input": "x"}

    def lower_named(self, leaf: str, a: Args, xs: Sequence[TensorType]) -> Lowering:
        axis = a.const("axis")
        at = axis % (xs[0].rank + 1)
        shape = (*xs[0].shape[:at], 1, *xs[0].shape[at:])
        return Lowering([Step(fn=f"{{0}}.unsqueeze({axis})")], [TensorType(shape, xs[0].dtype)])


class Squeeze(OpRule):
    names = paths("squeeze")
    signature = "x, axis"
    renames = {"input": "x"}

    def lower_named(self, leaf: str, a: Args, xs: Sequence[TensorType]) -> Lowering:
        axis = a.const("axis")
        axis = axis[0] if isinstance(axis, (list, tuple)) and len(axis) == 1 else axis
        if not isinstance(axis, int):
            raise Declined("K2T103", "squeezing several axes is not translated")
        shape = tuple(d for i, d in enumerate(xs[0].shape) if i != axis % xs[0].rank)
        return Lowering([Step(fn=f"{{0}}.squeeze({axis})")], [TensorType(shape, xs[0].dtype)])


class Permute(OpRule):
    names = (*paths("permute_dimensions", "transpose"),)
    signature = "x, pattern=None"
    renames = {"perm": "pattern", "axes": "pattern", "a": "x"}

    def lower_named(self, leaf: str, a: Args, xs: Sequence[TensorType]) -> Lowering:
        order = a.const("pattern") or tuple(reversed(range(xs[0].rank)))
        shape = tuple(xs[0].shape[i] for i in order)
        text = ", ".join(map(str, order))
        return Lowering([Step(fn=f"{{0}}.permute({text})")], [TensorType(shape, xs[0].dtype)])


class Concat(OpRule):
    names = paths("concatenate", "concat")
    signature = "xs, axis=-1"
    renames = {"tensors": "xs", "values": "xs"}

    def lower_named(self, leaf: str, a: Args, xs: Sequence[TensorType]) -> Lowering:
        axis = a.const("axis") % xs[0].rank
        total: Any = 0
        for x in xs:
            total = None if total is None or x.shape[axis] is None else total + x.shape[axis]
        shape = tuple(total if i == axis else d for i, d in enumerate(xs[0].shape))
        inputs = ", ".join(f"{{{i}}}" for i in range(len(xs)))
        return Lowering([Step(fn=f"torch.cat(({inputs}), dim={axis})")], [TensorType(shape, xs[0].dtype)])


class Cast(OpRule):
    names = paths("cast")
    signature = "x, dtype"

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout | None:
        return None

    def lower_named(self, leaf: str, a: Args, xs: Sequence[TensorType]) -> Lowering:
        dtype = a.const("dtype")
        dtype = dtype if isinstance(dtype, str) else getattr(dtype, "leaf", "")
        if dtype.startswith("float"):
            if xs[0].dtype.startswith("float"):
                return Lowering([], [replace(xs[0])])
            return Lowering([Step(fn="{0}.to(torch.get_default_dtype())")], [replace(xs[0], dtype="float32")])
        if dtype in ("int32", "int64", "bool"):
            return Lowering([Step(fn=f"{{0}}.to(torch.{dtype})")], [replace(xs[0], dtype=dtype)])
        raise Declined("K2T103", f"a cast to {show(dtype)} is not translated")


class Clip(OpRule):
    names = (*paths("clip", "clip_by_value"),)
    signature = "x, min_value, max_value"
    renames = {
        "clip_value_min": "min_value",
        "clip_value_max": "max_value",
        "x_min": "min_value",
        "x_max": "max_value",
        "t": "x",
    }

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout | None:
        return None

    def lower_named(self, leaf: str, a: Args, xs: Sequence[TensorType]) -> Lowering:
        low, high = (None if v is None else scalar(v) for v in (a.min_value, a.max_value))
        return elementwise(f"torch.clamp({{0}}, {low}, {high})", xs)


class Softmax(OpRule):
    names = (*paths("softmax", "log_softmax"), "activations.softmax")
    signature = "x, axis=-1"
    renames = {"logits": "x"}

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout | None:
        return None

    def lower_named(self, leaf: str, a: Args, xs: Sequence[TensorType]) -> Lowering:
        axis = a.const("axis")
        if not isinstance(axis, int):
            raise Declined("K2T103", "a softmax over several axes is not translated here")
        return elementwise(f"F.{leaf}({{0}}, dim={xs[0].axis(axis)})", xs)


def op_rules() -> dict[str, OpRule]:
    """Canonical path (without `keras.`) → rule."""
    found: dict[str, OpRule] = {}
    for cls in OpRule.__subclasses__():
        rule = cls()
        for name in cls.names:
            if name in found:
                raise RuntimeError(f"two rules for {name}")
            found[name] = rule
    return found
