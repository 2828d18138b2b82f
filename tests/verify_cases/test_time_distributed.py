"""`TimeDistributed` of whatever a program has: models, its own layers, functions."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from transpiler.pipeline import convert_file
from transpiler.verify import verify_file

SOURCE = """
    from {keras} import Input, Model, Sequential, layers


    class Scale(layers.Layer):
        def __init__(self, shift):
            super().__init__()
            self.shift = shift

        def build(self, shape):
            self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")

        def call(self, x):
            return x * self.factor + self.shift

        def compute_output_shape(self, shape):
            return shape


    def encoder(width):
        image = Input((8, 8, 3))
        x = layers.Dropout(0.2)(layers.Conv2D(width, 3, activation="relu")(image))
        return Model(image, layers.GlobalAveragePooling2D()(x))


    def build(units=3, width=5, steps=4):
        images = Input(({steps}, 8, 8, 3))
        x = layers.TimeDistributed({inner})(images)
        return Model(images, layers.LSTM(units)(layers.TimeDistributed(layers.Flatten())(x)))
"""
INNER = {
    "a model": "encoder(width)",
    "a Sequential": "Sequential([layers.Conv2D(width, 3), layers.Flatten(), layers.Dense(units)])",
    "a layer of the program": "Scale(units)",
    "a function": "layers.Lambda(lambda t: t[:, :2] + 1)",
    "steps of steps": "layers.TimeDistributed(Sequential([layers.Dense(units), layers.LSTM(units)]))",
}
NORMALIZED = "Sequential([layers.Conv2D(width, 3), layers.BatchNormalization()])"


def verified(keras: str, inner: str, steps: str, folder: Path):
    path = folder / "model.py"
    text = SOURCE.replace("{keras}", keras).replace("{inner}", inner).replace("{steps}", steps)
    path.write_text(textwrap.dedent(text))
    (result,) = verify_file(path, entries=["build()"], generation="keras3" if keras == "keras" else keras)
    return result


@pytest.mark.parametrize("kind", INNER)
def test_every_step(kind: str, tmp_path: Path):
    result = verified("keras", INNER[kind], "steps", tmp_path)
    assert result.status == "pass", result


@pytest.mark.parametrize("inner", ["encoder(width)", "layers.BatchNormalization()"])
def test_legacy_keras_takes_all_steps_as_one_batch(inner: str, tmp_path: Path):
    result = verified("tf_keras", inner, "steps", tmp_path)
    assert result.status == "pass", result


def test_any_number_of_steps(tmp_path: Path):
    result = verified("keras", "encoder(width)", "None", tmp_path)
    assert result.status == "pass", result


@pytest.mark.parametrize("inner", [NORMALIZED, "layers.BatchNormalization()"])
def test_statistics_of_single_steps_are_declined(inner: str, tmp_path: Path):
    path = tmp_path / "model.py"
    path.write_text(
        textwrap.dedent(SOURCE.replace("{keras}", "keras").replace("{inner}", inner).replace("{steps}", "steps"))
    )
    done = convert_file(path, entries=["build()"])
    assert any("statistics of training differ by step" in f.message for f in done.findings), done.findings
