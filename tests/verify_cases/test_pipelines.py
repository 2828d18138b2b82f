"""Layers that a Pipeline runs one after the other."""

from __future__ import annotations

import textwrap
from pathlib import Path

from transpiler.ir.model import KERAS3
from transpiler.verify import verify_file

SOURCE = """
    from keras import Input, Model, layers

    def build(classes=3):
        inputs = Input((8, 9, 3))
        augment = layers.Pipeline([layers.RandomFlip(), layers.RandomInvert(), layers.Rescaling(1 / 255)])
        stem = layers.Pipeline([layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.3)])
        x = layers.GlobalAveragePooling2D()(stem(augment(inputs)))
        return Model(inputs, layers.Dense(classes)(x))
"""


def test_a_pipeline_is_its_layers(tmp_path: Path):
    path = tmp_path / "model.py"
    path.write_text(textwrap.dedent(SOURCE))
    (result,) = verify_file(path, entries=["build()"], generation=KERAS3)
    assert result.status == "pass", result
