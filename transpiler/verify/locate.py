"""Where two models part: the first layer whose activations differ, with its line on both sides."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from transpiler.pipeline import WeightUnit
from transpiler.verify.signature import distance, signature
from transpiler.verify.torch_model import Paired, Recorder, flatten, forward

RECURRENT = ("LSTM", "GRU", "RNN", "Bidirectional", "TimeDistributed")


class Activations:
    """Fingerprints of what goes in and out of chosen modules, by call."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self.inputs: dict[int, list[np.ndarray]] = {}
        self.outputs: dict[int, list[list[np.ndarray]]] = {}
        self._handles = [m.register_forward_hook(self._see) for m in modules]

    def _see(self, module: nn.Module, args: Any, result: Any) -> None:
        if args and isinstance(args[0], Tensor):
            self.inputs.setdefault(id(module), []).append(signature(args[0].detach().numpy()))
        found = [t.detach().numpy() for t in flatten(result)]
        if found and found[0].ndim == 3:  # a recurrent layer that returned its last step
            found.append(found[0][:, -1])
        self.outputs.setdefault(id(module), []).append([signature(t) for t in found])

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()


def first_divergence(
    model: nn.Module,
    paired: Paired,
    units: Sequence[WeightUnit],
    recorder: Recorder,
    meta: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    inputs: Sequence[Tensor],
    limit: float,
) -> dict[str, Any] | None:
    """Walks the Keras trace in order of execution; None if every layer with weights agrees."""
    seen = Activations([m for modules in paired.modules for m in modules])
    try:
        with torch.no_grad():
            forward(model, inputs)
    except Exception:  # the run that failed already told why; what was seen up to there still counts
        pass
    finally:
        seen.remove()
    calls: dict[int, int] = {}
    last = -1
    for n, step in enumerate(meta["trace"]):
        unit = step["unit"]
        if unit < 0 or not paired.modules[unit]:
            continue
        k = calls[unit] = calls.get(unit, -1) + 1
        what, error = _judge(step, n, k, paired.modules[unit], seen, arrays, limit)
        if what:
            between = meta["trace"][last + 1 : n]
            row = _describe(step, units[unit], paired.modules[unit], model, recorder)
            return row | {"part": what, "max_rel": error, "after": [_name(s) for s in between]}
        last = n
    tail = meta["trace"][last + 1 :]
    if not tail:
        return None
    row = {"layer": tail[0]["name"], "keras_class": tail[0]["class"], "part": "after the last layer with weights"}
    return row | {
        "keras": f"{tail[0]['file']}:{tail[0]['line']}",
        "torch": _forward_line(model),
        "max_rel": None,
        "after": [],
    }


def _judge(
    step: Mapping[str, Any],
    n: int,
    k: int,
    modules: Sequence[nn.Module],
    seen: Activations,
    arrays: Mapping[str, np.ndarray],
    limit: float,
) -> tuple[str, float | None]:
    """("", _) if the k-th call agrees or cannot be judged, else what differs: its input or its output."""
    outputs = seen.outputs.get(id(modules[-1]), [])
    if k >= len(outputs):
        return "", None
    simple = len(modules) == 1 and not any(r in step["class"] for r in (*RECURRENT, "Transpose"))
    came = seen.inputs.get(id(modules[0]), [])
    if k < len(came) and f"tin|{n}" in arrays and simple:
        gap = distance(arrays[f"tin|{n}"], came[k])
        if gap is None or gap > limit:
            return "input", gap
    expected = [arrays[key] for key in (f"tpre|{n}", f"tout|{n}") if key in arrays]
    gaps = [distance(e, o) for e in expected for o in outputs[k]]
    known = [g for g in gaps if g is not None]
    if not gaps or any(g <= limit for g in known) or not (known or simple):
        return "", None
    return "output", min(known, default=None)


def _describe(step: Mapping[str, Any], unit: WeightUnit, modules: Sequence[nn.Module], model: nn.Module, recorder: Recorder) -> dict[str, Any]:  # fmt: skip
    names = {id(m): name for name, m in model.named_modules()}
    file, line = recorder.places.get(id(modules[0]), ("", 0))
    span = unit.span
    return {
        "layer": step["name"],
        "keras_class": step["class"],
        "module": names.get(id(modules[0]), ""),
        "keras": f"{span.file}:{span.line}" if span else f"{step['file']}:{step['line']}",
        "torch": f"{file}:{line}",
    }


def _name(step: Mapping[str, Any]) -> str:
    return f"{step['class']} {step['name']!r} ({step['file']}:{step['line']})"


def _forward_line(model: nn.Module) -> str:
    code = inspect.unwrap(type(model).forward).__code__
    return f"{code.co_filename}:{code.co_firstlineno}"
