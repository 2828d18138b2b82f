"""Functions of the backend that act where the program makes or calls its layers: variables, choices, dropout, prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from transpiler.pipeline import convert_file
from transpiler.verify import verify_file

HEAD = """
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers, backend as K
"""

VARIABLES = """
class Scale(layers.Layer):
    def build(self, shape):
        self.gain = K.variable(np.linspace(0.5, 1.5, 3), name="gain")
        self.shift = K.variable(K.ones((3,)), constraint=keras.constraints.NonNeg())
        self.slope = K.variable(2)
        self.power = tf.Variable(0.5, trainable=True)
        super().build(shape)

    def call(self, x):
        return self.slope * x * self.gain + K.tanh(x * self.power) + self.shift

def build():
    i = keras.Input((3,))
    return keras.Model(i, layers.Dense(2)(Scale()(layers.Dense(3)(i))))
"""

CHOICES = """
class Noisy(layers.Layer):
    def __init__(self, twice=True, **kwargs):
        super().__init__(**kwargs)
        self.twice = twice

    def call(self, x, training=None):
        x = tf.cond(tf.constant(self.twice), lambda: x + x, lambda: x)
        return K.in_train_phase(K.dropout(x, 0.0), K.print_tensor(x, "x ="), training=training)

def build():
    i = keras.Input((4,))
    x = Noisy()(layers.Dense(4)(i))
    return keras.Model(i, layers.Dense(K.count_params(i[0]))(Noisy(False)(x)))
"""


SETTINGS = """
def build(units=4):
    K.clear_session()
    tf.random.set_seed(3)
    K.set_image_data_format("channels_last")
    axis = -1 if K.image_data_format() == "channels_last" else 1
    i = keras.Input((6, 6, 3))
    assert K.is_keras_tensor(i) and K.backend() == "tensorflow" and K.floatx() == "float32"
    with K.name_scope("block"), tf.name_scope("inner"):
        x = layers.BatchNormalization(axis=axis, epsilon=K.epsilon())(layers.Conv2D(units, 3)(i))
    sources = keras.utils.get_source_inputs(x)
    return keras.Model(sources, layers.Dense(K.int_shape(x)[axis] * K.ndim(x))(x))
"""


GREATEST = """
class Greatest(layers.Layer):
    def __init__(self, k, **kwargs):
        super().__init__(**kwargs)
        self.k = k

    def call(self, x):
        values, places = tf.nn.top_k(tf.nn.relu(x), self.k)
        return values + tf.cast(places, values.dtype)

def build(k=3):
    i = keras.Input((9,))
    return keras.Model(i, layers.Dense(2)(Greatest(k=k)(Greatest(k + 2)(i))))
"""


def verified(source: str, generation: str, tmp_path: Path):
    path = tmp_path / "prog.py"
    path.write_text(HEAD + source)
    (result,) = verify_file(path, entries=["build()"], generation=generation)
    return result


def test_variables_of_the_backend_are_weights_of_legacy_keras_alone(tmp_path: Path):
    result = verified(VARIABLES, "tf_keras", tmp_path)
    assert (result.reason, result.status) == ("", "pass")
    result = verified(VARIABLES, "keras3", tmp_path)
    assert result.status == "declined" and "tf.Variable" in result.reason


@pytest.mark.parametrize("generation", ["keras3", "tf_keras"])
def test_how_results_are_taken_may_read_a_parameter(generation: str, tmp_path: Path):
    result = verified(GREATEST, generation, tmp_path)
    assert (result.reason, result.status, result.tier) == ("", "pass", "structure")


def test_settings_and_names_change_nothing(tmp_path: Path):
    result = verified(SETTINGS, "tf_keras", tmp_path)
    assert (result.reason, result.status) == ("", "pass")


def test_choices_dropout_and_prints_in_a_layer(tmp_path: Path):
    result = verified(CHOICES, "tf_keras", tmp_path)
    assert (result.reason, result.status) == ("", "pass")
    found = convert_file(tmp_path / "prog.py", entries=["build()"], generation="tf_keras").findings
    assert "K2T405" in {f.code for f in found}


@pytest.mark.parametrize("generation", ["keras3", "tf_keras"])
def test_a_choice_by_a_tensor_is_declined(generation: str, tmp_path: Path):
    source = "i = keras.Input((4,))\nmodel = keras.Model(i, layers.Lambda(lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: x, lambda: -x))(i))\n"
    path = tmp_path / "prog.py"
    path.write_text(HEAD + source)
    found = convert_file(path, generation=generation).findings
    assert any("tensor decides" in f.message for f in found)
