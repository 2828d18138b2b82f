"""Losses of the program's classes, and losses of masked outputs: what is declined."""

from pathlib import Path

import pytest

from transpiler.pipeline import convert_file

LOSS = """
import numpy as np
import tensorflow as tf
from tensorflow import keras


class Own(keras.losses.Loss):
{constructor}
    def call(self, y_true, y_pred):
        {call}


model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1{activation})])
model.compile("sgd", loss=Own())
model.fit(np.zeros((8, 4)), {targets})
"""
SQUARE = "return tf.square(y_true - y_pred)"
SUMMED = """
    def __init__(self):
        super().__init__(reduction="sum")
"""


@pytest.mark.parametrize(
    ("change", "reason"),
    (
        ({"constructor": SUMMED}, "says how its values are reduced"),
        ({"call": "return tf.numpy_function(np.abs, [y_pred], tf.float32)"}, "is not translated"),
        ({"call": "return keras.losses.binary_crossentropy(y_true, y_pred)", "activation": ', "sigmoid"'}, "logits"),
        ({"targets": "np.load('targets.npy')"}, "the shape of the targets"),
    ),
)
def test_what_is_not_surely_the_same_loss_is_declined(change: dict[str, str], reason: str, tmp_path: Path):
    given = {"constructor": "", "call": SQUARE, "activation": "", "targets": "np.zeros((8, 1))", **change}
    path = tmp_path / "script.py"
    path.write_text(LOSS.format(**given))
    conversion = convert_file(path, generation="keras3")
    errors = [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]
    assert any(reason in e for e in errors), errors
    assert "run_epoch" not in conversion.modules[0].text


MASKED = """
import numpy as np
from tensorflow import keras
from tensorflow.keras import layers


def own(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


inputs = layers.Input((6,))
x = layers.Embedding(9, 4, mask_zero=True)(inputs)
{layer}
model = keras.Model(inputs, layers.Dense(1)(x))
model.compile("sgd", loss={loss}, metrics=[{metric}])
model.fit(np.ones((8, 6), "int32"), np.zeros((8, 6, 1)){weights})
"""


@pytest.mark.parametrize(
    "change",
    (
        {"loss": "own"},
        {"metric": "keras.metrics.RootMeanSquaredError()"},
        {"weights": ", sample_weight=np.ones((8,))"},
        {"layer": "x = layers.Masking()(layers.Dense(4)(x))"},
    ),
)
def test_what_keras_makes_of_a_mask_in_another_way_is_declined(change: dict[str, str], tmp_path: Path):
    given = {"loss": "'mse'", "metric": "'mae'", "weights": "", "layer": "", **change}
    path = tmp_path / "script.py"
    path.write_text(MASKED.format(**given))
    conversion = convert_file(path, generation="keras3")
    errors = [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]
    assert any("mask" in e for e in errors), errors


def test_a_mask_of_the_inputs_is_made_in_the_loop(tmp_path: Path):
    path = tmp_path / "script.py"
    path.write_text(MASKED.format(loss="'mse'", metric="'mae'", weights="", layer=""))
    text = convert_file(path, generation="keras3").modules[0].text
    assert "mask = x != 0" in text
