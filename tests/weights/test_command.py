"""The command `weights`: what it writes, what it says, and what it leaves alone."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file

from transpiler.cli import main

SOURCE = """
import keras
from keras import layers

def small():
    return keras.Sequential([keras.Input((3,)), layers.Dense(2, name="only")])

def large(units=4):
    return keras.Sequential([keras.Input((3,)), layers.Dense(units, name="only")])
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A source with two models, and weights of the first."""
    source, weights = tmp_path / "net.py", tmp_path / "net.weights.h5"
    source.write_text(SOURCE)
    with h5py.File(weights, "w") as file:
        file["layers/dense/vars/0"] = np.arange(6, dtype=np.float64).reshape(3, 2)
        file["layers/dense/vars/1"] = np.ones(2, np.float16)
    return source, weights


def test_the_state_stands_beside_the_weights_in_the_types_of_the_result(files, capfd):
    source, weights = files
    assert main(["weights", str(source), str(weights), "--entry", "small()"]) == 0
    state = load_file(weights.with_name("net.safetensors"))
    assert {k: (v.shape, v.dtype) for k, v in state.items()} == {
        "0.weight": ((2, 3), np.float32),
        "0.bias": ((2,), np.float32),
    } or sorted(v.shape for v in state.values()) == [(2,), (2, 3)]
    (weight,) = [v for v in state.values() if v.ndim == 2]
    assert weight.tolist() == [[0, 2, 4], [1, 3, 5]]
    assert "2 tensors of small()" in capfd.readouterr().err


def test_a_source_with_several_models_asks_for_one(files, capfd):
    assert main(["weights", *map(str, files)]) == 2
    assert "name one with --entry: small(), large()" in capfd.readouterr().err


def test_weights_of_another_model_write_nothing(files, capfd):
    source, weights = files
    assert main(["weights", str(source), str(weights), "--entry", "large(5)"]) == 2
    assert "K2T707" in capfd.readouterr().err
    assert not weights.with_name("net.safetensors").exists()


def test_a_source_that_is_not_converted_says_why(files, capfd):
    source, weights = files
    source.write_text("import keras\nmodel = keras.Sequential([keras.layers.Wobble(3)])\n")
    assert main(["weights", str(source), str(weights)]) == 2
    assert "error" in capfd.readouterr().err


@pytest.mark.parametrize("arguments", [["--reverse", "s.safetensors"], ["-o", "nowhere/x.safetensors"]])
def test_a_result_that_could_not_be_written_is_refused_first(files, capfd, arguments):
    assert main(["weights", *map(str, files), "--entry", "small()", *arguments]) == 2
    assert "error: " in capfd.readouterr().err


def test_a_package_that_is_not_installed_is_named(files, capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert main(["weights", *map(str, files), "--entry", "small()"]) == 2
    assert "pip install 'keras2torch[weights]'" in capfd.readouterr().err
