"""Every schedule against Keras's own, step by step in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from transpiler.diagnostics import Declined
from transpiler.ir.expr import Sym
from transpiler.ir.model import KERAS2, KERAS3, ApiObject, ApiValue
from transpiler.rules.training.base import ScheduleCode, ScheduleRule
from transpiler.rules.training.registry import known, training_rules
from transpiler.verify.keras_fit import exact_numbers
from transpiler.write.torch.helpers import helper_texts

STEPS = 60
NAMES = {KERAS3: "keras", KERAS2: "tf_keras"}
CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("ExponentialDecay", (0.1, 10, 0.96), {}),
    ("ExponentialDecay", (0.1, 10, 0.5), {"staircase": True}),
    ("ExponentialDecay", (0.1, 2.5, 0.5), {"staircase": True}),
    ("InverseTimeDecay", (0.1, 10, 0.5), {}),
    ("InverseTimeDecay", (0.1, 7, 0.5), {"staircase": True}),
    ("PiecewiseConstantDecay", ([5, 20, 30], [0.1, 0.05, 0.01, 0.001]), {}),
    ("PiecewiseConstantDecay", ([5.5, 20.0], [0.0, 0.05, 0.01]), {}),
    ("PolynomialDecay", (0.1, 30), {}),
    ("PolynomialDecay", (0.1, 30), {"end_learning_rate": 0.01, "power": 0.5}),
    ("PolynomialDecay", (0.1, 10), {"cycle": True, "power": 2.0}),
    ("PolynomialDecay", (0.1, 30), {"end_learning_rate": 0.0, "power": 2.0}),
    ("PolynomialDecay", (0.0, 30), {"end_learning_rate": 0.1}),
    ("PolynomialDecay", (0.0, 30), {"end_learning_rate": 0.0}),
    ("CosineDecay", (0.1, 40), {}),
    ("CosineDecay", (0.1, 40), {"alpha": 0.1}),
    ("CosineDecay", (0.0, 40), {"warmup_target": 0.1, "warmup_steps": 10}),
    ("CosineDecay", (0.01, 40), {"warmup_target": 0.1, "warmup_steps": 10, "alpha": 0.01}),
    ("CosineDecay", (0.1, 40), {"warmup_target": 0.1, "warmup_steps": 10}),
    ("CosineDecay", (0.2, 40), {"warmup_target": 0.1}),
    ("CosineDecay", (0.2, 40), {"warmup_target": 0.0, "warmup_steps": 20}),
    ("CosineDecayRestarts", (0.1, 8), {}),
    ("CosineDecayRestarts", (0.1, 7), {"t_mul": 1.0, "m_mul": 0.9, "alpha": 0.01}),
    ("CosineDecayRestarts", (0.1, 7), {"t_mul": 1.5, "m_mul": 0.5}),
]


def lowered(name: str, args: tuple[Any, ...], arguments: dict[str, Any], generation: str = KERAS3) -> ScheduleCode:
    value = ApiObject(ApiValue(f"keras.optimizers.schedules.{name}"), args, arguments)
    rule, bound = known(ScheduleRule, value, generation)
    return rule.lower(bound)


@pytest.mark.parametrize("generation", NAMES)
@pytest.mark.parametrize(("name", "args", "arguments"), CASES)
def test_values(name: str, args: tuple[Any, ...], arguments: dict[str, Any], generation: str):
    keras = pytest.importorskip(NAMES[generation])
    tf = pytest.importorskip("tensorflow")
    code = lowered(name, args, arguments, generation)
    schedule = getattr(keras.optimizers.schedules, name)(*args, **arguments)
    exact_numbers(type("Holder", (), {"__init__": lambda self: setattr(self, "_learning_rate", schedule)})())
    names: dict[str, Any] = {"math": math}
    for text in helper_texts(code.helpers):
        exec(text, names)
    factor = eval(f"lambda step: {code.factor}", names)
    expected = [float(schedule(tf.constant(step, tf.int64))) for step in range(STEPS)]
    np.testing.assert_allclose([code.start * factor(step) for step in range(STEPS)], expected, rtol=1e-12, atol=1e-16)


def test_every_schedule_is_tried():
    assert {name for name, *_ in CASES} == set(training_rules(ScheduleRule))


@pytest.mark.parametrize(
    ("name", "args", "arguments", "factor"),
    [
        ("ExponentialDecay", (0.1, 1000, 0.96), {}, "0.96 ** (step / 1000)"),
        (
            "PiecewiseConstantDecay",
            ([100, 200], [0.1, 0.01, 0.001]),
            {},
            "1 if step <= 100 else 0.1 if step <= 200 else 0.01",
        ),
        ("PolynomialDecay", (0.1, 100), {"end_learning_rate": 0.0, "power": 0.9}, "(1 - min(step / 100, 1)) ** 0.9"),
        ("CosineDecay", (0.1, 100), {}, "0.5 * (1 + math.cos(math.pi * min(step / 100, 1)))"),
        ("ExponentialDecay", (0.1, Sym.parse("EPOCHS * STEPS"), 0.96), {}, "0.96 ** (step / (EPOCHS * STEPS))"),
    ],
)
def test_texts(name: str, args: tuple[Any, ...], arguments: dict[str, Any], factor: str):
    assert lowered(name, args, arguments).factor == factor


@pytest.mark.parametrize(
    ("name", "args"),
    [("LearningRateSchedule", ()), ("PiecewiseConstantDecay", ([1, 2], [0.1])), ("CosineDecay", (0.1, None))],
)
def test_what_is_declined(name: str, args: tuple[Any, ...]):
    with pytest.raises(Declined):
        lowered(name, args, {})
