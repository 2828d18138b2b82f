"""The callbacks of a `fit`, as the program gives them."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import ApiObject, Args
from transpiler.read.keras.evaluate.training_calls import TrainingCall
from transpiler.read.keras.evaluate.values import Instance
from transpiler.rules.training.base import TRAINING
from transpiler.rules.training.callbacks import CallbackRule
from transpiler.rules.training.registry import known
from transpiler.training.file import FileTraining
from transpiler.training.own_callbacks import adapt_class, batch_hooks, classes_of
from transpiler.training.rates import sets_rate
from transpiler.training.source import known_here, object_at


def callbacks_of(
    file: FileTraining, evaluation: TrainingCall
) -> list[tuple[CallbackRule, Args] | tuple[Instance, ast.expr]]:
    """The callbacks of a `fit`, in order. Raises Declined for one that is not translated."""
    given = known_here(evaluation, "callbacks", None)
    values = list(given) if isinstance(given, (list, tuple)) else [] if given is None else [given]
    places = items_of(file, (file.arguments_of(evaluation.node, evaluation.method) or {}).get("callbacks"))
    found: list[Any] = []
    for i, value in enumerate(values):
        if isinstance(value, Instance) and len(places) == len(values):
            found.append((value, places[i]))
            file.own_callbacks.add(ast.unparse(places[i]))
            adapt_class(file, value.cls)
        elif isinstance(value, ApiObject):
            own = object_at(value, evaluation.node, file.scopes, evaluation)
            rule, arguments = known(CallbackRule, own, file.generation)
            if rule.goes_on(arguments) and fits_with(file, value) > 1:
                raise Declined(TRAINING, f"one {value.leaf} of several fits remembers the best of all")
            found.append((rule, arguments))
        else:
            raise Declined(TRAINING, "this callback is not translated")
    return found


def changes_rate(rule: CallbackRule | Instance) -> bool:
    """Whether a callback changes the learning rate."""
    return any(sets_rate(c.node) for c in classes_of(rule.cls)) if isinstance(rule, Instance) else rule.changes_rate


def hooks_of(file: FileTraining, fits: Iterable[TrainingCall]) -> tuple[str, ...]:
    """The methods that callbacks of the program have for each batch. Raises Declined where they differ."""
    given = [batch_hooks(r.cls) for e in fits for r, _ in callbacks_of(file, e) if isinstance(r, Instance)]
    found = list(dict.fromkeys(hooks for hooks in given if hooks))
    if len(found) > 1:
        raise Declined(TRAINING, "callbacks with different methods for batches")
    return found[0] if found else ()


def fits_with(file: FileTraining, callback: ApiObject) -> int:
    """How often a model is trained with a callback."""
    given = [e.arguments.get("callbacks") for calls in file.calls.values() for e in calls if e.method == "fit"]
    return sum(any(c is callback for c in (g if isinstance(g, (list, tuple)) else [g])) for g in given)


def items_of(file: FileTraining, node: ast.expr | None) -> list[ast.expr]:
    """The items of a list that is written out, here or where its variable is bound."""
    if isinstance(node, ast.Name):
        scope = file.scopes.scope[node]
        bound = [
            n.value
            for n in file.scopes.scope
            if isinstance(n, ast.Assign) and file.scopes.scope[n] is scope and ast.unparse(n.targets[0]) == node.id
        ]
        node = bound[0] if len(bound) == 1 and isinstance(bound[0], (ast.List, ast.Tuple)) else node
    return list(node.elts) if isinstance(node, (ast.List, ast.Tuple)) else [] if node is None else [node]
