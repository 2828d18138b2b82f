"""The ways in which programs keep what `fit` and `evaluate` return, and hand over what to validate with."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_differences import ONES, PACKAGES, float32, model, run

from transpiler.pipeline import convert_file

assert float32  # a fixture

FIT = "model.fit(x, y, batch_size=2, epochs=2, shuffle=False, verbose=0, validation_data=val)"
MODEL = model(f"Input((2,)), Dense(1, {ONES})", "optimizers.SGD(0.05), 'mse', metrics=['mae']") + "val = x[:2], y[:2]\n"


@pytest.mark.parametrize("generation", PACKAGES)
@pytest.mark.parametrize(
    "text",
    [
        f"found = {FIT}.history\n",
        f"class Run:\n    def go(self):\n        self.log = {FIT}\n        return self.log.history\n\nfound = Run().go()\n",
        "found = model.evaluate(x, y, batch_size=2, verbose=0, return_dict=True)\n",
    ],
    ids=["history at once", "history of an object", "evaluate by name"],
)
def test_numbers_are_those_of_keras(text: str, generation: str, tmp_path: Path):
    found = run(MODEL + text, generation, tmp_path)
    assert {"loss", "mae"} <= set(found)


def test_every_read_of_a_history_is_rewritten(tmp_path: Path):
    path = tmp_path / "script.py"
    path.write_text(
        "import numpy as np\nfrom keras import Input, Sequential, layers\n"
        "model = Sequential([Input((4,)), layers.Dense(1)])\nmodel.compile('sgd', 'mse')\n"
        "history = model.fit(np.ones((6, 4)), np.ones((6, 1)))\n"
        'found = [*history.history["loss"], *history.history["loss"]]\n'
    )
    text = convert_file(path, generation="keras3").modules[0].text
    assert 'found = [*history["loss"], *history["loss"]]' in text
