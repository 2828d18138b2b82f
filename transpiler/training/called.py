"""What the expressions of a builder mean where it is called: its parameters are the arguments of the call."""

from __future__ import annotations

import ast
import copy
from typing import TYPE_CHECKING, Any

from transpiler.diagnostics import Declined
from transpiler.ir.trees import nodes
from transpiler.rules.training.base import TRAINING, OptimizerCode
from transpiler.training.across import Renamed
from transpiler.training.file import FileTraining
from transpiler.training.groups import Group, bindings
from transpiler.training.source import Scopes
from transpiler.training.trainer import optimizer_of

if TYPE_CHECKING:
    from transpiler.training.compiled import Training

DIFFERENT = "a builder that compiles its models with different optimizers is not translated"

PLAIN = (ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.BinOp, ast.UnaryOp)
"""What may be read once more below a call."""
PARTS = (ast.operator, ast.unaryop, ast.expr_context)


class CalledFrom(Scopes):
    """The scopes of a file, for one call of a function: below it, an expression of the function may be written with its arguments."""

    def __init__(self, file: FileTraining, home: FileTraining, function: ast.FunctionDef, call: ast.Assign) -> None:
        self.__dict__.update(file.scopes.__dict__)
        self.file, self.home = file, home
        """The file of the call, and that of the function."""
        self.function, self.call = function, call
        self.given = self.arguments()

    def at(self, node: ast.expr, place: ast.AST) -> ast.expr | None:
        if self.reads_alike(node, place):
            return node
        return self.rewritten(node) if self.home.scopes.scope.get(node) is self.function else None

    def rewritten(self, node: ast.expr) -> ast.expr | None:
        """An expression of the function with the arguments of the call; None where it reads more than these and what is bound once."""
        inside = [n for n in nodes(node) if not isinstance(n, PARTS)]
        names = [n.id for n in inside if isinstance(n, ast.Name)]
        bound = self.home.scopes.bound
        own = {n for n in names if (self.function, n) in bound}
        there = self.scope[self.call]
        others = set(names) - own
        if not all(isinstance(n, PLAIN) for n in inside) or not own <= self.given.keys():
            return None
        here = {n: self.file.name_here(n, self.home) for n in others}
        if any(
            bound.get((None, n), 0) > 1 or not t or there is not None and (there, t) in self.bound
            for n, t in here.items()
        ):
            return None
        given = self.given | {n: ast.Name(t) for n, t in here.items() if t}
        return Renamed(given).visit(copy.deepcopy(node))

    def arguments(self) -> dict[str, ast.expr]:
        """The parameters and variables of the function that are bound once → what they are, as it can be read below the call."""
        call, a = self.call.value, self.function.args
        changing = any(
            isinstance(n, (ast.Global, ast.Nonlocal))
            or isinstance(n, (ast.Attribute, ast.Subscript)) and not isinstance(n.ctx, ast.Load)
            or isinstance(n, ast.Name) and n.id == self.function.name
            for n in nodes(self.function)
        )  # fmt: skip
        if not isinstance(call, ast.Call) or changing:
            return {}
        positional = [p.arg for p in (*a.posonlyargs, *a.args)]
        defaults = dict(zip(positional[len(positional) - len(a.defaults) :], a.defaults))
        defaults |= {p.arg: d for p, d in zip(a.kwonlyargs, a.kw_defaults) if d is not None}
        if isinstance(call.func, ast.Attribute):  # a method
            positional = positional[1:]
        if any(isinstance(n, ast.Starred) for n in call.args) or any(k.arg is None for k in call.keywords):
            return {}
        given = dict(zip(positional, call.args)) | {k.arg: k.value for k in call.keywords if k.arg}
        found = {n: d for n, d in defaults.items() if n not in given and isinstance(d, ast.Constant)}
        found |= {n: e for n, e in given.items() if self.can_be_read_again(e)}
        found = {n: e for n, e in found.items() if self.home.scopes.bound.get((self.function, n)) == 1}
        self.given = found
        for statement in self.function.body:
            name = statement.targets[0] if isinstance(statement, ast.Assign) else None
            if isinstance(name, ast.Name) and self.home.scopes.bound.get((self.function, name.id)) == 1:
                value = self.rewritten(statement.value)  # type: ignore[union-attr]
                found |= {name.id: value} if value is not None else {}
        return found

    def can_be_read_again(self, argument: ast.expr) -> bool:
        """Whether an argument is the same below the statement of the call."""
        changed = {ast.unparse(n) for t in self.call.targets for n in nodes(t) if isinstance(n, ast.expr)}
        inside = [n for n in nodes(argument) if not isinstance(n, PARTS)]
        return all(isinstance(n, PLAIN) and ast.unparse(n) not in changed for n in inside)


def codes_where_bound(
    file: FileTraining, training: Training, group: Group, changing: bool
) -> dict[ast.Assign, OptimizerCode]:
    """The optimizer after each statement that binds a model, with the arguments that the builder is called with there."""
    owner = group.owner
    assert owner is not None and training.code is not None
    home, found = file.home_of(owner), dict[ast.Assign, OptimizerCode]()
    builder = home.scopes.scope[owner]
    for compiled in group.compiles:
        for statement, _ in bindings(file, id(compiled.model)) if training.bound else [(None, None)]:
            scopes, place = file.scopes, training.first or owner
            if statement is not None:
                place = statement.value  # type: ignore[assignment]
                if isinstance(builder, ast.FunctionDef) and file.function_called(place) is builder:
                    scopes = CalledFrom(file, home, builder, statement)
            code = optimizer_of(compiled, place, scopes, file.generation, changing)
            alike = (training.code, found.setdefault(statement, code))  # type: ignore[arg-type]
            late = statement is not None and changes_later(file, code, statement)
            if (
                late
                or repr(code) != repr(alike[1])
                or any(beside_arguments(a) != beside_arguments(code) for a in alike)
            ):
                raise Declined(TRAINING, DIFFERENT)
    return found if training.bound else {}


def changes_later(file: FileTraining, code: OptimizerCode, statement: ast.stmt) -> bool:
    """Whether a schedule, which is computed at every step, reads what a loop around its statement sets."""
    scopes = file.scopes
    loops = [n for n in scopes.scope if isinstance(n, (ast.For, ast.While)) and statement in nodes(n)]
    read = nodes(ast.parse(code.schedule.factor)) if code.schedule is not None else ()
    return any(isinstance(n, ast.Name) and any(binds(loop, n.id) for loop in loops) for n in read)


def beside_arguments(code: OptimizerCode) -> tuple[Any, ...]:
    """What the function for an epoch needs to know of an optimizer."""
    return code.clipping, code.schedule is None, code.constrains


def binds(loop: ast.For | ast.While, target: str) -> bool:
    """Whether a loop makes its variable or attribute `target` anew each time."""
    targets = [t for n in nodes(loop) if isinstance(n, ast.Assign) for t in n.targets]
    targets += [loop.target] if isinstance(loop, ast.For) else []
    return any(ast.unparse(n) == target for t in targets for n in nodes(t) if isinstance(n, ast.expr))
