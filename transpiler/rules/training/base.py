"""What a rule for training code is: one class that holds everything about one optimizer, loss, metric or schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS2, Args
from transpiler.ir.shape import Shape
from transpiler.rules.base import parse_signature, renamed, show

WHOLE_NUMBERS = ("classes", "labels")
"""Kinds of targets that are whole numbers."""

TRAINING = "K2T401"
"""The code of a part of the training that is not translated."""


class TrainingRule:
    """What an optimizer, a loss, a metric or a schedule of Keras becomes."""

    home: ClassVar[str] = ""
    """The module that has it: `optimizers`."""
    names: ClassVar[tuple[str, ...]] = ()
    """Its class, and the functions and strings that mean it."""
    signature: ClassVar[str] = ""
    """Today's constructor, as in a `def`."""
    legacy: ClassVar[str] = ""
    """That of legacy Keras, where it differs."""
    renames: ClassVar[Mapping[str, str]] = {}
    """Older argument names → today's."""
    unsupported: ClassVar[Mapping[str, str]] = {}
    """Argument → why a value other than the default is declined."""
    ignored: ClassVar[tuple[str, ...]] = ("name",)
    """Arguments that change nothing of what is computed."""

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any], generation: str) -> Args:
        """The constructor's arguments by name, defaults filled in.

        Raises Declined for an argument that Keras does not know, and for a value named as unsupported.
        """
        signature = parse_signature((generation == KERAS2 and self.legacy) or self.signature)
        kwargs = renamed(dict(kwargs), dict(self.renames), signature.parameters)
        kwargs = {k: v for k, v in kwargs.items() if k not in self.ignored}
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise Declined(TRAINING, f"{self.names[0]}: {error}") from None
        given = frozenset(bound.arguments)
        bound.apply_defaults()
        for name, why in self.unsupported.items():
            if name in given and bound.arguments[name] != signature.parameters[name].default:
                raise Declined(TRAINING, f"{self.names[0]}({name}={show(bound.arguments[name])}): {why}")
        return Args(dict(bound.arguments), given, generation)


@dataclass(frozen=True)
class ScheduleCode:
    """A learning rate that changes from step to step: `start`, times `factor`, an expression over `step`, from 0."""

    start: Any
    factor: str
    helpers: tuple[str, ...] = ()


@dataclass(frozen=True)
class OptimizerCode:
    """An optimizer: `function(parameters, **arguments)`."""

    function: str
    arguments: Mapping[str, Any]
    helpers: tuple[str, ...] = ()
    clipping: tuple[str, ...] = ()
    """Statements over `{parameters}` between `backward()` and `step()`."""
    schedule: ScheduleCode | None = None
    whole: str = ""
    """Whether each parameter has to hold one weight of Keras: `norms`, or `factors` of its last two axes, matter."""
    by_row: bool = False
    """Whether Keras takes the gradients of embeddings row by row: those of ids that repeat, or do not occur, by themselves."""
    constrains: bool = True
    """Whether Keras applies constraints of weights after its steps."""

    @property
    def all_helpers(self) -> tuple[str, ...]:
        """The helpers of the optimizer and of its schedule."""
        return (*self.helpers, *(self.schedule.helpers if self.schedule is not None else ()))


@dataclass(frozen=True)
class Prediction:
    """What a loss or a metric is told of one output of a model."""

    shape: Shape
    """Batch first, as Keras has it."""
    logits: str = ""
    """The activation that ends the model, if what comes before it can be had: `sigmoid`, `softmax`."""
    loss: str = ""
    """The name of the loss on this output, which decides what "accuracy" means."""
    hidden: bool = False
    """Whether Keras recovers logits that cannot be had here."""


@dataclass(frozen=True)
class Measure:
    """A loss or a metric of one output, as text over `{output}` and `{target}`."""

    mean: str
    """Its mean over a batch: a tensor without axes."""
    each: str = ""
    """Its values for the samples: a tensor whose first axis is the batch."""
    on_logits: bool = False
    """Whether `{output}` stands for what comes before the last activation."""
    target: str = "numbers"
    """What the targets are: `numbers`, `truths` (0 or 1), `shares` that add up to 1, or whole numbers: those of `classes`, or
    the `labels` of sequences."""
    helpers: tuple[str, ...] = ()
    rising: bool = False
    """Whether more is better."""
    sums: tuple[tuple[str, str], ...] = ()
    """Of a metric that is no mean: (variable, what each batch adds to it)."""
    result: str = ""
    """What it is, from these variables: a tensor without axes."""
    function: tuple[str, str] = ("", "")
    """A function that the texts call, and its text."""
    whole: bool = False
    """Whether it is one number for a batch, whatever its size: as a metric it is averaged over the batches."""
    weighted: str = ""
    """Its mean over samples with weights, `{weight}`, where that is not the mean of its weighted values."""

    @property
    def mean_with_weights(self) -> str:
        """Its mean over a batch of samples with weights, `{weight}`."""
        own = f"({self.each} * {{weight}}).mean()" if self.each else f"{self.mean} * {{weight}}.mean()"
        return self.weighted or own


class OptimizerRule(TrainingRule):
    """One optimizer."""

    home = "optimizers"

    def lower(self, a: Args, changing: bool) -> OptimizerCode:
        """The translation; `changing` says whether the learning rate may change during the training."""
        raise NotImplementedError


class ScheduleRule(TrainingRule):
    """One schedule of the learning rate."""

    home = "optimizers.schedules"

    def lower(self, a: Args) -> ScheduleCode:
        raise NotImplementedError


class LossRule(TrainingRule):
    """One loss."""

    home = "losses"

    def lower(self, a: Args, output: Prediction) -> Measure:
        raise NotImplementedError


class MetricRule(TrainingRule):
    """One metric that is a mean over the samples."""

    home = "metrics"

    def lower(self, a: Args, output: Prediction) -> Measure:
        raise NotImplementedError
