"""Golden cases: one file holds the flags, the Keras input, and what the converter must make of it.

# flags: --allow-partial          (optional)
…Keras source…
# output
…PyTorch source; empty where the file is declined…
# findings                        (only if there are any)
# error 3:9 K2T101 unsupported-layer: message
"""

from __future__ import annotations

import contextlib
import io
import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from transpiler.cli import main

FLAGS, OUTPUT, FINDINGS = "# flags:", "# output", "# findings"


@dataclass(frozen=True)
class Case:
    flags: tuple[str, ...]
    source: str
    output: str
    findings: str

    @classmethod
    def read(cls, path: Path) -> Case:
        """Raises ValueError for a file without the line that starts the output."""
        text = path.read_text(encoding="utf-8")
        flags: tuple[str, ...] = ()
        if text.startswith(FLAGS):
            first, text = text.split("\n", 1)
            flags = tuple(shlex.split(first.removeprefix(FLAGS)))
        source, found, expected = f"\n{text}".partition(f"\n{OUTPUT}\n")
        if not found:
            raise ValueError(f"{path}: no line `{OUTPUT}`")
        output, _, findings = f"\n{expected}".partition(f"\n{FINDINGS}\n")
        return cls(flags, f"{source[1:]}\n", ended(output[1:]), findings)

    def write(self, path: Path) -> None:
        flags = f"{FLAGS} {shlex.join(self.flags)}\n" if self.flags else ""
        findings = f"{FINDINGS}\n{self.findings}" if self.findings else ""
        path.write_text(f"{flags}{self.source}{OUTPUT}\n{self.output}{findings}", encoding="utf-8")


def ended(text: str) -> str:
    return f"{text}\n" if text and not text.endswith("\n") else text


@dataclass(frozen=True)
class Converted:
    code: int
    output: str
    findings: str
    messages: str


def convert(source: str, folder: Path, flags: tuple[str, ...] = (), name: str = "case.py") -> Converted:
    """What the command line makes of `source`."""
    path, out, report = folder / name, folder / "out.py", folder / "findings.json"
    path.write_bytes(source.encode())
    out.unlink(missing_ok=True)
    messages = io.StringIO()
    with contextlib.redirect_stderr(messages):
        code = main(["convert", *flags, str(path), "-o", str(out), "--json", str(report)])
    output = out.read_text(encoding="utf-8") if out.exists() else ""
    rows = json.loads(report.read_text(encoding="utf-8"))[0]["findings"] if report.exists() else []
    findings = "".join(map(finding_line, rows)).replace(f"{folder}/", "")
    return Converted(code, output, findings, messages.getvalue())


def finding_line(row: dict[str, object]) -> str:
    place = f" {row['line']}:{row['col']}" if "line" in row else ""
    return f"# {row['severity']}{place} {row['code']} {row['name']}: {row['message']}\n"
