"""Pooling: windows and whole axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of, is_open, same
from transpiler.ir.model import KERAS2, KERAS3, Args, Step
from transpiler.ir.shape import Dim, Layout, Shape, TensorType
from transpiler.rules import spatial
from transpiler.rules.base import LayerRule, call, keywords, per_axis
from transpiler.rules.spatial import Grid


class _Pool(LayerRule):
    """A maximum or a mean over windows."""

    ndim: ClassVar[int]
    kind: ClassVar[str]
    """`Max` or `Avg`."""
    signature = "pool_size=2, strides=None, padding='valid', data_format=None"
    renames = {
        "border_mode": "padding",
        "dim_ordering": "data_format",
        "pool_length": "pool_size",
        "stride": "strides",
    }

    def bind(self, args: Sequence[Any], kwargs: dict[str, Any], generation: str = KERAS3) -> Args:
        a = super().bind(args, kwargs, generation)
        if self.kind == "Avg" and generation == KERAS3 and "pool_size" not in a.given:
            raise Declined("K2T102", f"{self.keras[0]} needs a pool_size in Keras 3")
        return a

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return spatial.spatial_layout(a)

    def window(self, a: Args) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Pool size and strides by axis."""
        strides = a.pool_size if not is_open(a.strides) and a.strides is None else a.strides
        return per_axis(a.pool_size, self.ndim), per_axis(strides, self.ndim)

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        grid, (pool, strides) = Grid.of(a, xs[0], self.ndim), self.window(a)
        return grid.shape([self._size(a, *axis) for axis in zip(grid.sizes, pool, strides)], grid.channels)

    def _size(self, a: Args, size: Dim, pool: Any, stride: Any) -> Dim:
        padding = a.lower("padding")
        if padding not in ("valid", "same"):
            raise Declined("K2T104", f"the padding {padding!r} is unknown")
        return spatial.same_size(size, stride) if padding == "same" else spatial.fitting_size(size, pool, stride)

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        grid, (pool, strides) = Grid.of(a, xs[0], self.ndim), self.window(a)
        if a.lower("padding") == "valid":
            return [self.pool(a)]
        pads = [spatial.same_pads(*axis) for axis in zip(grid.sizes, pool, strides)]
        if all(p and p[0] == p[1] for p in pads):
            padding = spatial.compact([p[0] for p in pads if p])
            uncounted = {"count_include_pad": False} if self.kind == "Avg" and padding != 0 else {}
            return [self.pool(a, padding=padding, **uncounted)]
        if all(self.at_most_one_after(*axis) for axis in zip(pads, pool, strides)):
            return [self.pool(a, ceil_mode=True)]
        if self.kind == "Max" and all(pads):
            return [spatial.pad_step([p for p in pads if p], float("-inf")), self.pool(a)]
        helper = f"{self.kind}Pool{self.ndim}dSame"
        return [Step(module=call(helper, **self.arguments(a)), hint="pool", helpers=(helper,))]

    @staticmethod
    def at_most_one_after(pads: tuple[int, int] | None, pool: Any, stride: Any) -> bool:
        """Whether `same` adds nothing before this axis and at most one cell after it: torch's `ceil_mode`.

        A window of 2 with stride 2 does so for every size; at stride 1 torch's rule gives one window less.
        """
        if pads is None:
            return same(pool, 2) and same(stride, 2)
        return pads == (0, 0) or (pads == (0, 1) and not spatial.is_one(stride))

    def arguments(self, a: Args) -> dict[str, Any]:
        """torch's window arguments; its stride defaults to the window."""
        size = spatial.size_argument(a.pool_size, self.ndim)
        given = None if not is_open(a.strides) and a.strides is None else spatial.size_argument(a.strides, self.ndim)
        stride = {} if given is None or same(given, size) else {"stride": given}
        return {"kernel_size": size, **stride}

    def pool(self, a: Args, **more: Any) -> Step:
        """torch's own pooling."""
        kwargs = {**self.arguments(a), **keywords({"padding": 0}, **more)}
        name = f"F.{self.kind.lower()}_pool{self.ndim}d"
        text = call(name, **kwargs).replace(f"{name}(", f"{name}({{0}}, ", 1)
        return Step(module=call(f"nn.{self.kind}Pool{self.ndim}d", **kwargs), fn=text, hint="pool")


class MaxPooling1D(_Pool):
    """`nn.MaxPool1d`."""

    ndim, kind = 1, "Max"
    keras = ("MaxPooling1D", "MaxPool1D")
    examples = (("MaxPooling1D(2)", (2, 9, 3)), ("MaxPooling1D(3, strides=2, padding='same')", (2, 8, 3)))


class MaxPooling2D(_Pool):
    """`nn.MaxPool2d`."""

    ndim, kind = 2, "Max"
    keras = ("MaxPooling2D", "MaxPool2D")
    examples = (
        ("MaxPooling2D()", (2, 8, 9, 3)),
        ("MaxPooling2D(3, strides=2, padding='same')", (2, 8, 7, 3)),
        ("MaxPooling2D((2, 3), strides=(1, 3), padding='same')", (2, 7, 8, 3)),
    )


class MaxPooling3D(_Pool):
    """`nn.MaxPool3d`."""

    ndim, kind = 3, "Max"
    keras = ("MaxPooling3D", "MaxPool3D")
    examples = (("MaxPooling3D(2)", (2, 4, 5, 6, 3)),)


class AveragePooling1D(_Pool):
    """`nn.AvgPool1d`; padding is not counted."""

    ndim, kind = 1, "Avg"
    keras = ("AveragePooling1D", "AvgPool1D")
    examples = (("AveragePooling1D(3, strides=1, padding='same')", (2, 9, 3)),)


class AveragePooling2D(_Pool):
    """`nn.AvgPool2d`; padding is not counted."""

    ndim, kind = 2, "Avg"
    keras = ("AveragePooling2D", "AvgPool2D")
    examples = (
        ("AveragePooling2D(2)", (2, 8, 9, 3)),
        ("AveragePooling2D(3, strides=2, padding='same')", (2, 8, 7, 3)),
    )


class AveragePooling3D(_Pool):
    """`nn.AvgPool3d`; padding is not counted."""

    ndim, kind = 3, "Avg"
    keras = ("AveragePooling3D", "AvgPool3D")
    examples = (("AveragePooling3D(2, padding='same')", (2, 4, 5, 6, 3)),)


class _GlobalPool(LayerRule):
    """A mean or a maximum over all spatial axes."""

    ndim: ClassVar[int]
    method: ClassVar[str]
    signature = "data_format=None, keepdims=False"
    renames = {"dim_ordering": "data_format"}

    def axes(self, a: Args) -> tuple[int, ...]:
        """The spatial axes, in Keras order."""
        start = 2 if spatial.channels_first(a) else 1
        return tuple(range(start, start + self.ndim))

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        grid = Grid.of(a, xs[0], self.ndim)
        return grid.shape((1,) * self.ndim if a.const("keepdims") else (), grid.channels)

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        dims = sorted(xs[0].axis(k) for k in self.axes(a))
        dim = code_of(spatial.compact(dims) if len(dims) == 1 else tuple(dims))
        keep = ", keepdim=True" if a.const("keepdims") else ""
        return [Step(fn=f"{{0}}.{self.method}(dim={dim}{keep})", hint="pool")]


class GlobalAveragePooling1D(_GlobalPool):
    """A mean over the steps."""

    ndim, method = 1, "mean"
    keras = ("GlobalAveragePooling1D", "GlobalAvgPool1D")
    takes_mask = True
    examples = (("GlobalAveragePooling1D()", (2, 5, 3)),)

    def reads_masks(self, a: Args, xs: Sequence[TensorType]) -> tuple[int, ...]:
        return (0,) if xs[0].masked else ()

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        if not xs[0].masked:
            return super().steps(a, xs, y)
        if spatial.channels_first(a) or a.const("keepdims"):
            raise Declined("K2T105", "a masked GlobalAveragePooling1D with data_format or keepdims")
        time = xs[0].axis(1)
        kept = "{1}[..., None]" if time == 1 else "{1}[:, None]"
        clear = f"({{0}} * {kept})" if a.generation == KERAS2 else f"{{0}}.masked_fill(~{kept}, 0)"
        fn = f"{clear}.sum(dim={time}) / {{1}}.sum(dim=1, keepdim=True)"
        return [Step(fn=fn, hint="pool", takes=(1,))]


class GlobalAveragePooling2D(_GlobalPool):
    """A mean over height and width."""

    ndim, method = 2, "mean"
    keras = ("GlobalAveragePooling2D", "GlobalAvgPool2D")
    examples = (("GlobalAveragePooling2D()", (2, 4, 5, 3)), ("GlobalAveragePooling2D(keepdims=True)", (2, 4, 5, 3)))


class GlobalAveragePooling3D(_GlobalPool):
    """A mean over all three axes."""

    ndim, method = 3, "mean"
    keras = ("GlobalAveragePooling3D", "GlobalAvgPool3D")
    examples = (("GlobalAveragePooling3D()", (2, 3, 4, 5, 3)),)


class GlobalMaxPooling1D(_GlobalPool):
    """A maximum over the steps."""

    ndim, method = 1, "amax"
    keras = ("GlobalMaxPooling1D", "GlobalMaxPool1D")
    examples = (("GlobalMaxPooling1D()", (2, 5, 3)),)


class GlobalMaxPooling2D(_GlobalPool):
    """A maximum over height and width."""

    ndim, method = 2, "amax"
    keras = ("GlobalMaxPooling2D", "GlobalMaxPool2D")
    examples = (("GlobalMaxPooling2D()", (2, 4, 5, 3)),)


class GlobalMaxPooling3D(_GlobalPool):
    """A maximum over all three axes."""

    ndim, method = 3, "amax"
    keras = ("GlobalMaxPooling3D", "GlobalMaxPool3D")
    examples = (("GlobalMaxPooling3D()", (2, 3, 4, 5, 3)),)


class _AdaptivePool(LayerRule):
    """A maximum or a mean over as many windows as are wanted."""

    ndim: ClassVar[int]
    kind: ClassVar[str]
    """`Max` or `Avg`."""
    signature = "output_size, data_format=None"

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return spatial.spatial_layout(a)

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        grid = Grid.of(a, xs[0], self.ndim)
        return grid.shape(per_axis(a.output_size, self.ndim), grid.channels)

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        size = code_of(spatial.size_argument(a.output_size, self.ndim))
        fn = f"F.adaptive_{self.kind.lower()}_pool{self.ndim}d({{0}}, {size})"
        return [Step(module=f"nn.Adaptive{self.kind}Pool{self.ndim}d({size})", fn=fn, hint="pool")]


class AdaptiveAveragePooling1D(_AdaptivePool):
    """`nn.AdaptiveAvgPool1d`."""

    ndim, kind, keras = 1, "Avg", ("AdaptiveAveragePooling1D",)
    examples = (("AdaptiveAveragePooling1D(4)", (2, 7, 3)),)


class AdaptiveAveragePooling2D(_AdaptivePool):
    """`nn.AdaptiveAvgPool2d`."""

    ndim, kind, keras = 2, "Avg", ("AdaptiveAveragePooling2D",)
    examples = (
        ("AdaptiveAveragePooling2D((3, 2))", (2, 7, 5, 3)),
        ("AdaptiveAveragePooling2D(4, data_format='channels_first')", (2, 3, 6, 5)),
    )


class AdaptiveAveragePooling3D(_AdaptivePool):
    """`nn.AdaptiveAvgPool3d`."""

    ndim, kind, keras = 3, "Avg", ("AdaptiveAveragePooling3D",)
    examples = (("AdaptiveAveragePooling3D(2)", (2, 3, 4, 5, 2)),)


class AdaptiveMaxPooling1D(_AdaptivePool):
    """`nn.AdaptiveMaxPool1d`."""

    ndim, kind, keras = 1, "Max", ("AdaptiveMaxPooling1D",)
    examples = (("AdaptiveMaxPooling1D(4)", (2, 7, 3)),)


class AdaptiveMaxPooling2D(_AdaptivePool):
    """`nn.AdaptiveMaxPool2d`."""

    ndim, kind, keras = 2, "Max", ("AdaptiveMaxPooling2D",)
    examples = (
        ("AdaptiveMaxPooling2D((3, 2))", (2, 7, 5, 3)),
        ("AdaptiveMaxPooling2D(4, data_format='channels_first')", (2, 3, 6, 5)),
    )


class AdaptiveMaxPooling3D(_AdaptivePool):
    """`nn.AdaptiveMaxPool3d`."""

    ndim, kind, keras = 3, "Max", ("AdaptiveMaxPooling3D",)
    examples = (("AdaptiveMaxPooling3D(2)", (2, 3, 4, 5, 2)),)
