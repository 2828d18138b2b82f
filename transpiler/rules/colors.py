"""Layers that change the colors of images: at random in training, with Keras's distributions, or always (AutoContrast)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Step
from transpiler.ir.shape import TensorType
from transpiler.rules import spatial
from transpiler.rules.augmentation import RandomBrightness, RandomContrast, Tone
from transpiler.rules.base import call, keywords, show
from transpiler.rules.spatial import Grid

FACTOR = "factor, value_range=(0, 255), data_format=None, seed=None"


class _Color(Tone):
    """A change by a random number from `factor`, at least `least` where that is one number."""

    signature = FACTOR
    least: ClassVar[float] = 0
    red_green_blue: ClassVar[bool] = True

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        super().check(a, xs)
        if self.red_green_blue and Grid.of(a, xs[0], 2).channels != 3:
            raise Declined("K2T102", f"{self.keras[0]} of images without three channels is not translated")

    def modules(self, a: Args) -> list[Step]:
        return [self.module(self.range_of(a, "factor", self.least), self.values(a))]


class AutoContrast(_Color):
    """Every channel of an image over the whole range of values, in training and at inference."""

    keras, always = ("AutoContrast",), True
    signature = "value_range=(0, 255), data_format=None"
    red_green_blue = False
    examples = (
        ("AutoContrast()", (2, 4, 5, 3)),
        ("AutoContrast(value_range=(-1, 1))", (2, 4, 5, 1)),
    )

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        super().check(a, xs)
        if spatial.channels_first(a):
            raise Declined("K2T102", "AutoContrast of Keras takes the channels for the last axis")

    def modules(self, a: Args) -> list[Step]:
        module = call("AutoContrast", tuple(sorted(self.values(a))))
        return [Step(module=module, hint="contrast", helpers=("AutoContrast",))]


class Equalization(_Color):
    """Every channel with a table of values for the whole batch, in training."""

    keras = ("Equalization",)
    signature = "value_range=(0, 255), bins=256, data_format=None"
    red_green_blue = False
    examples = (("Equalization()", (2, 4, 5, 3)),)

    def modules(self, a: Args) -> list[Step]:
        return [self.module(tuple(sorted(self.values(a))), **keywords({"bins": 256}, bins=a.bins))]


class ContrastLimitedAdaptiveHistogramEqualization(_Color):
    """Every channel of an image with tables of values for its parts, in training and at inference."""

    keras, always = ("ContrastLimitedAdaptiveHistogramEqualization",), True
    signature = "value_range=(0, 255), clip_limit=4.0, tile_grid_size=(8, 8), data_format=None"
    red_green_blue = False

    def modules(self, a: Args) -> list[Step]:
        defaults = {"values": (0, 255), "limit": 4.0, "tiles": (8, 8)}
        tiles = tuple(a.const("tile_grid_size"))
        options = keywords(defaults, values=tuple(self.values(a)), limit=a.const("clip_limit"), tiles=tiles)
        name = "ContrastLimitedEqualization"
        return [Step(module=call(name, **options), hint="contrast", helpers=(name,))]


class RandomGrayscale(_Color):
    """Images without colors, as often as `factor` says."""

    keras = ("RandomGrayscale",)
    signature = "factor=0.5, data_format=None, seed=None"
    examples = (("RandomGrayscale()", (2, 4, 5, 3)),)

    def modules(self, a: Args) -> list[Step]:
        return [self.module(a.factor)]


class RandomInvert(_Color):
    """Negatives of images."""

    keras = ("RandomInvert",)
    signature = "factor=1.0, value_range=(0, 255), seed=None, data_format=None"
    red_green_blue = False
    examples = (("RandomInvert(0.4)", (2, 4, 5, 3)),)

    def modules(self, a: Args) -> list[Step]:
        return [self.module(self.probability(a), self.values(a)[1])]


class RandomPosterization(_Color):
    """Images with fewer bits; Keras leaves out the most that a range allows."""

    keras = ("RandomPosterization",)
    signature = FACTOR
    red_green_blue = False
    examples = (("RandomPosterization(4)", (2, 4, 5, 3)),)

    def modules(self, a: Args) -> list[Step]:
        low, high = self.range_of(a, "factor", 1)
        if type(low) is not int or type(high) is not int or not 1 <= low <= high <= 8:
            raise Declined("K2T102", f"RandomPosterization(factor={show(a.factor)}) is not translated")
        return [self.module((low, max(low, high - 1)), tuple(sorted(self.values(a))))]


class Solarization(_Color):
    """Images whose bright parts are inverted; the upper ends of both ranges are shares of 255, the lower ones numbers."""

    keras = ("Solarization",)
    signature = "addition_factor=0.0, threshold_factor=0.0, value_range=(0, 255), seed=None, data_format=None"
    red_green_blue = False
    examples = (("Solarization(0.1, (0.2, 0.5))", (2, 4, 5, 3)),)

    def modules(self, a: Args) -> list[Step]:
        ranges = []
        for name in ("addition_factor", "threshold_factor"):
            low, high = self.range_of(a, name, 0)
            ranges.append((low, high * 255))
        return [self.module(*ranges, tuple(sorted(self.values(a))))]


class RandomSaturation(_Color):
    """Images with more or less color."""

    keras, least = ("RandomSaturation",), -1
    examples = (("RandomSaturation((0.3, 0.6))", (2, 4, 5, 3)),)

    def modules(self, a: Args) -> list[Step]:
        values = tuple(sorted(self.values(a)))
        if not values[0] <= 0 <= values[1]:
            raise Declined("K2T102", f"RandomSaturation(value_range={show(values)}) without 0 is not translated")
        return [self.module(self.range_of(a, "factor", self.least), values)]


class RandomHue(_Color):
    """Images with other colors."""

    keras = ("RandomHue",)
    examples = (("RandomHue(0.2)", (2, 4, 5, 3)),)


class RandomColorDegeneration(_Color):
    """Images with less color."""

    keras, least = ("RandomColorDegeneration",), -1
    examples = (("RandomColorDegeneration((0.1, 0.4))", (2, 4, 5, 3)),)

    def values(self, a: Args) -> tuple[Any, ...]:
        return tuple(sorted(super().values(a)))


class RandomSharpness(RandomColorDegeneration):
    """Smoother or sharper images."""

    keras, least, red_green_blue = ("RandomSharpness",), 0, False
    examples = (("RandomSharpness(0.7)", (2, 4, 5, 2)),)


class RandomGaussianBlur(_Color):
    """Images out of focus, all by the same widths."""

    keras = ("RandomGaussianBlur",)
    signature = "factor=1.0, kernel_size=3, sigma=1.0, value_range=(0, 255), data_format=None, seed=None"
    red_green_blue = False
    examples = (("RandomGaussianBlur(0.8, kernel_size=5)", (2, 6, 7, 2)),)

    def modules(self, a: Args) -> list[Step]:
        size = a.const("kernel_size")
        low, high = size if isinstance(size, (tuple, list)) else (size, size)
        if low != high:
            raise Declined("K2T102", f"RandomGaussianBlur(kernel_size={show(size)}): Keras mixes up unequal sizes")
        return [self.module(self.probability(a), low, self.range_of(a, "sigma", 0), self.values(a))]


class RandomColorJitter(_Color):
    """Brightness, contrast, saturation and hue changed one after the other."""

    keras = ("RandomColorJitter",)
    signature = (
        "value_range=(0, 255), brightness_factor=None, contrast_factor=None, saturation_factor=None, hue_factor=None, "
        "seed=None, data_format=None"
    )
    examples = (("RandomColorJitter((0, 1), 0.1, 0.2, 0.3, 0.4)", (2, 4, 5, 3)),)

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        super().check(a, xs)
        if spatial.channels_first(a):
            raise Declined("K2T102", "RandomColorJitter of Keras takes the channels for the last axis")

    def modules(self, a: Args) -> list[Step]:
        found = []
        for rule in (RandomBrightness(), RandomContrast(), RandomSaturation(), RandomHue()):
            factor = a.get(f"{rule.keras[0].removeprefix('Random').lower()}_factor")
            if factor is not None:
                found += rule.modules(rule.bind((factor, a.value_range), {}, a.generation))
        return found
