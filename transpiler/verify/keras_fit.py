"""The Keras side of comparing some steps of a training."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from transpiler.verify.job import Job

if TYPE_CHECKING:
    from transpiler.verify.keras_side import Work

SEED = 77


def fit(work: Work, job: Job) -> None:
    """Trains for `job.steps` steps as the program compiled the model; keeps batches, logs and the weights at the end.

    Every batch is kept as `fitx|step|input` and `fity|step|output`, the numbers of a step as `fitlog|step`.
    """
    assert job.training is not None
    model, arrays = work.subject.model, work.arrays
    if getattr(model, "optimizer", None) is None:
        names = {**vars(importlib.import_module(job.module)), "model": model}
        try:
            exec(job.training.compiles.format(model="model"), names)
        except NameError as error:
            work.meta["fit_missing"] = str(error)
            return
    exact_numbers(model.optimizer)
    sum_gradients(model.optimizer)
    shapes = [x.shape for x in work.cases[0]]
    before = {id(v): v.numpy() for v in work.variables}
    outputs = [np.asarray(y) for y in work.subject.call(work.cases[0])]
    for step in range(job.steps):
        rng = np.random.default_rng(SEED + step)
        xs = work.subject.draw(shapes, rng, work.scale)
        ys = [draw_targets(kind, y.shape, rng) for (kind, _), y in zip(job.training.targets, outputs)]
        logs = model.train_on_batch(_one(xs), _one(ys) if ys else None, return_dict=True)
        arrays[f"fitlog|{step}"] = np.array([float(logs[t]) for t in job.training.titles])
        arrays |= {f"fitx|{step}|{k}": x for k, x in enumerate(xs)} | {f"fity|{step}|{k}": y for k, y in enumerate(ys)}
    arrays |= {f"fitw|{key}": variable.numpy() for key, variable in work.sources.items()}
    work.meta["fit_steps"] = job.steps
    for v in work.variables:
        v.assign(before[id(v)])


def sum_gradients(optimizer: Any) -> None:
    """Makes an optimizer see one gradient for each row of an embedding.

    Where a row is looked up several times, Keras 3 has TensorFlow square each of its gradients by itself; legacy Keras and
    the other backends add them up first, as torch does.
    """
    import tensorflow as tf

    apply = getattr(optimizer, "apply", None)
    if apply is not None:
        optimizer.apply = lambda grads, variables=None: apply(
            [tf.convert_to_tensor(g) if isinstance(g, tf.IndexedSlices) else g for g in grads], variables
        )


def exact_numbers(optimizer: Any) -> None:
    """Makes an optimizer and a schedule of its learning rate compute in float64: Keras takes their numbers for float32."""
    import tensorflow as tf

    schedule = getattr(optimizer, "_learning_rate", None)
    hyper = getattr(optimizer, "_hyper", {})  # of legacy optimizers
    schedule = hyper.get("learning_rate", schedule)
    owners = [vars(optimizer), *([vars(schedule)] if hasattr(schedule, "get_config") else []), hyper]
    if hasattr(optimizer, "optimizer"):  # of TensorFlow 1
        owners.append(vars(optimizer.optimizer))
    for values in owners:
        for name, value in list(values.items()):
            if isinstance(value, float):
                values[name] = np.float64(value)
            elif isinstance(value, list) and value and all(isinstance(v, float) for v in value):
                values[name] = [np.float64(v) for v in value]
    if hasattr(optimizer, "_current_learning_rate"):  # of legacy Keras, which keeps what the schedule said
        optimizer._current_learning_rate = tf.Variable(schedule(optimizer.iterations), trainable=False)


def draw_targets(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Targets for an output of this shape."""
    if kind == "classes":
        return rng.integers(0, shape[-1], shape[:-1])
    if kind == "labels":
        return rng.integers(1, shape[-1], (shape[0], max(shape[1] // 3, 1)))
    if kind == "shares":
        return np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
    if kind == "truths":
        return rng.integers(0, 2, shape).astype(np.float64)
    if kind == "signs":
        return rng.integers(0, 2, shape) * 2.0 - 1
    if kind == "positive":
        return rng.uniform(0.1, 2.0, shape)
    return rng.normal(size=shape)


def _one(arrays: list[Any]) -> Any:
    return arrays[0] if len(arrays) == 1 else arrays
