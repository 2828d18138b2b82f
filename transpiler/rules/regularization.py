"""Dropout and noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Step
from transpiler.ir.shape import Layout, TensorType
from transpiler.rules import spatial
from transpiler.rules.base import LayerRule, call


class Dropout(LayerRule):
    """Inverted dropout, the same in both frameworks; `noise_shape` shares the mask along axes of size 1."""

    keras = ("Dropout",)
    signature = "rate, noise_shape=None, seed=None"
    renames = {"p": "rate"}
    mask = "keeps"
    fixed_modes = True
    examples = (("Dropout(0.5)", (2, 3)), ("Dropout(0.5, noise_shape=(None, 1, 4))", (2, 3, 4)))

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        shape = a.const("noise_shape")
        if shape is None:
            return dropout("", a)
        if a.get("training") is not None:
            raise Declined("K2T404", "training= fixed at a call is not translated for a noise_shape")
        if len(shape) != y.rank:
            raise Declined("K2T102", f"noise_shape={shape} for an input of {y.rank} axes")
        axes = tuple(sorted(y.axis(k) for k, size in enumerate(shape) if size == 1))
        module = call("SharedDropout", p=a.rate, axes=axes)
        return [Step(module=module, hint="dropout", stateful=True, helpers=("SharedDropout",))]


def dropout(axes: str, a: Args) -> list[Step]:
    """`nn.Dropout` or `nn.Dropout2d`, or one that drops whatever the mode."""
    if a.get("training") is False:
        raise Declined("K2T404", "a Dropout that is called with training=False is not translated")
    always = a.get("training") is True
    name = f"MonteCarloDropout{axes}" if always else f"nn.Dropout{axes}"
    return [Step(module=call(name, p=a.rate), hint="dropout", stateful=True, helpers=(name,) if always else ())]


class _SpatialDropout(LayerRule):
    """Drops whole channels."""

    ndim: ClassVar[int]
    signature = "rate, data_format=None, seed=None"
    renames = {"p": "rate", "dim_ordering": "data_format"}
    mask = "keeps"
    fixed_modes = True

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return spatial.spatial_layout(a)

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        if xs[0].rank != self.ndim + 2:
            raise Declined("K2T104", f"{self.keras[0]} needs {self.ndim + 2} axes, the input has {xs[0].rank}")

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        return dropout(f"{self.ndim}d", a)


class SpatialDropout1D(_SpatialDropout):
    """`nn.Dropout1d`."""

    ndim, keras, signature = 1, ("SpatialDropout1D",), "rate, seed=None"
    examples = (("SpatialDropout1D(0.3)", (2, 3, 4)),)


class SpatialDropout2D(_SpatialDropout):
    """`nn.Dropout2d`."""

    ndim, keras = 2, ("SpatialDropout2D",)
    examples = (("SpatialDropout2D(0.3)", (2, 3, 4, 5)),)


class SpatialDropout3D(_SpatialDropout):
    """`nn.Dropout3d`."""

    ndim, keras = 3, ("SpatialDropout3D",)
    examples = (("SpatialDropout3D(0.3)", (2, 3, 4, 5, 2)),)


class _Noise(LayerRule):
    """A helper module with one number."""

    mask = "keeps"
    module: ClassVar[str]
    argument: ClassVar[str]

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        helpers = () if self.module.startswith("nn.") else (self.module,)
        return [Step(module=call(self.module, a.get(self.argument)), hint="noise", stateful=True, helpers=helpers)]


class GaussianNoise(_Noise):
    """Normal noise added in training."""

    keras, signature, renames = ("GaussianNoise",), "stddev, seed=None", {"sigma": "stddev"}
    module, argument = "GaussianNoise", "stddev"
    examples = (("GaussianNoise(0.1)", (2, 3)),)


class GaussianDropout(_Noise):
    """Normal noise multiplied in training."""

    keras, signature, renames = ("GaussianDropout",), "rate, seed=None", {"p": "rate"}
    module, argument = "GaussianDropout", "rate"
    examples = (("GaussianDropout(0.1)", (2, 3)),)


class AlphaDropout(_Noise):
    """`nn.AlphaDropout`."""

    keras, signature, renames = ("AlphaDropout",), "rate, noise_shape=None, seed=None", {"p": "rate"}
    unsupported = {"noise_shape": "torch draws one mask value per element"}
    module, argument = "nn.AlphaDropout", "rate"
    examples = (("AlphaDropout(0.1)", (2, 3)),)


class ActivityRegularization(LayerRule):
    """Passes its input on; the penalty belongs to the training loss."""

    keras = ("ActivityRegularization",)
    signature = "l1=0.0, l2=0.0"
    mask = "keeps"
    examples = (("ActivityRegularization(l2=0.1)", (2, 3)),)

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        return []
