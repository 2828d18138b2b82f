"""Whether a class is among the likeliest ones."""

from __future__ import annotations

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Lowering
from transpiler.rules.ops.base import OpRule, as_index, example, is_float, one, size_text, tensor


class AmongFirst(OpRule):
    """Whether fewer than k classes have a greater value than the given one; never where a value is not finite."""

    batched = True
    names = (
        "backend.in_top_k", "ops.in_top_k", "ops.math.in_top_k", "tensorflow.nn.in_top_k", "tensorflow.math.in_top_k",
    )  # fmt: skip
    signature = "targets, predictions, k"
    signatures = {"backend": "predictions, targets, k"}
    inputs = ("targets", "predictions")
    examples = (
        example("K.in_top_k(tf.cast(x, 'float32'), i, 2)", x=(5, 4), i=(4, "ids", 5)),
        example("ops.in_top_k(i, tf.cast(x, 'float32'), 1)", x=(5, 4), i=(4, "ids", 5)),
        example("tf.math.in_top_k(i, tf.cast(x, 'float32') / 0.0, k=3)", x=(5, 4), i=(4, "ids", 5)),
        example("tf.nn.in_top_k(i, tf.round(tf.cast(x, 'float32')), 2)", x=(5, 4), i=(4, "ids", 5)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        found, p = tensor(a, "targets"), tensor(a, "predictions")
        if found.rank != 1 or p.rank != 2 or not is_float(p.dtype) or is_float(found.dtype):
            raise Declined("K2T103", f"in_top_k of {p.rank} axes of {p.dtype} for {found.dtype} is not translated")
        greater = f"({p} > {p}.gather(1, {as_index(found)}[:, None])).sum(dim=1) < {size_text(a.k)}"
        return one(f"({greater}) & {p}.isfinite().all(dim=1)", (p.shape[0],), "bool")
