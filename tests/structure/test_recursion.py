"""Functions that call themselves become classes that construct themselves, or are written out for the values seen."""

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

KEPT = {
    "a U-Net by levels": (
        """
def level(x, dim, depth, pool, residual):
    if depth > 0:
        skip = Conv2D(dim, 3, activation="relu", padding="same")(x)
        skip = Concatenate()([x, skip]) if residual else skip
        x = MaxPooling2D()(skip) if pool else Conv2D(dim, 3, strides=2, padding="same")(skip)
        x = level(x, 2 * dim, depth - 1, pool, residual)
        x = Conv2D(dim, 2, padding="same")(UpSampling2D()(x))
        return Conv2D(dim, 3, padding="same")(Concatenate()([skip, x]))
    return Conv2D(dim, 3, activation="tanh", padding="same")(x)

def build(shape=(16, 16, 2), width=3, depth=2, pool=True, residual=False):
    inputs = keras.Input(shape)
    return Model(inputs, Conv2D(1, 1)(level(inputs, width, depth, pool, residual)))
""",
        ("build()", "build(depth=0)", "build((8, 24, 1), 2, 3, False, True)"),
    ),
    "the end is the tensor itself": (
        """
def tower(x, units, n):
    if n == 0:
        return x
    x = Dense(units, activation="tanh")(x)
    return tower(x, units + n, n - 1)

def build(features=5, units=3, n=3):
    inputs = keras.Input((features,))
    return Model(inputs, tower(inputs, units, n))
""",
        ("build()", "build(n=0)", "build(4, 2, 5)"),
    ),
    "a choice ends it, a closure is read": (
        """
def build(units=3, n=2, activation="relu"):
    def deeper(x, left):
        x = Dense(units + left, activation=activation)(x)
        return deeper(x, left - 1) if left else x

    inputs = keras.Input((6,))
    x = deeper(inputs, n)
    return Model(inputs, Dense(2)(x))
""",
        ("build()", "build(n=0)", "build(4, 4, 'tanh')"),
    ),
    "two functions call each other": (
        """
def even(x, n):
    if n == 0:
        return Dense(2)(x)
    return odd(Dense(3, activation="relu")(x), n - 1)

def odd(x, n):
    if n == 0:
        return Dense(2)(x)
    return even(Dense(4, activation="tanh")(x), n - 1)

def build(n=3):
    inputs = keras.Input((6,))
    return Model(inputs, even(inputs, n))
""",
        ("build()", "build(0)", "build(1)", "build(6)"),
    ),
    "it calls itself twice": (
        """
def tree(x, units, depth):
    x = Dense(units, activation="relu")(x)
    if depth == 0:
        return x
    left = tree(x, units + 1, depth - 1)
    right = tree(x, units + 2, depth - 1)
    return Concatenate()([left, right])

def build(depth=2):
    inputs = keras.Input((6,))
    x = tree(inputs, 2, depth)
    return Model(inputs, Dense(2)(x))
""",
        ("build()", "build(0)", "build(3)"),
    ),
}


CASES = [(name, entry) for name, (_, entries) in KEPT.items() for entry in entries]


@pytest.mark.parametrize(("name", "entry"), CASES)
def test_recursion_is_kept(name: str, entry: str, tmp_path: Path):
    program, entries = KEPT[name]
    conversion = convert(HEAD + program, entries[0], tmp_path)
    assert conversion.entries[0].tier == "structure"
    assert not [f for f in conversion.findings if f.code.startswith("K2T30")]
    assert_same(load(conversion.modules[0].text), HEAD + program, entry, tmp_path)
