"""Regularizers: what Keras adds to the loss for a weight."""

from __future__ import annotations

from transpiler.ir.expr import code_of
from transpiler.ir.model import Args
from transpiler.rules.training.base import TrainingRule


class RegularizerRule(TrainingRule):
    """One regularizer."""

    home = "regularizers"

    def terms(self, a: Args) -> list[tuple[str, str]]:
        """(factor, what it multiplies over the weight `{0}`) for each term."""
        raise NotImplementedError


class L1(RegularizerRule):
    names = ("L1", "l1")
    signature = "l1=0.01"
    renames = {"l": "l1"}

    def terms(self, a: Args) -> list[tuple[str, str]]:
        return [(code_of(a.l1), "{0}.abs().sum()")]


class L2(RegularizerRule):
    names = ("L2", "l2")
    signature = "l2=0.01"
    renames = {"l": "l2"}

    def terms(self, a: Args) -> list[tuple[str, str]]:
        return [(code_of(a.l2), "{0}.square().sum()")]


class L1L2(RegularizerRule):
    names = ("L1L2", "WeightRegularizer")
    signature = "l1=0.0, l2=0.0"

    def terms(self, a: Args) -> list[tuple[str, str]]:
        found = [(a.l1, "{0}.abs().sum()"), (a.l2, "{0}.square().sum()")]
        return [(code_of(factor), text) for factor, text in found if factor]


class L1L2Function(L1L2):
    """The function of legacy Keras, which has other defaults than the class."""

    names = ("l1_l2", "l1l2", "L1_L2")
    legacy = "l1=0.01, l2=0.01"
