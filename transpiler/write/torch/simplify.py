"""If statements as a person would write them: one test where a single `if` is nested, a conditional expression where
both sides only choose the value of one variable."""

from __future__ import annotations

import ast
import re

from transpiler.ir.trees import nodes

MAX_CONDITIONAL = 88
"""Longest line with a conditional expression; a longer one is easier to read as an `if` statement."""

_CANDIDATE = re.compile(r"^( *)(el)?if .*:\n(\1    if .*:\n|\1    \w+ = .*\n\1else:\n)", re.M)
_LOOSE = (ast.IfExp, ast.Lambda, ast.NamedExpr)
"""Expressions that bind less tightly than `or`."""


def simplified(text: str, column: int = 0) -> str:
    """Generated text, one simple statement a line, with its if statements simplified; it will stand at `column`."""
    while _CANDIDATE.search(text):
        lines = text.splitlines()
        found = [n for n in nodes(ast.parse(text)) if isinstance(n, ast.If)]
        if not any(_merge(n, lines) or _choose(n, lines, column) for n in reversed(found)):
            break
        text = "\n".join(lines)
    return text


def _merge(node: ast.If, lines: list[str]) -> bool:
    """Makes `if a:` over a lone `if b:` one `if a and b:`; neither has another side."""
    inner = node.body[0]
    if len(node.body) > 1 or not isinstance(inner, ast.If) or node.orelse or inner.orelse:
        return False
    if inner.lineno != node.lineno + 1:  # a comment stands between them
        return False
    tests = [_operand(n.test, lines) for n in (node, inner)]
    head = lines[node.lineno - 1]
    keyword = "elif" if head.lstrip().startswith("elif") else "if"
    body = [line.removeprefix("    ") for line in lines[inner.lineno : inner.end_lineno]]
    lines[node.lineno - 1 : node.end_lineno] = [f"{head[: node.col_offset]}{keyword} {' and '.join(tests)}:", *body]
    return True


def _choose(node: ast.If, lines: list[str], column: int) -> bool:
    """Makes an `if` with two sides that assign one variable a single assignment, if that is short."""
    first, last = node.lineno, node.end_lineno or node.lineno
    if last != first + 3 or len(node.body) != 1 or len(node.orelse) != 1 or lines[first - 1].lstrip()[:2] != "if":
        return False
    targets, values = [], []
    for side in (*node.body, *node.orelse):
        if not isinstance(side, ast.Assign) or not isinstance(side.targets[0], ast.Name) or len(side.targets) > 1:
            return False
        if isinstance(side.value, _LOOSE) or _bare(side.value) or "#" in lines[side.lineno - 1]:
            return False
        targets.append(side.targets[0].id)
        values.append(_segment(side.value, lines))
    line = f"{' ' * node.col_offset}{targets[0]} = {values[0]} if {_segment(node.test, lines)} else {values[1]}"
    if targets[0] != targets[1] or isinstance(node.test, _LOOSE) or column + len(line) > MAX_CONDITIONAL:
        return False
    lines[first - 1 : last] = [line]
    return True


def _bare(node: ast.expr) -> bool:
    """Whether an expression is a tuple without parentheses."""
    return isinstance(node, ast.Tuple) and bool(node.elts) and node.elts[0].col_offset == node.col_offset


def _operand(node: ast.expr, lines: list[str]) -> str:
    """An expression as an operand of `and`."""
    text = _segment(node, lines)
    loose = isinstance(node, _LOOSE) or isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or)
    return f"({text})" if loose else text


def _segment(node: ast.expr, lines: list[str]) -> str:
    """The text of an expression that stands on one line, its own parentheses left out."""
    line = lines[node.lineno - 1].encode()
    return line[node.col_offset : node.end_col_offset].decode()
