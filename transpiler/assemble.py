"""Decides for one conversion which functions and models are converted, and how."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from transpiler.diagnostics import Declined, Finding, Findings, Severity, excerpt
from transpiler.ir.conversion import ConvertedModule, EntryPlan, TrainingPlan
from transpiler.ir.expr import ArrayExample
from transpiler.ir.naming import script_class_name
from transpiler.ir.program import ModuleClass, constructions, tensors
from transpiler.ir.shape import TensorType
from transpiler.ir.statics import names_in
from transpiler.lone_parts import LoneParts
from transpiler.options import Options
from transpiler.passes.settle import Settler, check_reads, settle_statements
from transpiler.passes.structure import CannotKeep
from transpiler.read.keras.builder_findings import finding_of_tier, findings_of_builder
from transpiler.read.keras.constructors import source_names
from transpiler.read.keras.entries import builder_of, kinds_of, makes, outermost, share_layers, torch_entry
from transpiler.read.keras.evaluate.effects import Snapshot
from transpiler.read.keras.evaluate.gathered import NotGathered
from transpiler.read.keras.evaluate.own_models import is_holder
from transpiler.read.keras.evaluate.program_classes import is_own_layer
from transpiler.read.keras.evaluate.signals import ProgramError
from transpiler.read.keras.evaluate.stage_models import Show
from transpiler.read.keras.evaluate.staging import Again, Memory, StageError, Worker
from transpiler.read.keras.evaluate.syntax import assigned_names
from transpiler.read.keras.evaluate.values import Env, Function, Instance, Model, Unknown
from transpiler.read.keras.examples import needs_arguments
from transpiler.read.keras.factory import Factory, check_sizes, class_name, flat_factory, stage_factory
from transpiler.read.keras.measuring import measured_in
from transpiler.read.keras.names import is_framework
from transpiler.read.keras.origins import lines_used
from transpiler.read.keras.parse import SourceModule
from transpiler.read.keras.program import Activation, Program, models_at_top, own_models_at_top, own_models_trained
from transpiler.read.keras.roots import findings_of_root, layer_entry, left_out_methods, root_class, traced
from transpiler.read.keras.saved import saved_model
from transpiler.read.keras.scripts import (
    body_of_script,
    is_used_part,
    places_of_models,
    renamings,
)
from transpiler.read.keras.trainable import parts_of, toggles_of_training
from transpiler.read.keras.units import layers_with_units
from transpiler.read.keras.workers import bindings_of, making_part, read_for
from transpiler.rewrite.files import Rewriter
from transpiler.rewrite.outcome import GENERATED, Outcome, Written
from transpiler.write.torch.check import undefined_names
from transpiler.write.torch.classes import ClassWriter
from transpiler.write.torch.factory import composed_expression

TIERS = ("structure", "specialised", "flat")
"""From best to worst."""


class Assembly:
    """One conversion in progress."""

    def __init__(
        self,
        program: Program,
        findings: Findings,
        options: Options,
        only_entries: bool,
        inputs: Sequence[TensorType] = (),
    ) -> None:
        self.program, self.findings = program, findings
        self.options, self.only_entries = options, only_entries
        self.inputs = list(inputs)
        """The inputs of models that do not declare theirs."""
        self.memory = Memory()
        self.settler = Settler()
        self.done: dict[Any, Written | Declined] = {}
        self.prepared: dict[ast.AST, tuple[Written | Declined, list[Finding]]] = {}
        """Builders that were converted as they are called by others, with what there is to say of them."""
        self.project: list[SourceModule] = []
        """The files that are converted together; none if it is one file with what it needs."""
        self.tried: dict[ast.AST, Activation | Declined | None] = {}
        """Functions of the file → a call of them with arguments that were made up, if it builds a model."""
        self.asked: dict[ast.AST, Activation] = {}
        """The calls that builders were converted for."""
        self.planned: dict[str, Any] = {}
        """The expressions of planned entries → their models."""
        self.training: list[tuple[Model, TrainingPlan]] = []
        """Models, and how the result trains them."""

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
        if is_own_layer(value):
            return self.plan_layer(value, expression, setup)
        if not isinstance(value, Model):
            raise Declined("K2T104", f"the entry {expression} is {_kind(value)}, not a Keras model")
        return self.plan_model(value, activations, expression, setup)

    def plan_model(self, model: Model, activations: list[Activation], expression: str, setup: str) -> EntryPlan:
        weights = self.weights_of(model)
        top = dict(models_at_top(self.program))
        builder = builder_of(model, activations)
        if builder is not None and is_framework(builder.function.module.name) and top.get(expression) is model:
            builder = None  # the file makes the application of Keras itself
        torch_expression = torch_entry(expression, builder, self.program) if builder is not None else None
        if builder is not None and torch_expression is not None:
            written = self.convert_builder(builder)
            if isinstance(written, Written) and written.factory is not None and self.make_given(builder, activations):
                return EntryPlan(
                    expression,
                    setup,
                    torch_expression,
                    setup,
                    written.factory.tier,
                    findings=tuple(self.all_findings()),
                    **weights,
                )
        if top.get(expression) is model:
            written = self.convert_script(self.script_models() or {expression: model})
            found = tuple(self.all_findings())
            return EntryPlan(expression, setup, expression, setup, written.tier, findings=found, **weights)
        return self.plan_composed(expression, setup, weights, activations)

    def make_given(self, builder: Activation, activations: list[Activation]) -> bool:
        """Converts what makes the models that a builder is given; whether that can be done."""
        for model in [v for v in builder.arguments.values() if isinstance(v, Model)]:
            made = [*activations, *self.program.interpreter.activations]
            maker = next((a for a in made if makes(a, model)), None)
            if maker is None or isinstance(self.convert_builder(maker), Declined) or not self.make_given(maker, made):
                return False
        return True

    def plan_layer(self, layer: Instance, expression: str, setup: str) -> EntryPlan:
        """A model that is an object of a class of the program: the class is kept, for the inputs that were seen."""
        interpreter = self.program.interpreter
        graph = traced(layer, interpreter, self.inputs)
        weights = self.weights_of(graph, layer)
        try:
            cls = root_class(interpreter, self.findings, self.memory, layer, graph)
            classes = self.settle(cls)
            self.try_out(classes)
        except (StageError, CannotKeep, ProgramError) as error:
            raise Declined(
                "K2T107", f"{layer.cls.name}: {error}", "", layer.cls.env.module.span(layer.cls.node)
            ) from None
        finally:
            self.memory.classes.clear()
        self.done[layer.cls.node, expression] = Written(layer.cls.env.module, classes, None, cls)
        self.planned[expression] = graph
        graph.attributes["__root__"] = cls
        inputs = [x.type for x in tensors(graph.inputs)]
        for finding in findings_of_root(layer, cls, inputs, self.program.interpreter.generation, classes):
            self.findings.add(finding)
        return EntryPlan(
            expression,
            setup,
            layer_entry(expression, cls, layer),
            setup,
            "specialised" if cls.guards else "structure",
            findings=tuple(self.all_findings()),
            shapes=tuple(t.shape for t in inputs),
            ids=any(not t.dtype.startswith("float") for t in inputs),
            **weights,
        )

    def weights_of(self, model: Model, root: Any = None) -> dict[str, Any]:
        """What a plan says of the weights of `model`; `root` is what stands for it in the program, where not itself."""
        pairs = layers_with_units(model, self.program.interpreter)
        saved = saved_model(model if root is None else root, pairs, self.program.interpreter)
        return {"units": tuple(unit for _, unit in pairs), "saved": saved}

    def plan_composed(
        self, expression: str, setup: str, weights: dict[str, Any], activations: list[Activation]
    ) -> EntryPlan:
        """The entry as one class of its own, added to the file; it is given the models that builders make for it."""
        name = f"Entry{sum(1 for k in self.done if isinstance(k, str) or is_script(k)) + 1}"
        env = self.program.entry_env
        assert env is not None
        body = ast.parse(f"def {name}():\n    return ({expression}\n)").body[0]
        function = Function(body, env, self.program.interpreter)  # type: ignore[arg-type]
        builders = self.factories(outermost(activations))
        around = Snapshot(env)
        self.memory.apart.clear()
        try:
            factory, classes = self.keep(function, {}, name, builders)
        except Declined as declined:
            raise Declined(declined.code, f"{expression}: {declined.message}") from None
        finally:
            around.restore()
        if list(constructions(factory.prologue)):
            raise Declined("K2T203", f"{expression}: it makes several models", "Ask for each by itself.")
        for node in factory.calls:
            self.take(node)
        tier = self.worst_tier(factory)
        if factory.root is not None:
            self.done[expression] = Written(self.program.source, classes, None, factory.root)
        module = self.program.source.name
        torch = composed_expression(
            factory.prologue,
            factory.returned,
            f"__import__('importlib').import_module({module!r}).{name}",
            factory.printed,
        )
        return EntryPlan(expression, setup, torch, setup, tier, findings=tuple(self.all_findings()), **weights)

    def plan_project(self, programs: Sequence[Program]) -> list[EntryPlan]:
        """What `plan_all` finds in each of the files of a project; their functions are called with what any file gives."""
        self.project = [p.source for p in programs]
        for program in programs:
            program.evaluate_main()
        self.call_functions([f for p in programs for f in p.functions()])
        plans = []
        for self.program in programs:
            self.planned.clear()
            plans += self.plan_file()
        for self.program in programs:
            self.convert_parts()
        return plans

    def plan_all(self) -> list[EntryPlan]:
        """Every model that the file builds at its top level, and every function that builds one."""
        self.program.evaluate_main()
        self.program.interpreter.tries = True
        self.call_functions(self.program.functions())
        plans = self.plan_file()
        self.convert_parts()
        return plans

    def call_functions(self, functions: Sequence[tuple[str, Function, Any]]) -> None:
        """Calls what the program does not call itself; first what needs no arguments, as it may call the rest."""
        for _, function, receiver in sorted(functions, key=lambda f: needs_arguments(f[1], f[2])):
            self.called(function, receiver)

    def plan_file(self) -> list[EntryPlan]:
        plans: list[EntryPlan] = []
        for name, model in self.own(models_at_top(self.program)):
            if model.inputs is None and not is_used_part(model, self.program.interpreter):
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
        plans += self.plan_script(self.script_models())
        tops = self.own(own_models_at_top(self.program))
        for name, layer in [*tops, *own_models_trained(self.program, [m for _, m in tops])]:
            if is_holder(layer):
                continue  # what trains it says what becomes of it
            try:
                plan = self.plan_layer(layer, name, "")
                plans += [plan] if (name, layer) in tops else []
            except Declined as declined:
                self.findings.add(declined.finding())
                self.done[layer.cls.node] = declined
        blocks = [a.function for a in self.program.interpreter.blocks if a.function.module is self.program.source]
        functions = [*self.program.functions(), *(("", f, None) for f in blocks)]
        inner = self.inner_builders()
        for name, function, receiver in sorted(functions, key=lambda f: f[1].node in inner):
            if function.node in [
                w.factory.function.node for w in self.done.values() if isinstance(w, Written) and w.factory
            ]:
                continue
            if function.node in inner and function.node in self.memory.visited:
                continue  # it became a part of those that call it
            activation = self.called(function, receiver)
            if isinstance(activation, Declined):
                self.findings.add(activation.finding())
                self.done[function.node] = activation
            if not isinstance(activation, Activation):
                continue
            plans += (
                self.plan_worker(activation) if activation.works else self.plan_function(name, activation, receiver)
            )
        return plans

    def convert_parts(self) -> None:
        """The layers and functions on tensors of a file that no model uses."""
        self.program.interpreter.note_measures_of_own()
        lone = LoneParts(
            self.program, self.memory, self.findings, lambda function, given: self.keep(function, given, "Part", {})
        )
        for part in self.program.parts():
            measures = measured_in(part, self.program) is not None
            if part.node in self.memory.visited and not measures or part.node in self.done:
                continue
            if part.node in self.program.interpreter.trainers:
                continue
            converted = lone.convert(part)
            if converted is not None:
                self.done[part.node], finding = converted
                self.report([finding] if finding is not None else [])

    def own(self, found: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        """Models at the top level of a file without those that it imports from others of the project."""
        if not self.project:
            return found
        imports = (ast.Import, ast.ImportFrom)
        names = assigned_names([s for s in self.program.source.tree.body if not isinstance(s, imports)])
        return [(name, model) for name, model in found if name in names]

    def inner_builders(self) -> set[ast.AST]:
        """The nodes of the builders that only other builders call."""
        activations = self.program.interpreter.activations
        inner = {id(i) for a in activations for i in a.inner if i.function.node is not a.function.node}
        calls = [a for a in activations if not a.assumed]
        return {a.function.node for a in calls} - {a.function.node for a in calls if id(a) not in inner}

    def called(self, function: Function, receiver: Any) -> Activation | Declined | None:
        """A call of a function that builds a model: one that the program makes, else one with what can be made up."""
        activations = self.program.interpreter.activations
        known = [a for a in activations if a.function.node is function.node and not a.assumed]
        if known:
            return known[-1]
        if function.node in self.program.interpreter.trainers or measured_in(function, self.program) is not None:
            return None
        if function.node not in self.tried:
            try:
                self.tried[function.node] = self.program.try_builder(function, receiver)
            except Declined as declined:
                self.tried[function.node] = declined
        return self.tried[function.node]

    def plan_worker(self, activation: Activation) -> list[EntryPlan]:
        """The models that a function makes and trains."""
        written = self.convert_builder(activation)
        if isinstance(written, Declined):
            self.findings.add(written.finding())
            return []
        assert written.factory is not None and written.factory.statements is not None
        if activation.function.owner is not None or not activation.block:
            return []
        given = bindings_of(activation)
        statements, interpreter = written.factory.statements, self.program.interpreter
        plans = []
        for name, variable in (pair for pairs in statements.assigned.values() for pair in pairs):
            node = next(n for n, v in statements.variables.items() if v.code == variable)
            model = next((m for m in reversed(interpreter.models) if interpreter.makers.get(id(m)) is node), None)
            if model is None or name in self.planned:
                continue
            self.planned[name] = model
            weights = self.weights_of(model)
            plans.append(EntryPlan(name, "", name, "", written.tier, block=activation.block, given=given, **weights))
        return plans

    def plan_function(self, name: str, activation: Activation, receiver: Any) -> list[EntryPlan]:
        written = self.convert_builder(activation)
        if isinstance(written, Declined):
            self.findings.add(written.finding())
            return []
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
            return []
        named = next((n for n, m in models_at_top(self.program) if m is activation.result), "")
        if needs_arguments(activation.function) and not named:
            return []
        expression = named if needs_arguments(activation.function) else f"{name}()"
        self.planned[expression] = activation.result
        assert written.factory is not None
        weights = self.weights_of(activation.result)
        return [EntryPlan(expression, "", expression, "", written.factory.tier, **weights)]

    # --- how ------------------------------------------------------------------------------------------------------

    def convert_builder(self, activation: Activation) -> Written | Declined:
        """The function of an activation as a factory, in the best tier that works, with the builders that it calls."""
        return self.take(self.prepare(activation))

    def take(self, node: ast.AST) -> Written | Declined:
        """Makes a prepared builder, and those that it calls, parts of the result."""
        if node not in self.done:
            written, findings = self.prepared[node]
            self.done[node] = written
            self.findings.items += findings
            if isinstance(written, Written) and written.factory is not None:
                for called in written.factory.calls:
                    self.take(called)
                written.factory.tier = self.tier_of(node)
        return self.done[node]

    def prepare(self, activation: Activation) -> ast.AST:
        """Converts a builder that may become a part of the result; the node it is known by."""
        key = activation.function.node
        if key not in self.prepared and key not in self.done:
            self.asked[key] = activation
            marks = len(self.findings.items)
            if activation.works:
                body, making = activation.function.node.body, self.program.interpreter.making  # type: ignore[union-attr]
                part = making_part(body, making)
                self.memory.workers[key] = Worker(part, read_for(part, making), self.program.interpreter.refilled)
            now = Snapshot(activation.function.env, activation.arguments.values())
            if activation.before is not None:
                activation.before.restore()
            written = self._convert_builder(activation)
            now.restore()
            self.prepared[key] = written, self.findings.items[marks:]
            del self.findings.items[marks:]
        return key

    def prepare_again(self, node: ast.AST) -> Factory | None:
        """Converts a builder once more, as its class has to show more of its sizes; None if that fails."""
        self.prepared.pop(node, None)
        known = self.done.pop(node, None)
        self.prepare(self.asked[node])
        written = self.prepared[node][0]
        if known is not None:
            self.done[node] = written  # what there is to say of it has been said
        return written.factory if isinstance(written, Written) else None

    def _convert_builder(self, activation: Activation) -> Written | Declined:
        function = activation.function
        builders = self.factories(inner for inner in activation.inner if inner.function.node is not function.node)
        marks = len(self.findings.items)
        title = "Net" if activation.works else class_name(function)
        try:
            factory, classes = self.keep(function, activation.arguments, title, builders)
            called = [self.tier_of(node) for node in factory.calls]
            if any(TIERS.index(tier) > TIERS.index(factory.tier) for tier in called):
                items = self.findings.items[marks:]
                del self.findings.items[marks:]
                alone, own = self.keep(function, activation.arguments, class_name(function), {})
                if TIERS.index(alone.tier) < max(map(TIERS.index, called)):
                    factory, classes = alone, own
                else:
                    self.findings.items[marks:] = items
        except Declined as declined:
            return declined
        self.report(findings_of_builder(factory))
        factory.kinds = kinds_of(activation.result)
        return Written(function.module, classes, factory, factory.root)

    def factories(self, calls: Iterable[Activation]) -> dict[ast.AST, Factory]:
        """The factories of the builders that are called, of those that could be converted and fit all of the calls."""
        found: dict[ast.AST, list[Activation]] = {}
        for activation in calls:
            found.setdefault(self.prepare(activation), []).append(activation)
        written = {node: self.done.get(node) or self.prepared[node][0] for node in found}
        factories = {n: w.factory for n, w in written.items() if isinstance(w, Written) and w.factory is not None}
        return {n: f for n, f in factories.items() if all(kinds_of(a.result) == f.kinds for a in found[n])}

    def tier_of(self, node: ast.AST) -> str:
        """The tier of a builder, which is the worst of those that it is made of."""
        written = self.done.get(node) or self.prepared[node][0]
        if not isinstance(written, Written) or written.factory is None:
            return "flat"
        return self.worst_tier(written.factory)

    def worst_tier(self, factory: Factory) -> str:
        return max([factory.tier, *map(self.tier_of, factory.calls)], key=TIERS.index)

    def keep(
        self, function: Function, arguments: dict[str, Any], name: str, builders: dict[ast.AST, Factory]
    ) -> tuple[Factory, list[ModuleClass]]:
        """A builder in the best tier that works, and the classes it needs. Raises Declined if none does.

        Calls of `builders` stay calls of them.
        """
        self.memory.builders = builders
        errors: list[str] = []
        shown: list[Any] = []
        """Sizes that the classes of other builders were asked to show."""
        marks = len(self.findings.items)
        attempts = [stage_factory, flat_factory]
        while attempts:
            attempt = attempts.pop(0)
            try:
                factory = attempt(self.program.interpreter, self.findings, self.memory, function, arguments, name)
                self.settler.demands |= {(cls.key, label) for cls in factory.classes for label in cls.outs}
                classes = self.settle(*factory.classes)
                self.try_out(classes)
                check_sizes(factory)
                factory.printed = settle_statements(factory.prologue, names_in(factory.returned), arguments)
                if factory.statements is not None:
                    factory.printed |= source_names(factory.prologue, factory.statements, list(arguments))
                self.report(finding_of_tier(factory, errors))
                self.memory.classes.clear()  # settled classes no longer say what another evaluation asks
                return factory, classes
            except CannotKeep as error:
                source = getattr(getattr(error.cls, "source", None), "node", None)
                undecided = [node for node in error.tests if node not in self.memory.decided]
                if undecided:
                    self.memory.decided += undecided
                    attempts.insert(0, attempt)
                elif error.separate and source is not None and source not in self.memory.separate:
                    self.memory.separate.append(source)
                    attempts.insert(0, attempt)
                elif source is not None and source not in self.memory.inlined:
                    self.memory.inlined.append(source)
                    attempts.insert(0, attempt)
                elif error.loop is not None and error.loop not in self.memory.unrolled:
                    self.memory.unrolled.append(error.loop)
                    attempts.insert(0, attempt)
                errors.append(str(error))
            except Again as signal:
                size = (signal.maker, signal.place) if isinstance(signal, Show) else None
                if size in shown:  # which did not help
                    errors.append(str(signal))
                else:
                    signal.note(self.memory)
                    attempts.insert(0, attempt)
                if isinstance(signal, Show) and size not in shown:
                    shown.append(size)
                    self.memory.builders = {**builders, signal.maker: self.prepare_again(signal.maker)}
            except NotGathered as error:
                if error.node in self.memory.unrolled:
                    errors.append(str(error))
                else:
                    self.memory.unrolled.append(error.node)
                    attempts.insert(0, attempt)
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
        reason = errors[0] if function.name == "__init__" else errors[-1]  # a constructor has no flat form
        raise Declined("K2T203", f"{function.name}: {reason}", "", function.module.span(function.node))

    def settle(self, *roots: ModuleClass) -> list[ModuleClass]:
        """Settles classes and those inside them, and returns all, each after those inside it. Raises CannotKeep.

        A submodule whose sizes are read stays an attribute of its own.
        """
        self.settler.leave_out_unread(roots)
        for cls in roots:
            self.settler.find_demands(cls)
        for member, key, label in self.memory.shown:
            member.exposed |= (key, label) in self.settler.demands
        self.memory.shown.clear()
        for cls in roots:
            self.settler.settle(cls)
        classes = list(dict.fromkeys(c for cls in roots for c in self.settler.needed(cls)))
        if not self.settler.reads(classes) <= self.settler.demands:
            raise CannotKeep("a size is read that its class does not show")
        return classes

    def all_findings(self) -> list[Finding]:
        """The findings, but for what the plain evaluation left to the training code and a factory took over."""
        over = self.memory.frozen_here
        return [
            f for f in self.findings.items if f.code != "K2T404" or f.severity is Severity.ERROR or f.span not in over
        ]

    def report(self, found: Iterable[Finding]) -> None:
        for finding in found:
            self.findings.add(finding)

    def origins(self) -> dict[Path, frozenset[int]]:
        """The lines of the source that went into the result, by file."""
        written = [w for w in self.done.values() if isinstance(w, Written)]
        statements = [(w.source, s) for w in written for s in w.statements]
        files = {w.source for w in written}
        copied = [(f.module, f.node) for f in self.memory.static_functions if f.module not in files]
        return lines_used(self.memory.visited, [*statements, *copied])

    def try_out(self, classes: list[ModuleClass]) -> None:
        """Writes settled classes for a look at the text: what cannot be written is not kept. Raises CannotKeep."""
        for cls in classes:
            check_reads(cls)
        known = {f.name for f in self.memory.static_functions} | {c.name for c in classes} | GENERATED
        known |= {f.name for f in self.memory.on_tensors.values()}
        for cls in classes:
            writer = ClassWriter(cls, self.settler.printed[cls])
            try:
                text = writer.write()
                unknown = undefined_names(text) - known - set(writer.helpers)
            except (KeyError, AssertionError, SyntaxError) as error:
                raise CannotKeep(f"{cls.name} cannot be written ({type(error).__name__}: {error})") from None
            for label, node in self.memory.unsaid.items():
                if label.partition("__v")[0] in unknown:
                    raise node if isinstance(node, Again) else NotGathered(node)
            if unknown:
                raise CannotKeep(f"{cls.name} would use {', '.join(sorted(unknown))}, which nothing defines")

    def script_models(self) -> dict[str, Model]:
        """The models of the file's top level, if it makes any by itself; those that its builders return stay calls."""
        trained = {id(m) for block in self.program.interpreter.blocks for m in block.result}
        tops = self.own(models_at_top(self.program))
        found = {name: model for name, model in tops if model.inputs is not None and id(model) not in trained}
        activations = self.program.interpreter.activations
        returned = {id(a.result) for a in activations if not is_framework(a.function.module.name)}
        marked = self.program.interpreter.statement_marks
        return found if any(id(m) not in returned or not marked for m in found.values()) else {}

    def plan_script(self, models: dict[str, Model]) -> list[EntryPlan]:
        """The models that a script builds at its top level; one by one if they do not work together."""
        if not models:
            return []
        interpreter = self.program.interpreter
        try:
            tier = self.convert_script(models).tier
            self.planned |= models
            return [EntryPlan(n, "", n, "", tier, **self.weights_of(m)) for n, m in models.items()]
        except Declined as declined:
            shared = len(models) > 1 and share_layers(models.values(), interpreter)
            if len(models) == 1 or shared:
                self.findings.add(declined.finding())
                return []
        return [plan for name, model in models.items() for plan in self.plan_script({name: model})]

    def convert_script(self, models: dict[str, Model]) -> Written:
        """The models that a script builds at its top level: their classes, and the statements that make them."""
        key, models = (self.program.source, ", ".join(models)), dict(models)
        if key in self.done:
            return self.done[key]  # type: ignore[return-value]
        source, interpreter = self.program.source, self.program.interpreter
        renamed = renamings(self.program, models)
        names = self.program.evaluate().names
        models |= {n: names[n] for n in assigned_names(renamed)}
        left = toggles_of_training(interpreter)
        statements = [
            s
            for s in source.tree.body
            if s not in left
            and (id(s) in interpreter.statement_marks or s in renamed)
            and not isinstance(s, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef))
        ]
        first, model = next(iter(models.items()))
        body = body_of_script(self.program, list(models), renamed)
        node = ast.FunctionDef(first, ast.arguments([], [], None, [], [], None, []), body, [], None)
        ast.fix_missing_locations(node)
        module_env = Env(None, "module", source, names)
        builders = {} if len(models) == 1 else self.factories(outermost(interpreter.activations))
        now, start = Snapshot(module_env), interpreter.starts.get(source)
        if start is not None:
            start.restore()
        function = Function(node, module_env, interpreter)
        self.memory.at_top[node] = statements
        try:
            factory, classes = self.keep(function, {}, script_class_name(first, model.name), builders)
        except Declined:
            if not self.leave_to_training(models.values()):
                raise
            now.restore()
            return self.convert_script({n: m for n, m in models.items() if n in key[1].split(", ")})
        finally:
            now.restore()
        for called in factory.calls:
            self.take(called)
        origins = [getattr(getattr(cls, "source", None), "node", None) for cls in classes]
        below = max((n.lineno for n in origins if isinstance(n, ast.ClassDef) and n in source.tree.body), default=0)
        others = [s for s in source.tree.body if s not in statements]
        try:
            places = places_of_models(factory, statements, others, list(models), below)
        except StageError as error:
            raise Declined("K2T203", f"{first}: {error}", "", source.span(statements[0])) from None
        written = Written(source, classes, factory, factory.root, statements, list(models), places)
        self.done[key] = written
        return written

    def leave_to_training(self, models: Iterable[Model]) -> bool:
        """Has the training code freeze what the program freezes of some models; whether there is more of that."""
        interpreter = self.program.interpreter
        own = {part for model in models for part in parts_of(model, interpreter)}
        concerned = [t for t in interpreter.toggles if parts_of(t.target, interpreter) & own]
        more = {id(t.target) for t in concerned} - interpreter.left_to_training
        interpreter.left_to_training |= more
        self.memory.frozen_here -= {t.span for t in concerned}
        return bool(more)

    def write(self) -> list[ConvertedModule]:
        """The texts of all files that changed; the file being converted first."""
        written = [c for w in self.done.values() if isinstance(w, Written) for c in w.classes]
        for finding in left_out_methods(written, self.memory.visited):
            self.findings.add(finding)
        outcome = Outcome(
            self.program,
            self.findings,
            self.options,
            self.only_entries,
            self.memory,
            self.settler.printed,
            self.done,
            self.project,
        )
        rewriter = Rewriter(outcome)
        modules = rewriter.write()
        self.training = rewriter.training
        return modules

    def with_training(self, plans: Sequence[EntryPlan]) -> list[EntryPlan]:
        """Plans with how their models are trained, once the files are written, and what there still is to say of them."""
        trained = [
            next((t for m, t in reversed(self.training) if m is self.planned.get(p.expression)), None) for p in plans
        ]
        left = [tuple(f for f in p.findings if f in self.findings.items) for p in plans]
        numbers = self.numbers()
        return [replace(p, training=t, findings=f, numbers=numbers) for p, t, f in zip(plans, trained, left)]

    def numbers(self) -> dict[str, Any]:
        """What the data decide → the numbers that were made up for it."""
        factories = [w.factory for w in self.done.values() if isinstance(w, Written) and w.factory is not None]
        found = [*(n for f in factories for n in f.numbers), *(n for a in self.asked.values() for n in a.numbers)]
        examples = [(n, self.program.interpreter.example(n, "")) for n in found]
        return {n.bound.text if isinstance(e, ArrayExample) else n.text: e for n, e in examples}


def is_script(key: Any) -> bool:
    """Whether something was decided for the models of a script."""
    return isinstance(key, tuple) and isinstance(key[0], SourceModule)


def _kind(value: Any) -> str:
    return f"unknown ({value.reason})" if isinstance(value, Unknown) else type(value).__name__.lower()
