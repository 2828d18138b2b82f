"""Names across the files of a project: where a name of the top level comes from, and what another file calls it."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from transpiler.class_files import relative_import
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.values import Module
from transpiler.read.keras.names import is_framework
from transpiler.read.keras.parse import SourceModule
from transpiler.write.torch.module import FileEdit, bound_by


@dataclass(frozen=True)
class Origin:
    """What a name of the top level of a file stands for: a name of another module, "" for that module itself."""

    module: str
    name: str = ""


class ProjectNames:
    """The names of the modules that a conversion has read."""

    def __init__(self, modules: Mapping[str, Any]) -> None:
        self.modules = modules

    def origin(self, source: SourceModule, name: str) -> Origin | None:
        """Where a name of a file comes from, through its imports; None if it is bound more than once, or a part of Keras."""
        found = list(self.bindings(source, name))
        if len(found) != 1:
            return None
        origin = found[0]
        if is_framework(origin.module):
            return None
        other = self.source_of(origin.module)
        if other is None or other is source or not origin.name:
            return origin
        return self.origin(other, origin.name)

    def bindings(self, source: SourceModule, name: str) -> Iterator[Origin]:
        """What each of the statements says that bind a name of the top level, wherever it stands."""
        inside = {n for f in nodes(source.tree) if isinstance(f, (ast.FunctionDef, ast.Lambda, ast.AsyncFunctionDef))
                  for n in nodes(f) if n is not f}  # fmt: skip
        for node in nodes(source.tree):
            declares = isinstance(node, ast.Global) and name in node.names
            if node in inside and not declares:
                continue
            if isinstance(node, ast.ImportFrom):
                yield from self.imported(source, node, name)
            elif isinstance(node, ast.Import):
                bound = [a for a in node.names if bound_by(a) == name]
                yield from (Origin(a.name if a.asname else name) for a in bound)
            elif (
                declares
                or isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef))
                and node.name == name
                or isinstance(node, ast.Name)
                and node.id == name
                and not isinstance(node.ctx, ast.Load)
            ):
                yield Origin(source.name, name)

    def imported(self, source: SourceModule, node: ast.ImportFrom, name: str) -> Iterator[Origin]:
        module = source.imported(node.level, node.module)
        for alias in node.names:
            if alias.name == "*":
                values = self.modules.get(module)
                if isinstance(values, Module) and name in values.names and not name.startswith("_"):
                    yield Origin(module, name)
            elif (alias.asname or alias.name) == name:
                whole = f"{module}.{alias.name}"
                yield Origin(whole) if isinstance(self.modules.get(whole), Module) else Origin(module, alias.name)

    def source_of(self, module: str) -> SourceModule | None:
        known = self.modules.get(module)
        return known.source if isinstance(known, Module) else None

    def name_in(self, source: SourceModule, origin: Origin, edit: FileEdit) -> str | None:
        """What a file calls that, which it imports where it did not; None where it has something else of that name."""
        names = [n for n in self.top_names(source) if self.origin(source, n) == origin]
        if names:
            return origin.name if origin.name in names else names[0]
        name = origin.name or origin.module
        if not name.isidentifier() or name in every_name(source):
            return None
        if not origin.name:
            edit.libraries[name] = ""
        elif edit.importable.setdefault(name, relative_import(source, origin.module)) != relative_import(
            source, origin.module
        ):
            return None
        return name

    def top_names(self, source: SourceModule) -> list[str]:
        known = self.modules.get(source.name)
        return [n for n in known.names if n.isidentifier()] if isinstance(known, Module) else []


def every_name(source: SourceModule) -> set[str]:
    """All names that a file reads or binds anywhere."""
    found: set[str] = set()
    for node in nodes(source.tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add(bound_by(node))
    return found


class Renamed(ast.NodeTransformer):
    """Puts other expressions in the place of variables."""

    def __init__(self, given: Mapping[str, ast.expr]) -> None:
        self.given = given

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return copy.deepcopy(self.given.get(node.id, node))
