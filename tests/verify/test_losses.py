"""Losses that models compute as functions on tensors."""

from __future__ import annotations

from pathlib import Path

import pytest

from transpiler.ir.model import KERAS2, KERAS3
from transpiler.pipeline import convert_file
from transpiler.verify import verify_file

VAE = """
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers, losses, backend as K


def penalty(args):
    mean, log_var = args
    return -0.5 * K.sum(1 + log_var - K.square(mean) - K.exp(log_var), axis=-1)


def build():
    image = keras.Input((5, 4))
    flat = layers.Flatten()(image)
    mean, log_var = layers.Dense(3)(flat), layers.Dense(3)(flat)
    decoded = layers.Dense(20, activation="sigmoid")(mean)
    probable = layers.Softmax()(layers.Dense(20)(log_var))
    wanted = layers.Lambda(lambda x: K.sigmoid(3.0 * x))(flat)
    entropy = layers.Lambda(lambda a: losses.binary_crossentropy(a[0], a[1]) * 20)([wanted, decoded])
    classes = layers.Lambda(lambda a: losses.categorical_crossentropy(a[0], a[1]))([layers.Softmax()(wanted), probable])
    focal = layers.Lambda(lambda a: losses.binary_focal_crossentropy(*a))([wanted, decoded])
    plain = layers.Lambda(lambda a: losses.mse(*a) + losses.binary_crossentropy(a[1], a[0]))([wanted, decoded])
    return keras.Model(image, [decoded, entropy, classes, focal, plain, layers.Lambda(penalty)([mean, log_var])])
"""

SPEECH = """
import keras
from keras import layers, ops


def build():
    sound = keras.Input((9, 4))
    labels = layers.Lambda(lambda x: ops.cast(ops.floor(4 * ops.sigmoid(x[:, :3, 0])) + 1, "int32"))(sound)
    x = layers.Dense(6)(sound)
    return keras.Model(sound, layers.Lambda(lambda a: keras.losses.ctc(a[0], a[1]))([labels, x]))
"""

OCR = """
from tf_keras import layers, models, backend as K


def ctc_lambda_func(args):
    y_pred, labels, input_length, label_length = args
    y_pred = y_pred[:, 2:, :]
    return K.ctc_batch_cost(labels, y_pred, input_length, label_length)


def build(classes=6):
    image = layers.Input((11, 4), name="the_input")
    y_pred = layers.Dense(classes, activation="softmax")(image)
    labels = layers.Lambda(lambda x: K.cast(5 * K.sigmoid(x[:, :3, 0]), "int32"))(image)
    steps = layers.Lambda(lambda x: 7 + K.cast(2 * K.sigmoid(x[:, 0, 1:2]), "int32"))(image)
    count = layers.Lambda(lambda x: 1 + K.cast(2 * K.sigmoid(x[:, 0, 2:3]), "int32"))(image)
    loss = layers.Lambda(ctc_lambda_func, output_shape=(1,), name="ctc")([y_pred, labels, steps, count])
    return models.Model(image, loss)
"""


@pytest.mark.parametrize(
    ("name", "generation"), [("VAE", KERAS3), ("VAE", KERAS2), ("SPEECH", KERAS3), ("OCR", KERAS2)]
)
def test_losses_are_those_of_keras(name: str, generation: str, tmp_path: Path):
    path = tmp_path / "net.py"
    path.write_text(globals()[name])
    results = verify_file(path, generation=generation)
    assert [r.status for r in results] == ["pass"], [(r.status, r.reason) for r in results]


def test_the_logits_behind_probabilities_are_found(tmp_path: Path):
    path = tmp_path / "net.py"
    path.write_text(VAE)
    text = convert_file(path, generation=KERAS2).modules[0].text
    assert "F.binary_cross_entropy_with_logits(" in text and "F.cross_entropy(" in text


FUNCTIONAL = """
import tensorflow as tf
from tf_keras import layers, models, backend as K


def build():
    inner = models.Sequential([layers.Input((3,)), layers.Dense(3, activation="sigmoid")])
    x = layers.Input((3,))
    return models.Model(x, K.binary_crossentropy(tf.sigmoid(x), inner(x)))
"""


def test_the_logits_inside_of_another_model_are_found(tmp_path: Path):
    path = tmp_path / "net.py"
    path.write_text(FUNCTIONAL)
    (result,) = verify_file(path, entries=["build()"], generation=KERAS2)
    assert result.status == "pass", result.reason


def test_what_keras_does_in_compiled_code_alone_is_declined(tmp_path: Path):
    path = tmp_path / "net.py"
    path.write_text(FUNCTIONAL.replace("inner(x))", "tf.sigmoid(inner(x)))"))
    errors = [
        f for f in convert_file(path, entries=["build()"], generation=KERAS2).findings if f.severity.name == "ERROR"
    ]
    assert errors and "where it compiles the model" in errors[0].message, errors
