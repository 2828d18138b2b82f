"""Classes of the result are never called as the helpers that it needs."""

from __future__ import annotations

from pathlib import Path

from transpiler.pipeline import convert_file

SOURCE = """\
from keras import Input, Model, layers


def shared_dropout():
    x = inputs = Input((5, 3))
    x = layers.Dropout(0.2, noise_shape=(None, 1, 3))(x)
    return Model(inputs, layers.Dense(3)(x))
"""


def test_a_model_named_like_a_helper(tmp_path: Path):
    path = tmp_path / "model.py"
    path.write_text(SOURCE)
    (module,) = convert_file(path, entries=["shared_dropout()"]).modules
    assert module.text.count("class SharedDropout(nn.Module):") == 1
    assert "def shared_dropout() -> SharedDropout2:" in module.text
