"""One source file: its text, its tree, its comments, and the places of its nodes."""

from __future__ import annotations

import ast
import functools
import io
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path

from transpiler.diagnostics import Declined, Span

_MODULE = re.compile(r"[\"'](keras|tensorflow|tf_keras|keras_applications)(\.\w+)*[\"']")
_KERAS = re.compile(r"\b(keras|tensorflow|tf_keras|tf|keras_applications)\b")


@dataclass(eq=False)
class SourceModule:
    """A parsed source file. `name` is the dotted name it is imported under."""

    name: str
    path: Path
    text: str
    tree: ast.Module
    package: bool = False

    @property
    def package_path(self) -> list[str]:
        """The dotted name of the package that the file is in, or is, by its parts."""
        parts = self.name.split(".")
        return parts if self.package else parts[:-1]

    def imported(self, level: int, module: str | None) -> str:
        """The dotted name of what `from` with so many dots and this name imports from here."""
        if not level:
            return module or ""
        parts = self.package_path
        return ".".join([*parts[: len(parts) - level + 1], *([module] if module else [])])

    def span(self, node: ast.AST) -> Span:
        """The place of `node`, columns counted from 1."""
        return Span(
            str(self.path),
            getattr(node, "lineno", 1),
            getattr(node, "col_offset", 0) + 1,
            getattr(node, "end_lineno", 0) or 0,
        )

    @functools.cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @functools.cached_property
    def comments(self) -> dict[int, tuple[str, bool]]:
        """Line → (comment, whether it stands alone on its line)."""
        found: dict[int, tuple[str, bool]] = {}
        try:
            for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
                if token.type == tokenize.COMMENT:
                    found[token.start[0]] = (token.string, not token.line[: token.start[1]].strip())
        except (tokenize.TokenError, IndentationError, SyntaxError):
            pass
        return found

    @functools.cached_property
    def _known_comments(self) -> dict[ast.stmt, tuple[str, ...]]:
        return {}

    def comments_of(self, node: ast.stmt) -> tuple[str, ...]:
        """The comment lines directly above a statement, then those that end its own lines: one object for a statement."""
        if node not in self._known_comments:
            self._known_comments[node] = self._find_comments(node)
        return self._known_comments[node]

    def _find_comments(self, node: ast.stmt) -> tuple[str, ...]:
        if not self.comments:
            return ()
        above: list[str] = []
        line = node.lineno - 1
        while line in self.comments and self.comments[line][1]:
            above.insert(0, self.comments[line][0])
            line -= 1
        last = node.lineno if hasattr(node, "body") else (node.end_lineno or node.lineno)
        inside = [self.comments[n][0] for n in range(node.lineno, last + 1) if n in self.comments]
        return (*above, *inside)

    @property
    def mentions_keras(self) -> bool:
        """Whether the code names Keras; what comments and texts say does not count, but for names of modules."""
        if not _KERAS.search(self.text):
            return False
        try:
            tokens = list(tokenize.generate_tokens(io.StringIO(self.text).readline))
        except (tokenize.TokenError, IndentationError, SyntaxError):
            return True
        return any(
            t.type == tokenize.NAME
            and _KERAS.fullmatch(t.string)
            or t.type == tokenize.STRING
            and _MODULE.fullmatch(t.string)
            for t in tokens
        )


def parse(text: str, path: Path, name: str, package: bool = False) -> SourceModule:
    """Parses one file. Raises Declined (K2T001) with the place of a syntax error."""
    try:
        tree = ast.parse(text.lstrip("\ufeff"), filename=str(path))
    except SyntaxError as error:
        span = Span(str(path), error.lineno or 1, error.offset or 1)
        raise Declined(
            "K2T001",
            f"this is not valid Python 3: {error.msg}",
            "Fix the syntax, or convert Python 2 code with a tool such as 2to3 first.",
            span,
        ) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise Declined("K2T001", f"{path} cannot be parsed: {error}") from None
    return SourceModule(name, path, text, tree, package)
