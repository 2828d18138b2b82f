"""`training=` at a call, where it holds whatever the mode of the model; legacy Keras is known from what a file imports."""

from __future__ import annotations

from pathlib import Path

import pytest

from transpiler.pipeline import convert_file
from transpiler.verify import verify_file

PROGRAMS = {
    "layers of legacy Keras": """
import tf_keras as keras
from tf_keras import layers

def build(n=4, rate=0.3):
    i = keras.Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(n, 3)(i), training=False)
    x = layers.Flatten()(layers.SpatialDropout2D(rate)(x, training=True))
    return keras.Model(i, layers.Dense(n)(layers.Dropout(0.2)(x, training=True)))
""",
    "a layer of the program": """
import keras
from keras import layers

class Noisy(layers.Layer):
    def __init__(self, rate):
        super().__init__()
        self.drop = layers.Dropout(rate)
        self.norm = layers.BatchNormalization()

    def call(self, x):
        return self.drop(self.norm(x, training=False), training=True)

def build():
    i = keras.Input((5,))
    return keras.Model(i, layers.Dense(3)(Noisy(0.4)(i)))
""",
    "a mode and a number": """
import keras, tensorflow as tf
from keras import layers

class DropPath(layers.Layer):
    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def call(self, x, training=None):
        if (not training) or self.rate == 0.0:
            return x
        kept = tf.floor(1.0 - self.rate + tf.random.uniform((tf.shape(x)[0], 1)))
        return x / (1.0 - self.rate) * kept

def build(depth=2, rate=0.0):
    x = i = keras.Input((5,))
    for k in range(depth):
        x = x + DropPath(rate * k)(layers.Dense(5)(x))
    return keras.Model(i, x)
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_mode_that_a_call_fixes_holds(name: str, tmp_path: Path):
    file = tmp_path / "prog.py"
    file.write_text(PROGRAMS[name])
    (result,) = verify_file(file, entries=["build()"])
    assert (result.reason, result.status, result.tier) == ("", "pass", "structure")


def test_batches_at_inference_are_declined(tmp_path: Path):
    file = tmp_path / "prog.py"
    file.write_text(PROGRAMS["layers of legacy Keras"].replace("training=False", "training=True"))
    (finding,) = [f for f in convert_file(file, entries=["build()"]).findings if f.severity.name == "ERROR"]
    assert finding.code == "K2T404"
