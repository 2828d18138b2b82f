"""One flag for each distinct test: where it is set, and when two tests are not one."""

from __future__ import annotations

import ast

import pytest

from transpiler.ir.expr import Sym
from transpiler.ir.naming import Names
from transpiler.ir.program import Block, Branch, Change, Construction, Let, ModuleClass, Param, Value
from transpiler.ir.shape import TensorType
from transpiler.write.torch.flags import Flags, flags_of


def branch(test: str, then: list | None = None, otherwise: list | None = None) -> Branch:
    tensors = [Value(TensorType((None, 4))) for _ in range(3)]
    return Branch(Sym.parse(test), Block(then or []), Block(otherwise or []), [tuple(tensors)])


def flags(*ops) -> Flags:
    return flags_of(ModuleClass("Net", [Param("a", None), Param("b", None)], [], Block(list(ops))), Names())


def test_one_test_has_one_flag():
    one, two, three = branch("a"), branch("a"), branch("b")
    found = flags(one, two, three)
    assert [found.names[op] for op in (one, two, three)] == ["use_a", "use_a", "use_b"]
    assert found.set_at == {one: "a", three: "b"} and not found.first


def test_flag_that_a_branch_around_sets():
    inner = branch("b")
    outer = branch("a", [branch("b", [inner])])
    found = flags(outer)
    assert list(found.set_at) == [outer, outer.then.ops[0]] and found.names[inner] == "use_b"


@pytest.mark.parametrize(("test", "first"), [("b == 'x'", True), ("b > 2", False), ("b[0]", False)])
def test_both_sides_ask(test: str, first: bool):
    """It is set before, if that cannot fail."""
    inner = branch(test), branch(test)
    outer = branch("a", [inner[0]], [inner[1]])
    found = flags(outer)
    assert found.names[inner[0]] == found.names[inner[1]] == "use_b"
    assert found.first == ({"use_b": test} if first else {})
    assert set(found.set_at) == ({outer} if first else {outer, *inner})


def apart(first: Branch, second: Branch, *between) -> bool:
    found = flags(first, *between, second)
    return found.names[first] != found.names[second] and set(found.set_at) == {first, second}


def test_variable_that_is_assigned_again():
    assert apart(branch("c"), branch("c"), Let("c", 1), Let("c", 2))
    assert apart(branch("a"), branch("a"), Let("a", 1))
    assert not apart(branch("c"), branch("c"), Let("c", 1))


def test_list_that_changes():
    assert apart(branch("a[0]"), branch("a[0]"), Change(ast.parse("a.pop()").body[0], ("a",)))


def test_list_that_a_class_changes():
    """One that constructs itself, somewhere below."""
    inner = ModuleClass("Inner", [Param("a")], [], Block([]))
    inner.block.ops += [Let("below", Construction(inner, {})), Change(ast.parse("a.pop()").body[0], ("a",))]
    assert apart(branch("a[0]"), branch("a[0]"), Let("c", Construction(inner, {})))
    inner.block.ops.pop()
    assert not apart(branch("a[0]"), branch("a[0]"), Let("c", Construction(inner, {})))


def test_call_of_anything():
    assert apart(branch("next(a)"), branch("next(a)"))
    assert not apart(branch("len(a) > 2"), branch("len(a) > 2"))


@pytest.mark.parametrize(
    ("test", "opposite"), [("a is not None", "a is None"), ("a", "not a"), ("a > 2", "not (not not a > 2)")]
)
def test_flag_is_called_for_what_is_there(test: str, opposite: str):
    one, two = branch(opposite), branch(test)
    found = flags(one, two)
    assert found.names == {one: "use_a", two: "use_a"} and found.denied == {one}
    assert found.set_at == {one: test}
