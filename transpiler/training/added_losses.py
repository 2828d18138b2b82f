"""Terms of the loss that the model computes itself: `add_loss` of layers and of models."""

from __future__ import annotations

from collections import Counter
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.read.keras.evaluate.values import Model
from transpiler.rules.training.base import TRAINING
from transpiler.training.file import FileTraining

EVERYWHERE = '''def added_losses(model: nn.Module) -> Tensor:
    """What the modules of a model have added to its loss in the last pass."""
    return sum(m.added_loss for m in model.modules() if hasattr(m, "added_loss"))
'''


def added_losses(file: FileTraining, model: Any) -> str:
    """The sum of what a model and its layers add to the loss, as code; "" for nothing. Raises Declined where it is another one."""
    interpreter = file.interpreter
    adding = interpreter.adding
    inside = calls_in(model, interpreter) if isinstance(model, Model) and model.outputs is not None else Counter()
    own = bool(interpreter.losses_of(model))
    models = [m for m in interpreter.models if m is not model and interpreter.losses_of(m) and inside[id(m)]]
    for part in (*adding, *models):
        if inside[id(part)] > 1:
            raise Declined(TRAINING, "add_loss() in a layer that is called more than once is not translated")
    if not adding and not models:
        return "model.added_loss" if own else ""
    file.own_function("added_losses", EVERYWHERE)
    return "added_losses(model)"


def calls_in(model: Model, interpreter: Any) -> Counter[int]:
    """How often each layer and model is called in one pass through a model, by id."""
    found: Counter[int] = Counter()
    for node in interpreter.graph(model).nodes:
        found[id(node.layer)] += 1
        if isinstance(node.layer, Model) and node.layer.outputs is not None:
            found += calls_in(node.layer, interpreter)
    return found
