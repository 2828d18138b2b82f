"""What a `compile` says, as the PyTorch code of an optimizer, of losses and of metrics."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS2, ApiObject, ApiValue
from transpiler.ir.program import Apply, Value, tensors
from transpiler.read.keras.evaluate.training_calls import TrainingCall, argument_nodes
from transpiler.read.keras.evaluate.values import Function, Instance, Model, Unknown
from transpiler.rules.base import Raw, call, parse_signature
from transpiler.rules.ops.base import is_float
from transpiler.rules.training.base import TRAINING, Measure, OptimizerCode, Prediction
from transpiler.rules.training.registry import LossRule, MetricRule, OptimizerRule, known, training_rules
from transpiler.training.output_masks import masked, output_masks
from transpiler.training.source import Scopes, argument_at, known_here

METRIC_ARGUMENTS = ("name", "dtype", "from_logits", "label_smoothing")
"""The first arguments of metrics that are the mean of a loss."""
LEGACY_TITLES = ("kullback_leibler_divergence",)
"""Names of metrics in legacy Keras, where today's has a shorter one."""


@dataclass(frozen=True)
class OutputLoss:
    """The loss of one output, and its weight in the sum."""

    output: int
    measure: Measure
    weight: Any = None
    name: str = ""
    """What Keras calls it in its logs, where it is not the only one."""


@dataclass(frozen=True)
class OutputMetric:
    """A metric of one output, and what Keras calls it."""

    output: int
    measure: Measure
    name: str


@dataclass(frozen=True)
class Trainer:
    """How a model is trained: everything of a `compile` but the optimizer."""

    compiled: TrainingCall
    predictions: tuple[Prediction, ...]
    losses: tuple[OutputLoss, ...]
    metrics: tuple[OutputMetric, ...]
    names: tuple[str, ...] = ()
    """What Keras calls the outputs; "" where that is not known."""
    endings: tuple[str, ...] = ()
    """The last activation of each output, over `{0}`; "" for none that can be taken off."""
    generation: str = ""
    added: str = ""
    """What the model has added to the loss in its last pass, as code; "" for nothing."""
    masks: tuple[str, ...] = ()
    """The mask of each output, over the inputs; "" for none."""

    @property
    def compares(self) -> bool:
        """Whether outputs are compared with targets."""
        return bool(self.losses or self.metrics)

    @property
    def by_batch(self) -> bool:
        """Whether the loss of an epoch is the mean over its batches: what legacy Keras makes of added losses alone."""
        return not self.compares and self.generation == KERAS2

    @property
    def needs_logits(self) -> bool:
        return any(m.measure.on_logits for m in (*self.losses, *self.metrics))

    @property
    def helpers(self) -> list[str]:
        return [h for m in (*self.losses, *self.metrics) for h in m.measure.helpers]

    @property
    def titles(self) -> list[str]:
        """What Keras calls the numbers of an epoch."""
        return ["loss", *(n.name for n in self.losses if n.name), *(m.name for m in self.metrics)]


@dataclass(frozen=True)
class OnTensors:
    """What is known of a loss or a metric of the program that stays a function on tensors."""

    name: str
    """What it is called by; "" where another function makes it, and nothing has its result."""
    rank: int
    """Of what it returns."""
    on_logits: bool
    """Whether it takes the logits of what the source gives it."""
    dtype: str = "float32"
    """Of what it returns."""
    made_at: ast.Call | None = None
    """The call that makes it, where another function does."""
    body: Sequence[str] = ()
    """Of a method of a class: its statements."""
    helpers: Sequence[str] = ()
    """What these need."""


Functions = Callable[[Function], OnTensors | None]
"""What is known of a function of the program, if it stays one on tensors."""


def trainer_of(
    compiled: TrainingCall,
    generation: str,
    endings: list[str],
    functions: Functions,
    recovers: Callable[[Any], bool],
    makers: Callable[[Value], Sequence[Any]],
    added: str = "",
    operations: Mapping[Value, Apply] | None = None,
    has_weights: bool = False,
) -> Trainer:
    """The losses and metrics of a `compile`; `endings` are the activations of outputs that can be taken off.

    `recovers` says whether Keras knows the logits of an output, `makers` which layer makes it, and which ones
    return it as it is; `has_weights`, whether samples have weights.

    Raises Declined for what is not translated.
    """
    if "" in compiled.arguments:
        raise Declined(TRAINING, "the arguments of compile() cannot be evaluated")
    if compiled.arguments.get("sample_weight_mode") not in (None, []):
        raise Declined(TRAINING, "compile(sample_weight_mode=…) is not translated")
    model = compiled.model
    if not isinstance(model, Model) or model.outputs is None:
        raise Declined(TRAINING, "training of a model without a graph is not translated")
    outputs = tensors(model.outputs)
    shapes = [t.type.shape for t in outputs]
    masks = output_masks(model, operations or {})

    def measured(base: Any, value: Any, i: int) -> Measure:
        found = measure_of(base, value, predictions[i], generation, functions)
        return masked(found, value, predictions[i], base is MetricRule, generation) if masks[i] else found

    known_names = {n for given in compiled.arguments.values() if isinstance(given, dict) for n in given}
    names = output_names(model, outputs, makers, known_names)
    losses = per_output(known_here(compiled, "loss", None), names, "loss")
    weights = per_output(known_here(compiled, "loss_weights", None), names, "loss_weights")
    predictions = tuple(
        Prediction(shape, name_of_ending(ending), name_of(loss), not ending and recovers(output))
        for shape, ending, loss, output in zip(shapes, endings, losses, outputs)
    )
    found = [
        OutputLoss(i, measured(LossRule, loss, i), weight)
        for i, (loss, weight) in enumerate(zip(losses, weights))
        if loss is not None
    ]
    if any(len(predictions[m.output].shape) == 1 for m in found):
        raise Declined(TRAINING, "outputs of one number without an axis are compared with targets of either shape")
    if not found and not added:
        raise Declined(TRAINING, "compile() without a loss is not translated")
    if not found and (compiled.arguments.get("metrics") or compiled.arguments.get("weighted_metrics")):
        raise Declined(TRAINING, "metrics of a model without a loss are not translated")
    if len(found) > 1 and not all(names):
        raise Declined(TRAINING, "what Keras calls the losses of outputs without names depends on the session")
    metrics = [
        OutputMetric(
            i,
            measured(MetricRule, metric, i),
            f"{names[i]}_{title(metric, generation)}" if len(names) > 1 else title(metric, generation),
        )
        for i, metric in metrics_of(known_here(compiled, "metrics", None), names, generation)
    ]
    for i, metric in metrics_of(known_here(compiled, "weighted_metrics", None), names, generation):
        name = title(metric, generation)
        name = f"weighted_{name}" if name in [m.name for m in metrics] else name
        if len(names) > 1 or masks[i] or len(shapes[i]) > 2:
            raise Declined(
                TRAINING, "weighted metrics of several outputs, or of outputs with steps, are not translated"
            )
        if name != title(metric, generation) and generation != KERAS2:
            raise Declined(TRAINING, f"evaluate() of Keras 3 gives {title(metric, generation)} twice beside {name}")
        if name in [m.name for m in metrics]:
            raise Declined(TRAINING, f"two weighted metrics are called {name}")
        metrics.append(OutputMetric(i, weighted(measured(MetricRule, metric, i), has_weights), name))
    if len(found) > 1 or len(names) > 1 and generation == KERAS2:
        found = [replace(loss, name=f"{names[loss.output]}_loss") for loss in found]
    trainer = Trainer(
        compiled,
        predictions,
        tuple(found),
        tuple(metrics),
        tuple(names),
        tuple(endings),
        generation,
        added,
        tuple(masks),
    )
    twice = next((t for t in trainer.titles if trainer.titles.count(t) > 1), "")
    if twice:
        raise Declined(TRAINING, f"two numbers of an epoch are called {twice}, of which Keras keeps one")
    return trainer


def name_of_ending(text: str) -> str:
    """`softmax` of `F.softmax({0}, dim=-1)`."""
    return text.partition("(")[0].rpartition(".")[2]


def output_names(
    model: Model, outputs: Sequence[Value], makers: Callable[[Value], Sequence[Any]], known_names: set[str]
) -> list[str]:
    """What Keras calls the outputs: after the layers that make them; "" where these have no names of their own.

    Layers that return what they are given, such as `Activation("linear")`, leave open which one an output is of: `known_names` tell.
    """
    if isinstance(model.outputs, dict):
        return list(model.outputs)
    found = [[getattr(layer, "name", None) or "" for layer in makers(x)] for x in outputs]
    return [
        next((n for n in ns if len(ns) == 1 or n in known_names and len(known_names & {*ns}) == 1), "") for ns in found
    ]


def per_output(value: Any, names: Sequence[str], what: str) -> list[Any]:
    """A loss or a weight for each output."""
    if isinstance(value, dict):
        if not set(value) <= set(names):
            raise Declined(TRAINING, f"compile({what}={{…}}) names outputs that are not known by these names")
        return [value.get(n) for n in names]
    if isinstance(value, (list, tuple)):
        if len(value) != len(names):
            raise Declined(TRAINING, f"compile({what}=…) has {len(value)} items for {len(names)} outputs")
        return list(value)
    return [value] * len(names)


def metrics_of(value: Any, names: Sequence[str], generation: str) -> list[tuple[int, Any]]:
    """(output, metric) for all metrics of a `compile`, in the order in which `evaluate` gives them."""
    if value is None:
        return []
    if len(names) == 1:
        value = value.get(names[0], []) if isinstance(value, dict) else value
        return [(0, metric) for metric in (value if isinstance(value, (list, tuple)) else [value])]
    if not all(names):
        raise Declined(TRAINING, "what Keras calls the metrics of outputs without names depends on the session")
    if isinstance(value, dict):
        each = [value.get(n) for n in names]
    elif generation == KERAS2 and not any(isinstance(v, (list, tuple)) for v in value):
        each = [value] * len(names)
    elif len(value) == len(names):
        each = list(value)
    else:
        raise Declined(TRAINING, f"compile(metrics=…) has {len(value)} items for {len(names)} outputs")
    lists = [[] if m is None else list(m) if isinstance(m, (list, tuple)) else [m] for m in each]
    order = range(len(names)) if generation == KERAS2 else sorted(range(len(names)), key=lambda i: names[i])
    return [(i, metric) for i in order for metric in lists[i]]


def name_of(value: Any) -> str:
    """The name of a loss or a metric."""
    leaf = value.leaf if isinstance(value, (ApiObject, ApiValue)) else value
    if not isinstance(leaf, str):
        return ""
    rule = training_rules(LossRule).get(leaf)
    return next((n for n in rule.names if n.islower()), leaf) if rule is not None else leaf


def measure_of(base: Any, value: Any, output: Prediction, generation: str, functions: Functions) -> Measure:
    """The code of a loss or a metric on one output."""
    if isinstance(value, Function):
        if hasattr(functions, "check_targets"):
            functions.check_targets(output)
        as_given = base is MetricRule and generation != KERAS2
        return own_measure(value, output, functions(value), as_given)
    if isinstance(value, Instance) and base is LossRule and hasattr(functions, "measure"):
        return functions.measure(value, output)  # type: ignore[no-any-return]
    if isinstance(value, Unknown):
        raise Declined(TRAINING, f"what compile() is given as one of the {base.home} cannot be evaluated")
    if isinstance(value, ApiObject) and value.leaf == "MeanMetricWrapper":
        return measure_of(base, wrapped(value), output, generation, functions)
    if base is MetricRule and not is_metric(value):
        base, value = LossRule, as_loss(value)  # every loss is a metric as well
    rule, arguments = known(base, value, generation)
    return rule.lower(arguments, output)


def weighted(measure: Measure, has_weights: bool) -> Measure:
    """A metric of samples with weights: the mean of its values, each as often as its sample counts."""
    if not has_weights:
        return measure
    if measure.sums or measure.whole or not measure.each or measure.weighted:
        raise Declined(TRAINING, "this metric of weighted samples is not translated")
    sums = (("values", f"({measure.each} * {{weight}}).sum().detach()"), ("weights", "{weight}.sum()"))
    return replace(measure, sums=sums, result="({values} / {weights})")


def wrapped(metric: ApiObject) -> Any:
    """The function that a `MeanMetricWrapper` takes the mean of."""
    given = {**dict(zip(("fn", "name", "dtype"), metric.args)), **metric.kwargs}
    if "fn" not in given or not given.keys() <= {"fn", "name", "dtype"}:
        raise Declined(TRAINING, "a MeanMetricWrapper with arguments for its function is not translated")
    return given["fn"]


def as_loss(metric: Any) -> Any:
    """A metric that is the mean of a loss: its arguments begin with the name and the type, which a loss ends with."""
    if not isinstance(metric, ApiObject) or not metric.args:
        return metric
    if len(metric.args) > len(METRIC_ARGUMENTS):
        raise Declined(TRAINING, f"{metric.leaf} with so many arguments without names is not translated")
    return ApiObject(metric.api, (), {**dict(zip(METRIC_ARGUMENTS, metric.args)), **metric.kwargs})


def own_measure(function: Function, output: Prediction, known: OnTensors | None, as_given: bool) -> Measure:
    """A function of the program as a loss or a metric: Keras takes the mean of what it returns.

    Targets `(N,)` of outputs `(N, 1)` get their shape, unless they come `as_given`: to metrics of Keras 3. Others have to have
    it: where they lack the last axis, Keras takes that off the outputs, which a function may see.
    """
    if known is None or not known.name:
        why = function.interpreter.unmeasured.get(function.node, "")  # type: ignore[attr-defined]
        raise Declined(TRAINING, f"{function.name}() does not become a function on tensors{why and f': {why}'}")
    if known.on_logits and not output.logits:
        raise Declined(TRAINING, "the logits of this prediction cannot be had")
    rank = known.rank
    target = "{target}" if as_given or tuple(output.shape[1:]) != (1,) else "{target}.view_as({output})"
    each = whole = f"{known.name}({target}, {{output}})" + ("" if is_float(known.dtype) else ".float()")
    if rank > 1:
        each = f"{whole}.flatten(1).mean(dim=1)"
    mean, kind = f"{whole}.mean()" if rank else whole, kind_of_target(output)
    return Measure(mean, each if rank else "", on_logits=known.on_logits, target=kind, whole=not rank)


def kind_of_target(output: Prediction) -> str:
    """What losses of the program take as targets: what goes with the activation that ends the model."""
    return {"sigmoid": "truths", "softmax": "shares"}.get(output.logits, "numbers")


def is_metric(value: Any) -> bool:
    leaf = value.leaf if isinstance(value, (ApiObject, ApiValue)) else value
    return leaf in training_rules(MetricRule) or leaf not in training_rules(LossRule)


def snake_case(name: str) -> str:
    """What Keras calls an object of a class that is given no name: `mean_io_u`."""
    parted = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", parted).lower()


def title(metric: Any, generation: str) -> str:
    """What Keras calls a metric in its logs: the string it was given by, or the name of the object."""
    if isinstance(metric, ApiObject):
        rule = training_rules(MetricRule).get(metric.leaf)
        signature = parse_signature(rule.signature if rule is not None else "name=None, dtype=None").parameters
        given = {n: p.default for n, p in signature.items()}
        given |= {**dict(zip(signature, metric.args)), **metric.kwargs}
        if isinstance(given.get("name"), str):
            return given["name"]
        rule = rule or training_rules(LossRule).get(metric.leaf)
        names = [n for n in rule.names if n.islower()] if rule is not None else []
        if generation == KERAS2:
            names = [n for n in names if n in LEGACY_TITLES] or names
        return names[0] if names else snake_case(metric.leaf)
    if isinstance(metric, Function):
        return metric.name
    return metric.leaf if isinstance(metric, ApiValue) else str(metric)


def optimizer_of(
    compiled: TrainingCall, place: ast.AST, scopes: Scopes, generation: str, changing: bool
) -> OptimizerCode:
    """The optimizer of a `compile`, for where it is made. Raises Declined for what is not translated."""
    value = known_here(compiled, "optimizer", "rmsprop")
    node = (argument_nodes(compiled.node, "compile", generation) or {}).get("optimizer")
    value = argument_at(value, node, place, scopes, compiled)
    if not isinstance(value, (str, ApiObject)):
        raise Declined(TRAINING, "this optimizer is not translated")
    rule, arguments = known(OptimizerRule, value, generation)
    return rule.lower(arguments, changing)


def optimizer_lines(code: OptimizerCode, models: Sequence[str], optimizer: str, scheduler: str) -> list[str]:
    """The statements that make an optimizer of the weights of some models, and its schedule."""
    weights = [f"{model}.parameters()" for model in models]
    trained = weights[0] if len(models) == 1 else f"[{', '.join(f'*{w}' for w in weights)}]"
    lines = [f"{optimizer} = {call(code.function, Raw(trained), **code.arguments)}"]
    if code.schedule is not None:
        factor = f"lambda step: {code.schedule.factor}"
        lines.append(f"{scheduler} = torch.optim.lr_scheduler.LambdaLR({optimizer}, {factor})")
    return lines
