"""Functions of each element, and Python's operators."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Lowering, Step
from transpiler.ir.shape import Layout
from transpiler.rules.ops.base import (
    SIZE,
    Operand,
    OpRule,
    as_float,
    dtype_name,
    elementwise,
    example,
    is_float,
    leaf_of,
    operand_text,
    operands,
    paths,
    show_operand,
    tensor,
    tensor_list,
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
    examples = unary_examples()

    def wants(self, path: str, a: Args) -> Layout | None:
        return None

    def number(self, path: str, a: Args) -> Any:
        function = NUMBERS.get(leaf_of(path))
        return (function, [a.x]) if function else None

    def lower(self, path: str, a: Args) -> Lowering:
        leaf, x = leaf_of(path), tensor(a)
        if not is_float(x.dtype) and leaf not in INTEGER:
            raise Declined("K2T103", f"{leaf} of {x.dtype} is not translated")
        if path == "backend.sqrt":  # it takes negative numbers for zero
            return elementwise("torch.sqrt({0}.clamp(min=0))", [x])
        return elementwise(UNARY[leaf], [x])


class Identity(OpRule):
    """The tensor itself."""

    batched = True
    names = ("tensorflow.identity",)
    renames = {"input": "x"}
    examples = (example("tf.identity(x) * 2.0"),)

    def wants(self, path: str, a: Args) -> Layout | None:
        return None

    def lower(self, path: str, a: Args) -> Lowering:
        return Lowering([], [tensor(a).type])


class Test(OpRule):
    """Truths about each element."""

    batched = True
    names = paths("isnan", "is_nan", "isinf", "is_inf", "isfinite", "is_finite", "logical_not")
    examples = (example("ops.isnan(x)"), example("tf.math.is_finite(x)"), example("tf.logical_not(x > 0.0)"))

    def wants(self, path: str, a: Args) -> Layout | None:
        return None

    def lower(self, path: str, a: Args) -> Lowering:
        leaf = leaf_of(path)
        x = tensor(a)
        if leaf == "logical_not" and x.dtype != "bool":
            raise Declined("K2T103", "logical_not of numbers is not translated")
        text = "~{0}" if leaf == "logical_not" else f"torch.{leaf.replace('_', '')}({{0}})"
        return elementwise(text, [x], "bool")


OPERATOR = {
    "Add": "{0} + {1}",
    "Sub": "{0} - {1}",
    "Mult": "{0} * {1}",
    "Div": "{0} / {1}",
    "Pow": "{0} ** {1}",
    "FloorDiv": "{0} // {1}",
    "Mod": "{0} % {1}",
    "MatMult": "{0} @ {1}",
    "BitAnd": "{0} & {1}",
    "BitOr": "{0} | {1}",
    "BitXor": "{0} ^ {1}",
}
"""Python's operators, by the name of their syntax node."""
ARITHMETIC = {
    "add": "{0} + {1}",
    "subtract": "{0} - {1}",
    "multiply": "{0} * {1}",
    "divide": "{0} / {1}",
    "true_divide": "{0} / {1}",
    "truediv": "{0} / {1}",
    "pow": "{0} ** {1}",
    "power": "{0} ** {1}",
    "floordiv": "{0} // {1}",
    "floor_divide": "{0} // {1}",
    "mod": "{0} % {1}",
    "floormod": "{0} % {1}",
    "squared_difference": "({0} - {1}) ** 2",
}
COMPARISONS = {
    "equal": "{0} == {1}",
    "not_equal": "{0} != {1}",
    "greater": "{0} > {1}",
    "greater_equal": "{0} >= {1}",
    "less": "{0} < {1}",
    "less_equal": "{0} <= {1}",
}
PYTHON = {
    "add": "Add", "subtract": "Sub", "multiply": "Mult", "divide": "Div", "true_divide": "Div", "truediv": "Div", "pow": "Pow",
    "power": "Pow", "floordiv": "FloorDiv", "floor_divide": "FloorDiv", "mod": "Mod", "floormod": "Mod", "equal": "Eq",
    "not_equal": "NotEq", "greater": "Gt", "greater_equal": "GtE", "less": "Lt", "less_equal": "LtE",
}  # fmt: skip
"""The operators of Python that these are for numbers, by the name of their syntax node."""
LOGICAL = {"logical_and": "{0} & {1}", "logical_or": "{0} | {1}", "logical_xor": "{0} ^ {1}"}


def operator_lowering(template: str, values: Sequence[Any], dtype: str | None = None) -> Lowering:
    """An expression over tensors and Python numbers, where `{i}` stands for the value at i."""
    text = template
    for i in range(len(values)):
        text = text.replace(f"{{{i}}}", f"\0{i}\0")
    for i, value in enumerate(values):
        text = text.replace(f"\0{i}\0", operand_text(value))
    xs = operands(list(values))
    kinds = {x.dtype for x in xs}
    if " // " in template and (any(map(is_float, kinds)) or any(type(v) is float for v in values)):
        text = f"torch.floor({text.replace(' // ', ' / ')})"  # torch has no gradient for //
    if dtype is None and kinds == {SIZE} and "/" in text.replace("//", ""):
        raise Declined("K2T103", "a size that is read at run time is divided to a fraction")
    if dtype is None and not any(map(is_float, kinds)) and kinds != {SIZE}:
        numbers = [v for v in values if type(v) is float]
        dtype = "float32" if numbers or "/" in text.replace("//", "") else None
    return elementwise(text, xs, dtype)


def check_kinds(values: Sequence[Any], template: str) -> None:
    """Raises Declined where torch would read the operands in another way."""
    kinds = {x.dtype for x in operands(list(values))}
    if any(c in template for c in "&|^") and kinds != {"bool"}:
        raise Declined("K2T103", "bitwise operators on numbers are not translated")
    if "bool" in kinds and not any(c in template for c in "&|^=!<>"):
        raise Declined("K2T103", "arithmetic on truths is not translated; cast them first")


class Binary(OpRule):
    """Functions of two tensors or numbers, element by element."""

    batched = True
    names = paths(*ARITHMETIC, *COMPARISONS, *LOGICAL)
    signature = "x, y"
    renames = {"x1": "x", "x2": "y", "a": "x", "b": "y"}
    inputs = ("x", "y")
    examples = (
        *(example(f"ops.{leaf}(x, y)", x=(2, 3, 4), y=(3, 4)) for leaf in ("add", "subtract", "multiply", "divide")),
        example("tf.pow(abs(x) + 0.5, 1.5)"),
        example("ops.power(abs(x) + 0.5, y)", x=(2, 3, 4), y=(3, 4)),
        example("tf.math.floormod(x, 0.4)"),
        example("tf.math.floordiv(i, 4) + i % 3", i=(50, "ids", 4, 6)),
        example("ops.floor_divide(x, 0.3)"),
        example("x // 0.3 + x % 0.7 - (-x) % 0.7"),
        example("tf.math.squared_difference(x, y)", x=(2, 3, 4), y=(2, 3, 4)),
        *(example(f"ops.{leaf}(i, j)", i=(3, "ids", 4, 6), j=(3, "ids", 4, 6)) for leaf in COMPARISONS),
        *(example(f"tf.math.{leaf}(x > 0.0, y > 0.5)", x=(2, 3, 4), y=(2, 3, 4)) for leaf in LOGICAL),
        example("K.equal(x, x)"),
        example("2.0 - x * tf.constant(3.0)"),
    )

    def wants(self, path: str, a: Args) -> Layout | None:
        return None if len({x.rank for x in operands([a.x, a.y])}) == 1 else Layout.KERAS

    def number(self, path: str, a: Args) -> Any:
        name = PYTHON.get(leaf_of(path))
        return (name, [a.x, a.y]) if name else None

    def lower(self, path: str, a: Args) -> Lowering:
        leaf = leaf_of(path)
        template = {**ARITHMETIC, **COMPARISONS, **LOGICAL}[leaf]
        check_kinds([a.x, a.y], template)
        return operator_lowering(template, [a.x, a.y], None if leaf in ARITHMETIC else "bool")


class Extremum(OpRule):
    """The greater or smaller of two, element by element."""

    batched = True
    names = paths("maximum", "minimum")
    signature, inputs, renames = Binary.signature, Binary.inputs, Binary.renames
    examples = (
        example("K.maximum(x, 0.25)"),
        example("tf.minimum(0.25, x)"),
        example("ops.maximum(x, y)", x=(2, 3, 4), y=(3, 1)),
    )

    def wants(self, path: str, a: Args) -> Layout | None:
        return None if len({x.rank for x in operands([a.x, a.y])}) == 1 else Layout.KERAS

    def number(self, path: str, a: Args) -> Any:
        return (max if leaf_of(path) == "maximum" else min), [a.x, a.y]

    def lower(self, path: str, a: Args) -> Lowering:
        leaf, xs = leaf_of(path), operands([a.x, a.y])
        if any(x.dtype == SIZE for x in xs) or "bool" in {x.dtype for x in xs}:
            raise Declined("K2T103", f"{leaf} of these operands is not translated")
        if len(xs) == 2:
            return elementwise(f"torch.{leaf}({{0}}, {{1}})", xs)
        number = a.y if isinstance(a.x, Operand) else a.x
        if type(number) is float and not is_float(xs[0].dtype):
            raise Declined("K2T103", f"{leaf} of integers and a fraction is not translated")
        bound = "min" if leaf == "maximum" else "max"
        return elementwise(f"torch.clamp({{0}}, {bound}={operand_text(number)})", xs)


class AddAll(OpRule):
    """The sum of several tensors."""

    batched = True
    names = (*paths("add_n", "accumulate_n"),)
    signature, inputs = "xs", ("xs",)
    renames = {"inputs": "xs"}
    examples = (example("tf.add_n([x, y, x])", x=(2, 3), y=(2, 3)),)

    def wants(self, path: str, a: Args) -> Layout | None:
        return None

    def lower(self, path: str, a: Args) -> Lowering:
        xs = tensor_list(a, "xs")
        return elementwise(" + ".join(map(str, xs)), xs)


class Cast(OpRule):
    """A change of dtype; floats follow the model's."""

    batched = True
    names = paths("cast", "saturate_cast")
    signature = "x, dtype"
    examples = (
        example("K.cast(x > 0.0, 'float32') * x"),
        example("tf.cast(i, tf.float32) * 0.5", i=(5, "ids", 2, 3)),
        example("ops.cast(x * 3.0, 'int32')"),
        example("tf.cast(x, tf.bool)"),
    )

    def wants(self, path: str, a: Args) -> Layout | None:
        return None

    def number(self, path: str, a: Args) -> Any:
        name = dtype_name(a.const("dtype"))
        return (float if name == "float" else bool if name == "bool" else int), [a.x]

    def lower(self, path: str, a: Args) -> Lowering:
        x = a.x
        if not isinstance(x, Operand) or leaf_of(path) == "saturate_cast":
            raise Declined("K2T103", f"a cast of {show_operand(x)} is not translated")
        name = dtype_name(a.const("dtype"))
        y = replace(x.type, dtype="float32" if name == "float" else name)
        if x.dtype == SIZE:
            return Lowering([], [x.type])
        if name == "float" and is_float(x.dtype) or name == x.dtype:
            return Lowering([], [x.type])
        return Lowering([Step(fn=f"{{0}}.to({torch_dtype(name)})")], [y])


class ToFloat(OpRule):
    """Casts of TensorFlow 1 with the dtype in the name."""

    batched = True
    names = ("tensorflow.to_float", "tensorflow.to_int32", "tensorflow.to_int64")
    renames = {"input": "x"}
    examples = (example("tf.compat.v1.to_int32(x)"),)

    def wants(self, path: str, a: Args) -> Layout | None:
        return None

    def lower(self, path: str, a: Args) -> Lowering:
        name = {"to_float": "float32", "to_int32": "int32", "to_int64": "int64"}[leaf_of(path)]
        return Cast().lower("tensorflow.cast", a.replace(dtype=name))


class Clip(OpRule):
    """Limits on both sides."""

    batched = True
    names = paths("clip", "clip_by_value")
    signature = "x, min_value, max_value"
    renames = {
        "clip_value_min": "min_value",
        "clip_value_max": "max_value",
        "x_min": "min_value",
        "x_max": "max_value",
        "t": "x",
    }
    examples = (
        example("K.clip(x, -0.3, 0.4)"),
        example("tf.clip_by_value(x, 0.0, 1.0)"),
        example("ops.clip(x, -1, 0.5)"),
    )

    def wants(self, path: str, a: Args) -> Layout | None:
        return None

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        if not is_float(x.dtype) and not all(type(v) is int for v in (a.min_value, a.max_value)):
            raise Declined("K2T103", "limits of integers have to be integers")
        low, high = (str(v) if v is None else operand_text(v) for v in (a.min_value, a.max_value))
        return elementwise(f"torch.clamp({{0}}, {low}, {high})", [x])


class Where(OpRule):
    """One of two values by a condition, element by element."""

    batched = True
    names = (*paths("where"), "backend.switch")
    signature = "condition, x=None, y=None"
    signatures = {"backend.switch": "condition, x, y"}
    renames = {"x1": "x", "x2": "y", "then_expression": "x", "else_expression": "y"}
    inputs = ("condition", "x", "y")
    examples = (
        example("tf.where(x > 0.0, x, 0.5 * x)"),
        example("ops.where(x > 0.0, x, 0.0)"),
        example("K.switch(x > 0.0, x * 2.0, tf.zeros_like(x))"),
        example("tf.where(b, x, y)", b=("bool", 2, 3, 1), x=(2, 3, 4), y=(3, 4)),
    )

    def wants(self, path: str, a: Args) -> Layout | None:
        return None if len({x.rank for x in operands([a.condition, a.x, a.y])}) == 1 else Layout.KERAS

    def lower(self, path: str, a: Args) -> Lowering:
        if a.x is None or a.y is None:
            raise Declined("K2T103", "where() with a condition alone gives a result whose size is not known")
        condition = tensor(a, "condition")
        values = [a.x, a.y]
        ranks = {x.rank for x in operands(values)}
        if leaf_of(path) == "switch" and ranks != {condition.rank}:
            raise Declined("K2T103", "switch() between tensors of other ranks than the condition's is not translated")
        if not ranks or any(x.dtype == SIZE for x in operands(values)):
            raise Declined("K2T103", "where() between numbers is not translated")
        test = str(condition) if condition.dtype == "bool" else f"{condition}.bool()"
        dtype = operator_lowering("{0} + {1}", values).types[0].dtype
        text = f"torch.where({test}, {operand_text(a.x)}, {operand_text(a.y)})"
        return elementwise(text, [condition, *operands(values)], dtype)


class NoNan(OpRule):
    """A quotient that is zero where the divisor is."""

    batched = True
    names = paths("divide_no_nan")
    signature, inputs, renames = Binary.signature, Binary.inputs, Binary.renames
    examples = (example("tf.math.divide_no_nan(x, tf.nn.relu(y))", x=(4, 5), y=(4, 5)),)

    def lower(self, path: str, a: Args) -> Lowering:
        x, y = tensor(a, "x"), tensor(a, "y")
        # the inner where keeps the gradient finite
        text = f"torch.where({y} == 0, 0.0, {x} / torch.where({y} == 0, 1.0, {y}))"
        return elementwise(text, [x, y])


class BiasAdd(OpRule):
    """A vector added to the channels."""

    batched = True
    names = ("backend.bias_add", "tensorflow.nn.bias_add")
    signature = "x, bias, data_format=None"
    renames = {"value": "x"}
    inputs = ("x", "bias")
    examples = (
        example("K.bias_add(x, b)", x=(2, 3, 4), b=(4,)),
        example("tf.nn.bias_add(x, b)", x=(2, 5, 3, 4), b=(4,)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        if a.data_format is not None and a.lower("data_format") not in ("channels_last", "nhwc"):
            raise Declined("K2T103", "bias_add on channels first is not translated")
        x, bias = tensor(a), tensor(a, "bias")
        if bias.rank != 1:
            raise Declined("K2T103", "a bias with more than one axis is not translated")
        return elementwise(f"{x} + {bias}", [x, bias])


class NanToNum(OpRule):
    """Numbers in place of what is none."""

    batched = True
    names = paths("nan_to_num")
    signature = "x, nan=0.0, posinf=None, neginf=None"
    examples = (example("ops.nan_to_num(tf.math.log(x), nan=0.5)"),)

    def wants(self, path: str, a: Args) -> Layout | None:
        return None

    def lower(self, path: str, a: Args) -> Lowering:
        values = ", ".join(f"{n}={operand_text(a.get(n))}" for n in ("nan", "posinf", "neginf") if a.get(n) is not None)
        return elementwise(f"torch.nan_to_num({as_float(tensor(a))}, {values})", [tensor(a)])
