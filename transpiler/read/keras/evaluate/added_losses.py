"""`add_loss`: terms of the loss that layers and models compute themselves.

A class keeps the sum of what is added in it as `added_loss`, an attribute that `forward` sets; training adds these up.
"""

from __future__ import annotations

from typing import Any

from transpiler.ir.model import KERAS3
from transpiler.ir.program import Value, tensors
from transpiler.read.keras.evaluate.values import Instance, Model

ATTRIBUTE = "added_loss"


class AddedLosses:
    """The part of the interpreter that knows of losses that are added."""

    generation: str
    losses_added = 0
    """How many terms models were given."""
    losses_summed = False
    """Whether some of them are tensors of several numbers."""
    adding: list[Instance]
    """The layers and models of the program that add terms."""

    def add_layer_loss(self, layer: Instance, given: Any) -> None:
        """`self.add_loss(…)` in a layer or a model of the program."""
        for value in given if isinstance(given, (list, tuple)) else [given]:
            self.keep_loss(self.summed(value))
        if not any(known is layer for known in self.adding):
            self.adding.append(layer)

    def add_model_loss(self, model: Model, given: Any) -> None:
        """`model.add_loss(…)` of tensors of its graph."""
        found = [self.summed(v) for v in (given if isinstance(given, (list, tuple)) else [given])]
        model.attributes["__losses__"] = [*self.losses_of(model), *found]
        self.losses_added += 1

    def summed(self, value: Any) -> Value:
        """A term as a single number: Keras 3 takes the sum of a tensor, legacy Keras does not say what it is."""
        if not isinstance(value, Value):
            raise self.declined("K2T103", "add_loss() of anything but a tensor is not translated")  # type: ignore[attr-defined]
        if not value.type.shape:
            return value
        if self.generation != KERAS3:
            raise self.declined("K2T103", "add_loss() of a tensor of several numbers is not translated")  # type: ignore[attr-defined]
        self.losses_summed = True
        return tensors(self.call_op("keras.ops.sum", [value], {}))[0]  # type: ignore[attr-defined]

    def keep_loss(self, value: Value) -> None:
        """Notes a term of what is evaluated; only the stager has a place for it."""

    def with_losses(self, kept: dict[str, Value], values: list[Value]) -> dict[str, Value]:
        """What `forward` keeps, with further terms."""
        for value in values:
            known = kept.get(ATTRIBUTE)
            both = tensors(self.call_op("keras.ops.add", [known, value], {}))[0] if known is not None else value  # type: ignore[attr-defined]
            kept = {**kept, ATTRIBUTE: both}
        return kept

    @staticmethod
    def losses_of(model: Any) -> list[Value]:
        """The terms that were added to a model."""
        return list(model.attributes.get("__losses__", ())) if isinstance(model, Model) else []
