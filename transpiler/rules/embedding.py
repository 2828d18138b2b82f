"""Lookups of vectors by id, and the masks that start with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from transpiler.ir.expr import is_open
from transpiler.ir.model import Args, MaskOf, Step, Weight
from transpiler.ir.shape import Layout, Shape, TensorType
from transpiler.rules.base import LayerRule, call, show


class Embedding(LayerRule):
    """`nn.Embedding`; ids that Keras holds as floats become integers first."""

    keras = ("Embedding",)
    signature = (
        "input_dim, output_dim, embeddings_initializer='uniform', embeddings_regularizer=None, "
        "embeddings_constraint=None, mask_zero=False, input_length=None, lora_rank=None, lora_alpha=None, "
        "quantization_config=None, sparse=False"
    )
    renames = {
        "init": "embeddings_initializer",
        "W_regularizer": "embeddings_regularizer",
        "W_constraint": "embeddings_constraint",
    }
    unsupported = {
        "lora_rank": "low-rank adapters are a training technique that is not translated",
        "sparse": "a one-hot matrix product is not translated",
    }
    examples = (("Embedding(6, 3)", (2, 5)), ("Embedding(6, 3, input_length=5)", (2, 5)))

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        return (*xs[0].shape, a.output_dim)

    def output_dtype(self, a: Args, xs: Sequence[TensorType]) -> str:
        return "float32"

    def variables(self, a: Args, x: TensorType) -> dict[str, Shape]:
        return {"embeddings": (a.input_dim, a.output_dim)}

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        whole = [] if xs[0].dtype in ("int32", "int64") else [Step(fn="{0}.long()", hint="ids")]
        lookup = Step(
            module=call("nn.Embedding", a.input_dim, a.output_dim),
            hint="embedding",
            weights={"weight": Weight("embeddings")},
            init={"weight": a.embeddings_initializer},
            fans=(a.input_dim, a.output_dim),
        )
        return [*whole, lookup]

    def output_masks(self, a: Args, xs: Sequence[TensorType]) -> list[MaskOf | None]:
        return [MaskOf(xs[0].shape, "{0} != 0", (0,))] if a.const("mask_zero") else []


class ReversibleEmbedding(Embedding):
    """`nn.Embedding`, whose weight leads back from vectors to scores where the call says `reverse=True`."""

    keras = ("ReversibleEmbedding",)
    signature = (
        "input_dim, output_dim, tie_weights=True, embeddings_initializer='uniform', embeddings_regularizer=None, "
        "embeddings_constraint=None, mask_zero=False, reverse_dtype=None, logit_soft_cap=None"
    )
    renames = {}
    unsupported = {
        "mask_zero": "the mask that Keras puts on the vectors and takes off again is not translated",
        "reverse_dtype": "scores of another type are not translated",
    }
    call_flags = ("reverse",)
    examples = (("ReversibleEmbedding(6, 3)", (2, 5)),)

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        return (*xs[0].shape[:-1], a.input_dim) if a.get("reverse") else super().output_shape(a, xs)

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        step = super().steps(a, xs, y)[-1]
        if not a.const("tie_weights"):
            step = replace(
                step,
                module=call("ReversibleEmbedding", a.input_dim, a.output_dim),
                weights={**step.weights, "reverse": Weight("reverse_embeddings", (("permute", (1, 0)),))},
                init={**step.init, "reverse": a.embeddings_initializer},
                helpers=("ReversibleEmbedding",),
            )
        if not a.get("reverse"):
            whole = xs[0].dtype in ("int32", "int64")
            return [step if whole else replace(step, fn="{self}({0}.long())")]
        scores = f"F.linear({{0}}, {{self}}.{'weight' if a.const('tie_weights') else 'reverse'})"
        cap = a.logit_soft_cap
        if is_open(cap) or cap is not None:
            scores = f"{show(cap)} * torch.tanh({scores} / {show(cap)})"
        return [replace(step, fn=scores)]


class Masking(LayerRule):
    """Sets steps that hold nothing but `mask_value` to 0; a mask rides along with the result."""

    keras = ("Masking",)
    signature = "mask_value=0.0"
    examples = (("Masking(1.0)", (2, 5, 3)),)

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        value = {} if not is_open(a.mask_value) and a.mask_value == 0 else {"value": a.mask_value}
        text = call("clear_steps", **value).replace("(", "({0}, " if value else "({0}", 1)
        return [Step(fn=text, hint="x", helpers=("clear_steps",))]

    def output_masks(self, a: Args, xs: Sequence[TensorType]) -> list[MaskOf | None]:
        value = show(0 if a.mask_value == 0 and not is_open(a.mask_value) else a.mask_value)
        return [MaskOf(xs[0].shape[:-1], f"({{0}} != {value}).any(dim=-1)", (0,))]
