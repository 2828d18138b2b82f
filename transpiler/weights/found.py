"""What was found for the variables of a model, and what is to be said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from transpiler.diagnostics import Finding, Severity
from transpiler.ir.model import Transform
from transpiler.ir.saved import SavedLayer, SavedVariable
from transpiler.ir.weights import apply_transform
from transpiler.weights.naming import title
from transpiler.weights.stored import Stored


@dataclass(frozen=True)
class Key:
    """One key of the state dict of the result, and the variable of Keras that it comes from."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    unit: int = -1
    source: str = ""
    transform: Transform = ()


class Fit:
    """Whether arrays have the shape that the result needs of a variable."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self.keys: dict[tuple[int, str], list[Key]] = {}
        for key in keys:
            self.keys.setdefault((key.unit, key.source), []).append(key)

    def __call__(self, variable: SavedVariable, array: Stored) -> bool:
        return all(shape_fits(key, array.shape) for key in self.of(variable))

    def of(self, variable: SavedVariable) -> list[Key]:
        """The keys that come from a variable."""
        return self.keys.get((variable.unit, variable.source), [])

    def exists(self, variable: SavedVariable) -> bool:
        """Whether a variable is there at all: one that is optional may not be."""
        return variable.unused or bool(self.of(variable))


def shape_fits(key: Key, shape: tuple[int, ...]) -> bool:
    import numpy as np

    try:
        apply_transform(np.broadcast_to(np.int8(0), shape), key.transform, key.shape)
    except (ValueError, IndexError):
        return False
    return True


@dataclass
class Found:
    """Variables (unit, source) → their arrays, and the findings."""

    arrays: dict[tuple[int, str], Stored] = field(default_factory=dict)
    unused: list[Stored] = field(default_factory=list)
    """What a file has for variables that the result does not need."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return any(f.severity is Severity.ERROR for f in self.findings)

    def take(self, variable: SavedVariable, array: Stored) -> None:
        if variable.unused:
            self.unused.append(array)
        else:
            self.arrays[variable.unit, variable.source] = array

    def say(
        self, code: str, message: str, advice: str = "", severity: Severity = Severity.ERROR, span: Any = None
    ) -> None:
        finding = Finding(code, severity, message, advice, span)
        if finding not in self.findings:
            self.findings.append(finding)

    def missing(self, what: str, keys: Sequence[Key]) -> None:
        names = ", ".join(f"{k.name} {k.shape}" for k in keys)
        self.say(
            "K2T703",
            f"nothing in the file is {what}" + (f", which {names} need{'s' * (len(keys) == 1)}" if names else ""),
            WRONG,
        )

    def missing_layer(self, layer: SavedLayer, fit: Fit) -> None:
        keys = [k for chain in layer.holders() for v in chain[-1].variables for k in fit.of(v)]
        self.missing(f"the layer {title(layer)}", keys[:6])

    def misfit(self, array: Stored, key: Key) -> None:
        self.say("K2T707", f"{array} does not fit {key.name} {key.shape}", MADE_OTHERWISE)

    def renamed(self, where: str, name: str, layer: SavedLayer) -> None:
        message = f"{where} is called {name} in the file and {layer.name} in the source"
        self.say("K2T708", message, "It is taken for the same layer, as Keras does.", Severity.WARNING)

    def extra(self, arrays: Sequence[Stored]) -> None:
        """Seeds and counters are no weights."""
        weights = [a for a in arrays if not a.counts]
        if weights:
            self.say("K2T704", f"the source has no place for {', '.join(map(str, weights))}", WRONG)
        others = [a.path for a in arrays if a.counts]
        if others:
            self.say("K2T706", f"left out, as they hold no weights: {', '.join(others)}", "", Severity.NOTE)


WRONG = "Name the model that the file was saved from with --entry; check that the source is the one of that time."
MADE_OTHERWISE = "The layer was made with other arguments."
