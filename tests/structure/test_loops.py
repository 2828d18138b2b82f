"""Loops that are kept hold at argument values that the conversion did not see, whatever changes in their bodies."""

from __future__ import annotations

from pathlib import Path

import pytest
from held import assert_same, convert, load

HEAD = """
import keras
from keras import layers
from keras.layers import *
from keras.models import Model
"""
GROWN = """
def grow(x, times):
    for _ in range(times):
        x = Conv2D(4, 3, padding="same")(UpSampling2D()(x))
    return x

def build(height=4, width=6, times=2, classes=3):
    inputs = keras.Input((height, width, 2))
    x = grow(inputs, times)
    x = Conv2D(classes, 1)(x)
    shape = Model(inputs, x).output_shape
"""

KEPT = {
    "a side of a branch counts": (
        """
STRIDES = [2, 1, 2, 1, 1]

def build(shape=(32, 24, 3), depth=4, width=4):
    inputs = x = keras.Input(shape)
    count = 0
    for i in range(depth):
        if i % 2 == 0:
            x = Conv2D(width, 3, strides=STRIDES[count], padding="same")(x)
            count += 1
        else:
            x = Conv2D(width * 2, 3, padding="same")(x)
            x = ReLU()(x)
    return Model(inputs, Dense(count)(GlobalAveragePooling2D()(x)))
""",
        ("build()", "build(depth=1)", "build((16, 16, 1), 7, 3)"),
    ),
    "sides inside sides count, in two loops": (
        """
def block(x, filters, strides=1):
    y = Conv2D(filters, 3, strides=strides, padding="same")(x)
    if strides == 1:
        y = Add()([y, x])
    return ReLU()(y)

def build(shape=(32, 32, 4), repetitions=(2, 1, 2), width=4):
    inputs = x = keras.Input(shape)
    seen = 1
    for stage, rep in enumerate(repetitions):
        for i in range(rep):
            if i == 0 and stage == 0:
                x = block(x, width)
            elif i == 0:
                x = block(x, width * 2 ** stage, strides=seen + 1)
                seen += 1
            else:
                x = block(x, width * 2 ** stage)
    return Model(inputs, Dense(seen)(GlobalAveragePooling2D()(x)))
""",
        ("build()", "build(repetitions=(1, 3))", "build((40, 40, 2), (3, 2, 1), 2)"),
    ),
    "a side counts beside a skip": (
        """
def build(shape=(12, 8, 3), depth=4, width=4):
    inputs = x = keras.Input(shape)
    count = 1
    for i in range(depth):
        y = x
        if i % 2 == 0:
            x = Conv2D(width + count, 3, padding="same")(x)
            count += 2
        else:
            x = Conv2D(width * 2, 3, padding="same")(x)
            x = ReLU()(x)
        x = Concatenate()([x, y])
    return Model(inputs, Dense(count)(GlobalAveragePooling2D()(x)))
""",
        ("build()", "build(depth=1)", "build((9, 7, 1), 5, 2)"),
    ),
    "what a side counts is read in the iteration": (
        """
def build(shape=(12, 8, 3), depth=3, width=4):
    inputs = x = keras.Input(shape)
    k = 1
    for i in range(depth):
        y = x
        if i % 2 == 0:
            x = Conv2D(width, k, padding="same")(x)
            k = k + 2
            x = Conv2D(width, k, padding="same")(x)
        x = Concatenate()([x, y])
        x = Conv2D(k, 1)(x)
    return Model(inputs, Dense(k)(GlobalAveragePooling2D()(x)))
""",
        ("build()", "build(depth=1)", "build((9, 7, 1), 5, 2)"),
    ),
    "axes that a reshape joins": (
        GROWN + """
    x = Reshape((shape[1] * shape[2], -1))(x)
    return Model(inputs, Activation("softmax")(x))
""",
        ("build()", "build(3, 5, 1)", "build(2, 7, 3, 4)"),
    ),
    "a reshape that does not join axes": (
        GROWN + """
    x = Reshape((shape[2], shape[1], -1))(x)
    return Model(inputs, x)
""",
        ("build()", "build(3, 5, 1)", "build(2, 7, 3, 4)"),
    ),
    "tensors in a dictionary": (
        """
from collections import OrderedDict

def head(features, units):
    return Dense(units)(Concatenate()([features["left"], features["right"]]))

def build(left=3, right=2, units=4):
    features = OrderedDict(left=keras.Input((left,)), right=keras.Input((right,)))
    x = head(features, units)
    y = head({"right": x, "left": features["left"]}, 2)
    return Model(list(features.values()), [x, y])
""",
        ("build()", "build(1, 5, 2)"),
    ),
    "a choice among what a function returns": (
        """
def pair(x, units, named=False):
    found = {"a": Dense(units)(x), "b": Dense(2)(x)}
    if not named:
        found = list(found.values())
    return found, [x]

def build(size=3, units=4):
    inputs = keras.Input((size,))
    found, rest = pair(inputs, units)
    return Model(inputs, Concatenate()(found + rest) if len(found) > 1 else found[0])
""",
        ("build()", "build(1, 2)"),
    ),
    "variables of a loop after it": (
        """
def build(shape=(8, 8, 3), depth=2, filters=4):
    inputs = x = keras.Input(shape)
    for i in range(depth):
        f = filters * 2 ** i
        x = Conv2D(f, 3, padding="same")(x)
    x = Conv2D(f + 1, 3)(x)
    for w in (3, 4):
        x = Dense(w)(x)
    return Model(inputs, Dense(i + 2)(x))
""",
        ("build()", "build(depth=1)", "build((5, 4, 1), 4, 2)"),
    ),
    "variables of a loop over items after it": (
        """
def build(shape=(8, 8, 3), widths=(3, 5), filters=4):
    inputs = x = keras.Input(shape)
    for i, w in enumerate(widths):
        x = Conv2D(w, 3, padding="same")(x)
        x = ReLU()(x)
    x = Concatenate()([x, inputs])
    x = Conv2D(w * 2 + i, 3)(x)
    for w in (3, 4):
        x = Dense(w)(x)
    return Model(inputs, Dense(w)(x))
""",
        ("build()", "build(widths=(6,))", "build((5, 4, 1), (2, 3, 4))"),
    ),
    "what a variable was when the last iteration read it": (
        """
def build(shape=(8, 8, 3), depth=2, filters=4):
    inputs = x = keras.Input(shape)
    for i in range(depth):
        last = filters
        x = Conv2D(last, 3, padding="same")(x)
        filters += 3
    return Model(inputs, Dense(last)(x))
""",
        ("build()", "build(depth=1)", "build((5, 4, 1), 3, 2)"),
    ),
}
"""A program, and the entries at which its conversion, made for the first of them, is used."""


@pytest.mark.parametrize(("name", "entry"), [(n, e) for n, (_, entries) in KEPT.items() for e in entries])
def test_a_loop_of_any_length(name: str, entry: str, tmp_path: Path):
    program, entries = KEPT[name]
    conversion = convert(HEAD + program, entries[0], tmp_path)
    assert conversion.entries[0].tier == "structure"
    assert_same(load(conversion.modules[0].text), HEAD + program, entry, tmp_path)


def test_a_size_that_one_of_two_submodules_has(tmp_path: Path):
    """Each iteration has one of the two, so the class of an iteration chooses."""
    source = """
import keras
from keras.layers import *
from keras.models import Model

def step(x, f, norm="a"):
    x = Conv2D(f, 3, strides=2, padding="same")(x)
    if norm == "a":
        x = LayerNormalization()(x)
    return Conv2D(f if norm == "a" else f + 1, 1)(x)

def build(n=4, depth=3, norm="b"):
    x = inputs = keras.Input((32, 32, 3))
    for d in range(depth):
        if d == 0:
            x = step(x, n * pow(2, d), norm="none")
        else:
            x = step(x, n * pow(2, d), norm=norm)
    return Model(inputs, Conv2D(2, 1)(x))
"""
    conversion = convert(source, "build()", tmp_path)
    assert conversion.entries[0].tier == "structure"
    for entry in ("build()", "build(depth=1)", "build(5, 2, 'a')"):
        assert_same(load(conversion.modules[0].text), source, entry, tmp_path)
