"""What one run of `convert` did, file by file. It alone decides the exit code."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

from transpiler.diagnostics import Finding

DONE, WOULD_CHANGE, MISMATCH, COULD_NOT = 0, 1, 1, 2
"""Exit codes: the second is of `convert --check`, the third of `verify`."""


class Status(Enum):
    CONVERTED = "converted"
    WOULD_CONVERT = "would convert"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    DECLINED = "declined"
    """The file was read, and something in it is not translated."""
    FAILED = "failed"
    """The file could not be read, parsed or written."""


@dataclass(frozen=True)
class Outcome:
    """The result for one file. `entries` are (expression, tier) pairs of the models that were found."""

    path: str
    status: Status
    findings: tuple[Finding, ...] = ()
    assumptions: tuple[str, ...] = ()
    entries: tuple[tuple[str, str], ...] = ()
    message: str = ""

    def to_json(self) -> dict[str, object]:
        return {
            "path": self.path,
            "status": self.status.value,
            "message": self.message,
            "entries": [{"entry": expression, "tier": tier} for expression, tier in self.entries],
            "assumptions": list(self.assumptions),
            "findings": [finding.to_json() for finding in self.findings],
        }


@dataclass
class Report:
    """The outcomes of a run, in order. With `check`, a file that would change counts."""

    outcomes: list[Outcome] = field(default_factory=list)
    check: bool = False

    @property
    def exit_code(self) -> int:
        found = {outcome.status for outcome in self.outcomes}
        if found & {Status.DECLINED, Status.FAILED}:
            return COULD_NOT
        return WOULD_CHANGE if self.check and Status.WOULD_CONVERT in found else DONE

    def counts(self) -> str:
        """Such as "2 files converted, 1 declined"."""
        counter = Counter(outcome.status for outcome in self.outcomes)
        parts = [(counter[status], status.value) for status in Status if counter[status]]
        if not parts:
            return ""
        (first, word), *rest = parts
        files = "file" if first == 1 else "files"
        return ", ".join([f"{first} {files} {word}", *(f"{n} {w}" for n, w in rest)])
