"""`keras2torch convert DIR`: the files of a folder are converted together, and keep their layout."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from transpiler.commands.common import Failure, crash, print_findings, say
from transpiler.diagnostics import Declined, Finding, Severity
from transpiler.files import Source, read_source, reason, skipped
from transpiler.report.run import Outcome, Status

if TYPE_CHECKING:
    from transpiler.commands.convert import ConvertJob
    from transpiler.ir.conversion import ConvertedModule
    from transpiler.pipeline import Conversion

LEFT_OUT = frozenset(("__pycache__", "node_modules", "venv", "build", "dist"))
"""Folders that hold no sources of a project, beside those whose names begin with a dot."""


def convert_folder(job: ConvertJob, folder: Path) -> list[Outcome]:
    """Converts the Python files below a folder together; with -o they are written below OUT, and all else is copied."""
    files = list(files_below(folder, Path(job.output) if job.output else None))
    sources: dict[Path, Source] = {}
    outcomes: list[Outcome] = []
    for file in files:
        if file.suffix != ".py":
            continue
        try:
            source = read_source(file)
        except Declined as declined:
            print_findings([declined.finding()], {})
            outcomes.append(Outcome(str(file), Status.FAILED, (declined.finding(),)))
            continue
        if skipped(source.text):
            outcomes.append(Outcome(str(file), Status.SKIPPED, message="left alone, as its comment asks"))
        elif not source.text.strip():
            outcomes.append(Outcome(str(file), Status.UNCHANGED))
        else:
            sources[file.resolve()] = source
    if job.output:
        copy_all(files, folder, Path(job.output))
    if not sources:
        job.tell(f"{folder}: no Python files to convert")
        return outcomes
    plan = job.reading.plan(str(folder / "__init__.py"))
    conversion = convert_together([Path(s.name) for s in sources.values()], folder, plan)
    if isinstance(conversion, Declined):
        print_findings([conversion.finding()], {})
        return [*outcomes, Outcome(str(folder), Status.DECLINED, (conversion.finding(),))]
    print_all(job, conversion, sources)
    for assumption in conversion.assumptions:
        job.tell(f"{folder}: assumed: {assumption}")
    read = {module.path.resolve() for module in conversion.modules}
    for path, source in sources.items():
        if path not in read:
            outcomes.append(Outcome(source.name, Status.FAILED, findings_in(path, conversion)))
    return [*outcomes, *(deliver(job, m, sources, conversion, folder, plan.allow_partial) for m in conversion.modules)]


def files_below(folder: Path, output: Path | None) -> Iterator[Path]:
    """The files of a project, in order; those of tools and of an earlier result left out."""
    for parent, folders, names in os.walk(folder):
        kept = [f for f in folders if f not in LEFT_OUT and not f.startswith(".")]
        folders[:] = sorted(f for f in kept if output is None or (Path(parent) / f).resolve() != output.resolve())
        yield from (Path(parent) / n for n in sorted(names) if not n.startswith("."))


def copy_all(files: list[Path], folder: Path, output: Path) -> None:
    """Copies what is not converted, and what will be written over. Raises Failure."""
    if output.resolve() == folder.resolve():
        raise Failure(f"{output} is the source itself: --in-place writes over it")
    try:
        for file in files:
            target = output / file.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix != ".py" or not file.stat().st_size:
                shutil.copyfile(file, target)
    except OSError as error:
        raise Failure(f"cannot write {error.filename}: {reason(error)}") from None


def convert_together(files: list[Path], folder: Path, plan: object) -> Conversion | Declined:
    from transpiler.pipeline import convert_project

    options = {} if plan.keras == "auto" else {"generation": plan.keras}  # type: ignore[attr-defined]
    try:
        return convert_project(
            files, setup=plan.setup, roots=plan.roots, allow_partial=plan.allow_partial, **options  # type: ignore[attr-defined]
        )
    except Declined as declined:
        return declined
    except Exception as error:
        return crash(error, str(folder))


def findings_in(path: Path, conversion: Conversion) -> tuple[Finding, ...]:
    """What there is to say of one file."""
    found = [*conversion.findings, *(f for entry in conversion.entries for f in entry.findings)]
    return tuple(dict.fromkeys(f for f in found if f.span is not None and Path(f.span.file).resolve() == path))


def print_all(job: ConvertJob, conversion: Conversion, sources: dict[Path, Source]) -> None:
    shown = [f for f in conversion.findings if not job.quiet or f.severity is Severity.ERROR]
    print_findings(shown, {source.name: source.text for source in sources.values()})


def deliver(
    job: ConvertJob,
    module: ConvertedModule,
    sources: dict[Path, Source],
    conversion: Conversion,
    folder: Path,
    partial: bool,
) -> Outcome:
    """Writes the result for one file, where the options say."""
    path = module.path.resolve()
    source = sources.get(path)
    name = source.name if source is not None else str(folder / path.relative_to(folder.resolve()))
    findings = findings_in(path, conversion)
    outcome = Outcome(name, Status.DECLINED, findings)
    if any(f.severity is Severity.ERROR for f in findings) and not partial:
        say(f"{name}: not converted; --allow-partial writes the rest")
        return outcome
    target = str(Path(job.output) / path.relative_to(folder.resolve())) if job.output else None
    if source is None:
        source = Source(name, "", b"")
    elif not module.changed or module.text == source.text:
        outcome = replace(outcome, status=Status.UNCHANGED)
        return job.put(source, source.data, outcome, target) if target else outcome
    return job.write(source, module.text, outcome, target)
