"""Conditional expressions in the sides of an `if` whose test they ask again: there the outcome is known."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from transpiler.ir.facts import fact, facts_of
from transpiler.ir.trees import nodes
from transpiler.write.torch.segments import replace, segment

_CANDIDATE = re.compile(r"^ *(el)?if .*:$(.|\n)*\S if .* else ", re.M)
STEADY = (ast.Name, ast.Constant, ast.Subscript, ast.Compare, ast.BoolOp, ast.UnaryOp, ast.Tuple)
"""What a test may consist of: it then has one outcome while its variables hold what they hold."""
_CHANGING = frozenset(("append", "clear", "extend", "insert", "pop", "popitem", "remove", "reverse", "setdefault", "sort", "update"))  # fmt: skip
"""Methods that change a list or dictionary."""


def without_known_tests(text: str) -> str:
    """Generated text, one simple statement a line, with what is decided by the tests around it."""
    if not _CANDIDATE.search(text):
        return text
    lines = text.splitlines()
    while found := next(_decided(ast.parse("\n".join(lines)), lines), None):
        node, chosen = found
        replace(lines, node, node, segment(chosen, lines))
    return "\n".join(lines)


def _decided(tree: ast.Module, lines: list[str]) -> Iterator[tuple[ast.IfExp, ast.expr]]:
    """Conditional expressions whose test is known, and the operand that is their value."""
    for node in nodes(tree):
        if not isinstance(node, ast.If) or not all(isinstance(n, STEADY) for n in nodes(node.test)):
            continue
        for side, outcome in ((node.body, True), (node.orelse, False)):
            known = dict(facts_of(node.test, outcome))
            asked = [n for s in side for n in nodes(s) if isinstance(n, ast.IfExp) and fact(n.test, True)[0] in known]
            if not asked or not stays(node.test, side):
                continue
            for inner in asked:
                key, sign = fact(inner.test, True)
                if _stands(inner, lines):
                    yield inner, inner.body if known[key] is sign else inner.orelse


def _stands(node: ast.expr, lines: list[str]) -> bool:
    """Whether an expression stands on its line as it says: not in an f-string."""
    if node.lineno != node.end_lineno:
        return False
    try:
        return ast.dump(ast.parse(segment(node, lines), mode="eval").body) == ast.dump(node)
    except SyntaxError:
        return False


def stays(test: ast.expr, side: list[ast.stmt]) -> bool:
    """Whether statements leave what a test reads as it is: bound to the same objects, which nobody can change."""
    names = {n.id for n in nodes(test) if isinstance(n, ast.Name)}
    found = [n for s in side for n in nodes(s)]
    if any(isinstance(n, ast.Name) and n.id in names and not isinstance(n.ctx, ast.Load) for n in found):
        return False
    if any(isinstance(n, ast.arg) and n.arg in names for n in found):
        return False
    loose = [o for o, scalar in _operands(test) if not scalar]
    if not loose:
        return True
    if any(isinstance(n, ast.Subscript) and not isinstance(n.ctx, ast.Load) for n in found):
        return False
    if any(isinstance(n, ast.Attribute) and n.attr in _CHANGING for n in found):
        return False
    if any(isinstance(n, ast.AugAssign) and not _is_number(n) for n in found):
        return False  # a list of two names
    looked_at = {o for n in found if isinstance(n, (ast.IfExp, ast.If)) for o, _ in _operands(n.test)}
    looked_at |= {o for n in found if isinstance(n, ast.Compare) for o, _ in _operands(n)}
    looked_into = {n.value for n in found if isinstance(n, ast.Subscript)}
    texts = {ast.dump(o) for o in loose}
    bases = {n.id for o in loose for n in nodes(o) if isinstance(n, ast.Name)}
    return all(
        n in looked_at
        or not (ast.dump(n) in texts or isinstance(n, ast.Name) and n.id in bases and n not in looked_into)
        for n in found
        if isinstance(n, (ast.Name, ast.Subscript))
    )


def _operands(test: ast.expr) -> Iterator[tuple[ast.expr, bool]]:
    """What a test looks at, and whether it only compares that with constants, which no list or dictionary equals."""
    if isinstance(test, ast.BoolOp):
        for value in test.values:
            yield from _operands(value)
    elif isinstance(test, ast.UnaryOp):
        yield from _operands(test.operand)
    elif isinstance(test, ast.Compare):
        sides = [o for o in (test.left, *test.comparators) if not _is_constant(o)]
        yield from ((o, len(sides) == 1 and isinstance(o, ast.Name)) for o in sides)
    elif not isinstance(test, ast.Constant):
        yield test, False


def _is_number(statement: ast.AugAssign) -> bool:
    """Whether `x += …` cannot change a list in place."""
    return isinstance(statement.op, (ast.Add, ast.Sub)) and isinstance(statement.value, ast.Constant)


def _is_constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) or isinstance(node, ast.Tuple) and all(map(_is_constant, node.elts))
