"""Files as they come: encodings, newlines, what cannot be read, and what cannot be written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transpiler import files
from transpiler.diagnostics import Declined
from transpiler.files import decode_source, skipped, write_atomic

COOKIE = "# -*- coding: latin-1 -*-\n# caf\u00e9\nimport keras\n"


@pytest.mark.parametrize(
    "data",
    [
        b"import keras\nx = 1\n",
        b"import keras\r\nx = 1\r\n",
        b"import keras\rx = 1\r",
        b"import keras\r\nx = 1",
        b"\xef\xbb\xbfimport keras\n",
        "# gr\u00fc\u00dfe \U0001f600\nimport keras\n".encode(),
        COOKIE.encode("latin-1"),
        b"#!/usr/bin/env python\n# vim: set fileencoding=cp1252 :\nimport keras  # \x80\n",
    ],
    ids=["lf", "crlf", "cr", "no-last-newline", "bom", "utf-8", "latin-1", "cp1252"],
)
def test_the_result_is_stored_like_the_source(run, converter, tmp_path, data):
    source = tmp_path / "model.py"
    source.write_bytes(data)
    assert run("convert", "--in-place", source).code == 0
    assert source.read_bytes() == data.replace(b"keras", b"torch")


def test_mixed_newlines_become_the_most_frequent_where_something_changes():
    source = decode_source("m.py", b"a\r\nb\r\nc\n")
    assert source.text == "a\nb\nc\n"
    assert source.encode("a\nb\n") == b"a\r\nb\r\n"
    assert source.encode(source.text) == b"a\r\nb\r\nc\n"


def test_a_result_without_its_coding_line_is_utf8():
    source = decode_source("m.py", COOKIE.encode("latin-1"))
    assert source.encode("x = '\u00e9'\n") == "x = '\u00e9'\n".encode()
    assert source.encode("# coding: latin-1\nx = '\u00e9'\n") == b"# coding: latin-1\nx = '\xe9'\n"


def test_a_character_that_the_encoding_lacks(run, converter, tmp_path, monkeypatch):
    source = tmp_path / "model.py"
    source.write_bytes(COOKIE.encode("latin-1"))
    from transpiler import pipeline

    def arrows(path, *, text, **options):
        conversion = converter(path, text=text, **options)
        module = pipeline.ConvertedModule("m", path, conversion.modules[0].text + "# NHWC \u2192 NCHW\n")
        return pipeline.Conversion([module])

    monkeypatch.setattr(pipeline, "convert_file", arrows)
    result = run("convert", "--in-place", source)
    assert result.code == 2
    assert "which the encoding" in result.err and "save the file as UTF-8" in result.err
    assert source.read_bytes() == COOKIE.encode("latin-1")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x7fELF\x00\x01", "{path}: is a binary file"),
        ("import keras\n".encode("utf-16"), "{path}: is UTF-16"),
        (b"import keras\nx = '\xff'\n", "{path}:2:6: error[K2T002] unreadable-file: byte 0xff is not valid utf-8"),
        (b"\xff", "{path}:1:1: error[K2T002] unreadable-file: byte 0xff is not valid utf-8"),
        (b"# coding: klingon\n", "{path}: unknown encoding: klingon"),
    ],
    ids=["binary", "utf-16", "not-utf-8", "not-utf-8-first-line", "unknown-encoding"],
)
def test_unreadable_content_is_one_clear_line(run, converter, tmp_path, data, message):
    source = tmp_path / "model.py"
    source.write_bytes(data)
    result = run("convert", source)
    assert (result.code, result.out) == (2, b"")
    assert message.format(path=source) in result.err
    assert result.err.count("error[K2T002]") == 1
    assert not converter.calls


def test_missing_file(run, tmp_path):
    result = run("convert", tmp_path / "gone.py")
    gone = tmp_path / "gone.py"
    assert (result.code, result.out) == (2, b"")
    assert result.err == f"error[K2T002] unreadable-file: {gone}: no such file or directory\n"


def test_a_directory(run, tmp_path):
    result = run("convert", tmp_path)
    assert (result.code, result.out) == (2, b"")
    assert "a folder needs -o OUTDIR, --in-place, --check or --diff" in result.err


def test_no_permission_to_read(run, model, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)  # root may read everything, so a mode would not do
    result = run("convert", model)
    assert (result.code, result.err) == (2, f"error[K2T002] unreadable-file: {model}: permission denied\n")


@pytest.mark.parametrize("data", [b"", b"\n", b"\xef\xbb\xbf"], ids=["empty", "blank", "bom"])
def test_an_empty_file_passes_unchanged(run, tmp_path, data):
    source = tmp_path / "empty.py"
    source.write_bytes(data)
    result = run("convert", source)
    assert (result.code, result.out) == (0, data)
    assert result.err == f"{source}: is empty: nothing to convert\n"


def test_empty_stdin(run):
    result = run("convert", "-")
    assert (result.code, result.out, result.err) == (0, b"", "<stdin>: is empty: nothing to convert\n")


def test_binary_stdin(run):
    result = run("convert", "-", stdin=b"\0")
    assert (result.code, result.out) == (2, b"")
    assert "<stdin>: is a binary file" in result.err


@pytest.mark.parametrize("option", ["-o", "--json"])
def test_a_missing_output_folder_is_named_before_the_work(run, converter, model, tmp_path, option):
    target = tmp_path / "gone" / "out"
    result = run("convert", model, option, target)
    assert (result.code, result.out) == (2, b"")
    assert result.err == f"error: cannot write {target}: no such folder: {target.parent}\n"
    assert not converter.calls


def test_an_output_that_is_a_folder(run, converter, model, tmp_path):
    result = run("convert", model, "-o", tmp_path)
    assert (result.code, result.err) == (2, f"error: cannot write {tmp_path}: is a directory\n")


@pytest.mark.parametrize("broken", ["replace", "chmod"])
def test_a_failed_write_leaves_the_old_file_and_no_other(run, converter, model, tmp_path, monkeypatch, broken):
    before = model.read_bytes()

    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.os, broken, refuse)
    result = run("convert", "--in-place", model)
    assert (result.code, result.err) == (2, f"error: cannot write {model}: permission denied\n")
    assert model.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.py"]


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "out.py", b"x = 1\n")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# keras2torch: skip\n", True),
        ("x = 1  #keras2torch:skip because\n", True),
        ("# keras2torch: skipping\n", False),
        ("s = '# keras2torch: skip'\n", False),
        ("def f(:\n# keras2torch: skip\n", True),
        ("print 'two'\n# keras2torch: skip\n('", True),
    ],
)
def test_skipped(text, expected):
    assert skipped(text) is expected


def test_declined_carries_the_place():
    with pytest.raises(Declined) as caught:
        decode_source("m.py", b"a = 1\nb = '\xe9'\n")
    assert str(caught.value.span) == "m.py:2:6"


PIECES = st.sampled_from(
    [
        b"\n",
        b"# coding: utf-8-sig\n",
        b"\r\n",
        b"\r",
        b"# coding: latin-1",
        b"\xef\xbb\xbf",
        b"\xc3\xa9",
        b"\xff\xfe",
        b"\x0c",
    ]
)


@given(st.lists(st.one_of(PIECES, st.binary(max_size=8)), max_size=12).map(b"".join))
def test_any_bytes_are_declined_or_survive(data: bytes):
    try:
        source = decode_source("m.py", data)
    except Declined as declined:
        assert (declined.code, declined.finding().name) == ("K2T002", "unreadable-file")
        assert "m.py" in declined.message or declined.span
        return
    assert "\r" not in source.text
    assert source.encode(source.text) == data
    longer = source.text + "\nx = 1\n"
    assert decode_source("m.py", source.encode(longer)).text == longer
