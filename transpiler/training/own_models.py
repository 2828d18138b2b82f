"""Models of the program's own classes: what of their training is as Keras does it."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS3
from transpiler.ir.program import ModuleClass, made_by
from transpiler.read.keras.evaluate.own_models import own_way
from transpiler.read.keras.evaluate.values import Instance
from transpiler.read.keras.roots import has_modes
from transpiler.rules.training.base import TRAINING


def check_own(graph: Any, root: ModuleClass, generation: str) -> None:
    """Raises Declined for a model whose class trains in its own way, or in another mode than torch would."""
    model = graph.attributes.get("__of__")
    if not isinstance(model, Instance):
        return
    if way := own_way(model):
        raise Declined(TRAINING, f"{model.cls.name} has a {way}() of its own")
    method = model.cls.lookup("call")
    names = [a.arg for a in (*method.node.args.args, *method.node.args.kwonlyargs)] if method is not None else []
    if generation == KERAS3 and "training" not in names and any(map(has_modes, classes_in(root))):
        raise Declined(TRAINING, "call() takes no `training`: Keras 3 trains its layers in inference mode")


def classes_in(root: ModuleClass) -> list[ModuleClass]:
    """A class and those that it is made of."""
    found = [root]
    for cls in found:
        found += [c for c in dict.fromkeys(map(made_by, cls.block.walk())) if c is not None and c not in found]
    return found
