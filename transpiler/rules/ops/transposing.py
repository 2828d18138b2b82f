"""Convolutions turned around, and convolutions without shared weights, with kernels that the program computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of
from transpiler.ir.linear import equal
from transpiler.ir.model import Args, Lowering
from transpiler.ir.shape import Layout
from transpiler.rules.base import compact, per_axis, show
from transpiler.rules.convolution import transposed_excess
from transpiler.rules.ops.base import OpRule, example, is_float, one, operands, tensor
from transpiler.rules.ops.image import channels_last
from transpiler.rules.ops.windows import Windows, spatial
from transpiler.rules.spatial import is_one


def cropped(ranges: Sequence[tuple[int, int | None]]) -> str:
    """The text that takes a range of each of the last axes."""
    parts = [f"{start or ''}:{'' if end is None else end}" for start, end in ranges]
    while parts and parts[0] == ":":
        parts.pop(0)
    return f"[..., {', '.join(parts)}]" if parts else ""


class ConvolveBack(Windows):
    """`ops.conv_transpose`: each cell spread by a kernel, cut where Keras cuts."""

    names = ("ops.conv_transpose", "ops.nn.conv_transpose")
    signature = "x, kernel, strides=1, padding='valid', output_padding=None, data_format=None, dilation_rate=1"
    renames = {"inputs": "x"}
    inputs = ("x", "kernel")
    examples = (
        example("ops.conv_transpose(x, tf.reshape(k, (3, 3, 4, 3)), strides=2)", x=(2, 4, 5, 3), k=(3, 3, 4, 3)),
        example("ops.conv_transpose(x, tf.reshape(k, (4, 3, 2, 3)), 2, 'same')", x=(2, 4, 5, 3), k=(4, 3, 2, 3)),
        example("ops.conv_transpose(x, tf.reshape(k, (2, 4, 3)), strides=3)", x=(2, 5, 3), k=(2, 4, 3)),
        example(
            "ops.conv_transpose(x, tf.reshape(k, (3, 3, 4, 3)), 2, 'same', output_padding=1)",
            x=(2, 4, 5, 3), k=(3, 3, 4, 3),
        ),
    )  # fmt: skip

    def lower(self, path: str, a: Args) -> Lowering:
        rank, x, kernel = self.rank(a), tensor(a), tensor(a, "kernel")
        extents, padding = kernel.shape[:rank], a.lower("padding")
        strides, dilation = spatial(a.strides, rank), spatial(a.dilation_rate, rank)
        extra = per_axis(a.const("output_padding"), rank)
        if kernel.rank != rank + 2 or any(type(n) is not int for n in (*extents, *strides, *dilation)):
            raise Declined("K2T104", f"a kernel with {rank + 2} axes of known sizes is needed")
        if (
            padding not in ("valid", "same")
            or not equal(x.shape[-1], kernel.shape[-1])
            or not all(map(is_one, dilation))
        ):
            raise Declined("K2T103", "this transposed convolution is not translated")
        excess = [transposed_excess(*v, padding, e) for *v, e in zip(extents, strides, dilation, extra)]
        sizes = [
            None if d is None else (d - 1) * s + (k - 1) * r + 1 - e
            for d, k, s, r, e in zip(x.shape[1:-1], extents, strides, dilation, excess)
        ]
        options = self.options(strides, (1,) * rank, [(max(e, 0) // 2,) * 2 for e in excess])
        missing = [max(-e, 0) for e in excess]
        options += f", output_padding={code_of(compact(missing))}" if any(missing) else ""
        cuts = [e % 2 if e > 0 else 0 for e in excess]
        cut = cropped([(0, -1 if c else None) for c in cuts])
        axes = ", ".join(map(str, range(rank)))
        text = f"F.conv_transpose{rank}d({x}, {kernel}.permute({rank + 1}, {rank}, {axes}){options}){cut}"
        return one(text, (x.shape[0], *sizes, kernel.shape[-2]), x.dtype, Layout.FIRST)


class ConvolveBackTo(Windows):
    """`K.conv2d_transpose`, which is told the shape of its result."""

    names = ("backend.conv2d_transpose",)
    signature = "x, kernel, output_shape, strides=(1, 1), padding='valid', data_format=None, dilation_rate=(1, 1)"
    inputs = ("x", "kernel")
    examples = (
        example(
            "K.conv2d_transpose(x, tf.reshape(k, (3, 3, 4, 3)), (2, 8, 10, 4), (2, 2), 'same')",
            x=(2, 4, 5, 3), k=(3, 3, 4, 3),
        ),
        example(
            "K.conv2d_transpose(x, tf.reshape(k, (3, 3, 4, 3)), (tf.shape(x)[0], 7, 9, 4), (2, 2), padding='same')",
            x=(2, 4, 5, 3), k=(3, 3, 4, 3),
        ),
        example(
            "K.conv2d_transpose(x, tf.reshape(k, (2, 2, 4, 3)), (2, 9, 11, 4), strides=(2, 2))",
            x=(2, 4, 5, 3), k=(2, 2, 4, 3),
        ),
    )  # fmt: skip

    def wants(self, path: str, a: Args) -> Any:
        sizes = dict.fromkeys(operands(a.output_shape))
        return (*super().wants(path, a), *(Layout.KERAS for _ in sizes))

    def lower(self, path: str, a: Args) -> Lowering:
        rank, x, kernel = self.rank(a), tensor(a), tensor(a, "kernel")
        strides, padding = spatial(a.strides, rank), a.lower("padding")
        shape = a.output_shape if isinstance(a.output_shape, (list, tuple)) else ()
        sizes = [x.shape[1:-1], shape[1:-1], kernel.shape[:-2], strides]
        known = [all(type(n) is int for n in v) and len(v) == rank == 2 for v in sizes]
        if not all(known) or padding not in ("valid", "same") or any(n != 1 for n in per_axis(a.dilation_rate, rank)):
            raise Declined("K2T103", "this transposed convolution is not translated")
        starts, missing = [], []
        for d, wanted, k, s in zip(*sizes):
            full = (d - 1) * s + k
            start = max(full - wanted, 0) // 2 if padding == "same" else 0
            starts.append(start)
            missing.append(max(start + wanted - full, 0))
        if any(m >= s for m, s in zip(missing, strides)):
            raise Declined("K2T102", f"a result of the shape {show(a.output_shape)} is not translated")
        stride = "" if all(map(is_one, strides)) else f", stride={code_of(compact(strides))}"
        more = f", output_padding={code_of(compact(missing))}" if any(missing) else ""
        text = f"F.conv_transpose2d({x}, {kernel}.permute(3, 2, 0, 1){stride}{more})"
        ends = [start + wanted for start, wanted in zip(starts, sizes[1])]
        fulls = [(d - 1) * s + k + m for d, k, s, m in zip(sizes[0], sizes[2], strides, missing)]
        if any(s or e != f for s, e, f in zip(starts, ends, fulls)):
            text += cropped(list(zip(starts, ends)))
        return one(text, (x.shape[0], *sizes[1], kernel.shape[-2]), x.dtype, Layout.FIRST)


class ConvolveLocally(OpRule):
    """`K.local_conv1d`, `K.local_conv2d`: a kernel of its own for each place."""

    batched = True
    names = ("backend.local_conv1d", "backend.local_conv2d")
    signature = "x, kernel, kernel_size, strides, data_format=None"
    signatures = {"backend.local_conv2d": "x, kernel, kernel_size, strides, output_shape, data_format=None"}
    renames = {"inputs": "x"}
    inputs = ("x", "kernel")
    examples = (
        example("K.local_conv1d(x, k, (3,), (2,))", x=(2, 7, 4), k=(3, 12, 5)),
        example("K.local_conv2d(x, k, (2, 3), (1, 2), (4, 3))", x=(2, 5, 7, 2), k=(12, 12, 5)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, kernel = tensor(a), tensor(a, "kernel")
        rank = 1 if path.endswith("1d") else 2
        if x.rank != rank + 2 or kernel.rank != 3 or not is_float(x.dtype) or not channels_last(a):
            raise Declined("K2T103", "this local convolution is not translated")
        sizes, steps = per_axis(a.kernel_size, rank), per_axis(a.strides, rank)
        if any(type(n) is not int for n in (*sizes, *steps, *x.shape[1:-1])):
            raise Declined("K2T103", "a local convolution on an axis of open size is not translated")
        places: list[Any] = [(d - k) // s + 1 for d, k, s in zip(x.shape[1:-1], sizes, steps)]
        cells = str(x)
        for i, (k, s) in enumerate(zip(sizes, steps)):
            cells += f".unfold({i + 1}, {k}, {s})"
        order = (*range(rank + 1), *range(rank + 2, 2 * rank + 2), rank + 1)  # the channels after the cells of a window
        cells += f".permute({', '.join(map(str, order))}).flatten({rank + 1}){'.flatten(1, 2)' if rank == 2 else ''}"
        text = f"torch.einsum('blk,lkf->blf', {cells}, {kernel})"
        text += f".unflatten(1, {code_of(tuple(places))})" if rank == 2 else ""
        return one(text, (x.shape[0], *places, kernel.shape[-1]), x.dtype)
