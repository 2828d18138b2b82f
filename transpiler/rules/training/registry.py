"""Finds the rules for training code by name."""

from __future__ import annotations

import functools
from typing import TypeVar

from transpiler.diagnostics import Declined
from transpiler.ir.model import ApiObject, ApiValue, Args
from transpiler.rules.base import show
from transpiler.rules.declined import reason
from transpiler.rules.registry import rules_by_name
from transpiler.rules.training.base import (
    TRAINING,
    LossRule,
    MetricRule,
    OptimizerRule,
    ScheduleRule,
    TrainingRule,
)
from transpiler.rules.training.constraints import ConstraintRule
from transpiler.rules.training.regularizers import RegularizerRule

Rule = TypeVar("Rule", bound=TrainingRule)


@functools.cache
def training_rules(base: type[Rule]) -> dict[str, Rule]:
    """Name → rule, for all optimizers, schedules, losses or metrics."""
    return rules_by_name(base, lambda cls: cls.__dict__.get("names", ()))


def known(base: type[Rule], value: object, generation: str) -> tuple[Rule, Args]:
    """The rule for a name, a function or an object of Keras, and its arguments.

    Raises Declined where there is none.
    """
    if isinstance(value, ApiObject) and value.leaf == "get" and len(value.args) == 1:  # keras.optimizers.get("adam")
        return known(base, value.args[0], generation)
    leaf = value.leaf if isinstance(value, (ApiObject, ApiValue)) else value
    api = value.api if isinstance(value, ApiObject) else value
    if isinstance(api, ApiValue) and ".legacy." in api.path:
        leaf = f"legacy.{leaf}"
    rule = training_rules(base).get(leaf) if isinstance(leaf, str) else None
    if rule is None and base is OptimizerRule and isinstance(value, str):  # of which Keras ignores the case
        rule = training_rules(base).get(value.lower())
    if rule is None:
        why = reason(f"{base.home}.{leaf}")
        raise Declined(TRAINING, f"{show(leaf)} of {base.home} is not translated{f': {why}' if why else ''}")
    made = isinstance(value, ApiObject)
    return rule, rule.bind(value.args if made else (), value.kwargs if made else {}, generation)


__all__ = [
    "ConstraintRule",
    "LossRule",
    "MetricRule",
    "OptimizerRule",
    "RegularizerRule",
    "ScheduleRule",
    "known",
    "training_rules",
]
