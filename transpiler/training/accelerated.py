"""Plain loops for several devices: what an Accelerator prepares, and what goes through it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from transpiler.read.keras.evaluate.training_calls import TrainingCall
from transpiler.training.file import FileTraining
from transpiler.training.lightning import LIGHTNING_METHODS
from transpiler.write.torch.layout import render

if TYPE_CHECKING:
    from transpiler.training.compiled import Training

LOGITS = "Logits({model})"
"""A module whose forward pass gives the logits: what wraps it for several devices knows no other method."""
CALLBACKS = ("EarlyStopping", "ModelCheckpoint", "ReduceLROnPlateau", "LearningRateScheduler", "TerminateOnNaN")
"""Callbacks that go by numbers which all processes have, or save weights; others act in each process."""


class PlainLoop(Exception):
    """What a training has that several processes would not do as one does."""


def accelerate(file: FileTraining, training: Training, net: str, evaluations: Sequence[TrainingCall]) -> None:
    """Notes what a training needs of Accelerate. Raises PlainLoop where it hands over batches one by one."""
    if not {e.method for e in evaluations} <= LIGHTNING_METHODS:
        raise PlainLoop("batches that are handed over one by one")
    training.net = net
    made = "accelerator = Accelerator(dataloader_config=DataLoaderConfiguration(split_batches=True))"
    file.own_function("accelerator", made)
    if training.trainer.needs_logits:
        file.own_function("Logits", render("training/logits_module", name="Logits"))
    file.takes("accelerate", "Accelerator")
    file.takes("accelerate.utils", "DataLoaderConfiguration", "gather_object")


def on_main_process(line: str) -> str:
    """A statement of a loop, where one process speaks for all."""
    start = line[: len(line) - len(line.lstrip())]
    for own in ("print(", "torch.save("):
        if line.lstrip().startswith(own):
            return f"{start}accelerator.{own.removeprefix('torch.')}{line.lstrip().removeprefix(own)}"
    return line
