"""Objects of Keras's losses that a program calls itself: `keras.losses.Huber()(y_true, y_pred)`."""

from __future__ import annotations

from typing import Any

from transpiler.ir.model import ApiObject
from transpiler.read.keras.evaluate.values import has_tensors
from transpiler.rules.training.registry import LossRule, training_rules

REDUCTIONS = {
    **dict.fromkeys(("sum_over_batch_size", "auto", "mean", "mean_with_sample_weight"), "tensorflow.reduce_mean"),
    "sum": "tensorflow.reduce_sum",
    "none": "",
    None: "",
}
"""What becomes of the values of the samples → the function that does it."""
ABOUT_VALUES = ("reduction", "name", "dtype", "fn")
"""The arguments of losses that their functions do not have."""


class LossObjects:
    """The part of the interpreter that calls losses on tensors."""

    generation: str
    ops: dict[str, Any]
    call_op: Any
    declined: Any

    def call_keras(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        of_losses = isinstance(function, ApiObject) and function.api.path.startswith("keras.losses.")
        rule = training_rules(LossRule).get(function.leaf) if of_losses else None
        if rule is None or not (has_tensors(args) or has_tensors(kwargs)):
            return super().call_keras(function, args, kwargs)  # type: ignore[misc]
        leaf = next((n for n in rule.names if f"losses.{n}" in self.ops), "")
        bound = rule.bind(function.args, function.kwargs, self.generation)
        reduction = bound.get("reduction")
        if not leaf or len(args) > 2 or kwargs.keys() - {"y_true", "y_pred"} or reduction not in REDUCTIONS:
            raise self.declined("K2T106", f"{function} called on these tensors is not translated")
        options = {n: bound.get(n) for n in bound.given if n not in ABOUT_VALUES}
        each = self.call_op(f"keras.losses.{leaf}", args, {**kwargs, **options})
        return self.call_op(REDUCTIONS[reduction], [each], {}) if REDUCTIONS[reduction] else each
