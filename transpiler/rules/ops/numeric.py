"""Functions of numpy for each element of one tensor, or of two."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Lowering
from transpiler.ir.shape import Layout
from transpiler.rules.ops.base import (
    NARROW,
    Operand,
    OpRule,
    as_float,
    elementwise,
    example,
    is_float,
    leaf_of,
    numpy_paths,
    one,
    operand_text,
    operands,
    promoted,
    show_operand,
    tensor,
)

FLOATING = {
    "angle": "torch.where({0} < 0, torch.pi, 0.0)",  # of real numbers; torch.angle() keeps NaN
    "arccosh": "torch.acosh({0})",
    "arcsinh": "torch.asinh({0})",
    "arctanh": "torch.atanh({0})",
    "cbrt": "torch.sign({0}) * torch.abs({0}) ** (1 / 3)",
    "deg2rad": "torch.deg2rad({0})",
    "erfc": "torch.erfc({0})",
    "erfinv": "torch.erfinv({0})",
    "exp2": "torch.exp2({0})",
    "fabs": "torch.abs({0})",
    "i0": "torch.i0({0})",
    "rad2deg": "torch.rad2deg({0})",
    "sinc": "torch.sinc({0})",
}
"""Functions whose result are floats."""
FLOATS_ONLY = ("erfc", "erfinv")
WIDENED = ("cbrt", "deg2rad", "i0", "rad2deg")
"""Functions that give float64 for integers of 64 bits."""
TRUTHS = {
    "isneginf": "torch.isneginf({0})",
    "isposinf": "torch.isposinf({0})",
    "isreal": "torch.isreal({0})",
    "signbit": "torch.signbit({0})",
}


class Floating(OpRule):
    """Functions of one tensor, element by element, that give floats."""

    batched = True
    names = (*numpy_paths(*FLOATING), "ops.math.erfc", "ops.math.erfinv")
    any_layout = True
    examples = (
        *(example(f"ops.{leaf}(x)") for leaf in FLOATING if leaf not in ("arccosh", "arctanh", "erfinv")),
        example("ops.arccosh(abs(x) + 1.5)"),
        example("ops.arctanh(0.9 * ops.tanh(x))"),
        example("ops.erfinv(0.9 * ops.tanh(x))"),
        *(example(f"ops.{leaf}(i)", i=(5, "ids", 2, 3)) for leaf in ("arcsinh", "exp2", "fabs", "sinc", "angle")),
        example("ops.fabs(x > 0.0)"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        leaf, x = leaf_of(path), tensor(a)
        if not is_float(x.dtype) and leaf in (*FLOATS_ONLY, *WIDENED):
            raise Declined("K2T103", f"{leaf} of {x.dtype} is not translated")
        source = "{0}" if leaf == "angle" else as_float(x)
        return elementwise(FLOATING[leaf].replace("{0}", source), [x], None if is_float(x.dtype) else "float32")


class FurtherTest(OpRule):
    """Truths about each element: its sign, its infinity."""

    batched = True
    names = numpy_paths(*TRUTHS)
    any_layout = True
    examples = (
        *(example(f"ops.{leaf}(tf.math.log(tf.nn.relu(x)))") for leaf in TRUTHS),
        *(example(f"ops.{leaf}(i - 2)", i=(5, "ids", 2, 3)) for leaf in TRUTHS),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        return elementwise(TRUTHS[leaf_of(path)], [tensor(a)], "bool")


class Kept(OpRule):
    """What leaves real numbers as they are: copies, conjugates, real parts, whole parts of integers."""

    batched = True
    names = numpy_paths("copy", "conj", "conjugate", "real", "trunc")
    any_layout = True
    examples = (
        *(example(f"ops.{leaf}(x) * 2.0") for leaf in ("copy", "conj", "conjugate", "real")),
        example("ops.trunc(3.0 * x)"),
        example("ops.trunc(i) + 1", i=(5, "ids", 2, 3)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        if leaf_of(path) == "trunc" and is_float(x.dtype):
            return elementwise("torch.trunc({0})", [x])
        return Lowering([], [x.type])


class Imaginary(OpRule):
    """The imaginary part of real numbers."""

    batched = True
    names = numpy_paths("imag")
    any_layout = True
    examples = (example("ops.imag(x) + x"),)

    def lower(self, path: str, a: Args) -> Lowering:
        return elementwise("torch.zeros_like({0})", [tensor(a)])


class _Pair(OpRule):
    """A function of two tensors or of a tensor and a number, element by element."""

    batched = True
    signature, inputs = "x, y", ("x", "y")
    renames = {"x1": "x", "x2": "y"}

    def wants(self, path: str, a: Args) -> Layout | None:
        return None if len({x.rank for x in operands([a.x, a.y])}) == 1 else Layout.KERAS

    def pair(self, path: str, a: Args, floats: bool = True) -> tuple[str, str, str]:
        """Both operands as tensors, and their dtype: of floats if one is, and always if `floats`."""
        found = operands([a.x, a.y])
        if not found or any(x.dtype == "size" for x in found):
            raise Declined("K2T103", f"{leaf_of(path)} of {show_operand(a.y)} is not translated")
        dtype = promoted(x.dtype for x in found)
        floats = floats or is_float(dtype)
        numbers = [v for v in (a.x, a.y) if not isinstance(v, Operand)]
        if numbers and not is_float(dtype) and (floats or type(numbers[0]) is not int):
            raise Declined("K2T103", f"{leaf_of(path)} of integers and a number is not translated")
        if numbers and dtype in NARROW and leaf_of(path) not in ("isclose", "allclose"):
            raise Declined("K2T103", f"{leaf_of(path)} of {dtype} and a number is not translated")
        texts = [
            (
                (as_float(v) if floats else str(v))
                if isinstance(v, Operand)
                else f"{found[0]}.new_tensor({operand_text(v)})"
            )
            for v in (a.x, a.y)
        ]
        return texts[0], texts[1], dtype if is_float(dtype) or not floats else "float32"


FLOAT_PAIRS = {
    "arctan2": "torch.atan2({x}, {y})",
    "hypot": "torch.complex({x}, {y}).abs()",  # where both are zero, torch.hypot() has no gradient
    "logaddexp": "torch.logaddexp({x}, {y})",
    "logaddexp2": "torch.logaddexp2({x}, {y})",
}


class FloatPair(_Pair):
    """Functions of two tensors that give floats."""

    names = (*numpy_paths(*FLOAT_PAIRS), "tensorflow.math.atan2", "tensorflow.atan2")
    signatures = {f"tensorflow.{home}atan2": "y, x" for home in ("", "math.")}
    examples = (
        example("tf.math.atan2(x=x, y=y)", x=(2, 3, 4), y=(3, 4)),
        *(example(f"ops.{leaf}(x, y)", x=(2, 3, 4), y=(3, 4)) for leaf in FLOAT_PAIRS),
        *(example(f"ops.{leaf}(x, i)", x=(2, 3), i=(5, "ids", 2, 3)) for leaf in FLOAT_PAIRS),
        *(example(f"ops.{leaf}(0.5, x)") for leaf in FLOAT_PAIRS),
        example("ops.hypot(ops.relu(x), ops.relu(x - 0.5))"),
        example("ops.arctan2(i, j + 1)", i=(5, "ids", 2, 3), j=(5, "ids", 2, 3)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, y, dtype = self.pair(path, a)
        formula = FLOAT_PAIRS.get(leaf_of(path), "torch.atan2({y}, {x})")  # as TensorFlow names them
        return elementwise(formula.format(x=x, y=y), operands([a.x, a.y]), dtype)


class NumberPair(_Pair):
    """Functions of two tensors that leave NaN aside, and the remainder with the sign of the dividend."""

    names = numpy_paths("fmax", "fmin", "fmod")
    examples = (
        example("ops.fmax(x, y)", x=(2, 3, 4), y=(3, 4)),
        example("ops.fmin(x, 0.25)"),
        example("ops.fmax(0, x)"),
        example("ops.fmax(i, 2)", i=(5, "ids", 2, 3)),
        example("ops.fmin(i, x)", i=(5, "ids", 2, 3), x=(2, 3)),
        example("ops.fmod(x, 0.5)"),
        example("ops.fmod(3.0 * x, y)", x=(2, 3, 4), y=(3, 4)),
        example("ops.fmod(i - 5, 3)", i=(9, "ids", 4, 6)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, y, dtype = self.pair(path, a, floats=False)
        if dtype == "bool":
            raise Declined("K2T103", f"{leaf_of(path)} of truths is not translated")
        if leaf_of(path) == "fmod" and not isinstance(a.y, Operand):
            y = operand_text(a.y)
        return elementwise(f"torch.{leaf_of(path)}({x}, {y})", operands([a.x, a.y]), dtype)


class Heaviside(_Pair):
    """Zero below zero, one above, and the second argument between."""

    names = numpy_paths("heaviside")
    examples = (
        example("ops.heaviside(ops.relu(x), y)", x=(2, 3, 4), y=(3, 4)),
        example("ops.heaviside(x, 0.5)"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        if not is_float(x.dtype) or isinstance(a.y, Operand) and not is_float(a.y.dtype):
            raise Declined("K2T103", "heaviside of integers is not translated")
        # torch.heaviside() has no gradient, and another value for NaN
        text = f"torch.where({x} < 0, 0.0, torch.where({x} > 0, 1.0, {operand_text(a.y)}))"
        return elementwise(text, operands([a.x, a.y]), x.dtype)


class Divisors(_Pair):
    """The greatest common divisor, the least common multiple."""

    names = numpy_paths("gcd", "lcm")
    examples = (
        example("ops.gcd(i - 3, j)", i=(9, "ids", 4, 6), j=(9, "ids", 4, 6)),
        example("ops.lcm(i, j - 4)", i=(9, "ids", 4, 6), j=(9, "ids", 6)),
        example("ops.gcd(i, 4)", i=(9, "ids", 4, 6)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, y, dtype = self.pair(path, a, floats=False)
        if is_float(dtype) or dtype == "bool":
            raise Declined("K2T103", f"{leaf_of(path)} of {dtype} is not translated")
        return elementwise(f"torch.{leaf_of(path)}({x}, {y})", operands([a.x, a.y]), dtype)


class LoadExponent(_Pair):
    """x · 2ⁿ for integers n."""

    names = numpy_paths("ldexp")
    examples = (example("ops.ldexp(x, i - 2)", x=(2, 3), i=(5, "ids", 2, 3)),)

    def lower(self, path: str, a: Args) -> Lowering:
        x, n = tensor(a), tensor(a, "y")
        if not is_float(x.dtype) or is_float(n.dtype) or n.dtype == "bool":
            raise Declined("K2T103", "ldexp of these dtypes is not translated")
        # torch.ldexp() has wrong gradients for negative n; zero and infinity stay even where the power is infinite or zero
        text = f"torch.where(({x} == 0) | torch.isinf({x}), {x}, {x} * 2.0**{n})"
        return elementwise(text, [x, n], x.dtype)


class NextAfter(_Pair):
    """The next number in a direction, of float64 whatever the dtype is."""

    names = numpy_paths("nextafter")
    examples = (example("ops.nextafter(ops.stop_gradient(x), ops.stop_gradient(y))", x=(2, 3), y=(2, 3)),)

    def lower(self, path: str, a: Args) -> Lowering:
        x, y = tensor(a), tensor(a, "y")
        if not is_float(x.dtype) or not is_float(y.dtype):
            raise Declined("K2T103", "nextafter of integers is not translated")
        return elementwise(f"torch.nextafter({x}.double(), {y}.double()).to({x}.dtype)", [x, y])


class Close(_Pair):
    """Whether two tensors are nearly equal, each element or all of them."""

    names = numpy_paths("isclose", "allclose")
    signature = "x, y, rtol=1e-5, atol=1e-8, equal_nan=False"
    examples = (
        example("ops.isclose(x, y, atol=0.5)", x=(2, 3, 4), y=(3, 4)),
        example("ops.isclose(x, 0.25, rtol=2.0)"),
        example("ops.isclose(tf.math.log(x), tf.math.log(x), equal_nan=True)"),
        example("ops.isclose(i, j, atol=2.0)", i=(5, "ids", 4, 6), j=(5, "ids", 4, 6)),
        example("ops.allclose(x, x + 1e-9)"),
        example("ops.allclose(x, y, 0.1, 0.1)", x=(2, 3), y=(2, 3)),
        example("ops.allclose(i, j, atol=9.0)", i=(5, "ids", 4, 6), j=(5, "ids", 4, 6)),
    )

    def keeps_batch(self, path: str, a: Args) -> bool:
        return leaf_of(path) == "isclose"

    def lower(self, path: str, a: Args) -> Lowering:
        x, y, dtype = self.pair(path, a, floats=False)
        nan = bool(a.const("equal_nan"))
        limits = f"rtol={operand_text(a.rtol)}, atol={operand_text(a.atol)}"
        if not is_float(dtype):
            text = f"{x} == {y}"
        elif leaf_of(path) == "allclose":
            text = f"torch.isclose({x}, {y}, {limits}{', equal_nan=True' if nan else ''})"
        else:  # Keras takes no infinity to be close to itself here
            size = f"torch.abs({y})" if isinstance(a.y, Operand) else f"abs({operand_text(a.y)})"
            distance = f"torch.abs({operand_text(a.x)} - {operand_text(a.y)})"
            text = f"{distance} <= {operand_text(a.atol)} + {operand_text(a.rtol)} * {size}"
            text = f"({text}) | torch.isnan({x}) & torch.isnan({y})" if nan else text
        if leaf_of(path) == "allclose":
            return one(f"({text}).all()" if "==" in text else f"{text}.all()", (), "bool")
        return elementwise(text, operands([a.x, a.y]), "bool")


class IsIn(OpRule):
    """Whether each element is among those of another tensor."""

    batched = True
    names = numpy_paths("isin")
    signature, inputs = "x, y, assume_unique=False, invert=False", ("x", "y")
    renames = {"x1": "x", "x2": "y"}
    examples = (
        example("ops.isin(i, j)", i=(9, "ids", 4, 6), j=(9, "ids", 3)),
        example("ops.isin(i, [1, 4], invert=True)", i=(9, "ids", 4, 6)),
        example("ops.isin(x, x[:1])", x=(4, 3)),
    )

    def keeps_batch(self, path: str, a: Args) -> bool:
        return isinstance(a.y, Operand) and a.y.rank > 0

    def lower(self, path: str, a: Args) -> Lowering:
        x, y = tensor(a), tensor(a, "y")
        if is_float(x.dtype) != is_float(y.dtype) or "bool" in (x.dtype, y.dtype) or 0 in y.shape:
            raise Declined("K2T103", "isin() of these tensors is not translated")
        invert = ", invert=True" if a.const("invert") else ""
        return one(f"torch.isin({x}, {y}{invert})", x.shape, "bool")


def nested(conditions: Any, choices: Any, default: str) -> str:
    """`torch.where` for each condition, the first one outside."""
    text = default
    for condition, choice in reversed(list(zip(conditions, choices))):
        text = f"torch.where({condition}, {operand_text(choice)}, {text})"
    return text


class Select(OpRule):
    """The choice of the first condition that holds, element by element."""

    names = numpy_paths("select")
    signature, inputs = "condlist, choicelist, default=0", ("condlist", "choicelist", "default")
    literal = ("condlist", "choicelist")
    examples = (
        example("ops.select([x > 0.5, x < -0.5], [x, 2.0 * x], 0.25)"),
        example("ops.select([x > 0.5, y > 0.0], [x, y])", x=(2, 3, 4), y=(2, 3, 4)),
        example("ops.select([x > 0.5], [x], default=y)", x=(2, 3, 4), y=(2, 3, 4)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        conditions, choices = operands(a.condlist), [*a.choicelist, a.default]
        tensors = operands(choices)
        same_kind = len({x.dtype for x in tensors}) == 1 and len(conditions) == len(a.condlist) == len(choices) - 1
        if not same_kind or any(c.dtype != "bool" for c in conditions):
            raise Declined("K2T103", "select() of these conditions and choices is not translated")
        numbers = [v for v in choices if not isinstance(v, Operand)]
        if not is_float(tensors[0].dtype) and any(type(v) is not int for v in numbers) or tensors[0].dtype == "bool":
            raise Declined("K2T103", "select() between numbers of different kinds is not translated")
        # two numbers would be a tensor of integers or of the default dtype
        if is_float(tensors[0].dtype):
            choices = [float(v) if type(v) is int else v for v in choices]
        text = nested(conditions, choices[:-1], operand_text(choices[-1]))
        return elementwise(text, [*conditions, *tensors], tensors[0].dtype)
