"""`keras2torch verify`: has both sides run and compared, and reports the evidence."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transpiler.commands.common import ReadingOptions, ReadingPlan, crash, print_findings, refuse_target, save_json, say
from transpiler.diagnostics import Declined
from transpiler.files import Source, read_source, skipped
from transpiler.report.run import COULD_NOT, DONE, MISMATCH

if TYPE_CHECKING:
    from transpiler.verify import Result


def verify(path: str, reading: ReadingOptions, timeout: float, steps: int, json_target: str | None) -> int:
    """Verifies the file at `path`, prints and saves the results, and returns the exit code.

    `timeout` (seconds) is what a model may take under each framework; `steps` of its training are compared.
    """
    refuse_target(json_target)
    try:
        source = read_source(Path(path))
    except Declined as declined:
        print_findings([declined.finding()], {})
        return COULD_NOT
    if skipped(source.text):
        say(f"{path}: left alone, as its comment asks")
        save_json(json_target, [])
        return DONE
    plan = reading.plan(source.name)
    with _progress(f"running {path} under Keras and under torch"):
        results = _run(source, plan, timeout, steps)
    if results is None:
        return COULD_NOT
    if not results:
        say(f"{path}: no model found to verify: name one with --entry; `convert` tells what it found")
    else:
        from transpiler.verify import print_results

        print_results(results, sys.stderr if json_target == "-" else sys.stdout)
    save_json(json_target, results)
    return exit_code([result.status for result in results])


def _run(source: Source, plan: ReadingPlan, timeout: float, steps: int) -> list[Result] | None:
    """The results, or None after saying why there are none."""
    try:
        from transpiler.verify import verify_file

        options: dict[str, Any] = {
            "entries": plan.entries,
            "setup": plan.setup,
            "generation": plan.keras,
            "timeout": timeout,
            "steps": steps,
            "trainer": plan.trainer,
            "strict": plan.strict,
        }
        if plan.shapes:
            from transpiler.verify.job import InputSpec

            options["inputs"] = InputSpec(shapes=plan.shapes)
        return verify_file(Path(source.name), roots=plan.roots, **options)
    except Declined as declined:
        print_findings([declined.finding()], {source.name: source.text})
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and not missing.startswith("transpiler"):
            say(f"error: verify runs {missing}, not installed here: pip install 'keras2torch[verify]'")
        else:
            print_findings([crash(error, source.name).finding()], {source.name: source.text})
    return None


def _progress(message: str) -> AbstractContextManager[object]:
    """Shows on a terminal that work is under way, and nothing elsewhere."""
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(message)


def exit_code(statuses: Sequence[str]) -> int:
    """A mismatch outweighs what could not be run; and nothing verified is not a proof."""
    if "fail" in statuses:
        return MISMATCH
    return DONE if statuses and set(statuses) == {"pass"} else COULD_NOT
