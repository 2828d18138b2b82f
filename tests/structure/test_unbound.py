"""A variable that one side of a branch alone binds is there where the test holds again."""

from __future__ import annotations

from pathlib import Path

import pytest
from held import assert_same, convert, load

HEAD = """
import keras
from keras import ops
from keras.layers import *
from keras.models import Model
"""

KEPT = {
    "two towers": (
        """
def build(n=10, wide=True, deep=True, units=8):
    inputs = keras.Input((n,))
    if wide:
        a = ReLU()(Dense(units)(inputs))
    if deep:
        b = Dense(units)(inputs)
        b = Dense(units * 2, activation="tanh")(b)
    if wide and deep:
        x = Concatenate()([a, b])
    elif wide:
        x = a
    else:
        x = b
    return Model(inputs, Dense(1)(x))
""",
        ("build()", "build(wide=False)", "build(deep=False)", "build(6, units=3)"),
    ),
    "layers, lists and sizes": (
        """
def build(n=10, shared=True, more=True, units=8):
    inputs = keras.Input((n,))
    if shared:
        layer = Dense(units)
        width = units * 2
        towers = [ReLU()(Dense(width)(inputs))]
    x = Dense(n)(inputs)
    if not shared:
        x = Dense(n)(x)
    else:
        x = layer(x)
        x = Dense(width)(Concatenate()(towers))
    if more and shared:
        x = Concatenate()([x, *towers])
    return Model(inputs, Dense(1)(x))
""",
        ("build()", "build(shared=False)", "build(6, more=False, units=3)"),
    ),
    "a side within a side": (
        """
def build(n=10, wide=True, deep=True, units=8):
    inputs = keras.Input((n,))
    if wide:
        if deep:
            a = ReLU()(Dense(units)(inputs))
    x = Dense(units)(inputs)
    if wide and deep:
        x = Add()([x, a])
    return Model(inputs, Dense(1)(x))
""",
        ("build()", "build(wide=False)", "build(deep=False)"),
    ),
    "attributes of a layer": (
        """
class Own(Layer):
    def __init__(self, units, use_bias=True, norm=False, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.use_bias = use_bias
        self.norm = norm
        if norm:
            self.bn = BatchNormalization()

    def build(self, input_shape):
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="ones")
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], self.units))

    def call(self, x):
        x = ops.matmul(x, self.kernel)
        if self.use_bias:
            x = x + self.bias
        if self.norm:
            x = self.bn(x)
        return x

def build(n=6, units=4, bias=True, norm=True):
    inputs = keras.Input((n,))
    return Model(inputs, Dense(1)(Own(units, bias, norm)(inputs)))
""",
        ("build()", "build(bias=False)", "build(5, 3, norm=False)"),
    ),
    "an attribute that has a value before": (
        """
class Own(Layer):
    def __init__(self, units, most=8, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        if units > most:
            self.units = most
        self.dense = Dense(self.units)

    def call(self, x):
        return self.dense(x) * self.units

def build(n=6, units=4, most=8):
    inputs = keras.Input((n,))
    x = Own(units, most)(inputs)
    return Model(inputs, Dense(1)(x))
""",
        ("build()", "build(units=9)", "build(5, 3, 2)"),
    ),
}


@pytest.mark.parametrize(("name", "entry"), [(n, e) for n, (_, entries) in KEPT.items() for e in entries])
def test_it_is_there_where_the_test_holds(name: str, entry: str, tmp_path: Path):
    program, entries = KEPT[name]
    conversion = convert(HEAD + program, entries[0], tmp_path)
    assert conversion.entries[0].tier == "structure"
    assert_same(load(conversion.modules[0].text), HEAD + program, entry, tmp_path)


def test_elsewhere_it_is_not_bound(tmp_path: Path):
    program, _ = KEPT["two towers"]
    names = load(convert(HEAD + program, "build()", tmp_path).modules[0].text)
    with pytest.raises(UnboundLocalError, match="b is not bound"):
        names["build"](wide=False, deep=False)


LISTS = {
    "made on the side, and changed on it again": """
    if flag:
        xs = [x]
    if flag and more:
        xs.append(Dense(3)(x))
    if flag:
        x = Concatenate()([x, *xs])
""",
    "from before, under another name": """
    ys = [x]
    if flag:
        xs = ys
    if flag and more:
        xs.append(Dense(3)(x))
    x = Concatenate()([x, *ys])
""",
}


@pytest.mark.parametrize("body", LISTS.values(), ids=LISTS)
@pytest.mark.parametrize("entry", ["build()", "build(more=True)", "build(False)"])
def test_a_list_that_changes_is_what_it_has_become(body: str, entry: str, tmp_path: Path):
    program = (
        f"{HEAD}\ndef build(flag=True, more=False):\n    inputs = keras.Input((6,))\n    x = Dense(4)(inputs)\n{body}"
        "    return Model(inputs, Dense(1)(x))\n"
    )
    conversion = convert(program, entry, tmp_path)
    assert_same(load(conversion.modules[0].text), program, entry, tmp_path)
    assert conversion.entries[0].tier == "specialised"


ATTRIBUTES = {
    "asked for": "x * 2 if hasattr(self, 'gain') else x + 1",
    "of the class": "x * self.other",
}


@pytest.mark.parametrize("result", ATTRIBUTES.values(), ids=ATTRIBUTES)
@pytest.mark.parametrize("entry", ["build(True)", "build(False)"])
def test_an_attribute_that_may_be_missing_is_what_python_says(result: str, entry: str, tmp_path: Path):
    program = f"""{HEAD}
class Own(Layer):
    other = 5

    def __init__(self, flag):
        super().__init__()
        if flag:
            self.gain = self.other = 2

    def call(self, x):
        return {result}

def build(flag):
    inputs = keras.Input((6,))
    return Model(inputs, Dense(1)(Own(flag)(Dense(4)(inputs))))
"""
    conversion = convert(program, entry, tmp_path)
    assert_same(load(conversion.modules[0].text), program, entry, tmp_path)


@pytest.mark.parametrize("entry", ["build(True)", "build(False)"])
def test_a_layer_that_one_side_calls_first(entry: str, tmp_path: Path):
    program = f"""{HEAD}
class Scale(Layer):
    def build(self, input_shape):
        self.gain = self.add_weight(name="gain", shape=(input_shape[-1],))

    def call(self, x):
        return x * self.gain

class Own(Layer):
    def __init__(self, flag):
        super().__init__()
        self.flag, self.scale = flag, Scale()

    def call(self, x):
        if self.flag:
            x = self.scale(x) + 1
        return self.scale(x)

def build(flag):
    inputs = keras.Input((6,))
    return Model(inputs, Dense(1)(Own(flag)(Dense(4)(inputs))))
"""
    conversion = convert(program, entry, tmp_path)
    assert_same(load(conversion.modules[0].text), program, entry, tmp_path)


def test_padding_that_torch_does_not_know_is_fixed(tmp_path: Path):
    program = f"""{HEAD}
def build(padding="causal", filters=4):
    inputs = keras.Input((9, 3))
    return Model(inputs, Conv1D(filters, 3, padding=padding)(inputs))
"""
    conversion = convert(program, "build()", tmp_path)
    for entry in ("build()", "build(filters=2)"):
        assert_same(load(conversion.modules[0].text), program, entry, tmp_path)
