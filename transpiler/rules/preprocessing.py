"""Layers that prepare data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of, same
from transpiler.ir.model import KERAS2, Args, Step, Weight, literal
from transpiler.ir.shape import Layout, Shape, TensorType
from transpiler.rules import spatial
from transpiler.rules.base import LayerRule, call, keywords, show
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


MODES = ("multi_hot", "one_hot", "count")
"""How numbers of categories become ones among zeros."""


def check_mode(a: Args, name: str, x: TensorType) -> None:
    """Raises Declined for numbers of categories that cannot be encoded as `output_mode` says."""
    mode, last = a.lower("output_mode"), x.channels
    if mode not in MODES:
        raise Declined("K2T102", f"{name}(output_mode={show(mode)}) is not translated")
    if x.rank > 2 and mode != "one_hot" or a.generation == KERAS2 and (x.rank != 2 or mode == "one_hot" and last != 1):
        raise Declined("K2T102", f"{name} of {x.rank} axes, the last of size {show(last)}, is not translated")
    if x.rank < 2:
        raise Declined("K2T102", f"{name} of single numbers is not translated")


def encoded_shape(a: Args, x: TensorType, count: Any) -> Shape:
    """The shape of encoded categories: an axis of size 1 makes room for them, that of a sample is joined."""
    joined = a.lower("output_mode") != "one_hot" or same(x.channels, 1)
    return (*(x.shape[:-1] if joined else x.shape), count)


def encoded(a: Args, x: TensorType, count: Any) -> Step:
    """Whole numbers as ones among zeros."""
    squeezed = ".squeeze(-2)" if same(x.channels, 1) else ""
    reduce = {"multi_hot": ".amax(-2)", "one_hot": squeezed, "count": ".sum(-2)"}[a.lower("output_mode")]
    return Step(fn=f"F.one_hot({{0}}, {code_of(count)}){reduce}.to(torch.get_default_dtype())", hint="x")


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
        check_mode(a, "CategoryEncoding", xs[0])

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        return encoded_shape(a, xs[0], a.num_tokens)

    def output_dtype(self, a: Args, xs: Sequence[TensorType]) -> str:
        return "float32"

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        step = encoded(a, xs[0], a.num_tokens)
        return [replace(step, fn=step.fn and step.fn.replace("{0}", "{0}.long()"))]


class _Places(LayerRule):
    """A layer that gives each value a number, and may encode these."""

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def count(self, a: Args) -> int:
        """How many numbers there are."""
        raise NotImplementedError

    def numbers(self, a: Args, x: TensorType) -> list[Step]:
        """The steps that give each value its number."""
        raise NotImplementedError

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        if a.lower("output_mode") != "int":
            check_mode(a, self.keras[0], xs[0])

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        return xs[0].shape if a.lower("output_mode") == "int" else encoded_shape(a, xs[0], self.count(a))

    def output_dtype(self, a: Args, xs: Sequence[TensorType]) -> str:
        return "int64" if a.lower("output_mode") == "int" else "float32"

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        more = [] if a.lower("output_mode") == "int" else [encoded(a, xs[0], self.count(a))]
        return [*self.numbers(a, xs[0]), *more]


class Discretization(_Places):
    """The number of the bin that each value lies in; a boundary belongs to the bin above it."""

    keras = ("Discretization",)
    signature = "bin_boundaries=None, num_bins=None, epsilon=0.01, output_mode='int', sparse=False"
    unsupported = {"num_bins": "boundaries that `adapt` finds are data", "sparse": "sparse tensors are not translated"}
    examples = (
        ("Discretization([-1.0, 0.0, 0.5])", (4, 3)),
        ("Discretization([-1.0, 0.0, 0.5], output_mode='multi_hot')", (4, 3)),
        ("Discretization([-1.0, 0.0, 0.5], output_mode='count')", (4, 3)),
        ("Discretization([-1.0, 0.0, 0.5], output_mode='one_hot')", (4, 1)),
    )

    def boundaries(self, a: Args) -> list[Any]:
        found = a.const("bin_boundaries")
        if found is None or not literal(found):
            raise Declined("K2T102", f"Discretization({show(found)}) is not translated")
        return list(found)

    def count(self, a: Args) -> int:
        return len(self.boundaries(a)) + 1

    def numbers(self, a: Args, x: TensorType) -> list[Step]:
        return [Step(module=call("Bins", self.boundaries(a)), hint="bins", helpers=("Bins",), stateful=True)]


class IntegerLookup(_Places):
    """The place of each number in a vocabulary that the program gives."""

    keras = ("IntegerLookup",)
    signature = (
        "max_tokens=None, num_oov_indices=1, mask_token=None, oov_token=-1, vocabulary=None, vocabulary_dtype='int64', "
        "idf_weights=None, invert=False, output_mode='int', sparse=False, pad_to_max_tokens=False, "
        "oov_method='floormod', salt=None"
    )
    unsupported = {
        "invert": "the way back from places to numbers is not translated",
        "sparse": "sparse tensors are not translated",
        "pad_to_max_tokens": "places for numbers that are not there are not translated",
        "oov_method": "TensorFlow's hash functions have no counterpart in torch",
    }
    examples = (("IntegerLookup(vocabulary=[3, 1, 7])", (4, 5)),)

    def tokens(self, a: Args) -> list[int]:
        """The vocabulary without what stands for the mask and for unknown numbers."""
        found = a.const("vocabulary")
        if not isinstance(found, (list, tuple)) or not found or any(type(v) is not int for v in found):
            raise Declined(
                "K2T102", "a vocabulary that `adapt` or a file gives when the program runs is data", "Write it out."
            )
        special = [a.mask_token] * self.masked(a) + [a.oov_token] * a.const("num_oov_indices")
        return list(found)[len(special) :] if list(found)[: len(special)] == special else list(found)

    def masked(self, a: Args) -> bool:
        if a.const("mask_token") is not None and a.lower("output_mode") != "int":
            raise Declined("K2T102", "IntegerLookup with a mask_token and an encoding is not translated")
        return a.mask_token is not None

    def count(self, a: Args) -> int:
        return len(self.tokens(a)) + a.const("num_oov_indices")

    def numbers(self, a: Args, x: TensorType) -> list[Step]:
        options = keywords({"unknown": 1, "mask": None}, unknown=a.const("num_oov_indices"), mask=a.const("mask_token"))
        whole = [] if x.dtype == "int64" else [Step(fn="{0}.long()", hint="ids")]
        module = call("IntegerLookup", self.tokens(a), **options)
        return [*whole, Step(module=module, hint="lookup", helpers=("IntegerLookup",), stateful=True)]
