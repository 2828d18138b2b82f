"""Puts one conversion together: which functions and models are converted, how, and into which file."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from transpiler.diagnostics import Declined, Finding, Findings, Severity, Span, excerpt
from transpiler.ir.conversion import ConvertedModule, EntryPlan, WeightUnit
from transpiler.ir.model import ApiValue, Layer, Weight
from transpiler.ir.naming import Names, cap_words, identifier
from transpiler.ir.program import Apply, ModuleClass, Value, tensors
from transpiler.ir.weights import by_module
from transpiler.passes.settle import Settler, check_reads
from transpiler.passes.structure import CannotKeep
from transpiler.read.keras.evaluate.api import WEIGHT_METHODS
from transpiler.read.keras.evaluate.effects import Snapshot
from transpiler.read.keras.evaluate.signals import ProgramError
from transpiler.read.keras.evaluate.staging import Memory, StageError
from transpiler.read.keras.evaluate.syntax import assigned_names, free_names
from transpiler.read.keras.evaluate.values import Env, Function, Instance, Model, Module, Partial, Unknown, has_tensors
from transpiler.read.keras.factory import Factory, class_name, flat_expression, flat_factory, stage_factory
from transpiler.read.keras.names import FRAMEWORKS, is_framework
from transpiler.read.keras.parse import SourceModule
from transpiler.read.keras.program import Activation, Program, models_at_top, uses_keras
from transpiler.write.torch.check import undefined_names
from transpiler.write.torch.classes import ClassWriter
from transpiler.write.torch.factory import factory_text
from transpiler.write.torch.initial import Initializers
from transpiler.write.torch.module import FileEdit, used_identifiers

UNNAMED = "__unnamed__"
"""Stands for the name of a class until the names of a file are settled."""

GENERATED = frozenset(("torch", "nn", "F", "Tensor", "math", "init_weights"))
"""Names that every generated file may use."""


@dataclass(eq=False)
class Written:
    """A factory or a lone class, settled and ready to be written into one file."""

    source: SourceModule
    classes: list[ModuleClass]
    factory: Factory | None = None
    root: ModuleClass | None = None
    statements: list[ast.stmt] = field(default_factory=list)
    """Top-level statements of a script that the class replaces."""
    assigned: str = ""

    @property
    def tier(self) -> str:
        return self.factory.tier if self.factory is not None else "flat"


class Assembly:
    """One conversion in progress."""

    def __init__(self, program: Program, findings: Findings, allow_partial: bool, only_entries: bool) -> None:
        self.program, self.findings = program, findings
        self.allow_partial, self.only_entries = allow_partial, only_entries
        self.memory = Memory()
        self.settler = Settler(self.memory.demands)
        self.done: dict[Any, Written | Declined] = {}

    # --- what to convert -----------------------------------------------------------------------------------------

    def plan_entries(self, entries: Sequence[str], setup: str) -> list[EntryPlan]:
        """The plans of the models asked for; an entry that is not translated leaves its findings instead."""
        plans = []
        for expression in entries:
            try:
                plans.append(self.plan_entry(expression, setup))
            except Declined as declined:
                self.findings.add(declined.finding())
        return plans

    def plan_entry(self, expression: str, setup: str) -> EntryPlan:
        value, activations = self.program.evaluate_entry(expression)
        if not isinstance(value, Model):
            raise Declined("K2T104", f"the entry {expression} is {_kind(value)}, not a Keras model")
        return self.plan_model(value, activations, expression, setup)

    def plan_model(self, model: Model, activations: list[Activation], expression: str, setup: str) -> EntryPlan:
        units = self.units(model)
        builder = builder_of(model, activations)
        torch_expression = torch_entry(expression, builder, self.program) if builder is not None else None
        if builder is not None and torch_expression is not None:
            written = self.convert_builder(builder)
            if isinstance(written, Written) and written.factory is not None:
                return EntryPlan(
                    expression, setup, torch_expression, setup, written.factory.tier, units, tuple(self.findings.items)
                )
        for name, found in models_at_top(self.program):
            if found is model and expression == name:
                written = self.convert_script_model(name, model)
                return EntryPlan(expression, setup, name, setup, written.tier, units, tuple(self.findings.items))
        return self.plan_flat(expression, setup, units)

    def plan_flat(self, expression: str, setup: str, units: tuple[WeightUnit, ...]) -> EntryPlan:
        """The entry as one class of its own, added to the file."""
        name = f"Entry{sum(1 for k in self.done if isinstance(k, str)) + 1}"
        try:
            node = ast.parse(expression, mode="eval").body
            assert self.program.entry_env is not None
            cls = flat_expression(
                self.program.interpreter, self.findings, self.memory, node, self.program.entry_env, name
            )
            self.settler.settle(cls)
            classes = self.settler.needed(cls)
            self.try_out(classes)
        except (StageError, CannotKeep, ProgramError) as error:
            raise Declined("K2T203", f"{expression}: {error}") from None
        self.done[expression] = Written(self.program.source, classes, None, cls)
        module = self.program.source.name
        torch = f"__import__('importlib').import_module({module!r}).{name}()"
        return EntryPlan(expression, setup, torch, setup, "flat", units, tuple(self.findings.items))

    def plan_all(self) -> list[EntryPlan]:
        """Every model that the file builds at its top level, and every function that builds one."""
        plans: list[EntryPlan] = []
        self.program.evaluate_main()
        for name, model in models_at_top(self.program):
            if model.inputs is None:
                self.findings.add(
                    Finding(
                        "K2T202",
                        Severity.ERROR,
                        f"the input shape of {name} is not known",
                        "Give the first layer an input_shape, or put keras.Input first.",
                        model.span,
                        excerpt(model.span),
                    )
                )
                continue
            made = [a for a in self.program.interpreter.activations if a.result is model]
            try:
                if made and self.program.interpreter.statement_marks:
                    continue
                written = self.convert_script_model(name, model)
                plans.append(EntryPlan(name, "", name, "", written.tier, self.units(model)))
            except Declined as declined:
                self.findings.add(declined.finding())
        for name, function, receiver in self.program.functions():
            if function.node in [
                w.factory.function.node for w in self.done.values() if isinstance(w, Written) and w.factory
            ]:
                continue
            known = [a for a in self.program.interpreter.activations if a.function.node is function.node]
            try:
                activation = known[-1] if known else self.program.try_builder(function, receiver)
            except Declined as declined:
                self.findings.add(declined.finding())
                self.done[function.node] = declined
                continue
            if activation is None:
                continue
            plan = self.plan_function(name, activation, receiver)
            if plan is not None:
                plans.append(plan)
        return plans

    def plan_function(self, name: str, activation: Activation, receiver: Any) -> EntryPlan | None:
        written = self.convert_builder(activation)
        if isinstance(written, Declined):
            self.findings.add(written.finding())
            return None
        for parameter, value in activation.assumed.items():
            self.findings.add(
                Finding(
                    "K2T304",
                    Severity.NOTE,
                    f"{name}: {parameter}={value!r} was assumed, as nothing supplies it",
                    "Pass --entry with the arguments you use.",
                    activation.function.module.span(activation.function.node),
                )
            )
        if receiver is not None or not isinstance(activation.result, Model) or activation.assumed:
            return None
        expression = f"{name}()"
        assert written.factory is not None
        return EntryPlan(expression, "", expression, "", written.factory.tier, self.units(activation.result))

    # --- how ------------------------------------------------------------------------------------------------------

    def convert_builder(self, activation: Activation) -> Written | Declined:
        """The function of an activation as a factory, in the best tier that works."""
        key = activation.function.node
        if key not in self.done:
            now = Snapshot(activation.function.env, activation.arguments.values())
            if activation.before is not None:
                activation.before.restore()
            self.done[key] = self._convert_builder(activation)
            now.restore()
        return self.done[key]

    def _convert_builder(self, activation: Activation) -> Written | Declined:
        function = activation.function
        try:
            factory, classes = self.keep(function, activation.arguments, class_name(function))
        except Declined as declined:
            return declined
        self.report_effects(factory)
        self.report_calls(factory)
        return Written(function.module, classes, factory, factory.cls)

    def keep(self, function: Function, arguments: dict[str, Any], name: str) -> tuple[Factory, list[ModuleClass]]:
        """A builder in the best tier that works, and the classes it needs. Raises Declined if none does."""
        errors: list[str] = []
        marks = len(self.findings.items)
        attempts = [stage_factory, flat_factory]
        while attempts:
            attempt = attempts.pop(0)
            try:
                factory = attempt(self.program.interpreter, self.findings, self.memory, function, arguments, name)
                self.settler.settle(factory.cls)
                classes = self.settler.needed(factory.cls)
                wanted = self.settler.reads(classes) - self.memory.demands
                if not wanted:
                    self.try_out(classes)
                    self.report_tier(factory, errors)
                    self.memory.classes.clear()  # settled classes no longer say what another evaluation asks
                    return factory, classes
                self.memory.demands |= wanted  # sizes that only an inner class knows: it shows them the next time
                attempts.insert(0, attempt)
            except CannotKeep as error:
                source = getattr(getattr(error.cls, "source", None), "node", None)
                if source is not None and source not in self.memory.inlined:
                    self.memory.inlined.append(source)
                    attempts.insert(0, attempt)
                errors.append(str(error))
            except StageError as error:
                errors.append(str(error))
            except ProgramError as error:
                errors.append(f"{type(error.value).__name__}: {error.value}")
            except Declined as declined:
                errors.append(declined.message)
                if attempt is flat_factory:
                    raise
            self.memory.classes.clear()
            del self.findings.items[marks:]
        raise Declined("K2T203", f"{function.name}: {errors[-1]}", "", function.module.span(function.node))

    def report_tier(self, factory: Factory, errors: list[str]) -> None:
        span = factory.function.module.span(factory.function.node)
        if factory.tier == "flat":
            why = f": {errors[0]}" if errors else ""
            self.findings.add(
                Finding(
                    "K2T303",
                    Severity.WARNING,
                    f"the structure of {factory.function.name} is not kept{why}",
                    "The result is correct for these arguments only.",
                    span,
                    excerpt(span),
                )
            )
        elif factory.frozen:
            names = ", ".join(factory.frozen)
            self.findings.add(
                Finding(
                    "K2T301",
                    Severity.WARNING,
                    f"{factory.function.name} is converted for one value of {names} ({'; '.join(factory.reasons)})",
                    "It raises for other values.",
                    span,
                    excerpt(span),
                )
            )

    def report_effects(self, factory: Factory) -> None:
        if not factory.effects:
            return
        span = factory.function.module.span(factory.function.node)
        self.findings.add(
            Finding(
                "K2T203",
                Severity.WARNING,
                f"{factory.function.name} changes something that outlives its call; the result does not",
                "The result is what the first call builds. Pass what changes as an argument.",
                span,
                excerpt(span),
            )
        )

    def report_calls(self, factory: Factory) -> None:
        """Names the calls that the builder makes for their effect on something else than its model."""
        function = factory.function
        for statement in ast.walk(function.node):
            call = statement.value if isinstance(statement, ast.Expr) else None
            if not isinstance(call, ast.Call) or (isinstance(call.func, ast.Name) and call.func.id == "super"):
                continue
            root: ast.expr = call.func
            while isinstance(root, (ast.Attribute, ast.Call)):
                root = root.value if isinstance(root, ast.Attribute) else root.func
            if not isinstance(root, ast.Name):
                continue
            scope = function.env.scope_of(root.id)
            value = scope.names[root.id] if scope is not None else None
            foreign = isinstance(value, (Unknown, Module)) and getattr(value, "source", None) is None
            if foreign or (scope is None and root.id in ("print", "open")):
                span = function.module.span(statement)
                self.findings.add(
                    Finding(
                        "K2T405",
                        Severity.NOTE,
                        f"{ast.unparse(call.func)}() in {function.name} is left out",
                        "Call it where the model is made, if it matters.",
                        span,
                        excerpt(span),
                    )
                )

    def try_out(self, classes: list[ModuleClass]) -> None:
        """Writes settled classes for a look at the text: what cannot be written is not kept. Raises CannotKeep."""
        for cls in classes:
            check_reads(cls)
        known = {f.name for f in self.memory.static_functions} | {c.name for c in classes} | GENERATED
        for cls in classes:
            writer = ClassWriter(cls, self.settler.printed[cls])
            try:
                text = writer.write()
                unknown = undefined_names(text) - known - set(writer.helpers)
            except (KeyError, AssertionError, SyntaxError) as error:
                raise CannotKeep(f"{cls.name} cannot be written ({type(error).__name__}: {error})") from None
            if unknown:
                raise CannotKeep(f"{cls.name} would use {', '.join(sorted(unknown))}, which nothing defines")

    def convert_script_model(self, name: str, model: Model) -> Written:
        """A model that a script builds at its top level: one class, and the statement that makes it."""
        if name in self.done:
            return self.done[name]  # type: ignore[return-value]
        source = self.program.source
        marks = self.program.interpreter.statement_marks
        statements = [
            s
            for s in source.tree.body
            if id(s) in marks and not isinstance(s, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef))
        ]
        body = self.script(source, name)
        node = ast.FunctionDef(name, ast.arguments([], [], None, [], [], None, []), body, [], None)
        ast.fix_missing_locations(node)
        module_env = Env(None, "module", source, self.program.evaluate().names)
        now, start = Snapshot(module_env), self.program.interpreter.starts.get(source)
        if start is not None:
            start.restore()
        function = Function(node, module_env, self.program.interpreter)
        try:
            factory, classes = self.keep(function, {}, script_class_name(name, model))
        finally:
            now.restore()
        written = Written(source, classes, factory, factory.cls, statements, name)
        self.done[name] = written
        return written

    def script(self, source: SourceModule, name: str) -> list[ast.stmt]:
        """The body of a function that does what the script does, from the first statement about models to the last.

        What runs in between changes the variables that they use, so all of it is there except what could not be
        evaluated and what needs nothing but the finished model. Names that functions read stay the module's.
        """
        interpreter = self.program.interpreter
        marked = [i for i, s in enumerate(source.tree.body) if id(s) in interpreter.statement_marks]
        between = source.tree.body[marked[0] : marked[-1] + 1]
        body = [
            s
            for s in between
            if id(s) in interpreter.statement_marks
            or (
                not isinstance(s, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef))
                and id(s) not in interpreter.failed_marks
                and not any(n in interpreter.left_out for n in ast.walk(s))
            )
        ]
        inner = [n for s in source.tree.body for n in ast.walk(s) if isinstance(n, (ast.FunctionDef, ast.Lambda))]
        read = {n for f in inner for n in free_names(f)}
        names = [n for n in assigned_names(body) if n in read]
        return [*([ast.Global(names)] if names else []), *body, ast.Return(ast.Name(name, ast.Load()))]

    # --- weights -----------------------------------------------------------------------------------------------------

    def units(self, model: Model) -> tuple[WeightUnit, ...]:
        """The layers of a model that have weights, in construction order."""
        interpreter = self.program.interpreter
        layers: list[Any] = []
        seen: set[Value] = set()
        todo = list(tensors(model.outputs))
        while todo:
            x = todo.pop()
            if x in seen:
                continue
            seen.add(x)
            origin = interpreter.origins.get(x)
            if origin is None:
                continue
            todo += origin.inputs
            if origin.layer is not None and origin.layer not in layers:
                layers.append(origin.layer)
        found = [
            (order_of(layer), unit_of(layer, interpreter)) for layer in layers if isinstance(layer, (Layer, Instance))
        ]
        return tuple(u for _, u in sorted(((o, u) for o, u in found if u is not None), key=lambda p: p[0]))

    # --- files ------------------------------------------------------------------------------------------------------------

    def write(self) -> list[ConvertedModule]:
        """The texts of all files that changed; the file being converted first."""
        by_source: dict[SourceModule, list[Written]] = {self.program.source: []}
        for written in self.done.values():
            if isinstance(written, Written):
                by_source.setdefault(written.source, []).append(written)
        result = []
        for source, items in by_source.items():
            text = self.write_file(source, items)
            result.append(ConvertedModule(source.name, source.path, text, text != source.text))
        return result

    def write_file(self, source: SourceModule, items: list[Written]) -> str:
        edit = FileEdit(source.text, source.tree, frameworks=FRAMEWORKS)
        if items:
            self.write_items(source, items, edit)
        self.calls_on_models(source, edit)
        leftovers = self.leftovers(source, edit)
        if not items and not leftovers:
            return source.text
        if not items and self.only_entries:
            return source.text
        text = edit.apply()
        unknown = undefined_names(text)
        unknown = unknown and unknown - undefined_names(source.text)
        if (
            unknown
            and items
            and not self.only_entries
            and not self.allow_partial
            and not any(f.severity is Severity.ERROR for f in self.findings.items)
        ):
            message = f"the result would use names that nothing defines: {', '.join(sorted(unknown))}"
            self.findings.add(
                Finding(
                    "K2T006", Severity.ERROR, message, "Please report this, with the file.", Span(str(source.path), 1)
                )
            )
        return text

    def write_items(self, source: SourceModule, items: list[Written], edit: FileEdit) -> None:
        taken = Names(frozenset(module_names(source)) | frozenset(("nn", "F", "torch", "Tensor", "math")))
        classes: list[ModuleClass] = []
        for item in items:
            for cls in item.classes:
                if cls not in classes:
                    classes.append(cls)
        initial = Initializers.of(classes)
        texts: dict[ModuleClass, str] = {}
        known_texts: dict[tuple[str, str], str] = {}
        for cls in classes:  # those that others construct come first, so that their names are settled
            base, cls.name = cls.name, UNNAMED
            writer = ClassWriter(cls, self.settler.printed[cls], initial)
            text = writer.write()
            if (base, text) in known_texts:  # the same helper, evaluated for another model
                cls.name = known_texts[base, text]
                continue
            cls.name = known_texts[base, text] = taken.take(base)
            texts[cls] = text.replace(UNNAMED, cls.name)
            edit.helpers += [h for h in writer.helpers if h not in edit.helpers]
        function = initial.function()
        edit.preamble += [*initial.texts, *([function] if function else [])]
        edit.helpers += [h for h in initial.helpers if h not in edit.helpers]
        known = {n for n, v in self.names_of(source).items() if not uses_keras(v) and not isinstance(v, Unknown)} | {
            "int",
            "float",
            "str",
            "bool",
            "tuple",
            "list",
            "dict",
        }
        placed: set[ModuleClass] = set()
        for item in items:
            self.place(source, item, texts, placed, edit, known)
        edit.dropped_names = {c.name for c in classes}

    def names_of(self, source: SourceModule) -> dict[str, Any]:
        module = self.program.interpreter.modules.get(source.name)
        return module.names if isinstance(module, Module) else {}

    def place(
        self,
        source: SourceModule,
        item: Written,
        texts: dict[ModuleClass, str],
        placed: set[ModuleClass],
        edit: FileEdit,
        known: set[str],
    ) -> None:
        """Puts classes where the functions they come from stood, others above the function that needs them."""
        anchor = self.anchor(source, item)
        for cls in item.classes:
            if cls in placed or cls not in texts:
                continue
            placed.add(cls)
            origin = getattr(getattr(cls, "source", None), "node", None)
            if origin in source.tree.body and origin not in edit.replaced and not self.only_entries:
                edit.replaced[origin] = texts[cls]
            elif anchor is not None:
                edit.before.setdefault(anchor, []).append(texts[cls])
        self.place_statics(source, edit)
        if item.factory is None:
            return
        if item.statements:
            first, *rest = item.statements
            edit.replaced[first] = f"{item.assigned} = {item.root.name if item.root else ''}()"
            edit.removed.update(rest)
            return
        printed = {n: f"self.{a}" for n, a in item.factory.self_names.items()}
        factory = item.factory
        edit.replaced[factory.function.node] = factory_text(
            factory.function.node, factory.cls, factory.prologue, factory.epilogue, factory.arguments, factory.frozen, printed, known  # type: ignore[arg-type]
        )

    def place_statics(self, source: SourceModule, edit: FileEdit) -> None:
        """Copies functions that the result calls from files that it will not import."""
        for function in self.memory.static_functions:
            if function.module is source or any(function.name == getattr(n, "name", None) for n in source.tree.body):
                continue
            text = ast.get_source_segment(function.module.text, function.node) or ""
            if text not in edit.preamble:
                edit.preamble.insert(0, text)
                for name in used_identifiers(function.node):
                    value = function.env.names.get(name)
                    if isinstance(value, Module) and value.source is None:
                        edit.preamble.insert(0, f"import {value.name}" + (f" as {name}" if value.name != name else ""))

    def anchor(self, source: SourceModule, item: Written) -> ast.stmt | None:
        if item.statements:
            return item.statements[0]
        if item.factory is not None:
            node = item.factory.function.node
            return next((s for s in source.tree.body if s is node or any(n is node for n in ast.walk(s))), None)
        return source.tree.body[-1] if source.tree.body else None

    def calls_on_models(self, source: SourceModule, edit: FileEdit) -> None:
        """Calls on models in code that stays: those with a torch idiom are rewritten, the others reported."""
        interpreter = self.program.interpreter
        gone = {n for root in (*edit.replaced, *edit.removed) for n in ast.walk(root)}
        for statement in source.tree.body:
            if statement in self.memory.visited:
                continue
            for node in ast.walk(statement):
                if node in gone or not isinstance(node, ast.stmt):
                    continue
                call = node.value if isinstance(node, (ast.Expr, ast.Assign, ast.Return)) else None
                if isinstance(node, ast.Expr) and call in interpreter.rewritten:
                    edit.replaced[node] = interpreter.rewritten[call]  # type: ignore[index]
                    continue
                own = [n for n in expressions_of(node) if n in interpreter.left_out]
                for n in own:
                    self.report_call(source, node, n, edit)

    def report_call(self, source: SourceModule, statement: ast.stmt, call: Any, edit: FileEdit) -> None:
        name = self.program.interpreter.left_out[call]
        span = source.span(call)
        code = "K2T403" if name in WEIGHT_METHODS else "K2T401"
        finding = Finding(
            code,
            Severity.ERROR,
            f"{name}() of the model is not translated",
            "Write the training loop, or load the weights, around the converted model.",
            span,
            excerpt(span),
        )
        if self.only_entries:
            edit.removed.add(statement) if statement in source.tree.body else None
            return
        self.findings.items[:] = [f for f in self.findings.items if f.span != span]
        self.findings.add(finding)
        if self.allow_partial and statement not in edit.replaced:
            edit.replaced[statement] = f"raise NotImplementedError({f'{code}: {finding.message}'!r})"

    def leftovers(self, source: SourceModule, edit: FileEdit) -> list[ast.stmt]:
        """Top-level statements that still use Keras: consumed helpers go, the rest is reported."""
        names = self.names_of(source)
        keras_names = {n for n, v in names.items() if uses_keras(v)}
        found: list[ast.stmt] = []
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
            if any(n in edit.replaced for n in ast.walk(statement)) or any(
                n in self.program.interpreter.left_out for n in ast.walk(statement)
            ):
                if isinstance(statement, ast.ClassDef) and not self.only_entries:
                    edit.removed |= {
                        n
                        for n in statement.body
                        if n in self.memory.visited and n not in edit.replaced and used_identifiers(n) & keras_names
                    }
                continue
            if is_import_block(statement):
                continue
            if statement in self.memory.visited and statement not in [f.node for f in self.memory.static_functions]:
                if self.only_entries:  # other files may still import it
                    continue
                edit.removed.add(statement)
                gone.add(getattr(statement, "name", ""))
                if statement in edit.before:
                    edit.replaced[statement] = ""
                continue
            failed = id(statement) in self.program.interpreter.failed_marks
            if scripts and not failed and isinstance(statement, ast.Assign) and all(has_tensors(names.get(n)) for n in assigned_names([statement])):  # fmt: skip
                edit.removed.add(statement)  # another name or a list for tensors of the model
                continue
            if isinstance(statement, ast.Assign) and used_identifiers(statement) & gone:  # a table of such functions
                edit.removed.add(statement)
                continue
            if is_alias(statement, names, self.memory.visited):
                edit.removed.add(statement)
                continue
            if not (used_identifiers(statement) - stored_names(statement)) & keras_names and not imports_framework(
                statement
            ):
                continue
            found.append(statement)
            if not self.only_entries:
                self.report_leftover(source, statement, edit)
            elif not isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
                edit.removed.add(statement)
        return found

    def follows_from_another(self, statement: ast.stmt) -> bool:
        """Whether a statement of a script is not translated only because another one, which is reported, is not."""
        failed = self.program.interpreter.failed
        known = failed.get(statement)
        if known is not None:
            return any(known.message.endswith(f": {f.message}") for s, f in failed.items() if s is not statement)
        return bool(failed) and id(statement) in self.program.interpreter.statement_marks

    def report_leftover(self, source: SourceModule, statement: ast.stmt, edit: FileEdit) -> None:
        if isinstance(statement, ast.Assign) and self.follows_from_another(statement):
            if self.allow_partial:
                edit.removed.add(statement)
            return
        known = self.done.get(statement) or self.program.interpreter.failed.get(statement)
        span = source.span(statement)
        if isinstance(known, Declined):
            finding = known.finding()
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
        self.findings.add(finding)
        if not self.allow_partial:
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


def script_class_name(name: str, model: Model) -> str:
    """The class of a model that a script builds: from the model's own name, else from the variable's."""
    return "Net" if name == "model" and not model.name else cap_words(model.name or name, "Model")


def _kind(value: Any) -> str:
    return f"unknown ({value.reason})" if isinstance(value, Unknown) else type(value).__name__.lower()


def builder_of(model: Model, activations: list[Activation]) -> Activation | None:
    """The outermost function whose call made the model, or whose tensors the model is made of."""
    for activation in reversed(activations):
        if activation.result is model:
            return activation
    ends = [*tensors(model.inputs), *tensors(model.outputs)]
    for activation in reversed(activations):
        if (
            not isinstance(activation.result, Model)
            and isinstance(activation.result, (tuple, list))
            and [*tensors(activation.result[0:1]), *tensors(activation.result[1:])] == ends
        ):
            return activation
    return None


def torch_entry(expression: str, builder: Activation, program: Program) -> str | None:
    """The entry as the result builds it: `Model(*f(…))` is `f(…)` there; None if it takes more than that."""
    node = ast.parse(expression, mode="eval").body
    if isinstance(builder.result, Model):
        calls = [n for n in ast.walk(node) if isinstance(n, ast.Call)]
        framework = [c for c in calls if mentions_framework(c.func, program)]
        return None if framework else expression
    if (
        isinstance(node, ast.Call)
        and mentions_framework(node.func, program)
        and len(node.args) == 1
        and isinstance(node.args[0], ast.Starred)
        and not node.keywords
    ):
        inner = node.args[0].value
        if not any(mentions_framework(n, program) for n in ast.walk(inner) if isinstance(n, (ast.Name, ast.Attribute))):
            return ast.unparse(inner)
    return None


def mentions_framework(node: ast.AST, program: Program) -> bool:
    env = program.entry_env
    names = [n.id for n in ast.walk(node) if isinstance(n, ast.Name)]
    for name in names:
        scope = env.scope_of(name) if env else None
        if scope is not None and uses_keras(scope.names.get(name)):
            return True
    return False


def order_of(layer: Any) -> int:
    return layer.index if isinstance(layer, Layer) else layer.attributes["__common__"]["index"]


def unit_of(layer: Any, interpreter: Any) -> WeightUnit | None:
    """The weights of one layer; None if it has none."""
    if isinstance(layer, Layer):
        built = interpreter.built.get(layer)
        modules = tuple(m for s in built.steps if s.weights for m in by_module(s.weights)) if built else ()
        return WeightUnit(layer.rule.keras[0], layer.name, modules, layer.span) if modules else None
    own: dict[str, Weight] = {}
    inner: list[tuple[int, Any]] = []
    for name, value in layer.attributes.items():
        if name.startswith("__"):
            continue
        for path, item in _items(name, value):
            if isinstance(item, Value) and item in layer.attributes.get("__weights__", ()):
                own[_weight_name(item, interpreter)] = Weight(path)
            elif isinstance(item, Layer):
                unit = unit_of(item, interpreter)
                if unit is not None:
                    inner += [
                        (item.index, {p: replace(w, source=f"{path}.{w.source}") for p, w in m.items()})
                        for m in unit.modules
                    ]
    modules = [own] if own else []
    modules += [m for _, m in sorted(inner, key=lambda p: p[0])]
    name = layer.attributes["__common__"].get("name")
    return (
        WeightUnit(
            layer.cls.name,
            name if isinstance(name, str) else None,
            tuple(modules),
            layer.attributes["__common__"]["span"],
        )
        if modules
        else None
    )


def _items(name: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, (list, tuple)):
        return [pair for i, v in enumerate(value) for pair in _items(f"{name}.{i}", v)]
    return [(name, value)]


def _weight_name(weight: Value, interpreter: Any) -> str:
    return next(
        (
            identifier(op.member.hint, "layer")
            for op in interpreter.block.ops
            if isinstance(op, Apply) and weight in op.results and op.member is not None
        ),
        "weight",
    )


def module_names(source: SourceModule) -> set[str]:
    """The names a file binds at its top level, functions that will be replaced left out."""
    found: set[str] = set()
    for statement in source.tree.body:
        if isinstance(statement, (ast.FunctionDef, ast.Assign, ast.AnnAssign)):
            found |= (
                {statement.name}
                if isinstance(statement, ast.FunctionDef)
                else {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
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


def is_alias(statement: ast.stmt, names: dict[str, Any], visited: Sequence[Any]) -> bool:
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
    names = [n for n in ast.walk(statement) if isinstance(n, ast.Name)]
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
    for node in ast.walk(statement):
        if isinstance(node, ast.Import) and any(is_framework(a.name) for a in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and node.level == 0 and is_framework(node.module or ""):
            return True
    return False
