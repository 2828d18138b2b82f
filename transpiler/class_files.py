"""The classes of a conversion as text: in which file each stands, what it is called, and what it needs there.

A file that is converted by itself has all its classes. In a project a class stands where its function stood, and the
other files import it; helpers that several files need stand in a module of their own.
"""

from __future__ import annotations

import ast
import itertools
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transpiler.ir.conversion import ConvertedModule
from transpiler.ir.naming import Names
from transpiler.ir.program import Apply, ModuleClass
from transpiler.ir.trees import nodes
from transpiler.passes.settle import constructed, inner_first
from transpiler.read.keras.parse import SourceModule
from transpiler.write.torch.classes import ClassWriter
from transpiler.write.torch.helpers import helper_names, helper_texts
from transpiler.write.torch.initial import Initializers
from transpiler.write.torch.module import FileEdit, format_all, insert_imports, torch_imports, used_identifiers

UNNAMED = "__unnamed__"
"""Stands for the name of a class until the names of a file are settled."""


@dataclass(eq=False)
class FileOfClasses:
    """The classes of one file, and what else their texts need in it."""

    classes: list[ModuleClass] = field(default_factory=list)
    texts: dict[ModuleClass, str] = field(default_factory=dict)
    """Without those that turned out to be the same as another."""
    helpers: list[str] = field(default_factory=list)
    preamble: list[str] = field(default_factory=list)
    """Functions that start the weights of the classes."""
    source_orders: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(eq=False)
class ClassFiles:
    """The classes of all files, and where each stands."""

    files: dict[SourceModule, FileOfClasses]
    printed: Mapping[ModuleClass, dict[str, str]]
    homes: dict[ModuleClass, SourceModule] = field(default_factory=dict)
    users: dict[ModuleClass, set[SourceModule]] = field(default_factory=dict)
    """The other files that construct a class."""
    shared: FileOfClasses = field(default_factory=FileOfClasses)
    """What several files need."""

    def add(self, source: SourceModule, classes: Sequence[ModuleClass], project: Collection[SourceModule]) -> None:
        """The classes of one model of a file, inner ones first. In a project, those of other files stand there."""
        for cls in reversed(classes):
            self.homes.setdefault(cls, home_of(cls, project) or source)
            for made in constructed(cls):
                self.homes.setdefault(made, home_of(made, project) or self.homes[cls])
                if self.homes[made] is not self.homes[cls]:
                    self.users.setdefault(made, set()).add(self.homes[cls])
        inside = {made for cls in classes for made in constructed(cls)}
        for cls in classes:
            if cls not in inside and self.homes[cls] is not source:
                self.users.setdefault(cls, set()).add(source)
            file = self.files.setdefault(self.homes[cls], FileOfClasses())
            if cls not in file.classes:
                file.classes.append(cls)

    def write(self, taken: Mapping[SourceModule, Names], own: Mapping[ModuleClass, str]) -> None:
        """Writes all classes. `taken` are the names that files have already, `own` the names that classes keep."""
        linked = {self.homes[cls] for cls, files in self.users.items() if files}
        linked |= {file for files in self.users.values() for file in files}
        alone = [[source] for source in self.files if source not in linked]
        for group in [*alone, *([[s for s in self.files if s in linked]] if linked else [])]:
            self.write_group(group, taken, own)

    def write_group(
        self, group: Sequence[SourceModule], taken: Mapping[SourceModule, Names], own: Mapping[ModuleClass, str]
    ) -> None:
        """Writes the classes of files that construct one another's: their weights start in one way."""
        given = [cls for source in group for cls in self.files[source].classes]
        classes = inner_first(given, set(given))
        initial = Initializers.of(classes)
        known: dict[tuple[SourceModule, str, str], ModuleClass] = {}
        bases = {cls: cls.name for cls in classes}
        for i, cls in enumerate(classes):
            cls.name = f"{UNNAMED}{i}_"  # until it is written: classes may construct each other
        unnamed = {cls.name: cls for cls in classes}
        for source in group:
            taken[source].taken.update(helper_names(helpers_of(classes)))
        for cls in classes:  # those that others construct come first, so that their names are settled
            file, base, cls.name = self.files[self.homes[cls]], bases[cls], UNNAMED
            writer = ClassWriter(cls, self.printed[cls], initial)
            text = writer.write()
            key = (self.homes[cls], base, without_sizes(text, cls))
            same = known.get(key)  # the same helper, evaluated for another model, which may read other sizes of it
            if same is not None and (cls.outs.keys() <= same.outs.keys() or same.outs.keys() <= cls.outs.keys()):
                cls.name = same.name
                if not cls.outs.keys() <= same.outs.keys():
                    same.outs = cls.outs
                    file.texts[same] = re.sub(rf"{UNNAMED}(?!\d)", cls.name, text)
                continue
            known[key] = cls
            cls.name = own.get(cls) or self.take(cls, base, taken)
            file.texts[cls] = re.sub(rf"{UNNAMED}(?!\d)", cls.name, text)
            if writer.source_order:
                file.source_orders[cls.name] = writer.source_order
            file.helpers += [h for h in writer.helpers if h not in file.helpers]
        for source in group:
            texts = self.files[source].texts
            for cls, text in texts.items():
                texts[cls] = re.sub(rf"{UNNAMED}\d+_", lambda m: unnamed[m[0]].name, text)
        function = initial.function()
        first = self.files[group[0]] if len(group) == 1 else self.shared
        first.preamble += [*initial.texts, *([function] if function else [])]
        first.helpers += [h for h in initial.helpers if h not in first.helpers]

    def take(self, cls: ModuleClass, base: str, taken: Mapping[SourceModule, Names]) -> str:
        """A name that is free in the file of a class and in those that import it."""
        others = [taken[s] for s in self.users.get(cls, ()) if s in taken]
        name = taken[self.homes[cls]].take(base)
        while not all(names.free(name) for names in others):
            name = taken[self.homes[cls]].take(base)
        for names in others:
            names.taken.add(name)
        return name

    def share(self) -> None:
        """Moves helpers that several files need to the module of what is shared."""
        needed = [file for file in self.files.values() if file.helpers]
        if self.shared.helpers or self.shared.preamble or len(needed) > 1:
            for file in needed:
                self.shared.helpers += [h for h in file.helpers if h not in self.shared.helpers]
                file.helpers.clear()


def without_sizes(text: str, cls: ModuleClass) -> str:
    """The text of a class without the attributes that show sizes of its results."""
    shown = tuple(f"        self.{label} = " for label in cls.outs)
    return "\n".join(line for line in text.split("\n") if not shown or not line.startswith(shown))


def home_of(cls: ModuleClass, project: Collection[SourceModule]) -> SourceModule | None:
    """The file of a project in which the function or class stands that a class was made from."""
    origin: Any = getattr(cls, "source", None)
    module = getattr(origin, "module", None) or getattr(getattr(origin, "env", None), "module", None)
    return module if module in project else None


def relative_import(source: SourceModule, module: str) -> str:
    """How a file imports from another module of the project: `from .blocks`."""
    package = source.package_path
    target = module.split(".")
    common = 0
    while common < min(len(package), len(target) - 1) and package[common] == target[common]:
        common += 1
    if not common:
        return f"from {module}"
    return f"from {'.' * (len(package) - common + 1)}{'.'.join(target[common:])}"


def helpers_of(classes: Iterable[ModuleClass]) -> list[str]:
    """The helpers that the steps of classes may need."""
    steps = (op.step for cls in classes for op in cls.block.walk() if isinstance(op, Apply))
    return [h for step in steps for h in step.helpers]


SHARED = "torch_helpers"
"""The module of a project that holds what several of its files need."""


def shared_module(shared: FileOfClasses, sources: Sequence[SourceModule]) -> ConvertedModule | None:
    """The module with what several files need, in the package that all of them are in; None if they need nothing."""
    if not shared.helpers and not shared.preamble:
        return None
    packages = [s.package_path for s in sources]
    common = list(os.path.commonprefix(packages))
    folder = sources[0].path.parents[len(packages[0]) - len(common)]
    names = {s.name for s in sources}
    numbered = (f"{SHARED}{i}" for i in itertools.count(2))
    name = next(n for n in itertools.chain([SHARED], numbered) if ".".join([*common, n]) not in names)
    pieces = [*helper_texts(shared.helpers), *format_all(shared.preamble)]
    text = '"""What several of the modules here need."""\n\n\n' + "\n\n\n".join(pieces) + "\n"
    tree = ast.parse(text)
    text = insert_imports(text, torch_imports(used_identifiers(tree)), tree, [])
    return ConvertedModule(".".join([*common, name]), folder / f"{name}.py", text)


def rename_exports(edits: Mapping[SourceModule, FileEdit], texts: ClassFiles) -> None:
    """Has packages export the classes that functions became, where they exported the functions."""
    modules = {source.name: source for source in edits}
    gone = {source: gone_from(source, edit, texts) for source, edit in edits.items()}
    known = -1
    while known != sum(map(len, gone.values())):
        known = sum(map(len, gone.values()))
        for source, edit in edits.items():
            used = {n.id for s in source.tree.body for n in nodes(s) if isinstance(n, ast.Name)}
            for node in source.tree.body:
                home = (
                    modules.get(source.imported(node.level, node.module)) if isinstance(node, ast.ImportFrom) else None
                )
                for alias in node.names if home is not None else ():  # type: ignore[attr-defined]
                    if alias.name in gone[home] and alias.asname is None and alias.name not in used:  # type: ignore[index]
                        edit.exported[alias.name] = gone[source][alias.name] = gone[home][alias.name]  # type: ignore[index]
    for source, edit in edits.items():
        for statement in source.tree.body:
            names = exported_list(statement)
            if names and gone[source].keys() & set(names):
                new = [n for name in names for n in gone[source].get(name, [name])]
                edit.replaced[statement] = f"__all__ = {new!r}"


def gone_from(source: SourceModule, edit: FileEdit, texts: ClassFiles) -> dict[str, list[str]]:
    """The functions of a file that it no longer has → the classes they became."""
    file = texts.files.get(source) or FileOfClasses()
    found: dict[str, list[str]] = {}
    for statement in source.tree.body:
        if not isinstance(statement, ast.FunctionDef) or statement not in {*edit.replaced, *edit.removed}:
            continue
        if f"def {statement.name}(" not in edit.replaced.get(statement, ""):
            made = [c.name for c in file.texts if getattr(getattr(c, "source", None), "node", None) is statement]
            found[statement.name] = made
    return found


def exported_list(statement: ast.stmt) -> list[str]:
    """The names of an `__all__` that is a plain list; [] of other statements."""
    if not isinstance(statement, ast.Assign) or not isinstance(statement.value, (ast.List, ast.Tuple)):
        return []
    if not any(isinstance(t, ast.Name) and t.id == "__all__" for t in statement.targets):
        return []
    return [e.value for e in statement.value.elts if isinstance(e, ast.Constant) and isinstance(e.value, str)]


def defined_names(text: str) -> list[str]:
    """The functions and classes at the top level of a module."""
    return [s.name for s in ast.parse(text).body if isinstance(s, (ast.FunctionDef, ast.ClassDef))]
