"""Closures and functions that take named tuples: one class for all, with what differs between the calls as parameters."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from held import assert_same, convert, load

HEAD = """
import keras
from keras.layers import *
from keras.models import Model
"""

RESIDUAL = """
def residual_unit(filters, strides=1, cut="pre", rate=0.1):
    def layer(x):
        y = BatchNormalization()(x)
        y = ReLU()(y)
        if cut == "pre":
            shortcut = x
        elif cut == "post":
            shortcut = Conv2D(filters, 1, strides=strides)(y)
        else:
            raise ValueError("cut")
        y = Conv2D(filters, 3, strides=strides, padding="same")(y)
        return Add()([Dropout(rate)(y), shortcut])
    return layer

def build(repetitions=(2, 1, 2), width=4):
    inputs = x = keras.Input((16, 16, 4))
    for stage, count in enumerate(repetitions):
        for unit in range(count):
            filters = width * 2**stage
            if unit == 0 and stage == 0:
                x = residual_unit(filters, (1, 1), "post")(x)
            elif unit == 0:
                x = residual_unit(filters, (2, 2), cut="post")(x)
            else:
                x = residual_unit(filters)(x)
    return Model(inputs, x)
"""
KEPT = {
    "units that differ in constants": (
        RESIDUAL,
        {"ResidualUnit": ["in_channels", "filters", "strides", "cut"]},
        ("build()", "build((1,))", "build((3, 2), 6)"),
    ),
    "a constant here and a parameter there": (
        """
def unit(filters, kernel):
    def apply(x):
        return ReLU()(Conv2D(filters, kernel, padding="same")(x))
    return apply

def build(width=4, kernel=3):
    inputs = keras.Input((8, 8, 3))
    x = unit(8, kernel)(inputs)
    x = unit(width, 3)(x)
    return Model(inputs, unit(5, kernel)(x))
""",
        {"Unit": ["in_channels", "filters", "kernel"]},
        ("build()", "build(6)", "build(3, 1)"),
    ),
    "what is the same everywhere stays a constant": (
        """
def unit(filters, act="relu", eps=1e-4):
    eps = eps * 2
    def apply(x):
        x = Conv2D(filters, 1)(x)
        x = BatchNormalization(epsilon=eps)(x)
        return Activation(act)(x)
    return apply

def build(depth=2):
    inputs = x = keras.Input((8, 8, 3))
    x = unit(6)(x)
    x = unit(7)(x)
    for _ in range(depth):
        x = unit(8)(x)
    return Model(inputs, x)
""",
        {"Unit": ["in_channels", "filters"]},
        ("build()", "build(4)"),
    ),
    "what is computed from the arguments": (
        """
def unit(filters, squeeze):
    narrow = filters // squeeze
    def apply(x):
        return Conv2D(filters, 3, padding="same")(Conv2D(narrow, 1)(x))
    return apply

def build(width=8):
    inputs = keras.Input((8, 8, 3))
    x = unit(16, 4)(inputs)
    return Model(inputs, unit(width, 2)(x))
""",
        {"Unit": ["in_channels", "filters", "narrow"]},
        ("build()", "build(6)"),
    ),
    "two functions of one call keep their own names": (
        """
def pair(filters):
    def down(x):
        return Conv2D(filters, 3, strides=2, padding="same")(x)
    def up(x):
        return Conv2D(4, 1)(UpSampling2D()(x))
    return down, up

def build(width=8):
    inputs = keras.Input((8, 8, 4))
    down, up = pair(width)
    narrow, wide = pair(3)
    return Model(inputs, wide(narrow(up(down(inputs)))))
""",
        {"Down": ["in_channels", "filters"], "Up": ["in_channels"]},
        ("build()", "build(5)"),
    ),
    "functions made by functions that are made": (
        """
def outer(kernel):
    def inner(filters):
        def apply(x):
            return Conv2D(filters, kernel, padding="same")(x)
        return apply
    return inner

def build(width=4):
    inputs = keras.Input((8, 8, 3))
    small, large = outer(1), outer(3)
    x = large(width)(small(5)(inputs))
    return Model(inputs, large(2)(x))
""",
        {"Outer": ["in_channels", "kernel", "filters"]},
        ("build()", "build(6)"),
    ),
    "keywords that are handed on": (
        """
def unit(filters, **options):
    def apply(x):
        return Conv2D(filters, 3, **options)(x)
    return apply

def build(depth=2, strides=2):
    inputs = x = keras.Input((16, 16, 3))
    for n in range(depth):
        x = unit(4 * 2**n, strides=strides, padding="same", name="conv_%d" % n)(x)
    return Model(inputs, x)
""",
        {"Unit": ["in_channels", "filters", "options_strides"]},
        ("build()", "build(3)", "build(1, 3)"),
    ),
    "fields of named tuples": (
        """
import collections
Args = collections.namedtuple("Args", "filters kernel act skip")
BLOCKS = [Args(4, 3, "relu", True), Args(6, 1, "relu", False), Args(6, 3, "relu", True)]

def block(x, args, rate=0.0):
    y = Conv2D(args.filters, args.kernel, padding="same", activation=args.act)(x)
    if args.skip and args.filters == x.shape[-1]:
        y = Add()([y, x])
    return Dropout(rate)(y)

def build(width=4, depth=2):
    inputs = x = keras.Input((8, 8, 4))
    for i, args in enumerate(BLOCKS):
        args = args._replace(filters=args.filters + width)
        x = block(x, args, rate=i / 10)
    for _ in range(depth):
        x = block(x, BLOCKS[0])
    return Model(inputs, x)
""",
        {"Block": ["in_channels", "rate", "filters", "kernel", "skip"]},
        ("build()", "build(5, 1)", "build(0)"),
    ),
    "a field that decides the structure": (
        """
import collections
Args = collections.namedtuple("Args", "filters depth")

def block(x, args):
    for f in range(args.depth):
        x = Conv2D(args.filters * (f + 1), 3, padding="same")(x)
    if isinstance(args.filters, float):
        x = ReLU()(x)
    return x

def build(width=4):
    inputs = keras.Input((8, 8, 4))
    x = block(inputs, Args(width, 2))
    return Model(inputs, block(x, Args(5, 1)))
""",
        {"Block": ["in_channels", "filters", "depth"]},
        ("build()", "build(6)"),
    ),
}
WRITTEN = re.compile(r"class (\w+)\(nn\.Module\):\n(?:    \"\"\".*\"\"\"\n\n)?    def __init__\(\s*self,?([^)]*)\)")


def parameters(text: str) -> dict[str, list[str]]:
    """The parameters of the constructor of every class."""
    found = WRITTEN.findall(text)
    return {name: [p.partition(":")[0].strip() for p in given.split(",") if p.strip()] for name, given in found}


@pytest.mark.parametrize("name", KEPT)
def test_one_class_for_all_calls(name: str, tmp_path: Path):
    program, classes, entries = KEPT[name]
    conversion = convert(HEAD + program, entries[0], tmp_path)
    assert conversion.entries[0].tier == "structure"
    text = conversion.modules[0].text
    assert {n: p for n, p in parameters(text).items() if n != "Build" and not n.endswith("Model")} == classes, text
    for entry in entries:
        assert_same(load(text), HEAD + program, entry, tmp_path)


APART = {
    "each adds to a list of its own": """
def recorded(filters, sizes):
    def apply(x):
        sizes.append(filters)
        return Conv2D(filters, 1)(x)
    return apply

def build(width=3):
    inputs = keras.Input((8, 8, 3))
    sizes, others = [], [1]
    x = recorded(4, sizes)(inputs)
    x = recorded(width, others)(x)
    return Model(inputs, Conv2D(len(sizes) + len(others), 1)(x))
""",
    "each changes a variable of its own": """
def counted(filters):
    calls = 0
    def apply(x):
        nonlocal calls
        calls += 1
        return Conv2D(filters + calls, 1)(x)
    return apply

def build():
    inputs = keras.Input((8, 8, 3))
    one, other = counted(4), counted(6)
    return Model(inputs, one(other(one(inputs))))
""",
    "each reads a tensor of its own": """
def with_skip(skip, filters):
    def apply(x):
        return Add()([Conv2D(filters, 1)(x), Conv2D(filters, 1)(skip)])
    return apply

def build():
    inputs = keras.Input((8, 8, 3))
    x = with_skip(inputs, 4)(inputs)
    return Model(inputs, with_skip(x, 5)(inputs))
""",
    "each calls a function of its own": """
def block(filters, unit):
    def apply(x):
        return unit(Conv2D(filters, 1)(x))
    return apply

def unit(filters):
    def apply(x):
        return ReLU()(Conv2D(filters, 3)(x))
    return apply

def build():
    inputs = keras.Input((8, 8, 3))
    return Model(inputs, block(4, unit(2))(block(5, unit(3))(inputs)))
""",
}


@pytest.mark.parametrize("name", APART)
def test_closures_that_are_not_one_class(name: str, tmp_path: Path):
    conversion = convert(HEAD + APART[name], "build()", tmp_path)
    assert_same(load(conversion.modules[0].text), HEAD + APART[name], "build()", tmp_path)


def test_a_class_is_not_called_like_a_function_that_the_file_imports(tmp_path: Path):
    (tmp_path / "blocks.py").write_text(
        "from keras.layers import *\n\ndef Scale(units):\n    def layer(x):\n        return Dense(units)(x)\n    return layer\n"
    )
    program = HEAD + "from blocks import Scale\nTABLE = {'scale': Scale, 'other': None}\n"
    program += (
        "\ndef build():\n    i = keras.Input((4,))\n    return Model(i, TABLE['scale'](3)(TABLE['scale'](2)(i)))\n"
    )
    text = convert(program, "build()", tmp_path).modules[0].text
    assert "class Scale2(nn.Module)" in text
    assert "from blocks import Scale\n" in text
    assert "TABLE = {'scale': Scale, 'other': None}\n" in text
