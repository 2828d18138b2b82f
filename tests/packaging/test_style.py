"""Our own code is formatted and lint-clean."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("command", [["black", "--check", "-q", "."], ["ruff", "check", "--no-cache", "."]], ids=str)
def test_clean(root: Path, command: list[str]):
    done = subprocess.run([sys.executable, "-m", *command], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
