"""Models of which parts are frozen for the training of the whole: which weights each `compile` trains."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from transpiler.diagnostics import Declined, Span
from transpiler.ir.model import KERAS2, Layer
from transpiler.read.keras.evaluate.toggles import Toggle
from transpiler.read.keras.evaluate.training_calls import LEARNING, TrainingCall
from transpiler.read.keras.evaluate.values import Instance, Model
from transpiler.read.keras.trainable import compiled_parts, layers_in, parts_of
from transpiler.read.keras.units import layers_of
from transpiler.rules.training.base import TRAINING
from transpiler.training.penalties import penalties_of
from transpiler.training.weight_arguments import owner_of


def trained_parts(
    compiled: TrainingCall, learning: Sequence[TrainingCall], interpreter: Any, settled: Collection[Span]
) -> tuple[list[str], list[Toggle]]:
    """The variables of the models whose weights are trained, where these are not all; and what was set for that.

    Legacy Keras looks at `trainable` when the model is compiled, Keras 3 at the first step after that. Raises Declined
    where what is trained cannot be told. `settled` is where the classes of the result have what the source sets.
    """
    model = compiled.model
    toggles: list[Toggle] = interpreter.toggles
    own = parts_of(model, interpreter)
    concerned = [t for t in toggles if parts_of(t.target, interpreter) & own]
    compiles = compiled_parts(interpreter) if concerned else []
    if all(in_place(t, compiles, interpreter) for t in concerned):
        there = {part for t in concerned if t.span in settled for part in parts_of(t.target, interpreter)}
        open_toggles = [t for t in concerned if t.span not in settled]
        if any(parts_of(t.target, interpreter) & there for t in open_toggles):
            raise Declined(TRAINING, "layers that are frozen as they are made and set again later are not translated")
        check_in_place(open_toggles, model, interpreter)
        return [], open_toggles
    if not all(t.late and isinstance(t.value, bool) for t in concerned):
        raise Declined(TRAINING, "layers that are frozen or set free after the model was compiled are not translated")
    moments = [c.moment for c in learning] or [compiled.moment]
    moment = compiled.moment if interpreter.generation == KERAS2 else min(moments)
    state = {id(t.target): t for t in concerned if toggles.index(t) < moment}
    frozen = set().union(*(parts_of(t.target, interpreter) for t in state.values() if t.value is False))
    touched = set().union(*(parts_of(t.target, interpreter) for t in concerned))
    if any(normalizes(layer) for layer in layers_in(model, interpreter) if id(layer) in touched):
        raise Declined(TRAINING, "BatchNormalization that is frozen for a part of the training is not translated")
    if not frozen & own:
        return [], concerned
    if own <= frozen:
        raise Declined(
            TRAINING,
            "this trains nothing: the model was frozen before the first step, which is when Keras 3 looks at it",
        )
    names = names_of_parts(compiled, own - frozen, interpreter)
    return names, concerned


def in_place(toggle: Toggle, compiles: Sequence[tuple[TrainingCall, set[int]]], interpreter: Any) -> bool:
    """Whether all training goes by what the source sets in the order in which it sets it; `compiles` are all there are."""
    moment, own = interpreter.toggles.index(toggle), parts_of(toggle.target, interpreter)
    if toggle.late:
        return False
    calls = [c for found in interpreter.training_calls.values() for c in found if c.method in LEARNING]
    for compiled in (c for c, parts in compiles if parts & own):
        steps = [c.moment for c in calls if c.compiled is compiled]
        before = compiled.moment > moment or all(step <= moment for step in steps)
        first = interpreter.generation != KERAS2 and all(step > moment for step in steps)
        if not before and not first:
            return False
    return True


def check_in_place(toggles: list[Toggle], model: Model, interpreter: Any) -> None:
    """Raises Declined for what cannot be done where the source does it, by `requires_grad_`."""
    frozen_norms(toggles, interpreter)
    if not toggles:
        return
    layers = layers_of(model, interpreter)
    if penalties_of(layers, interpreter.built, interpreter.generation, lambda: None):
        raise Declined(TRAINING, "regularizers in a model of which a part is frozen are not translated")


def frozen_norms(toggles: Sequence[Toggle], interpreter: Any) -> tuple[list[str], str]:
    """The types of the modules that stand for BatchNormalization of which `trainable` is set: frozen, it is in inference mode.

    And the parameter that tells whether one is frozen. Raises Declined where none does.
    """
    found: dict[str, None] = {}
    telling = {"weight", "bias"}
    for layer in (x for t in toggles for x in layers_in(t.target, interpreter)):
        if not normalizes(layer):
            continue
        steps = interpreter.built[layer].steps if isinstance(layer, Layer) and layer in interpreter.built else []
        modules = [s for s in steps if s.weights]
        kind = (modules[0].module or "").partition("(")[0] if len(modules) == 1 else ""
        telling &= {n for step in modules for n, weight in step.weights.items() if weight.source}
        if not kind.startswith("nn.BatchNorm") or not telling:
            raise Declined(TRAINING, "a normalization that is frozen for a part of the training is not translated")
        found[kind] = None
    return list(found), max(telling)


def normalizes(layer: Any) -> bool:
    """Whether a layer may compute something else when it is frozen."""
    if not isinstance(layer, Layer):
        return True
    return any(n in owner_of(layer).rule.keras for n in ("BatchNormalization", "SpectralNormalization"))


def names_of_parts(compiled: TrainingCall, trained: set[int], interpreter: Any) -> list[str]:
    """The variables of models that make up what is trained. Raises Declined if there are none."""
    held: dict[str, Model] = {}
    env = compiled.env
    names = dict(env.top.names) | dict(env.names) if env is not None else {}
    for name, value in names.items():
        if isinstance(value, Model):
            held[name] = value
        elif isinstance(value, Instance) and name == "self":
            held |= {f"self.{n}": v for n, v in value.attributes.items() if isinstance(v, Model)}
    found: list[str] = []
    rest = set(trained)
    for name, value in sorted(held.items(), key=lambda item: -len(parts_of(item[1], interpreter))):
        own = parts_of(value, interpreter)
        if own and own <= rest:
            found.append(name)
            rest -= own
    if rest:
        raise Declined(TRAINING, "the part of the model that is trained has no variable of its own")
    return found
