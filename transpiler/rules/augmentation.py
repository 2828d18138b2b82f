"""Layers that change images at random in training, with Keras's distributions; at inference they do nothing."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, ClassVar

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS2, Args, Step
from transpiler.ir.shape import Layout, TensorType
from transpiler.rules import spatial
from transpiler.rules.base import LayerRule, call, keywords, show
from transpiler.rules.registry import layer_rules

FILLS = {"reflect": "reflection", "constant": "zeros", "nearest": "border"}
"""Keras's `fill_mode` → the `padding_mode` of `F.grid_sample` with the same values outside of the image."""


class Augmentation(LayerRule):
    """A module that is the identity at inference, unless it is `always` on."""

    always: ClassVar[bool] = False

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return spatial.spatial_layout(a)

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        if xs[0].rank != 4:
            raise Declined("K2T102", f"{self.keras[0]} of anything but a batch of images is not translated")
        if a.generation == KERAS2 and spatial.channels_first(a):
            raise Declined("K2T102", f"{self.keras[0]} of legacy Keras takes the channels for the last axis")

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        floats = [] if xs[0].dtype.startswith("float") else [Step(fn="{0}.to(torch.get_default_dtype())", hint="x")]
        return [*floats, *self.modules(a)]

    def modules(self, a: Args) -> list[Step]:
        """The modules for images whose channels come first."""
        raise NotImplementedError

    def module(self, *args: Any, **kwargs: Any) -> Step:
        """The helper that is named as the layer is."""
        name = self.keras[0]
        return Step(module=call(name, *args, **kwargs), hint="augment", stateful=True, helpers=(name,))

    def range_of(self, a: Args, name: str, least: float = float("-inf")) -> tuple[Any, Any]:
        """(low, high) of an argument that is a number or a pair of them."""
        factor = a.const(name)
        if isinstance(factor, (tuple, list)) and len(factor) == 2:
            low, high = sorted(factor)
            return low, high
        if not isinstance(factor, (int, float)):
            raise Declined("K2T102", f"{self.keras[0]}({name}={show(factor)}) is not translated")
        return max(-abs(factor), least), abs(factor)

    def probability(self, a: Args) -> Any:
        """How likely an image is changed: if a random number is below another one from `factor`."""
        low, high = self.range_of(a, "factor", 0)
        if low < 0 or high > 1:
            raise Declined("K2T102", f"{self.keras[0]}(factor={show(a.factor)}): a share beyond 0 to 1")
        return (low + high) / 2


class RandomFlip(Augmentation):
    """Images turned over; Keras 3 throws one coin for both directions, legacy Keras one for each."""

    keras = ("RandomFlip",)
    signature = "mode='horizontal_and_vertical', seed=None, data_format=None"
    examples = (("RandomFlip()", (2, 4, 5, 3)),)

    def modules(self, a: Args) -> list[Step]:
        dims = {"horizontal": (3,), "vertical": (2,), "horizontal_and_vertical": (3, 2)}.get(a.lower("mode"))
        if dims is None:
            raise Declined("K2T104", f"the mode {show(a.mode)} is unknown")
        if a.generation == KERAS2:
            return [self.module(dim) for dim in dims]
        return [self.module(*sorted(dims))]


class Warp(Augmentation):
    """Images at other places, by one matrix for each."""

    ranges: ClassVar[dict[str, str]] = {}
    """Argument → that of the helper."""

    def modules(self, a: Args) -> list[Step]:
        fill, mode = a.lower("fill_mode"), a.lower("interpolation")
        if fill not in FILLS or mode not in ("nearest", "bilinear"):
            raise Declined(
                "K2T102", f"fill_mode={show(fill)} with interpolation={show(mode)} has no counterpart in torch"
            )
        ranges = {ours: self.range_of(a, name) for name, ours in self.ranges.items() if a.get(name) is not None}
        defaults = {"mode": "bilinear", "padding_mode": "reflection", "value": 0.0}
        value = a.fill_value if fill == "constant" else 0.0
        return [self.module(**ranges, **keywords(defaults, mode=mode, padding_mode=FILLS[fill], value=value))]


class RandomRotation(Warp):
    """Images turned around their middle by a share of the circle."""

    keras = ("RandomRotation",)
    signature = "factor, fill_mode='reflect', interpolation='bilinear', seed=None, fill_value=0.0, data_format=None"
    ranges = {"factor": "turns"}
    examples = (("RandomRotation(0.1)", (2, 4, 5, 3)),)


class RandomZoom(Warp):
    """Images made larger or smaller around their middle, in one proportion unless both factors are given."""

    keras = ("RandomZoom",)
    signature = (
        "height_factor, width_factor=None, fill_mode='reflect', interpolation='bilinear', seed=None, fill_value=0.0, "
        "data_format=None"
    )
    ranges = {"height_factor": "height", "width_factor": "width"}
    examples = (("RandomZoom(0.1)", (2, 4, 5, 3)),)


class RandomTranslation(Warp):
    """Images moved by shares of their size."""

    keras = ("RandomTranslation",)
    signature = (
        "height_factor, width_factor, fill_mode='reflect', interpolation='bilinear', seed=None, fill_value=0.0, "
        "data_format=None"
    )
    ranges = {"height_factor": "height", "width_factor": "width"}
    examples = (("RandomTranslation(0.1, (0.0, 0.2))", (2, 4, 5, 3)),)


class Tone(Augmentation):
    """A change of all values of an image by one random number, within a range of values."""

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        super().check(a, xs)
        if a.generation == KERAS2:
            raise Declined("K2T102", f"{self.keras[0]} of legacy Keras, with other distributions, is not translated")
        if not xs[0].dtype.startswith("float"):
            raise Declined("K2T103", f"{self.keras[0]} of integers is not translated")

    def values(self, a: Args) -> tuple[Any, Any]:
        low, high = a.const("value_range")
        return low, high


class RandomContrast(Tone):
    """Images with more contrast; Keras 3 draws from 1 to 1 + factor where that is a number."""

    keras = ("RandomContrast",)
    signature = "factor, value_range=(0, 255), seed=None, data_format=None"
    examples = (("RandomContrast(0.1)", (2, 4, 5, 3)),)

    def modules(self, a: Args) -> list[Step]:
        low, high = self.range_of(a, "factor", least=0)
        return [self.module((1 - low, 1 + high), self.values(a))]


class RandomBrightness(Tone):
    """Images made brighter or darker."""

    keras = ("RandomBrightness",)
    signature = "factor, value_range=(0, 255), seed=None, data_format=None"
    examples = (("RandomBrightness(0.1)", (2, 4, 5, 3)),)

    def modules(self, a: Args) -> list[Step]:
        low, high = sorted(self.values(a))
        return [self.module(self.range_of(a, "factor", least=-1), (low, high))]


@functools.cache
def augmentations() -> frozenset[str]:
    """The layers that are random in training alone, and the helpers in generated code that go by their names."""
    return frozenset(n for n, r in layer_rules().items() if isinstance(r, Augmentation) and not r.always)
