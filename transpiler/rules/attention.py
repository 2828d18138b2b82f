"""Attention layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of, is_open
from transpiler.ir.model import KERAS2, Args, MaskOf, Step, Transform, Weight
from transpiler.ir.shape import Layout, Shape, TensorType
from transpiler.rules.base import LayerRule, call, keywords


class _Attention(LayerRule):
    """Scores between queries and keys, called on [query, value] or [query, value, key].

    Keys that a mask leaves out lose 1e9, as in Keras: a query without any other averages all values.
    """

    takes_mask = True

    def reads_masks(self, a: Args, xs: Sequence[TensorType]) -> tuple[int, ...]:
        return tuple(i for i in (0, 1) if xs[i].masked)

    def output_masks(self, a: Args, xs: Sequence[TensorType]) -> list[MaskOf | None]:
        return [MaskOf(masks=(0,))] if xs[0].masked else []

    @staticmethod
    def with_masks(step: Step, xs: Sequence[TensorType], key: str) -> Step:
        """The step with the mask of the values (which needs the module) and that of the queries, which clears rows."""
        reads = [i for i in (0, 1) if xs[i].masked]
        place = {i: f"{{{len(xs) + k}}}" for k, i in enumerate(reads)}
        fn, module, helpers = step.fn, step.module, step.helpers
        inputs = ", ".join(f"{{{i}}}" for i in range(len(xs)))
        if 1 in place and module is None:
            bias = f"1e9 * ({place[1]}[:, None].to({{0}}) - 1)"
            fn = f"F.scaled_dot_product_attention({{0}}, {key}, {{1}}, attn_mask={bias}, scale=1)"
        elif 1 in place:
            assert module is not None
            name = module.partition("(")[0]
            module, helpers = f"Masked{module}", (f"Masked{name}",)
            fn = f"{{self}}({inputs}, mask={place[1]})"
        elif module is not None:
            fn = f"{{self}}({inputs})"
        fn = f"{fn} * {place[0]}[..., None]" if 0 in place else fn
        takes = tuple(range(len(xs), len(xs) + len(reads)))
        return replace(step, fn=fn, module=module, helpers=helpers, takes=takes) if reads else step

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        if len(xs) not in (2, 3) or any(x.rank != 3 for x in xs):
            raise Declined("K2T103", f"{self.keras[0]} is translated for two or three inputs (batch, steps, features)")

    def check_features(self, query: TensorType, other: TensorType) -> None:
        """Raises Declined for tensors that are known to have different numbers of features."""
        if type(query.channels) is int and type(other.channels) is int and query.channels != other.channels:
            raise Declined(
                "K2T104", f"{self.keras[0]} of {query.channels} and {other.channels} features is not translated"
            )

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
        ("Attention(score_mode='concat', use_scale=True)", ((2, 3, 4), (2, 5, 6), (2, 5, 4))),
    )

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        super().check(a, xs)
        self.check_features(xs[0], xs[-1])

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        scaled, mode = a.const("use_scale"), a.lower("score_mode")
        dropout = keywords({"dropout": 0.0}, dropout=a.dropout)
        if mode == "concat":
            step = additive((1,), "concat_score_weight", "ones", dropout)
            if scaled:
                weights = {**step.weights, "scale": Weight("scale", (("reshape", (-1,)),))}
                name = "ScaledTanhAttention"
                step = replace(step, module=call(name, (1,), **dropout), weights=weights, helpers=(name,))
            return [self.with_masks(step, xs, "")]
        if mode != "dot":
            raise Declined("K2T104", f"the score mode {mode!r} is unknown")
        key = "{2}" if len(xs) == 3 else "{1}"
        if scaled:
            step = Step(
                module=call("ScaledDotAttention", **dropout),
                hint="attention",
                weights={"scale": Weight("scale", (("reshape", (-1,)),))},
                helpers=("ScaledDotAttention",),
            )
        elif not self.dropped(a):
            step = Step(fn=f"F.scaled_dot_product_attention({{0}}, {key}, {{1}}, scale=1)", hint="attention")
        else:
            module = call("DotAttention", **dropout)
            step = Step(module=module, hint="attention", stateful=True, helpers=("DotAttention",))
        return [self.with_masks(step, xs, key)]


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

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        super().check(a, xs)
        self.check_features(xs[0], xs[-1])
        if a.const("use_scale"):  # Keras gives the scale the size of the values
            self.check_features(xs[0], xs[1])

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        shape = (xs[0].channels,) if a.const("use_scale") else None
        step = additive(shape, "scale", "glorot_uniform", keywords({"dropout": 0.0}, dropout=a.dropout))
        return [self.with_masks(step, xs, "")]


IN: Transform = (("merge", 1), ("permute", (1, 0)))
OUT: Transform = (("merge", 0), ("permute", (1, 0)))
HEADS: Transform = (("merge", 0),)


def check_dims(a: Args, *dims: Any) -> None:
    """Raises Declined for heads of size 1, to which Keras 3 adds their biases along the steps if these are as many."""
    if a.generation != KERAS2 and a.const("use_bias") and any(type(d) is int and d == 1 for d in dims):
        raise Declined("K2T104", "biases of heads of size 1 are not translated")


def projections(a: Args) -> tuple[dict[str, Weight], dict[str, Any]]:
    """The weights of the projections of queries, keys, values and the output, and how they start."""
    weights: dict[str, Weight] = {}
    init: dict[str, Any] = {}
    for name in ("query", "key", "value", "output"):
        kernel, bias = (OUT, ()) if name == "output" else (IN, HEADS)
        weights[f"{name}.weight"] = Weight(f"_{name}_dense.kernel", kernel)
        init[f"{name}.weight"] = a.kernel_initializer
        if a.const("use_bias"):
            weights[f"{name}.bias"] = Weight(f"_{name}_dense.bias", bias)
            init[f"{name}.bias"] = a.bias_initializer
    return weights, init


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
        "use_gate": "gated attention is not translated",
    }
    call_tensors = ("query", "value", "key")
    takes_mask, hears_all, takes_masks_off = False, True, True
    call_flags = ("use_causal_mask",)

    def mask_arguments(self, generation: str) -> dict[str, int | None]:
        own = {} if generation == KERAS2 else {"value_mask": 1, "key_mask": 2}
        return {**own, "attention_mask": None}

    def reads_masks(self, a: Args, xs: Sequence[TensorType]) -> tuple[int, ...]:
        found = tuple(i for i, x in enumerate(xs) if x.masked)
        return (*found, len(xs)) if a.get("attention_mask") else found

    def allowed(self, a: Args, xs: Sequence[TensorType]) -> str | None:
        """What each query may look at, over the operands: (batch, queries or 1, keys or 1)."""
        reads = self.reads_masks(a, xs)
        parts = []
        for k, i in enumerate(reads):
            place = f"{{{len(xs) + k}}}"
            parts.append(f"{place}[:, :, None]" if i == 0 else place if i == len(xs) else f"{place}[:, None]")
        if a.get("use_causal_mask"):
            parts.append("torch.ones({0}.shape[1], {1}.shape[1], dtype=torch.bool, device={0}.device).tril()[None]")
        if a.sliding_window is not None:
            near = code_of(a.const("sliding_window") - 1)
            ones = "torch.ones({0}.shape[1], {1}.shape[1], dtype=torch.bool, device={0}.device)"
            parts.append(f"{ones}.triu(-{near}).tril({near})[None]")
        return " & ".join(parts) or None

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        check_dims(a, a.key_dim, a.value_dim)
        rank = xs[0].rank
        if len(xs) not in (2, 3) or rank < 3 or any(x.rank != rank for x in xs):
            raise Declined("K2T103", "MultiHeadAttention of tensors of these ranks is not translated")
        axes = self.axes(a, rank)
        if len(axes) not in (1, rank - 2) or not all(0 < k < rank - 1 for k in axes):
            raise Declined("K2T102", f"MultiHeadAttention(attention_axes={a.attention_axes}) is not translated")
        if rank > 3 and (self.reads_masks(a, xs) or a.get("use_causal_mask") or a.sliding_window is not None):
            raise Declined("K2T105", "a masked MultiHeadAttention over several axes is not translated")

    @staticmethod
    def axes(a: Args, rank: int) -> tuple[int, ...]:
        """The axes that are attended to, as one."""
        given = a.const("attention_axes")
        if given is None:
            return tuple(range(1, rank - 1))
        return (given,) if isinstance(given, int) else tuple(given)

    def over_axes(self, a: Args, xs: Sequence[TensorType]) -> str:
        """How the module, which attends along the second of three axes, is called on tensors with more."""
        rank, axes = xs[0].rank, self.axes(a, xs[0].rank)
        if len(axes) == rank - 2:
            inputs = ", ".join(f"{{{i}}}.flatten(1, {rank - 2})" for i in range(len(xs)))
            return f"{{self}}({inputs}).unflatten(1, {{0}}.shape[1:{rank - 1}])"
        moved = "" if axes[0] == rank - 2 else f".movedim({axes[0]}, {rank - 2})"
        back = "" if axes[0] == rank - 2 else f".movedim({rank - 2}, {axes[0]})"
        inputs = ", ".join(f"{{{i}}}{moved}.flatten(0, {rank - 3})" for i in range(len(xs)))
        return f"{{self}}({inputs}).unflatten(0, {{0}}{moved}.shape[:{rank - 2}]){back}"

    def output_size(self, a: Args, xs: Sequence[TensorType]) -> Any:
        given = a.output_shape
        if is_open(given) or given is None or isinstance(given, int):
            return xs[0].channels if not is_open(given) and given is None else given
        if len(given) != 1:
            raise Declined("K2T102", f"MultiHeadAttention(output_shape={given}) is not translated")
        return given[0]

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        return (*xs[0].shape[:-1], self.output_size(a, xs))

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
        weights, init = projections(a)
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
        step = Step(
            module=call("MultiHeadAttention", sizes, heads, width, **kwargs),
            hint="attention",
            weights=weights,
            init=init,
            fans=fans,
            helpers=("MultiHeadAttention",),
        )
        allowed = self.allowed(a, xs)
        if allowed is None:
            return [step if xs[0].rank == 3 else replace(step, fn=self.over_axes(a, xs))]
        inputs = ", ".join(f"{{{i}}}" for i in range(len(xs)))
        takes = tuple(range(len(xs), len(xs) + len(self.reads_masks(a, xs))))
        name, mask = "MaskedMultiHeadAttention", f"mask={allowed}"
        if a.generation == KERAS2:
            name, mask = "BiasedMultiHeadAttention", f"bias=1e9 * (({allowed}).to({{0}}) - 1)"
        module = call(name, sizes, heads, width, **kwargs)
        return [replace(step, module=module, fn=f"{{self}}({inputs}, {mask})", takes=takes, helpers=(name,))]
