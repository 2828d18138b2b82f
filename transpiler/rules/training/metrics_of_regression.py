"""Metrics of Keras that are means of what a function says of each sample, and are no losses."""

from __future__ import annotations

from typing import ClassVar

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of
from transpiler.ir.model import Args
from transpiler.rules.base import show
from transpiler.rules.training.base import TRAINING, Measure, MetricRule, Prediction
from transpiler.rules.training.losses import LogCosh, function_measure
from transpiler.rules.training.metrics import aligned


class LogCoshError(MetricRule):
    names = ("LogCoshError",)
    signature = "name='logcosh', dtype=None"

    def lower(self, a: Args, output: Prediction) -> Measure:
        return function_measure(LogCosh.function, a.generation, output, "numbers", {})


class Correlation(MetricRule):
    """How outputs and targets go together over the last axis, the mean over the samples."""

    function: ClassVar[str] = ""

    def lower(self, a: Args, output: Prediction) -> Measure:
        axis, rank = a.axis, len(output.shape)
        if type(axis) is not int or axis % rank == 0:
            raise Declined(TRAINING, f"a correlation over axis={show(axis)} is not translated")
        options = {} if axis == -1 else {"axis": axis}
        found = function_measure(self.function, a.generation, output, "numbers", options, home="metrics")
        return Measure(found.mean, found.each, rising=True, helpers=found.helpers, function=found.function)


class PearsonCorrelation(Correlation):
    names = ("PearsonCorrelation", "pearson_correlation")
    signature = "name='pearson_correlation', dtype=None, axis=-1"
    function = "pearson_correlation"


class ConcordanceCorrelation(Correlation):
    names = ("ConcordanceCorrelation", "concordance_correlation")
    signature = "name='concordance_correlation', dtype=None, axis=-1"
    function = "concordance_correlation"


class MeanRelativeError(MetricRule):
    """The mean of errors as shares of given numbers, one for each output or one for all."""

    names = ("MeanRelativeError",)
    signature = "normalizer, name=None, dtype=None"

    def lower(self, a: Args, output: Prediction) -> Measure:
        given = a.normalizer
        numbers = list(given) if isinstance(given, (list, tuple)) else [given]
        if not all(isinstance(n, (int, float)) and n for n in numbers) or len(numbers) not in (1, output.shape[-1]):
            raise Declined(TRAINING, "errors as shares of anything but numbers for the outputs are not translated")
        by = code_of(numbers[0]) if len(numbers) == 1 else f"{{output}}.new_tensor({numbers!r})"
        return Measure(f"(({aligned(output)} - {{output}}).abs() / {by}).mean()")
