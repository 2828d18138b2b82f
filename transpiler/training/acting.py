"""What callbacks do in the loop over the epochs, one after the other."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace

from transpiler.ir.model import KERAS3, Args
from transpiler.read.keras.evaluate.values import Instance
from transpiler.rules.training.callbacks import CallbackCode, CallbackRule, Loop
from transpiler.training.own_callbacks import own_callback

Callback = tuple[CallbackRule, Args] | tuple[Instance, ast.expr]


def acts_of(callbacks: Sequence[Callback], loop: Loop, generation: str) -> tuple[list[CallbackCode], dict[str, str]]:
    """The statements of all callbacks, and the learning rate that some add to the numbers of an epoch: title → text.

    Those that come after them and read all of the numbers find it there too, as it was before it changed.
    """
    acts: list[CallbackCode] = []
    added: dict[str, str] = {}
    for i, (rule, a) in enumerate(callbacks):
        act = own_callback(rule, a, loop) if isinstance(rule, Instance) else rule.lower(a, loop)  # type: ignore[arg-type]
        acts.append(act)
        if isinstance(rule, Instance) or not rule.changes_rate or added:
            continue
        title = "learning_rate" if generation == KERAS3 else "lr"
        added[title] = f"{loop.optimizer}.param_groups[0]['lr']"
        if any(isinstance(r, Instance) or r.reads_all for r, _ in callbacks[i + 1 :]):
            rate = loop.take("rate")
            act.end.insert(0, f"{rate} = {added[title]}")
            loop = replace(loop, values={**loop.values, title: rate})
    return acts, added
