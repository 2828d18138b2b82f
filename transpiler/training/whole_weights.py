"""Optimizers that look at each weight as a whole: whether the parameters of the result hold Keras's weights one by one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import Layer, Transform
from transpiler.rules.training.base import TRAINING
from transpiler.training.weight_arguments import every_layer

REORDERING = ("permute", "reshape", "gates", "flip", "expand", "merge")
"""Steps of a transform that keep all numbers of a weight."""
ONE_AXIS = ("nn.BatchNorm", "nn.GroupNorm")
"""Modules whose weights have one axis."""


def check_whole(layers: Iterable[Any], built: Any, what: str) -> None:
    """Raises Declined where a parameter does not hold one weight of Keras: its `norms`, or its `factors`, are others."""
    for layer in layers:
        if not isinstance(layer, Layer):
            if what == "factors":
                raise Declined(TRAINING, "Adafactor on weights of the program's own layers is not translated")
            continue
        made = built.get(layer)
        sources: set[str] = set()
        for step in made.steps if made is not None else ():
            for parameter, weight in step.weights.items():
                parts = any(kind not in REORDERING for kind, *_ in weight.transform)
                known = what != "factors" or two_axes(weight.transform, parameter, step.module or "")
                if weight.source and (parts or weight.source in sources or not known):
                    name = layer.rule.keras[0]
                    raise Declined(TRAINING, f"the optimizer needs the {weight.source} of {name} in one piece")
                sources.add(weight.source)


def two_axes(transform: Transform, parameter: str, module: str) -> bool:
    """Whether the last two axes of Keras are the first two of torch, or there are no more than two."""
    if not transform:
        return parameter.startswith("bias") or module.startswith((*ONE_AXIS, "nn.Embedding"))
    (kind, *rest), *others = transform
    if kind != "permute" or any(k != "gates" for k, *_ in others):
        return False
    axes = rest[0]
    return len(axes) < 2 or set(axes[:2]) == {len(axes) - 1, len(axes) - 2}


def check_embeddings(layers: Iterable[Any], built: Any) -> None:
    """Raises Declined where there are embeddings, for optimizers that take their gradients row by row."""
    for layer in every_layer(layers):
        if any((step.module or "").startswith("nn.Embedding") for step in getattr(built.get(layer), "steps", ())):
            raise Declined(
                TRAINING, "Keras applies this optimizer to the rows of embeddings before it sums their gradients"
            )
