"""Dense, Flatten and the other layers that every model uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import Sym, code_of, is_open
from transpiler.ir.model import Args, Step, Weight, literal
from transpiler.ir.shape import Layout, Shape, TensorType, product, to_keras
from transpiler.rules.activations import activation_steps
from transpiler.rules.base import LayerRule, call, keywords, show
from transpiler.rules.spatial import channels_first


class Dense(LayerRule):
    """A matrix product over the last axis: `nn.Linear`, whose weight is the transposed kernel."""

    keras = ("Dense",)
    module_class = "nn.Linear"
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

    def variables(self, a: Args, x: TensorType) -> dict[str, Shape]:
        return {"kernel": (x.channels, a.units), **({"bias": (a.units,)} if a.const("use_bias") else {})}

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        if xs[0].channels is None:
            raise Declined("K2T202", "the number of input features is not known", "Give the input a shape.")
        linear = Step(
            module=call("nn.Linear", xs[0].channels, a.units, **keywords({"bias": True}, bias=a.use_bias)),
            hint="dense",
            weights={"weight": Weight("kernel", (("permute", (1, 0)),)), "bias": Weight("bias", optional=True)},
            init={"weight": a.kernel_initializer, "bias": a.bias_initializer},
        )
        floats = [] if xs[0].dtype.startswith("float") else [Step(fn="{0}.to(torch.get_default_dtype())", hint="x")]
        return [*floats, linear, *activation_steps(a.activation, y, a.generation)]


class Flatten(LayerRule):
    """All axes but the batch become one, in Keras order."""

    keras = ("Flatten",)
    moves = True
    signature = "data_format=None"
    examples = (("Flatten()", (2, 3, 4, 5)), ("Flatten(data_format='channels_first')", (2, 3, 4, 5)))

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        return (xs[0].shape[0], product(xs[0].shape[1:]))

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        rank = xs[0].rank
        if rank == 1:
            return [Step(fn="{0}[:, None]", hint="x")]
        if rank == 2:
            return []
        flatten = Step(module="nn.Flatten()", fn="{0}.flatten(1)", hint="flatten")
        if not channels_first(a):
            return [flatten]
        order = to_keras(rank)  # Keras brings the channels last before it flattens
        return [Step(fn=f"{{0}}.permute({', '.join(map(str, order))})", permutes=order, hint="x"), flatten]


class Identity(LayerRule):
    """Its input."""

    keras = ("Identity",)
    moves = True
    mask = "keeps"
    examples = (("Identity()", (2, 3)),)

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        return []


class Rescaling(LayerRule):
    """A multiple and an offset, for all values or by channel; a float scale makes floats of integers."""

    keras = ("Rescaling",)
    signature = "scale, offset=0.0, data_format=None"  # which the program sets for all layers: see `by_channel`
    mask = "keeps"
    examples = (
        ("Rescaling(1.0 / 255)", (2, 3)),
        ("Rescaling(2.0, offset=-1.0)", (2, 3, 4)),
        ("Rescaling([0.5, 2.0, 3.0], offset=[-1.0, 0.0, 1.0])", (2, 4, 5, 3)),
        ("Rescaling(scale=[0.5, 2.0, 3.0])", (2, 3)),
    )

    def by_channel(self, a: Args) -> bool:
        """Whether there is a number for each channel; raises Declined for other values."""
        values = [a.get(name) for name in ("scale", "offset")]
        if all(isinstance(v, (int, float, Sym)) for v in values):
            return False
        if not all(map(literal, values)):
            raise Declined("K2T102", f"Rescaling({show(values[0])}, {show(values[1])}) is not translated")
        if channels_first(a):
            raise Declined("K2T102", "Rescaling by channel where the channels come first is not translated")
        return True

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout | None:
        return Layout.KERAS if self.by_channel(a) else None

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        if self.by_channel(a):
            offset = keywords({"offset": 0.0}, offset=a.offset)
            return [
                Step(module=call("Rescale", a.scale, **offset), hint="rescale", helpers=("Rescale",), stateful=True)
            ]
        text = "{0}" + self.factor(a.scale)
        if is_open(a.offset):
            text += f" + ({code_of(a.offset)})"
        elif a.offset:
            text += f" {'-' if a.offset < 0 else '+'} {code_of(abs(a.offset))}"
        return [Step(fn=text, hint="x")]

    @staticmethod
    def factor(scale: Any) -> str:
        """` * 2.0`, or ` / 255` where that is what the program means."""
        if is_open(scale):
            return f" * ({code_of(scale)})"
        scale = float(scale)
        inverse = round(1 / scale) if 0 < scale < 1 else 0
        return f" / {inverse}" if inverse and 1 / inverse == scale else f" * {code_of(scale)}"


class Input(LayerRule):
    """The model's input; it becomes a parameter of `forward`."""

    keras = ("InputLayer",)
    signature = "shape=None, batch_size=None, dtype=None, sparse=None, ragged=None, batch_shape=None, tensor=None, type_spec=None"

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        return []
