"""Layers whose weight every step of training divides by its largest singular value: outputs, gradients and the weight after."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from transpiler.pipeline import convert_file
from transpiler.verify import verify_file

SOURCE = """
    from {keras} import Input, Model, layers


    def build(width=4):
        x = inputs = Input((8, 8, 3))
        x = layers.SpectralNormalization(layers.Conv2D(width, 3, padding="same", activation="relu"))(x)
        x = layers.SpectralNormalization(layers.Conv2D(2, 3, strides=2, use_bias=False), power_iterations=3)(x)
        return Model(inputs, layers.SpectralNormalization(layers.Dense(2))(layers.Flatten()(x)))


    def ids():
        inputs = Input((3,))
        return Model(inputs, layers.SpectralNormalization(layers.Embedding(5, 2))(inputs))
"""


def written(keras: str, folder: Path) -> Path:
    path = folder / "model.py"
    path.write_text(textwrap.dedent(SOURCE.replace("{keras}", keras)))
    return path


@pytest.mark.parametrize("keras", ["keras", "tf_keras"])
def test_weights_change_in_training_as_in_keras(keras: str, tmp_path: Path):
    generation = "keras3" if keras == "keras" else keras
    (result,) = verify_file(written(keras, tmp_path), entries=["build()"], generation=generation)
    assert (result.status, result.tier) == ("pass", "structure"), result
    assert result.training["state"]["changed"] == 6, result.training


def test_other_layers_are_declined(tmp_path: Path):
    done = convert_file(written("keras", tmp_path), entries=["ids()"])
    assert any("SpectralNormalization(<Embedding" in f.message for f in done.findings), done.findings
