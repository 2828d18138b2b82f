"""What a conversion yields: texts, and for every model how to build it on both sides and how its weights correspond."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transpiler.diagnostics import Finding, Span
from transpiler.ir.model import Weight
from transpiler.ir.saved import SavedLayer


@dataclass(frozen=True)
class WeightUnit:
    """One Keras layer with variables, and the torch modules that hold its parameters.

    `modules` has, for each torch module of the layer in construction order, its parameters and buffers by name.
    """

    keras_class: str
    name: str | None
    modules: tuple[Mapping[str, Weight], ...]
    span: Span | None = None
    place: int = 0
    """Where the layer stands among all that the Keras program constructs; ascending, with gaps."""
    unused: tuple[str, ...] = ()
    """Variables that Keras makes and nothing reads: the result does not have them."""


@dataclass(frozen=True)
class TrainingPlan:
    """How the result trains a model, for `verify`: texts in the names of the file, over `{model}`."""

    compiles: str
    """The `compile` of the source, as a call on `{model}`."""
    epoch: str
    """The function that runs over the data once; "" where a LightningModule trains."""
    optimizer: str
    schedule: str
    """The factor of the learning rate as a function of the step; "" if it does not change."""
    titles: tuple[str, ...]
    """What the function returns, as Keras calls it."""
    targets: tuple[tuple[str, tuple[int | None, ...]], ...]
    """For each output, what its targets are (`Measure.target`), and its shape."""
    weighted: bool = False
    """Whether batches have weights of the samples as well."""
    module: str = ""
    """The class of the LightningModule, where one trains."""
    around: str = ""
    """What the function is given in the place of the model: an expression over `{model}`; "" for the model itself."""


@dataclass(frozen=True)
class EntryPlan:
    """One model of the program: how to build it on either side, and how its weights correspond.

    `setup` and `expression` are Keras code; `torch_setup` and `torch_expression` do the same with the result.
    `units` are in the order in which the torch program constructs their modules; their `place` orders the Keras layers.
    """

    expression: str
    setup: str
    torch_expression: str
    torch_setup: str
    tier: str
    units: tuple[WeightUnit, ...] = ()
    findings: tuple[Finding, ...] = ()
    shapes: tuple[tuple[int | None, ...], ...] = ()
    """The shapes, batch first, of the inputs that a model was converted for which declares none."""
    ids: bool = False
    """Whether these inputs hold integers."""
    training: TrainingPlan | None = None
    """How it is trained, if the file says so and all of it is translated."""
    block: str = ""
    """The head of the function or loop that makes the model for itself, as `header` of `ir.trees` has it."""
    given: str = ""
    """Statements that give that function's parameters their values."""
    saved: SavedLayer | None = None
    """The model as its files have it; None where the order of its layers is not known."""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    """Expressions of the file for what only its data know → the numbers that the conversion took in their place."""


@dataclass(frozen=True)
class ConvertedModule:
    """The PyTorch text of one source file, by the dotted name it is imported under."""

    name: str
    path: Path
    text: str
    changed: bool = True
    source_orders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Submodules of classes that construct them in another order than the Keras program: theirs there, by class.

    `features.1` is an item of a sequence.
    """


@dataclass
class Conversion:
    """What one run of the converter yields."""

    modules: list[ConvertedModule] = field(default_factory=list)
    entries: list[EntryPlan] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)
    only_legacy: tuple[str, ...] = ()
    """What the source uses that the generation of Keras it was read for does not have."""
    origins: Mapping[Path, frozenset[int]] = field(default_factory=dict)
    """The lines of the source that the result was made of, by file: those of functions, classes and scripts."""

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """Those of the files and of their models, each once, in the order of the sources."""
        found = list(dict.fromkeys((*self.findings, *(f for entry in self.entries for f in entry.findings))))
        files = list(dict.fromkeys(f.span.file for f in found if f.span))
        return tuple(
            sorted(
                found,
                key=lambda f: (files.index(f.span.file), f.span.line, f.span.col) if f.span else (len(files), 0, 0),
            )
        )
