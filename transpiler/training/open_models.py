"""Models whose branches go by what only the run knows: the training is read off one side of each, and has to do for the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import Layer
from transpiler.ir.program import Apply, Let, Member, ModuleClass, Return, Static, tensors
from transpiler.passes.settle import all_members, constructed
from transpiler.rules.training.base import TRAINING, OptimizerCode
from transpiler.training.trainer import Trainer

ON_WEIGHTS = ("regularizer", "constraint")


def check_open(root: ModuleClass, trainer: Trainer, code: OptimizerCode | None) -> None:
    """Raises Declined where the loss, the metrics or what the optimizer has to see to may be others on another side."""
    if not has_open_parts(root):
        return
    why = ", and the model has branches or loops that only the run decides"
    if trainer.added or code is not None and code.whole:
        raise Declined(TRAINING, f"{'what is added to the loss' if trainer.added else 'this optimizer'}{why}")
    for layer in (
        m.layer for cls in (root, *inner(root)) for m in all_members(cls.block) if isinstance(m.layer, Layer)
    ):
        args = {n: layer.args.get(n) for n in layer.args}
        said = [
            n
            for n, v in args.items()
            if v is not None and v is not False and (n.endswith(ON_WEIGHTS) or n == "mask_zero")
        ]
        if layer.rule.keras[0] == "Embedding" and code is not None and code.by_row:
            raise Declined(TRAINING, f"Keras applies this optimizer to the rows of embeddings{why}")
        if said or layer.rule.keras[0] == "Masking":
            raise Declined(TRAINING, f"{said[0] if said else 'Masking'} of a layer{why}")
    outputs = [x for op in root.block.ops if isinstance(op, Return) for x in tensors(op.value)]
    if open_end(root) and any(not isinstance(x.type.shape[-1], int) for x in outputs):
        raise Declined(TRAINING, f"the sizes of the outputs are not known{why}")
    if open_end(root) and any("crossentropy" in p.loss for p in trainer.predictions):
        raise Declined(TRAINING, f"a crossentropy is computed from the logits{why} at its end")


def has_open_parts(root: ModuleClass) -> bool:
    """Whether a model has parts that are there or not, or any number of times."""
    return any(is_open(cls) for cls in (root, *inner(root)))


def inner(cls: ModuleClass) -> Iterator[ModuleClass]:
    for made in constructed(cls):
        yield made
        yield from inner(made)


def is_open(cls: ModuleClass) -> bool:
    """Whether some submodules of a class are there or not, or any number of times."""
    return any(type(op) not in (Apply, Let, Return, Static) for op in cls.block.walk()) or any(
        m.choice is not None for m in all_members(cls.block)
    )


def open_end(cls: ModuleClass) -> bool:
    """Whether a branch or a loop makes an output."""
    (returned,) = [op for op in cls.block.ops if isinstance(op, Return)]
    makers: dict[Any, Apply] = {y: op for op in cls.block.ops if type(op) is Apply for y in op.results}
    return any(y not in makers or of_choice(makers[y].member) for y in tensors(returned.value))


def of_choice(member: Member | None) -> bool:
    if member is None:
        return False
    if member.choice is not None:
        return True
    if member.construction is not None:
        return open_end(member.construction.cls)
    return bool(member.parts) and of_choice(member.parts[-1])
