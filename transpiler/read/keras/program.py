"""One program: its modules, the functions of it that build models, and the models asked for."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from transpiler.diagnostics import Declined, Findings
from transpiler.ir.expr import NeedsConstant
from transpiler.ir.model import ApiObject, ApiValue, Layer
from transpiler.ir.program import Value
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.api import BUILDING_METHODS, TRAINING_METHODS, WEIGHT_METHODS
from transpiler.read.keras.evaluate.data_objects import DataObjects
from transpiler.read.keras.evaluate.effects import Snapshot
from transpiler.read.keras.evaluate.generations import Generations
from transpiler.read.keras.evaluate.keras_calls import KerasInterpreter
from transpiler.read.keras.evaluate.loaded_models import HOLDER, LOADED
from transpiler.read.keras.evaluate.maybe import MayRun
from transpiler.read.keras.evaluate.own_models import is_holder
from transpiler.read.keras.evaluate.pipelines import Pipelines
from transpiler.read.keras.evaluate.program_classes import MODEL_KINDS, is_own_layer, keras_base
from transpiler.read.keras.evaluate.signals import ProgramError
from transpiler.read.keras.evaluate.syntax import assigned_names
from transpiler.read.keras.evaluate.tapes import Tapes
from transpiler.read.keras.evaluate.training_calls import History, TrainingCalls
from transpiler.read.keras.evaluate.values import (
    Bound,
    Class,
    EntryEnv,
    Env,
    Function,
    Instance,
    Model,
    Module,
    Partial,
    Unknown,
    own_copy,
)
from transpiler.read.keras.examples import attempts, tensor_parameters
from transpiler.read.keras.names import Loader, module_name
from transpiler.read.keras.parse import SourceModule, parse
from transpiler.read.keras.workers import Activation, Workers

CALLED_BY_KERAS = frozenset(
    ("call", "build", "compute_mask", "compute_output_shape", "compute_output_spec", "get_config", "from_config")
    + ("state_size", "output_size", "get_initial_state")
)
"""Methods of layers and models that Keras calls."""


class Recorder(Workers, MayRun, Generations, TrainingCalls, Pipelines, DataObjects, Tapes, KerasInterpreter):
    """The concrete interpreter; it notes which functions build models."""

    def __init__(self, loader: Loader, generation: str, findings: Findings) -> None:
        super().__init__(loader, generation, findings)
        self.begin_training()
        self.begin_pipelines()
        self.begin_data()
        self.begin_tapes()
        self.begin_generations()
        self.begin_work()
        self.of_any_length = set()
        self.rewritten: dict[ast.Call, str] = {}
        """Calls on models that have a torch idiom → its text."""
        self.left_out: dict[ast.Call, str] = {}
        """Calls on models that are not translated → the method."""
        self.failed: dict[ast.stmt, Declined] = {}
        """Top-level statements that are not translated, and why."""
        self.statement_marks: set[int] = set()
        """Top-level statements that made layers, tensors or models."""
        self.tape_marks: set[int] = set()
        """Top-level statements that made none of them and train with tapes."""
        self.about: dict[ast.AST, bool] = {}
        """Definitions of the program → whether they are about Keras."""
        self.failed_marks: set[int] = set()
        """Top-level statements whose evaluation failed."""
        self.before: Snapshot | None = None
        self.starts: dict[SourceModule, Snapshot] = {}
        """For each module, its state before the first statement that made layers, tensors or models."""

    def model_method(self, model: Model, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        node = self.stack[-1][1] if self.stack else None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if name == "summary":
                self.rewritten[node] = f"print({ast.unparse(node.func.value)})"
            elif name == "build":
                self.rewritten[node] = ""  # the sizes are known when it is constructed
            elif name not in BUILDING_METHODS:
                self.left_out[node] = name
            if name != "add_loss" and name in (*TRAINING_METHODS, *WEIGHT_METHODS, "reset_states"):
                call = self.note_training(node, model, name, args, kwargs)
                if name in ("fit", "fit_generator"):
                    super().model_method(model, name, args, kwargs)
                    self.visit_callbacks(model, kwargs.get("callbacks"))
                    return History(f"the result of {name}()", call)
        return super().model_method(model, name, args, kwargs)

    def scopes_under_way(self) -> Iterator[Env]:
        return (env for _, env in self.calling)

    def call_api(self, api: ApiValue, args: list[Any], kwargs: dict[str, Any]) -> Any:
        result = super().call_api(api, args, kwargs)
        self.note_object(result)
        return result

    def run_function(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Any:
        before, first = len(self.models), len(self.activations)
        given = [own_copy(a) for a in args], own_copy(kwargs)  # as they were before the function changed them
        if args and isinstance(args[0], Instance) and function.owner is not None:
            given[0][0] = Instance(args[0].cls, own_copy(args[0].attributes))
        try:
            result = super().run_function(function, args, kwargs)
        except (Declined, ProgramError, NeedsConstant):
            self.note_activation(function, given, args[:1], None, before, first, failed=True)
            raise
        self.note_activation(function, given, args[:1], result, before, first)
        return result

    def module_statement_failed(
        self, statement: ast.stmt, env: Env, error: Exception, before: Mapping[str, Any]
    ) -> None:
        super().module_statement_failed(statement, env, error, before)
        self.failed_marks.add(id(statement))
        if isinstance(error, Declined):
            self.failed[statement] = error

    def exec_module_body(self, body: list[ast.stmt], env: Env) -> None:
        for statement in body:
            before, outer, toggles = self._made(), self.before, len(self.toggles)
            computed, taped = len(self.origins), self.times_taped
            calls = calls_of(statement)
            if calls and uses_keras_or_program(calls, env, self.about, env.module not in self.starts):
                self.before = Snapshot(env)
            state = self.before
            with self.watched([statement], env, statement, isinstance(statement, (ast.If, ast.With, ast.Try))):
                super().exec_module_body([statement], env)
            self.before = outer
            called = {id(inner) for inner, _, _ in self.nested.values()}
            freezes = any(not t.late and id(t.target) not in called for t in self.toggles[toggles:])
            if self.times_taped > taped:  # tensors beside tapes are no parts of models
                before += len(self.origins) - computed
            if (self._made() > before or freezes) and not self.is_block(statement):
                self.statement_marks.add(id(statement))
                if state is not None:
                    self.starts.setdefault(env.module, state)
            elif self.times_taped > taped:
                self.tape_marks.add(id(statement))

    def _made(self) -> int:
        return (
            sum(not is_holder(layer) for layer in self.layers)
            + len(self.origins)
            + len(self.models)
            + self.losses_added
        )


def calls_of(statement: ast.stmt) -> list[ast.Call]:
    """The calls that running a top-level statement may make; none for a definition."""
    if isinstance(statement, (ast.Import, ast.ImportFrom, ast.FunctionDef)):
        return []
    return [n for n in nodes(statement) if isinstance(n, ast.Call)]


def uses_keras_or_program(calls: list[ast.Call], env: Env, known: dict[ast.AST, bool], direct: bool) -> bool:
    """Whether calls may run code of the program that is about Keras; with `direct`, also whether they name Keras.

    `known` remembers which definitions are about Keras.
    """
    names = {n.id for call in calls for n in nodes(call) if isinstance(n, ast.Name)}
    found = [env.names.get(n) for n in names]
    return any(is_about_keras(v, known) for v in found if direct or not isinstance(v, ApiValue))


def is_about_keras(value: Any, known: dict[ast.AST, bool]) -> bool:
    """Whether a value is of Keras, or code of the program that names such values, over any number of steps."""
    todo, seen = [value], set()
    while todo:
        value = todo.pop()
        if isinstance(value, Bound):
            value = value.function
        if isinstance(value, Instance):
            value = value.cls
        if uses_keras(value) or isinstance(value, (Module, Unknown, Partial)):
            return True
        if not isinstance(value, (Function, Class)) or value.node in seen:
            continue
        seen.add(value.node)
        if known.get(value.node) or any(isinstance(n, (ast.Import, ast.ImportFrom)) for n in nodes(value.node)):
            return True
        todo += [
            value.env.names[n.id] for n in nodes(value.node) if isinstance(n, ast.Name) and n.id in value.env.names
        ]
    known.update(dict.fromkeys(seen, False))
    return False


class Program:
    """The file being converted and everything it is evaluated with."""

    def __init__(
        self, path: Path, text: str | None, name: str, roots: Sequence[Path], generation: str, findings: Findings
    ) -> None:
        self.findings = findings
        self.loader = Loader(roots)
        self.interpreter = Recorder(self.loader, generation, findings)
        package = path.name == "__init__.py"
        if text is not None:
            self.source = parse(text, path, name, package)
            self.loader._parsed[path.resolve()] = self.source
        else:
            self.source = self.loader.parse_file(path, name, package)
            self.source.path = path
        self.module: Module | None = None
        self.entry_env: EntryEnv | None = None

    def beside(self, path: Path) -> Program:
        """Another file of the same project, evaluated together with this one."""
        other = copy.copy(self)
        name, _ = module_name(path, self.loader.roots)
        other.source = self.loader.parse_file(path, name, path.name == "__init__.py")
        other.source.path = path
        other.module = other.entry_env = None
        return other

    def evaluate(self) -> Module:
        """The module's top level, evaluated once; a module that set-up code loaded counts."""
        if self.module is None:
            self.interpreter.begin_task()
            loaded = [m for m in self.interpreter.modules.values() if isinstance(m, Module) and m.source is self.source]
            known = self.interpreter.modules.get(self.source.name)
            if loaded:
                self.module = loaded[0]
            elif isinstance(known, Module) and known.source is self.source:
                self.module = known
            else:
                parent = self.source.name.rpartition(".")[0]
                if parent:
                    self.interpreter.import_module(parent)
                self.module = self.interpreter.modules.get(self.source.name)  # type: ignore[assignment]
                if not isinstance(self.module, Module):
                    self.module = self.interpreter.evaluate_module(self.source)
        return self.module

    def evaluate_main(self) -> None:
        """The part of the file that runs only as a script, beside the module's own names: its calls are witnesses."""
        module = self.evaluate()
        outer = Env(None, "module", self.source, module.names)
        interpreter = self.interpreter
        items = len(self.findings.items)
        for statement in self.source.tree.body:
            if not is_main_block(statement):
                continue
            scope = Env(outer, "function", self.source)
            with interpreter.watched(statement.body, scope, statement):  # type: ignore[attr-defined]
                for inner in statement.body:  # type: ignore[attr-defined]
                    try:
                        interpreter.exec(inner, scope)
                    except (Declined, ProgramError, NeedsConstant):
                        for name in assigned_names([inner]):
                            scope.names.setdefault(name, Unknown("its definition could not be evaluated"))
        del self.findings.items[items:]

    def target_env(self) -> Env:
        module = self.evaluate()
        return Env(None, "module", self.source, module.names)

    def run_setup(self, setup: str) -> None:
        """Evaluates set-up code, statement by statement; what fails leaves its names unknown."""
        source = parse(setup, Path("<setup>"), "<setup>")
        self.entry_env = EntryEnv(source, self.target_env, self.interpreter.builtins)
        self.entry_env.names["__builtins__"] = None
        self.interpreter.exec_module_body(source.tree.body, self.entry_env)

    def evaluate_entry(self, expression: str) -> tuple[Any, list[Activation]]:
        """The value of an entry, and the model-building calls it made. Raises Declined with the reason if it has none."""
        if self.entry_env is None:
            self.run_setup("")
        source = parse(expression, Path("<entry>"), "<entry>")
        if len(source.tree.body) != 1 or not isinstance(source.tree.body[0], ast.Expr):
            raise Declined("K2T201", f"the entry {expression!r} is not an expression")
        before = len(self.interpreter.activations)
        self.interpreter.begin_task()
        assert self.entry_env is not None
        env = self.entry_env
        env.module = source
        state = self.interpreter.before = Snapshot(env, self.evaluate().names.values())
        try:
            value = self.interpreter.eval(source.tree.body[0].value, env)
        except ProgramError as error:
            shown = (
                f"{type(error.value).__name__}: {error.value}"
                if isinstance(error.value, BaseException)
                else str(error.value)
            )
            raise Declined("K2T201", f"the entry {expression} raises {shown}") from None
        except NeedsConstant as error:
            raise Declined("K2T201", str(error)) from None
        finally:
            self.interpreter.before = None
            state.restore()
        return value, self.interpreter.activations[before:]

    def functions(self) -> list[tuple[str, Function, Any]]:
        """The functions of the file: (how to name it, function, receiver) for top-level functions and methods."""
        found: list[tuple[str, Function, Any]] = []
        for name, value in self.evaluate().names.items():
            if isinstance(value, Function) and value.module is self.source and value.name == name:
                found.append((name, value, None))
            elif isinstance(value, Class) and value.env.module is self.source and value.name == name:
                found += [(f"{name}.{n}", f, value) for n, f in value.names.items() if isinstance(f, Function)]
        return found

    def parts(self) -> list[Function | Class]:
        """The functions and the classes of layers at the top level of the file, in order, and what classes of losses compute."""
        found: list[Function | Class] = []
        for name, value in self.evaluate().names.items():
            own = isinstance(value, (Function, Class)) and value.env.module is self.source and value.name == name
            data = own and (value.node in self.interpreter.taped or value.node in self.interpreter.mapped)
            if own and not data and (isinstance(value, Function) or keras_base(value) is not None):
                found.append(value)
            method = value.lookup("call") if own and isinstance(value, Class) else None
            if isinstance(method, Function) and method.node in self.interpreter.measured:
                found.append(method)
        return found

    def try_builder(self, function: Function, receiver: Any) -> Activation | None:
        """A call of a function that builds a model, with its defaults and with what can be made up for the rest.

        Raises Declined for a model that is not translated, whatever is made up.
        """
        if receiver is not None and (function.name == "__init__" or not isinstance(receiver, Class)):
            return None
        own_layer = receiver is not None and keras_base(receiver) is not None
        if tensor_parameters(function) or own_layer and function.name in CALLED_BY_KERAS:
            return None  # it builds a part of a model
        declined: Declined | None = None
        first = [function.node.args.args[0].arg] if receiver is not None and function.node.args.args else []
        for assumed in attempts(function, first):
            try:
                made = self.try_call(function, receiver, assumed)
            except Declined as error:
                declined = declined or error
                continue
            if made is not None:
                made.assumed = assumed
                return made
        if declined is not None:
            raise declined
        return None

    def try_call(self, function: Function, receiver: Any, given: dict[str, Any]) -> Activation | None:
        """The call of a function with these arguments, if it builds a model."""
        interpreter = self.interpreter
        interpreter.begin_task()
        before, marks = len(interpreter.activations), len(interpreter.findings.items)
        about = is_about_keras(function, interpreter.about)
        state = interpreter.before = Snapshot(function.env if about else None)
        try:
            callee: Any = function
            if receiver is not None:
                instance = self.example_of(receiver)
                before = len(interpreter.activations)  # without what was made up for the constructor
                if not isinstance(instance, Instance):
                    return None
                callee = Bound(function, instance)
            interpreter.call(callee, [], own_copy(given))
        except Declined:
            raise
        except Exception:  # what was made up may be of any wrong kind
            del interpreter.findings.items[marks:]
            return None
        finally:
            interpreter.before = None
            state.restore()
        made = [x for x in interpreter.activations[before:] if x.function is function]
        return made[-1] if made else None

    def example_of(self, cls: Class) -> Any:
        """An object of a class of the program, with what can be made up for its constructor."""
        init = cls.lookup("__init__")
        if not isinstance(init, Function):
            return self.interpreter.call(cls, [], {})
        failed: Exception | None = None
        for given in attempts(init, [init.node.args.args[0].arg] if init.node.args.args else []):  # type: ignore[union-attr]
            try:
                return self.interpreter.call(cls, [], own_copy(given))
            except ProgramError as error:
                failed = failed or error
        assert failed is not None
        raise failed


def is_main_block(statement: ast.stmt) -> bool:
    """`if __name__ == "__main__":`"""
    return (
        isinstance(statement, ast.If)
        and "__name__" in ast.unparse(statement.test)
        and "__main__" in ast.unparse(statement.test)
    )


def models_at_top(program: Program) -> list[tuple[str, Model]]:
    """The models that the file binds to names at its top level; that of a name which was given a loaded copy of it."""
    found: list[tuple[str, Model]] = []
    for name, value in program.evaluate().names.items():
        model = made_as(value, name)
        if model is not None and not any(m is model for _, m in found):
            found.append((name, model))
    return found


def made_as(value: Any, name: str) -> Model | None:
    """The model that was made as a variable of the top level, which holds it or a copy of it at the end."""
    if not isinstance(value, Model) or LOADED not in value.attributes:
        return value if isinstance(value, Model) else None
    return value.attributes[LOADED] if value.attributes[HOLDER] == name else None


def own_models_at_top(program: Program) -> list[tuple[str, Instance]]:
    """The models at the top level of the file that are objects of its own classes."""
    found: list[tuple[str, Instance]] = []
    for name, value in program.evaluate().names.items():
        known = any(m is value for _, m in found)
        if is_own_layer(value) and keras_base(value.cls) in MODEL_KINDS and not known:
            found.append((name, value))
    return found


def own_models_trained(program: Program, known: Sequence[Instance]) -> list[tuple[str, Instance]]:
    """Models of the file's own classes that its functions and blocks make and train: one of each class."""
    calls = [c for found in program.interpreter.training_calls.values() for c in found]
    found: dict[Any, Instance] = {}
    for model in (c.model for c in calls if isinstance(c.model, Instance) and is_own_layer(c.model)):
        classes = [m.cls.node for m in (*known, *found.values())]
        if model.cls.env.module is program.source and model.cls.node not in classes and "__seen__" in model.attributes:
            found[model.cls.node] = model
    return [(model.cls.name, model) for model in found.values()]


def uses_keras(value: Any) -> bool:
    """Whether a module-level value belongs to Keras or TensorFlow."""
    return isinstance(value, (ApiValue, ApiObject, Layer, Model, Value))


def skipped(text: str) -> bool:
    return "# keras2torch: skip" in text
