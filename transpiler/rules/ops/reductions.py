"""Functions that take axes away: sums, means, extrema, their places; and running sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Lowering
from transpiler.ir.shape import Layout, Shape, TensorType, product, to_first
from transpiler.rules.base import show
from transpiler.rules.ops.base import (
    OpRule,
    as_float,
    axis_of,
    dtype_name,
    example,
    home_of,
    is_float,
    leaf_of,
    one,
    operand_text,
    paths,
    tensor,
)

REDUCE = {
    "sum": "sum",
    "mean": "mean",
    "max": "amax",
    "min": "amin",
    "amax": "amax",
    "amin": "amin",
    "prod": "prod",
    "std": "std",
    "var": "var",
    "variance": "var",
    "logsumexp": "logsumexp",
    "any": "any",
    "all": "all",
}
"""Keras name → torch method."""
FLOATS = ("mean", "std", "var", "logsumexp")
"""Methods of torch that take floats alone."""


@dataclass(frozen=True)
class Reduction:
    """What a reduction does to a tensor's axes."""

    dims: tuple[int, ...]
    """The torch dimensions that go."""
    shape: Shape
    layout: Layout | None
    """The layout of what is left; None if its axes stand in neither order."""

    @property
    def dim(self) -> int | tuple[int, ...]:
        return self.dims[0] if len(self.dims) == 1 else self.dims


def reduced(x: TensorType, axis: Any, keepdims: bool) -> Reduction:
    """A reduction over a Keras `axis` argument (None: all)."""
    axes = range(x.rank) if axis is None else axis if isinstance(axis, (list, tuple)) else (axis,)
    if any(type(a) is not int or not -x.rank <= a < x.rank for a in axes):
        raise Declined("K2T102", f"axis={show(axis)} does not fit a tensor with {x.rank} axes")
    if x.rank and not axes:
        raise Declined("K2T103", "a reduction over no axes is not translated")  # torch reduces over all
    gone = {a % x.rank for a in axes}
    shape = tuple(1 if i in gone else d for i, d in enumerate(x.shape) if keepdims or i not in gone)
    dims = tuple(sorted(x.axis(a) for a in gone))
    if keepdims:
        return Reduction(dims, shape, x.layout)
    left = [x.axis(i) for i in range(x.rank) if i not in gone]
    if left == sorted(left):
        return Reduction(dims, shape, Layout.KERAS)
    first = len(left) > 2 and [left[i] for i in to_first(len(left))] == sorted(left)
    return Reduction(dims, shape, Layout.FIRST if first else None)


class Reducing(OpRule):
    """A rule for functions that take axes away."""

    signature = "x, axis=None, keepdims=False"
    renames = {
        "input_tensor": "x",
        "keep_dims": "keepdims",
        "reduction_indices": "axis",
        "input": "x",
        "tensor": "x",
        "dimension": "axis",
    }

    def wants(self, path: str, a: Args) -> Layout | None:
        found = reduced(tensor(a).type, a.const("axis"), bool(a.const("keepdims")))
        return None if found.layout else Layout.KERAS

    def keeps_batch(self, path: str, a: Args) -> bool:
        axis = a.get("axis", a.get("axes"))
        axes = axis if isinstance(axis, (list, tuple)) else (axis,)
        return axis is not None and 0 not in [i % tensor(a).rank for i in axes]

    def reduction(self, a: Args) -> Reduction:
        found = reduced(tensor(a).type, a.const("axis"), bool(a.const("keepdims")))
        assert found.layout is not None, "the layout that `wants` asked for"
        return found


class Reduce(Reducing):
    """Sums, means and extrema over axes."""

    names = (*paths(*REDUCE), *(f"tensorflow.{m}reduce_{leaf}" for m in ("", "math.") for leaf in REDUCE))
    signatures = {
        "ops.max": "x, axis=None, keepdims=False, initial=None",
        "ops.min": "x, axis=None, keepdims=False, initial=None",
    }
    examples = (
        *(example(f"ops.{f}(x, axis=1)") for f in ("sum", "mean", "max", "min", "std", "var", "prod", "logsumexp")),
        *(example(f"tf.reduce_{f}(x, [0, -1], keepdims=True)") for f in ("sum", "mean", "max", "min", "logsumexp")),
        example("tf.reduce_prod(x, [1, 2])"),
        example("K.sum(x)"),
        example("K.var(x, axis=(1, 2), keepdims=True)"),
        example("tf.reduce_sum(i, 1)", i=(9, "ids", 2, 3)),
        example("ops.mean(i, axis=-1)", i=(9, "ids", 2, 3)),
        example("tf.reduce_any(x > 0.5, axis=1)"),
        example("K.any(tf.nn.relu(x), axis=1)"),
        example("ops.all(i, axis=(0, 2), keepdims=True)", i=(3, "ids", 2, 3, 4)),
        example("K.mean(b, axis=-1)", b=("bool", 2, 3)),
        example("tf.reduce_all(x > -1.0, axis=[1, 2])"),
        example("tf.reduce_max([x, y, x], axis=0)", x=(2, 3), y=(2, 3)),
        example("ops.sum(x > 0.0, axis=1)"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, found = tensor(a), self.reduction(a)
        if a.get("initial") is not None:
            raise Declined("K2T103", "initial= is not translated")
        method = REDUCE[leaf_of(path).removeprefix("reduce_")]
        text, dtype = str(x), x.dtype
        if method in FLOATS and not is_float(dtype):
            if (
                home_of(path) == "tensorflow" or home_of(path) == "backend" and dtype != "bool"
            ):  # a mean that is rounded
                raise Declined("K2T103", f"{leaf_of(path)} of integers is not translated; cast them first")
            text, dtype = as_float(x), "float32"
        if method in ("any", "all"):
            if dtype != "bool":
                text, dtype = f"({x} != 0)", "bool"
        elif dtype == "bool" and (method not in ("sum", "prod") or home_of(path) == "tensorflow"):
            raise Declined("K2T103", f"{leaf_of(path)} of truths is not translated; cast them first")
        elif method in ("sum", "prod") and not is_float(dtype):
            dtype = "int64"
        keep = ", keepdim=True" if a.const("keepdims") else ""
        if method in ("std", "var"):
            keep = f", correction=0{keep}"
        if method == "prod":  # torch multiplies over one axis at a time
            text += "".join(f".prod(dim={d}{keep})" for d in reversed(found.dims))
        else:
            text += f".{method}(dim={found.dim}{keep})"
        return one(text, found.shape, dtype, found.layout or Layout.KERAS)


class Norm(Reducing):
    """Norms of vectors along axes."""

    names = ("tensorflow.norm", "tensorflow.linalg.norm", "ops.norm", "ops.linalg.norm")
    signature = "x, ord='euclidean', axis=None, keepdims=False"
    examples = (
        example("tf.norm(x, axis=-1)"),
        example("ops.norm(x, axis=1, keepdims=True)"),
        example("tf.norm(x, ord=1, axis=2)"),
        example("tf.norm(x)"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, found = tensor(a), self.reduction(a)
        order = {"euclidean": 2, None: 2, "fro": 2}.get(a.const("ord"), a.const("ord"))
        if order not in (1, 2) or not is_float(x.dtype) or a.const("ord") == "fro":
            raise Declined("K2T103", f"the norm ord={show(a.ord)} is not translated")
        if len(found.dims) != 1 and not (a.axis is None and (home_of(path) == "tensorflow" or x.rank == 1)):
            raise Declined("K2T103", "a norm of matrices is not translated")
        keep = ", keepdim=True" if a.const("keepdims") else ""
        text = f"torch.linalg.vector_norm({x}, {'' if order == 2 else f'ord={order}, '}dim={found.dim}{keep})"
        return one(text, found.shape, x.dtype, found.layout or Layout.KERAS)


class ArgExtremum(Reducing):
    """Where the greatest or smallest element of an axis is."""

    names = paths("argmax", "argmin")
    signature = "x, axis=None, keepdims=False"
    signatures = {
        "backend": "x, axis=-1",
        "tensorflow": "x, axis=None, output_type=None",
        "tensorflow.math": "x, axis=None, output_type=None",
    }
    examples = (
        example("K.argmax(x)"),
        example("tf.argmax(x, 1)"),
        example("ops.argmin(x, axis=2, keepdims=True)"),
        example("tf.argmax(x, axis=-1, output_type=tf.int32)"),
        example("tf.argmax(x)"),
        example("K.argmax(x, axis=None)"),
        example("tf.argmin(tf.nn.relu(x), axis=1)"),
        example("ops.argmax(b, axis=1)", b=("bool", 2, 5)),
        example("ops.argmax(x)"),
    )

    def wants(self, path: str, a: Args) -> Layout | None:
        return Layout.KERAS

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        keep = bool(a.get("keepdims"))
        axis = a.const("axis")
        source = "{0}.byte()" if x.dtype == "bool" else "{0}"
        if axis is None and home_of(path) != "ops":
            axis = 0
        if axis is None:
            if keep:
                raise Declined("K2T103", f"{leaf_of(path)} over all axes that keeps them is not translated")
            return one(f"{source}.{leaf_of(path)}()", (), "int64")
        at = axis_of(a.replace(axis=axis), x.rank)
        shape = reduced(x.type, at, keep).shape
        return one(f"{source}.{leaf_of(path)}(dim={at}{', keepdim=True' if keep else ''})", shape, "int64")


class Cumulate(OpRule):
    """Running sums and products."""

    batched = True
    names = paths("cumsum", "cumprod")
    signature = "x, axis=0, exclusive=False, reverse=False"
    signatures = {"ops": "x, axis=None, dtype=None", "ops.numpy": "x, axis=None, dtype=None"}
    examples = (
        example("K.cumsum(x, axis=1)"),
        example("ops.cumprod(x, axis=-1)"),
        example("ops.cumsum(x)"),
        example("tf.cumsum(x, 1, reverse=True)"),
        example("tf.cumsum(x)"),
        example("tf.cumsum(x, axis=1, exclusive=True)"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, leaf = tensor(a), leaf_of(path)
        if a.get("dtype") is not None or x.dtype == "bool":
            raise Declined("K2T103", f"{leaf} with a dtype or of truths is not translated")
        if a.axis is None:
            return one(f"{{0}}.flatten().{leaf}(dim=0)", (product(x.shape),), x.dtype if is_float(x.dtype) else "int64")
        at = axis_of(a, x.rank)
        text = f"{{0}}.flip({at}).{leaf}(dim={at}).flip({at})" if a.get("reverse") else f"{{0}}.{leaf}(dim={at})"
        if a.get("exclusive") and a.const("exclusive"):
            if leaf != "cumsum":
                raise Declined("K2T103", "an exclusive product is not translated")
            text += " - {0}"
        return one(text, x.shape, x.dtype if is_float(x.dtype) else "int64")


class Moments(Reducing):
    """Mean and variance together."""

    names = paths("moments")
    signature = "x, axes, keepdims=False, synchronized=False"
    signatures = {"tensorflow.nn": "x, axes, shift=None, keepdims=False"}
    examples = (
        example("sum(tf.nn.moments(x, [1]))"),
        example("sum(ops.moments(x, (0, 1), keepdims=True))"),
    )

    def wants(self, path: str, a: Args) -> Layout | None:
        return super().wants(path, a.replace(axis=a.axes))

    def lower(self, path: str, a: Args) -> Lowering:
        x, found = tensor(a), self.reduction(a.replace(axis=a.axes))
        if a.get("synchronized") or a.get("shift") is not None or not is_float(x.dtype):
            raise Declined("K2T103", "these moments are not translated")
        keep = ", keepdim=True" if a.const("keepdims") else ""
        kind = TensorType(found.shape, x.dtype).in_layout(found.layout or Layout.KERAS)
        lowering = one(f"torch.var_mean({{0}}, dim={found.dim}, correction=0{keep})", found.shape, x.dtype)
        return Lowering(lowering.steps, [kind, kind], ("{0}[1]", "{0}[0]"))


class L2Normalize(OpRule):
    """Vectors of length one."""

    batched = True
    names = ("backend.l2_normalize", *(f"tensorflow.{h}.l2_normalize" for h in ("math", "nn", "linalg")))
    signature = "x, axis=None, epsilon=1e-12"
    renames = {"dim": "axis"}
    any_layout = True
    examples = (
        example("K.l2_normalize(x, axis=-1)"),
        example("tf.math.l2_normalize(x, axis=1, epsilon=1e-6)"),
        example("tf.nn.l2_normalize(x, axis=[1, 2])"),
        example("K.l2_normalize(x)"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        found = reduced(x.type, a.const("axis"), True)
        # Keras limits the sum of squares from below, where F.normalize limits the norm
        text = (
            f"{{0}} * torch.rsqrt(({{0}} ** 2).sum(dim={found.dim}, keepdim=True).clamp(min={operand_text(a.epsilon)}))"
        )
        if a.const("epsilon") == 1e-12 and len(found.dims) == 1:
            text = f"F.normalize({{0}}, dim={found.dim}, eps=1e-6)"
        return one(text, x.shape, x.dtype, x.type.layout)


class Normalize(OpRule):
    """`ops.normalize`: vectors of length one."""

    names = ("ops.normalize", "ops.nn.normalize")
    signature = "x, axis=-1, order=2, epsilon=None"
    any_layout = True
    examples = (
        example("ops.normalize(x, axis=1)"),
        example("ops.normalize(0.1 * x, order=1, epsilon=0.5)"),
        example("ops.normalize(0.1 * x, -2, 3)"),
        example("ops.normalize(0.1 * x, axis=1, epsilon=0.3)"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, order = tensor(a), a.const("order")
        if type(order) is not int or order < 1 or not is_float(x.dtype):
            raise Declined("K2T103", f"normalize() of the order {show(order)} is not translated")
        p = "" if order == 2 else f"p={order}, "
        eps = "1e-7" if a.epsilon is None else operand_text(a.epsilon)
        axis = x.type.axis(axis_of(a, x.rank))
        return one(f"F.normalize({{0}}, {p}dim={axis}, eps={eps})", x.shape, x.dtype, x.type.layout)


class CountNonzero(Reducing):
    """How many elements are not zero."""

    names = (*paths("count_nonzero"),)
    signature = "x, axis=None, keepdims=None, dtype=None"
    examples = (example("tf.math.count_nonzero(tf.nn.relu(x), axis=1)"),)

    def lower(self, path: str, a: Args) -> Lowering:
        found = self.reduction(a)
        if a.const("keepdims") or a.dtype is not None and dtype_name(a.dtype) != "int64":
            raise Declined("K2T103", "count_nonzero with these arguments is not translated")
        return one(f"{{0}}.count_nonzero(dim={found.dim})", found.shape, "int64", found.layout or Layout.KERAS)
