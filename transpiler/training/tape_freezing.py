"""Layers that are frozen around code with tapes, which reads `trainable_variables` when it takes gradients."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.read.keras.evaluate.values import Model
from transpiler.read.keras.trainable import parts_of
from transpiler.read.keras.units import layers_of
from transpiler.rules.initializers import UNTRAINED
from transpiler.rules.training.base import TRAINING
from transpiler.training.blocks import Changes
from transpiler.training.file import FileTraining
from transpiler.training.freezing import frozen_norms
from transpiler.training.requires_grad import RequiresGrad


class Freezing:
    """The part of the writer that knows which weights do not learn."""

    training: FileTraining
    interpreter: Any
    source: Any
    changes: Changes
    by_hand: list[Model]
    """The models that code with tapes trains."""

    def toggles_of(self, model: Model) -> list[Any]:
        """What the source sets of the layers of a model, other than as they are made."""
        own, settled = parts_of(model, self.interpreter), self.training.frozen
        toggles = [t for t in self.interpreter.toggles if t.span not in settled]
        return [t for t in toggles if parts_of(t.target, self.interpreter) & own]

    def has_untrained(self, model: Model) -> bool:
        """Whether parameters of a model have no gradient."""
        built = [self.interpreter.built.get(layer) for layer in layers_of(model, self.interpreter)]
        steps = [s for b in built if b is not None for s in b.steps]
        constant = any(not w.source for s in steps for w in s.weights.values())
        return constant or any(UNTRAINED in (s.module or "") for s in steps) or bool(self.toggles_of(model))

    def write_toggles(self) -> None:
        """Freezes and sets free where the source does. Raises Declined where that cannot be done."""
        toggles = list(dict.fromkeys(t for model in self.by_hand for t in self.toggles_of(model)))
        writer = RequiresGrad(self.interpreter, self.training.roots, self.training.scopes)
        for statement in dict.fromkeys(t.statement for t in toggles):
            own = [t for t in toggles if t.statement is statement]
            if statement not in self.source.tree.body or frozen_norms(own, self.interpreter)[0]:
                what = (
                    "layers that are frozen or set free here"
                    if statement not in self.source.tree.body
                    else "BatchNormalization that is frozen"
                )
                raise Declined(TRAINING, f"{what} beside a tape is not translated", "", self.source.span(statement))
            self.changes.texts[statement] = "\n".join(writer.lines(statement))
