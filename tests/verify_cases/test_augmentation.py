"""A model with random layers on images: both sides are compared with these switched off."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from transpiler.verify import verify_file

SOURCE = """
    from {keras} import Input, Model, Sequential, layers

    def build(classes=3):
        inputs = Input((8, 9, 3))
        augment = Sequential([layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomZoom(0.2)])
        x = layers.RandomTranslation(0.1, 0.2)(augment(inputs))
        x = layers.Dropout(0.2)(layers.Conv2D(4, 3, activation="relu")(x))
        return Model(inputs, layers.Dense(classes)(layers.GlobalAveragePooling2D()(x)))
"""


@pytest.mark.parametrize("keras", ["keras", "tf_keras"])
def test_random_layers_are_switched_off_on_both_sides(keras: str, tmp_path: Path):
    path = tmp_path / "model.py"
    path.write_text(textwrap.dedent(SOURCE.replace("{keras}", keras)))
    (result,) = verify_file(path, entries=["build()"], generation="keras3" if keras == "keras" else keras)
    assert result.status == "pass", result
    assert result.training["max_rel"] < 1e-6  # RandomRotation of legacy Keras has float32 alone
