"""A process that has imported a framework, and nothing more, and forks for each job: saves seconds per entry.

`python -m transpiler.verify.worker keras_side|torch_side GENERATION` reads one JSON object {arguments, log, timeout}
a line and answers {status} for each: the exit status of the fork, null if it met the time limit.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import time
from typing import Any

POLL = 0.02


def main(argv: list[str]) -> int:
    side, generation = argv
    module = importlib.import_module(f"transpiler.verify.{side}")
    if side == "keras_side":
        module.live.import_framework(generation)
    answers = os.fdopen(os.dup(1), "w")
    signal.signal(signal.SIGTERM, _stop)
    os.dup2(2, 1)  # whatever else prints must not be taken for an answer
    for line in sys.stdin:
        status = _serve(module, json.loads(line))
        print(json.dumps({"status": status}), file=answers, flush=True)
    return 0


_running: list[int] = []


def _stop(*_: Any) -> None:
    for pid in _running:
        _kill(pid)
    os._exit(1)


def _kill(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)


def _serve(module: Any, job: dict[str, Any]) -> int | None:
    pid = os.fork()
    if pid == 0:
        _run(module, job)
    with contextlib.suppress(OSError):  # here and in the fork: whoever comes first
        os.setpgid(pid, pid)
    _running[:] = [pid]
    deadline = time.monotonic() + job["timeout"]
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            _running.clear()
            return os.waitstatus_to_exitcode(status)
        time.sleep(POLL)
    _kill(pid)
    os.waitpid(pid, 0)
    _running.clear()
    return None


def _run(module: Any, job: dict[str, Any]) -> None:
    """In the fork; never returns."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    empty = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, empty), (1, log), (2, log)):
        os.dup2(source, target)
    status = 1
    try:
        status = module.main(job["arguments"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
