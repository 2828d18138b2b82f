"""Weight plans of the layers that the tests of verification use."""

from __future__ import annotations

from transpiler.diagnostics import Span
from transpiler.ir.model import Weight
from transpiler.pipeline import WeightUnit

KERNEL2D = Weight("kernel", (("permute", (3, 2, 0, 1)),))
DENSE = {"weight": Weight("kernel", (("permute", (1, 0)),)), "bias": Weight("bias", optional=True)}
CONV = {"weight": KERNEL2D, "bias": Weight("bias", optional=True)}
BATCH_NORM = {
    "weight": Weight("gamma", optional=True),
    "bias": Weight("beta", optional=True),
    "running_mean": Weight("moving_mean"),
    "running_var": Weight("moving_variance"),
}
MODULES = {
    "Conv2D": CONV,
    "Dense": DENSE,
    "BatchNormalization": BATCH_NORM,
    "Embedding": {"weight": Weight("embeddings")},
}


def unit(
    keras_class: str, name: str | None = None, *modules: dict[str, Weight], span: Span | None = None
) -> WeightUnit:
    return WeightUnit(keras_class, name, modules or (MODULES[keras_class],), span)
