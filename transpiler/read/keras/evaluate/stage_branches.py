"""Branches that stay open: both sides are evaluated, what they compute is joined."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from transpiler.diagnostics import Declined, Finding, Severity, excerpt
from transpiler.ir.expr import MISSING, NeedsConstant, Sym, either, rebuilt, same, to_ast, witness_of_choice
from transpiler.ir.facts import fact, facts_of
from transpiler.ir.naming import printed_length
from transpiler.ir.program import (
    Block,
    Branch,
    Let,
    Static,
    Value,
    tensors,
)
from transpiler.ir.shape import Layout, TensorType
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.effects import Snapshot, restore_lists
from transpiler.read.keras.evaluate.gathered import gathered_in
from transpiler.read.keras.evaluate.program_classes import mentions_mode
from transpiler.read.keras.evaluate.signals import BREAK, ProgramError, ReturnSignal, Signal
from transpiler.read.keras.evaluate.stage_list_changes import SideLists
from transpiler.read.keras.evaluate.stage_ranks import Ranks
from transpiler.read.keras.evaluate.stage_recursion import CallsItself
from transpiler.read.keras.evaluate.stage_unbound import USED_AFTER, OneSided
from transpiler.read.keras.evaluate.staging import (
    Side,
    StageError,
    axis_name,
    decided_equal,
    is_static,
    raise_of,
    substitute,
)
from transpiler.read.keras.evaluate.syntax import as_test, surely_bool
from transpiler.read.keras.evaluate.values import (
    Alternative,
    Env,
    Model,
    Origin,
    Unknown,
    has_tensors,
)

MAX_CHOICE = 24
"""Longest choice between two sizes that is written where it is used."""


class StagedBranches:
    """The part of the stager that keeps branches."""

    def open_branch(self, test: Any, node: ast.If, rest: list[ast.stmt], env: Env) -> Signal | None:
        if isinstance(test, Unknown):
            return self.unknown_branch(test, node, rest, env)
        if node in self.memory.decided:
            raise NeedsConstant(test)
        leaves = any(
            isinstance(n, (ast.Return, ast.Break, ast.Continue)) for s in (*node.body, *node.orelse) for n in nodes(s)
        )
        tail = list(rest) if leaves else []
        if leaves:
            rest.clear()
        before = dict(env.names)
        outside = self.around_call(env) if leaves else Snapshot(env)
        one_sided = node in self.memory.one_sided and test.witness is not MISSING and not self.used_with_others
        seen = bool(test.witness) if one_sided else None
        then = self.side(lambda: self.exec_side(seen is False, [*node.body, *tail], env), test, True)
        then_names = dict(env.names)
        then_set, then_lists = outside.attributes_set(env.names), SideLists.at_end(outside, env)
        outside.restore()
        env.names.clear()
        env.names.update(before)
        otherwise = self.side(lambda: self.exec_side(seen is True, [*node.orelse, *tail], env), test, False)
        else_names = dict(env.names)
        else_set, else_lists = outside.attributes_set(env.names), SideLists.at_end(outside, env)
        outside.restore()
        branch = Branch(test, then.block, otherwise.block, node=node)
        if (
            then_set is None
            or else_set is None
            or leaves
            and (then_set or else_set or then_lists.changed or else_lists.changed)
        ):
            raise NeedsConstant(test, USED_AFTER)
        if then.failed and otherwise.failed:
            raise then.error or StageError("both sides of a branch fail")
        self.emit(branch)
        if not then.failed and not otherwise.failed:
            self.merge_attributes(branch, then_set, else_set, outside)
        if then.failed or otherwise.failed:
            live = otherwise if then.failed else then
            env.names.clear()
            env.names.update(else_names if then.failed else then_names)
            for (_, name), (owner, value) in (else_set if then.failed else then_set).items():
                owner.attributes[name] = value
            restore_lists((else_lists if then.failed else then_lists).changed)
            self.lift(branch, then.failed)
            return live.signal
        if isinstance(then.signal, ReturnSignal) and isinstance(otherwise.signal, ReturnSignal):
            return ReturnSignal(self.merge(branch, then.signal.value, otherwise.signal.value))
        if then.signal is not None or otherwise.signal is not None:
            if leaves and not self.in_try and BREAK not in (then.signal, otherwise.signal) and not self.in_loop:
                values = [s.value if isinstance(s, ReturnSignal) else None for s in (then.signal, otherwise.signal)]
                return ReturnSignal(self.merge(branch, *values))  # the other side reaches the end of the function
            raise StageError("break or continue under an open condition")
        same_lists = self.lists_on_both_sides(branch, node, then_lists, else_lists, before, then_names, else_names, env)
        self.merging = node
        self.merge_names(branch, before, then_names, else_names, env, outside)
        self.merge_lists(branch, node, same_lists, env)
        self.note_joined(branch, node)
        return None

    def exec_side(self, left_out: bool, body: list[ast.stmt], env: Env) -> Signal | None:
        if left_out:
            raise StageError("what follows was decided by the other side")
        return self.exec_block(body, env)

    def note_joined(self, branch: Branch, node: ast.If) -> None:
        """Notes which variables, or how many items of them, would be known if only the side seen were translated."""
        if self.in_loop or self.used_with_others or branch.test.witness is MISSING:
            return
        seen = branch.then if branch.test.witness else branch.otherwise
        self.joined |= {op.name: node for op in seen.ops if isinstance(op, Let) and not isinstance(op.value, Sym)}

    def around_call(self, env: Env) -> Snapshot:
        """What a function can reach without its own variables: all that matters once both sides of a branch return."""
        function = env.names.get("__function__")
        parameters = {a.arg for a in nodes(function.node.args) if isinstance(a, ast.arg)} if function else env.names
        return Snapshot(env.parent, [v for n, v in env.names.items() if n in parameters])

    def lift(self, branch: Branch, then_failed: bool) -> None:
        """One side raises: the other side's operations go after the branch, so that they are on the main path."""
        self.facts += facts_of(branch.test.expr, not then_failed)
        live = branch.otherwise if then_failed else branch.then
        operations, live.ops = live.ops, []
        for op in operations:
            self.emit(op)

    def side(self, run: Callable[[], Signal | None], test: Sym, value: bool) -> Side:
        """Evaluates one side of a branch into a block of its own. A side that fails becomes a `raise`."""
        block, outer = Block(), self.block
        self.block, self.around[block] = block, outer
        facts = list(self.facts)
        self.facts += facts_of(test.expr, value)
        self.in_side += 1
        taken = test.witness is not MISSING and bool(test.witness) == value
        side = Side(block)
        try:
            side.signal = run()
        except ProgramError as error:
            side.failed, side.error = True, error
            block.ops.append(Static(raise_of(error)))
        except NeedsConstant as error:
            if taken or test.witness is MISSING or not self.decided_by(test, error.sym):
                raise
            side.failed, side.error = True, error
            block.ops[:] = [Static(self.decline_side(error))]
        except (Declined, StageError) as error:
            if taken and getattr(error, "code", "") != "K2T403" and not isinstance(error, CallsItself):
                raise  # K2T403: a model without its weights is still the model
            side.failed, side.error = True, error
            block.ops[:] = [Static(self.decline_side(error))]
        finally:
            self.in_side -= 1
            self.block, self.facts = outer, facts
        return side

    def decided_by(self, test: Sym, value: Sym) -> bool:
        """Whether fixing what `value` depends on would decide `test` as well: the side not seen is then lost anyway."""
        return False

    def narrowed(self, value: Any) -> Any:
        """A choice of which one side is unknown: that side raises here, where the value is used, the other goes on."""
        if not isinstance(value, Alternative):
            return value
        for unknown, other, outcome in ((value.then, value.otherwise, True), (value.otherwise, value.then, False)):
            if isinstance(unknown, Unknown):
                failed = self.side(lambda u=unknown: self.fail(u), value.test, outcome)
                empty = Block()
                branch = Branch(value.test, *((failed.block, empty) if outcome else (empty, failed.block)))
                self.emit(branch)
                self.lift(branch, outcome)
                return self.narrowed(other)
        return value

    def fail(self, unknown: Unknown) -> Signal:
        raise self.declined("K2T201", f"a value cannot be evaluated: {unknown.reason}")

    def decline_side(self, error: Exception) -> ast.stmt:
        code = error.code if isinstance(error, Declined) else "K2T302"
        message = error.message if isinstance(error, Declined) else str(error)
        span = getattr(error, "span", None) or self.where()
        what = f"this side of a branch is not translated and raises when it is reached: {message}"
        self.findings.add(Finding("K2T302", Severity.WARNING, what, "", span, excerpt(span)))
        return ast.parse(f"raise NotImplementedError({f'{code}: {message}'!r})").body[0]

    def truth(self, value: Any) -> Any:
        test = super().truth(value)
        if isinstance(test, Sym):
            test = as_test(test)
            key, sign = fact(test.expr, True)
            for known, outcome in reversed(self.facts):
                if known == key:
                    return outcome == sign
        return test

    def merge_names(
        self, branch: Branch, before: dict[str, Any], then: dict[str, Any], otherwise: dict[str, Any], env: Env,
        outside: Snapshot,
    ) -> None:  # fmt: skip
        env.names.clear()
        env.names.update(before)
        for name in dict.fromkeys((*then, *otherwise)):
            if name.startswith("__"):
                continue
            a, b = then.get(name, MISSING), otherwise.get(name, MISSING)
            if a is b:
                env.names[name] = a
            elif a is MISSING or b is MISSING:
                env.names[name] = self.one_sided(branch, name, b if a is MISSING else a, b is MISSING, outside)
            elif isinstance(a, OneSided) or isinstance(b, OneSided):
                env.names[name] = self.bound_on_ways(branch, name, a, b)
            else:
                env.names[name] = self.merge(branch, a, b, name)

    def merge(self, branch: Branch, a: Any, b: Any, name: str = "") -> Any:
        """One value for what two sides of a branch computed."""
        test = branch.test
        open_list = gathered_in((a, b)) if a is not b else None
        if open_list is not None:
            return self.merge_open_lists(branch, open_list.node, a, b, name)
        if name and self.can_be_open(branch, a, b):
            return self.merge_open_lists(branch, self.merging, a, b, name)
        if isinstance(a, Value) and isinstance(b, Value):
            return self.merge_tensors(branch, a, b)
        if (
            isinstance(a, (list, tuple))
            and type(a) is type(b)
            and len(a) == len(b)
            and (has_tensors(a) or not is_static(a) or not is_static(b))
        ):
            return rebuilt(a, (self.merge(branch, x, y) for x, y in zip(a, b)))
        if isinstance(a, Model) and isinstance(b, Model) and not a.sequential and not b.sequential:
            return self.merge_models(branch, a, b)
        if a is b or is_static(a) and is_static(b) and same(a, b):
            return a
        if mentions_mode(test):
            raise self.declined("K2T404", "a value that depends on `training` is not translated")
        if a is True and b is False:
            return surely_bool(test)
        if is_static(a) and is_static(b):
            witness = witness_of_choice(test, a, b)
            if not name:
                return Sym(ast.IfExp(test.expr, to_ast(a), to_ast(b)), witness, possible=either(a, b))
            slot = self.fresh(name)
            branch.then.ops.append(Let(slot, a, name))
            branch.otherwise.ops.append(Let(slot, b, name))
            return replace(Sym.name(slot, witness), possible=either(a, b))
        return Alternative(test, a, b, self.frame)

    def merge_models(self, branch: Branch, a: Model, b: Model) -> Model:
        if tensors(a.inputs) != tensors(b.inputs):
            raise StageError("the sides of a branch build models with different inputs")
        return Model(a.inputs, self.merge(branch, a.outputs, b.outputs), a.name or b.name, span=a.span)

    def merge_tensors(self, branch: Branch, a: Value, b: Value) -> Value:
        if a is b:
            return a
        layout = a.type.layout if a.type.layout is b.type.layout else Layout.FIRST
        poly = self.has_open_rank(a, b) or a.type.rank != b.type.rank
        if poly:
            layout = Layout.KERAS
        ranks = [self.poly.get(x, replace(x.type.in_layout(layout), open_rank=True)) for x in (a, b)]
        a, b = self.in_block(branch.then, lambda: self.to_layout(a, layout)), self.in_block(
            branch.otherwise, lambda: self.to_layout(b, layout)
        )
        chosen = a if branch.test.witness is MISSING or branch.test.witness else b
        if poly:
            kind = self.of_any_rank(branch.test, chosen, a, b)
        else:
            merged = [self.merge_dim(branch.test, x, y) for x, y in zip(a.type.shape, b.type.shape)]
            dims = tuple(self.with_name(d, axis_name(len(merged), i)) for i, d in enumerate(merged))
            kind = replace(a.type, shape=dims, layout=layout if len(dims) > 2 else Layout.KERAS)
        result = Value(kind, chosen.hint)
        self.join_masks(branch, result, a, b)
        branch.phis.append((result, a, b))
        if poly:
            self.poly[result] = Ranks(branch.test, *ranks, self.frame)
        inputs = [a, b]
        self.origins[result] = Origin(inputs, [result], lambda new: self.not_again())
        return result

    def of_any_rank(self, test: Sym, chosen: Value, a: Value, b: Value) -> TensorType:
        """The type of a tensor that is `a` or `b`, of another rank: as `chosen`, with the last size of either."""
        channels = self.merge_dim(test, a.type.channels, b.type.channels)
        return replace(chosen.type, open_rank=True, shape=(*chosen.type.shape[:-1], channels))

    def made_once(self, value: Value) -> None:
        """Notes a tensor that a model called as a layer could not make again from other inputs."""
        self.origins[value] = Origin([], [value], lambda xs: self.not_again())

    def not_again(self) -> Any:
        raise StageError("a model with open branches is used again as a layer")

    def merge_dim(self, test: Sym, a: Any, b: Any) -> Any:
        if a is None or b is None:
            return None
        if same(a, b):
            return a
        equal = decided_equal(test.expr, a, b)
        if equal is not MISSING:
            return equal
        if mentions_mode(test):
            raise self.declined("K2T404", "a size that depends on `training` is not translated")
        return Sym(ast.IfExp(test.expr, to_ast(a), to_ast(b)), witness_of_choice(test, a, b))

    def with_name(self, size: Any, name: str) -> Any:
        """A long choice of sizes as a variable of the constructor."""
        if self.in_kept_loop or not isinstance(size, Sym) or not isinstance(size.expr, ast.IfExp):
            return size
        if printed_length(size.code) <= MAX_CHOICE:
            return size
        slot = self.fresh(name.removeprefix("in_"))
        self.emit(Let(slot, size, name))
        return Sym.name(slot, size.witness, size.integer)

    def in_block(self, block: Block, action: Callable[[], Any]) -> Any:
        outer, self.block = self.block, block
        try:
            return action()
        finally:
            self.block = outer

    def open_ifexp(self, test: Sym, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
        return self.split_on(test, then, otherwise)

    def split(self, value: Alternative, use: Callable[[Any], Any]) -> Any:
        return self.split_on(
            self.at_home(value.test, value.home), lambda: use(value.then), lambda: use(value.otherwise)
        )

    def chosen(self, value: Alternative, why: str) -> Any:
        outcome = self.truth(self.at_home(value.test, value.home))
        return super().chosen(value, why) if isinstance(outcome, Sym) else value.then if outcome else value.otherwise

    def at_home(self, test: Sym, home: Any) -> Sym:
        """A test made elsewhere, in the names of the class under construction."""
        if home is None or home is self.frame or self.frame.kind != "class":
            return test
        taken = {n: self.capture(n, Sym.name(n), home) for n in test.names()}
        moved = substitute(test, taken)
        return Sym(moved.expr, test.witness) if isinstance(moved, Sym) else test

    def split_on(self, test: Sym, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
        known = self.truth(test)
        if not isinstance(known, Sym):
            return then() if known else otherwise()
        results: list[Any] = []

        def run(action: Callable[[], Any]) -> Callable[[], None]:
            return lambda: results.append(action())

        first = self.side(run(then), test, True)
        if first.failed:
            results.append(None)
        second = self.side(run(otherwise), test, False)
        if second.failed:
            results.append(None)
        branch = Branch(test, first.block, second.block)
        if first.failed and second.failed:
            raise first.error or StageError("both sides of a branch fail")
        if first.block.ops or second.block.ops or any(map(has_tensors, results)):
            self.emit(branch)
        if first.failed or second.failed:
            self.lift(branch, first.failed)
            return results[1] if first.failed else results[0]
        return self.merge(branch, results[0], results[1])

    def open_assert(self, node: ast.Assert, test: Any, env: Env) -> None:
        if isinstance(test, Sym):
            self.emit(Static(ast.Assert(test.expr, None)))

    def emit_lowering(
        self, lowering: Any, xs: list[Value], layer: Any, hint: str = "x", span: Any = None, masks: Any = ()
    ) -> list[Value]:
        if layer is not None:
            self.check_own(layer)
        return super().emit_lowering(lowering, xs, layer, hint, span, masks)
