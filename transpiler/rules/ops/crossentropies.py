"""Crossentropies as functions on tensors, with what Keras adds to keep logarithms finite.

Where probabilities come straight from a sigmoid or softmax, Keras goes by the logits that it was given (`recovers`):
`read/keras/evaluate/logits.py` finds these and calls the rule with them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS2, Args, Lowering, Step
from transpiler.ir.shape import Layout, TensorType
from transpiler.rules.base import show
from transpiler.rules.ops.base import Operand, example, is_float, operand_text, tensor
from transpiler.rules.ops.losses import EPSILON, Pair, SampleLoss, along, both, loss_paths

CLIP = f"clamp({EPSILON}, 1 - {EPSILON})"
LOGITS = "__logits__"
"""The argument that holds the logits which Keras takes in place of the probabilities."""
SIGMOID, SOFTMAX = "sigmoid", "softmax"
ON_ELEMENTS = "y_true, y_pred, from_logits=False, axis=-1"
SMOOTH = "y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1"
PROBABLE = {"x": (3, 4), "y": (3, 4)}


def homes(leaf: str, *more: str) -> tuple[str, ...]:
    return (f"backend.{leaf}", *(f"{home}.{leaf}" for home in more), *loss_paths(leaf))


def signatures(leaf: str, text: str, *more: str) -> dict[str, str]:
    """The signature of the functions that give a value for each element or sample, which smooth no labels."""
    return {f"{home}.{leaf}": text for home in ("backend", *more)}


def is_loss(path: str) -> bool:
    """Whether it is a function of `keras.losses`, not the one that it is made of."""
    return path.startswith(("losses.", "metrics."))


def legacy(path: str, a: Args) -> bool:
    """Whether the formula is that of legacy Keras, which its backend has in Keras 3 as well."""
    return a.generation == KERAS2 or path.startswith("backend.")


def flag(a: Args, name: str) -> bool:
    return bool(a.const(name))


def smoothing(a: Args) -> str:
    """How much of the targets goes to all classes; "" for nothing."""
    amount = a.get("label_smoothing") or 0
    if type(amount) not in (int, float):
        raise Declined("K2T103", f"label_smoothing={show(amount)} is not translated")
    return "" if amount == 0 else repr(amount)


class CrossEntropy(SampleLoss):
    """What all of them share."""

    activation: ClassVar[str] = ""
    both: ClassVar[bool] = False
    """Whether the probabilities are needed beside their logits."""
    inputs = ("y_true", "y_pred", LOGITS)

    def recovers(self, path: str, a: Args) -> str:
        """The activation whose logits Keras takes in place of the probabilities it is given: "" for none."""
        if flag(a, "from_logits") or path.startswith("backend.") and a.generation != KERAS2:
            return ""
        return self.activation


class BinaryCrossEntropy(CrossEntropy):
    """Of probabilities or logits of single classes."""

    names = homes("binary_crossentropy", "ops", "ops.nn")
    activation = SIGMOID
    signature = SMOOTH
    signatures = signatures("binary_crossentropy", "y_true, y_pred, from_logits=False", "ops", "ops.nn")
    examples = tuple(
        example(code, x=(3, 4), y=(3, 4))
        for home in ("K", "ops", "keras.losses")
        for code in (
            f"{home}.binary_crossentropy(tf.nn.sigmoid(x), tf.nn.relu(1.5 * tf.tanh(y)))",
            f"{home}.binary_crossentropy(x, y, from_logits=True)",
            *([f"{home}.binary_crossentropy(tf.nn.sigmoid(x), tf.abs(tf.tanh(y)), label_smoothing=0.1)"] if "losses" in home else []),
        )
    ) + (
        example("keras.losses.binary_crossentropy(i, tf.abs(tf.tanh(y)), axis=1)", i=(2, "ids", 2, 3, 4), y=(2, 3, 4)),
        example("K.binary_crossentropy(tf.nn.relu(x), keras.layers.Activation('sigmoid')(8.0 * y))", x=(3, 4), y=(3, 4)),
        example("keras.losses.binary_crossentropy(tf.nn.relu(x), K.sigmoid(8.0 * y))", x=(3, 4), y=(3, 4)),
    )  # fmt: skip

    def lower(self, path: str, a: Args) -> Lowering:
        pair, share = both(a), smoothing(a)
        t = f"({{t}} * (1 - {share}) + 0.5 * {share})" if share else "{t}"
        if flag(a, "from_logits"):
            steps = [pair.first(f'F.binary_cross_entropy_with_logits({{p}}, {t}, reduction="none")')]
        else:
            steps = binary_steps(pair, t, legacy(path, a))
        if not is_loss(path):
            return Lowering(steps, [TensorType(pair.shape, pair.prediction.dtype, pair.prediction.type.layout)])
        axis, dim = along(pair.prediction, a.const("axis"))
        steps = [*steps[:-1], Step(fn=f"({steps[-1].fn}).mean(dim={dim})", takes=steps[-1].takes)]
        return Lowering(steps, [pair.type(axis)])


def binary_steps(pair: Pair, t: str, legacy: bool) -> list[Step]:
    """Of probabilities: legacy Keras adds to the argument of the logarithm as well."""
    if not legacy:
        return [pair.first(f'F.binary_cross_entropy({{p}}.{CLIP}, {t}, reduction="none")')]
    logs = f"-({t} * torch.log({{r}} + {EPSILON}) + (1 - {t}) * torch.log(1 - {{r}} + {EPSILON}))"
    return [pair.first(f"{{p}}.{CLIP}", "likely"), pair.then(logs)]


class Categorical(CrossEntropy):
    """Of distributions over classes."""

    names = homes("categorical_crossentropy", "ops", "ops.nn")
    activation = SOFTMAX
    signature = SMOOTH
    signatures = signatures("categorical_crossentropy", ON_ELEMENTS, "ops", "ops.nn")
    examples = tuple(
        example(code, x=(3, 4), y=(3, 4))
        for home in ("K", "ops", "keras.losses")
        for code in (
            f"{home}.categorical_crossentropy(tf.abs(x), tf.nn.relu(y) + 1e-9)",
            f"{home}.categorical_crossentropy(tf.nn.softmax(x), y, from_logits=True)",
            *([f"{home}.categorical_crossentropy(tf.abs(x), tf.abs(y), label_smoothing=0.1)"] if "losses" in home else []),
        )
    ) + (
        example("K.categorical_crossentropy(x, tf.abs(y), axis=1)", x=(2, 3, 4), y=(2, 3, 4)),
        example("ops.categorical_crossentropy(tf.nn.softmax(x), y, True)", x=(2, 3, 4), y=(2, 3, 4)),
        example("keras.losses.categorical_crossentropy(tf.nn.softmax(x), K.softmax(8.0 * y))", x=(3, 4), y=(3, 4)),
    )  # fmt: skip

    def lower(self, path: str, a: Args) -> Lowering:
        pair, share = both(a), smoothing(a)
        axis, dim = along(pair.prediction, a.const("axis"))
        t = f"({{t}} * (1 - {share}) + {share} / {{t}}.shape[{dim}])" if share else "{t}"
        if share and axis != pair.prediction.rank - 1:
            raise Declined("K2T103", "label smoothing over another axis than the last is not translated")
        if flag(a, "from_logits"):
            return Lowering([of_logits(pair, t, dim)], [pair.type(axis)])
        shares = pair.first(f"({{p}} / {{p}}.sum(dim={dim}, keepdim=True)).{CLIP}", "likely")
        return Lowering([shares, pair.then(f"-({t} * torch.log({{r}})).sum(dim={dim})")], [pair.type(axis)])


def of_logits(pair: Pair, t: str, dim: int) -> Step:
    """Crossentropy of logits with distributions; TensorFlow's gradient is right for distributions alone."""
    if dim == 1:
        return pair.first(f'F.cross_entropy({{p}}, {t}, reduction="none")')
    return pair.first(f"-({t} * F.log_softmax({{p}}, dim={dim})).sum(dim={dim})")


class Sparse(CrossEntropy):
    """With the number of the right class."""

    names = homes("sparse_categorical_crossentropy", "ops", "ops.nn")
    activation = SOFTMAX
    signature = "y_true, y_pred, from_logits=False, ignore_class=None, axis=-1"
    signatures = {
        **signatures("sparse_categorical_crossentropy", ON_ELEMENTS, "ops", "ops.nn"),
        "backend.sparse_categorical_crossentropy": "y_true, y_pred, from_logits=False, axis=-1, ignore_class=None",
    }
    examples = tuple(
        example(code, i=(4, "ids", 3), y=(3, 4))
        for home in ("K", "ops", "keras.losses")
        for code in (
            f"{home}.sparse_categorical_crossentropy(i, tf.nn.relu(y) + 1e-9)",
            f"{home}.sparse_categorical_crossentropy(i, y, from_logits=True)",
        )
    ) + (
        example("K.sparse_categorical_crossentropy(i, tf.abs(y))", i=(4, "ids", 2, 3), y=(2, 3, 4)),
        example("keras.losses.sparse_categorical_crossentropy(i, y, True)", i=(4, "ids", 3, 1), y=(3, 4)),
        example("keras.losses.sparse_categorical_crossentropy(i, y, True, ignore_class=2)", i=(4, "ids", 9), y=(9, 4)),
        example("keras.losses.sparse_categorical_crossentropy(i, K.softmax(8.0 * y))", i=(4, "ids", 3), y=(3, 4)),
    )  # fmt: skip

    def wants(self, path: str, a: Args) -> Layout | tuple[Layout, ...] | None:
        return Layout.KERAS

    def lower(self, path: str, a: Args) -> Lowering:
        t, p, ignored = tensor(a, "y_true"), tensor(a, "y_pred"), a.get("ignore_class")
        one = t.rank == p.rank and t.shape[-1] == 1
        if not is_float(p.dtype) or not (one or t.rank == p.rank - 1):
            raise Declined(
                "K2T103", f"this loss of {t.rank} axes of {t.dtype} and {p.rank} of {p.dtype} is not translated"
            )
        if a.const("axis") not in (-1, p.rank - 1) or ignored is not None and type(ignored) is not int:
            raise Declined("K2T103", "sparse crossentropy of another axis than the last is not translated")
        if ignored is not None and path.startswith("losses.") and a.generation == KERAS2 and one:
            raise Declined("K2T103", "a class to ignore among targets with an axis of their own is not translated")
        target = f"{t}.squeeze(-1)" if one else str(t)
        target = target if t.dtype == "int64" else f"{target}.long()"
        logits = str(p) if flag(a, "from_logits") else f"torch.log({p}.{CLIP})"
        logits = logits if p.rank == 2 else f"{logits}.movedim(-1, 1)"
        option = "" if ignored is None else f"ignore_index={ignored}, "
        text = f'F.cross_entropy({logits}, {target}, {option}reduction="none")'
        return Lowering([Step(fn=text)], [TensorType(p.shape[:-1], p.dtype)])


class BinaryFocal(CrossEntropy):
    """Of single classes, with less weight for what is right already."""

    names = homes("binary_focal_crossentropy")
    activation, both = SIGMOID, True
    signature = "y_true, y_pred, apply_class_balancing=False, alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0, axis=-1"
    signatures = signatures(
        "binary_focal_crossentropy",
        "y_true, y_pred, apply_class_balancing=False, alpha=0.25, gamma=2.0, from_logits=False",
    )
    examples = tuple(
        example(code, x=(3, 4), y=(3, 4))
        for home in ("K", "keras.losses")
        for code in (
            f"{home}.binary_focal_crossentropy(tf.nn.relu(tf.tanh(x)), tf.abs(tf.tanh(y)))",
            f"{home}.binary_focal_crossentropy(tf.nn.relu(tf.tanh(x)), y, True, 0.3, 1.5, from_logits=True)",
            f"{home}.binary_focal_crossentropy(tf.nn.relu(tf.tanh(x)), K.sigmoid(4.0 * y), gamma=3.0)",
        )
    )

    def lower(self, path: str, a: Args) -> Lowering:
        pair, share, logits = both(a), smoothing(a), a.get(LOGITS)
        t = f"({{t}} * (1 - {share}) + 0.5 * {share})" if share else "{t}"
        likely, entropy = "{p}", "{r}"
        if flag(a, "from_logits"):
            steps = [pair.first("torch.sigmoid({p})", "likely")]
            likely, entropy = "{r}", f'F.binary_cross_entropy_with_logits({{p}}, {t}, reduction="none")'
        elif isinstance(logits, Operand):
            steps = [
                pair.first(
                    f'F.binary_cross_entropy_with_logits({{logits}}, {t}, reduction="none")',
                    "entropy",
                    logits=str(logits),
                )
            ]
        else:
            steps = binary_steps(pair, t, legacy(path, a))
        weight = f"(1 - {t} * {likely} - (1 - {t}) * (1 - {likely})) ** {operand_text(a.gamma)}"
        if flag(a, "apply_class_balancing"):
            alpha = operand_text(a.alpha)
            weight = f"({t} * {alpha} + (1 - {t}) * (1 - {alpha})) * {weight}"
        text = f"{weight} * {entropy}"
        if not is_loss(path):
            kind = TensorType(pair.shape, pair.prediction.dtype, pair.prediction.type.layout)
            return Lowering([*steps, pair.then(text)], [kind])
        axis, dim = along(pair.prediction, a.const("axis"))
        return Lowering([*steps, pair.then(f"({text}).mean(dim={dim})")], [pair.type(axis)])


class CategoricalFocal(CrossEntropy):
    """Of distributions over classes, with less weight for what is right already."""

    names = homes("categorical_focal_crossentropy")
    signature = "y_true, y_pred, alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0, axis=-1"
    signatures = signatures(
        "categorical_focal_crossentropy", "y_true, y_pred, alpha=0.25, gamma=2.0, from_logits=False, axis=-1"
    )
    examples = tuple(
        example(code, x=(3, 4), y=(3, 4))
        for home in ("K", "keras.losses")
        for code in (
            f"{home}.categorical_focal_crossentropy(tf.abs(x), tf.abs(y))",
            f"{home}.categorical_focal_crossentropy(tf.abs(x), y, 0.5, 1.5, from_logits=True)",
            f"{home}.categorical_focal_crossentropy(tf.abs(x), K.softmax(4.0 * y), gamma=3.0)",
        )
    )

    def lower(self, path: str, a: Args) -> Lowering:
        pair, share = both(a), smoothing(a)
        axis, dim = along(pair.prediction, a.const("axis"))
        t = f"({{t}} * (1 - {share}) + {share} / {{t}}.shape[{dim}])" if share else "{t}"
        if share and axis != pair.prediction.rank - 1:
            raise Declined("K2T103", "label smoothing over another axis than the last is not translated")
        shares = f"({{p}} / {{p}}.sum(dim={dim}, keepdim=True)).{CLIP}"
        if flag(a, "from_logits"):  # its sum is one
            shares = f"F.softmax({{p}}, dim={dim}).{CLIP}"
        weight = f"{operand_text(a.alpha)} * (1 - {{r}}) ** {operand_text(a.gamma)}"
        text = f"-({weight} * {t} * torch.log({{r}})).sum(dim={dim})"
        return Lowering([pair.first(shares, "likely"), pair.then(text)], [pair.type(axis)])


class OfLogits(SampleLoss):
    """`tf.nn`'s crossentropies of logits."""

    names = tuple(
        f"tensorflow.{home}nn.{leaf}"
        for home in ("", "compat.v1.")
        for leaf in (
            "sigmoid_cross_entropy_with_logits",
            "softmax_cross_entropy_with_logits",
            "softmax_cross_entropy_with_logits_v2",
            "sparse_softmax_cross_entropy_with_logits",
        )
    )
    signature = "labels, logits, axis=-1"
    signatures = {
        f"tensorflow.compat.v1.nn.{leaf}": "labels=None, logits=None, dim=-1, name=None, axis=None"
        for leaf in (
            "sigmoid_cross_entropy_with_logits",
            "softmax_cross_entropy_with_logits",
            "sparse_softmax_cross_entropy_with_logits",
        )
    }
    renames: ClassVar[dict[str, str]] = {}
    inputs = ("labels", "logits")
    examples = (
        example("tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.nn.sigmoid(x), logits=y)", x=(3, 4), y=(3, 4)),
        example("tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(x), y)", x=(3, 4), y=(3, 4)),
        example("tf.compat.v1.nn.softmax_cross_entropy_with_logits_v2(tf.nn.softmax(x), y)", x=(3, 4), y=(3, 4)),
        example("tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(x, axis=1), y, axis=1)", x=(2, 3, 4), y=(2, 3, 4)),
        example("tf.nn.sparse_softmax_cross_entropy_with_logits(labels=i, logits=y)", i=(4, "ids", 2, 3), y=(2, 3, 4)),
    )  # fmt: skip

    def keeps_batch(self, path: str, a: Args) -> bool:
        return True

    def wants(self, path: str, a: Args) -> Layout | None:
        return Layout.KERAS

    def lower(self, path: str, a: Args) -> Lowering:
        named = a.replace(y_true=a.labels, y_pred=a.logits, from_logits=True, label_smoothing=0)
        axis = a.get("axis")
        named = named.replace(axis=a.get("dim", -1) if axis is None else axis)
        if "sigmoid" in path:
            return BinaryCrossEntropy().lower("ops.binary_crossentropy", named)
        rule, leaf = (Sparse(), "sparse_categorical") if "sparse" in path else (Categorical(), "categorical")
        lowering = rule.lower(f"ops.{leaf}_crossentropy", named)
        labels = a.labels
        if path.endswith("compat.v1.nn.softmax_cross_entropy_with_logits") and isinstance(labels, Operand):
            first, *rest = lowering.steps  # TensorFlow 1 takes the labels for constants
            first = replace(first, fn=(first.fn or "").replace(str(labels), f"{labels}.detach()"))
            lowering.steps = [first, *rest]
        return lowering


class WeightedLogits(SampleLoss):
    """`tf.nn`'s crossentropy of logits in which positive labels count more, one value for each element."""

    names = ("tensorflow.nn.weighted_cross_entropy_with_logits",)
    signature = "labels=None, logits=None, pos_weight=None, name=None"
    inputs = ("labels", "logits")
    renames: ClassVar[dict[str, str]] = {}
    examples = (
        example("tf.nn.weighted_cross_entropy_with_logits(labels=tf.nn.sigmoid(x), logits=y, pos_weight=2.5)", **PROBABLE),
    )  # fmt: skip

    def keeps_batch(self, path: str, a: Args) -> bool:
        return True

    def lower(self, path: str, a: Args) -> Lowering:
        pair = Pair(tensor(a, "labels"), tensor(a, "logits"))
        if pair.target.rank != pair.prediction.rank or not is_float(pair.prediction.dtype) or a.pos_weight is None:
            raise Declined("K2T103", "this crossentropy of weighted labels is not translated")
        text = f"{operand_text(a.pos_weight)} * {{t}} * F.softplus(-{{p}}) + (1 - {{t}}) * F.softplus({{p}})"
        return Lowering([pair.first(text)], [pair.prediction.type])
