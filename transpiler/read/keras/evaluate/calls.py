"""Calls: arguments bound to parameters, functions of the program, pure functions of Python."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import (
    MISSING,
    NeedsConstant,
    Sym,
    is_open,
    observe,
    to_ast,
)
from transpiler.ir.model import ApiObject, ApiValue, Layer
from transpiler.ir.program import Value
from transpiler.read.keras.evaluate import natives, numbers
from transpiler.read.keras.evaluate.bases import plain
from transpiler.read.keras.evaluate.signals import (
    MAX_DEPTH,
    NotKept,
    ProgramError,
    ReturnSignal,
)
from transpiler.read.keras.evaluate.syntax import (
    ITERATING,
    first_open,
    gives_int,
    is_generator,
)
from transpiler.read.keras.evaluate.values import (
    Alternative,
    Bound,
    Class,
    Env,
    Function,
    Generator,
    Instance,
    Method,
    Model,
    Module,
    Native,
    Partial,
    Super,
    Unknown,
    calling,
    has_tensors,
)

OWN_NAMES = frozenset(("__function__", "__receiver__"))
"""What the interpreter itself keeps among the variables of a call."""


COUNTING = (len, int, float, round, abs, sum, min, max, str, bool)
"""Builtins whose result is no object like the one that they are given."""


class Calls:
    """The part of the interpreter that calls."""

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
            if isinstance(plain(value), dict):
                kwargs.update(plain(value))
            elif isinstance(value, Unknown):
                return value
        self.stack.append((env.module, node))
        try:
            if isinstance(function, Native) and function.name in ("super", "globals", "locals", "vars"):
                return self.scope_call(function.name, args, env)
            if isinstance(function, Native) and function.outward and is_open(args) and not kwargs:
                return Sym(ast.Call(node.func, [to_ast(a) for a in args], []))
            unknown = next((v for v in (*args, *kwargs.values()) if isinstance(v, Unknown)), None)
            if unknown is not None and natives.changes(function) and not natives.puts(function):
                self.lose(function.__self__, unknown, env)
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
            return env.names if env.kind == "module" else {n: v for n, v in env.names.items() if n not in OWN_NAMES}
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
        if isinstance(function, Partial):
            return self.call(function.function, [*function.args, *args], {**function.keywords, **kwargs})
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
        pure = natives.PURE.get(getattr(function, "__name__", "")) is function
        choice = next((i for i, a in enumerate(args) if isinstance(a, Alternative)), None)
        if choice is not None and (pure or isinstance(getattr(function, "__self__", None), str)):
            others = args[:choice], args[choice + 1 :]
            return self.split(args[choice], lambda v: self.call_real(function, [*others[0], v, *others[1]], kwargs))
        unknown = next((v for v in (*args, *kwargs.values()) if isinstance(v, Unknown)), None)
        if unknown is not None and function not in (isinstance, callable, hasattr) and not natives.puts(function):
            return Unknown(unknown.reason) if function in COUNTING else unknown
        if function in ITERATING:
            args = [
                (
                    list(self.iterate(a))
                    if isinstance(a, Instance) and (a.cls.lookup("__iter__") or a.cls.lookup("__getitem__"))
                    else a
                )
                for a in args
            ]
        if pure:
            args = list(map(plain, args))
        if is_open(args) or is_open(list(kwargs.values())):
            return self.call_real_open(function, args, kwargs)
        return self.native(function, args, kwargs)

    def call_real_open(self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        """A builtin over open values: an expression of the generated code, where it has a plain name there."""
        if self.in_try:
            raise NeedsConstant(first_open([*args, *kwargs.values()]), "whether this raises decides what follows")
        name = getattr(function, "__name__", "")
        owner = getattr(function, "__self__", None)
        if function in (list, tuple) and args and isinstance(args[0], (list, tuple)):
            return function(args[0])
        if isinstance(function, type) and issubclass(function, BaseException):
            return function(*args)
        if (
            isinstance(function, type)
            and hasattr(function, "_fields")
            or hasattr(owner, "_fields")
            and name == "_replace"
        ):
            return self.native(function, args, kwargs)  # a named tuple holds what it is given
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
        elif getattr(function, "written", "") and not kwargs and (function.written != "round" or len(args) == 1):  # type: ignore[attr-defined]
            callee = ast.parse(function.written, mode="eval").body  # type: ignore[attr-defined]
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
            try:
                callee = ast.Attribute(to_ast(owner), name, ast.Load())
            except TypeError:
                raise NeedsConstant(first_open([*args, *kwargs.values()])) from None
        else:
            raise NeedsConstant(next(v for v in (*args, *kwargs.values()) if is_open(v)))
        try:
            expr = ast.Call(callee, [to_ast(a) for a in args], [ast.keyword(k, to_ast(v)) for k, v in kwargs.items()])
        except TypeError:
            raise NeedsConstant(first_open([*args, *kwargs.values()])) from None
        if (
            function is int
            and len(args) == 1
            and isinstance(args[0], Sym)
            and (args[0].integer or gives_int(args[0].expr))
        ):
            return args[0] if args[0].integer else Sym(args[0].expr, observe(int, args[0]), True)
        witness = observe(lambda a, k: function(*a, **k), list(args), dict(kwargs))
        if isinstance(witness, (numbers.Array, Unknown)):
            raise NeedsConstant(first_open(args))
        whole = function in (int, len, round) and len(args) == 1
        return Sym(
            expr, list(witness) if isinstance(witness, (zip, enumerate, reversed, map, filter)) else witness, whole
        )

    def native(self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        outer = calling.interpreter
        calling.interpreter = self  # what the function calls back is evaluated here
        try:
            return function(*args, **kwargs)
        except (Declined, ProgramError, NeedsConstant, NotKept, RecursionError):
            raise
        except Exception as error:
            raise ProgramError(error) from None
        finally:
            calling.interpreter = outer

    def call_function(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return self.run_function(function, args, kwargs)

    def run_function(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Evaluates a call by evaluating the body."""
        env = self.bind(function, args, kwargs)
        if isinstance(function.node, ast.Lambda):
            return self.guarded(lambda: self.eval(function.node.body, env))  # type: ignore[union-attr,arg-type]
        if is_generator(function.node):
            return Generator(f"{function.name} is a generator")
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
                env.names[name] = self.default(function, name, function.defaults[i - offset])
            else:
                raise ProgramError(TypeError(f"{function.name}() missing required argument {name!r}"))
        for p, default in zip(a.kwonlyargs, function.kw_defaults):
            if p.arg in kwargs:
                env.names[p.arg] = kwargs.pop(p.arg)
            elif default is MISSING:
                raise ProgramError(TypeError(f"{function.name}() missing required argument {p.arg!r}"))
            else:
                env.names[p.arg] = self.default(function, p.arg, default)
        if a.kwarg is not None:
            env.names[a.kwarg.arg] = kwargs
        elif kwargs:
            raise ProgramError(
                TypeError(f"{function.name}() got an unexpected keyword argument {next(iter(kwargs))!r}")
            )
        return env

    def default(self, function: Function, name: str, value: Any) -> Any:
        """The default of a parameter for a call that leaves it out."""
        return value
