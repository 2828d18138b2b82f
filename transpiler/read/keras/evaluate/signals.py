"""How evaluation ends other than with a value, its limits, and the values that are not plain Python."""

from __future__ import annotations

from typing import Any

from transpiler.ir.model import ApiObject, ApiValue, Layer
from transpiler.ir.program import Value
from transpiler.read.keras.evaluate.values import (
    Alternative,
    Bound,
    Class,
    Function,
    Instance,
    Method,
    Model,
    Module,
    Native,
    Unknown,
)

MAX_STEPS = 3_000_000
MAX_DEPTH = 120
MAX_SECONDS = 60.0
"""Of the process, so that a busy machine gives the same result."""


class ProgramError(Exception):
    """An exception of the program under evaluation: `value` is what it raised."""

    def __init__(self, value: Any) -> None:
        super().__init__(str(value))
        self.value = value


class Signal:
    """How a block ended other than by reaching its end."""


class ReturnSignal(Signal):
    def __init__(self, value: Any) -> None:
        self.value = value


BREAK, CONTINUE = Signal(), Signal()

OPAQUE = (
    Value,
    Layer,
    Model,
    Function,
    Class,
    Instance,
    Bound,
    Module,
    ApiValue,
    ApiObject,
    Unknown,
    Alternative,
    Method,
    Native,
)


class NotKept(Exception):
    """The way of evaluating in progress does not work here; another one is tried."""
