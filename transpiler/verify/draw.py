"""Random weights and inputs under which a comparison means something.

The recipe was found by experiment: at initial weights many models give almost constant output, and centred or
unscaled draws make deep ones chaotic, so that any or no comparison passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from transpiler.verify.compare import KAPPA_LIMIT
from transpiler.verify.job import InputSpec
from transpiler.verify.live import Recorder, all_layers, float_weights, leaf, owners, take_up_weights

ATTEMPTS = ((1.0, 1.0), (1.0, 64.0), (0.6, 1.0), (0.35, 1.0), (0.2, 1.0))
"""(gain of the weights, scale of the inputs): images of 0 to 255 are normalised inside some models."""
DEFAULT_IDS = 5
IMAGE, VOLUME, SEQUENCE = (64, 64), (16, 16, 16), (20,)
LARGE_SAMPLE = 10_000
OTHER_IMAGES, OTHER_VOLUMES, OTHER_SEQUENCES = ((75, 61), (96, 32)), ((19, 17, 21), (32, 16, 16)), ((27,), (32,))
VECTORS = ("bias", "beta", "gamma", "b")
CALIBRATED = ("Conv", "Dense", "DepthwiseConv", "SeparableConv", "LocallyConnected")


@dataclass(frozen=True)
class InputPort:
    """One input of a model: its declared shape (batch first, None where open) and dtype, and what ids it may hold."""

    shape: tuple[int | None, ...]
    dtype: str
    ids: int | None = None
    sparse: bool = False
    padding: float | None = None
    """What stands for steps that a mask of the model leaves out."""


def randomise(model: Any, rng: np.random.Generator, gain: float) -> None:
    """Draws every weight that holds floats, by its name, rank and initial value."""
    owner = owners(model)
    for variable in float_weights(model):
        old = variable.numpy()
        layer = owner.get(id(variable))
        value = _draw(leaf(variable), old, type(layer).__name__, layer, rng, gain)
        variable.assign(np.asarray(value, np.float32).astype(old.dtype))
    take_up_weights(model)


def _draw(name: str, old: np.ndarray, owner: str, layer: Any, rng: np.random.Generator, gain: float) -> np.ndarray:
    shape = old.shape
    if name.endswith(("moving_variance", "moving_var", "variance")):
        return rng.uniform(0.5, 1.5, shape)
    if name.endswith(("moving_mean", "mean")):
        return rng.normal(0, 0.2, shape)
    if name == "embeddings":
        return rng.normal(0, 0.5, shape)
    constant = old.size > 0 and bool(np.all(old == old.flat[0]))
    kernel_like = "kernel" in name
    if old.ndim <= 1 or name in VECTORS or (constant and not kernel_like):
        start = float(old.flat[0]) if constant else 0.0
        if start == 1.0:
            return rng.uniform(0.5, 1.5, shape)
        return start + rng.normal(0, 0.2, shape)
    scale = 0.9 if "recurrent" in name else 1.3
    return rng.normal(0, gain * scale / np.sqrt(_fan(name, shape, owner, layer)), shape)


def _fan(name: str, shape: tuple[int, ...], owner: str, layer: Any) -> float:
    spatial = float(np.prod(shape[:-2])) if len(shape) > 2 else 1.0
    if "depthwise" in name or owner.startswith("DepthwiseConv"):
        return max(spatial, 1.0)
    if "Transpose" in owner and len(shape) > 2:
        strides = np.prod(getattr(layer, "strides", 1) or 1)
        return max(spatial * shape[-1] / float(strides), 1.0)
    if owner.startswith("LocallyConnected") and len(shape) == 3:  # (positions, fan, filters)
        return float(shape[1])
    if owner == "EinsumDense":
        return max(float(np.prod(shape[:-1])) if len(shape) < 3 else float(shape[0]), 1.0)
    return max(spatial * shape[-2] if len(shape) > 1 else 1.0, 1.0)


class Calibration:
    """An observer of one eager inference pass: scales kernels and sets BatchNormalization statistics at first call."""

    def __init__(self, keras: ModuleType, rng: np.random.Generator, gain: float) -> None:
        self.keras, self.rng, self.gain = keras, rng, gain
        self.done: set[int] = set()

    def __call__(self, layer: Any, call: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if id(layer) not in self.done and args and _is_eager(args[0]):
            self.done.add(id(layer))
            name = type(layer).__name__
            if name.startswith(CALIBRATED) and "LSTM" not in name:
                self._scale(layer, call, args, kwargs)
            elif name in ("BatchNormalization", "SyncBatchNormalization"):
                self._statistics(layer, args[0])
        return call(*args, **kwargs)

    def _scale(self, layer: Any, call: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not hasattr(layer, "activation"):
            return
        y = np.asarray(linear_output(layer, call, args, kwargs), np.float64)
        kernel = next((v for v in layer.weights if leaf(v) in ("kernel", "pointwise_kernel", "depthwise_kernel")), None)
        pointwise = next((v for v in layer.weights if leaf(v) == "pointwise_kernel"), kernel)
        size = max(y.std(), 0.5 * np.sqrt((y**2).mean())) if y.size else 0.0
        if pointwise is not None and np.isfinite(size) and size > 1e-12:
            old = pointwise.numpy()
            pointwise.assign((old * (self.gain / size)).astype(np.float32).astype(old.dtype))

    def _statistics(self, layer: Any, x: Any) -> None:
        values = np.asarray(x, np.float64)
        axes = tuple(i for i in range(values.ndim) if i not in norm_axes(layer, values.ndim))
        v = np.asarray((values**2).mean(axis=axes)).reshape(-1)
        if not np.isfinite(v).all():
            return
        shape = layer.moving_variance.shape
        variance = np.maximum(v, 0.1 * v.mean() + 1e-4) * self.rng.uniform(0.7, 1.4, v.shape)
        mean = 0.2 * np.sqrt(v) * self.rng.normal(size=v.shape)
        for variable, value in ((layer.moving_variance, variance), (layer.moving_mean, mean)):
            dtype = variable.numpy().dtype
            variable.assign(value.astype(np.float32).astype(dtype).reshape(tuple(shape)))


def norm_axes(layer: Any, rank: int) -> tuple[int, ...]:
    """The axes a BatchNormalization keeps, counted from 0."""
    axis = layer.axis
    axes = list(axis) if hasattr(axis, "__iter__") else [axis]
    return tuple(int(a) % rank for a in axes)


def linear_output(layer: Any, call: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The output of a layer before its own activation."""
    activation = layer.activation
    layer.activation = _identity
    try:
        return call(*args, **kwargs)
    finally:
        layer.activation = activation


def _identity(x: Any) -> Any:
    return x


def _is_eager(value: Any) -> bool:
    return hasattr(value, "numpy") and hasattr(value, "shape")


def calibrate(model: Any, run: Any, recorder: Recorder, rng: np.random.Generator, gain: float) -> None:
    """One inference pass `run()` under the calibrating observer."""
    recorder.observer = Calibration(recorder.keras, rng, gain)
    try:
        run()
    finally:
        recorder.observer = None


def sizes(port_shape: tuple[int | None, ...], attempt: int) -> tuple[int, ...] | None:
    """Sizes for the open axes after the batch; attempt 0 is the usual one. None if there are no more."""
    rank = len(port_shape)
    first, others = (SEQUENCE, OTHER_SEQUENCES) if rank <= 3 else (IMAGE, OTHER_IMAGES)
    if rank == 5:
        first, others = VOLUME, OTHER_VOLUMES
    choices = (first, *others)
    if attempt >= len(choices):
        return None
    chosen = choices[attempt]
    return tuple(
        chosen[min(axis - 1, len(chosen) - 1)] if d is None else d for axis, d in enumerate(port_shape) if axis
    )


def concrete_shape(port: InputPort, batch: int, attempt: int, given: tuple[int, ...] | None) -> tuple[int, ...]:
    if given is not None:
        return (batch, *given[1:])
    filled = sizes(port.shape, attempt)
    assert filled is not None
    return (port.shape[0] or batch, *filled)


def draw_input(
    port: InputPort, shape: tuple[int, ...], spec: InputSpec, rng: np.random.Generator, scale: float = 1.0
) -> np.ndarray:
    """One input: ids within range, or floats of which each sample has its own scale and each channel its own offset."""
    if port.dtype == "bool":
        return np.ones(shape, bool)
    integer = np.issubdtype(np.dtype(port.dtype), np.integer)
    if integer or spec.all_ids or port.ids is not None:
        high = min(h for h in (port.ids, spec.int_high or (DEFAULT_IDS if port.ids is None else None)) if h)
        return rng.integers(0, high, shape).astype(port.dtype if integer else "float32")
    x = rng.normal(size=shape)
    if len(shape) > 1:
        x = x * rng.uniform(0.6, 1.4, (shape[0],) + (1,) * (len(shape) - 1))
        x = x + rng.normal(0, 0.5, (shape[0],) + (1,) * (len(shape) - 2) + (shape[-1],))
    return (scale * x).astype(np.float32)


def acceptable(outputs: list[np.ndarray], kappa: float) -> str:
    """ "" if outputs under a draw can tell right from wrong, else what is the matter."""
    floats = [o.astype(np.float64) for o in outputs if o.dtype.kind == "f" and o.size]
    if not floats:
        return "no floating output"
    if not all(np.isfinite(o).all() for o in floats):
        return "outputs are not finite"
    flat = np.concatenate([o.reshape(-1) for o in floats])
    largest = float(np.abs(flat).max())
    if not 1e-3 < largest < 1e3:
        return f"the largest output is {largest:.1e}"
    if flat.std() <= 1e-2 * largest:
        return "outputs are almost constant"
    if max(float(o.std(axis=0).max()) for o in floats) <= 5e-3 * largest:
        return "outputs hardly depend on the input"
    return "" if kappa < KAPPA_LIMIT else f"badly conditioned (kappa {kappa:.1e})"


def probe_ids(
    model: Any, ports: list[InputPort], shapes: list[tuple[int, ...]], run: Any, recorder: Recorder
) -> list[int | None]:
    """For each input the number of ids it may hold if it feeds an Embedding.

    Found by experiment: `run(arrays)` with one input changed from zeros to ones changes what those Embeddings get.
    """
    if not any(type(layer).__name__ == "Embedding" for layer in all_layers(model)):
        return [None] * len(ports)
    base = _embedding_inputs(run, [np.zeros(s, p.dtype) for s, p in zip(shapes, ports)], recorder)
    found: list[int | None] = []
    for index in range(len(ports)):
        arrays = [np.full(s, int(i == index), p.dtype) for i, (s, p) in enumerate(zip(shapes, ports))]
        seen = _embedding_inputs(run, arrays, recorder)
        fed = [n for key, (n, x) in seen.items() if key in base and not np.array_equal(x, base[key][1])]
        found.append(min(fed) if fed else None)
    return found


def _embedding_inputs(run: Any, arrays: list[np.ndarray], recorder: Recorder) -> dict[Any, tuple[int, np.ndarray]]:
    seen: dict[Any, tuple[int, np.ndarray]] = {}

    def observer(layer: Any, call: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if type(layer).__name__ == "Embedding" and args and _is_eager(args[0]):
            count = sum(1 for key in seen if key[0] == id(layer))
            seen[id(layer), count] = (int(layer.input_dim), np.asarray(args[0]))
        return call(*args, **kwargs)

    recorder.observer = observer
    try:
        run(arrays)
    finally:
        recorder.observer = None
    return seen
