"""Imports of a converted file: what it needs, and what others may import from it."""

from __future__ import annotations

import ast

import pytest

from transpiler.write.torch.module import FileEdit

SOURCE = """
from .blocks import stem, pair
import os


def build():
    return stem()
"""
INSIDE = """
def basis():
    import numpy as np

    return [np.pi for _ in range(3)]


def build():
    return 1
"""


def rewritten(source: str, new: str, exports: bool = True) -> str:
    """The file with its function `build` replaced."""
    tree = ast.parse(source)
    return FileEdit(source, tree, replaced={tree.body[-1]: new}, exports=exports).apply()


@pytest.mark.parametrize(("exports", "line"), [(True, "from .blocks import pair"), (False, "")])
def test_import_that_the_source_never_used(exports: bool, line: str):
    text = rewritten(SOURCE, "def build():\n    return 1", exports)
    assert "stem" not in text and "import os" in text
    assert next((t for t in text.splitlines() if "blocks" in t), "") == line


def test_import_with_a_name_that_stays_keeps_the_others():
    assert "from .blocks import stem, pair" in rewritten(SOURCE, "def build():\n    return stem()", exports=False)


def test_import_inside_a_function_is_enough_for_it():
    text = rewritten(INSIDE, "def build():\n    return 2")
    assert text.count("import numpy as np") == 1


def test_import_inside_a_function_is_not_for_others():
    text = rewritten(INSIDE, "def build():\n    return np.pi")
    assert text.count("import numpy as np") == 2


def test_import_inside_a_function_is_not_for_its_annotations():
    source = INSIDE.replace("def basis():", "def basis(x: np.ndarray):")
    assert rewritten(source, "def build():\n    return 2").count("import numpy as np") == 2


def test_comment_for_a_tool_goes_with_its_import():
    source = (
        "# pylint: disable=E0611\nimport os\n# pylint: disable=E0611\nfrom x import Dense\n# why\nfrom y import f\n\n\n"
    )
    text = rewritten(source + "def build():\n    return f(os, Dense)\n", "def build():\n    return os")
    assert text.startswith("# pylint: disable=E0611\nimport os\n# why\n\n")
