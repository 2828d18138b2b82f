"""Runs a script of a Keras project without noise and shuffling; keeps the weights that its first model starts from.

`keras_project.py FOLDER SCRIPT.py`; the folder holds the jobs of all entries.
"""

import contextlib
import runpy
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from transpiler.verify import live
from transpiler.verify.draws import Draws
from transpiler.verify.job import read_job
from transpiler.verify.keras_fit import sum_gradients
from transpiler.verify.keras_side import PairingError, in_plan_order, pair

folder, script = Path(sys.argv[1]), Path(sys.argv[2])
jobs = {p: read_job(p) for p in sorted(folder.glob("job*.json"))}
keras = live.import_framework(next(iter(jobs.values())).generation)
top = script.parent
while (top / "__init__.py").is_file():
    top = top.parent
recorder = live.Recorder(keras, lambda file: top in Path(file).resolve().parents)
begun: list[object] = []


def begin(model: object, data: object) -> None:
    """Keeps the initial weights of a model, when it is first used."""
    if any(m is model for m in begun):
        return
    begun.append(model)
    if not model.built:
        model(data[:1])
    if len(begun) == 1 and not (folder / "weights.npz").is_file():
        for path, job in jobs.items():
            with contextlib.suppress(PairingError):
                units = in_plan_order(live.unit_layers(model, keras, recorder.log), job)
                np.savez(folder / "weights.npz", **{f"u|{k}": v.numpy() for k, v in pair(units, job, model).items()})
                (folder / "begun").write_text(path.name)
                break
    live.silence(model)
    if getattr(model, "optimizer", None) is not None:
        sum_gradients(model.optimizer)


def without_chance(method):
    def run(self, *args, **kwargs):
        begin(self, args[0] if args else kwargs.get("x"))
        if method.__name__ == "fit":
            kwargs |= {"shuffle": False}
        if "batch" not in method.__name__:
            kwargs |= {"verbose": 0}
        return method(self, *args, **kwargs)

    return run


tf.data.Dataset.shuffle = lambda self, *args, **kwargs: self
for name in ("fit", "train_on_batch", "evaluate", "predict"):
    setattr(keras.Model, name, without_chance(getattr(keras.Model, name)))
sys.argv = [str(script)]
sys.path.insert(0, str(top))
with Draws().in_tensorflow():
    runpy.run_module(".".join(script.relative_to(top).with_suffix("").parts), run_name="__main__", alter_sys=True)
