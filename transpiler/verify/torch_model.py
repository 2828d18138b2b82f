"""The PyTorch model of one entry: built from the converted texts, fed the Keras weights, observed."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from transpiler.ir.model import Weight
from transpiler.ir.weights import apply_transform
from transpiler.pipeline import WeightUnit
from transpiler.rules.augmentation import augmentations

NOISE = ("p", "rate", "dropout", "recurrent_dropout", "stddev", "std", "drop_path_rate", "drop_rate", "drop_prob")
KEPT = ("keep_prob", "survival_probability")
"""The opposite: attributes that are one when a module draws no noise."""
COUNTERS = ("num_batches_tracked",)


class WeightsError(Exception):
    """Weights of the result without a source, or the other way round."""


class Recorder:
    """Logs every `nn.Module` construction with the line of the converted text that made it."""

    def __init__(self, files: Sequence[str]) -> None:
        self.files = {os.path.realpath(f) for f in files}
        self.made: list[nn.Module] = []
        self.places: dict[int, tuple[str, int]] = {}
        original, recorder = nn.Module.__init__, self

        def __init__(this: nn.Module, *args: Any, **kwargs: Any) -> None:
            if id(this) not in recorder.places:
                recorder.made.append(this)
                recorder.places[id(this)] = recorder._place(this)
            original(this, *args, **kwargs)

        nn.Module.__init__ = __init__  # type: ignore[method-assign]

    def _place(self, module: nn.Module) -> tuple[str, int]:
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            code = frame.f_code
            own = code.co_argcount and frame.f_locals.get(code.co_varnames[0]) is module
            if not own and os.path.realpath(code.co_filename) in self.files:
                return code.co_filename, frame.f_lineno
            frame = frame.f_back
        return "", 0


def owned(module: nn.Module) -> dict[str, Tensor]:
    """The parameters and persistent buffers that a module holds itself."""
    found = {k: p for k, p in module._parameters.items() if p is not None}
    for name, buffer in module._buffers.items():
        if buffer is not None and name not in module._non_persistent_buffers_set and name not in COUNTERS:
            found[name] = buffer
    return found


@dataclass
class Slot:
    """One parameter or buffer with the Keras variable it comes from."""

    unit: int
    source: str
    weight: Weight
    name: str
    module: nn.Module
    attribute: str

    @property
    def tensor(self) -> Tensor:
        return getattr(self.module, self.attribute)

    @property
    def is_parameter(self) -> bool:
        return self.attribute in self.module._parameters

    @property
    def key(self) -> str:
        return f"{self.unit}|{self.source}"

    def convert(self, array: np.ndarray | None) -> np.ndarray:
        """The Keras array in this parameter's form; raises WeightsError if it does not fit exactly."""
        shape = tuple(self.tensor.shape)
        try:
            return np.asarray(apply_transform(array, self.weight.transform, shape))
        except ValueError as error:
            came = "nothing" if array is None else f"{self.source} {array.shape}"
            raise WeightsError(f"{self.name} {shape} from {came}: {error}") from None


@dataclass
class Paired:
    """Every parameter with its source, and the modules of each unit."""

    slots: list[Slot] = field(default_factory=list)
    modules: list[list[nn.Module]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def in_source_order(
    model: nn.Module, made: Sequence[nn.Module], orders: Mapping[str, Mapping[str, Sequence[str]]]
) -> list[nn.Module]:
    """Modules in the order in which the Keras program makes them. `orders`: file → class → attributes in that order."""
    by_file = {os.path.realpath(file): classes for file, classes in orders.items() if classes}
    result = list(made)
    for module in model.modules():
        code = type(module).__init__.__code__ if hasattr(type(module).__init__, "__code__") else None
        order = by_file.get(os.path.realpath(code.co_filename), {}).get(type(module).__name__) if code else None
        if not order:
            continue
        groups: dict[int, int] = {}
        for place, name in enumerate(order):
            made = functools.reduce(_part, name.split("."), module)  # a parameter is its module's own
            for inner in made.modules() if isinstance(made, nn.Module) else ():
                groups.setdefault(id(inner), place)
        places = [i for i, m in enumerate(result) if id(m) in groups]
        ordered = sorted((result[i] for i in places), key=lambda m: groups[id(m)])
        for i, inner in zip(places, ordered):
            result[i] = inner
    return result


def _part(holder: Any, name: str) -> Any:
    """An attribute, or an item of a sequence."""
    if not name.isdigit():
        return getattr(holder, name, None)
    return holder[int(name)] if isinstance(holder, nn.Sequential) and int(name) < len(holder) else None


def pair(model: nn.Module, made: Sequence[nn.Module], units: Sequence[WeightUnit], sources: Mapping[str, Any] | None = None) -> Paired:  # fmt: skip
    """Hands the modules with weights, in construction order, to the units.

    `sources` are the Keras variables there are; None where that is not known, and those are that the result asks for.
    Raises WeightsError, by name, for anything left over on either side.
    """
    names = {id(m): name or "(model)" for name, m in model.named_modules()}
    queue = [m for m in made if id(m) in names and owned(m)]
    paired, at = Paired(), 0
    for index, unit in enumerate(units):
        modules = queue[at : at + len(unit.modules)]
        if len(modules) < len(unit.modules):
            raise WeightsError(f"no module is left for {_title(unit)}: {at + len(modules)} modules hold weights")
        at += len(modules)
        paired.modules.append(modules)
        for module, plan in zip(modules, unit.modules):
            _fill(paired, index, unit, module, names[id(module)], plan, sources)
    if queue[at:]:
        raise WeightsError(f"modules without a Keras layer: {', '.join(names[id(m)] for m in queue[at:])}")
    return paired


def _fill(paired: Paired, index: int, unit: WeightUnit, module: nn.Module, name: str, plan: Mapping[str, Weight], sources: Mapping[str, Any] | None) -> None:  # fmt: skip
    has = owned(module)
    extra = [f"{name}.{k}" for k in has if k not in plan]
    if extra:
        raise WeightsError(f"{', '.join(extra)} ({type(module).__name__}) has no source in {_title(unit)}")
    for attribute, weight in plan.items():
        known = sources is not None or not weight.optional
        exists = not weight.source or sources is None or f"{index}|{weight.source}" in sources
        if attribute in has and exists:
            paired.slots.append(Slot(index, weight.source, weight, f"{name}.{attribute}", module, attribute))
        elif attribute in has:
            paired.notes.append(f"{name}.{attribute} has no Keras variable and keeps its initial value")
        elif exists and weight.source and known:
            raise WeightsError(
                f"{name} ({type(module).__name__}) has no {attribute} for {weight.source} of {_title(unit)}"
            )


def _title(unit: WeightUnit) -> str:
    return f"{unit.keras_class} {unit.name!r}" if unit.name else unit.keras_class


def load(paired: Paired, arrays: Mapping[str, np.ndarray]) -> None:
    """Copies the Keras weights in, each through its transform."""
    with torch.no_grad():
        for slot in paired.slots:
            value = slot.convert(arrays[f"u|{slot.key}"] if slot.source else None)
            slot.tensor.copy_(torch.from_numpy(np.array(value, order="C")))  # which keeps a scalar one


def tensors(arrays: Sequence[np.ndarray], dtype: torch.dtype) -> list[Tensor]:
    """Inputs as torch takes them: floats in `dtype`, integers as int64."""
    kinds = {"f": dtype, "i": torch.int64, "u": torch.int64, "b": torch.bool}
    return [torch.from_numpy(np.ascontiguousarray(a)).to(kinds[a.dtype.kind]) for a in arrays]


def forward(model: nn.Module, inputs: Sequence[Tensor], go_on: bool = False) -> list[Tensor]:
    """The outputs, flattened (dictionaries by sorted key); several inputs go one by one, or as the one list it takes.

    Modules that keep their states go on from the call before if asked to, else start anew.
    """
    for module in [] if go_on else model.modules():
        if hasattr(module, "reset_states"):
            module.reset_states()
    result = model(list(inputs)) if len(inputs) > 1 and _takes_one(model) else model(*inputs)
    return flatten(result)


def _takes_one(model: nn.Module) -> bool:
    parameters = inspect.signature(model.forward).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return False
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters) == 1


def flatten(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [t for key in sorted(value) for t in flatten(value[key])]
    if isinstance(value, (list, tuple)):
        return [t for item in value for t in flatten(item)]
    return [torch.as_tensor(value)]


def silence(model: nn.Module) -> list[tuple[nn.Module, str, Any]]:
    """Switches all noise off and returns what was on: (module, attribute, value)."""
    changed = []
    for module in model.modules():
        noisy = any(word in type(module).__name__ for word in ("Drop", "Noise", "Stochastic"))
        for name in (*NOISE, *KEPT):
            value = module.__dict__.get(name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            quiet = 1.0 if name in KEPT else 0.0
            if number and value != quiet and (noisy or "drop" in name or name in KEPT):
                module.__dict__[name] = quiet
                changed.append((module, name, float(value)))
        if type(module).__name__ in augmentations():
            changed.append((module, "forward", module.forward))
            module.__dict__["forward"] = nn.Identity()
    return changed


def restore(changed: Sequence[tuple[nn.Module, str, Any]]) -> None:
    for module, name, value in changed:
        module.__dict__[name] = value


def rates(changed: Sequence[tuple[nn.Module, str, Any]]) -> list[float]:
    """The configured noise of the modules that stand for Keras's noise layers."""
    names = ("Dropout", "GaussianNoise")
    return sorted(v for m, a, v in changed if any(n in type(m).__name__ for n in names) and a in NOISE)
