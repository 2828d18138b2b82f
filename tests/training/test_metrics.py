"""Every metric against Keras's own, over an epoch of three batches, the last of them smaller."""

from __future__ import annotations

import math
import os
from types import SimpleNamespace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tf_keras
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from transpiler.diagnostics import Declined
from transpiler.ir.model import ApiObject, ApiValue
from transpiler.rules.training.base import Measure, Prediction
from transpiler.rules.training.registry import MetricRule, known, training_rules
from transpiler.training.loops import epoch_function
from transpiler.training.trainer import OutputLoss, OutputMetric, Trainer, title
from transpiler.verify.keras_fit import draw_targets
from transpiler.write.torch.helpers import helper_texts

PACKAGES = {"keras3": keras, "tf_keras": tf_keras}
CASES = [
    ("Accuracy", {}),
    ("BinaryAccuracy", {"threshold": 0.25}),
    ("CategoricalAccuracy", {}),
    ("SparseCategoricalAccuracy", {}),
    ("TopKCategoricalAccuracy", {"k": 2}),
    ("SparseTopKCategoricalAccuracy", {"k": 2}),
    ("CosineSimilarity", {}),
    ("RootMeanSquaredError", {}),
    ("R2Score", {}),
    ("Precision", {}),
    ("Recall", {"thresholds": 0.25}),
    ("TruePositives", {}),
    ("FalsePositives", {}),
    ("TrueNegatives", {}),
    ("FalseNegatives", {}),
    ("AUC", {}),
    ("AUC", {"num_thresholds": 50}),
    ("AUC", {"curve": "PR"}),
    ("AUC", {"from_logits": True, "num_thresholds": 20}),
    ("Precision", {"class_id": 1}),
    ("SensitivityAtSpecificity", {"specificity": 0.5}),
    ("SensitivityAtSpecificity", {"specificity": 1.0, "num_thresholds": 3}),
    ("SpecificityAtSensitivity", {"sensitivity": 0.8}),
    ("PrecisionAtRecall", {"recall": 0.8}),
    ("PrecisionAtRecall", {"recall": 0.5, "class_id": 1, "num_thresholds": 10}),
    ("RecallAtPrecision", {"precision": 0.6}),
    ("RecallAtPrecision", {"precision": 1.0, "num_thresholds": 3}),
    ("IoU", {"num_classes": 3, "target_class_ids": [0, 2]}),
    ("IoU", {"num_classes": 5, "target_class_ids": [1], "sparse_y_pred": False}),
    ("MeanIoU", {"num_classes": 3}),
    ("MeanIoU", {"num_classes": 5, "sparse_y_pred": False}),
    ("MeanIoU", {"num_classes": 5, "sparse_y_pred": False, "ignore_class": 2}),
    ("MeanIoU", {"num_classes": 5, "sparse_y_pred": False, "sparse_y_true": False}),
    ("OneHotIoU", {"num_classes": 5, "target_class_ids": (0, 3)}),
    ("OneHotMeanIoU", {"num_classes": 5}),
    ("BinaryIoU", {}),
    ("BinaryIoU", {"target_class_ids": [1], "threshold": 0.25}),
    ("F1Score", {"average": "macro"}),
    ("F1Score", {"average": "micro", "threshold": 0.5}),
    ("F1Score", {"average": "weighted", "threshold": 0.75}),
    ("F1Score", {"average": "macro", "threshold": 1.0}),
    ("FBetaScore", {"average": "macro", "beta": 2.0, "threshold": 0.25}),
    ("FBetaScore", {"average": "weighted", "beta": 0.5}),
    ("LogCoshError", {}),
    ("PearsonCorrelation", {}),
    ("ConcordanceCorrelation", {}),
    ("MeanRelativeError", {"normalizer": 2.0}),
    ("MeanRelativeError", {"normalizer": [1.0, 3.0, -2.0, 0.5, 4.0]}),
]
WHOLE_NUMBERS = ("Accuracy", "IoU", "MeanIoU")
"""Metrics of outputs that are numbers of classes, unless they are told otherwise."""


class Given(nn.Module):
    """Gives what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x


def both(name: str, options: dict, generation: str, batches: list) -> tuple[float, float]:
    """A metric over batches of outputs and targets: by the result, and by Keras."""
    output = Prediction((None, batches[0][0].shape[1] if batches else 2))
    rule, arguments = known(MetricRule, ApiObject(ApiValue(f"keras.metrics.{name}"), (), options), generation)
    measure = rule.lower(arguments, output)
    metric = getattr(PACKAGES[generation].metrics, name)(**options)
    for p, y in batches:
        metric.update_state(y, p)
    loss = OutputLoss(0, Measure("{output}.mean()"))
    trainer = Trainer(SimpleNamespace(), (output,), (loss,), (OutputMetric(0, measure, "the metric"),), ("",), ("",))
    text = epoch_function("run_epoch", trainer, 1, (), False, False, False).text
    names = {"math": math, "torch": torch, "F": F, "nn": nn, "Tensor": Tensor, "DataLoader": DataLoader}
    for part in (*helper_texts(measure.helpers), measure.function[1], text):
        exec(part, names)
    found = names["run_epoch"](Given(), [tuple(map(torch.as_tensor, b)) for b in batches])[1]
    return found, float(metric.result())


@pytest.mark.parametrize("classes", [5, 1])
@pytest.mark.parametrize("generation", PACKAGES)
@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda v: v if isinstance(v, str) else "-".join(v))
def test_a_metric_is_keras_own(name: str, options: dict, generation: str, classes: int):
    package = PACKAGES[generation]
    if not hasattr(package.metrics, name):
        pytest.skip("this generation does not have it")
    if classes == 1 and ("ategorical" in name or "OneHot" in name or "Correlation" in name):
        pytest.skip("one class is no choice")
    if classes == 1 and (
        "class_id" in options or "sparse_y_pred" in options or isinstance(options.get("normalizer"), list)
    ):
        pytest.skip("one class is no choice")
    output = Prediction((None, classes))
    rule, arguments = known(MetricRule, ApiObject(ApiValue(f"keras.metrics.{name}"), (), options), generation)
    measure = rule.lower(arguments, output)
    rng = np.random.default_rng(5)
    batches = []
    for size in (8, 8, 5):
        p = rng.uniform(size=(size, classes)).astype("float32")
        p[0] = np.round(9 * p[0]) / 9  # on thresholds
        y = draw_targets(measure.target, p.shape, rng).astype("int64" if measure.target == "classes" else "float32")
        if name in WHOLE_NUMBERS and options.get("sparse_y_pred", True):
            p, y = np.round(2 * p), np.round(y)
        batches.append((p, y))
    found, expected = both(name, options, generation, batches)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_every_metric_has_a_case():
    known_here = {rule.names[0] for rule in training_rules(MetricRule).values()}
    assert known_here - {"accuracy"} == {name for name, _ in CASES}


@pytest.mark.parametrize("generation", PACKAGES)
@pytest.mark.parametrize("wanted", [0.0, 1.0])
@pytest.mark.parametrize("said", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("AUC", {}),
        ("AUC", {"curve": "PR"}),
        ("PrecisionAtRecall", {"recall": 0.5}),
        ("RecallAtPrecision", {"precision": 0.5}),
        ("SensitivityAtSpecificity", {"specificity": 0.5}),
        ("SpecificityAtSensitivity", {"sensitivity": 0.5}),
        ("BinaryIoU", {}),
        ("F1Score", {"average": "macro", "threshold": 0.5}),
        ("F1Score", {"average": "micro"}),
        ("F1Score", {"average": "weighted"}),
        ("MeanIoU", {"num_classes": 4}),
    ],
    ids=lambda v: v if isinstance(v, str) else "-".join(v),
)
def test_nothing_to_count_is_what_it_is_in_keras(name: str, options: dict, generation: str, said: float, wanted: float):
    batch = np.full((4, 2), said, "float32"), np.full((4, 2), wanted, "float32")
    found, expected = both(name, options, generation, [batch])
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("generation", PACKAGES)
def test_numbers_of_no_class_are_not_counted(generation: str):
    if generation == "tf_keras":
        pytest.skip("they are an error there")
    rng = np.random.default_rng(5)
    batch = rng.uniform(size=(30, 4)).astype("float32"), rng.integers(-1, 6, 30)
    found, expected = both("MeanIoU", {"num_classes": 3, "sparse_y_pred": False}, generation, [batch])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("options", [{}, {"average": "other"}])
def test_f_scores_that_are_declined(options: dict):
    with pytest.raises(Declined):
        both("F1Score", options, "keras3", [])


@pytest.mark.parametrize("generation", PACKAGES)
@pytest.mark.parametrize(
    ("name", "args", "options"),
    [
        *((name, (), {}) for name in ("MeanSquaredError", "KLDivergence", "LogCoshError", "Precision", "AUC")),
        *((name, (), {}) for name in ("CategoricalAccuracy", "RootMeanSquaredError", "SparseCategoricalCrossentropy")),
        ("MeanIoU", (2,), {}),
        ("OneHotMeanIoU", (2,), {}),
        ("BinaryIoU", (), {}),
        ("MeanSquaredError", ("own",), {}),
        ("IoU", (2, [0], "own"), {}),
        ("F1Score", (), {"name": "own"}),
    ],
    ids=str,
)
def test_a_metric_has_the_name_that_keras_gives_it(name: str, args: tuple, options: dict, generation: str):
    package = PACKAGES[generation]
    package.backend.clear_session()
    expected = getattr(package.metrics, name)(*args, **options).name
    assert title(ApiObject(ApiValue(f"keras.metrics.{name}"), args, options), generation) == expected
