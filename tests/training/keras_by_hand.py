"""Runs a Keras script that trains with tapes or batch by batch; keeps the weights that its models start from.

`keras_by_hand.py FOLDER SCRIPT.py`; the folder holds the jobs of all entries.
"""

import contextlib
import json
import os
import runpy
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from transpiler.verify import live
from transpiler.verify.draws import Draws
from transpiler.verify.job import read_job
from transpiler.verify.keras_side import PairingError, in_plan_order, pair

folder, script = Path(sys.argv[1]), Path(sys.argv[2])
jobs = [read_job(p) for p in sorted(folder.glob("job*.json"))]
keras = live.import_framework(jobs[0].generation)
recorder = live.Recorder(keras, lambda file: os.path.basename(file) == script.name)
names: dict[str, int] = {}


def begin() -> None:
    """Keeps the initial weights of all models of the script that belong to an entry."""
    for name, model in vars(sys.modules["__main__"]).items():
        if not any(base.__name__ == "Model" for base in type(model).__mro__) or name in names:
            continue
        live.silence(model)
        for i, job in sorted(enumerate(jobs), key=lambda j: j[1].expression != name):
            with contextlib.suppress(PairingError):
                units = in_plan_order(live.unit_layers(model, keras, recorder.log), job)
                found = {f"u|{k}": v.numpy() for k, v in pair(units, job, model).items()}
                np.savez(folder / f"weights_{name}.npz", **found)
                names[name] = i
                break
    (folder / "names.json").write_text(json.dumps(names))


def beginning(method, **fixed):
    def run(self, *args, **kwargs):
        if args and isinstance(args[0], np.ndarray) and not self.built:
            with contextlib.suppress(NotImplementedError):  # a model that only holds others
                self(args[0][:1])
        begin()
        return method(self, *args, **{**kwargs, **fixed})

    return run


def called(self, *args, **kwargs):
    """A model that has no weights before its first call has those that it starts from after it."""
    built = self.built
    result = original_call(self, *args, **kwargs)
    if not built:
        with tf.init_scope():
            begin()
    return result


tf.data.Dataset.shuffle = lambda self, *args, **kwargs: self
tf.GradientTape.__init__ = beginning(tf.GradientTape.__init__)
Model = next(base for base in keras.Sequential.__mro__ if base.__name__ == "Model")
original_call, Model.__call__ = Model.__call__, called
Model.fit = beginning(Model.fit, shuffle=False, verbose=0)
Model.predict = beginning(Model.predict, verbose=0)
Model.evaluate = beginning(Model.evaluate, verbose=0)
Model.train_on_batch = beginning(Model.train_on_batch)
sys.argv = [str(script)]
with Draws().in_tensorflow():
    runpy.run_path(str(script), run_name="__main__")
