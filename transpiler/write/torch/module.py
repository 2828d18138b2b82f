"""A source file with its model-building code replaced: classes where the helpers were, the rest as it was."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from transpiler.write.torch.helpers import helper_texts

LINE_LENGTH = 120

TORCH_IMPORTS = (
    ("math", "import math"),
    ("torch", "import torch"),
    ("F", "import torch.nn.functional as F"),
    ("Tensor", "Tensor"),
    ("nn", "nn"),
)


@dataclass
class FileEdit:
    """What changes in one file."""

    text: str
    tree: ast.Module
    replaced: dict[ast.AST, str] = field(default_factory=dict)
    """Function or statement → the text in its place."""
    before: dict[ast.AST, list[str]] = field(default_factory=dict)
    """Top-level statement → what is inserted above it."""
    removed: set[ast.AST] = field(default_factory=set)
    dropped_names: set[str] = field(default_factory=set)
    """Names that the file imports from the framework."""
    frameworks: tuple[str, ...] = ()
    """Packages whose imports go even where the source never used them."""
    helpers: list[str] = field(default_factory=list)
    preamble: list[str] = field(default_factory=list)
    """Functions that all classes may need (`init_weights`, wrappers), above the first class."""

    def apply(self) -> str:
        """The file's new text, formatted by black."""
        lines = self.text.splitlines()
        edits: list[tuple[int, int, list[str]]] = []
        nodes = {*self.replaced, *self.removed, *self.before}
        first = min((_start(n) for n in (*self.before, *self.replaced)), default=None)
        for node in nodes:
            start, end = _start(node), node.end_lineno or node.lineno  # type: ignore[attr-defined]
            if node in self.removed:
                while start > 1 and lines[start - 2].startswith("#"):
                    start -= 1
            elif node not in self.replaced:
                end = start - 1  # an insertion
            new: list[str] = []
            if node in self.before:
                new += ["\n\n".join(self.before[node]), "", ""]
            if node in self.replaced:
                new += textwrap.indent(self.replaced[node], " " * node.col_offset).splitlines()  # type: ignore[attr-defined]
            if start == first:
                above = [*helper_texts(self.helpers), *self.preamble]
                new = [*("\n\n".join(above).splitlines() + ["", ""] if above else []), *new]
            edits.append((start, end, new))
        for start, end, new in sorted(edits, reverse=True):
            lines[start - 1 : end] = new
        body = "\n".join(lines) + "\n"
        return format_code(self.with_imports(body))

    def with_imports(self, text: str) -> str:
        """The text with the imports it uses: the framework's gone, torch's added, unused ones removed."""
        tree = ast.parse(text)
        used = used_identifiers(tree)
        original = used_identifiers(self.tree)
        lines = text.splitlines()
        edits: list[tuple[int, int, list[str]]] = []
        for node, siblings, top in import_nodes(tree):
            kept = [a for a in node.names if self.keeps(node, a, used, original)]
            if len(kept) == len(node.names):
                continue
            indent = " " * node.col_offset
            if kept:
                copy = (
                    ast.ImportFrom(node.module, kept, node.level)
                    if isinstance(node, ast.ImportFrom)
                    else ast.Import(kept)
                )
                new = [indent + ast.unparse(copy)]
            else:
                new = [] if top or node is not siblings[0] else [indent + "pass"]
            edits.append((node.lineno, node.end_lineno or node.lineno, new))
        for start, end, new in sorted(edits, reverse=True):
            lines[start - 1 : end] = new
        text = without_empty_blocks("\n".join(lines) + "\n") if edits else "\n".join(lines) + "\n"
        return insert_imports(text, torch_imports(used))

    def keeps(self, node: Any, alias: ast.alias, used: set[str], original: set[str]) -> bool:
        name = (alias.asname or alias.name).partition(".")[0]
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            return True
        if alias.name == "*":
            return bool(node.level) or (node.module or "").partition(".")[0] not in self.frameworks
        if name in self.dropped_names:
            return False
        module = alias.name if isinstance(node, ast.Import) else "" if node.level else node.module or ""
        return name in used or name not in original and module.partition(".")[0] not in self.frameworks


def _start(node: Any) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(d.lineno for d in decorators)])


def used_identifiers(tree: ast.AST) -> set[str]:
    """The names a tree reads, those in quoted annotations included; imports do not count."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            found |= {c.value for c in ast.walk(node.value) if isinstance(c, ast.Constant) and isinstance(c.value, str)}
    return found


def import_nodes(tree: ast.Module) -> Iterable[tuple[Any, list[ast.stmt], bool]]:
    """Every import, with the statements it stands among, and whether that is the top level."""
    todo: list[ast.AST] = [tree]
    while todo:
        parent = todo.pop()
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            siblings = getattr(parent, name, None)
            for child in siblings if isinstance(siblings, list) else ():
                if isinstance(child, (ast.Import, ast.ImportFrom)):
                    yield child, siblings, parent is tree
                elif isinstance(child, (ast.stmt, ast.ExceptHandler)) or name == "cases":
                    todo.append(child)


def without_empty_blocks(text: str) -> str:
    """Drops top-level `if` and `try` statements that are left with nothing to do."""
    lines = text.splitlines()
    for statement in reversed(ast.parse(text).body):
        if isinstance(statement, (ast.If, ast.Try)) and _idle(statement):
            del lines[statement.lineno - 1 : statement.end_lineno]
    return "\n".join(lines) + "\n"


def _idle(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Pass):
        return True
    if isinstance(statement, ast.If):
        return all(map(_idle, (*statement.body, *statement.orelse)))
    if isinstance(statement, ast.Try):
        return all(
            map(
                _idle,
                (
                    *statement.body,
                    *statement.orelse,
                    *statement.finalbody,
                    *(s for h in statement.handlers for s in h.body),
                ),
            )
        )
    return False


def torch_imports(used: set[str]) -> list[str]:
    """The import lines for the torch names in use."""
    found = []
    if "math" in used:
        found.append("import math")
    if "torch" in used:
        found.append("import torch")
    if "F" in used:
        found.append("import torch.nn.functional as F")
    names = [n for n in ("Tensor", "nn") if n in used]
    if names:
        found.append(f"from torch import {', '.join(names)}")
    return found


def insert_imports(text: str, imports: list[str]) -> str:
    """Adds import lines where a file's imports stand: after the docstring and `__future__`."""
    tree = ast.parse(text)
    present = {ast.unparse(n) for n, _, top in import_nodes(tree) if top}
    imports = [i for i in imports if i not in present]
    if not imports:
        return text
    line = 0
    body = list(tree.body)
    if (
        body
        and isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    ):
        line = body.pop(0).end_lineno or 0
    while body and isinstance(body[0], ast.ImportFrom) and body[0].module == "__future__":
        line = body.pop(0).end_lineno or 0
    while body and isinstance(body[0], (ast.Import, ast.ImportFrom)):
        line = body.pop(0).end_lineno or 0
    lines = text.splitlines()
    if line == 0:  # below a comment at the head of the file
        while line < len(lines) and (lines[line].startswith("#") or not lines[line].strip()):
            line += 1
        while line > 0 and not lines[line - 1].strip():
            line -= 1
    following = lines[line:]
    gap = [""] if following and following[0].strip() and not re.match(r"(import|from)\s", following[0]) else []
    lead = [""] if line and not lines[line - 1].startswith(("import", "from")) and lines[line - 1].strip() else []
    return "\n".join([*lines[:line], *lead, *imports, *gap, *following]) + "\n"


def format_code(text: str) -> str:
    """Black's formatting; runs of blank lines that edits left are closed."""
    import black

    text = re.sub(r"\n{4,}", "\n\n\n", text)
    return black.format_str(text, mode=black.Mode(line_length=LINE_LENGTH)) if text.strip() else text
