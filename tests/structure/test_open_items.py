"""An open number that takes an item out of a known list of tensors: the other items stay open to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from held import assert_same, build, convert, load

HEAD = """
import keras
from keras.layers import *
from keras.models import Model

def pyramid(x):
    small = Conv2D(4, 3, activation="relu")(x)
    smaller = Conv2D(6, 3, activation="relu")(small)
    return [small, smaller, Conv2D(8, 3)(smaller)]

def build(k=2, shape=(16, 16, 3), n=5):
    inputs = keras.Input(shape)
"""
PYRAMID = """
    x = Conv2D(n, 3)(inputs)
    levels = [x]
    for channels in (4, 6, 8):
        x = Conv2D(channels, 3, padding="same", activation="relu")(x)
        x = BatchNormalization()(x)
        x = MaxPooling2D(2)(x)
        levels.append(x)
"""
EVERY = tuple(f"build({k})" for k in range(-4, 4))
KEPT = {
    "one after the other": (
        PYRAMID + """
    return Model(inputs, Conv2D(2, 1)(levels[k]))
""",
        (*EVERY, "build(1, (17, 16, 1), 2)"),
    ),
    "the input among them": (
        PYRAMID.replace("[x]", "[inputs]") + """
    return Model(inputs, Conv2D(2, 1)(levels[k]))
""",
        EVERY,
    ),
    "any size": (
        PYRAMID + """
    x = GlobalAveragePooling2D()(tuple(levels)[k])
    return Model(inputs, Dense(x.shape[-1])(x))
""",
        ("build(2, (None, None, 3))", "build(0, (None, None, 3))"),
    ),
    "others are read as well": (
        PYRAMID + """
    last = GlobalAveragePooling2D()(levels[-1])
    chosen = GlobalMaxPooling2D()(levels[k])
    return Model(inputs, Dense(3)(Concatenate()([chosen, last])))
""",
        EVERY,
    ),
    "side by side": (
        """
    sides = (Conv2D(n, 1)(inputs), Conv2D(n + 1, 3)(inputs), inputs, inputs)
    return Model(inputs, BatchNormalization()(sides[k]))
""",
        EVERY,
    ),
    "in a branch": (
        """
    x = Conv2D(n, 3)(inputs)
    if n > 4:
        x = [x, Conv2D(n + 1, 3)(x), Conv2D(2, 1)(x)][k]
    return Model(inputs, Conv2D(2, 1)(x))
""",
        ("build()", "build(0)", "build(-2, n=6)", "build(2, n=4)", "build(9, n=3)"),
    ),
    "of a helper": (
        """
    levels = pyramid(inputs)
    return Model(inputs, Conv2D(2, 1)(levels[k]))
""",
        EVERY[1:-1],
    ),
    "of a helper whose layers all count": (
        """
    levels = pyramid(inputs)
    return Model(inputs, [Conv2D(2, 1)(levels[k]), levels[-1]])
""",
        EVERY[1:-1],
    ),
}
"""Programs, each with the arguments it is converted for and others."""
FIXED = {
    "two numbers": PYRAMID
    + """
    chosen = [GlobalAveragePooling2D()(levels[k]), GlobalMaxPooling2D()(levels[n - 4])]
    return Model(inputs, Dense(3)(Concatenate()(chosen)))
""",
    "layers for two branches": PYRAMID
    + """
    return Model(inputs, [levels[k], Conv2D(n, 1)(levels[k]), levels[1]])
""",
    "masks of their own": """
    inputs = keras.Input((None,), dtype="int32")
    sides = [Dense(4)(Embedding(9, 4)(inputs)), Embedding(9, 6)(inputs), Embedding(9, 4, mask_zero=True)(inputs)]
    return Model(inputs, LSTM(3)(sides[k]))
""",
    "tensors of several ranks": """
    sides = [Conv2D(n, 3)(inputs), GlobalAveragePooling2D()(inputs), inputs]
    return Model(inputs, Dense(2)(sides[k]))
""",
    "many tensors": """
    sides = [Conv2D(n, i + 1, padding="same")(inputs) for i in (0, 1, 2, 3, 4, 5, 6)]
    return Model(inputs, [sides[k], Add()(sides[:1] + [sides[1]])])
""",
}
"""Programs in which the number is fixed at the value seen."""


@pytest.mark.parametrize(("name", "entry"), [(n, e) for n, (_, entries) in KEPT.items() for e in entries])
def test_any_item_can_be_taken(name: str, entry: str, tmp_path: Path):
    source, entries = HEAD + KEPT[name][0].lstrip("\n"), KEPT[name][1]
    conversion = convert(source, entries[0], tmp_path)
    assert conversion.entries[0].tier == "structure"
    assert_same(load(conversion.modules[0].text), source, entry, tmp_path)


@pytest.mark.parametrize("k", [4, -5])
def test_a_number_that_is_too_large_raises_as_in_the_source(k: int, tmp_path: Path):
    source = HEAD + KEPT["one after the other"][0].lstrip("\n")
    conversion = convert(source, "build()", tmp_path)
    with pytest.raises(IndexError, match="list index out of range"):
        build(load(conversion.modules[0].text), f"build({k})")


@pytest.mark.parametrize("name", FIXED)
def test_what_cannot_stand_for_one_another_fixes_the_number(name: str, tmp_path: Path):
    source = HEAD + FIXED[name].lstrip("\n")
    conversion = convert(source, "build()", tmp_path)
    assert any(f.code == "K2T301" for f in conversion.findings)
    names = load(conversion.modules[0].text)
    assert_same(names, source, "build()", tmp_path)
    with pytest.raises(NotImplementedError, match="K2T301"):
        build(names, "build(1)")


def test_layers_are_made_as_far_as_the_item_taken(tmp_path: Path):
    source = HEAD + KEPT["of a helper"][0].lstrip("\n")
    text = convert(source, "build()", tmp_path).modules[0].text
    assert """
        level = k % 3
        channels = 4 if level == 0 else 6 if level == 1 else 8
        conv2: list[nn.Module] = []
        if level != 0:
            conv2 += [nn.Conv2d(4, 6, kernel_size=3), nn.ReLU()]
            if level != 1:
                conv2.append(nn.Conv2d(6, 8, kernel_size=3))
        self.conv2 = nn.Sequential(*conv2)
""" in text
