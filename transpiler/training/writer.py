"""Training code of the source, statement by statement, as PyTorch."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from transpiler.diagnostics import Declined, Severity
from transpiler.ir.model import ApiObject
from transpiler.read.keras.evaluate.api import WEIGHT_METHODS
from transpiler.read.keras.evaluate.training_calls import TrainingCall, argument_nodes
from transpiler.rules.training.base import TRAINING
from transpiler.training.compiled import CompileWriter
from transpiler.training.file import FileTraining
from transpiler.training.leftovers import write_leftovers
from transpiler.training.lightning_fit import LightningMethods
from transpiler.training.methods import MethodWriter
from transpiler.training.own_fit import write_own_steps
from transpiler.training.own_steps import step_group
from transpiler.training.precision import write_precision
from transpiler.training.rates import write_rates
from transpiler.training.saving import given_on, weights_call
from transpiler.training.settings import write_settings
from transpiler.training.tape import TapeWriter


def write_training(file: FileTraining) -> None:
    """Rewrites all that is done with a model where every part of it is translated, and nothing of it otherwise."""
    here = {n: c for n, c in file.calls.items() if n in file.scopes.scope and n not in file.gone}
    by_compile: dict[ast.Call | None, list[ast.Call]] = {}
    for node, evaluations in here.items():
        for evaluation in evaluations:
            if evaluation.method in WEIGHT_METHODS:
                write_alone(file, evaluation)
                continue
            owner = node if evaluation.method == "compile" else getattr(evaluation.compiled, "node", None)
            group = by_compile.setdefault(owner, [])
            if node not in group:
                group.append(node)
    receivers = {ast.unparse(o.func.value) for o in by_compile if o is not None and isinstance(o.func, ast.Attribute)}
    file.several = len(receivers) > 1
    for owner, group in by_compile.items():
        try:
            with file.all_or_nothing():
                write_group(file, owner, group)
        except Declined as declined:
            for node in group:
                file.declined[node] = declined
    note_shared_optimizers(file, [o for o in by_compile if o is not None])
    write_leftovers(file)
    write_settings(file)
    write_precision(file)
    TapeWriter(file).write()
    reads = [n for n in file.interpreter.history_reads if n.value not in file.handled]
    for read in reads:  # the result has the numbers themselves
        if read in file.scopes.statement and read not in file.gone and file.handled:
            file.edits.setdefault(file.scopes.statement[read], {})[read] = ast.unparse(read.value)
    for read in file.interpreter.not_kept:
        if read in file.scopes.statement and read not in file.gone:
            file.note("K2T401", f"{ast.unparse(read)} is not translated", read, Severity.ERROR)
    file.apply_edits()
    file.place_functions()


def write_alone(file: FileTraining, evaluation: TrainingCall) -> None:
    """Calls that save and load weights, which need nothing but the model."""
    try:
        if file.roots(evaluation.model) is None:
            raise Declined(TRAINING, "the model is not converted")
        arguments = argument_nodes(evaluation.node, evaluation.method, file.generation)
        statement = file.statement_of(evaluation.node)
        if evaluation.method != "get_weights" or not given_on(evaluation.node, statement):
            text = weights_call(file.receiver_of(evaluation.node), evaluation, arguments)
            file.replace_expression(evaluation.node, text)
            file.rename_file((arguments or {}).get("filepath"))
        file.handled.add(evaluation.node)
        file.trained.add(statement)
    except Declined as declined:
        file.declined[evaluation.node] = declined


def write_group(file: FileTraining, owner: ast.Call | None, group: Sequence[ast.Call]) -> None:
    """What is done with a model from one `compile` on. Raises Declined for what is not translated."""
    if step_group(file, owner, group) is not None:
        write_own_steps(file, owner, group)  # type: ignore[arg-type]
        return
    compiled = CompileWriter(file)
    training = compiled.training_of(owner, group)
    methods = LightningMethods(file) if training is not None and training.module else MethodWriter(file)
    for node in sorted(group, key=lambda n: (n.lineno, n.col_offset)):
        for evaluation in file.calls[node]:
            if evaluation.method == "compile":
                compiled.write_compile(evaluation, training)
            else:
                methods.write(evaluation, training)
    if training is not None:
        if training.code is not None:
            write_rates(file, training.receiver, training.optimizer)
        file.covered += training.covered
        file.settled_toggles += training.toggles
        if training.code is not None and not training.toggles:
            file.plans.append((training.trainer.compiled.model, compiled.plan_of(training)))
    file.handled.update(group)
    if owner is not None and owner in file.scopes.scope:
        file.handled.add(owner)
    file.trained.update(file.statement_of(n) for n in group)


def note_shared_optimizers(file: FileTraining, compiles: Sequence[ast.Call]) -> None:
    """Says where models that are compiled with one optimizer get one each."""
    models: dict[Any, Any] = {}
    for node in compiles:
        for evaluation in file.calls[node] if node in file.handled else ():
            optimizer = evaluation.arguments.get("optimizer")
            if (
                isinstance(optimizer, ApiObject)
                and models.setdefault(optimizer, evaluation.model) is not evaluation.model
            ):
                text = "an optimizer of several models counts the steps of all; here each model has its own"
                file.note("K2T501", text, node)
