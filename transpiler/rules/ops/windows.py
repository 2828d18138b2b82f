"""Convolutions with a kernel that the program computes, and pooling as functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import NeedsConstant, Sym, code_of, same
from transpiler.ir.linear import equal
from transpiler.ir.model import Args, Lowering
from transpiler.ir.shape import Layout
from transpiler.rules.base import compact, per_axis, show
from transpiler.rules.ops.base import Operand, OpRule, example, is_float, leaf_of, one, tensor
from transpiler.rules.ops.image import channels_last
from transpiler.rules.spatial import is_one, pad_argument, same_pads, same_size, valid_size


def spatial(value: Any, rank: int) -> tuple[Any, ...]:
    """A value for each spatial axis; TensorFlow also gives those of the batch and the channels."""
    if isinstance(value, (list, tuple)) and len(value) == rank + 2:
        if not is_one(value[0]) or not is_one(value[-1]):
            raise Declined("K2T102", f"{show(value)} steps over examples or channels")
        value = value[1:-1]
    return per_axis(value, rank)


class Windows(OpRule):
    """A window that moves over the spatial axes of a tensor held channels first."""

    batched = True

    def wants(self, path: str, a: Args) -> Any:
        """The kernel stays as Keras holds it."""
        return (Layout.FIRST, *(Layout.KERAS for _ in self.inputs[1:]))

    def rank(self, a: Args) -> int:
        """How many spatial axes there are."""
        x = tensor(a)
        value = a.get("data_format")
        if not (value in ("NWC", "NDHWC") or channels_last(a)):
            raise Declined("K2T103", "a window over channels first is not translated here")
        if not is_float(x.dtype) or not 3 <= x.rank <= 5:
            raise Declined("K2T103", "this tensor is not translated here")
        return x.rank - 2

    def padded(
        self, a: Args, kernel: Sequence[Any], strides: Sequence[Any], dilation: Sequence[Any]
    ) -> tuple[list[Any] | None, list[Any]]:
        """The pads of each spatial axis, None where the input gives them when it comes, and the sizes of the result."""
        sizes = tensor(a).shape[1:-1]
        padding = a.lower("padding")
        if padding == "valid":
            found = [valid_size(d, k, s, r) for d, k, s, r in zip(sizes, kernel, strides, dilation)]
            return [(0, 0)] * len(sizes), found
        if padding != "same":
            raise Declined("K2T102", f"padding={show(padding)} is not translated here")
        pads = [same_pads(d, k, s, r) for d, k, s, r in zip(sizes, kernel, strides, dilation)]
        known = None if any(p is None for p in pads) else pads
        return known, [same_size(d, s) for d, s in zip(sizes, strides)]

    def options(self, strides: Sequence[Any], dilation: Sequence[Any], pads: Sequence[Any] | None) -> str:
        text = "" if all(map(is_one, strides)) else f", stride={code_of(compact(strides))}"
        if pads is not None and any(p != (0, 0) for p in pads) and all(same(b, e) for b, e in pads):
            text += f", padding={code_of(compact([b for b, _ in pads]))}"
        return text + ("" if all(map(is_one, dilation)) else f", dilation={code_of(compact(dilation))}")

    def source(
        self,
        pads: Sequence[Any] | None,
        kernel: Sequence[Any],
        strides: Sequence[Any],
        dilation: Sequence[Any],
        value: str = "",
    ) -> tuple[str, tuple[str, ...]]:
        """The input, padded beforehand where torch cannot pad as needed, and the helpers for that."""
        if pads is None:
            given = [code_of(compact(v)) for v in (kernel, strides, dilation)]
            arguments = ", ".join(given if not all(map(is_one, dilation)) else given[:2])
            return f"F.pad({{0}}, same_pads({{0}}, {arguments}){value})", ("same_pads",)
        if all(same(b, e) for b, e in pads):
            return "{0}", ()
        return f"F.pad({{0}}, {code_of(pad_argument(pads))}{value})", ()


class Convolve(Windows):
    """A convolution with a given kernel."""

    names = (
        "backend.conv1d", "backend.conv2d", "backend.conv3d", "tensorflow.nn.conv3d", "backend.depthwise_conv2d", "ops.conv", "ops.nn.conv", "ops.depthwise_conv",
        "tensorflow.nn.conv1d", "tensorflow.nn.conv2d", "tensorflow.nn.depthwise_conv2d", "tensorflow.nn.convolution",
    )  # fmt: skip
    signature = "x, kernel, strides=1, padding='valid', data_format=None, dilation_rate=1"
    renames = {"input": "x", "inputs": "x", "filters": "kernel", "filter": "kernel", "depthwise_kernel": "kernel", "stride": "strides", "dilations": "dilation_rate"}  # fmt: skip
    signatures = {"tensorflow.nn": "x, kernel, strides=1, padding='VALID', data_format=None, dilation_rate=None"}
    inputs = ("x", "kernel")
    examples = (
        example("K.conv2d(x, tf.reshape(k, (3, 3, 3, 4)), padding='same')", x=(2, 5, 6, 3), k=(3, 3, 3, 4)),
        example(
            "tf.nn.conv2d(x, tf.reshape(k, (3, 2, 3, 4)), strides=[1, 2, 2, 1], padding='SAME')",
            x=(2, 5, 6, 3),
            k=(3, 2, 3, 4),
        ),
        example("tf.nn.conv2d(x, tf.reshape(k, (3, 2, 3, 4)), 2, 'VALID')", x=(2, 5, 6, 3), k=(3, 2, 3, 4)),
        example("K.conv1d(x, tf.reshape(k, (3, 3, 4)), dilation_rate=2)", x=(2, 7, 3), k=(3, 3, 4)),
        example("tf.nn.conv1d(x, tf.reshape(k, (3, 3, 4)), 2, 'SAME')", x=(2, 7, 3), k=(3, 3, 4)),
        example(
            "tf.nn.conv3d(x, tf.reshape(k, (3, 2, 2, 3, 4)), [1] * 5, 'SAME')", x=(2, 5, 4, 3, 3), k=(3, 2, 2, 3, 4)
        ),
        example("K.depthwise_conv2d(x, tf.reshape(k, (3, 3, 3, 2)), padding='same')", x=(2, 5, 6, 3), k=(3, 3, 3, 2)),
        example("ops.conv(x, tf.reshape(k, (3, 3, 3, 4)), strides=2, padding='same')", x=(2, 8, 6, 3), k=(3, 3, 3, 4)),
        example("K.conv3d(x, tf.reshape(k, (3, 2, 2, 3, 4)), (2, 1, 1), 'same')", x=(2, 5, 4, 3, 3), k=(3, 2, 2, 3, 4)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        rank, x, kernel = self.rank(a), tensor(a), tensor(a, "kernel")
        if kernel.rank != rank + 2 or None in kernel.shape[:rank]:
            raise Declined("K2T104", f"a kernel with {rank + 2} axes of known sizes is needed")
        strides = spatial(a.strides, rank)
        dilation = (1,) * rank if a.dilation_rate is None else spatial(a.dilation_rate, rank)
        pads, sizes = self.padded(a, kernel.shape[:rank], strides, dilation)
        weight, channels, groups = self.weight(leaf_of(path), x, kernel, rank)
        padded, helpers = self.source(pads, kernel.shape[:rank], strides, dilation)
        text = f"F.conv{rank}d({padded}, {weight}{self.options(strides, dilation, pads)}{groups})"
        return one(text, (x.shape[0], *sizes, channels), x.dtype, Layout.FIRST, helpers=helpers)

    def weight(self, leaf: str, x: Operand, kernel: Operand, rank: int) -> tuple[str, Any, str]:
        """The kernel as torch takes it, the channels of the result, and the groups."""
        axes = ", ".join(map(str, range(rank)))
        if leaf.startswith("depthwise"):
            turned = f"{kernel}.permute({rank}, {rank + 1}, {axes}).flatten(0, 1).unsqueeze(1)"
            channels = None if None in kernel.shape[-2:] else kernel.shape[-2] * kernel.shape[-1]
            return turned, channels, f", groups={code_of(x.shape[-1])}"
        if not equal(x.shape[-1], kernel.shape[-2]):
            grouped = "a kernel for other channels than the input's (a grouped one) is not translated here"
            for size in (x.shape[-1], kernel.shape[-2]):
                if isinstance(size, Sym):
                    raise NeedsConstant(size, grouped)
            raise Declined("K2T103", grouped)
        return f"{kernel}.permute({rank + 1}, {rank}, {axes})", kernel.shape[-1], ""


class ConvolveSeparably(Convolve):
    """A convolution of each channel, and a mix of the channels."""

    names = (
        "backend.separable_conv2d",
        "ops.separable_conv",
        "ops.nn.separable_conv",
        "tensorflow.nn.separable_conv2d",
    )
    signature = "x, kernel, pointwise, strides=1, padding='valid', data_format=None, dilation_rate=1"
    signatures = {"tensorflow.nn": "x, kernel, pointwise, strides, padding, data_format=None, dilation_rate=None"}
    renames = {**Convolve.renames, "pointwise_kernel": "pointwise", "pointwise_filter": "pointwise", "depthwise_filter": "kernel"}  # fmt: skip
    inputs = ("x", "kernel", "pointwise")
    examples = (
        example(
            "K.separable_conv2d(x, tf.reshape(k, (3, 2, 3, 2)), tf.reshape(p, (1, 1, 6, 4)), padding='same')",
            x=(2, 5, 6, 3), k=(3, 2, 3, 2), p=(1, 1, 6, 4),
        ),
        example(
            "ops.separable_conv(x, tf.reshape(k, (3, 3, 2)), tf.reshape(p, (1, 6, 4)), 2)",
            x=(2, 7, 3), k=(3, 3, 2), p=(1, 6, 4),
        ),
        example(
            "tf.nn.separable_conv2d(x, tf.reshape(k, (3, 3, 3, 1)), tf.reshape(p, (1, 1, 3, 4)), [1, 2, 2, 1], 'SAME')",
            x=(2, 5, 6, 3), k=(3, 3, 3, 1), p=(1, 1, 3, 4),
        ),
    )  # fmt: skip

    def lower(self, path: str, a: Args) -> Lowering:
        pointwise = tensor(a, "pointwise")
        apart = super().lower("ops.depthwise_conv", a)
        (y,) = apart.types
        rank = y.rank - 2
        if pointwise.rank != rank + 2 or not equal(y.shape[-1], pointwise.shape[-2]):
            raise Declined("K2T103", "this kernel for the mix of channels is not translated")
        axes = ", ".join(map(str, range(rank)))
        text = f"F.conv{rank}d({apart.steps[0].fn}, {pointwise}.permute({rank + 1}, {rank}, {axes}))"
        return one(text, (*y.shape[:-1], pointwise.shape[-1]), y.dtype, Layout.FIRST)


class Pool(Windows):
    """The greatest or the mean of each window."""

    names = (
        "backend.pool2d", "backend.pool3d", "ops.max_pool", "ops.average_pool", "ops.nn.max_pool", "ops.nn.average_pool", "tensorflow.nn.max_pool",
        "tensorflow.nn.avg_pool", "tensorflow.nn.max_pool2d", "tensorflow.nn.avg_pool2d", "tensorflow.nn.max_pool1d", "tensorflow.nn.avg_pool1d",
        "tensorflow.nn.max_pool3d", "tensorflow.nn.avg_pool3d",
    )  # fmt: skip
    signature = "x, size, strides=None, padding='valid', data_format=None"
    signatures = {"backend": "x, size, strides=1, padding='valid', data_format=None, pool_mode='max'"}
    renames = {"input": "x", "inputs": "x", "ksize": "size", "pool_size": "size", "value": "x"}
    examples = (
        example("tf.nn.max_pool(x, 2, 2, 'VALID')", x=(2, 5, 6, 3)),
        example("tf.nn.max_pool2d(x, ksize=[1, 3, 3, 1], strides=[1, 2, 2, 1], padding='SAME')", x=(2, 6, 7, 3)),
        example("K.pool2d(x, (2, 2), strides=(2, 2), pool_mode='avg')", x=(2, 4, 6, 3)),
        example("ops.average_pool(x, 3, strides=1, padding='same')", x=(2, 4, 6, 3)),
        example("ops.max_pool(x, 2)", x=(2, 6, 3)),
        example("tf.nn.max_pool1d(x, 3, 2, 'SAME')", x=(2, 7, 3)),
        example("tf.nn.avg_pool1d(x, [2], 2, 'VALID')", x=(2, 7, 3)),
        example("K.pool3d(tf.cast(x, 'float32'), (2, 3, 2), padding='same')", x=(2, 4, 6, 4, 3)),
        example("tf.nn.avg_pool3d(tf.cast(x, 'float32'), 2, [1, 2, 2, 2, 1], 'VALID')", x=(2, 4, 6, 4, 3)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        rank, x = self.rank(a), tensor(a)
        size = spatial(a.size, rank)
        strides = size if a.strides is None else spatial(a.strides, rank)
        pads, sizes = self.padded(a, size, strides, (1,) * rank)
        mode = a.lower("pool_mode") if "pool_mode" in a else "max" if "max" in leaf_of(path) else "avg"
        even = pads is not None and all(same(b, e) for b, e in pads)
        if mode not in ("max", "avg") or not even and mode == "avg":
            raise Declined("K2T103", "this pooling is not translated here; use the layer")
        stride = "" if same(tuple(size), tuple(strides)) else f", stride={code_of(compact(strides))}"
        padding = self.options((1,) * rank, (1,) * rank, pads)
        padding += ", count_include_pad=False" if padding and mode == "avg" else ""
        source, helpers = self.source(pads, size, strides, (1,) * rank, ", value=float('-inf')")
        text = f"F.{mode}_pool{rank}d({source}, {code_of(compact(size))}{stride}{padding})"
        return one(text, (x.shape[0], *sizes, x.shape[-1]), x.dtype, Layout.FIRST, helpers=helpers)


class PoolTo(Windows):
    """The greatest or the mean of as many windows as are wanted."""

    names = tuple(f"ops.{h}adaptive_{kind}_pool" for kind in ("average", "max") for h in ("", "nn."))
    signature = "x, output_size, data_format=None"
    renames = {"inputs": "x"}
    examples = (
        example("ops.adaptive_average_pool(x, 4)", x=(2, 7, 3)),
        example("ops.adaptive_average_pool(x, (3, 2))", x=(2, 7, 5, 3)),
        example("ops.adaptive_max_pool(x, 2)", x=(2, 6, 5, 3)),
        example("ops.adaptive_max_pool(tf.cast(x, 'float32'), (2, 1, 3))", x=(2, 4, 3, 5, 2)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        rank, x = self.rank(a), tensor(a)
        sizes = per_axis(a.output_size, rank)
        kind = "avg" if "average" in leaf_of(path) else "max"
        text = f"F.adaptive_{kind}_pool{rank}d({{0}}, {code_of(compact(sizes))})"
        return one(text, (x.shape[0], *sizes, x.shape[-1]), x.dtype, Layout.FIRST)
