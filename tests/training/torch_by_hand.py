"""Runs the result of such a conversion from the weights that Keras started from.

`torch_by_hand.py FOLDER SCRIPT.py`
"""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils import data

from transpiler.verify.draws import Draws
from transpiler.verify.job import read_job
from transpiler.verify.torch_model import Recorder, in_source_order, load, pair, silence

folder, script = Path(sys.argv[1]), sys.argv[2]
jobs = [read_job(p) for p in sorted(folder.glob("job*.json"))]
names = json.loads((folder / "names.json").read_text())
recorder = Recorder([script])
loaded: set[str] = set()
original_to, original_loader = nn.Module.to, data.DataLoader.__init__


def to(self: nn.Module, *args, **kwargs) -> nn.Module:
    for name, value in list(vars(sys.modules["__main__"]).items()):
        if not isinstance(value, nn.Module) or name not in names or name in loaded:
            continue
        if any(value is part for part in self.modules()):
            loaded.add(name)
            job, weights = jobs[names[name]], dict(np.load(folder / f"weights_{name}.npz"))
            orders = {script: next(m.source_orders for m in job.converted)}
            own = set(map(id, value.modules()))
            made = in_source_order(value, [m for m in recorder.made if id(m) in own], orders)
            load(pair(value, made, job.units or (), dict.fromkeys(k[2:] for k in weights)), weights)
            silence(value)
    return original_to(self, *args, **kwargs)


def in_order(self, *args, **kwargs) -> None:
    original_loader(self, *args, **{**kwargs, "shuffle": False})


nn.Module.to, data.DataLoader.__init__ = to, in_order
torch.set_num_threads(1)
sys.argv = [script]
truncated = nn.init.trunc_normal_
with Draws().in_torch():
    nn.init.trunc_normal_ = truncated  # of the initial weights, which are Keras's
    runpy.run_path(script, run_name="__main__")
