"""Every optimizer against Keras's own: the same gradients, tiny ones and zeros among them, step by step in float64."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS2, KERAS3, ApiObject, ApiValue
from transpiler.pipeline import convert_file
from transpiler.rules.base import Raw, call
from transpiler.rules.training.base import OptimizerCode, OptimizerRule
from transpiler.rules.training.registry import known, training_rules
from transpiler.verify.keras_fit import exact_numbers
from transpiler.write.torch.helpers import helper_texts

STEPS = 25
SHAPES = ((5, 4), (4,), (3, 3, 2, 4))
"""Weights as Keras has them: of a dense layer, a bias, a convolution."""
NAMES = {KERAS3: "keras", KERAS2: "tf_keras"}

NEW: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"weight_decay": 0.1}),
    ("SGD", {"clipnorm": 0.5}),
    ("SGD", {"global_clipnorm": 0.5, "weight_decay": 0.1}),
    ("SGD", {"clipvalue": 0.1}),
    ("RMSprop", {}),
    ("RMSprop", {"rho": 0.8, "epsilon": 1e-5, "weight_decay": 0.01}),
    ("RMSprop", {"momentum": 0.5}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "clipnorm": 1.0}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True, "beta_1": 0.8}),
    ("Adam", {"weight_decay": 0.01}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.1, "amsgrad": True, "epsilon": 1e-6}),
    ("Adadelta", {}),
    ("Adadelta", {"learning_rate": 1.0, "rho": 0.9, "epsilon": 1e-6, "weight_decay": 0.01}),
    ("Adagrad", {}),
    ("Adagrad", {"initial_accumulator_value": 0.0, "epsilon": 1e-5}),
    ("Adagrad", {"weight_decay": 0.1}),
    ("Adamax", {}),
    ("Adamax", {"epsilon": 1e-3, "beta_2": 0.9, "weight_decay": 0.01}),
    ("Ftrl", {}),
    ("Ftrl", {"learning_rate": 0.05, "l1_regularization_strength": 0.01, "l2_regularization_strength": 0.01}),
    ("Ftrl", {"learning_rate_power": -0.3, "beta": 0.1, "l2_shrinkage_regularization_strength": 0.01}),
    ("Lion", {}),
    ("Lion", {"learning_rate": 0.01, "beta_1": 0.8, "weight_decay": 0.1}),
    ("Adafactor", {}),
    ("Adafactor", {"learning_rate": 0.5, "clip_threshold": 0.5, "epsilon_2": 0.1, "weight_decay": 0.01}),
    ("Adafactor", {"relative_step": False, "beta_2_decay": -0.5}),
]
ONLY_NEW = [
    ("Nadam", {}),
    ("Nadam", {"beta_1": 0.8, "epsilon": 1e-5, "weight_decay": 0.1}),
    ("Lamb", {}),
    ("Lamb", {"learning_rate": 0.1, "beta_2": 0.9, "weight_decay": 0.01}),
]
ONLY_OLD = [
    ("Adam", {"adaptive_epsilon": True}),
    ("legacy.SGD", {}),
    ("legacy.SGD", {"momentum": 0.9, "decay": 0.1}),
    ("legacy.SGD", {"momentum": 0.9, "nesterov": True, "clipnorm": 0.5}),
    ("legacy.RMSprop", {}),
    ("legacy.RMSprop", {"centered": True, "rho": 0.8}),
    ("legacy.RMSprop", {"momentum": 0.5}),
    ("legacy.RMSprop", {"momentum": 0.5, "centered": True, "decay": 0.01}),
    ("legacy.Adam", {"decay": 0.1}),
    ("legacy.Adam", {"amsgrad": True, "clipvalue": 0.5}),
    ("legacy.Adadelta", {}),
    ("legacy.Adagrad", {"epsilon": 1e-3}),
    ("legacy.Adamax", {}),
    ("legacy.Nadam", {}),
    ("legacy.Nadam", {"schedule_decay": 0.1}),
    ("legacy.Ftrl", {"learning_rate": 0.05, "l1_regularization_strength": 0.01}),
    ("legacy.Ftrl", {"learning_rate": 0.05, "l2_shrinkage_regularization_strength": 0.01, "beta": 0.1}),
]
CASES = [
    *((generation, *case) for case in NEW for generation in NAMES),
    *((KERAS3, *case) for case in ONLY_NEW),
    *((KERAS2, *case) for case in ONLY_OLD),
]


def gradients() -> list[list[np.ndarray]]:
    """Gradients of every step: of ordinary size, then of 1e-7, with axes that are zero at first or throughout."""
    rng = np.random.default_rng(3)
    found = []
    for step in range(STEPS):
        grads = [rng.normal(size=shape) * (1 if step % 3 else 1e-7) for shape in SHAPES]
        for grad in grads:
            grad[..., 0] = 0 if step < 5 else grad[..., 0]
            grad[..., 1] *= 1e-7
            grad[..., 2] = 0
        found.append(grads)
    return found


def in_torch(array: np.ndarray) -> torch.Tensor:
    """A weight with the axes that torch has."""
    order = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}[array.ndim]
    return torch.tensor(array.transpose(order).copy())


def code_for(name: str, arguments: dict[str, Any], generation: str, changing: bool = False) -> OptimizerCode:
    value = ApiObject(ApiValue(f"keras.optimizers.{name}"), (), arguments)
    rule, bound = known(OptimizerRule, value, generation)
    return rule.lower(bound, changing)


def by_torch(code: OptimizerCode, starts: list[np.ndarray], rates: list[float] | None = None) -> list[torch.Tensor]:
    names: dict[str, Any] = {"torch": torch, "math": math, "nn": nn}
    for text in helper_texts(code.helpers):
        exec(text, names)
    names["weights"] = weights = [nn.Parameter(in_torch(start)) for start in starts]
    names["optimizer"] = optimizer = eval(call(code.function, Raw("weights"), **code.arguments), names)
    options = []
    if code.schedule is not None:
        factor = eval(f"lambda step: {code.schedule.factor}", names)
        options.append(torch.optim.lr_scheduler.LambdaLR(optimizer, factor))
    before = "\n".join(code.clipping).format(parameters="weights")
    for step, grads in enumerate(gradients()):
        if rates is not None:
            optimizer.param_groups[0]["lr"] = rates[step]
        for weight, grad in zip(weights, grads):
            weight.grad = in_torch(grad)
        exec(before, names)
        optimizer.step()
        for scheduler in options:
            scheduler.step()
    return weights


def by_keras(
    generation: str, name: str, arguments: dict[str, Any], starts: list[np.ndarray], rates: list[float] | None = None
) -> list[np.ndarray]:
    keras = pytest.importorskip(NAMES[generation])
    tf = pytest.importorskip("tensorflow")
    old = keras.config.floatx() if generation == KERAS3 else keras.backend.floatx()
    keras.backend.set_floatx("float64")
    try:
        found = keras.optimizers
        for part in name.split("."):
            found = getattr(found, part)
        optimizer = found(**arguments)
        exact_numbers(optimizer)
        made = keras.Variable if generation == KERAS3 else tf.Variable
        weights = [made(start, dtype="float64") for start in starts]
        for step, grads in enumerate(gradients()):
            if rates is not None:
                optimizer.learning_rate = rates[step]
            optimizer.apply_gradients([(tf.constant(g), w) for g, w in zip(grads, weights)])
        return [w.numpy() for w in weights]
    finally:
        keras.backend.set_floatx(old)


def starts() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=shape) for shape in SHAPES]


def assert_same(generation: str, name: str, arguments: dict[str, Any], rates: list[float] | None = None) -> None:
    code = code_for(name, arguments, generation, rates is not None)
    found, expected = by_torch(code, starts(), rates), by_keras(generation, name, arguments, starts(), rates)
    for weight, array, start in zip(found, expected, starts()):
        moved = np.abs(array - start).max()
        off = np.abs(weight.detach().numpy() - in_torch(array).numpy()).max()
        limit = 1e-7 if "Nadam" in name else 1e-8  # which has 0.96 in float32
        assert off <= limit * moved, (off / moved, weight.shape)


@pytest.mark.parametrize(
    ("generation", "name", "arguments"), CASES, ids=[f"{g}-{n}-{'-'.join(a)}".rstrip("-") for g, n, a in CASES]
)
def test_updates(generation: str, name: str, arguments: dict[str, Any]):
    assert_same(generation, name, arguments)


CHANGING = [
    (generation, name, arguments)
    for name, arguments in (
        ("SGD", {"momentum": 0.9}),
        ("SGD", {"momentum": 0.9, "nesterov": True}),
        ("RMSprop", {"momentum": 0.5}),
        ("Adam", {"weight_decay": 0.1}),
        ("Ftrl", {"beta": 0.1}),
    )
    for generation in NAMES
]


@pytest.mark.parametrize(("generation", "name", "arguments"), CHANGING)
def test_updates_while_the_learning_rate_changes(generation: str, name: str, arguments: dict[str, Any]):
    assert_same(generation, name, arguments, [0.1 / (1 + step // 7) for step in range(STEPS)])


OF_TENSORFLOW = [
    ("GradientDescentOptimizer", (0.1,), {}),
    ("MomentumOptimizer", (0.1, 0.9), {}),
    ("MomentumOptimizer", (0.1, 0.9), {"use_nesterov": True}),
    ("AdamOptimizer", (0.01,), {}),
    ("AdagradOptimizer", (0.1,), {}),
]


@pytest.mark.parametrize(("name", "args", "arguments"), OF_TENSORFLOW)
def test_updates_of_tensorflow_1(name: str, args: tuple[Any, ...], arguments: dict[str, Any]):
    tf = pytest.importorskip("tensorflow")
    value = ApiObject(ApiValue(f"tensorflow.train.{name}"), args, arguments)
    rule, bound = known(OptimizerRule, value, KERAS2)
    optimizer = getattr(tf.compat.v1.train, name)(*args, **arguments)
    weights = [tf.Variable(start, dtype="float64") for start in starts()]
    for grads in gradients():
        optimizer.apply_gradients([(tf.constant(g), w) for g, w in zip(grads, weights)])
    for weight, expected in zip(by_torch(rule.lower(bound, False), starts()), weights):
        np.testing.assert_allclose(weight.detach().numpy(), in_torch(expected.numpy()).numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "name"), [("adam", "Adam"), ("ADAM", "Adam"), ("Sgd", "SGD"), ("RMSprop", "RMSprop"), ("adamW", "AdamW")]
)
def test_strings(text: str, name: str):
    rule, _ = known(OptimizerRule, text, KERAS3)
    assert rule is training_rules(OptimizerRule)[name]
    rule, _ = known(OptimizerRule, ApiObject(ApiValue("keras.optimizers.get"), (text,)), KERAS3)
    assert rule is training_rules(OptimizerRule)[name]


def test_a_decay_with_time_is_what_old_keras_makes_of_it():
    code = code_for("SGD", {"lr": 0.1, "decay": 1e-3}, KERAS3)
    assert code.schedule is not None and code.schedule.factor == "1 / (1 + 1e-3 * step)"
    assert code_for("SGD", {"learning_rate": 0.1, "decay": 1e-3}, KERAS3).schedule is None  # which Keras 3 ignores


@pytest.mark.parametrize(
    ("generation", "name", "arguments", "why"),
    [
        (KERAS3, "Muon", {}, "paths in Keras"),
        (KERAS3, "LossScaleOptimizer", {}, "mixed precision"),
        (KERAS3, "Adam", {"use_ema": True}, "average of the weights"),
        (KERAS3, "Adam", {"gradient_accumulation_steps": 4}, "several steps"),
        (KERAS3, "Adam", {"loss_scale_factor": 2.0}, "mixed precision"),
        (KERAS3, "legacy.Adam", {}, "legacy Keras"),
        (KERAS2, "Nadam", {}, "number of weights"),
        (KERAS2, "legacy.Adam", {"clipvalue": 1.0, "clipnorm": 1.0}, "at once"),
        (KERAS3, "Adam", {"learning_rate": "fast"}, "cannot be evaluated"),
    ],
)
def test_what_is_declined(generation: str, name: str, arguments: dict[str, Any], why: str):
    with pytest.raises(Declined, match=why):
        code_for(name, arguments, generation)


SCRIPT = """
import numpy as np
from keras import Sequential, layers, optimizers
model = Sequential([layers.Input((4, 3)), {layers}])
model.compile(optimizers.{optimizer}, "mse")
model.fit(np.ones((8, 4, 3)), np.ones((8, 2)), verbose=0)
"""


@pytest.mark.parametrize(
    ("layers", "optimizer", "whole"),
    [
        ("layers.LSTM(2)", "Adam(clipnorm=1.0)", True),
        ("layers.GRU(2)", "Adam(clipnorm=1.0)", False),  # one bias of Keras is two of torch
        ("layers.GRU(2)", "Adam(global_clipnorm=1.0)", True),
        ("layers.GRU(2)", "Adam(0.01)", True),
        ("layers.GRU(2)", "Lamb(0.01)", False),
        ("layers.Conv1D(4, 3), layers.Flatten(), layers.Dense(2)", "Adafactor(0.01)", True),
        ("layers.SeparableConv1D(4, 3), layers.Flatten(), layers.Dense(2)", "Adafactor(0.01)", False),
        ("layers.SeparableConv1D(4, 3), layers.Flatten(), layers.Dense(2)", "Lamb(0.01)", True),
    ],
)
def test_optimizers_that_need_whole_weights(tmp_path: Path, layers: str, optimizer: str, whole: bool):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(layers=layers, optimizer=optimizer))
    conversion = convert_file(path)
    assert ("def run_epoch" in conversion.modules[0].text) == whole
    assert any("in one piece" in f.message for f in conversion.all_findings) != whole


def test_momentum_under_a_schedule_is_keras_s_own(tmp_path: Path):
    path = tmp_path / "script.py"
    schedule = "optimizers.schedules.ExponentialDecay(0.1, 100, 0.9)"
    path.write_text(SCRIPT.format(layers="layers.LSTM(2)", optimizer=f"SGD({schedule}, momentum=0.9)"))
    text = convert_file(path).modules[0].text
    assert "class SGD(EachWeight):" in text and "optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)" in text
    path.write_text(SCRIPT.format(layers="layers.LSTM(2)", optimizer="SGD(0.1, momentum=0.9)"))
    text = convert_file(path).modules[0].text
    assert "optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)" in text and "class SGD" not in text


@pytest.mark.parametrize(
    ("optimizer", "legacy", "translated"),
    [
        ("SGD(0.1, momentum=0.9)", False, True),
        ("Lion(0.1)", False, True),
        ("Adam(0.1)", True, True),
        ("SGD(0.1, clipnorm=1.0)", True, False),
        ("legacy.Adam(0.1)", True, True),
        ("legacy.SGD(0.1, momentum=0.9)", True, False),  # which moves the rows that occur alone
        ("legacy.Ftrl(0.1)", True, False),
    ],
)
def test_optimizers_of_embeddings(tmp_path: Path, optimizer: str, legacy: bool, translated: bool):
    path = tmp_path / "script.py"
    layers = "layers.Reshape((12,)), layers.Embedding(5, 2), layers.Flatten(), layers.Dense(2)"
    path.write_text(SCRIPT.format(layers=layers, optimizer=optimizer))
    conversion = convert_file(path, generation=KERAS2 if legacy else KERAS3)
    assert ("def run_epoch" in conversion.modules[0].text) == translated
    assert any("rows of embeddings" in f.message for f in conversion.all_findings) != translated


def test_keras_3_squares_gradients_of_embeddings_first_which_is_noted(tmp_path: Path):
    path = tmp_path / "script.py"
    layers = "layers.Reshape((12,)), layers.Embedding(5, 2), layers.Flatten(), layers.Dense(2)"
    path.write_text(SCRIPT.format(layers=layers, optimizer="Adam(0.1)"))
    conversion = convert_file(path, generation=KERAS3)
    assert "def run_epoch" in conversion.modules[0].text
    assert any(f.code == "K2T501" and "rows of embeddings" in f.message for f in conversion.all_findings)
