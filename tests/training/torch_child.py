"""Runs the result of a conversion without noise and shuffling, from the weights that Keras started from.

`torch_child.py JOB.json WEIGHTS.npz SCRIPT.py`
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

job = read_job(Path(sys.argv[1]))
script = sys.argv[3]
recorder = Recorder([script])
weights = dict(np.load(sys.argv[2]))
loaded: list[nn.Module] = []


def trains_another(module: nn.Module) -> bool:
    """Whether it is a LightningModule or what Accelerate is given in the place of a model."""
    return hasattr(module, "configure_optimizers") or type(module).__name__ == "Logits"


original_to, original_loader = nn.Module.to, data.DataLoader.__init__


def to(self: nn.Module, *args, **kwargs) -> nn.Module:
    if not loaded:
        model = self.model if trains_another(self) else self
        loaded.append(model)
        orders = {script: next(m.source_orders for m in job.converted)}
        made = in_source_order(model, recorder.made, orders)
        load(pair(model, made, job.units or (), dict.fromkeys(k[2:] for k in weights)), weights)
        silence(model)
    return original_to(self, *args, **kwargs)


def in_order(self, *args, **kwargs) -> None:
    original_loader(self, *args, **{**kwargs, "shuffle": False})


if "import lightning" in Path(script).read_text(encoding="utf-8"):
    import lightning

    original_trainer = lightning.Trainer.__init__
    quiet = {"enable_model_summary": False, "enable_progress_bar": False}
    lightning.Trainer.__init__ = lambda self, **options: original_trainer(self, **{**options, **quiet})
nn.Module.to, data.DataLoader.__init__ = to, in_order
torch.set_num_threads(1)
sys.argv = [script]
with Draws().in_torch():
    runpy.run_path(script, run_name="__main__")
