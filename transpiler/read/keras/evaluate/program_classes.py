"""What classes and configurations of the program are to Keras."""

from __future__ import annotations

from typing import Any

from transpiler.ir.expr import Sym
from transpiler.ir.model import ApiObject, ApiValue
from transpiler.ir.program import MODE
from transpiler.read.keras.evaluate.values import (
    Class,
    Instance,
)
from transpiler.rules.registry import layer_rules

MODEL_KINDS = ("Model", "Functional", "Sequential")

OWN_KINDS = ("Layer", "AbstractRNNCell", "Wrapper", *MODEL_KINDS)
"""Bases that leave everything to the program: what derives from them is what its own code says."""

TRAINING = Sym.parse(MODE, False)
"""The argument `training` of `call`, where the program leaves it to the mode of the model."""


def configured(value: Any) -> Any:
    """An object given as its configuration, `{"class_name": …, "config": …}`."""
    if (
        isinstance(value, dict)
        and isinstance(value.get("class_name"), str)
        and isinstance(value.get("config", {}), dict)
    ):
        return ApiObject(ApiValue(f"keras.{value['class_name']}"), (), value.get("config", {}))
    return value


def keras_base(cls: Class) -> str | None:
    """The Keras class that a class of the program derives from: "Layer", "Model", "Conv2D" …"""
    for base in cls.mro():
        if (
            isinstance(base, ApiValue)
            and base.path.startswith("keras.")
            and base.leaf in (*OWN_KINDS, *layer_rules(), "RNN")
        ):
            return base.leaf
    return None


def is_own_layer(value: Any) -> bool:
    """Whether a value is a layer or model that the program defines from the ground up."""
    return isinstance(value, Instance) and keras_base(value.cls) in OWN_KINDS


def is_mode(value: Any) -> bool:
    """Whether a value is the mode of the model under conversion."""
    return isinstance(value, Sym) and value.code == MODE


def mentions_mode(value: Any) -> bool:
    """Whether an open value depends on the mode of the model."""
    return isinstance(value, Sym) and MODE in value.code
