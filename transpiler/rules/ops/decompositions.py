"""Linear algebra on matrices: inverses, factors, determinants, systems of equations."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of
from transpiler.ir.model import Args, Lowering, Step
from transpiler.ir.shape import Shape, TensorType
from transpiler.rules.base import show
from transpiler.rules.ops.base import Operand, OpRule, broadcast, example, is_float, leaf_of, one, operand_text, tensor

SQUARE = "ops.matmul(x, ops.swapaxes(x, -1, -2)) + 2.0 * ops.eye(3)"
"""A matrix of the examples that is symmetric and positive definite."""


def linear(*leaves: str) -> tuple[str, ...]:
    """The functions of these names in `keras.ops.linalg`."""
    return tuple(f"{home}.{leaf}" for leaf in leaves for home in ("ops", "ops.linalg"))


def matrix(a: Args, name: str = "x") -> Operand:
    """The argument `name`, which has to be a matrix of floats, or several."""
    x = tensor(a, name)
    if x.rank < 2 or not is_float(x.dtype):
        raise Declined("K2T103", f"a matrix of floats is needed, a tensor of {x.dtype} with {x.rank} axes was given")
    return x


def smaller(rows: Any, columns: Any) -> Any:
    return min(rows, columns) if type(rows) is int and type(columns) is int else None


class OfMatrix(OpRule):
    """Inverses and determinants."""

    renames = {"input": "x"}
    names = (*linear("inv", "det"), "ops.logdet", "ops.math.logdet", "tensorflow.linalg.inv", "tensorflow.linalg.det")
    examples = (
        example(f"ops.inv({SQUARE})", x=(2, 3, 4)),
        example("ops.det(x)", x=(2, 3, 3)),
        example("ops.det(x)", x=(4, 4)),
        example(f"tf.linalg.inv(input={SQUARE})", x=(2, 3, 4)),
        example(f"ops.logdet({SQUARE})", x=(2, 3, 4)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, leaf = matrix(a), leaf_of(path)
        function = "torch.logdet" if leaf == "logdet" else f"torch.linalg.{leaf}"
        return one(f"{function}({{0}})", x.shape if leaf == "inv" else x.shape[:-2], x.dtype)


class SignAndLogDeterminant(OpRule):
    """The sign of a determinant, and the logarithm of its size."""

    names = ("ops.slogdet", "ops.numpy.slogdet")
    examples = (
        example("ops.slogdet(x)[1]", x=(2, 3, 3)),
        example("ops.slogdet(x)[0] * x[:, 0, 0]", x=(2, 3, 3)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        kind = TensorType(matrix(a).shape[:-2], tensor(a).dtype)
        return Lowering([Step(fn="torch.linalg.slogdet({0})")], [kind, kind], ("{0}[0]", "{0}[1]"))


class Cholesky(OpRule):
    """The triangular factor of a positive definite matrix, or the inverse of the matrix from it."""

    names = linear("cholesky", "cholesky_inverse")
    signature = "x, upper=False"
    examples = (
        example(f"ops.cholesky({SQUARE})", x=(2, 3, 4)),
        example(f"ops.cholesky({SQUARE}, upper=True)", x=(2, 3, 4)),
        example(f"ops.cholesky_inverse(ops.cholesky({SQUARE}))", x=(3, 4)),
        example(f"ops.cholesky_inverse(ops.cholesky({SQUARE}, True), upper=True)", x=(2, 3, 4)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, upper = matrix(a), ", upper=True" if a.const("upper") else ""
        home = "torch.linalg" if leaf_of(path) == "cholesky" else "torch"
        return one(f"{home}.{leaf_of(path)}({{0}}{upper})", x.shape, x.dtype)


class QR(OpRule):
    """An orthogonal and a triangular factor."""

    names = linear("qr")
    signature = "x, mode='reduced'"
    examples = (
        example("ops.qr(x)[0]", x=(5, 3)),
        example("ops.qr(x)[1]", x=(2, 5, 3)),
        example("ops.qr(x[..., :3])[1]", x=(2, 3, 5)),
        example("ops.qr(ops.stop_gradient(x), mode='complete')[0]", x=(5, 3)),
        example("ops.qr(ops.stop_gradient(x))[1]", x=(3, 5)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, mode = matrix(a), a.const("mode")
        if mode not in ("reduced", "complete"):
            raise Declined("K2T102", f"qr(mode={show(mode)}) is not translated")
        rows, columns = x.shape[-2:]
        inner = rows if mode == "complete" else smaller(rows, columns)
        types = [TensorType((*x.shape[:-2], *s), x.dtype) for s in ((rows, inner), (inner, columns))]
        option = "" if mode == "reduced" else ", mode='complete'"
        return Lowering([Step(fn=f"torch.linalg.qr({{0}}{option})")], types, ("{0}[0]", "{0}[1]"))


class SingularValues(OpRule):
    """The singular values alone; the vectors are determined but for their signs, which libraries choose in their own ways."""

    names = linear("svd")
    signature = "x, full_matrices=True, compute_uv=True"
    examples = (example("ops.svd(x, compute_uv=False)", x=(2, 3, 5)), example("ops.svd(x, False, False)", x=(5, 3)))

    def lower(self, path: str, a: Args) -> Lowering:
        x = matrix(a)
        if a.const("compute_uv"):
            raise Declined(
                "K2T103", "singular vectors are determined but for their signs, which differ between libraries"
            )
        return one("torch.linalg.svdvals({0})", (*x.shape[:-2], smaller(*x.shape[-2:])), x.dtype)


class Factors(OpRule):
    """Lower and upper triangular factors in one matrix, and the order of its rows."""

    names = linear("lu_factor")
    examples = (
        example("ops.lu_factor(ops.stop_gradient(x))[0]", x=(4, 4)),
        example("ops.cast(ops.lu_factor(x)[1], x.dtype) * x", x=(5, 5)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x = matrix(a)
        if x.rank != 2:
            raise Declined("K2T103", "the factors of several matrices are not translated: Keras takes one")
        types = [TensorType(x.shape, x.dtype), TensorType(x.shape[:1], "int64")]
        outputs = ("torch.linalg.lu_factor({0})[0]", "torch.linalg.lu({0})[0].argmax(dim=1)")
        return Lowering([Step(fn="{0}")], types, outputs)


class Solve(OpRule):
    """The solution of a system of equations, of a triangular one too."""

    names = linear("solve", "solve_triangular")
    signature, inputs = "x, y, lower=False", ("x", "y")
    signatures = {path: "x, y" for path in linear("solve")}
    renames = {"a": "x", "b": "y"}
    examples = (
        example("ops.solve(x, y)", x=(3, 3), y=(3, 2)),
        example("ops.solve(x, y)", x=(2, 3, 3), y=(2, 3)),
        example("ops.solve(x, y)", x=(3, 3), y=(3,)),
        example("ops.solve_triangular(x, y)", x=(2, 3, 3), y=(2, 3, 4)),
        example("ops.solve_triangular(x, y, lower=True)", x=(3, 3), y=(3,)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, y = matrix(a), tensor(a, "y")
        if not is_float(y.dtype) or y.rank not in (x.rank, x.rank - 1):
            raise Declined("K2T103", f"a right side of {y.dtype} with {y.rank} axes is not translated")
        vectors = y.rank == x.rank - 1
        right = f"{y}.unsqueeze(-1)" if vectors else str(y)
        side = f", upper={not a.const('lower')}" if "lower" in a else ""
        text = f"torch.linalg.{leaf_of(path)}({x}, {right}{side})"
        ahead = broadcast([x.shape[:-2], y.shape[: -1 if vectors else -2]])
        if vectors:
            return one(f"{text}.squeeze(-1)", (*ahead, x.shape[-1]), x.dtype)
        return one(text, (*ahead, x.shape[-1], y.shape[-1]), x.dtype)


def precision(x: Operand, factor: int) -> str:
    """The share of the greatest singular value below which others count as zero."""
    rows, columns = x.shape[-2:]
    known = type(rows) is int and type(columns) is int
    size = str(factor * max(rows, columns)) if known else f"{factor} * max({x}.shape[-2:])"
    return f"{size} * torch.finfo({x}.dtype).eps"


class PseudoInverse(OpRule):
    """The inverse of a matrix on what it reaches, or a least-squares solution by it."""

    names = linear("pinv", "lstsq")
    signatures = {
        **{path: "x, rcond=None" for path in linear("pinv")},
        **{path: "x, y, rcond=None" for path in linear("lstsq")},
    }
    renames = {"a": "x", "b": "y"}
    inputs = ("x", "y")
    examples = (
        example("ops.pinv(x)", x=(2, 5, 3)),
        example("ops.pinv(x, rcond=1e-3)", x=(3, 4)),
        example("ops.lstsq(x, y)", x=(5, 3), y=(5, 2)),
        example("ops.lstsq(x, y)", x=(5, 3), y=(5,)),
        example("ops.lstsq(ops.stop_gradient(x), y, rcond=0.5)", x=(3, 5), y=(3, 2)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x = matrix(a)
        if a.rcond is not None and (type(a.rcond) not in (int, float) or a.rcond <= 0):
            raise Declined("K2T103", f"rcond={show(a.rcond)} is not translated")
        given = None if a.rcond is None else code_of(a.rcond)
        if leaf_of(path) == "pinv":
            text = f"torch.linalg.pinv({{0}}, rtol={given or precision(x, 10)})"
            return one(text, (*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)
        y = tensor(a, "y")
        if x.rank != 2 or y.rank not in (1, 2) or not is_float(y.dtype):
            raise Declined("K2T103", "lstsq() of these tensors is not translated")
        # torch.linalg.lstsq() assumes full rank on some devices
        text = f"torch.linalg.pinv({x}{'' if given is None else f', rtol={given}'}) @ {y}"
        return one(text, (x.shape[-1], *y.shape[1:]), x.dtype)


class Rank(OpRule):
    """How many singular values are not zero."""

    names = linear("matrix_rank")
    signature = "x, tol=None"
    examples = (
        example("ops.matrix_rank(ops.matmul(x, ops.swapaxes(x, -1, -2)))", x=(2, 5, 3)),
        example("ops.matrix_rank(x, tol=0.9)", x=(5, 4)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x = matrix(a)
        tol = "" if a.tol is None else f", atol={operand_text(a.tol)}, rtol=0"
        shape: Shape = x.shape[:-2]
        return one(f"torch.linalg.matrix_rank({{0}}{tol})", shape, "int64")
