"""Functions that do nothing but make optimizers, losses and callbacks: the result has these where they are used."""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence

from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.values import Function
from transpiler.training.across import Origin
from transpiler.training.file import FileTraining

PARTS_OF_KERAS = tuple(f"keras.{home}." for home in ("callbacks", "optimizers", "losses", "metrics"))
PLAIN_CALLS = ("int", "float", "str", "len", "max", "min", "round", "bool", "list", "dict", "tuple")
PLAIN_METHODS = ("append", "extend", "insert", "format", "lower", "upper", "join")
STATEMENTS = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return, ast.If, ast.Raise, ast.Pass, ast.Expr)


def drop_makers(files: Sequence[FileTraining]) -> None:
    """Removes such functions where nothing but calls that are translated uses what they return."""
    makers = {s: f for f in files for s in f.source.tree.body if isinstance(s, ast.FunctionDef) and makes_only(s, f)}
    inside = {n for f in files for call in f.handled for n in nodes(call)}
    inside |= {n for f in files for s in f.edit.removed for n in nodes(s)}
    kept = -1
    while kept != len(makers):
        kept = len(makers)
        own = inside.union(*(nodes(s) for s in makers))
        makers = {s: f for s, f in makers.items() if not is_read(s.name, f, files, own)}
    for function, file in makers.items():
        file.edit.removed.add(function)
        file.edit.removed -= {n for n in nodes(function) if n is not function}
        for node in [n for n in nodes(function) if n in file.edit.replaced]:
            del file.edit.replaced[node]


def makes_only(function: ast.FunctionDef, file: FileTraining, around: Collection[ast.AST] = ()) -> bool:
    """Whether a function of the top level makes parts of Keras for training, and changes nothing that it is given.

    `around` are the functions that call it.
    """
    changed = function in file.gone or function in file.edit.replaced or function in file.edit.removed
    if changed or function.decorator_list or function in {*around, *file.interpreter.measured}:
        return False
    if not all(isinstance(s, STATEMENTS) for s in statements_in(function)):
        return False
    inside = list(nodes(function))
    made = any(isinstance(n, ast.Call) and makes_object(file.path_of(n.func)) for n in inside)
    return made and not any(acts(n, function, file, (*around, function)) for n in inside)


def makes_object(path: str) -> bool:
    return path.startswith(PARTS_OF_KERAS) and path.rpartition(".")[2][:1].isupper()


def statements_in(function: ast.FunctionDef) -> list[ast.stmt]:
    return [n for s in function.body for n in nodes(s) if isinstance(n, ast.stmt)]


def acts(node: ast.AST, function: ast.FunctionDef, file: FileTraining, around: Collection[ast.AST]) -> bool:
    """Whether a part of a function may do something that is seen outside of it."""
    if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
        return True
    if isinstance(node, (ast.Global, ast.Nonlocal, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)):
        return True
    if not isinstance(node, ast.Call) or makes_object(file.path_of(node.func)):
        return False
    called, of = file.function_called(node), node.func
    if called is not None:
        return not is_maker(called, file, around)
    if isinstance(of, ast.Attribute):
        given = {a.arg for a in nodes(function.args) if isinstance(a, ast.arg)}
        name = of.value.id if isinstance(of.value, ast.Name) else ""
        own = (function, name) in file.scopes.bound and name not in given or isinstance(of.value, ast.Constant)
        return not (own and of.attr in PLAIN_METHODS or ast.unparse(of).startswith("os.path."))
    return not (isinstance(of, ast.Name) and of.id in PLAIN_CALLS and (None, of.id) not in file.scopes.bound)


def is_maker(called: ast.AST | None, file: FileTraining, around: Collection[ast.AST] = ()) -> bool:
    home = file.home_with(called) if called is not None else None
    return isinstance(called, ast.FunctionDef) and home is not None and makes_only(called, home, around)


def is_read(name: str, file: FileTraining, files: Sequence[FileTraining], inside: Collection[ast.AST]) -> bool:
    """Whether a file reads a function beside what goes."""
    own = Origin(file.source.name, name)
    for other in files:
        kept = [n for n in other.scopes.scope if n not in inside and n not in other.gone]
        if name in {n.attr for n in kept if isinstance(n, ast.Attribute)}:
            return True
        names = {n.id for n in kept if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        if any(file.names_of_project.origin(other.source, n) == own for n in names & {name, *imported_as(other, own)}):
            return True
    return False


def imported_as(file: FileTraining, origin: Origin) -> list[str]:
    """The names that a file imports something by."""
    values = file.names_of_file.items()
    return [n for n, v in values if isinstance(v, Function) and v.name == origin.name and n != origin.name]


def made_by_makers(file: FileTraining) -> set[ast.Call]:
    """The calls of such functions in a file."""
    calls = [n for n in file.scopes.scope if isinstance(n, ast.Call) and n not in file.gone]
    return {n for n in calls if isinstance(n.func, ast.Name) and is_maker(file.function_called(n), file)}
