"""Elements put in places that indices name, and what has a size that only the values tell."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import same
from transpiler.ir.model import Args, Lowering, Step
from transpiler.ir.shape import TensorType, product
from transpiler.rules.base import show
from transpiler.rules.ops.base import (
    Operand,
    OpRule,
    as_index,
    example,
    is_float,
    numpy_paths,
    one,
    size_of,
    sizes_text,
    tensor,
)


def places(indices: Operand) -> str:
    """Coordinates along the last axis as a tuple of index tensors."""
    if is_float(indices.dtype) or indices.dtype in ("bool", "uint8") or type(indices.shape[-1]) is not int:
        raise Declined("K2T103", "coordinates have to be signed integers of known rank")
    return f"{as_index(indices)}.unbind(-1)"


class Scatter(OpRule):
    """`ops.scatter`: a tensor of zeros with values summed up in places."""

    names = ("ops.scatter", "ops.core.scatter", "tensorflow.scatter_nd")
    signature, inputs = "indices, values, shape", ("indices", "values")
    renames = {"updates": "values"}
    examples = (
        example("ops.scatter(i, x, (4, 4))", i=(4, "ids", 9, 2), x=(9,)),
        example("ops.scatter(i, x, shape=(4, 3))", i=(4, "ids", 9, 1), x=(9, 3)),
        example("tf.scatter_nd(i, updates=x, shape=[4, 3])", i=(4, "ids", 9, 1), x=(9, 3)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        indices, values = tensor(a, "indices"), tensor(a, "values")
        where = places(indices)
        if not isinstance(a.shape, (list, tuple)) or values.dtype == "bool":
            raise Declined("K2T103", "scatter() of these values is not translated")
        text = f"{values}.new_zeros({sizes_text(a.shape)}).index_put({where}, {values}, accumulate=True)"
        return one(text, tuple(map(size_of, a.shape)), values.dtype)


TENSOR_SCATTER = {
    "tensorflow.tensor_scatter_nd_update": None,
    **{f"tensorflow.tensor_scatter_nd_{how}": how for how in ("add", "sub", "max", "min")},
}
"""The functions of TensorFlow that do this, and how."""
REDUCTIONS = {"max": "amax", "min": "amin", "mul": "prod"}


class ScatterUpdate(OpRule):
    """`ops.scatter_update`: values put in places, added to what is there, or compared with it."""

    names = ("ops.scatter_update", "ops.core.scatter_update", *TENSOR_SCATTER)
    signature, inputs = "x, indices, updates, reduction=None", ("x", "indices", "updates")
    signatures = {name: "x, indices, updates" for name in TENSOR_SCATTER}
    renames = {"inputs": "x", "tensor": "x"}
    examples = (
        example("ops.scatter_update(x, [[0, 1], [2, 3], [1, 1]], y)", x=(3, 4), y=(3,)),
        example("ops.scatter_update(x, i, y, reduction='add')", x=(4, 4), i=(4, "ids", 9, 2), y=(9,)),
        example("ops.scatter_update(x, i, y, reduction='add')", x=(4, 3), i=(4, "ids", 9, 1), y=(9, 3)),
        example("ops.scatter_update(x, i, y, 'max')", x=(4, 3), i=(4, "ids", 9, 1), y=(9, 3)),
        example("ops.scatter_update(x, i, y, 'min')", x=(4,), i=(4, "ids", 9, 1), y=(9,)),
        example("ops.scatter_update(x, [[2], [0]], y, 'mul')", x=(4, 3), y=(2, 3)),
        example("tf.tensor_scatter_nd_update(x, [[2], [0]], y)", x=(4, 3), y=(2, 3)),
        example("tf.tensor_scatter_nd_sub(tensor=x, indices=i, updates=y)", x=(4, 3), i=(4, "ids", 9, 1), y=(9, 3)),
        example("tf.tensor_scatter_nd_max(x, i, y)", x=(4, 3), i=(4, "ids", 9, 1), y=(9, 3)),
        example("tf.tensor_scatter_nd_min(x, i, y)", x=(4, 3), i=(4, "ids", 9, 1), y=(9, 3)),
    )

    def keeps_batch(self, path: str, a: Args) -> bool:
        return True

    def lower(self, path: str, a: Args) -> Lowering:
        x, indices, updates = (tensor(a, n) for n in ("x", "indices", "updates"))
        where = places(indices)
        how = TENSOR_SCATTER.get(path)
        if a.get("reduction") is not None:
            how = a.lower("reduction")
        if (
            how not in (None, "add", "sub", *REDUCTIONS)
            or "bool" in (x.dtype, updates.dtype)
            or x.dtype != updates.dtype
        ):
            raise Declined("K2T103", f"scatter_update(reduction={show(how)}) of these tensors is not translated")
        if how in REDUCTIONS:
            if indices.shape[-1] != 1 or indices.rank != 2:
                raise Declined("K2T103", f"scatter_update(reduction={show(how)}) of single elements is not translated")
            index = f"{as_index(indices)}"
            index += ".squeeze(-1)" if x.rank == 1 else f".view(-1{', 1' * (x.rank - 1)}).expand_as({updates})"
            return one(f"{x}.scatter_reduce(0, {index}, {updates}, '{REDUCTIONS[how]}')", x.shape, x.dtype)
        add = ", accumulate=True" if how in ("add", "sub") else ""
        minus = "-" if how == "sub" else ""
        return one(f"{x}.index_put({where}, {minus}{updates}{add})", x.shape, x.dtype)


class SliceUpdate(OpRule):
    """`ops.slice_update`: a block of a tensor replaced."""

    names = ("ops.slice_update", "ops.core.slice_update")
    signature, inputs = "x, start_indices, updates", ("x", "updates")
    renames = {"inputs": "x"}
    examples = (
        example("ops.slice_update(ops.stop_gradient(x), [0, 1, 0], ops.stop_gradient(y))", x=(2, 4, 3), y=(2, 2, 3)),
        example("ops.slice_update(ops.stop_gradient(x), (0, 2, 1), ops.stop_gradient(y))", x=(2, 4, 3), y=(2, 2, 1)),
        example("ops.slice_update(ops.stop_gradient(x), [0, 3, 0], ops.stop_gradient(y))", x=(2, 4, 3), y=(2, 2, 3)),
        example("ops.slice_update(ops.stop_gradient(x), [0, 0], ops.stop_gradient(y))", x=(2, 4), y=(1, 3)),
    )

    def keeps_batch(self, path: str, a: Args) -> bool:
        return True

    def lower(self, path: str, a: Args) -> Lowering:
        x, updates, starts = tensor(a), tensor(a, "updates"), list(a.start_indices)
        if len(starts) != x.rank or updates.rank != x.rank or x.dtype != updates.dtype:
            raise Declined("K2T103", "slice_update() of these tensors is not translated")
        ranges: list[tuple[int, str, str]] = []
        for axis, (d, n, start) in enumerate(zip(x.shape, updates.shape, starts)):
            if type(start) is not int:
                raise Declined("K2T103", f"slice_update() at {show(start)} is not translated")
            if d is not None and n is not None and same(d, n):
                continue
            if type(n) is not int or type(d) is not int:
                if start:  # Keras moves a block back that would not fit
                    raise Declined("K2T103", "slice_update() of a block of open size is not translated")
                ranges.append((axis, "0", f"{updates}.shape[{axis}]"))
                continue
            start = min(max(start, 0), d - n)
            ranges.append((axis, str(start), str(start + n)))
        return one(self.put(str(x), str(updates), ranges, x.rank), x.shape, x.dtype)

    def put(self, x: str, block: str, ranges: list[tuple[int, str, str]], rank: int) -> str:
        """`block` in the ranges of `x`: along one axis after the other, from the last to the first."""
        if not ranges:
            return block
        (axis, start, end), *rest = ranges
        inner = f"{x}[{':, ' * axis}{start}:{end}]" if rest else ""
        return f"torch.slice_scatter({x}, {self.put(inner, block, rest, rank)}, {axis}, {start}, {end})"


class Nonzero(OpRule):
    """The coordinates of the elements that are not zero, axis by axis."""

    names = numpy_paths("nonzero")
    examples = (
        example("ops.nonzero(ops.relu(x))[1]"),
        example("ops.nonzero(i > 4)[0]", i=(9, "ids", 4, 6)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        if not x.rank:
            raise Declined("K2T103", "nonzero() of a scalar is not translated")
        types = [TensorType((None,), "int64")] * x.rank
        return Lowering([Step(fn="{0}.nonzero(as_tuple=True)")], types, tuple(f"{{0}}[{i}]" for i in range(x.rank)))


class Unique(OpRule):
    """The different elements in order, where each is, and how often."""

    names = numpy_paths("unique")
    signature = (
        "x, sorted=True, return_index=False, return_inverse=False, return_counts=False, axis=None, size=None, "
        "fill_value=None"
    )
    examples = (
        example("ops.unique(i)", i=(9, "ids", 4, 6)),
        example("ops.unique(i, return_inverse=True)[1]", i=(9, "ids", 4, 6)),
        example("ops.unique(i, return_inverse=True, return_counts=True)[2]", i=(9, "ids", 20)),
        example("ops.unique(i, return_counts=True)[1]", i=(9, "ids", 20)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        if not a.const("sorted") or a.const("return_index") or a.const("size") is not None:
            raise Declined("K2T103", "unique() unsorted, with first places or of a given size is not translated")
        if a.const("axis") is not None and x.rank != 1 or x.dtype == "bool":
            raise Declined("K2T103", "unique() along an axis is not translated")
        inverse, counts = bool(a.const("return_inverse")), bool(a.const("return_counts"))
        options = ", return_inverse=True" if inverse else ""
        options += ", return_counts=True" if counts else ""
        found = TensorType((None,), x.dtype)
        types = [found, *([TensorType(x.shape, "int64")] if inverse else []), *([TensorType((None,), "int64")] if counts else [])]  # fmt: skip
        step = Step(fn=f"torch.unique({{0}}{options})")
        return Lowering([step], types, tuple(f"{{0}}[{i}]" for i in range(len(types))) if len(types) > 1 else ())


class UnravelIndex(OpRule):
    """Coordinates of numbered elements."""

    names = numpy_paths("unravel_index")
    signature = "x, shape"
    renames = {"indices": "x"}
    examples = (example("ops.unravel_index(i, (3, 4, 2))[1]", i=(24, "ids", 7)),)

    def lower(self, path: str, a: Args) -> Lowering:
        x, shape = tensor(a), a.const("shape")
        if x.rank != 1 or is_float(x.dtype) or x.dtype == "bool" or any(type(d) is not int for d in shape):
            raise Declined("K2T103", f"unravel_index of {x.dtype} with {x.rank} axes is not translated")
        outputs = []
        for axis in range(len(shape)):
            behind: Any = product(tuple(shape[axis + 1 :]))
            outputs.append(("{0}" if behind == 1 else f"{{0}} // {behind}") + f" % {shape[axis]}")
        return Lowering([Step(fn="{0}")], [x.type] * len(shape), tuple(outputs))
