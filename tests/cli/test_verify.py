"""What `keras2torch verify` passes on, prints and returns."""

from __future__ import annotations

import json
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from transpiler.commands.verify import exit_code
from transpiler.diagnostics import Declined, Span


@dataclass(frozen=True)
class FakeResult:
    entry: str
    status: str
    error: float = 0.0

    def to_json(self) -> dict[str, object]:
        return {"entry": self.entry, "status": self.status, "forward": {"max_rel": self.error}}


class FakeVerifier:
    """Stands in for `transpiler.verify`: no framework is needed to test what is around it."""

    def __init__(self) -> None:
        self.results = [FakeResult("model", "pass")]
        self.raises: Exception | None = None
        self.calls: list[tuple[Path, dict[str, Any]]] = []

    def verify_file(self, path: Path, **options: Any) -> list[FakeResult]:
        self.calls.append((path, options))
        if self.raises:
            raise self.raises
        return self.results

    def print_results(self, results: list[FakeResult], stream: Any) -> None:
        for result in results:
            print(f"{result.entry}: {result.status}", file=stream)


@pytest.fixture
def verifier(monkeypatch: pytest.MonkeyPatch) -> FakeVerifier:
    fake = FakeVerifier()
    module = types.ModuleType("transpiler.verify")
    module.verify_file, module.print_results = fake.verify_file, fake.print_results
    monkeypatch.setitem(sys.modules, "transpiler.verify", module)
    monkeypatch.setattr("transpiler.verify", module, raising=False)
    return fake


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        (["pass"], 0),
        (["pass", "fail"], 1),
        (["fail", "error"], 1),
        (["pass", "declined"], 2),
        (["error"], 2),
        ([], 2),
    ],
)
def test_exit_code(run, verifier, model, statuses, code):
    verifier.results = [FakeResult(f"m{i}", status) for i, status in enumerate(statuses)]
    assert exit_code(statuses) == code
    assert run("verify", model).code == code


def test_options_reach_the_verifier(run, verifier, model, tmp_path):
    named = ("--entry", "a()", "--entry", "b", "--setup", "x = 1", "--keras", "keras3", "--path", tmp_path)
    run("verify", model, *named, "--timeout", "1200", "--train", "7", "--trainer", "lightning", "--strict")
    assert verifier.calls == [
        (
            model,
            {
                "entries": ("a()", "b"),
                "setup": "x = 1",
                "generation": "keras3",
                "roots": (tmp_path,),
                "timeout": 1200,
                "steps": 7,
                "trainer": "lightning",
                "strict": True,
            },
        )
    ]
    run("verify", model)
    defaults = {"entries": (), "setup": "", "generation": "auto", "roots": (), "timeout": 300, "steps": 0}
    defaults |= {"trainer": "plain", "strict": False}
    assert verifier.calls[1][1] == defaults


def test_results_go_to_stdout(run, verifier, model):
    result = run("verify", model)
    assert (result.out, result.err) == (b"model: pass\n", "")


def test_json_file(run, verifier, model, tmp_path):
    verifier.results = [FakeResult("model", "fail", 0.5)]
    target = tmp_path / "results.json"
    assert run("verify", model, "--json", target).code == 1
    assert json.loads(target.read_text()) == [{"entry": "model", "status": "fail", "forward": {"max_rel": 0.5}}]


def test_json_on_stdout_moves_the_table_to_stderr(run, verifier, model):
    result = run("verify", model, "--json", "-")
    assert json.loads(result.out)[0]["status"] == "pass"
    assert result.err == "model: pass\n"


def test_nothing_to_verify_is_not_a_pass(run, verifier, model):
    verifier.results = []
    result = run("verify", model)
    assert (result.code, result.out) == (2, b"")
    assert "no model found to verify" in result.err


def test_missing_file(run, verifier, tmp_path):
    result = run("verify", tmp_path / "gone.py")
    assert (result.code, result.out) == (2, b"")
    assert "error[K2T002] unreadable-file" in result.err


def test_skip_comment(run, verifier, tmp_path):
    source = tmp_path / "m.py"
    source.write_text("import keras  # keras2torch: skip\n")
    assert run("verify", source).code == 0
    assert not verifier.calls


def test_a_declined_file(run, verifier, model):
    verifier.raises = Declined("K2T001", "invalid syntax", span=Span(str(model), 1, 3))
    result = run("verify", model)
    assert result.code == 2
    assert result.err.startswith(f"{model}:1:3: error[K2T001] syntax-error: invalid syntax\n")


def test_a_crash_is_a_finding(run, verifier, model):
    verifier.raises = KeyError("weights")
    result = run("verify", model)
    assert (result.code, result.err.count("K2T006")) == (2, 1)


def test_missing_frameworks_say_what_to_install(run, verifier, model):
    verifier.raises = ModuleNotFoundError("No module named 'torch'", name="torch")
    result = run("verify", model)
    assert (result.code, result.out) == (2, b"")
    assert result.err == "error: verify runs torch, not installed here: pip install 'keras2torch[verify]'\n"
