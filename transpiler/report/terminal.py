"""Findings for people, laid out as a good compiler does; in colour on a terminal only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from transpiler.diagnostics import Declined, Finding, Severity
from transpiler.files import read_source

_STYLE = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold cyan"}
_TAB = 4
_WIDTH = 200
"""Of a longer source line only a part around the place is shown."""


class FindingPrinter:
    """Prints findings to `stream`. `sources` holds the text of files that cannot be read again, such as stdin."""

    def __init__(self, stream: TextIO, sources: Mapping[str, str] | None = None) -> None:
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._sources = dict(sources or {})

    def print(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self._console.print(self._block(finding))

    def _block(self, finding: Finding) -> Text:
        style = _STYLE[finding.severity]
        text = Text()
        if finding.span:
            text.append(f"{printable(str(finding.span))}: ", "bold")
        text.append(f"{finding.severity.name.lower()}[{finding.code}] {finding.name}: ", style)
        text.append(printable(finding.message))
        line = self._line(finding)
        if line.strip() and finding.span:
            self._excerpt(text, line, finding.span.line, finding.span.col, style)
        elif finding.excerpt:
            text.append(f"\n  | {printable(finding.excerpt)}")
        if finding.advice:
            text.append("\n  = help: ", "bold")
            text.append(printable(finding.advice))
        return text

    def _excerpt(self, text: Text, line: str, number: int, col: int, style: str) -> None:
        start = max(0, col - _WIDTH // 2) if len(line) > _WIDTH else 0
        before = printable(line[start : col - 1].expandtabs(_TAB))
        shown = printable(line[start : start + _WIDTH].expandtabs(_TAB).rstrip())
        gutter = str(number)
        text.append(f"\n{gutter} | ", "dim")
        text.append(shown)
        text.append(f"\n{' ' * len(gutter)} | ", "dim")
        text.append(" " * cell_len(before))
        text.append("^", style)

    def _line(self, finding: Finding) -> str:
        if not finding.span:
            return ""
        file = finding.span.file
        if file not in self._sources:
            try:
                self._sources[file] = read_source(Path(file)).text
            except Declined:
                self._sources[file] = ""
        lines = self._sources[file].split("\n")
        return lines[finding.span.line - 1] if 0 < finding.span.line <= len(lines) else ""


def count_severities(findings: Iterable[Finding]) -> str:
    """Such as "1 error, 2 warnings"; empty without findings."""
    counter = Counter(finding.severity for finding in findings)
    parts = []
    for severity in sorted(counter, reverse=True):
        number, name = counter[severity], severity.name.lower()
        parts.append(f"{number} {name}{'' if number == 1 else 's'}")
    return ", ".join(parts)


def printable(text: str) -> str:
    """`text` on one line, without the control characters that a terminal would obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text.replace("\n", " "))
