"""Random numbers that a model draws each time it is called. Where and when it does, `read/keras/evaluate/drawing.py` knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import Sym, code_of, same
from transpiler.ir.model import Args, Lowering, Step
from transpiler.ir.shape import Layout, Shape, TensorType
from transpiler.rules.base import show
from transpiler.rules.ops.base import (
    SIZE,
    Operand,
    OpRule,
    axis_of,
    broadcast,
    dtype_name,
    example,
    home_of,
    is_float,
    one,
    operand_text,
    operands,
    size_of,
    size_text,
    tensor,
)

NEAR = "__near__"
"""The argument that holds a tensor of the model: what is drawn stands on its device."""
AXES = "__axes__"
"""The argument that says which size of which tensor each axis of the shape is: (tensor, axis), None for a number."""


def drawn_paths(*leaves: str) -> tuple[str, ...]:
    """`normal` of Keras 3, TensorFlow 2 and TensorFlow 1 and of the backend, where it is `random_normal`."""
    homes = ("random.{}", "tensorflow.random.{}", "tensorflow.random_{}", "backend.random_{}")
    return tuple(home.format(leaf) for leaf in leaves for home in homes)


class Seeded(OpRule):
    """What draws, and may be told a seed."""

    def check_seed(self, path: str, a: Args) -> None:
        """Raises Declined for a seed with which Keras 3 draws the same numbers in every call."""
        if home_of(path) == "random" and isinstance(a.get("seed"), (int, Sym)):
            why = "with a number for its seed it draws the same numbers in every call"
            raise Declined("K2T103", why, "Give it a keras.random.SeedGenerator.")


class Draw(Seeded):
    """Numbers of one distribution in a given shape."""

    draws = True
    creates = True

    def shape(self, a: Args) -> tuple[Any, ...]:
        return tuple(a.shape) if isinstance(a.shape, (list, tuple)) else (a.shape,)

    def parameters(self, a: Args) -> list[Operand]:
        """The tensors among the parameters of the distribution."""
        return [v for v in operands([a.get(n) for n in self.inputs]) if v.dtype != SIZE]

    def like(self, a: Args, shape: Sequence[Any]) -> bool:
        """Whether the shape is all of the shape of the tensor nearby."""
        near, axes = a.get(NEAR), a.get(AXES) or ()
        if not isinstance(near, Operand) or near.rank != len(shape) or not is_float(near.dtype) or not any(axes):
            return False
        if self.parameters(a) and near.type.layout is not Layout.KERAS:
            return False
        return all(
            found == (near, i) if found else d is not None and same(size, d)
            for i, (size, d, found) in enumerate(zip(shape, near.shape, axes))
        )

    def drawn(self, a: Args, plain: str) -> tuple[str, TensorType]:
        """The call of a torch function of a shape, `torch.randn`, and the type of its result."""
        shape, near = self.shape(a), tensor(a, NEAR)
        if self.like(a, shape):
            return f"{plain}_like({near})", near.type
        dims: Shape = tuple(map(size_of, shape))
        if any(d is not None and not isinstance(d, (int, Sym)) for d in dims):
            raise Declined("K2T103", "a shape computed by tensor operations is not translated")
        sizes = ", ".join(map(size_text, shape)) or "()"
        dtype = f", dtype={near}.dtype" if is_float(near.dtype) else ""
        return f"{plain}({sizes}{dtype}, device={near}.device)", TensorType(dims)

    def of_floats(self, a: Args) -> None:
        if a.get("dtype") is not None and dtype_name(a.dtype) != "float":
            raise Declined("K2T103", f"drawing numbers of the dtype {show(a.dtype)} is not translated")

    def moved(self, a: Args, text: str, kind: TensorType, low: Any, scale: str) -> Lowering:
        """What was drawn, times the text `scale` ("" for one) and plus `low`; both may be tensors."""
        others = self.parameters(a)
        shape = broadcast([kind.shape, *(o.shape for o in others)]) if others else kind.shape
        text = f"{scale} * {text}" if scale else text
        text = text if type(low) in (int, float) and low == 0 else f"{operand_text(low)} + {text}"
        return Lowering([Step(fn=text, hint="noise")], [TensorType(shape, kind.dtype, kind.layout)])


class Normal(Draw):
    """Normal numbers."""

    names = drawn_paths("normal")
    signature = "shape, mean=0.0, stddev=1.0, dtype=None, seed=None"
    inputs = ("mean", "stddev")

    examples = (
        example("x + K.random_normal(K.shape(x), 1.0, 0.5)"),
        example("x + keras.random.normal(ops.shape(x), dtype='float32')"),
        example("x + tf.random.normal((tf.shape(x)[0], 1, 4), stddev=abs(x), dtype=x.dtype)"),
        example("x * tf.random.normal(tf.shape(x)[:2], 1.0, dtype=x.dtype)[:, :, None]"),
        example(
            "keras.layers.MaxPooling2D(1)(x) * K.random_normal(K.shape(x)) + keras.layers.MaxPooling2D(1)(x)",
            x=(2, 3, 4, 5),
        ),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        self.check_seed(path, a)
        self.of_floats(a)
        text, kind = self.drawn(a, "torch.randn")
        scale = "" if type(a.stddev) in (int, float) and a.stddev == 1 else operand_text(a.stddev)
        return self.moved(a, text, kind, a.mean, scale)


class TruncatedNormal(Draw):
    """Normal numbers, drawn again where they are two deviations or more from the mean."""

    names = ("random.truncated_normal", "tensorflow.random.truncated_normal", "tensorflow.truncated_normal", "backend.truncated_normal")  # fmt: skip
    signature = "shape, mean=0.0, stddev=1.0, dtype=None, seed=None"
    inputs = ("mean", "stddev")

    examples = (
        example("x + K.truncated_normal(K.shape(x), 1.0, 0.5)"),
        example("x * keras.random.truncated_normal(ops.shape(x))"),
        example("x * tf.random.truncated_normal([tf.shape(x)[0], 3, 1], stddev=2.0, dtype=x.dtype)"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        self.check_seed(path, a)
        self.of_floats(a)
        text, kind = self.drawn(a, "torch.empty")
        scale = "" if type(a.stddev) in (int, float) and a.stddev == 1 else operand_text(a.stddev)
        return self.moved(a, f"nn.init.trunc_normal_({text})", kind, a.mean, scale)


class Uniform(Draw):
    """Even numbers between two limits: fractions, or integers below the upper one."""

    names = drawn_paths("uniform")
    signature = "shape, minval=0.0, maxval=1.0, dtype=None, seed=None"
    signatures = {
        "tensorflow.random.uniform": "shape, minval=0, maxval=None, dtype=None, seed=None",
        "tensorflow.random_uniform": "shape, minval=0, maxval=None, dtype=None, seed=None",
    }
    inputs = ("minval", "maxval")

    examples = (
        example("x + K.random_uniform(K.shape(x))"),
        example("x + keras.random.uniform(ops.shape(x), -0.5, 0.25)"),
        example("x * tf.random.uniform(tf.shape(x), maxval=3.0, dtype=x.dtype)"),
        example("x + tf.random.uniform((tf.shape(x)[0], 3, 4), -abs(x), x + 4.0, dtype=x.dtype)"),
        example("x * tf.cast(tf.random.uniform((tf.shape(x)[0], 1, 1), 1, 7, dtype=tf.int32), x.dtype)"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        self.check_seed(path, a)
        if a.dtype is not None and dtype_name(a.dtype) in ("int32", "int64") and path.startswith("tensorflow."):
            return integers(self, a, dtype_name(a.dtype))
        self.of_floats(a)
        low, high = a.minval, 1.0 if a.maxval is None else a.maxval
        if (low, high) == (0, 1) and type(low) in (int, float):
            text, kind = self.drawn(a, "torch.rand")
            return self.moved(a, text, kind, 0, "")
        if not operands([low, high]):
            text, kind = self.drawn(a, "torch.empty")
            return self.moved(a, f"{text}.uniform_({code_of(low)}, {code_of(high)})", kind, 0, "")
        text, kind = self.drawn(a, "torch.rand")
        return self.moved(a, text, kind, low, f"({operand_text(high)} - {operand_text(low)})")


class Integers(Draw):
    """Even integers from a limit up to below another."""

    names = ("random.randint",)
    signature = "shape, minval, maxval, dtype='int32', seed=None"
    inputs = ("minval", "maxval")

    examples = (
        example("x * ops.cast(keras.random.randint((ops.shape(x)[0], 3, 1), 0, 5), x.dtype)"),
        example("x * ops.cast(keras.random.randint((ops.shape(x)[0], 3, 1), -2, 2), x.dtype)"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        self.check_seed(path, a)
        return integers(self, a, dtype_name(a.dtype))


def integers(rule: Draw, a: Args, dtype: str) -> Lowering:
    if not all(type(v) is int or isinstance(v, Sym) for v in (a.minval, a.maxval)):
        raise Declined("K2T103", "random integers between these limits are not translated")
    near, shape = tensor(a, NEAR), rule.shape(a)
    if dtype not in ("int32", "int64"):
        raise Declined("K2T103", f"random integers of {dtype} are not translated")
    sizes = ", ".join(map(size_text, shape)) + ("," if len(shape) == 1 else "")
    low = "" if type(a.minval) is int and a.minval == 0 else f"{code_of(a.minval)}, "
    text = f"torch.randint({low}{code_of(a.maxval)}, ({sizes}), device={near}.device)"
    # torch's own dtype for integers
    return Lowering([Step(fn=text, hint="noise")], [TensorType(tuple(map(size_of, shape)), "int64")])


class Bernoulli(Draw):
    """Ones with a given probability, zeros elsewhere."""

    names = ("backend.random_bernoulli", "backend.random_binomial")
    signature = "shape, p=0.0, dtype=None, seed=None"
    inputs = ("p",)

    examples = (
        example("x * K.random_bernoulli(K.shape(x), p=0.25)"),
        example("x * K.random_binomial((K.shape(x)[0], 1, 4), 0.5)"),
        example("x * K.random_bernoulli(K.shape(x), p=0.0)"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        self.of_floats(a)
        text, kind = self.drawn(a, "torch.rand")
        near = tensor(a, NEAR)
        dtype = f"{near}.dtype" if is_float(near.dtype) else "torch.get_default_dtype()"
        return self.moved(a, f"({text} <= {operand_text(a.p)}).to({dtype})", kind, 0, "")


class Shuffle(Seeded):
    """What stands along an axis, in another order."""

    names = ("random.shuffle",)
    signature = "x, axis=0, seed=None"
    examples = (example("keras.random.shuffle(x)"), example("keras.random.shuffle(x, axis=-1)"))

    def keeps_batch(self, path: str, a: Args) -> bool:
        return True

    def lower(self, path: str, a: Args) -> Lowering:
        self.check_seed(path, a)
        x, axis = tensor(a), axis_of(a, tensor(a).rank)
        order = f"torch.rand({x}.shape[{axis}], device={x}.device).argsort()"
        return one(f"{x}.index_select({axis}, {order})", x.shape, x.dtype)
