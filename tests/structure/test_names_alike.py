"""Classes whose parameters are called like what their users know: neither is taken for the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from held import assert_same, convert, load

HEAD = """
import keras
from keras.layers import *
from keras.models import Model
"""
NAMED = """
import collections
import functools
Args = collections.namedtuple("Args", "filters kernel")
"""
NAMES_ALIKE = {
    "a function beside it that reads the same variable": (
        """
def factory(filters, act):
    def conv(x, k):
        return Conv2D(filters, k, padding="same")(x)
    def apply(x):
        y = conv(x, 3)
        y = Activation(act)(y)
        return Add()([conv(y, 1), Conv2D(filters, 1)(x)])
    return apply

def build(filters=4):
    i = keras.Input((8, 8, 3))
    return Model(i, factory(6, "relu")(factory(filters * 2, "relu")(i)))
""",
        (
            "build()",
            "build(5)",
        ),
    ),
    "a function that calls itself": (
        """
def factory(filters):
    def apply(x, n):
        if n == 0:
            return x
        x = Conv2D(filters, 1)(x)
        return apply(x, n - 1)
    return apply
def build(filters=4, n=2):
    i = x = keras.Input((12, 12, 3))
    x = factory(filters + 1)(x, n)
    x = factory(5)(x, 3)
    return Model(i, x)
""",
        (
            "build()",
            "build(5, 3)",
            "build(4, 1)",
        ),
    ),
    "a variable that another function changes between the calls": (
        """
def counter(start):
    n = start
    def bump():
        nonlocal n
        n += 1
    def unit(x):
        return Conv2D(n, 1)(x)
    def run(x):
        return ReLU()(unit(x))
    return bump, run
def build(w=4):
    i = x = keras.Input((12, 12, 3))
    b, r = counter(3)
    b2, r2 = counter(5)
    x = r2(r(x))
    b()
    return Model(i, r(x))
""",
        (
            "build()",
            "build(6)",
        ),
    ),
    "a named tuple in a named tuple": (
        """
Outer = collections.namedtuple("Outer", "a n")
def block(x, o, w):
    x = Conv2D(o.a.filters, o.a.kernel, padding="same")(x)
    return Conv2D(w, 1)(x)
def build(w=4, k=3):
    i = x = keras.Input((12, 12, 3))
    x = block(x, Outer(Args(w, 3), 2), 7)
    return Model(i, x)
""",
        (
            "build()",
            "build(5)",
        ),
    ),
    "a list of named tuples": (
        """
def block(x, os, w):
    for o in os:
        x = Conv2D(o.filters, o.kernel, padding="same")(x)
    return Conv2D(w, 1)(x)
def build(w=4, k=3):
    i = x = keras.Input((12, 12, 3))
    x = block(x, [Args(w, 3), Args(2, 1)], 7)
    return Model(i, x)
""",
        (
            "build()",
            "build(5)",
        ),
    ),
    "a named tuple that the function around has": (
        """
def factory(a, w):
    def apply(x):
        x = Conv2D(w, 1)(x)
        return Conv2D(a.filters, a.kernel, padding="same")(x)
    return apply
def build(w=4, k=3):
    i = x = keras.Input((12, 12, 3))
    x = factory(Args(w, k), 2)(x); x = factory(Args(5, 1), 3)(x); x = factory(Args(5, 3), 4)(x)
    return Model(i, x)
""",
        (
            "build()",
            "build(5)",
            "build(5, 1)",
        ),
    ),
    "a named tuple given to a layer": (
        """
class L(keras.layers.Layer):
    def __init__(self, a, w, **kw):
        super().__init__(**kw)
        self.c = Conv2D(a.filters, a.kernel, padding="same")
        self.d = Conv2D(w, 1)
    def call(self, x):
        return self.d(self.c(x))
def build(w=4):
    i = x = keras.Input((12, 12, 3))
    x = L(Args(w, 3), 3)(x)
    return Model(i, x)
""",
        (
            "build()",
            "build(5)",
        ),
    ),
    "a named tuple that a layer keeps": (
        """
class L(keras.layers.Layer):
    def __init__(self, a, w, **kw):
        super().__init__(**kw)
        self.a = a
        self.d = Conv2D(w, 1)
    def call(self, x):
        return self.d(x) * float(self.a.filters)
def build(w=4):
    i = x = keras.Input((12, 12, 3))
    x = L(Args(w, 3), 3)(x)
    return Model(i, x)
""",
        (
            "build()",
            "build(5)",
        ),
    ),
    "an attribute of an object": (
        """
class Net:
    def __init__(self, f):
        self.f = f
    def run(self, x, w):
        x = Conv2D(w, 1)(x)
        return Conv2D(self.f, 1)(x)
def build(w=4):
    i = x = keras.Input((12, 12, 3))
    n = Net(w)
    x = n.run(x, 7)
    x = n.run(x, 8)
    return Model(i, x)
""",
        (
            "build()",
            "build(5)",
        ),
    ),
    "a named tuple that is an attribute": (
        """
class Net:
    def __init__(self, f):
        self.f = f
    def run(self, x, w):
        x = Conv2D(w, 1)(x)
        return Conv2D(self.f.filters, 1)(x)
def build(w=4):
    i = x = keras.Input((12, 12, 3))
    n = Net(Args(w, 3))
    x = n.run(x, 7)
    x = n.run(x, 8)
    return Model(i, x)
""",
        (
            "build()",
            "build(5)",
        ),
    ),
    "an attribute of the object that made the function": (
        """
class Net:
    def __init__(self, w):
        self.w = w
    def conv(self, k):
        def apply(x, w):
            x = Conv2D(self.w, k, padding="same")(x)
            return Conv2D(w, 1)(x)
        return apply
def build(w=4):
    i = x = keras.Input((12, 12, 3))
    n, m = Net(w), Net(7)
    c = n.conv(3)
    x = c(x, 2)
    x = m.conv(1)(x, 3)
    return Model(i, x)
""",
        (
            "build()",
            "build(5)",
        ),
    ),
    "an argument of a partial function": (
        """
def conv(x, f):
    return Conv2D(f, 1)(x)
def block(x, op, w):
    x = Conv2D(w, 1)(x)
    return op(x)
def build(w=4):
    i = x = keras.Input((12, 12, 3))
    x = block(x, functools.partial(conv, f=w), 7)
    x = block(x, functools.partial(Conv2D, w, 1)(), 8)
    return Model(i, x)
""",
        (
            "build()",
            "build(5)",
        ),
    ),
    "a default of a function that is given": (
        """
def block(x, op, w):
    x = Conv2D(w, 1)(x)
    return op(x)
def build(w=4):
    i = x = keras.Input((12, 12, 3))
    x = block(x, lambda z: Conv2D(w, 1)(z), 7)
    x = block(x, lambda z, w=w + 1: Conv2D(w, 1)(z), 9)
    return Model(i, x)
""",
        (
            "build()",
            "build(5)",
        ),
    ),
    "a list that the function around has": (
        """
def build(w=4):
    sizes = [w, 2]
    d = {"a": w}
    def block(x, w):
        x = Conv2D(sizes[0], 1)(x)
        x = Conv2D(d["a"], 1)(x)
        return Conv2D(w, 1)(x)
    i = x = keras.Input((12, 12, 3))
    x = block(x, 7)
    sizes[0] = 5
    d["a"] = w + 7
    x = block(x, 8)
    return Model(i, x)
""",
        (
            "build()",
            "build(5)",
        ),
    ),
    "fields called like sizes": (
        """
A = collections.namedtuple("A", "in_channels height")
def block(x, a):
    y = Conv2D(a.in_channels, 1)(x)
    return Conv2D(x.shape[-1] + a.height, 1)(y)
def build(w=4, k=3):
    i = x = keras.Input((12, 12, 3))
    x = block(x, A(w, 2))
    x = block(x, A(5, k))
    return Model(i, x)
""",
        (
            "build()",
            "build(5)",
            "build(5, 1)",
        ),
    ),
    "fields and parameters of like names": (
        """
Args = collections.namedtuple("Args", "x y")
def block(x, a, a_x=2):
    y = Conv2D(a.x, a.y, padding="same")(x)
    return Conv2D(a_x, 1)(y)
def build(w=4, k=3):
    i = x = keras.Input((12, 12, 3))
    x = block(x, Args(w, k), 2); x = block(x, Args(5, 1), 3); x = block(x, Args(3, k), 3)
    return Model(i, x)
""",
        (
            "build()",
            "build(5)",
            "build(5, 1)",
        ),
    ),
    "named tuples that are compared": (
        """
BASE = Args(4, 3)
def block(x, a):
    y = Conv2D(a.filters, a.kernel, padding="same")(x)
    if a == BASE:
        y = ReLU()(y)
    if a != (5, 1):
        y = BatchNormalization()(y)
    if a > (4, 2):
        y = Conv2D(2, 1)(y)
    if a.filters in a:
        y = Conv2D(3, 1)(y)
    return y
def build(w=4, k=3):
    i = x = keras.Input((12, 12, 3))
    x = block(x, Args(w, k)); x = block(x, Args(5, 1)); x = block(x, Args(3, k))
    return Model(i, x)
""",
        (
            "build()",
            "build(5)",
            "build(5, 1)",
        ),
    ),
    "named tuples that are iterated over": (
        """
def block(x, a):
    for f in a:
        x = Conv2D(f, 1)(x)
    for f in a[1:]:
        x = Conv2D(f + len(a), 1)(x)
    return Conv2D(max(a), min(a), padding="same")(x)
def build(w=4, k=3):
    i = x = keras.Input((12, 12, 3))
    x = block(x, Args(w, k)); x = block(x, Args(5, 1)); x = block(x, Args(2, k))
    return Model(i, x)
""",
        (
            "build()",
            "build(5)",
            "build(5, 1)",
        ),
    ),
    "a field that decides the structure and is not known": (
        """
def block(x, a, w):
    for j in range(a.kernel):
        x = Conv2D(a.filters * (j + 1), 1)(x)
    if isinstance(a.kernel, float):
        x = ReLU()(x)
    return Conv2D(w, 1)(x)
def build(w=4, k=2):
    i = x = keras.Input((12, 12, 3))
    x = block(x, Args(w, k), 2)
    x = block(x, Args(5, 1), 3)
    x = block(x, Args(5, w), w)
    return Model(i, x)
""",
        (
            "build()",
            "build(5)",
            "build(5, 3)",
        ),
    ),
}


@pytest.mark.parametrize("name", NAMES_ALIKE)
def test_names_of_a_class_are_not_taken_for_those_around(name: str, tmp_path: Path):
    program, entries = NAMES_ALIKE[name]
    conversion = convert(HEAD + NAMED + program, entries[0], tmp_path)
    text = conversion.modules[0].text
    known = entries if conversion.entries[0].tier == "structure" else entries[:1]
    for entry in known:
        assert_same(load(text), HEAD + NAMED + program, entry, tmp_path)
