"""Attention layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import is_open
from transpiler.ir.model import KERAS2, Args, Step, Transform, Weight
from transpiler.ir.shape import Layout, Shape, TensorType
from transpiler.rules.base import LayerRule, call, keywords


class _Attention(LayerRule):
    """Scores between queries and keys, called on [query, value] or [query, value, key]."""

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        if len(xs) not in (2, 3) or any(x.rank != 3 for x in xs):
            raise Declined("K2T103", f"{self.keras[0]} is translated for two or three inputs (batch, steps, features)")

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        return (*xs[0].shape[:2], xs[1].shape[2])

    @staticmethod
    def dropped(a: Args) -> bool:
        return is_open(a.dropout) or bool(a.dropout)


class Attention(_Attention):
    """Dot products without torch's 1/√d, or a sum of tanh."""

    keras = ("Attention",)
    signature = "use_scale=False, score_mode='dot', dropout=0.0, seed=None"
    examples = (
        ("Attention()", ((2, 3, 4), (2, 5, 4))),
        ("Attention(use_scale=True)", ((2, 3, 4), (2, 5, 6), (2, 5, 4))),
        ("Attention(score_mode='concat')", ((2, 3, 4), (2, 5, 4))),
    )

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        scaled, mode = a.const("use_scale"), a.lower("score_mode")
        dropout = keywords({"dropout": 0.0}, dropout=a.dropout)
        if mode == "concat":
            if scaled:
                raise Declined("K2T102", "Attention(score_mode='concat', use_scale=True) is not translated")
            return [additive((1,), "concat_score_weight", "ones", dropout)]
        if mode != "dot":
            raise Declined("K2T102", f"the score mode {mode!r} is unknown")
        if scaled:
            return [
                Step(
                    module=call("ScaledDotAttention", **dropout),
                    hint="attention",
                    weights={"scale": Weight("scale", (("reshape", (-1,)),))},
                    helpers=("ScaledDotAttention",),
                )
            ]
        key = "{2}" if len(xs) == 3 else "{1}"
        fn = f"F.scaled_dot_product_attention({{0}}, {key}, {{1}}, scale=1)"
        if not self.dropped(a):
            return [Step(fn=fn, hint="attention")]
        module = call("DotAttention", **dropout)
        return [Step(module=module, hint="attention", stateful=True, helpers=("DotAttention",))]


def additive(shape: tuple[Any, ...] | None, source: str, init: Any, dropout: dict[str, Any]) -> Step:
    """Scores Σ w · tanh(q + k), with a weight of the given shape or none."""
    weights = {} if shape is None else {"weight": Weight(source, (("reshape", (-1,)),))}
    inits = {} if shape is None or init == "ones" else {"weight": init}
    return Step(
        module=call("TanhAttention", shape, **dropout),
        hint="attention",
        weights=weights,
        init=inits,
        fans=(shape[0], shape[0]) if shape else None,
        helpers=("TanhAttention",),
        stateful=True,
    )


class AdditiveAttention(_Attention):
    """Bahdanau's scores."""

    keras = ("AdditiveAttention",)
    signature = "use_scale=True, dropout=0.0, seed=None"
    examples = (
        ("AdditiveAttention()", ((2, 3, 4), (2, 5, 4))),
        ("AdditiveAttention(use_scale=False)", ((2, 3, 4), (2, 5, 4))),
    )

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        shape = (xs[0].channels,) if a.const("use_scale") else None
        return [additive(shape, "scale", "glorot_uniform", keywords({"dropout": 0.0}, dropout=a.dropout))]


IN: Transform = (("merge", 1), ("permute", (1, 0)))
OUT: Transform = (("merge", 0), ("permute", (1, 0)))
HEADS: Transform = (("merge", 0),)


class MultiHeadAttention(_Attention):
    """Heads of any size, in Keras's order of arguments: query, value, key."""

    keras = ("MultiHeadAttention",)
    signature = (
        "num_heads, key_dim, value_dim=None, dropout=0.0, use_bias=True, output_shape=None, attention_axes=None, "
        "sliding_window=None, flash_attention=None, kernel_initializer='glorot_uniform', bias_initializer='zeros', kernel_regularizer=None, "
        "bias_regularizer=None, activity_regularizer=None, kernel_constraint=None, bias_constraint=None, seed=None, "
        "use_gate=False, softmax_robust_masking=False"
    )
    unsupported = {
        "sliding_window": "attention to a window is not translated",
        "use_gate": "gated attention is not translated",
    }
    call_tensors = ("query", "value", "key")

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        super().check(a, xs)
        axes = a.const("attention_axes")
        if axes not in (None, 1, (1,), [1]):
            raise Declined("K2T102", f"MultiHeadAttention(attention_axes={axes}) is not translated")

    def output_size(self, a: Args, xs: Sequence[TensorType]) -> Any:
        given = a.output_shape
        if is_open(given) or given is None or isinstance(given, int):
            return xs[0].channels if not is_open(given) and given is None else given
        if len(given) != 1:
            raise Declined("K2T102", f"MultiHeadAttention(output_shape={given}) is not translated")
        return given[0]

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        return (*xs[0].shape[:2], self.output_size(a, xs))

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        query, value, key = xs[0].channels, xs[1].channels, xs[-1].channels
        if None in (query, value, key):
            raise Declined("K2T202", "the number of features is not known", "Give the input a shape.")
        size = self.output_size(a, xs)
        value_dim = a.key_dim if not is_open(a.value_dim) and not a.value_dim else a.value_dim
        kwargs = keywords(
            {"value_dim": None, "out_features": None, "dropout": 0.0, "bias": True},
            value_dim=a.value_dim,
            out_features=None if not is_open(a.output_shape) and a.output_shape is None else size,
            dropout=a.dropout,
            bias=a.const("use_bias"),
        )
        weights: dict[str, Weight] = {}
        init: dict[str, Any] = {}
        for name in ("query", "key", "value", "output"):
            first, second = (OUT, ()) if name == "output" else (IN, HEADS)
            weights[f"{name}.weight"] = Weight(f"_{name}_dense.kernel", first)
            init[f"{name}.weight"] = a.kernel_initializer
            if a.const("use_bias"):
                weights[f"{name}.bias"] = Weight(f"_{name}_dense.bias", second)
                init[f"{name}.bias"] = a.bias_initializer
        heads, width = a.num_heads, a.key_dim
        fans = None
        if a.generation == KERAS2:  # legacy Keras reads the first axis of a kernel as its window
            fans = {
                "query.weight": (heads * query, width * query),
                "key.weight": (heads * key, width * key),
                "value.weight": (heads * value, value_dim * value),
                "output.weight": (value_dim * heads, size * heads),
            }
        sizes = (query, key, value)
        return [
            Step(
                module=call("MultiHeadAttention", sizes, heads, width, **kwargs),
                hint="attention",
                weights=weights,
                init=init,
                fans=fans,
                helpers=("MultiHeadAttention",),
            )
        ]
