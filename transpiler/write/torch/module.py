"""A source file with its model-building code replaced: classes where the helpers were, the rest as it was."""

from __future__ import annotations

import ast
import itertools
import re
import sys
import textwrap
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from transpiler.ir.trees import nodes
from transpiler.write.torch.check import local_names, undefined_names
from transpiler.write.torch.helpers import helper_imports, helper_texts
from transpiler.write.torch.idioms import idiomatic
from transpiler.write.torch.known import without_known_tests
from transpiler.write.torch.repeats import with_kept_tests, without_repeats
from transpiler.write.torch.simplify import simplified
from transpiler.write.torch.tidy import tidy

LINE_LENGTH = 120
PIECE = "__piece__"
"""Stands between texts that black formats in one go."""

_PRAGMA = re.compile(r"\s*# *(pylint|flake8|isort|noqa|mypy|pyright|ruff)\b")
"""A comment for a tool; it goes with the import below it, if it says no more than others do."""

Edit = tuple[int, int, list[str]]
"""First line, last line, and the lines in their place."""


@dataclass
class FileEdit:
    """What changes in one file."""

    text: str
    tree: ast.Module
    replaced: dict[ast.AST, str] = field(default_factory=dict)
    """Function or statement → the text in its place."""
    before: dict[ast.AST, list[str]] = field(default_factory=dict)
    """Top-level statement → what is inserted above it."""
    after: dict[ast.AST, list[str]] = field(default_factory=dict)
    """Statement that is replaced → the lines that follow its new text."""
    removed: set[ast.AST] = field(default_factory=set)
    dropped_names: set[str] = field(default_factory=set)
    """Names that the file imports from the framework."""
    frameworks: tuple[str, ...] = ()
    """Packages whose imports go even where the source never used them."""
    endings: dict[ast.AST, tuple[str, list[str]]] = field(default_factory=dict)
    """Function that became a factory → its variable for the model, and what it does with it before it returns."""
    opened: set[str] = field(default_factory=set)
    """Contexts of `with` statements that their bodies take the place of."""
    helpers: list[str] = field(default_factory=list)
    importable: dict[str, str] = field(default_factory=dict)
    """Names of other files of the project → where they are imported from, `from .blocks`, if the new text uses them."""
    exports: bool = True
    """Whether others may import from the file what it imports itself and never used."""
    open_names: set[str] = field(default_factory=set)
    """What the text reads and nothing in it binds: a star import does."""
    exported: dict[str, list[str]] = field(default_factory=dict)
    """Names that the file only imports for others → what they are called now."""
    other_names: dict[str, str] = field(default_factory=dict)
    """Helpers → what they are called here, where the file has something else of their names."""
    libraries: dict[str, str] = field(default_factory=dict)
    """Names that the new text takes from libraries besides torch itself → their modules ("" for a module), or their import lines."""
    ends: dict[ast.AST, int] = field(default_factory=dict)
    """The last line of what a text stands in place of, where that is more than its statement."""
    preamble: list[str] = field(default_factory=list)
    """Functions that all classes may need (`init_weights`, wrappers), above the first class."""

    def needs(self, helpers: Iterable[str]) -> None:
        """Notes helpers, each once."""
        self.helpers += [h for h in dict.fromkeys(helpers) if h not in self.helpers]

    def helper_texts(self) -> list[str]:
        """The texts of the helpers, by the names that they have here."""
        texts = helper_texts(self.helpers)
        for name, other in self.other_names.items():
            texts = [re.sub(rf"\b{name}(?=\()", other, text) for text in texts]
        return texts

    def apply(self) -> str:
        """The file's new text: what is new is formatted by black, the rest stays byte for byte."""
        lines = self.text.splitlines()
        edits: list[Edit] = []
        for statement, more in self.after.items():
            self.replaced[statement] = "\n".join((self.replaced[statement], *more))
        self.join_lines()
        self.close_empty()
        first = min((_start(n) for n in (*self.before, *self.replaced)), default=None)
        if first is not None:  # functions that all classes may need stand at the top level
            top = next(s for s in self.tree.body if first <= (s.end_lineno or s.lineno))
            first = _start(top)
            if top not in {*self.replaced, *self.removed}:
                self.before.setdefault(top, [])
        nodes = {*self.replaced, *self.removed, *self.before}
        new_texts = formatted({n: self.new_text(n) for n in nodes})
        for node in nodes:
            start, end = _start(node), self.ends.get(node, node.end_lineno or node.lineno)  # type: ignore[attr-defined]
            above = [*self.helper_texts(), *format_all(self.preamble)] if start == first else []
            if node in self.removed or node in self.before or above:
                while start > 1 and lines[start - 2].startswith("#"):
                    start -= 1
            comments = lines[start - 1 : _start(node) - 1] if node not in self.removed else []
            if node not in self.replaced and node not in self.removed:
                end, comments = start - 1, []  # an insertion
            new = new_texts[node]
            if not new and node in self.removed:
                inside = node.col_offset > 0 and _goes_on(lines, end, node.col_offset)
                above_blank = start == 1 or not lines[start - 2].strip()
                while end < len(lines) and not lines[end].strip() and (inside or above_blank):
                    end += 1
            indent = lines[_start(node) - 1][: node.col_offset]
            if "\t" in indent:
                new = [re.sub(rf"^ {{{len(indent)}}}", indent, t, flags=re.M) for t in new]
            inserted = [*above, *new[:-1]] if node in self.replaced else [*above, *new]
            text = [line for piece in inserted for line in (*piece.splitlines(), "", "")]
            if inserted:
                text = [""] * (2 - _blank_above(lines, start)) + text
            if node in self.replaced and new:
                text += [*comments, *new[-1].splitlines()]
            head = lines[_start(node) - 1][: node.col_offset]
            if head.rstrip().endswith(":"):  # `if test: statement`
                inner = " " * (len(head) - len(head.lstrip()) + 4)
                own = [re.sub(rf"^ {{{len(head)}}}", inner, line) for line in text] or [f"{inner}pass"]
                text = [head.rstrip(), *own]
            edits.append((start, end, text))
        for start, end, text in sorted(edits, reverse=True):
            lines[start - 1 : end] = text
        return self.with_imports(without_scopes("\n".join(lines) + "\n", self.opened)).strip("\n") + "\n"

    def close_empty(self) -> None:
        """Removes an `if` of which nothing is left; other statements whose bodies are gone get a `pass`."""
        for node in reversed(list(nodes(self.tree))):
            for body in _bodies(node) if isinstance(node, ast.stmt) else []:
                if any(s not in self.removed or s in self.replaced or s in self.before for s in body):
                    continue
                plain = isinstance(node, ast.If) and not any(isinstance(n, ast.Call) for n in nodes(node.test))
                if plain and body is node.body and not node.orelse and node not in self.replaced:  # type: ignore[attr-defined]
                    self.removed = self.removed - set(nodes(node)) | {node}
                elif node not in self.removed:
                    self.replaced[body[0]] = "pass"

    def join_lines(self) -> None:
        """Makes one edit of the statements that share a line (`a = 1; b = 2`) with one that changes."""
        for body in [b for n in nodes(self.tree) for b in _bodies(n)]:
            for run in _runs(body):
                if len(run) == 1 or not any(s in self.replaced or s in self.removed or s in self.before for s in run):
                    continue
                before = [t for s in run for t in self.before.pop(s, [])]
                kept = [s for s in run if s not in self.removed]
                texts = [self.replaced.pop(s, ast.get_source_segment(self.text, s) or "") for s in kept]
                self.removed -= set(run)
                first, end = run[0], run[-1].end_lineno or run[-1].lineno
                self.ends[first] = end
                if before:
                    self.before[first] = before
                if texts:
                    self.replaced[first] = "\n".join(texts)
                else:
                    self.removed.add(first)

    @property
    def changes(self) -> bool:
        return bool(self.replaced or self.before or self.removed or self.exported)

    def new_texts(self) -> list[str]:
        """All that is inserted into the file or stands in place of something."""
        return [
            *self.replaced.values(),
            *(t for lines in self.after.values() for t in lines),
            *(t for texts in self.before.values() for t in texts),
            *self.preamble,
        ]

    def new_text(self, node: Any) -> tuple[list[str], int]:
        """The texts that stand above a node or in its place, unformatted, and how far they are indented."""
        texts = list(self.before.get(node, ()))
        if node in self.replaced:
            texts.append(self.replaced[node])
        return texts, node.col_offset

    def with_imports(self, text: str) -> str:
        """The text with the imports it uses: the framework's gone, torch's added, unused ones removed."""
        tree = ast.parse(text)
        used = used_identifiers(tree)
        needed = used - imported_inside(tree)
        local = local_names(text) - annotated(tree)
        original = used_identifiers(self.tree)
        lines = text.splitlines()
        edits: list[Edit] = []
        nested = False
        own = self.own_imports(used)
        stars = rf"^\s*from\s+({'|'.join(self.frameworks)})\b.*\simport\s+\*.*$" if self.frameworks else r"(?!)"
        rest, found = re.subn(stars, "", text, flags=re.M)
        self.open_names = undefined_names(rest) - {*TORCH_NAMES, *self.importable} if found else set()
        for node, siblings, top in import_nodes(tree):
            reads = (needed - local if self.of_framework(node) else needed) if top else used
            kept = [a for a in node.names if self.keeps(node, a, reads, original) and a.name not in self.exported]
            if isinstance(node, ast.ImportFrom) and not self.exports and len(kept) < len(node.names):
                kept = [a for a in kept if bound_by(a) in reads]  # it was there for what is converted
            if isinstance(node, ast.ImportFrom):
                kept += [ast.alias(new) for a in node.names for new in self.exported.get(a.name, ())]
            more = own.pop(import_start(node), []) if top else []
            if kept == node.names and not more:
                continue
            present = {a.asname or a.name for a in kept}
            kept += [ast.alias(name) for name in more if name not in present]
            indent = lines[node.lineno - 1][: node.col_offset]
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
            above = node.lineno - 1
            if not new and above and _PRAGMA.match(lines[above - 1]) and lines.count(lines[above - 1]) > 1:
                edits.append((above, above, []))
            nested = nested or not top
        for start, end, new in sorted(edits, reverse=True):
            lines[start - 1 : end] = new
        text = "\n".join(lines) + "\n"
        if nested:
            text = without_empty_blocks(text)
            tree, edits = ast.parse(text), []
        new = [f"{start} import {', '.join(names)}" for start, names in own.items()]
        libraries = {**self.libraries, **helper_imports(self.helpers)}
        return insert_imports(text, [*torch_imports(needed, libraries), *new], tree, edits)

    def own_imports(self, used: set[str]) -> dict[str, list[str]]:
        """What the text uses from other files of the project: `from .blocks` → names."""
        names: dict[str, list[str]] = {}
        for name, start in self.importable.items():
            if name in used:
                names.setdefault(start, []).append(name)
        return {start: sorted(found) for start, found in names.items()}

    def keeps(self, node: Any, alias: ast.alias, used: set[str], original: set[str]) -> bool:
        name = bound_by(alias)
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            return True
        if alias.name == "*":
            framework = not node.level and (node.module or "").partition(".")[0] in self.frameworks
            return not framework or bool(self.open_names)
        if name in self.dropped_names:
            return False
        module = alias.name if isinstance(node, ast.Import) else "" if node.level else node.module or ""
        return name in used or name not in original and module.partition(".")[0] not in self.frameworks

    def of_framework(self, node: ast.Import | ast.ImportFrom) -> bool:
        """Whether an import is one of the framework alone."""
        modules = (
            [a.name for a in node.names] if isinstance(node, ast.Import) else ["" if node.level else node.module or ""]
        )
        return all(m.partition(".")[0] in self.frameworks for m in modules)


def import_start(node: ast.Import | ast.ImportFrom) -> str:
    """`from .blocks` of `from .blocks import conv_block`; "" for `import blocks`."""
    return f"from {'.' * node.level}{node.module or ''}" if isinstance(node, ast.ImportFrom) else ""


def _goes_on(lines: list[str], end: int, indent: int) -> bool:
    """Whether the block of a statement, indented so, has more statements after line `end`."""
    following = next((line for line in lines[end:] if line.strip()), "")
    return len(following) - len(following.lstrip()) >= indent


def _blank_above(lines: list[str], start: int) -> int:
    """How many blank lines, 2 at most, stand above line `start` (2 at the head of a file)."""
    count = 0
    while count < 2 and start - 2 - count >= 0 and not lines[start - 2 - count].strip():
        count += 1
    return 2 if start - 2 - count < 0 else count


def formatted(texts: dict[Any, tuple[list[str], int]]) -> dict[Any, list[str]]:
    """Every text formatted by black for its place; all that stand at one depth go through black together."""
    result: dict[Any, list[str]] = {}
    for indent in {i for _, i in texts.values()}:
        nodes = [n for n, (_, i) in texts.items() if i == indent]
        flat = format_all([tidied(t, indent) for n in nodes for t in texts[n][0]], LINE_LENGTH - indent)
        for n in nodes:
            own, flat = flat[: len(texts[n][0])], flat[len(texts[n][0]) :]
            result[n] = [textwrap.indent(t, " " * indent) for t in own]
    return result


def without_scopes(text: str, contexts: Collection[str]) -> str:
    """A file in which the bodies of `with` statements in these contexts stand where the statements stood."""
    while contexts:
        found = (n for n in nodes(ast.parse(text)) if isinstance(n, ast.With))
        scope = next((n for n in found if [ast.unparse(i) for i in n.items] in [[c] for c in contexts]), None)
        if scope is None:
            break
        lines = text.splitlines()
        end, first = scope.end_lineno or scope.lineno, scope.body[0]
        header = max(i.context_expr.end_lineno or scope.lineno for i in scope.items)
        indent = lines[scope.lineno - 1][: scope.col_offset]
        if first.lineno == header:  # `with scope: statement`
            body = [indent + lines[header - 1][first.col_offset :], *lines[header:end]]
        else:
            inner = len(lines[first.lineno - 1]) - len(lines[first.lineno - 1].lstrip())
            long = [n for n in nodes(scope) if isinstance(n, (ast.Constant, ast.JoinedStr))]
            kept = {i for n in long for i in range(n.lineno + 1, (n.end_lineno or 0) + 1)}  # lines inside of strings
            numbered = enumerate(lines[header:end], header + 1)
            body = [indent + n[inner:] if n[:inner].isspace() and i not in kept else n for i, n in numbered]
        text = "\n".join([*lines[: scope.lineno - 1], *body, *lines[end:]]) + "\n"
    return text


def tidied(text: str, indent: int) -> str:
    """Generated text as a person would write it, before black lays it out."""
    text = simplified(idiomatic(without_known_tests(text)), indent)
    shorter = without_repeats(text)
    return with_kept_tests(text if shorter == text else simplified(shorter, indent))


def format_all(texts: list[str], line_length: int = LINE_LENGTH) -> list[str]:
    """Each text as black formats it, without blank lines around it; black itself runs on those that need it."""
    done = [tidy(t, line_length) for t in texts]
    rest = [t for t, d in zip(texts, done) if d is None]
    formatted_by_black = iter(black_all(rest, line_length) if rest else ())
    return [(next(formatted_by_black) if d is None else d).strip("\n") for d in done]


def black_all(texts: list[str], line_length: int = LINE_LENGTH) -> list[str]:
    """Each text formatted by black, in one go."""
    import black

    joined = f"\n{PIECE}\n".join(texts)
    whole = black.format_str(joined, mode=black.Mode(line_length=line_length))
    return [piece.strip("\n") for piece in re.split(rf"^{PIECE}$", whole, flags=re.M)]


def _bodies(node: ast.AST) -> list[list[ast.stmt]]:
    """The blocks of a statement."""
    found = [getattr(node, name, None) for name in ("body", "orelse", "finalbody")]
    return [b for b in found if isinstance(b, list) and b]


def _runs(body: list[ast.stmt]) -> list[list[ast.stmt]]:
    """The statements of a block, those on one line together."""
    runs: list[list[ast.stmt]] = []
    for statement in body:
        if runs and runs[-1][-1].end_lineno == statement.lineno:
            runs[-1].append(statement)
        else:
            runs.append([statement])
    return runs


def _start(node: Any) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(d.lineno for d in decorators)])


def used_identifiers(tree: ast.AST) -> set[str]:
    """The names a tree reads, those in quoted annotations included; imports do not count."""
    found: set[str] = set()
    for node in nodes(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            found |= {c.value for c in nodes(node.value) if isinstance(c, ast.Constant) and isinstance(c.value, str)}
    return found


def bound_by(alias: ast.alias) -> str:
    """The name that an import binds."""
    return (alias.asname or alias.name).partition(".")[0]


def annotated(tree: ast.Module) -> set[str]:
    """The names in annotations."""
    found = [n.annotation for n in nodes(tree) if isinstance(n, (ast.arg, ast.AnnAssign)) and n.annotation is not None]
    found += [
        n.returns
        for n in nodes(tree)
        if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)) and n.returns is not None
    ]
    return set().union(*(used_identifiers(a) for a in found))


def imported_inside(tree: ast.Module) -> set[str]:
    """The names that are read in functions alone that import them themselves."""
    inside: set[str] = set()
    outside: set[str] = set()
    todo: list[tuple[ast.AST, frozenset[str]]] = [(tree, frozenset())]
    while todo:
        node, own = todo.pop()
        if isinstance(node, ast.Name):
            (inside if node.id in own else outside).add(node.id)
        within = own
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            within |= {
                bound_by(a) for n in own_nodes(node) if isinstance(n, (ast.Import, ast.ImportFrom)) for a in n.names
            }
            within -= {name for n in own_nodes(node) if isinstance(n, ast.Global) for name in n.names}
        for name, child in ast.iter_fields(node):
            children = child if isinstance(child, list) else [child]
            todo += [(c, within if name == "body" else own) for c in children if isinstance(c, ast.AST)]
    return inside - outside


def own_nodes(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterable[ast.AST]:
    """The statements of a function, those of functions and classes in it left out."""
    todo: list[ast.AST] = list(function.body)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            todo += [c for c in ast.iter_child_nodes(node) if isinstance(c, (ast.stmt, ast.ExceptHandler))]


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


STANDARD = ("copy", "csv", "functools", "hashlib", "json", "math", "os", "random", "warnings")
"""Modules of Python's library that are imported where they are used."""

USUAL = {"np": "import numpy as np", "torch": "import torch", "F": "import torch.nn.functional as F"}
"""Names that stand for modules in the result."""

TORCH_NAMES = (*STANDARD, "np", "torch", "F", "Tensor", "nn")
"""What is imported where it is used."""


def torch_imports(used: set[str], libraries: Mapping[str, str] | None = None) -> list[str]:
    """The import lines for the names in use of Python's library, of torch, and of other `libraries`, in order."""
    others = library_imports(libraries or {}, used)
    whole = {f"import {n}" for n in STANDARD if n in used} | {t for t in others if t.startswith("import ")}
    names = [n for n in ("Tensor", "nn") if n in used]
    whole |= {text for name, text in USUAL.items() if name in used}
    return [
        *sorted(t for t in whole if is_standard(t)),
        *(t for t in others if t not in whole and is_standard(t)),
        *sorted(t for t in whole if not is_standard(t)),
        *([f"from torch import {', '.join(names)}"] if names else []),
        *(t for t in others if t not in whole and not is_standard(t)),
    ]


def library_imports(libraries: Mapping[str, str], used: set[str]) -> list[str]:
    """The import lines for names in use of libraries: name → its module, "" for a module, or the whole line."""
    names: dict[str, list[str]] = {}
    for name, module in libraries.items():
        if name in used:
            names.setdefault(module or f"import {name}", []).append(name)
    return [
        m if m.startswith("import ") else f"from {m} import {', '.join(sorted(found))}"
        for m, found in sorted(names.items())
    ]


def is_standard(line: str) -> bool:
    """Whether an import line names a module of Python's library."""
    return line.split()[1].partition(".")[0] in sys.stdlib_module_names


def insert_imports(text: str, imports: list[str], tree: ast.Module, edits: list[Edit]) -> str:
    """Adds import lines where a file's imports stand, those of Python's library above others.

    `tree` is the text's before the `edits` of its top-level imports.
    """
    edited = {start: new for start, _, new in edits}
    top = [n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom))]
    present = {line for n in top for line in edited.get(n.lineno, [ast.unparse(n)])}
    imports = [i for i in imports if i not in present]
    if not imports:
        return text
    line = 0
    body = list(tree.body)
    if ast.get_docstring(tree, clean=False) is not None:
        line = body.pop(0).end_lineno or 0
    block = [s for s in itertools.takewhile(lambda s: s in top, body) if edited.get(s.lineno) != []]
    line = (block[-1].end_lineno or 0) if block else line

    def shifted(line: int) -> int:
        return line + sum(len(new) - (end - start + 1) for start, end, new in edits if end <= line)

    line, lines = shifted(line), text.splitlines()
    standard = [i for i in imports if is_standard(i)]
    first = next((s for s in block if not is_standard(ast.unparse(s))), None)
    if standard and first is not None:
        place = start = shifted(first.lineno - 1)
        while place and not lines[place - 1].strip():
            place -= 1
        behind = place > 0 and lines[place - 1].startswith(("import ", "from "))
        new = standard if behind else [*standard, ""]
        place = place if behind else start
        lines[place:place] = new
        line += len(new)
        imports = [i for i in imports if i not in standard]
    if line == 0:  # below a comment at the head of the file
        while line < len(lines) and (lines[line].startswith("#") or not lines[line].strip()):
            line += 1
        while line > 0 and not lines[line - 1].strip():
            line -= 1
    following = lines[line:]
    rest = [f for f in following if f.strip()]
    wanted = 2 if rest and re.match(r"class |def |async def |@", rest[0]) else 1
    if rest and re.match(r"(import|from)\s", rest[0]):
        wanted = 0
    while following and not following[0].strip() and wanted:
        following = following[1:]
    gap = [""] * wanted if rest else []
    lead = [""] if line and not lines[line - 1].startswith(("import", "from")) and lines[line - 1].strip() else []
    return "\n".join([*lines[:line], *lead, *imports, *gap, *following]) + "\n"
