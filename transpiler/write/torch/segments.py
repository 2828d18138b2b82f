"""Expressions in lines of text: what they say, and other ones in their place."""

from __future__ import annotations

import ast
import re


def segment(first: ast.expr, lines: list[str], last: ast.expr | None = None) -> str:
    """The text of an expression that stands on one line, or from one to the end of another, parentheses around it left out."""
    last = last or first
    return lines[first.lineno - 1].encode()[first.col_offset : last.end_col_offset].decode()


def replace(lines: list[str], first: ast.expr, last: ast.expr, new: str) -> None:
    """Puts `new` in the place of what begins and ends with two expressions of one line, with the parentheses it needs."""
    line = lines[first.lineno - 1].encode()
    before, after = line[: first.col_offset].decode(), line[last.end_col_offset :].decode()
    meant = _parsed(f"{before}({new}){after}")
    shorter = f"{before[:-1]}{new}{after[1:]}" if before.endswith("(") and after.startswith(")") else ""
    plain = f"{before}{new}{after}"
    found = next((t for t in (shorter, plain) if t and meant and _parsed(t) == meant), f"{before}({new}){after}")
    lines[first.lineno - 1] = found


def _parsed(line: str) -> str:
    """A line as its tree says it, the head of a block with an empty one; "" if it is no statement by itself."""
    text = re.sub("^elif ", "if ", line.strip())
    try:
        return ast.dump(ast.parse(f"{text} pass" if text.endswith(":") else text))
    except SyntaxError:
        return ""
