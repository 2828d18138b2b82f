"""Functions of the elements of two tensors, and Python's operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import witness_of
from transpiler.ir.model import Args, Lowering
from transpiler.ir.shape import Layout
from transpiler.rules.ops.base import (
    SIZE,
    Operand,
    OpRule,
    elementwise,
    example,
    home_of,
    is_float,
    leaf_of,
    operand_text,
    operands,
    paths,
    tensor,
    tensor_list,
)

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
    "div": "{0} / {1}",
    "scalar_mul": "{0} * {1}",
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
    "add": "Add", "subtract": "Sub", "multiply": "Mult", "divide": "Div", "div": "Div", "true_divide": "Div", "truediv": "Div", "pow": "Pow",
    "power": "Pow", "scalar_mul": "Mult", "floordiv": "FloorDiv", "floor_divide": "FloorDiv", "mod": "Mod", "floormod": "Mod", "equal": "Eq",
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
    if " % " in template and isinstance(values[1], Operand) and is_float(values[1].dtype):
        raise Declined("K2T103", "torch has no gradient for a remainder by a tensor of fractions")
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
    numbers = [v for v in values if isinstance(v, (int, float)) and type(v) is not bool]
    if any(c in template for c in "&|^") and (kinds != {"bool"} or numbers):
        raise Declined("K2T103", "bitwise operators on numbers are not translated")
    if "bool" in kinds and not any(c in template for c in "&|^=!<>"):
        raise Declined("K2T103", "arithmetic on truths is not translated; cast them first")


def check_bias(values: Sequence[Any]) -> None:
    """Raises Declined where Keras 3 takes the second tensor of a sum for a bias of another axis than its own.

    `add` of `keras/src/backend/tensorflow/numpy.py` looks only for the one size that is not 1 among the last and the
    second size of the first tensor.
    """
    if not all(isinstance(v, Operand) for v in values):
        return
    x, y = values
    sizes = [d for d in y.shape if type(d) is not int or d != 1]
    if x.rank < 2 or len(sizes) != 1 or type(sizes[0]) is not int or sizes[0] not in (x.shape[1], x.shape[-1]):
        return
    own, taken = y.rank - list(y.shape).index(sizes[0]), 1 if x.shape[-1] == sizes[0] else x.rank - 1
    if own != taken:
        raise Declined(
            "K2T103", f"Keras 3 adds {sizes[0]} values along another axis of the tensor than broadcasting does"
        )


class Binary(OpRule):
    """Functions of two tensors or numbers, element by element."""

    batched = True
    names = paths(*ARITHMETIC, *COMPARISONS, *LOGICAL)
    signature = "x, y"
    signatures = {"tensorflow.scalar_mul": "y, x", "tensorflow.math.scalar_mul": "y, x"}
    renames = {"x1": "x", "x2": "y", "a": "x", "b": "y", "scalar": "y"}
    inputs = ("x", "y")
    examples = (
        example("tf.math.scalar_mul(0.5, x) + tf.scalar_mul(scalar=2, x=x)"),
        example("tf.compat.v1.div(x, 0.3)"),
        example("tf.compat.v1.div(i - 4, 3)", i=(9, "ids", 4, 6)),
        *(example(f"ops.{leaf}(x, y)", x=(2, 3, 4), y=(3, 4)) for leaf in ("add", "subtract", "multiply", "divide")),
        example("tf.pow(abs(x) + 0.5, 1.5)"),
        example("ops.power(abs(x) + 0.5, y)", x=(2, 3, 4), y=(3, 4)),
        example("tf.math.floormod(x, 0.4)"),
        example("tf.math.mod(x, 0.5)"),
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
        name = PYTHON.get("floordiv" if self.floors(path, [a.x, a.y]) else leaf_of(path))
        return (name, [a.x, a.y]) if name else None

    def floors(self, path: str, values: Sequence[Any]) -> bool:
        """Whether this is the division of TensorFlow 1, of integers."""
        fractions = [v for v in values if isinstance(v, Operand) and is_float(v.dtype) or type(witness_of(v)) is float]
        return leaf_of(path) == "div" and not fractions

    def lower(self, path: str, a: Args) -> Lowering:
        leaf = "floordiv" if self.floors(path, [a.x, a.y]) else leaf_of(path)
        template = {**ARITHMETIC, **COMPARISONS, **LOGICAL}[leaf]
        check_kinds([a.x, a.y], template)
        if home_of(path) == "ops" and leaf == "add":
            check_bias([a.x, a.y])
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
    any_layout = True
    examples = (example("tf.add_n([x, y, x])", x=(2, 3), y=(2, 3)),)

    def lower(self, path: str, a: Args) -> Lowering:
        xs = tensor_list(a, "xs")
        return elementwise(" + ".join(map(str, xs)), xs)


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
