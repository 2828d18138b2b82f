"""Training code spread over the files of a project: converted together, run, and compared with the originals."""

from pathlib import Path

import numpy as np
import pytest
from run_projects import PROJECTS, printed_by_project

SCRIPTS = {
    "segmentation": ["train.py"],
    "classifier": ["train.py", "predict.py"],
    "fine_tuning": ["train.py", "again.py"],
}
FRESH = ("train.py", "again.py")
QUICK = ("segmentation",)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in SCRIPTS])
def test_the_scripts_of_a_project_print_what_the_originals_print(name: str, tmp_path: Path):
    _, found = printed_by_project(PROJECTS / name, SCRIPTS[name], FRESH, tmp_path)
    for keras, result in found.values():
        assert len(keras) == len(result) > 3
        np.testing.assert_allclose(result, keras, rtol=2e-3, atol=2e-4)
