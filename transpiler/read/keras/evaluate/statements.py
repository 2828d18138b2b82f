"""Statements: blocks, branches, loops, definitions, imports, assignment."""

from __future__ import annotations

import ast
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import (
    MISSING,
    NeedsConstant,
    Sym,
    is_open,
    to_ast,
)
from transpiler.ir.model import ApiObject, ApiValue
from transpiler.ir.program import Value
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.bases import plain
from transpiler.read.keras.evaluate.constants import Constant
from transpiler.read.keras.evaluate.signals import (
    BREAK,
    CONTINUE,
    MAX_STEPS,
    OPAQUE,
    ProgramError,
    ReturnSignal,
    Signal,
)
from transpiler.read.keras.evaluate.syntax import (
    as_load,
    assigned_names,
)
from transpiler.read.keras.evaluate.undecided import (
    changes_data_alone,
    changes_nothing,
    is_about_models,
    names_of_changed,
    replace_held,
    scopes_around,
)
from transpiler.read.keras.evaluate.values import (
    Bound,
    Class,
    Env,
    Function,
    Instance,
    Method,
    Module,
    Native,
    Property,
    Unknown,
)


class Statements:
    """The part of the interpreter that runs statements."""

    def tick(self) -> None:
        self.ticks += 1
        if self.ticks > MAX_STEPS or (self.ticks & 1023 == 0 and time.process_time() > self.deadline):
            raise self.declined(
                "K2T005", "evaluating this program takes too long", "Convert a smaller part, or name an entry."
            )

    def exec_block(self, body: list[ast.stmt], env: Env) -> Signal | None:
        """Runs statements in order. Bodies of decided `if`s are spliced in, so that an open branch sees all that follows."""
        queue = list(body)
        while queue:
            statement = queue.pop(0)
            if isinstance(statement, ast.If):
                test = self.located(
                    statement, env, lambda s=statement: self.choice(self.eval_test(s.test, env), s, env)
                )
                if isinstance(test, (Sym, Unknown)):
                    signal = self.located(
                        statement, env, lambda s=statement, t=test: self.open_branch(t, s, queue, env)
                    )
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

    def choice(self, value: Any, node: ast.If | ast.For | ast.IfExp, env: Env) -> Any:
        """The value that a branch or a loop goes by; what stands for one that is not known, where there is such."""
        return value

    def open_branch(self, test: Any, node: ast.If, rest: list[ast.stmt], env: Env) -> Signal | None:
        """An `if` whose test is not decided. Without a stager, only a side effect-free one can be passed over."""
        if isinstance(test, Unknown):
            return self.unknown_branch(test, node, rest, env)
        raise NeedsConstant(test)

    def unknown_branch(self, test: Unknown, node: ast.If, rest: list[ast.stmt], env: Env) -> Signal | None:
        """Passes over a branch that changes nothing, whichever side is taken; Raises Declined for another one."""
        bodies = [*node.body, *node.orelse]
        if all(isinstance(b, (ast.Import, ast.ImportFrom)) for b in bodies):
            return self.exec_block(node.body, env)
        inner = [n for b in bodies for n in nodes(b)]
        about_models = [b for b in bodies if is_about_models(b)]
        passed = [b for b in bodies if not (isinstance(b, ast.Expr) and b in about_models)]
        leaves = any(isinstance(n, ast.Return) for n in inner)
        if (
            any(isinstance(n, (ast.Break, ast.Continue)) and n not in self.passed_over for n in inner)
            or not changes_nothing([*passed, *(rest if leaves else ())], env, self.builtins)
            or leaves
            and about_models
        ):
            raise self.declined(
                "K2T201",
                f"this condition cannot be evaluated: {test.reason}",
                "Give its value with --setup, or rewrite it.",
            )
        if leaves:
            rest.clear()
            return ReturnSignal(Unknown(test.reason))
        for name in assigned_names(bodies):
            env.assign(name, Unknown(test.reason))
        for statement in about_models:
            with contextlib.suppress(*(() if isinstance(statement, ast.Expr) else (Declined, ProgramError))):
                self.exec(statement, env)
            for name in assigned_names([statement]):
                if not isinstance(env.names.get(name), Unknown):
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
        self.statement_begins(node, env)
        return self.located(node, env, lambda: handler(node, env))

    def statement_begins(self, node: ast.stmt, env: Env) -> None:
        """Called before each statement."""

    def exec_Expr(self, node: ast.Expr, env: Env) -> Signal | None:
        if isinstance(node.value, ast.BoolOp):  # `test or fail()`, a branch in other words
            return self.exec_block([as_branch(node.value)], env)
        if not isinstance(node.value, ast.Constant):
            self.eval(node.value, env)
        return None

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
        load = ast.copy_location(as_load(node.target), node.target)
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
                container = plain(self.eval(target.value, env))
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
        test = self.eval_test(node.test, env)
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
        name = env.module.imported(node.level, node.module)
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
            env.top.names.setdefault("__star__", []).append(module)
            for exported in self.exported_names(module.path):
                env.assign(exported, self.getattr(module, exported))
        elif isinstance(module, Module):
            public = module.names.get("__all__")
            env.top.names.setdefault("__star__", []).extend(module.names.get("__star__", ()))
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
        iterable = self.choice(self.eval(node.iter, env), node, env)
        if isinstance(iterable, Unknown):
            return self.unknown_loop(node, iterable, env)
        return self.loop(node, iterable, env)

    def unknown_loop(self, node: ast.For | ast.While, over: Unknown, env: Env) -> Signal | None:
        """Evaluates a loop over what is not known once, for what it does with models; what it changes is unknown then.

        Raises Declined for one that may change more than data.
        """
        leaves = any(isinstance(n, ast.Return) for n in nodes(node))
        if leaves or not changes_data_alone(node, env, self.builtins):
            what = "this cannot be iterated over" if isinstance(node, ast.For) else "this condition cannot be evaluated"
            raise self.declined("K2T201", f"{what}: {over.reason}")
        self.passed_over |= set(leaving(node))
        unknown = Unknown(over.reason)
        self.forget(node, unknown, env)
        if isinstance(node, ast.For):
            self.assign(node.target, unknown, env)
        self.exec_block(node.body, env)
        self.forget(node, unknown, env)
        self.exec_block(node.orelse, env)
        return None

    def forget(self, node: ast.stmt, unknown: Unknown, env: Env) -> None:
        """Leaves unknown what a statement may change or assign."""
        for scope, name in names_of_changed(node, env, self.builtins, self.scopes_under_way()):
            scope.names[name] = unknown
        for name in assigned_names([node]):
            if not isinstance(env.names.get(name), Unknown):
                env.assign(name, unknown)

    def lose(self, container: Any, unknown: Unknown, env: Env) -> None:
        """Leaves a list, dictionary or set unknown wherever it is held, as it is changed by what is unknown."""
        for scope in scopes_around(env, self.scopes_under_way()):
            replace_held(scope.names, container, Unknown(unknown.reason))

    def scopes_under_way(self) -> Iterator[Env]:
        """The scopes of the calls that have led here."""
        return iter(())

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
            test = self.eval_test(node.test, env)
            if isinstance(test, Sym):
                raise NeedsConstant(test)
            if isinstance(test, Unknown):
                return self.unknown_loop(node, test, env)
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
            if case.guard is None or self.eval_test(case.guard, env):
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

    def assign(self, target: ast.expr, value: Any, env: Env) -> None:
        if isinstance(target, ast.Name):
            env.assign(target.id, self.named(value, target.id, env))
        elif isinstance(target, (ast.Tuple, ast.List)):
            self.unpack(target, value, env)
        elif isinstance(target, ast.Attribute):
            self.setattr(self.eval(target.value, env), target.attr, value)
        elif isinstance(target, ast.Subscript):
            container, key = self.eval(target.value, env), self.eval(target.slice, env)
            if isinstance(key, Unknown) and isinstance(container, (list, dict)):
                self.lose(container, key, env)
            else:
                self.set_item(container, key, value)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value, env)

    def set_item(self, container: Any, key: Any, value: Any) -> None:
        """`container[key] = value`."""
        if isinstance(container, Sym):
            raise NeedsConstant(container)
        if isinstance(container, Instance) and container.cls.lookup("__setitem__"):
            self.call(Bound(container.cls.lookup("__setitem__"), container), [key, value], {})
        elif isinstance(plain(container), (list, dict)):
            self.native(plain(container).__setitem__, [key, value], {})
        elif not isinstance(container, (Unknown, ApiValue)):
            raise self.declined("K2T203", f"assigning to an item of {container!r} is not evaluated")

    def named(self, value: Any, name: str, env: Env) -> Any:
        """Called for every assignment to a name: the place to note what the source calls a value."""
        if isinstance(value, Value):
            value.hint = name
        if isinstance(value, Constant):
            value.member.hint = name
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


def as_branch(node: ast.BoolOp) -> ast.If:
    """`a or b`, as a statement: `if not a: b`."""
    *first, last = node.values
    test = first[0] if len(first) == 1 else ast.BoolOp(node.op, first)
    then, otherwise = [ast.Expr(last)], []
    if isinstance(node.op, ast.Or):
        test = ast.UnaryOp(ast.Not(), test)
    branch = ast.If(test, then, otherwise)
    for new in (branch, *then, test):
        ast.copy_location(new, node)
    return branch


def leaving(loop: ast.For | ast.While) -> Iterator[ast.AST]:
    """The `break` and `continue` statements of a loop itself."""
    todo: list[ast.AST] = list(loop.body)
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.Break, ast.Continue)):
            yield node
        if not isinstance(node, (ast.For, ast.While, ast.FunctionDef, ast.ClassDef)):
            todo += ast.iter_child_nodes(node)
