"""Dropout as a function, which drops in every mode."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Lowering
from transpiler.rules.base import show
from transpiler.rules.ops.base import elementwise, example, is_float, operand_text, tensor
from transpiler.rules.ops.drawing import Seeded
from transpiler.rules.spatial import is_one


class DropElements(Seeded):
    """Elements set to zero at random, whether the model trains or not; `noise_shape` shares the choice along axes of size 1."""

    batched = True
    names = ("backend.dropout", "tensorflow.nn.dropout", "tensorflow.compat.v1.nn.dropout", "random.dropout")
    signature = "x, rate, noise_shape=None, seed=None"
    signatures = {
        "tensorflow.compat.v1.nn.dropout": "x, keep_prob=None, noise_shape=None, seed=None, name=None, rate=None"
    }
    renames = {"level": "rate"}
    any_layout = True
    examples = (
        example("K.dropout(x, 0.0)"),
        example("K.dropout(x, 0.25)"),
        example("keras.random.dropout(x, 0.25, noise_shape=(None, 3, 1))"),
        example("K.dropout(x, level=0, noise_shape=(2, 1, 4), seed=3)"),
        example("tf.nn.dropout(x, rate=0.0, noise_shape=[tf.shape(x)[0], 1, 4])"),
        example("tf.compat.v1.nn.dropout(x, 1.0)"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        self.check_seed(path, a)
        x, rate = tensor(a), a.rate
        if not is_float(x.dtype):
            raise Declined("K2T103", f"dropout of {x.dtype} is not translated")
        if rate is None:  # TensorFlow 1 is told what to keep
            if type(a.keep_prob) not in (int, float):
                raise Declined("K2T103", f"keep_prob={show(a.keep_prob)} is not translated")
            rate = 1 - a.keep_prob
        dropped = self.source(x, a.noise_shape)
        text = f"F.dropout({dropped}, {operand_text(rate)})"
        return elementwise(text if dropped == "{0}" else f"{{0}} * {text}", [x])

    def source(self, x: Any, shape: Any) -> str:
        """What is dropped of: the tensor, or ones in the shape of the choice."""
        if shape is None:
            return "{0}"
        if not isinstance(shape, (list, tuple)) or len(shape) != x.rank:
            raise Declined("K2T103", f"noise_shape={show(shape)} of a tensor with {x.rank} axes is not translated")
        sizes = ["1" if is_one(d) else f"{{0}}.shape[{x.type.axis(i)}]" for i, d in enumerate(shape)]
        by_dim = [sizes[i] for i in sorted(range(x.rank), key=x.type.axis)]
        return f"{{0}}.new_ones({', '.join(by_dim)})"
