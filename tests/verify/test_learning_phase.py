"""The learning phase of legacy Keras is the mode of the module: `K.learning_phase()`, `K.in_train_phase`."""

from __future__ import annotations

from pathlib import Path

from transpiler.verify import verify_file

PROGRAM = """
from tensorflow import keras
from tensorflow.keras import layers, backend as K

class Scaled(layers.Layer):
    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x, training=None):
        def scaled():
            return x * self.factor
        return K.in_train_phase(scaled, x, training=training)

def build():
    i = keras.Input((4,))
    x = layers.Dense(3, activation="tanh")(Scaled(3.0)(i))
    x = layers.Lambda(lambda t: K.in_test_phase(t - 1.0, t))(x)
    return keras.Model(i, layers.Dense(2)(x))
"""


def test_the_learning_phase_is_the_mode_of_the_module(tmp_path: Path):
    file = tmp_path / "prog.py"
    file.write_text(PROGRAM)
    (result,) = verify_file(file, entries=["build()"], generation="tf_keras")
    assert (result.reason, result.status) == ("", "pass")
