"""If statements as a person would write them: one test where a single `if` is nested or two sides are the same, a
conditional expression where both sides only choose the value of one variable."""

from __future__ import annotations

import ast
import re

from transpiler.ir.facts import opposite
from transpiler.ir.trees import nodes
from transpiler.write.torch.segments import segment

MAX_CONDITIONAL = 120
"""Longest line with a conditional expression: that of the file, as ruff has it."""

_CANDIDATE = re.compile(r"^( *)(el)?if .*:\n(\1    if .*:\n|\1    \w+ = .*\n\1else:\n)|^ *elif ", re.M)
_LOOSE = (ast.IfExp, ast.Lambda, ast.NamedExpr)
"""Expressions that bind less tightly than `or`."""


def simplified(text: str, column: int = 0) -> str:
    """Generated text, one simple statement a line, with its if statements simplified; it will stand at `column`."""
    while _CANDIDATE.search(text):
        lines = text.splitlines()
        found = [n for n in nodes(ast.parse(text)) if isinstance(n, ast.If)]
        if not any(_merge(n, lines) or _join(n, lines) or _choose(n, lines, column) for n in reversed(found)):
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


def _join(node: ast.If, lines: list[str]) -> bool:
    """Makes `if a:` and the `elif b:` that does the same one `if a or b:`."""
    other = node.orelse[0] if len(node.orelse) == 1 else None
    if not isinstance(other, ast.If) or not lines[other.lineno - 1].lstrip().startswith("elif "):
        return False
    last = other.body[-1].end_lineno or other.lineno
    body = lines[node.lineno : other.lineno - 1]
    if body != lines[other.lineno : last]:
        return False
    tests = [f"({segment(t, lines)})" if isinstance(t, _LOOSE) else segment(t, lines) for t in (node.test, other.test)]
    kept = [t for t, one, two in zip(tests, (node.test, other.test), (other.test, node.test)) if not _implies(one, two)]
    head = lines[node.lineno - 1]
    keyword = "elif" if head.lstrip().startswith("elif") else "if"
    lines[node.lineno - 1 : last] = [f"{head[: node.col_offset]}{keyword} {' or '.join(kept or tests[:1])}:", *body]
    return True


def _implies(test: ast.expr, other: ast.expr) -> bool:
    """Whether a test is an `and` of another one and of comparisons that do nothing."""
    parts = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]
    rest = [part for part in parts if ast.dump(part) != ast.dump(other)]
    return len(rest) < len(parts) and all(map(_is_harmless, rest))


def _is_harmless(test: ast.expr) -> bool:
    """Whether a test is `a is None` or the like, which calls nothing."""
    plain = (ast.Name, ast.Constant)
    return isinstance(test, plain) or (
        isinstance(test, ast.Compare)
        and all(isinstance(o, (ast.Is, ast.IsNot)) for o in test.ops)
        and all(isinstance(o, plain) for o in (test.left, *test.comparators))
    )


def _choose(node: ast.If, lines: list[str], column: int) -> bool:
    """Makes an `if` with two sides that assign one variable a single assignment, if that is short.

    A comment of a side follows the line, or stands above it where there is no room.
    """
    first, last = node.lineno, node.end_lineno or node.lineno
    if last != first + 3 or len(node.body) != 1 or len(node.orelse) != 1 or lines[first - 1].lstrip()[:2] != "if":
        return False
    targets: list[str] = []
    values: list[ast.expr] = []
    comments: list[str] = []
    for side in (*node.body, *node.orelse):
        if not isinstance(side, ast.Assign) or not isinstance(side.targets[0], ast.Name) or len(side.targets) > 1:
            return False
        if _bare(side.value):
            return False
        comments += filter(None, [lines[side.lineno - 1].encode()[side.end_col_offset :].decode().strip()])
        targets.append(side.targets[0].id)
        values.append(side.value)
    texts = [segment(v, lines) for v in values]
    line = f"{' ' * node.col_offset}{targets[0]} = {texts[0]} if {segment(node.test, lines)} else {texts[1]}"
    if targets[0] != targets[1] or isinstance(node.test, _LOOSE) or column + len(line) > MAX_CONDITIONAL:
        return False
    if any(isinstance(v, _LOOSE) for v in values):
        return not comments and _chain(node, targets[0], values, lines)
    if len(comments) == 1 and column + len(line) + len(comments[0]) + 2 <= MAX_CONDITIONAL:
        lines[first - 1 : last] = [f"{line}  {comments[0]}"]
    else:
        lines[first - 1 : last] = [*(" " * node.col_offset + c for c in comments), line]
    return True


def _chain(node: ast.If, target: str, values: list[ast.expr], lines: list[str]) -> bool:
    """Makes an `if` with a conditional expression on one side a chain of three sides."""
    chosen = [v for v in values if isinstance(v, ast.IfExp)]
    if len(chosen) != 1 or any(
        isinstance(v, _LOOSE) for v in (*values, chosen[0].body, chosen[0].orelse) if v not in chosen
    ):
        return False
    inner = chosen[0]
    test = segment(node.test, lines) if inner is values[1] else ast.unparse(opposite(node.test))
    alone = values[0] if inner is values[1] else values[1]
    indent = " " * node.col_offset
    lines[node.lineno - 1 : node.end_lineno] = [
        f"{indent}if {test}:",
        f"{indent}    {target} = {segment(alone, lines)}",
        f"{indent}elif {segment(inner.test, lines)}:",
        f"{indent}    {target} = {segment(inner.body, lines)}",
        f"{indent}else:",
        f"{indent}    {target} = {segment(inner.orelse, lines)}",
    ]
    return True


def _bare(node: ast.expr) -> bool:
    """Whether an expression is a tuple without parentheses."""
    return isinstance(node, ast.Tuple) and bool(node.elts) and node.elts[0].col_offset == node.col_offset


def _operand(node: ast.expr, lines: list[str]) -> str:
    """An expression as an operand of `and`."""
    text = segment(node, lines)
    loose = isinstance(node, _LOOSE) or isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or)
    return f"({text})" if loose else text
