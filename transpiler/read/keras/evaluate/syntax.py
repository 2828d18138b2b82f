"""Questions about syntax, and methods of values that the generated code keeps open."""

from __future__ import annotations

import ast
import builtins
import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from transpiler.ir.expr import (
    MISSING,
    NeedsConstant,
    Sym,
    is_open,
    observe,
    to_ast,
)
from transpiler.ir.trees import nodes, variables_in

if TYPE_CHECKING:
    from transpiler.read.keras.evaluate.interpreter import Interpreter


MUTATING = frozenset(
    ("append", "extend", "insert", "pop", "popitem", "remove", "update", "add", "discard", "setdefault", "clear", "sort", "reverse")
)  # fmt: skip
"""Methods that change the list, dictionary or set they are called on."""


class OpenMethod:
    """A method of a value that the generated code keeps open: calling it writes the call."""

    def __init__(self, interpreter: Interpreter, receiver: Sym, name: str) -> None:
        self.interpreter, self.receiver, self.name = interpreter, receiver, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.name in MUTATING and isinstance(self.receiver.witness, (list, dict, set)):
            raise NeedsConstant(self.receiver, f"{self.receiver.code} is changed by {self.name}()")
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

MIRRORED: dict[type, type[ast.cmpop]] = {
    ast.Eq: ast.Eq,
    ast.NotEq: ast.NotEq,
    ast.Lt: ast.Gt,
    ast.LtE: ast.GtE,
    ast.Gt: ast.Lt,
    ast.GtE: ast.LtE,
}
"""Comparison → the one that says the same of its operands in the other order."""


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


def types_ast(kinds: Any, value: Sym) -> ast.expr:
    """Python's own types, one or several, that the open `value` is compared with."""
    if isinstance(kinds, tuple):
        found = [types_ast(k, value) for k in dict.fromkeys(kinds)]
        return found[0] if len(found) == 1 else ast.Tuple(found, ast.Load())
    if kinds is type(None):
        return ast.parse("type(None)", mode="eval").body
    if not isinstance(kinds, type) or getattr(builtins, kinds.__name__, None) is not kinds:
        raise NeedsConstant(value)
    return ast.Name(kinds.__name__, ast.Load())


def compared_ast(operand: Any, other: Any) -> ast.expr:
    """One side of a comparison with an open value, which may be what `type()` gives of one."""
    kinds = tuple(operand) if isinstance(operand, list) else operand
    of_types = any(isinstance(k, type) for k in (kinds if isinstance(kinds, tuple) else (kinds,)))
    return types_ast(kinds, other) if of_types and isinstance(other, Sym) else to_ast(operand)


def as_load(target: ast.expr) -> ast.expr:
    if isinstance(target, ast.Name):
        return ast.Name(target.id, ast.Load())
    if isinstance(target, ast.Attribute):
        return ast.Attribute(target.value, target.attr, ast.Load())
    assert isinstance(target, ast.Subscript)
    return ast.Subscript(target.value, target.slice, ast.Load())


@functools.lru_cache(maxsize=4096)
def is_generator(node: ast.AST) -> bool:
    """Whether a function yields."""
    return any(isinstance(n, (ast.Yield, ast.YieldFrom)) for n in walk_own(node))


def walk_own(node: ast.AST) -> Iterable[ast.AST]:
    """The nodes of a function's own body, nested functions and classes left out."""
    todo: list[ast.AST] = list(getattr(node, "body", []))
    while todo:
        current = todo.pop()
        yield current
        if not isinstance(current, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            todo.extend(ast.iter_child_nodes(current))


def free_names(node: ast.FunctionDef | ast.Lambda) -> set[str]:
    """The names that a function reads and does not bind itself, or declares global."""
    a = node.args
    own = {p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg) if p is not None}
    own |= set(assigned_names(node.body)) if isinstance(node, ast.FunctionDef) else set()
    read = variables_in(node)
    declared = {name for n in nodes(node) if isinstance(n, ast.Global) for name in n.names}
    return read - own | declared


def is_handed_on(node: ast.AST, name: str) -> bool:
    """Whether a function only unpacks a variable as the keywords of calls, which copies it."""
    uses = {n for n in nodes(node) if isinstance(n, ast.Name) and n.id == name}
    unpacked = {k.value for n in nodes(node) if isinstance(n, ast.Call) for k in n.keywords if k.arg is None}
    return bool(uses) and uses <= unpacked


def changed_in(statement: ast.stmt) -> set[str]:
    """The variables whose lists or dictionaries a statement changes in place."""
    places = [n for n in nodes(statement) if isinstance(n, ast.Subscript) and not isinstance(n.ctx, ast.Load)]
    calls = [n.func for n in nodes(statement) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
    found: list[ast.expr] = [*(p.value for p in places), *(c.value for c in calls if c.attr in MUTATING)]
    return {n.id for n in found if isinstance(n, ast.Name)}


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


def comparison_of_choice(op: ast.cmpop, left: Any, right: Any, witness: Any) -> Any:
    """`(2 if test else 4) == 2` is `bool(test)`; None if this is no comparison of a choice between two constants."""
    if not isinstance(left, Sym) or not isinstance(left.expr, ast.IfExp) or is_open(right):
        return None
    sides = left.expr.body, left.expr.orelse
    try:
        outcomes = [bool(COMPARISONS[type(op)](s.value, right)) for s in sides if isinstance(s, ast.Constant)]
    except TypeError:
        return None
    if len(outcomes) < 2:
        return None
    if outcomes[0] == outcomes[1]:
        return outcomes[0]
    test = left.expr.test
    if not outcomes[0]:
        return Sym(ast.UnaryOp(ast.Not(), test), witness)
    return Sym(ast.Call(ast.Name("bool", ast.Load()), [test], []), witness)


def as_test(value: Sym) -> Sym:
    """`bool(x)` where only its truth matters: `x`."""
    call = value.expr
    if (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "bool"
        and len(call.args) == 1
    ):
        return Sym(call.args[0], value.witness)
    return value


def surely_bool(test: Sym) -> Sym:
    """The outcome of a test as a value."""
    if isinstance(test.expr, ast.Compare) or isinstance(test.expr, ast.UnaryOp) and isinstance(test.expr.op, ast.Not):
        return test
    seen = test.witness if test.witness is MISSING else bool(test.witness)
    return Sym(ast.Call(ast.Name("bool", ast.Load()), [test.expr], []), seen)


def gives_int(node: ast.expr) -> bool:
    """Whether an expression of the generated code is a call that rounds to an int."""
    return (
        isinstance(node, ast.Call)
        and len(node.args) == 1
        and ast.unparse(node.func) in ("round", "math.floor", "math.ceil")
    )
