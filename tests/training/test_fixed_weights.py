"""Scripts whose models start from weights that are not drawn: run as they are, and compared with the originals."""

from pathlib import Path

import numpy as np
import pytest
from run_scripts import printed_as_it_is

from transpiler.options import PLAIN, TRAINERS

LEGACY = {
    **dict.fromkeys(("stateful_lstm", "legacy_names", "pretrained_layers", "pretrained_in_function"), ("tf_keras",)),
    **dict.fromkeys(("pretrained_embeddings", "open_decisions"), ("keras3", "tf_keras")),
}
"""Scripts that legacy Keras runs, alone or as well."""
QUICK = ("agent", "pretrained_embeddings", "open_decisions")
"""The scripts of every run; `pytest -m ""` runs all."""
CASES = [
    pytest.param(
        path,
        generation,
        trainer,
        id=f"{path.stem}-{generation}-{trainer}",
        marks=[] if path.stem in QUICK and trainer == PLAIN else pytest.mark.slow,
    )
    for path in sorted((Path(__file__).parent / "scripts" / "fixed_weights").glob("*.py"))
    for generation in LEGACY.get(path.stem, ("keras3",))
    for trainer in TRAINERS
]


@pytest.mark.parametrize(("script", "generation", "trainer"), CASES)
def test_a_script_prints_what_the_original_prints(script: Path, generation: str, trainer: str, tmp_path: Path):
    keras, result = printed_as_it_is(script, tmp_path, generation, trainer)
    assert len(keras) == len(result) > 3
    np.testing.assert_allclose(result, keras, rtol=2e-3, atol=2e-4)
