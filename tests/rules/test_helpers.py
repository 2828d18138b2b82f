"""The helper templates are text that black leaves as it is, whatever the line length of the project they land in."""

from __future__ import annotations

import ast

import black
import pytest
from harness import HELPERS, helper_namespace, load_helper

NAMES = sorted(p.name.removesuffix(".py.j2") for p in HELPERS.glob("*.py.j2"))


@pytest.mark.parametrize("name", NAMES)
def test_helper(name):
    text = (HELPERS / f"{name}.py.j2").read_text(encoding="utf-8")
    body = text.split("\n", 1)[1] if text.startswith("{#") else text
    for length in (88, 120):
        assert black.format_str(body, mode=black.Mode(line_length=length)) == body
    (node,) = ast.parse(body).body
    assert node.name == name
    assert ast.get_docstring(node)
    load_helper(name, helper_namespace())
