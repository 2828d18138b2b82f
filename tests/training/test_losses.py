"""Every loss against Keras's own: its value, its values for the samples, and its gradient, in float64."""

from __future__ import annotations

import math
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import torch
import torch.nn.functional as F

from transpiler.diagnostics import Declined
from transpiler.ir.model import ApiObject, ApiValue
from transpiler.rules.training.base import Measure, Prediction
from transpiler.rules.training.registry import LossRule, known, training_rules
from transpiler.verify.keras_fit import draw_targets
from transpiler.write.torch.helpers import helper_texts

PACKAGES = {"keras3": keras, "tf_keras": tf_keras}
CASES = [
    ("MeanSquaredError", {}),
    ("MeanAbsoluteError", {}),
    ("MeanAbsolutePercentageError", {}),
    ("MeanSquaredLogarithmicError", {}),
    ("Huber", {"delta": 0.5}),
    ("Poisson", {}),
    ("KLDivergence", {}),
    ("LogCosh", {}),
    ("CosineSimilarity", {}),
    ("Hinge", {}),
    ("SquaredHinge", {}),
    ("CategoricalHinge", {}),
    ("BinaryCrossentropy", {}),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.125}),
    ("CategoricalCrossentropy", {}),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.125}),
    ("SparseCategoricalCrossentropy", {}),
    ("SparseCategoricalCrossentropy", {"from_logits": True}),
    ("BinaryFocalCrossentropy", {}),
    ("BinaryFocalCrossentropy", {"from_logits": True, "gamma": 1.5}),
    ("CategoricalFocalCrossentropy", {}),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.7}),
    ("Circle", {"gamma": 2.0}),
    ("CTC", {}),
    ("Dice", {}),
    ("Tversky", {"alpha": 0.25, "beta": 0.75}),
]
WEIGHTS = [0.5, 2.0, 1.0, 0.0, 3.0, 1.5]
"""Of samples."""


def measure_of(name: str, options: dict, output: Prediction, generation: str) -> Measure:
    made = ApiObject(ApiValue(f"keras.losses.{name}"), (), options)
    rule, arguments = known(LossRule, made, generation)
    return rule.lower(arguments, output)


def value_of(measure: Measure, text: str, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    names = {"math": math, "torch": torch, "F": F, "Tensor": torch.Tensor}
    for helper in (*helper_texts(measure.helpers), measure.function[1]):
        exec(helper, names)
    values = {"output": output, "target": target, "weight": torch.tensor(WEIGHTS[: len(output)], dtype=torch.float64)}
    return eval(text.format(output="output", target="target", weight="weight"), {**names, **values})


@pytest.fixture(autouse=True)
def float64():
    for package in PACKAGES.values():
        package.backend.set_floatx("float64")
    yield
    for package in PACKAGES.values():
        package.backend.set_floatx("float32")


@pytest.mark.parametrize("shape", [(6, 4), (6, 1), (3, 5, 4)], ids=str)
@pytest.mark.parametrize("generation", PACKAGES)
@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda v: v if isinstance(v, str) else "-".join(v))
def test_a_loss_is_keras_own(name: str, options: dict, generation: str, shape: tuple[int, ...]):
    package = PACKAGES[generation]
    if not hasattr(package.losses, name):
        pytest.skip("this generation does not have it")
    if shape[-1] == 1 and ("ategorical" in name or name in ("Circle", "CTC")):
        pytest.skip("one class is no choice")
    if name in ("Circle", "CTC") and len(shape) != {"Circle": 2, "CTC": 3}[name]:
        pytest.skip("outputs of another rank are not for it")
    measure = measure_of(name, options, Prediction((None, *shape[1:])), generation)
    rng = np.random.default_rng(3)
    y = draw_targets(measure.target, shape, rng)
    p = rng.normal(size=shape)
    if not options.get("from_logits") and name not in ("MeanSquaredError", "Huber", "LogCosh", "CosineSimilarity"):
        p = np.exp(p) / (1 + np.exp(p))
    variable = tf.Variable(p)
    with tf.GradientTape() as tape:
        expected = getattr(package.losses, name)(**options)(tf.constant(y), tf.convert_to_tensor(variable))
    gradient = tape.gradient(expected, variable)
    output = torch.tensor(p, requires_grad=True)
    found = value_of(measure, measure.mean, output, torch.as_tensor(y))
    found.backward()
    close = 1e-6 if name in ("LogCosh", "CTC") else 1e-10  # Keras takes the logarithm of 2 and paths in float32
    np.testing.assert_allclose(found.item(), float(expected), rtol=close)
    np.testing.assert_allclose(output.grad.numpy(), gradient.numpy(), rtol=10 * close, atol=close / 100)
    if len(shape) == 2:
        weights = WEIGHTS[: shape[0]]
        expected = getattr(package.losses, name)(**options)(tf.constant(y), tf.constant(p), sample_weight=weights)
        ours = value_of(measure, measure.mean_with_weights, output, torch.as_tensor(y))
        np.testing.assert_allclose(ours.item(), float(expected), rtol=close)
    if measure.each:
        each = getattr(package.losses, name)(**options, reduction="none")(tf.constant(y), tf.constant(p))
        ours = value_of(measure, measure.each, output, torch.as_tensor(y))
        np.testing.assert_allclose(ours.detach().numpy(), each.numpy(), rtol=close)


def test_every_loss_has_a_case():
    assert {rule.names[0] for rule in training_rules(LossRule).values()} == {name for name, _ in CASES}


@pytest.mark.parametrize(
    "reduction", ["sum", "mean_with_sample_weight", "Reduction.SUM", "Reduction.SUM_OVER_BATCH_SIZE"]
)
@pytest.mark.parametrize("generation", PACKAGES)
@pytest.mark.parametrize("name", ["MeanSquaredError", "CategoricalCrossentropy", "Poisson", "Circle"])
def test_a_reduction_is_keras_own(name: str, generation: str, reduction: str):
    package = PACKAGES[generation]
    given, named, _ = reduction.partition(".")
    if (
        not hasattr(package.losses, name)
        or not hasattr(package.losses, given)
        and named
        or generation == "tf_keras"
        and "with" in reduction
    ):
        pytest.skip("this generation does not have it")
    if name == "Circle" and "with" in reduction:
        pytest.skip("it is declined")
    known_to_keras = getattr(package.losses.Reduction, reduction.partition(".")[2]) if named else reduction
    value = ApiValue(f"keras.losses.{reduction}") if named else reduction
    measure = measure_of(name, {"reduction": value}, Prediction((None, 4)), generation)
    rng = np.random.default_rng(3)
    y, p = draw_targets(measure.target, (6, 4), rng), rng.uniform(0.1, 1, size=(6, 4))
    loss = getattr(package.losses, name)(reduction=known_to_keras)
    for weight in (None, WEIGHTS):
        expected = loss(tf.constant(y), tf.constant(p), sample_weight=weight)
        text = measure.mean if weight is None else measure.mean_with_weights
        found = value_of(measure, text, torch.tensor(p), torch.as_tensor(y))
        np.testing.assert_allclose(found.item(), float(expected), rtol=1e-10)


@pytest.mark.parametrize("reduction", [None, "none"])
def test_a_loss_that_is_not_reduced_is_declined(reduction: str | None):
    with pytest.raises(Declined, match="reduction="):
        measure_of("MeanSquaredError", {"reduction": reduction}, Prediction((None, 4)), "keras3")
