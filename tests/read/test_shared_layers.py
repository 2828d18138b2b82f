"""Models that share layers: one calls the other where their operations are the same, and is declined where they are not."""

from pathlib import Path

import pytest

from transpiler.pipeline import convert_file

HEAD = """
from keras import Input, Model
from keras.layers import Activation, Add, Dense, Dropout

inputs, code = Input((6,)), Input((4,))
first, second = Dense(6, "relu"), Dense(6)
encoded = Dense(4, "tanh")(inputs)
"""
CALLED = {
    "a chain": "model = Model(inputs, second(first(encoded)))\nother = Model(code, second(first(code)))",
    "an inner part": "model = Model(inputs, Activation('relu')(first(encoded)))\nother = Model(code, first(code))",
    "twice": "model = Model(inputs, second(first(first(inputs))))\nwide = Input((6,))\nother = Model(wide, first(wide))",
    "what no layer does": "model = Model(inputs, first(encoded * 2.0))\nother = Model(code, first(code * 2.0))",
    "two inputs": "model = Model(inputs, first(Add()([encoded, encoded * 0.5])))\nmore = Input((4,))\nadd = Input((4,))\nother = Model([code, add], first(Add()([code, add])))",
}
DECLINED = {
    "another end": "model = Model(inputs, second(first(encoded)))\nother = Model(code, second(Activation('relu')(first(code))))",
    "an inner tensor is read": "x = first(encoded)\nmodel = Model(inputs, Add()([second(x), x]))\nother = Model(code, second(first(code)))",
    "another factor": "model = Model(inputs, first(encoded * 2.0))\nother = Model(code, first(code * 3.0))",
}


def converted(text: str, folder: Path) -> tuple[str, list[str]]:
    path = folder / "script.py"
    path.write_text(f"{HEAD}{text}\n", encoding="utf-8")
    conversion = convert_file(path, generation="keras3")
    return conversion.modules[0].text, [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]


@pytest.mark.parametrize("name", CALLED)
def test_the_larger_model_calls_the_smaller_one(name: str, tmp_path: Path):
    text, errors = converted(CALLED[name], tmp_path)
    assert not errors
    assert "self.other(" in text and "def __init__(self, other: nn.Module)" in text


@pytest.mark.parametrize("name", DECLINED)
def test_layers_that_are_called_otherwise_are_declined(name: str, tmp_path: Path):
    _, errors = converted(DECLINED[name], tmp_path)
    assert any("share a layer" in e for e in errors)
