"""Random numbers while both sides are compared: each gets the same ones, whatever its own generator would draw.

What is drawn depends on the distribution and the shape alone, so that it does not matter in which order the two sides
draw; how often they do is counted. Only the plain distributions are replaced: means, deviations and limits are applied
by the code under test.
"""

from __future__ import annotations

import contextlib
import functools
import math
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np

Shape = tuple[int, ...]
GRID = 2**20
"""Fractions are multiples of one over this, so that they are exact in float32."""


@functools.lru_cache(maxsize=64)
def numbers(kind: str, shape: Shape) -> np.ndarray:
    """The numbers of a distribution (`normal`, `truncated`, `uniform`) in a shape, as float64 that float32 holds exactly."""
    rng = np.random.default_rng(zlib.crc32(f"{kind}{shape}".encode()))
    if kind == "uniform":
        return turnable(rng.integers(0, GRID, shape) / GRID)
    drawn = rng.normal(size=shape)
    while kind == "truncated" and (np.abs(drawn) >= 2).any():
        drawn = np.where(np.abs(drawn) >= 2, rng.normal(size=shape), drawn)
    return turnable(np.asarray(drawn, np.float32).astype(np.float64))


def turnable(drawn: np.ndarray) -> np.ndarray:
    """The same numbers with channels first and last, where the shape does not tell which it is: (N, 4, 4, 4)."""
    dims = drawn.shape[1:]
    if len(dims) < 2 or len(set(dims)) > 1 or not drawn.size:
        return drawn
    index = np.indices(dims).reshape(len(dims), -1)
    turns = [np.ravel_multi_index(tuple(np.roll(index, k, axis=0)), dims) for k in range(len(dims))]
    return drawn.reshape(len(drawn), -1)[:, np.min(turns, axis=0)].reshape(drawn.shape)


def integers(shape: Shape, low: int, high: int) -> np.ndarray:
    return (low + np.floor(numbers("uniform", shape) * (high - low))).astype(np.int64)


class Draws:
    """What one side draws while `active`, counted by distribution and shape."""

    def __init__(self, known: Collection[str] = ()) -> None:
        self.counts: Counter[str] = Counter()
        self.known = known
        """What the other side draws: tells the order of the axes of a tensor that is held with its channels first."""

    def taken(self) -> dict[str, int]:
        """The counts since this was last asked."""
        found = dict(self.counts)
        self.counts.clear()
        return found

    def note(self, kind: str, shape: Sequence[int]) -> Shape:
        shape = tuple(map(int, shape))
        self.counts[label(kind, shape)] += 1
        return shape

    # --- Keras --------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def in_tensorflow(self) -> Iterator[None]:
        """Replaces the operations under `tf.random`, through which all of Keras draws."""
        from tensorflow.python.ops import gen_random_ops, gen_stateless_random_ops_v2

        plain, stateless = gen_random_ops, gen_stateless_random_ops_v2
        replaced = {
            (plain, "random_standard_normal"): self._floats("normal"),
            (plain, "truncated_normal"): self._floats("truncated"),
            (plain, "random_uniform"): self._floats("uniform"),
            (plain, "random_uniform_int"): self._ints,
            (stateless, "stateless_random_normal_v2"): self._floats("normal"),
            (stateless, "stateless_truncated_normal_v2"): self._floats("truncated"),
            (stateless, "stateless_random_uniform_v2"): self._floats("uniform"),
            (stateless, "stateless_random_uniform_int_v2"): self._ints,
        }
        with _replaced(replaced):
            yield

    def _floats(self, kind: str) -> Callable[..., Any]:
        def drawn(shape: Any, dtype: Any, *args: Any, **kwargs: Any) -> Any:
            import tensorflow as tf

            return _evaluated(lambda s: numbers(kind, self.note(kind, s)), shape, tf.as_dtype(dtype))

        return drawn

    def _ints(self, shape: Any, minval: Any = None, maxval: Any = None, **kwargs: Any) -> Any:
        import tensorflow as tf

        low, high = tf.convert_to_tensor(minval), tf.convert_to_tensor(maxval)
        return _evaluated(
            lambda s, a, b: integers(self.note("integers", s), int(a), int(b)), shape, low.dtype, low, high
        )

    # --- torch --------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def in_torch(self) -> Iterator[None]:
        """Replaces the functions of torch that generated code draws with."""
        import torch
        from torch import nn

        replaced = {
            (torch, "randn"): self._of_size("normal"),
            (torch, "rand"): self._of_size("uniform"),
            (torch, "randn_like"): lambda x, **k: self._torch("normal", x.shape).to(x),
            (torch, "rand_like"): lambda x, **k: self._torch("uniform", x.shape).to(x),
            (torch, "randint"): self._randint,
            (torch.Tensor, "uniform_"): lambda x, *limits, **_: self._uniform(x, *limits),
            (nn.init, "trunc_normal_"): self._truncated,
            (nn.functional, "dropout"): self._dropout,
        }
        with _replaced(replaced):
            yield

    def _torch(self, kind: str, shape: Sequence[int], make: Callable[[Shape], np.ndarray] | None = None) -> Any:
        """The numbers for a shape, which is looked for among those of the other side, channels first or last."""
        import torch

        make = make or functools.partial(numbers, kind)
        own = tuple(map(int, shape))
        last = (own[0], *own[2:], own[1]) if len(own) > 2 else own
        if label(kind, own) in self.known or label(kind, last) not in self.known:
            return torch.from_numpy(np.array(make(self.note(kind, own))))
        drawn = np.moveaxis(make(self.note(kind, last)), -1, 1)
        return torch.from_numpy(np.ascontiguousarray(drawn))

    def _of_size(self, kind: str) -> Callable[..., Any]:
        def drawn(*size: Any, dtype: Any = None, device: Any = None, **kwargs: Any) -> Any:
            import torch

            size = tuple(size[0]) if size and not isinstance(size[0], int) else size
            return self._torch(kind, size).to(dtype or torch.get_default_dtype())

        return drawn

    def _randint(self, *args: Any, **kwargs: Any) -> Any:
        (low, high), size = (args[:2] if len(args) == 3 else (0, args[0])), args[-1]
        return self._torch("integers", size, lambda s: integers(s, low, high))

    def _uniform(self, x: Any, low: float = 0.0, high: float = 1.0) -> Any:
        return x.copy_(low + (high - low) * self._torch("uniform", x.shape))

    def _dropout(self, x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
        return x if p == 0 or not training else x * (self._torch("uniform", x.shape) >= p) / (1 - p)

    def _truncated(self, x: Any, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Any:
        if not (math.isclose(a, -2.0) and math.isclose(b, 2.0) and mean == 0 and std == 1):
            raise ValueError("numbers that are cut elsewhere than Keras cuts them")
        return x.copy_(self._torch("truncated", x.shape))


def label(kind: str, shape: Shape) -> str:
    return f"{kind} {', '.join(map(str, shape))}"


def _evaluated(make: Callable[..., np.ndarray], shape: Any, dtype: Any, *others: Any) -> Any:
    """A tensor of numpy's numbers, made now, or each time the graph under construction runs."""
    import tensorflow as tf

    shape = tf.convert_to_tensor(shape, tf.int32)
    known = tf.get_static_value(shape)
    if tf.executing_eagerly():
        return tf.cast(tf.constant(make(known, *others)), dtype)
    made = tf.numpy_function(lambda *v: make(*v).astype(dtype.as_numpy_dtype), [shape, *others], dtype)
    return tf.ensure_shape(made, None if known is None else tuple(known))


@contextlib.contextmanager
def _replaced(replaced: dict[tuple[Any, str], Any]) -> Iterator[None]:
    """Replaces attributes for a time."""
    before = {(owner, name): getattr(owner, name) for owner, name in replaced}
    try:
        for (owner, name), function in replaced.items():
            setattr(owner, name, function)
        yield
    finally:
        for (owner, name), function in before.items():
            setattr(owner, name, function)
