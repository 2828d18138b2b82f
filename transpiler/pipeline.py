"""The stages in order: source text → program → staged program → PyTorch text.

This module alone knows them all; `cli`, `report` and `verify` start here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from transpiler.diagnostics import Declined, Finding, Findings, Severity, Span
from transpiler.ir.model import KERAS3, Weight


@dataclass(frozen=True)
class WeightUnit:
    """One Keras layer with variables, and the torch modules that hold its parameters.

    `modules` has, for each torch module of the layer in construction order, its parameters and buffers by name.
    """

    keras_class: str
    name: str | None
    modules: tuple[Mapping[str, Weight], ...]
    span: Span | None = None


@dataclass(frozen=True)
class EntryPlan:
    """One model of the program: how to build it on either side, and how its weights correspond.

    `setup` and `expression` are Keras code; `torch_setup` and `torch_expression` do the same with the result.
    `units` are in construction order, as are the layers of the Keras program and the modules of the torch one.
    """

    expression: str
    setup: str
    torch_expression: str
    torch_setup: str
    tier: str
    units: tuple[WeightUnit, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class ConvertedModule:
    """The PyTorch text of one source file, by the dotted name it is imported under."""

    name: str
    path: Path
    text: str
    changed: bool = True


@dataclass
class Conversion:
    """What one run of the converter yields."""

    modules: list[ConvertedModule] = field(default_factory=list)
    entries: list[EntryPlan] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)


def convert_file(
    path: Path,
    *,
    text: str | None = None,
    entries: Sequence[str] = (),
    setup: str = "",
    roots: Sequence[Path] = (),
    generation: str = KERAS3,
    allow_partial: bool = False,
) -> Conversion:
    """Converts the file at `path` (or `text`, read from elsewhere) and what it imports from its own package.

    With `entries`, expressions in the names of the module and of `setup`, those models are planned and only what they
    need is converted; without, every model-building function that can be called with its defaults and every
    module-level model is. The first of `Conversion.modules` is the file itself.

    Raises Declined for a file that cannot be read or parsed.
    """
    from transpiler.assemble import Assembly
    from transpiler.read.keras.names import module_name
    from transpiler.read.keras.program import Program

    findings = Findings()
    name, top = module_name(path, roots)
    program = Program(path, text, name, [*roots, top], generation, findings)
    if not program.source.mentions_keras and not entries:
        message = f"{path} does not use Keras"
        note = Finding("K2T003", Severity.NOTE, message, "", Span(str(path), 1))
        return Conversion([ConvertedModule(name, path, program.source.text, False)], [], [note])
    assembly = Assembly(program, findings, allow_partial, bool(entries))
    program.run_setup(setup)
    plans = assembly.plan_entries(entries, setup) if entries else assembly.plan_all()
    modules = assembly.write()
    assumptions = [f"{n} is not installed or not part of the project; its values are unknown" for n in program.interpreter.missing_imports]
    return Conversion(modules, plans, findings.items, assumptions + assembly.assumptions)


__all__ = ["Conversion", "ConvertedModule", "Declined", "EntryPlan", "WeightUnit", "convert_file"]
