"""Regularizers and constraints: which parameter of the result each of them is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from transpiler.diagnostics import Declined, Finding
from transpiler.ir.model import Layer, Weight
from transpiler.rules.training.base import TRAINING

PREFIXES = {
    "depthwise_kernel": "depthwise",
    "pointwise_kernel": "pointwise",
    "recurrent_kernel": "recurrent",
}
"""Variables of layers → how the arguments about them begin, where these are not called after them."""

T = TypeVar("T")
Place = tuple[str, str]
"""The type of a module and one of its parameters."""

Places = Callable[[], Mapping[tuple[int, int], str] | None]
"""Finds the modules of single layers (`places_of`)."""


@dataclass(frozen=True)
class WeightArgument:
    """What a layer says about one of its weights: a regularizer or a constraint, None if there is none."""

    layer: Layer
    unit: tuple[int, int]
    """The layer or its wrapper, by its identity, and the number of the step."""
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
        for i, step in enumerate(made.steps if made is not None else ()):
            module = (step.module or "").partition("(")[0]
            for parameter, weight in step.weights.items():
                variable = weight.source.rpartition(".")[2]
                argument = f"{PREFIXES.get(variable, variable)}_{kind}"
                used |= {argument} & wanted
                value = owner.args.get(argument) if not frozen else None
                found.append(WeightArgument(owner, (id(layer), i), (module, parameter), weight, value))
        if wanted - used and not frozen:
            raise Declined(TRAINING, f"the {min(wanted - used)} of this {owner.rule.keras[0]} is not translated")
    return found


def by_place(
    found: Iterable[tuple[WeightArgument, tuple[T, ...]]], places: Places, holders: Places = lambda: None
) -> tuple[dict[Place, tuple[T, ...]], dict[str, tuple[T, ...]], dict[tuple[str, Place], tuple[T, ...]]]:
    """What is said about the parameters of all modules of a type, about single ones, as expressions over `model`, and about
    those of a type in one attribute of the model.

    Raises Declined where modules of one type have to be told apart and have no names.
    """
    found = list(found)
    kinds: dict[Place, set[tuple[T, ...]]] = {}
    for argument, said in found:
        kinds.setdefault(argument.place, set()).add(said)
    alike = {place: next(iter(said)) for place, said in kinds.items() if len(said) == 1 and next(iter(said))}
    apart = [(a, said) for a, said in found if said and a.place not in alike]
    known = places() if apart else {}
    if known is None:
        held = by_holder([(a, said) for a, said in found if a.place not in alike], holders() or {})
        if held is None:
            raise Declined(
                TRAINING, f"some of the layers that become {apart[0][0].place[0]} are regularized or constrained"
            )
        return alike, *held
    apart.sort(key=lambda item: list(known).index(item[0].unit))
    return alike, {f"{known[a.unit]}.{a.place[1]}": said for a, said in apart}, {}


def by_holder(
    found: Sequence[tuple[WeightArgument, tuple[T, ...]]], holders: Mapping[tuple[int, int], str]
) -> tuple[dict[str, tuple[T, ...]], dict[tuple[str, Place], tuple[T, ...]]] | None:
    """What is said about single parameters, and about all modules of a type in an attribute; None where that differs."""
    single: dict[str, tuple[T, ...]] = {}
    kinds: dict[tuple[str, Place], set[tuple[T, ...]]] = {}
    for argument, said in found:
        holder = holders.get(argument.unit, "")
        if holder.endswith(")"):
            kinds.setdefault((holder, argument.place), set()).add(said)
        elif not holder:
            return None
        elif said:
            single[f"{holder}.{argument.place[1]}"] = said
    if any(len(said) > 1 for said in kinds.values()):
        return None
    return single, {key: next(iter(said)) for key, said in kinds.items() if next(iter(said))}


def covers(finding: Finding, layers: Iterable[Layer]) -> bool:
    """Whether a finding is about an argument of layers that is translated."""
    return finding.code == "K2T402" and any(layer.span == finding.span for layer in layers)
