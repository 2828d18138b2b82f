"""Every constraint and regularizer against Keras's own, on weights of Keras and on the parameters they become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS2, KERAS3, ApiObject, ApiValue
from transpiler.pipeline import convert_file
from transpiler.rules.training.registry import ConstraintRule, RegularizerRule, known, training_rules
from transpiler.training.constraints import torch_axes
from transpiler.write.torch.helpers import helper_texts

NAMES = {KERAS3: "keras", KERAS2: "tf_keras"}
PERMUTE = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}
"""The axes of a weight by its rank, as dense layers and convolutions of torch have them."""
STEPS = 20

CONSTRAINTS: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("MaxNorm", {}, (5, 4)),
    ("MaxNorm", {"max_value": 0.7, "axis": 1}, (5, 4)),
    ("MaxNorm", {"max_value": 0.5, "axis": [0, 1, 2]}, (3, 3, 2, 4)),
    ("MaxNorm", {"max_value": 0.5, "axis": -1}, (3, 3, 2, 4)),
    ("max_norm", {"max_value": 0.5}, (4,)),
    ("UnitNorm", {}, (5, 4)),
    ("unit_norm", {"axis": [0, 1]}, (3, 3, 2, 4)),
    ("MinMaxNorm", {}, (5, 4)),
    ("MinMaxNorm", {"min_value": 0.5, "max_value": 1.5, "rate": 0.3}, (5, 4)),
    ("min_max_norm", {"min_value": 0.5, "axis": 1}, (3, 3, 2, 4)),
    ("NonNeg", {}, (5, 4)),
    ("non_neg", {}, (4,)),
]
RADIAL = [("RadialConstraint", {}, (size, size, 2, 3)) for size in (2, 3, 4, 5)]
REGULARIZERS: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("L1", {}, (5, 4)),
    ("L1", {"l1": 0.3}, (4,)),
    ("l1", {"l1": 0.3}, (5, 4)),
    ("L2", {}, (3, 3, 2, 4)),
    ("l2", {"l2": 0.2}, (5, 4)),
    ("L1L2", {"l1": 0.1, "l2": 0.2}, (5, 4)),
    ("L1L2", {"l2": 0.2}, (5, 4)),
    ("l1_l2", {}, (5, 4)),
    ("OrthogonalRegularizer", {}, (5, 4)),
    ("OrthogonalRegularizer", {"factor": 0.5, "mode": "columns"}, (5, 4)),
    ("orthogonal_regularizer", {"mode": "rows"}, (3, 6)),
]


def names_of(helpers: tuple[str, ...]) -> dict[str, Any]:
    names: dict[str, Any] = {"torch": torch, "F": F, "Tensor": torch.Tensor}
    for text in helper_texts(helpers):
        exec(text, names)
    return names


def made_by_keras(generation: str, home: str, name: str, arguments: dict[str, Any]) -> Any:
    keras = pytest.importorskip(NAMES[generation])
    return getattr(getattr(keras, home), name)(**arguments)


@pytest.fixture(params=NAMES)
def generation(request: pytest.FixtureRequest):
    keras = pytest.importorskip(NAMES[request.param])
    keras.backend.set_floatx("float64")
    yield request.param
    keras.backend.set_floatx("float32")


def assert_same_weights(generation: str, name: str, arguments: dict[str, Any], shape: tuple[int, ...]) -> None:
    tf = pytest.importorskip("tensorflow")
    constraint = made_by_keras(generation, "constraints", name, arguments)
    rule, bound = known(ConstraintRule, ApiObject(ApiValue(f"keras.constraints.{name}"), (), arguments), generation)
    order = PERMUTE[len(shape)]
    axes = torch_axes(rule.axes(bound), (("permute", order),))
    assert axes is not None
    names = names_of(rule.helpers)
    code = "\n".join(rule.statements(bound, axes)).format("weight")
    rng = np.random.default_rng(5)
    expected = rng.normal(size=shape)
    names["weight"] = weight = torch.tensor(expected.transpose(order).copy())
    for _ in range(STEPS):
        change = rng.normal(size=shape) * 0.3
        expected = np.asarray(constraint(tf.constant(expected + change)))
        weight += torch.tensor(change.transpose(order).copy())
        exec(code, names)
        np.testing.assert_allclose(weight.numpy(), expected.transpose(order), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("name", "arguments", "shape"), CONSTRAINTS)
def test_constraints(generation: str, name: str, arguments: dict[str, Any], shape: tuple[int, ...]):
    assert_same_weights(generation, name, arguments, shape)


@pytest.mark.parametrize(("name", "arguments", "shape"), RADIAL)
def test_radial_constraints(name: str, arguments: dict[str, Any], shape: tuple[int, ...]):
    pytest.importorskip("tf_keras").backend.set_floatx("float64")
    try:
        assert_same_weights(KERAS2, name, arguments, shape)
    finally:
        pytest.importorskip("tf_keras").backend.set_floatx("float32")


@pytest.mark.parametrize(("name", "arguments", "shape"), REGULARIZERS)
def test_regularizers(generation: str, name: str, arguments: dict[str, Any], shape: tuple[int, ...]):
    tf = pytest.importorskip("tensorflow")
    regularizer = made_by_keras(generation, "regularizers", name, arguments)
    if name.lower().startswith("orth"):
        regularizer.factor = float(regularizer.factor)  # a float32 of Keras 3, whatever the weight
    rule, bound = known(RegularizerRule, ApiObject(ApiValue(f"keras.regularizers.{name}"), (), arguments), generation)
    names = names_of(rule.helpers)
    for seed in range(STEPS):
        array = np.random.default_rng(seed).normal(size=shape)
        with tf.GradientTape() as tape:
            weight = tf.Variable(array)
            expected = regularizer(weight)
        names["weight"] = found = torch.tensor(array, requires_grad=True)
        terms = [float(f) * eval(text.format("weight"), names) for f, text in rule.terms(bound)]
        value = sum(terms, start=0 * found.sum())
        value.backward()
        np.testing.assert_allclose(value.item(), float(expected), rtol=2e-7)  # a factor of Keras is a float32
        gradient = tf.convert_to_tensor(tape.gradient(expected, weight, unconnected_gradients="zero")).numpy()
        np.testing.assert_allclose(found.grad.numpy(), gradient, rtol=2e-6, atol=1e-9)


def test_every_rule_is_tried():
    tried = {name for name, *_ in (*CONSTRAINTS, *RADIAL)}
    rules = training_rules(ConstraintRule)
    assert {rules[name] for name in tried} == set(rules.values())
    tried = {name for name, *_ in REGULARIZERS}
    rules = training_rules(RegularizerRule)
    assert {rules[name] for name in tried} == set(rules.values())


SCRIPT = """
import numpy as np
from keras import Sequential, layers
model = Sequential([{layers}])
model.compile("sgd", "mse")
model.fit(np.ones((8, 3)), np.ones((8, 2)), verbose=0)
"""


LOOP = """
import numpy as np
from keras import Input, Model, layers

def build(depth=3):
    x = inputs = Input((3,))
    for _ in range(depth):
        x = layers.Dense(4, activation="relu")(x)
    return Model(inputs, layers.Dense(4, kernel_regularizer="l2")(x))

model = build(5)
model.compile("sgd", "mse")
model.fit(np.ones((8, 3)), np.ones((8, 4)), verbose=0)
"""


def converted(tmp_path: Path, text: str) -> tuple[str, list[str]]:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(layers=text))
    conversion = convert_file(path)
    return conversion.modules[0].text, [f"{f.code} {f.message}" for f in conversion.all_findings]


def test_a_translated_constraint_is_no_finding(tmp_path: Path):
    text, findings = converted(tmp_path, "layers.Dense(2, input_shape=(3,), kernel_constraint='non_neg')")
    assert "m.weight.clamp_(min=0)" in text and "            constrain(model)\n" in text
    assert not [f for f in findings if "K2T402" in f]


def test_layers_that_differ_are_told_apart_by_their_names(tmp_path: Path):
    first = "layers.Dense(4, input_shape=(3,), kernel_regularizer='l2', kernel_constraint='max_norm')"
    text, _ = converted(tmp_path, f"{first}, layers.ReLU(), layers.Dense(4, bias_regularizer='l1'), layers.Dense(2)")
    assert (
        "0.01 * model.classifier[0].weight.square().sum()" in text
        and "0.01 * model.classifier[2].bias.abs().sum()" in text
    )
    assert "    norm = model.classifier[0].weight.norm(dim=1, keepdim=True)" in text


def test_layers_that_a_loop_makes_have_no_names(tmp_path: Path):
    path = tmp_path / "script.py"
    path.write_text(LOOP)
    conversion = convert_file(path)
    assert "0.01 * model.dense.weight.square().sum()" in conversion.modules[0].text  # which is beside the loop
    path.write_text(LOOP.replace("(4, activation", "(4, kernel_regularizer='l2' if _ else None, activation"))
    conversion = convert_file(path)
    assert "def run_epoch" not in conversion.modules[0].text
    assert any("regularized" in f.message for f in conversion.all_findings)


@pytest.mark.parametrize(
    ("layers", "why"),
    [
        ("layers.Dense(2, input_shape=(3,), activity_regularizer='l2')", "activity_regularizer"),
    ],
)
def test_what_is_declined(tmp_path: Path, layers: str, why: str):
    text, findings = converted(tmp_path, layers)
    assert "def run_epoch" not in text
    assert any(why in f for f in findings)


def test_parts_of_an_axis_have_no_norm():
    assert torch_axes((0,), (("reshape", (4, 2)),)) is None
    assert torch_axes((1,), (("permute", (1, 0)), ("gates", 0, (0, 1, 2, 3)))) == (0,)
    with pytest.raises(Declined):
        known(ConstraintRule, "MyConstraint", KERAS3)
