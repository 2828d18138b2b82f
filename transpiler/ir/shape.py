"""What is known of a tensor: its shape in Keras order, its dtype and the order its axes have in memory."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from transpiler.ir.expr import MISSING, Sym, same

Dim = Any
"""An axis: an int, a `Sym`, or None where the size is open (the batch always is)."""

Shape = tuple[Dim, ...]
"""All axes in Keras order, the batch included: (None, 32, 32, 3)."""


class Layout(Enum):
    """The order of a tensor's axes in the generated code."""

    KERAS = "keras"
    """The axes stand as in the Keras program."""
    FIRST = "first"
    """The last Keras axis stands right after the batch: (N, H, W, C) is held as (N, C, H, W)."""


@dataclass(frozen=True)
class TensorType:
    """The type of one tensor: `shape` in Keras order with the batch, `dtype`, `layout`."""

    shape: Shape
    dtype: str = "float32"
    layout: Layout = Layout.KERAS
    open_rank: bool = False
    """Whether the same code sees the tensor with other ranks as well: it then counts axes from the end."""
    masked: bool = False
    """Given to a rule that reads the mask of this input (`LayerRule.reads_masks`)."""

    @property
    def rank(self) -> int:
        """The number of axes, the batch included."""
        return len(self.shape)

    @property
    def channels(self) -> Dim:
        """The size of the last Keras axis."""
        return self.shape[-1]

    @property
    def last(self) -> int:
        """The torch dimension of the last Keras axis."""
        return -1 if self.open_rank else self.axis(-1)

    def axis(self, keras_axis: int) -> int:
        """The torch dimension that holds `keras_axis` (negative counts from the end)."""
        axis = keras_axis % self.rank
        if self.layout is Layout.KERAS or axis == 0:
            return axis
        return 1 if axis == self.rank - 1 else axis + 1

    def in_layout(self, layout: Layout) -> TensorType:
        return replace(self, layout=layout if self.rank > 2 else Layout.KERAS)


def to_first(rank: int) -> tuple[int, ...]:
    """The permutation from Keras order to channels first, e.g. (0, 3, 1, 2)."""
    return (0, rank - 1, *range(1, rank - 1))


def to_keras(rank: int) -> tuple[int, ...]:
    """The permutation from channels first back to Keras order, e.g. (0, 2, 3, 1)."""
    return (0, *range(2, rank), 1)


def product(dims: Shape) -> Dim:
    """The product of `dims`; None if one of them is open."""
    total: Dim = 1
    for dim in dims:
        if dim is None:
            return None
        total = total * dim
    return total


def quotient(dims: Shape, divisors: Shape) -> Dim:
    """The product of `dims` by that of `divisors`, which it is a multiple of; equal factors cancel. None if one is open."""
    if any(d is None for d in dims):
        return None
    above = [f for d in dims for f in _factors(d)]
    below: list[Dim] = []
    for factor in (f for d in divisors for f in _factors(d)):
        equal = next((i for i, f in enumerate(above) if same(f, factor)), None)
        if equal is None:
            below.append(factor)
        else:
            del above[equal]
    whole = product(dims) // product(divisors)
    if not isinstance(whole, Sym) or len(above) == sum(len(_factors(d)) for d in dims):
        return whole
    left = product(tuple(above)) // product(tuple(below))
    return Sym(left.expr, whole.witness, left.integer) if isinstance(left, Sym) else left


def _factors(dim: Dim) -> list[Dim]:
    """The factors that a size is written as."""
    if not isinstance(dim, Sym) or not isinstance(dim.expr, ast.BinOp) or not isinstance(dim.expr.op, ast.Mult):
        return [dim]
    return [
        f
        for side in (dim.expr.left, dim.expr.right)
        for f in _factors(side.value if isinstance(side, ast.Constant) else Sym(side, MISSING, dim.integer))
    ]
