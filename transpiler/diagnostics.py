"""Findings: what the converter has to say about a place in the source, and the errors that carry them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path


class Severity(IntEnum):
    NOTE = 1
    """Worth knowing; the result is complete."""
    WARNING = 2
    """Something was left out or narrowed, and the result says so when that part is used."""
    ERROR = 3
    """Not translated: no result is written unless the user allows a partial one."""


CODES: dict[str, str] = {
    "K2T001": "syntax-error",
    "K2T002": "unreadable-file",
    "K2T003": "no-keras",
    "K2T004": "import-not-found",
    "K2T005": "evaluation-budget",
    "K2T006": "internal-error",
    "K2T101": "unsupported-layer",
    "K2T102": "unsupported-argument",
    "K2T103": "unsupported-call",
    "K2T104": "invalid-model",
    "K2T105": "mask-not-translated",
    "K2T106": "unsupported-function",
    "K2T107": "custom-class",
    "K2T201": "unknown-value",
    "K2T202": "shape-unknown",
    "K2T203": "unsupported-syntax",
    "K2T301": "frozen-parameter",
    "K2T302": "side-not-translated",
    "K2T303": "flat-model",
    "K2T304": "assumed-argument",
    "K2T305": "given-module",
    "K2T401": "training-not-translated",
    "K2T402": "regularizer-left-out",
    "K2T403": "weights-not-loaded",
    "K2T404": "training-flag",
    "K2T405": "call-left-out",
    "K2T501": "near-equal",
    "K2T502": "plain-loop",
    "K2T601": "original-fails",
    "K2T602": "result-fails",
    "K2T603": "time-limit",
    "K2T604": "weights-not-paired",
    "K2T701": "unreadable-weights",
    "K2T702": "unsupported-weights",
    "K2T703": "weights-missing",
    "K2T704": "weights-left-over",
    "K2T705": "weights-ambiguous",
    "K2T706": "weights-left-out",
    "K2T707": "weights-misfit",
    "K2T708": "weights-renamed",
}
"""Every stable code and its name."""


@dataclass(frozen=True)
class Span:
    """A place in a source file: lines count from 1, columns from 1."""

    file: str
    line: int
    col: int = 1
    end_line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.col}"


@dataclass(frozen=True)
class Finding:
    """One diagnostic: a stable `code`, where, one sentence why and one what to do."""

    code: str
    severity: Severity
    message: str
    advice: str = ""
    span: Span | None = None
    excerpt: str = ""

    @property
    def name(self) -> str:
        return CODES[self.code]

    def to_json(self) -> dict[str, object]:
        place = {"file": self.span.file, "line": self.span.line, "col": self.span.col} if self.span else {}
        return {
            "code": self.code,
            "name": self.name,
            "severity": self.severity.name.lower(),
            "message": self.message,
            "advice": self.advice,
            "excerpt": self.excerpt,
            **place,
        }


@dataclass
class Findings:
    """The findings of one conversion, in order, without repeats."""

    items: list[Finding] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        if finding not in self.items:
            self.items.append(finding)

    @property
    def worst(self) -> Severity | None:
        return max((f.severity for f in self.items), default=None)


class Declined(Exception):
    """A construct that is not translated. Whoever knows the place adds the span."""

    def __init__(self, code: str, message: str, advice: str = "", span: Span | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.advice, self.span = code, message, advice, span

    def finding(self, severity: Severity = Severity.ERROR) -> Finding:
        return Finding(self.code, severity, self.message, self.advice, self.span, excerpt(self.span))


def excerpt(span: Span | None) -> str:
    """The source line at `span`, or nothing where it cannot be read."""
    if span is None:
        return ""
    try:
        lines = Path(span.file).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return ""
    return lines[span.line - 1].strip() if 0 < span.line <= len(lines) else ""
