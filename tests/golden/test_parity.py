"""The third ring: samples and golden cases, run under Keras and under torch and compared."""

from __future__ import annotations

import json
from pathlib import Path

import golden
import pytest

from transpiler.cli import main

HERE = Path(__file__).resolve().parent
SAMPLES = sorted((HERE.parent.parent / "samples").glob("*_keras.py"))
WITHOUT_ENTRIES = ("training_own_model",)
"""Cases whose models are made in functions of which nobody knows the arguments: there is nothing to compare."""
CASES = [
    path
    for path in sorted((HERE / "cases").glob("*.py"))
    if not path.stem.startswith(("declined_", "partial_")) and path.stem not in WITHOUT_ENTRIES
]


def verified(path: Path, tmp_path: Path, *options: str) -> list[dict[str, object]]:
    """The results of `verify`, after checking that all passed and that there are some."""
    report = tmp_path / "results.json"
    code = main(["verify", str(path), *options, "--json", str(report)])
    results = json.loads(report.read_text(encoding="utf-8"))
    assert code == 0, [(row["entry"], row["status"], row["first_divergence"], row["findings"]) for row in results]
    assert results
    return results


@pytest.mark.parametrize("path", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_sample_computes_the_same(path: Path, tmp_path: Path):
    for row in verified(path, tmp_path):
        assert row["tier"] in ("structure", "specialised")


@pytest.mark.slow
@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_case_computes_the_same(path: Path, tmp_path: Path):
    case = golden.Case.read(path)
    source = tmp_path / path.name
    source.write_text(case.source, encoding="utf-8")
    verified(source, tmp_path, *case.flags)
