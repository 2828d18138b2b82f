"""Whole training scripts: converted, run, and compared with the originals."""

from pathlib import Path

import numpy as np
import pytest
from run_scripts import printed

from transpiler.options import LIGHTNING, PLAIN, TRAINERS
from transpiler.verify.run import verify_file

QUICK = {
    PLAIN: ("regression_callbacks", "inputs_and_outputs", "text_lstm", "main_function", "main_block"),
    LIGHTNING: ("regression_callbacks",),
}
"""The scripts of every run; `pytest -m ""` runs all."""
LEGACY = ("vae_add_loss",)
"""Scripts that legacy Keras alone runs."""
SCRIPTS = [
    pytest.param(
        path, trainer, id=f"{path.stem}-{trainer}", marks=[] if path.stem in QUICK[trainer] else pytest.mark.slow
    )
    for path in sorted((Path(__file__).parent / "scripts").glob("*.py"))
    for trainer in TRAINERS
]


def generation_of(script: Path) -> str:
    return "tf_keras" if script.stem in LEGACY else "keras3"


@pytest.mark.parametrize(("script", "trainer"), SCRIPTS)
def test_a_script_prints_what_the_original_prints(script: Path, trainer: str, tmp_path: Path):
    conversion, keras, result = printed(script, tmp_path, generation_of(script), trainer)
    assert ("L.LightningModule" in conversion.modules[0].text) == (trainer == LIGHTNING)
    assert len(keras) == len(result) > 3
    np.testing.assert_allclose(result, keras, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize(("script", "trainer"), SCRIPTS)
def test_steps_of_the_training_are_the_same(script: Path, trainer: str):
    results = verify_file(script, generation=generation_of(script), steps=20, trainer=trainer)
    assert {r.reason for r in results} == {""}
    assert [r.fitting["steps"] for r in results if r.fitting] == [20]
