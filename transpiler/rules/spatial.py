"""Sizes and paddings that convolutions, pooling and padding layers share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import Sym, ceil_div, code_of, constant, same, surely_int, witness_of
from transpiler.ir.model import Args, Step
from transpiler.ir.shape import Dim, Layout, Shape, TensorType
from transpiler.rules.base import compact, per_axis, show

DATA_FORMATS = {None: False, "channels_last": False, "channels_first": True, "tf": False, "th": True, "default": False}
"""`data_format` in all eras → whether the channels come first."""


def channels_first(a: Args) -> bool:
    """Whether the program itself holds its channels right after the batch.

    Raises NeedsConstant for a `data_format` that is kept open, Declined for an unknown one.
    """
    value = a.lower("data_format") if "data_format" in a else None
    if value not in DATA_FORMATS:
        raise Declined("K2T102", f"the data format {show(value)} is unknown")
    return DATA_FORMATS[value]


@dataclass(frozen=True)
class Grid:
    """The spatial sizes and the channels of a tensor, wherever its channels stand."""

    first: bool
    batch: Dim
    sizes: tuple[Dim, ...]
    channels: Dim

    @staticmethod
    def of(a: Args, x: TensorType, ndim: int) -> Grid:
        """The grid of `x`; raises Declined if it does not have `ndim` spatial axes."""
        if x.rank != ndim + 2:
            raise Declined("K2T104", f"{ndim + 2} axes are needed, the input has {x.rank}")
        first = channels_first(a)
        sizes = x.shape[2:] if first else x.shape[1:-1]
        return Grid(first, x.shape[0], sizes, x.shape[1] if first else x.shape[-1])

    def shape(self, sizes: Sequence[Dim], channels: Dim) -> Shape:
        """A shape in Keras order with other sizes and channels."""
        return (self.batch, channels, *sizes) if self.first else (self.batch, *sizes, channels)

    def known_channels(self) -> Dim:
        """The channels; raises Declined where they are open."""
        if self.channels is None:
            raise Declined("K2T202", "the number of input channels is not known", "Give the input a shape.")
        return self.channels


def spatial_layout(a: Args) -> Layout:
    """The layout in which torch's own axis order is met."""
    return Layout.KERAS if channels_first(a) else Layout.FIRST


def size_argument(value: Any, rank: int) -> Any:
    """`value` as torch takes it: as written where it is kept open, one number if all axes agree, else a tuple."""
    return value if isinstance(value, Sym) else compact(per_axis(value, rank))


def is_one(value: Any) -> bool:
    """Whether `value` is surely 1."""
    return type(value) is int and value == 1


def effective(kernel: Any, dilation: Any) -> Any:
    """The cells that a dilated kernel spans, less one."""
    return (kernel - 1) * dilation


def same_size(size: Dim, stride: Any) -> Dim:
    """The output size of `same`: ⌈size / stride⌉."""
    return None if size is None else ceil_div(size, stride)


def valid_size(size: Dim, kernel: Any, stride: Any, dilation: Any = 1) -> Dim:
    """The output size of `valid`."""
    if size is None:
        return None
    if is_one(dilation) and same(kernel, stride):
        return size // stride
    rest = size - effective(kernel, dilation)
    return rest if is_one(stride) else (rest - 1) // stride + 1


def fitting_size(size: Dim, kernel: Any, stride: Any, dilation: Any = 1) -> Dim:
    """`valid_size`; raises Declined for a window that is larger than what it moves over."""
    if all(type(v) is int for v in (size, kernel, dilation)) and size <= effective(kernel, dilation):
        raise Declined("K2T102", f"a window over {effective(kernel, dilation) + 1} cells does not fit into {size}")
    return valid_size(size, kernel, stride, dilation)


def either_size(padding: Sym, when_same: Dim, when_valid: Dim) -> Dim:
    """The size for a padding that is chosen when the generated code runs."""
    if when_same is None or same(when_same, when_valid):
        return when_same
    seen = witness_of(padding)
    witness = witness_of(when_same if str(seen).lower() == "same" else when_valid)
    parts = (code_of(when_same), code_of(padding), code_of(when_valid))
    whole = surely_int(when_same) and surely_int(when_valid)
    return Sym.parse("{} if {} == 'same' else {}".format(*parts), witness, whole)


def same_pads(size: Dim, kernel: Any, stride: Any, dilation: Any = 1) -> tuple[int, int] | None:
    """The cells before and after an axis that `same` adds (semantics: the odd one comes last); None if not known yet.

    They depend on the size unless the stride or the kernel is 1.
    """
    if is_one(kernel):
        return 0, 0
    if any(isinstance(v, Sym) for v in (kernel, stride, dilation)):
        return None
    span = (kernel - 1) * dilation + 1
    if stride == 1:
        total = span - 1
    elif type(size) is int:
        total = max((-(-size // stride) - 1) * stride + span - size, 0)
    else:
        return None
    return total // 2, total - total // 2


def pad_argument(pads: Sequence[tuple[Any, Any]]) -> tuple[Any, ...]:
    """Pads by axis in the order of `F.pad`: last axis first."""
    return tuple(p for pair in reversed(tuple(pads)) for p in pair)


def pad_step(pads: Sequence[tuple[Any, Any]], value: float | None = None) -> Step:
    """The step that pads the spatial axes, with zeros or with `value`."""
    argument = pad_argument(pads)
    n, text = len(pads), code_of(compact(argument)) if value is None else code_of(argument)
    if value is None:
        return Step(module=f"nn.ZeroPad{n}d({text})", fn=f"F.pad({{0}}, {code_of(argument)})", hint="pad")
    filler = code_of(value)
    return Step(module=f"nn.ConstantPad{n}d({text}, {filler})", fn=f"F.pad({{0}}, {text}, value={filler})", hint="pad")


def crop_step(crops: Sequence[tuple[Any, Any]]) -> Step:
    """The step that cuts cells off the spatial axes."""
    argument = pad_argument([(0 - a, 0 - b) for a, b in crops])
    module = f"nn.ZeroPad{len(crops)}d({code_of(compact(argument))})"
    if any(isinstance(c, Sym) for pair in crops for c in pair):  # a slice that ends at -0 would be empty
        return Step(module=module, fn=f"F.pad({{0}}, {code_of(argument)})", hint="crop")
    slices = ", ".join(f"{a or ''}:{-b if b else ''}" for a, b in crops)
    return Step(module=module, fn=f"{{0}}[:, :, {slices}]", hint="crop")


def known(value: Any, what: str) -> Any:
    """`value` where the translation cannot do without; raises NeedsConstant if it is kept open."""
    return constant(value, f"`{what}` decides how this is translated")
