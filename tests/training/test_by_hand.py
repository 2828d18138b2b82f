"""Scripts that train with tapes or batch by batch: converted, run, and compared with the originals."""

from pathlib import Path

import numpy as np
import pytest
from harness import printed_by_hand

SCRIPTS = sorted((Path(__file__).parent / "scripts" / "by_hand").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
@pytest.mark.parametrize("generation", ("keras3", "tf_keras"))
def test_a_script_prints_what_the_original_prints(script: Path, generation: str, tmp_path: Path):
    _, keras, result = printed_by_hand(script, tmp_path, generation)
    assert len(keras) == len(result) > 3
    np.testing.assert_allclose(result, keras, rtol=2e-3, atol=2e-4)
