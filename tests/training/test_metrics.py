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

from transpiler.ir.model import ApiObject, ApiValue
from transpiler.rules.training.base import Measure, Prediction
from transpiler.rules.training.registry import MetricRule, known, training_rules
from transpiler.training.loops import epoch_function
from transpiler.training.trainer import OutputLoss, OutputMetric, Trainer
from transpiler.verify.keras_fit import draw_targets

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
]


class Given(nn.Module):
    """Gives what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.parametrize("classes", [5, 1])
@pytest.mark.parametrize("generation", PACKAGES)
@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda v: v if isinstance(v, str) else "-".join(v))
def test_a_metric_is_keras_own(name: str, options: dict, generation: str, classes: int):
    package = PACKAGES[generation]
    if not hasattr(package.metrics, name):
        pytest.skip("this generation does not have it")
    if classes == 1 and "ategorical" in name:
        pytest.skip("one class is no choice")
    output = Prediction((None, classes))
    rule, arguments = known(MetricRule, ApiObject(ApiValue(f"keras.metrics.{name}"), (), options), generation)
    measure = rule.lower(arguments, output)
    rng = np.random.default_rng(5)
    batches = []
    for size in (8, 8, 3):
        p = rng.uniform(size=(size, classes)).astype("float32")
        y = draw_targets(measure.target, p.shape, rng).astype("int64" if measure.target == "classes" else "float32")
        batches.append((np.round(p) if name == "Accuracy" else p, np.round(y) if name == "Accuracy" else y))
    metric = getattr(package.metrics, name)(**options)
    for p, y in batches:
        metric.update_state(y, p)
    loss = OutputLoss(0, Measure("{output}.mean()"))
    trainer = Trainer(SimpleNamespace(), (output,), (loss,), (OutputMetric(0, measure, "metric"),), ("",), ("",))
    text = epoch_function("run_epoch", trainer, 1, (), False, False, False).text
    names = {"math": math, "torch": torch, "F": F, "nn": nn, "Tensor": Tensor, "DataLoader": DataLoader}
    exec(measure.function[1], names)
    exec(text, names)
    found = names["run_epoch"](Given(), [tuple(map(torch.as_tensor, b)) for b in batches])[1]
    np.testing.assert_allclose(found, float(metric.result()), rtol=1e-6)


def test_every_metric_has_a_case():
    known_here = {rule.names[0] for rule in training_rules(MetricRule).values()}
    assert known_here - {"accuracy"} == {name for name, _ in CASES}
