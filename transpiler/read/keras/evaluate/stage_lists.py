"""Lists that a kept loop fills with tensors: filling them, reading them in a later loop, joining what is in them."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from transpiler.ir.expr import MISSING, NeedsConstant, Sym, code_of, is_open, observe, same, to_ast
from transpiler.ir.liveness import results_of
from transpiler.ir.model import ApiValue, Layer, Step
from transpiler.ir.naming import singular
from transpiler.ir.program import Initial, Let, Loop, Part, Pick, Value, tensors
from transpiler.ir.statics import side_by_side
from transpiler.ir.trees import nodes, variables_in
from transpiler.read.keras.evaluate.api import layer_functions
from transpiler.read.keras.evaluate.effects import Snapshot
from transpiler.read.keras.evaluate.filling import Filled
from transpiler.read.keras.evaluate.gathered import (
    Gathered,
    NotGathered,
    Zipped,
    gathered_in,
    length_of,
    numbers,
    zipped,
)
from transpiler.read.keras.evaluate.signals import ProgramError, Signal
from transpiler.read.keras.evaluate.staging import StageError, axis_name, expand_lets, is_static
from transpiler.read.keras.evaluate.values import Env, Function, has_tensors


@dataclass
class LoopItems:
    """An iteration of a kept loop: what the source's variables are, and the loop of the constructor."""

    value: Any
    parts: list[Part]
    zipped: list[tuple[Value, Value, bool]] = field(default_factory=list)

    @property
    def loop(self) -> tuple[ast.expr, Any]:
        """The target with the variables of all sizes, and what it runs over without their lists."""
        targets = [t for p in self.parts for t in (p.target, *(ast.Name(n, ast.Load()) for n, _ in p.columns))]
        target, _ = side_by_side(targets, [()] * len(targets))
        return target, side_by_side([p.target for p in self.parts], [p.iterable for p in self.parts])[1]


def as_target(value: Any) -> ast.expr:
    """The variables of a loop as the target of the constructor's loop."""
    return ast.Tuple([as_target(v) for v in value], ast.Load()) if isinstance(value, tuple) else to_ast(value)


class StagedLists:
    """The part of the stager that keeps lists of tensors whose length is open."""

    gathers = False
    """Whether a loop has been kept that fills a list."""
    picked: dict[Value, tuple[Gathered, Any]]
    """An item taken out of an open list → that list as it was, and the index."""

    def gathered_loop(self, node: ast.For, iterable: Any, env: Env) -> Signal | None:
        """A loop over the tensors that a loop before it gathered."""
        outside = Snapshot(env)
        layers, own, began = len(self.layers), self.own_layers, self.memory.counter
        try:
            self.own_layers = layers
            kept = self.keep_loop(node, env, outside, lambda: self.open_items(node.target, iterable))
        except (StageError, NeedsConstant, ProgramError) as error:
            if isinstance(error, NeedsConstant) and not self.of_loop(error, began):
                raise
            kept = False
        finally:
            self.own_layers = own
        if not kept:
            raise NotGathered(iterable.node)
        return None

    def call(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        found = gathered_in([args, kwargs]) if self.gathers else None
        of_program = isinstance(getattr(function, "function", function), Function)
        if (
            found is None
            or isinstance(function, Layer)
            or of_program
            or getattr(function, "name", "") == "len"
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

    def length(self, value: Any) -> Any:
        if isinstance(value, Gathered) and value.count is not None:
            return value.count
        return super().length(value)

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
            hint = target.id if isinstance(target, ast.Name) else singular(iterable.series.hint)
            shape = list(iterable.series.type.shape)
            columns = []
            for axis in iterable.sizes:
                variable = self.fresh(self.size_label(iterable, axis))
                shape[axis] = Sym.name(variable, MISSING, True)
                columns.append((variable, iterable.sizes_along(axis)))
            item = Value(replace(iterable.series.type, shape=tuple(shape)), hint)
            self.made_once(item)
            part = Part(Sym.name(self.fresh("i")).expr, iterable.over, columns)
            return LoopItems(item, [part], [(iterable.series, item, iterable.backwards)])
        if not isinstance(iterable, Zipped):
            items = iterable.witness if isinstance(iterable, Sym) else list(self.iterate(iterable))
            if not isinstance(items, (list, tuple, range)) or not items or not is_static(list(items)):
                raise StageError("this is not iterated over together with an open list")
            found = self.loop_target(target, items[0])
            return LoopItems(found, [Part(as_target(found), iterable)])
        if not isinstance(target, (ast.Tuple, ast.List)) or len(target.elts) != len(iterable.parts):
            raise StageError("this loop variable is not kept")
        found = [self.open_items(t, p) for t, p in zip(target.elts, iterable.parts)]
        return LoopItems(
            tuple(p.value for p in found), [p for f in found for p in f.parts], [z for f in found for z in f.zipped]
        )

    def size_label(self, open_list: Gathered, axis: int) -> str:
        """What the size of an item along an axis is called."""
        rank = open_list.series.type.rank
        label = "channels" if axis == rank - 1 else axis_name(rank, axis)
        return f"{singular(open_list.series.hint)}_{label}"

    def binop(self, op: ast.operator, left: Any, right: Any) -> Any:
        """An open list with items behind it is an open list; any other operation needs single tensors."""
        found = gathered_in([left, right]) if self.gathers else None
        if found is None:
            return super().binop(op, left, right)
        if left is not found or not isinstance(op, ast.Add) or not isinstance(right, list):
            raise NotGathered(found.node)
        longer = replace(found)
        for item in right:
            self.list_append(longer, item)
        return longer

    def tensors_of(self, node: Any, iterable: Any, env: Env) -> Any:
        """A comprehension that makes a tensor of each item, evaluated as the loop that appends them; None for another."""
        (generator,) = node.generators  # the list's name, with a space, is no variable of the program
        made = any(isinstance(n, ast.Name) and has_tensors(self.seen(n.id, env)) for n in nodes(node.elt))
        if self.flat or generator.ifs or not made and not isinstance(iterable, (Gathered, Zipped)):
            return None
        loop, name = self.memory.comprehensions.get(node), self.assigned.get(node, "outputs") + " "
        if loop is None:
            append = ast.Call(ast.Attribute(ast.Name(name, ast.Load()), "append", ast.Load()), [node.elt], [])
            loop = ast.For(generator.target, generator.iter, [ast.Expr(append)], [], None)
            ast.fix_missing_locations(ast.copy_location(loop, node))
            self.memory.comprehensions[node] = loop
        scope = Env(env, "comprehension", env.module, {name: []})
        self.frames[id(scope)] = self.frame
        self.frame.scopes.append(scope)
        self.loop(loop, iterable, scope)
        scope.over = True
        return scope.names[name]

    def seen(self, name: str, env: Env) -> Any:
        scope = env.scope_of(name)
        return scope.names[name] if scope is not None else None

    def getitem(self, value: Any, index: Any) -> Any:
        if not isinstance(value, Gathered):
            return super().getitem(value, index)
        if isinstance(index, slice):
            if (index.start, index.stop, index.step) == (None, None, -1):
                return reversed(value)
            if index.step is not None or is_open((index.start, index.stop)) or value.backwards:
                raise NotGathered(value.node)
            return self.part_of(value, index, None)
        if not isinstance(index, (int, Sym)) or isinstance(index, bool):
            raise NotGathered(value.node)
        return self.item_of(value, index)

    def item_of(self, value: Gathered, index: Any) -> Value:
        """`list[index]`."""
        shape = list(value.series.type.shape)
        place = -1 - index if value.backwards else index
        for axis, sizes in value.sizes.items():
            variable = self.fresh(self.size_label(value, axis))
            self.emit(Let(variable, sizes[place], variable))
            shape[axis] = Sym.name(variable, MISSING, True)
        item = Value(replace(value.series.type, shape=tuple(shape)), singular(value.series.hint))
        self.emit(Pick([item], [value.series], Step(fn=f"{{0}}[{code_of(place)}]"), span=self.where(), index=place))
        self.remember([value.series], [item], lambda xs: self.not_again())
        self.picked[item] = replace(value), index
        return item

    def part_of(self, value: Gathered, index: slice, count: Any) -> Gathered:
        """A slice of an open list that is read forwards."""
        series = Value(value.series.type, value.series.hint)
        self.emit(Pick([series], [value.series], Step(fn=f"{{0}}[{code_of(index)}]"), index=index))
        self.made_once(series)
        sizes = {}
        for axis, whole in value.sizes.items():
            variable = self.fresh(whole.code)
            self.emit(Let(variable, Sym(ast.Subscript(whole.expr, to_ast(index), ast.Load())), variable))
            sizes[axis] = Sym.name(variable)
        over: Any = numbers(count) if count is not None else None
        if over is None:
            start = numbers(value.count) if value.count is not None else value.over
            seen = observe(lambda s: list(s)[index], start)
            over = Sym(ast.Subscript(to_ast(start), to_ast(index), ast.Load()), seen)
        return Gathered(series, count, over, sizes, value.node)

    def drained(self, node: ast.For, env: Env) -> dict[str, Gathered]:
        """The open lists around a loop from which each iteration takes the last item, and that it does not use otherwise."""
        calls = [c for s in node.body if isinstance(s, (ast.Assign, ast.Expr)) for c in always_called(s.value)]
        uses = Counter(n.id for s in node.body for n in nodes(s) if isinstance(n, ast.Name))
        found = {}
        for call in calls:
            owner = call.func.value if isinstance(call.func, ast.Attribute) and call.func.attr == "pop" else None
            value = env.names.get(owner.id) if isinstance(owner, ast.Name) else None
            last = not call.keywords and [ast.unparse(a) for a in call.args] in ([], ["-1"])
            if isinstance(value, Gathered) and uses[owner.id] == 1 and last and not value.backwards:
                found[owner.id] = value
        return found

    def gather(
        self,
        loop: Loop,
        node: ast.AST,
        name: str,
        filled: Filled,
        items: list[Any],
        local: set[str],
        updates: dict[str, Any],
    ) -> Gathered:
        """The list that a loop filled with one tensor an iteration."""
        if len(items) != 1 or not isinstance(items[0], Value):
            raise StageError("the loop fills a list")
        item, name = items[0], name.strip()
        if any(x in self.masks for x in tensors([item, filled.before])):
            raise NotGathered(node)
        begun, count, starts = self.begun(filled, item)
        dims: list[Any] = []
        sizes: dict[int, Sym] = {}
        for axis, d in enumerate(item.type.shape):
            before = [shape[axis] for shape in starts]
            if d is None or None in before:
                dims.append(None)
                continue
            changes = isinstance(d, Sym) and any(n in local or n.startswith("member__") for n in d.names())
            if not changes and all(same(b, d) for b in before):
                dims.append(d)
                continue
            slot = self.fresh(
                f"{name}_channels" if axis == item.type.rank - 1 else f"{name}_{axis_name(item.type.rank, axis)}"
            )
            self.emit(Let(slot, self.sizes_begun(filled.before, axis, before), slot))
            grown = [ast.Starred(ast.Name(slot, ast.Load()), ast.Load()), to_ast(d)]
            updates[slot] = Sym(ast.List(grown, ast.Load()))
            sizes[axis] = Sym.name(slot)
            dims.append(None if axis == item.type.rank - 1 else self.unsaid(name, node, d))
        self.gathers = True
        series = Value(replace(item.type, shape=tuple(dims)), name)
        self.made_once(series)
        loop.gathered.append((series, item, begun))
        whole = length_of(loop.iterable)
        if not starts:
            return Gathered(series, whole, loop.iterable, sizes, node, filled.front)
        if whole is None or count is None:
            raise StageError("the loop fills a list")
        return Gathered(series, count + whole, numbers(count + whole), sizes, node, filled.front)

    def begun(self, filled: Filled, item: Value) -> tuple[Initial, Any, list[tuple[Any, ...]]]:
        """What is in a list before the loop that fills it: tensors or an open list, how many, and their shapes."""
        before = filled.before
        if isinstance(before, Gathered):
            shape = list(before.series.type.shape)
            if (
                before.backwards != filled.front
                or before.count is None
                or before.series.type.layout is not item.type.layout
            ):
                raise StageError("the loop fills a list")
            for axis in before.sizes:
                shape[axis] = before.sizes[axis]
            return before.series, before.count, [tuple(shape)]
        begun = [self.to_layout(x, item.type.layout) for x in (reversed(before) if filled.front else before)]
        kinds = {(x.type.rank, x.type.dtype) for x in (*begun, item)}
        if len(kinds) != 1:
            raise StageError("the loop fills a list with tensors of several kinds")
        return begun, len(begun), [x.type.shape for x in begun]

    def sizes_begun(self, before: Any, axis: int, sizes: list[Any]) -> Any:
        """The list of sizes that a loop goes on with."""
        if not isinstance(before, Gathered):
            return sizes
        if axis in before.sizes:
            return Sym(ast.List([ast.Starred(before.sizes[axis].expr, ast.Load())], ast.Load()))
        return Sym(ast.BinOp(ast.List([to_ast(sizes[0])], ast.Load()), ast.Mult(), to_ast(before.count)))

    def unsaid(self, name: str, node: ast.AST, size: Any) -> Sym:
        """A size that differs between the items of a list: where all of them are needed at once, the loop is unrolled."""
        label = self.fresh(f"{singular(name)}_size")
        self.memory.unsaid[label] = node
        return Sym.name(label, MISSING, True)

    def place_picks(self, loop: Loop, local: set[str]) -> None:
        """Items that an iteration takes out of lists from around the loop: taken before it, or as it goes on.

        Raises NotGathered for what is taken inside a branch or by what the loop changes.
        """
        inside = {r for op in loop.body.walk() for r in results_of(op)}
        target = loop.parts[0].target if len(loop.parts) == 1 else None
        for op in [o for o in loop.body.walk() if isinstance(o, Pick) and o.args[0] not in inside]:
            value, index = self.picked.get(op.results[0], (None, None))
            if value is None or op not in loop.body.ops:
                raise NotGathered(value.node if value is not None else loop.node)
            lets = {o.name: o.value for o in loop.body.ops if isinstance(o, Let)}
            index = expand_lets(index, lets)
            names = index.names() if isinstance(index, Sym) else frozenset()
            if not names & local:
                loop.body.ops.remove(op)
                self.emit(op)
                continue
            if target is None or names & local - variables_in(target):
                raise NotGathered(value.node)
            turn = value.direction(index, target, loop.parts[0].iterable)
            if turn is not None:
                loop.zipped.append((op.args[0], op.results[0], turn))
                loop.body.ops.remove(op)
                continue
            op.index = -1 - index if value.backwards else index
            op.step = Step(fn=f"{{0}}[{code_of(op.index)}]")


def always_called(node: ast.expr) -> list[ast.Call]:
    """The calls that an expression surely makes, each once."""
    kinds = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.IfExp, ast.BoolOp, ast.Compare)
    hidden = {id(n) for h in nodes(node) if isinstance(h, kinds) for n in nodes(h)}
    return [n for n in nodes(node) if isinstance(n, ast.Call) and id(n) not in hidden]
