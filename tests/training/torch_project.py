"""Runs a script of a converted project without noise and shuffling, from the weights that Keras started from.

`torch_project.py FOLDER SCRIPT.py`
"""

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

folder, script = Path(sys.argv[1]), Path(sys.argv[2])
job = read_job(folder / (folder / "begun").read_text())
top = script.parent
while (top / "__init__.py").is_file():
    top = top.parent
files = {top.joinpath(*m.name.split(".")).with_suffix(".py"): m for m in job.converted}
recorder = Recorder([str(f) for f in top.rglob("*.py")])
weights = dict(np.load(folder / "weights.npz"))
loaded: list[nn.Module] = []
original_to, original_loader = nn.Module.to, data.DataLoader.__init__


def to(self: nn.Module, *args, **kwargs) -> nn.Module:
    if not loaded:
        model = self.model if hasattr(self, "configure_optimizers") or type(self).__name__ == "Logits" else self
        loaded.append(model)
        orders = {str(f): m.source_orders for f, m in files.items()}
        made = in_source_order(model, recorder.made, orders)
        load(pair(model, made, job.units or (), dict.fromkeys(k[2:] for k in weights)), weights)
        silence(model)
    return original_to(self, *args, **kwargs)


def in_order(self, *args, **kwargs) -> None:
    original_loader(self, *args, **{**kwargs, "shuffle": False})


nn.Module.to, data.DataLoader.__init__ = to, in_order
torch.set_num_threads(1)
sys.argv = [str(script)]
sys.path.insert(0, str(top))
with Draws().in_torch():
    runpy.run_module(".".join(script.relative_to(top).with_suffix("").parts), run_name="__main__", alter_sys=True)
