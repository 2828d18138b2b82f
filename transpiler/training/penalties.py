"""What Keras adds to the loss for the weights of layers, as one function over the modules of the result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import Layer
from transpiler.rules.training.base import TRAINING
from transpiler.rules.training.registry import RegularizerRule, known
from transpiler.training.weight_arguments import Place, Places, WeightArgument, by_place, every_layer, weight_arguments
from transpiler.write.torch.layout import render

Terms = tuple[tuple[str, str], ...]
"""(factor, what it multiplies over `{0}`) for each term."""


@dataclass(frozen=True)
class Penalties:
    """The terms of a model: for the parameters of all modules of a type, for single ones, and for those of a type in one attribute."""

    of_types: dict[Place, Terms]
    of_weights: dict[str, Terms]
    of_parts: dict[tuple[str, Place], Terms]
    layers: tuple[Layer, ...]
    """The layers that ask for them."""
    helpers: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.of_types or self.of_weights or self.of_parts)

    def text(self, name: str) -> str:
        """The function that adds them up."""
        by_term: dict[tuple[str, str, str], list[str]] = {}
        for (module, parameter), terms in self.of_types.items():
            for factor, text in terms:
                by_term.setdefault((factor, parameter, text), []).append(module)
        sums = []
        for (factor, parameter, text), modules in by_term.items():
            types = modules[0] if len(modules) == 1 else f"({', '.join(sorted(modules))})"
            term = text.format(f"m.{parameter}")
            sums.append(f"{factor} * sum({term} for m in model.modules() if isinstance(m, {types}))")
        for (part, (module, parameter)), terms in self.of_parts.items():
            for factor, text in terms:
                term = text.format(f"m.{parameter}")
                sums.append(f"{factor} * sum({term} for m in {part} if isinstance(m, {module}))")
        alike: dict[tuple[str, str], list[str]] = {}
        for weight, terms in self.of_weights.items():
            for term in terms:
                alike.setdefault(term, []).append(weight)
        for (factor, text), weights in alike.items():
            if len(weights) == 1:
                sums.append(f"{factor} * {text.format(weights[0])}")
            else:
                sums.append(f"{factor} * sum({text.format('w')} for w in ({', '.join(weights)}))")
        return render("training/penalty", name=name, total=" + ".join(sums))


def penalties_of(
    layers: Iterable[Any], built: Any, generation: str, places: Places, holders: Places = lambda: None
) -> Penalties | None:
    """The penalties of the layers of a model, None if there are none.

    Raises Declined for what the layers are not asked for by weight, and where a weight cannot be told from others.
    """
    layers = list(layers)
    for layer in every_layer(layers):
        if layer.args.get("activity_regularizer") is not None:
            raise Declined(TRAINING, "an activity_regularizer is not translated")
    found: list[tuple[WeightArgument, Terms]] = []
    asking: dict[int, Layer] = {}
    helpers: dict[str, None] = {}
    for argument in weight_arguments(layers, built, "regularizer"):
        terms: Terms = ()
        if argument.value is not None:
            rule, arguments = known(RegularizerRule, argument.value, generation)
            terms = tuple((factor, in_place(text, rule, argument)) for factor, text in rule.terms(arguments))
            helpers |= dict.fromkeys(rule.helpers)
            asking[id(argument.layer)] = argument.layer
        found.append((argument, terms))
    if not asking:
        return None
    return Penalties(*by_place(found, places, holders), tuple(asking.values()), tuple(helpers))


def in_place(text: str, rule: RegularizerRule, argument: WeightArgument) -> str:
    """A term over a parameter, whose axes may have another order than in Keras."""
    transform = argument.weight.transform
    if not rule.matrix or not transform and not argument.place[1].startswith("bias"):
        return text
    if transform != (("permute", (1, 0)),):
        raise Declined(TRAINING, f"the {rule.names[0]} of this {argument.layer.rule.keras[0]} is not translated")
    return text.replace("{0}", "{0}.T").replace(".T.T", "")
