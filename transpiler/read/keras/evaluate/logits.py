"""The logits that Keras takes in a crossentropy in place of the probabilities that it is given."""

from __future__ import annotations

import re
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args
from transpiler.ir.program import Value
from transpiler.read.keras.evaluate.values import Origin
from transpiler.rules.ops.base import OpRule
from transpiler.rules.ops.crossentropies import LOGITS, SIGMOID, SOFTMAX, CrossEntropy

MADE_BY = {SIGMOID: r"(torch|F)\.sigmoid\(\{0\}\)", SOFTMAX: r"(torch|F)\.softmax\(\{0\}, dim=-?\d+\)"}
"""How the last step of an activation is written."""

UNKNOWN_ENDING = "?"
"""Stands for an activation that may be there or not."""


class Logits:
    """The part of the interpreter that finds where probabilities come from.

    Keras notes on what its sigmoid and softmax return which tensor they were given, and its crossentropies take that, also
    the one for truths where it comes from a softmax.
    What functions of TensorFlow return carries no such note, but Keras takes their argument all the same in compiled code.
    """

    unnoted: set[Value]
    """What functions of TensorFlow have made of logits."""
    open_inputs: bool
    graph_inputs: set[Value]
    """What `keras.Input` gave."""

    def call_op(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        result = super().call_op(path, args, kwargs)  # type: ignore[misc]
        if path.startswith("tensorflow.") and path.rpartition(".")[2] in MADE_BY and isinstance(result, Value):
            self.unnoted.add(result)
        return result

    def prepared(self, rule: OpRule, path: str, bound: Args) -> Args:
        bound = super().prepared(rule, path, bound)  # type: ignore[misc]
        activation = rule.recovers(path, bound) if isinstance(rule, CrossEntropy) else ""
        if isinstance(rule, CrossEntropy) and bound.const("from_logits") and self.is_activated(bound.y_pred):
            raise self.declined(
                "K2T103",
                "Keras takes the logits of a sigmoid or softmax also where it is told from_logits=True",
                "Leave from_logits out, or give it logits.",
            )
        if not activation or not isinstance(bound.y_pred, Value):
            return bound
        logits = self.logits_behind(bound.y_pred, activation)
        if logits is None:
            return bound
        return bound.replace(**{LOGITS: logits} if rule.both else {"y_pred": logits, "from_logits": True})

    def is_activated(self, x: Any) -> bool:
        """Whether `x` is surely what a sigmoid or softmax has returned."""
        return isinstance(x, Value) and bool(self.last_activation(x))

    def last_activation(self, x: Value) -> str:
        """The activation that has returned `x`, as far as that is one of which Keras takes the logits."""
        maker = self.makers.get(self.permuted.get(x, x))
        text = maker.step.fn or "" if maker is not None else ""
        return next((kind for kind, pattern in MADE_BY.items() if re.fullmatch(pattern, text)), "")

    def recovered(self, x: Value) -> str:
        """The activation that has made `x` and of which crossentropies take the logits; "" for none, "?" where it is not known."""
        try:
            known = [self.logits_behind(x, kind) for kind in MADE_BY]
        except Declined:
            return UNKNOWN_ENDING
        return self.last_activation(x) if any(logits is not None for logits in known) else ""

    def logits_behind(self, x: Value, activation: str) -> Value | None:
        """What the activation that returned `x` was given; None if it comes from something else.

        Raises Declined where that is not known, or depends on whether Keras compiles the model.
        """
        x = self.permuted.get(x, x)
        maker = self.makers.get(x)
        if x in self.graph_inputs and not self.open_inputs:
            return None
        if maker is None or maker.member is not None and maker.member.layer is None and maker.step.fn != "{self}":
            raise self.declined(
                "K2T103",
                "whether this comes from a sigmoid or softmax, whose logits Keras would take, is not known here",
                "Give it logits, with from_logits=True.",
            )
        made = self.last_activation(x)
        if not made or x in self.unnoted and made != activation:
            return None
        if x in self.unnoted:
            raise self.declined(
                "K2T103",
                f"Keras takes the logits of a {activation} of TensorFlow where it compiles the model, and not else",
                "Give it logits, with from_logits=True.",
            )
        logits = maker.args[0]
        if logits not in self.origins:  # what a layer made on the way to its result
            self.origins[logits] = Origin([x], [logits], lambda new: [self.logits_behind(new[0], activation)])
        return logits
