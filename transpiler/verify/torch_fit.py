"""The torch side of comparing some steps of a training."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from transpiler.verify.compare import difference
from transpiler.verify.job import Job
from transpiler.verify.torch_model import load, tensors

if TYPE_CHECKING:
    from transpiler.ir.conversion import TrainingPlan
    from transpiler.verify.torch_side import Check

LIMIT = 1e-8
"""How far the losses of a step and the weights at the end may be off, in float64, relative to their size."""
METRIC_LIMIT = 1e-6
"""How far metrics may be off: Keras computes some of them in float32, whatever the model is in."""


def one_step(
    plan: TrainingPlan, names: dict[str, Any], batch: tuple[Any, ...], options: list[Any]
) -> tuple[float, ...]:
    """Trains with one batch, and returns the loss and the metrics."""
    if not plan.module:
        found = names[plan.epoch](names["net"], [batch], *options)
        return found if isinstance(found, tuple) else (found,)
    import lightning

    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(
        names[plan.module](names["model"].train(), *options), torch.utils.data.DataLoader([batch], batch_size=None)
    )
    return tuple(trainer.callback_metrics[title].item() for title in plan.titles)


def fitted(check: Check, job: Job) -> tuple[dict[str, Any], bool]:
    """Trains as the result does, from the same weights on the same batches, and compares."""
    plan, arrays = job.training, check.arrays
    assert plan is not None
    load(check.paired, arrays)
    names = {**vars(importlib.import_module(job.module)), "model": check.model}
    names["net"] = eval(plan.around.format(model="model"), names) if plan.around else check.model
    optimizer = eval(plan.optimizer.format(model="model"), names)
    options: list[Any] = [optimizer]
    if plan.schedule:
        factor = eval(f"lambda step: {plan.schedule}", names)
        options.append(torch.optim.lr_scheduler.LambdaLR(optimizer, factor))
    steps = int(check.meta["fit_steps"])
    of_metrics = np.array([t != "loss" and not t.endswith("_loss") for t in plan.titles])
    worst = metrics = 0.0
    for step in range(steps):
        xs = check.as_declared([arrays[f"fitx|{step}|{k}"] for k in range(len(check.meta["cases"][0]))])
        ys = tensors([arrays[f"fity|{step}|{k}"] for k in range(len(plan.targets))], check.dtype)
        weights = [torch.ones(len(xs[0]))] if plan.weighted else []
        values = np.array(one_step(plan, names, (*xs, *ys, *weights), options), dtype=np.float64)
        wanted = arrays[f"fitlog|{step}"]
        off = np.nan_to_num(np.abs(values - wanted) / np.maximum(np.abs(wanted), 1e-3), nan=np.inf)
        off[np.isnan(values) & np.isnan(wanted)] = 0
        worst = max(worst, float(off[~of_metrics].max(initial=0.0)))
        metrics = max(metrics, float(off[of_metrics].max(initial=0.0)))
    weights, name = 0.0, ""
    for slot in check.paired.slots:
        if slot.is_parameter and slot.source and slot.tensor.requires_grad:
            off_here = difference(slot.convert(arrays[f"fitw|{slot.key}"]), slot.tensor.detach().numpy()).max_rel
            if off_here > weights:
                weights, name = off_here, slot.name
    limit = LIMIT * max(1.0, check.training_kappa / 100)
    row = {"steps": steps, "max_rel": max(worst, weights), "bound": limit, "logs": worst, "weights": weights}
    if max(worst, weights) <= limit and not metrics <= METRIC_LIMIT:
        row |= {"max_rel": metrics, "bound": METRIC_LIMIT}
    row |= {"metrics": metrics, "worst": name}
    return row, row["max_rel"] <= row["bound"]
