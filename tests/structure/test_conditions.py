"""Tests of the source as they stand in the result: short, with the constant last, without what is known."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from held import convert

from transpiler.passes.needs import equality

SOURCE = """
from keras import Input, Model
from keras.layers import Dense

def build(units=8, mode="a", fixed=False):
    inputs = x = Input((4,))
    if {test}:
        x = Dense(units)(x)
    return Model(inputs, Dense(3)(x))

model = build()
"""
TESTS = {
    "constant first": ("8 == units", "units == 8"),
    "constant first, ordered": ("4 < units", "units > 4"),
    "constants on both sides": ("4 < units <= 16", "units > 4 and units <= 16"),
    "a comparison denied": ("not units == 8", "units != 8"),
    "membership denied": ("not mode in ('b', 'c')", 'mode not in ("b", "c")'),
    "a known operand that decides nothing": ("not (mode in ('b', 'c') or 4 < 3)", 'mode not in ("b", "c")'),
}


@pytest.mark.parametrize("name", TESTS)
def test_open_test(name: str, tmp_path: Path):
    test, expected = TESTS[name]
    text = convert(SOURCE.format(test=test), "build()", tmp_path).modules[0].text
    assert f" if {expected}" in text


@pytest.mark.parametrize(("test", "made"), [("units > 4 or 3 < 4", True), ("units > 4 and 4 < 3", False)])
def test_known_operand_that_decides(test: str, made: bool, tmp_path: Path):
    text = convert(SOURCE.format(test=test), "build()", tmp_path).modules[0].text
    assert " if " not in text.split("def build")[0].split("class ")[-1]
    assert ("nn.Linear(4, units)" in text) is made


def test_equality_inside_of_a_test_is_not_its_own():
    tests = {
        "a == 'x'": ("a", "x"),
        "(1 if a == 1 else 2) == 3": ("1 if a == 1 else 2", 3),
        "(1 if a == 1 else 2) in (1, 2)": None,
        "a == ...": None,
        "b + (a == 1)": None,
    }
    for text, wanted in tests.items():
        found = equality(ast.dump(ast.parse(text, mode="eval").body))
        assert found == (wanted and (ast.dump(ast.parse(wanted[0], mode="eval").body), wanted[1])), text
