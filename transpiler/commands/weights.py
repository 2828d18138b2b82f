"""`keras2torch weights`: weights of Keras for the result of a conversion, and back."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transpiler.commands.common import Failure, ReadingOptions, crash, print_findings, refuse_target, say
from transpiler.diagnostics import Declined, Finding, Severity
from transpiler.files import read_source, reason, write_atomic
from transpiler.report.run import COULD_NOT, DONE

if TYPE_CHECKING:
    from transpiler.pipeline import Conversion, EntryPlan
    from transpiler.weights.found import Found
    from transpiler.weights.target import Target

ENDS = re.compile(r"((\.weights)?\.h5|\.keras|\.index|\.data-\d{5}-of-\d{5})$")
"""What the names of files of weights end with."""


def weights(
    path: str, file: str, reading: ReadingOptions, output: str | None, map_target: str | None, reverse: str | None
) -> int:
    """Carries out the command and returns the exit code."""
    target = Path(output) if output else default_output(Path(file), reverse)
    for name in (str(target), map_target):
        refuse_target(name)
    text = {}
    try:
        source = read_source(Path(path))
        text = {source.name: source.text}
        findings = run(Path(path), Path(file), reading, target, map_target, Path(reverse) if reverse else None)
    except Declined as declined:
        findings = [declined.finding()]
    except ModuleNotFoundError as error:
        if error.name not in ("h5py", "numpy", "safetensors", "torch"):
            raise
        message = f"weights needs {error.name}, not installed here: pip install 'keras2torch[weights]'"
        raise Failure(message) from None
    except Failure:
        raise
    except Exception as error:
        findings = [crash(error, path).finding()]
    print_findings(findings, text)
    return COULD_NOT if any(f.severity is Severity.ERROR for f in findings) else DONE


def default_output(file: Path, reverse: str | None) -> Path:
    """Beside the weights: their name, with another end. Raises Failure where that would be the file itself."""
    if reverse:
        raise Failure("--reverse needs -o: the file of Keras to write")
    file = file if file.name not in ("", "..") else file.resolve()
    return file.with_name(f"{ENDS.sub('', file.name)}.safetensors")


def run(
    path: Path, file: Path, reading: ReadingOptions, output: Path, map_target: str | None, reverse: Path | None
) -> list[Finding]:
    """The findings; the results are written if none of them is an error."""
    from transpiler.weights.opening import opened
    from transpiler.weights.transfer import find, map_of

    with opened(file) as content:
        target = prepared(path, reading)
        assert target.plan.saved is not None
        found = find(content, target.plan.saved, target.keys)
        save_map(map_target, map_of(target, found) | {"source": str(path), "weights": str(file)})
        if reverse is None:
            forward(target, found, output)
        else:
            backward(target, found, reverse, file, output)
    return found.findings


def forward(target: Target, found: Found, output: Path) -> None:
    from transpiler.weights.state import state_bytes
    from transpiler.weights.transfer import state_of

    if not found.failed:
        state = state_of(target, found)
        put(output, state_bytes(state, output.name))
        say(f"{output}: {len(state)} tensors of {target.plan.expression}")


def backward(target: Target, found: Found, state_file: Path, layout: Path, output: Path) -> None:
    from transpiler.weights.state import read_state
    from transpiler.weights.transfer import arrays_for, check_state, check_writable, write_keras

    state = read_state(state_file)
    check_state(state, target, found)
    if found.failed:
        return
    check_writable(layout, found)
    arrays = arrays_for(state, target, found)
    if not found.failed:
        try:
            write_keras(layout, output, arrays)
        except OSError as error:
            raise Failure(f"cannot write {output}: {reason(error)}") from None
        say(f"{output}: {len(arrays)} variables of {target.plan.expression}")


def prepared(path: Path, reading: ReadingOptions) -> Target:
    """The conversion of the one model that is meant, and the keys of its state dict.

    Raises Declined if it is not converted, Failure if it is not clear which one is meant.
    """
    from transpiler.pipeline import convert_file
    from transpiler.weights.target import target_of

    plan = reading.plan(str(path))
    options: dict[str, Any] = {k: v for k, v in plan.of_any.items() if k not in ("allow_partial", "trainer", "strict")}
    conversion = convert_file(path, entries=plan.entries, shapes=plan.shapes, **options)
    entry = the_entry(path, conversion)
    if entry.saved is None:
        raise Declined("K2T705", f"the order in which Keras lists the layers of {entry.expression} is not known")
    return target_of(path, conversion, entry, plan.keras, plan.roots)


def the_entry(path: Path, conversion: Conversion) -> EntryPlan:
    errors = [f for f in conversion.all_findings if f.severity is Severity.ERROR]
    if not conversion.entries:
        if errors:
            raise Declined(errors[0].code, errors[0].message, errors[0].advice, errors[0].span)
        raise Failure(f"{path}: no model found: name one with --entry")
    if len(conversion.entries) > 1:
        names = ", ".join(e.expression for e in conversion.entries)
        raise Failure(f"{path}: several models: name one with --entry: {names}")
    return conversion.entries[0]


def put(path: Path, data: bytes) -> None:
    try:
        write_atomic(path, data)
    except OSError as error:
        raise Failure(f"cannot write {path}: {reason(error)}") from None


def save_map(target: str | None, data: dict[str, Any]) -> None:
    if target is None:
        return
    import json

    text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
    else:
        put(Path(target), text.encode("utf-8", "backslashreplace"))
