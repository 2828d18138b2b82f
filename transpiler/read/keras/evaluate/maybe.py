"""Code of which nobody knows how often it runs: sides of branches and bodies of loops over what only exists at run time.

It is evaluated for what it does with models. Whatever it changes is unknown from there on, so it may make no models; it is
evaluated until nothing more becomes unknown, as later rounds of a loop see what earlier ones have changed.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import NeedsConstant, Sym
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.effects import Snapshot
from transpiler.read.keras.evaluate.signals import BREAK, ProgramError, ReturnSignal, Signal
from transpiler.read.keras.evaluate.syntax import assigned_names
from transpiler.read.keras.evaluate.undecided import changes_nothing
from transpiler.read.keras.evaluate.values import Env, Unknown

MAX_ROUNDS = 6
"""How often such code is evaluated before it is given up."""
MAX_TRAINING = 300
"""How many rounds of a loop that trains are evaluated one by one."""
MAX_UNKNOWN = 3
"""How many rounds of a loop with such code inside are."""


class MaybeBreaks(Signal):
    """A loop ends here, or goes on: nobody knows which."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class UnknownItems(Exception):
    """What a comprehension goes over first is not known."""

    def __init__(self, node: Any, items: Unknown) -> None:
        super().__init__(items.reason)
        self.node, self.items = node, items


class MayRun:
    """The part of the recorder that evaluates code which may run or not."""

    times_unknown = 0
    """How often there was such code so far."""
    of_any_length: set[ast.AST]
    """Loops of known length that are too long for it."""

    def unknown_branch(self, test: Unknown, node: ast.If, rest: list[ast.stmt], env: Env) -> Signal | None:
        try:
            return super().unknown_branch(test, node, rest, env)  # type: ignore[misc]
        except Declined as declined:
            inner = [n for s in (*node.body, *node.orelse) for n in nodes(s)]
            ends = any(isinstance(n, (ast.Break, ast.Continue, ast.Return)) for n in inner)
            self.may_run([node.body, node.orelse, *([list(rest)] if ends else [])], test.reason, env, declined)
            if not ends:
                return None
            rest.clear()
            loops = any(isinstance(n, (ast.Break, ast.Continue)) for n in inner)
            return MaybeBreaks(test.reason) if loops else ReturnSignal(Unknown(test.reason))

    def unknown_loop(self, node: ast.For | ast.While, over: Unknown, env: Env) -> Signal | None:
        what = "this cannot be iterated over" if isinstance(node, ast.For) else "this condition cannot be evaluated"
        declined = self.declined("K2T201", f"{what}: {over.reason}")  # type: ignore[attr-defined]
        return self.any_rounds(node, over.reason, env, declined, getattr(node, "target", None))

    def loop(self, node: ast.For, iterable: Any, env: Env) -> Signal | None:
        if node in self.of_any_length:
            return self.unknown_loop(node, Unknown("a loop has many rounds"), env)
        made, trained, unknown = self._made(), self.times_trained(), self.times_unknown  # type: ignore[attr-defined]
        for i, item in enumerate(self.iterate(iterable)):  # type: ignore[attr-defined]
            self.tick()  # type: ignore[attr-defined]
            self.assign(node.target, item, env)  # type: ignore[attr-defined]
            signal = self.exec_block(node.body, env)  # type: ignore[attr-defined]
            if signal is BREAK:
                return None
            if isinstance(signal, ReturnSignal):
                return signal
            trains, open_inside = self.times_trained() > trained, self.times_unknown > unknown  # type: ignore[attr-defined]
            many = trains and i >= MAX_TRAINING or open_inside and i >= MAX_UNKNOWN
            long = many and made == self._made()  # type: ignore[attr-defined]
            if long:
                self.of_any_length.add(node)
            if long or isinstance(signal, MaybeBreaks):
                reason = signal.reason if isinstance(signal, MaybeBreaks) else "a loop has many rounds"
                declined = self.declined("K2T201", f"it is not known where this loop ends: {reason}")  # type: ignore[attr-defined]
                return self.any_rounds(node, reason, env, declined, node.target)
        return self.exec_block(node.orelse, env)  # type: ignore[attr-defined]

    def exec_While(self, node: ast.While, env: Env) -> Signal | None:
        made, trained, rounds = self._made(), self.times_trained(), 0  # type: ignore[attr-defined]
        while True:
            self.tick()  # type: ignore[attr-defined]
            test = self.eval_test(node.test, env)  # type: ignore[attr-defined]
            if isinstance(test, Sym):
                raise NeedsConstant(test)
            if isinstance(test, Unknown):
                return self.unknown_loop(node, test, env)
            if not test:
                return self.exec_block(node.orelse, env)  # type: ignore[attr-defined]
            signal = self.exec_block(node.body, env)  # type: ignore[attr-defined]
            if signal is BREAK:
                return None
            if isinstance(signal, ReturnSignal):
                return signal
            rounds += 1
            long = rounds > MAX_TRAINING and made == self._made() and self.times_trained() > trained  # type: ignore[attr-defined]
            if long or isinstance(signal, MaybeBreaks):
                reason = signal.reason if isinstance(signal, MaybeBreaks) else "a loop has many rounds"
                declined = self.declined("K2T201", f"it is not known where this loop ends: {reason}")  # type: ignore[attr-defined]
                return self.any_rounds(node, reason, env, declined)

    def comprehension(self, node: Any, env: Env, emit: Any) -> Unknown | None:
        first = node.generators[0]
        items = self.eval(first.iter, env)  # type: ignore[attr-defined]
        if isinstance(items, Unknown):
            raise UnknownItems(node, items)
        scope = Env(env, "comprehension", env.module)
        scope.names["__items__"] = items
        known = ast.comprehension(first.target, ast.Name("__items__", ast.Load()), first.ifs, first.is_async)
        return super().comprehension(SimpleNamespace(generators=[known, *node.generators[1:]]), scope, emit)  # type: ignore[misc]

    def eval_ListComp(self, node: Any, env: Env) -> Any:
        return self.listed(node, env, super().eval_ListComp, [node.elt])  # type: ignore[misc]

    eval_GeneratorExp = eval_ListComp

    def eval_SetComp(self, node: ast.SetComp, env: Env) -> Any:
        found = self.eval_ListComp(node, env)
        return found if isinstance(found, Unknown) else set(found)

    def eval_DictComp(self, node: ast.DictComp, env: Env) -> Any:
        return self.listed(node, env, super().eval_DictComp, [node.key, node.value])  # type: ignore[misc]

    def listed(self, node: Any, env: Env, evaluate: Any, parts: list[ast.expr]) -> Any:
        """A list over items that nobody knows is itself unknown; what makes its items, the `parts`, may run."""
        try:
            return evaluate(node, env)
        except UnknownItems as unknown:
            if unknown.node is not node:
                raise
            items = unknown.items
        declined = self.declined("K2T201", f"this cannot be iterated over: {items.reason}")  # type: ignore[attr-defined]
        scope = Env(env, "function", env.module)
        for generator in node.generators:
            self.assign(generator.target, Unknown(items.reason), scope)  # type: ignore[attr-defined]
        body = [ast.copy_location(ast.Expr(p), node) for p in (*(t for g in node.generators for t in g.ifs), *parts)]
        self.may_run([body], items.reason, scope, declined)
        return Unknown(items.reason)

    def any_rounds(
        self, node: ast.For | ast.While, reason: str, env: Env, declined: Declined, target: ast.expr | None = None
    ) -> Signal | None:
        """A loop of any number of rounds, over items that nobody knows."""
        returns = any(isinstance(n, ast.Return) for s in node.body for n in nodes(s))
        if returns:  # the rest of the function may run or not
            raise declined
        self.may_run([node.body], reason, env, declined, target)
        return self.exec_block(node.orelse, env)  # type: ignore[attr-defined]

    def may_run(
        self,
        blocks: Sequence[Sequence[ast.stmt]],
        reason: str,
        env: Env,
        declined: Declined,
        target: ast.expr | None = None,
    ) -> None:
        """Evaluates blocks each of which may run or not, any number of times. Raises `declined` where that says nothing."""
        unknown = Unknown(reason)
        self.times_unknown += 1
        with self.nothing_made(declined):
            for _ in range(MAX_ROUNDS):
                before = Snapshot(env, scopes=[e for _, e in self.calling])  # type: ignore[attr-defined]
                for block in blocks:
                    if target is not None:
                        self.assign(target, Unknown(reason), env)  # type: ignore[attr-defined]
                    self.run_through(list(block), env, unknown, declined)
                changed = before.forget(unknown)
                if changed is None:
                    raise declined
                if not changed:
                    return
        raise declined

    def run_through(self, block: list[ast.stmt], env: Env, unknown: Unknown, declined: Declined) -> None:
        """Evaluates statements; where one fails, those from there on may change nothing but names."""
        for i, statement in enumerate(block):
            try:
                signal = self.exec_block([statement], env)  # type: ignore[attr-defined]
            except (Declined, ProgramError, NeedsConstant) as error:
                if not changes_nothing(block[i:], env, self.builtins):  # type: ignore[attr-defined]
                    raise declined if isinstance(error, ProgramError) else error from None
                for name in assigned_names(block[i:]):
                    env.assign(name, unknown)
                continue
            may_end = (
                isinstance(signal, MaybeBreaks)
                or isinstance(signal, ReturnSignal)
                and not isinstance(statement, ast.Return)
            )
            if signal is not None and not may_end:
                return

    @contextlib.contextmanager
    def nothing_made(self, declined: Declined) -> Iterator[None]:
        """Raises `declined` where what is evaluated inside makes layers or models, or leaves them or Keras in another state."""
        made, toggles = self._made(), len(self.toggles)  # type: ignore[attr-defined]
        layers, models = len(self.layers), len(self.models)  # type: ignore[attr-defined]
        data_format = self.image_data_format  # type: ignore[attr-defined]
        seen = {n: len(c) for n, c in self.training_calls.items()}  # type: ignore[attr-defined]
        trained = {id(x): x.attributes.get("trainable") for x in (*self.layers, *self.models)}  # type: ignore[attr-defined]
        try:
            yield
        finally:
            changed = {id(t.target): t.target for t in self.toggles[toggles:]}  # type: ignore[attr-defined]
            toggled = any(x.attributes.get("trainable") != trained.get(i) for i, x in changed.items())
            if self._made() != made or toggled or self.image_data_format != data_format:  # type: ignore[attr-defined]
                self.image_data_format = data_format
                del self.layers[layers:], self.models[models:]  # type: ignore[attr-defined]
                raise declined
        for call in [c for n, found in self.training_calls.items() for c in found[seen.get(n, 0) :]]:  # type: ignore[attr-defined]
            if call.method == "compile":  # nobody knows whether it is the one in force
                call.model.attributes["__compiled__"] = None

    def times_trained(self) -> int:
        """How often training methods were called so far."""
        return sum(map(len, self.training_calls.values()))  # type: ignore[attr-defined]
