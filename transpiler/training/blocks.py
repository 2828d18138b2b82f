"""Blocks of the source written again: expressions replaced, statements added, `with` statements opened up."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.trees import nodes
from transpiler.rules.training.base import TRAINING

BODIES = ("body", "handlers", "orelse", "finalbody")


@dataclass
class Changes:
    """What becomes of the nodes of some statements."""

    texts: dict[ast.AST, str] = field(default_factory=dict)
    """Expressions, and statements as a whole → what stands for them."""
    before: dict[ast.stmt, list[str]] = field(default_factory=dict)
    after: dict[ast.stmt, list[str]] = field(default_factory=dict)
    first: dict[ast.stmt, list[str]] = field(default_factory=dict)
    """Lines before a statement that go with it where something is put around it."""
    heads: dict[ast.stmt, list[str]] = field(default_factory=dict)
    """Lines at the start of the body of a function or a loop."""
    opened: set[ast.stmt] = field(default_factory=set)
    """`with` and `if` statements whose bodies alone stay."""
    otherwise: set[ast.stmt] = field(default_factory=set)
    """`if` statements of which the other side alone stays."""
    around: dict[ast.stmt, str] = field(default_factory=dict)
    """The head of a `with` statement that is put around a statement."""
    decorators: dict[ast.stmt, list[str]] = field(default_factory=dict)
    """The decorators that a function has in the result, where they are others."""

    def forget(self, inside: set[ast.AST]) -> None:
        """Takes back what is changed in some nodes."""
        for noted in (self.texts, self.before, self.after, self.first, self.heads, self.around, self.decorators):
            for node in inside & noted.keys():  # type: ignore[operator]
                del noted[node]  # type: ignore[attr-defined]
        for marked in (self.opened, self.otherwise):
            marked -= inside  # type: ignore[operator]

    @property
    def statements(self) -> set[ast.AST]:
        """All that is changed."""
        return {
            *(*self.texts, *self.before, *self.after, *self.first, *self.heads),
            *(*self.opened, *self.otherwise, *self.around, *self.decorators),
        }


class BlockWriter:
    """Writes statements of one file with their changes; comments stay where they are."""

    def __init__(self, text: str, changes: Changes) -> None:
        self.lines = text.splitlines()
        self.changes = changes
        self.formatted: set[ast.AST] = set()
        """The nodes inside of f-strings, of which Python before 3.12 does not say where they stand."""

    def substituted(self, node: Any) -> Any:
        """A copy of a tree in which expressions are replaced."""
        if isinstance(node, ast.AST) and node in self.changes.texts:
            return ast.parse(self.changes.texts[node], mode="eval").body
        if not isinstance(node, ast.AST):
            return [self.substituted(n) for n in node] if isinstance(node, list) else node
        return type(node)(**{name: self.substituted(value) for name, value in ast.iter_fields(node)})

    def slice(self, first: tuple[int, int], last: tuple[int, int], within: ast.AST) -> str:
        """The text between two places (line, byte) with its expressions replaced."""
        spans = sorted(
            ((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset), self.changes.texts[n])  # type: ignore[attr-defined]
            for n in nodes(within)
            if n in self.changes.texts and not isinstance(n, ast.stmt)
        )
        pieces, at = [], first
        for start, end, new in sorted(spans, key=lambda s: (s[0], (-s[1][0], -s[1][1]))):
            if start < at or start >= last:
                continue
            pieces += [self.raw(at, start), new]
            at = end
        return "".join([*pieces, self.raw(at, last)])

    def raw(self, first: tuple[int, int], last: tuple[int, int]) -> str:
        (a, x), (b, y) = first, last
        lines = [self.lines[i - 1].encode() for i in range(a, b + 1)]
        lines[-1] = lines[-1][:y]
        lines[0] = lines[0][x:]
        return b"\n".join(lines).decode()

    def text_of(self, node: ast.AST) -> str:
        """An expression as the result has it."""
        if node in self.changes.texts:
            return self.changes.texts[node]
        if node in self.formatted:
            return ast.unparse(self.substituted(node))
        return self.slice((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset), node)  # type: ignore[attr-defined]

    def block(self, body: list[ast.stmt], above: int) -> list[str]:
        """Statements, and the comments between them; `above` is the line that the first of these may follow."""
        lines: list[str] = []
        for statement in body:
            first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", ()))])
            own = self.statement(statement)
            gap = [line.strip() for line in self.lines[above : first - 1]]
            if own and (lines or any(gap)):
                lines += gap
            lines += own
            above = statement.end_lineno or statement.lineno
        return lines

    def statement(self, statement: ast.stmt) -> list[str]:
        """The lines of a statement, from the first column."""
        changes = self.changes
        if statement in changes.texts:
            own = changes.texts[statement].splitlines()
        elif statement in changes.opened:
            own = self.block(statement.body, self.head_end(statement))  # type: ignore[attr-defined]
        elif statement in changes.otherwise:
            orelse = statement.orelse  # type: ignore[attr-defined]
            own = self.block(orelse, orelse[0].lineno - 1)
        elif isinstance(getattr(statement, "body", None), list):
            own = self.compound(statement)
        else:
            own = self.simple(statement)
        own = [*changes.first.get(statement, ()), *own]
        if statement in changes.around and own:
            own = [changes.around[statement], *indented(own)]
        return [*changes.before.get(statement, ()), *own, *changes.after.get(statement, ())]

    def simple(self, statement: ast.stmt) -> list[str]:
        end = (statement.end_lineno or statement.lineno, statement.end_col_offset or 0)
        text = self.slice((statement.lineno, statement.col_offset), end, statement)
        rest = self.lines[end[0] - 1].encode()[end[1] :].decode()
        tail = "  " + rest.strip() if rest.strip().startswith("#") else ""
        return dedented(text + tail, statement.col_offset, self.holds_text(statement))

    def compound(self, statement: ast.stmt) -> list[str]:
        lines = [f"@{d}" for d in self.decorators(statement)]
        inner = [n for name in BODIES for n in getattr(statement, name, ())]
        if (
            not any(n in self.changes.statements for i in inner for n in nodes(i))
            and inner[0].lineno == statement.lineno
        ):
            return [*lines, *self.simple(statement)]
        end = self.head_end(statement)
        if inner[0].lineno <= end:
            raise Declined(TRAINING, "statements on one line with the head of their block are not translated")
        head = self.slice((statement.lineno, statement.col_offset), (end, len(self.lines[end - 1].encode())), statement)
        lines += dedented(head, statement.col_offset, False)
        body = self.block(statement.body, end)  # type: ignore[attr-defined]
        document = bool(ast.get_docstring(statement)) if isinstance(statement, ast.FunctionDef) else False
        lines += indented(with_head(body, self.changes.heads.get(statement, []), statement if document else None))
        for handler in getattr(statement, "handlers", ()):
            lines += self.compound(handler)
        orelse = getattr(statement, "orelse", [])
        if len(orelse) == 1 and self.lines[orelse[0].lineno - 1].strip().startswith("elif"):
            lines += self.compound(orelse[0])
        elif orelse:
            lines += ["else:", *indented(self.block(orelse, orelse[0].lineno - 1))]
        if getattr(statement, "finalbody", []):
            final = statement.finalbody  # type: ignore[attr-defined]
            lines += ["finally:", *indented(self.block(final, final[0].lineno - 1))]
        return lines

    def decorators(self, statement: ast.stmt) -> list[str]:
        own = [self.text_of(d) for d in getattr(statement, "decorator_list", ())]
        return self.changes.decorators.get(statement, own)

    def head_end(self, statement: ast.stmt) -> int:
        """The line that the head of a block ends on."""
        body = statement.body  # type: ignore[attr-defined]
        outside = {n for name in BODIES for s in getattr(statement, name, ()) for n in nodes(s)}
        parts = [n for n in nodes(statement) if n not in outside and n not in getattr(statement, "decorator_list", ())]
        last = max(
            [statement.lineno, *(n.end_lineno for n in parts if n is not statement and hasattr(n, "end_lineno"))]
        )
        while last < body[0].lineno and not self.lines[last - 1].partition("#")[0].rstrip().endswith(":"):
            last += 1
        return last

    @staticmethod
    def holds_text(statement: ast.stmt) -> bool:
        """Whether a statement holds a text over several lines, which must not be moved."""
        texts = [n for n in nodes(statement) if isinstance(n, (ast.Constant, ast.JoinedStr))]
        return any(n.lineno != n.end_lineno and isinstance(getattr(n, "value", ""), str) for n in texts)


def with_head(body: list[str], head: list[str], documented: ast.stmt | None) -> list[str]:
    """The lines of a body with others at its start, below its docstring."""
    if documented is None:
        return [*head, *body]
    string = documented.body[0]  # type: ignore[attr-defined]
    count = string.end_lineno - string.lineno + 1
    return [*body[:count], *head, *body[count:]]


def dedented(text: str, columns: int, keeps: bool) -> list[str]:
    """Lines of which the first begins at its first column already."""
    first, *rest = text.split("\n")
    if keeps:
        return [first, *rest]
    return [first, *(line[columns:] if not line[:columns].strip() else line for line in rest)]


def indented(lines: list[str]) -> list[str]:
    return [f"    {line}" if line.strip() else line for line in lines] or ["    pass"]
