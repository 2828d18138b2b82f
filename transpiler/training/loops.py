"""The text of training code: what runs over the data once, and what repeats that."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from transpiler.ir.naming import Names
from transpiler.training.output_masks import mask_lines
from transpiler.training.trainer import OutputLoss, OutputMetric, Trainer
from transpiler.write.torch.layout import render

DEVICE = "'cuda' if torch.cuda.is_available() else 'cpu'"


@dataclass(frozen=True)
class Step:
    """What one batch goes through, as texts over the variables of the batch."""

    inputs: tuple[str, ...]
    batch: tuple[str, ...]
    """The variables of a batch: inputs, targets and, if samples have weights, these."""
    outs: tuple[str, ...]
    call: str
    activations: tuple[str, ...]
    """Statements between the outputs and the loss."""
    loss: str
    means: tuple[tuple[str, str, bool], ...]
    """Metrics that are means: (name, value for a batch, whether batches count alike whatever their size)."""
    sums: tuple[tuple[OutputMetric, tuple[tuple[str, str], ...]], ...]
    """Metrics that are none: what every batch adds to their variables."""
    by_batch: bool
    """Whether the loss is averaged over the batches, whatever their sizes."""

    @property
    def size(self) -> str:
        return f"len({self.inputs[0]})"


def as_name(title: str) -> str:
    """What Keras calls a number of an epoch, as a part of the name of a variable."""
    return re.sub(r"\W", "_", title)


def either(names: Sequence[str]) -> str:
    """One class or several, as `isinstance` takes them; "" for none."""
    return names[0] if len(names) == 1 else f"({', '.join(names)})" if names else ""


def step_of(trainer: Trainer, inputs: int, weighted: bool, penalty: str = "", model: str = "model") -> Step:
    """What a batch of so many inputs goes through; `penalty` is a function on the model that the loss adds."""
    count = len(trainer.predictions)
    xs = ["x"] if inputs == 1 else [f"x{i + 1}" for i in range(inputs)]
    ys = ["y"] if count == 1 else [f"y{i + 1}" for i in range(count)]
    ys = ys if trainer.compares else []
    numbers = [""] if count == 1 else [str(i + 1) for i in range(count)]
    method = f"{model}.logits" if trainer.needs_logits else model
    split = [trainer.needs_logits and bool(ending) for ending in trainer.endings]
    outs = [f"{'logits' if s else 'output'}{n}" for s, n in zip(split, numbers)]
    measured = [m for m in (*trainer.losses, *trainer.metrics) if not m.measure.on_logits and split[m.output]]
    ended = {m.output: f"output{numbers[m.output]}" for m in measured}
    activations = [f"{name} = {trainer.endings[i].format(outs[i])}" for i, name in sorted(ended.items())]

    def filled(text: str, part: OutputLoss | OutputMetric) -> str:
        output = outs[part.output] if part.measure.on_logits else ended.get(part.output, outs[part.output])
        mask = f"mask{numbers[part.output]}"
        return text.format(output=output, target=ys[part.output], weight="weight", mask=mask)

    masks = mask_lines(trainer.masks, [f"mask{n}" for n in numbers], xs)
    parts, named = [], []
    for loss in trainer.losses:
        text = filled(loss.measure.mean_with_weights if weighted else loss.measure.mean, loss)
        if loss.name:
            named.append((loss.name, text))
            text = as_name(loss.name)
        parts.append(f"{loss.weight!r} * {text}" if loss.weight not in (None, 1, 1.0) else text)
    added = re.sub(r"\bmodel\b", model, trainer.added)
    means = [(m.name, filled(m.measure.mean, m), m.measure.whole) for m in trainer.metrics if not m.measure.sums]
    return Step(
        tuple(xs),
        (*xs, *ys, *(["weight"] if weighted else [])),
        tuple(outs) if trainer.compares else (),
        f"{method}({', '.join(xs)})",
        (*activations, *masks, *(f"{as_name(n)} = {text}" for n, text in named)),
        " + ".join([*parts, *([added] if added else []), *([f"{penalty}({model})"] if penalty else [])]),
        (*((n, as_name(n), False) for n, _ in named), *means),
        tuple((m, tuple((n, filled(t, m)) for n, t in m.measure.sums)) for m in trainer.metrics if m.measure.sums),
        trainer.by_batch,
    )


@dataclass(frozen=True)
class EpochFunction:
    """The function that runs over the data once: its name, its text, and what it returns."""

    name: str
    text: str
    titles: tuple[str, ...]

    def variables(self, prefix: str, names: Names) -> list[str]:
        """Variables for what it returns."""
        return [names.take(f"{prefix}_{as_name(t)}") for t in self.titles]


def epoch_function(
    name: str,
    trainer: Trainer,
    inputs: int,
    clipping: tuple[str, ...],
    scheduled: bool,
    weighted: bool,
    progress: bool,
    loader: str = "DataLoader",
    penalty: str = "",
    constrain: str = "",
    norms: Sequence[str] = (),
    telling: str = "",
    accelerated: bool = False,
    hooks: Sequence[str] = (),
) -> EpochFunction:
    """The function for one way of training. Its text takes batches of inputs, targets and, if weighted, weights.

    `norms` are the classes of which frozen layers keep their statistics, which their parameter `telling` says.
    If `accelerated`, it is given a model that an Accelerator has wrapped. `hooks` are the methods of callbacks that it calls
    for each batch.
    """
    step, inner = step_of(trainer, inputs, weighted, penalty), "model"
    if accelerated:
        inner = f"accelerator.unwrap_model(model){'.model' if trainer.needs_logits else ''}"
        loss = step.loss.replace(f"{penalty}(model)", f"{penalty}({inner})") if penalty else step.loss
        step = replace(step, call=step.call.replace("model.logits(", "model("), loss=loss)
    starts = {m: {n: f"{as_name(m.name)}_{n}" for n, _ in added} for m, added in step.sums}
    results = {m.name: f"{m.measure.result.format(**starts[m])}.item()" for m, _ in step.sums}
    whole = {name for name, _, whole in step.means if whole} | ({"loss"} if step.by_batch else set())
    totals = [f"total_{as_name(title)}" for title in trainer.titles]
    text = render(
        "training/run_epoch",
        name=name,
        titles=trainer.titles,
        step=step,
        clipping=[line.format(parameters="model.parameters()") for line in clipping],
        constrain=constrain,
        whole=inner,
        accelerated=accelerated,
        norms=either(norms),
        telling=telling,
        scheduled=scheduled,
        progress=progress,
        loader=loader,
        moved=[f"{v}.to(device)" for v in step.batch],
        totals=[t for n, t in zip(trainer.titles, totals) if n not in results],
        sums=[(starts[m][n], text) for m, added in step.sums for n, text in added],
        starts=[list(names.values()) for names in starts.values()],
        means=[(as_name(n), text, whole) for n, text, whole in step.means],
        averages=[
            results.get(n) or f"{t} / {'batches' if n in whole else 'count'}" for n, t in zip(trainer.titles, totals)
        ],
        counts_batches=bool(whole),
        begins=[h for h in hooks if h.endswith("begin")],
        ends=[h for h in hooks if h.endswith("end")],
    )
    return EpochFunction(name, text, tuple(trainer.titles))
