"""Weights in files: what `save_weights`, `load_weights` and `save` of a model become."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.training_calls import TrainingCall
from transpiler.rules.training.base import TRAINING
from transpiler.rules.training.callbacks import torch_file


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


def given_on(node: ast.Call, statement: ast.stmt) -> bool:
    """Whether the weights that a call gets go straight into another model."""
    calls = [n for n in nodes(statement) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
    return any(c.func.attr == "set_weights" and node in c.args for c in calls)  # type: ignore[attr-defined]


def file_text(node: ast.expr | None) -> str:
    """The name of a file with torch's ending, where the name is written out; else as it stands."""
    if node is None:
        raise Declined(TRAINING, "no file is named")
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return code_of(torch_file(node.value))
    if isinstance(node, ast.JoinedStr) and isinstance(node.values[-1], ast.Constant):
        last = ast.Constant(torch_file(str(node.values[-1].value)))
        return ast.unparse(ast.JoinedStr([*node.values[:-1], last]))
    return ast.unparse(node)
