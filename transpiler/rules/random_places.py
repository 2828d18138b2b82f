"""Further layers that change where the values of images stand, at random in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import same
from transpiler.ir.model import KERAS2, Args, Step
from transpiler.ir.shape import Shape, TensorType
from transpiler.rules import spatial
from transpiler.rules.augmentation import Augmentation, Tone, Warp
from transpiler.rules.base import keywords, show
from transpiler.rules.spatial import Grid


class RandomShear(Warp):
    """Images slanted along both axes."""

    keras = ("RandomShear",)
    signature = (
        "x_factor=0.0, y_factor=0.0, interpolation='bilinear', fill_mode='reflect', fill_value=0.0, data_format=None, "
        "seed=None"
    )
    ranges = {"x_factor": "across", "y_factor": "down"}
    examples = (("RandomShear(0.1, (0.0, 0.2))", (2, 4, 5, 3)),)


class RandomPerspective(Augmentation):
    """Images seen from aside."""

    keras = ("RandomPerspective",)
    signature = "factor=1.0, scale=1.0, interpolation='bilinear', fill_value=0.0, seed=None, data_format=None"
    examples = (("RandomPerspective(0.5, scale=0.2)", (2, 4, 5, 3)),)

    def modules(self, a: Args) -> list[Step]:
        options = keywords({"mode": "bilinear", "value": 0.0}, mode=a.const("interpolation"), value=a.fill_value)
        return [self.module(self.probability(a), a.scale, **options)]


class RandomCrop(Augmentation):
    """One random part of all images in training; Keras 3 leaves them whole at inference."""

    keras = ("RandomCrop",)
    signature = "height, width, seed=None, data_format=None"
    examples = (("RandomCrop(3, 4)", (2, 5, 6, 3)),)

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        super().check(a, xs)
        if a.generation == KERAS2:
            raise Declined(
                "K2T102", "RandomCrop of legacy Keras crops the middle at inference, which is not translated"
            )
        sizes = [spatial.known(s, "the size of the image") for s in Grid.of(a, xs[0], 2).sizes]
        if None in sizes or sizes[0] <= a.const("height") or sizes[1] <= a.const("width"):
            raise Declined("K2T102", "RandomCrop of an image that is not larger, or of open size, is not translated")

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        """The size depends on the mode."""
        grid = Grid.of(a, xs[0], 2)
        return grid.shape((None, None), grid.channels)

    def modules(self, a: Args) -> list[Step]:
        return [self.module(a.height, a.width)]


class RandomErasing(Tone):
    """Parts of images under noise or a color."""

    keras = ("RandomErasing",)
    signature = "factor=1.0, scale=(0.02, 0.33), fill_value=None, value_range=(0, 255), seed=None, data_format=None"
    examples = (("RandomErasing(0.7)", (2, 5, 6, 3)),)

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        super().check(a, xs)
        several = isinstance(a.fill_value, (tuple, list))
        if several and (spatial.channels_first(a) or not same(Grid.of(a, xs[0], 2).channels, len(a.fill_value))):
            raise Declined("K2T104", f"fill_value={show(a.fill_value)} has to be a number for each of the last axis")

    def modules(self, a: Args) -> list[Step]:
        fill: Any = tuple(a.fill_value) if isinstance(a.fill_value, list) else a.fill_value
        areas, options = self.range_of(a, "scale", 0), keywords({"fill": None}, fill=fill)
        return [self.module(self.probability(a), areas, self.values(a), **options)]
