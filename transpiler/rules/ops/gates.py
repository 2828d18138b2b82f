"""Functions of `keras.activations` that take more than a tensor, or give another shape."""

from __future__ import annotations

from transpiler.diagnostics import Declined
from transpiler.ir.expr import same
from transpiler.ir.model import Args, Lowering, Step
from transpiler.ir.shape import TensorType
from transpiler.rules.base import show
from transpiler.rules.ops.base import OpRule, axis_of, example, is_float, leaf_of, operand_text, tensor


class Gates(OpRule):
    """`F.glu`, `F.threshold`, and the sparsemax of Keras."""

    names = ("activations.glu", "activations.threshold", "activations.sparsemax")
    signature = "x, axis=-1"
    signatures = {"activations.threshold": "x, threshold, default_value"}
    batched = True
    examples = (
        example("keras.activations.glu(ops.tanh(x))"),
        example("keras.activations.glu(ops.tanh(x), axis=1)", x=(2, 6, 5)),
        example("keras.activations.threshold(ops.tanh(x), 0.2, -3.0)"),
        example("keras.activations.sparsemax(ops.tanh(x))"),
        example("keras.activations.sparsemax(ops.tanh(x), axis=1)"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, leaf = tensor(a), leaf_of(path)
        if not is_float(x.dtype):
            raise Declined("K2T103", f"{leaf} of {x.dtype} is not translated")
        if leaf == "threshold":
            text = f"F.threshold({{0}}, {operand_text(a.threshold)}, {operand_text(a.default_value)})"
            return Lowering([Step(fn=text, hint="x")], [x.type])
        axis = axis_of(a, x.rank)
        if leaf == "sparsemax":
            step = Step(fn=f"sparsemax({{0}}, dim={axis})", hint="x", helpers=("sparsemax",))
            return Lowering([step], [x.type])
        size = x.shape[axis]
        if type(size) is int and size % 2:
            raise Declined("K2T104", f"glu halves an axis of size {show(size)}")
        half = None if size is None else size // 2
        shape = tuple(half if same(i, axis) else d for i, d in enumerate(x.shape))
        return Lowering([Step(fn=f"F.glu({{0}}, dim={axis})", hint="x")], [TensorType(shape, x.dtype)])
