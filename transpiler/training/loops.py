"""The text of training code: what runs over the data once, and what repeats that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transpiler.ir.naming import Names
from transpiler.training.trainer import OutputLoss, OutputMetric, Trainer
from transpiler.write.torch.layout import render

DEVICE = "'cuda' if torch.cuda.is_available() else 'cpu'"


@dataclass(frozen=True)
class EpochFunction:
    """The function that runs over the data once: its name, its text, and what it returns."""

    name: str
    text: str
    titles: tuple[str, ...]

    def variables(self, prefix: str, names: Names) -> list[str]:
        """Variables for what it returns."""
        return [names.take(f"{prefix}_{t}") for t in self.titles]


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
) -> EpochFunction:
    """The function for one way of training. Its text takes batches of inputs, targets and, if weighted, weights."""
    count = len(trainer.predictions)
    xs = ["x"] if inputs == 1 else [f"x{i + 1}" for i in range(inputs)]
    ys = ["y"] if count == 1 else [f"y{i + 1}" for i in range(count)]
    if not trainer.compares:
        ys = []
    batch = [*xs, *ys, *(["weight"] if weighted else [])]
    numbers = [""] if count == 1 else [str(i + 1) for i in range(count)]
    method = "model.logits" if trainer.needs_logits else "model"
    split = [trainer.needs_logits and bool(ending) for ending in trainer.endings]
    outs = [f"{'logits' if s else 'output'}{n}" for s, n in zip(split, numbers)]
    measured = [m for m in (*trainer.losses, *trainer.metrics) if not m.measure.on_logits and split[m.output]]
    ended = {m.output: f"output{numbers[m.output]}" for m in measured}
    activations = [f"{name} = {trainer.endings[i].format(outs[i])}" for i, name in sorted(ended.items())]

    def filled(text: str, part: OutputLoss | OutputMetric) -> str:
        output = outs[part.output] if part.measure.on_logits else ended.get(part.output, outs[part.output])
        return text.format(output=output, target=ys[part.output])

    parts, named = [], []
    for loss in trainer.losses:
        text = filled(loss.measure.each if weighted else loss.measure.mean, loss)
        if weighted:
            text = f"({text} * weight).mean()"
        if loss.name:
            named.append((loss.name, text))
            text = loss.name
        parts.append(f"{loss.weight!r} * {text}" if loss.weight not in (None, 1, 1.0) else text)
    metrics = [
        (m.name, filled(m.measure.mean, m), "" if m.measure.whole else f" * len({xs[0]})")
        for m in trainer.metrics
        if not m.measure.sums
    ]
    sums = [(f"{m.name}_{n}", filled(text, m)) for m in trainer.metrics for n, text in m.measure.sums]
    results = {
        m.name: f"{m.measure.result.format(**{n: f'{m.name}_{n}' for n, _ in m.measure.sums})}.item()"
        for m in trainer.metrics
        if m.measure.sums
    }
    whole = {m.name for m in trainer.metrics if m.measure.whole} | ({"loss"} if trainer.by_batch else set())
    totals = [f"total_{title}" for title in trainer.titles]
    means = [t for n, t in zip(trainer.titles, totals) if n not in results]
    text = render(
        "training/run_epoch",
        name=name,
        titles=trainer.titles,
        batch=batch,
        outs=outs if trainer.compares else [],
        call=f"{method}({', '.join(xs)})",
        loss=" + ".join([*parts, *filter(None, (trainer.added, f"{penalty}(model)" if penalty else ""))]),
        activations=[*activations, *(f"{n} = {text}" for n, text in named)],
        metrics=[*((n, n, f" * len({xs[0]})") for n, _ in named), *metrics],
        clipping=[line.format(parameters="model.parameters()") for line in clipping],
        constrain=constrain,
        norms=norms[0] if len(norms) == 1 else f"({', '.join(norms)})" if norms else "",
        scheduled=scheduled,
        progress=progress,
        loader=loader,
        size=xs[0],
        loss_by_batch=trainer.by_batch,
        moved=[f"{v}.to(device)" for v in batch],
        totals=means,
        sums=sums,
        averages=[
            results.get(n) or f"{t} / {'batches' if n in whole else 'count'}" for n, t in zip(trainer.titles, totals)
        ],
        counts_batches=bool(whole),
    )
    return EpochFunction(name, text, tuple(trainer.titles))
