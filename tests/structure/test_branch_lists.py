"""Lists that a side of a branch changes: lists of open length afterwards, or joined item by item."""

from __future__ import annotations

from pathlib import Path

import pytest
from held import assert_same, build, convert, load

from transpiler.pipeline import Conversion

HEAD = """
import keras
from keras import layers
from keras.layers import *
from keras.models import Model

def build(a=True, b=False, n=4, shape=(8, 8, 3), depth=2):
    inputs = keras.Input(shape)
    x = Conv2D(n, 3, padding="same")(inputs)
"""
CONCAT = "    return Model(inputs, Conv2D(2, 1)(Concatenate()(outs)))\n"
USES = ("build()", "build(False)", "build(b=True)", "build(False, True, 3, (6, 5, 1))")
KEPT = {
    "one side appends": (
        """
    outs = [x]
    if a:
        outs.append(Conv2D(2, 1)(x))
    outs.append(Conv2D(5, 1)(x))
""" + CONCAT,
        USES[:2],
    ),
    "both sides append as much": (
        """
    outs = []
    if a:
        outs.append(Conv2D(2, 1)(x))
    else:
        outs.append(Conv2D(3, 3, padding="same")(x))
    outs.append(x)
""" + CONCAT,
        USES[:2],
    ),
    "one branch after another": (
        """
    outs = []
    if a:
        outs.append(Conv2D(2, 1)(x))
    if b:
        outs += [Conv2D(3, 1)(x), MaxPooling2D(1)(x)]
    if len(outs) == 0:
        outs.append(Conv2D(7, 1)(x))
""" + CONCAT,
        (*USES, "build(False, False)"),
    ),
    "a list of one tensor needs no layer": (
        """
    outs = [Conv2D(n + 1, 1)(x)]
    if a:
        outs.append(Conv2D(2, 1)(x))
    x = Concatenate()(outs) if len(outs) > 1 else outs[0]
    return Model(inputs, Conv2D(2, 1)(x))
""",
        USES[:2],
    ),
    "a branch inside another": (
        """
    outs = [x]
    if a:
        outs.append(Conv2D(2, 1)(x))
        if b:
            outs.append(Conv2D(3, 1)(x))
    else:
        outs.insert(0, Conv2D(6, 1)(x))
""" + CONCAT,
        USES,
    ),
    "a list that a loop fills": (
        """
    outs = []
    for i in range(depth):
        x = Conv2D(n + i, 3, padding="same")(x)
        outs.append(x)
    if a:
        outs.append(Conv2D(2, 1)(x))
""" + CONCAT,
        (*USES[:2], "build(False, depth=4)", "build(depth=1)"),
    ),
    "filled by a loop on one side": (
        """
    outs = []
    if a:
        for i in range(depth):
            x = Conv2D(n + i, 3, padding="same")(x)
            outs.append(x)
    for out in outs:
        x = Concatenate()([out, Conv2D(n, 1)(x)])
    return Model(inputs, x)
""",
        (*USES[:2], "build(depth=3)"),
    ),
    "read by a loop": (
        """
    outs = [x, Conv2D(n, 1)(x)]
    if a:
        outs.append(Conv2D(n, 3, padding="same")(x))
    for out in outs:
        x = Add()([x, Conv2D(n, 1)(out)])
    return Model(inputs, x)
""",
        USES[:2],
    ),
    "in the body of a loop": (
        """
    for i in range(depth):
        outs = [x]
        if a:
            outs.append(Conv2D(n + i, 1)(x))
        x = Conv2D(n, 1)(Concatenate()(outs))
    return Model(inputs, x)
""",
        (*USES[:2], "build(False, depth=3)", "build(depth=1)"),
    ),
    "another list on the other side": (
        """
    outs = [x]
    if a:
        outs = [Conv2D(3, 1)(x), Conv2D(2, 1)(x), x]
    else:
        outs.append(Conv2D(6, 1)(x))
    if b:
        outs = outs + [x]
""" + CONCAT,
        USES,
    ),
    "longer in place for every name": (
        """
    outs = []
    for i in range(depth):
        x = Conv2D(n, 3, padding="same")(x)
        outs.append(x)
    same = outs
    outs += [Conv2D(n, 1)(x)]
    return Model(inputs, Add()(same))
""",
        ("build()", "build(depth=3)"),
    ),
    "a list of numbers": (
        """
    widths = [n, 5]
    if a:
        widths.append(3)
    for width in widths:
        x = Conv2D(width, 3, padding="same", activation="relu")(x)
    return Model(inputs, x)
""",
        USES[:2],
    ),
    "one side raises": (
        """
    outs = [x]
    if n > 1:
        outs.append(Conv2D(2, 1)(x))
    else:
        outs.append(None)
        raise ValueError(n)
""" + CONCAT,
        ("build()", "build(n=2)"),
    ),
    "a replaced item": (
        """
    outs = [x, Conv2D(2, 1)(x)]
    if a:
        outs[1] = Conv2D(3, 1)(outs[1])
""" + CONCAT,
        USES[:2],
    ),
    "a helper is given the list": (
        """
    def joined(parts):
        return Conv2D(3, 1)(Concatenate()(parts))
    outs = [x]
    if a:
        outs.append(Conv2D(2, 1)(x))
    return Model(inputs, joined(outs))
""",
        USES[:2],
    ),
}
FIXED = {
    "a list with two names": """
    outs = [x]
    same = outs
    if a:
        outs.append(Conv2D(2, 1)(x))
    return Model(inputs, Concatenate()([*same, *outs]))
""",
    "another list, and the list itself": """
    outs = [x]
    if a:
        kept, outs = outs, [Conv2D(2, 1)(x), x]
    else:
        kept = [Conv2D(3, 1)(x)]
        outs.append(Conv2D(4, 1)(x))
    kept.append(Conv2D(5, 1)(x))
    return Model(inputs, Concatenate()([*kept, *outs]))
""",
    "numbers with two names": """
    widths = [n, 5]
    if a:
        widths.append(6)
    same = widths
    same += [7]
    for width in widths:
        x = Conv2D(width, 1)(x)
    return Model(inputs, x)
""",
    "items that are read one by one": """
    outs = [Conv2D(3, 1)(x), Conv2D(4, 1)(x)]
    if a:
        outs.append(Conv2D(2, 1)(x))
    return Model(inputs, outs[-1])
""",
    "a list that a function returns": """
    def parts(x):
        found = [Conv2D(n, 1)(x)]
        if a:
            found.append(Conv2D(3, 1)(x))
        return found
    return Model(inputs, [Conv2D(2, 1)(y) for y in parts(x)])
""",
    "tensors of several ranks": """
    outs = [x]
    if a:
        outs.append(GlobalAveragePooling2D()(x))
    return Model(inputs, outs)
""",
}
"""Programs in which the test is fixed at the value seen."""


def source_of(body: str) -> str:
    return HEAD + body.lstrip("\n")


@pytest.mark.parametrize(("name", "entry"), [(n, e) for n, (_, entries) in KEPT.items() for e in entries])
def test_the_list_holds_what_keras_has_at_other_arguments(name: str, entry: str, tmp_path: Path):
    source, entries = source_of(KEPT[name][0]), KEPT[name][1]
    conversion = convert(source, entries[0], tmp_path)
    assert conversion.entries[0].tier == "structure"
    assert_same(load(conversion.modules[0].text), source, entry, tmp_path)


def fixed_in(conversion: Conversion) -> bool:
    """Whether the conversion says that it is for one value of an argument, or for one side of a branch."""
    return any(f.code in ("K2T301", "K2T302") for f in conversion.findings)


@pytest.mark.parametrize("name", FIXED)
def test_what_needs_the_single_tensors_fixes_the_test(name: str, tmp_path: Path):
    source = source_of(FIXED[name])
    conversion = convert(source, "build()", tmp_path)
    assert fixed_in(conversion)
    names = load(conversion.modules[0].text)
    assert_same(names, source, "build()", tmp_path)
    with pytest.raises(NotImplementedError, match="K2T30[12]"):
        build(names, "build(False)")
