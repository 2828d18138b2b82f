"""Averages, quantiles, and counting in bins."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import Sym, code_of
from transpiler.ir.model import Args, Lowering, Step
from transpiler.ir.shape import Layout, TensorType
from transpiler.rules.base import show
from transpiler.rules.ops.base import (
    SIZE,
    Operand,
    OpRule,
    as_float,
    axis_of,
    broadcast,
    example,
    is_float,
    leaf_of,
    numpy_paths,
    one,
    operands,
    size_text,
    tensor,
)
from transpiler.rules.ops.reductions import Reducing, reduced

METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


def share_of(value: Any, percent: bool) -> list[float]:
    """The shares that are asked for, of one or several quantiles."""
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    if any(type(v) not in (int, float) for v in values):
        raise Declined("K2T103", f"quantiles at {show(value)} are not translated")
    return [float(v) / 100 if percent else float(v) for v in values]


class Quantile(Reducing):
    """What a share of the elements lies below: medians, quantiles, percentiles; NaN left aside or not."""

    names = numpy_paths(*(f"{nan}{leaf}" for nan in ("", "nan") for leaf in ("median", "quantile", "percentile")))
    signature = "x, q, axis=None, method='linear', keepdims=False"
    signatures = {path: "x, axis=None, keepdims=False" for path in numpy_paths("median", "nanmedian")}
    examples = (
        example("ops.median(x, axis=1)"),
        example("ops.median(x, axis=-2, keepdims=True)", x=(2, 4, 5, 3)),
        example("ops.median(x)"),
        example("ops.median(x, axis=(1, 2))", x=(2, 3, 4, 5)),
        example("ops.median(x, axis=(1, -1), keepdims=True)"),
        example("ops.median(i, axis=1)", i=(9, "ids", 3, 6)),
        example("ops.quantile(x, 0.25, axis=1)", x=(2, 9, 3)),
        example("ops.quantile(x, [0.125, 0.5, 1.0], axis=-1)", x=(2, 3, 7)),
        example("ops.quantile(x, [0.25, 0.5], axis=1, keepdims=True)", x=(2, 3, 7)),
        example("ops.quantile(x, 0.25, axis=1, method='nearest')", x=(2, 8, 3)),
        *(example(f"ops.quantile(x, 0.25, axis=1, method='{m}')", x=(2, 8, 3)) for m in METHODS[1:4]),
        example("ops.percentile(x, 75, axis=1)", x=(2, 8, 3)),
        example("ops.nanmedian(tf.math.log(x), axis=1)", x=(2, 20, 3)),
        example("ops.nanquantile(tf.math.log(x), 0.25, axis=1, keepdims=True)", x=(2, 20, 3)),
        example("ops.nanquantile(tf.math.log(x), [0.25, 0.75], axis=1)", x=(2, 20, 3)),
        example("ops.nanpercentile(tf.math.log(x), 25)", x=(3, 7)),
    )

    def wants(self, path: str, a: Args) -> Layout | None:
        return Layout.KERAS

    def keeps_batch(self, path: str, a: Args) -> bool:
        return not isinstance(a.get("q"), (list, tuple)) and super().keeps_batch(path, a)

    def lower(self, path: str, a: Args) -> Lowering:
        x, leaf = tensor(a), leaf_of(path)
        nan, keep = leaf.startswith("nan"), bool(a.const("keepdims"))
        shares = share_of(a.const("q"), leaf.endswith("percentile")) if "q" in a else [0.5]
        method = a.const("method") if "method" in a else "linear"
        if method not in METHODS or nan and not is_float(x.dtype):
            raise Declined("K2T103", f"{leaf}(method={show(method)}) of {x.dtype} is not translated")
        if method != "linear" and any(s * 1024 % 1 for s in shares):
            raise Declined("K2T103", "which element a rounded quantile takes depends on the precision of the share")
        several = isinstance(a.get("q"), (list, tuple))
        if nan and keep and a.axis is None:
            raise Declined("K2T103", f"{leaf} over all axes that keeps them is not translated")
        found = reduced(x.type, a.const("axis"), keep)
        source, dim = self.source(x, found.dims)
        q = f"{{0}}.new_tensor({shares})" if several and is_float(x.dtype) else str(shares[0])
        if several and not is_float(x.dtype):
            raise Declined("K2T103", f"several quantiles of {x.dtype} are not translated")
        options = "" if dim is None else f", dim={dim}"
        options += ", keepdim=True" if keep and dim is not None and len(found.dims) == 1 else ""
        options += "" if method == "linear" else f", interpolation='{method}'"
        text = f"torch.{'nan' if nan else ''}quantile({source}, {q}{options})"
        if keep and "keepdim" not in options:
            ahead = int(several)
            text += "".join(f".unsqueeze({d + ahead})" for d in found.dims)
        shape = (len(shares), *found.shape) if several else found.shape
        return one(text, shape, x.dtype if is_float(x.dtype) else "float32")

    def source(self, x: Operand, dims: tuple[int, ...]) -> tuple[str, int | None]:
        """The tensor with the axes in question as one, and which that is; None for all."""
        text = as_float(x)
        if len(dims) == x.rank:
            return text, None
        if len(dims) == 1:
            return text, dims[0]
        if dims != tuple(range(dims[0], dims[0] + len(dims))):
            raise Declined("K2T103", f"quantiles over the axes {dims} are not translated")
        return f"{text}.flatten({dims[0]}, {dims[-1]})", dims[0]


class Average(Reducing):
    """Means, with weights or without."""

    names = numpy_paths("average")
    signature, inputs = "x, axis=None, weights=None", ("x", "weights")
    examples = (
        example("ops.average(x, axis=1)"),
        example("ops.average(x)"),
        example("ops.average(x, axis=-1, weights=[1.0, 2.0, 3.0, 4.0])"),
        example("ops.average(x, axis=1, weights=abs(y) + 0.5)", x=(2, 3, 4), y=(3,)),
        example("ops.average(x, axis=1, weights=abs(y) + 0.5)", x=(2, 3, 4), y=(2, 3, 4)),
        example("ops.average(x, weights=abs(y) + 0.5)", x=(2, 3), y=(2, 3)),
        example("ops.average(i, axis=1)", i=(9, "ids", 4, 6)),
    )

    def wants(self, path: str, a: Args) -> Layout | None:
        return Layout.KERAS

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        found = reduced(x.type, a.const("axis"), False)
        dtype = x.dtype if is_float(x.dtype) else "float32"
        if a.weights is None:
            return one(f"{as_float(x)}.mean(dim={found.dim})", found.shape, dtype)
        weights = tensor(a, "weights")
        if not is_float(x.dtype) or not is_float(weights.dtype):
            raise Declined("K2T103", "a weighted average of integers is not translated")
        if weights.rank == x.rank and broadcast([x.shape, weights.shape]) == x.shape:
            text = f"({x} * {weights}).sum(dim={found.dim}) / {weights}.sum(dim={found.dim})"
        elif weights.rank == 1 and len(found.dims) == 1:
            text = f"torch.tensordot({x}, {weights}, dims=([{found.dim}], [0])) / {weights}.sum()"
        else:
            raise Declined("K2T103", "an average with weights of this shape is not translated")
        return one(text, found.shape, dtype)


class CountIntegers(OpRule):
    """How often each number from zero on is there."""

    names = numpy_paths("bincount")
    signature, inputs = "x, weights=None, minlength=0, sparse=False", ("x", "weights")
    examples = (
        example("ops.bincount(i)", i=(6, "ids", 20)),
        example("ops.bincount(i, minlength=9)", i=(6, "ids", 20)),
        example("ops.bincount(i, weights=ops.stop_gradient(x))", i=(6, "ids", 20), x=(20,)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, weights = tensor(a), a.weights
        if x.rank != 1 or is_float(x.dtype) or x.dtype == "bool" or a.const("sparse"):
            raise Declined("K2T103", f"bincount of {x.dtype} with {x.rank} axes is not translated")
        if weights is not None and not (isinstance(weights, Operand) and is_float(weights.dtype)):
            raise Declined("K2T103", "bincount with weights that are no floats is not translated")
        options = "" if weights is None else f", {weights}"
        options += "" if a.const("minlength") == 0 else f", minlength={size_text(a.minlength)}"
        return one(f"torch.bincount({{0}}{options})", (None,), "int64" if weights is None else weights.dtype)


class Histogram(OpRule):
    """How many elements of a vector are in each of several bins of one width, and the bins' edges."""

    names = numpy_paths("histogram")
    signature = "x, bins=10, range=None"
    examples = (
        example("ops.histogram(ops.stop_gradient(x))[0]", x=(40,)),
        example("ops.histogram(x, 5)[1]", x=(40,)),
        example("ops.histogram(ops.stop_gradient(x), bins=4, range=(-1.0, 2.0))[0]", x=(40,)),
        example("ops.histogram(x, 4, (-1.0, 2.0))[1]", x=(40,)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, bins, limits = tensor(a), a.const("bins"), a.const("range")
        if x.rank != 1 or not is_float(x.dtype) or type(bins) is not int or bins < 1:
            raise Declined("K2T103", f"histogram of {x.dtype} with {x.rank} axes is not translated")
        low, high = map(code_of, limits or (0, 1))
        even = f"torch.linspace({low}, {high}, {bins + 1}, dtype={{0}}.dtype, device={{0}}.device)"
        edges = Step(fn=even if limits else f"torch.lerp({{0}}.min(), {{0}}.max(), {even})", hint="edges")
        inside = "{1}" if not limits else "{1}[({1} >= {0}[0]) & ({1} <= {0}[-1])]"
        places = f"torch.bucketize({inside}, {{0}}[1:-1], right=True)"
        both = Step(fn=f"(torch.bincount({places}, minlength={bins}).to({{1}}.dtype), {{0}})", takes=(0,))
        types = [TensorType((bins,), x.dtype), TensorType((bins + 1,), x.dtype)]
        return Lowering([edges, both], types, ("{0}[0]", "{0}[1]"))


class Digitize(OpRule):
    """The bin that each element falls in, by the bins' edges."""

    batched = True
    names = numpy_paths("digitize")
    signature = "x, bins"
    examples = (
        example("ops.digitize(x, [-0.5, 0.0, 0.5])"),
        example("ops.digitize(i, bins=(1.0, 2.5, 4.0))", i=(6, "ids", 3, 4)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, bins = tensor(a), a.const("bins")
        if not isinstance(bins, (list, tuple)) or any(type(b) not in (int, float) for b in bins) or x.dtype == "bool":
            raise Declined("K2T103", f"digitize by the edges {show(bins)} is not translated")
        source = as_float(x)
        edges = f"torch.tensor({[float(b) for b in bins]}, dtype={{0}}.dtype, device={{0}}.device)"
        edges = edges.replace("{0}.dtype", "torch.get_default_dtype()") if source != "{0}" else edges
        return one(f"torch.bucketize({source}, {edges}, right=True)", x.shape, "int64")


class SearchSorted(OpRule):
    """Where numbers would stand in a sorted vector."""

    names = numpy_paths("searchsorted")
    signature, inputs = "x, values, side='left'", ("x", "values")
    renames = {"sorted_sequence": "x"}
    examples = (
        example("ops.searchsorted(ops.sort(x), y)", x=(7,), y=(5,)),
        example("ops.searchsorted(ops.sort(i), j, side='right')", i=(9, "ids", 7), j=(9, "ids", 5)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, values = tensor(a), tensor(a, "values")
        if x.rank != 1 or values.rank != 1 or x.dtype != values.dtype or x.dtype == "bool":
            raise Declined("K2T103", "searchsorted of these tensors is not translated")
        side = a.const("side")
        if side not in ("left", "right"):
            raise Declined("K2T102", f"side={show(side)} is not translated")
        return one(
            f"torch.searchsorted({x}, {values}{', right=True' if side == 'right' else ''})", values.shape, "int64"
        )


class Correlate(OpRule):
    """One vector moved along another, and their products summed."""

    names = numpy_paths("correlate")
    signature, inputs = "x, y, mode='valid'", ("x", "y")
    renames = {"x1": "x", "x2": "y"}
    examples = (
        example("ops.correlate(x, y)", x=(7,), y=(3,)),
        example("ops.correlate(x, y, mode='full')", x=(7,), y=(3,)),
        example("ops.correlate(x[0], y[0], mode='same')", x=(1, 7), y=(1, 4)),
        example("ops.correlate(x[0], y[0], mode='same')", x=(1, 4), y=(1, 7)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, y, mode = tensor(a), tensor(a, "y"), a.const("mode")
        if x.rank != 1 or y.rank != 1 or not is_float(x.dtype) or not is_float(y.dtype):
            raise Declined("K2T103", "correlate of these tensors is not translated")
        n, m = x.shape[0], y.shape[0]
        known = all(isinstance(d, (int, Sym)) for d in (n, m))
        whole = f"F.conv1d({x}[None], {y}[None, None], padding={y}.shape[0] - 1)[0]"
        if mode == "valid":
            return one(f"F.conv1d({x}[None], {y}[None, None])[0]", (n - m + 1 if known else None,), x.dtype)
        if mode == "full":
            return one(whole, (n + m - 1 if known else None,), x.dtype)
        if mode != "same" or type(n) is not int or type(m) is not int:
            raise Declined("K2T103", f"correlate(mode={show(mode)}) of vectors of open size is not translated")
        start = (min(n, m) - 1) // 2
        return one(f"{whole}[{start}:{start + max(n, m)}]", (max(n, m),), x.dtype)


class Trapezoid(OpRule):
    """The area below a line through points."""

    names = numpy_paths("trapezoid")
    signature, inputs = "y, x=None, dx=1.0, axis=-1", ("y", "x")
    examples = (
        example("ops.trapezoid(y)", y=(2, 3, 4)),
        example("ops.trapezoid(y, dx=0.5, axis=1)", y=(2, 3, 4)),
        example("ops.trapezoid(y, x)", y=(2, 3, 4), x=(4,)),
        example("ops.trapezoid(y, x=x, axis=1)", y=(2, 3, 4), x=(2, 3, 4)),
    )

    def keeps_batch(self, path: str, a: Args) -> bool:
        return axis_of(a, tensor(a, "y").rank) != 0

    def lower(self, path: str, a: Args) -> Lowering:
        y, x = tensor(a, "y"), a.x
        axis = axis_of(a, y.rank)
        if any(not is_float(o.dtype) for o in operands([y, x])):
            raise Declined("K2T103", "trapezoid of integers is not translated")
        if isinstance(x, Operand) and x.rank != y.rank and not (x.rank == 1 and axis == y.rank - 1):
            raise Declined("K2T103", "places of another shape than the heights are not translated")
        how = f", {x}" if isinstance(x, Operand) else "" if a.dx == 1 else f", dx={code_of(a.dx)}"
        shape = tuple(d for i, d in enumerate(y.shape) if i != axis)
        return one(f"torch.trapezoid({y}{how}, dim={axis})", shape, y.dtype)


class Size(OpRule):
    """How many elements there are."""

    names = (*numpy_paths("size"), "tensorflow.size")
    signatures = {"tensorflow.size": "x, out_type=None"}
    renames = {"input": "x"}
    examples = (
        example("x * ops.cast(ops.size(x), x.dtype)"),
        example("x * tf.cast(tf.size(x[0]), x.dtype)"),
        example("x / tf.cast(tf.size(input=x), x.dtype)"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        return one("{0}.numel()", (), SIZE)
