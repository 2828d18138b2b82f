"""What both commands share: how a source is to be read, and how messages reach the user."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from transpiler.config import Config, ConfigError, load_config
from transpiler.diagnostics import Declined, Finding
from transpiler.files import STDIN, reason
from transpiler.report.run import COULD_NOT

DEBUG = "KERAS2TORCH_DEBUG"
"""Environment variable: with it an internal error prints its traceback."""


class Failure(click.ClickException):
    """Ends the command with one line on standard error and exit code 2."""

    exit_code = COULD_NOT

    def show(self, file: Any = None) -> None:
        say(f"error: {self.message}")


def say(message: str) -> None:
    """One line on standard error."""
    click.echo(message, err=True)


@dataclass(frozen=True)
class ReadingOptions:
    """How a source is to be read, as the command line has it; None where it says nothing."""

    entries: tuple[str, ...] = ()
    setup: str | None = None
    keras: str | None = None
    roots: tuple[str, ...] = ()
    shapes: tuple[str, ...] = ()
    allow_partial: bool | None = None
    trainer: str | None = None
    strict: bool | None = None

    def plan(self, name: str) -> ReadingPlan:
        """Joins the options with the configuration that holds for the file `name`.

        Raises Failure if the configuration is wrong or an import root is no folder.
        """
        config = _config(Path.cwd() if name == STDIN else Path(name).parent)
        roots = (*map(Path, self.roots), *config.path)
        for root in roots:
            if not root.is_dir():
                raise Failure(f"import root {root}: no such folder")
        return ReadingPlan(
            self.entries,
            config.setup if self.setup is None else self.setup,
            self.keras or config.keras,
            roots,
            config.allow_partial if self.allow_partial is None else self.allow_partial,
            self.trainer or config.trainer,
            tuple(map(shape_of, self.shapes)),
            config.strict if self.strict is None else self.strict,
        )


def shape_of(text: str) -> tuple[int, ...]:
    """The shape that `--input-shape 28,28,1` names, with a batch of two in front. Raises Failure if it is none."""
    try:
        return (2, *(int(n) for n in text.strip("()").split(",") if n.strip()))
    except ValueError:
        raise Failure(f"--input-shape {text}: a shape is sizes with commas, such as 28,28,1") from None


@dataclass(frozen=True)
class ReadingPlan:
    """How a source is to be read, everything decided but what `keras` "auto" stands for."""

    entries: tuple[str, ...]
    setup: str
    keras: str
    roots: tuple[Path, ...]
    allow_partial: bool
    trainer: str
    shapes: tuple[tuple[int, ...], ...] = ()
    """The shapes, with a batch in front, of the inputs of models that declare none."""
    strict: bool = False

    @property
    def of_any(self) -> dict[str, Any]:
        """What the pipeline takes for one file and for many."""
        reading = {"setup": self.setup, "roots": self.roots, "generation": self.keras}
        return {**reading, "allow_partial": self.allow_partial, "trainer": self.trainer, "strict": self.strict}


def _config(folder: Path) -> Config:
    try:
        return load_config(folder)
    except ConfigError as error:
        raise Failure(str(error)) from None


def print_findings(findings: Sequence[Finding], sources: Mapping[str, str]) -> None:
    """Prints the findings on standard error and, if there are several, their number."""
    if not findings:
        return
    from transpiler.report.terminal import FindingPrinter, count_severities

    FindingPrinter(sys.stderr, sources).print(findings)
    if len(findings) > 1:
        say(count_severities(findings))


@contextmanager
def crashes_declined(name: str) -> Iterator[None]:
    """Raises Declined for every error of our own."""
    try:
        yield
    except Declined:
        raise
    except Exception as error:
        raise crash(error, name) from error


def crash(error: Exception, name: str) -> Declined:
    """An error of our own as a finding (K2T006): where the program stumbled, in one line."""
    import traceback

    if os.environ.get(DEBUG):
        traceback.print_exception(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    message = f"{name}: {type(error).__name__}{place}: {error}"
    return Declined("K2T006", message, f"this is a bug in keras2torch; {DEBUG}=1 prints the traceback to report")


def refuse_target(target: str | None) -> None:
    """Raises Failure, before the work begins, where a result could not be written after it."""
    if target is None or target == "-":
        return
    path = Path(target)
    if path.is_dir():
        raise Failure(f"cannot write {target}: is a directory")
    if not path.parent.is_dir():
        raise Failure(f"cannot write {target}: no such folder: {path.parent}")


def save_json(target: str | None, items: Sequence[Any]) -> None:
    """Writes `items` as JSON if a target is given. Raises Failure if it cannot be written."""
    if target is None:
        return
    from transpiler.report.json import write_json

    try:
        write_json(target, items)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Failure(f"cannot write {target}: {reason(error)}") from None
