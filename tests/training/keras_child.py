"""Runs a Keras training script without noise and shuffling; keeps the weights it starts from.

`keras_child.py JOB.json WEIGHTS.npz SCRIPT.py`
"""

import os
import runpy
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from transpiler.verify import live
from transpiler.verify.draws import Draws
from transpiler.verify.job import read_job
from transpiler.verify.keras_fit import sum_gradients
from transpiler.verify.keras_side import in_plan_order, pair

weights, script = sys.argv[2], Path(sys.argv[3])
job = read_job(Path(sys.argv[1]))
keras = live.import_framework(job.generation)
recorder = live.Recorder(keras, lambda file: os.path.basename(file) == script.name)
begun: list[object] = []


def begin(model: object, data: object) -> None:
    """Keeps the initial weights of the model that the plan is for, when it is first used."""
    if any(m is model for m in begun):
        return
    begun.append(model)
    if not model.built:
        model(data[:1])
    units = in_plan_order(live.unit_layers(model, keras, recorder.log), job)
    if len(begun) == 1:
        np.savez(weights, **{f"u|{k}": v.numpy() for k, v in pair(units, job, model).items()})
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
with Draws().in_tensorflow():
    runpy.run_path(str(script), run_name="__main__")
