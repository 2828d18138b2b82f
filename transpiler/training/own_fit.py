"""`compile`, `fit` and `evaluate` of models whose class says itself what a step is."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS3, Args
from transpiler.ir.program import tensors
from transpiler.options import PLAIN
from transpiler.read.keras.evaluate.data_objects import Batches
from transpiler.read.keras.evaluate.pipelines import Pipeline
from transpiler.read.keras.evaluate.training_calls import TrainingCall
from transpiler.read.keras.evaluate.values import Class, Generator, Instance, Model
from transpiler.read.keras.units import layers_of
from transpiler.rules.training.base import TRAINING
from transpiler.training.callbacks import callbacks_of
from transpiler.training.compiled import CompileWriter, Training
from transpiler.training.data import DataWriter, Stream
from transpiler.training.differences import note_differences
from transpiler.training.file import FileTraining
from transpiler.training.methods import MethodWriter
from transpiler.training.own_class import write_class
from transpiler.training.own_steps import Own, StepFunction, StepWriter, batch_of, own_class
from transpiler.training.tape_values import kind_of
from transpiler.training.trainer import Trainer


@dataclass(frozen=True)
class StepData(DataWriter):
    """The data of a model that trains itself: inputs, targets and weights in the types that its steps need."""

    dtypes: tuple[str, ...] = ()

    @property
    def inputs(self) -> list[str]:
        return list(self.dtypes[:1])

    @property
    def targets(self) -> list[str]:
        return list(self.dtypes[1:2])

    @property
    def single(self) -> bool:
        return len(self.dtypes) == 1

    @property
    def compares(self) -> bool:
        return len(self.dtypes) > 1

    @property
    def target_names(self) -> Sequence[str]:
        return ()


class StepMethods(MethodWriter):
    """Writes calls of methods of such a model."""

    def __init__(self, file: FileTraining, train: StepFunction | None, test: StepFunction | None) -> None:
        super().__init__(file)
        self.train, self.test = train, test

    def data_of(self, training: Training) -> DataWriter:
        return self.data_for(training, self.train or self.test)

    def held_data(self, training: Training) -> DataWriter:
        return self.data_for(training, self.test or self.train)

    def data_for(self, training: Training, known: StepFunction | None) -> DataWriter:
        file = self.file
        assert known is not None
        weighted = len(known.dtypes) == 3
        return StepData(
            training.trainer,
            weighted,
            file.function,
            file.takes,
            file.pipelines,
            file.generation,
            frames=file.takes_frames,
            dtypes=known.dtypes,
        )

    def has_batches(self, evaluation: TrainingCall, training: Training, arguments: Mapping[str, ast.expr]) -> bool:
        return isinstance(evaluation.arguments.get("x"), (Pipeline, Generator, Batches, Instance))

    def options(self, evaluation: TrainingCall, training: Training) -> list[str]:
        assert self.train is not None
        if not self.train.optimizers:
            raise Declined(TRAINING, "the class has a train_step() of its own, which takes no step of an optimizer")
        callbacks = callbacks_of(self.file, evaluation)
        known = [a for _, a in callbacks if isinstance(a, Args)]
        if self.file.generation == KERAS3 and any(
            isinstance(a.get("monitor"), str) and not a.monitor.endswith("loss") and a.get("mode") not in ("min", "max")
            for a in known
        ):
            raise Declined(TRAINING, "whether Keras takes more to be better of what a train_step() returns")
        changing = any(getattr(r, "changes_rate", False) for r, _ in callbacks)
        if changing and self.train.optimizers != ("optimizer",):
            raise Declined(TRAINING, "a callback that changes the learning rate of one of several optimizers")
        return list(self.train.optimizers)

    def tested(self, training: Training) -> Any:
        return self.test or self.train

    def titles(self, training: Training) -> list[str]:
        return list(self.test.titles) if self.test is not None else []

    def held_call(self, training: Training, model: str, held: Stream) -> str:
        if self.test is None:
            raise Declined(TRAINING, "data to validate with and no test_step()")
        return f"{self.test.name}({model}, {held.epoch})"


def write_own_steps(file: FileTraining, owner: ast.Call, group: Sequence[ast.Call]) -> None:
    """Writes all that one `compile` governs of such a model. Raises Declined for what is not translated."""
    compiled = file.calls[owner][-1]
    cls = own_class(compiled.model)
    assert cls is not None
    if (
        any(c.node not in file.scopes.scope for c in cls.mro() if isinstance(c, Class))
        or owner not in file.scopes.scope
    ):
        raise Declined(TRAINING, f"{cls.name}, which trains in steps of its own, stands in another file")
    evaluations = {n: [e for e in file.calls[n] if e.method != "compile"] for n in group if n is not owner}
    check_calls(file, compiled, [e for found in evaluations.values() for e in found])
    receiver = file.receiver_of(owner)
    compiled.arguments["__own__"] = [v for v in own_values(compiled.model)]  # type: ignore[index]
    trainer_of = partial(CompileWriter(file, PLAIN).trainer_of, own_steps=True)
    own = Own(file, compiled, cls, receiver if receiver.isidentifier() else "model", trainer_of)
    if not own.holder and file.roots(own.graph) is None:
        raise Declined(TRAINING, "the model is not converted")
    if own.graph is not None and any(
        (own.graph.attributes.get("__masks__") or {}).get(y) for y in tensors(own.graph.outputs)
    ):
        raise Declined(TRAINING, "masked steps of outputs beside a train_step() are not translated")
    writer = StepWriter(file, own)
    flat = [e for found in evaluations.values() for e in found]
    fits = [e for e in flat if e.method == "fit"]
    train = step_function(writer, "train_step", fits, receiver)
    tests = [e for e in flat if e.method == "evaluate"]
    validated = [
        e for e in fits if e.arguments.get("validation_data") is not None or e.arguments.get("validation_split")
    ]
    test = step_function(writer, "test_step", [*tests, *validated], receiver) if tests or validated else None
    training = Training(Trainer(compiled, (), (), ()), receiver, epoch=train or test)  # type: ignore[arg-type]
    methods = StepMethods(file, train, test)
    for node in sorted(evaluations, key=lambda n: (n.lineno, n.col_offset)):
        for evaluation in evaluations[node]:
            methods.write(evaluation, training)
    file.replace(file.statement_of(owner), "\n".join(writer.optimizer_texts(receiver)))
    write_class(writer)
    models = [v for v in (own.graph, *own.attributes.values()) if isinstance(v, Model)]
    layers = [layer for model in models for layer in layers_of(model, file.interpreter)]
    note_differences(file, layers, any(code.by_row for code, _ in writer.codes.values()), owner)
    writer.place_changes()
    for function in (test, train):
        if function is not None:
            file.functions = {function.name: function.text, **file.functions}
    if file.trainer != PLAIN:
        file.note("K2T502", "a train_step() of the program's stays a plain loop", owner)
    file.handled.update(group, [owner])
    file.trained.update(file.statement_of(n) for n in (*group, owner))
    file.handled_statements.add(cls.node)


def own_values(model: Any) -> list[Any]:
    """What the class keeps of the arguments of its `compile` that the result has in another form."""
    instance = model.attributes.get("__of__", model)
    return [v for n, v in instance.attributes.items() if not n.startswith("__") and kind_of(v)]


def step_function(writer: StepWriter, name: str, used: Sequence[TrainingCall], receiver: str) -> StepFunction | None:
    """A step as a function over the data, for the calls that use it."""
    file, method = writer.training, writer.own.cls.lookup(name)
    if not used:
        return None
    if method is None:
        raise Declined(TRAINING, f"{writer.own.cls.name} has no {name}() of its own")
    batches = {repr(b): b for b in (batch_of(e, method) for e in used if e.arguments.get("x") is not None)}
    if len(batches) != 1:
        raise Declined(TRAINING, f"{name}() is given different kinds of data")
    own = f"{receiver}_" if file.several and receiver.isidentifier() else ""
    title = file.names.take(f"{name.partition('_')[0]}_{own}epoch")
    loads = any(not isinstance(e.arguments.get("x"), (Generator, Pipeline, Batches, Instance)) for e in used)
    progress = name == "train_step" and any(e.arguments.get("verbose", "auto") not in (0, 2, False) for e in used)
    file.takes(*("torch.utils.data", "DataLoader") if loads else ("collections.abc", "Iterable"))
    if progress:
        file.takes("tqdm", "tqdm")
    return writer.function(method, next(iter(batches.values())), title, progress, "DataLoader" if loads else "Iterable")


def check_calls(file: FileTraining, compiled: TrainingCall, evaluations: Sequence[TrainingCall]) -> None:
    """Raises Declined for what is done with the model and is not translated."""
    methods = {e.method for e in evaluations} - {"fit", "evaluate", "predict", "predict_on_batch"}
    if methods:
        raise Declined(TRAINING, f"{min(methods)}() of a model with a train_step() is not translated")
    for name in ("weighted_metrics", "loss_weights"):
        if compiled.arguments.get(name) is not None:
            raise Declined(TRAINING, f"compile({name}=…) beside a train_step() is not translated")
    if any(e.arguments.get("class_weight") is not None and e.arguments.get("validation_split") for e in evaluations):
        raise Declined(TRAINING, "class_weight and a validation_split beside a train_step() are not translated")
    if file.interpreter.toggles:
        raise Declined(TRAINING, "`trainable` that is set beside a train_step() is not translated")
