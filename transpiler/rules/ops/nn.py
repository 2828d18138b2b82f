"""Functions of neural networks: activations with arguments, softmax, normalisation."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS2, Args, Lowering
from transpiler.ir.shape import Layout
from transpiler.rules.base import show
from transpiler.rules.ops.base import (
    Operand,
    OpRule,
    axis_of,
    elementwise,
    example,
    home_of,
    is_float,
    leaf_of,
    one,
    operand_text,
    paths,
    tensor,
)


def activations(*leaves: str) -> tuple[str, ...]:
    """The functions of these names, those of `keras.activations` included."""
    return (*paths(*leaves), *(f"activations.{leaf}" for leaf in leaves))


class _Activation(OpRule):
    """A function of each element of a float tensor."""

    batched = True
    renames = {"features": "x", "input": "x", "logits": "x"}

    def wants(self, path: str, a: Args) -> Layout | None:
        return None

    def text(self, path: str, a: Args) -> str:
        raise NotImplementedError

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        if not is_float(x.dtype) and leaf_of(path) != "relu":
            raise Declined("K2T103", f"{leaf_of(path)} of {x.dtype} is not translated")
        return elementwise(self.text(path, a), [x])


PLAIN = {
    "relu6": "F.relu6({0})",
    "selu": "F.selu({0})",
    "softsign": "F.softsign({0})",
    "softplus": "F.softplus({0})",
    "sigmoid": "torch.sigmoid({0})",
    "log_sigmoid": "F.logsigmoid({0})",
    "tanh": "torch.tanh({0})",
    "mish": "F.mish({0})",
    "hard_tanh": "F.hardtanh({0})",
    "tanh_shrink": "F.tanhshrink({0})",
    "exponential": "torch.exp({0})",
    "linear": "{0}",
}


class Plain(_Activation):
    """Activations without arguments."""

    names = tuple(p for leaf in PLAIN for p in activations(leaf))
    examples = (
        *(example(f"ops.{leaf}(x)") for leaf in ("relu6", "selu", "softsign", "softplus", "sigmoid", "log_sigmoid", "tanh")),
        example("tf.nn.relu6(features=8.0 * x)"),
        example("K.softplus(x)"),
        example("K.softsign(x)"),
        example("keras.activations.mish(x) + ops.hard_tanh(x) - ops.tanh_shrink(x)"),
    )  # fmt: skip

    def text(self, path: str, a: Args) -> str:
        return PLAIN[leaf_of(path)]


class HardSigmoid(_Activation):
    """Three straight lines; legacy Keras has others."""

    names = activations("hard_sigmoid")
    examples = (example("K.hard_sigmoid(2.0 * x)"), example("ops.hard_sigmoid(4.0 * x)"))

    def text(self, path: str, a: Args) -> str:
        if a.generation == KERAS2 or home_of(path) == "backend":
            return "torch.clamp(0.2 * {0} + 0.5, 0, 1)"
        return "F.relu6({0} + 3) / 6"


class Relu(_Activation):
    """Relu with a slope below, a limit above and a threshold."""

    names = activations("relu")
    signature = "x"
    signatures = {
        "backend": "x, alpha=0.0, max_value=None, threshold=0.0",
        "activations": "x, negative_slope=0.0, max_value=None, threshold=0.0",
    }
    renames = {"features": "x", "alpha": "negative_slope"}
    examples = (
        example("tf.nn.relu(features=x)"),
        example("ops.relu(x)"),
        example("K.relu(x, alpha=0.1)"),
        example("K.relu(4.0 * x, max_value=6.0)"),
        example("K.relu(4.0 * x, max_value=2)"),
    )

    def text(self, path: str, a: Args) -> str:
        slope = a.get("alpha", a.get("negative_slope", 0.0))
        top, threshold = a.get("max_value"), a.get("threshold", 0.0)
        if type(threshold) not in (int, float) or threshold != 0:
            raise Declined("K2T102", "relu() with a threshold is not translated; use the ReLU layer")
        if type(top) in (int, float) and top < 0:
            raise Declined("K2T102", f"relu() with max_value={top} is not translated")
        if type(slope) in (int, float) and slope == 0:
            if top is None:
                return "F.relu({0})"
            return "F.relu6({0})" if top in (6, 6.0) else f"torch.clamp({{0}}, 0, {operand_text(top)})"
        if top is not None:
            raise Declined("K2T102", "relu() with a slope and a limit is not translated; use the ReLU layer")
        return f"F.leaky_relu({{0}}, {operand_text(slope)})"


class LeakyRelu(_Activation):
    """A small slope for negative numbers."""

    names = activations("leaky_relu")
    signature = "x, negative_slope=0.2"
    renames = {"features": "x", "alpha": "negative_slope"}
    examples = (example("tf.nn.leaky_relu(x, alpha=0.1)"), example("ops.leaky_relu(x)"))

    def text(self, path: str, a: Args) -> str:
        return f"F.leaky_relu({{0}}, {operand_text(a.negative_slope)})"


class Elu(_Activation):
    """Exponential below zero."""

    names = activations("elu", "celu")
    signature = "x, alpha=1.0"
    signatures = {"tensorflow.nn": "x"}
    examples = (example("K.elu(x, 0.5)"), example("ops.celu(x, alpha=0.7)"), example("tf.nn.elu(x)"))

    def text(self, path: str, a: Args) -> str:
        value = a.get("alpha", 1.0)
        alpha = "" if type(value) in (int, float) and value == 1 else f", {operand_text(value)}"
        return f"F.{leaf_of(path)}({{0}}{alpha})"


class Gelu(_Activation):
    """Exact, or by tanh: `keras.ops.gelu` approximates unless told otherwise, the others do not."""

    names = activations("gelu")
    signature = "x, approximate=False"
    signatures = {"ops": "x, approximate=True", "ops.nn": "x, approximate=True"}
    examples = (
        example("ops.gelu(x)"),
        example("ops.gelu(x, approximate=False)"),
        example("tf.nn.gelu(x, approximate=True)"),
    )

    def text(self, path: str, a: Args) -> str:
        return "F.gelu({0}, approximate='tanh')" if a.const("approximate") else "F.gelu({0})"


class Silu(_Activation):
    """x · sigmoid(beta · x)."""

    names = activations("silu", "swish")
    signature = "x, beta=1.0"
    examples = (example("tf.nn.silu(x)"), example("tf.nn.swish(x, beta=1.5)"), example("ops.silu(x)"))

    def text(self, path: str, a: Args) -> str:
        if type(a.beta) in (int, float) and a.beta == 1:
            return "F.silu({0})"
        return f"{{0}} * torch.sigmoid({operand_text(a.beta)} * {{0}})"


class HardSilu(_Activation):
    """x · hard_sigmoid(x)."""

    names = activations("hard_silu", "hard_swish")
    examples = (example("ops.hard_silu(4.0 * x)"),)

    def text(self, path: str, a: Args) -> str:
        return "F.hardswish({0})"


class Softmax(OpRule):
    """Shares along an axis, or their logarithms."""

    batched = True
    names = activations("softmax", "log_softmax")
    signature = "x, axis=-1"
    renames = {"logits": "x", "dim": "axis"}
    examples = (
        example("K.softmax(x)"),
        example("tf.nn.softmax(x, axis=1)"),
        example("tf.nn.log_softmax(x)"),
        example("ops.softmax(x, axis=(1, 2))"),
        example("tf.nn.softmax(x, axis=None)"),
    )

    def wants(self, path: str, a: Args) -> Layout | None:
        return Layout.KERAS if isinstance(a.const("axis"), (list, tuple)) else None

    def lower(self, path: str, a: Args) -> Lowering:
        x, leaf, axis = tensor(a), leaf_of(path), a.const("axis")
        if isinstance(axis, (list, tuple)) and len(axis) > 1:
            return self.over_several(x, leaf, axis)
        if axis is None and home_of(path) != "tensorflow":
            raise Declined("K2T103", f"{leaf} over all axes is not translated")
        at = axis_of(a.replace(axis=-1 if axis is None else axis), x.rank)
        return elementwise(f"F.{leaf}({{0}}, dim={x.type.axis(at)})", [x])

    def over_several(self, x: Operand, leaf: str, axis: Any) -> Lowering:
        """Neighbouring axes are one for a moment."""
        axes = sorted(i % x.rank for i in axis)
        if axes != list(range(axes[0], axes[0] + len(axes))) or any(x.shape[i] is None for i in axes[1:]):
            raise Declined("K2T103", f"{leaf} over the axes {show(axis)} is not translated")
        fn = f"F.{leaf}({{0}}.flatten({axes[0]}, {axes[-1]}), dim={axes[0]}).view_as({{0}})"
        return one(fn, x.shape, x.dtype)


class BatchNormalize(OpRule):
    """Normalisation with given statistics."""

    batched = True
    names = ("tensorflow.nn.batch_normalization", "backend.batch_normalization")
    signature = "x, mean, variance, offset, scale, variance_epsilon"
    signatures = {"backend": "x, mean, variance, offset, scale, axis=-1, variance_epsilon=1e-3"}
    renames = {"var": "variance", "beta": "offset", "gamma": "scale", "epsilon": "variance_epsilon"}
    inputs = ("x", "mean", "variance", "offset", "scale")
    examples = (
        example(
            "K.batch_normalization(x, m, var=abs(v) + 0.5, beta=b, gamma=s)", x=(2, 3, 4), m=(4,), v=(4,), b=(4,), s=(4,)
        ),
        example("K.batch_normalization(x, m, abs(v) + 0.5, None, m, -1, 0.1)", x=(3, 4), m=(4,), v=(4,)),
        example(
            "tf.nn.batch_normalization(x, m, abs(v) + 0.5, b, s, 1e-3)",
            x=(2, 3, 4), m=(4,), v=(4,), b=(4,), s=(4,),
        ),
        example("tf.nn.batch_normalization(x, m, abs(v) + 0.5, None, None, 1e-3)", x=(2, 3, 4), m=(4,), v=(4,)),
    )  # fmt: skip

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        if "axis" in a and axis_of(a, x.rank) != x.rank - 1:
            raise Declined("K2T103", "normalisation of another axis than the last is not translated")
        text = (
            f"({x} - {tensor(a, 'mean')}) * torch.rsqrt({tensor(a, 'variance')} + {operand_text(a.variance_epsilon)})"
        )
        if a.scale is not None:
            text += f" * {tensor(a, 'scale')}"
        if a.offset is not None:
            text += f" + {tensor(a, 'offset')}"
        return one(text, x.shape, x.dtype)


class L2Loss(OpRule):
    """Half the sum of squares."""

    names = ("tensorflow.nn.l2_loss",)
    renames = {"t": "x"}
    examples = (example("tf.nn.l2_loss(x)"),)

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        return one("({0} ** 2).sum() / 2", (), x.dtype)
