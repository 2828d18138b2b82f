"""The data that models are trained with: arrays, generators and sequences of batches, as what a loop can run over."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of
from transpiler.ir.model import KERAS3
from transpiler.ir.naming import Names
from transpiler.ir.program import tensors
from transpiler.read.keras.evaluate.data_objects import Batches
from transpiler.read.keras.evaluate.pipelines import Pipeline
from transpiler.read.keras.evaluate.values import Function, Generator, Instance
from transpiler.rules.training.base import TRAINING, WHOLE_NUMBERS
from transpiler.training.pipelines import PipelineWriter
from transpiler.training.trainer import Trainer

IS_ARRAY = re.compile(r"^np\.|\.values(\[|$)|\.(to_numpy|reshape|ravel|flatten)\(|^to_categorical\(|^predict")
"""Code of what surely is no frame or series."""
DTYPES = {"float32": "torch.float32", "float64": "torch.float64", "int32": "torch.long", "int64": "torch.long"}


@dataclass
class Stream:
    """Data for every epoch: statements before the loop, what an epoch runs over, statements at the end of an epoch."""

    lines: list[str] = field(default_factory=list)
    epoch: str = ""
    end: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class DataWriter:
    """Writes the data of one way to train a model.

    `function` gives the name of a function that the file needs, from a template; `takes` notes names of a library.
    """

    trainer: Trainer
    weighted: bool
    function: Callable[..., str]
    takes: Callable[..., None]
    pipelines: PipelineWriter
    generation: str
    input_names: Sequence[str] = ()
    """What the program calls the inputs; "" for none."""
    frames: bool = False
    """Whether data may be frames and series of pandas, which torch does not take as they are."""

    @property
    def inputs(self) -> list[str]:
        """The types of the inputs."""
        xs = tensors(self.trainer.compiled.model.inputs)
        return [DTYPES.get(x.type.dtype, "torch.float32") for x in xs]

    @property
    def targets(self) -> list[str]:
        """The types of the targets."""
        parts = (*self.trainer.metrics, *self.trainer.losses)
        kinds = {m.output: m.measure.target for m in parts}
        count = len(self.trainer.predictions) if self.trainer.compares else 0
        return ["torch.long" if kinds.get(i) in WHOLE_NUMBERS else "torch.float32" for i in range(count)]

    @property
    def single(self) -> bool:
        """Whether a batch is an array by itself, and no tuple."""
        return False

    @property
    def target_names(self) -> Sequence[str]:
        """What Keras calls the outputs."""
        return self.trainer.names

    @property
    def compares(self) -> bool:
        """Whether there are targets."""
        return self.trainer.compares

    # --- arrays ---------------------------------------------------------------------------------------------------

    def columns(self, given: Mapping[str, ast.expr], x: Any, weights: str = "") -> list[str]:
        """Arrays as tensors: inputs, whose value is `x`, targets and, where the training has them, weights of the samples."""
        inputs = parts(given.get("x"), len(self.inputs), "inputs", self.input_names)
        has_targets = given.get("y") is not None and not is_none(given["y"])
        if has_targets != self.compares:
            raise Declined(TRAINING, "data with targets and a model without a loss, or the other way round")
        targets = parts(given["y"], len(self.targets), "targets", self.target_names) if has_targets else []
        arrays = [*map(self.array, inputs), *(self.array(t, target=True) for t in targets)]
        found = [tensor(text, dtype) for text, dtype in zip(arrays, (*self.inputs, *self.targets))]
        taken = tensors(getattr(self.trainer.compiled.model, "inputs", None))
        if len(taken) == len(inputs):  # models that hold others have none
            changes = last_axes(taken, x, self.generation)
            found[: len(inputs)] = [f"{text}{CHANGES[c]}" for text, c in zip(found, changes)]
        if not self.weighted:
            return found
        if weights:
            return [*found, weights.format(targets=found[len(inputs)])]
        own = given.get("sample_weight")
        if own is not None and not is_none(own):
            return [*found, tensor(self.array(ast.unparse(own)), "torch.float32")]
        return [*found, f"torch.ones(len({inputs[0]}))"]

    def array(self, text: str, target: bool = False) -> str:
        """Data as something that torch takes; Keras takes a series as a column, which functions of the program see in targets."""
        if not self.frames or IS_ARRAY.search(text):
            return text
        if target and any(isinstance(m, Function) for m in listed(self.trainer.compiled.arguments.get("metrics"))):
            return f"{self.function('to_array')}({text})"
        return f"np.asarray({text})"

    def column_names(self, count: int) -> list[str]:
        """Variables for `count` columns of data."""
        names = numbered("inputs", len(self.inputs)) + (numbered("targets", len(self.targets)) if self.targets else [])
        return [*names, *(["weights"] if count > len(names) else [])]

    def loader(self, columns: Sequence[str], size: str, shuffle: bool = False) -> str:
        self.takes("torch.utils.data", "DataLoader", "TensorDataset")
        mixed = ", shuffle=True" if shuffle else ""
        return f"DataLoader(TensorDataset({', '.join(columns)}), batch_size={size}{mixed})"

    # --- batches --------------------------------------------------------------------------------------------------

    def batches(
        self, name: str, node: ast.expr, value: Any, steps: str, shuffle: bool, names: Names, keeps: bool
    ) -> Stream:
        """A generator or a sequence of batches, for every epoch; `keeps` says whether it is used once only."""
        if self.weighted:
            raise Declined(TRAINING, "weights of samples beside batches are not translated")
        to_tensors = self.function("to_tensors", inputs=self.inputs, targets=self.targets, single=self.single)
        if isinstance(value, Pipeline):
            return self.pipeline(name, node, value, steps, names, keeps, to_tensors)
        if isinstance(value, (Instance, Batches)):
            if steps and self.generation != KERAS3:
                raise Declined(TRAINING, "a number of steps beside a sequence of batches is not translated")
            self.takes("torch.utils.data", "DataLoader")
            source, lines = ast.unparse(node), []
            turns = isinstance(value, Batches) or value.cls.lookup("on_epoch_end") is not None
            if turns and name == "train_batches" and not isinstance(node, ast.Name):
                source = names.take("train_data")
                lines.append(f"{source} = {ast.unparse(node)}")
            mixed = ", shuffle=True" if shuffle else ""
            loader = f"DataLoader({source}, batch_size=None{mixed}, collate_fn={to_tensors})"
            end = [f"{source}.on_epoch_end()"] if turns and name == "train_batches" else []
            if steps:
                loader = f"{self.pipelines.needs('Steps')}({loader}, {steps})"
            if keeps:
                return Stream([], loader)
            variable = names.take(name)
            return Stream([*lines, f"{variable} = {loader}"], variable, end)
        if not isinstance(value, Generator) or not steps:
            raise Declined(TRAINING, "where this data comes from cannot be told")
        stream = Stream([], ast.unparse(node))
        if not isinstance(node, ast.Name) and not keeps:
            variable = names.take(name)
            stream = Stream([f"{variable} = {ast.unparse(node)}"], variable)
        self.takes("itertools", "islice")
        stream.epoch = f"map({to_tensors}, islice({stream.epoch}, {steps}))"
        return stream

    def pipeline(
        self, name: str, node: ast.expr, value: Pipeline, steps: str, names: Names, keeps: bool, to_tensors: str
    ) -> Stream:
        """The batches of a `tf.data.Dataset`; an endless one goes on from epoch to epoch."""
        if not value.batched or not value.known or bool(steps) != value.endless:
            raise Declined(
                TRAINING, "a tf.data.Dataset that is not batched, or not counted by its steps, is not translated"
            )
        several = [n for n in (len(self.inputs), len(self.targets)) if n > 1]
        wanted = tuple(None if n == 1 else (None,) * n for n in (len(self.inputs), len(self.targets)))
        if several and value.structure != wanted:
            raise Declined(
                TRAINING,
                "a tf.data.Dataset for several inputs or outputs is not translated unless it is made of tuples",
            )
        self.pipelines.check(value)
        if not value.endless:
            return Stream([], f"map({to_tensors}, {self.pipelines.text(node)})")
        self.takes("itertools", "islice")
        made = f"iter({self.pipelines.text(node)})"
        if keeps:
            return Stream([], f"map({to_tensors}, islice({made}, {steps}))")
        variable = names.take(name)
        return Stream([f"{variable} = {made}"], f"map({to_tensors}, islice({variable}, {steps}))")


COLUMN = "reshape(-1, 1)"
CHANGES = {"": "", "more": ".unsqueeze(-1)", "less": ".squeeze(-1)", COLUMN: f".{COLUMN}"}
"""What becomes of the last axis of an array → the method of tensors that does it."""


def last_axes(inputs: Sequence[Any], value: Any, generation: str) -> list[str]:
    """What Keras makes of the last axis of each array that a model is given: `more`, `less`, a `COLUMN`, or nothing.

    It adds one of length 1, or takes it off, where an input has one axis more or less: `Functional._adjust_input_rank` of
    Keras 3, `Functional._conform_to_reference_input` of legacy Keras.

    Raises Declined for one more in legacy Keras, where what becomes of it differs between `evaluate` and `predict`.
    """
    values = list(value) if isinstance(value, (list, tuple)) and len(inputs) > 1 else [value]
    if len(values) != len(inputs):
        values = [None] * len(inputs)
    changes = [last_axis(x.type.shape, getattr(v, "shape", None)) for x, v in zip(inputs, values)]
    if "less" in changes and generation != KERAS3:
        raise Declined(
            TRAINING, "arrays with one axis more than the input of the model are not translated for legacy Keras"
        )
    return changes


def last_axis(wanted: Any, shape: Any) -> str:
    if wanted is None or not isinstance(shape, tuple) or not shape:
        return COLUMN if wanted is not None and len(wanted) == 2 and wanted[-1] == 1 else ""
    if len(shape) == len(wanted) - 1 and wanted[-1] == 1:
        return "more"
    return "less" if len(shape) == len(wanted) + 1 and shape[-1] == 1 else ""


def class_weights(node: ast.expr | None, data: DataWriter) -> str:
    """The weights of samples by their classes, over `{targets}`; "" if there are none."""
    if node is None or is_none(node):
        return ""
    return f"{data.function('sample_weights')}({{targets}}, {ast.unparse(node).replace('{', '{{').replace('}', '}}')})"


def remaining(node: ast.expr, value: Any) -> str:
    """The share of the data that is left for training by a `validation_split`."""
    plain = isinstance(node, ast.Constant) and isinstance(value, float)
    return code_of(1 - value) if plain else f"(1 - {ast.unparse(node)})"


def parts(node: ast.expr | None, count: int, what: str, names: Sequence[str] = ()) -> list[str]:
    """The texts of several inputs or targets, which have to be written one by one, or by `names`."""
    if node is None:
        raise Declined(TRAINING, f"there are no {what}")
    if isinstance(node, ast.Dict):
        keys = [k.value if isinstance(k, ast.Constant) else None for k in node.keys]
        if not all(names) or sorted(map(str, keys)) != sorted(names):
            raise Declined(TRAINING, f"the {what} are not given by the names that the model has for them")
        return [ast.unparse(node.values[keys.index(n)]) for n in names]
    if isinstance(node, (ast.List, ast.Tuple)) and len(node.elts) == count:
        return [ast.unparse(n) for n in node.elts]
    if count != 1 or isinstance(node, (ast.Dict, ast.List, ast.Tuple)):
        raise Declined(TRAINING, f"{count} {what} have to be listed one by one")
    return [ast.unparse(node)]


def spelled_out(node: ast.expr, value: Any) -> ast.expr:
    """A variable that holds several arrays, in a list or by their names, as these arrays one by one; others as they are."""
    plain = node.value if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) else node
    if not isinstance(plain, (ast.Name, ast.Attribute)):
        return node
    if isinstance(value, (list, tuple)) and len(value) > 1:
        return ast.List([ast.Subscript(node, ast.Constant(i), ast.Load()) for i in range(len(value))], ast.Load())
    if isinstance(value, dict) and len(value) > 1 and all(isinstance(k, str) for k in value):
        keys = [ast.Constant(k) for k in value]
        return ast.Dict(list(keys), [ast.Subscript(node, k, ast.Load()) for k in keys])
    return node


def listed(value: Any) -> list[Any]:
    """The items of nested lists and dictionaries."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else None
    return [value] if items is None else [v for item in items for v in listed(item)]


def numbered(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}{i + 1}" for i in range(count)]


def tensor(text: str, dtype: str) -> str:
    return f"torch.as_tensor({text}, dtype={dtype})"


def is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
