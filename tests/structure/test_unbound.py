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
    "a choice of several without an else": (
        """
def build(n=10, r=37):
    if r not in {129, 37, 67}:
        raise ValueError("unknown")
    i = keras.Input((n,))
    if r == 37:
        x = Dense(n, activation="relu")(i)
        x = Dense(4)(x)
    elif r == 67:
        x = Dense(5)(i)
    elif r == 129:
        x = Dense(6)(Dense(7)(i))
    return Model(i, Dense(3)(x))
""",
        ("build()", "build(r=67)", "build(6, r=129)"),
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
    "each of several tests in a row": (
        """
def build(n=10, acts=None, depth=2, mode="a", units=4, wide=False):
    if acts is None:
        used = ["relu" for _ in range(depth)]
    elif isinstance(acts, str):
        used = [acts for _ in range(depth)]
    elif isinstance(acts, list):
        used = acts
        if len(acts) != depth:
            raise ValueError("one for each layer")
    if mode == "a":
        width = units
    elif mode == "b":
        width = units * 2
    if wide:
        width = 9
    inputs = x = keras.Input((n,))
    for i in range(depth):
        x = Dense(width, activation=used[i])(x)
    return Model(inputs, Dense(width)(x))
""",
        (
            "build()",
            "build(acts='tanh', depth=3)",
            "build(acts=['tanh', 'relu'], mode='b')",
            "build(mode='c', wide=True)",
        ),
    ),
    "both sides, each in part": (
        """
def build(n=10, a=True, b=True, c=1, more=False, units=4):
    if a:
        if b:
            width = units
            skip = width + 1
    elif c > 1:
        width = c
        skip = units
    inputs = keras.Input((n,))
    x = Dense(n)(inputs)
    if more:
        x = Dense(width)(x)
        x = Dense(skip)(x)
    return Model(inputs, Dense(1)(x))
""",
        ("build(more=True)", "build(a=False, c=3, more=True)", "build(6, b=False, c=2)"),
    ),
    "under a test that only one side can make": (
        """
def build(n=10, a=True, more=True, units=4):
    if a:
        width = units
    else:
        half = n // 2
        if half > 3:
            width = half
    inputs = keras.Input((n,))
    x = Dense(n)(inputs)
    if more:
        x = Dense(width)(x)
    return Model(inputs, Dense(1)(x))
""",
        ("build()", "build(8, units=2)", "build(6, a=False, more=False)"),
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


@pytest.mark.parametrize("arguments", ["b=False, c=3, more=True", "a=False, more=True"])
def test_on_no_way_it_is_not_bound(arguments: str, tmp_path: Path):
    program, entries = KEPT["both sides, each in part"]
    names = load(convert(HEAD + program, entries[0], tmp_path).modules[0].text)
    with pytest.raises(UnboundLocalError):
        eval(f"build({arguments})", names)


CHANGED_IN_A_LOOP = """
def build(n=10, wide=True, depth=3):
    if wide:
        width = 5
    x = inputs = keras.Input((n,))
    for i in range(depth):
        width = i + 2
        x = Dense(width)(x)
    return Model(inputs, Dense(width)(x))
"""


def test_a_loop_that_binds_it_again_is_unrolled(tmp_path: Path):
    conversion = convert(HEAD + CHANGED_IN_A_LOOP, "build()", tmp_path)
    names = load(conversion.modules[0].text)
    for entry in ("build()", "build(6, wide=False)"):
        assert_same(names, HEAD + CHANGED_IN_A_LOOP, entry, tmp_path)


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
