"""The command line with the real converter behind it."""

from __future__ import annotations

import ast
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

MODEL = """\
# A model that is written at module level.
from keras import Input, Model, layers

inputs = Input((8, 8, 3), name="image")
x = layers.Conv2D(4, 3)(inputs)
{line}
model = Model(inputs, x)
"""
GOOD = MODEL.format(line="x = layers.ReLU()(x)")
BAD = MODEL.format(line="x = layers.Wobble(3)(x)")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "model.py"


def test_the_result_is_torch_and_nothing_else(run, source):
    source.write_text(GOOD)
    result = run("convert", source)
    assert result.code == 0, result.err
    text = result.out.decode()
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).partition(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert imported - {"__future__", "math", "collections", "typing"} == {"torch"}
    assert text.startswith("# A model that is written at module level.\n")


def test_stdin_gives_the_same_as_the_file(run, source):
    source.write_text(GOOD)
    result = run("convert", "-", stdin=GOOD.encode())
    assert (result.code, result.out) == (0, run("convert", source).out)


def test_converting_again_changes_nothing(run, source):
    source.write_text(GOOD)
    assert run("convert", "--in-place", source).code == 0
    once = source.read_bytes()
    assert run("convert", "--check", source).code == 0
    assert run("convert", "--in-place", source).code == 0
    assert source.read_bytes() == once


def test_crlf_survives(run, source):
    source.write_bytes(GOOD.replace("\n", "\r\n").encode())
    out = run("convert", source).out
    assert out.count(b"\n") == out.count(b"\r\n") > 5
    source.write_bytes(GOOD.encode())
    assert run("convert", source).out == out.replace(b"\r\n", b"\n")


def test_a_syntax_error_is_named_with_its_place(run, source, tmp_path):
    source.write_text("import keras\n\ndef build(:\n    pass\n")
    result = run("convert", source, "-o", tmp_path / "out.py")
    assert (result.code, result.out) == (2, b"")
    assert result.err.startswith(f"{source}:3:11: error[K2T001] syntax-error: ")
    assert "3 | def build(:\n  |           ^\n" in result.err
    assert not (tmp_path / "out.py").exists()


def test_a_syntax_error_on_stdin(run):
    result = run("convert", "-", stdin=b"import keras\nx = (\n")
    assert result.code == 2
    assert result.err.startswith("<stdin>:") and "error[K2T001] syntax-error: " in result.err


def test_a_file_without_keras_passes_with_a_note(run, source):
    text = b"import os\n\n\ndef f( x ):\n    return os.path.join(x)\n"
    source.write_bytes(text)
    result = run("convert", source)
    assert (result.code, result.out) == (0, text)
    assert "note[K2T003] no-keras: " in result.err
    assert run("convert", "--check", source).code == 0


def test_what_is_not_translated_stops_the_file(run, source, tmp_path):
    source.write_text(BAD)
    out, report = tmp_path / "out.py", tmp_path / "findings.json"
    result = run("convert", source, "-o", out, "--json", report)
    assert (result.code, result.out, out.exists()) == (2, b"", False)
    assert f"{source}:6:5: error[K2T101] unsupported-layer: " in result.err
    assert "6 | x = layers.Wobble(3)(x)\n  |     ^\n  = help: " in result.err
    (row,) = json.loads(report.read_text())
    assert row["status"] == "declined"
    assert [(f["code"], f["line"]) for f in row["findings"] if f["severity"] == "error"] == [("K2T101", 6)]


def test_allow_partial_raises_where_the_gap_is(run, source):
    source.write_text(BAD)
    result = run("convert", "--allow-partial", source)
    assert result.code == 0
    tree = ast.parse(result.out)
    raised = [ast.unparse(node.exc) for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc]
    assert any(text.startswith("NotImplementedError('K2T101") for text in raised), result.out.decode()
    assert "error[K2T101]" in result.err


def test_an_entry_that_does_not_exist_is_an_error(run, source):
    source.write_text(GOOD)
    result = run("convert", source, "--entry", "nothing_of_this_name()")
    assert (result.code, result.out) == (2, b"")
    assert "nothing_of_this_name" in result.err and "K2T006" not in result.err


@pytest.mark.parametrize(
    "text",
    [
        "while True:\n    pass\n",
        "def f():\n    return f()\nf()\n",
        "x = " + "(" * 150 + "1" + ")" * 150 + "\n",
        "x = " + " + ".join(["1"] * 3000) + "\n",
        "x = 2 ** 10 ** 10\n",
        "x = [0] * 10 ** 12\n",
        "x = 'a' * 10 ** 12\n",
        "import itertools\nx = list(itertools.count())\n",
        "class A(A): pass\n",
        "from . import nothing\nfrom .model import model\n",
        "raise SystemExit(3)\n",
        "import sys\nsys.exit(5)\n",
        "del keras\n",
        "x = {}[1]\n",
        "assert False\n",
    ],
)
def test_odd_code_ends_in_a_result_or_a_finding(source, text):
    """In a process of its own, with limits: what is wrong here would take the machine along."""
    source.write_text(GOOD + text)
    done = subprocess.run(
        [sys.executable, "-m", "transpiler", "convert", str(source)],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)),
    )
    assert done.returncode in (0, 2)
    assert (done.stdout != "") is (done.returncode == 0)
    assert "K2T006" not in done.stderr
    assert "Traceback" not in done.stderr
