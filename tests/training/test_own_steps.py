"""Models whose class says itself what a step of `fit` is: converted, run, and compared with the originals."""

from pathlib import Path

import numpy as np
import pytest
from run_scripts import printed_by_hand

from transpiler.pipeline import convert_file

SCRIPTS = sorted((Path(__file__).parent / "scripts" / "own_steps").glob("*.py"))
QUICK = (("vae", "keras3"), ("compiled_loss", "keras3"), ("gan", "tf_keras"))
"""The scripts of every run; `pytest -m ""` runs all."""
KERAS3_ONLY = ("compiled_loss",)
"""Scripts that legacy Keras does not run as they mean: it lists no metrics before they are first told of a batch."""
LEGACY_ONLY = ("distiller",)
"""Scripts that ask for what Keras 3 does not have: `compiled_metrics`."""
CASES = [
    pytest.param(
        path,
        generation,
        marks=[] if (path.stem, generation) in QUICK else pytest.mark.slow,
        id=f"{path.stem}-{generation}",
    )
    for path in SCRIPTS
    for generation in ("keras3", "tf_keras")
    if path.stem not in {"keras3": LEGACY_ONLY, "tf_keras": KERAS3_ONLY}[generation]
]


@pytest.mark.parametrize(("script", "generation"), CASES)
def test_a_script_prints_what_the_original_prints(script: Path, generation: str, tmp_path: Path):
    _, keras, result = printed_by_hand(script, tmp_path, generation)
    assert len(keras) > 3
    np.testing.assert_allclose(result[-len(keras) :], keras, rtol=2e-3, atol=2e-4)


STEP = """
import numpy as np
import tensorflow as tf
from tensorflow import keras


class Net(keras.Model):
{methods}
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = tf.reduce_mean(tf.square(y - y_pred))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        {ends}


inputs = keras.Input((4,))
model = Net(inputs, keras.layers.Dense(1)(inputs))
model.compile("sgd"{compiled})
x = np.zeros((8, 4), "float32")
y = np.zeros((8, 1), "float32")
{fits}
"""
FIT = "model.fit(x, y)"
TRACKED = """
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.tracker = keras.metrics.Mean(name="tracked")
        self.other = keras.metrics.Mean(name="other")

    @property
    def metrics(self):
        return [self.tracker]
"""


def errors_of(
    tmp_path: Path, methods: str = "", ends: str = 'return {"mse": loss}', compiled: str = "", fits: str = FIT
) -> tuple[str, list[str]]:
    path = tmp_path / "script.py"
    path.write_text(STEP.format(methods=methods, ends=ends, compiled=compiled, fits=fits))
    conversion = convert_file(path, generation="keras3")
    return conversion.modules[0].text, [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]


def test_values_that_a_step_returns_are_those_of_the_last_batch(tmp_path: Path):
    text, errors = errors_of(tmp_path)
    assert not errors
    assert "    return loss.item()" in text


@pytest.mark.parametrize(
    ("change", "reason"),
    (
        ({"ends": 'return {"loss": loss}'}, "Keras shows the metrics"),  # its own tracker of the loss, at 0.0
        ({"methods": TRACKED, "ends": 'self.other.update_state(loss)\n        return {"a": loss}'}, "does not reset"),
        ({"fits": "model.train_on_batch(x, y)"}, "train_on_batch() of a model with a train_step()"),
        ({"fits": "model.fit(x, y, class_weight={0: 1.0})"}, "taken apart in several ways"),
        ({"ends": "return {'mse': tf.add_n(self.losses)}"}, "self.losses is not translated"),
        ({"fits": "model.fit(x, y, callbacks=[keras.callbacks.EarlyStopping('mse')])"}, "more to be better"),
        ({"fits": "model.fit(x, y)\nmodel.evaluate(x, y)"}, "no test_step() of its own"),
        ({"fits": "model.layers[1].trainable = False\nmodel.fit(x, y)"}, "`trainable` that is set"),
        ({"ends": "if len(x) > 4:\n            return {}\n        return {'mse': loss}"}, "several places"),
        ({"ends": "return {n: loss for n in 'ab'}"}, "what this step returns"),
        ({"compiled": ', loss="mse", metrics=["mae"], weighted_metrics=["mse"]'}, "weighted_metrics"),
        ({"methods": "    def compute_loss(self, **kwargs):\n        return 0.0\n"}, "compute_loss"),
    ),
)
def test_what_is_not_surely_the_same_is_declined(change: dict[str, str], reason: str, tmp_path: Path):
    text, errors = errors_of(tmp_path, **change)
    assert any(reason in e for e in errors), errors
    assert "train_epoch" not in text


def test_a_step_of_the_program_stays_a_plain_loop_with_lightning():
    conversion = convert_file(SCRIPTS[0], generation="keras3", trainer="lightning")
    assert any(f.code == "K2T502" for f in conversion.all_findings)
    assert "LightningModule" not in conversion.modules[0].text


def test_an_overridden_method_of_training_without_a_tape_is_no_training_of_keras(tmp_path: Path):
    path = tmp_path / "script.py"
    text = STEP.partition("    def train_step")[0] + STEP.partition("        {ends}")[2]
    own = "    def compute_loss(self, x=None, y=None, y_pred=None, **kwargs):\n        return 0.0\n"
    path.write_text(text.format(methods=own, compiled=', loss="mse"', fits=FIT))
    conversion = convert_file(path, generation="keras3")
    assert any("compute_loss() of its own" in f.message for f in conversion.all_findings)
