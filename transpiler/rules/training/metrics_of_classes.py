"""Metrics that count, for each class, what was taken for it: intersection over union, F scores."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS3, Args
from transpiler.rules.base import show
from transpiler.rules.training.base import TRAINING, Measure, MetricRule, Prediction
from transpiler.rules.training.metrics import aligned, number

PAIRS = ("count_pairs", "mean_iou")


class IoU(MetricRule):
    """Intersection over union of some classes."""

    names = ("IoU",)
    signature = (
        "num_classes, target_class_ids, name=None, dtype=None, ignore_class=None, sparse_y_true=True, "
        "sparse_y_pred=True, axis=-1"
    )
    unsupported = {"axis": "the classes are the last axis"}

    def lower(self, a: Args, output: Prediction) -> Measure:
        numbers, on_logits = a.get("sparse_y_pred", True), False
        said = "{output}"
        if not constant(numbers, "sparse_y_pred"):
            said, on_logits = "{output}.argmax(dim=-1)", output.logits == "softmax"  # which moves no maximum
        given = constant(a.get("sparse_y_true", False), "sparse_y_true")
        target = "{target}" if given else "{target}.argmax(dim=-1)"
        kind = "shares" if not given else "truths" if said == "{output}" else "classes"
        ignored = "" if a.ignore_class is None else f", ignored={number(a, 'ignore_class')}"
        pairs = f"count_pairs({target}, {said}, {number(a, 'num_classes')}{ignored})"
        return of_pairs(pairs, a.get("target_class_ids"), on_logits, kind)


class MeanIoU(IoU):
    """Intersection over union, the mean over the classes that occur."""

    names = ("MeanIoU",)
    signature = "num_classes, name=None, dtype=None, ignore_class=None, sparse_y_true=True, sparse_y_pred=True, axis=-1"


class OneHotIoU(IoU):
    names = ("OneHotIoU",)
    signature = "num_classes, target_class_ids, name=None, dtype=None, ignore_class=None, sparse_y_pred=False, axis=-1"


class OneHotMeanIoU(IoU):
    names = ("OneHotMeanIoU",)
    signature = "num_classes, name=None, dtype=None, ignore_class=None, sparse_y_pred=False, axis=-1"


class BinaryIoU(MetricRule):
    """Intersection over union of what is above a threshold, of what is not, or the mean of both."""

    names = ("BinaryIoU",)
    signature = "target_class_ids=(0, 1), threshold=0.5, name=None, dtype=None"

    def lower(self, a: Args, output: Prediction) -> Measure:
        pairs = f"count_pairs({{target}}, {{output}} >= {number(a, 'threshold')}, 2)"
        classes = None if a.target_class_ids in ([0, 1], (0, 1)) else a.target_class_ids
        return of_pairs(pairs, classes, False, "truths")


def of_pairs(pairs: str, classes: Any, on_logits: bool, target: str) -> Measure:
    """The mean over some classes, or all, from the counts of pairs."""
    chosen = ""
    if classes is not None:
        if not isinstance(classes, (list, tuple)) or not all(type(c) is int for c in classes):
            raise Declined(TRAINING, f"target_class_ids={show(classes)} is not translated")
        chosen = f", {list(classes)!r}"
    return Measure(
        "",
        sums=(("pairs", pairs),),
        result=f"mean_iou({{pairs}}{chosen})",
        on_logits=on_logits,
        rising=True,
        target=target,
        helpers=PAIRS,
    )


def constant(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise Declined(TRAINING, f"{name}={show(value)} is not translated")
    return value


class FBetaScore(MetricRule):
    """The harmonic mean of precision and recall; classes are chosen by a threshold, or by the largest output."""

    names = ("FBetaScore",)
    signature = "average=None, beta=1.0, threshold=None, name='fbeta_score', dtype=None"

    def lower(self, a: Args, output: Prediction) -> Measure:
        average = a.const("average")
        if average is None:
            raise Declined(TRAINING, "an F score without average= is one number for each class, which no loop averages")
        if average not in ("micro", "macro", "weighted"):
            raise Declined(TRAINING, f"average={show(average)} is unknown")
        if len(output.shape) != 2:
            raise Declined(TRAINING, "an F score of outputs with several axes is not translated")
        chosen = "(({output} >= {output}.amax(dim=-1, keepdim=True)) & ({output}.abs() > 1e-9))"
        if a.threshold is not None:
            chosen = f"({{output}} > {number(a, 'threshold')})"
        over, target = "" if average == "micro" else "dim=0", aligned(output)
        sums = (
            ("hits", f"({chosen} * {target}).sum({over})"),
            ("chosen", f"{chosen}.sum({over})"),
            ("true", f"{target}.sum({over})"),
        )
        more = f", beta={number(a, 'beta')}" if a.get("beta", 1.0) != 1 else ""
        more += "" if a.generation == KERAS3 else ", eps=0"
        result = f"f_score({{hits}}, {{chosen}}, {{true}}{more})"
        if average == "macro":
            result += ".mean()"
        elif average == "weighted":
            weighted = f"({result} * {{true}}).sum() / "
            result = f"({weighted}({{true}}.sum() + 1e-7))"
            if a.generation != KERAS3:
                result = f"torch.nan_to_num({weighted}{{true}}.sum())"
        kind = "shares" if output.logits == "softmax" else "truths"
        return Measure("", sums=sums, result=result, rising=True, target=kind, helpers=("f_score",))


class F1Score(FBetaScore):
    names = ("F1Score",)
    signature = "average=None, threshold=None, name='f1_score', dtype=None"
