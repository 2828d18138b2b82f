"""Losses. Each was compared with Keras's own, its gradient included (tests/training/test_losses.py)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of
from transpiler.ir.model import ApiValue, Args
from transpiler.ir.shape import TensorType
from transpiler.rules.base import show
from transpiler.rules.ops import op_rules
from transpiler.rules.ops.base import Operand
from transpiler.rules.training.base import TRAINING, WHOLE_NUMBERS, LossRule, Measure, Prediction

MEANS = ("sum_over_batch_size", "auto", "mean")
"""Reductions that take the mean, of weighted values where samples have weights."""


class Loss(LossRule):
    """What all losses have in common: how the values of a batch are reduced."""

    unsupported = {"dtype": "the loss is computed in the type of the output"}

    def lower(self, a: Args, output: Prediction) -> Measure:
        reduction = a.get("reduction", "auto")
        if isinstance(reduction, ApiValue) and ".Reduction." in reduction.path:
            reduction = reduction.leaf.lower()
        return self.reduced(self.measure(a, output), reduction)

    @staticmethod
    def reduced(measure: Measure, reduction: Any) -> Measure:
        """A mean with another reduction in its place."""
        if reduction in MEANS:
            return measure
        values = measure.each
        if reduction == "sum" and values:
            return replace(measure, mean=f"{values}.sum()", weighted=f"({values} * {{weight}}).sum()", whole=True)
        if reduction == "mean_with_sample_weight" and values and not measure.weighted:
            return replace(measure, weighted=f"({values} * {{weight}}).sum() / {{weight}}.sum()")
        raise Declined(TRAINING, f"a loss with reduction={show(reduction)} is not translated")

    def measure(self, a: Args, output: Prediction) -> Measure:
        raise NotImplementedError


class Pointwise(Loss):
    """A loss that compares outputs with targets one by one, and takes the mean."""

    function = ""
    """`F.mse_loss`, which has `reduction`."""

    def measure(self, a: Args, output: Prediction) -> Measure:
        target = "{target}" if output.shape[-1] != 1 else "{target}.view_as({output})"
        each = f"{self.function}({{output}}, {target}, reduction='none').mean(dim=-1)"
        return Measure(f"{self.function}({{output}}, {target})", each)


def of_probabilities(name: str, a: Args, output: Prediction, target: str, **options: Any) -> Measure:
    """A crossentropy of probabilities that Keras knows no logits of."""
    if output.hidden or output.logits:
        raise Declined(TRAINING, f"{name} takes logits that cannot be had outside of a layer of the result")
    return function_measure(name, a.generation, output, target, options)


def takes_logits(a: Args, output: Prediction, activation: str) -> bool:
    """Whether a crossentropy is computed from logits: where they are known, Keras takes them whatever it is told."""
    if a.const("from_logits") and output.hidden:
        raise Declined(TRAINING, "from_logits=True on probabilities, whose logits Keras takes, is not translated")
    return bool(a.const("from_logits")) or output.logits == activation


def function_measure(
    name: str,
    generation: str,
    output: Prediction,
    target: str,
    options: dict[str, Any],
    on_logits: bool = False,
    home: str = "losses",
    reshapes: bool = True,
) -> Measure:
    """A loss as a function of its own, written from the rule for the function of Keras in `home`.

    `reshapes` says whether the numbers of classes are given the shape of the outputs.
    """
    path = f"{home}.{name}"
    rule = op_rules()[path]
    shape = (None, *output.shape[1:])
    wanted = TensorType(shape[:-1], "int64") if target in WHOLE_NUMBERS else TensorType(shape, "float32")
    operands = [Operand(0, wanted), Operand(1, TensorType(shape, "float32"))]
    lowering = rule.lower(path, rule.bind(path, operands, options, generation))
    lines, result = [f"def {name}(target: Tensor, output: Tensor) -> Tensor:"], ""
    for i, step in enumerate(lowering.steps):
        names = ["target", "output"]
        arguments = names if i == 0 else [result, *(names[k] for k in step.takes)]
        text = (step.fn or "{0}").format(*arguments)
        result = step.hint
        lines.append(f"    return {text}" if i == len(lowering.steps) - 1 else f"    {result} = {text}")
    view = "{target}"
    if reshapes and target == "classes":
        view = "{target}.view({output}.shape[:-1])"
    elif output.shape[-1] == 1 and target not in WHOLE_NUMBERS:
        view = "{target}.view_as({output})"
    each = f"{name}({view}, {{output}})"
    rank = len(lowering.types[0].shape)
    helpers = tuple(h for step in lowering.steps for h in step.helpers)
    return Measure(
        f"{each}.mean()" if rank else each,
        each if rank else "",
        on_logits=on_logits,
        target=target,
        helpers=helpers,
        function=(name, "\n".join(lines)),
        whole=not rank,
    )


class FunctionLoss(Loss):
    """A loss that becomes a function of its own."""

    signature = "reduction='sum_over_batch_size', name=None, dtype=None"
    function = ""
    """The function of `keras.losses` that it is."""
    target = "numbers"
    reshapes = True
    """Whether numbers of classes are given the shape of the outputs."""

    def measure(self, a: Args, output: Prediction) -> Measure:
        options = {n: a.const(n) for n in a if n not in ("reduction", "name", "dtype", "fn")}
        return function_measure(self.function, a.generation, output, self.target, options, reshapes=self.reshapes)


class MeanAbsolutePercentageError(FunctionLoss):
    names = ("MeanAbsolutePercentageError", "mean_absolute_percentage_error", "mape", "MAPE")
    function = "mean_absolute_percentage_error"


class MeanSquaredLogarithmicError(FunctionLoss):
    names = ("MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", "msle", "MSLE")
    function = "mean_squared_logarithmic_error"
    target = "positive"


class Poisson(FunctionLoss):
    names = ("Poisson", "poisson")
    function = "poisson"
    target = "positive"


class KLDivergence(FunctionLoss):
    names = ("KLDivergence", "kl_divergence", "kld", "KLD", "kullback_leibler_divergence")
    function = "kl_divergence"
    target = "shares"


class LogCosh(FunctionLoss):
    names = ("LogCosh", "log_cosh", "logcosh")
    function = "log_cosh"


class CosineSimilarity(FunctionLoss):
    names = ("CosineSimilarity", "cosine_similarity", "cosine_proximity", "cosine")
    signature = "axis=-1, reduction='sum_over_batch_size', name=None, dtype=None"
    function = "cosine_similarity"


class Hinge(FunctionLoss):
    names = ("Hinge", "hinge")
    function = "hinge"
    target = "signs"


class SquaredHinge(FunctionLoss):
    names = ("SquaredHinge", "squared_hinge")
    function = "squared_hinge"
    target = "signs"


class CategoricalHinge(FunctionLoss):
    names = ("CategoricalHinge", "categorical_hinge")
    function = "categorical_hinge"
    target = "shares"


class Dice(FunctionLoss):
    names = ("Dice", "dice")
    signature = "reduction='sum_over_batch_size', name='dice', axis=None, dtype=None"
    function = "dice"
    target = "truths"


class Tversky(FunctionLoss):
    names = ("Tversky", "tversky")
    signature = "alpha=0.5, beta=0.5, reduction='sum_over_batch_size', name='tversky', axis=None, dtype=None"
    function = "tversky"
    target = "truths"


class BinaryFocalCrossentropy(FunctionLoss):
    names = ("BinaryFocalCrossentropy", "binary_focal_crossentropy")
    signature = (
        "apply_class_balancing=False, alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0, axis=-1, "
        "reduction='sum_over_batch_size', name=None, dtype=None"
    )
    function = "binary_focal_crossentropy"
    target = "truths"

    def measure(self, a: Args, output: Prediction) -> Measure:
        if output.logits == "sigmoid" and not a.const("from_logits"):
            options = {n: a.const(n) for n in a if n not in ("reduction", "name", "dtype", "from_logits")}
            options["from_logits"] = True
            return function_measure(self.function, a.generation, output, self.target, options, on_logits=True)
        if output.hidden:
            raise Declined(
                TRAINING, "the crossentropy takes logits that cannot be had outside of a layer of the result"
            )
        return super().measure(a, output)


class CategoricalFocalCrossentropy(FunctionLoss):
    names = ("CategoricalFocalCrossentropy", "categorical_focal_crossentropy")
    signature = (
        "alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0, axis=-1, reduction='sum_over_batch_size', "
        "name=None, dtype=None"
    )
    function = "categorical_focal_crossentropy"
    target = "shares"


class Huber(Loss):
    """`F.huber_loss`."""

    names = ("Huber", "huber", "huber_loss")
    signature = "delta=1.0, reduction='sum_over_batch_size', name=None, dtype=None"

    def measure(self, a: Args, output: Prediction) -> Measure:
        target = "{target}" if output.shape[-1] != 1 else "{target}.view_as({output})"
        delta = "" if a.delta == 1 else f", delta={code_of(a.delta)}"
        each = f"F.huber_loss({{output}}, {target}{delta}, reduction='none').mean(dim=-1)"
        return Measure(f"F.huber_loss({{output}}, {target}{delta})", each)


class MeanSquaredError(Pointwise):
    names = ("MeanSquaredError", "mean_squared_error", "mse", "MSE")
    signature = "reduction='sum_over_batch_size', name=None, dtype=None"
    function = "F.mse_loss"


class MeanAbsoluteError(Pointwise):
    names = ("MeanAbsoluteError", "mean_absolute_error", "mae", "MAE")
    signature = "reduction='sum_over_batch_size', name=None, dtype=None"
    function = "F.l1_loss"


class BinaryCrossentropy(Loss):
    """Keras recovers what a sigmoid at the end was computed from, and clips other probabilities to 1e-7."""

    names = ("BinaryCrossentropy", "binary_crossentropy", "bce", "BCE")
    signature = (
        "from_logits=False, label_smoothing=0.0, axis=-1, reduction='sum_over_batch_size', name=None, dtype=None"
    )
    unsupported = {**Loss.unsupported, "axis": "the mean is taken over the last axis"}

    def measure(self, a: Args, output: Prediction) -> Measure:
        target = "{target}" if output.shape[-1] != 1 else "{target}.view_as({output})"
        smoothing = a.const("label_smoothing")
        if smoothing:
            target = f"{target} * {1 - smoothing!r} + {smoothing / 2!r}"
        if not takes_logits(a, output, "sigmoid"):
            return of_probabilities("binary_crossentropy", a, output, "truths", label_smoothing=smoothing)
        function = "F.binary_cross_entropy_with_logits"
        return Measure(
            f"{function}({{output}}, {target})",
            f"{function}({{output}}, {target}, reduction='none').mean(dim=-1)",
            on_logits=bool(output.logits),
            target="truths",
        )


class CategoricalCrossentropy(Loss):
    """Keras recovers what a softmax at the end was computed from."""

    names = ("CategoricalCrossentropy", "categorical_crossentropy")
    signature = (
        "from_logits=False, label_smoothing=0.0, axis=-1, reduction='sum_over_batch_size', name=None, dtype=None"
    )
    unsupported = {**Loss.unsupported, "axis": "the classes are the last axis"}

    def measure(self, a: Args, output: Prediction) -> Measure:
        return crossentropy(a, output, a.const("label_smoothing"), "shares")


class SparseCategoricalCrossentropy(Loss):
    names = ("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy")
    signature = "from_logits=False, ignore_class=None, axis=-1, reduction='sum_over_batch_size', name=None, dtype=None"
    legacy = "from_logits=False, ignore_class=None, reduction='auto', name=None"
    unsupported = {**Loss.unsupported, "axis": "the classes are the last axis", "ignore_class": "no class is ignored"}

    def measure(self, a: Args, output: Prediction) -> Measure:
        return crossentropy(a, output, 0.0, "classes")


def crossentropy(a: Args, output: Prediction, smoothing: float, target: str) -> Measure:
    """Crossentropy over the last axis, of targets that are numbers of classes or probabilities."""
    if not takes_logits(a, output, "softmax"):
        name = "categorical_crossentropy" if target == "shares" else "sparse_categorical_crossentropy"
        return of_probabilities(name, a, output, target, **({"label_smoothing": smoothing} if smoothing else {}))
    rank = len(output.shape)
    values, wanted = "{output}", "{target}" if target == "shares" else "{target}.flatten()"
    if rank > 2:
        values, wanted = "{output}.flatten(0, -2)", "{target}.flatten(0, -2)" if target == "shares" else wanted
    smooth = f", label_smoothing={smoothing!r}" if smoothing else ""
    each = f"F.cross_entropy({values}, {wanted}{smooth}, reduction='none')"
    if rank > 2:
        each += ".view({output}.shape[:-1])"
    return Measure(f"F.cross_entropy({values}, {wanted}{smooth})", each, on_logits=bool(output.logits), target=target)
