"""The helper templates are text that black leaves as it is, as all that is generated."""

from __future__ import annotations

import ast

import black
import pytest
from harness import HELPERS, helper_namespace, load_helper

from transpiler.write.torch.helpers import helper_texts
from transpiler.write.torch.module import LINE_LENGTH

NAMES = sorted(p.name.removesuffix(".py.j2") for p in HELPERS.glob("*.py.j2"))


@pytest.mark.parametrize("name", NAMES)
def test_helper(name):
    text = helper_texts([name])[-1] + "\n"
    assert black.format_str(text, mode=black.Mode(line_length=LINE_LENGTH)) == text
    (node,) = ast.parse(text).body
    assert node.name == name
    assert ast.get_docstring(node)
    load_helper(name, helper_namespace())
