"""Regularizers of layers that a loop makes, beside layers of the same kind that have none."""

import json
from pathlib import Path

import numpy as np
import pytest
from run_scripts import printed_as_it_is

from transpiler.options import PLAIN
from transpiler.pipeline import convert_file

SCRIPT = """
import json
import numpy as np
import keras
from keras import layers, regularizers

CONFIG = json.loads('{config}')

def build(settings):
    model = keras.Sequential([keras.Input((4,))])
    for units in settings["units"]:
        model.add(layers.Dense(units, "tanh", kernel_initializer="ones", kernel_regularizer=regularizers.l2(settings["l2"])))
    model.add(layers.Dense(2, kernel_initializer="ones", {last}))
    return model

x = np.sin(np.arange(96.0)).reshape(24, 4)
model = build(CONFIG["model"])
model.compile("sgd", "mse")
h = model.fit(x, x[:, :2], epochs=3, verbose=0)
print(h.history["loss"][0], h.history["loss"][1], h.history["loss"][2])
"""
CONFIG = json.dumps({"model": {"units": [3, 5], "l2": 0.05}})


def script(folder: Path, last: str) -> Path:
    path = folder / "script.py"
    path.write_text(SCRIPT.replace("{config}", CONFIG).replace("{last}", last), encoding="utf-8")
    return path


def test_the_penalty_is_that_of_the_attribute_with_the_layers(tmp_path: Path):
    conversion = convert_file(script(tmp_path, ""))
    assert not [f for f in conversion.all_findings if f.severity.name == "ERROR"]
    assert (
        "m.weight.square().sum() for m in model.blocks.modules() if isinstance(m, nn.Linear)"
        in conversion.modules[0].text
    )


def test_another_penalty_beside_is_added(tmp_path: Path):
    text = convert_file(script(tmp_path, "kernel_regularizer='l1'")).modules[0].text
    assert "for m in model.blocks.modules() if" in text and "model.dense.weight.abs()" in text


@pytest.mark.slow
def test_such_a_script_prints_what_the_original_prints(tmp_path: Path):
    keras, result = printed_as_it_is(script(tmp_path, "kernel_regularizer='l1'"), tmp_path, "keras3", PLAIN)
    assert len(keras) == len(result) == 3
    np.testing.assert_allclose(result, keras, rtol=1e-4)
