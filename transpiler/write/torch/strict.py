"""Layers that differ a little from Keras's in training, and the classes that do not."""

from __future__ import annotations

from transpiler.ir.model import KERAS2, KERAS3

BIASED = {KERAS3: ("nn.BatchNorm1d", "nn.BatchNorm2d", "nn.BatchNorm3d"), KERAS2: ("nn.BatchNorm1d",)}
"""Generations → the layers that average the unbiased variance where Keras averages the biased one; the fused kernel of
legacy Keras, which images go through, does as torch does."""


def exact(text: str, generation: str) -> tuple[str, list[str]]:
    """The text of a class with exact layers in the place of those, and the helpers that these are."""
    helpers = []
    for module in BIASED[generation]:
        if f"{module}(" in text:
            helpers.append(module.replace("nn.", "Biased"))
            text = text.replace(f"{module}(", f"{helpers[-1]}(")
    return text, helpers
