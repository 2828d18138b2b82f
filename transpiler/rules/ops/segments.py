"""Reductions over groups of rows that other numbers name."""

from __future__ import annotations

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Lowering
from transpiler.rules.ops.base import OpRule, as_index, example, is_float, leaf_of, one, size_of, size_text, tensor

STARTS = {"sum": "0", "mean": "0", "prod": "1", "max": "min", "min": "max"}
"""What a group without rows holds: a number, or the least or greatest of the dtype."""
REDUCE = {"mean": "mean", "prod": "prod", "max": "amax", "min": "amin"}
"""The names of torch's `scatter_reduce`."""


class Segments(OpRule):
    """Rows reduced group by group; the number of groups is given."""

    names = (
        *(f"tensorflow.{h}unsorted_segment_{f}" for h in ("math.", "") for f in STARTS),
        *(f"ops.{h}segment_{f}" for h in ("", "math.") for f in STARTS if f != "mean"),
    )
    signature = "x, segment_ids, num_segments"
    signatures = {"ops": "x, segment_ids, num_segments=None, sorted=False"}
    renames = {"data": "x"}
    inputs = ("x", "segment_ids")
    examples = (
        *(
            example(f"tf.math.unsorted_segment_{f}(x, i, num_segments=5)", x=(6, 3, 2), i=(4, "ids", 6))
            for f in ("sum", "mean", "prod")
        ),
        example("tf.math.unsorted_segment_max(x, i, 4)", x=(40, 3), i=(4, "ids", 40)),
        example("tf.math.unsorted_segment_min(x, i, 4)", x=(40,), i=(4, "ids", 40)),
        example("tf.math.unsorted_segment_sum(x, i, tf.shape(x)[0])", x=(6, 3), i=(4, "ids", 6)),
        example("ops.segment_sum(x, i, num_segments=5)", x=(6, 3), i=(4, "ids", 6)),
        example("tf.math.unsorted_segment_max(j, i, 5)", j=(9, "ids", 6), i=(4, "ids", 6)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, ids = tensor(a), tensor(a, "segment_ids")
        how = leaf_of(path).rpartition("_")[2]
        if a.num_segments is None:
            raise Declined("K2T103", "how many segments there are is not known")
        if ids.rank != 1 or x.dtype == "bool" or not is_float(x.dtype) and how == "mean":
            raise Declined("K2T103", f"{leaf_of(path)} of {x.dtype} by numbers with {ids.rank} axes is not translated")
        rest = "".join(f", {x}.shape[{i}]" for i in range(1, x.rank))
        sizes = f"{size_text(a.num_segments)}{rest}"
        shape = (size_of(a.num_segments), *x.shape[1:])
        if how == "sum":
            return one(f"{x}.new_zeros({sizes}).index_add(0, {ids}, {x})", shape, x.dtype)
        index = as_index(ids)
        if x.rank > 1:
            index = f"{index}.view(-1{', 1' * (x.rank - 1)}).expand_as({x})"
        start = STARTS[how]
        if not start.isdigit():
            start = f"torch.{'finfo' if is_float(x.dtype) else 'iinfo'}({x}.dtype).{start}"
        comma = "" if rest else ","
        made = f"{x}.new_zeros({sizes})" if start == "0" else f"{x}.new_full(({sizes}{comma}), {start})"
        own = ", include_self=False" if how == "mean" else ""
        return one(f"{made}.scatter_reduce(0, {index}, {x}, '{REDUCE[how]}'{own})", shape, x.dtype)
