"""Programs with functions on tensors, constants and run-time sizes: the result holds at arguments it was not made for."""

from __future__ import annotations

from pathlib import Path

import pytest
from held import assert_same, convert, load

HEAD = """
import keras, tensorflow as tf
from keras import layers, ops, Model
from keras.layers import *
from keras import backend as K
"""
CASES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "attention by hand": (
        """
def attend(x, heads):
    n, d = x.shape[1], x.shape[2]
    def split(t):
        return ops.transpose(ops.reshape(t, (-1, n, heads, d // heads)), (0, 2, 1, 3))
    q, k, v = split(Dense(d)(x)), split(Dense(d)(x)), split(Dense(d)(x))
    a = ops.softmax(ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) / ops.sqrt(ops.cast(d // heads, "float32")))
    y = ops.transpose(ops.matmul(a, v), (0, 2, 1, 3))
    return Dense(d)(ops.reshape(y, (-1, n, d)))

def build(n=6, d=8, heads=2, depth=2):
    i = keras.Input((n, d))
    x = i
    for _ in range(depth):
        x = x + attend(x, heads)
    return Model(i, ops.mean(x, axis=1))
""",
        ("build()", "build(5, 12, heads=3)", "build(depth=3)"),
        ("math.sqrt(self.in_channels // self.heads)",),
    ),
    "positions": (
        """
def positions(n, d):
    p = ops.cast(ops.arange(n), "float32")[:, None]
    f = ops.exp(ops.arange(0, d, 2, dtype="float32") * (-4.0 / d))
    a = p * f[None, :]
    return ops.concatenate([ops.sin(a), ops.cos(a)], axis=-1)

def build(n=6, d=8):
    i = keras.Input((n, 3))
    return Model(i, Dense(3)(Dense(d)(i) + positions(n, d)[None]))
""",
        ("build()", "build(4, 6)"),
        ("f = torch.exp(", "nn.Buffer(torch.cat((torch.sin(a), torch.cos(a)), dim=1)[None], persistent=False)"),
    ),
    "images stay channels first": (
        """
def gate(x):
    c = x.shape[-1]
    a, b = x[..., : c // 2], x[..., c // 2 :]
    s = ops.mean(b, axis=[1, 2], keepdims=True)
    m = ops.max(x, axis=-1, keepdims=True)
    return ops.concatenate([a * ops.sigmoid(s), b * m], axis=-1)

def build(c=8):
    i = keras.Input((9, 8, 3))
    x = gate(Conv2D(c, 3, padding="same")(i))
    u, v = ops.split(x, 2, axis=-1)
    x = ops.concatenate([v, u, ops.flip(u, axis=1)], -1)
    x = ops.pad(x, ((0, 0), (1, 0), (0, 2), (0, 0)))
    x = x - ops.mean(x, axis=(1, 2, 3), keepdims=True)
    found = [ops.sum(x, axis=1), ops.var(x, axis=-1), ops.sum(ops.abs(x), axis=(0, 1)), ops.max(x, axis=(0, 2))]
    return Model(i, [Conv2D(2, 1)(x), *found])
""",
        ("build()", "build(12)"),
        ("u, v = x.chunk(2, dim=1)", "x[:, : self.c // 2]"),
    ),
    "constants in loops and branches": (
        """
def build(n=3, use=True):
    i = keras.Input((4, 5))
    x = i
    scale = ops.convert_to_tensor([0.5, 1.0, 1.5, 2.0, 2.5])
    for k in range(n):
        step = ops.arange(5, dtype="float32") * (k + 1)
        x = Dense(5)(x) * scale + step
        scale = scale * 2.0
    if use:
        w = ops.arange(4, dtype="float32")
    else:
        w = ops.ones((4,))
    return Model(i, x * ops.expand_dims(w, -1))
""",
        ("build()", "build(1)", "build(2, False)"),
        (),
    ),
    "sizes of inputs in the builder": (
        """
def build(a=4, b=6, c=3):
    i = keras.Input((a, b, c))
    n = i.shape[1] * i.shape[2]
    x = Reshape((n, c))(i)
    if n > 25:
        x = Dense(n // 2)(x)
    return Model(i, Lambda(lambda t: t * n)(x))
""",
        ("build()", "build(5, 5)", "build(7, 5, 2)"),
        ("n = a * b",),
    ),
    "sizes at run time": (
        """
def flat(x, b):
    return tf.reshape(x, (b, -1))[:, :4]

def up(x, y):
    return Lambda(lambda z: tf.image.resize(z[0], tf.shape(z[1])[1:3]))([x, y])

def build(c=3):
    i = keras.Input((4, c))
    j = keras.Input((None, None, 3))
    x = Lambda(lambda t: flat(t, tf.shape(t)[0]))(i)
    y = Conv1D(4, 1)(i)
    t = Lambda(lambda u: tf.tile(tf.ones((1, 1, 4)), (tf.shape(u)[0], 2, 1)) * u[:, :1])(y)
    h = Conv2D(4, 3, strides=2, padding="same")(j)
    return Model([i, j], [x, t, up(h, j)])
""",
        ("build()", "build(5)"),
        ("size=(", "j.shape[2]"),
    ),
    "a constant of a custom layer": (
        """
class Scale(layers.Layer):
    def __init__(self, n, **kw):
        super().__init__(**kw)
        self.n = n
        self.table = ops.cast(ops.arange(n), "float32") / n

    def call(self, x):
        b = ops.shape(x)[0]
        z = ops.zeros((b, 1, x.shape[-1]))
        return ops.concatenate([z, x * ops.reshape(self.table, (1, -1, 1))], axis=1)

def build(n=4, c=3):
    i = keras.Input((n, c))
    return Model(i, Scale(n)(Dense(c)(i)))
""",
        ("build()", "build(6, 2)"),
        ("x.new_zeros(x.shape[0], 1, self.in_channels)", "torch.arange(n)"),
    ),
    "a variable of a branch that forward reads": (
        """
def build(n=16, fold=True):
    i = keras.Input((n, 3))
    x = Dense(4)(i)
    if fold:
        h = int(n**0.5)
        x = Conv2D(4, 2)(ops.reshape(x, (-1, h, h, 4)))
        x = GlobalAveragePooling2D()(x)
    else:
        x = GlobalAveragePooling1D()(x)
    return Model(i, Dense(2)(x))
""",
        ("build()", "build(9)", "build(9, False)"),
        (),
    ),
}
"""Name → the program, entries (the first is the one converted for) and texts that the result contains."""


@pytest.mark.parametrize(("name", "entry"), [(n, e) for n, c in CASES.items() for e in c[1]])
def test_the_result_holds_at_other_arguments(name: str, entry: str, tmp_path: Path) -> None:
    source, entries, texts = CASES[name]
    conversion = convert(HEAD + source, entries[0], tmp_path)
    assert conversion.entries[0].tier == "structure"
    for text in texts:
        assert text in conversion.modules[0].text
    assert_same(load(conversion.modules[0].text), HEAD + source, entry, tmp_path)
