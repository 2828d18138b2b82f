"""Convolutions with a kernel of its own at every position, which legacy Keras alone has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Step, Transform, Weight
from transpiler.ir.shape import Layout, Shape, TensorType, product
from transpiler.rules import spatial
from transpiler.rules.activations import activation_steps
from transpiler.rules.base import LayerRule, call, keywords, per_axis
from transpiler.rules.convolution import KERAS1_NAMES
from transpiler.rules.initializers import canonical, keras_fans
from transpiler.rules.spatial import Grid


class _LocallyConnected(LayerRule):
    """What both share: the weight is (*positions, channels, *kernel, filters) in torch, whichever way Keras stores it."""

    ndim: ClassVar[int]
    signature = (
        "filters, kernel_size, strides=1, padding='valid', data_format=None, activation=None, use_bias=True, "
        "kernel_initializer='glorot_uniform', bias_initializer='zeros', kernel_regularizer=None, bias_regularizer=None, "
        "activity_regularizer=None, kernel_constraint=None, bias_constraint=None, implementation=1"
    )
    renames = KERAS1_NAMES
    unsupported = {"padding": "only padding='valid' is translated"}

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return spatial.spatial_layout(a)

    def positions(self, a: Args, grid: Grid) -> Shape:
        kernel, stride = per_axis(a.kernel_size, self.ndim), per_axis(a.strides, self.ndim)
        return tuple(spatial.valid_size(size, k, s, 1) for size, k, s in zip(grid.sizes, kernel, stride))

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        grid = Grid.of(a, xs[0], self.ndim)
        return grid.shape(self.positions(a, grid), a.filters)

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        grid = Grid.of(a, xs[0], self.ndim)
        positions = self.positions(a, grid)
        if None in positions:
            raise Declined("K2T202", "a locally connected layer needs the size of its input", "Give the input a shape.")
        initializer = getattr(a.kernel_initializer, "leaf", a.kernel_initializer)
        if not isinstance(initializer, str) or canonical(initializer) in ("orthogonal", "identity"):
            raise Declined("K2T102", "this start of a locally connected kernel has no translation")
        helper = f"LocallyConnected{self.ndim}d"
        sizes = [positions, per_axis(a.kernel_size, self.ndim), per_axis(a.strides, self.ndim)]
        out_size, kernel, stride = sizes if self.ndim > 1 else [s[0] for s in sizes]
        plain = (1, 1) if self.ndim > 1 else 1
        options = keywords({"stride": plain, "bias": True}, stride=stride, bias=a.use_bias)
        module = call(helper, grid.known_channels(), a.filters, out_size, kernel_size=kernel, **options)
        stored, transform = self.stored(a, grid, positions)
        bias = ("permute", (self.ndim, *range(self.ndim)))
        if grid.first:  # Keras does not permute it there
            bias = ("reshape", (a.filters, *positions))
        weights = {"weight": Weight("kernel", transform), "bias": Weight("bias", (bias,), optional=True)}
        init = {"weight": a.kernel_initializer, "bias": a.bias_initializer}
        step = Step(module=module, hint="local", weights=weights, init=init, fans=keras_fans(stored), helpers=(helper,))
        return [step, *activation_steps(a.activation, y, a.generation)]

    def stored(self, a: Args, grid: Grid, positions: Shape) -> tuple[Shape, Transform]:
        """The shape in which each implementation stores the kernel, and how it becomes torch's."""
        n, channels, filters = self.ndim, grid.channels, a.filters
        kernel, stride = per_axis(a.kernel_size, n), per_axis(a.strides, n)
        at, window = tuple(range(n)), tuple(range(n, 2 * n))
        way = a.const("implementation")
        if way == 1:
            shape = (product(positions), product(kernel) * channels, filters)
            if grid.first:
                return shape, (("reshape", (*positions, channels, *kernel, filters)),)
            order = (*at, 2 * n, *window, 2 * n + 1)
            return shape, (("reshape", (*positions, *kernel, channels, filters)), ("permute", order))
        if way == 2:  # a dense layer, of which only what the windows see counts
            if not grid.first:
                return (*grid.sizes, channels, *positions, filters), (("windows", kernel, stride),)
            order = (*(i + 1 for i in at), 0, *(i + n + 2 for i in at), n + 1)
            return (channels, *grid.sizes, filters, *positions), (("permute", order), ("windows", kernel, stride))
        if way != 3:
            raise Declined("K2T102", f"implementation={way!r} does not exist")
        if grid.first:
            parts, order = (filters, *positions, channels, *kernel), (*range(1, 2 * n + 2), 0)
        else:
            parts, order = (*positions, filters, *kernel, channels), (*at, 2 * n + 1, *(i + n + 1 for i in at), n)
        return (product(parts),), (("reshape", parts), ("permute", order))


class LocallyConnected1D(_LocallyConnected):
    """A helper module."""

    ndim = 1
    keras = ("LocallyConnected1D",)
    examples = (
        ("LocallyConnected1D(4, 3)", (2, 7, 3)),
        ("LocallyConnected1D(4, 2, strides=2, activation='relu', use_bias=False)", (2, 7, 3)),
        ("LocallyConnected1D(4, 3, implementation=2)", (2, 7, 3)),
        ("LocallyConnected1D(4, 3, strides=2, implementation=3)", (2, 7, 3)),
        ("LocallyConnected1D(4, 3, data_format='channels_first')", (2, 3, 7)),
        ("LocallyConnected1D(4, 3, data_format='channels_first', implementation=2)", (2, 3, 7)),
        ("LocallyConnected1D(4, 3, data_format='channels_first', implementation=3)", (2, 3, 7)),
    )


class LocallyConnected2D(_LocallyConnected):
    """A helper module."""

    ndim = 2
    keras = ("LocallyConnected2D",)
    examples = (
        ("LocallyConnected2D(4, 3)", (2, 6, 7, 3)),
        ("LocallyConnected2D(4, (3, 2), strides=(1, 2), activation='relu', use_bias=False)", (2, 6, 7, 3)),
        ("LocallyConnected2D(4, (3, 2), strides=2, implementation=2)", (2, 6, 7, 3)),
        ("LocallyConnected2D(4, (3, 2), implementation=3)", (2, 6, 7, 3)),
        ("LocallyConnected2D(4, (3, 2), data_format='channels_first')", (2, 3, 6, 7)),
        ("LocallyConnected2D(4, (3, 2), strides=2, data_format='channels_first', implementation=2)", (2, 3, 6, 7)),
        ("LocallyConnected2D(4, (3, 2), data_format='channels_first', implementation=3)", (2, 3, 6, 7)),
    )
