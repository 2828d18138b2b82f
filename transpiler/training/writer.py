"""Training code of the source, statement by statement, as PyTorch."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from transpiler.diagnostics import Declined, Severity
from transpiler.ir.model import KERAS3, ApiObject
from transpiler.options import PLAIN
from transpiler.read.keras.evaluate.training_calls import WITHOUT_COMPILE, TrainingCall
from transpiler.rules.training.base import TRAINING
from transpiler.training.accelerated import PlainLoop, on_main_process
from transpiler.training.accelerated_fit import AcceleratedMethods
from transpiler.training.compiled import CompileWriter, made_by_compile
from transpiler.training.file import FileTraining
from transpiler.training.groups import Group, groups_of
from transpiler.training.kept import write_kept
from transpiler.training.layer_classes import write_layer_classes
from transpiler.training.layer_weights import write_layer_weights
from transpiler.training.leftovers import write_leftovers
from transpiler.training.lightning_fit import LightningMethods
from transpiler.training.makers import drop_makers
from transpiler.training.methods import MethodWriter
from transpiler.training.own_fit import write_own_steps
from transpiler.training.own_steps import step_group
from transpiler.training.precision import write_precision
from transpiler.training.rates import write_rates
from transpiler.training.saving import given_on, weights_call, write_loaded
from transpiler.training.set_up import SetUp
from transpiler.training.settings import write_settings
from transpiler.training.strategies import write_strategies
from transpiler.training.tape import TapeWriter


def write_training(files: Sequence[FileTraining]) -> None:
    """Rewrites the training code of files that belong together."""
    for file in files:
        write_calls(file)
    for file in files:
        write_others(file)
    drop_makers(files)


def write_calls(file: FileTraining) -> None:
    """Rewrites all that is done with a model where every part of it is translated, and nothing of it otherwise."""
    here = {n: c for n, c in file.calls.items() if n in file.scopes.scope and n not in file.gone}
    for evaluation in [e for found in here.values() for e in found if e.method in WITHOUT_COMPILE]:
        write_alone(file, evaluation)
    write_layer_weights(file)
    others = {n: [e for e in found if e.method not in WITHOUT_COMPILE] for n, found in here.items()}
    groups = list(groups_of(file, others))
    used = [g for g in groups if g.owner is not None and g.measures]
    file.several = len({g.receiver for g in used}) > 1
    file.several_compiled = len({ast.unparse(g.owner.func) for g in used if g.owner is not None}) > 1
    for group in groups:
        try:
            try:
                with file.all_or_nothing():
                    write_group(file, group, file.trainer)
            except PlainLoop as reason:
                with file.all_or_nothing():
                    file.note(
                        "K2T502", f"{reason}: this stays a plain loop of one process", group.owner or group.nodes[0]
                    )
                    write_group(file, group, PLAIN)
        except Declined as declined:
            for node in group.nodes:
                file.declined[node] = declined
    note_shared_optimizers(file, list(dict.fromkeys(g.owner for g in groups if g.owner is not None)))


def write_others(file: FileTraining) -> None:
    """Rewrites what else there is to it, once it is known which calls are translated."""
    write_leftovers(file)
    write_settings(file)
    SetUp(file).write()
    write_layer_classes(file)
    write_strategies(file)
    write_precision(file)
    TapeWriter(file).write()
    handled = {n for f in file.project for n in f.handled}
    reads = [n for n in history_reads(file) if n.value not in handled]
    for read in reads:  # the result has the numbers themselves
        if read in file.scopes.statement and read not in file.gone and handled:
            file.edits.setdefault(file.scopes.statement[read], {})[read] = ast.unparse(read.value)
    write_kept(file)
    if "accelerator" in file.functions:
        for edits in file.edits.values():
            edits.update({n: on_main_process(t) for n, t in edits.items() if t.startswith("torch.save(")})
    for node in file.declined:  # a statement that stays is reported as it is
        file.edits.pop(file.scopes.statement[node], None)
    file.apply_edits()
    file.place_functions()


def history_reads(file: FileTraining) -> list[ast.Attribute]:
    """Where the numbers of the epochs are taken from what `fit` returned: in what was evaluated, and wherever else the same
    variable of the same scope is read."""
    found = [n for n in file.interpreter.history_reads if n in file.scopes.scope]
    known = {(file.scopes.scope[n], ast.unparse(n)) for n in found}
    alike = [n for n in file.scopes.scope if isinstance(n, ast.Attribute) and n.attr == "history" and n not in found]
    return [*found, *(n for n in alike if (file.scopes.scope[n], ast.unparse(n)) in known)]


def write_alone(file: FileTraining, evaluation: TrainingCall) -> None:
    """Calls that save and load weights or start states anew, which need nothing but the model."""
    try:
        if evaluation.method == "load_model":
            write_loaded(file, evaluation)
            file.handled.add(evaluation.node)
            file.trained.add(file.statement_of(evaluation.node))
            return
        if file.roots(evaluation.model) is None:
            raise Declined(TRAINING, "the model is not converted")
        arguments = file.arguments_of(evaluation.node, evaluation.method)
        statement = file.statement_of(evaluation.node)
        if evaluation.method == "reset_states":
            if file.generation == KERAS3:
                raise Declined(TRAINING, "models of Keras 3 have no reset_states()")
            text = f"{file.function('reset_states')}({file.receiver_of(evaluation.node)})"
            file.replace_expression(evaluation.node, text)
        elif evaluation.method != "get_weights" or not given_on(evaluation.node, statement):
            text = weights_call(file.receiver_of(evaluation.node), evaluation, arguments)
            file.replace_expression(evaluation.node, text)
            file.rename_file((arguments or {}).get("filepath"))
        file.handled.add(evaluation.node)
        file.trained.add(statement)
    except Declined as declined:
        file.declined[evaluation.node] = declined


def write_group(file: FileTraining, group: Group, trainer: str) -> None:
    """What is done with a model from one `compile` on. Raises Declined for what is not translated."""
    owner = group.owner
    if step_group(file, owner, group.nodes) is not None:
        write_own_steps(file, owner, group.nodes)  # type: ignore[arg-type]
        return
    compiled = CompileWriter(file, trainer)
    training = compiled.training_of(group)
    methods = MethodWriter(file)
    if training is not None and (training.module or training.net):
        methods = LightningMethods(file) if training.module else AcceleratedMethods(file)
    for statement in training.bound if training is not None else ():
        file.after.setdefault(statement, []).extend(
            made_by_compile(file, training, training.names.get(statement, training.receiver), statement)
        )
    for node in sorted(group.nodes, key=lambda n: (n.lineno, n.col_offset)):
        for evaluation in file.calls[node]:
            if evaluation.method == "compile":
                compiled.write_compile(evaluation, training)
            else:
                methods.write(evaluation, training)
    if training is not None:
        file.trainers |= {id(c.model): training.trainer for c in group.compiles}
        if training.code is not None:
            write_rates(file, training.receiver, training.optimizer)
        file.covered += training.covered
        file.settled_toggles += training.toggles
        trains = training.code is None or training.epoch is not None or bool(training.module)
        own = owner is not None and owner in file.scopes.scope and trains
        if own and training.seen is not None and not training.toggles:
            file.plans.append((training.trainer.compiled.model, compiled.plan_of(training)))
    file.handled.update(group.nodes)
    if owner is not None and (home := file.home_with(owner)) is not None:
        home.handled.add(owner)
    file.trained.update(file.statement_of(n) for n in group.nodes)


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
                if file.strict:
                    file.note(TRAINING, f"--strict: {text}", node, Severity.ERROR)
                else:
                    file.near(text, node)
