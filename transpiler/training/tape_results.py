"""Functions of the program in code with tapes: what they are given, and what they return."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import ApiValue
from transpiler.ir.shape import Shape
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.own_models import graph_of
from transpiler.read.keras.evaluate.tapes import is_tape
from transpiler.read.keras.evaluate.values import Env, Function
from transpiler.rules.training.base import TRAINING
from transpiler.training.tape_region import Region, is_object
from transpiler.training.tape_values import (
    NUMBER,
    PLAIN,
    Data,
    GradientList,
    Known,
    Result,
    Several,
    Tensor,
)

if TYPE_CHECKING:
    from transpiler.training.blocks import Changes
    from transpiler.training.file import FileTraining


class FunctionResults:
    """The part of the writer that reads functions once for all of their calls."""

    training: FileTraining
    source: Any
    interpreter: Any
    changes: Changes
    results: dict[ast.AST, Result]
    left: dict[ast.expr, str]
    logits: dict[ast.Call, str]
    named: dict[ast.expr, str]
    casts: dict[ast.expr, str]
    without_gradients: set[ast.FunctionDef]

    def recorded(self) -> set[ast.AST]:
        """The functions of the file that code under a tape calls, over any number of steps."""
        found: set[ast.AST] = set()

        def visit(body: list[ast.stmt]) -> None:
            for call in (n for s in body for n in nodes(s) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)):
                value = self.training.names_of_file.get(call.func.id)  # type: ignore[attr-defined]
                node = getattr(value, "node", None)
                if isinstance(value, Function) and isinstance(node, ast.FunctionDef) and node not in found:
                    found.add(node)
                    visit(node.body)

        for tape in (n for n in self.training.scopes.scope if is_tape(n)):
            visit(tape.body)  # type: ignore[attr-defined]
        return found

    def function_result(self, function: Function, given: dict[str, Any], helper: bool, node: ast.AST) -> Any:
        """The role of what a function returns, whose statements are rewritten for what it is given in all of its calls."""
        key = function.node
        if key in self.training.gone or not isinstance(key, ast.FunctionDef) or key not in self.training.scopes.scope:
            raise Declined(TRAINING, f"{function.name}() beside a tape is not translated", "", self.source.span(node))
        helper = helper or key in self.recorded()
        given = {n: settled(r) for n, r in given.items()}
        known = self.results.get(key)
        if known is None:
            self.read(function, given, helper)
        elif known.helper != helper or shown(known.given) != shown(given):
            together = joined_roles(known.given, given)
            if known.helper != helper or together is None or known.running:
                raise Declined(TRAINING, f"{function.name}() is called in different ways", "", self.source.span(node))
            if shown(together) != shown(known.given):
                before = list(map(signature, known.roles))
                self.forget(key)
                self.read(function, together, helper)
                if before != list(map(signature, self.results[key].roles)):
                    why = f"{function.name}() returns different things for what it is given"
                    raise Declined(TRAINING, why, "", self.source.span(node))
        roles = self.results[key].roles
        if any(isinstance(r, Tensor) for r in roles) and len(set(map(signature, roles))) > 1:
            raise Declined(TRAINING, f"{function.name}() returns different things", "", self.source.span(node))
        return roles[0] if roles else PLAIN

    def read(self, function: Function, given: dict[str, Any], helper: bool) -> None:
        """Rewrites the statements of a function for what it is given."""
        key = function.node
        assert isinstance(key, ast.FunctionDef)
        self.results[key] = Result(given=given, helper=helper, running=True)
        runs = self.interpreter.scopes_run.get(key, [])
        env = runs[-1] if runs else Env(function.env, "function", function.module)
        roles: dict[str, Any] = {}
        a = key.args
        region = self.region(key, env, roles, helper)
        for p in (*a.posonlyargs, *a.args, *a.kwonlyargs):
            role = given.get(p.arg)
            value = graph_of(env.names.get(p.arg)) if runs else None
            if (role is None or isinstance(role, Data) or role is PLAIN) and is_object(value):
                role = Known(value, p.arg)
            if isinstance(role, Known):
                env = Env(env, "function", function.module, {p.arg: role.value})
                region.env = env
            elif isinstance(role, (Tensor, Several, GradientList)) or role is NUMBER:
                roles[p.arg] = role
            else:
                shape, kind = (role.shape, role.known) if isinstance(role, Data) else (None, "")
                roles[p.arg] = Data(key, shape=shape, known=kind)
                region.bound.append((p.arg, roles[p.arg]))
        region.run(key.body)
        region.finish()
        self.results[key] = Result(region.result.roles, given, helper, bool(region.calls or region.inner))
        self.drop_decorators(function)

    def forget(self, function: ast.FunctionDef) -> None:
        """Takes back what became of a function."""
        inside = set(nodes(function))
        self.changes.forget(inside)
        for noted in (self.left, self.logits, self.named, self.casts):
            for node in inside & noted.keys():  # type: ignore[operator]
                del noted[node]  # type: ignore[attr-defined]
        self.without_gradients.discard(function)

    def region(self, node: ast.AST, env: Env, roles: dict[str, Any], helper: bool) -> Region:
        """What runs over the statements of a function."""
        return Region(self, node, env, roles, helper)  # type: ignore[arg-type]

    def drop_decorators(self, function: Function) -> None:
        node = function.node
        assert isinstance(node, ast.FunctionDef)
        kept = []
        for d in node.decorator_list:
            target = d.func if isinstance(d, ast.Call) else d
            value = self.interpreter.eval(target, function.env)
            if not (isinstance(value, ApiValue) and value.path.endswith(".function")):
                kept.append(ast.unparse(d))
        if node in self.without_gradients:
            kept.append("torch.no_grad()")
        self.changes.decorators[node] = kept


def signature(role: Any) -> Any:
    """What of a role a function depends on."""
    if isinstance(role, Tensor):
        return "tensor", role.shape, role.learns, role.ending
    if isinstance(role, Known):
        return "known", id(role.value)
    if isinstance(role, Several):
        return tuple(map(signature, role.items))
    if isinstance(role, GradientList):
        return "gradients", role.models
    if isinstance(role, Data):
        return "data", role.shape, role.known
    return "number" if role is NUMBER else "data"


def shown(given: dict[str, Any]) -> dict[str, Any]:
    return {n: signature(r) for n, r in given.items()}


def settled(role: Any) -> Any:
    """The role of an argument in the function: of values, only objects and functions are the same in all calls."""
    if not isinstance(role, Known) or is_object(role.value) or isinstance(role.value, (Function, ApiValue)):
        return role
    number = isinstance(role.value, (int, float)) and not isinstance(role.value, bool)
    return NUMBER if number else Data()


def joined_roles(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any] | None:
    """What two calls give a function, for a text that does for both; None where there is none."""
    found: dict[str, Any] = {}
    for name in {**one, **other}:
        a, b = one.get(name), other.get(name)
        if signature(a) == signature(b):
            found[name] = a
        elif isinstance(a, Tensor) and isinstance(b, Tensor) and signature(whole(a)) == signature(whole(b)):
            found[name] = replace(a, shape=joined_shape(a.shape, b.shape))
        elif all(r in (None, NUMBER, PLAIN) or isinstance(r, Data) or is_value(r) for r in (a, b)):
            kinds = {r.known if isinstance(r, Data) else getattr(r, "dtype", "") for r in (a, b)}
            shape = joined_shape(getattr(a, "shape", None), getattr(b, "shape", None))
            found[name] = Data(shape=shape, known=kinds.pop() if len(kinds) == 1 else "")
        else:
            return None
    return found


def whole(tensor: Tensor) -> Tensor:
    """A tensor of any shape, from anywhere."""
    return replace(tensor, shape=None)


def joined_shape(one: Shape | None, other: Shape | None) -> Shape | None:
    """What two shapes have in common; None where their ranks differ."""
    if one is None or other is None or len(one) != len(other):
        return None
    return tuple(a if type(a) is type(b) and a == b else None for a, b in zip(one, other))


def is_value(role: Any) -> bool:
    """Whether a tensor may as well be data that becomes a tensor in the function."""
    return isinstance(role, Tensor) and not role.learns
