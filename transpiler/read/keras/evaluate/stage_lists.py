"""Lists that a kept loop fills with tensors: filling them, reading them in a later loop, joining what is in them."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field, replace
from typing import Any

from transpiler.ir.expr import MISSING, NeedsConstant, Sym, to_ast
from transpiler.ir.model import ApiValue, Layer
from transpiler.ir.naming import singular
from transpiler.ir.program import Let, Loop, Value
from transpiler.read.keras.evaluate.api import layer_functions
from transpiler.read.keras.evaluate.effects import Snapshot
from transpiler.read.keras.evaluate.gathered import Gathered, NotGathered, Zipped, gathered_in, zipped
from transpiler.read.keras.evaluate.signals import ProgramError, Signal
from transpiler.read.keras.evaluate.staging import StageError, is_static
from transpiler.read.keras.evaluate.values import Env


@dataclass
class LoopItems:
    """An iteration of a kept loop: what the source's variables are, and the loop of the constructor."""

    value: Any
    target: ast.expr
    iterable: Any
    zipped: list[tuple[Value, Value, bool]] = field(default_factory=list)


def as_target(value: Any) -> ast.expr:
    """The variables of a loop as the target of the constructor's loop."""
    return ast.Tuple([as_target(v) for v in value], ast.Load()) if isinstance(value, tuple) else to_ast(value)


class StagedLists:
    """The part of the stager that keeps lists of tensors whose length is open."""

    gathers = False
    """Whether a loop has been kept that fills a list."""

    def gathered_loop(self, node: ast.For, iterable: Any, env: Env) -> Signal | None:
        """A loop over the tensors that a loop before it gathered."""
        outside = Snapshot(env)
        layers, own = len(self.layers), self.own_layers
        try:
            self.own_layers = layers
            kept = self.keep_loop(node, env, outside, lambda: self.open_items(node.target, iterable))
        except (StageError, NeedsConstant, ProgramError) as error:
            if isinstance(error, NeedsConstant) and not self.of_loop(error):
                raise
            kept = False
        finally:
            self.own_layers = own
        if not kept:
            raise NotGathered(iterable.node)
        return None

    def call(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        found = gathered_in([args, kwargs]) if self.gathers else None
        if (
            found is None
            or isinstance(function, Layer)
            or isinstance(function, ApiValue)
            and function.leaf in layer_functions()
        ):
            return super().call(function, args, kwargs)
        if function is reversed and isinstance(args[0], Gathered):
            return reversed(args[0])
        whole = zipped(function, args) if function in (zip, enumerate) and not kwargs else None
        if whole is None:
            raise NotGathered(found.node)
        return whole

    def call_layer(self, layer: Layer, args: list[Any], kwargs: dict[str, Any]) -> Any:
        inputs = args[0] if args else kwargs.get("inputs")
        found = gathered_in(inputs) if self.gathers else None
        if found is None:
            return super().call_layer(layer, args, kwargs)
        if inputs is not found or found.backwards:
            raise NotGathered(found.node)
        lowering = layer.rule.gathered(layer.args, found.series.type, found.count, found.total)
        if lowering is None:
            raise NotGathered(found.node)
        result = self.emit_lowering(lowering, [found.series], layer, span=layer.span)
        self.remember([found.series], result, lambda xs: self.not_again(), layer)
        return result[0]

    def open_items(self, target: ast.expr, iterable: Any) -> LoopItems:
        """What an iteration over open lists of tensors binds, and what the constructor's loop runs over."""
        if isinstance(iterable, Gathered):
            shape = list(iterable.series.type.shape)
            sizes: Any = iterable.iterable
            size = Sym.name(self.fresh("i"))
            if iterable.channels is not None:
                label = f"{singular(iterable.series.hint)}_channels"
                size = shape[-1] = Sym.name(self.fresh(label), MISSING, True)
                sizes = iterable.channels
                if iterable.backwards:
                    sizes = Sym(ast.Call(ast.Name("reversed", ast.Load()), [sizes.expr], []))
            hint = target.id if isinstance(target, ast.Name) else singular(iterable.series.hint)
            item = Value(replace(iterable.series.type, shape=tuple(shape)), hint)
            self.made_once(item)
            return LoopItems(item, size.expr, sizes, [(iterable.series, item, iterable.backwards)])
        if not isinstance(iterable, Zipped):
            items = iterable.witness if isinstance(iterable, Sym) else list(self.iterate(iterable))
            if not isinstance(items, (list, tuple, range)) or not items or not is_static(list(items)):
                raise StageError("this is not iterated over together with an open list")
            found = self.loop_target(target, items[0])
            return LoopItems(found, as_target(found), iterable)
        if not isinstance(target, (ast.Tuple, ast.List)) or len(target.elts) != len(iterable.parts):
            raise StageError("this loop variable is not kept")
        parts = [self.open_items(t, p) for t, p in zip(target.elts, iterable.parts)]
        targets = ast.Tuple([p.target for p in parts], ast.Load())
        whole = Sym(ast.Call(ast.Name("zip", ast.Load()), [to_ast(p.iterable) for p in parts], []))
        return LoopItems(tuple(p.value for p in parts), targets, whole, [z for p in parts for z in p.zipped])

    def gather(
        self, loop: Loop, node: ast.For, name: str, items: list[Any], local: set[str], updates: dict[str, Any]
    ) -> Gathered:
        """The list that a loop filled with one tensor an iteration."""
        if len(items) != 1 or not isinstance(items[0], Value):
            raise StageError("the loop fills a list")
        item: Value = items[0]
        differ = [
            isinstance(d, Sym) and any(n in local or n.startswith("member__") for n in d.names())
            for d in item.type.shape
        ]
        dims = [self.unsaid(name, node, d) if differs else d for d, differs in zip(item.type.shape, differ)]
        channels = None
        if differ[-1]:
            dims[-1] = None
            slot = self.fresh(f"{name}_channels")
            self.emit(Let(slot, [], slot))
            size = to_ast(item.type.shape[-1])
            updates[slot] = Sym(ast.List([ast.Starred(ast.Name(slot, ast.Load()), ast.Load()), size], ast.Load()))
            channels = Sym.name(slot)
        self.gathers = True
        series = Value(replace(item.type, shape=tuple(dims)), name)
        self.made_once(series)
        loop.gathered.append((series, item))
        return Gathered(series, loop.iterable, channels, node)

    def unsaid(self, name: str, node: ast.For, size: Sym) -> Sym:
        """A size that differs between the items of a list: where it turns out to be needed, the loop is unrolled."""
        label = self.fresh(f"{singular(name)}_size")
        self.memory.unsaid[label] = node
        return Sym.name(label, MISSING, size.integer)
