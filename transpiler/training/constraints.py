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
from transpiler.training.weight_arguments import Place, weight_arguments
from transpiler.write.torch.layout import render


@dataclass(frozen=True)
class Constraints:
    """Statements over `{0}` for the parameters of all modules of a type, and the layers that ask for them."""

    of_place: dict[Place, tuple[str, ...]]
    layers: tuple[Layer, ...]
    helpers: tuple[str, ...] = ()

    def text(self, name: str) -> str:
        """The function that changes the weights."""
        by_type: dict[str, list[str]] = {}
        for (module, parameter), lines in self.of_place.items():
            by_type.setdefault(module, []).extend(line.format(f"m.{parameter}") for line in lines)
        joined: dict[tuple[str, ...], list[str]] = {}
        for module, own in by_type.items():
            joined.setdefault(tuple(own), []).append(module)
        branches = [
            (modules[0] if len(modules) == 1 else f"({', '.join(sorted(modules))})", list(own))
            for own, modules in joined.items()
        ]
        return render("training/constrain", name=name, branches=branches)


def constraints_of(layers: Iterable[Any], built: Any, generation: str) -> Constraints | None:
    """The constraints of the layers of a model, None if there are none.

    Raises Declined where layers of one type have different ones.
    """
    statements: dict[Place, set[tuple[str, ...]]] = {}
    found: dict[int, Layer] = {}
    helpers: dict[str, None] = {}
    for argument in weight_arguments(layers, built, "constraint"):
        lines: tuple[str, ...] = ()
        if argument.value is not None:
            rule, arguments = known(ConstraintRule, argument.value, generation)
            axes = torch_axes(rule.axes(arguments), argument.weight.transform)
            if axes is None:
                name = argument.layer.rule.keras[0]
                raise Declined(
                    TRAINING, f"the {rule.names[0]} of the {argument.weight.source} of {name} is not translated"
                )
            lines = tuple(rule.statements(arguments, axes))
            helpers |= dict.fromkeys(rule.helpers)
            found[id(argument.layer)] = argument.layer
        statements.setdefault(argument.place, set()).add(lines)
    if not found:
        return None
    for (module, _), kinds in statements.items():
        if len(kinds) > 1:
            raise Declined(TRAINING, f"the weights of layers that become {module} are constrained in different ways")
    kept = {place: next(iter(kinds)) for place, kinds in statements.items() if next(iter(kinds))}
    return Constraints(kept, tuple(found.values()), tuple(helpers))


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
