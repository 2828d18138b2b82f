"""What a user may choose of the result."""

from __future__ import annotations

from dataclasses import dataclass

PLAIN, LIGHTNING, ACCELERATE = TRAINERS = ("plain", "lightning", "accelerate")
"""What the training becomes: loops that are written out, these for several devices, or modules and trainers of Lightning."""


@dataclass(frozen=True)
class Options:
    """Choices that hold for all that is converted together."""

    allow_partial: bool = False
    """Whether the rest is translated where a part cannot be."""
    trainer: str = PLAIN
    strict: bool = False
    """Whether the exact form is written where an idiomatic one is off by little; what has none is declined."""
