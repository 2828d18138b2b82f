"""Functions on tensors that the result has as well: losses and metrics call them as the source does."""

from __future__ import annotations

from typing import Any

from transpiler.ir.expr import Sym, code_of
from transpiler.ir.model import Lowering, Step
from transpiler.ir.program import Block, Value
from transpiler.ir.shape import Layout
from transpiler.read.keras.evaluate.staging import KeptFunction, Memory
from transpiler.read.keras.evaluate.values import Function


class StagedKept:
    """The part of the stager that calls such functions."""

    memory: Memory
    flat: bool
    block: Block
    comments: Any
    emit_lowering: Any
    run_function: Any
    remember: Any
    where: Any

    def call_tensor_function(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Any:
        kept = self.memory.on_tensors.get(function.node)
        made = self.call_kept(function, kept, args, kwargs) if kept is not None and not self.flat else None
        return made if made is not None else super().call_tensor_function(function, args, kwargs)  # type: ignore[misc]

    def call_kept(
        self, function: Function, kept: KeptFunction, args: list[Any], kwargs: dict[str, Any]
    ) -> Value | None:
        """The result of a function that stays one, as its call; None where it is not for such arguments."""
        names = [p.arg for p in (*function.node.args.posonlyargs, *function.node.args.args)]
        given = {**dict(zip(names, args)), **kwargs}
        xs = [given.pop(n, None) for n in kept.tensors]
        plain = all(type(x) is Value and x.type.layout in (None, Layout.KERAS) for x in xs)
        if not plain or tuple(x.type.rank for x in xs) != kept.ranks or not given.keys() <= kept.options:  # type: ignore[union-attr]
            return None
        if not all(isinstance(v, (int, float, Sym)) for v in given.values()):
            return None
        outer, comments, self.block = self.block, self.comments, Block()
        try:
            result = self.run_function(function, args, kwargs)
        finally:
            self.block, self.comments = outer, comments
        if type(result) is not Value or result.type.layout not in (None, Layout.KERAS):
            return None
        options = "".join(f", {n}={code_of(v)}" for n, v in given.items())
        text = f"{kept.name}({', '.join(f'{{{i}}}' for i in range(len(xs)))}{options})"
        (made,) = self.emit_lowering(Lowering([Step(fn=text)], [result.type]), xs, None, span=self.where())
        self.remember(xs, [made], lambda new: [self.call_kept(function, kept, new, given)])
        return made  # type: ignore[no-any-return]
