"""A layer's class that takes a sequence whose length decides its structure keeps the items open."""

from __future__ import annotations

from pathlib import Path

import pytest
from held import assert_same, convert, load

IMPORTS = """
import keras
from keras import ops
from keras.layers import *
from keras.models import Model
"""
HEAD = IMPORTS + """
class Tower(Layer):
    def __init__(self, units, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.activation = Activation(activation)

    def build(self, input_shape):
        sizes = [int(input_shape[-1])] + list(self.units)
        self.kernels = [
            self.add_weight(name="kernel" + str(i), shape=(sizes[i], sizes[i + 1])) for i in range(len(self.units))
        ]

    def call(self, x):
        for i in range(len(self.units)):
            x = self.activation(ops.matmul(x, self.kernels[i]))
        return x
"""

KEPT = {
    "a parameter of the builder": (
        """
def build(n=6, units=(8, 4)):
    inputs = keras.Input((n,))
    return Model(inputs, Dense(1)(Tower(units, "tanh")(inputs)))
""",
        ("build()", "build(5, (3, 7))", "build(5, [3, 7])"),
    ),
    "beside an empty one": (
        """
def build(n=6, units=(8, 4), last=3):
    inputs = keras.Input((n,))
    x = Tower(units, "tanh")(Tower(())(inputs))
    return Model(inputs, Dense(1)(Tower((last,), "tanh")(x)))
""",
        ("build()", "build(5, (3, 7), 2)"),
    ),
    "in a function": (
        """
def block(x, width):
    return Tower((width, width * 2), "tanh")(x)

def build(n=6, width=4):
    inputs = keras.Input((n,))
    return Model(inputs, Dense(1)(block(block(inputs, width), width + 1)))
""",
        ("build()", "build(5, 3)"),
    ),
}


@pytest.mark.parametrize(("name", "entry"), [(n, e) for n, (_, entries) in KEPT.items() for e in entries])
def test_items_stay_open(name: str, entry: str, tmp_path: Path):
    program, entries = KEPT[name]
    conversion = convert(HEAD + program, entries[0], tmp_path)
    assert conversion.entries[0].tier == "structure"
    assert_same(load(conversion.modules[0].text), HEAD + program, entry, tmp_path)


def test_another_length_is_refused(tmp_path: Path):
    program, entries = KEPT["a parameter of the builder"]
    names = load(convert(HEAD + program, entries[0], tmp_path).modules[0].text)
    with pytest.raises(NotImplementedError, match="only units with 2 items"):
        names["build"](units=(8, 4, 2))


CHANGED = """
def build(n=6, first=8, second=4):
    inputs = keras.Input((n,))
    tower = Tower((first, second))
    tower.activation = Activation("tanh")
    return Model(inputs, Dense(1)(tower(inputs)))
"""


@pytest.mark.parametrize("entry", ["build()", "build(5, 3, 2)"])
def test_an_object_that_was_changed_reads_open_items(entry: str, tmp_path: Path):
    conversion = convert(HEAD + CHANGED, "build()", tmp_path)
    assert conversion.entries[0].tier == "structure"
    assert_same(load(conversion.modules[0].text), HEAD + CHANGED, entry, tmp_path)


PAIRS = """
class Pairs(Layer):
    def __init__(self, sizes, **kwargs):
        super().__init__(**kwargs)
        self.sizes = sizes

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(1, self.sizes[0] * (self.sizes[1] + 1), 3))

    def call(self, x):
        pairs = ops.reshape(x, (-1, 2, (1 + self.sizes[1]) * self.sizes[0]))
        return ops.conv(pairs, self.kernel)

def build(n=6, sizes=(8, 4)):
    inputs = keras.Input((n,))
    x = Dense(2 * sizes[0] * (sizes[1] + 1))(inputs)
    return Model(inputs, Dense(1)(Pairs(sizes)(x)))
"""


@pytest.mark.parametrize("entry", ["build()", "build(5, (3, 7))"])
def test_channels_of_a_kernel_are_the_same_product_in_any_order(entry: str, tmp_path: Path):
    conversion = convert(IMPORTS + PAIRS, "build()", tmp_path)
    assert conversion.entries[0].tier == "structure"
    assert_same(load(conversion.modules[0].text), IMPORTS + PAIRS, entry, tmp_path)


def test_a_name_that_the_constructor_keeps_is_not_the_name_of_the_layer(tmp_path: Path):
    source = """
import keras

class Shift(keras.layers.Layer):
    def __init__(self, name="shift", own=None, **kwargs):
        super().__init__(name=own, **kwargs)
        self.prefix = name

    def build(self, input_shape):
        self.shift = self.add_weight(name="shift", shape=(input_shape[-1],), initializer="ones")

    def call(self, x):
        return x + self.shift

def build():
    inputs = keras.Input((4,))
    x = Shift(name="kept")(inputs)
    return keras.Model(inputs, Shift(own="told")(x))
"""
    units = convert(source, "build()", tmp_path).entries[0].units
    assert [(u.keras_class, u.name) for u in units] == [("Shift", None), ("Shift", "told")]
