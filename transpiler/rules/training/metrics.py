"""Metrics that are means over the samples."""

from __future__ import annotations

from transpiler.ir.model import Args
from transpiler.rules.training.base import Measure, MetricRule, Prediction


class Accuracy(MetricRule):
    """`accuracy` means one of three, by the loss and the sizes of outputs and targets."""

    names = ("accuracy", "acc", "Accuracy")
    signature = "name=None, dtype=None"

    def lower(self, a: Args, output: Prediction) -> Measure:
        if output.shape[-1] == 1:
            found = BinaryAccuracy().lower(BinaryAccuracy().bind((), {}, a.generation), output)
        elif output.loss.startswith("sparse"):
            found = SparseCategoricalAccuracy().lower(a, output)
        else:
            found = CategoricalAccuracy().lower(a, output)
        return found


class BinaryAccuracy(MetricRule):
    names = ("BinaryAccuracy", "binary_accuracy")
    signature = "name='binary_accuracy', dtype=None, threshold=0.5"
    ignored = ()

    def lower(self, a: Args, output: Prediction) -> Measure:
        target = "{target}" if output.shape[-1] != 1 else "{target}.view_as({output})"
        on_logits = output.logits == "sigmoid" and a.threshold == 0.5
        threshold = 0 if on_logits else a.threshold
        return Measure(f"(({{output}} > {threshold!r}) == {target}).float().mean()", on_logits=on_logits, rising=True)


class CategoricalAccuracy(MetricRule):
    names = ("CategoricalAccuracy", "categorical_accuracy")
    signature = "name=None, dtype=None"

    def lower(self, a: Args, output: Prediction) -> Measure:
        text = "({output}.argmax(dim=-1) == {target}.argmax(dim=-1)).float().mean()"
        return Measure(text, on_logits=output.logits == "softmax", rising=True)  # which moves no maximum


class SparseCategoricalAccuracy(MetricRule):
    names = ("SparseCategoricalAccuracy", "sparse_categorical_accuracy")
    signature = "name=None, dtype=None"

    def lower(self, a: Args, output: Prediction) -> Measure:
        target = "{target}.view({output}.shape[:-1])"
        text = f"({{output}}.argmax(dim=-1) == {target}).float().mean()"
        return Measure(text, on_logits=output.logits == "softmax", rising=True, target="classes")
