"""If statements of generated code: what is merged, what becomes a conditional expression, what stays."""

from __future__ import annotations

import textwrap

import pytest

from transpiler.write.torch.simplify import simplified

CHANGED = {
    "nested": ("if a:\n    if b:\n        f()\n        g()", "if a and b:\n    f()\n    g()"),
    "three": ("if a:\n    if b:\n        if c:\n            f()", "if a and b and c:\n    f()"),
    "loose operands": (
        "if a or b:\n    if c if d else e:\n        f()",
        "if (a or b) and (c if d else e):\n    f()",
    ),
    "below an elif": (
        "if a:\n    f()\nelif b:\n    if c:\n        g()",
        "if a:\n    f()\nelif b and c:\n    g()",
    ),
    "a choice": ("if a:\n    x = 1e-3\nelse:\n    x = f('b')", "x = 1e-3 if a else f('b')"),
    "a choice of tuples": ("if a:\n    x = (1, 1)\nelse:\n    x = (b, 2)", "x = (1, 1) if a else (b, 2)"),
    "a choice with a comment": ("if a:\n    x = 'ü'  # why\nelse:\n    x = 2", "x = 'ü' if a else 2  # why"),
    "a choice with a long comment": (
        f"if a:\n    x = '{'b' * 90}'\nelse:\n    x = 2  # because of this",
        f"# because of this\nx = '{'b' * 90}' if a else 2",
    ),
    "a choice on one side": (
        "if a:\n    if b:\n        x = 1\n    else:\n        x = 2\nelse:\n    f()",
        "if a:\n    x = 1 if b else 2\nelse:\n    f()",
    ),
    "a choice within a choice": (
        "if a == 0:\n    if b:\n        x = 1\n    else:\n        x = 2\nelse:\n    x = 3",
        "if a != 0:\n    x = 3\nelif b:\n    x = 1\nelse:\n    x = 2",
    ),
    "a choice on the other side": (
        "if a:\n    x = 3\nelse:\n    x = 1 if b else 2",
        "if a:\n    x = 3\nelif b:\n    x = 1\nelse:\n    x = 2",
    ),
    "sides that are the same": (
        "if a and b:\n    f()\nelif c if d else e:\n    f()\nelse:\n    g()",
        "if a and b or (c if d else e):\n    f()\nelse:\n    g()",
    ),
    "three sides that are the same": (
        "if a:\n    f()\nelif b:\n    g()\nelif c:\n    g()\nelif d:\n    g()",
        "if a:\n    f()\nelif b or c or d:\n    g()",
    ),
    "a test within the other": (
        "if a is None and b is not None:\n    f()\nelif a is None:\n    f()",
        "if a is None:\n    f()",
    ),
    "the other within a test": ("if a:\n    f()\nelif b and a:\n    f()", "if a:\n    f()"),
}
KEPT = {
    "other side outside": "if a:\n    if b:\n        f()\nelse:\n    g()",
    "other side inside": "if a:\n    if b:\n        f()\n    else:\n        g()",
    "more in it": "if a:\n    if b:\n        f()\n    g()",
    "a comment between": "if a:\n    # why\n    if b:\n        f()",
    "a chain": "if a:\n    x = 1\nelif b:\n    x = 2\nelse:\n    x = 3",
    "bare tuples": "if a:\n    x = 1, 1\nelse:\n    x = (a + b) * 2, f(2)",
    "two variables": "if a:\n    x = 1\nelse:\n    y = 2",
    "attributes": "if a:\n    self.x = 1\nelse:\n    self.x = 2",
    "choices on both sides": "if a:\n    x = 1 if b else 2\nelse:\n    x = 3 if b else 4",
    "sides that differ": "if a:\n    f()\nelif b:\n    f()\n    g()",
    "a comment for one of two sides": "if a:\n    f()\nelif b:\n    # why\n    f()",
    "the side without a test": "if a:\n    f()\nelse:\n    f()",
    "too long": f"if a:\n    x = {'b' * 60}\nelse:\n    x = {'c' * 60}",
    "in a docstring": 'def f():\n    """Does\n\n    if a:\n        if b:\n            g()\n    """',
}


@pytest.mark.parametrize(("text", "expected"), CHANGED.values(), ids=CHANGED)
def test_simplified(text, expected):
    assert simplified(text) == expected
    inside = "def f():\n" + textwrap.indent(text, "    ")
    assert simplified(inside) == "def f():\n" + textwrap.indent(expected, "    ")


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_left_alone(text):
    assert simplified(text) == text


def test_the_place_of_the_text_counts_for_its_length():
    text = f"if a:\n    x = {'b' * 48}\nelse:\n    x = {'c' * 48}"
    assert simplified(text) != text
    assert simplified(text, 20) == text
