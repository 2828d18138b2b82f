"""Layers that lead to no output are not in a functional model of Keras, whichever helper made them."""

from __future__ import annotations

from pathlib import Path

import pytest
from held import assert_same, build, convert, load

HEAD = """
import keras
from keras.layers import *
from keras.models import Model

def down(x, f):
    x = Conv2D(f, 3, padding="same")(x)
    x = BatchNormalization()(x)
    return x, Conv2D(f, 2, strides=2, padding="same")(x)

def up(x, skip, f, concat=True):
    x = UpSampling2D()(x)
    x = Conv2D(f, 3, padding="same")(x)
    if concat:
        x = Concatenate()([x, skip])
    return Conv2D(f, 3, padding="same")(x)
"""
KEPT = {
    "no call reads a result": (
        """
def build(n=4, shape=(16, 16, 3)):
    inputs = keras.Input(shape)
    x, _ = down(inputs, n)
    x, _ = down(x, 2 * n)
    return Model(inputs, x)
""",
        ("build()", "build(5)"),
    ),
    "the last call reads less": (
        """
def build(n=4, shape=(16, 16, 3)):
    inputs = keras.Input(shape)
    skip, x = down(inputs, n)
    x, _ = down(x, 2 * n)
    return Model(inputs, up(x, skip, n))
""",
        ("build()", "build(5)"),
    ),
    "through another helper": (
        """
def two(x, f):
    a, b = down(x, f)
    return {"skip": a, "small": Conv2D(f, 1)(b), "smaller": Conv2D(f, 3)(b)}

def build(n=4, shape=(16, 16, 3)):
    inputs = keras.Input(shape)
    x = two(inputs, n)["small"]
    return Model(inputs, two(x, n + 1)["skip"])
""",
        ("build()", "build(5)"),
    ),
    "what a helper is given is not read": (
        """
def build(n=4, shape=(16, 16, 3)):
    inputs = keras.Input(shape)
    skip, x = down(inputs, n)
    first = Conv2D(n, 1)(skip)
    x = up(x, first, n, concat=False)
    return Model(inputs, x)
""",
        ("build()", "build(5)"),
    ),
    "read by one of two calls": (
        """
def build(n=4, shape=(16, 16, 3)):
    inputs = keras.Input(shape)
    skip, x = down(inputs, n)
    other, x = down(x, n)
    x = up(x, Conv2D(n, 1)(other), n, concat=False)
    return Model(inputs, up(x, skip, n, concat=True))
""",
        ("build()", "build(5)"),
    ),
    "a variable of the helper decides": (
        """
def join(x, other, mode="none"):
    joined = mode != "none"
    if joined:
        x = Add()([x, other])
    return Conv2D(3, 1)(x)

def build(n=4, shape=(16, 16, 3)):
    inputs = keras.Input(shape)
    x = Conv2D(n, 1)(inputs)
    x = join(x, Conv2D(n, 3, padding="same")(x))
    return Model(inputs, join(x, Conv2D(3, 3, padding="same")(x), "add"))
""",
        ("build()", "build(5)"),
    ),
    "both sides of a test read it": (
        """
def build(n=4, wide=True, shape=(16, 16, 3)):
    inputs = keras.Input(shape)
    x = Conv2D(n, 1)(inputs)
    y = Conv2D(n, 3, padding="same")(inputs)
    if wide:
        x = Add()([x, y])
    x = Conv2D(n, 1)(x)
    if not wide:
        x = Concatenate()([x, y])
    return Model(inputs, Conv2D(2, 1)(x))
""",
        ("build()", "build(wide=False)"),
    ),
}
FIXED = {
    "two tests": (
        """
def build(a=True, b=False, n=4, shape=(16, 16, 3)):
    inputs = keras.Input(shape)
    x, y = Conv2D(n, 1)(inputs), Conv2D(n, 3, padding="same")(inputs)
    if a:
        x = Add()([x, y])
    x = Conv2D(n, 1)(x)
    if b:
        x = Add()([x, y])
    return Model(inputs, x)
""",
        "build(a=False)",
    ),
    "an open argument of a helper": (
        """
def build(concat=False, n=4, shape=(16, 16, 3)):
    inputs = keras.Input(shape)
    skip, x = down(inputs, n)
    x = up(x, Conv2D(n, 1)(skip), n, concat=concat)
    return Model(inputs, x)
""",
        "build(concat=True)",
    ),
}


@pytest.mark.parametrize(("name", "entry"), [(n, e) for n, (_, entries) in KEPT.items() for e in entries])
def test_the_classes_make_the_layers_of_the_model(name: str, entry: str, tmp_path: Path):
    source = HEAD + KEPT[name][0]
    conversion = convert(source, "build()", tmp_path)
    assert conversion.entries[0].tier == "structure"
    assert_same(load(conversion.modules[0].text), source, entry, tmp_path)


@pytest.mark.parametrize("name", [*KEPT, *FIXED])
def test_keras_has_as_many_parameters(name: str, tmp_path: Path):
    source = HEAD + (KEPT | FIXED)[name][0]
    model = build(load(convert(source, "build()", tmp_path).modules[0].text), "build()").model
    ours = [tuple(p.shape) for p in model.parameters()]
    names = load(source, "keras_prog")
    theirs = names["build"]().trainable_weights
    assert sum(p.numel() for p in model.parameters()) == sum(w.numpy().size for w in theirs)
    assert len(ours) == len(theirs)


@pytest.mark.parametrize("name", FIXED)
def test_what_decides_whether_a_layer_is_needed_is_fixed(name: str, tmp_path: Path):
    source, other = HEAD + FIXED[name][0], FIXED[name][1]
    conversion = convert(source, "build()", tmp_path)
    assert any(f.code == "K2T301" for f in conversion.findings)
    names = load(conversion.modules[0].text)
    assert_same(names, source, "build()", tmp_path)
    with pytest.raises(NotImplementedError, match="K2T301"):
        build(names, other)


def test_a_result_that_nobody_reads_is_not_returned(tmp_path: Path):
    text = convert(HEAD + KEPT["no call reads a result"][0], "build()", tmp_path).modules[0].text
    assert "return self.bn(self.conv(x))" in text


def test_in_a_loop_the_last_iteration_may_need_less(tmp_path: Path):
    source = HEAD + """
def build(n=4, depth=2, shape=(16, 16, 3)):
    inputs = x = keras.Input(shape)
    for i in range(depth):
        skip, x = down(x, n + i)
    return Model(inputs, Conv2D(2, 1)(skip))
"""
    conversion = convert(source, "build()", tmp_path)
    names = load(conversion.modules[0].text)
    assert_same(names, source, "build()", tmp_path)
    with pytest.raises(NotImplementedError, match="K2T30[12]"):
        build(names, "build(depth=3)")


def test_a_class_without_layers_is_no_layer(tmp_path: Path):
    """What is made for one side of a branch and holds nothing is left where it is."""
    source = HEAD + """
class Both(Layer):
    def call(self, x):
        return x * 2

def build(a=True, b=False, n=4, shape=(16, 16, 3)):
    inputs = keras.Input(shape)
    x, y = Conv2D(n, 1)(inputs), Both()(inputs)
    if a:
        x = Concatenate()([x, y])
    x = Conv2D(n, 1)(x)
    if b:
        x = Concatenate()([x, y])
    return Model(inputs, x)
"""
    conversion = convert(source, "build()", tmp_path)
    assert conversion.entries[0].tier == "structure"
    assert_same(load(conversion.modules[0].text), source, "build(False, True)", tmp_path)
