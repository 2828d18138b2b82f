"""Schedules of the learning rate, which Keras asks before each step."""

from __future__ import annotations

from transpiler.ir.model import Args
from transpiler.rules.training.base import ScheduleCode, ScheduleRule


class ExponentialDecay(ScheduleRule):
    names = ("ExponentialDecay",)
    signature = "initial_learning_rate, decay_steps, decay_rate, staircase=False, name=None"

    def lower(self, a: Args) -> ScheduleCode:
        operator = "//" if a.const("staircase") else "/"
        return ScheduleCode(a.initial_learning_rate, f"{a.decay_rate!r} ** (step {operator} {a.decay_steps!r})")
