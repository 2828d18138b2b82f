"""Whole training scripts: converted, run, and compared with the originals."""

from pathlib import Path

import numpy as np
import pytest
from run_scripts import printed

from transpiler.verify.run import verify_file

QUICK = ("regression_callbacks", "inputs_and_outputs", "text_lstm", "main_function", "main_block")
"""The scripts of every run; `pytest -m ""` runs all."""
LEGACY = ("vae_add_loss",)
"""Scripts that legacy Keras alone runs."""
SCRIPTS = [
    pytest.param(path, id=path.stem, marks=[] if path.stem in QUICK else pytest.mark.slow)
    for path in sorted((Path(__file__).parent / "scripts").glob("*.py"))
]


def generation_of(script: Path) -> str:
    return "tf_keras" if script.stem in LEGACY else "keras3"


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_prints_what_the_original_prints(script: Path, tmp_path: Path):
    _, keras, result = printed(script, tmp_path, generation_of(script))
    assert len(keras) == len(result) > 3
    np.testing.assert_allclose(result, keras, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("script", SCRIPTS)
def test_steps_of_the_training_are_the_same(script: Path):
    results = verify_file(script, generation=generation_of(script), steps=20)
    assert {r.reason for r in results} == {""}
    assert [r.fitting["steps"] for r in results if r.fitting] == [20]
