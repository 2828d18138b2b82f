"""Child processes with a time limit: whatever they do, the parent gets an answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TAIL = 12


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit status (None for the time limit) and the last lines it wrote."""

    status: int | None
    tail: str


def run_module(module: str, arguments: Sequence[str], timeout: float, folder: Path) -> Ended:
    """Runs `python -m module` in a process group of its own; on time-out or interruption the whole group ends."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    log = folder / f"{module.rpartition('.')[2]}.log"
    with log.open("wb") as stream:
        child = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env=environment,
            start_new_session=True,
        )
        try:
            status: int | None = child.wait(timeout)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return Ended(status, "\n".join(lines[-TAIL:]))
