"""Scripts that train with tapes or batch by batch: converted, run, and compared with the originals."""

from pathlib import Path

import numpy as np
import pytest
from run_scripts import printed_by_hand

from transpiler.pipeline import convert_file

LEGACY_ONLY = ("gan_on_batches", "tape_burgers")
"""Scripts that Keras 3 does not train as they mean, as it looks at `trainable` when a model learns first, or not at all, as
its weights are nothing that a tape can be told to watch."""
QUICK = (
    ("tape_loop", "keras3"),
    ("tape_gan", "tf_keras"),
    ("gan_on_batches", "tf_keras"),
    ("tape_physics", "keras3"),
    ("tape_walkthrough", "tf_keras"),
)
"""The scripts of every run; `pytest -m ""` runs all."""
SCRIPTS = sorted((Path(__file__).parent / "scripts" / "by_hand").glob("*.py"))
CASES = [
    pytest.param(
        path,
        generation,
        marks=[] if (path.stem, generation) in QUICK else pytest.mark.slow,
        id=f"{path.stem}-{generation}",
    )
    for path in SCRIPTS
    for generation in ("keras3", "tf_keras")
]


@pytest.mark.parametrize(("script", "generation"), CASES)
def test_a_script_prints_what_the_original_prints(script: Path, generation: str, tmp_path: Path):
    if generation == "keras3" and script.stem in LEGACY_ONLY:
        pytest.skip("not what it means there")
    _, keras, result = printed_by_hand(script, tmp_path, generation)
    assert len(keras) == len(result) > 3
    np.testing.assert_allclose(result, keras, rtol=2e-3, atol=2e-4)


def test_a_model_that_is_frozen_before_its_first_step_is_declined_where_keras_trains_nothing():
    conversion = convert_file(SCRIPTS[0].parent / "gan_on_batches.py", generation="keras3")
    assert any("this trains nothing" in f.message for f in conversion.all_findings)
