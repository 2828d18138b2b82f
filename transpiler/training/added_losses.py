"""Terms of the loss that the model computes itself: `add_loss` of layers and of models."""

from __future__ import annotations

from collections import Counter
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.program import Apply, ForLoop, Loop, Member, ModuleClass, Return, made_by
from transpiler.rules.training.base import TRAINING
from transpiler.training.file import FileTraining
from transpiler.training.own_models import classes_in

EVERYWHERE = '''def added_losses(model: nn.Module) -> Tensor:
    """What the modules of a model have added to its loss in the last pass."""
    return sum(m.added_loss for m in model.modules() if hasattr(m, "added_loss"))
'''


def added_losses(file: FileTraining, model: Any) -> str:
    """The sum of what a model and its layers add to the loss, as code; "" for nothing. Raises Declined where it is another one."""
    interpreter = file.interpreter
    own = bool(interpreter.losses_of(model))
    models = [m for m in interpreter.models if m is not model and interpreter.losses_of(m)]
    if not interpreter.adding and not models:
        return "model.added_loss" if own else ""
    root = file.roots(model)
    classes = classes_in(root) if root is not None else []
    if not own and not any(keeps(cls) or has_given(cls) for cls in classes):
        return ""
    if any(called_again(cls) for cls in classes):
        raise Declined(TRAINING, "add_loss() in a layer that is called more than once is not translated")
    file.own_function("added_losses", EVERYWHERE)
    return "added_losses(model)"


def called_again(cls: ModuleClass) -> bool:
    """Whether a class calls one of its submodules more than once which adds to the loss, or may do so."""
    calls: Counter[Member] = Counter()
    for op in cls.block.walk():
        if isinstance(op, (Loop, ForLoop)):
            calls.update(o.member for o in op.body.walk() if isinstance(o, Apply) and o.member is not None)
        if isinstance(op, Apply) and op.member is not None:
            calls[op.member] += 1
            made = made_by(op)
            adds = made is not None and any(keeps(c) for c in classes_in(made))
            if calls[op.member] > 1 and (adds or op.member.given):
                return True
    return False


def has_given(cls: ModuleClass) -> bool:
    """Whether a class is given modules, whose classes it does not know."""
    return any(op.member.given for op in cls.block.walk() if isinstance(op, Apply) and op.member is not None)


def keeps(cls: ModuleClass) -> bool:
    """Whether a class adds to the loss."""
    return any(op.kept for op in cls.block.ops if isinstance(op, Return))
