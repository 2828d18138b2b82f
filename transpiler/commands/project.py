"""`keras2torch convert DIR`: the files of a folder are converted together, and keep their layout."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from transpiler.commands.common import Failure, ReadingPlan, crashes_declined, print_findings, say
from transpiler.commands.convert import nothing_to_do
from transpiler.diagnostics import Declined, Finding, Severity
from transpiler.files import Source, read_source, reason
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
        outcome = nothing_to_do(source, str(file))
        if outcome is not None:
            outcomes.append(outcome)
        else:
            sources[file.resolve()] = source
    if job.output:
        unread = {o.path for o in outcomes if o.status is Status.FAILED}
        copied = {f for f in files if f.resolve() not in sources and str(f) not in unread}
        copy_all(files, copied, folder, Path(job.output))
    if not sources:
        job.tell(f"{folder}: no Python files to convert")
        return outcomes
    plan = job.reading.plan(str(folder / "__init__.py"))
    try:
        conversion = convert_together([Path(s.name) for s in sources.values()], folder, plan)
    except Declined as declined:
        print_findings([declined.finding()], {})
        return [*outcomes, Outcome(str(folder), Status.DECLINED, (declined.finding(),))]
    job.show(str(folder), conversion.findings, sources.values(), conversion.assumptions)
    said = findings_by_file(conversion)
    read = {module.path.resolve() for module in conversion.modules}
    for path, source in sources.items():
        if path not in read:
            outcomes.append(Outcome(source.name, Status.FAILED, said.get(path, ())))
    for module in conversion.modules:
        outcomes.append(deliver(job, module, sources, said.get(module.path.resolve(), ()), folder, plan.allow_partial))
    return outcomes


def files_below(folder: Path, output: Path | None) -> Iterator[Path]:
    """The files of a project, in order; those of tools and of an earlier result left out."""
    for parent, folders, names in os.walk(folder):
        kept = [f for f in folders if f not in LEFT_OUT and not f.startswith(".")]
        folders[:] = sorted(f for f in kept if output is None or (Path(parent) / f).resolve() != output.resolve())
        yield from (Path(parent) / n for n in sorted(names) if not n.startswith("."))


def copy_all(files: list[Path], copied: set[Path], folder: Path, output: Path) -> None:
    """Makes the folders of the result, and copies what is not converted. Raises Failure."""
    if output.resolve() == folder.resolve():
        raise Failure(f"{output} is the source itself: --in-place writes over it")
    try:
        for file in files:
            target = output / file.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            if file in copied:
                shutil.copyfile(file, target)
    except OSError as error:
        raise Failure(f"cannot write {error.filename}: {reason(error)}") from None


def convert_together(files: list[Path], folder: Path, plan: ReadingPlan) -> Conversion:
    """Runs the pipeline. Raises Declined, for a crash of our own too."""
    from transpiler.pipeline import convert_project

    with crashes_declined(str(folder)):
        return convert_project(files, **plan.of_any)


def findings_by_file(conversion: Conversion) -> dict[Path, tuple[Finding, ...]]:
    """What there is to say of each file."""
    found: dict[str, list[Finding]] = {}
    for finding in conversion.all_findings:
        if finding.span is not None:
            found.setdefault(finding.span.file, []).append(finding)
    return {Path(file).resolve(): tuple(findings) for file, findings in found.items()}


def deliver(
    job: ConvertJob,
    module: ConvertedModule,
    sources: dict[Path, Source],
    findings: tuple[Finding, ...],
    folder: Path,
    partial: bool,
) -> Outcome:
    """Writes the result for one file, where the options say."""
    path = module.path.resolve()
    source = sources.get(path)
    name = source.name if source is not None else str(folder / path.relative_to(folder.resolve()))
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
