"""Classes of the program that derive from Keras's `Wrapper`: converted, run under Keras and under torch, compared."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from transpiler.pipeline import convert_file
from transpiler.verify import verify_file

HEAD = """
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers
"""

WRAPPERS = {
    "what it wraps is called": """
        class Scaled(layers.Wrapper):
            def __init__(self, layer, factor=0.5, **kwargs):
                super().__init__(layer, **kwargs)
                self.factor = factor

            def call(self, x):
                return self.layer(x) * self.factor

        def build(units=4):
            i = keras.Input((6,))
            return keras.Model(i, Scaled(layers.Dense(3), factor=2.0)(Scaled(layers.Dense(units))(i)))
        """,
    "what it wraps is only built": """
        class Normed(layers.Wrapper):
            def build(self, input_shape):
                if not self.layer.built:
                    self.layer.build(input_shape)
                w = self.layer.kernel
                self.v = self.add_weight(shape=w.shape, initializer="random_normal", name="v")
                self.g = self.add_weight(shape=(w.shape[-1],), initializer="ones", name="g")
                super().build(input_shape)

            def call(self, x):
                kernel = self.g * self.v / tf.sqrt(tf.reduce_sum(tf.square(self.v), axis=0, keepdims=True))
                return tf.nn.conv1d(x, filters=kernel, stride=1, padding="SAME")

        def build():
            i = keras.Input((8, 2))
            x = Normed(layers.Conv1D(4, 3))(i)
            return keras.Model(i, Normed(layers.Conv1D(3, 2, use_bias=False))(x))
        """,
}


@pytest.mark.parametrize("generation", ["keras3", "tf_keras"])
@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapper_of_the_program(name: str, generation: str, tmp_path: Path):
    path = tmp_path / "prog.py"
    path.write_text(HEAD + textwrap.dedent(WRAPPERS[name]))
    (result,) = verify_file(path, entries=["build()"], generation=generation)
    assert (result.reason, result.status) == ("", "pass")


def test_a_wrapper_that_computes_with_the_weights_inside_is_declined(tmp_path: Path):
    path = tmp_path / "prog.py"
    source = """
        class Tied(layers.Wrapper):
            def call(self, x):
                return tf.matmul(self.layer(x), self.layer.kernel, transpose_b=True)

        def build():
            i = keras.Input((6,))
            return keras.Model(i, Tied(layers.Dense(3))(i))
        """
    path.write_text(HEAD + textwrap.dedent(source))
    conversion = convert_file(path, entries=["build()"])
    assert conversion.entries == []
    assert [f.code for f in conversion.findings] == ["K2T201"]
