"""Layers that move, pad, cut or repeat values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from transpiler.diagnostics import Declined
from transpiler.ir.expr import NeedsConstant, Sym, code_of, is_open, same, witness_of
from transpiler.ir.model import Args, Step
from transpiler.ir.shape import Layout, Shape, TensorType, product, quotient, to_first
from transpiler.rules import spatial
from transpiler.rules.base import LayerRule, call, per_axis, permute_step, show
from transpiler.rules.spatial import Grid


class Reshape(LayerRule):
    """`reshape` in Keras order; one size may be -1."""

    keras = ("Reshape",)
    moves = True
    signature = "target_shape"
    renames = {"dims": "target_shape"}
    examples = (("Reshape((3, 4))", (2, 12)), ("Reshape((-1, 2))", (2, 3, 4)), ("Reshape((-1,))", (2, 3, 4)))

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def target(self, a: Args) -> tuple[Any, ...]:
        """The sizes asked for, -1 for the one to be inferred."""
        value = a.target_shape
        if isinstance(value, Sym):
            if not isinstance(value.witness, (tuple, list)):
                raise NeedsConstant(value, "the target shape decides the number of axes")
            value = tuple(value[i] for i in range(len(value.witness)))
        value = (value,) if isinstance(value, int) else tuple(value)
        for size in value:
            if isinstance(size, Sym) and witness_of(size) in (-1, None):
                raise NeedsConstant(size)
        return tuple(-1 if not is_open(s) and s is None else s for s in value)

    def sizes(self, a: Args, x: TensorType) -> tuple[Any, ...]:
        """`target` with the size of -1 worked out, None where it is open."""
        target = self.target(a)
        unknown = [k for k, s in enumerate(target) if not is_open(s) and s == -1]
        if not unknown:
            return target
        inferred = quotient(x.shape[1:], tuple(s for k, s in enumerate(target) if k not in unknown))
        return tuple(inferred if k in unknown else s for k, s in enumerate(target))

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        return (xs[0].shape[0], *self.sizes(a, xs[0]))

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        sizes, x = self.sizes(a, xs[0]), xs[0]
        if len(sizes) == 1:
            return [] if x.rank == 2 else [Step(module="nn.Flatten()", fn="{0}.flatten(1)", hint="flatten")]
        joined = joined_axes(x.shape, (x.shape[0], *sizes))
        if joined is not None:
            return [Step(fn=f"{{0}}.flatten({joined[0]}, {joined[1]})", hint="reshape")]
        if all(s is not None for s in sizes):
            module = f"nn.Unflatten(1, {code_of(sizes)})" if x.rank == 2 else None
            fn = f"{{0}}.reshape(-1, {', '.join(map(code_of, sizes))})"
            return [Step(module=module, fn=fn, hint="reshape")]
        open_sizes = code_of(tuple(-1 if s is None else s for s in sizes))
        flat = "" if x.rank == 2 else ".flatten(1)"
        return [Step(fn=f"{{0}}{flat}.unflatten(1, {open_sizes})", hint="reshape")]


def joined_axes(old: Shape, new: Shape) -> tuple[int, int] | None:
    """The first and last of the neighbouring axes, some open, that a reshape does nothing but join; None for another."""
    count = len(old) - len(new)
    if count < 1 or None in (*old[1:], *new[1:]):
        return None
    for first in range(1, len(new)):
        last = first + count
        whole = product(old[first : last + 1])
        if is_open(whole) and all(map(same, (*old[1:first], whole, *old[last + 1 :]), new[1:])):
            return first, last
    return None


class Permute(LayerRule):
    """Reorders the axes after the batch; `dims` count from 1. A tensor held channels first stays so, or is left as it is."""

    keras = ("Permute",)
    moves = True
    signature = "dims"
    examples = (("Permute((2, 1))", (2, 3, 4)), ("Permute((3, 1, 2))", (2, 3, 4, 5)))

    def order(self, a: Args) -> tuple[int, ...]:
        return (0, *a.const("dims"))

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        if sorted(self.order(a)) != list(range(xs[0].rank)):
            raise Declined("K2T104", f"Permute({show(a.dims)}) of {xs[0].rank - 1} axes")
        return tuple(xs[0].shape[k] for k in self.order(a))

    def output_layout(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        x = xs[0]
        moved = list(self.held(a, x, Layout.KERAS)) != list(range(x.rank))
        return x.layout if moved else Layout.KERAS

    def held(self, a: Args, x: TensorType, layout: Layout) -> tuple[int, ...]:
        """The dimensions of `x` as it is held, in the order that gives the result in `layout`."""
        order = self.order(a)
        return tuple(x.axis(order[k]) for k in (range(x.rank) if layout is Layout.KERAS else to_first(x.rank)))

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        order = self.held(a, xs[0], y.layout)
        return [] if order == tuple(range(y.rank)) else [permute_step(order)]


class RepeatVector(LayerRule):
    """The same vector at every step."""

    keras = ("RepeatVector",)
    moves = True
    signature = "n"
    examples = (("RepeatVector(3)", (2, 4)),)

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        return (xs[0].shape[0], a.n, xs[0].shape[1])

    def output_layout(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        return [Step(fn=f"{{0}}[:, None].expand(-1, {code_of(a.n)}, -1)", hint="x")]


def pairs(value: Any, ndim: int) -> list[tuple[Any, Any]]:
    """Paddings or croppings of every axis as (before, after): 1, (1, 2) or ((1, 1), (2, 2))."""
    if ndim == 1:
        before, after = per_axis(value, 2)
        return [(before, after)]
    axes = per_axis(value, ndim)
    found = []
    for axis in axes:
        both = isinstance(axis, (tuple, list)) or (isinstance(axis, Sym) and isinstance(axis.witness, (tuple, list)))
        found.append((axis[0], axis[1]) if both else (axis, axis))
    return found


class _Spatial(LayerRule):
    """A layer on the spatial axes alone."""

    ndim: ClassVar[int]
    moves = True
    renames = {"dim_ordering": "data_format"}

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return spatial.spatial_layout(a)


class _ZeroPadding(_Spatial):
    signature = "padding=1, data_format=None"

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        grid = Grid.of(a, xs[0], self.ndim)
        sizes = zip(grid.sizes, pairs(a.padding, self.ndim))
        return grid.shape([None if s is None else s + (p[0] + p[1]) for s, p in sizes], grid.channels)

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        return [spatial.pad_step(pairs(a.padding, self.ndim))]


class ZeroPadding1D(_ZeroPadding):
    """`F.pad` along the steps."""

    ndim, keras = 1, ("ZeroPadding1D",)
    examples = (("ZeroPadding1D((1, 2))", (2, 4, 3)),)


class ZeroPadding2D(_ZeroPadding):
    """`F.pad` of height and width."""

    ndim, keras = 2, ("ZeroPadding2D",)
    examples = (("ZeroPadding2D(((1, 0), (2, 3)))", (2, 4, 5, 3)), ("ZeroPadding2D((1, 2))", (2, 4, 5, 3)))


class ZeroPadding3D(_ZeroPadding):
    """`F.pad` of three axes."""

    ndim, keras = 3, ("ZeroPadding3D",)
    examples = (("ZeroPadding3D((1, 2, 3))", (2, 2, 3, 4, 3)),)


class _Cropping(_Spatial):
    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        grid = Grid.of(a, xs[0], self.ndim)
        sizes = zip(grid.sizes, pairs(a.cropping, self.ndim))
        return grid.shape([None if s is None else s - (p[0] + p[1]) for s, p in sizes], grid.channels)

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        return [spatial.crop_step(pairs(a.cropping, self.ndim))]


class Cropping1D(_Cropping):
    """A slice of the steps."""

    ndim, keras, signature = 1, ("Cropping1D",), "cropping=(1, 1), data_format=None"
    examples = (("Cropping1D((1, 0))", (2, 5, 3)), ("Cropping1D(2)", (2, 5, 3)))


class Cropping2D(_Cropping):
    """A slice of height and width."""

    ndim, keras, signature = 2, ("Cropping2D",), "cropping=((0, 0), (0, 0)), data_format=None"
    examples = (("Cropping2D(((1, 2), (0, 1)))", (2, 6, 5, 3)), ("Cropping2D((1, 2))", (2, 6, 5, 3)))


class Cropping3D(_Cropping):
    """A slice of three axes."""

    ndim, keras, signature = 3, ("Cropping3D",), "cropping=((1, 1), (1, 1), (1, 1)), data_format=None"
    examples = (("Cropping3D()", (2, 4, 5, 6, 3)),)


class _UpSampling(_Spatial):
    """Every cell repeated, or bilinear between cells."""

    open_values = {"interpolation": ("nearest", "bilinear")}

    def interpolation(self, a: Args) -> Any:
        if "interpolation" not in a:
            return "nearest"
        if isinstance(a.interpolation, Sym) and a.interpolation.witness in self.open_values["interpolation"]:
            return a.interpolation  # torch's names
        kind = a.lower("interpolation")
        if kind not in self.open_values["interpolation"]:
            raise Declined("K2T102", f"{kind} upsampling of Keras has no exact counterpart in torch")
        return kind

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        grid, factors = Grid.of(a, xs[0], self.ndim), per_axis(a.size, self.ndim)
        return grid.shape([None if s is None else s * f for s, f in zip(grid.sizes, factors)], grid.channels)

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        kind = self.interpolation(a)
        kwargs: dict[str, Any] = {"scale_factor": spatial.size_argument(a.size, self.ndim)}
        if isinstance(kind, Sym) or kind != "nearest":
            kwargs["mode"] = kind
        text = call("F.interpolate", **kwargs).replace("(", "({0}, ", 1)
        return [Step(module=call("nn.Upsample", **kwargs), fn=text, hint="upsample")]


class UpSampling1D(_UpSampling):
    """Every step repeated."""

    ndim, keras, signature = 1, ("UpSampling1D",), "size=2"
    renames = {"length": "size"}
    examples = (("UpSampling1D(3)", (2, 4, 3)),)


class UpSampling2D(_UpSampling):
    """`F.interpolate`, nearest or bilinear (corners not aligned)."""

    ndim, keras, signature = 2, ("UpSampling2D",), "size=(2, 2), data_format=None, interpolation='nearest'"
    examples = (
        ("UpSampling2D()", (2, 3, 4, 3)),
        ("UpSampling2D((3, 2))", (2, 3, 4, 3)),
        ("UpSampling2D(2, interpolation='bilinear')", (2, 3, 4, 3)),
    )


class UpSampling3D(_UpSampling):
    """`F.interpolate`, nearest."""

    ndim, keras, signature = 3, ("UpSampling3D",), "size=(2, 2, 2), data_format=None"
    examples = (("UpSampling3D((1, 2, 3))", (2, 2, 3, 4, 3)),)
