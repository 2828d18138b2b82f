"""Functions of Keras and TensorFlow that call functions of the program: on items, a number of times, one of several."""

from __future__ import annotations

from pathlib import Path

import pytest

from transpiler.ir.model import KERAS2, KERAS3
from transpiler.pipeline import convert_file
from transpiler.verify import verify_file

STEPS = """
import keras
import tensorflow as tf
from keras import layers, ops


class Steps(layers.Layer):
    def __init__(self, steps=4, **kwargs):
        super().__init__(**kwargs)
        self.steps = steps
        self.dense = layers.Dense(3)

    def call(self, x):
        x = ops.fori_loop(0, self.steps, lambda i, v: v + ops.tanh(v) * ops.cast(i + 1, v.dtype), x)
        t = ops.transpose(x, (1, 0, 2))
        total, seen = ops.scan(lambda c, v: (c + v, ops.tanh(c * v)), ops.zeros_like(t[0]), t, reverse=True)
        each = ops.map(lambda v: self.dense(v) * 2.0, t)
        left = tf.foldl(lambda a, v: a * 0.5 + v, t)
        right = tf.foldr(lambda a, v: a * 0.5 + v, t, ops.ones_like(t[0]))
        plus, times = ops.vectorized_map(lambda ab: (ab[0] + ab[1], ab[0] * ab[1]), (t, seen))
        last = ops.while_loop(lambda i, v: i < 3, lambda i, v: (i + 1, v * 1.5), (0, total))[1]
        last = ops.switch(5, [lambda v: v, lambda v: v + 1.0], last)
        return ops.transpose(each + left + right + plus + times, (1, 0, 2)) + last[:, None]


def build(steps=3):
    i = keras.Input((5, 3))
    return keras.Model(i, layers.Dense(2)(Steps(steps)(layers.Dense(3)(i))))
"""


def test_loops_over_known_sizes_are_loops_of_python(tmp_path: Path):
    path = tmp_path / "net.py"
    path.write_text(STEPS)
    (result,) = verify_file(path, entries=["build()"], generation=KERAS3)
    assert result.status == "pass", result.reason


OPEN = {
    "the batch": "ops.map(lambda v: v * 2.0, x)",
    "a fold over the batch": "tf.foldl(lambda a, v: a + v, x)",
    "a choice by a tensor": "ops.switch(ops.cast(x[0, 0], 'int32'), [lambda v: v, lambda v: v + 1.0], x)",
}


@pytest.mark.parametrize("name", OPEN)
def test_what_is_open_is_declined(name: str, tmp_path: Path):
    path = tmp_path / "net.py"
    path.write_text(
        "import keras\nimport tensorflow as tf\nfrom keras import layers, ops\n\n\ndef build():\n"
        f"    i = keras.Input((3,))\n    return keras.Model(i, layers.Lambda(lambda x: {OPEN[name]})(i))\n"
    )
    errors = [f for f in convert_file(path, entries=["build()"]).findings if f.severity.name == "ERROR"]
    assert [f.code for f in errors] == ["K2T103"], errors


ATTENTION = """
from tf_keras import layers, models, backend as K


class Reader(layers.Layer):
    def build(self, shape):
        self.w = self.add_weight(name="w", shape=(shape[-1], shape[-1]), initializer="glorot_uniform")
        super().build(shape)

    def call(self, x):
        whole = K.mean(x, axis=1)

        def step(inputs, states):
            state = K.tanh(K.dot(inputs, self.w) + states[0] * states[1])
            return state * 2.0, [state]

        last, seen, states = K.rnn(step, x, [K.zeros_like(x[:, 0])], go_backwards=True, constants=[whole])
        return seen + (last * states[0])[:, None]


def build():
    i = layers.Input((4, 3))
    return models.Model(i, Reader()(layers.Dense(3)(i)))
"""


def test_a_step_function_runs_over_the_steps(tmp_path: Path):
    path = tmp_path / "net.py"
    path.write_text(ATTENTION)
    (result,) = verify_file(path, entries=["build()"], generation=KERAS2)
    assert result.status == "pass", result.reason
