"""Products of vectors, powers and distances; diagonals of matrices."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import Sym, same
from transpiler.ir.model import Args, Lowering
from transpiler.rules.base import show
from transpiler.rules.ops.base import (
    OpRule,
    axis_of,
    broadcast,
    example,
    is_float,
    leaf_of,
    numpy_paths,
    one,
    tensor,
)
from transpiler.rules.ops.linear import checked
from transpiler.rules.ops.repeating import times


class _Product(OpRule):
    """A product of two tensors."""

    signature, inputs = "x, y", ("x", "y")
    renames = {"x1": "x", "x2": "y"}


class Inner(_Product):
    """Sums of products along the last axes, or over all elements."""

    names = numpy_paths("inner", "vdot")
    examples = (
        example("ops.inner(x, y)", x=(2, 3, 4), y=(5, 4)),
        example("ops.inner(x, y)", x=(4,), y=(4,)),
        example("ops.vdot(x, y)", x=(2, 3), y=(2, 3)),
        example("ops.inner(i, j)", i=(9, "ids", 2, 3), j=(9, "ids", 4, 3)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, y = tensor(a), tensor(a, "y")
        dtype = checked(x, y)
        if leaf_of(path) == "vdot":
            left, right = (str(v) if v.rank == 1 else f"{v}.flatten()" for v in (x, y))
            return one(f"torch.dot({left}, {right})", (), dtype)
        if not x.rank or not y.rank:
            raise Declined("K2T103", "inner() with a scalar is not translated")
        return one(f"torch.inner({x}, {y})", (*x.shape[:-1], *y.shape[:-1]), dtype)


class Kronecker(_Product):
    """All products of elements, block by block."""

    names = numpy_paths("kron")
    examples = (
        example("ops.kron(x, y)", x=(2, 3), y=(4, 5)),
        example("ops.kron(x, y)", x=(2, 3, 2), y=(3, 2)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, y = tensor(a), tensor(a, "y")
        rank = max(x.rank, y.rank)
        left, right = ((1,) * (rank - v.rank) + v.shape for v in (x, y))
        return one(f"torch.kron({x}, {y})", tuple(map(times, left, right)), checked(x, y))


class Cross(_Product):
    """The vector product of vectors with three components."""

    names = numpy_paths("cross")
    signature = "x, y, axisa=-1, axisb=-1, axisc=-1, axis=None"
    examples = (
        example("ops.cross(x, y)", x=(2, 4, 3), y=(2, 4, 3)),
        example("ops.cross(x, y)", x=(2, 4, 3), y=(2, 1, 3)),
        example("ops.cross(x, y, axis=1)", x=(2, 3, 4), y=(2, 3, 4)),
        example("ops.cross(x, y, axisa=1, axisb=-1, axisc=0)", x=(2, 3, 4), y=(2, 4, 3)),
        example("ops.cross(x, y)", x=(4, 2), y=(4, 2)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, y = tensor(a), tensor(a, "y")
        dtype = checked(x, y)
        texts, shapes = [], []
        for v, name in ((x, "axisa"), (y, "axisb")):
            axis = axis_of(a, v.rank, name if a.axis is None else "axis")
            texts.append(str(v) if axis == v.rank - 1 else f"{v}.movedim({axis}, -1)")
            shapes.append((*(d for i, d in enumerate(v.shape) if i != axis), v.shape[axis]))
        left, right = texts
        shape = broadcast([s[:-1] for s in shapes])
        sizes = [s[-1] for s in shapes]
        if sizes == [2, 2]:
            return one(f"{left}[..., 0] * {right}[..., 1] - {left}[..., 1] * {right}[..., 0]", shape, dtype)
        if sizes != [3, 3]:
            raise Declined("K2T103", f"cross() of vectors with {sizes[0]} and {sizes[1]} components is not translated")
        axis = axis_of(a, len(shape) + 1, "axisc" if a.axis is None else "axis")
        moved = "" if axis == len(shape) else f".movedim(-1, {axis})"
        return one(f"torch.linalg.cross({left}, {right}){moved}", (*shape[:axis], 3, *shape[axis:]), dtype)


class Distances(_Product):
    """The distance of each point from each."""

    names = ("ops.cdist", "ops.math.cdist")
    examples = (
        example("ops.cdist(x, y)", x=(5, 3), y=(4, 3)),
        example("ops.cdist(x, y)", x=(2, 5, 3), y=(2, 4, 3)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, y = tensor(a), tensor(a, "y")
        if x.rank < 2 or y.rank < 2 or not is_float(x.dtype) or not is_float(y.dtype):
            raise Declined("K2T103", "cdist of these tensors is not translated")
        # by differences: torch would lose digits by products of matrices
        text = f"torch.cdist({x}, {y}, compute_mode='donot_use_mm_for_euclid_dist')"
        return one(text, (*broadcast([x.shape[:-2], y.shape[:-2]]), x.shape[-2], y.shape[-2]), x.dtype)


class Powers(OpRule):
    """The powers of a vector's elements, as the rows of a matrix."""

    names = numpy_paths("vander")
    signature = "x, N=None, increasing=False"
    examples = (
        example("ops.vander(x)", x=(4,)),
        example("ops.vander(x, 3, increasing=True)", x=(4,)),
        example("ops.vander(i, N=3)", i=(9, "ids", 4)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, count = tensor(a), a.const("N")
        if x.rank != 1 or x.dtype == "bool":
            raise Declined("K2T103", f"vander of {x.dtype} with {x.rank} axes is not translated")
        if count is not None and (type(count) is not int or count < 0):
            raise Declined("K2T102", f"vander(N={show(count)}) is not translated")
        n = "{0}.shape[0]" if count is None else str(count)
        up = f"torch.arange({n}, device={{0}}.device)"
        powers = up if a.const("increasing") else f"{up}.flip(0)"
        # torch.vander() has no gradient
        return one(f"{{0}}.unsqueeze(-1) ** {powers}", (x.shape[0], x.shape[0] if count is None else count), x.dtype)


class Differences(OpRule):
    """What the neighbours along an axis differ by."""

    names = numpy_paths("diff")
    signature = "x, n=1, axis=-1"
    renames = {"a": "x"}
    examples = (
        example("ops.diff(x)"),
        example("ops.diff(x, n=2, axis=1)", x=(2, 5, 4)),
        example("ops.diff(i, axis=-2)", i=(9, "ids", 4, 6)),
        example("ops.diff(b)", b=("bool", 2, 6)),
    )

    def keeps_batch(self, path: str, a: Args) -> bool:
        return axis_of(a, tensor(a).rank) != 0

    def lower(self, path: str, a: Args) -> Lowering:
        x, n = tensor(a), a.const("n")
        axis = axis_of(a, x.rank)
        if type(n) is not int or n < 0:
            raise Declined("K2T102", f"diff(n={show(n)}) is not translated")
        if n == 0:
            return Lowering([], [x.type])
        size = x.shape[axis]
        shape = (*x.shape[:axis], None if size is None else size - n, *x.shape[axis + 1 :])
        return one(f"torch.diff({{0}}{'' if n == 1 else f', n={n}'}, dim={axis})", shape, x.dtype)


def diagonal_size(rows: Any, columns: Any, offset: int) -> Any:
    """How long a diagonal is; None if that is not known."""
    if type(rows) is not int or type(columns) is not int:
        return rows if offset == 0 and isinstance(rows, Sym) and same(rows, columns) else None
    return max(0, min(rows + min(offset, 0), columns - max(offset, 0)))


class Diagonals(OpRule):
    """A diagonal of matrices in the plane of two axes, or what it sums to."""

    names = numpy_paths("diagonal", "trace")
    signature = "x, offset=0, axis1=0, axis2=1"
    examples = (
        example("ops.diagonal(x)", x=(3, 4)),
        example("ops.diagonal(x, offset=1, axis1=1, axis2=2)", x=(2, 3, 4)),
        example("ops.diagonal(x, -1, -1, 1)", x=(2, 3, 4, 5)),
        example("ops.trace(x)", x=(4, 4)),
        example("ops.trace(x, axis1=1, axis2=2)", x=(2, 4, 4)),
        example("ops.trace(i[0], offset=1)", i=(9, "ids", 2, 4, 4)),
    )

    def keeps_batch(self, path: str, a: Args) -> bool:
        rank = tensor(a).rank
        return 0 not in (axis_of(a, rank, "axis1"), axis_of(a, rank, "axis2"))

    def lower(self, path: str, a: Args) -> Lowering:
        x, offset = tensor(a), a.const("offset")
        i, j = axis_of(a, x.rank, "axis1"), axis_of(a, x.rank, "axis2")
        if i == j or type(offset) is not int:
            raise Declined("K2T102", f"the diagonal {show(offset)} of the axes {i} and {j} is not translated")
        options = [f"offset={offset}"] if offset else []
        options += [] if (i, j) == (0, 1) else [f"dim1={i}", f"dim2={j}"]
        text = f"{{0}}.diagonal({', '.join(options)})"
        rest = tuple(d for n, d in enumerate(x.shape) if n not in (i, j))
        if leaf_of(path) == "diagonal":
            return one(text, (*rest, diagonal_size(x.shape[i], x.shape[j], offset)), x.dtype)
        if offset and not (type(x.shape[i]) is int and x.shape[i] == x.shape[j]):
            raise Declined("K2T103", "the sum of another diagonal of matrices that are not square is not translated")
        return one(f"{text}.sum(dim=-1)", rest, x.dtype if is_float(x.dtype) else "int64")


class Diag(OpRule):
    """A vector as the diagonal of a matrix, or a diagonal of a matrix."""

    names = numpy_paths("diag", "diagflat")
    signature = "x, k=0"
    examples = (
        example("ops.diag(x)", x=(4,)),
        example("ops.diag(x, k=-1)", x=(4,)),
        example("ops.diag(x, 1)", x=(3, 4)),
        example("ops.diagflat(x, k=1)", x=(2, 3)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, k = tensor(a), a.const("k")
        leaf = leaf_of(path)
        if leaf == "diag" and x.rank not in (1, 2) or type(k) is not int:
            raise Declined("K2T102", f"{leaf}(k={show(k)}) of a tensor with {x.rank} axes is not translated")
        text = f"torch.{leaf}({{0}}{f', {k}' if k else ''})"
        if leaf == "diag" and x.rank == 2:
            return one(text, (diagonal_size(*x.shape, k),), x.dtype)
        count: Any = 1
        for d in x.shape:
            count = times(count, d)
        size = None if count is None else count + abs(k)
        return one(text, (size, size), x.dtype)
