"""The Keras model of one entry: built, fed, observed."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np

from transpiler.ir.model import KERAS2
from transpiler.verify.draw import LARGE_SAMPLE, InputPort, concrete_shape, draw_input, norm_axes, probe_ids, sizes
from transpiler.verify.imports import run_entry
from transpiler.verify.job import InputSpec, Job
from transpiler.verify.live import Recorder, all_layers, raw
from transpiler.verify.padding import pad_steps, padding_values


class BuildError(Exception):
    """The original program itself does not yield a model that can be run."""


@dataclass
class Subject:
    """A live model with what is needed to run it."""

    keras: ModuleType
    model: Any
    recorder: Recorder
    floatx: str
    ports: list[InputPort]
    spec: InputSpec

    def pack(self, arrays: list[np.ndarray]) -> Any:
        """Arrays, in the order of the model's inputs, as the structure the model takes."""
        return self.structure([self.tensor(a) for a in arrays])

    def tensor(self, array: np.ndarray) -> Any:
        import tensorflow as tf

        return tf.convert_to_tensor(array.astype(self.floatx) if array.dtype.kind == "f" else array)

    def structure(self, tensors: list[Any]) -> Any:
        import tensorflow as tf

        tensors = [tf.sparse.from_dense(t) if p.sparse else t for t, p in zip(tensors, self.ports)]
        struct = getattr(self.model, "_inputs_struct", None)
        if struct is None:
            struct = getattr(self.model, "_nested_inputs", None)
        if struct is None or self.spec.code is not None:
            return tensors[0] if len(tensors) == 1 else tensors
        order = [id(t) for t in self.model.inputs]
        flat = [tensors[order.index(id(t))] for t in tf.nest.flatten(struct)]
        return tf.nest.pack_sequence_as(struct, flat)

    def call(self, arrays: list[np.ndarray], training: bool = False) -> list[Any]:
        return self.apply(self.pack(arrays), training)

    def apply(self, inputs: Any, training: bool, go_on: bool = False) -> list[Any]:
        """The outputs, flattened in Keras's order (dictionaries by sorted key).

        Layers that keep their states go on from the call before if asked to, else start anew.
        """
        import tensorflow as tf

        for layer in [] if go_on else self.stateful:
            layer.reset_states()
        if self.takes_training:
            return tf.nest.flatten(self.model(inputs, training=training))
        return tf.nest.flatten(self.in_training(inputs) if training else self.model(inputs))

    @property
    def stateful(self) -> list[Any]:
        """The layers whose states outlive a call."""
        found = (x for x in all_layers(self.model) if getattr(x, "stateful", False) and hasattr(x, "reset_states"))
        return [x for x in found if not isinstance(x, self.keras.Model)]

    def in_training(self, inputs: Any) -> Any:
        """The outputs of a model whose `call` has no `training`, inside a layer that is called with training=True."""
        model = self.model

        class Around(self.keras.layers.Layer):
            def call(self, x: Any, training: Any = None) -> Any:
                return model(x)

        return Around()(inputs, training=True)

    @property
    def takes_training(self) -> bool:
        if isinstance(self.model, self.keras.Model):
            own = type(self.model).call
            return "training" in inspect.signature(own).parameters or hasattr(self.model, "_inputs_struct")
        return "training" in inspect.signature(self.model.call).parameters

    def shapes(self, batch: int, attempt: int) -> list[tuple[int, ...]]:
        given = self.spec.shapes
        return [concrete_shape(p, batch, attempt, given[i] if given else None) for i, p in enumerate(self.ports)]

    def draw(
        self, shapes: list[tuple[int, ...]], rng: np.random.Generator, scale: float = 1.0, *, whole: bool = True
    ) -> list[np.ndarray]:
        """Inputs of the given shapes; with `whole`, one sample is nothing but padding where the model has masks."""
        if self.spec.code is not None:
            return code_inputs(self.spec.code, rng)[0]
        drawn = [draw_input(p, s, self.spec, rng, scale) for p, s in zip(self.ports, shapes)]
        return [
            pad_steps(x, p.padding, rng, whole=whole) if p.padding is not None and x.ndim > 1 else x
            for x, p in zip(drawn, self.ports)
        ]

    def cases(self) -> list[list[tuple[int, ...]]]:
        """The shapes of the inputs by case: two batch sizes, and a second size where one is open."""
        sample = max((int(np.prod(s[1:])) for s in self.shapes(1, 0)), default=0)
        big, small = (4, 2) if sample > LARGE_SAMPLE else (8, 3)
        if any(len(p.shape) == 5 for p in self.ports):  # float64 has only slow kernels for volumes
            big, small = (2, 1)
        cases = [self.shapes(big, 0), self.shapes(small, 0)]
        return cases if cases[0] != cases[1] else cases[:1]

    def other_sizes(self) -> list[list[tuple[int, ...]]]:
        """Candidates for the second size, best first."""
        if self.spec.shapes or self.spec.code is not None or not any(None in p.shape[1:] for p in self.ports):
            return []
        attempts = [n for n in (1, 2) if all(sizes(p.shape, n) for p in self.ports)]
        return [self.shapes(2, n) for n in attempts]


def code_inputs(code: str, rng: np.random.Generator) -> tuple[list[np.ndarray], list[bool]]:
    """Inputs from the user's expression as dense arrays, and which of them are sparse tensors for Keras."""
    import tensorflow as tf

    flat = tf.nest.flatten(eval(code, {"np": np, "tf": tf, "rng": rng}))
    sparse = [isinstance(v, tf.sparse.SparseTensor) for v in flat]
    return [np.asarray(tf.sparse.to_dense(v) if s else v) for v, s in zip(flat, sparse)], sparse


def build(keras: ModuleType, job: Job, floatx: str, recorder: Recorder) -> Subject:
    """Runs the user's program up to a built model; raises BuildError with what the program said."""
    import tensorflow as tf

    np.random.seed(0)
    tf.random.set_seed(0)
    model = run_entry(job.module, job.setup, job.expression)
    if not isinstance(model, keras.layers.Layer):
        raise BuildError(f"the entry is a {type(model).__name__}, not a Keras model or layer")
    subject = Subject(keras, model, recorder, floatx, [], job.inputs)
    ports = _ports(model)
    if ports is None:
        arrays, sparse = _arrays_for_unbuilt(job.inputs)
        subject.ports = [InputPort((None, *a.shape[1:]), a.dtype.name, None, s) for a, s in zip(arrays, sparse)]
        if job.inputs.code is None:
            subject.spec = replace(job.inputs, shapes=tuple(a.shape for a in arrays))
        subject.call(arrays)
        subject.ports = with_padding(subject)
        return subject
    subject.ports = ports
    if job.inputs.code is None:
        run = lambda arrays: subject.call(arrays)  # noqa: E731
        ids = probe_ids(model, ports, subject.shapes(2, 0), run, recorder)
        subject.ports = [replace(p, ids=n) for p, n in zip(ports, ids)]
        subject.ports = with_padding(subject)
    if any(not layer.weights and not layer.built for layer in all_layers(model)):  # as inside a cell that RNN runs
        subject.call(subject.draw(subject.shapes(2, 0), np.random.default_rng(0)))
    return subject


def with_padding(subject: Subject) -> list[InputPort]:
    """The inputs of a model, with what stands for padding in them where the model makes masks of it."""
    ids, steps = padding_values(subject.model)

    def padding(port: InputPort) -> float | None:
        holds_ids = port.ids is not None or subject.spec.all_ids or port.dtype.startswith(("int", "uint"))
        return ids if holds_ids else steps if len(port.shape) > 2 and port.dtype.startswith("float") else None

    return [replace(p, padding=padding(p)) for p in subject.ports]


def _ports(model: Any) -> list[InputPort] | None:
    inputs = getattr(model, "inputs", None)
    if not inputs:
        return None
    ports = []
    for tensor in inputs:
        dtype = tensor.dtype if isinstance(tensor.dtype, str) else tensor.dtype.name
        ports.append(InputPort(tuple(tensor.shape), "float32" if dtype.startswith(("float", "bfloat")) else dtype))
    return ports


def _arrays_for_unbuilt(spec: InputSpec) -> tuple[list[np.ndarray], list[bool]]:
    rng = np.random.default_rng(0)
    if spec.code is not None:
        return code_inputs(spec.code, rng)
    if spec.shapes is None:
        raise BuildError("the model has no input shape before it is called: say what it takes (--input-shape)")
    dtype = "int32" if spec.all_ids else "float32"
    arrays = [draw_input(InputPort((None, *s[1:]), dtype), s, spec, rng) for s in spec.shapes]
    return arrays, [False] * len(arrays)


@dataclass
class Gradients:
    """Gradients of sum(out·R), as arrays, by variable id; and of the inputs that hold floats."""

    outputs: list[np.ndarray]
    by_variable: dict[int, np.ndarray]
    inputs: dict[int, np.ndarray]


def gradients(subject: Subject, arrays: list[np.ndarray], directions: list[np.ndarray] | None, variables: list[Any], training: bool) -> tuple[Gradients, list[np.ndarray]]:  # fmt: skip
    """Outputs and gradients of one call; `directions` are the fixed R, drawn here if None."""
    import tensorflow as tf

    tensors = [subject.tensor(a) for a in arrays]
    ids = {i for i, p in enumerate(subject.ports) if p.ids is not None or p.sparse or subject.spec.all_ids}
    watched = {i: t for i, t in enumerate(tensors) if t.dtype.is_floating and i not in ids}
    sources = [raw(v) for v in variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([*watched.values(), *sources])
        outputs = subject.apply(subject.structure(tensors), training)
        if directions is None:
            rng = np.random.default_rng(7)
            directions = [rng.normal(size=tuple(o.shape)) for o in outputs]
        terms = [
            tf.reduce_sum(tf.cast(o, tf.float64) * tf.constant(r, tf.float64))
            for o, r in zip(outputs, directions)
            if o.dtype.is_floating
        ]
        total = tf.add_n(terms) if terms else tf.constant(0.0)
    wanted = [*watched.values(), *sources]
    values = tape.gradient(total, wanted, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    found = [np.asarray(tf.convert_to_tensor(v)) for v in values]
    by_input = dict(zip(watched, found))
    by_variable = {id(v): g for v, g in zip(variables, found[len(watched) :])}
    return Gradients([np.asarray(o) for o in outputs], by_variable, by_input), directions


def conditioning(found: Gradients, variables: list[Any]) -> float:
    """κ: how much relative changes of weights and inputs are magnified, ‖g⊙w‖/‖out‖ at its largest."""
    size = float(np.sqrt(sum(float((o.astype(np.float64) ** 2).sum()) for o in found.outputs if o.dtype.kind == "f")))
    if not np.isfinite(size) or size == 0:
        return float("inf")
    values = [_norm(found.by_variable[id(v)] * v.numpy()) for v in variables]
    values += [_norm(g) for g in found.inputs.values()]
    return max(values, default=0.0) / size


def _norm(values: np.ndarray) -> float:
    """The norm of the finite values: a gradient may be NaN at single points, such as that of a root at 0."""
    return float(np.linalg.norm(values[np.isfinite(values)]))


class BatchStatistics:
    """An observer of a training call: what torch's unbiased running variance becomes under the same batches.

    Keras averages the biased variance (semantics rows 9 and 64); the exact factor is n/(n-1) for n values a channel.
    """

    def __init__(self, model: Any) -> None:
        layers = [x for x in all_layers(model) if hasattr(x, "moving_variance") and hasattr(x, "momentum")]
        self.running = {id(x.moving_variance): x.moving_variance.numpy().astype(np.float64) for x in layers}
        self.watched = {id(x): x for x in layers}

    def __call__(self, layer: Any, call: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if id(layer) in self.watched and args and hasattr(args[0], "numpy"):
            x = np.asarray(args[0], np.float64)
            axes = tuple(i for i in range(x.ndim) if i not in norm_axes(layer, x.ndim))
            n = int(np.prod([x.shape[i] for i in axes]))
            key, momentum = id(layer.moving_variance), float(layer.momentum)
            if n > 1:
                batch = x.var(axis=axes).reshape(self.running[key].shape) * n / (n - 1)
                self.running[key] = momentum * self.running[key] + (1 - momentum) * batch
        return call(*args, **kwargs)


def set_floatx(keras: ModuleType, generation: str, floatx: str) -> None:
    (keras.backend if generation == KERAS2 else keras.config).set_floatx(floatx)
