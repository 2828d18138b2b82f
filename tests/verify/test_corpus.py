"""Models of published packages, installed as pinned in the extra `corpus`, are converted from their source and verified."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from transpiler.verify import verify_file

ROOT = Path(__file__).parents[2]
ENTRIES = [json.loads(line) for line in (Path(__file__).parent / "corpus.jsonl").read_text().splitlines()]
STRUCTURE = 20
"""How many of them keep their structure, at least."""


def benchmark():
    spec = importlib.util.spec_from_file_location("corpus_benchmark", ROOT / "benchmarks" / "corpus.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder with the packages alone: what else is installed beside them is no part of the programs."""
    for name in {entry["file"].partition("/")[0] for entry in ENTRIES} | {"keras_applications"}:
        spec = importlib.util.find_spec(name)
        if spec is None:
            pytest.skip(f'{name} is not installed: pip install ".[test]"')
        (tmp_path / name).symlink_to(Path(spec.origin).parent)
    return tmp_path


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e["id"])
def test_a_published_model_is_verified(entry, sources):
    corpus = benchmark()
    (result,) = verify_file(corpus.source_file(entry, sources), **corpus.options(entry, sources))
    assert (result.reason, result.status) == ("", "pass")


def test_published_models_keep_their_structure(sources):
    from transpiler.pipeline import convert_file

    corpus = benchmark()
    tiers = []
    for entry in ENTRIES:
        given = {k: v for k, v in corpus.options(entry, sources).items() if k != "inputs"}
        tiers += [e.tier for e in convert_file(corpus.source_file(entry, sources), **given).entries]
    assert len(tiers) == len(ENTRIES) and tiers.count("structure") >= STRUCTURE
