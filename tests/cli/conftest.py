"""Runs the command line in this process, with a converter that is simple enough to predict."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from transpiler import pipeline
from transpiler.cli import main
from transpiler.diagnostics import Finding
from transpiler.pipeline import Conversion, ConvertedModule

KERAS = 'from keras import layers\n\nlayer = layers.Dense(3, name="head")\n'
TORCH = KERAS.replace("keras", "torch")


@dataclass(frozen=True)
class Run:
    """What one run left behind."""

    code: int
    out: bytes
    err: str


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    def call(*argv: object, stdin: bytes = b"") -> Run:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfdbinary.readouterr()
        code = main([str(arg) for arg in argv])
        out, err = capfdbinary.readouterr()
        return Run(code, out, err.decode())

    return call


@dataclass
class Converter:
    """Stands in for the pipeline: writes torch where keras is written, and remembers how it was called."""

    findings: list[Finding] = field(default_factory=list)
    declined: Exception | None = None
    siblings: list[ConvertedModule] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    entry_plans: list[Any] = field(default_factory=list)

    def __call__(self, path: Path, *, text: str, **options: Any) -> Conversion:
        self.calls.append({"path": path, "text": text, **options})
        if self.declined:
            raise self.declined
        result = text.replace("keras", "torch")
        module = ConvertedModule(path.stem, path, result, changed=result != text)
        return Conversion([module, *self.siblings], self.entry_plans, list(self.findings), self.assumptions)


@pytest.fixture
def converter(monkeypatch: pytest.MonkeyPatch) -> Converter:
    fake = Converter()
    monkeypatch.setattr(pipeline, "convert_file", fake)
    return fake


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.py"
    path.write_text(KERAS)
    return path
