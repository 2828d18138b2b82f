"""Builders that are given classes of layers."""

from pathlib import Path

import numpy as np
import pytest
from run_scripts import printed

from transpiler.pipeline import Conversion, convert_file

SCRIPT = """
import numpy as np
import keras
from keras import layers
from keras.layers import GRU, LSTM, BatchNormalization, Dense

def create_model(units=8, cell=GRU, count=2, norm=None):
    model = keras.Sequential([keras.Input((5, 3))])
    for i in range(count):
        model.add(cell(units, return_sequences=True))
    if norm:
        model.add(norm())
    model.add(Dense(1))
    model.compile(loss="mse", optimizer="adam")
    return model

CELL = LSTM
x = np.sin(np.arange(240.0)).reshape(16, 5, 3).astype("float32")
y = x.sum(axis=2, keepdims=True)
model = create_model(4, cell={given})
h = model.fit(x, y, epochs=3, batch_size=4, verbose=0)
print(h.history["loss"][0], h.history["loss"][1], h.history["loss"][2], model.evaluate(x, y, verbose=0))
"""


def conversion_of(tmp_path: Path, given: str) -> Conversion:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.replace("{given}", given), encoding="utf-8")
    return convert_file(path)


@pytest.mark.parametrize(
    ("given", "written"),
    [("CELL", "cell=CELL"), ("LSTM", "cell=nn.LSTM"), ("layers.LSTM", "cell=nn.LSTM"), ("GRU", "cell=nn.GRU")],
)
def test_a_class_of_layers_is_one_of_torch(given: str, written: str, tmp_path: Path):
    conversion = conversion_of(tmp_path, given)
    text = conversion.modules[0].text
    assert not [f for f in conversion.all_findings if f.severity.name == "ERROR"]
    assert (
        "def create_model(units=8, cell=nn.GRU, count=2, norm=None)" in text and f"create_model(4, {written})" in text
    )
    assert f"if cell is not nn.{'GRU' if given == 'GRU' else 'LSTM'}:" in text
    assert ("CELL = nn.LSTM" in text) == (given == "CELL") and "keras" not in text.replace("# Keras", "")


def test_what_torch_has_no_class_for_is_reported(tmp_path: Path):
    conversion = conversion_of(tmp_path, "LSTM, norm=BatchNormalization")
    errors = [f for f in conversion.all_findings if f.severity.name == "ERROR"]
    assert [f.code for f in errors] == ["K2T203"] and "BatchNormalization is a part of Keras" in errors[0].message
    assert errors[0].span is not None and errors[0].span.line == 20


@pytest.mark.slow
def test_such_a_script_prints_what_the_original_prints(tmp_path: Path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.replace("{given}", "CELL"), encoding="utf-8")
    _, keras, result = printed(path, tmp_path)
    assert len(keras) == len(result) == 4
    np.testing.assert_allclose(result, keras, rtol=1e-4)
