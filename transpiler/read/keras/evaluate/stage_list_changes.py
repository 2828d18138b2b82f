"""Changes of lists of tensors outside the loops that fill them: `append`, `pop`, and what the sides of a branch do."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from transpiler.ir.expr import NeedsConstant, Sym, is_open, observe, same, to_ast
from transpiler.ir.model import Layer
from transpiler.ir.program import Block, Branch, Let, Listed, Value
from transpiler.ir.shape import TensorType
from transpiler.read.keras.evaluate.effects import ListsSet, Snapshot
from transpiler.read.keras.evaluate.gathered import Gathered, NotGathered, Sides, called, contents, numbers
from transpiler.read.keras.evaluate.stage_unbound import USED_AFTER
from transpiler.read.keras.evaluate.staging import axis_name, is_static
from transpiler.read.keras.evaluate.syntax import as_load
from transpiler.read.keras.evaluate.values import Env, Native

NEW_LISTS = (ast.List, ast.ListComp, ast.BinOp)
"""Expressions that make a list which nothing else holds."""


@dataclass
class SideLists:
    """What has become of lists from before a branch at the end of one of its sides."""

    changed: ListsSet
    references: Counter[int | str]
    """How many names and containers hold each list there."""
    before: Counter[int | str]
    """How many did before the branch."""

    @classmethod
    def at_end(cls, outside: Snapshot, env: Env) -> SideLists:
        return cls(outside.lists_set(), Snapshot(env).references, outside.references)


class StagedListChanges:
    """The part of the stager that changes open lists, and joins lists from before a branch that its sides have changed.

    What it cannot join raises NeedsConstant for the test.
    """

    merging: ast.If | None
    """The branch in the source whose ends are joined."""
    replaced: list[Any]
    """The lists that were joined as other values of one variable, in the branch that is evaluated."""

    def getattr(self, value: Any, name: str) -> Any:
        if isinstance(value, Gathered) and name in ("pop", "append"):
            return Native(name, lambda *args: getattr(self, f"list_{name}")(value, *args))
        return super().getattr(value, name)  # type: ignore[misc]

    def exec_AugAssign(self, node: ast.AugAssign, env: Env) -> None:
        """`+=` changes a list in place, whatever else holds it."""
        if isinstance(node.op, ast.Add) and isinstance(node.target, ast.Name):
            current = self.eval(as_load(node.target), env)  # type: ignore[attr-defined]
            if isinstance(current, Gathered):
                items = self.eval(node.value, env)  # type: ignore[attr-defined]
                if type(items) is not list:
                    raise NotGathered(current.node)
                return self.list_extend(current, items)
            if isinstance(current, Sym) and isinstance(current.witness, list) and not self.held_once(current):
                raise NeedsConstant(current, f"{current.code} is changed in place")
        super().exec_AugAssign(node, env)  # type: ignore[misc]

    def held_once(self, value: Sym) -> bool:
        """Whether one variable alone holds an open list of static values, which was made here or is the builder's own."""
        name = value.expr.id if isinstance(value.expr, ast.Name) else ""
        made = [op.value for op in self.block.walk() if isinstance(op, Let) and op.name == name]  # type: ignore[attr-defined]
        own = all(isinstance(x, list) or isinstance(x, Sym) and isinstance(x.expr, NEW_LISTS) for x in made)
        if not own or not made and (self.frame.kind != "factory" or name not in self.reserved):  # type: ignore[attr-defined]
            return False
        return Snapshot(None, scopes=self.scopes_under_way()).references[value.code] == 1  # type: ignore[attr-defined]

    def list_pop(self, value: Gathered, index: Any = -1) -> Value:
        """Takes the last item out of an open list."""
        if value.backwards or value.count is None or is_open(index) or index != -1:
            raise NotGathered(value.node)
        item = self.item_of(value, -1)  # type: ignore[attr-defined]
        vars(value).update(vars(self.part_of(value, slice(None, -1), value.count - 1)))  # type: ignore[attr-defined]
        return item  # type: ignore[no-any-return]

    def list_append(self, value: Gathered, item: Any) -> None:
        """Makes an open list longer by one tensor."""
        self.list_extend(value, [item])

    def list_extend(self, value: Gathered, items: list[Any]) -> None:
        """Makes an open list longer by some tensors."""
        if value.backwards or value.count is None or not items or not all(self.joins(x, value) for x in items):
            raise NotGathered(value.node)
        kind, name = items[0].type, value.series.hint
        dims = list(value.series.type.shape)
        items = [self.to_layout(x, value.series.type.layout) for x in items]  # type: ignore[attr-defined]
        sizes = {}
        for axis, found in enumerate(zip(*(x.type.shape for x in items))):
            if axis not in value.sizes and alike((dims[axis], *found)):
                continue
            sizes[axis] = Sym.name(self.fresh(self.sizes_label(name, kind, axis)))  # type: ignore[attr-defined]
            longer = [ast.Starred(to_ast(sizes_of(value, axis)), ast.Load()), *map(to_ast, found)]
            self.emit(Let(sizes[axis].code, Sym(ast.List(longer, ast.Load())), sizes[axis].code))  # type: ignore[attr-defined]
            dims[axis] = dims[axis] if axis in value.sizes else self.open_size(name, kind, axis, value.node)
        series = Value(replace(value.series.type, shape=tuple(dims)), name)
        self.emit(Listed.of(series, items, value.node, value.series))  # type: ignore[attr-defined]
        self.made_once(series)  # type: ignore[attr-defined]
        count = value.count + len(items)
        vars(value).update(vars(Gathered(series, count, numbers(count), sizes, value.node)))

    def joins(self, item: Any, value: Gathered) -> bool:
        """Whether a tensor can be in an open list: of the same kind, with sizes that are known where those of the items are."""
        if not isinstance(item, Value):
            return False
        kind, known = item.type, value.series.type
        if (kind.rank, kind.dtype) != (known.rank, known.dtype) or item in self.masks or item in self.poly:  # type: ignore[attr-defined]
            return False
        return all(
            (d is None) == (k is None and axis not in value.sizes)
            for axis, (d, k) in enumerate(zip(kind.shape, known.shape))
        )

    def lists_on_both_sides(
        self, branch: Branch, node: ast.If, then: SideLists, otherwise: SideLists,
        before: dict[str, Any], then_names: dict[str, Any], else_names: dict[str, Any], env: Env,
    ) -> list[tuple[Any, Any, Any]]:  # fmt: skip
        """The lists that a side has changed, each with what is in it at the end of either side.

        Where a variable alone holds the list at the end of one side, and another list at the end of the other side, the
        variable gets what is in it instead. Raises NeedsConstant where more than that differs in who holds the list.
        """
        found = []
        names = before, then_names, else_names
        for key, (known, _) in {**then.changed, **otherwise.changed}.items():
            if branch.by_mode or node in self.memory.unrolled:  # type: ignore[attr-defined]
                raise NeedsConstant(branch.test, USED_AFTER)
            ends = [side.changed.get(key, (known, contents(known)))[1] for side in (then, otherwise)]
            holders = [[n for n, v in scope.items() if v is known] for scope in names]
            counts = [side.references[key] for side in (then, otherwise)]
            if holders[0] == holders[1] == holders[2] and counts[0] == counts[1] == then.before[key]:
                found.append((known, *ends))
                continue
            callers = [s for s in self.scopes_under_way() if s is not env]  # type: ignore[attr-defined]
            if sorted(counts) != [0, 1] or len(holders[1] + holders[2]) != 1 or Snapshot(None, scopes=callers).references[key]:  # fmt: skip
                raise NeedsConstant(branch.test, USED_AFTER)
            side = counts.index(1)
            names[side + 1][holders[side + 1][0]] = ends[side]
        return found

    def merge_lists(self, branch: Branch, node: ast.If, lists: list[tuple[Any, Any, Any]], env: Env) -> None:
        """Gives lists what they hold after a branch. What a new list has taken the place of must have no other name."""
        replaced, self.replaced = self.replaced, []
        if replaced and not Snapshot(env, scopes=self.scopes_under_way()).references.keys().isdisjoint(map(id, replaced)):  # type: ignore[attr-defined]
            raise NeedsConstant(branch.test, USED_AFTER) if node in self.memory.unrolled else NotGathered(node)  # type: ignore[attr-defined]
        for known, a, b in lists:
            if isinstance(known, Gathered):
                vars(known).update(vars(self.one_list(branch, node, a, b)))
            elif len(a) == len(b):
                known[:] = [self.merge_item(branch, x, y) for x, y in zip(a, b)]
            else:
                name = self.only_name(branch, known, env)
                env.names[name] = self.list_of_either(branch, node, name, list(known), a, b)

    def merge_item(self, branch: Branch, a: Any, b: Any) -> Any:
        """An item of a list that is `a` on one side of a branch and `b` on the other."""
        if a is b or all(isinstance(x, Value) for x in (a, b)) or is_static(a) and is_static(b):
            return self.merge(branch, a, b)  # type: ignore[attr-defined]
        raise NeedsConstant(branch.test, USED_AFTER)

    def only_name(self, branch: Branch, known: list[Any], env: Env) -> str:
        """The variable of the function that alone holds a list."""
        names = [n for n, v in env.names.items() if v is known]
        held = Snapshot(env, scopes=self.scopes_under_way()).references[id(known)]  # type: ignore[attr-defined]
        if len(names) != 1 or held != 1:
            raise NeedsConstant(branch.test, USED_AFTER)
        return names[0]

    def list_of_either(
        self, branch: Branch, node: ast.If, name: str, before: list[Any], a: list[Any], b: list[Any]
    ) -> Gathered | Sym:
        """A list with other items on either side of a branch. What both go on with is made a list before it."""
        if is_static(a) and is_static(b):
            return self.merge(branch, a, b, name)  # type: ignore[attr-defined,no-any-return]
        kind, axes = self.common_kind(branch, [*a, *b])
        if not before and kind.shape[-1] is not None:
            axes.add(kind.rank - 1)  # what is put into it later may have any number of channels

        def opened(block: Block, items: list[Value]) -> Gathered:
            return self.in_block(block, lambda: self.opened(items, name, kind, axes, node))  # type: ignore[attr-defined,no-any-return]

        if all(x[: len(before)] == before for x in (a, b)):
            start = Block()
            self.around[start] = self.block  # type: ignore[attr-defined,has-type]
            begun = opened(start, before)
            place = next(i for i, op in enumerate(self.block.ops) if op is branch)  # type: ignore[attr-defined,has-type]
            self.block.ops[place:place] = start.ops  # type: ignore[attr-defined,has-type]
            found = [replace(begun), replace(begun)]
            for side, longer, items in zip((branch.then, branch.otherwise), found, (a, b)):
                new = items[len(before) :]
                if new:
                    self.in_block(side, lambda x=longer, y=new: self.list_extend(x, y))  # type: ignore[attr-defined]
        else:
            found = [opened(branch.then, a), opened(branch.otherwise, b)]
        joined = self.one_list(branch, node, *found)
        outside = [x if all(map(before.__contains__, x)) else None for x in (a, b)]
        return replace(joined, sides=Sides(branch.test, *outside, self.frame))  # type: ignore[attr-defined]

    def merge_open_lists(self, branch: Branch, node: ast.AST, a: Any, b: Any, name: str) -> Gathered:
        """What a variable holds after a branch that is an open list at the end of at least one side."""
        if branch.by_mode or not name or not all(type(x) in (list, Gathered) for x in (a, b)):
            raise NotGathered(node)
        self.replaced += [a, b]
        items = [y for x in (a, b) if type(x) is list for y in x]
        whole = next((x for x in (a, b) if isinstance(x, Gathered)), None)
        kind, axes = self.common_kind(branch, items) if items else (whole.series.type, set(whole.sizes))  # type: ignore[union-attr]

        def opened(block: Block, x: Any) -> Gathered:
            if isinstance(x, Gathered):
                return x
            return self.in_block(block, lambda: self.opened(x, name, kind, axes, node))  # type: ignore[attr-defined,no-any-return]

        return self.one_list(branch, node, opened(branch.then, a), opened(branch.otherwise, b))

    def can_be_open(self, branch: Branch, a: Any, b: Any) -> bool:
        """Whether two lists of tensors that one variable holds after a branch can be joined as one of open length."""
        if type(a) is not list or type(b) is not list or len(a) == len(b) or not a or not b or branch.by_mode:
            return False
        if self.merging in self.memory.unrolled:  # type: ignore[attr-defined]
            return False
        try:
            self.common_kind(branch, [*a, *b])
        except NeedsConstant:
            return False
        return True

    def common_kind(self, branch: Branch, items: list[Any]) -> tuple[TensorType, set[int]]:
        """The type that tensors of one list have, and the axes along which they differ."""
        if not all(isinstance(x, Value) and x not in self.masks and x not in self.poly for x in items):  # type: ignore[attr-defined]
            raise NeedsConstant(branch.test, USED_AFTER)
        kinds = [x.type for x in items]
        axes = {i for i, sizes in enumerate(zip(*(k.shape for k in kinds))) if not alike(sizes)}
        known = all(k.shape[i] is not None for k in kinds for i in axes if i < k.rank)
        if len({(k.rank, k.dtype) for k in kinds}) != 1 or not known:
            raise NeedsConstant(branch.test, USED_AFTER)
        return kinds[0], axes

    def opened(self, items: list[Value], name: str, kind: TensorType, axes: set[int], node: ast.AST) -> Gathered:
        """Tensors as an open list, whose items differ along these axes."""
        items = [self.to_layout(x, kind.layout) for x in items]  # type: ignore[attr-defined]
        sizes, dims = {}, list(kind.shape)
        for axis in sorted(axes):
            own = self.fresh(self.sizes_label(name, kind, axis))  # type: ignore[attr-defined]
            self.emit(Let(own, [x.type.shape[axis] for x in items], own))  # type: ignore[attr-defined]
            sizes[axis] = Sym.name(own)
            dims[axis] = self.open_size(name, kind, axis, node)
        series = Value(replace(kind, shape=tuple(dims)), name)
        self.emit(Listed.of(series, items, node))  # type: ignore[attr-defined]
        self.made_once(series)  # type: ignore[attr-defined]
        self.gathers = True
        return Gathered(series, len(items), numbers(len(items)), sizes, node)

    def one_list(self, branch: Branch, node: ast.AST, a: Gathered, b: Gathered) -> Gathered:
        """The open list that is `a` on one side of a branch and `b` on the other."""
        kind, name = a.series.type, a.series.hint
        alike_but_sizes = replace(kind, shape=()) == replace(b.series.type, shape=())
        if not alike_but_sizes or kind.rank != b.series.type.rank or a.backwards != b.backwards or None in (a.count, b.count):  # fmt: skip
            raise NeedsConstant(branch.test, USED_AFTER)
        sizes, dims = {}, list(kind.shape)
        for axis, pair in enumerate(zip(kind.shape, b.series.type.shape)):
            if axis not in a.sizes and axis not in b.sizes and alike(pair):
                continue
            if any(d is None and axis not in g.sizes for d, g in zip(pair, (a, b))):
                raise NeedsConstant(branch.test, USED_AFTER)
            columns = [sizes_of(g, axis) for g in (a, b)]
            sizes[axis] = self.merge(branch, *columns, self.sizes_label(name, kind, axis))  # type: ignore[attr-defined]
            dims[axis] = self.open_size(name, kind, axis, node)
        series = Value(replace(kind, shape=tuple(dims)), name)
        branch.phis.append((series, a.series, b.series))
        self.made_once(series)  # type: ignore[attr-defined]
        count = self.count_of_either(branch, name, a.count, b.count, [*sizes.values()])
        return Gathered(series, count, numbers(count), sizes, node, a.backwards)

    def count_of_either(self, branch: Branch, name: str, a: Any, b: Any, sizes: list[Sym]) -> Any:
        """How many items a list has: a choice between two numbers, else a variable or as many as it has sizes."""
        if same(a, b) or isinstance(a, int) and isinstance(b, int):
            return self.merge_dim(branch.test, a, b)  # type: ignore[attr-defined]
        if sizes:
            return called("len", sizes[0], witness=observe(len, sizes[0]), integer=True)
        return self.merge(branch, a, b, f"{name}_count")  # type: ignore[attr-defined]

    def sizes_label(self, name: str, kind: TensorType, axis: int) -> str:
        """What the list of the sizes along an axis is called."""
        return f"{name}_{'channels' if axis == kind.rank - 1 else axis_name(kind.rank, axis)}"

    def open_size(self, name: str, kind: TensorType, axis: int, node: ast.AST) -> Any:
        """The size of an item along an axis in which they differ: all of them at once are not kept but for the last axis."""
        return None if axis == kind.rank - 1 else self.unsaid(name, node, kind.shape[axis])  # type: ignore[attr-defined]

    def getitem(self, value: Any, index: Any) -> Any:
        return super().getitem(self.where_decided(value) if type(index) is int else value, index)  # type: ignore[misc]

    def call_layer(self, layer: Layer, args: list[Any], kwargs: dict[str, Any]) -> Any:
        args = [self.where_decided(x) for x in args]
        return super().call_layer(layer, args, kwargs)  # type: ignore[misc]

    def where_decided(self, value: Any) -> Any:
        """An open list, to be read: where the test is decided that it goes by, its tensors if they are from before that branch."""
        if not isinstance(value, Gathered) or value.sides is None or value.sides.home is not self.frame:  # type: ignore[attr-defined]
            return value
        known = self.truth(value.sides.test)  # type: ignore[attr-defined]
        found = None if isinstance(known, Sym) else value.sides.then if known else value.sides.otherwise
        return value if found is None else found


def alike(sizes: tuple[Any, ...]) -> bool:
    """Whether sizes are all open, or all the same."""
    first = sizes[0]
    return all(d is None if first is None else d is not None and same(d, first) for d in sizes)


def sizes_of(whole: Gathered, axis: int) -> Any:
    """The list of the sizes of all items along an axis."""
    if axis in whole.sizes:
        return whole.sizes[axis]
    size = whole.series.type.shape[axis]
    if isinstance(whole.count, int):
        return [size] * whole.count
    return Sym(ast.BinOp(ast.List([to_ast(size)], ast.Load()), ast.Mult(), to_ast(whole.count)))
