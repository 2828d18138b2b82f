"""Expressions of generated code: what gets shorter, what stays."""

from __future__ import annotations

import pytest

from transpiler.write.torch.idioms import idiomatic

CHANGED = {
    "two types": ("x = isinstance(a, str) or isinstance(a, list)", "x = isinstance(a, (str, list))"),
    "parentheses that are not needed any more": (
        "if not (isinstance(a.b, str) or isinstance(a.b, list)):\n    f()",
        "if not isinstance(a.b, (str, list)):\n    f()",
    ),
    "parentheses that are needed": (
        "if not (a is None or isinstance(a, int) or isinstance(a, (list, tuple))):\n    f()",
        "if not (a is None or isinstance(a, (int, list, tuple))):\n    f()",
    ),
    "below an elif": (
        "if b:\n    f()\nelif (isinstance(a, int) or isinstance(a, str)) and b:\n    g()",
        "if b:\n    f()\nelif isinstance(a, (int, str)) and b:\n    g()",
    ),
    "keys of keyword arguments": (
        "def f(**kw):\n    return 'é' in kw.keys() and 'b' not in kw.keys()",
        "def f(**kw):\n    return 'é' in kw and 'b' not in kw",
    ),
}
KEPT = {
    "types that may not be there": "x = isinstance(a, str) or isinstance(a, np.generic)",
    "two subjects": "x = isinstance(a, str) or isinstance(b, list)",
    "a call": "x = isinstance(next(a), str) or isinstance(next(a), list)",
    "not side by side": "x = isinstance(a, str) or b or isinstance(a, list)",
    "both at once": "x = isinstance(a, str) and isinstance(a, list)",
    "keys of anything": "def f(kw):\n    return 'a' in kw.keys()",
    "keyword arguments that are replaced": "def f(**kw):\n    kw = g(kw)\n    return 'a' in kw.keys()",
    "another variable of that name": "def f(**kw):\n    return lambda kw: 'a' in kw.keys()",
}


@pytest.mark.parametrize(("text", "expected"), CHANGED.values(), ids=CHANGED)
def test_shorter(text, expected):
    assert idiomatic(text) == expected


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_left_alone(text):
    assert idiomatic(text) == text
