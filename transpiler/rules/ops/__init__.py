"""Functions on tensors: the Keras backend, `keras.ops`, `tf.*`, and Python's operators. One module for each family."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from transpiler.rules.ops.base import OpRule
from transpiler.rules.registry import subclasses


@functools.cache
def op_rules() -> dict[str, OpRule]:
    """Canonical path (without `keras.`) → rule; two rules for one name are an error."""
    for module in pkgutil.iter_modules(__path__, __name__ + "."):
        importlib.import_module(module.name)
    found: dict[str, OpRule] = {}
    for cls in subclasses(OpRule):
        rule = cls()
        for name in cls.names:
            if name in found:
                raise RuntimeError(f"two rules for {name}: {type(found[name]).__name__} and {cls.__name__}")
            found[name] = rule
    return found
