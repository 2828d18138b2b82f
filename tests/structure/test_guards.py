"""A parameter that is fixed at a function, a class or an object: what is given in its place is checked or reported."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from held import assert_same, build, convert, load

HEAD = """
import functools
import keras
from keras.layers import *
from keras.models import Model

def a(x, n=4):
    return Dense(n)(x)

def b(x, n=5):
    return Dense(n)(x)

class Config:
    def __init__(self, n):
        self.n = n

"""
CALLED = """
def build(width, f):
    inputs = keras.Input((8,))
    return Model(inputs, f(Dense(width)(inputs)))
"""
LISTED = """
def build(width, fs):
    x = inputs = keras.Input((8,))
    for f in fs:
        x = f(x)
    return Model(inputs, Dense(width)(x))
"""
BY_DEFAULT = """
def build(width=2, norm=BatchNormalization, top=lambda x: Dense(3)(x)):
    inputs = keras.Input((8,))
    return Model(inputs, top(norm()(Dense(width)(inputs))))
"""
CHECKED = {
    "a partial": (
        CALLED,
        ("build(2, functools.partial(a, n=3))", "build(3, functools.partial(a, n=3))"),
        (
            "build(2, functools.partial(b, n=3))",
            "build(2, functools.partial(a, n=4))",
            "build(2, functools.partial(a, 3))",
            "build(2, a)",
        ),
    ),
    "a list of functions": (
        LISTED,
        ("build(2, [a, b])", "build(3, [a, b])"),
        ("build(2, [b, a])", "build(2, [a])", "build(2, [a, b, b])"),
    ),
    "what is Keras's, and a function without a name": (
        BY_DEFAULT,
        ("build()", "build(3)"),
        ("build(norm=a)", "build(top=a)", "build(top=lambda x: x)"),
    ),
}


def a() -> None:
    """Stands for the function of that name, which the result does not have."""


def b() -> None:
    """The same."""


@pytest.mark.parametrize("name", CHECKED)
def test_another_function_is_refused(name: str, tmp_path: Path):
    source, taken, refused = CHECKED[name]
    names = load(convert(HEAD + source, taken[0], tmp_path).modules[0].text) | {"functools": functools, "a": a, "b": b}
    for entry in taken:
        build(names, entry)
    for entry in refused:
        with pytest.raises(NotImplementedError, match="K2T301"):
            build(names, entry)


def test_what_cannot_be_checked_is_reported(tmp_path: Path):
    source = """
def build(width, config):
    inputs = keras.Input((8,))
    return Model(inputs, Dense(config.n)(Dense(width)(inputs)))
"""
    conversion = convert(HEAD + source, "build(2, Config(3))", tmp_path)
    assert "K2T301 config of build is not checked" in "".join(f"{f.code} {f.message}" for f in conversion.findings)


def test_an_object_that_is_given_is_not_taken_for_self(tmp_path: Path):
    program = """
class Config:
    def __init__(self, units=5):
        self.units = units

def build(config, n=3):
    i = keras.Input((4,))
    return Model(i, Dense(n)(Dense(config.units)(i)))
"""
    conversion = convert(HEAD + program, "build(Config())", tmp_path)
    assert conversion.entries[0].tier == "specialised"
    assert "Build(self" not in conversion.modules[0].text
    assert_same(load(conversion.modules[0].text), HEAD + program, "build(Config(), 4)", tmp_path)
