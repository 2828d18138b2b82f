"""Losses. Each was compared with Keras's own, its gradient included (tests/training/test_losses.py)."""

from __future__ import annotations

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args
from transpiler.rules.training.base import TRAINING, LossRule, Measure, Prediction

REDUCTIONS = ("sum_over_batch_size", "auto", "mean")


class Loss(LossRule):
    """What all losses have in common: how the values of a batch are reduced."""

    unsupported = {"dtype": "the loss is computed in the type of the output"}

    def lower(self, a: Args, output: Prediction) -> Measure:
        if a.get("reduction") not in (None, *REDUCTIONS):
            raise Declined(TRAINING, f"{self.names[0]} with reduction={a.reduction!r} is not translated")
        return self.measure(a, output)

    def measure(self, a: Args, output: Prediction) -> Measure:
        raise NotImplementedError


class Pointwise(Loss):
    """A loss that compares outputs with targets one by one, and takes the mean."""

    function = ""
    """`F.mse_loss`, which has `reduction`."""

    def measure(self, a: Args, output: Prediction) -> Measure:
        target = "{target}" if output.shape[-1] != 1 else "{target}.view_as({output})"
        each = f"{self.function}({{output}}, {target}, reduction='none').mean(dim=-1)"
        return Measure(f"{self.function}({{output}}, {target})", each)


class MeanSquaredError(Pointwise):
    names = ("MeanSquaredError", "mean_squared_error", "mse", "MSE")
    signature = "reduction='sum_over_batch_size', name=None, dtype=None"
    function = "F.mse_loss"


class MeanAbsoluteError(Pointwise):
    names = ("MeanAbsoluteError", "mean_absolute_error", "mae", "MAE")
    signature = "reduction='sum_over_batch_size', name=None, dtype=None"
    function = "F.l1_loss"


class BinaryCrossentropy(Loss):
    """Keras recovers what a sigmoid at the end was computed from, and clips other probabilities to 1e-7."""

    names = ("BinaryCrossentropy", "binary_crossentropy", "bce", "BCE")
    signature = (
        "from_logits=False, label_smoothing=0.0, axis=-1, reduction='sum_over_batch_size', name=None, dtype=None"
    )
    unsupported = {**Loss.unsupported, "axis": "the mean is taken over the last axis"}

    def measure(self, a: Args, output: Prediction) -> Measure:
        target = "{target}" if output.shape[-1] != 1 else "{target}.view_as({output})"
        smoothing = a.const("label_smoothing")
        if smoothing:
            target = f"{target} * {1 - smoothing!r} + {smoothing / 2!r}"
        logits = a.const("from_logits") or output.logits == "sigmoid"
        if not logits:
            raise Declined(TRAINING, "crossentropy of probabilities that do not come from a sigmoid is not translated")
        function = "F.binary_cross_entropy_with_logits"
        return Measure(
            f"{function}({{output}}, {target})",
            f"{function}({{output}}, {target}, reduction='none').mean(dim=-1)",
            on_logits=not a.const("from_logits"),
            target="truths",
        )


class CategoricalCrossentropy(Loss):
    """Keras recovers what a softmax at the end was computed from."""

    names = ("CategoricalCrossentropy", "categorical_crossentropy")
    signature = (
        "from_logits=False, label_smoothing=0.0, axis=-1, reduction='sum_over_batch_size', name=None, dtype=None"
    )
    unsupported = {**Loss.unsupported, "axis": "the classes are the last axis"}

    def measure(self, a: Args, output: Prediction) -> Measure:
        return crossentropy(a, output, a.const("label_smoothing"), "shares")


class SparseCategoricalCrossentropy(Loss):
    names = ("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy")
    signature = "from_logits=False, ignore_class=None, axis=-1, reduction='sum_over_batch_size', name=None, dtype=None"
    legacy = "from_logits=False, ignore_class=None, reduction='auto', name=None"
    unsupported = {**Loss.unsupported, "axis": "the classes are the last axis", "ignore_class": "no class is ignored"}

    def measure(self, a: Args, output: Prediction) -> Measure:
        return crossentropy(a, output, 0.0, "classes")


def crossentropy(a: Args, output: Prediction, smoothing: float, target: str) -> Measure:
    """Crossentropy over the last axis, of targets that are numbers of classes or probabilities."""
    if not (a.const("from_logits") or output.logits == "softmax"):
        raise Declined(TRAINING, "crossentropy of probabilities that do not come from a softmax is not translated")
    rank = len(output.shape)
    values, wanted = "{output}", "{target}" if target == "shares" else "{target}.flatten()"
    if rank > 2:
        values, wanted = "{output}.flatten(0, -2)", "{target}.flatten(0, -2)" if target == "shares" else wanted
    smooth = f", label_smoothing={smoothing!r}" if smoothing else ""
    each = f"F.cross_entropy({values}, {wanted}{smooth}, reduction='none')"
    if rank > 2:
        each += ".view({output}.shape[:-1])"
    return Measure(
        f"F.cross_entropy({values}, {wanted}{smooth})", each, on_logits=not a.const("from_logits"), target=target
    )
