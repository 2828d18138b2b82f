"""Models of which parts are frozen for the training of the whole: which weights each `compile` trains."""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from typing import Any

from transpiler.diagnostics import Declined, Span
from transpiler.ir.model import KERAS2, Layer
from transpiler.read.keras.evaluate.training_calls import Toggle, TrainingCall
from transpiler.read.keras.evaluate.values import Instance, Model
from transpiler.read.keras.units import layers_of
from transpiler.rules.training.base import TRAINING
from transpiler.training.penalties import penalties_of


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
    if not any(t.late or toggles.index(t) >= compiled.moment for t in concerned):
        open_toggles = [t for t in concerned if t.span not in settled]
        check_in_place(open_toggles, model, interpreter)
        return [], open_toggles
    in_force = [c.moment for c in learning]
    if not any(t.late or compiled.moment <= toggles.index(t) < max(in_force, default=0) for t in concerned):
        check_in_place(concerned, model, interpreter)
        return [], concerned
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


def check_in_place(toggles: list[Toggle], model: Model, interpreter: Any) -> None:
    """Raises Declined for what cannot be done where the source does it, by `requires_grad_`."""
    for toggle in toggles:
        if toggle.receiver is None or isinstance(toggle.receiver, ast.Call):
            raise Declined(TRAINING, "layers that are frozen or set free beside the training are not translated")
    frozen_norms(toggles, interpreter)
    if not toggles:
        return
    layers = layers_of(model, interpreter)
    if penalties_of(layers, interpreter.built, interpreter.generation, lambda: None):
        raise Declined(TRAINING, "regularizers in a model of which a part is frozen are not translated")


def frozen_norms(toggles: Sequence[Toggle], interpreter: Any) -> list[str]:
    """The types of the modules that stand for BatchNormalization of which `trainable` is set: frozen, it is in inference mode.

    Raises Declined for one that cannot be told from its parameters.
    """
    found: dict[str, None] = {}
    for layer in (x for t in toggles for x in layers_in(t.target, interpreter)):
        if not normalizes(layer):
            continue
        steps = interpreter.built[layer].steps if isinstance(layer, Layer) and layer in interpreter.built else []
        modules = [s for s in steps if s.weights]
        kind = (modules[0].module or "").partition("(")[0] if len(modules) == 1 else ""
        if not kind.startswith("nn.BatchNorm") or "weight" not in modules[0].weights:
            raise Declined(TRAINING, "a normalization that is frozen for a part of the training is not translated")
        found[kind] = None
    return list(found)


def layers_in(target: Any, interpreter: Any) -> list[Any]:
    """The layers with weights in a model, or a layer itself."""
    if not isinstance(target, Model):
        return [target]
    return [x for x in layers_of(target, interpreter) if has_weights(x, interpreter)]


def has_weights(layer: Any, interpreter: Any) -> bool:
    built = interpreter.built.get(layer) if isinstance(layer, Layer) else None
    return built is None or any(step.weights for step in built.steps)


def parts_of(target: Any, interpreter: Any) -> set[int]:
    return set(map(id, layers_in(target, interpreter)))


def normalizes(layer: Any) -> bool:
    return not isinstance(layer, Layer) or "Normalization" in layer.rule.keras[0] and "Layer" not in layer.rule.keras[0]


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
