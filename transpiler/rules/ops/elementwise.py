"""Functions of each element of one tensor."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Lowering, Step
from transpiler.rules.ops.base import (
    SIZE,
    Operand,
    OpRule,
    dtype_name,
    elementwise,
    example,
    is_float,
    leaf_of,
    operand_text,
    paths,
    show_operand,
    tensor,
    torch_dtype,
)

UNARY = {
    "abs": "torch.abs({0})",
    "absolute": "torch.abs({0})",
    "acos": "torch.acos({0})",
    "arccos": "torch.acos({0})",
    "arcsin": "torch.asin({0})",
    "arctan": "torch.atan({0})",
    "asin": "torch.asin({0})",
    "atan": "torch.atan({0})",
    "ceil": "torch.ceil({0})",
    "cos": "torch.cos({0})",
    "cosh": "torch.cosh({0})",
    "digamma": "torch.digamma({0})",
    "erf": "torch.erf({0})",
    "exp": "torch.exp({0})",
    "expm1": "torch.expm1({0})",
    "floor": "torch.floor({0})",
    "lgamma": "torch.lgamma({0})",
    "log": "torch.log({0})",
    "log1p": "torch.log1p({0})",
    "log2": "torch.log2({0})",
    "log10": "torch.log10({0})",
    "negative": "-{0}",
    "reciprocal": "torch.reciprocal({0})",
    "round": "torch.round({0})",
    "rsqrt": "torch.rsqrt({0})",
    "sign": "torch.sign({0})",
    "sin": "torch.sin({0})",
    "sinh": "torch.sinh({0})",
    "sqrt": "torch.sqrt({0})",
    "square": "{0} ** 2",
    "stop_gradient": "{0}.detach()",
    "tan": "torch.tan({0})",
}
INTEGER = ("abs", "absolute", "negative", "sign", "square", "stop_gradient")
"""Functions that keep integers; the others are of floats alone."""
NUMBERS = {
    "abs": abs, "ceil": math.ceil, "cos": math.cos, "erf": math.erf, "exp": math.exp, "floor": math.floor, "log": math.log,
    "log2": math.log2, "sin": math.sin, "sqrt": math.sqrt, "tan": math.tan,
}  # fmt: skip
"""The same functions of Python, for numbers."""
POSITIVE = ("log", "log1p", "log2", "log10", "sqrt", "rsqrt", "reciprocal", "digamma", "lgamma")
NARROW = ("acos", "arccos", "asin", "arcsin")


def unary_examples() -> tuple[Any, ...]:
    """One for each name, with arguments where the function is defined."""
    found = []
    for leaf in UNARY:
        x = "abs(x) + 0.5" if leaf in POSITIVE else "tf.tanh(x)" if leaf in NARROW else "x"
        home = "ops" if leaf not in ("lgamma", "digamma", "acos", "asin", "atan") else "tf.math"
        home = "K" if leaf in ("stop_gradient",) else home
        found.append(example(f"{home}.{leaf}({x})"))
    return (
        *found,
        example("tf.abs(i)", i=(9, "ids", 2, 3)),
        example("K.square(i)", i=(9, "ids", 2, 3)),
        example("K.sqrt(x)"),
    )


class Unary(OpRule):
    """Functions of one tensor, element by element."""

    batched = True
    names = paths(*UNARY)
    renames = {"input": "x", "inputs": "x", "a": "x", "value": "x"}
    any_layout = True
    examples = unary_examples()

    def number(self, path: str, a: Args) -> Any:
        function = NUMBERS.get(leaf_of(path))
        return (function, [a.x]) if function else None

    def lower(self, path: str, a: Args) -> Lowering:
        leaf, x = leaf_of(path), tensor(a)
        if not is_float(x.dtype) and leaf not in INTEGER or x.dtype == "bool" and leaf != "stop_gradient":
            raise Declined("K2T103", f"{leaf} of {x.dtype} is not translated")
        if path == "backend.sqrt":  # it takes negative numbers for zero
            return elementwise("torch.sqrt({0}.clamp(min=0))", [x])
        return elementwise(UNARY[leaf], [x])


class Identity(OpRule):
    """The tensor itself."""

    batched = True
    names = ("tensorflow.identity", "tensorflow.ensure_shape", "backend.to_dense")
    signatures = {"tensorflow.ensure_shape": "x, shape"}
    renames = {"input": "x", "tensor": "x"}
    any_layout = True
    examples = (
        example("tf.identity(x) * 2.0"),
        example("tf.ensure_shape(x, (None, 3, 4)) * 2.0"),
        example("K.to_dense(tensor=x) * 2.0"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        return Lowering([], [tensor(a).type])


class Test(OpRule):
    """Truths about each element."""

    batched = True
    names = paths("isnan", "is_nan", "isinf", "is_inf", "isfinite", "is_finite", "logical_not")
    any_layout = True
    examples = (example("ops.isnan(x)"), example("tf.math.is_finite(x)"), example("tf.logical_not(x > 0.0)"))

    def lower(self, path: str, a: Args) -> Lowering:
        leaf = leaf_of(path)
        x = tensor(a)
        if leaf == "logical_not" and x.dtype != "bool":
            raise Declined("K2T103", "logical_not of numbers is not translated")
        text = "~{0}" if leaf == "logical_not" else f"torch.{leaf.replace('_', '')}({{0}})"
        return elementwise(text, [x], "bool")


LIMITS = {"uint8": (0, 255), "int8": (-128, 127), "int16": (-32768, 32767)}
"""The integers whose limits floats hold exactly."""


class Cast(OpRule):
    """A change of dtype; floats follow the model's."""

    batched = True
    names = paths("cast", "saturate_cast")
    signature = "x, dtype"
    any_layout = True
    examples = (
        example("K.cast(x > 0.0, 'float32') * x"),
        example("tf.cast(i, tf.float32) * 0.5", i=(5, "ids", 2, 3)),
        example("ops.cast(x * 3.0, 'int32')"),
        example("tf.cast(x, tf.bool)"),
        example("tf.saturate_cast(300.0 * x, tf.uint8)"),
        example("ops.saturate_cast(i * 40, 'int8')", i=(9, "ids", 2, 3)),
    )

    def number(self, path: str, a: Args) -> Any:
        name = dtype_name(a.const("dtype"))
        return (float if name == "float" else bool if name == "bool" else int), [a.x]

    def lower(self, path: str, a: Args) -> Lowering:
        x = a.x
        if not isinstance(x, Operand):
            raise Declined("K2T103", f"a cast of {show_operand(x)} is not translated")
        name = dtype_name(a.const("dtype"))
        if leaf_of(path) == "saturate_cast" and name != "float":
            if name not in LIMITS or x.dtype == "bool":
                raise Declined("K2T103", f"a saturating cast of {x.dtype} to {name} is not translated")
            low, high = LIMITS[name]
            return elementwise(f"{{0}}.clamp({low}, {high}).to(torch.{name})", [x], name)
        y = replace(x.type, dtype="float32" if name == "float" else name)
        if x.dtype == SIZE:
            return Lowering([], [x.type])
        if name == "float" and is_float(x.dtype) or name == x.dtype:
            return Lowering([], [x.type])
        return Lowering([Step(fn=f"{{0}}.to({torch_dtype(name)})")], [y])


class ToFloat(OpRule):
    """Casts with the dtype in the name."""

    batched = True
    names = ("tensorflow.to_float", "tensorflow.to_int32", "tensorflow.to_int64", "backend.cast_to_floatx")
    renames = {"input": "x"}
    any_layout = True
    examples = (
        example("tf.compat.v1.to_int32(x)"),
        example("K.cast_to_floatx(i) * 0.5", i=(4, "ids", 2, 3)),
        example("K.cast_to_floatx(x > 0.0)"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        name = {"to_int32": "int32", "to_int64": "int64"}.get(leaf_of(path), "float32")
        return Cast().lower("tensorflow.cast", a.replace(dtype=name))


class Clip(OpRule):
    """Limits on both sides."""

    batched = True
    names = paths("clip", "clip_by_value")
    signature = "x, min_value, max_value"
    inputs = ("x", "min_value", "max_value")
    renames = {
        "clip_value_min": "min_value",
        "clip_value_max": "max_value",
        "x_min": "min_value",
        "x_max": "max_value",
        "t": "x",
    }
    any_layout = True
    examples = (
        example("K.clip(x, -0.3, 0.4)"),
        example("tf.clip_by_value(x, 0.0, 1.0)"),
        example("ops.clip(x, -1, 0.5)"),
        example("tf.clip_by_value(x, 0.0, y)", x=(3, 4), y=(3, 4)),
        example("tf.clip_by_value(x, y, z)", x=(3, 4), y=(4,), z=(3, 1)),
        example(
            "tf.cast(tf.clip_by_value(tf.cast(x * 5, 'int32'), tf.zeros([], 'int32'), tf.cast(y * 3, 'int32')), x.dtype)",
            x=(3, 4),
            y=(3, 4),
        ),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        bounds = [v for v in (a.min_value, a.max_value) if isinstance(v, Operand)]
        if bounds:
            return self.between(x, a.min_value, a.max_value, bounds)
        if not is_float(x.dtype) and not all(type(v) is int for v in (a.min_value, a.max_value)):
            raise Declined("K2T103", "limits of integers have to be integers")
        numbers = [v for v in (a.min_value, a.max_value) if type(v) in (int, float)]
        if len(numbers) == 2 and numbers[0] > numbers[1]:
            raise Declined("K2T102", "clip() between limits in the wrong order is not translated")
        low, high = (str(v) if v is None else operand_text(v) for v in (a.min_value, a.max_value))
        return elementwise(f"torch.clamp({{0}}, {low}, {high})", [x])

    def between(self, x: Operand, low: Any, high: Any, bounds: list[Operand]) -> Lowering:
        """TensorFlow takes the lower of value and upper limit first: where the limits cross, the lower limit wins."""
        if any(is_float(b.dtype) != is_float(x.dtype) for b in bounds):
            raise Declined("K2T103", "limits of another dtype are not translated")
        if not is_float(x.dtype) and not all(isinstance(v, (Operand, int)) for v in (low, high)):
            raise Declined("K2T103", "limits of integers have to be integers")
        upper = (
            f"torch.minimum({{0}}, {high})" if isinstance(high, Operand) else f"{{0}}.clamp(max={operand_text(high)})"
        )
        both = (
            f"torch.maximum({upper}, {low})" if isinstance(low, Operand) else f"{upper}.clamp(min={operand_text(low)})"
        )
        return elementwise(both, [x, *bounds])


class NanToNum(OpRule):
    """Numbers in place of what is none."""

    batched = True
    names = paths("nan_to_num")
    signature = "x, nan=0.0, posinf=None, neginf=None"
    any_layout = True
    examples = (
        example("ops.nan_to_num(tf.math.log(x), nan=0.5)"),
        example("ops.nan_to_num(i)", i=(3, "ids", 2, 3)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        if not is_float(tensor(a).dtype):  # every integer is a number
            return Lowering([], [tensor(a).type])
        values = ", ".join(f"{n}={operand_text(a.get(n))}" for n in ("nan", "posinf", "neginf") if a.get(n) is not None)
        return elementwise(f"torch.nan_to_num({{0}}, {values})", [tensor(a)])
