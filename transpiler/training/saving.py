"""Weights in files: what `save_weights`, `load_weights` and `save` of a model become."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.naming import Names
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.loaded_models import HOLDER, LOADED
from transpiler.read.keras.evaluate.staging import is_static
from transpiler.read.keras.evaluate.training_calls import TrainingCall, argument_nodes
from transpiler.read.keras.evaluate.values import Unknown
from transpiler.rules.base import call
from transpiler.rules.training.base import TRAINING
from transpiler.rules.training.callbacks import torch_path
from transpiler.training.file import FileTraining

BUILD = "Make the model here with the code that it was made with, and load its weights with load_weights()."


def weights_call(model: str, evaluation: TrainingCall, arguments: Mapping[str, ast.expr] | None) -> str:
    """The expression in the place of a call that saves or loads weights. Raises Declined if there is none."""
    method = evaluation.method
    if arguments is None:
        raise Declined(TRAINING, f"{method}() with * or ** is not translated")
    if evaluation.arguments.get("by_name") or evaluation.arguments.get("skip_mismatch"):
        raise Declined(TRAINING, "a choice of weights by name is not translated")
    if method == "set_weights":
        node = arguments.get("weights")
        source = node.func if isinstance(node, ast.Call) else None
        if not isinstance(source, ast.Attribute) or source.attr != "get_weights":
            raise Declined(TRAINING, "weights that are no other model's are not translated")
        return f"{model}.load_state_dict({ast.unparse(source.value)}.state_dict())"
    if method not in ("save", "save_weights", "load_weights"):
        raise Declined(TRAINING, f"{method}() gives weights in Keras's order and layout")
    path = file_text(arguments.get("filepath"))
    if method == "load_weights":
        return f"{model}.load_state_dict(torch.load({path}, weights_only=True))"
    return f"torch.save({model}.state_dict(), {path})"


def write_loaded(file: FileTraining, evaluation: TrainingCall) -> None:
    """Writes what makes a model and loads its weights in the place of `load_model`. Raises Declined where it is not known."""
    model, node = evaluation.model, evaluation.node
    if isinstance(model, Unknown):
        raise Declined(TRAINING, model.reason, BUILD)
    if file.roots(model) is None:
        raise Declined(TRAINING, "the model is not converted", BUILD)
    arguments = argument_nodes(node, "load_model", file.generation)
    if arguments is None:
        raise Declined(TRAINING, "load_model() with * or ** is not translated")
    weights = f"torch.load({file_text(arguments.get('filepath'))}, weights_only=True)"
    statement = file.statement_of(node)
    returned = isinstance(statement, ast.Return) and statement.value is node
    targets = statement.targets if isinstance(statement, ast.Assign) and statement.value is node else []
    if not returned and (len(targets) != 1 or not isinstance(targets[0], (ast.Name, ast.Attribute))):
        raise Declined(TRAINING, "load_model() inside of another expression is not translated", BUILD)
    name = Names(file.scopes.names_at(node)).take("model") if returned else ast.unparse(targets[0])
    lines = [f"{name}.load_state_dict({weights})"]
    if LOADED in model.attributes:
        lines.insert(0, f"{name} = {made_again(file, model)}")
    lines += [f"return {name}"] if returned else []
    file.replace(statement, "\n".join(lines))
    deleted = file.interpreter.refilled.get(node)
    if deleted is not None:
        file.edit.removed.add(deleted)
    file.rename_file(arguments.get("filepath"))


def made_again(file: FileTraining, model: Any) -> str:
    """An expression for a second model like one of the program. Raises Declined if there is none."""
    if model.attributes[HOLDER]:
        return f"copy.deepcopy({model.attributes[HOLDER]})"
    known = model.attributes[LOADED]
    for activation in file.interpreter.activations:
        node = activation.function.node
        if activation.result is known and node in file.source.tree.body and isinstance(node, ast.FunctionDef):
            given = {n: v for n, v in activation.arguments.items() if not is_default(node, n, v)}
            if all(map(is_static, given.values())) and node.args.vararg is None and node.args.kwarg is None:
                return call(node.name, **given)
    raise Declined(TRAINING, "the model that the file holds cannot be made again here", BUILD)


def is_default(function: ast.FunctionDef, name: str, value: Any) -> bool:
    """Whether a parameter has this value by default."""
    a = function.args
    positional = [*a.posonlyargs, *a.args]
    pairs = [*zip(positional[::-1], a.defaults[::-1]), *zip(a.kwonlyargs, a.kw_defaults)]
    default = next((d for p, d in pairs if p.arg == name), None)
    return isinstance(default, ast.Constant) and type(default.value) is type(value) and default.value == value


def given_on(node: ast.Call, statement: ast.stmt) -> bool:
    """Whether the weights that a call gets go straight into another model."""
    calls = [n for n in nodes(statement) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
    return any(c.func.attr == "set_weights" and node in c.args for c in calls)  # type: ignore[attr-defined]


def file_text(node: ast.expr | None) -> str:
    """The name of the file that a call is given."""
    if node is None:
        raise Declined(TRAINING, "no file is named")
    return torch_path(node)
