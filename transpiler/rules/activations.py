"""Activations: strings, functions and `activation=` arguments, as functions and as modules."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import NeedsConstant, Sym
from transpiler.ir.model import KERAS2, ApiValue, Layer, Step, held_at
from transpiler.ir.shape import Layout, TensorType, to_first, to_keras
from transpiler.rules.base import call, permute_step, show


@dataclass(frozen=True)
class Activation:
    """One activation function: its Keras names, the torch function over `{0}` and the torch module.

    `{axis}` stands for the torch dimension of the last Keras axis.
    """

    names: tuple[str, ...]
    fn: str
    module: str | None
    keras2_fn: str | None = None
    helper: str | None = None
    """The helper function that `fn` calls."""


ACTIVATIONS = (
    Activation(("relu",), "F.relu({0})", "nn.ReLU()"),
    Activation(("relu6",), "F.relu6({0})", "nn.ReLU6()"),
    Activation(("leaky_relu",), "F.leaky_relu({0}, 0.2)", "nn.LeakyReLU(0.2)"),
    Activation(("elu",), "F.elu({0})", "nn.ELU()"),
    Activation(("selu",), "F.selu({0})", "nn.SELU()"),
    Activation(("celu",), "F.celu({0})", "nn.CELU()"),
    Activation(("gelu",), "F.gelu({0})", "nn.GELU()"),
    Activation(("ops.gelu",), "F.gelu({0}, approximate='tanh')", "nn.GELU(approximate='tanh')"),
    Activation(("silu", "swish"), "F.silu({0})", "nn.SiLU()"),
    Activation(("mish",), "F.mish({0})", "nn.Mish()"),
    Activation(("sigmoid",), "torch.sigmoid({0})", "nn.Sigmoid()"),
    # torch's own hardsigmoid has 1/6 as a float32 in its gradient
    Activation(("hard_sigmoid",), "F.relu6({0} + 3) / 6", None, "torch.clamp(0.2 * {0} + 0.5, 0, 1)"),
    Activation(("backend.hard_sigmoid",), "torch.clamp(0.2 * {0} + 0.5, 0, 1)", None),
    Activation(("hard_silu", "hard_swish"), "F.hardswish({0})", "nn.Hardswish()"),
    Activation(("log_sigmoid",), "F.logsigmoid({0})", "nn.LogSigmoid()"),
    Activation(("tanh",), "torch.tanh({0})", "nn.Tanh()"),
    Activation(("hard_tanh",), "F.hardtanh({0})", "nn.Hardtanh()"),
    Activation(("tanh_shrink",), "F.tanhshrink({0})", "nn.Tanhshrink()"),
    Activation(("hard_shrink",), "F.hardshrink({0})", "nn.Hardshrink()"),
    Activation(("soft_shrink",), "F.softshrink({0})", "nn.Softshrink()"),
    Activation(("softplus",), "F.softplus({0})", "nn.Softplus()"),
    Activation(("softsign",), "F.softsign({0})", "nn.Softsign()"),
    Activation(("softmax",), "F.softmax({0}, dim={axis})", "nn.Softmax(dim={axis})"),
    Activation(("log_softmax",), "F.log_softmax({0}, dim={axis})", "nn.LogSoftmax(dim={axis})"),
    Activation(("exponential", "exp"), "torch.exp({0})", None),
    Activation(("sparse_sigmoid",), "torch.clamp(0.5 * {0} + 0.5, 0, 1)", None),
    Activation(("sparse_plus",), "sparse_plus({0})", None, helper="sparse_plus"),
    Activation(("squareplus",), "squareplus({0})", None, helper="squareplus"),
    Activation(("sparsemax",), "sparsemax({0}, dim={axis})", None, helper="sparsemax"),
    Activation(("sin",), "torch.sin({0})", None),
    Activation(("cos",), "torch.cos({0})", None),
    Activation(("abs",), "torch.abs({0})", None),
    Activation(("square",), "torch.square({0})", None),
)
"""Every activation that Keras has, by family; a function that is another one than its name says has its home before it."""

BY_NAME = {name: a for a in ACTIVATIONS for name in a.names}
IDENTITY = (None, "linear", "identity")


def activation_name(value: Any) -> str | None:
    """The name of an activation given by name or as a function; None for none.

    Raises NeedsConstant for one that is kept open, Declined for anything else.
    """
    if isinstance(value, Sym):
        raise NeedsConstant(value, "the activation decides what is written")
    name = api_name(value) if isinstance(value, ApiValue) else value
    if name in IDENTITY:
        return None
    if not isinstance(name, str) or name not in BY_NAME:
        raise Declined("K2T102", f"the activation {show(value)} has no translation")
    return name


def api_name(value: ApiValue) -> str:
    """The name of an activation function, with its home where that makes it another one."""
    home = value.path.removeprefix("keras.").partition(".")[0]
    return f"{home}.{value.leaf}" if f"{home}.{value.leaf}" in BY_NAME else value.leaf


def activation_steps(value: Any, y: TensorType, generation: str) -> list[Step]:
    """The steps for an `activation=` argument on a tensor of type `y`; none for None and "linear".

    An activation that is kept open (a name, or None) is looked up when the generated code runs.
    Raises Declined for an activation without a translation, `NeedsConstant` for another one that is kept open.
    """
    if isinstance(value, Sym):
        return [open_activation(value, y, generation)]
    if isinstance(value, Layer):
        return layer_steps(value, y)
    name = activation_name(value)
    if name is None:
        return []
    found = BY_NAME[name]
    fn, module = forms(found, generation)
    axis = str(y.last)
    return [
        Step(
            module=module.replace("{axis}", axis) if module else None,
            fn=fn.replace("{axis}", axis),
            hint=name.rpartition(".")[2],
            helpers=(found.helper,) if found.helper else (),
        )
    ]


def layer_steps(layer: Layer, y: TensorType) -> list[Step]:
    """The steps of a layer given as `activation=`, on a tensor of type `y` and back in its layout."""
    wanted = layer.rule.wants(layer.args, [y])
    x = y if wanted is None else y.in_layout(wanted)
    steps = [replace(s, weights=held_at(s.weights, "activation")) for s in layer.rule.lower(layer.args, [x]).steps]
    if x.layout is y.layout or not steps:
        return steps
    orders = [to_first(y.rank), to_keras(y.rank)]
    before, after = orders if x.layout is Layout.FIRST else orders[::-1]
    return [permute_step(before), *steps, permute_step(after)]


def forms(activation: Activation, generation: str) -> tuple[str, str | None]:
    """The function and the module in the given generation."""
    if generation == KERAS2 and activation.keras2_fn:
        return activation.keras2_fn, None
    return activation.fn, activation.module


def open_activation(value: Sym, y: TensorType, generation: str) -> Step:
    """The step for an activation that a parameter of the generated code names."""
    check_open(value, generation)
    axis = y.last
    where = {} if axis in (-1, y.rank - 1) else {"dim": axis}
    return Step(module=call("get_activation", value, **where), hint="activation", helpers=("get_activation",))


def check_open(value: Sym, generation: str) -> None:
    """Raises NeedsConstant for an activation that cannot be looked up by its name when the generated code runs."""
    seen = value.witness
    if not (seen is None or isinstance(seen, str)):
        raise NeedsConstant(value, "the activation decides what is written")
    if generation == KERAS2 and seen == "hard_sigmoid":
        raise NeedsConstant(value, "hard_sigmoid of legacy Keras is another function")


def callable_text(value: Any, generation: str) -> tuple[str, tuple[str, ...]]:
    """An activation as a function value (`torch.tanh`, `lambda x: …`) over the last axis, and its helpers."""
    if isinstance(value, Sym):
        check_open(value, generation)
        return call("get_activation", value), ("get_activation",)
    name = activation_name(value)
    if name is None:
        return "nn.Identity()", ()
    found = BY_NAME[name]
    fn = forms(found, generation)[0].replace("{axis}", "-1")
    plain = re.fullmatch(r"([\w.]+)\(\{0\}\)", fn)
    return plain.group(1) if plain else f"lambda x: {fn.replace('{0}', 'x')}", (found.helper,) if found.helper else ()
