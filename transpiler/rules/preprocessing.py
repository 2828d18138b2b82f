"""Layers that prepare data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Step, Weight, literal
from transpiler.ir.shape import Layout, TensorType
from transpiler.rules.base import LayerRule, call, show


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
