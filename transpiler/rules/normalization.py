"""Normalization layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import Sym, constant, is_open
from transpiler.ir.model import KERAS2, Args, Step, Weight
from transpiler.ir.shape import Dim, Layout, TensorType
from transpiler.rules.base import LayerRule, call, initializer_name, keywords, permute_step
from transpiler.rules.initializers import FROZEN_ONES, FROZEN_ZEROS

ONES, ZEROS = ("ones", "Ones", "one"), ("zeros", "Zeros", "zero")


def affine(a: Args, *, scale: bool, center: bool) -> tuple[dict[str, Weight], dict[str, Any]]:
    """The weights `weight` and `bias`, and how they start; one that Keras does not have keeps its constant."""
    weights = {
        "weight": Weight("gamma") if scale else Weight("", (("fill", 1.0),)),
        "bias": Weight("beta") if center else Weight("", (("fill", 0.0),)),
    }
    init: dict[str, Any] = {}
    if not scale:
        init["weight"] = FROZEN_ONES
    elif initializer_name(a.gamma_initializer) not in ONES:
        init["weight"] = a.gamma_initializer
    if not center:
        init["bias"] = FROZEN_ZEROS
    elif initializer_name(a.beta_initializer) not in ZEROS:
        init["bias"] = a.beta_initializer
    return weights, init


def one_axis(a: Args, rank: int) -> int:
    """The single axis, counted from the front."""
    axis = a.const("axis")
    axes = list(axis) if isinstance(axis, (tuple, list)) else [axis]
    if len(axes) != 1:
        raise Declined("K2T102", f"axis={axis}: statistics per position of several axes are not translated")
    return axes[0] % rank


def transposed(axis: int) -> Step:
    """Swaps the channels at `axis` with the first axis after the batch."""
    return Step(fn=f"{{0}}.transpose(1, {axis})", hint="x")


def known_channels(x: TensorType, axis: int) -> Dim:
    if x.shape[axis] is None:
        raise Declined("K2T202", "the size of the normalized axis is not known", "Give the input a shape.")
    return x.shape[axis]


class _ChannelNorm(LayerRule):
    """A normalization with a scale and a shift for every channel."""

    mask = "keeps"

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        last = one_axis(a, xs[0].rank) == xs[0].rank - 1
        return Layout.FIRST if last else Layout.KERAS

    def norm(self, a: Args, x: TensorType, channels: Dim) -> Step:
        """The step on a tensor whose channels stand right after the batch."""
        raise NotImplementedError

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        x = xs[0]
        axis = one_axis(a, x.rank)
        if axis == 0:
            raise Declined("K2T104", "the batch axis cannot be normalized")
        step, at = self.norm(a, x, known_channels(x, axis)), x.axis(axis)
        return [step] if at == 1 else [transposed(at), step, transposed(at)]


class BatchNormalization(_ChannelNorm):
    """`nn.BatchNorm1d/2d/3d` with `momentum` counted the other way round."""

    keras = ("BatchNormalization", "SyncBatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2")
    signature = (
        "axis=-1, momentum=0.99, epsilon=0.001, center=True, scale=True, beta_initializer='zeros', "
        "gamma_initializer='ones', moving_mean_initializer='zeros', moving_variance_initializer='ones', "
        "beta_regularizer=None, gamma_regularizer=None, beta_constraint=None, gamma_constraint=None, renorm=False, "
        "renorm_clipping=None, renorm_momentum=0.99, synchronized=False, fused=None, virtual_batch_size=None, "
        "adjustment=None, mode=0"
    )
    renames = {"beta_init": "beta_initializer", "gamma_init": "gamma_initializer"}
    fixed_modes = True
    unsupported = {
        "renorm": "batch renormalization has no counterpart in torch",
        "virtual_batch_size": "ghost batches are not translated",
        "adjustment": "adjustments of the statistics are not translated",
        "mode": "only feature-wise normalization is translated",
    }
    takes_mask = True
    examples = (
        ("BatchNormalization()", (4, 5, 6, 3)),
        ("BatchNormalization(epsilon=1e-5, momentum=0.9)", (6, 3)),
        ("BatchNormalization(scale=False)", (4, 5, 3)),
        ("BatchNormalization(axis=1, center=False)", (4, 3, 5, 6)),
    )

    def reads_masks(self, a: Args, xs: Sequence[TensorType]) -> tuple[int, ...]:
        frozen = a.const("trainable") is False or a.get("training") is False
        if not xs[0].masked or frozen or a.generation == KERAS2 and xs[0].rank == 4:
            return ()  # Keras 2 ignores the mask where its kernel is fused
        if xs[0].rank != 3 or one_axis(a, 3) != 2:
            raise Declined("K2T105", "a masked BatchNormalization of anything but steps of features is not translated")
        return (0,)

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        step, *more = found = super().steps(a, xs, y)
        if more or not xs[0].masked or not self.reads_masks(a, xs):
            return found
        name = "MaskedBatchNorm1d"
        module = (step.module or "").replace("nn.BatchNorm1d", name)
        floor = ", floor=0" if a.generation == KERAS2 else ""
        return [replace(step, module=module, fn=f"{{self}}({{0}}, {{1}}{floor})", takes=(1,), helpers=(name,))]

    def norm(self, a: Args, x: TensorType, channels: Dim) -> Step:
        if not 2 <= x.rank <= 5:
            raise Declined("K2T102", f"batch normalization of {x.rank} axes is not translated")
        scale, center, n = bool(a.const("scale")), bool(a.const("center")), max(x.rank - 2, 1)
        momentum = 1 - a.momentum if isinstance(a.momentum, Sym) else round(1 - a.momentum, 10)
        kwargs = keywords({"eps": 1e-5, "momentum": 0.1}, eps=a.epsilon, momentum=momentum)
        weights = {"running_mean": Weight("moving_mean"), "running_var": Weight("moving_variance")}
        init: dict[str, Any] = {}
        if scale or center:
            more, init = affine(a, scale=scale, center=center)
            weights |= more
        else:
            kwargs["affine"] = False
        if initializer_name(a.moving_mean_initializer) not in ZEROS:
            init["running_mean"] = a.moving_mean_initializer
        if initializer_name(a.moving_variance_initializer) not in ONES:
            init["running_var"] = a.moving_variance_initializer
        if a.get("training") is True:
            raise Declined("K2T404", "statistics of the batch at inference are not translated")
        frozen = a.const("trainable") is False or a.get("training") is False
        name = f"FrozenBatchNorm{n}d" if frozen else f"nn.BatchNorm{n}d"
        helpers = (name,) if frozen else ()
        return Step(module=call(name, channels, **kwargs), hint="bn", weights=weights, init=init, helpers=helpers)


class GroupNormalization(_ChannelNorm):
    """`nn.GroupNorm`; -1 groups are as many as channels."""

    keras = ("GroupNormalization",)
    signature = (
        "groups=32, axis=-1, epsilon=0.001, center=True, scale=True, beta_initializer='zeros', "
        "gamma_initializer='ones', beta_regularizer=None, gamma_regularizer=None, beta_constraint=None, "
        "gamma_constraint=None"
    )
    examples = (
        ("GroupNormalization(2)", (3, 4, 5, 6)),
        ("GroupNormalization(-1, epsilon=1e-5, scale=False)", (3, 5, 4)),
        ("GroupNormalization(3, axis=1, scale=False, center=False)", (3, 6, 5, 2)),
    )

    def norm(self, a: Args, x: TensorType, channels: Dim) -> Step:
        groups = channels if not is_open(a.groups) and a.groups == -1 else a.groups
        return channel_norm("nn.GroupNorm", (groups, channels), a)


def channel_norm(name: str, sizes: tuple[Any, ...], a: Args) -> Step:
    """A torch normalization with `eps` and the flag `affine`."""
    scale, center = bool(a.const("scale")), bool(a.const("center"))
    kwargs = keywords({"eps": 1e-5}, eps=a.epsilon)
    if not scale and not center:
        return Step(module=call(name, *sizes, **kwargs, affine=False), hint="norm")
    weights, init = affine(a, scale=scale, center=center)
    return Step(module=call(name, *sizes, **kwargs), hint="norm", weights=weights, init=init)


class LayerNormalization(LayerRule):
    """`nn.LayerNorm` over the last axes; other axes are brought there and back."""

    keras = ("LayerNormalization",)
    module_class = "nn.LayerNorm"
    signature = (
        "axis=-1, epsilon=0.001, center=True, scale=True, beta_initializer='zeros', gamma_initializer='ones', "
        "beta_regularizer=None, gamma_regularizer=None, beta_constraint=None, gamma_constraint=None, rms_scaling=False"
    )
    unsupported = {"rms_scaling": "Keras divides by the variance there, which no torch layer does"}
    mask = "keeps"
    examples = (
        ("LayerNormalization()", (2, 3, 4)),
        ("LayerNormalization(axis=[1, 2], epsilon=1e-6)", (2, 3, 4)),
        ("LayerNormalization(axis=1, center=False)", (2, 3, 4)),
        ("LayerNormalization(axis=[1, 3], scale=False)", (2, 3, 4, 5)),
        ("LayerNormalization(scale=False, center=False)", (2, 3)),
    )

    def axes(self, a: Args, rank: int) -> tuple[int, ...]:
        """The normalized axes, in order."""
        axis = a.const("axis")
        return tuple(sorted(k % rank for k in ([axis] if isinstance(axis, int) else axis)))

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        x, axes = xs[0], self.axes(a, xs[0].rank)
        sizes = tuple(known_channels(x, k) for k in axes)
        others = tuple(k for k in range(x.rank) if k not in axes)
        step = self.norm(a, sizes[0] if len(sizes) == 1 else sizes)
        if a.generation == KERAS2 and len(sizes) > 1:  # gamma's axes stand as written, and are only reshaped
            step = replace(step, weights={k: in_shape(w, sizes) for k, w in step.weights.items()})
        order = (*others, *axes)
        if order == tuple(range(x.rank)):
            return [step]
        back = tuple(order.index(k) for k in range(x.rank))
        return [permute_step(order), step, permute_step(back)]

    def norm(self, a: Args, sizes: Any) -> Step:
        scale, center = bool(a.const("scale")), bool(a.const("center"))
        kwargs = keywords({"eps": 1e-5}, eps=a.epsilon)
        if not scale and not center:
            return Step(module=call("nn.LayerNorm", sizes, **kwargs, elementwise_affine=False), hint="norm")
        weights, init = affine(a, scale=scale, center=center)
        if not center:
            kwargs["bias"] = False
            del weights["bias"], init["bias"]
        return Step(module=call("nn.LayerNorm", sizes, **kwargs), hint="norm", weights=weights, init=init)


def in_shape(weight: Weight, sizes: tuple[Any, ...]) -> Weight:
    """`weight` whose array is given another shape; nothing for a constant."""
    return replace(weight, transform=(("reshape", constant(sizes)),)) if weight.source else weight


class UnitNormalization(LayerRule):
    """`F.normalize` to length 1, with the floor of each generation for tiny inputs."""

    keras = ("UnitNormalization",)
    signature = "axis=-1"
    mask = "keeps"
    examples = (
        ("UnitNormalization()", (2, 3, 4)),
        ("UnitNormalization(axis=1)", (2, 3, 4)),
        ("UnitNormalization(axis=(1, 3))", (2, 3, 4, 2)),
    )

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        axis = a.const("axis")
        axes = [axis] if isinstance(axis, int) else list(axis)
        dims = sorted(y.axis(k) for k in axes)
        floor = ", eps=1e-6" if a.generation == KERAS2 else ""
        dim = dims[0] if len(dims) == 1 else tuple(dims)
        return [Step(fn=f"F.normalize({{0}}, dim={dim}{floor})", hint="x")]


class RMSNormalization(LayerRule):
    """`nn.RMSNorm` over the last axis."""

    keras = ("RMSNormalization",)
    signature = "axis=-1, epsilon=1e-6"
    mask = "keeps"
    examples = (("RMSNormalization()", (2, 3, 4)),)

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        if is_open(a.axis) or a.axis not in (-1, xs[0].rank - 1):
            raise Declined("K2T102", "root mean square normalization of another axis than the last is not translated")
        channels = known_channels(xs[0], -1)
        module = call("nn.RMSNorm", channels, eps=a.epsilon)
        return [Step(module=module, hint="norm", weights={"weight": Weight("scale")})]
