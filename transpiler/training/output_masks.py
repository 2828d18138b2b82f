"""Masks on the outputs of a model: Keras leaves masked steps out of losses and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS3, ApiObject, ApiValue
from transpiler.ir.program import Apply, Value, tensors
from transpiler.rules.training.base import TRAINING, Measure, Prediction


def output_masks(model: Any, makers: Mapping[Value, Apply]) -> list[str]:
    """For each output of a model its mask, as an expression over the inputs `{0}`, `{1}` …; "" for none.

    Raises Declined for a mask that is computed of anything but the inputs.
    """
    known = model.attributes.get("__masks__") or {}
    inputs = tensors(model.inputs)

    def text(value: Any) -> str:
        if value in inputs:
            return f"{{{inputs.index(value)}}}"
        op = makers.get(value) if isinstance(value, Value) else None
        plain = op is not None and op.member is None and op.step.fn is not None and not op.step.helpers
        if op is None or not plain or op.outputs or value.type.dtype != "bool":
            raise Declined(TRAINING, "a mask on an output that is not computed of the inputs alone")
        parts = [text(a) for a in op.args]
        return str(op.step.fn).format(*(p if p.startswith("{") else f"({p})" for p in parts))

    found = []
    for output in tensors(model.outputs):
        mask = known.get(output)
        if mask is not None and (not isinstance(mask, Value) or mask.type.rank != output.type.rank - 1):
            raise Declined(TRAINING, "a mask on an output that is lost, or has other axes than its steps")
        found.append(text(mask) if mask is not None else "")
    return found


def masked(measure: Measure, value: Any, output: Prediction, metric: bool, generation: str) -> Measure:
    """A loss or a metric over the steps that count, `{mask}`: the mean of these, in all of the epoch for a metric."""
    named = isinstance(value, (str, ApiValue, ApiObject))
    if not named or not measure.each or measure.weighted or measure.sums or measure.whole or len(output.shape) < 3:
        raise Declined(TRAINING, "this loss or metric of masked steps is not translated")
    count = "{mask}.sum().clamp(min=1)" if generation == KERAS3 and not metric else "{mask}.sum()"
    total = f"({measure.each} * {{mask}}).sum()"
    if not metric:
        return replace(measure, mean=f"{total} / {count}")
    return replace(measure, sums=(("total", total), ("steps", count)), result="({total} / {steps})")


def mask_lines(masks: Sequence[str], used: Sequence[str], inputs: Sequence[str]) -> list[str]:
    """The statements that make the masks of the outputs; `used` are their variables."""
    return [f"{name} = {text.format(*inputs)}" for name, text in zip(used, masks) if text]
