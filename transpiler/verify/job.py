"""What the parent tells a child: everything about one entry, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from transpiler.diagnostics import Span
from transpiler.ir.conversion import ConvertedModule, EntryPlan, TrainingPlan, WeightUnit
from transpiler.ir.model import Weight
from transpiler.verify.scripts import hoisted, with_numbers


@dataclass(frozen=True)
class InputSpec:
    """What is known about the inputs beyond the model itself.

    `code` is an expression over `np`, `tf` and `rng` that returns the inputs; `shapes` has one shape with batch per
    input; integers are drawn below `int_high`; `all_ids` says that every input is an id, whatever dtype it declares.
    """

    code: str | None = None
    shapes: tuple[tuple[int, ...], ...] | None = None
    int_high: int | None = None
    all_ids: bool = False


@dataclass(frozen=True)
class Job:
    """One entry, for either child."""

    path: str
    module: str
    roots: tuple[str, ...]
    generation: str
    setup: str
    expression: str
    torch_setup: str
    torch_expression: str
    units: tuple[WeightUnit, ...] | None
    converted: tuple[ConvertedModule, ...] = ()
    inputs: InputSpec = field(default_factory=InputSpec)
    training: TrainingPlan | None = None
    block: str = ""
    """The head of the function or loop that makes the model (`EntryPlan.block`)."""
    given: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    """Expressions of the file whose values need its data → the numbers that stand for them."""
    steps: int = 0
    """How many steps of the training are compared."""

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(asdict(self), default=_plain), encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "code"):
        return {"code": value.code}
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{value!r} cannot be sent to a child process")


def job_for(
    path: Path,
    module: str,
    roots: Sequence[Path],
    generation: str,
    plan: EntryPlan,
    converted: Sequence[ConvertedModule],
    inputs: InputSpec,
    steps: int = 0,
) -> Job:
    """The job of one planned entry."""
    changed = tuple(m for m in converted if m.changed)
    if plan.shapes and inputs.code is None and inputs.shapes is None:
        shapes = tuple(tuple(d or 2 for d in s) for s in plan.shapes)
        inputs = replace(inputs, shapes=shapes, all_ids=inputs.all_ids or plan.ids)
    return Job(
        str(path), module, tuple(map(str, roots)), generation, plan.setup, plan.expression, plan.torch_setup,
        plan.torch_expression, tuple(plan.units), changed, inputs, plan.training, plan.block, plan.given, plan.numbers, steps,
    )  # fmt: skip


def script_of(job: Job, text: str) -> str:
    """A file as far as building its model needs it: numbers for what needs its data, what makes the model at the top."""
    return with_numbers(hoisted(text, job.block, job.given), job.numbers)


def read_job(file: Path) -> Job:
    """The inverse of `Job.write`."""
    data = json.loads(file.read_text(encoding="utf-8"))
    units = data["units"]
    data["units"] = None if units is None else tuple(map(_unit, units))
    data["converted"] = tuple(ConvertedModule(**{**m, "path": Path(m["path"])}) for m in data["converted"])
    inputs = data["inputs"]
    if inputs["shapes"] is not None:
        inputs["shapes"] = tuple(map(tuple, inputs["shapes"]))
    data["inputs"] = InputSpec(**inputs)
    if data["training"] is not None:
        targets = tuple((kind, tuple(shape)) for kind, shape in data["training"]["targets"])
        data["training"] = TrainingPlan(**{**data["training"], "targets": targets})
    return Job(**{**data, "roots": tuple(data["roots"])})


def _unit(data: dict[str, Any]) -> WeightUnit:
    modules = tuple(
        {name: Weight(w["source"], as_tuples(w["transform"]), w["optional"]) for name, w in m.items()}
        for m in data["modules"]
    )
    span = Span(**data["span"]) if data["span"] else None
    return WeightUnit(data["keras_class"], data["name"], modules, span, data["place"], tuple(data["unused"]))


def as_tuples(value: Any) -> Any:
    """What JSON made lists of."""
    return tuple(map(as_tuples, value)) if isinstance(value, list) else value


def module_name(path: Path, roots: Sequence[Path] = ()) -> tuple[str, Path]:
    """The dotted name `path` is imported under, and the directory to import it from.

    A root that contains the file decides; otherwise the outermost folder of the chain that has `__init__.py`.
    """
    path = path.resolve()
    for root in map(Path.resolve, map(Path, roots)):
        if root in path.parents:
            return _dotted(path.relative_to(root)), root
    top = path.parent
    while (top / "__init__.py").is_file():
        top = top.parent
    return _dotted(path.relative_to(top)), top


def _dotted(relative: Path) -> str:
    parts = [*relative.parts[:-1], relative.stem]
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
