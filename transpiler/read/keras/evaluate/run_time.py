"""Numbers that only the program's data know, or its command line: `len(words)`, `x.shape[1]`, `args.units`.

They stay unknown, and decide nothing here. A layer that needs such a number takes a made-up one in the plain evaluation,
while the staged one makes it a parameter of the class, which the result gives the expression of the source.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from transpiler.ir.expr import OPERATORS, ArrayExample, Sym, is_record, observe, rebuilt
from transpiler.ir.model import ApiObject, ApiValue, Layer
from transpiler.ir.program import Value
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.arrays import DataArray, NumpyArray
from transpiler.read.keras.evaluate.values import Env, Model, Unknown, has_tensors
from transpiler.read.keras.examples import likely_shape, likely_value

SCOPES = ("module", "function")
"""Kinds of scopes whose names the result has as well."""


@dataclass(frozen=True, eq=False, repr=False)
class RunTime(Unknown):
    """A value that is known when the program runs, and the expression that gives it."""

    code: ast.expr = ast.Constant(None)
    scope: Env | None = None
    """Where the expression stands."""
    read: tuple[tuple[str, Any], ...] = ()
    """The names in it, and what they were bound to."""
    bound: RunTime | None = None
    """Of a variable: the value that was assigned to it or passed for it."""
    parts: tuple[ast.operator, Any, Any] | None = None
    """Of arithmetic: the operator and the operands."""

    @property
    def text(self) -> str:
        return ast.unparse(self.code)

    def first(self) -> RunTime:
        """The value as it came about, before variables held it."""
        return self if self.bound is None else self.bound.first()

    def is_number(self) -> bool:
        """Whether it is surely a number."""
        first = self.first()
        if first.parts is not None:
            return all(v.is_number() for v in first.parts[1:] if isinstance(v, RunTime))
        code = first.code
        if isinstance(code, ast.Subscript):
            return isinstance(code.value, ast.Attribute) and code.value.attr == "shape" and gives_one(code.slice)
        if not isinstance(code, ast.Call) or code.keywords:
            return False
        if isinstance(code.func, ast.Name):
            return code.func.id in ("len", "int", "float")
        of_numpy = isinstance(code.func, ast.Attribute) and ast.unparse(code.func.value) in ("np", "numpy")
        return getattr(code.func, "attr", "") in REDUCTIONS and len(code.args) == (1 if of_numpy else 0)

    def same_as(self, other: RunTime) -> bool:
        """Whether two values with one expression are surely the same."""
        again = self.is_computed() and self.first().code is not other.first().code
        return not again and all(a is b for (_, a), (_, b) in zip(self.read, other.read))

    def is_computed(self) -> bool:
        """Whether it is an array that calls make, which may draw it or change something."""
        is_array = self.bound is not None and ast.unparse(self.code) == ast.unparse(as_tensor(self.bound.code))
        return is_array and any(isinstance(n, ast.Call) for n in nodes(self.bound.code))  # type: ignore[union-attr]


class RunTimeNumbers:
    """The part of the interpreter that keeps the expressions of what it does not know."""

    made_up: dict[str, Any]
    """Expressions → the values that layers were given in their place."""
    arrays_read: dict[int, tuple[Any, Unknown]]
    """Arrays whose numbers are not known, by their ids → the expression that read each last."""
    arrays_given: dict[int, Any]
    """Those of them, by their ids, that weights start as."""

    def unknown_at(self, value: Any, node: ast.expr, env: Env) -> Any:
        """An unknown value with the expression that gives it; kinds of values with a meaning of their own stay."""
        if type(value) is tuple:
            known = not any(type(v) is Unknown for v in value)
            return value if known else tuple(self.unknown_at(v, item(node, i), env) for i, v in enumerate(value))
        if isinstance(value, DataArray) or isinstance(value, NumpyArray) and value.changed:
            self.note_array(value, self.unknown_at(Unknown("numbers of the data"), node, env))
        if type(value) not in (Unknown, RunTime):
            return value
        read = names_read(node, env) if env.kind in SCOPES else None
        if read is None:
            return Unknown(value.reason)
        scope, names = read
        of_variable = isinstance(node, ast.Name) and isinstance(value, RunTime)
        combined = isinstance(node, ast.BinOp) and isinstance(value, RunTime) and value.scope is None
        parts = value.parts if combined else None  # type: ignore[attr-defined]
        return RunTime(value.reason, node, scope, names, value if of_variable else None, parts)  # type: ignore[arg-type]

    def note_array(self, value: Any, read: Any) -> None:
        """Remembers an expression for an array of data, and the others that were read for the same one before."""
        before = self.arrays_read.get(id(value), (value, None))[1]
        known: RunTime | None = before if isinstance(before, RunTime) else None
        while known is not None and isinstance(read, RunTime):
            if known.text == read.text and known.scope is read.scope:
                read = known
            known = known.bound
        if (
            isinstance(read, RunTime)
            and read.bound is None
            and isinstance(before, RunTime)
            and read is not before.first()
        ):
            read = replace(read, bound=before)
        self.arrays_read[id(value)] = (value, read)

    def sizes_at_run_time(self, shape: Any, layer: str) -> Any:
        """A shape that is known at run time alone as that of the input of a layer: a number for each axis it has."""
        example = likely_shape(layer)
        if not isinstance(shape, RunTime) or example is None:
            return shape
        axes = [-1] if len(example) == 1 else range(len(example))
        sizes = [RunTime(shape.reason, item(shape.code, i), shape.scope, shape.read) for i in axes]
        for size, seen in zip(sizes, example):
            self.made_up.setdefault(size.text, seen)
        return tuple(sizes)

    def comprehension(self, node: Any, env: Env, emit: Callable[[Env], None]) -> Unknown | None:
        made = len(self.layers) + len(self.origins)  # type: ignore[attr-defined]
        unknown = super().comprehension(node, env, emit)  # type: ignore[misc]
        if unknown is not None and made != len(self.layers) + len(self.origins):  # type: ignore[attr-defined]
            raise self.declined("K2T201", f"this cannot be iterated over: {unknown.reason}")  # type: ignore[attr-defined]
        return unknown

    def binop(self, op: ast.operator, left: Any, right: Any) -> Any:
        unknown = next((v for v in (left, right) if isinstance(v, RunTime)), None)
        if any(isinstance(v, DataArray) for v in (left, right)):
            left, right = (1.0 if isinstance(v, RunTime) and v.is_number() else v for v in (left, right))
            return super().binop(op, left, right)  # type: ignore[misc]
        if unknown is None:
            return super().binop(op, left, right)  # type: ignore[misc]
        if all(isinstance(v, (RunTime, int, float, Sym)) for v in (left, right)):
            return RunTime(unknown.reason, parts=(op, left, right))
        if not has_tensors(left) and not has_tensors(right):
            return Unknown(unknown.reason)
        return super().binop(op, self.operand(left), self.operand(right))  # type: ignore[misc]

    def operand(self, value: Any) -> Any:
        """What meets a tensor: a number where the value surely is one, as arrays and tensors are not kept so."""
        if type(value) in (tuple, list):
            return type(value)(map(self.operand, value))
        return self.at_run_time(value) if isinstance(value, RunTime) and value.is_number() else value

    def at_run_time(self, value: Any, use: str = "") -> Any:
        """An argument of a layer with a number in place of each that is known at run time alone; `use` is its name."""
        if isinstance(value, RunTime):
            if value.parts is not None and value.text not in self.made_up:
                op, left, right = value.parts
                return super().binop(op, self.at_run_time(left, use), self.at_run_time(right, use))  # type: ignore[misc]
            return self.run_time_number(value, use)
        if id(value) in self.arrays_given:
            self.made_up.setdefault(self.arrays_read[id(value)][1].first().text, ArrayExample())  # type: ignore[attr-defined]
            return self.run_time_number(self.arrays_read[id(value)][1], use)  # type: ignore[arg-type]
        if type(value) in (tuple, list) or is_record(value):
            items = [self.at_run_time(v) for v in value]
            return value if all(a is b for a, b in zip(items, value)) else rebuilt(value, items)
        return value

    def run_time_number(self, value: RunTime, use: str) -> Any:
        return self.example(value, use)

    def is_read_here(self, value: RunTime) -> bool:
        """Whether the result can read the expression of a value where it constructs its classes."""
        return True

    def run_time_array(self, value: RunTime) -> Sym:
        """A tensor of what the program knows when it runs: an array, or a number."""
        self.made_up.setdefault(value.first().text, ArrayExample())
        while value.bound is not None and not self.is_read_here(value):
            value = value.bound
        code = ast.copy_location(as_tensor(value.code), value.code)
        made = self.run_time_number(replace(value, code=code, bound=value), "weights")
        return made if isinstance(made, Sym) else Sym(code, made)

    def example(self, value: RunTime, use: str) -> Any:
        """The number that stands for a value in the conversion."""
        first = value.first()
        if first.parts is not None and first.text not in self.made_up:
            op, left, right = first.parts
            examples = [self.example(v, use) if isinstance(v, RunTime) else v for v in (left, right)]
            return observe(OPERATORS[type(op)], *examples)
        text = first.text
        if text not in self.made_up:
            self.made_up[text] = likely_value([name_of(value.code), name_of(first.code), use])
        return self.made_up[text]


def as_tensor(code: ast.expr) -> ast.Call:
    """The expression of a tensor with the numbers of an array."""
    return ast.Call(ast.parse("torch.as_tensor", mode="eval").body, [code], [])


def gives_one(index: ast.expr) -> bool:
    """Whether an index is the number of an item."""
    return isinstance(index.operand if isinstance(index, ast.UnaryOp) else index, ast.Constant)


def run_time_in(value: Any) -> Iterator[RunTime]:
    """What a value holds that only the data know, without what is computed from it."""
    if isinstance(value, RunTime) and value.parts is None:
        yield value
    parts = value.parts[1:] if isinstance(value, RunTime) and value.parts is not None else value
    if isinstance(parts, (list, tuple)):
        for part in parts:
            yield from run_time_in(part)


def names_read(node: ast.expr, env: Env) -> tuple[Env, tuple[tuple[str, Any], ...]] | None:
    """The scope that an expression needs, and the names that it reads with their values.

    None if some of the names mean nothing where the scope ends, or mean something of Keras.
    """
    names = names_in_code(node)
    if names is None:
        return None
    found: dict[str, Any] = {}
    needed = [env.top]
    for name in names:
        scope = env.scope_of(name)
        if scope is not None:
            value = scope.names[name]
            if scope.kind not in SCOPES or isinstance(value, (ApiValue, ApiObject, Layer, Model, Value)):
                return None
            found[name] = value
            needed.append(scope)
    inner = env
    while inner not in needed:
        assert inner.parent is not None
        inner = inner.parent
    return inner, tuple(found.items())


@functools.lru_cache(maxsize=10_000)
def names_in_code(node: ast.expr) -> tuple[str, ...] | None:
    """The names in an expression; None if it binds some of them itself."""
    parts = list(nodes(node))
    if any(isinstance(p, (ast.Lambda, ast.NamedExpr, ast.comprehension, ast.Await, ast.Yield)) for p in parts):
        return None
    return tuple(dict.fromkeys(p.id for p in parts if isinstance(p, ast.Name)))


def item(code: ast.expr, index: int) -> ast.expr:
    """The expression of an item of a sequence: `x.shape[2]` for the second of `x.shape[1:]`."""
    if isinstance(code, ast.Subscript) and isinstance(code.slice, ast.Slice):
        bounds = code.slice.lower or ast.Constant(0), code.slice.upper, code.slice.step
        start = bounds[0].value if isinstance(bounds[0], ast.Constant) else None
        if isinstance(start, int) and bounds[2] is None and (index >= 0 or bounds[1] is None):
            code, index = code.value, start + index if index >= 0 else index
    return ast.Subscript(code, ast.Constant(index) if index >= 0 else ast.UnaryOp(ast.USub(), ast.Constant(-index)))


def name_of(code: ast.expr) -> str:
    """What a parameter may be called that has the value of an expression: `num_words` for `len(words)`; "" if nothing fits."""
    if isinstance(code, ast.Name):
        return code.id
    if isinstance(code, ast.Attribute):
        return code.attr
    if isinstance(code, ast.Subscript) and isinstance(code.slice, ast.Constant) and isinstance(code.slice.value, str):
        return code.slice.value if code.slice.value.isidentifier() else ""
    if not isinstance(code, ast.Call):
        return ""
    function = code.func
    called = name_of(function)
    value = (
        function.value if isinstance(function, ast.Attribute) and not code.args else (*code.args, ast.Constant(0))[0]
    )
    if called in CONVERSIONS:
        return name_of(value)
    inner = name_of(value).strip("_")
    return f"{NAMED.get(called, called)}_{inner}" if inner else ""


CONVERSIONS = ("as_tensor", "int", "float", "str", "bool", "set", "list", "tuple", "sorted", "round", "item", "unique")
"""Functions whose results go by the names of what they are given."""

REDUCTIONS = ("max", "amax", "min", "amin", "mean", "sum", "std", "var", "median", "item")
"""Functions and methods of arrays that give a number where no axis is said."""

NAMED = {"len": "num", "amax": "max", "amin": "min"}
"""Functions that are called otherwise in the names of what they return."""
