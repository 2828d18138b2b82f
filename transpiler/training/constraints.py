"""What Keras does to the weights of layers after every step, as one function over the modules of the result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import Layer, Transform
from transpiler.rules.training.base import TRAINING
from transpiler.rules.training.constraints import ConstraintRule
from transpiler.rules.training.registry import known
from transpiler.training.weight_arguments import Place, Places, WeightArgument, by_place, weight_arguments
from transpiler.write.torch.layout import render


@dataclass(frozen=True)
class Constraints:
    """Statements over `{0}`: for the parameters of all modules of a type, and for single ones."""

    of_types: dict[Place, tuple[str, ...]]
    of_weights: dict[str, tuple[str, ...]]
    layers: tuple[Layer, ...]
    """The layers that ask for them."""
    helpers: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.of_types or self.of_weights)

    def text(self, name: str) -> str:
        """The function that changes the weights."""
        by_type: dict[str, list[str]] = {}
        for (module, parameter), lines in self.of_types.items():
            by_type.setdefault(module, []).extend(line.format(f"m.{parameter}") for line in lines)
        joined: dict[tuple[str, ...], list[str]] = {}
        for module, own in by_type.items():
            joined.setdefault(tuple(own), []).append(module)
        branches = [
            (modules[0] if len(modules) == 1 else f"({', '.join(sorted(modules))})", list(own))
            for own, modules in joined.items()
        ]
        alike: dict[tuple[str, ...], list[str]] = {}
        for weight, lines in self.of_weights.items():
            alike.setdefault(lines, []).append(weight)
        loops = [
            (weights, [line.format("w" if len(weights) > 1 else weights[0]) for line in lines])
            for lines, weights in alike.items()
        ]
        return render("training/constrain", name=name, branches=branches, loops=loops)


def constraints_of(
    layers: Iterable[Any], built: Any, generation: str, places: Places, holders: Places = lambda: None
) -> Constraints | None:
    """The constraints of the layers of a model, None if there are none.

    Raises Declined for what is not translated, and where a weight cannot be told from others.
    """
    found: list[tuple[WeightArgument, tuple[str, ...]]] = []
    asking: dict[int, Layer] = {}
    helpers: dict[str, None] = {}
    for argument in weight_arguments(layers, built, "constraint"):
        lines: tuple[str, ...] = ()
        if argument.value is not None:
            rule, arguments = known(ConstraintRule, argument.value, generation)
            axes = torch_axes(rule.axes(arguments), argument.weight.transform)
            if axes is None:
                what = f"the {argument.weight.source} of {argument.layer.rule.keras[0]}"
                raise Declined(TRAINING, f"the {rule.names[0]} of {what} is not translated")
            lines = tuple(rule.statements(arguments, axes))
            helpers |= dict.fromkeys(rule.helpers)
            asking[id(argument.layer)] = argument.layer
        found.append((argument, lines))
    if not asking:
        return None
    return Constraints(*by_place(found, places)[:2], tuple(asking.values()), tuple(helpers))


def torch_axes(axes: tuple[int, ...], transform: Transform) -> tuple[int, ...] | None:
    """Where axes of a weight of Keras are in the parameter; None if they are not there as a whole."""
    if not axes or not transform:
        return axes
    (kind, *rest), *others = transform
    if kind != "permute" or any(k != "gates" for k, *_ in others):  # parts of an axis in another order
        return None
    order = rest[0]
    if any(not -len(order) <= axis < len(order) for axis in axes):
        return None
    return tuple(sorted(order.index(axis % len(order)) for axis in axes))
