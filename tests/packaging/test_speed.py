"""Converting takes at most twice what libcst and black take on the same file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RATIO = 2.0


def measure(root: Path, tmp_path: Path, *options: str) -> dict[str, object]:
    out = tmp_path / "speed.json"
    command = [sys.executable, str(root / "benchmarks" / "speed.py"), "--json", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(out.read_text())


def test_the_benchmark_measures_a_model_of_the_right_size(root: Path, tmp_path: Path):
    result = measure(root, tmp_path, "--rounds", "1")
    assert 150 < result["lines"] < 250
    assert min(result["median_ms"].values()) > 0


@pytest.mark.slow  # a figure of time needs a machine that does nothing else
def test_the_ratio(root: Path, tmp_path: Path):
    assert measure(root, tmp_path, "--rounds", "15")["ratio"] <= RATIO
