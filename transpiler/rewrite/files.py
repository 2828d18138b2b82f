"""Rewrites the files of one conversion: classes and factories in their places, what is left of Keras removed or reported."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping

from transpiler.class_files import (
    ClassFiles,
    FileOfClasses,
    defined_names,
    relative_import,
    rename_exports,
    shared_module,
)
from transpiler.diagnostics import Declined, Finding, Severity, Span, excerpt
from transpiler.ir.conversion import ConvertedModule, TrainingPlan
from transpiler.ir.naming import Names
from transpiler.ir.program import ModuleClass
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.values import Function, Model
from transpiler.read.keras.names import FRAMEWORKS
from transpiler.read.keras.parse import SourceModule
from transpiler.read.keras.program import uses_keras
from transpiler.rewrite.leftovers import Leftovers
from transpiler.rewrite.outcome import GENERATED, Outcome, Written
from transpiler.rewrite.placement import Placement
from transpiler.rewrite.statements import imported_names, in_lines, module_names, names_bound
from transpiler.training.file import FileTraining
from transpiler.training.weight_arguments import covers
from transpiler.training.writer import write_training
from transpiler.write.torch.check import names_at_top, undefined_names
from transpiler.write.torch.module import FileEdit
from transpiler.write.torch.strict import exact


class Rewriter:
    """Writes the files of one conversion once it is known what becomes of each function and model."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.program, self.findings, self.options = outcome.program, outcome.findings, outcome.options
        self.only_entries, self.memory, self.project = outcome.only_entries, outcome.memory, outcome.project
        self.untrained: dict[ast.expr, Declined] = {}
        """Calls on models that belong to training and are not translated, and why."""
        self.training: list[tuple[Model, TrainingPlan]] = []
        """Models, and how the result trains them."""

    def write(self) -> list[ConvertedModule]:
        """The texts of all files that changed; the file being converted, or those of the project, first."""
        by_source: dict[SourceModule, list[Written]] = {s: [] for s in self.project or [self.program.source]}
        for written in self.outcome.written():
            by_source.setdefault(written.source, []).append(written)
        edits = {s: FileEdit(s.text, s.tree, frameworks=FRAMEWORKS, exports=self.may_export(s)) for s in by_source}
        if not self.only_entries:
            files = [self.training_file(source, edit) for source, edit in edits.items()]
            for file in files:
                file.project = files
            write_training(files)
            for file in files:
                self.take_training(file)
        texts = self.write_classes(by_source)
        if self.options.strict:
            for classes in texts.files.values():
                for cls, text in classes.texts.items():
                    classes.texts[cls], helpers = exact(text, self.program.interpreter.generation)
                    classes.helpers += [h for h in helpers if h not in classes.helpers]
        for source, edit in edits.items():
            items = by_source[source]
            if items or source in texts.files:
                Placement(self.outcome, source, edit).place(items, texts.files.setdefault(source, FileOfClasses()))
        if self.project:
            texts.share()
        shared = shared_module(texts.shared, list(texts.files)) if self.project else None
        for source, edit in edits.items():
            if shared is not None:
                edit.importable |= {n: relative_import(source, shared.name) for n in defined_names(shared.text)}
            edit.importable |= self.importable(source, texts)
        result = []
        has_leftovers = {s: Leftovers(self.outcome, s, edit, self.untrained).handle() for s, edit in edits.items()}
        if self.project:
            rename_exports(edits, texts)
        for source, edit in edits.items():
            file = texts.files.get(source) or FileOfClasses()
            edit.helpers = [*file.helpers, *(h for h in edit.helpers if h not in file.helpers)]
            edit.preamble = [*edit.preamble, *file.preamble]
            text = self.write_file(source, bool(by_source[source] or file.classes), has_leftovers[source], edit)
            result.append(ConvertedModule(source.name, source.path, text, text != source.text, file.source_orders))
        if self.project:
            self.check_imports(edits, {module.name: module.text for module in result})
        return [*result, shared] if shared is not None else result

    def training_file(self, source: SourceModule, edit: FileEdit) -> FileTraining:
        """What a file does with its models besides building them."""
        interpreter = self.program.interpreter
        sources = {source, *self.outcome.project}
        own = {
            n for s in sources for n in nodes(s.tree)
        }  # and not what stands for a script, most of whose statements stay
        visited = [n for n in self.memory.visited if n in own]
        moved = self.outcome.moved()
        gone, rebuilt = {n for root in (*visited, *moved) for n in nodes(root)}, set[ast.AST](moved)
        for factory in self.outcome.factories():
            constructor = factory.statements
            if constructor is not None and factory.function.node in visited:  # whose other statements stay
                gone -= {n for s in constructor.body if s not in constructor.about_models for n in nodes(s)}
                rebuilt.update(constructor.assigned)
        file = FileTraining(
            source,
            interpreter,
            edit,
            self.outcome.class_of_model,
            gone,
            self.outcome.names_of(source),
            self.outcome.on_tensors,
            self.memory.frozen_here,
            rebuilt,
            self.outcome.class_of_variable,
            self.options.trainer,
            self.options.strict,
        )
        file.factories = {f.function.node: f for f in self.outcome.factories()}
        return file

    def take_training(self, file: FileTraining) -> None:
        """Takes over what is known of it once it is written."""
        source, interpreter = file.source, self.program.interpreter
        self.untrained |= file.declined
        self.training += file.plans
        self.findings.items[:] = [f for f in self.findings.items if not covers(f, file.covered)]
        for top in file.handled_statements:
            lines = range(top.lineno, (top.end_lineno or top.lineno) + 1)
            self.findings.items[:] = [f for f in self.findings.items if not in_lines(f, source.span(top), lines)]
        for node in file.handled:
            interpreter.left_out.pop(node, None)
            self.findings.items[:] = [f for f in self.findings.items if f.span != source.span(node)]
        for finding in file.notes:
            self.findings.add(finding)

    def may_export(self, source: SourceModule) -> bool:
        """Whether others may import from a file what it imports itself and never used."""
        return not self.only_entries or source.path.name == "__init__.py"

    def write_file(self, source: SourceModule, has_items: bool, leftovers: bool, edit: FileEdit) -> str:
        if not has_items and not leftovers and not (self.project and edit.changes):
            return source.text
        if not has_items and self.only_entries:
            return source.text
        text = edit.apply()
        errors = [f.span for f in self.findings.items if f.severity is Severity.ERROR]
        if self.project:
            errors = [span for span in errors if span is not None and span.file == str(source.path)]
        if (has_items or self.project) and not errors:
            self.check_names(source, text)
        return text

    def check_names(self, source: SourceModule, text: str) -> None:
        """Reports what the text of a file reads and the result does not have."""
        unknown = undefined_names(text)
        unknown = unknown and unknown - undefined_names(source.text)
        names = self.outcome.names_of(source)
        of_keras = {n for n in unknown if uses_keras(names.get(n))}
        if not self.only_entries:
            of_keras |= imported_names(ast.parse(text))
        reads = [
            n for s in source.tree.body for n in nodes(s)
            if isinstance(n, ast.Name) and n.id in of_keras and isinstance(n.ctx, ast.Load)
        ]  # fmt: skip
        visited = {n for root in self.memory.visited if isinstance(root, ast.AST) for n in nodes(root)}
        read = next((n for n in reversed(reads) if n not in visited), None)
        if read is not None:
            message = f"{read.id} is a part of Keras, and the code around the models goes on reading it"
            advice, span = "Translate it by hand, or give a builder no parts of Keras.", source.span(read)
            self.findings.add(Finding("K2T203", Severity.ERROR, message, advice, span, excerpt(span)))
        elif unknown:
            message = f"the result would use names that nothing defines: {', '.join(sorted(unknown))}"
            advice, span = "Please report this, with the file.", Span(str(source.path), 1)
            self.findings.add(Finding("K2T006", Severity.ERROR, message, advice, span))

    def check_imports(self, sources: Iterable[SourceModule], texts: Mapping[str, str]) -> None:
        """Reports what a file goes on importing from another one of the project that does not have it any more."""
        known = {source.name: names_at_top(source.text) - names_at_top(texts[source.name]) for source in sources}
        for source in sources:
            for node in nodes(ast.parse(texts[source.name])):
                home = source.imported(node.level, node.module) if isinstance(node, ast.ImportFrom) else ""
                gone = [a.name for a in node.names if a.name in known[home]] if home in known else []  # type: ignore[attr-defined]
                if gone:
                    message = f"{gone[0]}, which this file imports from {home}, is not in the result of that file"
                    was = next((n for n in nodes(source.tree) if isinstance(n, ast.ImportFrom) and gone[0] in [a.name for a in n.names]), source.tree)  # fmt: skip
                    span, advice = source.span(was), "Translate by hand what uses it."
                    self.findings.add(Finding("K2T203", Severity.ERROR, message, advice, span, excerpt(span)))

    def write_classes(self, by_source: dict[SourceModule, list[Written]]) -> ClassFiles:
        """The texts of all classes, by the files that they go to."""
        texts = ClassFiles({}, self.outcome.printed)
        taken: dict[SourceModule, Names] = {}
        own: dict[ModuleClass, str] = {}
        for source, items in by_source.items():
            kept = {s.name for s in source.tree.body if isinstance(s, ast.ClassDef) and s not in self.memory.visited}
            kept |= {
                name  # imported from a file that stays as it is
                for name, value in self.outcome.names_of(source).items()
                if isinstance(value, Function) and value.module is not source and value.module not in self.project
            }
            taken[source] = Names(frozenset(module_names(source) | kept) | GENERATED)
            for item in items:
                if item.function is None:
                    texts.add(source, item.classes, self.project)
        for items in by_source.values():
            for item in items:
                if item.root in texts.homes and item.root.signature and item.root not in own:
                    own[item.root] = taken[texts.homes[item.root]].take(item.root.name)
        texts.write(taken, own)
        return texts

    def importable(self, source: SourceModule, texts: ClassFiles) -> dict[str, str]:
        """What the text of a file may use from other files of the project → how it is imported."""
        if not self.project:
            return {}
        known = names_bound(source)
        found: dict[str, str] = {}
        for home, file in texts.files.items():
            names = {cls.name for cls in file.texts} if home is not source else set()
            found |= {n: relative_import(source, home.name) for n in names if n not in known}
        functions = [f for f in self.memory.static_functions if f.module in self.project and f.module is not source]
        return found | {f.name: relative_import(source, f.module.name) for f in functions if f.name not in known}
