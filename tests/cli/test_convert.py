"""What `keras2torch convert` reads, writes, says and returns."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from transpiler.diagnostics import Declined, Finding, Severity, Span
from transpiler.pipeline import ConvertedModule, EntryPlan

KERAS = b'from keras import layers\n\nlayer = layers.Dense(3, name="head")\n'
TORCH = KERAS.replace(b"keras", b"torch")


def finding(severity: Severity, path: Path | str) -> Finding:
    return Finding("K2T101", severity, "Wobble is not translated", "write it by hand", Span(str(path), 3, 9))


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_result_goes_to_stdout_and_nothing_else_does(run, converter, model):
    result = run("convert", model)
    assert (result.code, result.out, result.err) == (0, TORCH, "")


def test_result_goes_to_the_named_file(run, converter, model, tmp_path):
    out = tmp_path / "out.py"
    result = run("convert", model, "-o", out)
    assert (result.code, result.out, out.read_bytes()) == (0, b"", TORCH)
    assert result.err == f"converted {model} -> {out}\n"
    assert left_behind(tmp_path) == ["model.py", "out.py"]


def test_stdin(run, converter):
    result = run("convert", "-", stdin=KERAS)
    assert (result.code, result.out) == (0, TORCH)
    assert converter.calls[0]["path"] == Path("<stdin>")


def test_in_place_keeps_the_mode(run, converter, model, tmp_path):
    model.chmod(0o754)
    result = run("convert", "--in-place", model)
    assert (result.code, model.read_bytes()) == (0, TORCH)
    assert stat.S_IMODE(model.stat().st_mode) == 0o754
    assert left_behind(tmp_path) == ["model.py"]


def test_a_new_file_gets_the_usual_mode(run, converter, model, tmp_path):
    old = os.umask(0o027)
    try:
        run("convert", model, "-o", tmp_path / "out.py")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "out.py").stat().st_mode) == 0o640


def test_a_link_is_followed(run, converter, model, tmp_path):
    link = tmp_path / "link.py"
    link.symlink_to(model)
    assert run("convert", "--in-place", link).code == 0
    assert link.is_symlink()
    assert model.read_bytes() == TORCH


def test_a_pipe_is_written_to_not_replaced(run, converter, model, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    assert run("convert", model, "-o", pipe).code == 0
    reader.join(10)
    assert received == [TORCH]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_check_tells_and_writes_nothing(run, converter, model, tmp_path):
    clean = tmp_path / "clean.py"
    clean.write_text("x = 1\n")
    result = run("convert", "--check", model, clean)
    assert (result.code, result.out, model.read_bytes()) == (1, b"", KERAS)
    assert result.err == f"would convert {model}\n1 file would convert, 1 unchanged\n"
    assert run("convert", "--check", clean).code == 0


def test_check_of_several_files_goes_on_after_a_bad_one(run, converter, model, tmp_path):
    result = run("convert", "--check", tmp_path / "missing.py", model)
    assert result.code == 2
    assert f"would convert {model}" in result.err
    assert result.err.endswith("1 file would convert, 1 failed\n")


def test_diff_can_be_applied(run, converter, tmp_path):
    source = tmp_path / "model.py"
    source.write_bytes(b"import keras\r\nx = keras")
    result = run("convert", "--diff", source)
    assert result.code == 0
    assert result.out == (
        f"--- {source}\n+++ {source}\n@@ -1,2 +1,2 @@\n".encode()
        + b"-import keras\r\n-x = keras\n\\ No newline at end of file\n"
        + b"+import torch\r\n+x = torch\n\\ No newline at end of file\n"
    )
    assert run("convert", "--diff", "--check", source).code == 1
    assert source.read_bytes() == b"import keras\r\nx = keras"


def test_in_place_takes_several_files(run, converter, tmp_path):
    files = [tmp_path / name for name in ("a.py", "b.py")]
    for file in files:
        file.write_bytes(KERAS)
    assert run("convert", "--in-place", *files).code == 0
    assert [file.read_bytes() for file in files] == [TORCH, TORCH]


@pytest.mark.parametrize(
    "options",
    [
        ["a.py", "b.py"],
        ["a.py", "-o", "b.py", "--in-place"],
        ["a.py", "--check", "-o", "b.py"],
        ["a.py", "--diff", "--in-place"],
        ["-", "--in-place"],
        ["a.py", "--json", "-"],
        ["a.py", "--keras", "keras9"],
        ["a.py", "--no-such-option"],
        [],
    ],
    ids=" ".join,
)
def test_options_that_contradict_are_refused_before_reading(run, converter, options):
    result = run("convert", *options)
    assert (result.code, result.out) == (2, b"")
    assert "Usage: keras2torch convert" in result.err
    assert not converter.calls


def test_an_error_finding_stops_the_file(run, converter, model, tmp_path):
    converter.findings = [finding(Severity.ERROR, model)]
    result = run("convert", model, "-o", tmp_path / "out.py")
    assert (result.code, result.out) == (2, b"")
    assert result.err == (
        f"{model}:3:9: error[K2T101] unsupported-layer: Wobble is not translated\n"
        '3 | layer = layers.Dense(3, name="head")\n'
        "  |         ^\n"
        "  = help: write it by hand\n"
        f"{model}: not converted; --allow-partial writes the rest\n"
    )
    assert left_behind(tmp_path) == ["model.py"]


def test_allow_partial_writes_the_rest_and_still_reports(run, converter, model):
    converter.findings = [finding(Severity.ERROR, model)]
    result = run("convert", "--allow-partial", model)
    assert (result.code, result.out) == (0, TORCH)
    assert "error[K2T101]" in result.err
    assert converter.calls[0]["allow_partial"] is True


@pytest.mark.parametrize("severity", [Severity.WARNING, Severity.NOTE])
def test_lesser_findings_do_not_stop_the_file(run, converter, model, severity):
    converter.findings = [finding(severity, model)]
    result = run("convert", model)
    assert (result.code, result.out) == (0, TORCH)
    assert f"{severity.name.lower()}[K2T101]" in result.err
    assert run("convert", "--quiet", model).err == ""


def test_findings_of_models_are_printed_once_and_counted(run, converter, model):
    twice = finding(Severity.WARNING, model)
    other = Finding("K2T303", Severity.NOTE, "written flat")
    converter.findings = [twice]
    converter.entry_plans = [EntryPlan("build()", "", "build()", "", "flat", findings=(twice, other))]
    err = run("convert", model).err
    assert err.count("K2T101") == 1
    assert err.endswith("note[K2T303] flat-model: written flat\n1 warning, 1 note\n")


def test_modules_converted_along_are_named_not_written(run, converter, model, tmp_path):
    sibling = tmp_path / "blocks.py"
    sibling.write_bytes(KERAS)
    converter.siblings = [ConvertedModule("blocks", sibling, "torch\n")]
    result = run("convert", "--in-place", model)
    assert f"{model}: needs blocks in PyTorch as well: convert {sibling}\n" in result.err
    assert sibling.read_bytes() == KERAS
    assert "needs blocks" not in run("convert", "--check", model, sibling).err


def test_options_reach_the_converter(run, converter, model, tmp_path):
    root = tmp_path / "lib"
    root.mkdir()
    run("convert", model, "--entry", "a()", "--entry", "b", "--setup", "x = 1", "--keras", "tf_keras", "--path", root)
    call = converter.calls[0]
    assert call["entries"] == ("a()", "b")
    assert (call["setup"], call["generation"], call["roots"]) == ("x = 1", "tf_keras", (root,))
    assert (call["allow_partial"], call["text"]) == (False, KERAS.decode())


def test_a_missing_import_root_is_an_error(run, converter, model, tmp_path):
    result = run("convert", model, "--path", tmp_path / "lib")
    assert (result.code, result.err) == (2, f"error: import root {tmp_path / 'lib'}: no such folder\n")


def test_json_names_everything(run, converter, model, tmp_path):
    converter.findings = [finding(Severity.WARNING, model)]
    converter.assumptions = ["input_shape=(32, 32, 3)"]
    converter.entry_plans = [EntryPlan("build()", "", "build()", "", "structure")]
    target = tmp_path / "findings.json"
    assert run("convert", model, "--json", target).code == 0
    assert json.loads(target.read_text()) == [
        {
            "path": str(model),
            "status": "converted",
            "message": "",
            "entries": [{"entry": "build()", "tier": "structure"}],
            "assumptions": ["input_shape=(32, 32, 3)"],
            "findings": [
                {
                    "code": "K2T101",
                    "name": "unsupported-layer",
                    "severity": "warning",
                    "message": "Wobble is not translated",
                    "advice": "write it by hand",
                    "excerpt": 'layer = layers.Dense(3, name="head")',
                    "file": str(model),
                    "line": 3,
                    "col": 9,
                }
            ],
        }
    ]


def test_json_is_written_for_failures_too(run, converter, tmp_path):
    result = run("convert", "--check", tmp_path / "gone.py", "--json", "-")
    assert result.code == 2
    (row,) = json.loads(result.out)
    assert (row["status"], row["findings"][0]["code"]) == ("failed", "K2T002")


def test_skip_comment_leaves_the_file_alone(run, converter, tmp_path):
    source = tmp_path / "model.py"
    source.write_bytes(b"# keras2torch: skip\n" + KERAS)
    assert run("convert", source).out == source.read_bytes()
    result = run("convert", "--check", source)
    assert (result.code, result.err) == (0, f"{source}: left alone, as its comment asks\n")
    assert not converter.calls


def test_skip_in_a_string_means_nothing(run, converter, tmp_path):
    source = tmp_path / "model.py"
    source.write_bytes(b'"""Say:\n# keras2torch: skip\n"""\nimport keras\n')
    assert run("convert", "--check", source).code == 1


def test_a_crash_of_the_converter_is_a_finding(run, converter, model, tmp_path):
    converter.declined = ZeroDivisionError("division by zero")
    result = run("convert", model, "-o", tmp_path / "out.py")
    assert result.code == 2
    assert "error[K2T006] internal-error: " in result.err
    assert "ZeroDivisionError at conftest.py:" in result.err
    assert "Traceback" not in result.err
    assert left_behind(tmp_path) == ["model.py"]


def test_the_traceback_is_there_for_who_asks(run, converter, model, monkeypatch):
    monkeypatch.setenv("KERAS2TORCH_DEBUG", "1")
    converter.declined = ZeroDivisionError("division by zero")
    assert "Traceback" in run("convert", model).err


def test_a_declined_file(run, converter, model):
    converter.declined = Declined("K2T001", "invalid syntax", "is it Python 2?", Span(str(model), 3, 1))
    result = run("convert", model)
    assert (result.code, result.out) == (2, b"")
    assert result.err.startswith(f"{model}:3:1: error[K2T001] syntax-error: invalid syntax\n3 | layer = ")
