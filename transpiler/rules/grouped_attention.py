"""Attention whose heads share keys and values."""

from __future__ import annotations

from collections.abc import Sequence

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Step
from transpiler.ir.shape import Layout, TensorType
from transpiler.rules.attention import projections
from transpiler.rules.base import LayerRule, call, keywords


class GroupQueryAttention(LayerRule):
    """Heads in groups, in Keras's order of arguments: query, value, key."""

    keras, class_name = ("GroupQueryAttention",), "GroupedQueryAttention"
    signature = (
        "head_dim, num_query_heads, num_key_value_heads, dropout=0.0, use_bias=True, sliding_window=None, "
        "flash_attention=None, kernel_initializer='glorot_uniform', bias_initializer='zeros', kernel_regularizer=None, "
        "bias_regularizer=None, activity_regularizer=None, kernel_constraint=None, bias_constraint=None, "
        "use_gate=False, seed=None"
    )
    unsupported = {
        "sliding_window": "attention to a window is not translated",
        "use_gate": "gated attention is not translated",
    }
    call_tensors = ("query", "value", "key")
    takes_mask, hears_all, takes_masks_off = False, True, True
    call_flags = ("use_causal_mask",)

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def reads_masks(self, a: Args, xs: Sequence[TensorType]) -> tuple[int, ...]:
        if any(x.masked for x in xs):
            raise Declined("K2T105", "GroupQueryAttention of masked inputs is not translated")
        return ()

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        if len(xs) not in (2, 3) or any(x.rank != 3 for x in xs):
            raise Declined(
                "K2T103", "GroupQueryAttention is translated for two or three inputs (batch, steps, features)"
            )
        if any(x.channels is None for x in xs):
            raise Declined("K2T202", "the number of features is not known", "Give the input a shape.")

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        weights, init = projections(a)
        sizes = (xs[0].channels, xs[-1].channels, xs[1].channels)
        options = keywords({"dropout": 0.0, "bias": True}, dropout=a.dropout, bias=a.const("use_bias"))
        inputs = ", ".join(f"{{{i}}}" for i in range(len(xs)))
        return [
            Step(
                module=call("GroupedAttention", sizes, a.head_dim, a.num_query_heads, a.num_key_value_heads, **options),
                fn=f"{{self}}({inputs}, causal=True)" if a.get("use_causal_mask") else None,
                hint="attention",
                weights=weights,
                init=init,
                helpers=("GroupedAttention",),
            )
        ]
