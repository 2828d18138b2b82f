"""Statements of the source with some of their expressions replaced."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Mapping

from transpiler.ir.expr import MISSING, constant_value


def with_edits(text: str, edits: Mapping[ast.AST, str]) -> str:
    """A new text that has expressions of the source as they were, with these replaced."""
    for node, new in edits.items():
        old = rf"(?<![\w.]){re.escape(ast.unparse(node))}(?!\w)"
        text = re.sub(old, new.replace("\\", r"\\"), text)
    return text


def edited(text: str, statement: ast.stmt, edits: Mapping[ast.AST, str]) -> str:
    """The text of a statement, from its first column, in which expressions are replaced.

    An expression inside of another one that is replaced goes with it.
    """
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    source = b"".join(lines)
    spans = sorted(
        (
            (starts[n.lineno - 1] + n.col_offset, starts[n.end_lineno - 1] + n.end_col_offset, new)  # type: ignore[attr-defined, operator]
            for n, new in edits.items()
        ),
        key=lambda span: (span[0], -span[1]),
    )
    first = starts[statement.lineno - 1] + statement.col_offset
    last = starts[(statement.end_lineno or statement.lineno) - 1] + (statement.end_col_offset or 0)
    pieces, at = [], first
    for start, end, new in spans:
        if start < at:
            continue
        pieces += [source[at:start], new.encode()]
        at = end
    pieces.append(source[at:last])
    head = " " * statement.col_offset
    return textwrap.dedent(head + b"".join(pieces).decode())


def taken_branch(text: str) -> str:
    """The statements of an `if` whose test is a constant, as they stand in the branch that is taken; else the text."""
    statement = ast.parse(text).body[0]
    if not isinstance(statement, ast.If):
        return text
    value = constant_value(statement.test)
    if value is MISSING:
        return text
    lines = text.splitlines()
    body = statement.body if value else statement.orelse
    if not body:
        return ""
    first, last = body[0].lineno - 1, body[-1].end_lineno
    if not value and lines[first].lstrip().startswith("elif") and isinstance(body[0], ast.If):
        return taken_branch("\n".join([lines[first].replace("elif", "if", 1), *lines[first + 1 : last]]))
    head = (statement.test if value else statement.body[-1]).end_lineno or 0
    if lines[first][: body[0].col_offset].strip():  # on the line of the test
        return text
    while first > head and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return textwrap.dedent("\n".join(lines[first:last]))
