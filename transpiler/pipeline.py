"""The stages in order: source text → program → staged program → PyTorch text.

This module alone knows them all; `cli`, `report` and `verify` start here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transpiler.diagnostics import Finding, Findings, Severity, Span
from transpiler.ir.conversion import Conversion, ConvertedModule, EntryPlan, WeightUnit
from transpiler.ir.model import KERAS3


def convert_file(
    path: Path,
    *,
    text: str | None = None,
    entries: Sequence[str] = (),
    setup: str = "",
    roots: Sequence[Path] = (),
    generation: str = KERAS3,
    allow_partial: bool = False,
    shapes: Sequence[tuple[int | None, ...]] = (),
    ids: bool = False,
) -> Conversion:
    """Converts the file at `path` (or `text`, read from elsewhere) and what it imports from its own package.

    With `entries`, expressions in the names of the module and of `setup`, those models are planned and only what they
    need is converted; without, every model-building function that can be called with its defaults and every
    module-level model is. The first of `Conversion.modules` is the file itself.

    `shapes` (batch first) are those of the inputs of models that do not declare any; with `ids` they are integers.

    Raises Declined for a file that cannot be read or parsed.
    """
    from transpiler.assemble import Assembly
    from transpiler.ir.shape import TensorType
    from transpiler.read.keras.names import module_name
    from transpiler.read.keras.program import Program

    findings = Findings()
    name, top = module_name(path, roots)
    program = Program(path, text, name, [*roots, top], generation, findings)
    if not program.source.mentions_keras and not entries:
        message = f"{path} does not use Keras"
        note = Finding("K2T003", Severity.NOTE, message, "", Span(str(path), 1))
        return Conversion([ConvertedModule(name, path, program.source.text, False)], [], [note])
    inputs = [TensorType(tuple(s), "int32" if ids else "float32") for s in shapes]
    assembly = Assembly(program, findings, allow_partial, bool(entries), inputs)
    program.run_setup(setup)
    plans = assembly.plan_entries(entries, setup) if entries else assembly.plan_all()
    modules = assembly.write()
    assumptions = [
        f"{n} is not installed or not part of the project; its values are unknown"
        for n in program.interpreter.missing_imports
    ]
    return Conversion(modules, plans, findings.items, assumptions, assembly.origins())


__all__ = ["Conversion", "ConvertedModule", "EntryPlan", "WeightUnit", "convert_file"]
