"""Abstract evaluation of the program: Python's semantics over known, symbolic and unknown values.

The evaluator walks the syntax tree of the source; it never executes it. What a value means to Keras is the business of
`KerasCalls` (layers, models, shapes); how loops, branches and calls are kept is that of the stager, which overrides the
hooks `open_branch`, `loop` and `call_function`.
"""

from __future__ import annotations

import ast
import importlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from transpiler.diagnostics import Declined, Finding, Findings, Severity, excerpt
from transpiler.ir.expr import (
    NeedsConstant,
)
from transpiler.ir.model import ApiValue
from transpiler.read.keras.evaluate import natives, numbers
from transpiler.read.keras.evaluate.calls import Calls
from transpiler.read.keras.evaluate.expressions import Expressions
from transpiler.read.keras.evaluate.objects import Objects
from transpiler.read.keras.evaluate.signals import (
    MAX_SECONDS,
    ProgramError,
    Signal,
)
from transpiler.read.keras.evaluate.statements import Statements
from transpiler.read.keras.evaluate.syntax import (
    assigned_names,
)
from transpiler.read.keras.evaluate.undecided import names_of_changed
from transpiler.read.keras.evaluate.values import (
    Env,
    Module,
    Unknown,
    has_tensors,
)
from transpiler.read.keras.names import Loader, canonical, is_application, is_framework
from transpiler.read.keras.parse import SourceModule


class Interpreter(Statements, Expressions, Calls, Objects):
    """One evaluation of a program, from its entry module on."""

    def __init__(self, loader: Loader, generation: str, findings: Findings) -> None:
        self.loader, self.generation, self.findings = loader, generation, findings
        self.modules: dict[str, Any] = {}
        self.module_order: list[SourceModule] = []
        self.stack: list[tuple[SourceModule, ast.AST]] = []
        self.depth = 0
        self.in_try = 0
        self.handled: list[Any] = []
        """The exceptions whose handlers are running, the innermost last."""
        self.begin_task()
        self.builtins = self._builtins()
        self.missing_imports: list[str] = []
        self.passed_over: set[ast.AST] = set()
        """The `break` and `continue` statements of loops over what is not known."""
        self.asked_environment: list[str] = []
        """Environment variables that the program asked for and did not set."""
        self._eval_table: dict[type, Callable[[Any, Env], Any]] = {
            node: getattr(self, "eval_" + node.__name__)
            for node in vars(ast).values()
            if isinstance(node, type) and issubclass(node, ast.expr) and hasattr(self, "eval_" + node.__name__)
        }
        self._exec_table: dict[type, Callable[[Any, Env], Signal | None]] = {
            node: getattr(self, "exec_" + node.__name__)
            for node in vars(ast).values()
            if isinstance(node, type) and issubclass(node, ast.stmt) and hasattr(self, "exec_" + node.__name__)
        }

    def where(self) -> Any:
        """The span of the innermost node under evaluation."""
        if not self.stack:
            return None
        module, node = self.stack[-1]
        return module.span(node)

    def report(self, code: str, message: str, advice: str = "", severity: Severity = Severity.WARNING) -> None:
        span = self.where()
        self.findings.add(Finding(code, severity, message, advice, span, excerpt(span)))

    def declined(self, code: str, message: str, advice: str = "") -> Declined:
        return Declined(code, message, advice, self.where())

    def begin_task(self) -> None:
        """Gives what follows, the evaluation of a file, an entry or a call, its own limits of steps and time."""
        self.ticks = 0
        self.deadline = time.process_time() + MAX_SECONDS
        self.uids: dict[str, int] = {}
        """What `K.get_uid` has counted."""

    def import_module(self, name: str) -> Any:
        """The module `name` as a value: evaluated source, a framework path, a standard module, or unknown."""
        if name in self.modules:
            return self.modules[name]
        if is_framework(name) and not is_application(name):
            return ApiValue(canonical(name))
        if name == "numpy" or name.startswith("numpy."):
            return numbers.Numpy() if name == "numpy" else Unknown(f"{name} is not evaluated")
        if name in natives.MODULES:
            return natives.MODULES[name]
        if name in natives.LIBRARIES:
            return [importlib.import_module(n) for n in (*natives.LIBRARIES, name)][-1]
        if name.partition(".")[0] in natives.INERT or name in natives.INERT:
            return self.inert_module(name)
        parent = name.rpartition(".")[0]
        if parent:
            self.import_module(parent)
            if name in self.modules:
                return self.modules[name]
        path = self.modules.get(parent)
        source = (
            self._load_below(path, name)
            if isinstance(path, Module) and "__path__" in path.names
            else self.loader.load(name)
        )
        if source is None:
            if name not in self.missing_imports:
                self.missing_imports.append(name)
            value: Any = Unknown(f"the import {name} is not part of the project")
            self.modules[name] = value
            return value
        return self.evaluate_module(source)

    def _load_below(self, package: Module, name: str) -> SourceModule | None:
        from pathlib import Path

        leaf = name.rpartition(".")[2]
        for folder in package.names["__path__"]:
            for candidate, is_package in (
                (Path(folder) / leaf / "__init__.py", True),
                (Path(folder) / f"{leaf}.py", False),
            ):
                if candidate.is_file():
                    return self.loader.parse_file(candidate, name, is_package)
        return None

    def inert_module(self, name: str) -> Any:
        from transpiler.read.keras.evaluate import stdlib

        module = self.modules[name] = Module(name, stdlib.names_of(name, self))
        return module

    def evaluate_module(self, source: SourceModule) -> Module:
        """Evaluates the top level of a module once. A statement that fails leaves its names unknown."""
        module = Module(source.name, {"__name__": source.name, "__file__": str(source.path), "__doc__": None}, source)
        self.modules[source.name] = module
        self.module_order.append(source)
        if source.package:
            module.names["__path__"] = [str(source.path.parent)]
        env = Env(None, "module", source, module.names)
        self.exec_module_body(source.tree.body, env)
        parent, _, leaf = source.name.rpartition(".")
        if isinstance(self.modules.get(parent), Module):
            self.modules[parent].names.setdefault(leaf, module)
        return module

    def exec_module_body(self, body: list[ast.stmt], env: Env) -> None:
        for statement in body:
            before = dict(env.names)
            try:
                self.exec(statement, env)
            except (Declined, ProgramError, NeedsConstant) as error:
                self.module_statement_failed(statement, env, error, before)

    def module_statement_failed(
        self, statement: ast.stmt, env: Env, error: Exception, before: Mapping[str, Any]
    ) -> None:
        """What a statement may have set or changed is unknown, but for what it has set before it failed."""
        if isinstance(error, Declined) and error.code == "K2T005":
            raise error
        unknown = Unknown(str(error) or "its definition could not be evaluated")
        if not isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            for scope, name in names_of_changed(statement, env, self.builtins):
                scope.names[name] = unknown
        for name in assigned_names([statement]):
            simple = isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign))
            now = env.names.get(name, unknown)
            if simple or has_tensors(now) or now is before.get(name, unknown):
                env.names[name] = unknown  # what it held before is not what it holds now


sys.setrecursionlimit(max(sys.getrecursionlimit(), 20_000))
