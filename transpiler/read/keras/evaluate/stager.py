"""Keeps the program's structure: functions stay classes, loops stay loops, branches stay branches.

The stager evaluates the same source as the concrete interpreter, with the parameters of functions kept open (`Sym`).
What depends on them is written as an expression; tensors carry shapes in these expressions. A function that maps
tensors to tensors is evaluated once for each combination of kinds of arguments and becomes a class; calling it again is
constructing that class. Where a decision needs a value (`NeedsConstant`), the parameter is frozen and the function is
evaluated again; where that does not help, the call is written inline.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from transpiler.diagnostics import Declined, Findings
from transpiler.ir.expr import MISSING, NeedsConstant, Sym, is_open, observe, same, to_ast, witness_of
from transpiler.ir.liveness import all_uses
from transpiler.ir.model import ApiValue, Layer, Step
from transpiler.ir.naming import cap_words, identifier
from transpiler.ir.program import (
    Apply,
    Block,
    Branch,
    Construction,
    Let,
    Loop,
    Member,
    ModuleClass,
    Return,
    Static,
    Value,
    replace_tensors,
    tensors,
)
from transpiler.ir.shape import Layout
from transpiler.ir.statics import bound_names
from transpiler.read.keras.evaluate.interpreter import (
    BREAK,
    Interpreter,
    ProgramError,
    ReturnSignal,
    Signal,
    assigned_names,
)
from transpiler.read.keras.evaluate.keras_calls import WEIGHT_METHODS, KerasInterpreter
from transpiler.read.keras.evaluate.values import (
    Alternative,
    Bound,
    Class,
    Env,
    Function,
    Instance,
    Model,
    Origin,
    Unknown,
    has_tensors,
)

AXIS_NAMES = {
    3: ("length", "in_channels"),
    4: ("height", "width", "in_channels"),
    5: ("depth", "height", "width", "in_channels"),
}
MAX_SIZE_TEXT = 40
"""Longest size that is written out; a longer one is read from the submodule that has it."""

STATIC = (int, float, str, bool, type(None), bytes)


class StageError(Exception):
    """The structure of this part cannot be kept; a lower tier is used."""


@dataclass(eq=False)
class Frame:
    """One class or factory under construction."""

    function: Function | None
    kind: str
    captures: dict[str, Sym] = field(default_factory=dict)
    outer: Frame | None = None
    versions: int = 0
    dims: dict[str, Any] = field(default_factory=dict)
    """Names made for the sizes of inputs → the expression or size that the caller passes."""


@dataclass(eq=False)
class Staged:
    """A function that became a class: what a call of it needs to know."""

    cls: ModuleClass
    inputs: list[Value]
    result: Any
    statics: list[str]
    """Constructor parameters that come from the function's own, in order."""
    captures: dict[str, Sym]
    home: Frame | None
    dims: dict[str, tuple[int, int]]
    """Constructor parameters that are sizes: name → (input, axis)."""
    trivial: bool = False


def is_static(value: Any) -> bool:
    """Whether a value can be a parameter of a generated class."""
    if isinstance(value, Sym):
        return True
    if isinstance(value, (list, tuple)):
        return all(map(is_static, value))
    if isinstance(value, dict):
        return all(isinstance(k, STATIC) and is_static(v) for k, v in value.items())
    return isinstance(value, STATIC)


@dataclass(eq=False)
class Memory:
    """What all stagers of one conversion share, so that a helper becomes one class however many models use it."""

    classes: dict[Any, Staged | None] = field(default_factory=dict)
    static_functions: list[Function] = field(default_factory=list)
    visited: list[Any] = field(default_factory=list)
    """The syntax nodes of functions and classes whose code went into classes."""
    inlined: list[Any] = field(default_factory=list)
    """Functions that turned out not to work as classes of their own."""
    demands: set[tuple[Any, str]] = field(default_factory=set)
    """Sizes that callers read from the objects of a class: (key of the class, attribute)."""
    counter: int = 0
    frozen: dict[tuple[int, str], Any] = field(default_factory=dict)
    """Parameters fixed at the value seen: (function node, name) → value."""
    preferred: dict[tuple[int, str], Layout] = field(default_factory=dict)
    """The layout in which a function takes a tensor: (function node, parameter) → layout."""


class Stager(KerasInterpreter):
    """Evaluates functions with open parameters and writes classes that keep their structure.

    With `flat`, nothing is kept: calls are written inline, loops unrolled.
    """

    def __init__(self, base: KerasInterpreter, findings: Findings, memory: Memory, flat: bool = False) -> None:
        super().__init__(base.loader, base.generation, findings)
        self.modules, self.module_order = base.modules, base.module_order
        self.missing_imports = base.missing_imports
        self.image_data_format = base.image_data_format
        self.frame = Frame(None, "factory")
        self.frames: dict[int, Frame] = {}
        self.memory, self.flat = memory, flat
        self.poly: dict[Value, Sym] = {}
        self.active: list[Any] = []
        self.in_side = 0
        self.in_loop = 0
        self.facts: list[tuple[str, bool]] = []
        """Tests decided by where the evaluation is: inside a side of their branch, or past one whose other side raises."""
        self.frozen: dict[tuple[int, str], Any] = {}

    # --- names ----------------------------------------------------------------------------------------------------

    def fresh(self, name: str) -> str:
        """A static variable of its own."""
        self.memory.counter += 1
        return f"{name.split('__v')[0]}__v{self.memory.counter}"

    def bind(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Env:
        env = super().bind(function, args, kwargs)
        self.frames[id(env)] = self.frame
        env.names["__env__"] = env  # keeps the id alive
        return env

    def read_name(self, name: str, scope: Env, env: Env) -> Any:
        value = scope.names[name]
        if scope.kind == "module":
            return self.read_global(name, value, scope)
        return self.captured(name, value, self.frames.get(id(scope)))

    def captured(self, name: str, value: Any, home: Frame | None) -> Any:
        """A value read from an enclosing function: a class takes it as a constructor parameter."""
        if home is None or home is self.frame or self.frame.kind == "factory" or not isinstance(value, Sym):
            return value
        return self.capture(name, value, home)

    def capture(self, name: str, value: Sym, home: Frame | None) -> Sym:
        name = name.split("__v")[0]
        known = self.frame.captures.get(name)
        if known is not None and not same(known, value):
            raise StageError(f"two captured values are called {name}")
        self.frame.captures[name] = value
        return Sym.name(name, value.witness)

    def read_global(self, name: str, value: Any, scope: Env) -> Any:
        return value

    def setattr(self, target: Any, name: str, value: Any) -> None:
        if isinstance(target, Instance) and target.code is not None:
            raise StageError("an attribute of self is set while a model is built")
        super().setattr(target, name, value)

    def statement_begins(self, node: ast.stmt, env: Env) -> None:
        self.comments = env.module.comments_of(node) if env.kind != "module" else ()

    # --- assignments --------------------------------------------------------------------------------------------------

    def named(self, value: Any, name: str, env: Env) -> Any:
        if isinstance(value, Sym) and not isinstance(value.expr, (ast.Name, ast.Attribute, ast.Constant)):
            variable = self.fresh(name)
            self.emit(Let(variable, value, name))
            return Sym.name(variable, value.witness)
        if isinstance(value, (list, tuple)) and is_open(value) and is_static(value) and isinstance(value, tuple):
            return value
        return super().named(value, name, env)

    # --- branches ---------------------------------------------------------------------------------------------------------

    def open_branch(self, test: Any, node: ast.If, rest: list[ast.stmt], env: Env) -> Signal | None:
        if isinstance(test, Unknown):
            return self.unknown_branch(test, node, rest, env)
        leaves = any(
            isinstance(n, (ast.Return, ast.Break, ast.Continue))
            for s in (*node.body, *node.orelse)
            for n in ast.walk(s)
        )
        tail = list(rest) if leaves else []
        if leaves:
            rest.clear()
        before = dict(env.names)
        then = self.side(lambda: self.exec_block([*node.body, *tail], env), test, True)
        then_names = dict(env.names)
        env.names.clear()
        env.names.update(before)
        otherwise = self.side(lambda: self.exec_block([*node.orelse, *tail], env), test, False)
        else_names = dict(env.names)
        branch = Branch(test, then.block, otherwise.block)
        if then.failed and otherwise.failed:
            raise then.error or StageError("both sides of a branch fail")
        self.emit(branch)
        if then.failed or otherwise.failed:
            live = otherwise if then.failed else then
            env.names.clear()
            env.names.update(else_names if then.failed else then_names)
            self.lift(branch, then.failed)
            return live.signal
        if isinstance(then.signal, ReturnSignal) and isinstance(otherwise.signal, ReturnSignal):
            return ReturnSignal(self.merge(branch, then.signal.value, otherwise.signal.value))
        if then.signal is not None or otherwise.signal is not None:
            if leaves and not self.in_try and BREAK not in (then.signal, otherwise.signal) and not self.in_loop:
                values = [s.value if isinstance(s, ReturnSignal) else None for s in (then.signal, otherwise.signal)]
                return ReturnSignal(self.merge(branch, *values))  # the other side reaches the end of the function
            raise StageError("break or continue under an open condition")
        self.merge_names(branch, before, then_names, else_names, env)
        return None

    def lift(self, branch: Branch, then_failed: bool) -> None:
        """One side raises: the other side's operations go after the branch, so that they are on the main path."""
        self.facts.append(fact(branch.test.expr, not then_failed))
        live = branch.otherwise if then_failed else branch.then
        operations, live.ops = live.ops, []
        for op in operations:
            self.emit(op)

    def side(self, run: Callable[[], Signal | None], test: Sym, value: bool) -> Side:
        """Evaluates one side of a branch into a block of its own. A side that fails becomes a `raise`."""
        block, outer = Block(), self.block
        self.block = block
        facts = list(self.facts)
        self.facts.append(fact(test.expr, value))
        self.in_side += 1
        taken = test.witness is not MISSING and bool(test.witness) == value
        side = Side(block)
        try:
            side.signal = run()
        except ProgramError as error:
            side.failed, side.error = True, error
            block.ops.append(Static(raise_of(error)))
        except (Declined, StageError) as error:
            if taken or isinstance(error, StageError) and self.strict_sides:
                raise
            side.failed, side.error = True, error
            block.ops[:] = [Static(self.decline_side(error))]
        finally:
            self.in_side -= 1
            self.block, self.facts = outer, facts
        return side

    strict_sides = False

    def decline_side(self, error: Exception) -> ast.stmt:
        code = error.code if isinstance(error, Declined) else "K2T302"
        message = error.message if isinstance(error, Declined) else str(error)
        self.report("K2T302", f"this side of a branch is not translated and raises when it is reached: {message}")
        return ast.parse(f"raise NotImplementedError({f'{code}: {message}'!r})").body[0]

    def truth(self, value: Any) -> Any:
        test = super().truth(value)
        if isinstance(test, Sym):
            key, sign = fact(test.expr, True)
            for known, outcome in reversed(self.facts):
                if known == key:
                    return outcome == sign
        return test

    def merge_names(
        self, branch: Branch, before: dict[str, Any], then: dict[str, Any], otherwise: dict[str, Any], env: Env
    ) -> None:
        env.names.clear()
        env.names.update(before)
        for name in dict.fromkeys((*then, *otherwise)):
            if name.startswith("__"):
                continue
            a, b = then.get(name, MISSING), otherwise.get(name, MISSING)
            if a is b:
                env.names[name] = a
            elif a is MISSING or b is MISSING:
                env.names[name] = Unknown(f"{name} is bound on one side of a branch only")
            else:
                env.names[name] = self.merge(branch, a, b, name)

    def merge(self, branch: Branch, a: Any, b: Any, name: str = "") -> Any:
        """One value for what two sides of a branch computed."""
        test = branch.test
        if isinstance(a, Value) and isinstance(b, Value):
            return self.merge_tensors(branch, a, b)
        if (
            isinstance(a, (list, tuple))
            and type(a) is type(b)
            and len(a) == len(b)
            and (has_tensors(a) or not is_static(a) or not is_static(b))
        ):
            return type(a)(self.merge(branch, x, y) for x, y in zip(a, b))
        if isinstance(a, Model) and isinstance(b, Model) and not a.sequential and not b.sequential:
            return self.merge_models(branch, a, b)
        if is_static(a) and is_static(b):
            if same(a, b):
                return a
            witness = observe(lambda t, x, y: x if t else y, test, a, b)
            if not name:
                return Sym(ast.IfExp(test.expr, to_ast(a), to_ast(b)), witness)
            slot = self.fresh(name)
            branch.then.ops.append(Let(slot, a, name))
            branch.otherwise.ops.append(Let(slot, b, name))
            return Sym.name(slot, witness)
        return a if a is b else Alternative(test, a, b)

    def merge_models(self, branch: Branch, a: Model, b: Model) -> Model:
        if tensors(a.inputs) != tensors(b.inputs):
            raise StageError("the sides of a branch build models with different inputs")
        return Model(a.inputs, self.merge(branch, a.outputs, b.outputs), a.name or b.name, span=a.span)

    def merge_tensors(self, branch: Branch, a: Value, b: Value) -> Value:
        if a is b:
            return a
        layout = a.type.layout if a.type.layout is b.type.layout else Layout.FIRST
        poly = a.type.rank != b.type.rank
        if poly:
            layout = Layout.KERAS
        a, b = self.in_block(branch.then, lambda: self.to_layout(a, layout)), self.in_block(
            branch.otherwise, lambda: self.to_layout(b, layout)
        )
        chosen = a if branch.test.witness is MISSING or branch.test.witness else b
        if poly:
            kind = chosen.type
        else:
            dims = tuple(self.merge_dim(branch.test, x, y) for x, y in zip(a.type.shape, b.type.shape))
            kind = replace(a.type, shape=dims, layout=layout if len(dims) > 2 else Layout.KERAS)
        result = Value(kind, chosen.hint)
        branch.phis.append((result, a, b))
        if poly or a in self.poly or b in self.poly:
            self.poly[result] = branch.test
        inputs = [a, b]
        self.origins[result] = Origin(inputs, [result], lambda new: self.not_again())
        return result

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
        return Sym(ast.IfExp(test.expr, to_ast(a), to_ast(b)), observe(lambda t, x, y: x if t else y, test, a, b))

    def in_block(self, block: Block, action: Callable[[], Any]) -> Any:
        outer, self.block = self.block, block
        try:
            return action()
        finally:
            self.block = outer

    def open_ifexp(self, test: Sym, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
        return self.split_on(test, then, otherwise)

    def split(self, value: Alternative, use: Callable[[Any], Any]) -> Any:
        return self.split_on(value.test, lambda: use(value.then), lambda: use(value.otherwise))

    def split_on(self, test: Sym, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
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
        self, lowering: Any, xs: list[Value], layer: Any, hint: str = "x", span: Any = None
    ) -> list[Value]:
        for x in xs:
            if x in self.poly:
                raise NeedsConstant(self.poly[x], "the rank of this tensor depends on a parameter")
        return super().emit_lowering(lowering, xs, layer, hint, span)

    # --- loops -----------------------------------------------------------------------------------------------------------------

    def loop(self, node: ast.For, iterable: Any, env: Env) -> Signal | None:
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
        names = dict(env.names)
        layers, outer = len(self.layers), self.block
        try:
            kept = self.keep_loop(node, iterable, items, env)
        except (StageError, NeedsConstant) as error:
            self.block = outer
            if not closed:
                if isinstance(error, NeedsConstant) and not self.of_loop(error, layers):
                    raise
                raise NeedsConstant(iterable, str(error)) from None
            kept = False
        if kept:
            return None
        env.names.clear()
        env.names.update(names)
        del self.layers[layers:]
        if not closed:
            raise NeedsConstant(iterable)
        return self.unrolled(node, items, env)

    def of_loop(self, error: NeedsConstant, layers: int) -> bool:
        """Whether the decision depends on a variable of the loop, which only unrolling makes known."""
        return any("__v" in n for n in error.sym.names())

    def unrolled(self, node: ast.For, items: list[Any], env: Env) -> Signal | None:
        self.in_loop += 1
        try:
            return Interpreter.loop(self, node, items, env)
        finally:
            self.in_loop -= 1

    def keep_loop(self, node: ast.For, iterable: Any, items: list[Any], env: Env) -> bool:
        """Evaluates the body once with the loop variable open. False if the loop has nothing to do with tensors."""
        if node.orelse or any(
            isinstance(n, (ast.Return, ast.Break, ast.Continue)) for s in node.body for n in ast.walk(s)
        ):
            raise StageError("the loop is left early")
        if mutates_containers(node.body, env):
            raise StageError("the loop fills a list")
        if not items:
            raise StageError("the loop did not run")
        outer, before = self.block, dict(env.names)
        changed = [n for n in assigned_names(node.body) if n in before and isinstance(before[n], (Value, Sym, *STATIC))]
        general: dict[str, Any] = {}
        lets: list[Let] = []
        for n in changed:  # what the body may change is a variable of the loop
            value = before[n]
            if isinstance(value, Value):
                start = Value(value.type, value.hint)
                self.origins[start] = self.origins.get(value, Origin([], [start], lambda xs: self.not_again()))
                general[n] = start
            else:
                slot = self.fresh(n)
                lets.append(Let(slot, value, n))
                general[n] = Sym.name(slot, witness_of(value))
        slots: dict[tuple[str, int], str] = {}
        for _ in range(6):
            target = self.loop_target(node.target, items[0])
            env.names.clear()
            env.names.update({**before, **general})
            self.assign_target(node.target, target, env)
            body = Block()
            self.block = body
            layers = len(self.layers)
            self.in_loop += 1
            try:
                signal = self.exec_block(node.body, env)
            finally:
                self.in_loop -= 1
            self.block = outer
            if signal is not None:
                raise StageError("the loop is left early")
            if not any(isinstance(op, Apply) for op in body.walk()):
                return False
            stable = self.generalise(general, env, slots, before, body)
            if stable:
                break
            del self.layers[layers:]
        else:
            raise StageError("the sizes in this loop do not settle")
        self.close_loop(node, iterable, body, general, before, lets, slots, env, target)
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
        self, general: dict[str, Any], env: Env, slots: dict[tuple[str, int], str], before: dict[str, Any], body: Block
    ) -> bool:
        """Compares the tensors at the end of the body with those at its start; axes that differ become variables."""
        stable = True
        for name, start in list(general.items()):
            end = env.names.get(name)
            if not isinstance(start, Value):
                continue
            if not isinstance(end, Value):
                raise StageError(f"{name} stops being a tensor in the loop")
            if end.type.rank != start.type.rank:
                raise StageError(f"the rank of {name} changes in the loop")
            if end.type.layout is not start.type.layout:
                general[name] = Value(replace(start.type, layout=end.type.layout), start.hint)
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
                self.origins[fresh] = Origin([], [fresh], lambda xs: self.not_again())
                general[name] = fresh
        return stable

    def close_loop(
        self, node: ast.For, iterable: Any, body: Block, general: dict[str, Any], before: dict[str, Any], lets: list[Let],
        slots: dict[tuple[str, int], str], env: Env, target: Any,
    ) -> None:  # fmt: skip
        loop = Loop(
            to_ast(target) if not isinstance(target, tuple) else ast.Tuple([to_ast(t) for t in target], ast.Load()),
            iterable,
            body,
        )
        after: dict[str, Any] = {}
        for let in lets:
            self.emit(let)
        for (name, axis), slot in slots.items():
            self.emit(Let(slot, before[name].type.shape[axis], slot))
        for name, start in general.items():
            end = env.names[name]
            if isinstance(start, Value):
                initial = self.to_layout(before[name], start.type.layout)
                local = (
                    bound_names(body)
                    | {n.id for n in ast.walk(loop.target) if isinstance(n, ast.Name)}
                    | set(slots.values())
                    | {let.name for let in lets}
                )
                runs = not isinstance(iterable, Sym) or not iterable.names()
                result = Value(
                    replace(end.type, shape=self.after_shape(start, end, name, slots, local if runs else None)),
                    end.hint,
                )
                self.origins[result] = Origin([], [result], lambda xs: self.not_again())
                loop.carried.append((initial, start, end, result))
                after[name] = result
                for (n, axis), slot in slots.items():
                    if n == name:
                        body.ops.append(Let(slot, end.type.shape[axis], slot))
            else:
                slot = start.expr.id
                if isinstance(end, Sym) or is_static(end):
                    if not same(end, start):
                        body.ops.append(Let(slot, end, name))
                    after[name] = Sym.name(slot, witness_of(end))
                else:
                    raise StageError(f"{name} changes its kind in the loop")
        self.emit(loop)
        new = {n: v for n, v in env.names.items() if n not in before}
        env.names.clear()
        env.names.update(before)
        for n, v in new.items():
            env.names[n] = v if not has_tensors(v) and not is_open(v) else Unknown(f"{n} belongs to the body of a loop")
        env.names.update(after)
        for n in assigned_names([node]):
            if (
                n not in after
                and n in env.names
                and (isinstance(env.names[n], Value) and env.names[n] is not before.get(n))
            ):
                env.names[n] = Unknown(f"{n} belongs to the body of a loop")

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
        if not isinstance(first, Sym):
            return super().eval_ListComp(node, env)
        return self.open_comprehension(node, first, env)

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
            tests = [self.truth(self.eval(c, scope)) for c in generator.ifs]
            if self.block.ops or not is_static(element):
                raise NeedsConstant(iterable)
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
                if all(witness_of(self.truth(self.eval(c, scope))) for c in node.generators[0].ifs):
                    value = witness_of(self.eval(node.elt, scope))
                    if value is MISSING:
                        return MISSING
                    result.append(value)
            finally:
                self.block = outer
        return result

    # --- calls ----------------------------------------------------------------------------------------------------------------

    def call_real(self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        if (
            function in (enumerate, zip, reversed)
            and args
            and all(map(is_iterable_static, args))
            and is_static(list(kwargs.values()))
        ):
            name = function.__name__  # type: ignore[attr-defined]
            call = ast.Call(
                ast.Name(name, ast.Load()),
                [to_ast(a) for a in args],
                [ast.keyword(k, to_ast(v)) for k, v in kwargs.items()],
            )
            return Sym(call, observe(lambda a, k: list(function(*a, **k)), list(args), dict(kwargs)))
        return super().call_real(function, args, kwargs)

    def iterate(self, value: Any) -> Any:
        if (
            isinstance(value, Sym)
            and not value.names() - {"enumerate", "zip", "reversed", "range"}
            and value.witness is not MISSING
        ):
            return list(value.witness)
        return super().iterate(value)

    def call_function(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if isinstance(function.node, ast.Lambda):
            return self.run_function(function, args, kwargs)
        values = [*args, *kwargs.values()]
        if any(map(has_tensors, values)):
            return self.call_tensor_function(function, args, kwargs)
        if any(map(is_open, values)) and all(is_static(v) or isinstance(v, Instance) for v in values):
            found = self.static_call(function, args, kwargs)
            if found is not None:
                return found
        return self.run_function(function, args, kwargs)

    def static_call(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """A call of a function that has nothing to do with tensors stays a call; None if it has."""
        if not self.exportable(function):
            return None
        seen, seen_kwargs = [witness_of(a) for a in args], {k: witness_of(v) for k, v in kwargs.items()}
        if any(v is MISSING for v in (*seen, *seen_kwargs.values())):
            witness: Any = MISSING
        else:
            outer, self.block = self.block, Block()
            try:
                witness = self.run_function(function, seen, seen_kwargs)
                if self.block.ops or not is_static(witness):
                    return None
            except (ProgramError, Declined, NeedsConstant):
                return None
            finally:
                self.block = outer
        self.use_static(function)
        callee = ast.Name(function.name, ast.Load())
        return Sym(
            ast.Call(callee, [to_ast(a) for a in args], [ast.keyword(k, to_ast(v)) for k, v in kwargs.items()]), witness
        )

    def use_static(self, function: Function) -> None:
        if function not in self.memory.static_functions:
            self.memory.static_functions.append(function)

    def exportable(self, function: Function) -> bool:
        """Whether the function can stand in the output as it is: module level, and free of Keras and of the unknown."""
        if (
            function.env.kind != "module"
            or function.owner is not None
            or not isinstance(function.node, ast.FunctionDef)
        ):
            return False
        own = {a.arg for a in ast.walk(function.node.args) if isinstance(a, ast.arg)} | set(
            assigned_names(function.node.body)
        )
        for node in ast.walk(function.node):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                return False
            if isinstance(node, ast.Name) and node.id not in own and node.id not in self.builtins:
                value = function.env.names.get(node.id, MISSING)
                if isinstance(value, Function) and value is not function:
                    if not self.exportable(value):
                        return False
                elif isinstance(value, (ApiValue, Unknown, Class, Instance, Model, Layer)) or value is MISSING:
                    return False
        return True

    def run_function(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Any:
        self.visit(function.node)
        outer, self.in_loop = self.in_loop, 0
        try:
            return super().run_function(function, args, kwargs)
        finally:
            self.in_loop = outer

    def visit(self, node: Any) -> None:
        if node not in self.memory.visited:
            self.memory.visited.append(node)

    def call_tensor_function(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if self.flat or function.node in self.memory.inlined:
            return self.run_function(function, args, kwargs)
        if function.node in self.active:
            raise StageError(f"{function.name} calls itself")
        if any(isinstance(n, (ast.Yield, ast.YieldFrom)) for n in ast.walk(function.node)):
            raise StageError("generators are not kept")
        try:
            staged, arguments = self.stage_class(function, args, kwargs)
        except StageError:
            staged = None
        if staged is None or staged.trivial:
            return self.run_function(function, args, kwargs)
        return self.construct(staged, arguments)

    def stage_class(
        self, function: Function, args: list[Any], kwargs: dict[str, Any]
    ) -> tuple[Staged | None, dict[str, Any]]:
        """The class for a call of `function` with arguments of these kinds, made now or found again."""
        arguments = {
            k: v for k, v in Interpreter.bind(self, function, args, kwargs).names.items() if not k.startswith("__")
        }
        for _ in range(12):
            key = self.class_key(function, arguments)
            if key in self.memory.classes:
                return self.memory.classes[key], arguments
            try:
                self.memory.classes[key] = None
                staged = self.evaluate_class(function, arguments)
                if self.takes_permuted(function, staged):
                    del self.memory.classes[key]
                    continue
                self.memory.classes[key] = staged
                return staged, arguments
            except NeedsConstant as error:
                del self.memory.classes[key]
                self.freeze(function, arguments, error)
            except (StageError, Declined, ProgramError):
                del self.memory.classes[key]
                raise
        raise StageError("too many parameters decide the structure")

    def takes_permuted(self, function: Function, staged: Staged) -> bool:
        """Whether the function only ever permutes one of its tensors: it is then given that tensor permuted."""
        found = False
        for x in staged.inputs:
            uses = [op for op in staged.cls.block.walk() if x in all_uses(op)]
            known = self.memory.preferred.get((id(function.node), x.hint))
            if known is None and uses and all(isinstance(op, Apply) and op.step.permutes for op in uses):
                self.memory.preferred[id(function.node), x.hint] = (
                    Layout.FIRST if x.type.layout is Layout.KERAS else Layout.KERAS
                )
                found = True
        return found

    def freeze(self, function: Function, arguments: dict[str, Any], error: NeedsConstant) -> None:
        """Fixes the parameters that a decision depends on at the values of this call."""
        fixed = False
        for name in error.sym.names():
            if name in arguments and (id(function.node), name) not in self.memory.frozen:
                if is_open(arguments[name]):
                    raise NeedsConstant(first_symbol(arguments[name]), str(error))
                self.memory.frozen[id(function.node), name] = True
                fixed = True
        if not fixed:
            captured = self.last_captures.get(next(iter(error.sym.names()), ""))
            if captured is not None:
                raise NeedsConstant(captured, str(error))
            raise StageError(f"the value of {error.sym} decides the structure") from None

    last_captures: dict[str, Sym] = {}

    def class_key(self, function: Function, arguments: dict[str, Any]) -> Any:
        def kind(name: str, value: Any) -> Any:
            if isinstance(value, Value):
                layout = self.memory.preferred.get((id(function.node), name), value.type.layout)
                return ("tensor", value.type.rank, layout, value.type.masked)
            if has_tensors(value) and isinstance(value, (list, tuple)):
                return tuple(kind(f"{name}{i + 1}", v) for i, v in enumerate(value))
            if (id(function.node), name) in self.memory.frozen:
                return ("frozen", repr(value))
            if is_static(value):
                return "static"
            return ("object", id(value.function) if isinstance(value, Bound) else id(value))

        closure = id(function.env) if function.env.kind != "module" else 0
        return (id(function.node), closure, tuple((n, kind(n, v)) for n, v in arguments.items()))

    def evaluate_class(self, function: Function, arguments: dict[str, Any]) -> Staged:
        self.visit(function.node)
        frame = Frame(function, "class", outer=self.frame)
        inputs: list[Value] = []
        dims: dict[str, tuple[int, int]] = {}
        several = len(tensors(list(arguments.values()))) > 1

        def general(name: str, value: Any) -> Any:
            if isinstance(value, Value):
                layout = self.memory.preferred.get((id(function.node), name), value.type.layout)
                inner = self.general_input(name, value, layout, len(inputs), dims, several)
                inputs.append(inner)
                return inner
            if isinstance(value, (list, tuple)) and has_tensors(value):
                return type(value)(general(f"{name}{i + 1}", v) for i, v in enumerate(value))
            if isinstance(value, Instance) and value.code is None and not is_static(value):
                return value
            if not is_static(value) or (id(function.node), name) in self.memory.frozen:
                return value
            return Sym.name(name, witness_of(value))

        outer_frame, outer_block, outer_loop, outer_facts = self.frame, self.block, self.in_loop, self.facts
        outer_comments = self.comments
        self.frame, self.block, self.in_loop, self.facts = frame, Block(), 0, []
        self.active.append(function.node)
        try:
            env = Env(function.env, "function", function.module)
            env.names.update({n: general(n, v) for n, v in arguments.items()})
            env.names["__function__"] = function
            receiver = next(iter(arguments.values()), None)
            env.names["__receiver__"] = receiver
            self.frames[id(env)] = frame
            env.names["__env__"] = env
            signal = self.guarded(lambda: self.exec_block(function.node.body, env))  # type: ignore[union-attr,arg-type]
            result = signal.value if isinstance(signal, ReturnSignal) else None
            if not has_tensors(result) or isinstance(result, Alternative):
                raise StageError(f"{function.name} does not return a tensor")
            if isinstance(result, Model):
                raise StageError("a model is returned")
            block = self.block
        finally:
            self.last_captures = frame.captures
            self.active.pop()
            self.frame, self.block, self.in_loop, self.facts = outer_frame, outer_block, outer_loop, outer_facts
            self.comments = outer_comments
        block.ops.append(Return(result))
        cls = ModuleClass(cap_words(function.name.strip("_")), [], inputs, block, doc=ast.get_docstring(function.node) or "")  # type: ignore[arg-type]
        cls.sizes, cls.key = tuple(dims), function.node
        cls.annotations = annotations_of(arguments, frame.captures)
        cls.defaults = signature_defaults(function)
        statics = [
            n
            for n, v in arguments.items()
            if is_static(v) and not has_tensors(v) and (id(function.node), n) not in self.memory.frozen
        ]
        trivial = not any(isinstance(op, Apply) and op.step.module for op in block.walk())
        cls.statics = (*statics, *frame.captures)
        staged = Staged(cls, inputs, result, statics, dict(frame.captures), frame.outer, dims, trivial)
        if not trivial:
            cls.source = function  # type: ignore[attr-defined]
            cls.staged = staged  # type: ignore[attr-defined]
        return staged

    def general_input(
        self, name: str, value: Value, layout: Layout, index: int, dims: dict[str, tuple[int, int]], several: bool
    ) -> Value:
        """A tensor parameter of a class: its sizes become names, of which those that are used become parameters."""
        shape: list[Any] = [None]
        for axis, d in enumerate(value.type.shape[1:], start=1):
            label = axis_name(value.type.rank, axis)
            label = f"{name}_{label.removeprefix('in_')}" if several else label
            while label in dims:
                label += "_"
            dims[label] = (index, axis)
            shape.append(Sym.name(label, MISSING if d is None else witness_of(d), True))
        inner = Value(replace(value.type, shape=tuple(shape)).in_layout(layout), name)
        self.origins[inner] = Origin([], [inner], lambda xs: None)
        return inner

    def construct(self, staged: Staged, arguments: dict[str, Any]) -> Any:
        """A call of a staged function: its class is constructed here, and called on the tensors."""
        given = tensors(list(arguments.values()))
        xs = [self.to_layout(x, i.type.layout) for x, i in zip(given, staged.inputs)]
        values: dict[str, Any] = {n: arguments[n] for n in staged.statics}
        for label, (index, axis) in staged.dims.items():
            values[label] = xs[index].type.shape[axis]
        for name, outer in staged.captures.items():
            values[name] = (
                outer
                if self.frame is staged.home or self.frame.kind == "factory"
                else self.capture(name, outer, staged.home)
            )
        member = Member("", staged_hint(staged.cls.name), None, None, None, order=len(self.layers))
        member.construction = Construction(staged.cls, values)
        self.layers.append(member)
        step = Step(module=f"{staged.cls.name}()", hint=member.hint, stateful=True)
        member.step = step
        outputs = tensors(staged.result)
        results = [
            Value(replace(o.type, shape=self.outside(o.type.shape, staged, values, member, i)), o.hint)
            for i, o in enumerate(outputs)
        ]
        self.emit(Apply(results, xs, step, member, span=self.where()))
        self.remember(given, results, lambda new: self.construct_again(member, staged, results, new))
        return replace_tensors(staged.result, dict(zip(outputs, results)))

    def model_method(self, model: Model, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if self.in_side and name in WEIGHT_METHODS:
            raise self.declined("K2T403", f"{name}() is not translated", "Convert the weights and use load_state_dict.")
        return super().model_method(model, name, args, kwargs)

    # --- the program's own layers -------------------------------------------------------------------------------------------------

    def make_custom_layer(self, cls: Class, args: list[Any], kwargs: dict[str, Any]) -> Instance:
        layer = super().make_custom_layer(cls, args, kwargs)
        layer.attributes["__home__"] = self.frame
        return layer

    def instance_attribute(self, value: Instance, name: str) -> Any:
        found = super().instance_attribute(value, name)
        home = value.attributes.get("__home__")
        if isinstance(found, Sym) and home is not None and home is not self.frame and self.frame.kind == "class":
            return self.capture(name, found, home)
        return found

    def call_custom_layer(self, layer: Instance, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """A layer of the program becomes a class: `build` and `__init__` are its constructor, `call` is `forward`."""
        known = layer.attributes.get("__staged__")
        given = tensors(args)
        if known is None:
            self.visit(layer.cls.node)
            known = layer.attributes["__staged__"] = self.stage_custom_layer(layer, args, kwargs)
            member = self.construct_custom(layer, known, given)
        else:
            member = layer.attributes["__member__"]
            member.shared = True
        return self.apply_custom(known, member, given, args)

    def stage_custom_layer(self, layer: Instance, args: list[Any], kwargs: dict[str, Any]) -> Staged:
        frame = Frame(None, "class", outer=self.frame)
        outer_frame, outer_block = self.frame, self.block
        dims: dict[str, tuple[int, int]] = {}
        given = tensors(args)
        inputs = [self.general_input(x.hint, x, Layout.KERAS, i, dims, len(given) > 1) for i, x in enumerate(given)]
        self.frame, self.block = frame, Block()
        try:
            result = super().call_custom_layer(layer, replace_tensors(args, dict(zip(given, inputs))), kwargs)
            block = self.block
        except NeedsConstant:
            self.frame, self.block = frame, Block()
            layer.attributes["built"] = False
            layer.attributes.pop("__weights__", None)
            dims.clear()
            inputs = [Value(x.type.in_layout(Layout.KERAS), x.hint) for x in given]
            result = super().call_custom_layer(layer, replace_tensors(args, dict(zip(given, inputs))), kwargs)
            block = self.block
        finally:
            self.frame, self.block = outer_frame, outer_block
        block.ops.append(Return(result))
        doc = ast.get_docstring(layer.cls.node) or ""
        cls = ModuleClass(
            layer.cls.name,
            [],
            inputs,
            block,
            doc=doc,
            sizes=tuple(dims),
            statics=tuple(frame.captures),
            key=layer.cls.node,
        )
        return Staged(cls, inputs, result, [], dict(frame.captures), outer_frame, dims)

    def construct_custom(self, layer: Instance, staged: Staged, given: list[Value]) -> Member:
        values: dict[str, Any] = {label: given[i].type.shape[axis] for label, (i, axis) in staged.dims.items()}
        for name, outer in staged.captures.items():
            values[name] = (
                outer
                if self.frame is staged.home or self.frame.kind == "factory"
                else self.capture(name, outer, staged.home)
            )
        name = layer.attributes["__common__"].get("name")
        member = Member(
            "",
            staged_hint(staged.cls.name),
            name if isinstance(name, str) else None,
            order=layer.attributes["__common__"]["index"],
        )
        member.construction = Construction(staged.cls, values)
        member.step = Step(module=f"{staged.cls.name}()", hint=member.hint, stateful=True)
        layer.attributes["__member__"] = member
        layer.attributes["__values__"] = values
        return member

    def apply_custom(self, staged: Staged, member: Member, given: list[Value], args: list[Any]) -> Any:
        xs = [self.to_layout(x, Layout.KERAS) for x in given]
        values = dict(member.construction.values) if member.construction else {}
        values |= {label: given[i].type.shape[axis] for label, (i, axis) in staged.dims.items()}
        outputs = tensors(staged.result)
        results = [
            Value(replace(o.type, shape=self.outside(o.type.shape, staged, values, member, i)), o.hint)
            for i, o in enumerate(outputs)
        ]
        assert member.step is not None
        self.emit(Apply(results, xs, member.step, member, span=self.where()))
        self.remember(given, results, lambda new: self.apply_custom(staged, member, new, args))
        return replace_tensors(staged.result, dict(zip(outputs, results)))

    def construct_again(self, member: Member, staged: Staged, old: list[Value], new: list[Value]) -> Any:
        xs = [self.to_layout(x, i.type.layout) for x, i in zip(new, staged.inputs)]
        results = [
            Value(replace(o.type, shape=(o.type.shape if x is None else o.type.shape)), o.hint)
            for o, x in zip(old, old)
        ]
        member.shared = True
        assert member.step is not None
        self.emit(Apply(results, xs, member.step, member))
        return results

    def outside(
        self, shape: tuple[Any, ...], staged: Staged, values: dict[str, Any], member: Member, output: int
    ) -> tuple[Any, ...]:
        """The sizes of a result in the caller's terms."""
        suffix = "" if len(tensors(staged.result)) == 1 else str(output + 1)
        labels = [
            f"out_{axis_name(len(shape), axis).removeprefix('in_')}{suffix}" if axis else ""
            for axis in range(len(shape))
        ]
        return tuple(self.outside_dim(d, staged, values, member, label) for d, label in zip(shape, labels))

    def outside_dim(self, dim: Any, staged: Staged, values: dict[str, Any], member: Member, label: str) -> Any:
        if not isinstance(dim, Sym):
            return dim
        dim = self.expand_lets(dim, staged.cls.block)
        names = dim.names()
        if names <= values.keys():
            known = substitute(dim, values)
            if is_short(known):
                return known
        staged.cls.outs[label] = dim
        member.exposed |= (staged.cls.key, label) in self.memory.demands
        return Sym(ast.Attribute(ast.Name(f"member__{id(member)}", ast.Load()), label, ast.Load()), dim.witness, True)

    def expand_lets(self, dim: Sym, block: Block) -> Sym:
        """`dim` with variables that are assigned once, outside loops and branches, written out."""
        lets: dict[str, list[Let]] = {}
        for op in block.walk():
            if isinstance(op, Let):
                lets.setdefault(op.name, []).append(op)
        top = {op.name for op in block.ops if isinstance(op, Let)}
        for _ in range(8):
            found = [n for n in dim.names() if len(lets.get(n, ())) == 1 and n in top]
            if not found:
                break
            dim = substitute(dim, {n: lets[n][0].value for n in found})
            if not isinstance(dim, Sym):
                break
        return dim


def annotations_of(arguments: dict[str, Any], captures: dict[str, Any]) -> dict[str, str]:
    """Annotations for parameters whose values were seen: counts and texts, not what may be a rate as well."""
    found = {}
    for name, value in {**captures, **arguments}.items():
        seen = witness_of(value)
        if isinstance(seen, (bool, str)) or type(seen) is int and seen > 1:
            found[name] = type(seen).__name__
    return found


def is_iterable_static(value: Any) -> bool:
    """A sequence of static values, known or open."""
    if isinstance(value, Sym):
        return isinstance(value.witness, (list, tuple, range))
    return isinstance(value, range) or isinstance(value, (list, tuple)) and is_static(value)


def signature_defaults(function: Function) -> dict[str, Any]:
    """The literal defaults of a function's parameters."""
    a = function.node.args
    names = [p.arg for p in (*a.posonlyargs, *a.args)]
    found = dict(zip(names[len(names) - len(function.defaults) :], function.defaults))
    found |= {p.arg: d for p, d in zip(a.kwonlyargs, function.kw_defaults) if d is not MISSING}
    return {n: d for n, d in found.items() if is_static(d) and not is_open(d) and not isinstance(d, (list, dict))}


CUSTOM_INPUT = "inputs"


@dataclass(eq=False)
class Side:
    """One side of a branch after its evaluation."""

    block: Block
    signal: Signal | None = None
    failed: bool = False
    error: Exception | None = None


def fact(test: ast.expr, outcome: bool) -> tuple[str, bool]:
    """A test in one normal form for itself and its negation, and the outcome in that form."""
    while isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        test, outcome = test.operand, not outcome
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        positive = {ast.IsNot: ast.Is, ast.NotEq: ast.Eq, ast.NotIn: ast.In}.get(type(test.ops[0]))
        if positive is not None:
            test, outcome = ast.Compare(test.left, [positive()], test.comparators), not outcome
    return ast.dump(test), outcome


def raise_of(error: ProgramError) -> ast.stmt:
    """The `raise` statement for an exception of the program."""
    value = error.value
    if isinstance(value, Sym):
        return ast.Raise(value.expr, None)
    if isinstance(value, BaseException):
        name = type(value).__name__
        parts = [to_ast(a) for a in value.args if is_static(a)]
        return ast.Raise(ast.Call(ast.Name(name, ast.Load()), parts, []), None)
    return ast.Raise(ast.Call(ast.Name("ValueError", ast.Load()), [ast.Constant(str(value))], []), None)


def substitute(value: Any, values: dict[str, Any]) -> Any:
    """An expression with names replaced by values; simplified again."""
    if not isinstance(value, Sym):
        return value
    return _rebuild(value.expr, values, value.witness)


def _rebuild(node: ast.expr, values: dict[str, Any], witness: Any = MISSING) -> Any:
    from transpiler.ir.expr import binary

    if isinstance(node, ast.Name) and node.id in values:
        return values[node.id]
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Subscript):
        owner, index = _rebuild(node.value, values), _rebuild(node.slice, values)
        if isinstance(owner, (tuple, list)) and isinstance(index, int) and not isinstance(index, bool):
            return owner[index]
        if isinstance(owner, Sym) and isinstance(index, int):
            return owner[index]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return -node.operand.value  # type: ignore[operator]
    if isinstance(node, ast.BinOp):
        left, right = _rebuild(node.left, values), _rebuild(node.right, values)
        if not isinstance(left, ast.AST) and not isinstance(right, ast.AST):
            try:
                return binary(node.op, left, right)
            except TypeError:
                pass

    if isinstance(node, ast.IfExp):
        test = _rebuild(node.test, values)
        if not isinstance(test, Sym):
            return _rebuild(node.body if test else node.orelse, values, witness)

    class Fill(ast.NodeTransformer):
        def visit_Name(self, n: ast.Name) -> ast.expr:
            return to_ast(values[n.id]) if n.id in values else n

    filled = Fill().visit(copy.deepcopy(node))
    known = constant_value(filled)
    if known is not MISSING:
        return known
    seen = observe_names(node, values)
    return Sym(filled, seen if seen is not MISSING else witness)


FOLDED = (
    ast.Constant, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Tuple, ast.List, ast.Subscript, ast.operator,
    ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context,
)  # fmt: skip


def constant_value(node: ast.expr) -> Any:
    """The value of an expression of constants; MISSING if it is anything else."""
    if not all(isinstance(n, FOLDED) for n in ast.walk(node)):
        return MISSING
    try:
        return eval(
            compile(ast.fix_missing_locations(ast.Expression(copy.deepcopy(node))), "<constant>", "eval"),
            {"__builtins__": {}},
        )  # noqa: S307 - literals and operators only
    except Exception:
        return MISSING


def observe_names(node: ast.expr, values: dict[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return witness_of(values[node.id]) if node.id in values else MISSING
    return MISSING


def decided_equal(test: ast.expr, a: Any, b: Any) -> Any:
    """The one size that `a` (where the test holds) and `b` (elsewhere) are, if the test compares them; else MISSING.

    `a != b` in the test makes them equal where it fails, `a == b` where it holds.
    """
    pair = {ast.dump(to_ast(a)), ast.dump(to_ast(b))}
    for joined, op, value in ((ast.Or, ast.NotEq, a), (ast.And, ast.Eq, b)):
        parts = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, joined) else [test]
        for part in parts:
            compared = isinstance(part, ast.Compare) and len(part.ops) == 1 and isinstance(part.ops[0], op)
            if compared and {ast.dump(part.left), ast.dump(part.comparators[0])} == pair:
                return value
    return MISSING


def is_short(value: Any) -> bool:
    """Whether a size reads well where it is used: a name, a number, or a little arithmetic."""
    if not isinstance(value, Sym):
        return True
    return len(value.code) <= MAX_SIZE_TEXT and not any(
        isinstance(n, (ast.IfExp, ast.Call, ast.Compare)) for n in ast.walk(value.expr)
    )


def axis_name(rank: int, axis: int) -> str:
    names = AXIS_NAMES.get(rank)
    if names:
        return names[axis - 1]
    return "in_features" if axis == rank - 1 else f"size{axis}"


def staged_hint(name: str) -> str:
    return identifier(name)


def mutates_containers(body: list[ast.stmt], env: Env) -> bool:
    """Whether the body changes a list, dict or set that lives outside it."""
    methods = ("append", "extend", "insert", "pop", "remove", "update", "add", "setdefault", "clear")
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in methods:
                owner = node.func.value
                if isinstance(owner, ast.Name) and isinstance(env.names.get(owner.id), (list, dict, set)):
                    return True
            if isinstance(node, (ast.Assign, ast.AugAssign)):
                for t in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(t, ast.Subscript):
                        return True
                    if (
                        isinstance(node, ast.AugAssign)
                        and isinstance(t, ast.Name)
                        and isinstance(env.names.get(t.id), list)
                    ):
                        return True
    return False


def first_symbol(value: Any) -> Sym:
    if isinstance(value, Sym):
        return value
    items = value.values() if isinstance(value, dict) else value
    return next(first_symbol(v) for v in items if is_open(v))
