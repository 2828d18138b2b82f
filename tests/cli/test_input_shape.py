"""`--input-shape`: models that declare no inputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from transpiler.cli import main

NET = """\
import keras
from keras import layers


class Net(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.flat = layers.Flatten()
        self.dense = layers.Dense(units)

    def call(self, x):
        return self.dense(self.flat(x))
"""


@pytest.fixture
def net(tmp_path: Path) -> str:
    path = tmp_path / "net.py"
    path.write_text(NET)
    return str(path)


def test_it_gives_a_model_its_sizes(net: str, capsys: pytest.CaptureFixture[str]):
    assert main(["convert", net, "--entry", "Net(3)", "--input-shape", "4,5,2"]) == 0
    out, err = capsys.readouterr()
    assert "self.dense = nn.Linear(40, units)" in out
    assert "Net is converted for inputs of shape (None, 4, 5, 2)" in err


def test_without_it_the_message_names_it(net: str, capsys: pytest.CaptureFixture[str]):
    assert main(["convert", net, "--entry", "Net(3)"]) == 2
    assert "--input-shape" in capsys.readouterr().err


def test_what_is_no_shape_is_refused(net: str, capsys: pytest.CaptureFixture[str]):
    assert main(["convert", net, "--input-shape", "4,x"]) == 2
    assert "--input-shape 4,x" in capsys.readouterr().err
