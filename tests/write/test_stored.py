"""Variables of a constructor that only an attribute holds are assigned to it at once."""

from __future__ import annotations

import pytest

from transpiler.ir.program import Block, ModuleClass, Param
from transpiler.write.torch.classes import ClassWriter

CASES = {
    "read by forward alone": (["n__v1 = a // 2", "f(a)", "self.n = n__v1"], ["self.n = a // 2", "f(a)"]),
    "on both sides": (
        ["if a:", "    n__v1 = 1", "    self.n = n__v1", "else:", "    n__v1 = 2", "    self.n = n__v1"],
        ["if a:", "    self.n = 1", "else:", "    self.n = 2"],
    ),
    "read by the constructor": (["n__v1 = a // 2", "f(n__v1)", "self.n = n__v1"], None),
    "read by the next value": (["n__v1 = a // 2", "n__v1 = n__v1 + 1", "self.n = n__v1"], None),
    "goes on under its name": (["n__v1 = a // 2", "f(n__v2)", "self.n = n__v1"], None),
}


@pytest.mark.parametrize("name", CASES)
def test_stored_at_once(name: str):
    lines, expected = CASES[name]
    writer = ClassWriter(ModuleClass("Net", [Param("a")], [], Block([])), {"n__v1": "n", "n__v2": "n"})
    writer.stored = {"n__v1": "n"}
    assert writer.stored_at_once(list(lines)) == (expected or lines)
