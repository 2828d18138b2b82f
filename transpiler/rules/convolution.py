"""Convolutions of every kind, over one, two and three axes."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from transpiler.diagnostics import Declined
from transpiler.ir.expr import Sym, is_open, witness_of
from transpiler.ir.model import KERAS2, KERAS3, Args, Step, Weight
from transpiler.ir.shape import Dim, Layout, Shape, TensorType, product
from transpiler.rules import spatial
from transpiler.rules.activations import activation_steps
from transpiler.rules.base import LayerRule, call, keywords, per_axis
from transpiler.rules.spatial import Grid

KERAS1_NAMES = {
    "nb_filter": "filters",
    "filter_length": "kernel_size",
    "subsample": "strides",
    "subsample_length": "strides",
    "border_mode": "padding",
    "dim_ordering": "data_format",
    "init": "kernel_initializer",
    "bias": "use_bias",
    "W_regularizer": "kernel_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "b_constraint": "bias_constraint",
    "atrous_rate": "dilation_rate",
}
"""Keras 1 argument names of convolutions → today's."""

AFTER_FILTERS = (
    "strides=1, padding='valid', data_format=None, dilation_rate=1, groups=1, activation=None, use_bias=True, "
    "kernel_initializer='glorot_uniform', bias_initializer='zeros', kernel_regularizer=None, bias_regularizer=None, "
    "activity_regularizer=None, kernel_constraint=None, bias_constraint=None"
)


@dataclass(frozen=True)
class Window:
    """The kernel, strides and dilation of one layer, as given and by axis."""

    ndim: int
    kernel: tuple[Any, ...]
    stride: tuple[Any, ...]
    dilation: tuple[Any, ...]
    given: tuple[Any, Any, Any]

    @staticmethod
    def of(a: Args, ndim: int) -> Window:
        given = (a.kernel_size, a.strides, a.dilation_rate)
        kernel, stride, dilation = (per_axis(v, ndim) for v in given)
        check_dilated(stride, dilation)
        return Window(ndim, kernel, stride, dilation, given)

    def sizes(self, sizes: Sequence[Dim], padding: Any) -> tuple[Dim, ...]:
        """The output sizes for `padding`, which may be kept open."""
        return tuple(self._size(*axis, padding) for axis in zip(sizes, self.kernel, self.stride, self.dilation))

    def _size(self, size: Dim, kernel: Any, stride: Any, dilation: Any, padding: Any) -> Dim:
        if isinstance(padding, Sym):
            options = spatial.same_size(size, stride), spatial.valid_size(size, kernel, stride, dilation)
            return spatial.either_size(padding, *options)
        if padding in ("same", "causal"):
            return spatial.same_size(size, stride)
        return spatial.fitting_size(size, kernel, stride, dilation)

    def pads(self, sizes: Sequence[Dim]) -> list[tuple[int, int] | None]:
        """The `same` pads of every axis that are known by now."""
        return [spatial.same_pads(*axis) for axis in zip(sizes, self.kernel, self.stride, self.dilation)]

    def arguments(self, padding: Any, **more: Any) -> dict[str, Any]:
        """torch's keyword arguments, without those that equal its defaults."""
        kernel, stride, dilation = (spatial.size_argument(v, self.ndim) for v in self.given)
        defaults = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True}
        values = {"stride": stride, "padding": padding, "dilation": dilation, **more}
        return {"kernel_size": kernel, **keywords(defaults, **values)}


def padding_of(a: Args, window: Window) -> Any:
    """The padding in lower case; a `Sym` where torch can take it as it comes (stride 1, not causal)."""
    if (
        isinstance(a.padding, Sym)
        and str(a.padding.witness).lower() != "causal"
        and all(map(spatial.is_one, window.stride))
    ):
        return in_lower_case(a.padding)
    padding = a.lower("padding")
    if padding not in ("valid", "same", "causal"):
        raise Declined("K2T104", f"the padding {padding!r} is unknown")
    return padding


def in_lower_case(padding: Sym) -> Sym:
    """The padding as torch takes it: Keras takes `SAME` as well, so that a program that writes it so goes on to."""
    seen = padding.witness
    if not isinstance(seen, str) or seen == seen.lower():
        return padding
    return Sym(ast.Call(ast.Attribute(padding.expr, "lower", ast.Load()), [], []), seen.lower())


def padded_conv(
    a: Args, window: Window, sizes: Sequence[Dim], channels: tuple[Any, Any], **more: Any
) -> tuple[list[Step], str, tuple[str, ...]]:
    """The steps before a convolution, its constructor, and the helpers it needs."""
    padding, n = padding_of(a, window), window.ndim
    if padding == "valid" or isinstance(padding, Sym):
        torch_padding: Any = 0 if padding == "valid" else padding
        return [], call(f"nn.Conv{n}d", *channels, **window.arguments(torch_padding, **more)), ()
    if padding == "causal":
        left = spatial.effective(window.kernel[0], window.dilation[0])
        before = [] if type(left) is int and left == 0 else [spatial.pad_step([(left, 0)])]
        return before, call(f"nn.Conv{n}d", *channels, **window.arguments(0, **more)), ()
    pads = window.pads(sizes)
    if all(p and p[0] == p[1] for p in pads):
        symmetric = spatial.compact([p[0] for p in pads if p])
        return [], call(f"nn.Conv{n}d", *channels, **window.arguments(symmetric, **more)), ()
    if all(map(spatial.is_one, window.stride)):
        return [], call(f"nn.Conv{n}d", *channels, **window.arguments("same", **more)), ()
    if all(pads):
        conv = call(f"nn.Conv{n}d", *channels, **window.arguments(0, **more))
        return [spatial.pad_step([p for p in pads if p])], conv, ()
    helper = f"Conv{n}dSame"
    return [], call(helper, *channels, **window.arguments(0, **more)), (helper,)


class _Convolution(LayerRule):
    """What all convolutions share."""

    ndim: ClassVar[int]
    causal: ClassVar[tuple[str, ...]] = ()
    """The generations in which it takes causal padding."""
    renames = KERAS1_NAMES

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return spatial.spatial_layout(a)

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        if not is_open(a.padding) and a.lower("padding") == "causal" and a.generation not in self.causal:
            raise Declined("K2T104", f"Keras has no causal padding for {self.keras[0]}")

    def bind(self, args: Sequence[Any], kwargs: dict[str, Any], generation: str = KERAS3) -> Args:
        """As in `LayerRule`; Keras 1's `nb_row, nb_col` become one `kernel_size`."""
        if {"nb_row", "nb_col"} <= kwargs.keys():
            kwargs = dict(kwargs)
            kwargs["kernel_size"] = (kwargs.pop("nb_row"), kwargs.pop("nb_col"))
        elif self.ndim == 2 and len(args) == 3 and KERAS1_NAMES.keys() & kwargs.keys():
            args = (args[0], (args[1], args[2]))
        return super().bind(args, kwargs, generation)


class _Conv(_Convolution):
    """The plain convolution of Keras."""

    signature = "filters, kernel_size, " + AFTER_FILTERS

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any], generation: str) -> Args:
        a = super().bind(args, kwargs, generation)
        if generation != KERAS2 or witness_of(a.groups) != 0:
            return a
        one = Sym(ast.BoolOp(ast.Or(), [a.groups.expr, ast.Constant(1)]), 1) if isinstance(a.groups, Sym) else 1
        return a.replace(groups=one)  # no groups are one in legacy Keras

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        grid, window = Grid.of(a, xs[0], self.ndim), Window.of(a, self.ndim)
        return grid.shape(window.sizes(grid.sizes, padding_of(a, window)), a.filters)

    def variables(self, a: Args, x: TensorType) -> dict[str, Shape]:
        grid, window = Grid.of(a, x, self.ndim), Window.of(a, self.ndim)
        kernel = (*window.kernel, grid.known_channels() // a.groups, a.filters)
        return {"kernel": kernel, **({"bias": (a.filters,)} if a.const("use_bias") else {})}

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        grid, window = Grid.of(a, xs[0], self.ndim), Window.of(a, self.ndim)
        channels = (grid.known_channels(), a.filters)
        before, module, helpers = padded_conv(a, window, grid.sizes, channels, groups=a.groups, bias=a.use_bias)
        axes = (self.ndim + 1, self.ndim, *range(self.ndim))  # (kh, kw, in, out) -> (out, in, kh, kw)
        conv = Step(
            module=module,
            hint="conv",
            weights={"weight": Weight("kernel", (("permute", axes),)), "bias": Weight("bias", optional=True)},
            init={"weight": a.kernel_initializer, "bias": a.bias_initializer},
            helpers=helpers,
        )
        return [*before, conv, *activation_steps(a.activation, y, a.generation)]


class Conv1D(_Conv):
    """`nn.Conv1d`; `same` and `causal` pad as Keras does."""

    ndim, causal = 1, (KERAS3, KERAS2)
    keras = ("Conv1D", "Convolution1D")
    module_class = "nn.Conv1d"
    examples = (
        ("Conv1D(4, 3)", (2, 9, 3)),
        ("Conv1D(4, 3, padding='causal', dilation_rate=2, activation='relu')", (2, 9, 3)),
        ("Conv1D(4, 3, strides=2, padding='same', groups=2)", (2, 8, 4)),
    )


class Conv2D(_Conv):
    """`nn.Conv2d`; `same` with a stride pads more after than before."""

    ndim = 2
    keras = ("Conv2D",)
    module_class = "nn.Conv2d"
    examples = (
        ("Conv2D(4, 3, activation='relu')", (2, 8, 9, 3)),
        ("Conv2D(4, (3, 5), strides=2, padding='same', use_bias=False)", (2, 8, 9, 3)),
        ("Conv2D(4, 3, padding='same', dilation_rate=2)", (2, 8, 9, 3)),
    )


class Convolution2D(Conv2D):
    """`Conv2D` under its older name, whose third positional argument meant another thing in Keras 1."""

    keras, class_name = ("Convolution2D",), "Conv2D"
    examples = (("Convolution2D(4, (3, 3), padding='same')", (2, 8, 9, 3)),)

    def bind(self, args: Sequence[Any], kwargs: dict[str, Any], generation: str = KERAS3) -> Args:
        if len(args) > 2 and not KERAS1_NAMES.keys() & kwargs.keys() and not isinstance(args[1], (tuple, list)):
            raise Declined(
                "K2T102",
                "Convolution2D(filters, rows, columns) of Keras 1 reads as (filters, kernel_size, strides) since Keras 2",
                "Write kernel_size=(rows, columns) or strides=… by name.",
            )
        return super().bind(args, kwargs, generation)


class Conv3D(_Conv):
    """`nn.Conv3d`."""

    ndim = 3
    keras = ("Conv3D", "Convolution3D")
    module_class = "nn.Conv3d"
    examples = (("Conv3D(4, 3, strides=(1, 2, 2), padding='same')", (2, 4, 5, 6, 3)),)


def depthwise_weight(ndim: int, source: str) -> Weight:
    """(kh, kw, C, m) -> (C·m, 1, kh, kw)."""
    return Weight(source, (("permute", (ndim, ndim + 1, *range(ndim))), ("merge", 0), ("expand", 1)))


def depthwise_step(a: Args, grid: Grid, window: Window, source: str, **more: Any) -> list[Step]:
    """A convolution of every channel by itself."""
    if getattr(a.depthwise_initializer, "leaf", a.depthwise_initializer) in ("orthogonal", "Orthogonal"):
        raise Declined("K2T102", "an orthogonal depthwise kernel has no counterpart in torch")
    channels = grid.known_channels()
    out = channels * a.depth_multiplier
    before, module, helpers = padded_conv(a, window, grid.sizes, (channels, out), groups=channels, **more)
    cells = product(window.kernel)
    weights = {"weight": depthwise_weight(window.ndim, source)}
    init = {"weight": a.depthwise_initializer}
    if more["bias"] is not False:
        weights["bias"], init["bias"] = Weight("bias", optional=True), a.bias_initializer
    fans = (cells * channels, cells * a.depth_multiplier)
    return [*before, Step(module=module, hint="depthwise", weights=weights, init=init, fans=fans, helpers=helpers)]


class _DepthwiseConv(_Convolution):
    """One kernel (or `depth_multiplier` of them) for every channel."""

    signature = (
        "kernel_size, strides=1, padding='valid', depth_multiplier=1, data_format=None, dilation_rate=1, "
        "activation=None, use_bias=True, depthwise_initializer='glorot_uniform', bias_initializer='zeros', "
        "depthwise_regularizer=None, bias_regularizer=None, activity_regularizer=None, depthwise_constraint=None, "
        "bias_constraint=None"
    )
    renames = {
        **KERAS1_NAMES,
        "kernel_initializer": "depthwise_initializer",
        "kernel_regularizer": "depthwise_regularizer",
        "kernel_constraint": "depthwise_constraint",
    }

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        grid, window = Grid.of(a, xs[0], self.ndim), Window.of(a, self.ndim)
        return grid.shape(window.sizes(grid.sizes, padding_of(a, window)), grid.known_channels() * a.depth_multiplier)

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        grid, window = Grid.of(a, xs[0], self.ndim), Window.of(a, self.ndim)
        depthwise = depthwise_step(a, grid, window, "depthwise_kernel|kernel", bias=a.use_bias)
        return [*depthwise, *activation_steps(a.activation, y, a.generation)]


class DepthwiseConv1D(_DepthwiseConv):
    """`nn.Conv1d` with as many groups as channels."""

    ndim = 1
    keras = ("DepthwiseConv1D",)
    examples = (("DepthwiseConv1D(3, strides=2, padding='same', depth_multiplier=2)", (2, 8, 3)),)


class DepthwiseConv2D(_DepthwiseConv):
    """`nn.Conv2d` with as many groups as channels."""

    ndim = 2
    keras = ("DepthwiseConv2D",)
    examples = (
        ("DepthwiseConv2D(3, strides=2, padding='same', depth_multiplier=2)", (2, 8, 7, 3)),
        ("DepthwiseConv2D(3, use_bias=False, activation='relu')", (2, 8, 7, 3)),
    )


class _SeparableConv(_Convolution):
    """A depthwise convolution without bias, then a convolution of size 1 with it."""

    signature = (
        "filters, kernel_size, strides=1, padding='valid', data_format=None, dilation_rate=1, depth_multiplier=1, "
        "activation=None, use_bias=True, depthwise_initializer='glorot_uniform', pointwise_initializer='glorot_uniform', "
        "bias_initializer='zeros', depthwise_regularizer=None, pointwise_regularizer=None, bias_regularizer=None, "
        "activity_regularizer=None, depthwise_constraint=None, pointwise_constraint=None, bias_constraint=None, "
        "kernel_initializer=None, kernel_regularizer=None, kernel_constraint=None"
    )

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        grid, window = Grid.of(a, xs[0], self.ndim), Window.of(a, self.ndim)
        return grid.shape(window.sizes(grid.sizes, padding_of(a, window)), a.filters)

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        grid, window = Grid.of(a, xs[0], self.ndim), Window.of(a, self.ndim)
        depthwise = depthwise_step(a, grid, window, "depthwise_kernel", bias=False)
        n, inner = self.ndim, grid.known_channels() * a.depth_multiplier
        bias = keywords({"bias": True}, bias=a.use_bias)
        pointwise = Step(
            module=call(f"nn.Conv{n}d", inner, a.filters, kernel_size=1, **bias),
            hint="pointwise",
            weights={
                "weight": Weight("pointwise_kernel", (("permute", (n + 1, n, *range(n))),)),
                "bias": Weight("bias", optional=True),
            },
            init={"weight": a.pointwise_initializer, "bias": a.bias_initializer},
        )
        return [*depthwise, pointwise, *activation_steps(a.activation, y, a.generation)]


class SeparableConv1D(_SeparableConv):
    """A depthwise and a pointwise `nn.Conv1d`."""

    ndim, causal = 1, (KERAS2,)
    keras = ("SeparableConv1D", "SeparableConvolution1D")
    examples = (("SeparableConv1D(4, 3, padding='same')", (2, 8, 3)),)


class SeparableConv2D(_SeparableConv):
    """A depthwise and a pointwise `nn.Conv2d`."""

    ndim = 2
    keras = ("SeparableConv2D", "SeparableConvolution2D")
    examples = (
        ("SeparableConv2D(4, 3, strides=2, padding='same', depth_multiplier=2, activation='relu')", (2, 8, 7, 3)),
        ("SeparableConv2D(4, 3, use_bias=False)", (2, 8, 7, 3)),
    )


def check_dilated(strides: Sequence[Any], dilation: Sequence[Any]) -> None:
    """Raises Declined for a known stride and a known dilation rate above 1, which Keras does not take together."""
    if any(type(s) is int and s > 1 for s in strides) and any(type(d) is int and d > 1 for d in dilation):
        raise Declined("K2T104", "Keras does not take strides and a dilation rate above 1 together")


def transposed_excess(kernel: int, stride: int, dilation: int, padding: str, extra: int | None) -> int:
    """How many cells a transposed convolution without padding yields beyond Keras's output; negative if too few.

    It does not depend on the input size: full = (i - 1)·s + ke; Keras: same i·s, valid i·s + max(ke - s, 0), and
    with output_padding (i - 1)·s + ke + extra, less 2·(ke // 2) for same.
    """
    span = (kernel - 1) * dilation + 1
    if extra is not None:
        return (2 * (span // 2) if padding == "same" else 0) - extra
    return span - stride if padding == "same" else min(span - stride, 0)


class _ConvTranspose(_Convolution):
    """The transposed convolution, cut where Keras cuts it."""

    signature = "filters, kernel_size, " + AFTER_FILTERS.replace(
        "data_format=None", "output_padding=None, data_format=None"
    ).replace("groups=1, ", "")

    def excess(self, a: Args) -> list[int]:
        """`transposed_excess` for every axis; raises NeedsConstant while kernel or strides are kept open."""
        kernel, strides, dilation = (
            per_axis(spatial.known(a.get(v), v), self.ndim) for v in ("kernel_size", "strides", "dilation_rate")
        )
        extra = per_axis(a.const("output_padding"), self.ndim)
        padding = a.lower("padding")
        if padding not in ("valid", "same"):
            raise Declined("K2T104", f"the padding {padding!r} is unknown")
        if any(e is not None and e >= s for e, s in zip(extra, strides)):
            raise Declined("K2T102", "Keras takes an output_padding only where it is smaller than the strides")
        check_dilated(strides, dilation)
        if self.ndim == 3 and a.generation == KERAS2 and any(d > 1 for d in dilation):
            raise Declined("K2T102", "legacy Keras leaves out the dilation_rate of Conv3DTranspose")
        spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
        if padding == "same" and any(e == 0 and span % 2 == 0 for e, span in zip(extra, spans)):
            raise Declined(
                "K2T102", "output_padding=0 with padding='same' and an even kernel has no output in TensorFlow"
            )
        return [transposed_excess(*axis, padding, e) for *axis, e in zip(kernel, strides, dilation, extra)]

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        grid = Grid.of(a, xs[0], self.ndim)
        kernel, strides, dilation = (per_axis(v, self.ndim) for v in (a.kernel_size, a.strides, a.dilation_rate))
        sizes = []
        for size, k, s, d, excess in zip(grid.sizes, kernel, strides, dilation, self.excess(a)):
            extra = (k - 1) * d + 1 - s - excess  # (i - 1)·s + ke - excess
            sizes.append(None if size is None else size * s + extra)
        return grid.shape(sizes, a.filters)

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        grid, n = Grid.of(a, xs[0], self.ndim), self.ndim
        excess = self.excess(a)
        cuts = [e % 2 if e > 0 else 0 for e in excess]
        arguments = keywords(
            {"stride": 1, "padding": 0, "output_padding": 0, "bias": True, "dilation": 1},
            stride=spatial.size_argument(a.strides, n),
            padding=spatial.compact([max(e, 0) // 2 for e in excess]),
            output_padding=spatial.compact([max(-e, 0) for e in excess]),
            bias=a.use_bias,
            dilation=spatial.size_argument(a.dilation_rate, n),
        )
        channels = (grid.known_channels(), a.filters)
        conv = Step(
            module=call(
                f"nn.ConvTranspose{n}d", *channels, kernel_size=spatial.size_argument(a.kernel_size, n), **arguments
            ),
            hint="conv_transpose",
            weights={
                "weight": Weight("kernel", (("permute", (n + 1, n, *range(n))),)),
                "bias": Weight("bias", optional=True),
            },
            init={"weight": a.kernel_initializer, "bias": a.bias_initializer},
        )
        crop = [spatial.crop_step([(0, c) for c in cuts])] if any(cuts) else []
        return [conv, *crop, *activation_steps(a.activation, y, a.generation)]


class Conv1DTranspose(_ConvTranspose):
    """`nn.ConvTranspose1d`."""

    ndim = 1
    keras = ("Conv1DTranspose", "Convolution1DTranspose")
    examples = (("Conv1DTranspose(4, 3, strides=2, padding='same')", (2, 5, 3)),)


class Conv2DTranspose(_ConvTranspose):
    """`nn.ConvTranspose2d`; an odd excess is cut off at the end."""

    ndim = 2
    keras = ("Conv2DTranspose", "Convolution2DTranspose", "Deconvolution2D")
    examples = (
        ("Conv2DTranspose(4, 2, strides=2)", (2, 4, 5, 3)),
        ("Conv2DTranspose(4, 3, strides=2, padding='same', activation='relu')", (2, 4, 5, 3)),
        ("Conv2DTranspose(4, 4, strides=2, padding='same', use_bias=False)", (2, 4, 5, 3)),
    )


class Conv3DTranspose(_ConvTranspose):
    """`nn.ConvTranspose3d`."""

    ndim = 3
    keras = ("Conv3DTranspose", "Convolution3DTranspose")
    examples = (("Conv3DTranspose(4, 2, strides=(1, 2, 2))", (2, 3, 4, 5, 3)),)

    def bind(self, args: Sequence[Any], kwargs: dict[str, Any], generation: str = KERAS3) -> Args:
        """As in `LayerRule`; here alone Keras 3 has `data_format` before `output_padding`."""
        if generation == KERAS3 and len(args) > 4:
            later = list(self._signature().parameters)[6:]
            named = dict(zip(("data_format", "output_padding", *later), args[4:]))
            args = args[:4]
            kwargs = {**kwargs, **named}
        return super().bind(args, kwargs, generation)
