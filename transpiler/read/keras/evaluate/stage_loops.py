"""Loops that stay loops: the body is evaluated once, with what changes in it as variables."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from transpiler.ir.expr import MISSING, NeedsConstant, Sym, is_open, is_record, same, surely_int, to_ast, witness_of
from transpiler.ir.linear import equal
from transpiler.ir.liveness import results_of
from transpiler.ir.naming import singular
from transpiler.ir.program import (
    Apply,
    Block,
    Let,
    Loop,
    Part,
    Value,
)
from transpiler.ir.statics import bound_names, names_in
from transpiler.ir.trees import nodes, variables_in
from transpiler.read.keras.evaluate.effects import Snapshot
from transpiler.read.keras.evaluate.filling import Filled, Filling, filled_lists
from transpiler.read.keras.evaluate.gathered import Draining, Gathered, NotGathered, Zipped, length_of
from transpiler.read.keras.evaluate.interpreter import Interpreter
from transpiler.read.keras.evaluate.signals import ProgramError, Signal
from transpiler.read.keras.evaluate.stage_arrays import OpenArray
from transpiler.read.keras.evaluate.stage_lists import LoopItems, as_target
from transpiler.read.keras.evaluate.stage_unbound import OneSided
from transpiler.read.keras.evaluate.staging import (
    STATIC,
    StageError,
    axis_name,
    is_static,
    number_of,
    substitute,
)
from transpiler.read.keras.evaluate.syntax import assigned_names
from transpiler.read.keras.evaluate.values import (
    Env,
    Origin,
    Unknown,
    has_tensors,
    own_copy,
)


class StagedLoops:
    """The part of the stager that keeps loops."""

    def loop(self, node: ast.For, iterable: Any, env: Env) -> Signal | None:
        if isinstance(iterable, (Gathered, Zipped)):
            return self.gathered_loop(node, iterable, env)
        iterable = tuple(iterable) if is_record(iterable) else iterable
        closed = not isinstance(iterable, Sym) or not iterable.names() - {"enumerate", "zip", "reversed", "range"}
        if isinstance(iterable, Sym) and isinstance(iterable.witness, (list, tuple, range)):
            items: list[Any] = list(iterable.witness)
        elif isinstance(iterable, Sym):
            raise NeedsConstant(iterable)
        else:
            items = list(self.iterate(iterable))
            if not items or has_tensors(items) or not is_static(items) or len(items) < 2:
                return self.unrolled(node, items, env)
        if self.flat:
            return self.unrolled(node, items, env)
        iterable = own_copy(iterable)  # the program may change the list after the loop
        names, outside = dict(env.names), Snapshot(env)
        layers, outer, own, done = len(self.layers), self.block, self.own_layers, len(self.block.ops)
        began, apart = self.memory.counter, False
        try:
            self.own_layers = layers
            kept = bool(items) and self.keep_loop(
                node, env, outside, lambda: self.items_of_loop(node, iterable, items[0])
            )
        except (StageError, NeedsConstant, ProgramError) as error:  # an error that only an open item gives, perhaps
            apart = not closed and self.last_differs(error, self.block, iterable, began)
            self.block = outer
            outer.ops[done:] = [op for op in outer.ops[done:] if not isinstance(op, Let)]
            outside.restore()
            if not closed and not apart:
                if isinstance(error, NeedsConstant) and not self.of_loop(error, began):
                    raise
                raise NeedsConstant(iterable, str(error)) from None
            kept = False
        finally:
            self.own_layers = own
        if kept:
            return None
        env.names.clear()
        env.names.update(names)
        del self.layers[layers:]
        if apart:
            return self.last_apart(node, iterable, env)
        if not closed:
            raise NeedsConstant(iterable)
        return self.unrolled(node, items, env)

    def items_of_loop(self, node: ast.For, iterable: Any, item: Any) -> LoopItems:
        target = self.loop_target(node.target, item)
        self.note_counter(target, iterable)
        return LoopItems(target, [Part(as_target(target), iterable)])

    def of_loop(self, error: NeedsConstant, began: int) -> bool:
        """Whether the decision depends on a variable of the loop, which only unrolling makes known.

        `began` is the last number that a variable was given before the loop.
        """
        if error.place is not None and error.place not in self.memory.by_value:
            return False  # it can be translated for every value
        return any(number_of(n) > began for n in error.sym.names() - self.names_around())

    def names_around(self) -> frozenset[str]:
        """The numbered names that stand for what is around the function that builds the model."""
        return frozenset()

    def unrolled(self, node: ast.For, items: list[Any], env: Env) -> Signal | None:
        self.in_loop += 1
        try:
            return Interpreter.loop(self, node, items, env)
        finally:
            self.in_loop -= 1

    def keep_loop(self, node: ast.For, env: Env, outside: Snapshot, items: Callable[[], LoopItems]) -> bool:
        """Evaluates the body once with the loop variable open. False if the loop has nothing to do with tensors."""
        if node.orelse or any(
            isinstance(n, (ast.Return, ast.Break, ast.Continue)) for s in node.body for n in nodes(s)
        ):
            raise StageError("the loop is left early")
        if node in self.memory.unrolled:
            raise StageError("iterations of the loop are needed one by one")
        drained = self.drained(node, env)
        filled = filled_lists(node.body, env, self.scopes_under_way(), drained)
        outer, bound = self.block, variables_in(node.target)
        before = {n: v for n, v in env.names.items() if n not in bound}
        assigned = [*assigned_names(node.body), *self.variables_grown(node.body, env)]
        changed = [n for n in assigned if n in before and isinstance(before[n], (Value, Sym, *STATIC))]
        general: dict[str, Any] = {}
        lets: list[Let] = []
        for n in changed:  # what the body may change is a variable of the loop
            value = before[n]
            self.one_rank(value)
            if isinstance(value, Value):
                start = Value(value.type, value.hint)
                self.origins[start] = self.origins.get(value, Origin([], [start], lambda xs: self.not_again()))
                self.set_mask(start, self.mask_outside(value))
                general[n] = start
            else:
                slot = self.fresh(n)
                lets.append(Let(slot, value, n))
                general[n] = Sym.name(slot, witness_of(value))
        slots: dict[tuple[str, int], str] = {}
        for _ in range(6):
            item = items()
            taken = {n: self.open_items(ast.Name(singular(n), ast.Store()), reversed(x)) for n, x in drained.items()}
            env.names.clear()
            env.names.update({**before, **general, **{n: Filling() for n in filled}})
            env.names.update({n: Draining(x.value) for n, x in taken.items()})
            self.assign_target(node.target, item.value, env)
            body = Block()
            self.around[body] = outer
            self.block = body
            layers, facts = len(self.layers), list(self.facts)
            self.in_loop += 1
            self.in_kept_loop += 1
            try:
                signal = self.exec_block(node.body, env)
            finally:
                self.in_loop -= 1
                self.in_kept_loop -= 1
                self.facts = facts  # what an iteration checks of the loop's variables holds for that iteration alone
            if signal is not None:
                raise StageError("the loop is left early")
            if outside.changed(env.names) or any(
                n not in changed and n not in filled and n not in drained and _rebound(value, env.names.get(n))
                for n, value in before.items()
            ):
                raise StageError("the loop changes what lives outside it")
            stable = self.generalise(node, general, env, slots, before, body)
            self.block = outer
            if not any(isinstance(op, Apply) for op in body.walk()):
                return False
            if stable:
                break
            del self.layers[layers:]
        else:
            raise StageError("the sizes in this loop do not settle")
        for x in drained.values():
            if x.count is None or not equal(x.count, length_of(item.loop[1]) if len(item.parts) == 1 else None):
                raise NotGathered(x.node)
        for x in taken.values():
            item.parts[0].columns += x.parts[0].columns
        item.zipped += [z for x in taken.values() for z in x.zipped]
        self.close_loop(node, item, body, general, before, lets, slots, filled, env)
        env.names.update({n: [] for n in drained})
        return True

    def loop_target(self, target: ast.expr, item: Any) -> Any:
        if isinstance(target, ast.Name):
            return Sym.name(self.fresh(target.id), item)
        if isinstance(target, (ast.Tuple, ast.List)):
            items = list(item) if isinstance(item, (list, tuple)) else [MISSING] * len(target.elts)
            return tuple(self.loop_target(t, i) for t, i in zip(target.elts, items))
        raise StageError("this loop variable is not kept")

    def assign_target(self, target: ast.expr, value: Any, env: Env) -> None:
        if isinstance(target, ast.Name):
            env.names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            for t, v in zip(target.elts, value):
                self.assign_target(t, v, env)

    def generalise(
        self, node: ast.AST, general: dict[str, Any], env: Env, slots: dict[tuple[str, int], str],
        before: dict[str, Any], body: Block,
    ) -> bool:  # fmt: skip
        """Compares the tensors at the end of the body with those at its start; axes that differ become variables."""
        stable = True
        for name, start in list(general.items()):
            end = env.names.get(name)
            if not isinstance(start, Value):
                continue
            if not isinstance(end, Value):
                raise StageError(f"{name} stops being a tensor in the loop")
            self.one_rank(end)
            if end.type.rank != start.type.rank:
                raise StageError(f"the rank of {name} changes in the loop")
            stable &= self.same_mask(start, end, node)
            if end.type.layout is not start.type.layout:
                general[name] = Value(replace(start.type, layout=end.type.layout), start.hint)
                self.set_mask(general[name], self.masks.get(start))
                stable = False
                continue
            dims = list(start.type.shape)
            for axis, (a, b) in enumerate(zip(start.type.shape, end.type.shape)):
                if a is None and b is None or a is not None and b is not None and same(a, b):
                    continue
                if a is None or b is None:
                    dims[axis] = None
                    stable &= a is None
                    continue
                if (name, axis) in slots:
                    continue
                label = "channels" if axis == len(dims) - 1 else axis_name(len(dims), axis)
                slots[name, axis] = self.fresh(label)
                dims[axis] = Sym.name(slots[name, axis], witness_of(before[name].type.shape[axis]), True)
                stable = False
            if not all(x is y for x, y in zip(dims, start.type.shape)):
                fresh = Value(replace(start.type, shape=tuple(dims)), start.hint)
                self.made_once(fresh)
                self.set_mask(fresh, self.masks.get(start))
                general[name] = fresh
        return stable

    def close_loop(
        self, node: ast.For, items: LoopItems, body: Block, general: dict[str, Any], before: dict[str, Any],
        lets: list[Let], slots: dict[tuple[str, int], str], filled: dict[str, Filled], env: Env,
    ) -> None:  # fmt: skip
        target, iterable = items.loop
        loop = Loop(target, iterable, body, zipped=items.zipped, node=node, parts=items.parts)
        after: dict[str, Any] = {}
        local = bound_names(body) | variables_in(loop.target) | set(slots.values()) | {let.name for let in lets}
        for (name, axis), slot in slots.items():
            self.emit(Let(slot, before[name].type.shape[axis], slot))
        for let in lets:
            self.emit(let)
        updates: dict[str, Any] = {}
        for name, start in general.items():
            end = env.names[name]
            if isinstance(start, Value):
                initial = self.to_layout(before[name], start.type.layout)
                runs = not isinstance(iterable, Sym) or not iterable.names()
                result = Value(
                    replace(end.type, shape=self.after_shape(start, end, name, slots, local if runs else None)),
                    end.hint,
                )
                self.made_once(result)
                self.mask_after(start, end, result, node)
                loop.carried.append((initial, start, end, result))
                after[name] = result
                for (n, axis), slot in slots.items():
                    if n == name:
                        updates[slot] = end.type.shape[axis]
            else:
                slot = start.expr.id
                if isinstance(end, Sym) or is_static(end):
                    if not same(end, start):
                        updates[slot] = end
                    after[name] = Sym.name(slot, witness_of(end))
                else:
                    raise StageError(f"{name} changes its kind in the loop")
        for name, list_before in filled.items():
            after[name] = self.gather(loop, node, name, list_before, env.names[name], local, updates)
        self.place_picks(loop, local)
        left = {n: self.left_behind(n, v, loop) for n, v in env.names.items() if n not in before and is_static(v)}
        body.ops += self.in_sequence(updates)
        for op in moved_out(loop):
            body.ops.remove(op)
            self.emit(op)
            self.permutes[op.args[0], op.results[0].type.layout] = (self.block, op.results[0])
        self.emit(loop)
        self.kept.update(results_of(loop))
        last = {end: result for _, _, end, result in loop.carried}
        new = {n: v for n, v in env.names.items() if n not in before}
        env.names.clear()
        env.names.update(before)
        for n, v in new.items():
            if isinstance(v, Value) and v in last:
                env.names[n] = last[v]  # another name for what the loop carries
            elif has_tensors(v) or is_open(v) or isinstance(v, OneSided):
                env.names[n] = left.get(n, Unknown(f"{n} belongs to the body of a loop"))
            else:
                env.names[n] = v
        env.names.update(after)

    def left_behind(self, name: str, value: Any, loop: Loop) -> Any:
        """What a variable of the body is after the loop: it keeps the value that the last iteration gave it."""
        own = variables_in(loop.target) | {op.name for op in loop.body.ops if isinstance(op, Let)}
        if not is_open(value) or isinstance(value, Sym) and isinstance(value.expr, ast.Name) and value.expr.id in own:
            return value
        variable = self.fresh(name)
        loop.body.ops.append(Let(variable, value, name))
        return Sym.name(variable, witness_of(value), surely_int(value))

    def in_sequence(self, updates: dict[str, Any]) -> list[Let]:
        """Assignments that happen at once, one after the other: none overwrites what a later one reads."""
        found: list[Let] = []
        updates = dict(updates)
        while updates:
            free = next((n for n in updates if not any(n in names_in(v) for m, v in updates.items() if m != n)), None)
            if free is None:  # a cycle: one old value is kept aside
                slot = next(iter(updates))
                aside = self.fresh(slot)
                found.append(Let(aside, Sym.name(slot), slot))
                updates = {n: substitute(v, {slot: Sym.name(aside)}) for n, v in updates.items()}
                continue
            found.append(Let(free, updates.pop(free), free.split("__v")[0]))
        return found

    def after_shape(
        self, start: Value, end: Value, name: str, slots: dict[tuple[str, int], str], local: set[str] | None
    ) -> tuple[Any, ...]:
        """The sizes after a loop. Where it surely runs (`local` is given), a size that the body alone decides is that size."""
        dims = list(start.type.shape)
        for axis, last in enumerate(end.type.shape):
            if (name, axis) in slots:
                dims[axis] = Sym.name(slots[name, axis], witness_of(last), True)
                if (
                    local is not None
                    and last is not None
                    and not (
                        isinstance(last, Sym) and any(n in local or n.startswith("member__") for n in last.names())
                    )
                ):
                    dims[axis] = last
        return tuple(dims)

    def eval_ListComp(self, node: ast.ListComp, env: Env) -> Any:
        first = self.eval(node.generators[0].iter, env)
        first = first.items if isinstance(first, OpenArray) else first
        if len(node.generators) == 1:
            found = self.tensors_of(node, first, env)
            if found is not None:
                return found
        if not isinstance(first, Sym):
            return super().eval_ListComp(node, env)
        try:
            return self.open_comprehension(node, first, env)
        except NeedsConstant:
            if first.names() - {"enumerate", "zip", "reversed", "range"}:
                raise
            return super().eval_ListComp(node, env)  # over known items

    eval_GeneratorExp = eval_ListComp

    def open_comprehension(self, node: Any, iterable: Sym, env: Env) -> Sym:
        """A comprehension over an open iterable of static values stays a comprehension."""
        if len(node.generators) != 1 or not isinstance(iterable.witness, (list, tuple, range)):
            raise NeedsConstant(iterable)
        generator = node.generators[0]
        scope = Env(env, "comprehension", env.module)
        self.frames[id(scope)] = self.frame
        items = list(iterable.witness)
        target = self.loop_target(generator.target, items[0] if items else MISSING)
        self.assign_target(generator.target, target, scope)
        outer, self.block = self.block, Block()
        try:
            element = self.eval(node.elt, scope)
            tests = [self.eval_test(c, scope) for c in generator.ifs]
            if self.block.ops or not is_static(element):
                raise NeedsConstant(iterable)
        except NeedsConstant as error:  # a decision on an item is one on what is iterated over
            if error.sym.names() & variables_in(as_target(target)):
                raise NeedsConstant(iterable, str(error)) from None
            raise
        finally:
            self.block = outer
        witness: Any = MISSING
        if not isinstance(element, Sym):
            witness = [element] * len(items)
        else:
            witness = self.comprehension_witness(node, items, env)
        target_ast = (
            to_ast(target) if not isinstance(target, tuple) else ast.Tuple([to_ast(t) for t in target], ast.Load())
        )
        return Sym(
            ast.ListComp(
                to_ast(element), [ast.comprehension(target_ast, iterable.expr, [to_ast(t) for t in tests], 0)]
            ),
            witness,
        )

    def comprehension_witness(self, node: Any, items: list[Any], env: Env) -> Any:
        result = []
        for item in items:
            scope = Env(env, "comprehension", env.module)
            self.assign_target(
                node.generators[0].target,
                item if isinstance(node.generators[0].target, ast.Name) else list(item),
                scope,
            )
            outer, self.block = self.block, Block()
            try:
                if all(witness_of(self.eval_test(c, scope)) for c in node.generators[0].ifs):
                    value = witness_of(self.eval(node.elt, scope))
                    if value is MISSING:
                        return MISSING
                    result.append(value)
            finally:
                self.block = outer
        return result


def moved_out(loop: Loop) -> list[Apply]:
    """Changes of layout of tensors from around a loop: made once, before it."""
    inside = {r for op in loop.body.walk() for r in results_of(op)}
    inside |= {start for _, start, _, _ in loop.carried} | {item for _, item, _ in loop.zipped}
    return [
        op
        for op in loop.body.ops
        if isinstance(op, Apply) and op.step.permutes and op.member is None and not inside & set(op.args)
    ]


def _rebound(before: Any, now: Any) -> bool:
    """Whether a name from before a loop has another value after an iteration."""
    nothing = isinstance(before, Unknown) and not isinstance(before, OneSided)
    return before is not now and not nothing and not same(before, now)
