"""Layers that prepare data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of, same
from transpiler.ir.model import KERAS2, Args, Step, Weight, literal
from transpiler.ir.shape import Layout, Shape, TensorType
from transpiler.rules import spatial
from transpiler.rules.base import LayerRule, call, show
from transpiler.rules.spatial import Grid


class Normalization(LayerRule):
    """A mean and a deviation per channel, given or adapted to data; those adapted are weights."""

    keras = ("Normalization",)
    signature = "axis=-1, mean=None, variance=None, invert=False"
    unsupported = {"invert": "undoing a normalization is not translated"}
    mask = "keeps"
    examples = (
        ("Normalization()", (2, 3, 4)),
        ("Normalization(mean=[1.0, 2.0], variance=[4.0, 9.0])", (3, 2)),
        ("Normalization(axis=None, mean=1.5, variance=4.0)", (3, 2)),
    )

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def sizes(self, a: Args, x: TensorType) -> tuple[Any, ...]:
        """The shape of the statistics."""
        axis = a.const("axis")
        axes = () if axis is None else tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
        if axes not in ((), (-1,), (x.rank - 1,)):
            raise Declined("K2T102", f"Normalization(axis={axis}): only the last axis or none is translated")
        if axes and x.channels is None:
            raise Declined("K2T202", "the size of the normalized axis is not known", "Give the input a shape.")
        return (x.channels,) if axes else ()

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        sizes, given = self.sizes(a, xs[0]), (a.const("mean"), a.const("variance"))
        if given == (None, None):
            return [
                Step(
                    module=call("Normalization", sizes or (1,)),
                    hint="normalization",
                    weights={
                        "mean": Weight("adapt_mean", (("reshape", (-1,)),)),
                        "variance": Weight("adapt_variance", (("reshape", (-1,)),)),
                    },
                    helpers=("Normalization",),
                )
            ]
        if None in given or not all(map(literal, given)):
            raise Declined(
                "K2T102", f"Normalization(mean={show(given[0])}, variance={show(given[1])}) is not translated"
            )
        mean, variance = given
        return [
            Step(
                module=call("Standardize", mean, variance),
                hint="normalization",
                helpers=("Standardize",),
                stateful=True,
            )
        ]


class _Sized(LayerRule):
    """Images brought to a height and a width."""

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return spatial.spatial_layout(a)

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        grid = Grid.of(a, xs[0], 2)
        return grid.shape((a.height, a.width), grid.channels)

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        if a.generation == KERAS2 and spatial.channels_first(a):
            raise Declined("K2T102", f"{self.keras[0]} of legacy Keras takes the channels for the last axis")
        if not xs[0].dtype.startswith("float"):
            raise Declined("K2T103", f"{self.keras[0]} of integers is not translated")


class Resizing(_Sized):
    """`F.interpolate` by the centres of pixels, nearest or bilinear."""

    keras = ("Resizing",)
    signature = (
        "height, width, interpolation='bilinear', crop_to_aspect_ratio=False, pad_to_aspect_ratio=False, "
        "fill_mode='constant', fill_value=0.0, antialias=False, data_format=None"
    )
    unsupported = {
        "crop_to_aspect_ratio": "cropping to the proportions is not translated",
        "pad_to_aspect_ratio": "padding to the proportions is not translated",
        "antialias": "Keras computes it in float32 with weights of its own",
    }
    examples = (
        ("Resizing(6, 5, interpolation='bilinear')", (2, 4, 7, 3)),
        ("Resizing(3, 9, interpolation='nearest')", (2, 4, 7, 3)),
    )

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        grid, kind = Grid.of(a, xs[0], 2), a.lower("interpolation")
        if kind not in ("nearest", "bilinear"):
            raise Declined("K2T102", f"{kind} resizing of Keras has no exact counterpart in torch")
        if same(grid.sizes[0], a.height) and same(grid.sizes[1], a.width):
            return []
        mode = "nearest-exact" if kind == "nearest" else kind
        size = f"({code_of(a.height)}, {code_of(a.width)})"
        fn = f"F.interpolate({{0}}, size={size}, mode='{mode}')"
        return [Step(module=f"nn.Upsample(size={size}, mode='{mode}')", fn=fn, hint="resize")]


class CenterCrop(_Sized):
    """The middle of images that are large enough; Keras resizes others."""

    keras = ("CenterCrop",)
    signature = "height, width, data_format=None"
    examples = (("CenterCrop(3, 4)", (2, 6, 7, 3)), ("CenterCrop(6, 2)", (2, 6, 7, 3)))

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        sizes = [spatial.known(s, "the size of the image") for s in Grid.of(a, xs[0], 2).sizes]
        wanted = (a.const("height"), a.const("width"))
        if None in sizes or any(size < want for size, want in zip(sizes, wanted)):
            raise Declined("K2T102", "CenterCrop of an image that is smaller, or of open size, is not translated")
        crops = [((size - want) // 2, size - want - (size - want) // 2) for size, want in zip(sizes, wanted)]
        return [spatial.crop_step(crops)] if any(map(any, crops)) else []


class CategoryEncoding(LayerRule):
    """Numbers of categories as ones among zeros: for each number, or for all numbers of a sample together."""

    keras = ("CategoryEncoding",)
    signature = "num_tokens=None, output_mode='multi_hot', sparse=False"
    unsupported = {"sparse": "sparse tensors are not translated"}
    examples = (
        ("CategoryEncoding(4)", (5, 3)),
        ("CategoryEncoding(num_tokens=5, output_mode='one_hot')", (5, 1)),
        ("CategoryEncoding(num_tokens=5, output_mode='count')", (5, 3)),
    )

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        mode, rank, last = a.lower("output_mode"), xs[0].rank, xs[0].channels
        if mode not in ("multi_hot", "one_hot", "count"):
            raise Declined("K2T102", f"CategoryEncoding(output_mode={show(mode)}) is not translated")
        if rank != 2 or mode == "one_hot" and not same(last, 1):
            raise Declined(
                "K2T102", f"CategoryEncoding of {rank} axes, the last of size {show(last)}, is not translated"
            )

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        return (xs[0].shape[0], a.num_tokens)

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        reduce = {"multi_hot": "amax(1)", "one_hot": "squeeze(1)", "count": "sum(1)"}[a.lower("output_mode")]
        codes = f"F.one_hot({{0}}.long(), {code_of(a.num_tokens)}).{reduce}"
        return [Step(fn=f"{codes}.to(torch.get_default_dtype())", hint="x")]


class Discretization(LayerRule):
    """The number of the bin that each value lies in; a boundary belongs to the bin above it."""

    keras = ("Discretization",)
    signature = "bin_boundaries=None, num_bins=None, epsilon=0.01, output_mode='int', sparse=False"
    unsupported = {
        "num_bins": "boundaries that `adapt` finds are data",
        "output_mode": "only the numbers of bins are translated",
        "sparse": "sparse tensors are not translated",
    }
    examples = (("Discretization([-1.0, 0.0, 0.5])", (4, 3)),)

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        boundaries = a.const("bin_boundaries")
        if boundaries is None or not literal(boundaries):
            raise Declined("K2T102", f"Discretization({show(boundaries)}) is not translated")
        module = call("Bins", list(boundaries))
        return [Step(module=module, hint="bins", helpers=("Bins",), stateful=True)]

    def output_dtype(self, a: Args, xs: Sequence[TensorType]) -> str:
        return "int64"
