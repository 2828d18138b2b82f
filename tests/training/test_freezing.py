"""What is set to be trained or not after a model was compiled."""

from pathlib import Path

import pytest

from transpiler.pipeline import convert_file

SCRIPT = """
import numpy as np
from tensorflow import keras
from tensorflow.keras import layers

x, y = np.zeros((8, 4), "float32"), np.zeros((8, 1), "float32")
inputs = keras.Input((4,))
model = keras.Model(inputs, layers.Dense(1)(layers.Dense(3, name="first")(inputs)))
{before}
model.compile("sgd", "mse")
{between}
model.fit(x, y, verbose=0)
{after}
"""
FREEZE, FREE = "model.layers[1].trainable = False", "model.layers[1].trainable = True"


def converted(tmp_path: Path, generation: str, **places: str) -> tuple[str, list[str]]:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(**{"before": "", "between": "", "after": "", **places}))
    conversion = convert_file(path, generation=generation)
    return conversion.modules[0].text, [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]


@pytest.mark.parametrize("generation", ("keras3", "tf_keras"))
def test_a_layer_that_is_frozen_before_is_frozen_in_the_result(generation: str, tmp_path: Path):
    text, errors = converted(tmp_path, generation, before=FREEZE)
    assert "requires_grad_(False)" in text
    assert not errors


@pytest.mark.parametrize("generation", ("keras3", "tf_keras"))
@pytest.mark.parametrize(
    "places", ({"before": FREEZE, "between": FREE}, {"between": FREEZE}, {"before": FREEZE, "after": FREE})
)
def test_a_layer_that_is_set_free_or_frozen_later_is_declined(generation: str, places: dict[str, str], tmp_path: Path):
    _, errors = converted(tmp_path, generation, **places)
    assert any("frozen or set free" in e for e in errors)
