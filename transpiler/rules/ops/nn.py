"""Functions of neural networks: activations with arguments, softmax, normalisation."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS2, Args, Lowering, Step
from transpiler.ir.shape import Layout
from transpiler.rules.base import show
from transpiler.rules.ops.base import (
    Operand,
    OpRule,
    axis_of,
    dtype_name,
    elementwise,
    example,
    home_of,
    is_float,
    leaf_of,
    one,
    operand_text,
    paths,
    size_of,
    size_text,
    tensor,
    tensor_type,
    torch_dtype,
)


def activations(*leaves: str) -> tuple[str, ...]:
    """The functions of these names, those of `keras.activations` included."""
    return (*paths(*leaves), *(f"activations.{leaf}" for leaf in leaves))


class _Activation(OpRule):
    """A function of each element of a float tensor."""

    batched = True
    renames = {"features": "x", "input": "x", "logits": "x"}
    any_layout = True

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
    names = (
        "tensorflow.nn.batch_normalization",
        "backend.batch_normalization",
        "ops.batch_normalization",
        "ops.nn.batch_normalization",
    )
    signature = "x, mean, variance, offset, scale, variance_epsilon"
    signatures = {
        "backend": "x, mean, variance, offset, scale, axis=-1, variance_epsilon=1e-3",
        "ops": "x, mean, variance, axis, offset=None, scale=None, variance_epsilon=1e-3",
        "ops.nn": "x, mean, variance, axis, offset=None, scale=None, variance_epsilon=1e-3",
    }
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
        example("ops.batch_normalization(x, m, abs(v) + 0.5, -1, b, s)", x=(2, 3, 4), m=(4,), v=(4,), b=(4,), s=(4,)),
        example("ops.batch_normalization(x, m, abs(v) + 0.5, 1, epsilon=0.1, scale=s)", x=(2, 3, 4), m=(3,), v=(3,), s=(3,)),
    )  # fmt: skip

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        behind = x.rank - 1 - axis_of(a, x.rank) if "axis" in a else 0
        given = {n: tensor(a, n) for n in self.inputs[1:] if a.get(n) is not None}
        if behind and (home_of(path) == "backend" or any(v.rank != 1 for v in given.values())):
            raise Declined("K2T103", "normalisation of another axis than the last is not translated")
        wide = {n: f"{v}.view(-1{', 1' * behind})" if behind else str(v) for n, v in given.items()}
        epsilon = operand_text(a.variance_epsilon)
        text = f"({x} - {wide['mean']}) * torch.rsqrt({wide['variance']} + {epsilon})"
        text += f" * {wide['scale']}" if "scale" in wide else ""
        text += f" + {wide['offset']}" if "offset" in wide else ""
        return one(text, x.shape, x.dtype)


class Gate(OpRule):
    """Half of an axis, gated by the other half."""

    batched = True
    names = ("ops.glu", "ops.nn.glu", "activations.glu")
    signature = "x, axis=-1"
    any_layout = True
    examples = (example("ops.glu(x)"), example("ops.glu(x, axis=1)", x=(2, 6, 5, 3)))

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        axis = axis_of(a, x.rank)
        size = x.shape[axis]
        if not is_float(x.dtype) or type(size) is int and size % 2:
            raise Declined("K2T102", f"glu of {x.dtype} over an axis of {show(size)} is not translated")
        shape = (*x.shape[:axis], None if size is None else size // 2, *x.shape[axis + 1 :])
        return one(f"F.glu({{0}}, dim={x.type.axis(axis)})", shape, x.dtype, x.type.layout)


class SparseMax(OpRule):
    """Shares along an axis, many of which are zero."""

    batched = True
    names = ("ops.sparsemax", "ops.nn.sparsemax", "activations.sparsemax")
    signature = "x, axis=-1"
    any_layout = True
    examples = (example("ops.sparsemax(x)"), example("ops.sparsemax(2.0 * x, axis=1)", x=(2, 6, 5, 3)))

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        if not is_float(x.dtype):
            raise Declined("K2T103", f"sparsemax of {x.dtype} is not translated")
        return elementwise(f"sparsemax({{0}}, dim={x.type.axis(axis_of(a, x.rank))})", [x], helpers=("sparsemax",))


class Threshold(OpRule):
    """What is greater than a limit; a given value elsewhere."""

    batched = True
    names = ("ops.threshold", "ops.nn.threshold", "activations.threshold")
    signature = "x, threshold, default_value"
    any_layout = True
    examples = (example("ops.threshold(x, 0.25, -1.0)"), example("ops.threshold(x, threshold=0, default_value=0)"))

    def lower(self, path: str, a: Args) -> Lowering:
        x, value = tensor(a), a.default_value
        if not is_float(x.dtype):
            raise Declined("K2T103", f"threshold of {x.dtype} is not translated")
        value = float(value) if type(value) is int else value
        # F.threshold() keeps NaN
        return elementwise(f"torch.where({{0}} > {operand_text(a.threshold)}, {{0}}, {operand_text(value)})", [x])


class MultiHot(OpRule):
    """Ones in the places of all classes that are named."""

    names = ("ops.multi_hot", "ops.nn.multi_hot")
    signature = "x, num_classes, axis=-1, dtype=None, sparse=False"
    renames = {"inputs": "x", "num_tokens": "num_classes"}
    examples = (
        example("ops.multi_hot(i, 5)", i=(5, "ids", 2, 3)),
        example("ops.multi_hot(i[0], num_classes=4)", i=(5, "ids", 2, 3)),
        example("ops.multi_hot(i, 4)", i=(5, "ids", 2, 3, 2)),
        example("ops.multi_hot(i, 4, dtype='bool')", i=(5, "ids", 2, 3)),
    )

    def keeps_batch(self, path: str, a: Args) -> bool:
        return tensor(a).rank > 1

    def lower(self, path: str, a: Args) -> Lowering:
        x, axis = tensor(a), a.const("axis")
        if axis not in (-1, x.rank) or a.const("sparse") or is_float(x.dtype) or not x.rank:
            raise Declined("K2T103", f"multi_hot(axis={show(axis)}) of {x.dtype} is not translated")
        name = "float" if a.dtype is None else dtype_name(a.dtype)
        gone = min(1, x.rank - 1)
        places = f"torch.arange({size_text(a.num_classes)}, device={x}.device)"
        text = f"({x}.unsqueeze(-1) == {places}).any(dim={gone})"
        text += "" if name == "bool" else f".to({torch_dtype(name)})"
        shape = (*(d for i, d in enumerate(x.shape) if i != gone), size_of(a.num_classes))
        return Lowering([Step(fn=text)], [tensor_type(shape, name)])


class SignalToNoise(OpRule):
    """How much louder a signal is than what it differs by, in decibels."""

    names = ("ops.psnr", "ops.nn.psnr")
    signature, inputs = "x, y, max_val", ("x", "y")
    renames = {"x1": "x", "x2": "y"}
    examples = (example("ops.psnr(x, y, max_val=2.0)", x=(2, 3, 4), y=(2, 3, 4)),)

    def lower(self, path: str, a: Args) -> Lowering:
        x, y = tensor(a), tensor(a, "y")
        if not is_float(x.dtype) or not is_float(y.dtype) or x.rank != y.rank or type(a.max_val) not in (int, float):
            raise Declined("K2T103", "psnr of these tensors is not translated")
        return one(f"10 * torch.log10({operand_text(a.max_val)} ** 2 / F.mse_loss({x}, {y}))", (), x.dtype)


class L2Loss(OpRule):
    """Half the sum of squares."""

    names = ("tensorflow.nn.l2_loss",)
    renames = {"t": "x"}
    examples = (example("tf.nn.l2_loss(x)"),)

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        return one("({0} ** 2).sum() / 2", (), x.dtype)
