"""What classes and configurations of the program are to Keras."""

from __future__ import annotations

from typing import Any

from transpiler.ir.model import ApiObject, ApiValue
from transpiler.read.keras.evaluate.values import (
    Class,
)
from transpiler.rules.registry import layer_rules


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
            and base.leaf in ("Layer", "Model", "Sequential", "Functional", *layer_rules(), "RNN", "Wrapper")
        ):
            return base.leaf
    return None
