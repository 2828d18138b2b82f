"""Losses as functions on tensors: one value for each sample, from what should be and what a model says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS2, Args, Lowering, Step
from transpiler.ir.shape import Layout, Shape, TensorType
from transpiler.rules.base import keywords, show
from transpiler.rules.ops.base import (
    Operand,
    OpRule,
    broadcast,
    example,
    is_float,
    leaf_of,
    operand_text,
    tensor,
)

EPSILON = "1e-7"
"""`keras.config.epsilon()`, which losses keep away from zero with."""

SPELLINGS = {
    "mean_squared_error": ("mse", "MSE"),
    "mean_absolute_error": ("mae", "MAE"),
    "mean_absolute_percentage_error": ("mape", "MAPE"),
    "mean_squared_logarithmic_error": ("msle", "MSLE"),
    "log_cosh": ("logcosh",),
    "kl_divergence": ("kld", "KLD", "kullback_leibler_divergence"),
}
"""Other names of losses."""


def loss_paths(*leaves: str) -> tuple[str, ...]:
    """Losses under all of their names in `keras.losses` and `keras.metrics`."""
    names = [n for leaf in leaves for n in (leaf, *SPELLINGS.get(leaf, ()))]
    return tuple(f"{home}.{n}" for home in ("losses", "metrics") for n in names)


@dataclass(frozen=True)
class Pair:
    """What should be, and what a model says; steps over both, `{t}` and `{p}` in their templates."""

    target: Operand
    prediction: Operand

    def first(self, template: str, hint: str = "x", **names: str) -> Step:
        t = str(self.target) if is_float(self.target.dtype) else f"{self.target}.to({self.prediction}.dtype)"
        return Step(fn=template.format(t=t, p=self.prediction, **names), hint=hint)

    def then(self, template: str, hint: str = "x") -> Step:
        """A later step; `{r}` is the result of the one before."""
        t = "{1}" if is_float(self.target.dtype) else "{1}.to({2}.dtype)"
        takes = (self.target.index, self.prediction.index)
        return Step(fn=template.format(t=t, p="{2}", r="{0}"), hint=hint, takes=takes)

    @property
    def shape(self) -> Shape:
        return broadcast([self.target.shape, self.prediction.shape])

    def type(self, axis: int) -> TensorType:
        """The type of a result without an axis: in Keras's order if that was the last one."""
        p = self.prediction
        shape = (*self.shape[:axis], *self.shape[axis + 1 :])
        return TensorType(shape, p.dtype, Layout.KERAS if axis == p.rank - 1 else p.type.layout)

    def last(self, *steps: Step) -> Lowering:
        """A lowering to one value for all of the last axis."""
        return Lowering(list(steps), [self.type(self.prediction.rank - 1)])

    @property
    def dim(self) -> int:
        """The last axis as torch counts it."""
        return self.prediction.type.last


def both(a: Args) -> Pair:
    """Raises Declined unless the two have one rank: Keras changes that of others in its own way."""
    t, p = tensor(a, "y_true"), tensor(a, "y_pred")
    if not is_float(p.dtype) or t.rank != p.rank or not p.rank:
        raise Declined("K2T103", f"this loss of {t.rank} axes of {t.dtype} and {p.rank} of {p.dtype} is not translated")
    return Pair(t, p)


def along(p: Operand, axis: Any) -> tuple[int, int]:
    """An axis as Keras and as torch count it."""
    if type(axis) is not int or not -p.rank <= axis < p.rank:
        raise Declined("K2T103", f"axis={show(axis)} of a loss is not translated")
    return axis % p.rank, p.type.axis(axis)


class SampleLoss(OpRule):
    """A loss of two tensors."""

    signature = "y_true, y_pred"
    inputs = ("y_true", "y_pred")
    renames = {"target": "y_true", "output": "y_pred", "labels": "y_true", "logits": "y_pred"}

    def wants(self, path: str, a: Args) -> Layout | tuple[Layout, ...] | None:
        return None

    def keeps_batch(self, path: str, a: Args) -> bool:
        return tensor(a, "y_pred").rank > 1


MEANS = {
    "mean_squared_error": ("({p} - {t}).square()", ""),
    "mean_absolute_error": ("torch.abs({p} - {t})", ""),
    "mean_absolute_percentage_error": (f"torch.abs(({{t}} - {{p}}) / torch.abs({{t}}).clamp(min={EPSILON}))", "100 * "),
    "mean_squared_logarithmic_error": (
        f"(torch.log({{p}}.clamp(min={EPSILON}) + 1) - torch.log({{t}}.clamp(min={EPSILON}) + 1)).square()",
        "",
    ),
    "poisson": (f"({{p}} - {{t}} * torch.log({{p}} + {EPSILON}))", ""),
}
"""What a loss is the mean of, over the last axis, and what that is multiplied by."""
POSITIVE = ("mean_squared_logarithmic_error", "poisson")
TWO = {"x": (3, 4), "y": (3, 4)}


def pairs(*codes: str, **inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Examples with a tensor `y` besides `x`."""
    return tuple(example(c, **(inputs or TWO)) for c in codes)


class MeanOfElements(SampleLoss):
    """Losses that are the mean of a function of each element."""

    names = loss_paths(*MEANS)
    examples = (
        *(e for n in MEANS for e in pairs(f"keras.losses.{n}(x, {'abs(y)' if n in POSITIVE else 'y'})")),
        *pairs("keras.losses.mean_squared_error(x, y)", "keras.losses.mean_squared_error(y_true=x, y_pred=y)", x=(2, 3, 4), y=(2, 3, 4)),
        *pairs("keras.losses.mean_squared_error(i, y)", i=(3, "ids", 2, 4), y=(2, 4)),
        *pairs("keras.losses.mean_absolute_error(keras.layers.MaxPooling2D(1)(x), y)", x=(2, 3, 4, 5), y=(2, 3, 4, 5)),
    )  # fmt: skip

    def lower(self, path: str, a: Args) -> Lowering:
        pair = both(a)
        text, factor = MEANS[full_name(leaf_of(path))]
        return pair.last(pair.first(f"{factor}{text}.mean(dim={pair.dim})"))


def full_name(leaf: str) -> str:
    """The first name of a loss."""
    return next((name for name, others in SPELLINGS.items() if leaf in others), leaf)


class Huber(SampleLoss):
    """A square near zero, straight lines beyond."""

    names = loss_paths("huber")
    signature = "y_true, y_pred, delta=1.0"
    examples = pairs("keras.losses.huber(x, y)", "keras.losses.huber(x, y, 0.5)")

    def lower(self, path: str, a: Args) -> Lowering:
        pair = both(a)
        delta = "" if a.delta == 1 else f", delta={operand_text(a.delta)}"
        return pair.last(pair.first(f'F.huber_loss({{p}}, {{t}}, reduction="none"{delta}).mean(dim={pair.dim})'))


class LogCosh(SampleLoss):
    """The logarithm of the hyperbolic cosine of the error."""

    names = loss_paths("log_cosh")
    examples = pairs("keras.losses.log_cosh(x, y)")

    def lower(self, path: str, a: Args) -> Lowering:
        pair = both(a)
        value = f"({{r}} + F.softplus(-2 * {{r}}) - math.log(2)).mean(dim={pair.dim})"
        return pair.last(pair.first("{p} - {t}", "error"), pair.then(value))


class Divergence(SampleLoss):
    """Kullback and Leibler's divergence."""

    names = loss_paths("kl_divergence")
    examples = pairs(
        "keras.losses.kl_divergence(tf.nn.softmax(x), tf.nn.softmax(y))", "keras.losses.kl_divergence(x, abs(y))"
    )

    def lower(self, path: str, a: Args) -> Lowering:
        pair = both(a)
        value = f"({{r}} * torch.log({{r}} / {{p}}.clamp({EPSILON}, 1))).sum(dim={pair.dim})"
        return pair.last(pair.first(f"{{t}}.clamp({EPSILON}, 1)", "wanted"), pair.then(value))


class Similarity(SampleLoss):
    """The negative cosine of the angle between two vectors."""

    names = ("losses.cosine_similarity",)
    signature = "y_true, y_pred, axis=-1"
    examples = (
        *pairs("keras.losses.cosine_similarity(x, y)"),
        *pairs("keras.losses.cosine_similarity(x, y, axis=1)", x=(2, 3, 4), y=(2, 3, 4)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        pair = both(a)
        axis, dim = along(pair.prediction, a.const("axis"))
        parts = [f"F.normalize({v}, dim={dim}, eps=1e-6)" for v in ("{t}", "{p}")]  # the root of sums above 1e-12
        text = f"-({parts[0]} * {parts[1]}).sum(dim={dim})"
        return Lowering([pair.first(text)], [pair.type(axis)])


class Hinge(SampleLoss):
    """How far a prediction is from the right side; targets are -1 and 1, or 0 and 1 in the whole batch."""

    names = loss_paths("hinge", "squared_hinge")
    examples = pairs(
        "keras.losses.hinge(i, y)", "keras.losses.squared_hinge(2 * i - 1, y)", i=(2, "ids", 3, 4), y=(3, 4)
    )

    def lower(self, path: str, a: Args) -> Lowering:
        pair = both(a)
        signs = pair.first("torch.where((({t} == 0) | ({t} == 1)).all(), 2 * {t} - 1, {t})", "signs")
        square = ".square()" if leaf_of(path) == "squared_hinge" else ""
        return pair.last(signs, pair.then(f"(1 - {{r}} * {{p}}).clamp(min=0){square}.mean(dim={pair.dim})"))


class CategoricalHinge(SampleLoss):
    """How much the best wrong class beats the right one."""

    names = loss_paths("categorical_hinge")
    examples = pairs("keras.losses.categorical_hinge(x, y)")

    def lower(self, path: str, a: Args) -> Lowering:
        pair = both(a)
        wrong, right = f"((1 - {{t}}) * {{p}}).amax(dim={pair.dim})", f"({{t}} * {{p}}).sum(dim={pair.dim})"
        return pair.last(pair.first(f"({wrong} - {right} + 1).clamp(min=0)"))


class Overlap(SampleLoss):
    """Dice's and Tversky's measures of overlap."""

    names = ("losses.dice", "losses.tversky")
    signatures = {
        "losses.dice": "y_true, y_pred, axis=None",
        "losses.tversky": "y_true, y_pred, alpha=0.5, beta=0.5, axis=None",
    }
    examples = (
        *pairs("keras.losses.dice(tf.nn.sigmoid(x), tf.nn.sigmoid(y))"),
        *pairs("keras.losses.dice(tf.nn.sigmoid(x), tf.nn.sigmoid(y), axis=(1, 2))", x=(2, 3, 4), y=(2, 3, 4)),
        *pairs("keras.losses.tversky(tf.nn.sigmoid(x), tf.nn.sigmoid(y), 0.3, beta=0.7, axis=-1)"),
    )

    def wants(self, path: str, a: Args) -> Layout | None:
        return Layout.KERAS

    def keeps_batch(self, path: str, a: Args) -> bool:
        axes = a.const("axis")
        return axes is not None and 0 not in (axes if isinstance(axes, (list, tuple)) else (axes,))

    def lower(self, path: str, a: Args) -> Lowering:
        pair = both(a)
        p, axes = pair.prediction, a.const("axis")
        axes = list(axes) if isinstance(axes, (list, tuple)) else [] if axes is None else [axes]
        if any(type(k) is not int or not -p.rank <= k < p.rank for k in axes):
            raise Declined("K2T103", f"axis={show(a.axis)} of a loss is not translated")
        dims = sorted({k % p.rank for k in axes})
        over = "" if not dims else f"dim={dims[0]}" if len(dims) == 1 else f"dim={tuple(dims)}"
        shape = tuple(d for i, d in enumerate(pair.shape) if i not in dims) if dims else ()
        sums = f"{{t}}.sum({over}) + {{p}}.sum({over}) + {EPSILON}"
        shared, value = f"({{t}} * {{p}}).sum({over})", f"1 - 2 * {{r}} / ({sums})"
        if leaf_of(path) == "tversky":
            missed, added = f"((1 - {{p}}) * {{t}}).sum({over})", f"({{p}} * (1 - {{t}})).sum({over})"
            weights = f"{operand_text(a.alpha)} * {missed} + {operand_text(a.beta)} * {added} + {EPSILON}"
            value = f"1 - {{r}} / ({{r}} + {weights})"
        return Lowering([pair.first(shared, "shared"), pair.then(value)], [TensorType(shape, p.dtype)])


class GeneralizedCrossentropy(SampleLoss):
    """Between crossentropy and the absolute error, of the numbers of classes."""

    names = ("losses.categorical_generalized_cross_entropy",)
    signature = "y_true, y_pred, q"
    examples = (
        example(
            "keras.losses.categorical_generalized_cross_entropy(i, tf.nn.softmax(x), 0.7)", i=(4, "ids", 3), x=(3, 4)
        ),
    )

    def wants(self, path: str, a: Args) -> Layout | None:
        return Layout.KERAS

    def lower(self, path: str, a: Args) -> Lowering:
        t, p = tensor(a, "y_true"), tensor(a, "y_pred")
        if not is_float(p.dtype) or is_float(t.dtype) or t.rank != p.rank - 1:
            raise Declined(
                "K2T103", f"this loss of {t.rank} axes of {t.dtype} and {p.rank} of {p.dtype} is not translated"
            )
        classes = p.shape[-1] if type(p.shape[-1]) is int else f"{p}.shape[-1]"
        right = Step(fn=f"({p} * F.one_hot({t}, {classes})).sum(dim=-1)", hint="probabilities")
        q = operand_text(a.q)
        return Lowering([right, Step(fn=f"(1 - {{0}}**{q}) / {q}")], [TensorType(p.shape[:-1], p.dtype)])


class Circle(SampleLoss):
    """How far each embedding is from others of its class, and how near to the rest."""

    names = ("losses.circle",)
    signature = "y_true, y_pred, ref_labels=None, ref_embeddings=None, remove_diagonal=True, gamma=80, margin=0.4"
    examples = (
        example("keras.losses.circle(i, keras.ops.normalize(x))", i=(2, "ids", 5), x=(5, 4)),
        example("keras.losses.circle(i, x, remove_diagonal=False, gamma=2, margin=0.3)", i=(3, "ids", 6, 1), x=(6, 4)),
    )

    def wants(self, path: str, a: Args) -> Layout | None:
        return Layout.KERAS

    def lower(self, path: str, a: Args) -> Lowering:
        t, p = tensor(a, "y_true"), tensor(a, "y_pred")
        if not is_float(p.dtype) or is_float(t.dtype) or p.rank != 2:
            raise Declined("K2T103", f"this loss of {t.dtype} and {p.rank} axes of {p.dtype} is not translated")
        if a.ref_labels is not None or a.ref_embeddings is not None:
            raise Declined("K2T103", "reference embeddings of losses.circle are not translated")
        given = keywords(
            {"gamma": 80, "margin": 0.4, "remove_diagonal": True},
            **{"gamma": a.gamma, "margin": a.margin, "remove_diagonal": a.const("remove_diagonal")},
        )
        options = "".join(f", {name}={operand_text(value)}" for name, value in given.items())
        step = Step(fn=f"circle_loss({t}, {p}{options})", helpers=("circle_loss",))
        return Lowering([step], [TensorType(p.shape[:1], p.dtype)])


class BinaryAccuracy(SampleLoss):
    """Whether elements are on the right side of a threshold; legacy Keras takes the mean over the last axis."""

    names = ("metrics.binary_accuracy",)
    signature = "y_true, y_pred, threshold=0.5"
    examples = pairs(
        "keras.metrics.binary_accuracy(tf.round(tf.nn.sigmoid(x)), y)",
        "keras.metrics.binary_accuracy(tf.round(tf.nn.sigmoid(x)), y, 0.1)",
    )

    def lower(self, path: str, a: Args) -> Lowering:
        pair = both(a)
        hits = f"({{t}} == ({{p}} > {operand_text(a.threshold)})).to({{p}}.dtype)"
        if a.generation == KERAS2:
            return pair.last(pair.first(f"{hits}.mean(dim={pair.dim})"))
        return Lowering(
            [pair.first(hits)], [TensorType(pair.shape, pair.prediction.dtype, pair.prediction.type.layout)]
        )


class CategoricalAccuracy(SampleLoss):
    """Whether the largest number is where it should be."""

    names = ("metrics.categorical_accuracy",)
    examples = pairs("keras.metrics.categorical_accuracy(x, y)")

    def lower(self, path: str, a: Args) -> Lowering:
        pair = both(a)
        hits = f"({{t}}.argmax(dim={pair.dim}) == {{p}}.argmax(dim={pair.dim}))"
        return pair.last(pair.first(f"{hits}.to({{p}}.dtype)"))
