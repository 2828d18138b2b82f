"""Whole training scripts: converted, run, and compared with the originals."""

from pathlib import Path

import numpy as np
import pytest
from run_scripts import printed

from transpiler.options import ACCELERATE, LIGHTNING, PLAIN, TRAINERS
from transpiler.verify.run import verify_file

QUICK = {
    PLAIN: ("regression_callbacks", "text_lstm", "main_block"),
    LIGHTNING: ("regression_callbacks",),
    ACCELERATE: ("regression_callbacks", "main_block"),
}
"""The scripts of every run; `pytest -m ""` runs all."""
BOTH = ("keras3", "tf_keras")
LEGACY = {
    "vae_add_loss": ("tf_keras",),
    "weighted_metrics": BOTH,
    **dict.fromkeys(
        (
            "frozen_base",
            "fine_tuning",
            "fine_tuning_blocks",
            "loaded_models",
            "own_losses",
            "own_loss_weighted",
            "own_loss_dice",
            "masked_tags",
            "masked_series",
            "segmentation_losses",
        ),
        BOTH,
    ),
}
"""Scripts that legacy Keras runs, alone or as well."""
UNPLANNED = ("frozen_base", "application_base", "fine_tuning", "fine_tuning_blocks")
"""Scripts that freeze parts or train in more than one way: `verify --train` leaves these out."""
PLAIN_LOOPS = ("batch_callbacks",)
"""Scripts that are plain loops with every trainer."""
SCRIPTS = [
    pytest.param(
        path,
        generation,
        trainer,
        id=f"{path.stem}-{generation}-{trainer}",
        marks=[] if path.stem in QUICK[trainer] else pytest.mark.slow,
    )
    for path in sorted((Path(__file__).parent / "scripts").glob("*.py"))
    for generation in LEGACY.get(path.stem, ("keras3",))
    for trainer in TRAINERS
]


@pytest.mark.parametrize(("script", "generation", "trainer"), SCRIPTS)
def test_a_script_prints_what_the_original_prints(script: Path, generation: str, trainer: str, tmp_path: Path):
    conversion, keras, result = printed(script, tmp_path, generation, trainer)
    lightning = trainer == LIGHTNING and script.stem not in PLAIN_LOOPS
    assert ("L.LightningModule" in conversion.modules[0].text) == lightning
    assert len(keras) == len(result) > 3
    np.testing.assert_allclose(result, keras, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize(("script", "generation", "trainer"), SCRIPTS)
def test_steps_of_the_training_are_the_same(script: Path, generation: str, trainer: str):
    results = verify_file(script, generation=generation, steps=20, trainer=trainer)
    assert {r.reason for r in results} == {""}
    assert [r.fitting["steps"] for r in results if r.fitting] == ([] if script.stem in UNPLANNED else [20])
