"""Joining and splitting along the axis that the name of the function says, and turning planes around."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Lowering, Step
from transpiler.ir.shape import TensorType, product
from transpiler.rules.base import show
from transpiler.rules.ops.base import OpRule, axis_of, example, leaf_of, numpy_paths, one, promoted, tensor, tensor_list
from transpiler.rules.ops.joining import Concat, Split
from transpiler.rules.ops.shapes import Flip

PLACES = {"v": 0, "h": 1, "d": 2}
"""The first letter of a function → the axis it is about."""


class StackAlong(OpRule):
    """`vstack`, `hstack`, `dstack`: tensors joined along the first, second or third axis."""

    names = numpy_paths("vstack", "hstack", "dstack")
    signature, inputs = "xs", ("xs",)
    examples = (
        example("ops.vstack([x, y])", x=(2, 3, 4), y=(3, 3, 4)),
        example("ops.hstack([x, y])", x=(2, 3, 4), y=(2, 1, 4)),
        example("ops.hstack([x, x])", x=(3,)),
        example("ops.hstack([x, y])", x=(2, 3, 4, 5), y=(2, 1, 4, 5)),
        example("ops.dstack([x, x])", x=(2, 3, 4)),
        example("ops.dstack((x, y))", x=(2, 3), y=(2, 3)),
        example("ops.dstack((x, y))", x=(3,), y=(3,)),
    )

    def keeps_batch(self, path: str, a: Args) -> bool:
        rank = tensor_list(a, "xs")[0].rank
        return rank > 1 and leaf_of(path) != "vstack"

    def lower(self, path: str, a: Args) -> Lowering:
        xs, leaf = tensor_list(a, "xs"), leaf_of(path)
        if len({x.rank for x in xs}) > 1 or len({x.dtype for x in xs}) > 1 or not xs[0].rank:
            raise Declined("K2T103", "joining tensors of different ranks or dtypes is not translated")
        rank = xs[0].rank
        if leaf == "dstack" and rank < 3:
            shape = (*(1,) * (2 - rank), *xs[0].shape, len(xs))
            return one(f"torch.dstack(({', '.join(map(str, xs))}))", shape, xs[0].dtype)
        if leaf == "vstack" and rank == 1:
            raise Declined("K2T103", "vstack() of vectors is not translated: TensorFlow joins them, numpy stacks them")
        return Concat().lower("ops.concatenate", a.replace(axis=0 if rank == 1 else PLACES[leaf[0]]))


class SplitAlong(OpRule):
    """`vsplit`, `hsplit`, `dsplit`: parts of the first, second or third axis."""

    names = numpy_paths("vsplit", "hsplit", "dsplit")
    signature = "x, parts"
    renames = {"indices_or_sections": "parts"}
    examples = (
        example("ops.hsplit(x, 2)[1]", x=(2, 6, 4)),
        example("ops.dsplit(x, [1, 3])[2]", x=(2, 3, 4)),
        example("ops.vsplit(x[0], 3)[1]", x=(2, 3, 4)),
        example("ops.hsplit(x[0], [1])[1]", x=(2, 5)),
    )

    def axis(self, path: str, a: Args) -> int:
        return 0 if tensor(a).rank == 1 and leaf_of(path) == "hsplit" else PLACES[leaf_of(path)[0]]

    def keeps_batch(self, path: str, a: Args) -> bool:
        return self.axis(path, a) != 0

    def lower(self, path: str, a: Args) -> Lowering:
        return Split().lower("ops.split", a.replace(axis=self.axis(path, a)))


class SplitEvenly(OpRule):
    """Parts of an axis, the first ones longer by one where it does not come out even."""

    names = numpy_paths("array_split")
    signature = "x, parts, axis=0"
    renames = {"indices_or_sections": "parts"}
    examples = (
        example("ops.array_split(x, 3, axis=1)[0]", x=(2, 7, 4)),
        example("ops.array_split(x, 3, axis=-1)[2]", x=(2, 3, 8)),
        example("ops.array_split(x[0], 3)[1]", x=(2, 5)),
    )

    def keeps_batch(self, path: str, a: Args) -> bool:
        return axis_of(a, tensor(a).rank) != 0

    def lower(self, path: str, a: Args) -> Lowering:
        x, parts = tensor(a), a.const("parts")
        axis = axis_of(a, x.rank)
        whole = x.shape[axis]
        if type(parts) is not int or parts < 1:
            raise Declined("K2T102", f"array_split() in {show(parts)} parts is not translated")
        sizes = [None if whole is None else (whole + parts - 1 - i) // parts for i in range(parts)]
        types = [TensorType((*x.shape[:axis], n, *x.shape[axis + 1 :]), x.dtype) for n in sizes]
        step = Step(fn=f"{{0}}.tensor_split({parts}, dim={axis})")
        return Lowering([step], types, tuple(f"{{0}}[{i}]" for i in range(parts)))


class Append(OpRule):
    """Two tensors joined, of all elements or along an axis."""

    names = numpy_paths("append")
    signature, inputs = "x, y, axis=None", ("x", "y")
    renames = {"x1": "x", "x2": "y"}
    examples = (
        example("ops.append(x, y)", x=(2, 3), y=(4,)),
        example("ops.append(x, y, axis=-1)", x=(2, 3), y=(2, 1)),
        example("ops.append(x, [1, 2, 3])", x=(2,)),
    )

    def keeps_batch(self, path: str, a: Args) -> bool:
        return a.axis is not None and axis_of(a, tensor(a).rank) != 0

    def lower(self, path: str, a: Args) -> Lowering:
        x, y = tensor(a), tensor(a, "y")
        if a.axis is not None:
            return Concat().lower("ops.concatenate", a.replace(xs=[x, y]))
        dtypes = {x.dtype, y.dtype}
        if len(dtypes) > 1 and "bool" in dtypes:
            raise Declined("K2T103", "joining tensors of different dtypes is not translated")
        sizes = [product(x.shape), product(y.shape)]
        flat = [str(v) if v.rank == 1 else f"{v}.flatten()" for v in (x, y)]
        return one(f"torch.cat(({', '.join(flat)}))", (None if None in sizes else sum(sizes),), promoted(dtypes))


class FlipAlong(OpRule):
    """The first or the second axis backwards."""

    names = numpy_paths("flipud", "fliplr")
    any_layout = True
    examples = (example("ops.fliplr(x)"), example("ops.flipud(x)"), example("ops.fliplr(x)", x=(2, 3, 4, 5)))

    def keeps_batch(self, path: str, a: Args) -> bool:
        return True

    def lower(self, path: str, a: Args) -> Lowering:
        return Flip().lower("ops.flip", a.replace(axis=0 if leaf_of(path) == "flipud" else 1))


class Rotate(OpRule):
    """Quarter turns in the plane of two axes."""

    names = numpy_paths("rot90")
    signature = "x, k=1, axes=(0, 1)"
    renames = {"array": "x"}
    examples = (
        example("ops.rot90(x)"),
        example("ops.rot90(x, axes=(1, 2))"),
        example("ops.rot90(x, k=2, axes=(2, 1))", x=(2, 4, 4)),
        example("ops.rot90(x, k=-1, axes=(-1, 1))", x=(2, 3, 4, 5)),
        example("ops.rot90(x, 4)"),
    )

    def keeps_batch(self, path: str, a: Args) -> bool:
        return a.const("k") % 2 == 0 or 0 not in [axis % tensor(a).rank for axis in a.const("axes")]

    def lower(self, path: str, a: Args) -> Lowering:
        x, k, axes = tensor(a), a.const("k"), a.const("axes")
        if type(k) is not int or len(axes) != 2:
            raise Declined("K2T103", f"turning {show(k)} times in the plane {show(axes)} is not translated")
        if k % 4 == 0:
            return Lowering([], [x.type])
        i, j = (axis % x.rank for axis in axes)
        if k % 2 == 0 and not (type(x.shape[i]) is int and x.shape[i] == x.shape[j]):
            raise Declined("K2T103", "half a turn of what is not square is not translated: Keras mixes up the elements")
        shape: list[Any] = list(x.shape)
        if k % 2:
            shape[i], shape[j] = shape[j], shape[i]
        return one(f"torch.rot90({{0}}, {k % 4}, ({i}, {j}))", tuple(shape), x.dtype)
