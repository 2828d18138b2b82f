"""Rewrites the files of one conversion: classes and factories in their places, what is left of Keras removed or reported."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from transpiler.class_files import (
    ClassFiles,
    FileOfClasses,
    defined_names,
    relative_import,
    rename_exports,
    shared_module,
)
from transpiler.diagnostics import Declined, Finding, Findings, Severity, Span, excerpt
from transpiler.ir.conversion import ConvertedModule, TrainingPlan
from transpiler.ir.expr import MISSING, Sym, code_of
from transpiler.ir.model import ApiObject, ApiValue, Layer
from transpiler.ir.naming import Names
from transpiler.ir.program import Block, Construction, Let, ModuleClass, Return, tensors
from transpiler.ir.trees import nodes
from transpiler.options import Options
from transpiler.read.keras.builder_findings import unchecked
from transpiler.read.keras.evaluate.api import TRAINING_METHODS, WEIGHT_METHODS
from transpiler.read.keras.evaluate.loaded_models import LOADED
from transpiler.read.keras.evaluate.program_classes import is_own_layer
from transpiler.read.keras.evaluate.staging import Memory, defaults_of, unchanged
from transpiler.read.keras.evaluate.syntax import assigned_names
from transpiler.read.keras.evaluate.values import Function, Model, Module, Partial, Unknown, has_tensors
from transpiler.read.keras.factory import Factory
from transpiler.read.keras.names import FRAMEWORKS, is_framework
from transpiler.read.keras.parse import SourceModule
from transpiler.read.keras.program import Program, made_as, uses_keras
from transpiler.read.keras.scripts import holds_models, is_used_part
from transpiler.training.file import FileTraining
from transpiler.training.weight_arguments import covers
from transpiler.training.writer import write_training
from transpiler.write.torch.check import undefined_names
from transpiler.write.torch.classes import ClassWriter
from transpiler.write.torch.factory import (
    constructor_texts,
    factory_text,
    script_texts,
    tensor_function_text,
    unnamed_defaults,
)
from transpiler.write.torch.guards import other_value
from transpiler.write.torch.module import FileEdit, used_identifiers
from transpiler.write.torch.pieces import names_of
from transpiler.write.torch.strict import exact

GENERATED = frozenset(("np", "torch", "nn", "F", "Tensor", "functools", "math", "init_weights"))
"""Names that every generated file may use."""


@dataclass(frozen=True)
class TensorFunction:
    """A function on tensors that constructs nothing."""

    source: Function
    around: Factory
    """A builder of a model that does nothing else; its parameters are the sizes of the input."""
    sizes: dict[str, int]
    """These parameters, and the axes they are the sizes of."""


@dataclass(eq=False)
class Written:
    """A factory or a lone class, settled and ready to be written into one file."""

    source: SourceModule
    classes: list[ModuleClass]
    factory: Factory | None = None
    root: ModuleClass | None = None
    statements: list[ast.stmt] = field(default_factory=list)
    """Top-level statements of a script that the class replaces."""
    assigned: list[str] = field(default_factory=list)
    """The variables of the script that hold the models."""
    places: list[tuple[ast.stmt, Block]] = field(default_factory=list)
    """Which of the statements make them in the result, and what each of these does."""
    function: TensorFunction | None = None
    """A function that stays one: `root` is a class that holds nothing, whose `forward` does what it does."""

    @property
    def tier(self) -> str:
        return self.factory.tier if self.factory is not None else "flat"


class Rewriter:
    """Writes the files of one conversion once it is known what becomes of each function and model."""

    def __init__(
        self,
        program: Program,
        findings: Findings,
        options: Options,
        only_entries: bool,
        memory: Memory,
        printed: dict[ModuleClass, dict[str, str]],
        done: dict[Any, Written | Declined],
        project: Sequence[SourceModule] = (),
    ) -> None:
        self.program, self.findings = program, findings
        self.options, self.only_entries = options, only_entries
        self.memory, self.printed, self.done = memory, printed, done
        self.project = project
        self.untrained: dict[ast.expr, Declined] = {}
        """Calls on models that belong to training and are not translated, and why."""
        self.training: list[tuple[Model, TrainingPlan]] = []
        """Models, and how the result trains them."""
        self.followers: dict[SourceModule, list[ast.stmt]] = {}
        """Statements that are not translated because others are not."""

    def write(self) -> list[ConvertedModule]:
        """The texts of all files that changed; the file being converted, or those of the project, first."""
        by_source: dict[SourceModule, list[Written]] = {s: [] for s in self.project or [self.program.source]}
        for written in self.done.values():
            if isinstance(written, Written):
                by_source.setdefault(written.source, []).append(written)
        edits = {s: FileEdit(s.text, s.tree, frameworks=FRAMEWORKS, exports=self.may_export(s)) for s in by_source}
        if not self.only_entries:
            for source, edit in edits.items():
                self.write_training(source, edit)
        texts = self.write_classes(by_source)
        if self.options.strict:
            for classes in texts.files.values():
                for cls, text in classes.texts.items():
                    classes.texts[cls], helpers = exact(text, self.program.interpreter.generation)
                    classes.helpers += [h for h in helpers if h not in classes.helpers]
        for source, edit in edits.items():
            items = by_source[source]
            if items or source in texts.files:
                self.place_items(source, items, texts.files.setdefault(source, FileOfClasses()), edit)
        if self.project:
            texts.share()
        shared = shared_module(texts.shared, list(texts.files)) if self.project else None
        for source, edit in edits.items():
            if shared is not None:
                edit.importable |= {n: relative_import(source, shared.name) for n in defined_names(shared.text)}
            edit.importable |= self.importable(source, texts)
        result = []
        has_leftovers = {s: self.has_leftovers(s, edit) for s, edit in edits.items()}
        if self.project:
            rename_exports(edits, texts)
        for source, edit in edits.items():
            file = texts.files.get(source) or FileOfClasses()
            edit.helpers = [*file.helpers, *(h for h in edit.helpers if h not in file.helpers)]
            edit.preamble = [*edit.preamble, *file.preamble]
            text = self.write_file(source, bool(by_source[source] or file.classes), has_leftovers[source], edit)
            result.append(ConvertedModule(source.name, source.path, text, text != source.text, file.source_orders))
        return [*result, shared] if shared is not None else result

    def write_training(self, source: SourceModule, edit: FileEdit) -> None:
        """Rewrites what a file does with its models besides building them."""
        interpreter = self.program.interpreter
        visited = [n for n in self.memory.visited if isinstance(n, ast.AST)]
        moved = [s for w in self.done.values() if isinstance(w, Written) for s in w.statements]
        gone, rebuilt = {n for root in (*visited, *moved) for n in nodes(root)}, set[ast.AST](moved)
        for written in self.done.values():
            constructor = written.factory.statements if isinstance(written, Written) and written.factory else None
            if constructor is not None and written.factory.function.node in visited:  # whose other statements stay
                gone -= {n for s in constructor.body if s not in constructor.about_models for n in nodes(s)}
                rebuilt.update(constructor.assigned)
        file = FileTraining(
            source,
            interpreter,
            edit,
            self.class_of_model,
            gone,
            self.names_of(source),
            self.rank_of_function,
            self.memory.frozen_here,
            rebuilt,
            self.class_of_variable,
            self.options.trainer,
            self.options.strict,
        )
        write_training(file)
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

    def rank_of_function(self, function: Function) -> int | None:
        """The rank of what a function on tensors returns, if it stays one in the result."""
        written = self.done.get(function.node)
        if not isinstance(written, Written) or written.function is None or written.root is None:
            return None
        returned = [t for op in written.root.block.ops if isinstance(op, Return) for t in tensors(op.value)]
        return returned[0].type.rank if len(returned) == 1 else None

    def class_of_model(self, model: Model) -> ModuleClass | None:
        """The class that stands for a model of the program."""
        model = model.attributes.get(LOADED, model)
        names = [n for n, v in self.program.evaluate().names.items() if made_as(v, n) is model]
        maker = self.program.interpreter.makers.get(id(model))
        if "__root__" in model.attributes:
            return model.attributes["__root__"]
        made = [a.function.node for a in self.program.interpreter.activations if a.result is model]
        for node, written in self.done.items():
            if not isinstance(written, Written) or written.factory is None:
                continue
            if node in made and written.factory.root is not None:
                return written.factory.root
            if written.factory.root is not None and any(n in names for n in written.assigned):
                return written.factory.root
            returned = written.factory.returned
            for name, variable in zip(written.assigned, returned if isinstance(returned, (tuple, list)) else ()):
                cls = constructed_as(written.factory, variable) if name in names else None
                if cls is not None:
                    return cls
            if written.factory.statements is not None:
                variable = written.factory.statements.variables.get(maker)
                cls = constructed_as(written.factory, variable) if variable is not None else None
                if cls is not None:
                    return cls
        return None

    def class_of_variable(self, variable: str) -> ModuleClass | None:
        """The class of the model that a variable of a factory or script holds, if it is one of its own."""
        factories = [w.factory for w in self.done.values() if isinstance(w, Written) and w.factory is not None]
        found = [cls for f in factories if (cls := constructed_as(f, Sym.name(variable))) is not None]
        return found[0] if len(found) == 1 else None

    def may_export(self, source: SourceModule) -> bool:
        """Whether others may import from a file what it imports itself and never used."""
        return not self.only_entries or source.path.name == "__init__.py"

    def has_leftovers(self, source: SourceModule, edit: FileEdit) -> bool:
        """Whether code stays in a file that uses Keras; what can be done about it is noted in `edit`."""
        self.calls_on_models(source, edit)
        return bool(self.leftovers(source, edit))

    def write_file(self, source: SourceModule, has_items: bool, leftovers: bool, edit: FileEdit) -> str:
        if not has_items and not leftovers and not (self.project and edit.changes):
            return source.text
        if not has_items and self.only_entries:
            return source.text
        text = edit.apply()
        unknown = undefined_names(text)
        unknown = unknown and unknown - undefined_names(source.text)
        if (
            unknown
            and has_items
            and not self.options.allow_partial
            and not any(f.severity is Severity.ERROR for f in self.findings.items)
        ):
            message = f"the result would use names that nothing defines: {', '.join(sorted(unknown))}"
            self.findings.add(
                Finding(
                    "K2T006", Severity.ERROR, message, "Please report this, with the file.", Span(str(source.path), 1)
                )
            )
        return text

    def write_classes(self, by_source: dict[SourceModule, list[Written]]) -> ClassFiles:
        """The texts of all classes, by the files that they go to."""
        texts = ClassFiles({}, self.printed)
        taken: dict[SourceModule, Names] = {}
        own: dict[ModuleClass, str] = {}
        for source, items in by_source.items():
            kept = {s.name for s in source.tree.body if isinstance(s, ast.ClassDef) and s not in self.memory.visited}
            kept |= {
                name  # imported from a file that stays as it is
                for name, value in self.names_of(source).items()
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

    def place_items(self, source: SourceModule, items: list[Written], file: FileOfClasses, edit: FileEdit) -> None:
        """Puts the classes and factories of a file where what they come from stood."""
        known = {n for n, v in self.names_of(source).items() if not uses_keras(v) and not isinstance(v, Unknown)} | {
            "int",
            "float",
            "str",
            "bool",
            "tuple",
            "list",
            "dict",
            "staticmethod",
            "classmethod",
        }
        placed: set[ModuleClass] = set()
        for item in items:
            if item.function is not None:
                self.place_tensor_function(item.function, file, edit, known)
                continue
            self.place_classes(source, item.classes, item.root, self.anchor(source, item), file, placed, edit)
            self.place_factory(source, item, edit, known)
        self.place_classes(source, file.classes, None, None, file, placed, edit)
        edit.dropped_names |= {c.name for c in file.classes}
        self.place_statics(source, edit)

    def place_tensor_function(
        self, written: TensorFunction, file: FileOfClasses, edit: FileEdit, known: set[str]
    ) -> None:
        """Puts a function that stays one where it stood."""
        function, factory = written.source, written.around
        construction: Construction = factory.returned
        writer = ClassWriter(construction.cls, self.printed[construction.cls])
        values = {p.label: code_of(construction.values[p.name]) for p in construction.cls.params}
        frozen = dict(zip(default_names(function), function.defaults)) | factory.frozen
        node: Any = function.node
        edit.replaced[node] = tensor_function_text(
            node, writer.write(), factory.prologue, values, written.sizes, frozen, factory.printed, known
        )
        file.helpers += [h for h in writer.helpers if h not in file.helpers]

    def names_of(self, source: SourceModule) -> dict[str, Any]:
        module = self.program.interpreter.modules.get(source.name)
        return module.names if isinstance(module, Module) else {}

    def place_classes(
        self,
        source: SourceModule,
        classes: list[ModuleClass],
        root: ModuleClass | None,
        anchor: ast.stmt | None,
        file: FileOfClasses,
        placed: set[ModuleClass],
        edit: FileEdit,
    ) -> None:
        """Puts classes where the functions they come from stood, others above what needs them: the `anchor`."""
        above: list[ModuleClass] = []
        for cls in classes:
            if cls in placed or cls not in file.texts:
                continue
            placed.add(cls)
            origin = getattr(getattr(cls, "source", None), "node", None)
            if origin in source.tree.body and origin not in edit.replaced and (cls is root or not self.only_entries):
                edit.replaced[origin] = file.texts[cls]
                stands = origin
            elif anchor is not None:
                edit.before.setdefault(anchor, []).append(file.texts[cls])
                continue
            else:
                above.append(cls)
                stands = next((s for s in source.tree.body if origin is not None and origin in nodes(s)), None)
            if stands is not None and above:
                edit.before.setdefault(stands, []).extend(file.texts[c] for c in above)
                above.clear()

    def place_factory(self, source: SourceModule, item: Written, edit: FileEdit, known: set[str]) -> None:
        """Puts what builds the models of an item where its function or statements stood."""
        if item.factory is None:
            return
        factory = item.factory
        printed = {**factory.printed, **factory.outer_names}
        if item.statements:
            texts = script_texts(item.places, factory.returned, item.assigned, printed)
            last = item.places[-1][0]
            for place, lines in texts.items():  # where models of the script made one by one may stand together
                edit.replaced[place] = "\n".join([*edit.replaced.get(place, "").splitlines(), *lines])
            edit.removed.update(s for s in item.statements if s not in texts)
            following = [line for s in item.statements for line in edit.after.pop(s, [])]
            if following:
                edit.after[last] = following
            return
        if factory.statements is not None:
            texts_of_statements = constructor_texts(factory.prologue, factory.statements, factory.frozen, printed)
            edit.replaced |= {s: text for s, text in texts_of_statements.items() if text}
            edit.removed |= {s for s, text in texts_of_statements.items() if not text}
            return
        names = self.names_of(source)
        bound = {n for n, v in factory.frozen.items() if getattr(v, "name", "") in known and names.get(v.name) is v}
        defaults, unnamed = defaults_of(factory.function), unnamed_defaults(factory.function.node, known)  # type: ignore[arg-type]
        by_default = {n for n, v in factory.frozen.items() if n in unnamed and unchanged(v, defaults[n])}
        for n, v in factory.frozen.items():
            if v is not MISSING and n not in by_default and not other_value(n, v):
                self.findings.add(unchecked(factory.function, n))
        edit.replaced[factory.function.node] = factory_text(
            factory.function.node, factory.prologue, factory.returned, factory.frozen, factory.unused, printed, known, bound, by_default  # type: ignore[arg-type]
        )

    def place_statics(self, source: SourceModule, edit: FileEdit) -> None:
        """Copies functions that the new text of a file calls from files that it will not import."""
        own = {getattr(n, "name", None) for n in source.tree.body}
        around = [source, *self.project]
        foreign = [f for f in self.memory.static_functions if f.module not in around and f.name not in own]
        used = {name for text in edit.new_texts() for name in names_of(text)}
        needed: list[Function] = []
        while more := [f for f in foreign if f.name in used and f not in needed]:
            needed += more
            used = used.union(*(used_identifiers(f.node) for f in more))
        for function in [f for f in foreign if f in needed]:
            edit.dropped_names.add(function.name)
            text = ast.get_source_segment(function.module.text, function.node) or ""
            if text not in edit.preamble:
                edit.preamble.insert(0, text)
                for name in used_identifiers(function.node):
                    value = function.env.names.get(name)
                    if isinstance(value, Module) and value.source is None:
                        edit.preamble.insert(0, f"import {value.name}" + (f" as {name}" if value.name != name else ""))

    def anchor(self, source: SourceModule, item: Written) -> ast.stmt | None:
        if item.statements:
            return item.places[0][0]
        if item.factory is not None:
            node = item.factory.function.node
            inside = (node, node.body[0]) if isinstance(node, ast.FunctionDef) else (node,)
            return next((s for s in source.tree.body if any(n in inside for n in nodes(s))), None)
        origin = getattr(getattr(item.root, "source", None), "node", None)
        return origin if origin in source.tree.body else source.tree.body[-1] if source.tree.body else None

    def calls_on_models(self, source: SourceModule, edit: FileEdit) -> None:
        """Calls on models in code that stays: those with a torch idiom are rewritten, the others reported."""
        interpreter = self.program.interpreter
        gone = {n for root in (*edit.replaced, *edit.removed) for n in nodes(root)}
        for node in list(edit.replaced):
            if isinstance(node, ast.stmt) and not isinstance(node, ast.ClassDef) and node not in self.memory.visited:
                self.warn_of_unseen(source, node, edit)
        for statement in source.tree.body:
            if statement in self.memory.visited and not any(n in interpreter.left_out for n in nodes(statement)):
                continue
            for node in nodes(statement):
                if node in gone or not isinstance(node, ast.stmt):
                    continue
                call = node.value if isinstance(node, (ast.Expr, ast.Assign, ast.Return)) else None
                if isinstance(node, ast.Expr) and call in interpreter.rewritten:
                    edit.replaced[node] = interpreter.rewritten[call]  # type: ignore[index]
                    continue
                self.warn_of_unseen(source, node, edit)
                own = [n for n in expressions_of(node) if n in interpreter.left_out]
                for n in own:
                    self.report_call(source, node, n, edit)

    def warn_of_unseen(self, source: SourceModule, node: ast.stmt, edit: FileEdit) -> None:
        """Calls that look like those on models, in code that could not be evaluated: nothing stands for them."""
        interpreter = self.program.interpreter
        seen = interpreter.training_calls
        receivers = {n.func.value for n in seen if isinstance(n.func, ast.Attribute)}
        tails = {ast.unparse(r).rpartition(".")[2] for r in receivers}
        replaced = edit.replaced.get(node)
        left = called_in(replaced) if replaced is not None else None
        for call in expressions_of(node) if replaced is None else nodes(node):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call in seen:
                continue
            name, tail = call.func.attr, ast.unparse(call.func.value).rpartition(".")[2]
            if (
                name in (*TRAINING_METHODS, *WEIGHT_METHODS)
                and tail in tails
                and (left is None or ast.unparse(call.func) in left)
            ):
                span = source.span(call)
                message = f"{name}() stays as it is: it could not be evaluated what {tail} is here"
                advice = "Translate it by hand if it is a model."
                self.findings.add(Finding("K2T401", Severity.WARNING, message, advice, span, excerpt(span)))

    def report_call(self, source: SourceModule, statement: ast.stmt, call: Any, edit: FileEdit) -> None:
        name = self.program.interpreter.left_out[call]
        span = source.span(call)
        code = "K2T403" if name in (*WEIGHT_METHODS, "load_model") else "K2T401"
        untrained = self.untrained.get(call)
        why = f": {untrained.message}" if untrained is not None else ""
        finding = Finding(
            code,
            Severity.ERROR,
            f"{name}(){'' if name == 'load_model' else ' of the model'} is not translated{why}",
            (untrained.advice if untrained is not None else "")
            or "Write the training loop, or load the weights, around the converted model.",
            span,
            excerpt(span),
        )
        if self.only_entries:
            edit.removed.add(statement) if statement in source.tree.body or statement in self.constructors() else None
            return
        self.findings.items[:] = [f for f in self.findings.items if f.span != span]
        self.findings.add(finding)
        if self.options.allow_partial and statement not in edit.replaced:
            edit.replaced[statement] = f"raise NotImplementedError({f'{code}: {finding.message}'!r})"

    def constructors(self) -> list[ast.stmt]:
        """The statements of the constructors that set attributes to models."""
        factories = [w.factory for w in self.done.values() if isinstance(w, Written) and w.factory is not None]
        return [s for f in factories if f.statements is not None for s in f.statements.body]

    def converted_names(self, names: dict[str, Any]) -> set[str]:
        """The variables of the file that hold a model in the result."""
        written = [w for w in self.done.values() if isinstance(w, Written)]
        functions = {w.factory.function.node for w in written if w.factory is not None}
        made = {id(a.result) for a in self.program.interpreter.activations if a.function.node in functions}
        assigned = {name for w in written for name in w.assigned}
        loaded = {n for n, v in names.items() if isinstance(v, Model) and LOADED in v.attributes}
        return assigned | loaded | {n for n, v in names.items() if isinstance(v, Model) and id(v) in made}

    def leftovers(self, source: SourceModule, edit: FileEdit) -> list[ast.stmt]:
        """Top-level statements that still use Keras: consumed helpers go, the rest is reported."""
        names = self.names_of(source)
        keras_names = {n for n, v in names.items() if uses_keras(v)} - self.converted_names(names)
        moved = [s for w in self.done.values() if isinstance(w, Written) for s in w.statements]
        used = {n for s in moved for n in used_identifiers(s)}
        keras_names |= {n for n, v in names.items() if holds_models(v)} & used  # the result has no such lists
        found: list[ast.stmt] = []
        unasked: list[ast.stmt] = []
        scripts = any(isinstance(w, Written) and w.statements for w in self.done.values())
        gone = {
            n.name
            for n in edit.replaced
            if isinstance(n, ast.FunctionDef) and n in self.memory.visited and n not in self.done
        }
        for statement in source.tree.body:
            if (
                statement in edit.replaced
                or statement in edit.removed
                or isinstance(statement, (ast.Import, ast.ImportFrom))
            ):
                continue
            if any(n in edit.replaced for n in nodes(statement)) or any(
                n in self.program.interpreter.left_out for n in nodes(statement)
            ):
                if isinstance(statement, ast.ClassDef) and not self.only_entries:
                    edit.removed |= {
                        n
                        for n in statement.body
                        if n in self.memory.visited
                        and not any(inner in edit.replaced for inner in nodes(n))
                        and used_identifiers(n) & keras_names
                    }
                found += self.leftovers_beside_models(source, statement, keras_names, edit)
                failure = self.program.interpreter.failed.get(statement)
                if failure is not None:  # what comes after it was not evaluated
                    self.findings.add(failure.finding())
                continue
            if is_import_block(statement):
                continue
            if self.only_entries and self.makes_other_model(statement, names):
                edit.removed.add(statement)
                continue
            if statement in self.memory.visited and statement not in [f.node for f in self.memory.static_functions]:
                written = isinstance(statement, ast.ClassDef) and statement.name in edit.dropped_names
                if self.only_entries and not written:  # other files may still import it
                    continue
                edit.removed.add(statement)
                gone.add(getattr(statement, "name", ""))
                if statement in edit.before:
                    edit.replaced[statement] = ""
                continue
            failed = id(statement) in self.program.interpreter.failed_marks
            if scripts and not failed and isinstance(statement, ast.Assign) and all(has_tensors(v := names.get(n)) or isinstance(v, Layer) for n in assigned_names([statement])):  # fmt: skip
                edit.removed.add(statement)  # another name or a list for tensors or layers of the model
                continue
            if not failed and only_for_models(statement, moved, source.tree.body, names):
                edit.removed.add(statement)
                continue
            if isinstance(statement, ast.Assign) and used_identifiers(statement) & gone:  # a table of such functions
                edit.removed.add(statement)
                continue
            if is_alias(statement, names, self.memory.visited) or self.is_part(statement, names):
                edit.removed.add(statement)
                continue
            untrained = any(n in self.untrained for n in nodes(statement))
            uses = (used_identifiers(statement) - stored_names(statement)) & keras_names
            if not uses and not untrained and not imports_framework(statement):
                continue
            plain = without_decorators(statement, source)
            if plain and not any(
                n in keras_names or of_framework(names.get(n)) for n in used_identifiers(ast.parse(plain))
            ):
                edit.replaced[statement] = plain
                continue
            found.append(statement)
            if not self.only_entries:
                self.report_leftover(source, statement, edit)
            elif not isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
                unasked.append(statement)
        edit.removed |= set(unasked) - read_by_others(source.tree.body, unasked, edit)
        self.report_followers(source)
        return found

    def leftovers_beside_models(
        self, source: SourceModule, statement: ast.stmt, keras_names: set[str], edit: FileEdit
    ) -> list[ast.stmt]:
        """What still uses Keras beside the models in functions and blocks that make and train them."""
        factories = [w.factory for w in self.done.values() if isinstance(w, Written) and w.factory is not None]
        inside = set(nodes(statement))
        kept = [
            s for f in factories if f.function.node in self.memory.workers and f.statements for s in f.statements.body
        ]
        rest = [s for s in kept if s in inside and not isinstance(s, (ast.Import, ast.ImportFrom))]
        rest = [s for s in rest if not any(n in edit.replaced or n in edit.removed for n in nodes(s))]
        found = [
            s
            for s in rest
            if used_identifiers(s) & keras_names and not any(n in self.program.interpreter.left_out for n in nodes(s))
        ]
        for inner in found:
            self.report_leftover(source, inner, edit)
        return found

    def is_part(self, statement: ast.stmt, names: dict[str, Any]) -> bool:
        """Whether a statement only makes what has become a part of models that call it."""
        made = assigned_names([statement]) if isinstance(statement, ast.Assign) else []
        return bool(made) and all(is_used_part(names.get(n), self.program.interpreter) for n in made)

    def makes_other_model(self, statement: ast.stmt, names: dict[str, Any]) -> bool:
        """Whether a statement only makes models of the program's own classes that nobody asked for."""
        made = assigned_names([statement]) if isinstance(statement, ast.Assign) else []
        wanted = {k[1] for k in self.done if isinstance(k, tuple)}
        return bool(made) and all(is_own_layer(names.get(n)) and n not in wanted for n in made)

    def follows_from_another(self, statement: ast.stmt) -> bool:
        """Whether a statement of a script is not translated only because another one, which is reported, is not."""
        failed = self.program.interpreter.failed
        known = failed.get(statement)
        if known is not None:
            return any(known.message.endswith(f": {f.message}") for s, f in failed.items() if s is not statement)
        return bool(failed) and id(statement) in self.program.interpreter.statement_marks

    def cause_in(self, source: SourceModule) -> Declined | None:
        """The first thing of a file that was not translated, and that others may follow from."""
        failed = [d for s, d in self.program.interpreter.failed.items() if s in source.tree.body]
        declined = [
            d for d in self.done.values() if isinstance(d, Declined) and d.span and d.span.file == str(source.path)
        ]
        return next(iter((*declined, *failed)), None)

    def needs_what_failed(self, source: SourceModule, statement: ast.stmt) -> bool:
        """Whether a statement makes or reads layers, tensors or models of which others were not translated."""
        names, cause = self.names_of(source), self.cause_in(source)
        if cause is None:
            return False
        held = [names.get(n) for n in (*assigned_names([statement]), *used_identifiers(statement))]
        return any(
            (
                root_of(v.reason) == root_of(cause.message)
                if isinstance(v, Unknown)
                else uses_keras(v) and not isinstance(v, (ApiValue, ApiObject))
            )
            for v in held
        )

    def report_followers(self, source: SourceModule) -> None:
        """One finding for all statements that go with what is not translated."""
        found, cause = self.followers.get(source, []), self.cause_in(source)
        if not found or cause is None:
            return
        span, last = source.span(found[0]), found[-1].end_lineno
        what = f"{len(found)} statements, down to line {last}, go" if len(found) > 1 else "this statement goes"
        self.findings.add(
            Finding(
                "K2T203",
                Severity.ERROR,
                f"{what} with what is not translated: {cause.message}",
                "Mend what that says first.",
                span,
                excerpt(span),
            )
        )

    def report_leftover(self, source: SourceModule, statement: ast.stmt, edit: FileEdit) -> None:
        if isinstance(statement, ast.Assign) and self.follows_from_another(statement):
            if self.options.allow_partial:
                edit.removed.add(statement)
            return
        known = self.done.get(statement) or self.program.interpreter.failed.get(statement)
        untrained = next((self.untrained[n] for n in nodes(statement) if n in self.untrained), None)
        span = source.span(statement)
        if isinstance(known, Declined):
            finding = known.finding()
        elif untrained is not None:
            advice = "Translate it by hand."
            finding = Finding(untrained.code, Severity.ERROR, untrained.message, advice, span, excerpt(span))
        else:
            name = getattr(statement, "name", "")
            what = (
                f"{name}() was not converted: it builds no model that could be evaluated"
                if isinstance(statement, ast.FunctionDef)
                else (
                    f"the class {name} is not translated" if name else "this statement uses Keras and is not translated"
                )
            )
            code = "K2T107" if isinstance(statement, ast.ClassDef) else "K2T203"
            finding = Finding(
                code,
                Severity.ERROR,
                what,
                "Name a call of it with --entry, or translate it by hand.",
                span,
                excerpt(span),
            )
            if not name and self.needs_what_failed(source, statement):
                self.followers.setdefault(source, []).append(statement)
        if statement not in self.followers.get(source, ()):
            self.findings.add(finding)
        if not self.options.allow_partial:
            return
        message = f"{finding.code}: {finding.message}"
        if isinstance(statement, ast.FunctionDef):
            edit.replaced[statement] = (
                f"def {statement.name}(*args, **kwargs):\n    raise NotImplementedError({message!r})"
            )
        elif isinstance(statement, ast.ClassDef):
            edit.replaced[statement] = (
                f"class {statement.name}:\n    def __init__(self, *args, **kwargs):\n        raise NotImplementedError({message!r})"
            )
        else:
            edit.replaced[statement] = f"raise NotImplementedError({message!r})"


def root_of(reason: str) -> str:
    """What is behind a reason that others were put in front of: `y` of `x cannot be evaluated: y`."""
    return reason.rpartition(": ")[2]


def called_in(text: str) -> set[str]:
    """What a new text calls, as it is written there."""
    try:
        tree = ast.parse(textwrap.dedent(text))
    except SyntaxError:  # a part of a statement
        return set()
    return {ast.unparse(n.func) for n in nodes(tree) if isinstance(n, ast.Call)}


def constructed_as(factory: Factory, variable: Any) -> ModuleClass | None:
    """The class of the model that a variable of a factory holds, if it is one of its own."""
    values = [
        op.value for op in factory.prologue.ops if isinstance(op, Let) and op.name == getattr(variable, "code", "")
    ]
    return values[0].cls if len(values) == 1 and isinstance(values[0], Construction) else None


def in_lines(finding: Finding, around: Span, lines: range) -> bool:
    """Whether a finding is about some lines of the file of a span."""
    return finding.span is not None and finding.span.file == around.file and finding.span.line in lines


def read_by_others(body: Sequence[ast.stmt], candidates: Sequence[ast.stmt], edit: FileEdit) -> set[ast.stmt]:
    """Those of some assignments whose variables are read by functions and classes that stay as they are."""
    stays = [s for s in body if isinstance(s, (ast.FunctionDef, ast.ClassDef)) and s not in edit.replaced]
    used = {n for s in stays if s not in edit.removed for n in used_identifiers(s)}
    found: set[ast.stmt] = set()
    while more := [s for s in candidates if s not in found and used.intersection(assigned_names([s]))]:
        found.update(more)
        used = used.union(*map(used_identifiers, more))
    return found


def only_for_models(
    statement: ast.stmt, moved: Sequence[ast.stmt], body: Sequence[ast.stmt], names: dict[str, Any]
) -> bool:
    """Whether an assignment asks the tensors of a script's models for sizes that nothing but their layers reads: `K.int_shape(x)`."""
    bound = set(assigned_names([statement])) if isinstance(statement, ast.Assign) else set()
    sizes = all(are_sizes(names.get(n)) for n in bound)
    tensors_read = used_identifiers(statement) & set(assigned_names(moved))
    others = [s for s in body if s is not statement and s not in moved]
    return bool(bound) and sizes and bool(tensors_read) and not any(bound & used_identifiers(s) for s in others)


def are_sizes(value: Any) -> bool:
    """Whether a value is a size or a shape, with None for that of the batch."""
    if isinstance(value, (tuple, list)):
        return all(size is None or type(size) is int for size in value)
    return type(value) is int


def of_framework(value: Any) -> bool:
    """Whether a module, function or class stands in the framework's own source."""
    module = value if isinstance(value, Module) else getattr(value, "module", getattr(value, "env", None))
    return is_framework(getattr(module, "name", "") or "")


def without_decorators(statement: ast.stmt, source: SourceModule) -> str:
    """A function of the source as it stands, without its decorators; "" for other statements."""
    decorated = isinstance(statement, ast.FunctionDef) and statement.decorator_list
    return ast.get_source_segment(source.text, statement) or "" if decorated else ""


def default_names(function: Function) -> list[str]:
    """The parameters of a function that have defaults."""
    a = function.node.args
    names = [p.arg for p in (*a.posonlyargs, *a.args)]
    return names[len(names) - len(function.defaults) :]


def names_bound(source: SourceModule) -> set[str]:
    """The names that the top level of a file imports."""
    imports = [n for s in source.tree.body for n in nodes(s) if isinstance(n, (ast.Import, ast.ImportFrom))]
    return {a.asname or a.name.partition(".")[0] for n in imports for a in n.names}


def module_names(source: SourceModule) -> set[str]:
    """The names a file binds at its top level, functions that will be replaced left out."""
    found: set[str] = set()
    for statement in source.tree.body:
        if isinstance(statement, (ast.FunctionDef, ast.Assign, ast.AnnAssign)):
            found |= (
                {statement.name}
                if isinstance(statement, ast.FunctionDef)
                else {n.id for n in nodes(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            )
    return found


def expressions_of(statement: ast.stmt) -> list[ast.AST]:
    """The expression nodes of a statement, those of statements inside it left out."""
    found: list[ast.AST] = []
    todo: list[ast.AST] = [
        c for c in ast.iter_child_nodes(statement) if not isinstance(c, (ast.stmt, ast.ExceptHandler))
    ]
    while todo:
        node = todo.pop()
        found.append(node)
        todo += [c for c in ast.iter_child_nodes(node) if not isinstance(c, ast.stmt)]
    return found


def is_alias(statement: ast.stmt, names: dict[str, Any], visited: Collection[Any]) -> bool:
    """`layers = tf.keras.layers`, `conv3 = partial(Conv2D, kernel_size=3)`: another name for a part of Keras, or for a
    function that became a class, which the result does not need."""
    if not isinstance(statement, ast.Assign) or not all(isinstance(t, ast.Name) for t in statement.targets):
        return False
    values = [names.get(t.id) for t in statement.targets]  # type: ignore[attr-defined]
    plain = [v.function if isinstance(v, Partial) else v for v in values]
    return all(
        isinstance(p, ApiValue) or p is not v and isinstance(p, Function) and p.node in visited
        for p, v in zip(plain, values)
    )


def stored_names(statement: ast.stmt) -> set[str]:
    """The names that an assignment binds and does not read."""
    if not isinstance(statement, (ast.Assign, ast.AnnAssign)):
        return set()
    names = [n for n in nodes(statement) if isinstance(n, ast.Name)]
    return {n.id for n in names if isinstance(n.ctx, ast.Store)} - {n.id for n in names if isinstance(n.ctx, ast.Load)}


def is_import_block(statement: ast.stmt) -> bool:
    """An `if` or `try` that only chooses between imports."""
    if isinstance(statement, ast.If):
        return all(
            isinstance(s, (ast.Import, ast.ImportFrom)) or is_import_block(s)
            for s in (*statement.body, *statement.orelse)
        )
    if isinstance(statement, ast.Try):
        parts = [
            *statement.body,
            *statement.orelse,
            *statement.finalbody,
            *(s for h in statement.handlers for s in h.body),
        ]
        return all(isinstance(s, (ast.Import, ast.ImportFrom, ast.Pass)) for s in parts)
    return False


def imports_framework(statement: ast.stmt) -> bool:
    for node in nodes(statement):
        if isinstance(node, ast.Import) and any(is_framework(a.name) for a in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and node.level == 0 and is_framework(node.module or ""):
            return True
    return False
