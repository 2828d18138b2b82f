"""The methods of a compiled model, called: `fit`, `evaluate`, `predict` and their kin."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS3, Args
from transpiler.ir.naming import Names
from transpiler.ir.program import Value, tensors
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.data_objects import Batches
from transpiler.read.keras.evaluate.pipelines import Pipeline
from transpiler.read.keras.evaluate.training_calls import TrainingCall
from transpiler.read.keras.evaluate.values import Generator
from transpiler.rules.training.base import TRAINING
from transpiler.rules.training.callbacks import CallbackCode, Loop, torch_file
from transpiler.training.acting import acts_of
from transpiler.training.callbacks import callbacks_of
from transpiler.training.compiled import Training, beside, made_by_compile
from transpiler.training.data import (
    COLUMN,
    DTYPES,
    IS_ARRAY,
    DataWriter,
    Stream,
    class_weights,
    is_none,
    last_axes,
    parts,
    remaining,
    spelled_out,
)
from transpiler.training.edits import edited
from transpiler.training.file import FileTraining
from transpiler.training.loops import EpochFunction
from transpiler.training.source import known_here
from transpiler.write.torch.layout import render

NOT_TRANSLATED = {
    "fit": ("validation_freq",),
    "evaluate": ("callbacks",),
    "predict": ("steps", "callbacks"),
    "predict_on_batch": (),
    "train_on_batch": ("class_weight",),
    "test_on_batch": (),
}
"""Arguments of methods that are declined if they are given."""


class MethodWriter:
    """Writes calls of methods of models."""

    print = "print"

    def __init__(self, file: FileTraining) -> None:
        self.file = file

    def passed(self, evaluation: TrainingCall, training: Training) -> str:
        """What the function for an epoch is given as the model."""
        return self.file.receiver_of(evaluation.node)

    def prepared(self, stream: Stream | None) -> Stream | None:
        """What it is given as the data."""
        return stream

    def act(self, rule: Any, act: CallbackCode) -> CallbackCode:
        """What a callback does in the loop."""
        return act

    def write(self, evaluation: TrainingCall, training: Training | None) -> None:
        """Replaces a call. Raises Declined for what is not translated."""
        getattr(self, f"write_{evaluation.method}", self.write_other)(evaluation, training)

    def write_fit(self, evaluation: TrainingCall, training: Training | None) -> None:
        assert training is not None
        self.check(evaluation)
        arguments = self.arguments_of(evaluation)
        if arguments is None:
            raise Declined(TRAINING, "fit() with * or ** is not translated")
        statement = self.file.statement_of(evaluation.node)
        whole = result_in(statement, evaluation.node)
        if whole is None:
            target = self.file.target_of(statement, evaluation.node)
            self.file.replace(statement, self.fit_text(evaluation, training, arguments, target))
            return
        target = Names(self.file.scopes.names_at(evaluation.node) | frozenset(self.file.functions)).take("history")
        text = self.fit_text(evaluation, training, arguments, target)
        rest = edited(self.file.source.text, statement, {whole: target})
        self.file.replace(statement, f"{text}\n{rest}")

    def fit_text(
        self, evaluation: TrainingCall, training: Training, arguments: dict[str, ast.expr], target: str | None
    ) -> str:
        epoch = training.epoch
        assert epoch is not None
        names = Names(self.file.scopes.names_at(evaluation.node) | frozenset(self.file.functions))
        model = self.file.receiver_of(evaluation.node)
        lines = made_by_compile(self.file, training, model) if training.first is evaluation.node else []
        train, held = map(self.prepared, self.streams(evaluation, training, arguments, names))
        assert train is not None
        trained = epoch.variables("train", names)
        tested = self.tested(training)
        held_out = tested.variables("val", names) if held is not None else []
        values = dict(zip((*epoch.titles, *(f"val_{t}" for t in tested.titles)), (*trained, *held_out)))
        epoch_name = names.take("epoch")
        rising = {m.name for m in training.trainer.metrics if m.measure.rising}
        rising |= {f"val_{n}" for n in rising}
        options = self.options(evaluation, training)
        callbacks = callbacks_of(self.file, evaluation)
        initial = text_of(arguments.get("initial_epoch"), "0")
        first = names.take("start") if any(getattr(r, "restarts", False) for r, _ in callbacks) else initial
        scheduler = options[1] if training.scheduler else ""
        loop = Loop(model, options[0], epoch_name, values, frozenset(rising), names.take, scheduler, initial, first)
        acts, added = acts_of(callbacks, loop, self.file.generation)
        acts = [self.act(rule, act) for (rule, _), act in zip(callbacks, acts)]
        for path in [a.get("filepath") for _, a in callbacks if isinstance(a, Args)]:
            if isinstance(path, str) and "{" not in path and torch_file(path) != f"{path}.pt":
                self.file.rename_path(path)
        batches = [n for act in acts for n in act.batches]
        hooked = [f"callbacks=[{', '.join(batches)}]"] if batches else []
        for act in acts:
            for name, module in act.libraries.items():
                self.file.takes(module, name)
        streams = [s for s in (train, held) if s is not None]
        prints = known_here(evaluation, "verbose", "auto") != 0
        acting = "\n".join(n for act in acts for n in (*act.before, *act.begin, *act.end, *act.stop, *act.after))
        used = prints or target is not None or not {*trained, *held_out}.isdisjoint(re.findall(r"\w+", acting))
        return render(
            "training/fit",
            lines=[*lines, *(n for s in streams for n in s.lines), *(n for act in acts for n in act.before)],
            history=target,
            values=values,
            kept={**values, **added},
            epoch=epoch_name,
            begin=[line for act in acts for line in act.begin],
            end=[*(line for act in acts for line in act.end), *(n for s in streams for n in s.end)],
            stop=[line for act in acts for line in act.stop],
            after=[line for act in acts for line in act.after],
            first=first,
            epochs=text_of(arguments.get("epochs"), "1"),
            trained=trained,
            held_out=held_out,
            used=used,
            train_call=f"{epoch.name}({self.passed(evaluation, training)}, {train.epoch}, {', '.join([*options, *hooked])})",
            val_call=self.held_call(training, self.passed(evaluation, training), held) if held is not None else "",
            prints=prints,
            print=self.print,
        )

    def arguments_of(self, evaluation: TrainingCall) -> dict[str, ast.expr] | None:
        """The arguments of a call, with variables for several inputs or targets as the arrays that they hold."""
        found = self.file.arguments_of(evaluation.node, evaluation.method)
        several = {
            "x": len(tensors(getattr(evaluation.model, "inputs", None))) > 1,
            "y": len(tensors(getattr(evaluation.model, "outputs", None))) > 1,
        }
        for name in [n for n in several if found is not None and n in found and several[n]]:
            found[name] = spelled_out(found[name], evaluation.arguments.get(name))  # type: ignore[index]
        return found

    def has_batches(self, evaluation: TrainingCall, training: Training, arguments: Mapping[str, ast.expr]) -> bool:
        """Whether the data of a call comes in batches, and not in arrays."""
        return not given(arguments, "y") and training.trainer.compares

    def options(self, evaluation: TrainingCall, training: Training) -> list[str]:
        """What is given to the function for an epoch for the model to learn."""
        return beside(training, evaluation.node, training.optimizer, training.scheduler)

    def tested(self, training: Training) -> EpochFunction:
        """The function that runs over the data that a model does not learn from."""
        assert training.epoch is not None
        return training.epoch

    def titles(self, training: Training) -> list[str]:
        """What Keras calls the numbers of `evaluate`."""
        return training.trainer.titles

    def held_call(self, training: Training, model: str, held: Stream) -> str:
        return f"{self.tested(training).name}({model}, {held.epoch})"

    def streams(
        self, evaluation: TrainingCall, training: Training, arguments: dict[str, ast.expr], names: Names
    ) -> tuple[Stream, Stream | None]:
        """The data of a `fit` to train with and, if there is any, to validate with."""
        data = self.data_of(training)
        shuffle = known_here(evaluation, "shuffle", True)
        if not isinstance(shuffle, bool):
            raise Declined(TRAINING, "fit(shuffle=…) with anything but True and False is not translated")
        size = text_of(arguments.get("batch_size"), "32", none="32")
        steps = text_of(arguments.get("steps_per_epoch"), "", none="")
        train = Stream(epoch=names.take("train_loader"))
        split = known_here(evaluation, "validation_split", 0.0)
        held = self.validation(evaluation, self.held_data(training), arguments, size, names)
        if self.has_batches(evaluation, training, arguments):
            if "x" not in arguments:
                raise Declined(TRAINING, "fit() without data is not translated")
            value = evaluation.arguments.get("x")
            return data.batches("train_batches", arguments["x"], value, steps, shuffle, names, False), held
        if steps:
            raise Declined(TRAINING, "a number of steps beside arrays is not translated")
        columns = data.columns(
            arguments, evaluation.arguments.get("x"), class_weights(arguments.get("class_weight"), data)
        )
        if held is not None or not split:
            train.lines = [f"{train.epoch} = {data.loader(columns, size, shuffle)}"]
            return train, held
        held = Stream(epoch=names.take("val_loader"))
        wholes = [names.take(n) for n in data.column_names(len(columns))]
        cut = names.take("split")
        train.lines = [f"{n} = {c}" for n, c in zip(wholes, columns)]
        train.lines.append(f"{cut} = int(len({wholes[0]}) * {remaining(arguments['validation_split'], split)})")
        train.lines.append(f"{train.epoch} = {data.loader([f'{n}[:{cut}]' for n in wholes], size, shuffle)}")
        rest = [f"{n}[{cut}:]" for n in wholes]
        if data.weighted and not given(arguments, "sample_weight"):
            rest[-1] = f"torch.ones(len({wholes[0]}) - {cut})"  # classes have weights in training only
        held.lines = [f"{held.epoch} = {data.loader(rest, size)}"]
        return train, held

    def validation(
        self, evaluation: TrainingCall, data: DataWriter, arguments: dict[str, ast.expr], size: str, names: Names
    ) -> Stream | None:
        """The data of a `fit` to validate with that is given by itself."""
        if not given(arguments, "validation_data"):
            return None
        node = arguments["validation_data"]
        own = text_of(arguments.get("validation_batch_size"), size, none=size)
        value = evaluation.arguments.get("validation_data")
        items = list(node.elts) if isinstance(node, (ast.Tuple, ast.List)) else []
        if isinstance(node, ast.Name) and isinstance(value, (tuple, list)):
            items = [ast.Subscript(node, ast.Constant(i), ast.Load()) for i in range(len(value))]
        if len(items) in (1, 2, 3):
            if given(arguments, "validation_steps"):
                raise Declined(TRAINING, "a number of steps beside arrays is not translated")
            values = value if isinstance(value, (list, tuple)) and len(value) == len(items) else [None] * len(items)
            several = (len(data.inputs) > 1, len(data.targets) > 1, False)
            items = [spelled_out(n, v) if more else n for n, v, more in zip(items, values, several)]
            columns = data.columns(dict(zip(("x", "y", "sample_weight"), items)), values[0])
            stream = Stream(epoch=names.take("val_loader"))
            stream.lines = [f"{stream.epoch} = {data.loader(columns, own)}"]
            return stream
        steps = text_of(arguments.get("validation_steps"), "", none="")
        if isinstance(value, Generator) and self.file.generation == KERAS3:
            self.file.near(
                "Keras 3 begins each validation with the first two batches of a generator again, and skips what it read ahead",
                node,
            )
        return data.batches("val_batches", node, value, steps, False, names, False)

    def held_data(self, training: Training) -> DataWriter:
        """The data that a model does not learn from."""
        return self.data_of(training)

    def data_of(self, training: Training) -> DataWriter:
        inputs = tensors(training.trainer.compiled.model.inputs)
        names = [self.file.interpreter.input_names.get(x, "") for x in inputs]
        file = self.file
        return DataWriter(
            training.trainer,
            training.weighted,
            file.function,
            file.takes,
            file.pipelines,
            file.generation,
            names,
            file.takes_frames,
        )

    def write_evaluate(self, evaluation: TrainingCall, training: Training | None) -> None:
        assert training is not None
        self.check(evaluation)
        arguments = self.arguments_of(evaluation)
        if arguments is None:
            raise Declined(TRAINING, "this evaluate() is not translated")
        titled = known_here(evaluation, "return_dict", False)
        if not isinstance(titled, bool) or titled and len(training.trainer.predictions) > 1:
            raise Declined(TRAINING, "evaluate(return_dict=…) of several outputs is not translated")
        size = text_of(arguments.get("batch_size"), "32", none="32")
        data = self.held_data(training)
        if not self.has_batches(evaluation, training, arguments):
            if given(arguments, "steps"):
                raise Declined(TRAINING, "a number of steps beside arrays is not translated")
            stream = Stream([], data.loader(data.columns(arguments, evaluation.arguments.get("x")), size))
        else:
            steps = text_of(arguments.get("steps"), "", none="")
            names = Names(frozenset())
            stream = data.batches("", arguments["x"], evaluation.arguments.get("x"), steps, False, names, True)
        text, titles = self.evaluate_text(evaluation, training, stream), self.titles(training)
        if titled:
            text = f"dict(zip({titles!r}, {text}))" if len(titles) > 1 else f"{{{titles[0]!r}: {text}}}"
        self.file.replace_expression(evaluation.node, text)

    def evaluate_text(self, evaluation: TrainingCall, training: Training, stream: Stream) -> str:
        prepared = self.prepared(stream)
        assert prepared is not None
        return self.held_call(training, self.passed(evaluation, training), prepared)

    def write_predict(self, evaluation: TrainingCall, training: Training | None) -> None:
        self.check(evaluation)
        arguments = self.file.arguments_of(evaluation.node, evaluation.method)
        model = evaluation.model
        xs, ys = tensors(model.inputs), tensors(model.outputs)
        if arguments is None or "x" not in arguments:
            raise Declined(TRAINING, "this predict() is not translated")
        if isinstance(model.outputs, dict):
            raise Declined(TRAINING, "predict() of a model whose outputs are a dictionary is not translated")
        dtypes = [DTYPES.get(x.type.dtype, "torch.float32") for x in xs]
        if isinstance(evaluation.arguments.get("x"), (Batches, Pipeline)):
            if len(xs) != 1 or len(ys) != 1:
                raise Declined(TRAINING, "predict() of several inputs or outputs on batches is not translated")
            batches = self.batches_text(arguments["x"], evaluation.arguments["x"])
            name = self.file.function("predict_batches", dtype=dtypes[0])
            text = f"{name}({self.file.receiver_of(evaluation.node)}, {batches})"
            self.file.replace_expression(evaluation.node, as_asked(text, evaluation.node, ys[0]))
            return
        name = self.file.function("predict", dtypes=dtypes, outputs=len(ys), frames=self.file.takes_frames)
        names = [self.file.interpreter.input_names.get(x, "") for x in xs]
        node = arguments["x"]
        if len(xs) > 1 and isinstance(evaluation.arguments.get("x"), dict):
            node = spelled_out(node, evaluation.arguments["x"])
        listed = len(xs) == 1 or isinstance(node, (ast.List, ast.Tuple, ast.Dict))
        if not listed and isinstance(evaluation.arguments.get("x"), dict):
            raise Declined(TRAINING, "inputs in a dictionary have to be given by their names at the call")
        changes = last_axes(xs, evaluation.arguments.get("x"), self.file.generation)
        if {*changes} - {"", COLUMN} and not listed:
            raise Declined(TRAINING, "arrays of other axes than the inputs have to be listed one by one")
        data = parts(node, len(xs), "inputs", names) if listed else []
        data = [self.with_axis(text, change) for text, change in zip(data, changes)]
        size = text_of(arguments.get("batch_size"), "", none="")
        given = [
            self.file.receiver_of(evaluation.node),
            f"({', '.join(data)})" if len(data) > 1 else data[0] if data else ast.unparse(node),
            *([f"batch_size={size}"] if size else []),
        ]
        self.file.replace_expression(evaluation.node, as_asked(f"{name}({', '.join(given)})", evaluation.node, ys[0]))

    def with_axis(self, text: str, change: str) -> str:
        """The text of an array with what Keras makes of its last axis."""
        if change and self.file.takes_frames and not IS_ARRAY.search(text):
            return f"np.asarray({text}){INDICES[change]}"
        return f"{as_operand(text)}{INDICES[change]}" if change else text

    def batches_text(self, node: ast.expr, value: Batches | Pipeline) -> str:
        """Batches that a model predicts for."""
        if isinstance(value, Batches):
            self.file.takes("torch.utils.data", "DataLoader")
            return f"DataLoader({ast.unparse(node)}, batch_size=None)"
        if not value.batched or not value.known or value.endless:
            raise Declined(TRAINING, "predict() of a tf.data.Dataset without batches or an end is not translated")
        self.file.pipelines.check(value)
        return self.file.pipelines.text(node)

    def write_train_on_batch(self, evaluation: TrainingCall, training: Training | None) -> None:
        """One step, as an epoch of one batch."""
        assert training is not None and training.epoch is not None
        if training.first is evaluation.node:
            raise Declined(
                TRAINING, "a model that is trained batch by batch, and is compiled before it is bound by this name"
            )
        options = beside(training, evaluation.node, training.optimizer, training.scheduler)
        self.file.replace_expression(evaluation.node, self.batch_call(evaluation, training, options))

    def write_test_on_batch(self, evaluation: TrainingCall, training: Training | None) -> None:
        assert training is not None and training.epoch is not None
        self.file.replace_expression(evaluation.node, self.batch_call(evaluation, training, []))

    def batch_call(self, evaluation: TrainingCall, training: Training, options: list[str]) -> str:
        """A call of the function for an epoch on one batch of arrays."""
        assert training.epoch is not None
        self.check(evaluation)
        arguments = self.arguments_of(evaluation)
        if arguments is None or known_here(evaluation, "return_dict", False):
            raise Declined(TRAINING, f"this {evaluation.method}() is not translated")
        columns = self.data_of(training).columns(arguments, evaluation.arguments.get("x"))
        batch = f"[({', '.join(columns)})]"
        return f"{training.epoch.name}({', '.join([self.file.receiver_of(evaluation.node), batch, *options])})"

    def write_predict_on_batch(self, evaluation: TrainingCall, training: Training | None) -> None:
        self.write_predict(evaluation, training)

    def write_other(self, evaluation: TrainingCall, training: Training | None) -> None:
        raise Declined(TRAINING, f"{evaluation.method}() is not translated")

    @staticmethod
    def check(evaluation: TrainingCall) -> None:
        """Raises Declined for arguments that are not translated."""
        for name in NOT_TRANSLATED[evaluation.method]:
            value = evaluation.arguments.get(name)
            if value is not None and value != [] and not (name == "validation_freq" and value == 1):
                raise Declined(TRAINING, f"{evaluation.method}({name}=…) is not translated")
        if "" in evaluation.arguments:
            raise Declined(TRAINING, f"the arguments of {evaluation.method}() cannot be evaluated")


INDICES = {"more": "[..., None]", "less": "[..., 0]", COLUMN: f".{COLUMN}"}
"""What becomes of the last axis of an array → what does it."""


def as_operand(text: str) -> str:
    """An expression as what an index may follow."""
    plain = isinstance(ast.parse(text, mode="eval").body, (ast.Name, ast.Attribute, ast.Call, ast.Subscript))
    return text if plain else f"({text})"


def as_asked(text: str, node: ast.Call, output: Value) -> str:
    """What a call gives that asks for predictions `text`: the likeliest classes, for `predict_classes`."""
    if getattr(node.func, "attr", "") != "predict_classes":
        return text
    count = output.type.shape[-1]
    if not isinstance(count, int):
        raise Declined(TRAINING, "predict_classes() of a number of classes that is not known")
    return f"{text}.argmax(axis=-1)" if count > 1 else f"({text} > 0.5).astype('int32')"


def text_of(node: ast.expr | None, default: str, none: str | None = None) -> str:
    """An argument as it stands."""
    if node is None:
        return default
    if is_none(node):
        if none is None:
            raise Declined(TRAINING, "None is given for a number")
        return none
    return ast.unparse(node)


def given(arguments: Mapping[str, ast.expr], name: str) -> bool:
    """Whether an argument is there, and not None."""
    return name in arguments and not is_none(arguments[name])


def result_in(statement: ast.stmt, call: ast.Call) -> ast.expr | None:
    """The numbers of a `fit` that are a part of another expression, which does nothing before it trains: `return model.fit(…)`."""
    value = getattr(statement, "value", None)
    known = isinstance(statement, (ast.Return, ast.Assign, ast.Expr, ast.AugAssign)) and isinstance(value, ast.expr)
    if not known or isinstance(statement, ast.Expr) and value is call:
        return None
    around = [n for n in nodes(value) if n is not call and call in nodes(n)]
    reads = [n for n in around if isinstance(n, ast.Attribute) and n.value is call and n.attr == "history"]
    whole = reads[0] if reads else call
    if isinstance(statement, ast.Assign) and value is whole:
        return None
    plain = (ast.Call, ast.Attribute, ast.Subscript, ast.Tuple, ast.List, ast.keyword, ast.BinOp, ast.Slice)
    first = [n for n in nodes(value) if isinstance(n, ast.Call) and n not in around and n not in nodes(call)]
    return whole if all(isinstance(n, plain) for n in around) and not first else None
