"""Functions on tensors: the Keras backend, `keras.ops`, `tf.*`, and Python's operators. One module for each family."""

from __future__ import annotations

import functools

from transpiler.rules.ops.base import OpRule
from transpiler.rules.registry import rules_by_name


@functools.cache
def op_rules() -> dict[str, OpRule]:
    """Canonical path (without `keras.`) → rule."""
    return rules_by_name(OpRule, lambda cls: cls.names)
