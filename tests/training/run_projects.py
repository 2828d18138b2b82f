"""Runs scripts of whole projects: the Keras originals, and the results of their conversion from the same initial weights."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from run_scripts import child, numbers

from transpiler.options import PLAIN
from transpiler.pipeline import Conversion, convert_project
from transpiler.verify.job import InputSpec, job_for

PROJECTS = Path(__file__).parent / "projects"


def converted(folder: Path, generation: str = "keras3", trainer: str = PLAIN) -> Conversion:
    return convert_project(sorted(folder.rglob("*.py")), generation=generation, trainer=trainer)


def errors_of(conversion: Conversion) -> list[str]:
    return [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]


def printed_by_project(
    project: Path,
    scripts: Sequence[str],
    fresh: Collection[str],
    folder: Path,
    generation: str = "keras3",
    trainer: str = PLAIN,
) -> tuple[Conversion, dict[str, tuple[list[float], list[float]]]]:
    """The conversion of a project, and the numbers that each of its scripts and its result print, one after the other.

    Scripts in `fresh` start from weights of Keras; the others go on with the files that those before them leave.
    """
    original, result, jobs = folder / "original" / project.name, folder / "result" / project.name, folder / "jobs"
    shutil.copytree(project, original, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(original, result)
    conversion = converted(original, generation, trainer)
    assert not errors_of(conversion), errors_of(conversion)
    for module in conversion.modules:
        (result / module.path.resolve().relative_to(original.resolve())).write_text(module.text, encoding="utf-8")
    jobs.mkdir()
    for i, plan in enumerate(conversion.entries):
        job = job_for(project, module.name, [project], generation, plan, conversion.modules, InputSpec())
        job.write(jobs / f"job{i}.json")
    found = {}
    for script in scripts:
        if script in fresh:
            (jobs / "weights.npz").unlink(missing_ok=True)
            keras = child("keras_project.py", original, generation, jobs, original / script)
            torch = child("torch_project.py", result, generation, jobs, result / script)
        else:
            keras = child("plain_child.py", original, generation, generation, original / script)
            torch = child("plain_child.py", result, generation, generation, result / script)
        found[script] = numbers(keras), numbers(torch)
    return conversion, found
