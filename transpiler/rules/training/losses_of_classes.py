"""Losses of Keras 3 that take the numbers of classes: noisy ones, those of sequences, those of neighbours."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of
from transpiler.ir.model import Args
from transpiler.rules.base import keywords
from transpiler.rules.training.base import TRAINING, Measure, Prediction
from transpiler.rules.training.losses import FunctionLoss, Loss


class CTC(FunctionLoss):
    """`F.ctc_loss` of the logits of all steps; labels end where zeros begin."""

    names = ("CTC", "ctc")
    function = "ctc"
    target = "labels"


class CategoricalGeneralizedCrossEntropy(FunctionLoss):
    """Classes in a column are compared with the outputs of all samples, as Keras does."""

    names = ("CategoricalGeneralizedCrossEntropy", "categorical_generalized_cross_entropy")
    signature = "q=0.5, reduction='sum_over_batch_size', name=None, dtype=None"
    function = "categorical_generalized_cross_entropy"
    target = "classes"
    reshapes = False


class Circle(Loss):
    """The mean over the samples that have others of their class in the batch."""

    names = ("Circle", "circle")
    signature = "gamma=80.0, margin=0.4, remove_diagonal=True, reduction='sum_over_batch_size', name=None, dtype=None"

    def measure(self, a: Args, output: Prediction) -> Measure:
        if len(output.shape) != 2:
            raise Declined(TRAINING, "Circle of outputs with more than one axis is not translated")
        each = f"circle_loss({{target}}, {{output}}{options(a)})"
        return Measure(
            f"mean_above_zero({each})",
            each,
            target="classes",
            helpers=("circle_loss", "mean_above_zero"),
            weighted=f"mean_above_zero({each}, {{weight}})",
        )


def options(a: Args) -> str:
    """The arguments of a `circle_loss` that are not the defaults, behind others."""
    given: dict[str, Any] = {"gamma": a.gamma, "margin": a.margin, "remove_diagonal": a.const("remove_diagonal")}
    found = keywords({"gamma": 80.0, "margin": 0.4, "remove_diagonal": True}, **given)
    return "".join(f", {name}={code_of(value)}" for name, value in found.items())
