"""Random numbers that a layer or a function on tensors draws: where they stand, and when they are drawn."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from transpiler.diagnostics import Severity
from transpiler.ir.expr import Sym
from transpiler.ir.model import ApiObject, Lowering
from transpiler.ir.program import Value, replace_tensors, tensors
from transpiler.read.keras.evaluate.keras_ops import first_unknown
from transpiler.read.keras.evaluate.values import Unknown
from transpiler.rules.ops.base import Operand
from transpiler.rules.ops.drawing import AXES, NEAR


class Drawing:
    """The part of the interpreter that calls functions which draw."""

    def call_op(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        rule = self.op_rule(path)
        if rule is None or not rule.draws:
            return super().call_op(path, args, kwargs)  # type: ignore[misc]
        return self.draw_numbers(path.removeprefix("keras."), args, kwargs, None)

    def draw_numbers(self, path: str, args: list[Any], kwargs: dict[str, Any], near: Value | None) -> Any:
        """What is drawn, next to the tensor `near`, or one that the shape or the layer has.

        Unknown where there is none: such numbers are drawn once, when the model is built.
        """
        rule = self.ops[path]
        bound = rule.bind(path, args, kwargs, self.generation)
        unknown = first_unknown([bound.get(n) for n in bound if n != "seed"])
        if unknown is not None:
            return unknown
        shape = bound.shape if isinstance(bound.shape, (list, tuple)) else [bound.shape]
        places = [self.sizes.get(d) if isinstance(d, Value) else None for d in shape]
        near = near or next((source for source, _ in filter(None, places)), None)
        if near is None and self.called_on:
            near = next(iter(self.called_on[-1]), None)
        if near is None:
            return Unknown(f"{path}() is called when the model is built, and gives other numbers in each run")
        self.report_seed(bound.get("seed"))
        axes = tuple(p and (near if p[0] is near else None, p[1]) for p in places)
        bound = bound.replace(seed=seed_kind(bound.get("seed")), **{NEAR: near, AXES: axes})
        inputs = list(dict.fromkeys(tensors([bound.get(n) for n in bound])))
        operands = {x: Operand(i, x.type) for i, x in enumerate(inputs)}
        lowering = rule.lower(path, bound.replace(**{n: replace_tensors(bound.get(n), operands) for n in bound}))
        lowering, read = without_unread(lowering, inputs)
        result = self.emit_lowering(lowering, read, None, hint="noise", span=self.where())
        if places[:1] and places[0] is not None and places[0][1] == 0:
            self.same_batch([places[0][0]], result)

        def replay(new: list[Value]) -> Any:
            mapping = dict(zip(inputs, new))
            return self.draw_numbers(path, *replace_tensors([args, kwargs], mapping), mapping[near])

        self.remember(inputs, result, replay)
        return result[0]

    def report_seed(self, seed: Any) -> None:
        """Says that a seed is left out."""
        given = [*seed.args, *seed.kwargs.values()] if isinstance(seed, ApiObject) else [seed]
        if any(v is not None for v in given):
            self.report(
                "K2T405",
                "the seed of these random numbers is left out",
                "Call torch.manual_seed(…) where the program starts.",
                Severity.NOTE,
            )


def seed_kind(seed: Any) -> Any:
    """A seed as rules read it: a number, or None."""
    return seed if isinstance(seed, (int, Sym)) else None


def without_unread(lowering: Lowering, inputs: list[Value]) -> tuple[Lowering, list[Value]]:
    """A lowering of one step on those of its inputs that it reads."""
    (step,) = lowering.steps
    read = [i for i in range(len(inputs)) if f"{{{i}}}" in (step.fn or "")]
    text = re.sub(r"\{(\d+)\}", lambda m: f"{{{read.index(int(m[1]))}}}", step.fn or "")
    return Lowering([replace(step, fn=text)], lowering.types), [inputs[i] for i in read]
