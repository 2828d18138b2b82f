"""The state dict of the result of a conversion: its keys, and the variable of Keras that each comes from."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transpiler.diagnostics import Declined
from transpiler.ir.conversion import Conversion, EntryPlan
from transpiler.verify.children import environment
from transpiler.verify.job import InputSpec, as_tuples, job_for, module_name
from transpiler.weights.found import Key

if TYPE_CHECKING:
    import numpy as np

TIMEOUT = 600.0
REPORT = "This is a mistake of the converter; please report it."


@dataclass(frozen=True)
class Target:
    """The result's side: its keys in order, and the values of those that Keras has no variable for."""

    plan: EntryPlan
    keys: Sequence[Key]
    kept: dict[str, np.ndarray]


def target_of(path: Path, conversion: Conversion, plan: EntryPlan, generation: str, roots: Sequence[Path]) -> Target:
    """Builds the result under torch, in a process of its own, and asks for its state dict.

    Raises Declined where it cannot be built, or its parameters are not those that were planned.
    """
    import numpy as np

    top = module_name(path, roots)[1]
    job = job_for(path, conversion.modules[0].name, (*roots, top), generation, plan, conversion.modules, InputSpec())
    with tempfile.TemporaryDirectory(prefix="keras2torch-") as folder:
        files = [str(Path(folder) / n) for n in ("job.json", "keys.json", "values.npz")]
        job.write(Path(files[0]))
        command = [sys.executable, "-m", "transpiler.weights.torch_keys", *files]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, env=environment(), timeout=TIMEOUT, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:
            raise Declined("K2T603", f"the result was not built within {TIMEOUT:.0f} s") from None
        report = json.loads(Path(files[1]).read_text()) if Path(files[1]).exists() else None
        if report is None or report["stage"] == "build":
            said = report["error"] if report else done.stderr[-1000:]
            if "No module named 'torch'" in said:
                raise ModuleNotFoundError("No module named 'torch'", name="torch")
            raise Declined("K2T602", f"the result of {plan.expression} cannot be built: {said}", REPORT)
        if report["stage"] == "pairing":
            raise Declined("K2T604", report["error"], REPORT)
        with np.load(files[2], allow_pickle=False) as values:
            kept = {key: values[key] for key in values.files}
    return Target(plan, [_key(row) for row in report["keys"]], kept)


def _key(row: dict[str, Any]) -> Key:
    return Key(
        row["key"],
        tuple(row["shape"]),
        row["dtype"],
        row.get("unit", -1),
        row.get("source", ""),
        as_tuples(row.get("transform", ())),
    )
