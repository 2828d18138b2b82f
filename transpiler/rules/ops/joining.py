"""Functions that join tensors, and take them apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of
from transpiler.ir.model import Args, Lowering, Step
from transpiler.ir.shape import Layout, Shape, TensorType
from transpiler.rules.ops.base import (
    Operand,
    OpRule,
    axis_of,
    example,
    home_of,
    one,
    paths,
    tensor,
    tensor_list,
)


def joined(xs: Sequence[Operand], axis: int) -> Shape:
    """The shape of tensors joined along `axis`."""
    total: Any = 0
    for x in xs:
        total = None if total is None or x.shape[axis] is None else total + x.shape[axis]
    column = [next((x.shape[i] for x in xs if x.shape[i] is not None), None) for i in range(xs[0].rank)]
    return tuple(total if i == axis else column[i] for i in range(xs[0].rank))


class Concat(OpRule):
    """Tensors one after the other along an axis."""

    names = paths("concatenate", "concat")
    signature = "xs, axis=-1"
    signatures = {h: "xs, axis=0" for h in ("ops", "ops.numpy")} | {"tensorflow": "xs, axis"}
    renames = {"tensors": "xs", "values": "xs", "concat_dim": "axis"}
    inputs = ("xs",)
    examples = (
        example("tf.concat([x, y], 1)", x=(2, 3, 4), y=(2, 5, 4)),
        example("K.concatenate([x, y])", x=(2, 3, 4), y=(2, 3, 1)),
        example("ops.concatenate([x, y])", x=(2, 3), y=(2, 3)),
        example("tf.concat([x, x[:, :1]], axis=-2)"),
    )

    def wants(self, path: str, a: Args) -> Layout | None:
        return None if all(x.rank > 2 for x in tensor_list(a, "xs")) else Layout.KERAS

    def keeps_batch(self, path: str, a: Args) -> bool:
        return axis_of(a, tensor_list(a, "xs")[0].rank) != 0

    def lower(self, path: str, a: Args) -> Lowering:
        xs = tensor_list(a, "xs")
        axis = axis_of(a, xs[0].rank)
        if len({x.rank for x in xs}) > 1 or len({x.dtype for x in xs}) > 1:
            raise Declined("K2T103", "joining tensors of different ranks or dtypes is not translated")
        inputs = ", ".join(map(str, xs))
        text = f"torch.cat(({inputs}), dim={xs[0].type.axis(axis)})" if len(xs) > 1 else "{0}"
        return one(text, joined(xs, axis), xs[0].dtype, xs[0].type.layout)


class Stack(OpRule):
    """Tensors along a new axis."""

    names = paths("stack")
    signature, inputs = "xs, axis=0", ("xs",)
    renames = {"values": "xs", "x": "xs"}
    examples = (
        example("K.stack([x, y], axis=1)", x=(2, 3), y=(2, 3)),
        example("tf.stack([x, y], -1)", x=(2, 3, 4), y=(2, 3, 4)),
        example("ops.stack([x[:, 0], x[:, 1]])"),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        xs = tensor_list(a, "xs")
        if len({x.dtype for x in xs}) > 1:
            raise Declined("K2T103", "joining tensors of different dtypes is not translated")
        axis = a.const("axis")
        at = axis_of(a, xs[0].rank + 1)
        shape = (*xs[0].shape[:at], len(xs), *xs[0].shape[at:])
        text = f"torch.stack(({', '.join(map(str, xs))}), dim={axis})" if len(xs) > 1 else f"{{0}}.unsqueeze({axis})"
        return one(text, shape, xs[0].dtype)


class Unstack(OpRule):
    """The slices of an axis, as a list."""

    names = paths("unstack", "unpack")
    signature = "x, num=None, axis=0"
    renames = {"value": "x"}
    examples = (example("sum(tf.unstack(x, axis=1))"), example("tf.unstack(x, 4, -1)[2]"))

    def keeps_batch(self, path: str, a: Args) -> bool:
        return axis_of(a, tensor(a).rank) != 0

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        axis = axis_of(a, x.rank)
        count = x.shape[axis] if a.const("num") is None else a.const("num")
        if type(count) is not int:
            raise Declined("K2T103", "how many tensors unstack() gives is not known")
        shape = tuple(d for i, d in enumerate(x.shape) if i != axis)
        step = Step(fn=f"{{0}}.unbind({a.const('axis')})")
        return Lowering([step], [TensorType(shape, x.dtype)] * count, tuple(f"{{0}}[{i}]" for i in range(count)))


class Split(OpRule):
    """Parts of an axis, as a list."""

    names = paths("split")
    signature = "x, parts, axis=0, num=None"
    renames = {"value": "x", "num_or_size_splits": "parts", "indices_or_sections": "parts"}
    any_layout = True
    examples = (
        example("tf.split(x, 2, axis=-1)[1]"),
        example("sum(tf.split(x, 2, 2))"),
        example("tf.split(x, [1, 3], axis=2)[1]"),
        example("tf.split(x, [1, -1], axis=2)[1]"),
        example("ops.split(x, 2, axis=-1)[0]"),
        example("ops.split(x, [1, 3], axis=-1)[1]"),
    )

    def keeps_batch(self, path: str, a: Args) -> bool:
        return axis_of(a, tensor(a).rank) != 0

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        axis = axis_of(a, x.rank)
        whole, parts = x.shape[axis], a.const("parts")
        dim = x.type.axis(axis)
        if type(parts) is int:
            sizes = [None if whole is None else whole // parts] * parts
            text = f"{{0}}.chunk({parts}, dim={dim})"
            if type(whole) is int and whole % parts:
                raise Declined("K2T102", f"an axis of {whole} is not split in {parts} equal parts")
        else:
            sizes = list(parts)
            if home_of(path) == "ops":
                ends = [*sizes, whole]
                if any(type(e) is not int for e in ends):
                    raise Declined("K2T103", "splitting an axis of open size at places is not translated")
                sizes = [b - a for a, b in zip([0, *ends], ends)]
            if -1 in sizes:
                if type(whole) is not int:
                    raise Declined("K2T103", "splitting an axis of open size with -1 is not translated")
                sizes[sizes.index(-1)] = whole - sum(s for s in sizes if s != -1)
            text = f"{{0}}.split({code_of(sizes)}, dim={dim})"
        types = [
            TensorType(tuple(s if i == axis else d for i, d in enumerate(x.shape)), x.dtype).in_layout(x.type.layout)
            for s in sizes
        ]
        return Lowering([Step(fn=text)], types, tuple(f"{{0}}[{i}]" for i in range(len(types))))
