"""Abstract evaluation of the program: Python's semantics over known, symbolic and unknown values.

The evaluator walks the syntax tree of the source; it never executes it. What a value means to Keras is the business of
`KerasCalls` (layers, models, shapes); how loops, branches and calls are kept is that of the stager, which overrides the
hooks `open_branch`, `loop` and `call_function`.
"""

from __future__ import annotations

import ast
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from transpiler.diagnostics import Declined, Finding, Findings, Severity, excerpt
from transpiler.ir.expr import (
    MISSING,
    OPERATORS,
    NeedsConstant,
    Sym,
    binary,
    is_open,
    observe,
    same,
    to_ast,
)
from transpiler.ir.model import ApiObject, ApiValue, Layer
from transpiler.ir.program import Value
from transpiler.read.keras.evaluate import natives
from transpiler.read.keras.evaluate.values import (
    Alternative,
    Bound,
    Class,
    Env,
    Function,
    Instance,
    Method,
    Model,
    Module,
    Native,
    Property,
    Super,
    TensorShape,
    Unknown,
    Wrapped,
    has_tensors,
)
from transpiler.read.keras.names import Loader, canonical, is_application, is_framework
from transpiler.read.keras.parse import SourceModule

MAX_STEPS = 3_000_000
MAX_DEPTH = 120
MAX_SECONDS = 60.0


class ProgramError(Exception):
    """An exception of the program under evaluation: `value` is what it raised."""

    def __init__(self, value: Any) -> None:
        super().__init__(str(value))
        self.value = value


class Signal:
    """How a block ended other than by reaching its end."""


class ReturnSignal(Signal):
    def __init__(self, value: Any) -> None:
        self.value = value


BREAK, CONTINUE = Signal(), Signal()

OPAQUE = (
    Value,
    Layer,
    Model,
    Function,
    Class,
    Instance,
    Bound,
    Module,
    ApiValue,
    ApiObject,
    Unknown,
    Alternative,
    Method,
    Native,
)


class Interpreter:
    """One evaluation of a program, from its entry module on."""

    def __init__(self, loader: Loader, generation: str, findings: Findings) -> None:
        self.loader, self.generation, self.findings = loader, generation, findings
        self.modules: dict[str, Any] = {}
        self.module_order: list[SourceModule] = []
        self.stack: list[tuple[SourceModule, ast.AST]] = []
        self.depth = 0
        self.ticks = 0
        self.in_try = 0
        self.handled: list[Any] = []
        """The exceptions whose handlers are running, the innermost last."""
        self.deadline = time.monotonic() + MAX_SECONDS
        self.builtins = self._builtins()
        self.missing_imports: list[str] = []
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

    # --- places and findings -----------------------------------------------------------------------------------

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

    # --- modules -----------------------------------------------------------------------------------------------

    def import_module(self, name: str) -> Any:
        """The module `name` as a value: evaluated source, a framework path, a standard module, or unknown."""
        if name in self.modules:
            return self.modules[name]
        if is_framework(name) and not is_application(name):
            return ApiValue(canonical(name))
        if name == "numpy" or name.startswith("numpy."):
            return natives.Numpy() if name == "numpy" else Unknown(f"{name} is not evaluated")
        if name in natives.MODULES:
            return natives.MODULES[name]
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
            try:
                self.exec(statement, env)
            except (Declined, ProgramError, NeedsConstant) as error:
                self.module_statement_failed(statement, env, error)

    def module_statement_failed(self, statement: ast.stmt, env: Env, error: Exception) -> None:
        if isinstance(error, Declined) and error.code == "K2T005":
            raise error
        for name in assigned_names([statement]):
            env.names.setdefault(name, Unknown(str(error) or "its definition could not be evaluated"))

    def resolve_relative(self, env: Env, level: int, module: str | None) -> str:
        source = env.module
        parts = source.name.split(".") if source.package else source.name.split(".")[:-1]
        if level > 1:
            parts = parts[: len(parts) - (level - 1)]
        return ".".join([*parts, module] if module else parts)

    # --- blocks and statements -----------------------------------------------------------------------------------

    def tick(self) -> None:
        self.ticks += 1
        if self.ticks > MAX_STEPS or (self.ticks & 1023 == 0 and time.monotonic() > self.deadline):
            raise self.declined(
                "K2T005", "evaluating this program takes too long", "Convert a smaller part, or name an entry."
            )

    def exec_block(self, body: list[ast.stmt], env: Env) -> Signal | None:
        """Runs statements in order. Bodies of decided `if`s are spliced in, so that an open branch sees all that follows."""
        queue = list(body)
        while queue:
            statement = queue.pop(0)
            if isinstance(statement, ast.If):
                test = self.located(statement, env, lambda s=statement: self.truth(self.eval(s.test, env)))
                if isinstance(test, (Sym, Unknown)):
                    signal = self.open_branch(test, statement, queue, env)
                    if signal is not None:
                        return signal
                    continue
                queue[:0] = statement.body if test else statement.orelse
                continue
            if isinstance(statement, ast.With):
                managers = self.located(statement, env, lambda s=statement: self.enter(s, env))
                if managers:
                    signal = self.managed(managers, statement.body, env)
                    if signal is not None:
                        return signal
                    continue
                queue[:0] = statement.body
                continue
            signal = self.exec(statement, env)
            if signal is not None:
                return signal
        return None

    def open_branch(self, test: Any, node: ast.If, rest: list[ast.stmt], env: Env) -> Signal | None:
        """An `if` whose test is not decided. Without a stager, only a side effect-free one can be passed over."""
        if isinstance(test, Unknown):
            return self.unknown_branch(test, node, rest, env)
        raise NeedsConstant(test)

    def unknown_branch(self, test: Unknown, node: ast.If, rest: list[ast.stmt], env: Env) -> Signal | None:
        bodies = [*node.body, *node.orelse]
        if all(isinstance(b, (ast.Import, ast.ImportFrom)) for b in bodies):
            return self.exec_block(node.body, env)
        if any(isinstance(n, (ast.Return, ast.Raise, ast.Break, ast.Continue)) for b in bodies for n in ast.walk(b)):
            raise self.declined(
                "K2T201",
                f"this condition cannot be evaluated: {test.reason}",
                "Give its value with --setup, or rewrite it.",
            )
        for name in assigned_names(bodies):
            env.assign(name, Unknown(test.reason))
        return None

    def located(self, node: ast.AST, env: Env, action: Callable[[], Any]) -> Any:
        self.stack.append((env.module, node))
        try:
            return action()
        except Declined as error:
            if error.span is None:
                error.span = env.module.span(node)
            raise
        finally:
            self.stack.pop()

    def exec(self, node: ast.stmt, env: Env) -> Signal | None:
        self.tick()
        handler = self._exec_table.get(type(node))
        if handler is None:
            raise Declined("K2T203", f"{type(node).__name__} statements are not evaluated", "", env.module.span(node))
        self.stack.append((env.module, node))
        self.statement_begins(node, env)
        try:
            return handler(node, env)
        except Declined as error:
            if error.span is None:
                error.span = env.module.span(node)
            raise
        finally:
            self.stack.pop()

    def statement_begins(self, node: ast.stmt, env: Env) -> None:
        """Called before each statement."""

    def exec_Expr(self, node: ast.Expr, env: Env) -> None:
        if not isinstance(node.value, ast.Constant):
            self.eval(node.value, env)

    def exec_Pass(self, node: ast.Pass, env: Env) -> None:
        return None

    def exec_If(self, node: ast.If, env: Env) -> Signal | None:
        return self.exec_block([node], env)

    def exec_Global(self, node: ast.Global, env: Env) -> None:
        env.globals.update(node.names)

    def exec_Nonlocal(self, node: ast.Nonlocal, env: Env) -> None:
        env.nonlocals.update(node.names)

    def exec_Assign(self, node: ast.Assign, env: Env) -> None:
        value = self.eval(node.value, env)
        for target in node.targets:
            self.assign(target, value, env)

    def exec_AnnAssign(self, node: ast.AnnAssign, env: Env) -> None:
        if node.value is not None:
            self.assign(node.target, self.eval(node.value, env), env)

    def exec_AugAssign(self, node: ast.AugAssign, env: Env) -> None:
        load = ast.copy_location(_as_load(node.target), node.target)
        current = self.eval(load, env)
        value = self.eval(node.value, env)
        if type(current) is list and isinstance(node.op, ast.Add) and not isinstance(value, (Sym, *OPAQUE)):
            current.extend(self.iterate(value))
            return
        if type(current) is list and isinstance(node.op, ast.Mult) and type(value) is int:
            current *= value
            return
        if isinstance(current, (dict, set)) and isinstance(node.op, ast.BitOr) and isinstance(value, (dict, set)):
            current.update(value)  # type: ignore[arg-type]
            return
        self.assign(node.target, self.binop(node.op, current, value), env)

    def exec_Delete(self, node: ast.Delete, env: Env) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                env.names.pop(target.id, None)
            elif isinstance(target, ast.Subscript):
                container = self.eval(target.value, env)
                if isinstance(container, (list, dict)):
                    self.native(container.__delitem__, [self.eval(target.slice, env)], {})

    def exec_Return(self, node: ast.Return, env: Env) -> Signal:
        return ReturnSignal(self.eval(node.value, env) if node.value else None)

    def exec_Break(self, node: ast.Break, env: Env) -> Signal:
        return BREAK

    def exec_Continue(self, node: ast.Continue, env: Env) -> Signal:
        return CONTINUE

    def exec_Raise(self, node: ast.Raise, env: Env) -> None:
        value = (
            self.eval(node.exc, env)
            if node.exc
            else self.handled[-1] if self.handled else RuntimeError("No active exception to reraise")
        )
        if isinstance(value, type) and issubclass(value, BaseException):
            value = value()
        raise ProgramError(value)

    def exec_Assert(self, node: ast.Assert, env: Env) -> None:
        test = self.truth(self.eval(node.test, env))
        if isinstance(test, (Sym, Unknown)):
            self.open_assert(node, test, env)
        elif not test:
            raise ProgramError(AssertionError(self.eval(node.msg, env) if node.msg else ast.unparse(node.test)))

    def open_assert(self, node: ast.Assert, test: Any, env: Env) -> None:
        """An assertion that is not decided here."""

    def exec_Import(self, node: ast.Import, env: Env) -> None:
        for alias in node.names:
            value = self.import_module(alias.name)
            if alias.asname:
                env.assign(alias.asname, value)
            else:
                top = alias.name.partition(".")[0]
                env.assign(top, self.import_module(top))

    def exec_ImportFrom(self, node: ast.ImportFrom, env: Env) -> None:
        name = self.resolve_relative(env, node.level, node.module) if node.level else node.module or ""
        module = self.import_module(name)
        for alias in node.names:
            if alias.name == "*":
                self.import_star(name, module, env)
            else:
                env.assign(alias.asname or alias.name, self.import_name(name, module, alias.name))

    def import_name(self, name: str, module: Any, attribute: str) -> Any:
        if isinstance(module, Module) and attribute not in module.names and "__getattr__" not in module.names:
            inner = self.import_module(f"{name}.{attribute}")
            if not isinstance(inner, Unknown) or module.source is not None:
                if isinstance(inner, Unknown) and module.source is not None:
                    raise ProgramError(ImportError(f"cannot import name {attribute!r} from {name!r}"))
                return inner
            return Unknown(f"{name}.{attribute} is not evaluated")
        try:
            return self.getattr(module, attribute)
        except ProgramError:
            raise ProgramError(ImportError(f"cannot import name {attribute!r} from {name!r}")) from None

    def import_star(self, name: str, module: Any, env: Env) -> None:
        if isinstance(module, ApiValue):
            for exported in self.exported_names(module.path):
                env.assign(exported, self.getattr(module, exported))
        elif isinstance(module, Module):
            public = module.names.get("__all__")
            for key, value in list(module.names.items()):
                if (key in public) if isinstance(public, list) else not key.startswith("_"):
                    env.assign(key, value)

    def exported_names(self, path: str) -> Iterable[str]:
        """The names that `from path import *` brings, for a framework module."""
        return ()

    def exec_FunctionDef(self, node: ast.FunctionDef, env: Env) -> None:
        env.assign(node.name, self.decorate(node.decorator_list, self.make_function(node, env), env))

    exec_AsyncFunctionDef = exec_FunctionDef

    def make_function(self, node: Any, env: Env) -> Function:
        arguments = node.args
        defaults = [self.eval(d, env) for d in arguments.defaults]
        kw_defaults = [MISSING if d is None else self.eval(d, env) for d in arguments.kw_defaults]
        return Function(node, env, self, defaults, kw_defaults)

    def decorate(self, decorators: list[ast.expr], value: Any, env: Env) -> Any:
        for node in reversed(decorators):
            decorator = self.eval(node, env)
            value = self.apply_decorator(decorator, value, node)
        return value

    def apply_decorator(self, decorator: Any, value: Any, node: ast.expr) -> Any:
        if isinstance(decorator, Native) and decorator.name in ("staticmethod", "classmethod", "property"):
            return decorator(value)
        if isinstance(decorator, Method) and isinstance(decorator.receiver, Property):
            return Property(decorator.receiver.getter, value)
        if isinstance(decorator, (Unknown, ApiValue, ApiObject)):
            return value
        return self.call(decorator, [value], {})

    def exec_ClassDef(self, node: ast.ClassDef, env: Env) -> None:
        bases = [self.eval(b, env) for b in node.bases]
        scope = Env(env, "class", env.module)
        cls = Class(node.name, bases, scope.names, env, node)
        scope.names["__module__"] = env.module.name
        self.exec_block(node.body, scope)
        for value in scope.names.values():
            for function in (
                value,
                getattr(value, "function", None),
                getattr(value, "getter", None),
                getattr(value, "setter", None),
            ):
                if isinstance(function, Function) and function.owner is None:
                    function.owner = cls
        env.assign(node.name, self.decorate(node.decorator_list, cls, env))

    def exec_For(self, node: ast.For, env: Env) -> Signal | None:
        return self.loop(node, self.eval(node.iter, env), env)

    def loop(self, node: ast.For, iterable: Any, env: Env) -> Signal | None:
        for item in self.iterate(iterable):
            self.tick()
            self.assign(node.target, item, env)
            signal = self.exec_block(node.body, env)
            if signal is BREAK:
                return None
            if isinstance(signal, ReturnSignal):
                return signal
        return self.exec_block(node.orelse, env)

    def exec_While(self, node: ast.While, env: Env) -> Signal | None:
        while True:
            self.tick()
            test = self.truth(self.eval(node.test, env))
            if isinstance(test, Sym):
                raise NeedsConstant(test)
            if isinstance(test, Unknown):
                raise self.declined("K2T201", f"this condition cannot be evaluated: {test.reason}")
            if not test:
                return self.exec_block(node.orelse, env)
            signal = self.exec_block(node.body, env)
            if signal is BREAK:
                return None
            if isinstance(signal, ReturnSignal):
                return signal

    def enter(self, node: ast.With, env: Env) -> list[Instance]:
        """The head of a `with` statement. Returns the objects of the program to leave; other contexts are names only."""
        managers = []
        for item in node.items:
            value = self.eval(item.context_expr, env)
            if isinstance(value, Instance) and value.cls.lookup("__enter__"):
                managers.append(value)
                value = self.call(Bound(value.cls.lookup("__enter__"), value), [], {})
            if item.optional_vars is not None:
                self.assign(item.optional_vars, value, env)
        return managers

    def managed(self, managers: list[Instance], body: list[ast.stmt], env: Env) -> Signal | None:
        """The body of a `with` statement over objects of the program, and the end of their contexts."""
        raised: ProgramError | None = None
        signal = None
        try:
            signal = self.exec_block(body, env)
        except ProgramError as error:
            raised = error
        for manager in reversed(managers):
            leave = manager.cls.lookup("__exit__")
            details = [type(raised.value), raised.value, None] if raised else [None, None, None]
            if leave is not None and self.truth(self.call(Bound(leave, manager), details, {})) is True:
                raised = None
        if raised:
            raise raised
        return signal

    def exec_With(self, node: ast.With, env: Env) -> Signal | None:
        return self.exec_block([node], env)

    def exec_Try(self, node: ast.Try, env: Env) -> Signal | None:
        raised: ProgramError | None = None
        signal: Signal | None = None
        try:
            signal = self.attempt(node, env)
        except ProgramError as error:
            raised = error
        finally_signal = self.exec_block(node.finalbody, env)
        if finally_signal is None and raised is not None:
            raise raised
        return finally_signal or signal

    def attempt(self, node: ast.Try, env: Env) -> Signal | None:
        """A `try` statement up to its `finally`."""
        self.in_try += 1
        try:
            signal = self.exec_block(node.body, env)
        except ProgramError as error:
            handler = next((h for h in node.handlers if self.catches(h, error.value, env)), None)
            if handler is None:
                raise
            if handler.name:
                env.assign(handler.name, error.value)
            self.handled.append(error.value)
            try:
                return self.exec_block(handler.body, env)
            finally:
                self.handled.pop()
        finally:
            self.in_try -= 1
        return signal if signal is not None else self.exec_block(node.orelse, env)

    def catches(self, handler: ast.ExceptHandler, value: Any, env: Env) -> bool:
        if handler.type is None:
            return True
        kinds = self.eval(handler.type, env)
        for kind in kinds if isinstance(kinds, tuple) else (kinds,):
            if isinstance(kind, type) and isinstance(value, kind):
                return True
            if (
                isinstance(kind, type)
                and isinstance(value, Instance)
                and any(isinstance(b, type) and issubclass(b, kind) for b in value.cls.mro())
            ):
                return True
            if isinstance(kind, Class) and isinstance(value, Instance) and kind in value.cls.mro():
                return True
        return False

    def exec_Match(self, node: Any, env: Env) -> Signal | None:
        subject = self.eval(node.subject, env)
        if is_open(subject):
            raise NeedsConstant(subject if isinstance(subject, Sym) else Sym(to_ast(subject)))
        for case in node.cases:
            bindings = self.match_pattern(case.pattern, subject, env)
            if bindings is None:
                continue
            for name, value in bindings.items():
                env.assign(name, value)
            if case.guard is None or self.truth(self.eval(case.guard, env)):
                return self.exec_block(case.body, env)
        return None

    def match_pattern(self, pattern: Any, subject: Any, env: Env) -> dict[str, Any] | None:
        if isinstance(pattern, ast.MatchValue):
            return {} if self.eval(pattern.value, env) == subject else None
        if isinstance(pattern, ast.MatchSingleton):
            return {} if pattern.value is subject else None
        if isinstance(pattern, ast.MatchOr):
            return next(
                (b for b in (self.match_pattern(p, subject, env) for p in pattern.patterns) if b is not None), None
            )
        if isinstance(pattern, ast.MatchAs):
            inner = {} if pattern.pattern is None else self.match_pattern(pattern.pattern, subject, env)
            return inner if inner is None or pattern.name is None else {**inner, pattern.name: subject}
        if isinstance(pattern, ast.MatchSequence):
            return self.match_sequence(pattern, subject, env)
        if isinstance(pattern, ast.MatchMapping) and (pattern.rest is None or isinstance(subject, dict)):
            keys = [self.eval(k, env) for k in pattern.keys]
            if not isinstance(subject, dict) or any(k not in subject for k in keys):
                return None
            rest = {pattern.rest: {k: v for k, v in subject.items() if k not in keys}} if pattern.rest else {}
            return self.match_all(pattern.patterns, [subject[k] for k in keys], env, rest)
        if isinstance(pattern, ast.MatchClass):
            return self.match_class(pattern, subject, env)
        raise self.declined("K2T203", f"{type(pattern).__name__} patterns are not evaluated")

    def match_sequence(self, pattern: Any, subject: Any, env: Env) -> dict[str, Any] | None:
        if not isinstance(subject, (list, tuple)):
            return None
        parts = pattern.patterns
        star = next((i for i, p in enumerate(parts) if isinstance(p, ast.MatchStar)), None)
        if star is None:
            return self.match_all(parts, list(subject), env, {}) if len(parts) == len(subject) else None
        tail = len(parts) - star - 1
        if len(subject) < star + tail:
            return None
        middle = list(subject[star : len(subject) - tail])
        rest = {parts[star].name: middle} if parts[star].name else {}
        return self.match_all(
            [*parts[:star], *parts[star + 1 :]], [*subject[:star], *subject[len(subject) - tail :]], env, rest
        )

    def match_class(self, pattern: Any, subject: Any, env: Env) -> dict[str, Any] | None:
        kind = self.eval(pattern.cls, env)
        if self.truth(self.is_instance(subject, kind)) is not True:
            return None
        if isinstance(kind, type) and len(pattern.patterns) == 1 and not pattern.kwd_attrs:
            return self.match_pattern(pattern.patterns[0], subject, env)
        names = kind.lookup("__match_args__") or () if isinstance(kind, Class) else ()
        if len(names) < len(pattern.patterns):
            raise self.declined("K2T203", "this class pattern is not evaluated")
        attributes = [*names[: len(pattern.patterns)], *pattern.kwd_attrs]
        values = [self.getattr_default(subject, a, MISSING) for a in attributes]
        if any(v is MISSING for v in values):
            return None
        return self.match_all([*pattern.patterns, *pattern.kwd_patterns], values, env, {})

    def match_all(
        self, patterns: list[Any], values: list[Any], env: Env, found: dict[str, Any]
    ) -> dict[str, Any] | None:
        for pattern, value in zip(patterns, values):
            bindings = self.match_pattern(pattern, value, env)
            if bindings is None:
                return None
            found = {**found, **bindings}
        return found

    # --- assignment ------------------------------------------------------------------------------------------------

    def assign(self, target: ast.expr, value: Any, env: Env) -> None:
        if isinstance(target, ast.Name):
            env.assign(target.id, self.named(value, target.id, env))
        elif isinstance(target, (ast.Tuple, ast.List)):
            self.unpack(target, value, env)
        elif isinstance(target, ast.Attribute):
            self.setattr(self.eval(target.value, env), target.attr, value)
        elif isinstance(target, ast.Subscript):
            container, key = self.eval(target.value, env), self.eval(target.slice, env)
            if isinstance(container, Sym):
                raise NeedsConstant(container)
            if isinstance(container, (list, dict)):
                self.native(container.__setitem__, [key, value], {})
            elif isinstance(container, Instance) and container.cls.lookup("__setitem__"):
                self.call(Bound(container.cls.lookup("__setitem__"), container), [key, value], {})
            elif not isinstance(container, (Unknown, ApiValue)):
                raise self.declined("K2T203", f"assigning to an item of {container!r} is not evaluated")
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value, env)

    def named(self, value: Any, name: str, env: Env) -> Any:
        """Called for every assignment to a name: the place to note what the source calls a value."""
        if isinstance(value, Value):
            value.hint = name
        return value

    def unpack(self, target: Any, value: Any, env: Env) -> None:
        count = len(target.elts)
        if isinstance(value, Sym):
            items: list[Any] = [value[i] for i in range(count)]
        elif isinstance(value, Unknown):
            items = [value] * count
        else:
            items = list(self.iterate(value))
        star = next((i for i, t in enumerate(target.elts) if isinstance(t, ast.Starred)), None)
        if star is not None:
            tail = count - star - 1
            items = [*items[:star], list(items[star : len(items) - tail]), *items[len(items) - tail :]]
        if len(items) != count:
            raise ProgramError(ValueError(f"expected {count} values to unpack, got {len(items)}"))
        for t, item in zip(target.elts, items):
            self.assign(t, item, env)

    # --- expressions ---------------------------------------------------------------------------------------------------

    def eval(self, node: ast.expr, env: Env) -> Any:
        handler = self._eval_table.get(type(node))
        if handler is None:
            raise Declined("K2T203", f"{type(node).__name__} expressions are not evaluated", "", env.module.span(node))
        return handler(node, env)

    def eval_Constant(self, node: ast.Constant, env: Env) -> Any:
        return node.value

    def eval_Name(self, node: ast.Name, env: Env) -> Any:
        scope = env.scope_of(node.id)
        if scope is not None:
            return self.read_name(node.id, scope, env)
        if node.id in self.builtins:
            return self.builtins[node.id]
        if node.id == "__file__":
            return str(env.module.path)
        raise ProgramError(NameError(f"name {node.id!r} is not defined"))

    def read_name(self, name: str, scope: Env, env: Env) -> Any:
        return scope.names[name]

    def eval_Tuple(self, node: ast.Tuple, env: Env) -> Any:
        return tuple(self.eval_items(node.elts, env))

    def eval_List(self, node: ast.List, env: Env) -> Any:
        return self.eval_items(node.elts, env)

    def eval_Set(self, node: ast.Set, env: Env) -> Any:
        return set(self.eval_items(node.elts, env))

    def eval_items(self, nodes: list[ast.expr], env: Env) -> list[Any]:
        items: list[Any] = []
        for n in nodes:
            if isinstance(n, ast.Starred):
                items.extend(self.iterate(self.eval(n.value, env)))
            else:
                items.append(self.eval(n, env))
        return items

    def eval_Dict(self, node: ast.Dict, env: Env) -> Any:
        result: dict[Any, Any] = {}
        for k, v in zip(node.keys, node.values):
            if k is None:
                inner = self.eval(v, env)
                if isinstance(inner, Sym):
                    raise NeedsConstant(inner)
                result.update(inner if isinstance(inner, dict) else {})
            else:
                result[self.eval(k, env)] = self.eval(v, env)
        return result

    def eval_JoinedStr(self, node: ast.JoinedStr, env: Env) -> Any:
        parts: list[Any] = []
        for piece in node.values:
            if isinstance(piece, ast.Constant):
                parts.append(piece.value)
                continue
            value = self.eval(piece.value, env)  # type: ignore[attr-defined]
            if isinstance(value, Unknown):
                return value
            spec = self.eval(piece.format_spec, env) if piece.format_spec else ""  # type: ignore[attr-defined]
            if is_open(value) or is_open(spec):
                parts.append(ast.FormattedValue(to_ast(value), piece.conversion, None))  # type: ignore[attr-defined]
                parts[-1].witness = value  # type: ignore[attr-defined]
            else:
                convert = {115: str, 114: repr, 97: ascii}.get(piece.conversion, lambda v: v)  # type: ignore[attr-defined]
                parts.append(
                    self.native(format, [convert(value) if not isinstance(value, OPAQUE) else str(value), spec], {})
                )
        if all(isinstance(p, str) for p in parts):
            return "".join(parts)
        witnesses = [p if isinstance(p, str) else p.witness for p in parts]
        witness = observe(lambda *w: "".join(map(str, w)), *witnesses)
        return Sym(ast.JoinedStr([ast.Constant(p) if isinstance(p, str) else p for p in parts]), witness)

    def eval_Starred(self, node: ast.Starred, env: Env) -> Any:
        return self.eval(node.value, env)

    def eval_NamedExpr(self, node: ast.NamedExpr, env: Env) -> Any:
        value = self.eval(node.value, env)
        self.assign(node.target, value, env)
        return value

    def eval_Await(self, node: ast.Await, env: Env) -> Any:
        return Unknown("await")

    def eval_Yield(self, node: Any, env: Env) -> Any:
        raise self.declined("K2T203", "generators are not evaluated")

    eval_YieldFrom = eval_Yield

    def eval_Lambda(self, node: ast.Lambda, env: Env) -> Any:
        return self.make_function(node, env)

    def eval_UnaryOp(self, node: ast.UnaryOp, env: Env) -> Any:
        value = self.eval(node.operand, env)
        if isinstance(node.op, ast.Not):
            test = self.truth(value)
            if isinstance(test, Sym):
                return Sym(ast.UnaryOp(ast.Not(), test.expr), observe(lambda w: not w, test))
            return test if isinstance(test, Unknown) else not test
        if isinstance(value, Unknown):
            return value
        if isinstance(value, Value):
            return self.tensor_unary(node.op, value)
        apply = {ast.USub: lambda v: -v, ast.UAdd: lambda v: +v, ast.Invert: lambda v: ~v}[type(node.op)]
        if isinstance(value, Sym):
            return Sym(ast.UnaryOp(node.op, value.expr), observe(apply, value))
        return self.native(apply, [value], {})

    def eval_BinOp(self, node: ast.BinOp, env: Env) -> Any:
        return self.binop(node.op, self.eval(node.left, env), self.eval(node.right, env))

    def binop(self, op: ast.operator, left: Any, right: Any) -> Any:
        if isinstance(left, Alternative) or isinstance(right, Alternative):
            return (
                self.split(left, lambda v: self.binop(op, v, right))
                if isinstance(left, Alternative)
                else self.split(right, lambda v: self.binop(op, left, v))
            )
        listed = isinstance(left, (list, tuple)) and isinstance(right, (list, tuple, int))
        if (has_tensors(left) or has_tensors(right)) and not listed and not isinstance(op, ast.Mod):
            return self.tensor_binary(op, left, right)
        for operand in (left, right):
            if isinstance(operand, Unknown):
                return operand
        if isinstance(left, Instance):
            method = {ast.Add: "__add__", ast.Mult: "__mul__", ast.Sub: "__sub__", ast.Div: "__truediv__"}.get(type(op))
            if method and left.cls.lookup(method):
                return self.call(Bound(left.cls.lookup(method), left), [right], {})
        if isinstance(op, ast.Mod) and isinstance(left, str) and is_open(right):
            return Sym(ast.BinOp(to_ast(left), op, to_ast(right)), observe(lambda r: left % r, right))
        if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)) and isinstance(op, ast.Add):
            return self.native(OPERATORS[type(op)], [left, right], {})
        if isinstance(left, OPAQUE) or isinstance(right, OPAQUE):
            raise ProgramError(TypeError(f"unsupported operand types: {left!r} and {right!r}"))
        try:
            return binary(op, left, right)
        except NeedsConstant:
            raise
        except Exception as error:
            raise ProgramError(error) from None

    def tensor_binary(self, op: ast.operator, left: Any, right: Any) -> Any:
        raise self.declined("K2T103", "arithmetic on tensors is not translated here")

    def tensor_unary(self, op: ast.unaryop, value: Value) -> Any:
        raise self.declined("K2T103", "arithmetic on tensors is not translated here")

    def eval_BoolOp(self, node: ast.BoolOp, env: Env) -> Any:
        is_and = isinstance(node.op, ast.And)
        open_parts: list[Any] = []
        value: Any = None
        for operand in node.values:
            value = self.eval(operand, env)
            test = self.truth(value)
            if isinstance(test, Unknown):
                return test
            if isinstance(test, Sym):
                open_parts.append(value)
            elif bool(test) != is_and:  # decides the result
                if not open_parts:
                    return value
                if is_and:
                    return False
                open_parts.append(value)
                break
        if not open_parts:
            return value
        if len(open_parts) == 1 and (is_and and value is open_parts[-1] or not is_and):
            return open_parts[0]

        def decide(*seen: Any) -> Any:
            for s in seen:
                if bool(s) != is_and:
                    return s
            return seen[-1]

        return Sym(ast.BoolOp(node.op, [to_ast(p) for p in open_parts]), observe(decide, *open_parts))

    def eval_Compare(self, node: ast.Compare, env: Env) -> Any:
        left = self.eval(node.left, env)
        result: Any = True
        for op, comparator in zip(node.ops, node.comparators):
            right = self.eval(comparator, env)
            outcome = self.compare(op, left, right)
            if isinstance(outcome, (Sym, Unknown)):
                if len(node.ops) == 1:
                    return outcome
                if isinstance(outcome, Unknown):
                    return outcome
                parts = [left, right] if result is True else [result]
                if result is True:
                    result = outcome
                else:
                    result = Sym(
                        ast.BoolOp(ast.And(), [to_ast(parts[0]), outcome.expr]),
                        observe(lambda a, b: a and b, result, outcome),
                    )
            elif isinstance(outcome, Value):
                return outcome
            elif not outcome:
                return False
            left = right
        return result

    def compare(self, op: ast.cmpop, left: Any, right: Any) -> Any:
        negated = isinstance(op, (ast.NotEq, ast.IsNot, ast.NotIn))
        if isinstance(op, (ast.Is, ast.IsNot, ast.Eq, ast.NotEq)):
            for a, b in ((left, right), (right, left)):
                if (
                    b is None
                    and isinstance(a, (*OPAQUE, list, tuple, dict, str))
                    and not isinstance(a, (Unknown, Alternative))
                ):
                    return negated
                if isinstance(a, Alternative):
                    return self.split_test(a, lambda v, b=b: self.compare(op, v, b))
        for operand in (left, right):
            if isinstance(operand, Unknown):
                return operand
        if isinstance(left, TensorShape):
            left = left.dims
        if isinstance(right, TensorShape):
            right = right.dims
        if isinstance(left, ApiValue) and isinstance(right, ApiValue):
            return (left.path == right.path) != negated
        if isinstance(left, Instance) or isinstance(right, Instance):
            outcome = self.compare_instances(op, left, right)
            if outcome is not NotImplemented:
                return outcome
        if (isinstance(left, Value) or isinstance(right, Value)) and not isinstance(
            op, (ast.Is, ast.IsNot, ast.In, ast.NotIn)
        ):
            return self.tensor_compare(op, left, right)
        if is_open(left) or is_open(right):
            if isinstance(op, (ast.Is, ast.IsNot, ast.Eq, ast.NotEq)):
                if same(left, right):
                    return not negated
                for a, b in ((left, right), (right, left)):  # a size is never None
                    if b is None and (not isinstance(a, Sym) or isinstance(a.expr, ast.BinOp)):
                        return negated
            witness = observe(COMPARISONS[type(op)], left, right)
            try:
                return Sym(ast.Compare(to_ast(left), [op], [to_ast(right)]), witness)
            except TypeError:
                raise NeedsConstant(left if isinstance(left, Sym) else right) from None
        try:
            return COMPARISONS[type(op)](left, right)
        except Exception as error:
            raise ProgramError(error) from None

    def compare_instances(self, op: ast.cmpop, left: Any, right: Any) -> Any:
        """A comparison by the program's own method; NotImplemented if it has none."""
        if isinstance(op, (ast.In, ast.NotIn)):
            left, right = right, left
        method = left.cls.lookup(COMPARISON_METHODS.get(type(op), "")) if isinstance(left, Instance) else None
        if method is None and isinstance(op, ast.NotEq) and isinstance(left, Instance):
            method = left.cls.lookup("__eq__")
        if method is None:
            return NotImplemented
        outcome = self.call(Bound(method, left), [right], {})
        if not isinstance(op, ast.NotIn) and not (isinstance(op, ast.NotEq) and method is left.cls.lookup("__eq__")):
            return outcome
        test = self.truth(outcome)
        return (
            Sym(ast.UnaryOp(ast.Not(), test.expr), observe(lambda w: not w, test))
            if isinstance(test, Sym)
            else test if isinstance(test, Unknown) else not test
        )

    def tensor_compare(self, op: ast.cmpop, left: Any, right: Any) -> Any:
        raise self.declined("K2T103", "comparing tensors is not translated")

    def eval_IfExp(self, node: ast.IfExp, env: Env) -> Any:
        test = self.truth(self.eval(node.test, env))
        if isinstance(test, Unknown):
            return test
        if isinstance(test, Sym):
            return self.open_ifexp(test, lambda: self.eval(node.body, env), lambda: self.eval(node.orelse, env))
        return self.eval(node.body if test else node.orelse, env)

    def open_ifexp(self, test: Sym, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
        raise NeedsConstant(test)

    def split(self, value: Alternative, use: Callable[[Any], Any]) -> Any:
        raise NeedsConstant(value.test)

    def split_test(self, value: Alternative, use: Callable[[Any], Any]) -> Any:
        then, otherwise = use(value.then), use(value.otherwise)
        if same(then, otherwise):
            return then
        if then is True and otherwise is False:
            return value.test
        if then is False and otherwise is True:
            return Sym(ast.UnaryOp(ast.Not(), value.test.expr), observe(lambda w: not w, value.test))
        raise NeedsConstant(value.test)

    def eval_Attribute(self, node: ast.Attribute, env: Env) -> Any:
        self.stack.append((env.module, node))
        try:
            return self.getattr(self.eval(node.value, env), node.attr)
        finally:
            self.stack.pop()

    def eval_Subscript(self, node: ast.Subscript, env: Env) -> Any:
        value, index = self.eval(node.value, env), self.eval(node.slice, env)
        return self.getitem(value, index)

    def eval_Slice(self, node: ast.Slice, env: Env) -> Any:
        return slice(*(None if p is None else self.eval(p, env) for p in (node.lower, node.upper, node.step)))

    def getitem(self, value: Any, index: Any) -> Any:
        if isinstance(value, Unknown) or isinstance(index, Unknown):
            return value if isinstance(value, Unknown) else index
        if isinstance(value, Alternative):
            return self.split(value, lambda v: self.getitem(v, index))
        if isinstance(value, Value):
            return self.tensor_getitem(value, index)
        if isinstance(value, TensorShape):
            return value.dims[index] if isinstance(index, int) else TensorShape(value.dims[index])
        if isinstance(value, (ApiValue, type)) or value in natives.MODULES.values():
            return value  # a subscripted type annotation
        if isinstance(value, Module):
            return Unknown(f"an item of {value!r}")
        if isinstance(value, Instance):
            method = value.cls.lookup("__getitem__")
            if method:
                return self.call(Bound(method, value), [index], {})
            return Unknown(f"an item of {value!r}")
        if is_open(index) or isinstance(value, Sym):
            if has_tensors(value) or isinstance(value, OPAQUE):
                raise NeedsConstant(index)
            if isinstance(index, slice) or not isinstance(value, Sym):
                return self.open_item(value, index)
            return value[index]
        return self.native(lambda v, i: v[i], [value, index], {})

    def open_item(self, value: Any, index: Any) -> Any:
        try:
            return Sym(
                ast.Subscript(to_ast(value), to_ast(index), ast.Load()), observe(lambda v, i: v[i], value, index)
            )
        except TypeError:
            raise NeedsConstant(index if isinstance(index, Sym) else value) from None

    def tensor_getitem(self, value: Value, index: Any) -> Any:
        raise self.declined("K2T103", "indexing tensors is not translated yet")

    def comprehension(self, node: Any, env: Env, emit: Callable[[Env], None]) -> None:
        def run(generators: list[ast.comprehension], scope: Env) -> None:
            if not generators:
                emit(scope)
                return
            first, *rest = generators
            for item in self.iterate(self.eval(first.iter, scope)):
                self.tick()
                self.assign(first.target, item, scope)
                tests = [self.truth(self.eval(c, scope)) for c in first.ifs]
                for t in tests:
                    if isinstance(t, Sym):
                        raise NeedsConstant(t)
                if all(bool(t) for t in tests):
                    run(rest, scope)

        run(node.generators, Env(env, "comprehension", env.module))

    def eval_ListComp(self, node: ast.ListComp, env: Env) -> Any:
        result: list[Any] = []
        self.comprehension(node, env, lambda scope: result.append(self.eval(node.elt, scope)))
        return result

    eval_GeneratorExp = eval_ListComp

    def eval_SetComp(self, node: ast.SetComp, env: Env) -> Any:
        return set(self.eval_ListComp(node, env))  # type: ignore[arg-type]

    def eval_DictComp(self, node: ast.DictComp, env: Env) -> Any:
        result: dict[Any, Any] = {}
        self.comprehension(
            node, env, lambda scope: result.__setitem__(self.eval(node.key, scope), self.eval(node.value, scope))
        )
        return result

    def iterate(self, value: Any) -> Iterable[Any]:
        if isinstance(value, Sym):
            raise NeedsConstant(value)
        if isinstance(value, Unknown):
            raise self.declined("K2T201", f"this cannot be iterated over: {value.reason}")
        if isinstance(value, TensorShape):
            return value.dims
        if isinstance(value, Instance):
            method = value.cls.lookup("__iter__")
            if method:
                return self.iterate(self.call(Bound(method, value), [], {}))
            if value.cls.lookup("__getitem__"):
                return self.items_of(value)
        if isinstance(value, OPAQUE):
            return self.iterate_opaque(value)
        try:
            return list(value)
        except NeedsConstant:
            raise
        except Exception as error:
            raise ProgramError(error) from None

    def items_of(self, value: Instance) -> list[Any]:
        """What an object with `__getitem__` alone yields: its items from 0 on, until there is none."""
        found: list[Any] = []
        while True:
            self.tick()
            try:
                found.append(self.getitem(value, len(found)))
            except ProgramError as error:
                if isinstance(error.value, IndexError):
                    return found
                raise

    def iterate_opaque(self, value: Any) -> Iterable[Any]:
        raise ProgramError(TypeError(f"{value!r} is not iterable"))

    def truth(self, value: Any) -> Any:
        """True or False, or the `Sym` or `Unknown` that keeps it open."""
        if isinstance(value, (Sym, Unknown)):
            return value
        if isinstance(value, Alternative):
            return self.split_test(value, lambda v: self.truth(v))
        if isinstance(value, Value):
            return self.tensor_truth(value)
        if isinstance(value, Instance):
            method = value.cls.lookup("__len__") or value.cls.lookup("__bool__")
            return self.truth(self.call(Bound(method, value), [], {})) if method else True
        return bool(value) if not isinstance(value, OPAQUE) else True

    def tensor_truth(self, value: Value) -> Any:
        raise self.declined("K2T103", "a tensor decides a branch here", "Rewrite it with tf.where or keras.ops.where.")

    # --- calls ------------------------------------------------------------------------------------------------------------

    def eval_Call(self, node: ast.Call, env: Env) -> Any:
        function = self.eval(node.func, env)
        args: list[Any] = []
        for a in node.args:
            if isinstance(a, ast.Starred):
                args.extend(self.iterate(self.eval(a.value, env)))
            else:
                args.append(self.eval(a, env))
        kwargs: dict[str, Any] = {}
        for k in node.keywords:
            value = self.eval(k.value, env)
            if k.arg is not None:
                kwargs[k.arg] = value
                continue
            if isinstance(value, Sym):
                raise NeedsConstant(value)
            if isinstance(value, dict):
                kwargs.update(value)
            elif isinstance(value, Unknown):
                return value
        self.stack.append((env.module, node))
        try:
            if isinstance(function, Native) and function.name in ("super", "globals", "locals", "vars"):
                return self.scope_call(function.name, args, env)
            return self.call(function, args, kwargs)
        except Declined as error:
            if error.span is None:
                error.span = env.module.span(node)
            raise
        finally:
            self.stack.pop()

    def scope_call(self, name: str, args: list[Any], env: Env) -> Any:
        if name == "globals":
            return env.top.names
        if name in ("locals", "vars"):
            if args and isinstance(args[0], (Instance, Module)):
                return args[0].attributes if isinstance(args[0], Instance) else args[0].names
            return env.names
        if len(args) == 2:
            return Super(args[0], args[1])
        scope: Env | None = env
        while scope is not None and scope.kind != "function":
            scope = scope.parent
        function = scope.names.get("__function__") if scope else None
        receiver = scope.names.get("__receiver__") if scope else None
        if function is None or function.owner is None:
            raise ProgramError(RuntimeError("super(): no arguments"))
        return Super(function.owner, receiver)

    def call(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Calls any callable value."""
        self.tick()
        if isinstance(function, Unknown):
            return self.call_unknown(function, args, kwargs)
        if isinstance(function, Function):
            return self.call_function(function, args, kwargs)
        if isinstance(function, Bound):
            return self.call_bound(function, args, kwargs)
        if isinstance(function, Class):
            return self.instantiate(function, args, kwargs)
        if isinstance(function, Alternative):
            return self.split(function, lambda f: self.call(f, args, kwargs))
        if isinstance(function, Sym):
            return self.call_open(function, args, kwargs)
        if isinstance(function, (ApiValue, ApiObject, Layer, Model, Method, Value)):
            return self.call_keras(function, args, kwargs)
        if isinstance(function, Instance):
            method = function.cls.lookup("__call__")
            if method is None:
                raise ProgramError(TypeError(f"{function!r} is not callable"))
            return self.call(Bound(method, function), args, kwargs)
        if isinstance(function, Native):
            return self.native(function, args, kwargs)
        if callable(function):
            return self.call_real(function, args, kwargs)
        raise ProgramError(TypeError(f"{function!r} is not callable"))

    def call_unknown(self, function: Unknown, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if has_tensors(args) or has_tensors(kwargs):
            raise self.declined(
                "K2T106",
                f"a tensor is passed to something that cannot be evaluated: {function.reason}",
                "Make its source available with --path.",
            )
        return function

    def call_keras(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        raise NotImplementedError

    def call_open(self, function: Sym, args: list[Any], kwargs: dict[str, Any]) -> Any:
        raise NeedsConstant(function)

    def call_bound(self, bound: Bound, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if isinstance(bound.function, Function):
            return self.call_function(bound.function, [bound.receiver, *args], kwargs)
        return self.call(bound.function, [bound.receiver, *args], kwargs)

    def call_real(self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        """A pure Python builtin or library function on evaluated arguments."""
        unknown = next((v for v in (*args, *kwargs.values()) if isinstance(v, Unknown)), None)
        if unknown is not None and function not in (isinstance, callable, hasattr):
            return unknown
        if function in ITERATING:
            args = [
                (
                    list(self.iterate(a))
                    if isinstance(a, Instance) and (a.cls.lookup("__iter__") or a.cls.lookup("__getitem__"))
                    else a
                )
                for a in args
            ]
        if is_open(args) or is_open(list(kwargs.values())):
            return self.call_real_open(function, args, kwargs)
        return self.native(function, args, kwargs)

    def call_real_open(self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        """A builtin over open values: an expression of the generated code, where it has a plain name there."""
        name = getattr(function, "__name__", "")
        owner = getattr(function, "__self__", None)
        if function in (list, tuple) and args and isinstance(args[0], (list, tuple)):
            return function(args[0])
        if isinstance(function, type) and issubclass(function, BaseException):
            return function(*args)
        if function in (enumerate, zip, reversed, dict) and all(isinstance(a, (list, tuple, dict)) for a in args):
            return list(function(*args)) if function is not dict else dict(*args, **kwargs)
        if function is len and isinstance(args[0], (list, tuple, dict)):
            return len(args[0])
        if function is isinstance:
            return observe(isinstance, *args)
        if natives.PURE.get(name) is function:
            callee: ast.expr = ast.Name(name, ast.Load())
        elif getattr(function, "__module__", "") == "math":
            callee = ast.Attribute(ast.Name("math", ast.Load()), name, ast.Load())
        elif (
            owner is not None
            and not isinstance(owner, type)
            and not hasattr(owner, "__path__")
            and type(owner).__name__ != "module"
        ):
            if (
                isinstance(owner, (list, dict))
                and name
                in (
                    "append",
                    "extend",
                    "insert",
                    "update",
                    "setdefault",
                    "pop",
                    "get",
                    "copy",
                    "items",
                    "keys",
                    "values",
                    "index",
                )
                and not any(
                    isinstance(a, Sym) for a in args[:1] if name in ("pop", "insert", "get", "setdefault", "index")
                )
            ):
                return self.native(function, args, kwargs)
            callee = ast.Attribute(to_ast(owner), name, ast.Load())
        else:
            raise NeedsConstant(next(v for v in (*args, *kwargs.values()) if is_open(v)))
        try:
            expr = ast.Call(callee, [to_ast(a) for a in args], [ast.keyword(k, to_ast(v)) for k, v in kwargs.items()])
        except TypeError:
            raise NeedsConstant(first_open([*args, *kwargs.values()])) from None
        if function is int and len(args) == 1 and isinstance(args[0], Sym) and args[0].integer:
            return args[0]
        witness = observe(lambda a, k: function(*a, **k), list(args), dict(kwargs))
        whole = function in (int, len, round) and len(args) == 1
        return Sym(
            expr, list(witness) if isinstance(witness, (zip, enumerate, reversed, map, filter)) else witness, whole
        )

    def native(self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        try:
            return function(*args, **kwargs)
        except (Declined, ProgramError, NeedsConstant, RecursionError):
            raise
        except Exception as error:
            raise ProgramError(error) from None

    def call_function(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return self.run_function(function, args, kwargs)

    def run_function(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Evaluates a call by evaluating the body."""
        env = self.bind(function, args, kwargs)
        if isinstance(function.node, ast.Lambda):
            return self.guarded(lambda: self.eval(function.node.body, env))  # type: ignore[union-attr,arg-type]
        if any(isinstance(n, (ast.Yield, ast.YieldFrom)) for n in walk_own(function.node)):
            return Unknown(f"{function.name} is a generator")
        signal = self.guarded(lambda: self.exec_block(function.node.body, env))  # type: ignore[union-attr,arg-type]
        return signal.value if isinstance(signal, ReturnSignal) else None

    def guarded(self, action: Callable[[], Any]) -> Any:
        if self.depth >= MAX_DEPTH:
            raise self.declined("K2T005", "calls are nested too deeply", "Is there a recursion without an end?")
        self.depth += 1
        try:
            return action()
        finally:
            self.depth -= 1

    def bind(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Env:
        """The scope of a call: arguments matched to parameters as Python does."""
        a = function.node.args
        env = Env(function.env, "function", function.module)
        env.names["__function__"] = function
        positional = [*a.posonlyargs, *a.args]
        names = [p.arg for p in positional]
        kwargs = dict(kwargs)
        if args and names:
            env.names["__receiver__"] = args[0]
        for name, value in zip(names, args):
            if name in kwargs:
                raise ProgramError(TypeError(f"{function.name}() got multiple values for argument {name!r}"))
            env.names[name] = value
        if len(args) > len(names):
            if a.vararg is None:
                raise ProgramError(
                    TypeError(f"{function.name}() takes {len(names)} positional arguments but {len(args)} were given")
                )
            env.names[a.vararg.arg] = tuple(args[len(names) :])
        elif a.vararg is not None:
            env.names[a.vararg.arg] = ()
        offset = len(names) - len(function.defaults)
        for i, name in enumerate(names[len(args) :], start=len(args)):
            if name in kwargs:
                env.names[name] = kwargs.pop(name)
            elif i >= offset:
                env.names[name] = function.defaults[i - offset]
            else:
                raise ProgramError(TypeError(f"{function.name}() missing required argument {name!r}"))
        for p, default in zip(a.kwonlyargs, function.kw_defaults):
            if p.arg in kwargs:
                env.names[p.arg] = kwargs.pop(p.arg)
            elif default is MISSING:
                raise ProgramError(TypeError(f"{function.name}() missing required argument {p.arg!r}"))
            else:
                env.names[p.arg] = default
        if a.kwarg is not None:
            env.names[a.kwarg.arg] = kwargs
        elif kwargs:
            raise ProgramError(
                TypeError(f"{function.name}() got an unexpected keyword argument {next(iter(kwargs))!r}")
            )
        return env

    # --- classes and attributes ----------------------------------------------------------------------------------------------

    def instantiate(self, cls: Class, args: list[Any], kwargs: dict[str, Any]) -> Any:
        instance = Instance(cls)
        native = next((b for b in cls.mro() if isinstance(b, type)), None)
        if native is not None and issubclass(native, BaseException):
            instance.attributes["args"] = tuple(args)
        init = cls.lookup("__init__")
        if init is not None:
            self.call(Bound(init, instance), args, kwargs)
        elif any(getattr(b, "leaf", "") == "NamedTuple" for b in cls.mro()):
            instance.attributes.update(kwargs)
        return instance

    def getattr(self, value: Any, name: str) -> Any:
        """`value.name`; raises ProgramError(AttributeError) where Python would."""
        if isinstance(value, Unknown):
            return value
        if isinstance(value, Instance):
            return self.instance_attribute(value, name)
        if isinstance(value, Class):
            return self.class_attribute(value, name)
        if isinstance(value, Super):
            return self.super_attribute(value, name)
        if isinstance(value, Module):
            if name in value.names:
                return value.names[name]
            if "__getattr__" in value.names and not name.startswith("__"):
                return self.call(value.names["__getattr__"], [name], {})
            return (
                self.import_name(value.name, value, name)
                if value.source or "__path__" in value.names
                else self.inert_attribute(value, name)
            )
        if isinstance(value, Alternative):
            return Alternative(value.test, self.getattr(value.then, name), self.getattr(value.otherwise, name))
        if isinstance(value, (ApiValue, ApiObject, Layer, Model, Value, TensorShape)):
            return self.keras_attribute(value, name)
        if isinstance(value, Function):
            if name in value.attributes:
                return value.attributes[name]
            if name in ("__name__", "__qualname__"):
                return value.name
            if name == "__doc__":
                return None
            raise ProgramError(AttributeError(name))
        if isinstance(value, Property) and name == "setter":
            return Method("setter", value)
        if isinstance(value, Sym):
            return self.open_attribute(value, name)
        if isinstance(value, Native):
            return Unknown(f"{value.name}.{name}")
        if name.startswith("__") and name not in ("__name__", "__len__", "__class__", "__getitem__", "__doc__"):
            return Unknown(name)
        try:
            found = getattr(value, name)
        except AttributeError as error:
            raise ProgramError(error) from None
        if isinstance(value, (list, dict, set)) and callable(found):
            return found
        return found

    def inert_attribute(self, value: Module, name: str) -> Any:
        return Unknown(f"{value.name}.{name} is not evaluated")

    def open_attribute(self, value: Sym, name: str) -> Any:
        if isinstance(value.witness, (str, list, dict, tuple, int, float)) and hasattr(value.witness, name):
            return OpenMethod(self, value, name)
        raise NeedsConstant(value)

    def instance_attribute(self, value: Instance, name: str) -> Any:
        if name in value.attributes:
            return value.attributes[name]
        if name == "__class__":
            return value.cls
        if name == "__dict__":
            return value.attributes
        found = value.cls.lookup(name)
        if found is None and not any(isinstance(c, Class) and name in c.names for c in value.cls.mro()):
            return self.missing_attribute(value, name)
        return self.bind_member(found, value, value.cls)

    def missing_attribute(self, value: Instance, name: str) -> Any:
        getter = value.cls.lookup("__getattr__")
        if getter is not None:
            return self.call(Bound(getter, value), [name], {})
        for base in value.cls.mro():
            if isinstance(base, (ApiValue, Unknown)):
                return Unknown(f"{value.cls.name}.{name} comes from a base class that is not evaluated")
            if isinstance(base, type) and base is not object and hasattr(base, name):
                return Native(name, lambda *a, **k: None)
        raise ProgramError(AttributeError(f"{value.cls.name!r} object has no attribute {name!r}"))

    def bind_member(self, found: Any, receiver: Any, cls: Any) -> Any:
        if isinstance(found, Property):
            return self.call(found.getter, [receiver], {})
        if isinstance(found, Wrapped):
            return found.function if found.kind == "staticmethod" else Bound(found.function, cls)
        if isinstance(found, Function):
            return Bound(found, receiver)
        return found

    def class_attribute(self, value: Class, name: str) -> Any:
        if name in ("__name__", "__qualname__"):
            return value.name
        if any(isinstance(c, Class) and name in c.names for c in value.mro()):
            found = value.lookup(name)
            return (
                Bound(found.function, value)
                if isinstance(found, Wrapped) and found.kind == "classmethod"
                else getattr(found, "function", found) if isinstance(found, Wrapped) else found
            )
        if any(isinstance(b, (ApiValue, Unknown)) for b in value.mro()):
            return self.base_class_attribute(value, name)
        if name in ("__init__", "__call__"):
            return Native(name, lambda *a, **k: None)
        if value.node.keywords or name.startswith("__"):
            return Unknown(f"{value.name}.{name} comes from a metaclass")
        raise ProgramError(AttributeError(f"type object {value.name!r} has no attribute {name!r}"))

    def base_class_attribute(self, value: Class, name: str) -> Any:
        return Unknown(f"{value.name}.{name} comes from a base class that is not evaluated")

    def super_attribute(self, value: Super, name: str) -> Any:
        cls = value.receiver.cls if isinstance(value.receiver, (Instance, Model)) and value.receiver.cls else value.cls
        mro = cls.mro()
        found = cls.lookup(name, after=value.cls, mro=mro)
        if found is not None:
            return self.bind_member(found, value.receiver, cls)
        return self.super_of_api(value, name)

    def super_of_api(self, value: Super, name: str) -> Any:
        return Native(name, lambda *a, **k: None)

    def setattr(self, target: Any, name: str, value: Any) -> None:
        if isinstance(target, Instance):
            found = target.cls.lookup(name)
            if isinstance(found, Property) and found.setter:
                self.call(found.setter, [target, value], {})
            else:
                target.attributes[name] = value
        elif isinstance(target, (Function, Layer)):
            target.attributes[name] = value
            self.attribute_set(target, name, value)
        elif isinstance(target, (Class, Module)):
            target.names[name] = value
        elif isinstance(target, Model):
            target.attributes[name] = value
            self.attribute_set(target, name, value)
        elif isinstance(target, Sym):
            raise NeedsConstant(target)

    def attribute_set(self, target: Any, name: str, value: Any) -> None:
        """Called when the program sets an attribute of a layer or a model."""

    def keras_attribute(self, value: Any, name: str) -> Any:
        raise NotImplementedError

    # --- builtins ---------------------------------------------------------------------------------------------------------------

    def _builtins(self) -> dict[str, Any]:
        table: dict[str, Any] = {**natives.PURE, **natives.EXCEPTIONS}
        table |= {
            "print": Native("print", lambda *a, **k: None),
            "isinstance": Native("isinstance", self.is_instance),
            "issubclass": Native("issubclass", lambda c, b: b in c.mro() if isinstance(c, Class) else False),
            "type": Native("type", self.type_of),
            "getattr": Native("getattr", self.getattr_default),
            "hasattr": Native("hasattr", self.has_attribute),
            "setattr": Native("setattr", lambda o, n, v: self.setattr(o, n, v)),
            "callable": Native(
                "callable",
                lambda v: (
                    v.cls.lookup("__call__") is not None
                    if isinstance(v, Instance)
                    else isinstance(v, (Function, Bound, Class, Layer, Model, ApiValue, Native)) or callable(v)
                ),
            ),
            "super": Native("super", None),  # type: ignore[arg-type]
            "globals": Native("globals", None),  # type: ignore[arg-type]
            "locals": Native("locals", None),  # type: ignore[arg-type]
            "vars": Native("vars", None),  # type: ignore[arg-type]
            "staticmethod": Native("staticmethod", lambda f: Wrapped("staticmethod", f)),
            "classmethod": Native("classmethod", lambda f: Wrapped("classmethod", f)),
            "property": Native("property", lambda f: Property(f)),
            "open": Native("open", lambda *a, **k: Unknown("open() is not evaluated")),
            "input": Native("input", lambda *a: Unknown("input() is not evaluated")),
            "eval": Native("eval", lambda *a, **k: self.eval_text(*a)),
            "exec": Native("exec", lambda *a, **k: Unknown("exec() is not evaluated")),
            "__import__": Native("__import__", lambda name, *a, **k: self.import_module(name)),
            "NotImplemented": NotImplemented,
            "Ellipsis": Ellipsis,
            "__name__": "__keras2torch__",
            "__debug__": True,
        }
        table["hash"] = Native("hash", lambda v: hash(v) if not isinstance(v, OPAQUE) else id(v))
        table["len"] = Native("len", self.length)
        table["str"], table["map"], table["filter"] = str, map, filter
        return table

    def eval_text(self, text: Any, *scopes: Any) -> Any:
        if not isinstance(text, str) or not self.stack:
            return Unknown("eval() of an unknown text")
        try:
            node = ast.parse(text, mode="eval").body
        except SyntaxError as error:
            raise ProgramError(error) from None
        names = self.modules.get(self.stack[-1][0].name)
        env = Env(None, "module", self.stack[-1][0], names.names if isinstance(names, Module) else {})
        return self.eval(node, env)

    def length(self, value: Any) -> Any:
        if isinstance(value, Unknown):
            return value
        if isinstance(value, TensorShape):
            return len(value.dims)
        if isinstance(value, Sym):
            return Sym(ast.Call(ast.Name("len", ast.Load()), [value.expr], []), observe(len, value))
        if isinstance(value, Instance) and value.cls.lookup("__len__"):
            return self.call(Bound(value.cls.lookup("__len__"), value), [], {})
        if isinstance(value, Value):
            return value.type.shape[0]
        return len(value)

    def is_instance(self, value: Any, kinds: Any) -> Any:
        if isinstance(value, Unknown):
            return value
        if isinstance(value, Alternative):
            return self.split_test(value, lambda v: self.is_instance(v, kinds))
        if isinstance(value, Sym):
            if value.witness is MISSING:
                raise NeedsConstant(value)
            result = self.is_instance(value.witness, kinds)
            return Sym(ast.Call(ast.Name("isinstance", ast.Load()), [value.expr, _types_ast(kinds, value)], []), result)
        for kind in kinds if isinstance(kinds, tuple) else (kinds,):
            if isinstance(kind, tuple):
                if self.is_instance(value, kind):
                    return True
            elif isinstance(kind, type):
                if isinstance(value, kind) and not isinstance(value, OPAQUE):
                    return True
            elif isinstance(kind, Class):
                if isinstance(value, (Instance, Model)) and value.cls is not None and kind in value.cls.mro():
                    return True
            elif isinstance(kind, ApiValue) and self.is_keras_instance(value, kind):
                return True
        return False

    def is_keras_instance(self, value: Any, kind: ApiValue) -> bool:
        return False

    def type_of(self, value: Any, *rest: Any) -> Any:
        if isinstance(value, Instance):
            return value.cls
        if isinstance(value, Unknown):
            return value
        if isinstance(value, Sym):
            raise NeedsConstant(value)
        if isinstance(value, OPAQUE):
            return Unknown(f"the type of {value!r}")
        return type(value)

    def getattr_default(self, value: Any, name: Any, *default: Any) -> Any:
        if isinstance(name, Sym):
            raise NeedsConstant(name)
        try:
            return self.getattr(value, name)
        except ProgramError as error:
            if default and isinstance(error.value, AttributeError):
                return default[0]
            raise

    def has_attribute(self, value: Any, name: str) -> Any:
        try:
            found = self.getattr(value, name)
        except ProgramError:
            return False
        except Declined:
            return False
        return found if isinstance(value, Unknown) else True


class OpenMethod:
    """A method of a value that the generated code keeps open: calling it writes the call."""

    def __init__(self, interpreter: Interpreter, receiver: Sym, name: str) -> None:
        self.interpreter, self.receiver, self.name = interpreter, receiver, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            expr = ast.Call(
                ast.Attribute(self.receiver.expr, self.name, ast.Load()),
                [to_ast(a) for a in args],
                [ast.keyword(k, to_ast(v)) for k, v in kwargs.items()],
            )
        except TypeError:
            raise NeedsConstant(self.receiver) from None
        witness = observe(lambda r, a, k: getattr(r, self.name)(*a, **k), self.receiver, list(args), dict(kwargs))
        return Sym(
            expr,
            list(witness) if isinstance(witness, (type({}.items()), type({}.keys()), type({}.values()))) else witness,
        )


ITERATING = (
    list,
    tuple,
    set,
    frozenset,
    sorted,
    enumerate,
    zip,
    map,
    filter,
    sum,
    any,
    all,
    min,
    max,
    reversed,
    iter,
    dict,
)

COMPARISONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
    ast.Is: lambda a, b: a is b,
    ast.IsNot: lambda a, b: a is not b,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}


COMPARISON_METHODS: dict[type, str] = {
    ast.Eq: "__eq__",
    ast.NotEq: "__ne__",
    ast.Lt: "__lt__",
    ast.LtE: "__le__",
    ast.Gt: "__gt__",
    ast.GtE: "__ge__",
    ast.In: "__contains__",
    ast.NotIn: "__contains__",
}


def first_open(values: list[Any]) -> Sym:
    for value in values:
        if isinstance(value, Sym):
            return value
        if isinstance(value, (list, tuple)) and is_open(value):
            return first_open(list(value))
        if isinstance(value, dict) and is_open(value):
            return first_open(list(value.values()))
    return Sym(ast.Constant(None))


def _types_ast(kinds: Any, value: Sym) -> ast.expr:
    items = kinds if isinstance(kinds, tuple) else (kinds,)
    if not all(isinstance(k, type) and k.__module__ == "builtins" for k in items):
        raise NeedsConstant(value)
    names: list[ast.expr] = [ast.Name(k.__name__, ast.Load()) for k in items]
    return names[0] if len(names) == 1 else ast.Tuple(names, ast.Load())


def _as_load(target: ast.expr) -> ast.expr:
    if isinstance(target, ast.Name):
        return ast.Name(target.id, ast.Load())
    if isinstance(target, ast.Attribute):
        return ast.Attribute(target.value, target.attr, ast.Load())
    assert isinstance(target, ast.Subscript)
    return ast.Subscript(target.value, target.slice, ast.Load())


def walk_own(node: ast.AST) -> Iterable[ast.AST]:
    """The nodes of a function's own body, nested functions and classes left out."""
    todo: list[ast.AST] = list(getattr(node, "body", []))
    while todo:
        current = todo.pop()
        yield current
        if not isinstance(current, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            todo.extend(ast.iter_child_nodes(current))


def assigned_names(body: list[ast.stmt]) -> list[str]:
    """The names that running `body` may bind, in order of appearance."""
    found: list[str] = []

    def add(name: str) -> None:
        if name not in found:
            found.append(name)

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            add(node.name)
            return
        elif isinstance(node, ast.alias):
            add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            return
        for child in ast.iter_child_nodes(node):
            visit(child)

    for statement in body:
        visit(statement)
    return found


sys.setrecursionlimit(max(sys.getrecursionlimit(), 20_000))
