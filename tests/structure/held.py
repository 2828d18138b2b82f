"""Compares a conversion that keeps structure with the flat conversion of the very arguments it is used at."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from transpiler import assemble
from transpiler.diagnostics import Findings, Severity
from transpiler.ir.model import KERAS3
from transpiler.ir.program import tensors
from transpiler.pipeline import Conversion, convert_file
from transpiler.read.keras.evaluate.stager import StageError
from transpiler.read.keras.program import Program

OPEN_SIZES = (13, 16)
TOLERANCE = 1e-12
"""Relative, in float64: both sides compute the same steps, if not in the same order."""


@dataclass
class Built:
    """A model of one conversion, and its modules that hold weights in construction order."""

    model: nn.Module
    holders: list[nn.Module]

    @property
    def shapes(self) -> list[list[tuple[int, ...]]]:
        return [[tuple(t.shape) for t in own(m)] for m in self.holders]


def own(module: nn.Module) -> list[Tensor]:
    """The parameters and statistics that a module holds itself, constants left out."""
    saved = [b for n, b in module._buffers.items() if n not in module._non_persistent_buffers_set]
    found = [*module._parameters.values(), *saved]
    return [t for t in found if t is not None and t.is_floating_point()]


@contextmanager
def recorded() -> Iterator[list[nn.Module]]:
    """Lists every module constructed meanwhile, in order."""
    made: list[nn.Module] = []
    original = nn.Module.__init__

    def __init__(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        if not any(m is self for m in made):
            made.append(self)
        original(self, *args, **kwargs)

    nn.Module.__init__ = __init__  # type: ignore[method-assign]
    try:
        yield made
    finally:
        nn.Module.__init__ = original  # type: ignore[method-assign]


def load(text: str, name: str = "prog") -> dict[str, Any]:
    """The names of a converted text after running it."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(text, f"{name}.py", "exec"), vars(module))
    return vars(module)


def build(names: dict[str, Any], expression: str) -> Built:
    with recorded() as made:
        model = eval(expression, names)
    inside = {id(m) for m in model.modules()}
    return Built(model.double().eval(), [m for m in made if id(m) in inside and own(m)])


def write(source: str, folder: Path) -> Path:
    path = folder / "prog.py"
    path.write_text(source)
    return path


def convert(source: str, expression: str, folder: Path) -> Conversion:
    """The conversion of one entry. Fails the test if it is declined."""
    conversion = convert_file(write(source, folder), entries=[expression])
    errors = [f"{f.code} {f.message}" for f in conversion.findings if f.severity >= Severity.ERROR]
    assert not errors and conversion.entries, errors
    return conversion


def flat(source: str, expression: str, folder: Path) -> Built:
    """The model as one class with one line a layer, converted for these arguments."""

    def no_structure(*args: Any) -> None:
        raise StageError("the flat tier is asked for")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assemble, "stage_factory", no_structure)
        conversion = convert(source, expression, folder)
    (plan,) = conversion.entries
    assert plan.tier == "flat"
    return build(load(conversion.modules[0].text), plan.torch_expression)


def input_shapes(source: str, expression: str, folder: Path) -> list[tuple[Any, ...]]:
    """The shapes of the model's inputs without the batch; None where a size is open."""
    path = write(source, folder)
    model, _ = Program(path, None, "prog", [folder], KERAS3, Findings()).evaluate_entry(expression)
    return [(*x.type.shape[1:], x.type.dtype) for x in tensors(model.inputs)]


def draw(shapes: list[tuple[Any, ...]], size: int) -> list[Tensor]:
    found = []
    for *shape, dtype in shapes:
        dims = [3, *(size if d is None else d for d in shape)]
        found.append(torch.randint(0, 7, dims) if "int" in str(dtype) else torch.randn(dims, dtype=torch.float64))
    return found


def outputs(model: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    with torch.no_grad():
        result = model(*inputs)
    if isinstance(result, dict):
        return [result[k] for k in sorted(result)]
    return list(result) if isinstance(result, (list, tuple)) else [result]


def same_weights(a: Built, b: Built) -> None:
    """Gives both the same random weights, paired by construction order."""
    assert a.shapes == b.shapes
    for one, other in zip(a.holders, b.holders):
        for mine, theirs in zip(own(one), own(other)):
            spread = 1.0 if mine.dim() < 2 else 1.3 / (mine[0].numel() ** 0.5)
            value = torch.randn(mine.shape, dtype=torch.float64) * spread
            value = value.abs() + 0.5 if mine.dim() < 2 else value
            with torch.no_grad():
                mine.copy_(value)
                theirs.copy_(value)


def assert_same(names: dict[str, Any], source: str, expression: str, folder: Path) -> None:
    """The converted text, used at `expression`, computes what the flat conversion of `expression` does."""
    torch.manual_seed(0)
    mine, reference = build(names, expression), flat(source, expression, folder)
    same_weights(mine, reference)
    shapes = input_shapes(source, expression, folder)
    sizes = OPEN_SIZES if any(None in s for s in shapes) else OPEN_SIZES[:1]
    for size in sizes:
        inputs = draw(shapes, size)
        found, expected = outputs(mine.model, inputs), outputs(reference.model, inputs)
        assert [tuple(t.shape) for t in found] == [tuple(t.shape) for t in expected]
        for a, b in zip(found, expected):
            assert torch.isfinite(b).all() and b.std() > 0, "the comparison says nothing"
            assert (a - b).abs().max() <= TOLERANCE * b.abs().max(), (a - b).abs().max()
