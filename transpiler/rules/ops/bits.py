"""Functions of the bits of integers."""

from __future__ import annotations

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Lowering
from transpiler.ir.shape import Layout
from transpiler.rules.ops.base import (
    NARROW,
    OpRule,
    dtype_name,
    elementwise,
    example,
    is_float,
    leaf_of,
    numpy_paths,
    operand_text,
    operands,
    promoted,
    tensor,
)

BITWISE = {
    "bitwise_and": "{x} & {y}",
    "bitwise_or": "{x} | {y}",
    "bitwise_xor": "{x} ^ {y}",
    "bitwise_left_shift": "{x} << {y}",
    "left_shift": "{x} << {y}",
    "bitwise_right_shift": "{x} >> {y}",
    "right_shift": "{x} >> {y}",
}


class Bitwise(OpRule):
    """Bits of two integers, and shifts."""

    batched = True
    names = numpy_paths(*BITWISE)
    signature, inputs = "x, y", ("x", "y")
    examples = (
        *(example(f"ops.{leaf}(i - 4, j)", i=(9, "ids", 4, 6), j=(9, "ids", 4, 6)) for leaf in BITWISE),
        *(example(f"ops.{leaf}(i, 3)", i=(9, "ids", 4, 6)) for leaf in BITWISE),
        example("ops.bitwise_or(ops.cast(i, 'uint8'), i)", i=(9, "ids", 4, 6)),
        example("ops.left_shift(ops.cast(i, 'uint8'), 2)", i=(9, "ids", 4, 6)),
    )

    def wants(self, path: str, a: Args) -> Layout | None:
        return None if len({x.rank for x in operands([a.x, a.y])}) == 1 else Layout.KERAS

    def lower(self, path: str, a: Args) -> Lowering:
        found = operands([a.x, a.y])
        numbers = [v for v in (a.x, a.y) if type(v) in (float, bool)]
        if numbers or any(is_float(x.dtype) or x.dtype in ("bool", "size") for x in found):
            raise Declined("K2T103", f"{leaf_of(path)} of what are no integers is not translated")
        dtype = promoted(x.dtype for x in found)
        if dtype in NARROW and len(found) < 2 and "shift" not in leaf_of(path):
            raise Declined("K2T103", f"{leaf_of(path)} of {dtype} and a number is not translated")
        text = BITWISE[leaf_of(path)].format(x=operand_text(a.x), y=operand_text(a.y))
        return elementwise(text, found, dtype)


class Invert(OpRule):
    """All bits of integers turned around."""

    batched = True
    names = numpy_paths("bitwise_not", "bitwise_invert")
    any_layout = True
    examples = (example("ops.bitwise_not(i)", i=(9, "ids", 4, 6)),)

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        if is_float(x.dtype) or x.dtype == "bool":
            raise Declined("K2T103", f"{leaf_of(path)} of {x.dtype} is not translated")
        return elementwise("~{0}", [x])


class View(OpRule):
    """The same bits as another dtype."""

    batched = True
    names = numpy_paths("view")
    signature = "x, dtype=None"
    any_layout = True
    examples = (
        example("ops.view(ops.stop_gradient(x)) * 2.0"),
        example("ops.view(i, 'int64') + 1", i=(9, "ids", 4, 6)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        if a.dtype is not None and (is_float(x.dtype) or dtype_name(a.dtype) != x.dtype):
            raise Declined("K2T103", "how many bits a number has is not known: another view of them is not translated")
        return Lowering([], [x.type])
