"""How findings look."""

from __future__ import annotations

import io

import pytest

from transpiler.diagnostics import Finding, Severity, Span
from transpiler.report.run import Outcome, Report, Status
from transpiler.report.terminal import FindingPrinter, count_severities


def rendered(finding: Finding, source: str = "", stream: io.StringIO | None = None) -> str:
    stream = stream or io.StringIO()
    FindingPrinter(stream, {"m.py": source}).print([finding])
    return stream.getvalue()


def test_without_a_place():
    assert rendered(Finding("K2T003", Severity.NOTE, "no Keras here")) == "note[K2T003] no-keras: no Keras here\n"


@pytest.mark.parametrize(
    ("source", "col", "line", "caret"),
    [
        ("x = Dense(3)", 5, "x = Dense(3)", "    ^"),
        ("\tx = Dense(3)", 6, "    x = Dense(3)", "        ^"),
        ("x = '\u5c42', Dense(3)", 10, "x = '\u5c42', Dense(3)", "          ^"),
        ("x = '\x1b[31m', 1", 1, "x = '\ufffd[31m', 1", "^"),
    ],
    ids=["plain", "tab", "wide", "escape"],
)
def test_the_caret_stands_under_the_place(source, col, line, caret):
    text = rendered(Finding("K2T101", Severity.ERROR, "no", span=Span("m.py", 1, col)), source)
    assert text == f"m.py:1:{col}: error[K2T101] unsupported-layer: no\n1 | {line}\n  | {caret}\n"


def test_a_very_long_line_is_shown_in_part():
    source = "x = [" + "1, " * 5000 + "BAD]"
    text = rendered(Finding("K2T101", Severity.ERROR, "no", span=Span("m.py", 1, source.index("BAD") + 1)), source)
    _, line, caret = text.splitlines()
    assert len(line) < 220
    assert line[caret.index("^") :].startswith("BAD]")


def test_a_place_that_cannot_be_read_falls_back_to_the_excerpt():
    finding = Finding("K2T101", Severity.ERROR, "no", span=Span("gone.py", 7, 3), excerpt="x = Dense(3)")
    assert rendered(finding) == "gone.py:7:3: error[K2T101] unsupported-layer: no\n  | x = Dense(3)\n"


def test_messages_stay_on_their_line():
    assert rendered(Finding("K2T006", Severity.ERROR, "a\nb\x1b[2J")).count("\n") == 1


def test_colour_on_a_terminal_only(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    finding = Finding("K2T101", Severity.ERROR, "no", span=Span("m.py", 1, 1))
    assert "\x1b[" in rendered(finding, "x", Terminal())
    assert "\x1b[" not in rendered(finding, "x")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;31m" not in rendered(finding, "x", Terminal())


def test_count_severities():
    findings = [Finding("K2T101", severity, "") for severity in (Severity.NOTE, Severity.ERROR, Severity.NOTE)]
    assert count_severities(findings) == "1 error, 2 notes"
    assert count_severities([]) == ""


@pytest.mark.parametrize(
    ("statuses", "check", "code"),
    [
        ([], False, 0),
        ([Status.CONVERTED, Status.UNCHANGED, Status.SKIPPED], False, 0),
        ([Status.WOULD_CONVERT], False, 0),
        ([Status.WOULD_CONVERT], True, 1),
        ([Status.WOULD_CONVERT, Status.DECLINED], True, 2),
        ([Status.FAILED], False, 2),
    ],
)
def test_the_report_owns_the_exit_code(statuses, check, code):
    assert Report([Outcome("m.py", status) for status in statuses], check=check).exit_code == code
