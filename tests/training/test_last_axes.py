"""Arrays that have one axis of length 1 more or less than the input of a model."""

from pathlib import Path

import pytest

from transpiler.pipeline import convert_file

SCRIPT = """
import numpy as np
from tensorflow import keras

model = keras.Sequential([keras.Input({input}), keras.layers.Flatten(), keras.layers.Dense(1)])
model.compile("sgd", "mse")
x = {x}
model.fit(x, np.zeros(8))
print(model.predict(x))
"""


def converted(path: Path, generation: str = "keras3", **parts: str) -> tuple[str, list[str]]:
    path.write_text(SCRIPT.format(**parts))
    conversion = convert_file(path, generation=generation)
    return conversion.modules[0].text, [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]


@pytest.mark.parametrize(
    ("input", "x", "column", "predicted"),
    (
        ("(1,)", "np.linspace(0.0, 1.0, 8)", ".unsqueeze(-1)", "predict(model, x[..., None])"),
        ("(1,)", "np.load('x.npy')", ".reshape(-1, 1)", "predict(model, x.reshape(-1, 1))"),
        ("(1,)", "np.zeros((8, 1))", "", "predict(model, x)"),
        ("(6, 6, 1)", "np.zeros((8, 6, 6))", ".unsqueeze(-1)", "predict(model, x[..., None])"),
        ("(6, 6)", "np.zeros((8, 6, 6, 1))", ".squeeze(-1)", "predict(model, x[..., 0])"),
        ("(6, 6)", "np.load('x.npy')", "", "predict(model, x)"),
    ),
)
def test_the_axis_is_added_or_taken_off(input: str, x: str, column: str, predicted: str, tmp_path: Path):
    text, errors = converted(tmp_path / "script.py", input=input, x=x)
    assert not errors, errors
    assert f"torch.as_tensor(x, dtype=torch.float32){column}" in text
    assert predicted in text


def test_one_more_is_declined_in_legacy_keras(tmp_path: Path):
    _, errors = converted(tmp_path / "script.py", "tf_keras", input="(6, 6)", x="np.zeros((8, 6, 6, 1))")
    assert any("one axis more than the input" in e for e in errors), errors
