"""Golden cases and files that must pass unchanged. `pytest tests/golden --update-golden` writes the expectations."""

from __future__ import annotations

from pathlib import Path

import black
import golden
import pytest

HERE = Path(__file__).resolve().parent
CASES = sorted((HERE / "cases").glob("*.py"))
NOOP = sorted((HERE / "noop").glob("*.py"))
SAMPLES = sorted((HERE.parent.parent / "samples").glob("*_keras.py"))

LINE_LENGTH = 120
"""Of generated code."""


def by_name(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=[path.stem for path in paths])


def assert_sound(text: str, tmp_path: Path) -> None:
    """Holds for every result: it compiles, black leaves it alone, and so does the converter."""
    compile(text, "result.py", "exec")
    assert black.format_str(text, mode=black.Mode(line_length=LINE_LENGTH)) == text
    again = golden.convert(text, tmp_path, name="again.py")
    assert (again.code, again.output, again.findings.count("# error")) == (0, text, 0)


@by_name(CASES)
def test_case(path: Path, tmp_path: Path, update_golden: bool):
    case = golden.Case.read(path)
    result = golden.convert(case.source, tmp_path, case.flags)
    assert result.code == (2 if path.stem.startswith("declined_") else 0), result.messages
    assert bool(result.output) is (result.code == 0)
    assert "K2T006" not in result.findings, result.messages  # a crash is no expectation
    if update_golden:
        golden.Case(case.flags, case.source, result.output, result.findings).write(path)
        case = golden.Case.read(path)
    assert result.output == case.output, result.messages
    assert result.findings == case.findings
    if result.output:
        assert_sound(result.output, tmp_path)


@by_name(NOOP)
def test_file_passes_unchanged(path: Path, tmp_path: Path):
    source = path.read_bytes()
    result = golden.convert(source.decode(), tmp_path)
    assert (result.code, result.output.encode()) == (0, source), result.messages


@by_name(SAMPLES)
def test_sample_has_not_drifted(path: Path, tmp_path: Path, update_golden: bool):
    expected = path.with_name(path.name.replace("_keras", "_torch"))
    result = golden.convert(path.read_text(encoding="utf-8"), tmp_path, name=path.name)
    assert result.code == 0, result.messages
    if update_golden:
        expected.write_text(result.output, encoding="utf-8")
    assert result.output == expected.read_text(encoding="utf-8")
    assert_sound(result.output, tmp_path)


def test_a_case_survives_writing_and_reading(tmp_path: Path):
    path = tmp_path / "case.py"
    for case in (
        golden.Case((), "import keras\n", "import torch\n", ""),
        golden.Case(
            ("--entry", "f(1, 'a')"), "# output of f\nx = 1\n", "", "# error 1:1 K2T101 unsupported-layer: no\n"
        ),
        golden.Case((), "x = 1\n", "x = 1\n", "# note K2T003 no-keras: none\n"),
    ):
        case.write(path)
        assert golden.Case.read(path) == case


def test_a_case_without_its_output_line_is_named(tmp_path: Path):
    path = tmp_path / "case.py"
    path.write_text("import keras\n")
    with pytest.raises(ValueError, match="no line `# output`"):
        golden.Case.read(path)
