"""Regularizers: what Keras adds to the loss for a weight."""

from __future__ import annotations

from typing import ClassVar

from transpiler.ir.expr import code_of, is_open
from transpiler.ir.model import KERAS3, Args
from transpiler.rules.training.base import TrainingRule


class RegularizerRule(TrainingRule):
    """One regularizer."""

    home = "regularizers"
    matrix: ClassVar[bool] = False
    """Whether the order of the two axes of a weight matters: `{0}` is then as Keras has it."""
    helpers: ClassVar[tuple[str, ...]] = ()

    def terms(self, a: Args) -> list[tuple[str, str]]:
        """(factor, what it multiplies over the weight `{0}`) for each term."""
        raise NotImplementedError


class L1(RegularizerRule):
    names = ("L1", "l1")
    signature = "l1=0.01"
    renames = {"l": "l1"}

    def terms(self, a: Args) -> list[tuple[str, str]]:
        return [(code_of(0.01 if a.l1 is None else a.l1), "{0}.abs().sum()")]


class L2(RegularizerRule):
    names = ("L2", "l2")
    signature = "l2=0.01"
    renames = {"l": "l2"}

    def terms(self, a: Args) -> list[tuple[str, str]]:
        return [(code_of(0.01 if a.l2 is None else a.l2), "{0}.square().sum()")]


class L1L2(RegularizerRule):
    names = ("L1L2", "WeightRegularizer")
    signature = "l1=0.0, l2=0.0"

    def terms(self, a: Args) -> list[tuple[str, str]]:
        found = [(a.l1, "{0}.abs().sum()"), (a.l2, "{0}.square().sum()")]
        return [(code_of(factor), text) for factor, text in found if is_open(factor) or factor]


class L1L2Function(L1L2):
    """The function of legacy Keras, which has other defaults than the class."""

    names = ("l1_l2", "l1l2", "L1_L2")
    legacy = "l1=0.01, l2=0.01"


class OrthogonalRegularizer(RegularizerRule):
    """The mean of what its rows, or columns, have in common."""

    names = ("OrthogonalRegularizer", "orthogonal_regularizer")
    signature = "factor=0.01, mode='rows'"
    matrix = True
    helpers = ("overlap",)

    def terms(self, a: Args) -> list[tuple[str, str]]:
        weight = "{0}" if a.const("mode") == "rows" else "{0}.T"
        smallest = "" if a.generation == KERAS3 else ", eps=1e-6"
        return [(code_of(a.factor), f"overlap({weight}{smallest})")]
