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


def test_gradients_that_are_changed_become_a_list(tmp_path: Path):
    text, errors = converted(tmp_path, between="gradients = [2 * g for g in gradients]")
    assert not errors
    assert "gradients = torch.autograd.grad(loss, list(model.parameters()))" in text
    assert "for parameter, gradient in zip(model.parameters(), gradients):\n        parameter.grad = gradient" in text


def test_a_model_is_set_to_training_again_after_its_predictions(tmp_path: Path):
    text, errors = converted(tmp_path, between="model.predict(x)")
    assert not errors
    assert text.index("for step in range(3):") < text.index("model.train()\n    prediction")


@pytest.mark.parametrize(
    "between",
    (
        "gradients = [g for g in gradients if g is not None]",
        "gradients = [tf.reduce_sum(g, axis=0) for g in gradients]",
        "gradients = gradients[:2]",
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


def test_a_loss_of_one_sample_alone(tmp_path: Path):
    text, errors = converted(tmp_path, loss="tf.reduce_sum(y - prediction, axis=1)[0]")
    assert not errors
    assert ".sum(dim=1)[0]\n" in text and "loss.backward()" in text and "print(loss.item())" in text


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


MODEL = "keras.layers.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)"
WORDS = "keras.layers.Input((4,)), keras.layers.Embedding(9, 3), keras.layers.Flatten(), keras.layers.Dense(1)"
STEPS = "keras.layers.Input((4,)), keras.layers.Reshape((4, 1)), keras.layers.GRU(1)"


@pytest.mark.parametrize(
    ("layers", "optimizer", "between", "why"),
    (
        (STEPS, "SGD(0.1)", "gradients = [tf.clip_by_norm(g, 1.0) for g in gradients]", "in one piece"),
        (STEPS, "SGD(0.1)", "gradients = [tf.clip_by_norm(2 * g, 1.0) for g in gradients]", "in one piece"),
        (STEPS, "SGD(0.1, clipnorm=1.0)", "pass", "in one piece"),
        (STEPS, "SGD(0.1)", "gradients, norm = tf.clip_by_global_norm(gradients, 1.0)", ""),
        (WORDS, "SGD(0.1)", "gradients, norm = tf.clip_by_global_norm(gradients, 1.0)", "rows of embeddings"),
        (WORDS, "SGD(0.1)", "gradients = [tf.clip_by_norm(g, 1.0) for g in gradients]", "rows of embeddings"),
        (WORDS, "SGD(0.1)", "gradients = [tf.clip_by_value(g, -1.0, 1.0) for g in gradients]", ""),
    ),
)
def test_norms_of_gradients_that_are_others_in_torch(
    layers: str, optimizer: str, between: str, why: str, tmp_path: Path
):
    """A bias that is two parameters in torch has two norms there, and TensorFlow takes that of an embedding's gradient before
    it adds up what falls on one row."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.replace(MODEL, layers).replace("SGD(0.1)", optimizer).format(loss=MEAN, between=between))
    errors = [f.message for f in convert_file(path, generation="keras3").all_findings if f.severity.name == "ERROR"]
    assert any(why in e for e in errors) if why else not errors


@pytest.mark.parametrize(("norm", "freezes"), (("", True), ("keras.layers.BatchNormalization(), ", False)))
def test_a_base_that_is_frozen_before_the_loop(norm: str, freezes: bool, tmp_path: Path):
    path = tmp_path / "script.py"
    base = f"base = keras.Sequential([keras.layers.Input((4,)), {norm}keras.layers.Dense(3)])\nbase.trainable = False\n\nmodel ="
    text = SCRIPT.replace("model =", base, 1).replace("keras.layers.Dropout(0.5)", "base")
    path.write_text(text.format(loss=MEAN, between="pass"))
    conversion = convert_file(path, generation="keras3")
    errors = [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]
    if freezes:
        assert not conversion.all_findings
        assert "base.requires_grad_(False)" in conversion.modules[0].text
    else:
        assert any("BatchNormalization that is frozen beside a tape" in e for e in errors)


def test_a_tensor_that_is_added_to_is_a_new_one(tmp_path: Path):
    """In torch `+=` would change the array that a function is given."""
    text, errors = converted(tmp_path, loss=f"{MEAN}\n        loss += 1.0\n        prediction += 1.0")
    assert not errors
    assert "loss = loss + 1.0" in text and "prediction = prediction + 1.0" in text


STEP = """
import tensorflow as tf
from tensorflow import keras

model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
optimizer = keras.optimizers.SGD(0.1)


def train_step(x, y):
    {first}
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(y - model(x)))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))


def train(data):
    for x, y in {over}:
        train_step(x, y)
"""


@pytest.mark.parametrize(
    ("first", "over", "why"),
    (
        ("pass", "data", ""),
        ("x += 0.5", "data", "x += 0.5 of what becomes a tensor"),
        ("x = x * 2.0", "data", ""),
        ("print(x.std())", "data", "x.std() of what becomes a tensor"),
        ("x = tf.reshape(x, (-1, 4))", "data", ""),
        ("pass", "data.take(2)", "train() stays as it is, as the program does not call it: take() of what data holds"),
    ),
)
def test_what_functions_do_with_their_data(first: str, over: str, why: str, tmp_path: Path):
    path = tmp_path / "script.py"
    path.write_text(STEP.format(first=first, over=over))
    conversion = convert_file(path, generation="keras3")
    found = [f.message for f in conversion.all_findings]
    assert any(why in f for f in found) if why else not found
