"""What Keras keeps of a training and programs read afterwards: names of metrics, numbers of epochs."""

from __future__ import annotations

import ast

from transpiler.diagnostics import Severity
from transpiler.ir.expr import code_of
from transpiler.ir.model import KERAS2
from transpiler.read.keras.evaluate.training_calls import NotKept
from transpiler.training.file import FileTraining


def write_kept(file: FileTraining) -> None:
    """Rewrites what is read of a training, and reports what the result does not have."""
    for read, value in file.interpreter.not_kept.items():
        if read not in file.scopes.statement or read in file.gone:
            continue
        text = history_text(read, value, file) or metrics_text(value, file)
        if text:
            file.edits.setdefault(file.scopes.statement[read], {})[read] = text
        else:
            file.note("K2T401", f"{ast.unparse(read)} is not translated", read, Severity.ERROR)


def history_text(read: ast.Attribute, value: NotKept, file: FileTraining) -> str:
    """The numbers of the epochs of a `fit`; "" for anything else."""
    call = value.of
    node = getattr(call, "node", None)
    if (
        value.name != "epoch"
        or not any(node in f.handled for f in file.project)
        or call.arguments.get("initial_epoch", 0) != 0
    ):
        return ""
    return f"list(range(len({ast.unparse(read.value)}['loss'])))"


def metrics_text(value: NotKept, file: FileTraining) -> str:
    """The names that Keras has for what it measures in a model; "" where these are not known."""
    trainer = next((f.trainers[id(value.of)] for f in file.project if id(value.of) in f.trainers), None)
    if value.name != "metrics_names" or trainer is None:
        return ""
    if file.generation == KERAS2:  # which knows them from the first batch on
        return code_of(trainer.titles) if value.trained else ""
    if len(trainer.names) != 1:
        return ""
    measured = trainer.compiled.arguments.get("metrics") is not None
    return code_of(["loss", "compile_metrics"] if measured else ["loss"])
