"""Child processes with a time limit: whatever they do, the parent gets an answer."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TAIL = 12
PATIENCE = 3.0
START_UP = 120.0
"""Seconds a worker may take to import its framework, beyond the time limit of the job."""


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit status (None for the time limit) and the last lines it wrote."""

    status: int | None
    tail: str


class WorkerLost(Exception):
    """A worker ended, or does not answer."""


class Worker:
    """A process that has imported a framework and forks for each job (`worker.py`)."""

    def __init__(self, side: str, generation: str) -> None:
        command = [sys.executable, "-m", "transpiler.verify.worker", side, generation]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(),
            start_new_session=True,
        )

    def run(self, arguments: Sequence[str], timeout: float, log: Path) -> int | None:
        """The exit status of the job, None at the time limit; raises WorkerLost."""
        assert self.process.stdin and self.process.stdout
        request = {"arguments": list(arguments), "log": str(log), "timeout": timeout}
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            if not select.select([self.process.stdout], [], [], timeout + START_UP)[0]:
                raise WorkerLost
            return json.loads(self.process.stdout.readline())["status"]
        except (OSError, ValueError) as error:
            raise WorkerLost from error

    def end(self) -> None:
        """Ends the worker, which ends its job."""
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


_workers: dict[tuple[str, str], Worker] = {}


def run_side(side: str, generation: str, arguments: Sequence[str], timeout: float, folder: Path) -> Ended:
    """Runs one side (`keras_side`, `torch_side`) on a job: in a fork of a worker, else in a fresh process."""
    log = folder / f"{side}.log"
    key = (side, generation if side == "keras_side" else "")
    try:
        if key not in _workers:
            _workers[key] = Worker(side, generation)
        status = _workers[key].run(arguments, timeout, log)
    except WorkerLost:
        _workers.pop(key).end()
        status = _fresh(side, arguments, timeout, log)
    except BaseException:  # interrupted: the job's process must not outlive us
        end_workers()
        raise
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    return Ended(status, "\n".join(lines[-TAIL:]))


@atexit.register
def end_workers() -> None:
    """Ends all workers; the next job starts new ones."""
    while _workers:
        _workers.popitem()[1].end()


def environment() -> dict[str, str]:
    """The environment of a child: it finds this package, and no accelerator."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}


def _fresh(side: str, arguments: Sequence[str], timeout: float, log: Path) -> int | None:
    with log.open("wb") as stream:
        child = subprocess.Popen(
            [sys.executable, "-m", f"transpiler.verify.{side}", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env=environment(),
            start_new_session=True,
        )
        try:
            return child.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
