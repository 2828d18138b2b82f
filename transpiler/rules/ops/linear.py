"""Products of matrices and their generalisations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Lowering, Step
from transpiler.ir.shape import Shape, TensorType
from transpiler.rules.base import show
from transpiler.rules.ops.base import (
    Operand,
    OpRule,
    broadcast,
    example,
    is_float,
    leaf_of,
    one,
    paths,
    promoted,
    tensor,
    tensor_list,
)


def checked(*xs: Operand) -> str:
    """The dtype of a product. Raises Declined for operands that torch would not multiply."""
    kinds = {x.dtype for x in xs}
    if len({is_float(k) for k in kinds}) > 1 or "bool" in kinds:
        raise Declined("K2T103", "a product of tensors of different dtypes is not translated")
    return promoted(kinds)


def matmul_shape(x: Shape, y: Shape) -> Shape:
    """The shape of `x @ y`, by numpy's rule."""
    if len(x) == 1 or len(y) == 1:
        left = x[:-1] if len(x) > 1 else ()
        right = y[-1:] if len(y) > 1 else ()
        return (*(left if len(y) == 1 else y[:-2]), *right)
    return (*broadcast([x[:-2], y[:-2]]), x[-2], y[-1])


class Matmul(OpRule):
    """A product of matrices, with axes in front broadcast."""

    names = paths("matmul", "batch_matmul")
    signature = "x, y, transpose_a=False, transpose_b=False, adjoint_a=False, adjoint_b=False, output_type=None"
    signatures = {"ops": "x, y", "ops.numpy": "x, y"}
    renames = {"a": "x", "b": "y", "x1": "x", "x2": "y"}
    inputs = ("x", "y")
    examples = (
        example("tf.matmul(x, y)", x=(2, 3, 4), y=(2, 4, 5)),
        example("tf.matmul(x, y, transpose_b=True)", x=(2, 3, 4), y=(2, 5, 4)),
        example("tf.matmul(x, y, transpose_a=True)", x=(2, 4, 3), y=(2, 4, 5)),
        example("tf.transpose(tf.matmul([x, y], x, transpose_b=True), [1, 0, 2, 3])", x=(2, 3, 4), y=(2, 3, 4)),
        example("ops.matmul(x, y)", x=(2, 3, 4), y=(4, 5)),
        example("ops.matmul(x, y)", x=(2, 3, 4), y=(4,)),
        example("x @ y", x=(2, 3, 4), y=(2, 4, 5)),
    )

    def keeps_batch(self, path: str, a: Args) -> bool:
        return tensor(a, "x").rank > 2 and tensor(a, "y").rank in (2, tensor(a, "x").rank)

    def lower(self, path: str, a: Args) -> Lowering:
        x, y = tensor(a, "x"), tensor(a, "y")
        if a.get("output_type") is not None:
            raise Declined("K2T103", "matmul(output_type=…) is not translated")
        shapes, texts = [], []
        for operand, side in ((x, "a"), (y, "b")):
            turned = bool(a.get(f"transpose_{side}")) or bool(a.get(f"adjoint_{side}"))
            shapes.append((*operand.shape[:-2], operand.shape[-1], operand.shape[-2]) if turned else operand.shape)
            texts.append(f"{operand}.mT" if turned else str(operand))
        return one(f"{texts[0]} @ {texts[1]}", matmul_shape(*shapes), checked(x, y))


class Dot(OpRule):
    """`K.dot`, `ops.dot`: the last axis of x with the last but one of y."""

    names = ("backend.dot", "ops.dot", "ops.numpy.dot")
    signature, inputs, renames = "x, y", ("x", "y"), Matmul.renames
    examples = (
        example("K.dot(x, y)", x=(2, 3, 4), y=(4, 5)),
        example("K.dot(x, y)", x=(2, 3, 4), y=(6, 4, 5)),
        example("K.dot(x, y)", x=(3, 4), y=(4, 5)),
        example("ops.dot(x, y)", x=(2, 3, 4), y=(4,)),
    )

    def keeps_batch(self, path: str, a: Args) -> bool:
        return tensor(a, "x").rank > 1

    def lower(self, path: str, a: Args) -> Lowering:
        x, y = tensor(a, "x"), tensor(a, "y")
        if not x.rank or not y.rank:
            raise Declined("K2T103", "dot() with a scalar is not translated")
        if y.rank <= 2:
            return one(f"{x} @ {y}", matmul_shape(x.shape, y.shape), checked(x, y))
        shape = (*x.shape[:-1], *y.shape[:-2], y.shape[-1])
        return one(f"torch.tensordot({x}, {y}, dims=([-1], [-2]))", shape, checked(x, y))


class BatchDot(OpRule):
    """`K.batch_dot`: one axis of each, example by example."""

    batched = True
    names = ("backend.batch_dot",)
    signature, inputs = "x, y, axes=None", ("x", "y")
    examples = (
        example("K.batch_dot(x, y)", x=(2, 3, 4), y=(2, 4, 5)),
        example("K.batch_dot(x, y, axes=[2, 2])", x=(2, 3, 4), y=(2, 5, 4)),
        example("K.batch_dot(x, y, axes=1)", x=(2, 3, 4), y=(2, 3, 5)),
        example("K.batch_dot(x, y, axes=1)", x=(2, 4), y=(2, 4)),
        example("K.batch_dot(x, y)", x=(2, 4), y=(2, 4)),
        example("K.batch_dot(x, y)", x=(2, 4), y=(2, 4, 3)),
        example("K.batch_dot(x, y, axes=(2, 1))", x=(2, 3, 4), y=(2, 4)),
        example("K.batch_dot(x, y, axes=(3, 2))", x=(2, 3, 5, 4), y=(2, 6, 4)),
        example("K.batch_dot(x, y)", x=(2, 3, 5, 4), y=(2, 3, 4, 6)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, y = tensor(a, "x"), tensor(a, "y")
        axes = a.const("axes")
        if axes is None:
            axes = (x.rank - 1, 1 if y.rank == 2 else y.rank - 2)
        i, j = (axes, axes) if type(axes) is int else axes
        if x.rank < 2 or y.rank < 2:
            raise Declined("K2T103", "batch_dot() of vectors is not translated")
        i, j = i % x.rank, j % y.rank
        if not i or not j:
            raise Declined("K2T102", "batch_dot() cannot go over the batch")
        shape = (*(d for n, d in enumerate(x.shape) if n != i), *(d for n, d in enumerate(y.shape) if n not in (0, j)))
        dtype = checked(x, y)
        if x.rank == y.rank == 2:
            return one(f"({x} * {y}).sum(dim=1, keepdim=True)", (shape[0], 1), dtype)
        if x.rank == y.rank == 3:
            left, right = (str(x) if i == 2 else f"{x}.mT"), (str(y) if j == 1 else f"{y}.mT")
            return one(f"{left} @ {right}", shape, dtype)
        letters = iter("cdefghijklm")
        left = ["b", *(next(letters) for _ in x.shape[1:])]
        right = ["b", *(next(letters) for _ in y.shape[1:])]
        left[i] = right[j] = "a"
        result = "b" + "".join(n for n in (*left[1:], *right[1:]) if n != "a")
        return one(f"torch.einsum('{''.join(left)},{''.join(right)}->{result}', {x}, {y})", shape, dtype)


class Einsum(OpRule):
    """Einstein's summation."""

    names = paths("einsum")
    signature, inputs = "equation, *xs", ("xs",)
    examples = (
        example("tf.einsum('bij,bjk->bik', x, y)", x=(2, 3, 4), y=(2, 4, 5)),
        example("ops.einsum('...ij,jk', x, y)", x=(2, 3, 4), y=(4, 5)),
        example("tf.einsum('bhwc,bhwd->bcd', x, y)", x=(2, 3, 4, 5), y=(2, 3, 4, 6)),
        example("tf.einsum('bij->bji', x)"),
        example("ops.einsum('b i d, b j d -> b i j', x, y)", x=(2, 3, 4), y=(2, 5, 4)),
    )

    def bind(self, path: str, args: Sequence[Any], kwargs: dict[str, Any], generation: str) -> Args:
        if set(kwargs) - {"name"} or not args:
            raise Declined("K2T102", f"einsum with {', '.join(kwargs)} is not translated")
        return Args({"equation": args[0], "xs": list(args[1:])}, frozenset(("equation", "xs")), generation)

    def lower(self, path: str, a: Args) -> Lowering:
        xs = tensor_list(a, "xs")
        equation = str(a.const("equation")).replace(" ", "")
        left, arrow, right = equation.partition("->")
        terms = left.split(",")
        if len(terms) != len(xs):
            raise Declined("K2T102", f"einsum('{equation}') of {len(xs)} tensors")
        sizes: dict[str, Any] = {}
        wide: list[Shape] = []
        for term, x in zip(terms, xs):
            head, dots, tail = term.partition("...")
            letters = head + tail
            if len(set(letters)) != len(letters) or len(letters) > x.rank or not dots and len(letters) != x.rank:
                raise Declined("K2T103", f"einsum('{equation}') is not translated")
            shape = list(x.shape)
            for letter, d in [*zip(head, shape), *zip(reversed(tail), reversed(shape))]:
                sizes[letter] = d if sizes.get(letter) is None else sizes[letter]
            wide.append(tuple(shape[len(head) : len(shape) - len(tail)]) if dots else ())
        dots_shape = broadcast(wide)
        if not arrow:
            right = ("..." if any("..." in t for t in terms) else "") + "".join(
                sorted(c for c in sizes if left.count(c) == 1)
            )
        head, dots, tail = right.partition("...")
        shape = (*(sizes[c] for c in head), *(dots_shape if dots else ()), *(sizes[c] for c in tail))
        return one(f"torch.einsum('{left}->{right}', {', '.join(map(str, xs))})", shape, checked(*xs))


class Tensordot(OpRule):
    """A product over several axes."""

    names = paths("tensordot")
    signature, inputs, renames = "x, y, axes=2", ("x", "y"), Matmul.renames
    examples = (
        example("tf.tensordot(x, y, axes=1)", x=(2, 3, 4), y=(4, 5)),
        example("tf.tensordot(x, y, axes=[[2], [0]])", x=(2, 3, 4), y=(4, 5)),
        example("ops.tensordot(x, y, axes=([1, 2], [1, 0]))", x=(2, 3, 4), y=(4, 3, 5)),
        example("tf.tensordot(x, y, [-1, 1])", x=(2, 3, 4), y=(5, 4)),
        example("ops.tensordot(x, y)", x=(2, 3, 4), y=(3, 4, 5)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, y, axes = tensor(a, "x"), tensor(a, "y"), a.const("axes")
        if type(axes) is int:
            left, right = list(range(x.rank - axes, x.rank)), list(range(axes))
            dims = str(axes)
        else:
            left, right = ([i] if type(i) is int else list(i) for i in axes)
            dims = f"({left}, {right})"
        left, right = [i % x.rank for i in left], [i % y.rank for i in right]
        if len(left) != len(right):
            raise Declined("K2T102", f"axes={show(axes)} of tensordot() do not match")
        shape = (*(d for i, d in enumerate(x.shape) if i not in left), *(d for i, d in enumerate(y.shape) if i not in right))  # fmt: skip
        return one(f"torch.tensordot({x}, {y}, dims={dims})", shape, checked(x, y))


class Fourier(OpRule):
    """Fourier transforms of (real part, imaginary part), along the last axis or the last two."""

    names = tuple(f"ops.{h}{f}" for f in ("fft", "fft2", "ifft2") for h in ("", "math."))
    signature, inputs = "xs", ("xs",)
    renames = {"x": "xs"}
    batched = True
    examples = (
        example("ops.fft((x, y))[0]", x=(2, 3, 4), y=(2, 3, 4)),
        example("ops.fft2((x, ops.zeros_like(x)))[1]"),
        example("ops.ifft2((x, y))[0]", x=(2, 3, 4), y=(2, 3, 4)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        real, imaginary = tensor_list(a, "xs")
        if not is_float(real.dtype) or not is_float(imaginary.dtype):
            raise Declined("K2T103", "a Fourier transform of integers is not translated")
        kind = TensorType(real.shape, real.dtype)
        step = Step(fn=f"torch.fft.{leaf_of(path)}(torch.complex({real}, {imaginary}))")
        return Lowering([step], [kind, kind], ("{0}.real", "{0}.imag"))


class Outer(OpRule):
    """All products of two vectors."""

    names = ("ops.outer", "ops.numpy.outer")
    signature, inputs, renames = "x, y", ("x", "y"), Matmul.renames
    examples = (example("ops.outer(x, y)", x=(3,), y=(4,)),)

    def lower(self, path: str, a: Args) -> Lowering:
        x, y = tensor(a, "x"), tensor(a, "y")
        if x.rank != 1 or y.rank != 1:
            raise Declined("K2T103", "outer() of tensors with more than one axis is not translated")
        return one(f"torch.outer({x}, {y})", (*x.shape, *y.shape), checked(x, y))


class Diagonal(OpRule):
    """The diagonal of matrices, or what it sums to."""

    names = ("tensorflow.linalg.diag_part", "tensorflow.linalg.trace")
    renames = {"input": "x"}
    examples = (
        example("tf.linalg.diag_part(x)", x=(2, 4, 4)),
        example("tf.linalg.trace(x)", x=(2, 4, 4)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        if x.shape[-1] != x.shape[-2]:
            raise Declined("K2T103", "the diagonal of a matrix that is not square is not translated")
        text = "{0}.diagonal(dim1=-2, dim2=-1)"
        if leaf_of(path) == "trace":
            return one(f"{text}.sum(dim=-1)", x.shape[:-2], x.dtype)
        return one(text, x.shape[:-1], x.dtype)


class MakeDiagonal(OpRule):
    """Matrices with the given diagonal."""

    names = ("tensorflow.linalg.diag",)
    renames = {"diagonal": "x"}
    examples = (example("tf.linalg.diag(x)", x=(2, 4)),)

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        return one("torch.diag_embed({0})", (*x.shape, x.shape[-1]), x.dtype)
