"""`trainable` set from outside: the weights of layers stay as they are, and so do the statistics of BatchNormalization.

What it is in the end counts, also for calls before: Keras looks at it when the model runs. Models that were compiled before, or
that others hold as well, are left to the training code: a GAN freezes a part for the training of the whole alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import ApiObject, Layer, Step
from transpiler.ir.program import Apply, Block
from transpiler.read.keras.evaluate.emit import Built, untrained
from transpiler.read.keras.evaluate.values import Model
from transpiler.rules.initializers import UNTRAINED

NORM = re.compile(r"^(nn\.|Masked)(BatchNorm\dd)\(")


def layers_within(target: Any, layers_of: Any) -> list[Layer] | None:
    """The layers that a layer or model consists of; None where some are not Keras's own or not known."""
    if isinstance(target, ApiObject):  # an InputLayer
        return []
    if isinstance(target, Layer):
        inner = target.args.get("layer")
        return None if isinstance(inner, Layer) and inner.rule.keras[0] == "BatchNormalization" else [target]
    if not isinstance(target, Model):
        return None
    try:
        parts = [layers_within(part, layers_of) for part in layers_of(target) if part is not None]
    except Declined:
        return None
    return None if None in parts else [layer for part in parts for layer in part or ()]


def called_in(block: Block, layers: list[Layer], built: Mapping[Layer, Built]) -> bool:
    """Whether layers, as far as they were called, were called in this block: not in a class that others share."""
    members = {op.member for op in block.walk() if isinstance(op, Apply)}
    return all(m in members for layer in layers if layer in built for m in built[layer].members.values())


def set_trainable(layer: Layer, value: bool, called: bool) -> None:
    layer.attributes["trainable"] = value
    if not called and layer.rule.keras[0] == "BatchNormalization":
        layer.args = layer.args.replace(trainable=value)


def freeze_called(block: Block, built: Mapping[Layer, Built]) -> list[Layer]:
    """Changes the steps of layers that were called before they were frozen, in place; returns those called elsewhere."""
    elsewhere: list[Layer] = []
    applied: dict[Any, list[Apply]] = {}
    for op in block.walk():
        if isinstance(op, Apply) and op.member is not None:
            applied.setdefault(op.member, []).append(op)
    for layer, made in built.items():
        if layer.attributes.get("trainable") is not False:
            continue
        for member in made.members.values():
            if member.step is None or member.step.module is None or not member.step.weights:
                continue
            step = frozen(member.step)
            if member not in applied and step is not member.step:
                elsewhere.append(layer)
            for op in applied.get(member, ()):
                op.step = step
            member.step, member.code = step, step.module or ""
    return elsewhere


def frozen(step: Step) -> Step:
    """The step of a layer that does not train: batch normalization goes by its moving statistics."""
    name = NORM.match(step.module or "")
    if name:
        helper = f"Frozen{name[2]}"
        helpers = (*(h for h in step.helpers if h != name[0][:-1]), helper)
        plain = None if name[1] == "nn." else "{self}({0})"  # without the mask
        step = replace(step, module=NORM.sub(f"{helper}(", step.module or ""), helpers=helpers, fn=plain)
    return step if (step.module or "").endswith(UNTRAINED) else untrained(step)
