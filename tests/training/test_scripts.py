"""Whole training scripts: converted, run, and compared with the originals."""

from pathlib import Path

import numpy as np
import pytest
from run_scripts import printed

from transpiler.verify.run import verify_file

QUICK = ("regression_callbacks", "inputs_and_outputs", "text_lstm", "main_function", "main_block")
"""The scripts of every run; `pytest -m ""` runs all."""
SCRIPTS = [
    pytest.param(path, id=path.stem, marks=[] if path.stem in QUICK else pytest.mark.slow)
    for path in sorted((Path(__file__).parent / "scripts").glob("*.py"))
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_prints_what_the_original_prints(script: Path, tmp_path: Path):
    _, keras, result = printed(script, tmp_path)
    assert len(keras) == len(result) > 3
    np.testing.assert_allclose(result, keras, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("script", SCRIPTS)
def test_steps_of_the_training_are_the_same(script: Path):
    results = verify_file(script, generation="keras3", steps=20)
    assert [r.reason for r in results] == [""]
    assert results[0].fitting["steps"] == 20
