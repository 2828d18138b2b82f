"""Models whose class says itself what a step of `fit` is: `train_step` and `test_step` as functions over the data."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS3, ApiObject, ApiValue
from transpiler.ir.program import ModuleClass
from transpiler.ir.trees import nodes
from transpiler.passes.logits import split_logits
from transpiler.read.keras.evaluate.arrays import NumpyArray
from transpiler.read.keras.evaluate.pipelines import Pipeline
from transpiler.read.keras.evaluate.training_calls import TrainingCall
from transpiler.read.keras.evaluate.values import Class, Env, Function, Model
from transpiler.rules.training.base import TRAINING, OptimizerCode, Prediction
from transpiler.rules.training.registry import MetricRule, OptimizerRule, known
from transpiler.training.file import FileTraining
from transpiler.training.loops import DEVICE, EpochFunction, as_name
from transpiler.training.source import object_at
from transpiler.training.step_batches import batch_names
from transpiler.training.step_region import StepRegion
from transpiler.training.step_results import COMPILED, LOSS, Logs
from transpiler.training.tape import TapeWriter
from transpiler.training.tape_values import Data, Several, Tensor, kind_of
from transpiler.training.trainer import OutputMetric, Trainer, measure_of, name_of, snake_case, title
from transpiler.write.torch.layout import render

STEPS = ("train_step", "test_step")
LEFT_OUT = ("__init__", "call", "compile", "metrics", "get_config", "from_config", *STEPS)
"""Methods that have no place in the result, or another one."""


def own_class(model: Any) -> Class | None:
    """The class of a model that trains in steps of its own."""
    instance = model.attributes.get("__of__", model) if isinstance(model, Model) else model
    cls = getattr(instance, "cls", None)
    return cls if isinstance(cls, Class) and any(cls.lookup(n) is not None for n in STEPS) else None


@dataclass(eq=False)
class Own:
    """A model that trains itself, as its methods know it."""

    file: FileTraining
    compiled: TrainingCall
    cls: Class
    name: str
    """What the result calls it."""
    trainer_of: Callable[[TrainingCall], Trainer]
    """What `compile` says."""
    self_name: str = "self"
    models: dict[str, ModuleClass] = field(default_factory=dict)
    """The texts by which methods call models → their classes."""
    meters: dict[str, str] = field(default_factory=dict)
    """Metrics → the variables of what averages them."""
    optimizers: list[str] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    """The titles of values that are returned as they are."""

    listed: set[str] = field(default_factory=set)
    """What legacy Keras lists among the metrics, as a step has told it of a batch: `loss`, `metrics`."""

    late: dict[str, str] = field(default_factory=dict)
    """Numbers that `compile` gives to the model → their texts."""

    def made_with(self, attribute: str) -> bool:
        """Whether the constructor sets an attribute."""
        method = self.cls.lookup("__init__")
        found = nodes(method.node) if isinstance(method, Function) else []
        return any(isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store) and n.attr == attribute for n in found)

    @property
    def generation(self) -> str:
        return self.file.generation

    @property
    def graph(self) -> Model | None:
        """The graph of the model, if it has one."""
        return self.compiled.model if isinstance(self.compiled.model, Model) else None

    @property
    def model(self) -> Any:
        return self.compiled.model

    @property
    def holder(self) -> bool:
        """Whether the model only holds others."""
        return self.graph is None

    @property
    def instance(self) -> Any:
        return self.model.attributes.get("__of__", self.model)

    @property
    def attributes(self) -> dict[str, Any]:
        return {n: v for n, v in self.instance.attributes.items() if not n.startswith("__")}

    def optimizer(self) -> Any:
        """The optimizer of `compile`."""
        value = self.compiled.arguments.get("optimizer", "rmsprop")
        return value if isinstance(value, ApiObject) else ApiObject(ApiValue(f"keras.optimizers.{value}"), (), {})

    def optimizer_name(self, attribute: str) -> str:
        if attribute not in self.optimizers:
            self.optimizers.append(attribute)
        return attribute

    def meter(self, metric: str) -> str:
        """The variable of what averages a metric."""
        name = as_name(metric)
        taken = {n.id for m in map(self.cls.lookup, STEPS) if m for n in nodes(m.node) if isinstance(n, ast.Name)}
        while metric not in self.meters and (name in taken or name in self.meters.values()):
            name = f"{name}_meter"
        return self.meters.setdefault(metric, name)

    def trainer(self, node: ast.AST) -> Trainer:
        """The losses and metrics of `compile`."""
        return self.trainer_of(self.compiled)

    def names_of_compile(self) -> list[str]:
        """What Keras calls the metrics of `compile`."""
        given = self.compiled.arguments.get("metrics") or []
        if not isinstance(given, (list, tuple)):
            raise Declined(TRAINING, "metrics of several outputs beside a train_step() are not translated")
        return [title(m, self.generation) for m in given]

    def metrics_of_compile(self, node: ast.AST, prediction: Prediction) -> list[OutputMetric]:
        """The metrics of `compile`, on what the step says that the model has predicted."""
        known = name_of(self.compiled.arguments.get("loss"))
        on = replace(prediction, loss=known)
        functions = self.file.functions_of_program
        given = self.compiled.arguments.get("metrics") or []
        measures = [measure_of(MetricRule, m, on, self.generation, functions) for m in given]
        if any(m.sums or m.whole for m in measures):
            raise Declined(TRAINING, "this metric of compile() beside a train_step() is not translated")
        return [OutputMetric(0, m, name) for m, name in zip(measures, self.names_of_compile())]

    def name_of_metric(self, metric: ApiObject) -> str:
        given = metric.kwargs.get("name") or (
            metric.args[0] if metric.args and metric.leaf in ("Mean", "Sum") else None
        )
        return given if isinstance(given, str) else snake_case(metric.leaf)

    def all_metrics(self, node: ast.AST) -> list[tuple[str, ApiObject]]:
        """`self.metrics`: the texts of what averages them, and the objects of Keras."""
        own = {n: v for n, v in self.attributes.items() if kind_of(v) == "metric"}
        if self.cls.lookup("metrics") is not None:
            listed = self.file.interpreter.getattr(self.instance, "metrics")
            listed = listed if isinstance(listed, (list, tuple)) else [None]
            names = [next((n for n, v in own.items() if v is m), None) for m in listed]
            if None in names or set(names) != set(own):
                raise Declined(TRAINING, "metrics that `metrics` does not list, which Keras does not reset")
            return [(self.meter(n), own[n]) for n in names]  # type: ignore[arg-type, index]
        found = []
        if self.generation == KERAS3 or "loss" in self.listed:
            found.append((self.meter("loss"), LOSS))
        if self.compiled.arguments.get("metrics") and (self.generation == KERAS3 or "metrics" in self.listed):
            found.append(("", COMPILED))
        return [*found, *((self.meter(n), v) for n, v in own.items())]

    def titles(self) -> list[str]:
        """What Keras calls the results of all metrics."""
        found: list[str] = []
        for _, metric in self.all_metrics(self.cls.node):
            found += self.names_of_compile() if metric is COMPILED else [self.name_of_metric(metric)]
        return found

    def check_logs(self, titles: Sequence[str]) -> None:
        """Raises Declined where Keras shows its metrics in the place of the values that a step returns."""
        if self.raw and set(titles) == set(self.titles()):
            raise Declined(
                TRAINING, "a train_step() that returns values by the names of metrics: Keras shows the metrics"
            )


@dataclass(frozen=True)
class Batch:
    """What a step is given: one array, or a tuple of them; their shapes where these are known."""

    shapes: tuple[Any, ...]
    dtypes: tuple[str, ...]
    whole: bool


@dataclass(frozen=True)
class StepFunction(EpochFunction):
    """A step as a function that runs over the data once: the types of its batch, and what it needs to learn."""

    dtypes: tuple[str, ...] = ()
    optimizers: tuple[str, ...] = ()


class StepWriter(TapeWriter):
    """Writes the steps of one model."""

    def __init__(self, file: FileTraining, own: Own) -> None:
        super().__init__(file)
        self.own = own
        self.codes: dict[str, tuple[OptimizerCode, tuple[str, ...]]] = {}
        self.methods: dict[ast.AST, StepRegion] = {}

    def region(self, node: ast.AST, env: Env, roles: dict[str, Any], helper: bool) -> Any:
        """What runs over another method, or a function."""
        region = StepRegion(self, node, env, roles, helper)
        region.own, region.receiver = self.own, "self"
        if any(node in cls.node.body for cls in self.own.cls.mro() if isinstance(cls, Class)):
            roles.pop(self.own.self_name, None)
            region.bound[:] = [(n, d) for n, d in region.bound if n != self.own.self_name]
            self.methods[node] = region
        else:
            region.own = replace(self.own, self_name="")
        return region

    def use_optimizer(
        self, text: str, value: ApiObject, models: tuple[str, ...], region: Any, statement: ast.stmt
    ) -> OptimizerCode:
        if text not in self.codes:
            place = self.own.compiled.node
            own = object_at(value, place, self.training.scopes, self.own.compiled)
            rule, arguments = known(OptimizerRule, own, self.generation)
            self.codes[text] = rule.lower(arguments, False), models
        if self.codes[text][1] != models:
            raise region.decline(statement, f"{text} trains different weights at different times")
        if self.codes[text][0].whole or self.codes[text][0].by_row and self.generation != KERAS3:
            raise region.decline(statement, f"{text} beside a train_step() is not translated")
        return self.codes[text][0]

    def function(self, method: Function, batch: Batch, name: str, progress: bool, loader: str) -> StepFunction:
        """A step as a function over the data."""
        node, own = method.node, self.own
        assert isinstance(node, ast.FunctionDef)
        parameters = [a.arg for a in node.args.args]
        if len(parameters) != 2 or node.args.vararg or node.args.kwarg or node.args.kwonlyargs:
            raise Declined(TRAINING, f"this {method.name}() is not translated", "", self.source.span(node))
        own.self_name, given = parameters
        own.meters.clear()
        own.raw.clear()
        before = len(own.optimizers)
        data = tuple(Data(node, "") for _ in batch.shapes)
        roles = tuple(Tensor(s, source=d) for s, d in zip(batch.shapes, data))
        env = Env(method.env, "function", method.module, {own.self_name: own.instance})
        region = StepRegion(self, node, env, {given: roles[0] if batch.whole else Several(roles)})
        region.own, region.receiver, region.given, region.whole = own, own.name, given, batch.whole
        names = batch_names(node, given, len(roles)) if not batch.whole else [given]
        region.batch = tuple(names) or tuple(
            self.training.names.take(n) for n in ("x", "y", "sample_weight")[: len(roles)]
        )
        region.logs = Logs()
        document = node.body[:1] if ast.get_docstring(node) else []
        body = node.body[len(document) :]
        region.run(body)
        if not region.logs.found:
            raise Declined(TRAINING, f"{method.name}() returns nothing that can be told", "", self.source.span(node))
        region.finish()
        own.check_logs([t for t, _ in region.logs.items])
        if method.name == "test_step":  # in the order of `evaluate`
            order = own.titles()
            region.logs.items.sort(key=lambda i: (order.index(i[0]), "") if i[0] in order else (len(order), i[0]))
        above = document[0].end_lineno if document else self.blocks.head_end(node)
        lines = self.blocks.block(body, above or node.lineno)
        optimizers = own.optimizers[:] if method.name == "train_step" else own.optimizers[before:]
        schedulers = [self.scheduler_of(o) for o in optimizers if self.codes[o][0].schedule is not None]
        shown = "\n".join([*lines, *(r for _, r in region.logs.items)])
        meters = [m for m in own.meters.values() if re.search(rf"\b{m}\.", shown)]
        text = render(
            "training/own_epoch",
            name=name,
            model=own.name,
            type=own.cls.name if own.holder else "nn.Module",
            loader=loader,
            optimizers=optimizers,
            schedulers=schedulers,
            titles=[t for t, _ in region.logs.items],
            results=[r for _, r in region.logs.items],
            modes=region.modes(method.name == "train_step"),
            meters=meters,
            batch=region.batch,
            moved=[f"{n}.to(device)" for n in region.batch],
            body=lines,
            progress=progress,
            learns=method.name == "train_step",
            frozen=node in self.without_gradients,
        )
        if meters:
            self.need("AverageMeter")
        dtypes = tuple(d.dtype or known or "torch.float32" for d, known in zip(data, batch.dtypes))
        return StepFunction(name, text, tuple(t for t, _ in region.logs.items), dtypes, (*optimizers, *schedulers))

    def place_changes(self) -> None:
        """Puts the functions that steps call, and what these need, into the file."""
        tops = [s for s in self.tops() if isinstance(s, ast.FunctionDef)]
        texts = self.texts_of(tops)
        for top in tops:
            if re.search(rf"\b{self.device}\b", texts[top]):
                raise Declined(
                    TRAINING, f"{top.name}() makes tensors, which is not translated", "", self.source.span(top)
                )
            self.edit.replaced[top] = texts[top]
            self.training.handled_statements.add(top)
        self.edit.needs(self.helpers)
        self.training.functions = {**self.functions, **self.training.functions}
        for root in self.split:
            split_logits(root)
        self.training.covered += self.covered

    def optimizer_texts(self, receiver: str) -> list[str]:
        """The statements that make the optimizers."""
        lines = [f"{receiver}.to({DEVICE})", *(f"{receiver}.{n} = {text}" for n, text in self.own.late.items())]
        for name, (code, models) in self.codes.items():
            lines += self.optimizer_made(name, code, [f"{receiver}{m.removeprefix(self.own.name)}" for m in models])
        return lines


def batch_of(evaluation: TrainingCall, method: Function) -> Batch:
    """What a step is given of the data of a call. Raises Declined where that cannot be told."""
    x, y = evaluation.arguments.get("x"), evaluation.arguments.get("y")
    if isinstance(x, Pipeline):
        structure = x.structure
        if structure is None:
            return Batch((None,), ("",), True)
        if isinstance(structure, tuple) and all(s is None for s in structure):
            return Batch((None,) * len(structure), ("",) * len(structure), False)
        node = method.node
        assert isinstance(node, ast.FunctionDef)
        names = batch_names(node, node.args.args[-1].arg, None)
        return Batch((None,) * len(names), ("",) * len(names), False) if names else Batch((None,), ("",), True)
    weights = evaluation.arguments.get("sample_weight")
    by_class = evaluation.arguments.get("class_weight")
    if by_class is not None and (y is None or weights is not None or method.name != "train_step"):
        raise Declined(TRAINING, "class_weight beside other weights, or data to validate with, and a train_step()")
    values = [v for v in (x, y, by_class if by_class is not None else weights) if v is not None]
    if by_class is not None:
        values[-1] = NumpyArray(ast.Constant(None), (None,), "float32")  # weights of the samples
    if y is None and len(values) > 1 or any(isinstance(v, (list, tuple, dict)) for v in values):
        raise Declined(TRAINING, "a train_step() on several inputs or targets is not translated")
    known = [v if isinstance(v, NumpyArray) else None for v in values]
    shapes = tuple((None, *v.shape[1:]) if v is not None and v.shape else None for v in known)
    floats = ["torch.float32" if v is not None and v.dtype.startswith("float") else "" for v in known]
    return Batch(shapes, tuple(floats), len(values) == 1)


def step_group(file: FileTraining, owner: ast.Call | None, group: Sequence[ast.Call]) -> Class | None:
    """The class of the model that a group of calls is about, if it trains in steps of its own."""
    if owner is None:
        return None
    learning = any(e.method != "compile" for n in group for e in file.calls[n])
    return own_class(file.calls[owner][-1].model) if learning and owner in file.calls else None
