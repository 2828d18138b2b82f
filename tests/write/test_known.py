"""Conditional expressions below a test that they ask again: which are decided, which stay."""

from __future__ import annotations

import textwrap

import pytest

from transpiler.write.torch.known import without_known_tests

CHANGED = {
    "a comparison": (
        "if n == 2:\n    x = f(3 if n == 2 else 4)\nelse:\n    x = f(3 if n == 2 else 4)",
        "if n == 2:\n    x = f(3)\nelse:\n    x = f(4)",
    ),
    "its opposite": ("if n != 2:\n    x = 3 if n == 2 else 4", "if n != 2:\n    x = 4"),
    "an item": (
        "if c['a']:\n    x = Linear(c['b'] * 2 if c['a'] else c['b'], c['b'])",
        "if c['a']:\n    x = Linear(c['b'] * 2, c['b'])",
    ),
    "a part of an and": (
        "if a and n is None:\n    x = (1 if n is None else n) + 2",
        "if a and n is None:\n    x = 1 + 2",
    ),
    "a part of an or": (
        "if a or b > 2:\n    f()\nelif 2 if b > 2 else c:\n    g()",
        "if a or b > 2:\n    f()\nelif c:\n    g()",
    ),
    "parentheses that are needed": (
        "if a:\n    x = (b + c if a else c) * 2\n    y = ['é', (b if a else c) * 2]",
        "if a:\n    x = (b + c) * 2\n    y = ['é', b * 2]",
    ),
    "one within another": ("if a:\n    x = (1 if a else 2) if b else 3", "if a:\n    x = 1 if b else 3"),
    "in a loop": (
        "if n > 2:\n    for i in range(3):\n        x = i if n > 2 else 0",
        "if n > 2:\n    for i in range(3):\n        x = i",
    ),
}
KEPT = {
    "after it": "if a:\n    f()\nx = 1 if a else 2",
    "assigned again": "if a:\n    a = f()\n    x = 1 if a else 2",
    "a loop's variable": "if a:\n    for a in b:\n        x = 1 if a else 2",
    "another variable of that name": "if a == 2:\n    x = lambda a: 1 if a == 2 else 2",
    "an attribute": "if self.a:\n    x = 1 if self.a else 2",
    "a call": "if next(a):\n    x = 1 if next(a) else 2",
    "a list that is handed on": "if a:\n    f(a)\n    x = 1 if a else 2",
    "a list that is handed on by an or": "if a:\n    f(a or b)\n    x = 1 if a else 2",
    "a dictionary that is handed on": "if c['a']:\n    x = f(c, 1 if c['a'] else 2)",
    "an item that is handed on": "if c['a']:\n    x = f(c['a'], 1 if c['a'] else 2)",
    "a list that changes": "if a:\n    b.pop()\n    x = 1 if a else 2",
    "a list that grows under another name": "if a:\n    b += [2]\n    x = 1 if a else 2",
    "an item that changes": "if c['a']:\n    d['a'] = 2\n    x = 1 if c['a'] else 2",
    "in a docstring": 'def f():\n    """\n    if a:\n        x = 1 if a else 2\n    """\n    return 1 if b else 2',
}


@pytest.mark.parametrize(("text", "expected"), CHANGED.values(), ids=CHANGED)
def test_decided(text, expected):
    assert without_known_tests(text) == expected
    inside = "def f():\n" + textwrap.indent(text, "    ")
    assert without_known_tests(inside) == "def f():\n" + textwrap.indent(expected, "    ")


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_left_alone(text):
    assert without_known_tests(text) == text
