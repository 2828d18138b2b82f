"""Statements of the source with some of their expressions replaced."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Mapping


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
