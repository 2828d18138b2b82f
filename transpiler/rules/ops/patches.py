"""Windows over a tensor laid out side by side, and put together again."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of
from transpiler.ir.model import Args, Lowering, Step
from transpiler.ir.shape import Layout, TensorType, product
from transpiler.rules.base import compact, per_axis, show
from transpiler.rules.ops.base import OpRule, example, is_float, one, size_text, tensor
from transpiler.rules.ops.image import channels_last
from transpiler.rules.ops.repeating import times
from transpiler.rules.spatial import is_one, pad_argument, same_pads, same_size, valid_size


def window_options(a: Args) -> str:
    """Dilation, padding and stride, where they are not torch's defaults."""
    found = []
    for name, default in (("dilation", 1), ("padding", 0), ("stride", 1)):
        value = per_axis(a.const(name), 2)
        found += [] if value == (default, default) else [f", {name}={code_of(compact(value))}"]
    return "".join(found)


def places(size: Any, kernel: int, dilation: int, padding: int, stride: int) -> Any:
    """How often a window fits along an axis."""
    return None if size is None else (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


class Unfold(OpRule):
    """`ops.unfold`: the windows of images with channels first, as columns."""

    batched = True
    names = ("ops.unfold", "ops.nn.unfold")
    signature = "x, kernel_size, dilation=1, padding=0, stride=1"
    examples = (
        example("ops.unfold(x, 2)", x=(2, 3, 4, 5)),
        example("ops.unfold(x, (2, 3), dilation=(1, 2), padding=1, stride=2)", x=(2, 3, 7, 8)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        if x.rank != 4 or not is_float(x.dtype):
            raise Declined("K2T103", f"unfold of {x.dtype} with {x.rank} axes is not translated")
        kernel = per_axis(a.const("kernel_size"), 2)
        rest = [per_axis(a.const(n), 2) for n in ("dilation", "padding", "stride")]
        counts = [places(*v) for v in zip(x.shape[2:], kernel, *rest)]
        shape = (x.shape[0], times(x.shape[1], product(kernel)), times(*counts))
        return one(f"F.unfold({{0}}, {code_of(compact(kernel))}{window_options(a)})", shape, x.dtype)


class Fold(OpRule):
    """`ops.fold`: columns summed up to images with channels first."""

    batched = True
    names = ("ops.fold", "ops.nn.fold")
    signature = "x, output_size, kernel_size, dilation=1, padding=0, stride=1"
    examples = (
        example("ops.fold(x, (4, 5), 2)", x=(2, 12, 12)),
        example("ops.fold(x, output_size=6, kernel_size=(2, 3), padding=1, stride=2)", x=(2, 18, 12)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        if x.rank != 3 or not is_float(x.dtype):
            raise Declined("K2T103", f"fold of {x.dtype} with {x.rank} axes is not translated")
        kernel, size = per_axis(a.const("kernel_size"), 2), per_axis(a.const("output_size"), 2)
        channels = None if x.shape[1] is None else x.shape[1] // product(kernel)
        text = f"F.fold({{0}}, {code_of(size)}, {code_of(compact(kernel))}{window_options(a)})"
        return one(text, (x.shape[0], channels, *size), x.dtype)


class Sequences(OpRule):
    """`ops.extract_sequences`: windows over the last axis."""

    names = ("ops.extract_sequences", "ops.math.extract_sequences")
    signature = "x, sequence_length, sequence_stride"
    examples = (
        example("ops.extract_sequences(x, 4, 2)", x=(2, 9)),
        example("ops.extract_sequences(x, sequence_length=3, sequence_stride=4)", x=(2, 3, 11)),
    )

    def keeps_batch(self, path: str, a: Args) -> bool:
        return tensor(a).rank > 1

    def lower(self, path: str, a: Args) -> Lowering:
        x, length, stride = tensor(a), a.sequence_length, a.sequence_stride
        count = None if x.shape[-1] is None else (x.shape[-1] - length) // stride + 1
        text = f"{{0}}.unfold(-1, {size_text(length)}, {size_text(stride)})"
        return one(text, (*x.shape[:-1], count, length), x.dtype)


class Patches3D(OpRule):
    """`ops.image.extract_patches_3d`: the blocks under a moving window, each flattened into the channels."""

    batched = True
    names = ("ops.image.extract_patches_3d",)
    signature = "x, size, strides=None, dilation_rate=1, padding='valid', data_format=None"
    renames = {"volumes": "x"}
    examples = (
        example("ops.image.extract_patches_3d(x, 2)", x=(2, 4, 4, 6, 3)),
        example("ops.image.extract_patches_3d(x, (2, 1, 3), strides=1)", x=(2, 3, 2, 5, 2)),
        example("ops.image.extract_patches_3d(x, 2, strides=(2, 1, 3), padding='same')", x=(2, 5, 4, 7, 2)),
    )

    def wants(self, path: str, a: Args) -> Layout | None:
        return Layout.FIRST

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        if x.rank != 5 or not channels_last(a) or not all(map(is_one, per_axis(a.dilation_rate, 3))):
            raise Declined("K2T103", "these patches are not translated")
        size = per_axis(a.const("size"), 3)
        strides = size if a.strides is None else per_axis(a.const("strides"), 3)
        grid, channels = x.shape[1:4], x.shape[4]
        source = "{0}"
        if a.lower("padding") == "same":
            pads = [same_pads(*v) for v in zip(grid, size, strides)]
            known = [p for p in pads if p is not None]
            if len(known) < 3:
                raise Declined("K2T103", "the padding of these patches is not known")
            if any(p != (0, 0) for p in known):
                source = f"F.pad({{0}}, {code_of(pad_argument(known))})"
            counts = [same_size(d, s) for d, s in zip(grid, strides)]
        elif a.lower("padding") == "valid":
            counts = [valid_size(*v) for v in zip(grid, size, strides)]
        else:
            raise Declined("K2T102", f"padding={show(a.padding)} is not translated here")
        windows = "".join(f".unfold({i + 2}, {k}, {s})" for i, (k, s) in enumerate(zip(size, strides)))
        step = Step(fn=f"{source}{windows}.permute(0, 2, 3, 4, 5, 6, 7, 1).flatten(4)")
        kind = TensorType((x.shape[0], *counts, times(channels, product(size))), x.dtype)
        return Lowering([step], [kind])
