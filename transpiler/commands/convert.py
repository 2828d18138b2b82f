"""`keras2torch convert`: reads files, has them converted, and delivers the results."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from transpiler.commands.common import (
    Failure,
    ReadingOptions,
    ReadingPlan,
    crashes_declined,
    print_findings,
    refuse_target,
    save_json,
    say,
)
from transpiler.diagnostics import Declined, Finding, Severity
from transpiler.files import Source, read_source, read_stdin, reason, skipped, write_atomic
from transpiler.report.run import Outcome, Report, Status

if TYPE_CHECKING:
    from transpiler.pipeline import Conversion

_UNUSABLE = ("K2T001", "K2T002", "K2T006")
"""The findings after which nothing of a file was looked at."""


@dataclass(frozen=True)
class ConvertJob:
    """The options of one run, and what they make of each file."""

    paths: tuple[str, ...]
    reading: ReadingOptions
    output: str | None = None
    in_place: bool = False
    check: bool = False
    diff: bool = False
    json_target: str | None = None
    quiet: bool = False

    @property
    def dry(self) -> bool:
        return self.check or self.diff

    @property
    def to_stdout(self) -> bool:
        return not (self.output or self.in_place or self.dry)

    def run(self) -> int:
        """Converts every file and returns the exit code.

        Raises UsageError for options that contradict one another, Failure for a target that cannot be written.
        """
        self._refuse_bad_combinations()
        report = Report(check=self.check)
        for path in self.paths:
            if path != "-" and Path(path).is_dir():
                from transpiler.commands.project import convert_folder

                report.outcomes += convert_folder(self, Path(path))
            else:
                report.outcomes.append(self._file(path))
        if len(report.outcomes) > 1:
            self.tell(report.counts())
        save_json(self.json_target, report.outcomes)
        return report.exit_code

    def _refuse_bad_combinations(self) -> None:
        if self.output and self.in_place:
            raise click.UsageError("-o and --in-place exclude each other")
        if self.dry and (self.output or self.in_place):
            raise click.UsageError("--check and --diff write nothing: leave out -o and --in-place")
        if len(self.paths) > 1 and not (self.in_place or self.dry):
            raise click.UsageError("several files need --in-place, --check or --diff")
        if self.to_stdout and any(p != "-" and Path(p).is_dir() for p in self.paths):
            raise click.UsageError("a folder needs -o OUTDIR, --in-place, --check or --diff")
        if self.in_place and "-" in self.paths:
            raise click.UsageError("standard input cannot be converted in place")
        if self.json_target == "-" and (self.to_stdout or self.diff):
            raise click.UsageError("standard output is taken by the result: give --json a file")
        if not any(Path(p).is_dir() for p in self.paths):
            refuse_target(self.output)
        elif self.output and Path(self.output).is_file():
            raise Failure(f"cannot write {self.output}: is a file")
        refuse_target(self.json_target)

    def _file(self, path: str) -> Outcome:
        try:
            source = read_stdin() if path == "-" else read_source(Path(path))
        except Declined as declined:
            return self._refused(Outcome(path, Status.FAILED), declined.finding(), {})
        outcome = nothing_to_do(source, path)
        if outcome is not None:
            return self._pass_through(source, outcome)
        plan = self.reading.plan(source.name)
        try:
            conversion = _convert(source, plan)
        except Declined as declined:
            status = Status.FAILED if declined.code in _UNUSABLE else Status.DECLINED
            return self._refused(Outcome(path, status), quoted(declined.finding(), source), {source.name: source.text})
        return self._deliver(path, source, conversion, plan.allow_partial)

    def _refused(self, outcome: Outcome, finding: Finding, sources: Mapping[str, str]) -> Outcome:
        print_findings([finding], sources)
        return replace(outcome, findings=(finding,))

    def _deliver(self, path: str, source: Source, conversion: Conversion, partial: bool) -> Outcome:
        findings = all_findings(conversion, source)
        outcome = Outcome(
            path,
            Status.DECLINED,
            findings=findings,
            assumptions=tuple(conversion.assumptions),
            entries=tuple((entry.expression, entry.tier) for entry in conversion.entries),
        )
        self.show(source.name, findings, [source], conversion.assumptions)
        errors = any(finding.severity is Severity.ERROR for finding in findings)
        if not conversion.modules or (errors and not partial):
            say(f"{source.name}: not converted" + ("" if partial else "; --allow-partial writes the rest"))
            return outcome
        result = conversion.modules[0]
        if not result.changed or result.text == source.text:
            told = any(finding.code == "K2T003" for finding in findings)
            message = "" if told else "nothing to convert"
            return self._pass_through(source, replace(outcome, status=Status.UNCHANGED, message=message))
        self._name_siblings(source, conversion)
        return self.write(source, result.text, outcome)

    def show(
        self, name: str, findings: Iterable[Finding], sources: Iterable[Source], assumptions: Iterable[str]
    ) -> None:
        """Prints what there is to say of a file, or of a folder with these files."""
        shown = [finding for finding in findings if not self.quiet or finding.severity is Severity.ERROR]
        print_findings(shown, {source.name: source.text for source in sources})
        for assumption in assumptions:
            self.tell(f"{name}: assumed: {assumption}")

    def _name_siblings(self, source: Source, conversion: Conversion) -> None:
        """Says which modules of the same project the result needs in PyTorch too: only what was given is written."""
        given = {Path(path).resolve() for path in self.paths if path != "-"}
        for module in conversion.modules[1:]:
            if module.changed and module.path.resolve() not in given:
                self.tell(f"{source.name}: needs {module.name} in PyTorch as well: convert {module.path}")

    def _pass_through(self, source: Source, outcome: Outcome) -> Outcome:
        if outcome.message and len(self.paths) == 1:  # of several, the counts say it
            self.tell(f"{source.name}: {outcome.message}")
        return self.put(source, source.data, outcome) if self.output or self.to_stdout else outcome

    def write(self, source: Source, text: str, outcome: Outcome, target: str | None = None) -> Outcome:
        """Delivers the result of one file as the options ask; `target` is where it goes, if not where `-o` says."""
        try:
            data = source.encode(text)
        except UnicodeEncodeError as error:
            character = error.object[error.start]
            message = f"the result has {character!r}, which the encoding {error.encoding} lacks: save the file as UTF-8"
            say(f"{source.name}: error: {message}")
            return replace(outcome, status=Status.FAILED, message=message)
        if self.diff:
            _write_stdout(unified_diff(source, text).encode("utf-8", "backslashreplace"))
        if self.dry:
            self.tell(f"would convert {source.name}")
            return replace(outcome, status=Status.WOULD_CONVERT)
        outcome = self.put(source, data, replace(outcome, status=Status.CONVERTED), target)
        if outcome.status is Status.CONVERTED and not self.to_stdout:
            where = target or self.output
            self.tell(f"converted {source.name}" + (f" -> {where}" if where else ""))
        return outcome

    def put(self, source: Source, data: bytes, outcome: Outcome, target: str | None = None) -> Outcome:
        """Writes the bytes of one result."""
        if self.to_stdout:
            _write_stdout(data)
            return outcome
        target = target or self.output or source.name
        try:
            write_atomic(Path(target), data)
        except OSError as error:
            message = f"cannot write {target}: {reason(error)}"
            say(f"error: {message}")
            return replace(outcome, status=Status.FAILED, message=message)
        return outcome

    def tell(self, message: str) -> None:
        if not self.quiet:
            say(message)


def nothing_to_do(source: Source, path: str) -> Outcome | None:
    """The outcome for a file that is left as it is without a look at its code."""
    if skipped(source.text):
        return Outcome(path, Status.SKIPPED, message="left alone, as its comment asks")
    if not source.text.strip():
        return Outcome(path, Status.UNCHANGED, message="is empty: nothing to convert")
    return None


def _convert(source: Source, plan: ReadingPlan) -> Conversion:
    """Runs the pipeline. Raises Declined, for a crash of our own too."""
    from transpiler.pipeline import convert_file

    with crashes_declined(source.name):
        return convert_file(
            Path(source.name), text=source.text, entries=plan.entries, shapes=plan.shapes, **plan.of_any
        )


def all_findings(conversion: Conversion, source: Source) -> tuple[Finding, ...]:
    """The findings of the file and of its models, each once."""
    return tuple(dict.fromkeys(quoted(finding, source) for finding in conversion.all_findings))


def quoted(finding: Finding, source: Source) -> Finding:
    """The finding with its source line, where only the text at hand has it: standard input, other encodings."""
    if finding.excerpt or not finding.span or finding.span.file != source.name:
        return finding
    lines = source.text.split("\n")
    inside = 0 < finding.span.line <= len(lines)
    return replace(finding, excerpt=lines[finding.span.line - 1].strip()) if inside else finding


def unified_diff(source: Source, text: str) -> str:
    """What `patch` takes to turn the source into `text`, with the newlines of the source."""
    before, after = (_lines(source.restore(t)) for t in (source.text, text))
    lines = difflib.unified_diff(before, after, source.name, source.name)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(text: str) -> list[str]:
    *whole, rest = text.split("\n")
    return [f"{line}\n" for line in whole] + ([rest] if rest else [])


def _write_stdout(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
