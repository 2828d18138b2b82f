"""Functions that make tensors larger: repeating and padding."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Lowering
from transpiler.ir.shape import Layout
from transpiler.rules.base import show
from transpiler.rules.ops.base import (
    Operand,
    OpRule,
    axis_of,
    example,
    home_of,
    leaf_of,
    one,
    operand_text,
    paths,
    size_of,
    size_text,
    sizes_text,
    tensor,
)


def times(d: Any, n: Any) -> Any:
    return None if d is None or n is None else d * n


class Tile(OpRule):
    """The tensor repeated along each axis."""

    names = paths("tile")
    signature = "x, multiples"
    renames = {"input": "x", "n": "multiples", "repeats": "multiples"}
    examples = (
        example("tf.tile(x, [1, 2, 1])"),
        example("K.tile(x, (1, 1, 3))"),
        example("ops.tile(x, (2, 1))"),
        example("tf.tile(tf.constant([[1.0, 2.0]]), [tf.shape(x)[0], 2]) * x", x=(3, 4)),
        example("tf.tile(x[:1], [tf.shape(x)[0], 1, 1])"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, counts = tensor(a), a.multiples
        counts = list(counts) if isinstance(counts, (list, tuple)) else [counts]
        if len(counts) > x.rank and home_of(path) != "ops" or len(counts) < x.rank and home_of(path) == "tensorflow":
            raise Declined("K2T102", f"{len(counts)} counts for a tensor with {x.rank} axes")
        dims = (1,) * (len(counts) - x.rank) + x.shape
        counted = [1] * (len(dims) - len(counts)) + counts
        shape = tuple(times(d, size_of(n)) for d, n in zip(dims, counted))
        return one(f"{{0}}.tile({sizes_text(counts)})", shape, x.dtype)


class Repeat(OpRule):
    """Each element repeated along an axis."""

    names = ("ops.repeat", "ops.numpy.repeat", "tensorflow.repeat", "backend.repeat_elements")
    signature = "x, repeats, axis=None"
    renames = {"input": "x", "rep": "repeats"}
    examples = (
        example("ops.repeat(x, 2, axis=1)"),
        example("tf.repeat(x, 3, axis=-1)"),
        example("K.repeat_elements(x, 2, 1)"),
        example("tf.repeat(x, [1, 2, 3], axis=1)"),
        example("tf.repeat(x[:1], tf.shape(x)[0], axis=0)"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, repeats = tensor(a), a.repeats
        if a.axis is None:
            raise Declined("K2T103", "repeat() without an axis is not translated")
        axis = axis_of(a, x.rank)
        if isinstance(repeats, (list, tuple)):
            if any(type(r) is not int for r in repeats):
                raise Declined("K2T103", "these counts are not translated")
            total: Any = sum(repeats)
            count = f"torch.tensor({list(repeats)}, device={{0}}.device)"
            if len(repeats) == 1:
                total, count = times(x.shape[axis], repeats[0]), str(repeats[0])
        else:
            total, count = times(x.shape[axis], size_of(repeats)), size_text(repeats)
        shape = tuple(total if i == axis else d for i, d in enumerate(x.shape))
        return one(f"{{0}}.repeat_interleave({count}, dim={a.const('axis')})", shape, x.dtype)


class RepeatVector(OpRule):
    """`K.repeat`: each vector as often as steps are wanted."""

    names = ("backend.repeat",)
    signature = "x, n"
    examples = (example("K.repeat(x, 3)", x=(2, 4)),)

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        shape = (x.shape[0], size_of(a.n), x.shape[1])
        return one(f"{{0}}.unsqueeze(1).expand(-1, {size_text(a.n)}, -1)", shape, x.dtype)


def grown(d: Any, *amounts: Any) -> Any:
    for n in amounts:
        d = None if d is None or isinstance(n, Operand) else d + n
    return d


class Pad(OpRule):
    """A border around a tensor."""

    names = (*paths("pad"), "backend.temporal_padding", "backend.spatial_2d_padding", "backend.spatial_3d_padding")
    signature = "x, padding, mode='constant', constant_values=0, data_format=None"
    signatures = {
        "backend.temporal_padding": "x, padding=(1, 1), data_format=None",
        "backend.spatial_2d_padding": "x, padding=((1, 1), (1, 1)), data_format=None",
        "backend.spatial_3d_padding": "x, padding=((1, 1), (1, 1), (1, 1)), data_format=None",
    }
    renames = {"tensor": "x", "paddings": "padding", "pad_width": "padding"}
    examples = (
        example("tf.pad(x, [[0, 0], [1, 2], [0, 3]])"),
        example("tf.pad(x, tf.constant([[0, 0], [2, 0], [0, 0]]), constant_values=1.5)"),
        example("ops.pad(x, ((0, 0), (1, 1), (0, 0)))"),
        example("tf.pad(x, [[0, 0], [1, 2], [2, 1], [0, 0]], 'REFLECT')", x=(2, 4, 5, 3)),
        example("K.temporal_padding(x, (2, 1))"),
        example("K.spatial_2d_padding(x, ((1, 0), (2, 3)))", x=(2, 4, 5, 3)),
        example("K.spatial_3d_padding(x, ((1, 0), (2, 3), (0, 1)))", x=(2, 4, 5, 2, 3)),
        example("K.spatial_2d_padding(x, data_format='channels_first')", x=(2, 4, 5, 3)),
        example("tf.pad(tf.pad(x, [[0, 0], [1, 2], [0, 0], [0, 0]]), [[0, 0]] * 3 + [[1, 1]])", x=(2, 4, 5, 3)),
    )

    def wants(self, path: str, a: Args) -> Layout | None:
        mode = "constant" if home_of(path) == "backend" else a.lower("mode")
        x = tensor(a)
        pads = self.pads(path, a, x.rank)
        spatial = x.rank > 2 and pads[0] == (0, 0) and pads[-1] == (0, 0)
        return Layout.FIRST if mode == "reflect" and spatial and x.rank > 3 else None

    def pads(self, path: str, a: Args, rank: int) -> list[tuple[Any, Any]]:
        """(before, after) for each axis, in Keras order."""
        padding = a.padding
        if home_of(path) == "backend":
            pairs = [padding] if leaf_of(path) == "temporal_padding" else list(padding)
            form = a.const("data_format") or "channels_last"
            outside = [(0, 0)]
            pads = [*outside, *outside, *pairs] if form == "channels_first" else [*outside, *pairs, *outside]
        else:
            pads = list(padding) if isinstance(padding, (list, tuple)) else []
        if len(pads) != rank or not all(isinstance(p, (list, tuple)) and len(p) == 2 for p in pads):
            raise Declined("K2T103", f"padding={show(padding)} of a tensor with {rank} axes is not translated")
        return [tuple(p) for p in pads]

    def keeps_batch(self, path: str, a: Args) -> bool:
        return self.pads(path, a, tensor(a).rank)[0] == (0, 0)

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        pads = self.pads(path, a, x.rank)
        mode = "constant" if home_of(path) == "backend" else a.lower("mode")
        shape = tuple(grown(d, *p) for d, p in zip(x.shape, pads))
        by_dim = {x.type.axis(i): p for i, p in enumerate(pads)}
        used = [i for i, p in by_dim.items() if tuple(p) != (0, 0)]
        if not used:
            return Lowering([], [x.type])
        amounts = [n for i in range(x.rank - 1, min(used) - 1, -1) for n in by_dim[i]]
        if mode == "reflect" and x.dtype == "bool":
            raise Declined("K2T103", "reflection of truths is not translated")
        if mode == "reflect":
            if min(used) < 2 or x.rank > 5 or len(amounts) != 2 * (x.rank - 2):
                amounts = [n for i in range(x.rank - 1, 1, -1) for n in by_dim[i]]
                if min(used) < 2 or x.rank > 5:
                    raise Declined("K2T103", "reflection on these axes is not translated")
            text = f"F.pad({{0}}, ({sizes_text(amounts)}), mode='reflect')"
        elif mode == "constant":
            value = a.get("constant_values") or 0
            filled = "" if type(value) in (int, float) and value == 0 else f", value={operand_text(value)}"
            text = f"F.pad({{0}}, ({sizes_text(amounts)}){filled})"
        else:
            raise Declined("K2T103", f"padding of mode {show(mode)} is not translated")
        return one(text, shape, x.dtype, x.type.layout)
