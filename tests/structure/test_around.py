"""What a model-building function reads from the functions around it holds the next time they run, or is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from held import assert_same, build, convert, load

from transpiler.pipeline import convert_file

HEAD = """
import functools
import keras
from keras.layers import *
from keras.models import Model
"""
CLOSURE = """
def maker(depth=2, width=4, last="relu"):
    def build(shape):
        inputs = x = keras.Input(shape)
        for _ in range(depth):
            x = Conv2D(width, 3, padding="same")(x)
        return Model(inputs, Activation(last)(x))
    return build
"""
FIXED = """
def maker(depth=2):
    def build(shape=(8, 8, 3)):
        inputs = x = keras.Input(shape)
        skips = []
        for _ in range(depth):
            x = Conv2D(4, 3, padding="same")(x)
            skips.append(x)
        return Model(inputs, skips)
    return build
"""
WRAPPED = """
def small(width=4):
    inputs = keras.Input((8,))
    return Model(inputs, Dense(width)(inputs))

def large(width=4):
    inputs = keras.Input((8,))
    return Model(inputs, Dense(100 * width)(inputs))

def logged(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper

makers = {"small": logged(small), "large": logged(large)}
"""


@pytest.mark.parametrize("entry", ["maker()((8, 8, 3))", "maker(3, 5)((8, 6, 1))", "maker(last='tanh')((8, 8, 3))"])
def test_variables_of_the_function_around_stay_open(entry: str, tmp_path: Path):
    conversion = convert(HEAD + CLOSURE, "maker()((8, 8, 3))", tmp_path)
    assert conversion.entries[0].tier == "structure"
    assert_same(load(conversion.modules[0].text), HEAD + CLOSURE, entry, tmp_path)


def test_a_variable_that_was_fixed_is_refused(tmp_path: Path):
    names = load(convert(HEAD + FIXED, "maker()()", tmp_path).modules[0].text)
    build(names, "maker()()")
    with pytest.raises(NotImplementedError, match="K2T301: converted for depth=2 only"):
        build(names, "maker(3)()")


def test_a_function_that_hands_on_what_it_is_given_stays(tmp_path: Path):
    """The one inside it has the parameters: they stay open, and other functions that go through it are not touched."""
    entry = "makers['small'](width=5)"
    conversion = convert(HEAD + WRAPPED, entry, tmp_path)
    assert conversion.entries[0].tier == "structure"
    text = conversion.modules[0].text
    assert "return function(*args, **kwargs)" in text
    names = load(text)
    for width in (5, 6):
        weight, _ = build(names, f"makers['small'](width={width})").model.parameters()
        assert tuple(weight.shape) == (width, 8)


DISK = """
import os

def build(weights=None, width=4):
    if not (weights in {"imagenet", None} or os.path.exists(weights)):
        raise ValueError("weights")
    inputs = keras.Input((8,))
    return Model(inputs, Dense(width)(inputs))
"""
RECORDS = """
from collections import namedtuple

Args = namedtuple("Args", "filters kernel repeats")

def build(width=2, blocks=(Args(4, 3, 2), Args(6, 1, 1))):
    inputs = x = keras.Input((8, 8, 3))
    for args in blocks:
        for _ in range(args.repeats):
            x = Conv2D(args.filters * width, args.kernel, padding="same")(x)
    return Model(inputs, x)
"""


def test_a_look_at_the_disk_stays_one(tmp_path: Path):
    conversion = convert(HEAD + DISK, "build()", tmp_path)
    assert conversion.entries[0].tier == "structure"
    names = load(conversion.modules[0].text)
    for entry in ("build()", "build('imagenet', width=5)", f"build({str(tmp_path)!r})"):
        build(names, entry)
    with pytest.raises(ValueError, match="weights"):
        build(names, "build('nowhere')")


@pytest.mark.parametrize("entry", ["build()", "build(width=3)"])
def test_records_in_a_loop(entry: str, tmp_path: Path):
    text = convert(HEAD + RECORDS, "build()", tmp_path).modules[0].text
    assert_same(load(text), HEAD + RECORDS, entry, tmp_path)


def test_models_of_a_script_on_one_that_a_builder_makes_in_a_loop(tmp_path: Path):
    """Which of the sizes that only the builder's class knows is needed went by the first: it was asked for again for ever."""
    script = tmp_path / "script.py"
    script.write_text(
        "import keras\nfrom keras import layers\n\n\ndef make_base():\n    inputs = x = keras.Input((8, 8, 3))\n"
        "    for i, f in enumerate((4, 6)):\n        x = layers.Conv2D(f, 3, padding='same', name=f'conv{i}')(x)\n"
        "        x = layers.MaxPooling2D(2)(x)\n    return keras.Model(inputs, x)\n\n\nbase = make_base()\n"
        "inputs = keras.Input((8, 8, 3))\nhead = layers.Dense(1)(layers.GlobalAveragePooling2D()(base(inputs)))\n"
        "model = keras.Model(inputs, head)\nsecond = keras.Sequential([base, layers.Flatten(), layers.Dense(2)])\n"
    )
    conversion = convert_file(script)
    assert {e.tier for e in conversion.entries} == {"structure"}
    assert "base = make_base()\n" in conversion.modules[0].text
    assert "in enumerate((4, 6)):" in conversion.modules[0].text
