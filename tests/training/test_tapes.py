"""Code with tapes: what it becomes, and what is declined."""

from pathlib import Path

import pytest

from transpiler.pipeline import convert_file

SCRIPT = """
import numpy as np
import tensorflow as tf
from tensorflow import keras

model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)])
optimizer = keras.optimizers.SGD(0.1)
x = np.zeros((8, 4), "float32")
y = np.zeros((8, 1), "float32")
for step in range(3):
    with tf.GradientTape() as tape:
        prediction = model(x, training=True)
        loss = {loss}
    gradients = tape.gradient(loss, model.trainable_variables)
    {between}
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    print(loss.numpy())
"""
MEAN = "tf.reduce_mean(tf.square(y - prediction))"


def converted(tmp_path: Path, loss: str = MEAN, between: str = "pass") -> tuple[str, list[str]]:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(loss=loss, between=between))
    conversion = convert_file(path, generation="keras3")
    return conversion.modules[0].text, [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]


def test_a_loss_of_arithmetic_keeps_its_brackets(tmp_path: Path):
    text, errors = converted(tmp_path)
    assert not errors
    assert "loss = ((torch.as_tensor(y, dtype=torch.float32, device=device) - prediction) ** 2).mean()" in text


@pytest.mark.parametrize(
    ("between", "wanted"),
    (
        ("gradients = [tf.clip_by_norm(g, 1.0) for g in gradients]", "parameter.grad *= 1.0 /"),
        ("gradients, norm = tf.clip_by_global_norm(gradients, 5.0)", "scale = 5.0 /"),
        (
            "gradients = [tf.clip_by_value(g, -1.0, 1.0) for g in gradients]",
            "clip_grad_value_(model.parameters(), 1.0)",
        ),
    ),
)
def test_gradients_are_clipped_where_they_are_held(between: str, wanted: str, tmp_path: Path):
    text, errors = converted(tmp_path, between=between)
    assert not errors
    assert wanted in text


def test_a_model_is_set_to_training_again_after_its_predictions(tmp_path: Path):
    text, errors = converted(tmp_path, between="model.predict(x)")
    assert not errors
    assert text.index("for step in range(3):") < text.index("model.train()\n    prediction")


@pytest.mark.parametrize(
    "between",
    (
        "gradients = [2 * g for g in gradients]",
        "print(gradients)",
        "optimizer.learning_rate = 0.5",
        "model.fit(x, y)",
        "model.set_weights(model.weights)",
        "gradients = [tf.clip_by_value(g, -1.0, 2.0) for g in gradients]",
    ),
)
def test_what_cannot_be_followed_leaves_all_as_it_is(between: str, tmp_path: Path):
    text, errors = converted(tmp_path, between=between)
    assert errors
    assert "tf.GradientTape()" in text


def test_a_loss_of_each_sample_alone_is_declined(tmp_path: Path):
    assert converted(tmp_path, loss="tf.reduce_sum(y - prediction, axis=1)[0]")[1]


@pytest.mark.parametrize(("added", "why"), (("tf.reduce_mean(x)", ""), ("x", "losses of several numbers")))
def test_what_layers_add_to_the_loss(added: str, why: str, tmp_path: Path):
    """Terms of several numbers are added up by `fit` alone."""
    path = tmp_path / "script.py"
    own = f"class Adds(keras.layers.Layer):\n    def call(self, x):\n        self.add_loss({added})\n        return x\n\n\nmodel ="
    text = SCRIPT.replace("model =", own, 1).replace("keras.layers.Dropout(0.5)", "Adds()")
    path.write_text(text.format(loss=f"{MEAN} + sum(model.losses)", between="pass"))
    conversion = convert_file(path, generation="keras3", allow_partial=True)
    assert ("+ added_losses(model)" in conversion.modules[0].text) == (not why)
    assert any(why in f.message for f in conversion.all_findings) if why else not conversion.all_findings


def test_what_one_tape_recorded_is_declined_under_the_next(tmp_path: Path):
    again = "with tf.GradientTape() as tape:\n        loss = loss + tf.reduce_mean(model(x))"
    _, errors = converted(tmp_path, between=again)
    assert any("another tape recorded" in e for e in errors)
