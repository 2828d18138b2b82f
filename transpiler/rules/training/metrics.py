"""Metrics that are means over the samples."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of
from transpiler.ir.model import Args
from transpiler.rules.base import show
from transpiler.rules.training.base import TRAINING, Measure, MetricRule, Prediction


class AccuracyByName(MetricRule):
    """`accuracy` means one of three, by the loss and the sizes of outputs and targets."""

    names = ("accuracy", "acc")

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
        hits = f"(({{output}} > {threshold!r}) == {target}).float()"
        return Measure(f"{hits}.mean()", f"{hits}.mean(dim=-1)", on_logits=on_logits, rising=True)


class CategoricalAccuracy(MetricRule):
    names = ("CategoricalAccuracy", "categorical_accuracy")
    signature = "name=None, dtype=None"

    def lower(self, a: Args, output: Prediction) -> Measure:
        hits = "({output}.argmax(dim=-1) == {target}.argmax(dim=-1)).float()"
        return Measure(
            f"{hits}.mean()", hits, on_logits=output.logits == "softmax", rising=True
        )  # which moves no maximum


class SparseCategoricalAccuracy(MetricRule):
    names = ("SparseCategoricalAccuracy", "sparse_categorical_accuracy")
    signature = "name=None, dtype=None"

    def lower(self, a: Args, output: Prediction) -> Measure:
        target = "{target}.flatten()" if len(output.shape) == 2 else "{target}.view({output}.shape[:-1])"
        hits = f"({{output}}.argmax(dim=-1) == {target}).float()"
        return Measure(f"{hits}.mean()", hits, on_logits=output.logits == "softmax", rising=True, target="classes")


class Accuracy(MetricRule):
    """How often outputs and targets are the same numbers."""

    names = ("Accuracy",)
    signature = "name='accuracy', dtype=None"

    def lower(self, a: Args, output: Prediction) -> Measure:
        return Measure(f"({{output}} == {aligned(output)}).float().mean()", rising=True)


class TopKCategoricalAccuracy(MetricRule):
    names = ("TopKCategoricalAccuracy", "top_k_categorical_accuracy")
    signature = "k=5, name='top_k_categorical_accuracy', dtype=None"

    def lower(self, a: Args, output: Prediction) -> Measure:
        return top_k(a, output, "{target}.argmax(dim=-1)", "shares")


class SparseTopKCategoricalAccuracy(MetricRule):
    names = ("SparseTopKCategoricalAccuracy", "sparse_top_k_categorical_accuracy")
    signature = "k=5, name='sparse_top_k_categorical_accuracy', dtype=None, from_sorted_ids=False"
    unsupported = {"from_sorted_ids": "outputs that are numbers of classes are not translated"}

    def lower(self, a: Args, output: Prediction) -> Measure:
        return top_k(a, output, "{target}.view({output}.shape[:-1])", "classes")


def top_k(a: Args, output: Prediction, wanted: str, target: str) -> Measure:
    """How often the right class has one of the largest values; Keras counts those that are as large as the last."""
    last = f"{{output}}.topk({code_of(a.k)}, dim=-1).values[..., -1:]"
    text = f"({{output}}.gather(-1, {wanted}[..., None]) >= {last}).float().mean()"
    return Measure(text, on_logits=output.logits == "softmax", rising=True, target=target)


class CosineSimilarity(MetricRule):
    """The loss of this name has the other sign."""

    names = ("CosineSimilarity", "cosine_similarity", "cosine_proximity")
    signature = "name='cosine_similarity', dtype=None, axis=-1"

    def lower(self, a: Args, output: Prediction) -> Measure:
        if a.axis != -1:
            raise Declined(TRAINING, "CosineSimilarity over another axis than the last is not translated")
        parts = [f"F.normalize({v}, dim=-1, eps=1e-6)" for v in ("{target}", "{output}")]
        return Measure(f"({parts[0]} * {parts[1]}).sum(dim=-1).mean()", rising=True)


class RootMeanSquaredError(MetricRule):
    names = ("RootMeanSquaredError", "root_mean_squared_error")
    signature = "name='root_mean_squared_error', dtype=None"

    def lower(self, a: Args, output: Prediction) -> Measure:
        sums = (
            ("squares", f"F.mse_loss({{output}}, {aligned(output)}, reduction='sum').detach()"),
            ("elements", "{output}.numel()"),
        )
        return Measure("", sums=sums, result="({squares} / {elements}).sqrt()")


class R2Score(MetricRule):
    """How much of the variance is explained."""

    names = ("R2Score", "r2_score")
    signature = "class_aggregation='uniform_average', num_regressors=0, name='r2_score', dtype=None"
    unsupported = {
        "class_aggregation": "the mean over the outputs is taken",
        "num_regressors": "the score is not adjusted",
    }

    def lower(self, a: Args, output: Prediction) -> Measure:
        target = aligned(output)
        sums = (
            ("samples", f"len({target})"),
            ("sum", f"{target}.sum(dim=0)"),
            ("squares", f"{target}.square().sum(dim=0)"),
            ("residual", f"({target} - {{output}}).square().sum(dim=0).detach()"),
        )
        spread = "({squares} - {sum}.square() / {samples})"
        return Measure("", sums=sums, result=f"(1 - {{residual}} / {spread}).mean()", rising=True)


class Counted(MetricRule):
    """Metrics that count right and wrong decisions at a threshold."""

    signature = "thresholds=None, name=None, dtype=None"
    counts: tuple[str, ...] = ()
    result = ""

    def lower(self, a: Args, output: Prediction) -> Measure:
        if a.get("top_k") is not None:
            raise Declined(
                TRAINING, f"{self.names[0]} of the largest outputs is not translated: ties are broken otherwise"
            )
        threshold = 0.5 if a.thresholds is None else a.thresholds
        if isinstance(threshold, (list, tuple)):
            if len(threshold) != 1:
                raise Declined(TRAINING, f"{self.names[0]} at several thresholds is not translated")
            threshold = threshold[0]
        said, target = of_class(a.get("class_id"), output)
        chosen, true = f"({said} > {code_of(threshold)})", f"{target}.bool()"
        texts = {
            "true_positives": f"({chosen} & {true}).sum()",
            "false_positives": f"({chosen} & ~{true}).sum()",
            "true_negatives": f"(~{chosen} & ~{true}).sum()",
            "false_negatives": f"(~{chosen} & {true}).sum()",
        }
        sums = tuple((name, texts[name]) for name in self.counts)
        return Measure("", sums=sums, result=self.result, rising=True, target="truths")


class Precision(Counted):
    names = ("Precision", "precision")
    signature = "thresholds=None, top_k=None, class_id=None, name=None, dtype=None"
    counts = ("true_positives", "false_positives")
    result = "torch.nan_to_num({true_positives} / ({true_positives} + {false_positives}))"


class Recall(Counted):
    names = ("Recall", "recall")
    signature = Precision.signature
    counts = ("true_positives", "false_negatives")
    result = "torch.nan_to_num({true_positives} / ({true_positives} + {false_negatives}))"


class TruePositives(Counted):
    names = ("TruePositives",)
    counts = ("true_positives",)
    result = "{true_positives}"


class FalsePositives(Counted):
    names = ("FalsePositives",)
    counts = ("false_positives",)
    result = "{false_positives}"


class TrueNegatives(Counted):
    names = ("TrueNegatives",)
    counts = ("true_negatives",)
    result = "{true_negatives}"


class FalseNegatives(Counted):
    names = ("FalseNegatives",)
    counts = ("false_negatives",)
    result = "{false_negatives}"


class AUC(MetricRule):
    """The area under the curve of the true against the false positives, by the trapezoids between thresholds."""

    names = ("AUC", "auc")
    signature = (
        "num_thresholds=200, curve='ROC', summation_method='interpolation', name=None, dtype=None, thresholds=None, "
        "multi_label=False, num_labels=None, label_weights=None, from_logits=False"
    )
    unsupported = {
        "summation_method": "the area is that of interpolation",
        "thresholds": "the thresholds are evenly spaced",
        "multi_label": "all labels are taken together",
    }

    def lower(self, a: Args, output: Prediction) -> Measure:
        count, curve = a.const("num_thresholds"), str(a.const("curve")).upper()
        if curve not in ("ROC", "PR"):
            raise Declined(TRAINING, f"AUC of the curve {show(curve)} is not translated")
        if type(count) is not int or count < 3:
            raise Declined(TRAINING, "AUC of less than three thresholds is not translated")
        area = "roc_area" if curve == "ROC" else "precision_recall_area"
        said = "{output}.sigmoid()" if a.const("from_logits") else "{output}"
        above, true = f"above_thresholds({said}, {count}, first=-1)", f"{aligned(output)}.flatten().bool()"
        sums = (
            ("hits", f"({above} & {true}[:, None]).sum(dim=0)"),
            ("alarms", f"({above} & ~{true}[:, None]).sum(dim=0)"),
        )
        result = f"{area}({{hits}}, {{alarms}})"
        return Measure("", sums=sums, result=result, rising=True, target="truths", helpers=("above_thresholds", area))


def aligned(output: Prediction) -> str:
    """The targets in the shape of the output, which Keras gives them where that has one number."""
    return "{target}.view_as({output})" if output.shape[-1] == 1 else "{target}"


def of_class(number: Any, output: Prediction) -> tuple[str, str]:
    """The output and the targets of one class, or of all if there is none."""
    if number is None:
        return "{output}", aligned(output)
    if type(number) is not int:
        raise Declined(TRAINING, f"class_id={show(number)} is not translated")
    return f"{{output}}[..., {number}]", f"{{target}}[..., {number}]"


def number(a: Args, name: str) -> str:
    """The text of an argument that has to be a number."""
    value = a.get(name)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise Declined(TRAINING, f"{name}={show(value)} of a metric is not translated")
    return code_of(value)
