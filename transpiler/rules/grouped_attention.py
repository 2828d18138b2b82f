"""Attention whose heads share keys and values."""

from __future__ import annotations

from collections.abc import Sequence

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Step
from transpiler.ir.shape import Shape, TensorType
from transpiler.rules.attention import MultiHeadAttention, check_dims, projections
from transpiler.rules.base import call, keywords


class GroupQueryAttention(MultiHeadAttention):
    """Heads in groups, in Keras's order of arguments: query, value, key."""

    keras, class_name = ("GroupQueryAttention",), "GroupedQueryAttention"
    signature = (
        "head_dim, num_query_heads, num_key_value_heads, dropout=0.0, use_bias=True, sliding_window=None, "
        "flash_attention=None, kernel_initializer='glorot_uniform', bias_initializer='zeros', kernel_regularizer=None, "
        "bias_regularizer=None, activity_regularizer=None, kernel_constraint=None, bias_constraint=None, "
        "use_gate=False, seed=None"
    )

    takes_masks_off = False

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        check_dims(a, a.head_dim)
        if len(xs) not in (2, 3) or any(x.rank != 3 for x in xs):
            raise Declined(
                "K2T103", "GroupQueryAttention is translated for two or three inputs (batch, steps, features)"
            )
        if any(x.channels is None for x in xs):
            raise Declined("K2T202", "the number of features is not known", "Give the input a shape.")

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        return xs[0].shape

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        weights, init = projections(a)
        sizes = (xs[0].channels, xs[-1].channels, xs[1].channels)
        options = keywords({"dropout": 0.0, "bias": True}, dropout=a.dropout, bias=a.const("use_bias"))
        inputs = ", ".join(f"{{{i}}}" for i in range(len(xs)))
        reads, name = self.reads_masks(a, xs), "GroupedAttention"
        fn = f"{{self}}({inputs}, causal=True)" if a.get("use_causal_mask") else None
        if reads or a.sliding_window is not None:
            name, fn = "MaskedGroupedAttention", f"{{self}}({inputs}, mask={self.allowed(a, xs)})"
        return [
            Step(
                module=call(name, sizes, a.head_dim, a.num_query_heads, a.num_key_value_heads, **options),
                fn=fn,
                hint="attention",
                weights=weights,
                init=init,
                helpers=(name,),
                takes=tuple(range(len(xs), len(xs) + len(reads))),
            )
        ]
