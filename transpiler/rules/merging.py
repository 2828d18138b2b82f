"""Layers that take several tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from transpiler.diagnostics import Declined
from transpiler.ir.expr import is_open, witness_of
from transpiler.ir.model import KERAS2, Args, Lowering, MaskOf, Step
from transpiler.ir.shape import Dim, Layout, Shape, TensorType
from transpiler.rules.base import LayerRule


def joined(dims: Sequence[Dim]) -> Dim:
    """The size of an axis that inputs of these sizes share by broadcasting; open if nothing better is known."""
    wide = [d for d in dims if is_open(d) or d != 1]
    if not wide:
        return 1
    known = [d for d in wide if type(d) is int]
    return known[0] if known else next((d for d in wide if d is not None), None)


def aligned(shape: Shape, rank: int) -> Shape:
    """`shape` with axes of size 1 after the batch, as Keras aligns inputs of fewer axes."""
    return (shape[0], *(1,) * (rank - len(shape)), *shape[1:])


def listed(fn: str, x: TensorType) -> Lowering | None:
    """A merge of a list `{0}` of tensors that all have one shape."""
    return None if x.channels is None else Lowering([Step(fn=fn, hint="x")], [x])


class _Merge(LayerRule):
    """An elementwise operation on tensors whose batches, not last axes, are aligned."""

    template: ClassVar[str]
    """The text for two operands; applied from left to right."""
    least = 1

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        if len(xs) < self.least:
            raise Declined("K2T104", f"{self.keras[0]} needs a list of inputs")

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout | None:
        return None if len({x.rank for x in xs}) == 1 else Layout.KERAS

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        rank = max(x.rank for x in xs)
        columns = list(zip(*(aligned(x.shape, rank) for x in xs)))
        for sizes in columns[1:]:
            known = {witness_of(d) for d in sizes if d is not None and witness_of(d) != 1 and not is_open(d)}
            if len(known) > 1:
                raise Declined("K2T104", f"{self.keras[0]} of the shapes {[x.shape for x in xs]}")
        return (xs[0].shape[0], *map(joined, columns[1:]))

    def output_masks(self, a: Args, xs: Sequence[TensorType]) -> list[MaskOf | None]:
        """Keras 3: steps that any input has, if all have masks; legacy Keras: steps that all masks there are have."""
        masked = tuple(i for i, x in enumerate(xs) if x.masked)
        if not masked or a.generation != KERAS2 and len(masked) < len(xs):
            return []
        sign = " & " if a.generation == KERAS2 else " | "
        return [
            MaskOf(
                xs[masked[0]].shape[:-1], sign.join(f"{{{i}}}" for i in range(len(masked))), masks=masked, joins=True
            )
        ]

    def operands(self, xs: Sequence[TensorType]) -> list[str]:
        """The inputs with the axes that alignment inserts."""
        rank = max(x.rank for x in xs)
        inserted = [rank - x.rank for x in xs]
        return [f"{{{i}}}[:{', None' * n}]" if n else f"{{{i}}}" for i, n in enumerate(inserted)]

    def expression(self, operands: Sequence[str]) -> str:
        result = operands[0]
        for operand in operands[1:]:
            result = self.template.format(result, operand)
        return result

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        if len(xs) == 1:
            return []
        return [Step(fn=self.expression(self.operands(xs)), hint="x")]


class Add(_Merge):
    """A sum."""

    keras, functions, template = ("Add",), ("add",), "{} + {}"
    examples = (("Add()", ((2, 3, 4), (2, 3, 4), (2, 3, 4))), ("Add()", ((2, 4), (2, 3, 4))))

    def gathered(self, a: Args, x: TensorType, count: Any, total: Any) -> Lowering | None:
        return listed("sum({0})", x)


class Subtract(_Merge):
    """The difference of two tensors."""

    keras, functions, template = ("Subtract",), ("subtract",), "{} - {}"
    least = 2
    examples = (("Subtract()", ((2, 3, 4), (2, 3, 4))),)


class _Masked(_Merge):
    """A merge that in Keras 3 leaves masked steps out."""

    def reads_masks(self, a: Args, xs: Sequence[TensorType]) -> tuple[int, ...]:
        if a.generation != KERAS2 and any(x.masked for x in xs):
            raise Declined("K2T105", f"{self.keras[0]} leaves masked steps out in Keras 3, which is not translated")
        return ()


class Multiply(_Masked):
    """A product."""

    keras, functions, template = ("Multiply",), ("multiply",), "{} * {}"
    examples = (("Multiply()", ((2, 3, 4, 5), (2, 1, 1, 5))),)

    def gathered(self, a: Args, x: TensorType, count: Any, total: Any) -> Lowering | None:
        return listed("math.prod({0})", x)


class Maximum(_Masked):
    """The larger of the values."""

    keras, functions, template = ("Maximum",), ("maximum",), "torch.maximum({}, {})"
    examples = (("Maximum()", ((2, 3, 4), (2, 3, 4), (2, 3, 4))),)

    def gathered(self, a: Args, x: TensorType, count: Any, total: Any) -> Lowering | None:
        return listed("functools.reduce(torch.maximum, {0})", x)


class Minimum(_Masked):
    """The smaller of the values."""

    keras, functions, template = ("Minimum",), ("minimum",), "torch.minimum({}, {})"
    examples = (("Minimum()", ((2, 3, 4), (2, 3, 4))),)

    def gathered(self, a: Args, x: TensorType, count: Any, total: Any) -> Lowering | None:
        return listed("functools.reduce(torch.minimum, {0})", x)


class Average(_Merge):
    """A mean over the inputs."""

    keras, functions, template = ("Average",), ("average",), "{} + {}"
    examples = (("Average()", ((2, 3, 4), (2, 3, 4), (2, 3, 4))),)

    def expression(self, operands: Sequence[str]) -> str:
        return f"({super().expression(operands)}) / {len(operands)}"

    def gathered(self, a: Args, x: TensorType, count: Any, total: Any) -> Lowering | None:
        return listed("sum({0}) / len({0})", x)


class Concatenate(LayerRule):
    """`torch.cat` along the axis, wherever the layout holds it."""

    keras, functions = ("Concatenate",), ("concatenate",)
    signature = "axis=-1"
    renames = {"concat_axis": "axis"}
    examples = (
        ("Concatenate()", ((2, 3, 4), (2, 3, 5))),
        ("Concatenate(axis=1)", ((2, 3, 4), (2, 2, 4), (2, 1, 4))),
    )

    def output_dtype(self, a: Args, xs: Sequence[TensorType]) -> str:
        floats = [x.dtype for x in xs if x.dtype.startswith("float")]
        return floats[0] if floats else xs[0].dtype

    def gathered(self, a: Args, x: TensorType, count: Any, total: Any) -> Lowering | None:
        axis = a.const("axis") % x.rank
        size = total if axis == x.rank - 1 else None if x.shape[axis] is None else x.shape[axis] * count
        shape = tuple(size if i == axis else d for i, d in enumerate(x.shape))
        return Lowering([Step(fn=f"torch.cat({{0}}, dim={x.axis(axis)})", hint="x")], [replace(x, shape=shape)])

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        if len({x.rank for x in xs}) != 1:
            raise Declined("K2T104", "Concatenate needs inputs with as many axes each")

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        axis = a.const("axis") % xs[0].rank
        dims = [joined(sizes) for sizes in zip(*(x.shape for x in xs))]
        sizes = [x.shape[axis] for x in xs]
        total: Dim = sizes[0]
        for size in sizes[1:]:
            total = None if total is None or size is None else total + size
        dims[axis] = total
        return tuple(dims)

    def output_masks(self, a: Args, xs: Sequence[TensorType]) -> list[MaskOf | None]:
        """Joined as the inputs are; over the last axis, a step counts if all (in Keras 3: any) masks have it."""
        if not any(x.masked for x in xs):
            return []
        masked = tuple(i for i, x in enumerate(xs) if x.masked)
        axis, rank = a.const("axis") % xs[0].rank, xs[0].rank
        shape = self.output_shape(a, xs)[:-1]
        if axis == rank - 1:
            if len(masked) < len(xs) and a.generation != KERAS2:  # an input without a mask has all steps
                other = next(i for i in range(len(xs)) if i not in masked)
                return [MaskOf(shape, "torch.ones_like({0}[..., 0], dtype=torch.bool)", (other,))]
            sign = " & " if a.generation == KERAS2 else " | "
            return [MaskOf(shape, sign.join(f"{{{i}}}" for i in range(len(masked))), masks=masked, joins=True)]
        if axis > 1 and any(x.rank > 3 for x in xs):
            raise Declined("K2T105", "the mask of this Concatenate is not translated")
        places = {i: f"{{{k}}}" for k, i in enumerate(masked)}
        others = tuple(i for i in range(len(xs)) if i not in masked)
        whole = {i: f"torch.ones_like({{{len(masked) + k}}}[..., 0], dtype=torch.bool)" for k, i in enumerate(others)}
        parts = ", ".join((places | whole)[i] for i in range(len(xs)))
        return [MaskOf(shape, f"torch.cat([{parts}], dim={axis})", others, masked)]

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        if len(xs) == 1:
            return []
        inputs = ", ".join(f"{{{i}}}" for i in range(len(xs)))
        dim = y.axis(a.const("axis"))
        return [Step(fn=f"torch.cat([{inputs}], dim={dim})", hint="x")]


class Dot(LayerRule):
    """A product summed over one axis of each input; of two vectors, a column."""

    keras, functions = ("Dot",), ("dot",)
    signature = "axes, normalize=False"
    examples = (
        ("Dot(axes=1)", ((2, 3), (2, 3))),
        ("Dot(axes=(2, 1))", ((2, 3, 4), (2, 4, 5))),
        ("Dot(axes=2, normalize=True)", ((2, 3, 4), (2, 5, 4))),
        ("Dot(axes=(1, 2))", ((2, 4), (2, 3, 4))),
        ("Dot(axes=-1)", ((2, 3, 4), (2, 4))),
    )

    def axes(self, a: Args, xs: Sequence[TensorType]) -> tuple[int, int]:
        if len(xs) != 2:
            raise Declined("K2T104", "Dot takes two inputs")
        given = a.const("axes")
        first, second = (given, given) if isinstance(given, int) else given
        return first % xs[0].rank, second % xs[1].rank

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape:
        first, second = self.axes(a, xs)
        left = [d for k, d in enumerate(xs[0].shape) if k != first]
        right = [d for k, d in enumerate(xs[1].shape) if k not in (0, second)]
        return (*left, *right) if len(left) + len(right) > 1 else (left[0], 1)

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        first, second = self.axes(a, xs)
        left, right = "{0}", "{1}"
        if a.const("normalize"):
            floor = ", eps=1e-6" if a.generation == KERAS2 else ", eps=1e-7"
            left, right = f"F.normalize({{0}}, dim={first}{floor})", f"F.normalize({{1}}, dim={second}{floor})"
        if xs[0].rank == xs[1].rank == 2:
            return [Step(fn=f"({left} * {right}).sum(dim=1, keepdim=True)", hint="x")]
        names = iter("ijklmnopq")
        one = ["b", *(next(names) for _ in xs[0].shape[1:])]
        two = ["b", *(next(names) for _ in xs[1].shape[1:])]
        two[second] = one[first]
        out = [c for c in one if c != one[first]] + [c for c in two[1:] if c != one[first]]
        equation = f"{''.join(one)},{''.join(two)}->{''.join(out)}"
        return [Step(fn=f'torch.einsum("{equation}", {left}, {right})', hint="x")]
