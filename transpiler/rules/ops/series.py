"""Tensors of numbers that follow a rule: windows, triangles, numbers in even ratios."""

from __future__ import annotations

import math
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import Sym, code_of, is_open
from transpiler.ir.model import Args, Lowering
from transpiler.rules.base import show
from transpiler.rules.ops.base import OpRule, dtype_name, example, leaf_of, numpy_paths
from transpiler.rules.ops.constants import dtype_option, made

WINDOWS = {
    "bartlett": "torch.bartlett_window",
    "blackman": "torch.blackman_window",
    "hamming": "torch.hamming_window",
    "hanning": "torch.hann_window",
    "kaiser": "torch.kaiser_window",
}


class Window(OpRule):
    """Weights that rise to the middle and fall again."""

    names = numpy_paths(*WINDOWS)
    signature = "x"
    signatures = {path: "x, beta" for path in numpy_paths("kaiser")}
    inputs, creates = (), True
    examples = (
        *(example(f"ops.cast(ops.{leaf}(4), x.dtype) * x") for leaf in WINDOWS if leaf != "kaiser"),
        *(example(f"ops.cast(ops.{leaf}(3), x.dtype) * x", x=(2, 3)) for leaf in WINDOWS if leaf != "kaiser"),
        example("ops.cast(ops.kaiser(4, 8.5), x.dtype) * x"),
        example("ops.cast(ops.kaiser(3, beta=2.0), x.dtype) * x", x=(2, 3)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        if not isinstance(a.x, (int, Sym)) or not is_open(a.x) and a.x < 1:
            raise Declined("K2T103", f"a window of {show(a.x)} weights is not translated")
        beta = f", beta={code_of(a.beta)}" if "beta" in a else ""
        return made(f"{WINDOWS[leaf_of(path)]}({code_of(a.x)}, periodic=False{beta})", (a.x,), "float")


class TriangleOfOnes(OpRule):
    """Ones on a diagonal and below."""

    names = numpy_paths("tri")
    signature = "N, M=None, k=0, dtype=None"
    inputs, creates = (), True
    examples = (
        example("ops.tri(4) * x", x=(2, 4, 4)),
        example("ops.tri(3, 4, k=-1) * x"),
        example("ops.tri(3, 4, 1) * x"),
        example("ops.cast(ops.tri(3, M=4, dtype='int32'), x.dtype) * x"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        k, name = a.const("k"), "float" if a.dtype is None else dtype_name(a.dtype)
        shape = (a.N, a.N if a.M is None else a.M)
        if type(k) is not int or not all(isinstance(d, (int, Sym)) for d in shape):
            raise Declined("K2T103", "tri() of these sizes is not translated")
        return made(f"torch.ones({code_of(shape)}{dtype_option(name)}).tril({k or ''})", shape, name)


class Progression(OpRule):
    """Numbers in even ratios, between powers of a base or between two ends."""

    names = numpy_paths("logspace", "geomspace")
    signature = "start, stop, num=50, endpoint=True, base=10, dtype=None, axis=0"
    signatures = {path: "start, stop, num=50, endpoint=True, dtype=None, axis=0" for path in numpy_paths("geomspace")}
    inputs, creates = (), True
    examples = (
        example("ops.logspace(0.0, 1.0, 4) * x"),
        example("ops.logspace(-1, 2, num=4, base=2) * x"),
        example("ops.geomspace(1.0, 8.0, 4) * x"),
        example("ops.geomspace(-2.0, -0.25, num=4) * x"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        leaf = leaf_of(path)
        numbers = [a.start, a.stop, a.get("base", 10)]
        plain = all(type(v) in (int, float) for v in numbers) and isinstance(a.num, (int, Sym))
        if not plain or a.const("endpoint") is not True or a.const("axis") != 0:
            raise Declined("K2T103", f"{leaf}() with these arguments is not translated")
        if a.dtype is not None and dtype_name(a.dtype) != "float":
            raise Declined("K2T103", f"{leaf}() of integers is not translated")
        start, stop, base = numbers
        sign = ""
        if leaf == "geomspace":
            if start * stop <= 0:
                raise Declined("K2T103", f"geomspace() from {start} to {stop} is not translated")
            sign, (start, stop) = "-" if start < 0 else "", (math.log10(abs(v)) for v in (start, stop))
        text = f"torch.logspace({code_of(start)}, {code_of(stop)}, {code_of(a.num)}{base_option(base)})"
        return made(sign + text, (a.num,), "float")


def base_option(base: Any) -> str:
    return "" if base == 10 else f", base={code_of(base)}"
