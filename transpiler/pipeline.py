"""The stages in order: source text → program → staged program → PyTorch text.

This module alone knows them all; `cli`, `report` and `verify` start here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from transpiler.diagnostics import Declined, Finding, Findings, Severity, Span
from transpiler.files import read_source
from transpiler.ir.conversion import Conversion, ConvertedModule, EntryPlan, WeightUnit
from transpiler.ir.model import AUTO, KERAS2
from transpiler.options import PLAIN, Options

if TYPE_CHECKING:
    from transpiler.assemble import Assembly
    from transpiler.read.keras.program import Program


def convert_file(
    path: Path,
    *,
    text: str | None = None,
    entries: Sequence[str] = (),
    setup: str = "",
    roots: Sequence[Path] = (),
    generation: str = AUTO,
    allow_partial: bool = False,
    trainer: str = PLAIN,
    strict: bool = False,
    shapes: Sequence[tuple[int | None, ...]] = (),
    ids: bool = False,
) -> Conversion:
    """Converts the file at `path` (or `text`, read from elsewhere) and what it imports from its own package.

    With `entries`, expressions in the names of the module and of `setup`, those models are planned and only what they
    need is converted; without, every model-building function that can be called with its defaults and every
    module-level model is. The first of `Conversion.modules` is the file itself.

    `trainer` says what the training becomes, one of `options.TRAINERS`; with `strict` only exact forms of it are written.
    `shapes` (batch first) are those of the inputs of models that do not declare any; with `ids` they are integers.

    Raises Declined for a file that cannot be read or parsed.
    """
    from transpiler.assemble import Assembly
    from transpiler.ir.shape import TensorType
    from transpiler.read.keras.names import generation_of, module_name
    from transpiler.read.keras.program import Program

    findings = Findings()
    name, top = module_name(path, roots)
    chosen = generation_of([text if text is not None else text_of(path)]) if generation == AUTO else generation
    program = Program(path, text, name, [*roots, top], chosen, findings)
    if not program.source.mentions_keras and not entries:
        message = f"{path} does not use Keras"
        note = Finding("K2T003", Severity.NOTE, message, "", Span(str(path), 1))
        return Conversion([ConvertedModule(name, path, program.source.text, False)], [], [note])
    inputs = [TensorType(tuple(s), "int32" if ids else "float32") for s in shapes]
    assembly = Assembly(program, findings, Options(allow_partial, trainer, strict), bool(entries), inputs)
    program.run_setup(setup)
    plans = assembly.plan_entries(entries, setup) if entries else assembly.plan_all()
    if generation == AUTO and program.interpreter.only_legacy:
        again = convert_file(
            path,
            text=text,
            entries=entries,
            setup=setup,
            roots=roots,
            generation=KERAS2,
            allow_partial=allow_partial,
            trainer=trainer,
            strict=strict,
            shapes=shapes,
            ids=ids,
        )
        return with_assumed(again, program)
    modules = assembly.write()
    plans = assembly.with_training(plans)
    return finished(assembly, modules, plans)


def convert_project(
    files: Sequence[Path],
    *,
    setup: str = "",
    roots: Sequence[Path] = (),
    generation: str = AUTO,
    allow_partial: bool = False,
    trainer: str = PLAIN,
    strict: bool = False,
) -> Conversion:
    """Converts files that belong together: each class stands in the file of its function, and others import it.

    `Conversion.modules` has a module for each file that was read, and one for helpers that several of them need. Files that
    cannot be read, and those of which the dotted name is taken by another, leave a finding.
    """
    from transpiler.assemble import Assembly
    from transpiler.read.keras.names import dotted_name, generation_of
    from transpiler.read.keras.program import Program

    findings = Findings()
    tops = dict.fromkeys(dotted_name(f)[1] for f in files)
    chosen = generation_of(map(text_of, files)) if generation == AUTO else generation
    program: Program | None = None
    programs: list[Program] = []
    for file in files:
        try:
            if program is None:
                program = Program(file, None, dotted_name(file)[0], [*roots, *tops], chosen, findings)
                programs.append(program)
            else:
                programs.append(program.beside(file))
            names = [p.source.name for p in programs]
            if names.count(names[-1]) > 1:
                programs.pop()
                message = f"another file of the project is imported as {names[-1]} as well"
                raise Declined("K2T002", message, "Convert it by itself.", Span(str(file), 1))
        except Declined as declined:
            findings.add(declined.finding())
    if program is None:
        return Conversion([], [], findings.items)
    assembly = Assembly(program, findings, Options(allow_partial, trainer, strict), False)
    program.run_setup(setup)
    plans = assembly.plan_project(programs)
    if generation == AUTO and program.interpreter.only_legacy:
        again = convert_project(
            files,
            setup=setup,
            roots=roots,
            generation=KERAS2,
            allow_partial=allow_partial,
            trainer=trainer,
            strict=strict,
        )
        return with_assumed(again, program)
    modules = assembly.write()
    return finished(assembly, modules, plans)


def finished(assembly: Assembly, modules: list[ConvertedModule], plans: list[EntryPlan]) -> Conversion:
    """What a conversion yields, and what it took for granted."""
    program = assembly.program
    only_legacy = tuple(program.interpreter.only_legacy)
    return Conversion(modules, plans, assembly.all_findings(), assumptions(program), only_legacy, assembly.origins())


def with_assumed(conversion: Conversion, program: Program) -> Conversion:
    """A conversion for legacy Keras, with what says that the program is written for it."""
    conversion.assumptions.append(
        f"legacy Keras, as Keras 3 does not have {next(iter(program.interpreter.only_legacy))}"
    )
    return conversion


def text_of(path: Path) -> str:
    """The text of a file; empty if it cannot be read, which the reader reports."""
    try:
        return read_source(path).text
    except Declined:
        return ""


def assumptions(program: Program) -> list[str]:
    """What a conversion takes for granted: modules that are not there."""
    missing = program.interpreter.missing_imports
    unset = program.interpreter.asked_environment
    return [
        *(f"{n} is not installed or not part of the project; its values are unknown" for n in missing),
        *(f"the environment variable {n} is not set" for n in unset),
    ]


__all__ = ["Conversion", "ConvertedModule", "EntryPlan", "WeightUnit", "convert_file", "convert_project"]
