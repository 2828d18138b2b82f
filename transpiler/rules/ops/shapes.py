"""Functions that move elements without changing them: shapes, axes, blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of, same
from transpiler.ir.model import Args, Lowering, Step
from transpiler.ir.shape import Shape, TensorType, product
from transpiler.rules.base import show
from transpiler.rules.ops.base import (
    Operand,
    OpRule,
    axis_of,
    example,
    leaf_of,
    one,
    paths,
    size_of,
    sizes_text,
    tensor,
)


def is_rest(dim: Any) -> bool:
    """Whether a size of a new shape is -1: what is left over."""
    return type(dim) is int and dim == -1


def reshaped(x: Shape, target: Sequence[Any], batch_of: Any = None) -> Shape:
    """The shape that `x` gets; -1 is computed where that is possible, and open where it holds the batch."""
    dims = tuple(size_of(d) for d in target)
    rest = [d for d in dims if not is_rest(d)]
    if len(rest) == len(dims):
        return dims
    if len(rest) < len(dims) - 1:
        raise Declined("K2T102", "a shape with more than one -1")
    missing = None
    inner = product(x[1:])
    if x[:1] == (None,) and inner is not None:
        opens = [d for d in target if isinstance(d, Operand)]
        others = product(tuple(d for d in rest if d is not None))
        if len(opens) == 1 and rest.count(None) == 1 and opens[0] == batch_of:
            missing = inner // others
    elif inner is not None and x and product(tuple(rest)) is not None:
        missing = inner * x[0] // product(tuple(rest))
    return tuple(missing if is_rest(d) else d for d in dims)


class Reshape(OpRule):
    """The same elements, in Keras order, in another shape."""

    names = paths("reshape")
    signature = "x, shape"
    renames = {"tensor": "x", "newshape": "shape"}
    examples = (
        example("tf.reshape(x, (-1, 12))"),
        example("K.reshape(x, (-1, 4, 3))"),
        example("tf.reshape(x, [tf.shape(x)[0], 2, -1])"),
        example("tf.reshape(x, [tf.shape(x)[0] * 2, -1])", x=(2, 4, 3)),
        example("ops.reshape(x, (ops.shape(x)[0], 12))"),
        example("tf.reshape(x, [-1])"),
        example("tf.reshape(tf.constant([1.0, 2.0, 3.0, 4.0]), (2, 2)) * x", x=(3, 2, 2)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        shape = a.shape if isinstance(a.shape, (list, tuple)) else (a.shape,)
        if any(d is None for d in shape):
            raise Declined("K2T103", "a shape with None is not translated")
        return one(f"{{0}}.reshape({sizes_text(shape)})", reshaped(x.shape, shape, a.get("__batch__")), x.dtype)

    def keeps_batch(self, path: str, a: Args) -> bool:
        """The first size is the batch's own, or all others hold as much as before."""
        x, shape = tensor(a), a.shape if isinstance(a.shape, (list, tuple)) else (a.shape,)
        if a.get("__batch__") is not None and shape[0] == a.get("__batch__"):
            return True
        inner = product(x.shape[1:])
        rest = reshaped(x.shape, shape)[1:]
        return is_rest(shape[0]) and inner is not None and None not in rest and same(product(rest), inner)


class Flatten(OpRule):
    """All axes as one, or all but the batch's."""

    names = ("backend.flatten", "backend.batch_flatten", "ops.ravel", "ops.numpy.ravel")
    examples = (example("K.flatten(x)"), example("K.batch_flatten(x)"))

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        if leaf_of(path) == "batch_flatten":
            return one("{0}.flatten(1)", (x.shape[0], product(x.shape[1:])), x.dtype)
        return one("{0}.flatten()", (product(x.shape),), x.dtype)


class ExpandDims(OpRule):
    """A new axis of size one."""

    names = paths("expand_dims")
    signature = "x, axis=-1"
    renames = {"input": "x", "dim": "axis"}
    examples = (example("K.expand_dims(x)"), example("tf.expand_dims(x, 1)"), example("ops.expand_dims(x, (1, -1))"))

    def keeps_batch(self, path: str, a: Args) -> bool:
        return type(a.axis) is int and a.axis % (tensor(a).rank + 1) != 0

    def lower(self, path: str, a: Args) -> Lowering:
        x, axis = tensor(a), a.const("axis")
        axes = list(axis) if isinstance(axis, (list, tuple)) else [axis]
        if any(type(i) is not int for i in axes):
            raise Declined("K2T103", f"axis={show(axis)} is not translated")
        rank = x.rank + len(axes)
        places = sorted(i % rank for i in axes)
        shape = list(x.shape)
        for i in places:
            shape.insert(i, 1)
        written = axes if len(axes) == 1 else places
        return one("{0}" + "".join(f".unsqueeze({i})" for i in written), tuple(shape), x.dtype)


class Squeeze(OpRule):
    """Axes of size one taken away."""

    names = paths("squeeze")
    signature = "x, axis=None"
    renames = {"input": "x", "squeeze_dims": "axis"}
    examples = (
        example("K.squeeze(x, 1)", x=(2, 1, 4)),
        example("tf.squeeze(x, [1, -1])", x=(2, 1, 4, 1)),
        example("ops.squeeze(x, axis=-1)", x=(2, 3, 1)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, axis = tensor(a), a.const("axis")
        if axis is None or axis in ((), []):
            raise Declined("K2T103", "squeeze() without an axis drops the batch as well where it is one")
        axes = axis if isinstance(axis, (list, tuple)) else [axis]
        gone = {axis_of(a.replace(axis=i), x.rank) for i in axes}
        if any(type(x.shape[i]) is int and x.shape[i] != 1 for i in gone):
            raise Declined("K2T102", f"axis={show(axis)} of a tensor of shape {x.shape} is not of size one")
        written = axes[0] if len(axes) == 1 else tuple(sorted(gone))
        return one(f"{{0}}.squeeze({written})", tuple(d for i, d in enumerate(x.shape) if i not in gone), x.dtype)


class Permute(OpRule):
    """Axes in another order."""

    names = (
        *(
            "backend.permute_dimensions",
            "backend.transpose",
            "ops.transpose",
            "ops.numpy.transpose",
            "tensorflow.transpose",
        ),
        *("ops.swapaxes", "ops.numpy.swapaxes", "ops.moveaxis", "ops.numpy.moveaxis"),
    )
    signature = "x, pattern=None, conjugate=False"
    signatures = {
        "ops.swapaxes": "x, axis1, axis2",
        "ops.numpy.swapaxes": "x, axis1, axis2",
        "ops.moveaxis": "x, source, destination",
        "ops.numpy.moveaxis": "x, source, destination",
    }
    renames = {"perm": "pattern", "axes": "pattern", "a": "x"}
    examples = (
        example("K.permute_dimensions(x, (0, 2, 1))"),
        example("tf.transpose(x, [2, 0, 1])"),
        example("tf.transpose(x)"),
        example("ops.transpose(x, axes=(0, 2, 1))"),
        example("ops.swapaxes(x, -1, 1)"),
        example("ops.moveaxis(x, 1, -1)", x=(2, 3, 4, 5)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        order = self.order(path, a, x.rank)
        shape = tuple(x.shape[i] for i in order)
        step = Step(fn=f"{{0}}.permute({', '.join(map(str, order))})")
        if leaf_of(path) == "swapaxes":
            step = Step(fn=f"{{0}}.transpose({a.axis1}, {a.axis2})")
        return Lowering([step], [TensorType(shape, x.dtype)])

    def keeps_batch(self, path: str, a: Args) -> bool:
        return self.order(path, a, tensor(a).rank)[0] == 0

    def order(self, path: str, a: Args, rank: int) -> list[int]:
        if leaf_of(path) == "swapaxes":
            one, two = axis_of(a, rank, "axis1"), axis_of(a, rank, "axis2")
            return [two if i == one else one if i == two else i for i in range(rank)]
        if leaf_of(path) == "moveaxis":
            source, destination = axis_of(a, rank, "source"), axis_of(a, rank, "destination")
            rest = [i for i in range(rank) if i != source]
            return [*rest[:destination], source, *rest[destination:]]
        pattern = a.const("pattern")
        order = list(reversed(range(rank))) if pattern is None else [i % rank for i in pattern]
        if sorted(order) != list(range(rank)):
            raise Declined("K2T102", f"{show(pattern)} is no order of {rank} axes")
        return order


class MatrixTranspose(OpRule):
    """The last two axes in the other order."""

    names = ("tensorflow.linalg.matrix_transpose", "tensorflow.linalg.transpose", "tensorflow.matrix_transpose")
    renames = {"a": "x"}
    examples = (example("tf.linalg.matrix_transpose(x)"), example("tf.compat.v1.matrix_transpose(a=x)"))

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        if x.rank < 2:
            raise Declined("K2T103", "a vector is no matrix")
        return one("{0}.mT", (*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)


class BroadcastTo(OpRule):
    """Axes of size one widened."""

    names = paths("broadcast_to")
    signature = "x, shape"
    renames = {"input": "x"}
    examples = (
        example("tf.broadcast_to(x, [2, 3, 4])", x=(2, 1, 4)),
        example("ops.broadcast_to(x, (5, 2, 3))", x=(2, 3)),
        example("tf.broadcast_to(x[:1], [tf.shape(x)[0], 3, 4]) * x"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        if not isinstance(a.shape, (list, tuple)) or any(is_rest(d) or d is None for d in a.shape):
            raise Declined("K2T103", f"the shape {show(a.shape)} is not translated")
        return one(f"{{0}}.expand({sizes_text(a.shape)})", tuple(map(size_of, a.shape)), x.dtype)


class Flip(OpRule):
    """Axes backwards."""

    names = (*paths("flip", "reverse"), "tensorflow.image.flip_left_right", "tensorflow.image.flip_up_down")
    signature = "x, axis=None"
    renames = {"tensor": "x", "axes": "axis", "image": "x"}
    any_layout = True
    examples = (
        example("tf.reverse(x, [1])"),
        example("K.reverse(x, -1)"),
        example("ops.flip(x, axis=(1, 2))"),
        example("tf.image.flip_left_right(x)", x=(2, 3, 4, 3)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, axis, leaf = tensor(a), a.const("axis"), leaf_of(path)
        if leaf.startswith("flip_"):
            axis = -2 if leaf == "flip_left_right" else -3
        if axis is None:
            raise Declined("K2T103", "flip() of all axes turns the batch around as well")
        axes = axis if isinstance(axis, (list, tuple)) else [axis]
        dims = sorted(x.type.axis(axis_of(a.replace(axis=i), x.rank)) for i in axes)
        return one(f"{{0}}.flip({', '.join(map(str, dims))})", x.shape, x.dtype, x.type.layout)


class Roll(OpRule):
    """Elements moved along axes, those that leave come in at the other end."""

    batched = True
    names = paths("roll")
    signature = "x, shift, axis=None"
    renames = {"input": "x"}
    any_layout = True
    examples = (
        example("tf.roll(x, 1, axis=1)"),
        example("ops.roll(x, (-1, 2), axis=(1, -1))"),
        example("tf.roll(x, shift=[-2], axis=[1])"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, axis = tensor(a), a.const("axis")
        if axis is None:
            raise Declined("K2T103", "roll() over all elements is not translated")
        axes = axis if isinstance(axis, (list, tuple)) else [axis]
        shifts = a.shift if isinstance(a.shift, (list, tuple)) else [a.shift] * len(axes)
        dims = [x.type.axis(axis_of(a.replace(axis=i), x.rank)) for i in axes]
        if len(shifts) != len(dims):
            raise Declined("K2T102", "roll() needs a shift for each axis")
        what = (shifts[0], dims[0]) if len(dims) == 1 else (tuple(shifts), tuple(dims))
        return one(f"{{0}}.roll({code_of(what[0])}, dims={code_of(what[1])})", x.shape, x.dtype, x.type.layout)


class Slice(OpRule):
    """A block of a tensor, by its corner and its sizes."""

    names = ("tensorflow.slice", "ops.slice", "ops.core.slice")
    signature = "x, begin, size"
    renames = {"input_": "x", "inputs": "x", "start": "begin", "start_indices": "begin", "shape": "size"}
    examples = (example("tf.slice(x, [0, 1, 0], [-1, 2, 3])"), example("tf.slice(x, [0, 0, 2], [-1, 3, -1])"))

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        begin, size = list(a.begin), list(a.size)
        if len(begin) != x.rank or len(size) != x.rank or any(isinstance(v, Operand) for v in (*begin, *size)):
            raise Declined("K2T103", "this slice() is not translated")
        parts, shape = [], []
        for d, b, n in zip(x.shape, begin, size):
            end = None if is_rest(n) else b + n
            start = "" if type(b) is int and b == 0 else code_of(b)
            parts.append(f"{start}:{'' if end is None else code_of(end)}")
            shape.append((d if not start else None if d is None else d - b) if end is None else n)
        while len(parts) > 1 and parts[-1] == ":":
            parts.pop()
        return one(f"{{0}}[{', '.join(parts)}]", tuple(shape), x.dtype)


class Triangle(OpRule):
    """The lower or upper triangle of matrices."""

    batched = True
    names = ("ops.tril", "ops.triu", "ops.numpy.tril", "ops.numpy.triu", "tensorflow.linalg.band_part")
    signature = "x, k=0"
    signatures = {"tensorflow.linalg.band_part": "x, num_lower, num_upper"}
    renames = {"input": "x"}
    examples = (
        example("ops.tril(x)", x=(2, 4, 4)),
        example("ops.triu(x, k=1)", x=(2, 4, 4)),
        example("tf.linalg.band_part(x, -1, 0)", x=(2, 4, 4)),
        example("tf.linalg.band_part(tf.ones((4, 4)), -1, 0) * x", x=(2, 4, 4)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, leaf = tensor(a), leaf_of(path)
        if leaf == "band_part":
            lower, upper = a.const("num_lower"), a.const("num_upper")
            text = "{0}" + (f".tril({upper})" if upper >= 0 else "") + (f".triu({-lower})" if lower >= 0 else "")
            return one(text.replace("(0)", "()"), x.shape, x.dtype)
        k = a.const("k")
        return one(f"{{0}}.{leaf}({k or ''})", x.shape, x.dtype)
