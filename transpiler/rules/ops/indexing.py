"""Functions that look elements up: by index, by rank, by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Lowering, Step
from transpiler.ir.shape import TensorType
from transpiler.rules.ops.base import (
    Operand,
    OpRule,
    as_index,
    axis_of,
    dtype_name,
    example,
    home_of,
    is_float,
    leaf_of,
    one,
    operand_text,
    paths,
    size_of,
    size_text,
    tensor,
    tensor_type,
    torch_dtype,
)


class Gather(OpRule):
    """Slices of an axis, by their indices."""

    names = (*paths("gather"), "ops.take", "ops.numpy.take")
    signature = "x, indices, axis=None"
    signatures = {
        "tensorflow": "x, indices, validate_indices=None, axis=None, batch_dims=0",
        "backend": "x, indices",
    }
    renames = {"params": "x", "reference": "x"}
    inputs, literal = ("x", "indices"), ("indices",)
    examples = (
        example("tf.gather(x, i)", x=(5, 3, 4), i=(5, "ids", 2, 3)),
        example("tf.gather(x, i, axis=1)", x=(2, 5, 4), i=(5, "ids", 3)),
        example("ops.take(x, i, axis=-1)", x=(2, 5, 4), i=(4, "ids", 3, 2)),
        example("ops.take(x, [0, 2], axis=1)"),
        example("tf.gather(x, 1, axis=1)"),
        example("K.gather(x, i)", x=(5, 3), i=(5, "ids", 2)),
        example("tf.gather(x, i, batch_dims=1)", x=(2, 5), i=(5, "ids", 2, 3)),
        example("tf.gather(x, i, axis=1, batch_dims=1)", x=(2, 5, 4), i=(5, "ids", 2, 3)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, indices = tensor(a), a.indices
        batch = a.const("batch_dims") if "batch_dims" in a else 0
        if a.get("axis") is None and home_of(path) == "ops":
            raise Declined("K2T103", "take() without an axis is not translated")
        axis = batch if a.get("axis") is None else axis_of(a, x.rank)
        if isinstance(indices, Operand):
            index, found = str(indices), indices.shape
            if is_float(indices.dtype) or indices.dtype in ("bool", "uint8"):  # torch takes these for masks
                raise Declined("K2T103", "indices have to be signed integers")
        else:
            index, found = index_list(indices)
        if batch:
            return self.batched(x, indices, axis, batch)
        before = {0: "", 1: ":, ", 2: ":, :, "}.get(axis)
        if axis == x.rank - 1 and axis > 0:
            before = "..., "
        if before is None:
            raise Declined("K2T103", f"gathering along axis {axis} is not translated")
        return one(f"{x}[{before}{index}]", (*x.shape[:axis], *found, *x.shape[axis + 1 :]), x.dtype)

    def batched(self, x: Operand, indices: Any, axis: int, batch: int) -> Lowering:
        """Each example has indices of its own."""
        if batch != 1 or axis != 1 or not isinstance(indices, Operand) or indices.rank != 2 or x.rank not in (2, 3):
            raise Declined("K2T103", "gather() with these batch_dims is not translated")
        index = as_index(indices) + (".unsqueeze(-1)" if x.rank == 3 else "")
        shape = (x.shape[0], indices.shape[1], *x.shape[2:])
        return one(f"torch.take_along_dim({x}, {index}, dim=1)", shape, x.dtype)


def index_list(indices: Any) -> tuple[str, tuple[int, ...]]:
    """Indices that are written out, as text, and their shape."""
    if isinstance(indices, (list, tuple)):
        if any(type(i) is not int for i in indices):
            raise Declined("K2T103", "these indices are not translated; make them a constant")
        return str(list(indices)), (len(indices),)
    return operand_text(indices), ()


class TakeAlong(OpRule):
    """One element of an axis for each index."""

    names = paths("take_along_axis")
    signature, inputs = "x, indices, axis=None", ("x", "indices")
    examples = (example("ops.take_along_axis(x, i, axis=1)", x=(2, 5, 4), i=(5, "ids", 2, 3, 4)),)

    def lower(self, path: str, a: Args) -> Lowering:
        x, indices = tensor(a), tensor(a, "indices")
        if a.axis is None:
            raise Declined("K2T103", "take_along_axis() without an axis is not translated")
        axis = axis_of(a, x.rank)
        shape = tuple(indices.shape[i] if i == axis else d for i, d in enumerate(x.shape))
        return one(f"torch.take_along_dim({x}, {as_index(indices)}, dim={axis})", shape, x.dtype)


class OneHot(OpRule):
    """A one in the place of each class; classes out of range have none."""

    names = paths("one_hot")
    signature = "x, depth, axis=-1, dtype=None, sparse=False"
    signatures = {"tensorflow": "x, depth, on_value=None, off_value=None, axis=None, dtype=None"}
    renames = {"indices": "x", "num_classes": "depth"}
    examples = (
        example("tf.one_hot(i, 5)", i=(6, "ids", 2, 3)),
        example("ops.one_hot(i, 4)", i=(4, "ids", 2, 3)),
        example("K.one_hot(i, 4)", i=(4, "ids", 3)),
        example("tf.one_hot(i, depth=4, axis=1)", i=(4, "ids", 2, 3)),
        example("tf.one_hot(i, 4, on_value=2.0, off_value=-1.0)", i=(4, "ids", 2)),
        example("tf.one_hot(i, 4, on_value=0.0, off_value=1.0)", i=(4, "ids", 2)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        if a.get("sparse"):
            raise Declined("K2T103", "a sparse one_hot() is not translated")
        on, off = a.get("on_value"), a.get("off_value")
        name = "float" if a.get("dtype") is None else dtype_name(a.dtype)
        axis = -1 if a.get("axis") is None else a.const("axis")
        at = axis_of(a.replace(axis=axis), x.rank + 1)
        index = f"{as_index(x)}.unsqueeze(-1)"
        text = f"({index} == torch.arange({size_text(a.depth)}, device={x}.device))"
        if on is None and off is None:
            text += "" if name == "bool" else f".to({torch_dtype(name)})"
        else:
            if name != "float" or type(on) is int or type(off) is int:
                raise Declined("K2T103", "one_hot() with integer values is not translated")
            on, off = (default if v is None else v for v, default in ((on, 1.0), (off, 0.0)))
            text = f"torch.where({text}, {operand_text(on)}, {operand_text(off)})"
        if at != x.rank:
            text += f".movedim(-1, {at})"
        shape = (*x.shape[:at], size_of(a.depth), *x.shape[at:])
        return Lowering([Step(fn=text)], [tensor_type(shape, name)])


class TopK(OpRule):
    """The greatest elements of the last axis, and where they are."""

    names = paths("top_k")
    signature = "x, k=1, sorted=True, index_type=None"
    results = ("values", "indices")
    renames = {"input": "x"}
    examples = (
        example("tf.nn.top_k(x, 2)[0]", x=(2, 3, 7)),
        example("ops.top_k(x, k=3)[1]", x=(2, 7)),
        example("tf.math.top_k(tf.nn.relu(x), 5)[1]", x=(2, 3, 7)),
        example("tf.nn.top_k(i, 4).indices", i=(3, "ids", 2, 5)),
        example("tf.math.top_k(x, k=2).values"),
        example("sum(tf.cast(y, tf.float32) for y in tf.nn.top_k(x + 1.0, 2))", x=(2, 3, 7)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, k = tensor(a), a.k
        if a.const("sorted") is not True:
            raise Declined("K2T103", "top_k() without order is not translated")
        shape = (*x.shape[:-1], size_of(k))
        types = [TensorType(shape, x.dtype), TensorType(shape, "int64")]
        # topk() says nothing of the places of equal elements, of which TensorFlow gives the first
        places = f"{{0}}.argsort(descending=True, stable=True)[..., :{size_text(k)}]"
        return Lowering([Step(fn="{0}")], types, (f"{{0}}.topk({size_text(k)})[0]", places))


class Sort(OpRule):
    """Elements in order, or the order."""

    names = paths("sort", "argsort")
    signature = "x, axis=-1, direction='ASCENDING', stable=False"
    renames = {"values": "x"}
    examples = (
        example("tf.sort(x, axis=1)"),
        example("ops.argsort(x)"),
        example("tf.sort(x, direction='DESCENDING')"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, leaf = tensor(a), leaf_of(path)
        down = a.lower("direction") == "descending"
        options = f"dim={axis_of(a, x.rank)}{', descending=True' if down else ''}"
        if leaf == "argsort":
            return one(f"{{0}}.argsort({options}, stable=True)", x.shape, "int64")
        return one(f"{{0}}.sort({options})[0]", x.shape, x.dtype)


class GatherNd(OpRule):
    """Elements by their coordinates."""

    names = ("tensorflow.gather_nd",)
    signature = "x, indices, batch_dims=0, bad_indices_policy=''"
    renames = {"params": "x"}
    inputs = ("x", "indices")
    examples = (
        example("tf.gather_nd(x, i)", x=(4, 4, 3), i=(4, "ids", 5, 2)),
        example("tf.gather_nd(x, i)", x=(4, 4, 3), i=(3, "ids", 5, 3)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, indices = tensor(a), tensor(a, "indices")
        count = indices.shape[-1]
        if a.const("batch_dims") or type(count) is not int:
            raise Declined("K2T103", "this gather_nd() is not translated")
        return one(f"{x}[{indices}.unbind(-1)]", (*indices.shape[:-1], *x.shape[count:]), x.dtype)


class BooleanMask(OpRule):
    """The elements, or slices, where a mask is true."""

    names = ("tensorflow.boolean_mask",)
    signature, inputs = "x, mask, axis=None", ("x", "mask")
    renames = {"tensor": "x"}
    examples = (
        example("tf.boolean_mask(x, x > 0.0)"),
        example("tf.boolean_mask(x, b)", x=(4, 3, 2), b=("bool", 4, 3)),
        example("tf.boolean_mask(x, b[0], axis=1)", x=(2, 5, 3), b=("bool", 4, 5)),
        example("tf.boolean_mask(x, [True, False, True], axis=1)"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, mask = tensor(a), tensor(a, "mask")
        axis = 0 if a.axis is None else axis_of(a, x.rank)
        if mask.dtype != "bool" or not mask.rank:
            raise Declined("K2T103", f"a mask of {mask.dtype} with {mask.rank} axes is not translated")
        before = ":, " * axis
        return one(f"{x}[{before}{mask}]", (*x.shape[:axis], None, *x.shape[axis + mask.rank :]), x.dtype)


class SequenceMask(OpRule):
    """Truths for the steps below each length."""

    names = ("tensorflow.sequence_mask",)
    signature = "x, maxlen=None, dtype='bool'"
    renames = {"lengths": "x"}
    examples = (
        example("tf.sequence_mask(i, 6)", i=(6, "ids", 3)),
        example("tf.sequence_mask(i, 6, dtype=tf.float32)", i=(6, "ids", 3)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        if a.maxlen is None or is_float(x.dtype):
            raise Declined("K2T103", "sequence_mask() without maxlen gives a result whose size is not known")
        name = dtype_name(a.dtype)
        text = f"torch.arange({size_text(a.maxlen)}, device={{0}}.device) < {{0}}.unsqueeze(-1)"
        text = text if name == "bool" else f"({text}).to({torch_dtype(name)})"
        return Lowering([Step(fn=text)], [tensor_type((*x.shape, size_of(a.maxlen)), name)])


class EmbeddingLookup(Gather):
    """Rows of a table, by their numbers."""

    names = ("tensorflow.nn.embedding_lookup",)
    signatures = {}
    signature = "x, indices, max_norm=None, name=None"
    renames = {"params": "x", "ids": "indices"}
    examples = (
        example("tf.nn.embedding_lookup(x, i)", x=(5, 3), i=(5, "ids", 2, 4)),
        example("tf.nn.embedding_lookup([x], i)", x=(5, 3), i=(5, "ids", 2, 4)),
    )

    def bind(self, path: str, args: Sequence[Any], kwargs: dict[str, Any], generation: str) -> Args:
        bound = super().bind(path, args, kwargs, generation)
        if not isinstance(bound.x, (list, tuple)):
            return bound
        if len(bound.x) != 1:
            raise Declined("K2T103", "embedding_lookup() in a table in several parts is not translated")
        return bound.replace(x=bound.x[0])

    def lower(self, path: str, a: Args) -> Lowering:
        if a.max_norm is not None:
            raise Declined("K2T103", "embedding_lookup() with max_norm is not translated")
        return super().lower(path, a.replace(axis=0))


class SetDiagonal(OpRule):
    """Matrices with another diagonal."""

    names = ("tensorflow.linalg.set_diag", "tensorflow.matrix_set_diag", "tensorflow.compat.v1.matrix_set_diag")
    signature, inputs = "x, diagonal, name=None, k=0", ("x", "diagonal")
    renames = {"input": "x"}
    examples = (
        example("tf.linalg.set_diag(x, y)", x=(2, 3, 3), y=(2, 3)),
        example("tf.linalg.set_diag(x, y)", x=(2, 3, 4), y=(2, 3)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, diagonal = tensor(a), tensor(a, "diagonal")
        if a.k != 0:
            raise Declined("K2T103", "set_diag() of another than the main diagonal is not translated")
        return one(f"torch.diagonal_scatter({x}, {diagonal}, dim1=-2, dim2=-1)", x.shape, x.dtype)
