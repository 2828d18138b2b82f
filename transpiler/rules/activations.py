"""Activations: strings, functions and `activation=` arguments, as functions and as modules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import NeedsConstant, Sym
from transpiler.ir.model import KERAS2, ApiValue, Layer, Step
from transpiler.ir.shape import TensorType
from transpiler.rules.base import show


@dataclass(frozen=True)
class Activation:
    """One activation function: its Keras names, the torch function over `{0}` and the torch module.

    `{axis}` stands for the torch dimension of the last Keras axis.
    """

    names: tuple[str, ...]
    fn: str
    module: str | None
    keras2_fn: str | None = None
    keras2_module: str | None = None


ACTIVATIONS = (
    Activation(("relu",), "F.relu({0})", "nn.ReLU()"),
    Activation(("softmax",), "F.softmax({0}, dim={axis})", "nn.Softmax(dim={axis})"),
    Activation(("sigmoid",), "torch.sigmoid({0})", "nn.Sigmoid()"),
    Activation(("tanh",), "torch.tanh({0})", "nn.Tanh()"),
)
"""Every activation that Keras has, by family."""

BY_NAME = {name: a for a in ACTIVATIONS for name in a.names}


def activation_steps(value: Any, y: TensorType, generation: str) -> list[Step]:
    """The steps for an `activation=` argument on a tensor of type `y`; none for None and "linear".

    Raises Declined for an activation without a translation, `NeedsConstant` for one that is kept open.
    """
    if isinstance(value, Sym):
        raise NeedsConstant(value, "the activation decides what is written")
    if value is None:
        return []
    if isinstance(value, Layer):
        return value.rule.lower(value.args, [y]).steps
    name = value.leaf if isinstance(value, ApiValue) else value
    if name in ("linear", "identity"):
        return []
    if not isinstance(name, str) or name not in BY_NAME:
        raise Declined("K2T102", f"the activation {show(value)} has no translation")
    found = BY_NAME[name]
    old = generation == KERAS2
    axis = y.axis(-1)
    fn = (old and found.keras2_fn) or found.fn
    module = (old and found.keras2_module) or found.module
    return [
        Step(
            module=module.replace("{axis}", str(axis)) if module else None,
            fn=fn.replace("{axis}", str(axis)),
            hint=name,
        )
    ]
