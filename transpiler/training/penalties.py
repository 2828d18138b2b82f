"""What Keras adds to the loss for the weights of layers, as one function over the modules of the result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from transpiler.diagnostics import Declined, Finding
from transpiler.ir.model import Layer
from transpiler.rules.training.base import TRAINING
from transpiler.rules.training.registry import RegularizerRule, known
from transpiler.write.torch.layout import render

ARGUMENTS = {
    "depthwise_kernel": "depthwise_regularizer",
    "pointwise_kernel": "pointwise_regularizer",
    "recurrent_kernel": "recurrent_regularizer",
}
"""Variables of layers → the arguments that regularize them, where these are not called after them."""

Place = tuple[str, str]
"""The type of a module and one of its parameters."""


@dataclass(frozen=True)
class Penalties:
    """The terms of a model: (factor, what it multiplies over `{0}`) for the parameters of all modules of a type."""

    terms: dict[Place, tuple[tuple[str, str], ...]]
    layers: tuple[Layer, ...]

    def text(self, name: str) -> str:
        """The function that adds them up."""
        by_term: dict[tuple[str, str, str], list[str]] = {}
        for (module, parameter), terms in self.terms.items():
            for factor, text in terms:
                by_term.setdefault((factor, parameter, text), []).append(module)
        sums = []
        for (factor, parameter, text), modules in by_term.items():
            types = modules[0] if len(modules) == 1 else f"({', '.join(sorted(modules))})"
            term = text.format(f"m.{parameter}")
            sums.append(f"{factor} * sum({term} for m in model.modules() if isinstance(m, {types}))")
        return render("training/penalty", name=name, total=" + ".join(sums))


def penalties_of(layers: Iterable[Any], built: Any, generation: str) -> Penalties | None:
    """The penalties of the layers of a model, None if there are none.

    Raises Declined where layers of one type have different ones, and for what the layers are not asked for by weight.
    """
    terms: dict[Place, set[tuple[tuple[str, str], ...]]] = {}
    found: list[Layer] = []
    for layer in layers:
        if not isinstance(layer, Layer):
            continue
        if layer.args.get("activity_regularizer") is not None:
            raise Declined(TRAINING, "an activity_regularizer is not translated")
        if any(n.endswith("constraint") and layer.args.get(n) is not None for n in layer.args):
            raise Declined(TRAINING, "constraints of weights are not translated")
        wanted = {n for n in layer.args if n.endswith("regularizer") and layer.args.get(n) is not None}
        frozen = layer.attributes.get("trainable") is False
        made = built.get(layer)
        used: set[str] = set()
        for step in made.steps if made is not None else ():
            module = (step.module or "").partition("(")[0]
            for parameter, weight in step.weights.items():
                variable = weight.source.rpartition(".")[2]
                argument = ARGUMENTS.get(variable, f"{variable}_regularizer")
                value = layer.args.get(argument) if not frozen else None
                used |= {argument} & wanted
                here = tuple(terms_of(value, generation)) if value is not None else ()
                terms.setdefault((module, parameter), set()).add(here)
        if wanted - used and not frozen:
            raise Declined(TRAINING, f"the {min(wanted - used)} of this {layer.rule.keras[0]} is not translated")
        if wanted:
            found.append(layer)
    if not found:
        return None
    for (module, _), kinds in terms.items():
        if len(kinds) > 1:
            raise Declined(TRAINING, f"layers that become {module} are regularized in different ways")
    kept = {place: next(iter(kinds)) for place, kinds in terms.items() if next(iter(kinds))}
    return Penalties(kept, tuple(found))


def terms_of(value: Any, generation: str) -> list[tuple[str, str]]:
    rule, arguments = known(RegularizerRule, value, generation)
    return rule.terms(arguments)


def covers(finding: Finding, penalties: Penalties) -> bool:
    """Whether a finding is about a regularizer that is translated."""
    return finding.code == "K2T402" and any(layer.span == finding.span for layer in penalties.layers)
