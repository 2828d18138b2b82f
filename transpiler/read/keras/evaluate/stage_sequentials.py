"""Sequential models that grow on the sides of branches and in loops: `if dropout: model.add(Dropout(dropout))`.

What such a model has computed so far is a variable of the code there, as `x` is in a functional model: branches join it, loops carry it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from transpiler.ir.program import Value
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.signals import Signal
from transpiler.read.keras.evaluate.staging import StageError
from transpiler.read.keras.evaluate.values import Env, Model, Unknown

GROWING = "__growing__"
"""The attribute of a model that grows so: the scope and the variable of what it has computed."""


class OpenLayers:
    """Stands in the list of a model's layers for those that a branch or a loop has added."""


class StagedSequentials:
    """The part of the stager that keeps such branches and loops."""

    flat: bool

    def open_branch(self, test: Any, node: ast.If, rest: list[ast.stmt], env: Env) -> Signal | None:
        sides = [*node.body, *node.orelse]
        leaves = any(isinstance(n, (ast.Return, ast.Break, ast.Continue)) for s in sides for n in nodes(s))
        with self.growing([] if leaves or isinstance(test, Unknown) else sides, env):
            return super().open_branch(test, node, rest, env)  # type: ignore[misc]

    def loop(self, node: ast.For, iterable: Any, env: Env) -> Signal | None:
        with self.growing(node.body, env):
            return super().loop(node, iterable, env)  # type: ignore[misc]

    @contextmanager
    def growing(self, body: Sequence[ast.stmt], env: Env) -> Iterator[None]:
        """While `body` is evaluated, what the models that it adds layers to have computed are variables."""
        found = [] if self.flat else [m for m in grown_in(body, env) if GROWING not in m.attributes]
        if not found:
            yield
            return
        before = [(m, m.outputs, m.inputs, list(m.layers or ())) for m in found]
        for i, model in enumerate(found):
            name = f"{model.name or 'model'}_outputs{i or ''}"
            while env.scope_of(name) is not None:
                name += "_"
            env.names[name] = model.outputs
            model.attributes[GROWING] = (env, name)
        done = False
        try:
            yield
            done = True
        finally:
            for model, outputs, inputs, layers in before:
                scope, name = model.attributes.pop(GROWING)
                grown = scope.names.pop(name, None)
                if not done:
                    model.outputs, model.inputs, model.layers[:] = outputs, inputs, layers  # type: ignore[index]
                elif grown is not outputs:
                    model.outputs = grown
                    model.layers.append(OpenLayers())  # type: ignore[union-attr]

    def sequential_add(self, model: Model, layer: Any) -> None:
        if GROWING not in model.attributes:
            super().sequential_add(model, layer)  # type: ignore[misc]
            return
        scope, name = model.attributes[GROWING]
        if isinstance(layer, (Value, Unknown)):
            raise StageError("the input of a Sequential model is given in a branch or in a loop")
        scope.names[name] = self.call(layer, [scope.names[name]], {})  # type: ignore[attr-defined]

    def variables_grown(self, body: Sequence[ast.stmt], env: Env) -> list[str]:
        """The variables that stand for what the models have computed that `body` adds layers to."""
        models = grown_in(body, env)
        return [m.attributes[GROWING][1] for m in models if m.attributes.get(GROWING, (None,))[0] is env]

    def model_layers(self, model: Model) -> list[Any]:
        found = super().model_layers(model)  # type: ignore[misc]
        if any(isinstance(x, OpenLayers) for x in found):
            raise StageError("the layers of a model are read one by one, and how many there are depends on a parameter")
        return found  # type: ignore[no-any-return]

    def get_layer(self, model: Model, name: Any = None, index: Any = None) -> Any:
        if any(isinstance(x, OpenLayers) for x in model.layers or ()):
            raise StageError("a layer of a model is taken by name, and which there are depends on a parameter")
        return super().get_layer(model, name, index)  # type: ignore[misc]


def grown_in(body: Sequence[ast.stmt], env: Env) -> list[Model]:
    """The Sequential models, of known inputs, that statements add layers to."""
    found: dict[int, Model] = {}
    for call in (n for s in body for n in nodes(s)):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "add":
            owner = call.func.value
            scope = env.scope_of(owner.id) if isinstance(owner, ast.Name) else None
            model = scope.names[owner.id] if scope is not None else None  # type: ignore[union-attr]
            if isinstance(model, Model) and model.sequential and isinstance(model.outputs, Value):
                found[id(model)] = model
    return list(found.values())
