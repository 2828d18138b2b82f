"""Functions that make tensors: from numbers, from sizes, or like another tensor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import Sym, code_of, is_open, witness_of
from transpiler.ir.model import Args, Lowering, Step
from transpiler.ir.shape import Shape
from transpiler.rules.base import show
from transpiler.rules.ops.base import (
    SIZE,
    Operand,
    OpRule,
    as_is,
    dtype_name,
    example,
    home_of,
    is_float,
    leaf_of,
    numpy_paths,
    operand_text,
    operands,
    paths,
    size_of,
    sizes_text,
    tensor,
    tensor_type,
    torch_dtype,
)
from transpiler.rules.ops.elementwise import Cast


def made(text: str, shape: Shape, dtype: str) -> Lowering:
    return Lowering([Step(fn=text)], [tensor_type(shape, dtype)])


def dtype_option(name: str) -> str:
    """How a constructor is told the dtype: floats are torch's default."""
    return "" if name == "float" else f", dtype=torch.{name}"


def shape_of(value: Any) -> tuple[Any, ...] | None:
    """The shape of nested lists of numbers; None if they are no array. Of an open list, that of the one seen."""
    if holds_list(value):
        return shape_of(witness_of(value))
    if not isinstance(value, (list, tuple)):
        return () if isinstance(value, (int, float, Sym)) else None
    inner = [shape_of(v) for v in value]
    if not inner:
        return (0,)
    return None if inner[0] is None or any(s != inner[0] for s in inner) else (len(value), *inner[0])


def holds_list(value: Any) -> bool:
    """Whether a parameter is a list of numbers."""
    return isinstance(value, Sym) and isinstance(witness_of(value), (list, tuple))


def numbers_in(value: Any) -> list[Any]:
    value = witness_of(value) if holds_list(value) else value
    return [n for v in value for n in numbers_in(v)] if isinstance(value, (list, tuple)) else [value]


def kind_of(value: Any) -> str:
    """The dtype that TensorFlow gives to a list of numbers."""
    kinds = {type(witness_of(n)) for n in numbers_in(value)}
    return "bool" if kinds == {bool} else "int32" if kinds == {int} else "float"


def listed(value: Any) -> Any:
    """Nested lists, whatever kinds of sequences they were."""
    return [listed(v) for v in value] if isinstance(value, (list, tuple)) else value


class Literal(OpRule):
    """A tensor written out."""

    names = (
        "backend.constant",
        "tensorflow.constant",
        "tensorflow.convert_to_tensor",
        "ops.convert_to_tensor",
        "ops.array",
    )
    signature = "value, dtype=None, shape=None"
    signatures = {
        "tensorflow.convert_to_tensor": "value, dtype=None, dtype_hint=None",
        "ops.convert_to_tensor": "value, dtype=None, sparse=None, ragged=None",
    }
    renames = {"x": "value"}
    inputs, creates = ("value",), True
    examples = (
        example("ops.convert_to_tensor(x) + 1.0"),
        example("tf.constant([[1.0, 2.0], [3.0, 4.0]]) * x", x=(3, 2, 2)),
        example("K.constant([1, 2, 3, 4]) * x"),
        example("tf.gather(x, tf.constant([0, 2]), axis=1)"),
        example("tf.constant(0.5, shape=(4,)) * x"),
        example("x - ops.convert_to_tensor([0.5, 1.5, 2.5, 3.5])"),
    )  # fmt: skip

    def lower(self, path: str, a: Args) -> Lowering:
        if isinstance(a.value, Operand):  # a tensor already
            return Lowering([], [a.value.type]) if a.dtype is None else Cast().lower(path, a.replace(x=a.value))
        value = listed(a.value)
        shape = shape_of(value)
        if shape is None:
            raise Declined("K2T103", f"a constant of {show(value)[:60]} is not translated")
        name = "float" if home_of(path) == "backend" else kind_of(value)
        name = name if a.dtype is None else dtype_name(a.dtype)
        if a.get("shape") is not None:
            return self.shaped(value, shape, tuple(a.shape), name)
        plain = {"int32": "int64"}.get(kind_of(value), kind_of(value))  # what torch makes of the numbers
        option = f", dtype={torch_dtype(name)}" if name != plain or is_open(value) else ""
        return made(f"torch.tensor({code_of(value)}{option})", shape, name)

    def shaped(self, value: Any, shape: Shape, wanted: Shape, name: str) -> Lowering:
        if shape == ():
            return made(f"torch.full({code_of(wanted)}, {code_of(value)}{full_option(value, name)})", wanted, name)
        raise Declined("K2T103", "a constant with values and a shape is not translated")

    def number(self, path: str, a: Args) -> Any:
        if isinstance(a.value, (int, float, Sym)) and not holds_list(a.value) and a.get("shape") is None:
            name = None if a.dtype is None else dtype_name(a.dtype)
            if name == "float" or home_of(path) == "backend" and name is None:
                return float, [a.value]
            return as_is, [a.value]
        return None


def full_option(value: Any, name: str) -> str:
    """The dtype of `torch.full`, which else follows the value."""
    kind = {bool: "bool", int: "int64", float: "float"}.get(type(witness_of(value)))
    return "" if kind == name else f", dtype={torch_dtype(name)}"


class Filled(OpRule):
    """Zeros, ones or another number in a given shape."""

    names = (*paths("zeros", "ones", "full", "fill"), *numpy_paths("empty"))
    signature = "shape, dtype=None, layout=None"
    signatures = {f"{h}.{leaf}": "shape, value, dtype=None, layout=None" for h in ("ops", "ops.numpy", "tensorflow") for leaf in ("full", "fill")}  # fmt: skip
    renames = {"dims": "shape", "fill_value": "value"}
    inputs, creates = (), True
    examples = (
        example("tf.zeros((3, 4)) + x"),
        example("ops.empty((3, 4)) + x"),
        example("tf.ones([tf.shape(x)[0], 1, 4]) * x"),
        example("ops.full((4,), 0.5) * x"),
        example("tf.fill([tf.shape(x)[0], 3, 1], 2.5) - x"),
        example("tf.cast(tf.zeros((tf.shape(x)[0], 1, 1), dtype=tf.int32), 'float32') + x"),
        example("tf.concat([tf.zeros_like(x[:, :1]), x], 1)"),
        example("tf.gather(x, tf.zeros((2,), tf.int32), axis=1)"),
        example("K.ones((4, 4)) @ tf.transpose(x, [0, 2, 1])"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        leaf = {"empty": "zeros"}.get(leaf_of(path), leaf_of(path))  # TensorFlow fills it with zeros
        shape = tuple(a.shape) if isinstance(a.shape, (list, tuple)) else (a.shape,)
        value = {"zeros": 0, "ones": 1}.get(leaf, a.get("value"))
        name = "float" if leaf != "fill" or type(witness_of(value)) is float else kind_of(value)
        name = name if a.get("dtype") is None else dtype_name(a.dtype)
        if any(isinstance(d, Operand) for d in shape):
            return self.at_run_time(a, leaf, shape, value, name)
        if leaf in ("zeros", "ones"):
            return made(f"torch.{leaf}({sizes_text(shape) or '()'}{dtype_option(name)})", shape, name)
        sizes = code_of(shape)
        return made(f"torch.full({sizes}, {operand_text(value)}{full_option(value, name)})", shape, name)

    def at_run_time(self, a: Args, leaf: str, shape: Shape, value: Any, name: str) -> Lowering:
        """A shape with sizes of a tensor: made next to that tensor."""
        near = a.get("__near__")
        if not isinstance(near, Operand):
            raise Declined("K2T103", "a shape computed by tensor operations is not translated")
        dtype = "" if name == "float" and is_float(near.dtype) else f", dtype={torch_dtype(name)}"
        dims = tuple(map(size_of, shape))
        if leaf in ("zeros", "ones"):
            sizes = sizes_text(shape) if not dtype else f"({sizes_text(shape)}{',' if len(shape) == 1 else ''})"
            return made(f"{near}.new_{leaf}({sizes}{dtype})", dims, name)
        sizes = f"({sizes_text(shape)}{',' if len(shape) == 1 else ''})"
        return made(f"{near}.new_full({sizes}, {operand_text(value)}{dtype})", dims, name)


class Like(OpRule):
    """Zeros, ones or another number in the shape of a tensor."""

    batched = True
    names = (*paths("zeros_like", "ones_like", "full_like"), *numpy_paths("empty_like"))
    signature = "x, dtype=None"
    signatures = {f"{h}.full_like": "x, value, dtype=None" for h in ("ops", "ops.numpy", "tensorflow")}
    renames = {"input": "x", "tensor": "x", "fill_value": "value"}
    any_layout = True
    examples = (
        example("tf.zeros_like(x) + 1.0"),
        example("K.ones_like(x) * x"),
        example("ops.empty_like(x) + x"),
        example("tf.cast(tf.ones_like(x, dtype=tf.int32), tf.float32) * x"),
        example("ops.full_like(x, 2.5) * x"),
        example("tf.zeros_like(i, dtype='float32') + x", i=(3, "ids", 2, 3, 4), x=(2, 3, 4)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, leaf = tensor(a), leaf_of(path).replace("empty", "zeros")
        name = x.dtype if a.dtype is None else dtype_name(a.dtype)
        own = a.dtype is None or name == x.dtype or name == "float" and is_float(x.dtype)
        value = f", {operand_text(a.value)}" if leaf == "full_like" else ""
        kind = replace(x.type, dtype=x.dtype if own else "float32" if name == "float" else name)
        option = "" if own else f", dtype={torch_dtype(name)}"
        return Lowering([Step(fn=f"torch.{leaf}({{0}}{value}{option})")], [kind])


def length_of(start: Any, stop: Any, step: Any) -> Any:
    """How many numbers a range has; open if it is not known."""
    if all(type(v) is int for v in (start, stop, step)):
        return len(range(start, stop, step))
    if type(step) is int and step == 1 and all(isinstance(v, (int, Sym)) for v in (start, stop)):
        return stop - start
    return None


class Range(OpRule):
    """Numbers in even steps."""

    names = ("backend.arange", "ops.arange", "ops.numpy.arange", "tensorflow.range")
    signature = "start, stop=None, step=1, dtype=None"
    renames = {"limit": "stop", "delta": "step"}
    inputs, creates = (), True
    examples = (
        example("tf.cast(tf.range(4), tf.float32) * x"),
        example("ops.arange(0, 4, dtype='float32') * x"),
        example("tf.range(1.0, 5.0) * x"),
        example("ops.expand_dims(ops.cast(ops.arange(start=0, stop=3, step=1), 'float32'), -1) * x"),
        example("tf.cast(tf.range(tf.shape(x)[0]), tf.float32)[:, None, None] * x"),
        example("K.cast(K.arange(0, 8, 2), 'float32') * x"),
        example("tf.gather(x, tf.range(2), axis=1)"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        start, stop = (0, a.start) if a.stop is None else (a.start, a.stop)
        step = 1 if a.step is None else a.step
        values = (start, stop, step)
        fraction = any(type(witness_of(v)) is float for v in values if not isinstance(v, Operand))
        name = ("float" if fraction else "int32") if a.dtype is None else dtype_name(a.dtype)
        shown = values if not (type(step) is int and step == 1) else values[:2]
        shown = shown[1:] if len(shown) == 2 and type(start) is int and start == 0 else shown
        text = ", ".join(operand_text(v) if type(v) in (int, float) else bare(v) for v in shown)
        length = length_of(*values)
        if fraction:
            if any(type(v) not in (int, float) for v in values):
                raise Declined("K2T103", "a range of fractions with open ends is not translated")
            length = max(0, -int((start - stop) // step))
        # positions are int64 in torch; int32 would only be widened
        option = "" if name in ("int32", "int64") and not fraction else "" if fraction and name == "float" else f", dtype={torch_dtype(name)}"  # fmt: skip
        if any(isinstance(v, Operand) for v in values):
            near = a.get("__near__")
            if not isinstance(near, Operand):
                raise Declined("K2T103", "a range to a computed size is not translated")
            return made(f"torch.arange({text}{option}, device={near}.device)", (None,), "int64" if not option else name)
        return made(f"torch.arange({text}{option})", (length,), "int64" if not option and not fraction else name)


def bare(value: Any) -> str:
    """A number, a kept parameter or a size as an argument."""
    return str(value) if isinstance(value, Operand) else code_of(value)


class Linspace(OpRule):
    """Numbers between two ends."""

    names = paths("linspace", "lin_space")
    signature = "start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0"
    signatures = {"tensorflow": "start, stop, num, axis=0"}
    inputs, creates = (), True
    examples = (example("ops.linspace(0.0, 1.0, 4) * x"), example("tf.linspace(-1.0, 2.0, 4) * x"))

    def lower(self, path: str, a: Args) -> Lowering:
        if a.get("retstep") or a.get("endpoint") is False or a.const("axis"):
            raise Declined("K2T103", "linspace() with these arguments is not translated")
        if operands([a.start, a.stop, a.num]):
            raise Declined("K2T103", "linspace() between tensors is not translated")
        name = "float" if a.get("dtype") is None else dtype_name(a.dtype)
        if name != "float":
            raise Declined("K2T103", "linspace() of integers is not translated")
        return made(f"torch.linspace({bare(a.start)}, {bare(a.stop)}, {bare(a.num)})", (a.num,), name)


class Eye(OpRule):
    """The identity matrix."""

    names = (*paths("eye"), *numpy_paths("identity"))
    signature = "n, m=None, k=0, dtype=None"
    signatures = {
        **{path: "n, dtype=None" for path in numpy_paths("identity")},
        "tensorflow": "n, m=None, batch_shape=None, dtype=None",
        "tensorflow.linalg": "n, m=None, batch_shape=None, dtype=None",
        "backend": "n, dtype=None",
    }
    renames = {"size": "n", "num_rows": "n", "num_columns": "m", "N": "n", "M": "m"}
    inputs, creates = (), True
    examples = (
        example("x @ tf.eye(4)"),
        example("x @ K.eye(4)"),
        example("x @ tf.linalg.eye(4, dtype=tf.float32)"),
        example("x @ ops.eye(4, 5)"),
        example("x @ ops.identity(4)"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        if a.get("k") or a.get("batch_shape") is not None or operands([a.n, a.get("m")]):
            raise Declined("K2T103", "eye() with these arguments is not translated")
        name = "float" if a.dtype is None else dtype_name(a.dtype)
        m = a.get("m")
        sizes = code_of(a.n) if m is None else f"{code_of(a.n)}, {code_of(m)}"
        return made(f"torch.eye({sizes}{dtype_option(name)})", (a.n, a.n if m is None else m), name)


class Meshgrid(OpRule):
    """Coordinates of a grid, one tensor for each axis."""

    names = ("ops.meshgrid", "ops.numpy.meshgrid", "tensorflow.meshgrid")
    signature = "*xs, indexing='xy'"
    inputs = ("xs",)
    examples = (
        example("sum(tf.meshgrid(x, y, indexing='ij'))", x=(3,), y=(4,)),
        example("ops.meshgrid(x, y)[1]", x=(3,), y=(4,)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        xs = [x for x in a.xs if isinstance(x, Operand) and x.rank == 1 and x.dtype != SIZE]
        order = a.const("indexing")
        if len(xs) != len(a.xs) or order not in ("xy", "ij"):
            raise Declined("K2T103", "this meshgrid() is not translated")
        sizes = [x.shape[0] for x in xs]
        if order == "xy" and len(sizes) > 1:
            sizes[:2] = sizes[1::-1]
        fn = f"torch.meshgrid({', '.join(map(str, xs))}, indexing='{order}')"
        types = [tensor_type(tuple(sizes), x.dtype) for x in xs]
        return Lowering([Step(fn=fn)], types, tuple(f"{{0}}[{i}]" for i in range(len(xs))))
