"""Statements of generated code that repeat themselves: which go, which stay."""

from __future__ import annotations

import textwrap

import pytest

from transpiler.write.torch.repeats import with_kept_tests, without_repeats

CHECK = "if a not in ('x', 'y') and not isinstance(a, str):\n    raise ValueError(a)"
VIEW = "x = x.permute(0, 2, 1)  # NLC -> NCL"
CHANGED = {
    "a check": (f"{CHECK}\nf(b)\n{CHECK}\ng()", f"{CHECK}\nf(b)\ng()"),
    "an assignment": (
        "n = (1, 1) if h is None else (1 - h % 2, 2)\nf(n[0])\nn = (1, 1) if h is None else (1 - h % 2, 2)\ng(n[1])",
        "n = (1, 1) if h is None else (1 - h % 2, 2)\nf(n[0])\ng(n[1])",
    ),
    "one test twice": ("if a:\n    f()\nif a:\n    g()", "if a:\n    f()\n    g()"),
    "one test with two sides": (
        "if c['a']:\n    f()\nif c['a']:\n    g()\nelse:\n    h()\nif c['a']:\n    f()\nelse:\n    f(2)",
        "if c['a']:\n    f()\n    g()\n    f()\nelse:\n    h()\n    f(2)",
    ),
    "the last of both sides": (
        "if next(a):\n    x = 1\n    self.x = x\nelse:\n    x = 2\n    # why\n    f()\n    self.x = x",
        "if next(a):\n    x = 1\nelse:\n    x = 2\n    # why\n    f()\nself.x = x",
    ),
    "the first of both sides": (
        textwrap.dedent(f"if self.a:\n    {VIEW}\n    f(x)\nelse:\n    {VIEW}\n    g(x)"),
        f"{VIEW}\nif self.a:\n    f(x)\nelse:\n    g(x)",
    ),
    "all of the other side": (f"if not a:\n    {VIEW}\n    f(x)\nelse:\n    {VIEW}", f"{VIEW}\nif not a:\n    f(x)"),
}
KEPT = {
    "a check of what changed": f"{CHECK}\na = f()\n{CHECK}",
    "a check of what was handed on": "if a:\n    raise E\nf(a)\nif a:\n    raise E",
    "a check on another level": f"{CHECK}\nif b:\n{textwrap.indent(CHECK, '    ')}\n    f()",
    "an assignment after another": "n = a + 1\nn = n * 2\nn = a + 1",
    "an assignment of what changed": "n = a + 1\nfor a in b:\n    f(a)\nn = a + 1",
    "counting": "n = n + 1\nn = n + 1",
    "a new list": "n = [1]\nf(n)\nn = [1]",
    "a call": "n = f()\nn = f()",
    "a chain below": "if a:\n    f()\nif a:\n    g()\nelif b:\n    h()",
    "a test of what changes": "if a:\n    a = f()\nif a:\n    g()",
    "a comment between": "if a:\n    f()\n# why\nif a:\n    g()",
    "much to do": "if a:\n    f()\nif a:\n    f()\n    g()\n    h()\n    i()",
    "last of three sides": "if a:\n    f()\n    g()\nelif b:\n    f(2)\n    g()\nelse:\n    h()\n    f()",
    "nothing else on a side": "if a:\n    f()\nelse:\n    g()\n    f()",
    "a first that the test reads": f"if x:\n    {VIEW}\n    f()\nelse:\n    {VIEW}\n    g()",
    "a first that may do more": "if a:\n    x = f(a)\n    g()\nelse:\n    x = f(a)\n    h()",
    "in a docstring": 'def f():\n    """\n    n = 1\n    n = 1\n    """',
}


@pytest.mark.parametrize(("text", "expected"), CHANGED.values(), ids=CHANGED)
def test_said_once(text, expected):
    assert without_repeats(text) == expected
    inside = "def f():\n" + textwrap.indent(text, "    ")
    assert without_repeats(inside) == "def f():\n" + textwrap.indent(expected, "    ")


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_left_alone(text):
    assert without_repeats(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("self.a = b == 1 and c\nif b == 1 and c:\n    f()", "self.a = b == 1 and c\nif self.a:\n    f()"),
        ("self.a = b == 'x'\nif b != 'x':\n    f()", "self.a = b == 'x'\nif not self.a:\n    f()"),
        ("self.a = b\nif b:\n    f()", "self.a = b\nif b:\n    f()"),  # as short
        ("self.a = self.a > 1\nif self.a > 1:\n    f()", "self.a = self.a > 1\nif self.a > 1:\n    f()"),
        ("self.a = b == 1\nif b == 2:\n    f()", "self.a = b == 1\nif b == 2:\n    f()"),
        ("self.a = b == 1\ng()\nif b == 1:\n    f()", "self.a = b == 1\ng()\nif b == 1:\n    f()"),
        (
            "if b == 1:\n    self.a = b == 1\nif b == 1:\n    f()",
            "if b == 1:\n    self.a = b == 1\nif b == 1:\n    f()",
        ),
    ],
)
def test_a_test_that_was_just_kept(text, expected):
    assert with_kept_tests(text) == expected
