"""Dense, Flatten, Dropout and the other layers that every model uses."""

from __future__ import annotations

from collections.abc import Sequence

from transpiler.ir.model import Args, Step, Weight
from transpiler.ir.shape import Layout, Shape, TensorType, product
from transpiler.rules.activations import activation_steps
from transpiler.rules.base import LayerRule, call, keywords


class Dense(LayerRule):
    """A matrix product over the last axis: `nn.Linear`, whose weight is the transposed kernel."""

    keras = ("Dense",)
    signature = (
        "units, activation=None, use_bias=True, kernel_initializer='glorot_uniform', bias_initializer='zeros', "
        "kernel_regularizer=None, bias_regularizer=None, kernel_constraint=None, bias_constraint=None, "
        "lora_rank=None, lora_alpha=None, quantization_config=None"
    )
    renames = {
        "output_dim": "units",
        "init": "kernel_initializer",
        "bias": "use_bias",
        "W_regularizer": "kernel_regularizer",
    }
    unsupported = {"lora_rank": "low-rank adapters are a training technique that is not translated"}
    mask = "keeps"
    examples = (("Dense(4, activation='relu')", (2, 3)), ("Dense(5, use_bias=False)", (2, 3, 6)))

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        return (*xs[0].shape[:-1], a.units)

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        linear = Step(
            module=call("nn.Linear", xs[0].channels, a.units, **keywords({"bias": True}, bias=a.use_bias)),
            hint="dense",
            weights={"weight": Weight("kernel", (("permute", (1, 0)),)), "bias": Weight("bias", optional=True)},
            init={"weight": a.kernel_initializer, "bias": a.bias_initializer},
        )
        return [linear, *activation_steps(a.activation, y, a.generation)]


class Flatten(LayerRule):
    """All axes but the batch become one, in Keras order."""

    keras = ("Flatten",)
    signature = "data_format=None"
    unsupported = {"data_format": "flattening in channels-first order is not translated yet"}
    examples = (("Flatten()", (2, 3, 4, 5)),)

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        return (xs[0].shape[0], product(xs[0].shape[1:]))

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        if xs[0].rank == 2:
            return []
        return [Step(module="nn.Flatten()", fn="{0}.flatten(1)", hint="flatten")]


class Dropout(LayerRule):
    """Inverted dropout, the same in both frameworks."""

    keras = ("Dropout",)
    signature = "rate, noise_shape=None, seed=None"
    renames = {"p": "rate"}
    unsupported = {"noise_shape": "torch draws one mask value per element; write the broadcast mask by hand"}
    mask = "keeps"
    examples = (("Dropout(0.5)", (2, 3)),)

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        return [Step(module=call("nn.Dropout", p=a.rate), hint="dropout", stateful=True)]


class Input(LayerRule):
    """The model's input; it becomes a parameter of `forward`."""

    keras = ("InputLayer",)
    signature = "shape=None, batch_size=None, dtype=None, sparse=None, ragged=None, batch_shape=None, tensor=None, type_spec=None"

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        return []
