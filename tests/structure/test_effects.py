"""Functions that set attributes of objects around them, and functions that a variable of their own decides: still classes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from held import TOLERANCE, build, convert, draw, flat, load, outputs, same_weights

HEAD = """
import keras
from keras.layers import *
from keras.models import Model

class Net:
    def __init__(self, n=4):
        self.n = n
        self.made = 0

    def block(self, x, units):
        self.made = 0
        for i in range(2):
            x = Dense(units, name=f"{units}_{self.made}")(x)
            self.made += 1
        return x

    def counted(self, x):
        self.made += 1
        return Dense(self.made)(x)

    def remembered(self, x):
        if not hasattr(self, "seen"):
            self.seen = 2
        self.last = self.seen
        return Dense(self.seen)(x)

    def perhaps(self, x, marked=True):
        if marked:
            self.mark = 5
        return Dense(self.n)(x)

    def widths(self, x, several=True):
        count = 2 if several else 1
        found = []
        for i in range(count):
            found.append(Dense(i + 1)(x))
            found.append(Dense(self.n)(x))
        return Concatenate()(found)
"""
PROGRAMS = {
    "written before it is read": (
        "x = self.block(x, 5)\n        x = Dense(self.made)(x)\n        x = self.block(self.counted(x), 6)\n        x = Dense(self.made)(x)",
        ["Block"],
    ),
    "read before it is written": (
        "x = self.counted(self.counted(x))\n        x = self.counted(self.block(x, 3))",
        ["Block"],
    ),
    "asked for before it is written": (
        "x = self.remembered(x)\n        self.seen = 7\n        x = Dense(self.last)(self.remembered(x))",
        [],
    ),
    "written on one side": ("x = self.perhaps(x)\n        x = Dense(self.mark)(x)", ["Perhaps"]),
    "decided by a variable": ("x = self.widths(self.widths(x), several=False)", ["Widths"]),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_calls_leave_behind_what_they_set(name: str, tmp_path: Path):
    body, classes = PROGRAMS[name]
    source = f"{HEAD}\n    def build(self):\n        x = inputs = keras.Input((8, 3))\n        {body}\n        return Model(inputs, x)\n"
    conversion = convert(source, "Net().build()", tmp_path)
    text = conversion.modules[0].text
    for cls in classes:
        assert f"class {cls}(nn.Module)" in text
    torch.manual_seed(0)
    mine = build(load(text), conversion.entries[0].torch_expression)
    reference = flat(source, "Net().build()", tmp_path)
    same_weights(mine, reference)
    inputs = draw([(8, 3, "float32")], 8)
    (found,), (expected,) = outputs(mine.model, inputs), outputs(reference.model, inputs)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= TOLERANCE * expected.abs().max()
