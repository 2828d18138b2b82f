"""Runs whole training scripts: the Keras original, and the result of its conversion from the same initial weights.

Noise and shuffling are off on both sides. What the scripts print is compared number by number.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from transpiler.options import PLAIN
from transpiler.pipeline import Conversion, convert_file
from transpiler.verify.job import InputSpec, job_for, module_name

HERE = Path(__file__).parent
NUMBER = re.compile(r"[-+]?\d+\.\d+(?:e[-+]?\d+)?|nan|inf")


def printed(
    path: Path, folder: Path, generation: str = "keras3", trainer: str = PLAIN
) -> tuple[Conversion, list[float], list[float]]:
    """The conversion of a script, and the numbers that it and its result print."""
    conversion = convert_file(path, generation=generation, trainer=trainer)
    errors = [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]
    assert not errors, errors
    name, top = module_name(path)
    (plan,) = [p for p in conversion.entries if p.training is not None] or conversion.entries[-1:]
    job = folder / "job.json"
    job_for(path, name, [top], generation, plan, conversion.modules, InputSpec()).write(job)
    weights = folder / "weights.npz"
    converted = folder / f"{path.stem}_torch.py"
    converted.write_text(conversion.modules[0].text, encoding="utf-8")
    keras = child("keras_child.py", folder, generation, job, weights, path)
    result = child("torch_child.py", folder, generation, job, weights, converted)
    return conversion, numbers(keras), numbers(result)


def printed_by_hand(
    path: Path, folder: Path, generation: str = "keras3"
) -> tuple[Conversion, list[float], list[float]]:
    """The same for a script that makes its models at its top level, any number of them, and trains them itself."""
    conversion = convert_file(path, generation=generation)
    errors = [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]
    assert not errors, errors
    name, top = module_name(path)
    for i, plan in enumerate(conversion.entries):
        job = job_for(path, name, [top], generation, plan, conversion.modules, InputSpec())
        job.write(folder / f"job{i}.json")
    converted = folder / f"{path.stem}_torch.py"
    converted.write_text(conversion.modules[0].text, encoding="utf-8")
    keras = child("keras_by_hand.py", folder, generation, folder, path)
    result = child("torch_by_hand.py", folder, generation, folder, converted)
    return conversion, numbers(keras), numbers(result)


def printed_as_it_is(path: Path, folder: Path, generation: str, trainer: str) -> tuple[list[float], list[float]]:
    """The numbers that a script and its result print, where neither draws any."""
    conversion = convert_file(path, generation=generation, trainer=trainer)
    errors = [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]
    assert not errors, errors
    converted = folder / f"{path.stem}_torch.py"
    converted.write_text(conversion.modules[0].text, encoding="utf-8")
    keras = child("plain_child.py", folder, generation, generation, path)
    done = subprocess.run([sys.executable, converted], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return numbers(keras), numbers(done.stdout)


def child(script: str, folder: Path, generation: str, *arguments: Path | str) -> str:
    legacy = {"TF_USE_LEGACY_KERAS": "1"} if generation == "tf_keras" else {}
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", **legacy}
    done = subprocess.run(
        [sys.executable, HERE / script, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def numbers(text: str) -> list[float]:
    return [float(n) for n in NUMBER.findall(text)]
