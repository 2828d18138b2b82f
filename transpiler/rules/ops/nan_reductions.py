"""Reductions that leave NaN aside, and the spread between extrema."""

from __future__ import annotations

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Lowering
from transpiler.ir.shape import Layout, TensorType, product
from transpiler.rules.ops.base import OpRule, axis_of, example, is_float, leaf_of, numpy_paths, one, tensor
from transpiler.rules.ops.reductions import ArgExtremum, Reducing, reduced

NAN_REDUCE = {
    "nansum": "torch.nansum({0}, {over})",
    "nanmean": "torch.nanmean({0}, {over})",
    "nanmax": "torch.where({0}.isnan().all({over}), torch.nan, {0}.masked_fill({0}.isnan(), -torch.inf).amax({over}))",
    "nanmin": "torch.where({0}.isnan().all({over}), torch.nan, {0}.masked_fill({0}.isnan(), torch.inf).amin({over}))",
    "nanvar": "torch.where({0}.isnan(), 0.0, {0} - {0}.nanmean({kept})).square().sum({over}) / (~{0}.isnan()).sum({over})",
    "nanstd": "torch.sqrt({nanvar})",
}


class NanReduce(Reducing):
    """Sums, means and extrema of what is a number."""

    names = numpy_paths(*NAN_REDUCE, "nanprod")
    examples = (
        *(example(f"ops.{leaf}(tf.math.log(x), axis=1)", x=(4, 20, 3)) for leaf in (*NAN_REDUCE, "nanprod")),
        *(example(f"ops.{leaf}(tf.math.log(x), axis=(-1, 1), keepdims=True)", x=(3, 4, 5)) for leaf in NAN_REDUCE),
        example("ops.nanprod(tf.math.log(x), axis=(-1, 1), keepdims=True)", x=(3, 4, 5)),
        *(example(f"ops.{leaf}(tf.math.log(x))", x=(5, 4)) for leaf in (*NAN_REDUCE, "nanprod")),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, found, leaf = tensor(a), self.reduction(a), leaf_of(path)
        if not is_float(x.dtype):
            raise Declined("K2T103", f"{leaf} of {x.dtype}, where nothing is NaN, is not translated")
        keep = ", keepdim=True" if a.const("keepdims") else ""
        if leaf == "nanprod":  # torch multiplies over one axis at a time
            text = "{0}.masked_fill({0}.isnan(), 1.0)" + "".join(f".prod(dim={d}{keep})" for d in reversed(found.dims))
        else:
            text = NAN_REDUCE[leaf].replace("{nanvar}", NAN_REDUCE["nanvar"])
            text = text.replace("{over}", f"dim={found.dim}{keep}").replace("{kept}", f"dim={found.dim}, keepdim=True")
        return one(text, found.shape, x.dtype, found.layout or Layout.KERAS)


class NanArgExtremum(Reducing):
    """Where the greatest or smallest number of an axis is; -1 where there is none."""

    names = numpy_paths("nanargmax", "nanargmin")
    examples = (
        example("ops.nanargmax(tf.math.log(x), axis=1)", x=(4, 7, 3)),
        example("ops.nanargmin(tf.math.log(x), axis=-1, keepdims=True)", x=(4, 7, 3)),
        example("ops.nanargmax(tf.math.log(x))", x=(4, 7)),
        example("ops.nanargmin(i, axis=1)", i=(5, "ids", 4, 7)),
    )

    def wants(self, path: str, a: Args) -> Layout | None:
        return Layout.KERAS

    def lower(self, path: str, a: Args) -> Lowering:
        x, leaf = tensor(a), leaf_of(path).removeprefix("nan")
        if not is_float(x.dtype):
            return ArgExtremum().lower(f"ops.{leaf}", a)
        keep = bool(a.const("keepdims"))
        if a.axis is None and keep:
            raise Declined("K2T103", f"{leaf_of(path)} over all axes that keeps them is not translated")
        over = "" if a.axis is None else f"dim={axis_of(a, x.rank)}{', keepdim=True' if keep else ''}"
        shape = () if a.axis is None else reduced(x.type, axis_of(a, x.rank), keep).shape
        worst = "-torch.inf" if leaf == "argmax" else "torch.inf"
        text = f"torch.where({{0}}.isnan().all({over}), -1, {{0}}.masked_fill({{0}}.isnan(), {worst}).{leaf}({over}))"
        return one(text, shape, "int64")


class NanCumulate(OpRule):
    """Running sums and products that pass over NaN; infinities become the greatest numbers."""

    names = numpy_paths("nancumsum", "nancumprod")
    signature = "x, axis=None, dtype=None"
    examples = (
        example("ops.nancumsum(tf.math.log(x), axis=1)"),
        example("ops.nancumprod(tf.math.log(x), axis=-1)"),
        example("ops.nancumsum(tf.math.log(x))", x=(3, 4)),
    )

    def keeps_batch(self, path: str, a: Args) -> bool:
        return a.axis is not None

    def lower(self, path: str, a: Args) -> Lowering:
        x, leaf = tensor(a), leaf_of(path).removeprefix("nan")
        if a.dtype is not None or not is_float(x.dtype):
            raise Declined("K2T103", f"nan{leaf} with a dtype or of {x.dtype} is not translated")
        numbers = "torch.nan_to_num({0})" if leaf == "cumsum" else "torch.nan_to_num({0}, nan=1.0)"
        if a.axis is None:
            return one(f"{numbers}.flatten().{leaf}(dim=0)", (product(x.shape),), x.dtype)
        return one(f"{numbers}.{leaf}(dim={axis_of(a, x.rank)})", x.shape, x.dtype)


class Spread(Reducing):
    """The distance of the greatest from the smallest."""

    names = numpy_paths("ptp")
    examples = (
        example("ops.ptp(x, axis=1)"),
        example("ops.ptp(x, axis=(-1, 1), keepdims=True)", x=(2, 3, 4, 5)),
        example("ops.ptp(x)"),
        example("ops.ptp(i, axis=-1)", i=(9, "ids", 4, 6)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, found = tensor(a), self.reduction(a)
        if x.dtype == "bool":
            raise Declined("K2T103", "ptp of truths is not translated")
        over = f"dim={found.dim}{', keepdim=True' if a.const('keepdims') else ''}"
        return one(f"{{0}}.amax({over}) - {{0}}.amin({over})", found.shape, x.dtype, found.layout or Layout.KERAS)


class CorrelationCoefficients(OpRule):
    """How the rows of a matrix vary together."""

    names = numpy_paths("corrcoef")
    examples = (example("ops.corrcoef(x)", x=(3, 7)),)

    def lower(self, path: str, a: Args) -> Lowering:
        x: TensorType = tensor(a).type
        if x.rank != 2 or not is_float(x.dtype):
            raise Declined("K2T103", f"corrcoef of {x.dtype} with {x.rank} axes is not translated")
        return one("torch.corrcoef({0})", (x.shape[0], x.shape[0]), x.dtype)
