"""A LightningModule that trains a model as its `compile` says."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING

from transpiler.ir.program import tensors
from transpiler.ir.trees import nodes
from transpiler.training.loops import as_name, either, step_of
from transpiler.write.torch.layout import render

if TYPE_CHECKING:
    from transpiler.training.compiled import Training

LIGHTNING_METHODS = frozenset(("compile", "fit", "evaluate", "predict", "predict_on_batch"))
"""What Lightning has a way for: batches that a program hands over one by one go through a plain loop."""


def lightning_module(
    name: str, training: Training, validates: bool, tests: bool, norms: Sequence[str], telling: str
) -> dict[str, str]:
    """The texts of the LightningModule for one way to train and of the metrics that it needs, by their names.

    `validates` and `tests` say whether the training is validated, and whether the model is evaluated by itself;
    `norms` are the classes of which frozen layers keep their statistics, which their parameter `telling` says.
    """
    code = training.code
    inputs = len(tensors(training.trainer.compiled.model.inputs))
    step = step_of(training.trainer, inputs, training.weighted, training.penalty, "self.model")
    variables = {*step.outs, *step.batch, *(line.partition(" = ")[0] for line in step.activations)}
    texts: dict[str, str] = {}
    metrics = []
    for metric, sums in step.sums:
        title = "".join(word.title() for word in as_name(metric.name).split("_"))
        arguments = sorted({n for _, text in sums for n in names_in(text)} & variables)
        result = metric.measure.result.format(**{n: f"self.{n}" for n, _ in sums})
        texts[title] = render("training/lightning_metric", name=title, sums=sums, arguments=arguments, result=result)
        metrics.append((metric.name, as_name(metric.name), title, arguments))
    texts[name] = render(
        "training/lightning_module",
        name=name,
        step=step,
        learns=code is not None,
        scheduled=bool(training.scheduler),
        clipping=[line.format(parameters="self.model.parameters()") for line in (code.clipping if code else ())],
        constrain=training.constrain,
        logged=[(n, text) for n, text, whole in step.means if not whole],
        wholes=[(n, text) for n, text, whole in step.means if whole],
        metrics=metrics,
        validates=validates,
        tests=tests,
        norms=either(norms),
        telling=telling,
    )
    return texts


def names_in(text: str) -> set[str]:
    return {n.id for n in nodes(ast.parse(text)) if isinstance(n, ast.Name)}
