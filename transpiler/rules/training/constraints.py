"""Constraints: what Keras does to a weight after every step. Each was compared with Keras's own (test_constraints.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of, is_open
from transpiler.ir.model import Args
from transpiler.rules.training.base import TRAINING, TrainingRule
from transpiler.rules.training.schedules import atom


class ConstraintRule(TrainingRule):
    """One constraint."""

    home = "constraints"
    helpers: ClassVar[tuple[str, ...]] = ()

    def axes(self, a: Args) -> tuple[int, ...]:
        """The axes of Keras's weight that it takes norms over; none if it looks at numbers one by one."""
        axis = a.const("axis")
        return tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)

    def statements(self, a: Args, axes: Sequence[int]) -> list[str]:
        """What is done to the parameter `{0}`, of which `axes` are those of the norms."""
        raise NotImplementedError


def norm(axes: Sequence[int]) -> str:
    """The norms of a parameter, Keras's own root of a sum."""
    if len(axes) == 1:
        return f"{{0}}.norm(dim={axes[0]}, keepdim=True)"
    return f"torch.linalg.vector_norm({{0}}, dim={tuple(axes)}, keepdim=True)"


class MaxNorm(ConstraintRule):
    """`torch.renorm` leaves alone what is small enough, where Keras takes 1e-7 off."""

    names = ("MaxNorm", "max_norm", "maxnorm")
    signature = "max_value=2, axis=0"
    renames = {"m": "max_value"}

    def statements(self, a: Args, axes: Sequence[int]) -> list[str]:
        return [f"norm = {norm(axes)}", f"{{0}}.mul_(norm.clamp(max={code_of(a.max_value)}) / (norm + 1e-7))"]


class UnitNorm(ConstraintRule):
    names = ("UnitNorm", "unit_norm", "unitnorm")
    signature = "axis=0"

    def statements(self, a: Args, axes: Sequence[int]) -> list[str]:
        return [f"{{0}}.div_({norm(axes)} + 1e-7)"]


class MinMaxNorm(ConstraintRule):
    names = ("MinMaxNorm", "min_max_norm")
    signature = "min_value=0.0, max_value=1.0, rate=1.0, axis=0"

    def statements(self, a: Args, axes: Sequence[int]) -> list[str]:
        wanted: Any = f"norm.clamp({code_of(a.min_value)}, {code_of(a.max_value)})"
        if is_open(a.rate) or a.rate != 1:
            wanted = f"(norm + {atom(a.rate)} * ({wanted} - norm))"
        return [f"norm = {norm(axes)}", f"{{0}}.mul_({wanted} / (norm + 1e-7))"]


class NonNeg(ConstraintRule):
    names = ("NonNeg", "non_neg", "nonneg")
    signature = ""

    def axes(self, a: Args) -> tuple[int, ...]:
        return ()

    def statements(self, a: Args, axes: Sequence[int]) -> list[str]:
        return ["{0}.clamp_(min=0)"]


class RadialConstraint(ConstraintRule):
    """Every ring of a square kernel becomes what legacy Keras reads from its diagonal."""

    names = ("RadialConstraint", "radial_constraint")
    signature = ""
    helpers = ("radial",)

    def axes(self, a: Args) -> tuple[int, ...]:
        return (0, 1)

    def statements(self, a: Args, axes: Sequence[int]) -> list[str]:
        if tuple(axes) != (2, 3):
            raise Declined(TRAINING, "a RadialConstraint of anything but a convolution over two axes is not translated")
        return ["{0}.copy_(radial({0}))"]
