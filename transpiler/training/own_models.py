"""Models of the program's own classes: what of their training is as Keras does it."""

from __future__ import annotations

import re
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS3
from transpiler.ir.program import MODE, Apply, Member, ModuleClass, made_by
from transpiler.read.keras.evaluate.own_models import own_way
from transpiler.read.keras.evaluate.values import Instance, Model
from transpiler.rules.training.base import TRAINING


def check_own(graph: Any, root: ModuleClass, generation: str) -> None:
    """Raises Declined for a model whose class trains in its own way, or in another mode than torch would."""
    model = graph.attributes.get("__of__")
    if isinstance(graph, Model) and graph.cls is not None and (way := own_way(graph)):
        raise Declined(TRAINING, f"{graph.cls.name} has a {way}() of its own")
    if not isinstance(model, Instance):
        return
    if way := own_way(model):
        raise Declined(TRAINING, f"{model.cls.name} has a {way}() of its own")
    method = model.cls.lookup("call")
    names = [a.arg for a in (*method.node.args.args, *method.node.args.kwonlyargs)] if method is not None else []
    if generation == KERAS3 and "training" not in names and acts_by_mode(root):
        raise Declined(TRAINING, "call() takes no `training`: Keras 3 trains its layers in inference mode")


PLAIN_MODULES = re.compile(
    r"get_activation\(|nn\.((LSTM|GRU|RNN)\((?!.*dropout)|Conv|Linear|Embedding|Flatten|Unflatten|ZeroPad|Upsample|LayerNorm|Identity|Softmax"
    r"|(Leaky|P)?ReLU|ELU|GELU|SiLU|Sigmoid|Tanh|Softplus|(Max|Avg|Adaptive)\w*Pool)|\w*(Conv|Pool)\dSame\("
)
"""Modules that do the same whether they are trained or not."""


def acts_by_mode(root: ModuleClass) -> bool:
    """Whether a model may do something else in training than otherwise."""

    def by_mode(member: Member) -> bool:
        if member.parts:
            return any(map(by_mode, member.parts))
        if member.construction is not None:
            return acts_by_mode(member.construction.cls)
        step = member.step
        return step is None or not (PLAIN_MODULES.match(step.module or "") or step.module is None)

    ops = [op for op in root.block.walk() if isinstance(op, Apply)]
    return any(MODE in (op.step.fn or "") or op.member is not None and by_mode(op.member) for op in ops) or any(
        not isinstance(op, Apply) and MODE in str(getattr(op, "test", "")) for op in root.block.walk()
    )


def classes_in(root: ModuleClass) -> list[ModuleClass]:
    """A class and those that it is made of."""
    found = [root]
    for cls in found:
        found += [c for c in dict.fromkeys(map(made_by, cls.block.walk())) if c is not None and c not in found]
    return found
