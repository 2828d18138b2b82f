"""`[tool.keras2torch]` in pyproject.toml."""

from __future__ import annotations

import pytest


def configure(folder, text):
    (folder / "pyproject.toml").write_text("[tool.keras2torch]\n" + text)


def test_configured_options_hold_and_the_command_line_goes_first(run, converter, model, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "more").mkdir()
    configure(tmp_path, 'keras = "tf_keras"\npath = ["lib"]\nsetup = "x = 1"\nallow-partial = true\n')
    run("convert", model)
    run("convert", model, "--keras", "keras3", "--setup", "", "--no-allow-partial", "--path", tmp_path / "more")
    first, second = converter.calls
    assert (first["generation"], first["setup"], first["allow_partial"]) == ("tf_keras", "x = 1", True)
    assert first["roots"] == (tmp_path / "lib",)
    assert (second["generation"], second["setup"], second["allow_partial"]) == ("keras3", "", False)
    assert second["roots"] == (tmp_path / "more", tmp_path / "lib")


def test_the_nearest_table_counts(run, converter, tmp_path):
    configure(tmp_path, 'setup = "outer"\n')
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "pyproject.toml").write_text("[tool.other]\n")
    (inner / "m.py").write_text("import keras\n")
    run("convert", inner / "m.py")
    configure(inner, 'setup = "inner"\n')
    run("convert", inner / "m.py")
    assert [call["setup"] for call in converter.calls] == ["outer", "inner"]


def test_stdin_takes_the_configuration_of_the_working_folder(run, converter, tmp_path, monkeypatch):
    configure(tmp_path, 'setup = "here"\n')
    monkeypatch.chdir(tmp_path)
    run("convert", "-", stdin=b"import keras\n")
    assert converter.calls[0]["setup"] == "here"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kera = 1\n", "has no key `kera`; there are allow-partial, keras, path, setup"),
        ('keras = "keras4"\n', "tool.keras2torch.keras must be one of auto, keras3, tf_keras, not 'keras4'"),
        ("allow-partial = 1\n", "tool.keras2torch.allow-partial must be true or false, not 1"),
        ('path = "lib"\n', "tool.keras2torch.path must be a list of folders, not 'lib'"),
        ('path = ["lib"]\n', "no such folder"),
        ("setup = []\n", "tool.keras2torch.setup must be a string"),
        ("setup = \n", "pyproject.toml: "),
    ],
)
def test_a_wrong_configuration_is_one_line_and_stops(run, converter, model, tmp_path, text, message):
    configure(tmp_path, text)
    result = run("convert", model)
    assert (result.code, result.out) == (2, b"")
    assert message in result.err
    assert result.err.startswith("error: ") and result.err.count("\n") == 1
    assert not converter.calls
