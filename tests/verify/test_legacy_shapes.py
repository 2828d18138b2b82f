"""Shapes of legacy Keras are objects of TensorFlow: they join with tuples and lists, and tensors take `tf.newaxis`."""

from __future__ import annotations

from pathlib import Path

from transpiler.verify import verify_file

PROGRAM = """
import tf_keras as keras
import tensorflow as tf
from tf_keras import layers


class Heads(layers.Layer):
    def __init__(self, n):
        super().__init__()
        self.n = n
        self.q = layers.Dense(8)

    def call(self, x):
        x = self.q(x)
        shape = list(x.shape[:-1] + (self.n, x.shape[-1] // self.n))
        shape[0] = -1
        y = tf.transpose(tf.reshape(x, shape), perm=[0, 2, 1, 3])
        positions = tf.range(0, x.shape[1], 1)[tf.newaxis, ...]
        y = tf.reshape(tf.transpose(y, perm=[0, 2, 1, 3]), [-1, *x.shape[1:]])
        return y + tf.clip_by_value(x, tf.cast(positions, x.dtype)[..., tf.newaxis], 3.0)


def build(n=4):
    i = keras.Input((6, 3))
    return keras.Model(i, Heads(n)(i))
"""


def test_shapes_join_with_tuples(tmp_path: Path):
    file = tmp_path / "prog.py"
    file.write_text(PROGRAM)
    (result,) = verify_file(file, entries=["build()"])
    assert (result.reason, result.status, result.tier) == ("", "pass", "structure")
