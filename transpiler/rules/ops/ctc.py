"""Connectionist temporal classification: the loss of sequences of labels that are not aligned with the steps."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Lowering, Step
from transpiler.ir.shape import TensorType
from transpiler.rules.base import show
from transpiler.rules.ops.base import Operand, OpRule, as_index, example, is_float, tensor
from transpiler.rules.ops.losses import EPSILON

SHAPES: dict[str, Any] = {"y": (3, 7, 5), "i": (4, "ids", 3, 2), "n": (2, "ids", 3, 1)}


class SequenceLoss(OpRule):
    """Labels (batch, labels) against what is said of each step (batch, steps, classes)."""

    names = ("backend.ctc_batch_cost", "ops.ctc_loss", "ops.nn.ctc_loss", "losses.ctc")
    signatures = {
        "backend": "y_true, y_pred, input_length, label_length",
        "ops": "target, output, target_length, output_length, mask_index=0",
        "ops.nn": "target, output, target_length, output_length, mask_index=0",
        "losses": "y_true, y_pred",
    }
    inputs = ("y_true", "y_pred", "input_length", "label_length", "target", "output", "target_length", "output_length")
    examples = (
        example("K.ctc_batch_cost(i, K.softmax(y), n + 5, n + 1)", **SHAPES),
        example("K.ctc_batch_cost(tf.cast(i, tf.float32), tf.abs(y) + 0.1, n + 6, n + 1)", **SHAPES),
        example("ops.ctc_loss(i + 1, y, n[:, 0] + 1, n[:, 0] + 5)", **SHAPES),
        example("ops.ctc_loss(i, y, n[:, 0] + 1, n[:, 0] + 5, mask_index=4)", **SHAPES),
        example("keras.losses.ctc(i, y)", **SHAPES),
    )

    def keeps_batch(self, path: str, a: Args) -> bool:
        return True

    def lower(self, path: str, a: Args) -> Lowering:
        if path.startswith("backend."):
            return self.of_probabilities(a)
        y = tensor(a, "output" if path.startswith("ops.") else "y_pred")
        labels = tensor(a, "target" if path.startswith("ops.") else "y_true")
        self.check(labels, y)
        said = Step(fn=f"F.log_softmax({y}, dim=-1).transpose(0, 1)", hint="log_probabilities")
        places = (labels.index, y.index)
        if path.startswith("losses."):
            lengths = "{1}.new_full((len({1}),), {2}.shape[1]), ({1} != 0).sum(dim=1)"
            text = f'F.ctc_loss({{0}}, {{1}}, {lengths}, reduction="none")'
            return Lowering([said, Step(fn=text, takes=places)], [TensorType(y.shape[:1], y.dtype)])
        blank = a.const("mask_index")
        if type(blank) is not int or blank < 0:
            raise Declined("K2T103", f"mask_index={show(blank)} is not translated")
        lengths_of = (self.of_samples(a, "output_length"), self.of_samples(a, "target_length"))
        option = "" if blank == 0 else f"blank={blank}, "
        text = f'F.ctc_loss({{0}}, {{1}}, {{2}}, {{3}}, {option}reduction="none")'
        takes = (labels.index, *(x.index for x in lengths_of))
        return Lowering([said, Step(fn=text, takes=takes)], [TensorType(y.shape[:1], y.dtype)])

    def of_probabilities(self, a: Args) -> Lowering:
        """`K.ctc_batch_cost`: the last class is the blank; TensorFlow takes the logarithms for logits."""
        labels, y = tensor(a, "y_true"), tensor(a, "y_pred")
        self.check(labels, y)
        steps, count = tensor(a, "input_length"), tensor(a, "label_length")
        if any(x.rank != 2 for x in (steps, count)):
            raise Declined("K2T103", "lengths of this shape are not translated")
        said = Step(fn=f"F.log_softmax(torch.log({y} + {EPSILON}), dim=-1).transpose(0, 1)", hint="log_probabilities")
        blank = "{0}.shape[-1] - 1" if type(y.shape[-1]) is not int else str(y.shape[-1] - 1)
        parts = [f"{{{i + 1}}}{'' if x.dtype == 'int64' else '.long()'}" for i, x in enumerate((labels, steps, count))]
        text = f"F.ctc_loss({{0}}, {parts[0]}, {parts[1]}.squeeze(1), {parts[2]}.squeeze(1), blank={blank}, "
        text += 'reduction="none").unsqueeze(1)'
        takes = (labels.index, steps.index, count.index)
        return Lowering([said, Step(fn=text, takes=takes)], [TensorType((y.shape[0], 1), y.dtype)])

    def check(self, labels: Operand, y: Operand) -> None:
        if labels.rank != 2 or y.rank != 3 or not is_float(y.dtype):
            raise Declined("K2T103", f"labels of {labels.rank} axes for {y.rank} axes of {y.dtype} are not translated")

    def of_samples(self, a: Args, name: str) -> Operand:
        x = tensor(a, name)
        if x.rank != 1 or as_index(x) != str(x):
            raise Declined("K2T103", f"{name}= of {x.rank} axes of {x.dtype} is not translated")
        return x
