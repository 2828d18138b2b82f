"""Activations that are layers: `Activation`, `LeakyReLU`, `PReLU`, `Softmax` and their kin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of, is_open
from transpiler.ir.model import KERAS2, Args, Step, Weight
from transpiler.ir.shape import Layout, TensorType
from transpiler.rules.activations import activation_steps
from transpiler.rules.base import LayerRule, call, initializer_name


def number(value: Any) -> str:
    """A number as text: whole floats without their point."""
    return code_of(int(value) if isinstance(value, float) and value.is_integer() else value)


class Activation(LayerRule):
    """Any activation by name or as a function."""

    keras = ("Activation",)
    signature = "activation"
    mask = "keeps"
    examples = (("Activation('relu')", (2, 3)), ("Activation('softmax')", (2, 3, 4)))

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        return activation_steps(a.activation, y, a.generation)


class ReLU(LayerRule):
    """`F.relu` and, with its arguments, `F.relu6`, `F.leaky_relu`, `F.threshold` or all of them at once."""

    keras = ("ReLU",)
    signature = "max_value=None, negative_slope=0.0, threshold=0.0"
    mask = "keeps"
    examples = (
        ("ReLU()", (2, 3)),
        ("ReLU(6.0)", (2, 3)),
        ("ReLU(max_value=1.5, negative_slope=0.1, threshold=0.4)", (2, 30)),
    )

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        top, slope, threshold = a.const("max_value"), a.negative_slope or 0, a.threshold or 0
        if is_open(slope) or is_open(threshold):
            a.const("negative_slope"), a.const("threshold")
        match (top is None, slope == 0, threshold == 0):
            case (True, True, True):
                return [Step(module="nn.ReLU()", fn="F.relu({0})", hint="relu")]
            case (True, False, True):
                return [leaky(slope)]
            case (True, True, False):
                return [thresholded(threshold)]
            case (False, True, True):
                if top == 6:
                    return [Step(module="nn.ReLU6()", fn="F.relu6({0})", hint="relu")]
                text = number(top)
                return [Step(module=f"nn.Hardtanh(0, {text})", fn=f"torch.clamp({{0}}, 0, {text})", hint="relu")]
        arguments = {"max_value": top, "negative_slope": slope, "threshold": threshold}
        text = ", ".join(f"{k}={number(v)}" for k, v in arguments.items() if v is not None)
        return [Step(fn=f"general_relu({{0}}, {text})", hint="relu", helpers=("general_relu",))]


def leaky(slope: Any) -> Step:
    text = number(slope)
    return Step(module=f"nn.LeakyReLU({text})", fn=f"F.leaky_relu({{0}}, {text})", hint="leaky_relu")


def thresholded(threshold: Any) -> Step:
    text = number(threshold)
    return Step(module=f"nn.Threshold({text}, 0)", fn=f"F.threshold({{0}}, {text}, 0)", hint="relu")


class LeakyReLU(LayerRule):
    """`F.leaky_relu` with Keras's slope of 0.3."""

    keras = ("LeakyReLU",)
    signature = "negative_slope=0.3"
    renames = {"alpha": "negative_slope"}
    mask = "keeps"
    examples = (("LeakyReLU()", (2, 3)), ("LeakyReLU(0.1)", (2, 3)))

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        return [leaky(a.negative_slope)]


class ThresholdedReLU(LayerRule):
    """Values above `theta`, else 0 (legacy Keras only)."""

    keras = ("ThresholdedReLU",)
    signature = "theta=1.0"
    mask = "keeps"

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        return [thresholded(a.theta)]


class ELU(LayerRule):
    """`F.elu`."""

    keras = ("ELU",)
    signature = "alpha=1.0"
    mask = "keeps"
    examples = (("ELU()", (2, 3)), ("ELU(alpha=0.5)", (2, 3)))

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        if not is_open(a.alpha) and a.alpha == 1:
            return [Step(module="nn.ELU()", fn="F.elu({0})", hint="elu")]
        text = number(a.alpha)
        return [Step(module=f"nn.ELU({text})", fn=f"F.elu({{0}}, {text})", hint="elu")]


class PReLU(LayerRule):
    """`nn.PReLU` where one slope serves each channel (or all); otherwise a slope for every position."""

    keras = ("PReLU",)
    signature = "alpha_initializer='zeros', alpha_regularizer=None, alpha_constraint=None, shared_axes=None"
    renames = {"init": "alpha_initializer"}
    mask = "keeps"
    examples = (
        ("PReLU(shared_axes=[1, 2])", (2, 3, 4, 5)),
        ("PReLU()", (2, 3, 4)),
        ("PReLU()", (2, 3)),
        ("PReLU(shared_axes=[1, 2, 3])", (2, 3, 4, 5)),
    )

    def own_axes(self, a: Args, x: TensorType) -> tuple[int, ...]:
        """The axes along which the slope varies."""
        shared = a.const("shared_axes") or ()
        shared = {shared} if isinstance(shared, int) else {s % x.rank for s in shared}
        return tuple(k for k in range(1, x.rank) if k not in shared)

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout | None:
        own = self.own_axes(a, xs[0])
        if not own:
            return None
        return Layout.FIRST if own == (xs[0].rank - 1,) else Layout.KERAS

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        x, own = xs[0], self.own_axes(a, xs[0])
        if any(x.shape[k] is None for k in own):
            raise Declined("K2T202", "PReLU needs the size of the axes it does not share", "Give the input a shape.")
        init = {"weight": a.alpha_initializer}
        if own in ((), (x.rank - 1,), (1,)):
            module = "nn.PReLU()" if not own else call("nn.PReLU", x.shape[own[0]])
            weight = Weight("alpha", (("reshape", (-1,)),))
            return [Step(module=module, hint="prelu", weights={"weight": weight}, init=init)]
        shape = tuple(x.shape[k] if k in own else 1 for k in range(1, x.rank))
        weights = {"weight": Weight("alpha")}
        if initializer_name(a.alpha_initializer).lower() == "zeros":
            init = {}  # as the helper starts anyway
        return [Step(module=call("FullPReLU", shape), hint="prelu", weights=weights, init=init, helpers=("FullPReLU",))]


class Softmax(LayerRule):
    """`F.softmax` over any axis, or over several at once."""

    keras = ("Softmax",)
    signature = "axis=-1, robust_masking=False"
    mask = "keeps"
    takes_mask, mask_axes = True, 0
    examples = (("Softmax()", (2, 3)), ("Softmax(axis=1)", (2, 3, 4)), ("Softmax(axis=[1, 2])", (2, 3, 4, 5)))

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout | None:
        return Layout.KERAS if xs[0].masked else None  # the mask is in Keras's order

    def reads_masks(self, a: Args, xs: Sequence[TensorType]) -> tuple[int, ...]:
        return (0,) if xs[0].masked else ()

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        if xs[0].masked:
            return self.masked_steps(a, xs, y)
        axis = a.const("axis")
        axes = [axis] if isinstance(axis, int) else list(axis)
        dims = [y.last] if axes == [-1] else sorted(y.axis(k) for k in axes)
        if len(dims) == 1:
            return [Step(module=f"nn.Softmax(dim={dims[0]})", fn=f"F.softmax({{0}}, dim={dims[0]})", hint="softmax")]
        return [Step(fn=f"softmax_over({{0}}, dim={tuple(dims)})", hint="softmax", helpers=("softmax_over",))]

    def masked_steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        """Values that the mask leaves out count as -1e9; in Keras 3 they come out as 0, also where all are left out."""
        axis = a.const("axis")
        if not isinstance(axis, int):
            raise Declined("K2T105", "a masked Softmax over several axes is not translated")
        dim = y.axis(axis)
        if a.generation != KERAS2:
            fn = f"F.softmax({{0}}.masked_fill(~{{1}}, -1e9), dim={dim}).masked_fill(~{{1}}, 0)"
        elif a.const("robust_masking"):
            fn = f"F.softmax({{0}}.masked_fill(~{{1}}, -1e9), dim={dim})"
        else:
            fn = f"F.softmax({{0}} - 1e9 * ~{{1}}, dim={dim})"
        return [Step(fn=fn, hint="softmax", takes=(1,))]
