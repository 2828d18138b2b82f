"""Regularizers and constraints: which parameter of the result each of them is about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from transpiler.diagnostics import Declined, Finding
from transpiler.ir.model import Layer, Weight
from transpiler.rules.training.base import TRAINING

PREFIXES = {
    "depthwise_kernel": "depthwise",
    "pointwise_kernel": "pointwise",
    "recurrent_kernel": "recurrent",
}
"""Variables of layers → how the arguments about them begin, where these are not called after them."""

Place = tuple[str, str]
"""The type of a module and one of its parameters."""


@dataclass(frozen=True)
class WeightArgument:
    """What a layer says about one of its weights: a regularizer or a constraint, None if there is none."""

    layer: Layer
    place: Place
    weight: Weight
    value: Any


def every_layer(layers: Iterable[Any]) -> Iterator[Layer]:
    """Layers of Keras, and those inside of the program's own."""
    for layer in layers:
        if isinstance(layer, Layer):
            yield layer
        elif hasattr(layer, "attributes"):
            yield from every_layer(layer.attributes.get("__inner__", ()))


def owner_of(layer: Layer) -> Layer:
    """The layer that has the arguments: of a wrapper, the one that it wraps."""
    inner = layer.args.get("layer")
    return owner_of(inner) if isinstance(inner, Layer) else layer


def weight_arguments(layers: Iterable[Any], built: Any, kind: str) -> list[WeightArgument]:
    """What the layers of a model say about all of their weights, as a `kind` of argument: `regularizer`, `constraint`.

    Raises Declined for arguments that are not about a weight which the result has.
    """
    found: list[WeightArgument] = []
    for layer in every_layer(layers):
        owner = owner_of(layer)
        frozen = False in (layer.attributes.get("trainable"), owner.attributes.get("trainable"))
        wanted = {n for n in owner.args if n.endswith(kind) and owner.args.get(n) is not None}
        used: set[str] = set()
        made = built.get(layer)
        for step in made.steps if made is not None else ():
            module = (step.module or "").partition("(")[0]
            for parameter, weight in step.weights.items():
                variable = weight.source.rpartition(".")[2]
                argument = f"{PREFIXES.get(variable, variable)}_{kind}"
                used |= {argument} & wanted
                value = owner.args.get(argument) if not frozen else None
                found.append(WeightArgument(owner, (module, parameter), weight, value))
        if wanted - used and not frozen:
            raise Declined(TRAINING, f"the {min(wanted - used)} of this {owner.rule.keras[0]} is not translated")
    return found


def covers(finding: Finding, layers: Iterable[Layer]) -> bool:
    """Whether a finding is about an argument of layers that is translated."""
    return finding.code == "K2T402" and any(layer.span == finding.span for layer in layers)
