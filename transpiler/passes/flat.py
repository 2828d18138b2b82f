"""The flat tier: one model's graph as one class, every layer on its own."""

from __future__ import annotations

from typing import Any

from transpiler.ir.program import Apply, Block, ModuleClass, Return, Value, replace_tensors, tensors
from transpiler.ir.shape import Layout, TensorType


def slice_block(block: Block, inputs: list[Value], outputs: list[Value]) -> Block:
    """The operations that `outputs` depend on, in order, starting from `inputs`."""
    needed = set(outputs)
    kept: list[Any] = []
    for op in reversed(block.ops):
        if isinstance(op, Apply) and any(r in needed for r in op.results) and not any(r in inputs for r in op.results):
            kept.append(op)
            needed.update(op.args)
    return Block(list(reversed(kept)))


def flat_class(name: str, block: Block, inputs: Any, outputs: Any, permute: Any) -> ModuleClass:
    """The class of a functional model; `permute(value)` writes what brings an output to Keras order into `block`."""
    moved = {y: permute(y) for y in tensors(outputs)}
    outputs = replace_tensors(outputs, moved)
    xs = tensors(inputs)
    body = slice_block(block, xs, tensors(outputs))
    body.ops.append(Return(outputs))
    return ModuleClass(name, [], xs, body, doc=root_doc([x.type for x in xs]), root=True)


def root_doc(types: list[TensorType]) -> str:
    """What a reader must know of the inputs."""
    images = [t for t in types if t.rank > 3]
    if not images:
        return ""
    shown = ", ".join("N" if i == 0 else _dim(d) for i, d in enumerate(images[0].shape))
    return f"Takes channels-last images ({shown}), as the Keras model did."


def _dim(dim: Any) -> str:
    return "?" if dim is None else str(dim)


__all__ = ["Layout", "flat_class", "root_doc", "slice_block"]
