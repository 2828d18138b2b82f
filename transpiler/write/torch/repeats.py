"""Statements that say again what has been said: dropped, or said once for both sides of an `if`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from transpiler.ir.facts import opposite
from transpiler.ir.trees import nodes
from transpiler.write.torch.known import STEADY, stays

_CANDIDATE = re.compile(r"^ *else:|^( *)(if .*:|\w+ = .*)\n(.*\n)*?\1\2\n", re.M)
_VALUE = (*STEADY, ast.BinOp, ast.IfExp)
_VIEWS = "permute|transpose|flatten|unsqueeze|squeeze"
_VIEW = re.compile(rf" *\w+ = \w+\.({_VIEWS})\([\d, -]*\)(  # .*)?")
"""Another view of a tensor, which changes nothing but a variable."""
_SIMPLE = (ast.Assign, ast.AugAssign, ast.Expr)
MAX_MERGED = 3
"""Most statements on a side of an `if` that becomes a part of the one above it; more are easier to read apart."""
Edit = tuple[int, int, list[str]]
"""The lines from, and up to, a place, and those in their place."""


def without_repeats(text: str) -> str:
    """Generated text, one simple statement a line, without what repeats itself."""
    while _CANDIDATE.search(text):
        lines = text.splitlines()
        edit = next(_edits(ast.parse(text), lines), None)
        if edit is None:
            break
        start, end, new = edit
        lines[start:end] = new
        text = "\n".join(lines)
    return text


_KEPT_TEST = re.compile(r"^( *)(self\.\w+) = (.+)\n\1if (.+):$", re.M)


def with_kept_tests(text: str) -> str:
    """An `if` that decides by what an attribute was just set to reads the attribute, or its opposite."""

    def reads_it(match: re.Match[str]) -> str:
        indent, attribute, value, test = match.groups()
        try:
            kept, asked = (ast.parse(code, mode="eval").body for code in (value, test))
        except SyntaxError:  # a comment, or a text that is no expression
            return match[0]
        if isinstance(kept, (ast.Name, ast.Attribute, ast.Constant)) or attribute in map(ast.unparse, nodes(kept)):
            return match[0]
        again = {ast.unparse(kept): attribute, ast.unparse(opposite(kept)): f"not {attribute}"}.get(ast.unparse(asked))
        return f"{indent}{attribute} = {value}\n{indent}if {again}:" if again else match[0]

    return _KEPT_TEST.sub(reads_it, text)


def _edits(tree: ast.Module, lines: list[str]) -> Iterator[Edit]:
    for node in nodes(tree):
        for field in ("body", "orelse"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                for at, statement in enumerate(block):
                    yield from _again(block, at, lines)
                    following = block[at + 1] if at + 1 < len(block) else None
                    if isinstance(statement, ast.If) and _is_plain(statement, lines):
                        if isinstance(following, ast.If) and _is_plain(following, lines):
                            yield from _merged(statement, following, lines)
                        yield from _shared(statement, lines)


def _again(block: list[ast.stmt], at: int, lines: list[str]) -> Iterator[Edit]:
    """An assignment or a check that has been made before, of values that are the same."""
    statement = block[at]
    value = _repeatable(statement)
    if value is None or lines[statement.lineno - 2].lstrip().startswith("#"):
        return
    said = _text(statement, lines)
    before = next((i for i in reversed(range(at)) if _text(block[i], lines) == said), None)
    if before is None:
        return
    between = block[before + 1 : at]
    targets = {t.id for t in getattr(statement, "targets", ()) if isinstance(t, ast.Name)}
    assigned = {n.id for s in between for n in nodes(s) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    if not targets & assigned and stays(value, between):
        yield statement.lineno - 1, statement.end_lineno or statement.lineno, []


def _repeatable(statement: ast.stmt) -> ast.expr | None:
    """What a statement reads, if doing it twice is doing it once."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
        value = statement.value
        itself = any(isinstance(n, ast.Name) and n.id == statement.targets[0].id for n in nodes(value))
        return value if not itself and all(isinstance(n, _VALUE) for n in nodes(value)) else None
    if isinstance(statement, ast.If) and not statement.orelse and all(isinstance(s, ast.Raise) for s in statement.body):
        return statement.test if _is_steady(statement.test) else None
    return None


def _is_steady(test: ast.expr) -> bool:
    """Whether a test has one outcome while its variables hold what they hold; `isinstance` is one of that kind."""
    called = {id(n.func) for n in nodes(test) if isinstance(n, ast.Call) and ast.unparse(n.func) == "isinstance"}
    return all(isinstance(n, STEADY) or isinstance(n, ast.Call) and id(n.func) in called for n in nodes(test))


def _is_plain(statement: ast.If, lines: list[str]) -> bool:
    """Whether an `if` is neither a part of a chain nor the head of one."""
    heads = [statement, *(s for s in statement.orelse[:1] if isinstance(s, ast.If))]
    return not any(lines[s.lineno - 1].lstrip().startswith("elif ") for s in heads)


def _merged(first: ast.If, second: ast.If, lines: list[str]) -> Iterator[Edit]:
    """Two checks of one test, one after the other, that do little."""
    end = first.end_lineno or first.lineno
    done = [s for check in (first, second) for s in (*check.body, *check.orelse)]
    if not all(isinstance(s, _SIMPLE) for s in done) or max(len(second.body), len(second.orelse)) > MAX_MERGED:
        return
    if lines[first.lineno - 1] != lines[second.lineno - 1] or second.lineno != end + 1:
        return
    if not _is_steady(first.test) or not stays(first.test, [*first.body, *first.orelse]):
        return
    sides = [_sides(s, lines) for s in (first, second)]
    then, otherwise = ([*sides[0][i], *sides[1][i]] for i in (0, 1))
    head = lines[first.lineno - 1]
    other = [f"{' ' * first.col_offset}else:", *otherwise] if otherwise else []
    yield first.lineno - 1, second.end_lineno or second.lineno, [head, *then, *other]


def _shared(node: ast.If, lines: list[str]) -> Iterator[Edit]:
    """What both sides of an `if` end with, or begin with if that is a view of a tensor: below or above it."""
    sides = _sides(node, lines)
    if not node.orelse:
        return
    start, end = node.lineno - 1, node.end_lineno or node.lineno
    head, other = lines[start], f"{' ' * node.col_offset}else:"
    last = [side[-1] for side in (node.body, node.orelse)]
    alike = [_text(s, lines) for s in last if isinstance(s, _SIMPLE) and s.lineno == s.end_lineno]
    several = min(len(node.body), len(node.orelse)) > 1
    if several and len(alike) == 2 and alike[0] == alike[1] and not any(s[-2].lstrip().startswith("#") for s in sides):
        yield start, end, [head, *sides[0][:-1], other, *sides[1][:-1], alike[0].removeprefix("    ")]
    first = sides[0][0]
    tested = {n.id for n in nodes(node.test) if isinstance(n, ast.Name)}
    certain = all(isinstance(n, (ast.Name, ast.Attribute, ast.UnaryOp)) for n in nodes(node.test))
    same = first == sides[1][0] and _VIEW.fullmatch(first) and first.split(" = ")[0].strip() not in tested
    if certain and same and len(node.body) > 1:
        below = [other, *sides[1][1:]] if len(sides[1]) > 1 else []
        yield start, end, [first.removeprefix("    "), head, *sides[0][1:], *below]


def _sides(node: ast.If, lines: list[str]) -> tuple[list[str], list[str]]:
    """The lines of both sides of an `if`, comments included."""
    end = node.end_lineno or node.lineno
    if not node.orelse:
        return lines[node.lineno : end], []
    at = next(n for n in range(node.body[-1].end_lineno or 0, end) if lines[n] == f"{' ' * node.col_offset}else:")
    return lines[node.lineno : at], lines[at + 1 : end]


def _text(statement: ast.stmt, lines: list[str]) -> str:
    return "\n".join(lines[statement.lineno - 1 : statement.end_lineno])
