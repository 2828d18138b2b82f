"""`fit` and `evaluate` as plain loops in which an Accelerator prepares the model, the optimizer and the data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from transpiler.read.keras.evaluate.loaded_models import LOADED
from transpiler.read.keras.evaluate.training_calls import TrainingCall
from transpiler.rules.training.callbacks import CallbackCode
from transpiler.training.accelerated import CALLBACKS, LOGITS, PlainLoop, on_main_process
from transpiler.training.compiled import Training, beside
from transpiler.training.data import Stream
from transpiler.training.methods import MethodWriter


class AcceleratedMethods(MethodWriter):
    """Writes methods of models that an Accelerator has prepared. Raises PlainLoop for what it has no way for."""

    print = "accelerator.print"

    def passed(self, evaluation: TrainingCall, training: Training) -> str:
        if LOADED not in evaluation.model.attributes:
            return beside(training, evaluation.node, training.net)[0]
        model = self.file.receiver_of(evaluation.node)  # which nothing has prepared yet
        wrapped = LOGITS.format(model=model) if training.trainer.needs_logits else model
        return f"accelerator.prepare({wrapped})"

    def prepared(self, stream: Stream | None) -> Stream | None:
        if stream is None:
            return None
        if any("batch_size=None" in text for text in (*stream.lines, stream.epoch)):
            raise PlainLoop("data that comes in batches")
        if stream.epoch.startswith("DataLoader("):
            return replace(stream, epoch=f"accelerator.prepare({stream.epoch})")
        made = f"{stream.epoch} = "
        lines = [
            f"{made}accelerator.prepare({line.removeprefix(made)})" if line.startswith(f"{made}DataLoader(") else line
            for line in stream.lines
        ]
        if lines == stream.lines:
            raise PlainLoop("data that no DataLoader gives")
        return replace(stream, lines=lines)

    def act(self, rule: Any, act: CallbackCode) -> CallbackCode:
        names = getattr(rule, "names", ())
        if not set(names) & set(CALLBACKS):
            raise PlainLoop(f"the callback {names[0] if names else rule.cls.name}")
        parts = ("before", "begin", "end", "stop", "after")
        new = {part: [on_main_process(line) for line in getattr(act, part)] for part in parts}
        if any("accelerator.save(" in line for line in new["end"]):
            new["after"].insert(0, "accelerator.wait_for_everyone()")
        return replace(act, **new)
