"""Schedules of the learning rate, which Keras asks before each step."""

from __future__ import annotations

import ast
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of, is_open
from transpiler.ir.model import Args
from transpiler.rules.base import show
from transpiler.rules.training.base import TRAINING, ScheduleCode, ScheduleRule


def atom(value: Any) -> str:
    """The text of a number as an operand."""
    text = code_of(value)
    bare = (ast.Constant, ast.Name, ast.Attribute, ast.Call, ast.Subscript)
    return text if isinstance(ast.parse(text, mode="eval").body, bare) else f"({text})"


def share(value: Any, whole: Any) -> Any:
    """`value / whole`; of two numbers to 15 digits, as one writes it."""
    if is_open(value) or is_open(whole):
        return 1 if value is whole else value / whole
    found = float(f"{value / whole:.15g}")
    return int(found) if found.is_integer() else found


def progress(a: Args, step: str = "step") -> str:
    """How many times `decay_steps` have passed."""
    if not a.get("staircase", False) or not a.const("staircase"):
        return f"{step} / {atom(a.decay_steps)}"
    if isinstance(a.decay_steps, float) and not a.decay_steps.is_integer():
        return f"math.floor({step} / {atom(a.decay_steps)})"
    return f"{step} // {atom(a.decay_steps)}"


def numbers(a: Args, *names: str) -> None:
    """Raises Declined if an argument is no number."""
    for name in names:
        value = a.get(name)
        if not is_open(value) and (not isinstance(value, (int, float)) or isinstance(value, bool)):
            raise Declined(TRAINING, f"{name} of a schedule is {show(value)}, which is no number")


class ExponentialDecay(ScheduleRule):
    names = ("ExponentialDecay",)
    signature = "initial_learning_rate, decay_steps, decay_rate, staircase=False, name=None"

    def lower(self, a: Args) -> ScheduleCode:
        numbers(a, "initial_learning_rate", "decay_steps", "decay_rate")
        return ScheduleCode(a.initial_learning_rate, f"{atom(a.decay_rate)} ** ({progress(a)})")


class InverseTimeDecay(ScheduleRule):
    names = ("InverseTimeDecay",)
    signature = "initial_learning_rate, decay_steps, decay_rate, staircase=False, name=None"

    def lower(self, a: Args) -> ScheduleCode:
        numbers(a, "initial_learning_rate", "decay_steps", "decay_rate")
        passed = progress(a)
        passed = f"({passed})" if "//" in passed else passed
        return ScheduleCode(a.initial_learning_rate, f"1 / (1 + {atom(a.decay_rate)} * {passed})")


class PiecewiseConstantDecay(ScheduleRule):
    """A boundary belongs to what comes before it."""

    names = ("PiecewiseConstantDecay",)
    signature = "boundaries, values, name=None"

    def lower(self, a: Args) -> ScheduleCode:
        boundaries, values = a.boundaries, a.values
        known = all(isinstance(v, (list, tuple)) for v in (boundaries, values)) and len(values) == len(boundaries) + 1
        if not known or not all(is_open(v) or isinstance(v, (int, float)) for v in (*boundaries, *values)):
            raise Declined(TRAINING, "the boundaries and values of a schedule cannot be evaluated")
        start = next((v for v in values if is_open(v) or v), 1.0)
        steps = [b if is_open(b) else int(b) for b in boundaries]
        parts = [f"{atom(share(v, start))} if step <= {atom(b)} else " for v, b in zip(values, steps)]
        return ScheduleCode(start, "".join(parts) + atom(share(values[-1], start)))


class PolynomialDecay(ScheduleRule):
    names = ("PolynomialDecay",)
    signature = "initial_learning_rate, decay_steps, end_learning_rate=0.0001, power=1.0, cycle=False, name=None"

    def lower(self, a: Args) -> ScheduleCode:
        numbers(a, "initial_learning_rate", "decay_steps", "end_learning_rate", "power")
        first, last, steps = a.initial_learning_rate, a.end_learning_rate, atom(a.decay_steps)
        start = first if is_open(first) or first else last
        if not is_open(start) and not start:
            return ScheduleCode(0.0, "1")
        passed = f"min(step / {steps}, 1)"
        if a.const("cycle"):
            passed = f"step / ({steps} * max(math.ceil(step / {steps}), 1))"
        left = f"(1 - {passed})"
        if is_open(a.power) or a.power != 1:
            left += f" ** {atom(a.power)}"
        return ScheduleCode(start, between(share(first, start), share(last, start), left))


def between(first: Any, last: Any, left: str) -> str:
    """What goes from `first` to `last` as the expression `left` goes from 1 to 0."""
    if not is_open(last) and not last:
        return left if not is_open(first) and first == 1 else f"{atom(first)} * {left}"
    if not is_open(first) and not first and not is_open(last) and last == 1:
        return f"1 - {left}"
    span = share(first - last, 1) if not (is_open(first) or is_open(last)) else first - last
    return f"{atom(last)} + {atom(span)} * {left}"


def cosine(passed: str, alpha: Any) -> str:
    """Half a wave from 1 to `alpha`, as `passed` goes from 0 to 1."""
    wave = f"0.5 * (1 + math.cos(math.pi * {passed}))"
    return between(1, alpha, wave)


class CosineDecay(ScheduleRule):
    names = ("CosineDecay",)
    signature = "initial_learning_rate, decay_steps, alpha=0.0, name=None, warmup_target=None, warmup_steps=0"

    def lower(self, a: Args) -> ScheduleCode:
        numbers(a, "initial_learning_rate", "decay_steps", "alpha", "warmup_steps")
        first, target, warmup = a.initial_learning_rate, a.warmup_target, atom(a.warmup_steps)
        steps = atom(a.decay_steps)
        if target is None:
            return ScheduleCode(first, cosine(f"min(step / {steps}, 1)", a.alpha))
        numbers(a, "warmup_target")
        if not is_open(target) and not target:  # and 0 from there on
            return ScheduleCode(first, f"1 - step / {warmup} if step < {warmup} else 0")
        wave = cosine(f"min((step - {warmup}) / {steps}, 1)", a.alpha)
        if not is_open(a.warmup_steps) and not a.warmup_steps:
            return ScheduleCode(target, cosine(f"min(step / {steps}, 1)", a.alpha))
        rise = between(share(first, target), 1, f"(1 - step / {warmup})")
        if not is_open(first) and not first:
            rise = f"step / {warmup}"
        return ScheduleCode(target, f"{rise} if step < {warmup} else {wave}")


class CosineDecayRestarts(ScheduleRule):
    """Half waves, each `t_mul` times as long and `m_mul` times as high as the one before."""

    names = ("CosineDecayRestarts",)
    signature = "initial_learning_rate, first_decay_steps, t_mul=2.0, m_mul=1.0, alpha=0.0, name=None"

    def lower(self, a: Args) -> ScheduleCode:
        numbers(a, "initial_learning_rate", "first_decay_steps", "t_mul", "m_mul", "alpha")
        given = [code_of(a.first_decay_steps)]
        for name, default in (("t_mul", 2.0), ("m_mul", 1.0), ("alpha", 0.0)):
            if is_open(a.get(name)) or a.get(name) != default:
                given.append(f"{name}={code_of(a.get(name))}")
        factor = f"cosine_with_restarts(step, {', '.join(given)})"
        return ScheduleCode(a.initial_learning_rate, factor, ("cosine_with_restarts",))
