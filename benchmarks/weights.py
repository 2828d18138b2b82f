#!/usr/bin/env python3
"""Move the weights of every model of a manifest through files: weights.py MANIFEST SRC [--json OUT] [ID ...]

MANIFEST and SRC are those of `corpus.py`. Each model is built under the Keras it was written for, given random weights, and
saved in every kind of file that this Keras writes; each file then has to load strictly into the converted model, every tensor has to
be the one of the live layer, bit for bit, and the outputs have to agree in float32. Each entry runs in processes of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

TIMEOUT = 900
KINDS = {"whole.h5": "save", "whole.keras": "save", "only.weights.h5": "save_weights", "only.h5": "save_weights"}
TENSORFLOWS = {"checkpoint": "save_weights"}
"""What legacy Keras writes besides, with this name and in a folder of this name."""


def save_files(job_file: str, folder: Path) -> None:
    """The Keras child: builds and draws as `verify` does, writes the files, and what they have to give."""
    import numpy as np

    from transpiler.ir.model import KERAS2
    from transpiler.verify import keras_side, live
    from transpiler.verify.imports import StubFinder, add_roots
    from transpiler.verify.job import read_job
    from transpiler.verify.keras_model import build, set_floatx

    job = read_job(Path(job_file))
    keras = live.import_framework(job.generation)
    sys.meta_path.append(StubFinder(None))
    add_roots(job.roots)
    set_floatx(keras, job.generation, "float32")
    recorder = live.Recorder(keras, lambda file: not file.startswith("<"))
    subject = build(keras, job, "float32", recorder)
    units = keras_side.in_plan_order(live.unit_layers(subject.model, keras, recorder.log), job)
    arrays: dict[str, Any] = {}
    meta: dict[str, Any] = {}
    work = keras_side.Work(subject, units, keras_side.pair(units, job, subject.model), arrays, meta)
    live.silence(subject.model)
    work.make_draw()
    work.forward()
    np.savez(folder / "values.npz", kappa=meta["kappa"], **arrays)
    warnings.simplefilter("ignore")
    refused = {}
    for name, method in KINDS.items():
        try:
            getattr(subject.model, method)(str(folder / name))
        except Exception as error:  # Keras itself does not save such a model so
            (folder / name).unlink(missing_ok=True)
            refused[name] = f"{type(error).__name__}: {str(error)[:100]}"
    for name, method in TENSORFLOWS.items() if job.generation == KERAS2 else ():
        getattr(subject.model, method)(str(folder / name / name))
    (folder / "refused.json").write_text(json.dumps(refused))


def load_files(job_file: str, folder: Path) -> None:
    """The torch child: loads every state and compares the outputs; writes the relative errors."""
    import numpy as np
    import torch
    from safetensors.torch import load_file

    from transpiler.verify.compare import all_differences
    from transpiler.verify.job import read_job
    from transpiler.verify.torch_model import forward, silence, tensors
    from transpiler.verify.torch_side import build

    model, _ = build(read_job(Path(job_file)))
    silence(model)
    model.eval()
    values = np.load(folder / "values.npz")
    inputs = tensors(
        [values[k] for k in sorted((k for k in values.files if k.startswith("in|0|")), key=_number)], torch.float32
    )
    wanted = [values[k] for k in sorted((k for k in values.files if k.startswith("out|0|")), key=_number)]
    errors = {}
    for file in sorted(folder.glob("*.safetensors")):
        model.load_state_dict(load_file(file), strict=True)
        with torch.no_grad():
            found = [t.numpy() for t in forward(model, inputs)]
        errors[file.name.removesuffix(".safetensors")] = all_differences(wanted, found).max_rel
    (folder / "errors.json").write_text(json.dumps(errors))


def _number(key: str) -> int:
    return int(key.rpartition("|")[2])


def run_entry(entry: dict[str, Any], src: Path) -> dict[str, Any]:
    """The row of one entry: `files` says of each kind of file "ok" or what is wrong."""
    import corpus
    import numpy as np

    from transpiler.ir.weights import apply_transform
    from transpiler.pipeline import convert_file
    from transpiler.verify.compare import bound
    from transpiler.verify.job import job_for, module_name
    from transpiler.weights.opening import opened
    from transpiler.weights.state import state_bytes
    from transpiler.weights.target import target_of
    from transpiler.weights.transfer import find, state_of

    given, path = corpus.options(entry, src), corpus.source_file(entry, src)
    inputs = given.pop("inputs")
    conversion = convert_file(path, **given, shapes=inputs.shapes or (), ids=inputs.all_ids)
    if not conversion.entries:
        return {"status": "declined", "why": "; ".join(f.message for f in conversion.findings), "files": {}}
    plan, roots = conversion.entries[0], given["roots"]
    if plan.saved is None:
        return {"status": "no order", "why": "the order of the layers is not known", "files": {}}
    name, top = conversion.modules[0].name, module_name(path, roots)[1]
    job = job_for(path, name, (*roots, top), given["generation"], plan, conversion.modules, inputs)
    with tempfile.TemporaryDirectory(prefix="weights-") as at:
        folder, job_file = Path(at), f"{at}/job.json"
        job.write(Path(job_file))
        problem = child("save", job_file, folder)
        if problem:
            return {"status": "keras fails", "why": problem, "files": {}}
        target = target_of(path, conversion, plan, given["generation"], roots)
        values = np.load(folder / "values.npz")
        refused = json.loads((folder / "refused.json").read_text())
        files = {n: f"not saved: {why}" for n, why in refused.items()}
        for file in sorted([*folder.glob("*.h5"), *folder.glob("*.keras"), *filter(Path.is_dir, folder.iterdir())]):
            with opened(file) as content:
                found = find(content, plan.saved, target.keys)
                if found.failed:
                    files[file.name] = "; ".join(f.message for f in found.findings)[:600]
                    continue
                state = state_of(target, found)
            for key in target.keys:
                if key.source:
                    array = values[f"u|{key.unit}|{key.source}"]
                    if not np.array_equal(state[key.name], apply_transform(array, key.transform, key.shape)):
                        files.setdefault(file.name, f"{key.name} has the values of another variable")
            (folder / f"{file.name}.safetensors").write_bytes(state_bytes(state))
        problem = child("load", job_file, folder)
        if problem:
            return {"status": "torch fails", "why": problem, "files": files}
        limit = bound("float32", float(values["kappa"]))
        for name, error in json.loads((folder / "errors.json").read_text()).items():
            files.setdefault(name, "ok" if error <= limit else f"outputs differ by {error:.1e} (bound {limit:.1e})")
        fine = any(v == "ok" for v in files.values()) and all(
            v == "ok" or v.startswith("not saved") for v in files.values()
        )
        return {"status": "pass" if fine else "fail", "why": "", "files": files, "tier": plan.tier}


def child(mode: str, job: str, folder: Path) -> str:
    """Runs one side; what went wrong."""
    command = [sys.executable, __file__, "--child", mode, job, str(folder)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)  # fmt: skip
    try:
        errors = process.communicate(timeout=TIMEOUT)[1]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"no result within {TIMEOUT} s"
    lines = errors.strip().splitlines() or [f"exit code {process.returncode}"]
    return lines[-1][:300] if process.returncode else ""


def main() -> int:
    if sys.argv[1:2] == ["--child"]:
        mode, job, folder = sys.argv[2:]
        (save_files if mode == "save" else load_files)(job, Path(folder))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("src", type=Path)
    parser.add_argument("ids", nargs="*")
    parser.add_argument("--json", type=Path, dest="out", help="write the rows here, one a line, as they come")
    args = parser.parse_intermixed_args()
    entries = [json.loads(line) for line in args.manifest.read_text(encoding="utf-8").splitlines() if line.strip()]
    rows = []
    for entry in [e for e in entries if not args.ids or e["id"] in args.ids]:
        started = time.monotonic()
        try:
            row = run_entry(entry, args.src.resolve())
        except Exception as error:  # a mistake of ours is a row like any other
            row = {"status": "error", "why": f"{type(error).__name__}: {error}"[:600], "files": {}}
        row |= {"id": entry["id"], "seconds": round(time.monotonic() - started, 1)}
        rows.append(row)
        bad = "; ".join(f"{n}: {v}" for n, v in row["files"].items() if v != "ok")
        kinds = sum(v == "ok" for v in row["files"].values())
        print(
            f"{row['id']:44} {row['status']:11} {kinds} files  {row['seconds']:6.1f} s  {row['why']} {bad}"[:400],
            flush=True,
        )
        if args.out:
            with args.out.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
    counts = Counter(r["status"] for r in rows)
    print(f"{counts['pass']} of {len(rows)} pass; {dict(counts)}")
    print("files that load and compute the same:", sum(v == "ok" for r in rows for v in r["files"].values()))
    return 0 if counts["pass"] == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
