"""The comparison itself: a rule that is wrong in one of the usual ways does not pass."""

from __future__ import annotations

import pytest
from harness import compare, layer_rules

from transpiler.ir.model import Weight
from transpiler.rules import spatial


def expect_failure(code, *shapes):
    with pytest.raises(AssertionError, match="differs"):
        compare(code, *shapes)


def test_the_odd_cell_on_the_wrong_side_is_caught(monkeypatch):
    right = spatial.same_pads
    monkeypatch.setattr(spatial, "same_pads", lambda *a: right(*a) and right(*a)[::-1])
    expect_failure("Conv2D(2, 3, strides=2, padding='same')", (2, 8, 8, 3))


def test_another_epsilon_is_caught(monkeypatch):
    rule = type(layer_rules()["BatchNormalization"])
    right = rule.bind
    monkeypatch.setattr(rule, "bind", lambda *a: right(*a).replace(epsilon=1.001e-3))
    expect_failure("BatchNormalization()", (4, 5, 3))


def test_another_gate_order_is_caught(monkeypatch):
    rule = type(layer_rules()["GRU"])
    right = rule.cell

    def wrong(self, a):
        cell = right(self, a)
        return type(cell)((("permute", (1, 0)),), cell.recurrent, cell.bias, cell.recurrent_bias)

    monkeypatch.setattr(rule, "cell", wrong)
    expect_failure("GRU(3)", (2, 4, 3))


def test_a_flatten_in_torch_order_is_caught(monkeypatch):
    from transpiler.ir.shape import Layout

    rule = type(layer_rules()["Flatten"])
    monkeypatch.setattr(rule, "wants", lambda *a: Layout.FIRST)
    expect_failure("Flatten()", (2, 3, 4, 5))


def test_a_transposed_kernel_is_caught(monkeypatch):
    rule = type(layer_rules()["Dense"])
    right = rule.steps

    def wrong(self, a, xs, y):
        steps = right(self, a, xs, y)
        steps[0].weights["weight"] = Weight("kernel")
        return steps

    monkeypatch.setattr(rule, "steps", wrong)
    expect_failure("Dense(3)", (2, 3))


def test_a_weight_without_a_source_is_caught(monkeypatch):
    rule = type(layer_rules()["Dense"])
    right = rule.steps

    def wrong(self, a, xs, y):
        steps = right(self, a, xs, y)
        del steps[0].weights["bias"]
        return steps

    monkeypatch.setattr(rule, "steps", wrong)
    with pytest.raises(AssertionError, match="bias"):
        compare("Dense(3)", (2, 3))
