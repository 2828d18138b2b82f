"""Code that takes gradients from a tape: where it stands, and what its names mean there."""

from __future__ import annotations

import ast
import contextlib
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import NeedsConstant
from transpiler.ir.model import ApiObject, ApiValue
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.arrays import DataArray, NumpyArray
from transpiler.read.keras.evaluate.pipelines import Pipeline
from transpiler.read.keras.evaluate.signals import ProgramError, Signal
from transpiler.read.keras.evaluate.syntax import assigned_names
from transpiler.read.keras.evaluate.values import Class, Env, Function, Instance, Unknown

TAPE = "tensorflow.GradientTape"


class Tapes:
    """The part of the recorder that passes over code with tapes, which is rewritten and not evaluated."""

    def begin_tapes(self) -> None:
        self.tapes: set[ast.With] = set()
        """The blocks under a tape."""
        self.times_taped = 0
        self.scopes_run: dict[ast.AST, list[Env]] = {}
        """Functions of the program → the scopes of their calls."""
        self.items_looped: dict[ast.expr, tuple[ast.expr, Any]] = {}
        """The variables of loops over pipelines → those of them that hold an item, and what is known of it."""
        self.taped: set[ast.AST] = set()
        """The functions of the program that hold a tape, or are called under one."""

    def bind(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Env:
        env = super().bind(function, args, kwargs)  # type: ignore[misc]
        names = {node.name for node in self.taped if isinstance(node, ast.FunctionDef)}
        if names and any(is_tape(n) or isinstance(n, ast.Name) and n.id in names for n in nodes(function.node)):
            self.scopes_run.setdefault(function.node, []).append(env)
            self.times_taped += 1
        return env  # type: ignore[no-any-return]

    def enter(self, node: ast.With, env: Env) -> list[Any]:
        if not is_tape(node):
            return super().enter(node, env)  # type: ignore[misc, no-any-return]
        return [node]

    def managed(self, managers: list[Any], body: list[ast.stmt], env: Env) -> Signal | None:
        if not (managers and isinstance(managers[0], ast.With)):
            return super().managed(managers, body, env)  # type: ignore[misc, no-any-return]
        self.tapes.add(managers[0])
        self.times_taped += 1
        self.note_called(body, env)
        self.note_models(body, env)
        for name in assigned_names([managers[0]]):
            env.assign(name, Unknown("it is computed under a tape"))
        return None

    def note_called(self, body: list[ast.stmt], env: Env) -> None:
        """Remembers which functions of the program are called from here, over any number of steps."""
        for call in (n for s in body for n in nodes(s) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)):
            scope = env.scope_of(call.func.id)  # type: ignore[attr-defined]
            value = scope.names[call.func.id] if scope is not None else None  # type: ignore[attr-defined]
            if isinstance(value, Function) and isinstance(value.node, ast.FunctionDef) and value.node not in self.taped:
                self.taped.add(value.node)
                self.note_called(value.node.body, value.env)

    def note_steps(self, model: Any) -> None:
        """The steps of a model that trains itself are code with tapes, and so is what they call."""
        instance = model.attributes.get("__of__", model)
        cls = getattr(instance, "cls", None)
        if cls is None or all(cls.lookup(n) is None for n in ("train_step", "test_step")):
            return
        methods = [f for c in cls.mro() if isinstance(c, Class) for f in c.names.values() if isinstance(f, Function)]
        given = [v for v in instance.attributes.values() if isinstance(v, Function)]
        for function in (*methods, *given):
            if isinstance(function.node, ast.FunctionDef) and function.node not in self.taped:
                if function in given:
                    self.taped.add(function.node)
                self.note_called(function.node.body, function.env)

    def exec_FunctionDef(self, node: ast.FunctionDef, env: Env) -> None:
        super().exec_FunctionDef(node, env)  # type: ignore[misc]
        held = [n for n in nodes(node) if is_tape(n)]
        if held:
            self.taped.add(node)
            if env.kind == "module":
                self.tapes.update(held)  # type: ignore[arg-type]

    def exec_For(self, node: ast.For, env: Env) -> Signal | None:
        """A loop with a tape inside runs over anything: what it runs over need not be evaluated."""
        self.see_items(node, env)
        try:
            return super().exec_For(node, env)  # type: ignore[misc, no-any-return]
        except (Declined, ProgramError, NeedsConstant):
            if not any(map(is_tape, nodes(node))):
                raise
            return self.loop(node, Unknown("what a loop with a tape runs over"), env)

    def loop(self, node: ast.For, iterable: Any, env: Env) -> Signal | None:
        """Runs over a pipeline once, for what the body does with models."""
        if not isinstance(iterable, Pipeline) and not (
            isinstance(iterable, Unknown) and any(map(is_tape, nodes(node)))
        ):
            return super().loop(node, iterable, env)  # type: ignore[misc, no-any-return]
        for name in assigned_names([node]):
            env.assign(name, Unknown("it is an item of a tf.data.Dataset"))
        self.name_items(node.target, env)
        for statement in node.body:
            with contextlib.suppress(Declined, ProgramError, NeedsConstant, TypeError):
                self.exec_block([statement], env)  # type: ignore[attr-defined]
        return None

    def see_items(self, node: ast.For, env: Env) -> None:
        """Remembers what a loop over a pipeline, numbered or not, gives its variables."""
        over, target = node.iter, node.target
        if isinstance(over, ast.Call) and isinstance(over.func, ast.Name) and over.func.id == "enumerate" and over.args:
            over, target = over.args[0], (
                target.elts[1] if isinstance(target, ast.Tuple) and len(target.elts) == 2 else target
            )
        self.items_looped.pop(node.target, None)
        if not isinstance(over, (ast.Name, ast.Attribute)):
            return
        with contextlib.suppress(Declined, ProgramError, NeedsConstant, TypeError):
            pipeline = self.eval(over, env)  # type: ignore[attr-defined]
            if isinstance(pipeline, Pipeline):
                self.items_looped[node.target] = target, pipeline.items

    def name_items(self, target: ast.expr, env: Env) -> None:
        if target in self.items_looped:
            bind_items(*self.items_looped[target], env)

    def assign(self, target: ast.expr, value: Any, env: Env) -> None:
        super().assign(target, value, env)  # type: ignore[misc]
        self.name_items(target, env)

    def note_models(self, body: list[ast.stmt], env: Env) -> None:
        """Evaluates what the body of a tape calls on batches: models that only learn from these what they are called on."""
        for call in (n for s in body for n in nodes(s) if isinstance(n, ast.Call)):
            with contextlib.suppress(Declined, ProgramError, NeedsConstant, TypeError):
                if any(isinstance(n, ast.Call) for n in nodes(call.func)):
                    continue
                callee = self.eval(call.func, env)  # type: ignore[attr-defined]
                if isinstance(callee, (Function, Instance)) and any(self.is_batch(a, env) for a in call.args):
                    self.eval(call, env)  # type: ignore[attr-defined]

    def is_batch(self, node: ast.expr, env: Env) -> bool:
        """Whether an argument is a variable that holds a batch, or a list of these."""
        if isinstance(node, (ast.List, ast.Tuple)):
            return bool(node.elts) and all(self.is_batch(n, env) for n in node.elts)
        return isinstance(node, ast.Name) and isinstance(self.eval(node, env), (DataArray, NumpyArray))  # type: ignore[attr-defined]

    def call_keras(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """What objects of Keras that are no layers make of batches is not known."""
        if isinstance(function, ApiObject) and any(isinstance(a, Unknown) for a in args):
            return Unknown(f"what {function.leaf} makes of a batch")
        return super().call_keras(function, args, kwargs)  # type: ignore[misc]


def bind_items(target: ast.expr, items: Any, env: Env) -> None:
    """Gives the variables of a loop what is known of the items that it runs over."""
    if isinstance(target, ast.Name) and isinstance(items, DataArray) and items.shape:
        env.assign(target.id, items)
    elif isinstance(target, (ast.Tuple, ast.List)) and isinstance(items, tuple) and len(items) == len(target.elts):
        for one, item in zip(target.elts, items):
            bind_items(one, item, env)


def is_tape(node: ast.AST) -> bool:
    """Whether a statement opens a tape, by the name that all programs give it."""
    if not isinstance(node, ast.With):
        return False
    calls = [i.context_expr.func for i in node.items if isinstance(i.context_expr, ast.Call)]
    return any(getattr(f, "attr", getattr(f, "id", "")) == "GradientTape" for f in calls)


def means_tape(value: Any) -> bool:
    return isinstance(value, ApiValue) and value.path == TAPE
