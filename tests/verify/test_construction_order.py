"""Weights find their layers where the result constructs its submodules in another order than the Keras program."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from transpiler.pipeline import convert_file
from transpiler.verify import verify_file
from transpiler.verify.torch_model import in_source_order

HEAD = """
import keras
from keras.layers import *
from keras.models import Model
"""

PROGRAMS = {
    "a layer that is made between those of a chain": """
def build():
    i = keras.Input((6,))
    x = Dense(6, activation="relu")(i)
    return Model(i, Dense(6)(Dense(6, activation="tanh")(x)))
""",
    "a layer is made before the helper that gives its size": """
def two(x, units):
    x = Dense(units, activation="relu")(x)
    return x if units > 3 else Concatenate()([Dense(units)(x), Dense(units ** 2)(x)])

def build(units=2):
    inputs = keras.Input((6,))
    return Model(inputs, Dense(2)(two(inputs, units)))
""",
    "a weight of its own between such submodules": """
class Shift(Layer):
    def build(self, input_shape):
        self.shift = self.add_weight(name="shift", shape=(input_shape[-1],), initializer="ones")

    def call(self, x):
        return x + self.shift

class Body(Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.last = Dense(3)
        self.first = Dense(units)
        self.scale = self.add_weight(name="scale", shape=(1,), initializer="ones")

    def call(self, x):
        return self.last(self.first(x) * self.scale)

def two(x, units):
    x = Shift()(x)
    return Concatenate()([x, Dense(units)(x)]) if units > 1 else x

def build(units=2):
    inputs = keras.Input((6,))
    x = Dense(4)(two(inputs, units))
    return Model(inputs, Dense(2)(Body(units)(x)))
""",
    "functions that call each other, of which one is needed twice": """
def even(x, n):
    if n == 0:
        return Dense(2)(x)
    return odd(Dense(3, activation="relu")(x), n - 1)

def odd(x, n):
    if n == 0:
        return Dense(3)(x)
    return even(Dense(4, activation="tanh")(x), n - 1)

def build(n=3):
    inputs = keras.Input((6,))
    rows = keras.Input((5, 6))
    x = Dense(2)(even(inputs, n))
    return Model([inputs, rows], [x, odd(rows, n + 1)])
""",
}


CONDITIONAL = """
def build(deep=True):
    x = i = keras.Input((6,))
    if deep:
        x = Dense(6)(Dense(6, activation="tanh")(x))
        x = Dense(6, activation="relu")(x)
    return Model(i, Dense(6)(x))
"""


@pytest.mark.parametrize("name", PROGRAMS)
def test_weights_find_their_layers(name: str, tmp_path: Path):
    file = tmp_path / "prog.py"
    file.write_text(HEAD + PROGRAMS[name])
    conversion = convert_file(file, entries=["build()"])
    assert conversion.entries[0].tier == "structure"
    assert any(m.source_orders for m in conversion.modules)
    (result,) = verify_file(file, entries=["build()"])
    assert (result.reason, result.status) == ("", "pass")


def test_a_conditional_chain_whose_layers_are_made_in_another_order(tmp_path: Path):
    file = tmp_path / "prog.py"
    file.write_text(HEAD + CONDITIONAL)
    (result,) = verify_file(file, entries=["build()"])
    assert (result.reason, result.status) == ("", "pass")


def test_weights_of_the_class_itself_stand_aside(tmp_path: Path):
    file = tmp_path / "net.py"
    file.write_text("""
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.b = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
        self.scale = nn.Parameter(torch.ones(1))
        self.a = nn.Linear(2, 2)
""")
    spec = importlib.util.spec_from_file_location("net", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    net = module.Net()
    made = [net, net.b, net.b[0], net.b[1], net.a]
    orders = {str(file): {"Net": ("a", "scale", "b")}}
    assert in_source_order(net, made, orders) == [net, net.a, net.b, net.b[0], net.b[1]]
