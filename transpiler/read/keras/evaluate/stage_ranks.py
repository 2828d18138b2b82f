"""Tensors whose rank depends on a parameter: `x = Flatten()(x)` on one side of a branch alone."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import NeedsConstant, Sym
from transpiler.ir.model import ApiValue, Args, Layer, Step
from transpiler.ir.program import Apply, Block, Value, replace_tensors, tensors
from transpiler.ir.shape import Layout, TensorType
from transpiler.read.keras.evaluate.signals import ProgramError
from transpiler.read.keras.evaluate.staging import Again, Memory
from transpiler.read.keras.evaluate.values import Alternative, Instance, Method, Model
from transpiler.rules.ops.base import OpRule


@dataclass(frozen=True, eq=False)
class Ranks:
    """What a tensor is on either side of a test; its axes stand in Keras order on both.

    The tensor's own type has the size of the last axis that it has on either side.
    """

    test: Sym
    then: TensorType | Ranks
    otherwise: TensorType | Ranks
    home: Any
    """The class or factory under construction whose names the test is written in."""

    def map(self, function: Callable[[TensorType], Any], join: Callable[..., Any]) -> Any:
        """`function` of every type, joined by `join(test, then, otherwise, home)`."""
        sides = [s.map(function, join) if isinstance(s, Ranks) else function(s) for s in (self.then, self.otherwise)]
        return join(self.test, *sides, self.home)


class RankNeeded(Again):
    """The rank of what another builder's model returns depends on that builder's parameters: it has to be written inline."""

    def __init__(self, maker: ast.AST) -> None:
        super().__init__("the rank of what a model returns is needed")
        self.maker = maker

    def note(self, memory: Memory) -> None:
        memory.ranks_needed.append(self.maker)


class StagedRanks:
    """The part of the stager that keeps such tensors: what is the same for every rank is done, once for all of them.

    Everything else needs to know the rank. That includes every operation that this class does not know of.
    """

    poly: dict[Value, Ranks]
    of_builder: dict[Value, ast.AST]
    """Tensors whose rank only another builder knows → the function of that builder."""
    same_for_all = False
    """Whether the operation that is written right now is known to be the same for every rank."""

    def one_rank(self, *values: Any) -> None:
        """Raises NeedsConstant if one of the tensors in `values` has an open rank."""
        for x in tensors(list(values)) if self.poly or self.of_builder else ():
            if self.has_open_rank(x):
                raise NeedsConstant(self.poly[x].test, "the rank of this tensor depends on a parameter")

    def has_open_rank(self, *xs: Value) -> bool:
        """Whether one of these tensors has an open rank. Raises RankNeeded if it is not known here on what that depends."""
        maker = next((self.of_builder[x] for x in xs if x in self.of_builder), None)
        if maker is not None:
            raise RankNeeded(maker)
        return any(x in self.poly for x in xs)

    def emit(self, op: Any) -> None:
        if isinstance(op, Apply) and not self.same_for_all:
            self.one_rank(op.args)
        super().emit(op)  # type: ignore[misc]

    def with_known_rank(self, x: Value) -> Value:
        """`x`, or where the tests that decide its rank are decided here, what it is there."""
        kind: Any = self.poly[x]
        while isinstance(kind, Ranks):
            outcome = self.truth(kind.test) if kind.home is self.frame else kind.test  # type: ignore[attr-defined]
            if isinstance(outcome, Sym):
                break
            kind = kind.then if outcome else kind.otherwise
        if kind is self.poly[x]:
            return x
        known = Value(kind if isinstance(kind, TensorType) else x.type, x.hint)
        self.same_for_all = True
        self.emit(Apply([known], [x], Step(fn="{0}")))
        self.same_for_all = False
        if isinstance(kind, Ranks):
            self.poly[known] = kind
        self.made_once(known)  # type: ignore[attr-defined]
        return known

    def on_all_ranks(self, xs: list[Value], action: Callable[[list[Value]], list[Value]]) -> list[Value]:
        """The results of `action`, if it writes the same operations for every rank of the one open tensor in `xs`."""
        x, *more = dict.fromkeys(x for x in xs if x in self.poly)
        if more:
            self.one_rank(x)
        written: list[Any] = []

        def attempt(kind: TensorType) -> list[TensorType]:
            stand_in, block = Value(replace(kind, shape=(*kind.shape[:-1], x.type.channels)), x.hint), Block()
            results: list[Value] = []
            try:
                results = self.in_block(block, lambda: action([stand_in if y is x else y for y in xs]))  # type: ignore[attr-defined]
            except (Declined, ProgramError):
                self.one_rank(x)
            written.append(operations(block, stand_in))
            if any(y.type.layout is not Layout.KERAS for y in results):
                self.one_rank(x)
            return [y.type for y in results]

        ranks = self.poly[x].map(attempt, lambda test, a, b, home: [Ranks(test, *s, home) for s in zip(a, b)])
        if any(w != written[0] for w in written):
            self.one_rank(x)
        self.same_for_all = True
        try:
            results = action(xs)
        finally:
            self.same_for_all = False
        self.poly.update(zip(results, ranks))
        return results

    def apply_layer(self, layer: Layer, xs: list[Value], *masks: Any) -> Any:
        whole = functools.partial(super().apply_layer, layer)  # type: ignore[misc]
        if not self.has_open_rank(*xs):
            return whole(xs, *masks)
        if any(how.given for how in masks) or any(x in self.masks for x in xs):  # type: ignore[attr-defined]
            self.one_rank(xs)
        if layer in self.built or "activation_function" in layer.attributes:  # type: ignore[attr-defined]
            self.one_rank(xs)

        def action(ys: list[Value]) -> list[Value]:
            self.built.pop(layer, None)  # type: ignore[attr-defined]
            layer.attributes.pop("calls", None)
            result = whole(ys)
            if not isinstance(result, Value):
                self.one_rank(xs)
            return [result]

        return self.on_all_ranks(xs, action)[0]

    def apply_op(self, rule: OpRule, path: str, bound: Args, inputs: list[Value]) -> tuple[list[Value], bool]:
        whole = super().apply_op  # type: ignore[misc]
        if not self.has_open_rank(*inputs):
            return whole(rule, path, bound, inputs)

        def action(xs: list[Value]) -> list[Value]:
            values = {n: replace_tensors(bound.get(n), dict(zip(inputs, xs))) for n in bound}
            results, several = whole(rule, path, bound.replace(**values), xs)
            if several:
                self.one_rank(inputs)
            return results

        return self.on_all_ranks(inputs, action), False

    def apply_operator(self, template: str, operands: list[Any], dtype: str | None = None) -> Value:
        whole = super().apply_operator  # type: ignore[misc]
        xs = list(dict.fromkeys(tensors(operands)))
        if not self.has_open_rank(*xs):
            return whole(template, operands, dtype)
        again = lambda ys: [whole(template, replace_tensors(operands, dict(zip(xs, ys))), dtype)]  # noqa: E731
        return self.on_all_ranks(xs, again)[0]

    def tensor_attribute(self, x: Value, name: str) -> Any:
        whole = super().tensor_attribute  # type: ignore[misc]
        if name in ("dtype", "name") or not self.has_open_rank(x):
            return whole(x, name)
        found = self.poly[x].map(lambda kind: whole(Value(kind, x.hint), name), Alternative)
        if isinstance(whole(x, name), Method):
            self.one_rank(x)
        return found

    def call_api(self, api: ApiValue, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if hasattr(self, f"api_{api.leaf}"):
            self.one_rank(args, kwargs)
        return super().call_api(api, args, kwargs)  # type: ignore[misc]

    def call_custom_layer(self, layer: Instance, args: list[Any], kwargs: dict[str, Any]) -> Any:
        self.one_rank(args, kwargs)
        return super().call_custom_layer(layer, args, kwargs)  # type: ignore[misc]

    def call_model(self, model: Model, args: list[Any], kwargs: dict[str, Any]) -> Any:
        self.one_rank(args, kwargs)
        return super().call_model(model, args, kwargs)  # type: ignore[misc]


def operations(block: Block, x: Value) -> list[Any]:
    """What a block does, to be compared with what another one does to another tensor in the place of `x`."""
    numbers: dict[Value, int] = {x: 0}
    found: list[Any] = []
    for op in block.ops:
        if not isinstance(op, Apply):
            return [object()]
        made = {y: len(numbers) + i for i, y in enumerate(op.results)}
        found.append((op.step, op.outputs, [numbers.get(y, y) for y in op.args], list(made.values())))
        numbers |= made
    return found
