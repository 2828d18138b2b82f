"""Functions that build models: the part that makes the tensors becomes a class, the rest stays a function around it."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import MISSING, NeedsConstant, Sym, code_of, is_open, witness_of
from transpiler.ir.liveness import all_uses
from transpiler.ir.model import ApiValue
from transpiler.ir.naming import cap_words
from transpiler.ir.program import (
    Apply,
    Block,
    Branch,
    Let,
    Loop,
    ModuleClass,
    Return,
    Static,
    Value,
    blocks_of,
    replace_tensors,
    tensors,
)
from transpiler.ir.shape import Layout, TensorType
from transpiler.ir.statics import bound_names, names_in
from transpiler.ir.trees import variables_in
from transpiler.read.keras.evaluate.effects import Snapshot
from transpiler.read.keras.evaluate.gathered import NotGathered, gathered_in
from transpiler.read.keras.evaluate.interpreter import Interpreter
from transpiler.read.keras.evaluate.signals import ReturnSignal
from transpiler.read.keras.evaluate.stager import Stager
from transpiler.read.keras.evaluate.staging import (
    Frame,
    Memory,
    StageError,
    annotations_of,
    axis_name,
    is_sequence,
    is_static,
    items_of,
    signature_defaults,
    substitute,
)
from transpiler.read.keras.evaluate.values import (
    Alternative,
    Class,
    Env,
    Function,
    Instance,
    Model,
    Origin,
    has_tensors,
    own_copy,
)
from transpiler.read.keras.names import is_module

PREFIXES = ("build_", "create_", "make_", "get_", "define_")


@dataclass(eq=False)
class Factory:
    """A model-building function of the result: statements before the model, its class, and what the class is given."""

    function: Function
    cls: ModuleClass
    prologue: Block
    epilogue: Block
    arguments: dict[str, Any]
    frozen: dict[str, Any]
    outer_names: dict[str, str] = field(default_factory=dict)
    """Numbered names → what they stand for: attributes of `self`, variables of the functions around."""
    tier: str = "structure"
    reasons: list[str] = field(default_factory=list)
    """Why parameters were fixed."""
    parameters: tuple[str, ...] = ()
    unused: dict[str, list[str]] = field(default_factory=dict)
    """The parameter `**kwargs` → what was given in it that is Keras itself, of which the result has no use."""
    effects: bool = False
    """Whether the function changed something that outlives its call."""


class FactoryStager(Stager):
    """The stager of one model-building function."""

    def __init__(self, base: Any, findings: Any, memory: Memory, flat: bool = False) -> None:
        super().__init__(base, findings, memory, flat)
        self.input_dims: dict[str, Any] = {}
        self.outer_names: dict[str, Sym] = {}
        """What the function reads from around it, `self.width` or `width` → the name for it."""
        self.inputs_made: list[Value] = []
        self.reserved: set[str] = set()
        """The function's own parameters."""
        self.fixed_outer: dict[str, Any] = {}
        """What of that decided the structure, with the values seen."""

    def make_input(self, kwargs: dict[str, Any], args: list[Any]) -> Value:
        value = super().make_input(kwargs, args)
        if self.frame.kind == "class" and self.frame.function is None:
            return value  # of a model that a layer of the program is made of
        if self.frame.kind != "factory":
            raise StageError("an input is made inside a helper")
        return self.with_named_sizes(value)

    def with_named_sizes(self, value: Value) -> Value:
        """An input whose open sizes are parameters of the class."""
        shape: list[Any] = [None]
        for axis, dim in enumerate(value.type.shape[1:], start=1):
            if not isinstance(dim, Sym):
                shape.append(dim)
                continue
            label = axis_name(value.type.rank, axis)
            if label in self.reserved:
                label = f"in_{label}"
            while label in self.input_dims:
                label = (
                    f"{value.hint}_{label.removeprefix('in_')}"
                    if value.hint != "x" and f"{value.hint}_{label.removeprefix('in_')}" not in self.input_dims
                    else f"{label}2"
                )
            self.input_dims[label] = dim
            shape.append(Sym.name(label, dim.witness, True))
        made = Value(TensorType(tuple(shape), value.type.dtype), value.hint)
        self.origins[made] = Origin([], [made], lambda xs: None)
        self.inputs_made.append(made)
        return made

    def merge_tensors(self, branch: Branch, a: Value, b: Value) -> Value:
        """Two inputs of one kind, one made on each side of a branch and not read there, are one input."""
        inside = {x for side in (branch.then, branch.otherwise) for op in side.walk() for x in all_uses(op)}
        if (
            a is b
            or not {a, b} <= set(self.inputs_made) - inside
            or a.type.rank != b.type.rank
            or a.type.dtype != b.type.dtype
        ):
            return super().merge_tensors(branch, a, b)
        own = [[self.input_dims[d.code] if isinstance(d, Sym) else d for d in x.type.shape] for x in (a, b)]
        for x in (a, b):
            self.inputs_made.remove(x)
            for d in x.type.shape:
                self.input_dims.pop(code_of(d), None)
        sizes = tuple(self.merge_dim(branch.test, *pair) for pair in zip(*own))
        return self.with_named_sizes(Value(TensorType(sizes, a.type.dtype), a.hint if a.hint != "x" else b.hint))

    def instance_attribute(self, value: Instance, name: str) -> Any:
        found = Interpreter.instance_attribute(self, value, name)
        if value.code is None:
            return super().instance_attribute(value, name)
        if not is_static(found) or name.startswith("__"):
            return found
        return self.from_around(f"self.{name}", found)

    def from_around(self, text: str, value: Any) -> Any:
        """A static value that the function reads from around it: open as a parameter is, or fixed at what was seen."""
        if self.flat or (0, text) in self.frozen:
            self.fixed_outer[text] = value
            return value
        if text not in self.outer_names:
            self.outer_names[text] = Sym.name(self.fresh(text.rpartition(".")[2]), witness_of(value))
        symbol = self.outer_names[text]
        return symbol if self.frame.kind == "factory" else self.capture(symbol.code, symbol, None)

    def decided_by(self, test: Sym, value: Sym) -> bool:
        around = {s.code for s in self.outer_names.values()}
        names = value.names()
        return self.frame.kind == "factory" and bool(names) and names <= test.names() & (self.reserved | around)

    def with_length(self, name: str, seen: Any, known: Collection[int], function: Function) -> Any:
        """A sequence with as many open items as were seen, of which some are `known`; the factory raises for others."""

        def require(test: str, what: str) -> None:
            only = Declined("K2T302", f"only {what} is translated", "", function.module.span(function.node))
            self.raise_unless(Sym.parse(test, True), Static(self.decline_side(only)))

        require(f"len({name}) == {len(seen)}", f"{name} with {len(seen)} item{'s' * (len(seen) != 1)}")
        for i in known:
            require(f"{name}[{i}] == {code_of(seen[i])}", f"{name}[{i}] = {code_of(seen[i])}")
        items = items_of(name, seen)
        return type(items)(seen[i] if i in known else item for i, item in enumerate(items))

    def items_behind(self, value: Sym, sequences: Mapping[str, Collection[int]]) -> list[tuple[str, int]]:
        """The items of parameters that are read for a value; none if that is all there is to know of one."""
        found: list[tuple[str, int]] = []
        for node in self.behind(value):
            if (
                isinstance(node, ast.Subscript)
                and isinstance(node.value, ast.Name)
                and isinstance(node.slice, ast.Constant)
            ):
                name, index = node.value.id, node.slice.value
                if isinstance(index, int) and name in sequences and index not in sequences[name]:
                    found.append((name, index))
        return found

    def read_name(self, name: str, scope: Env, env: Env) -> Any:
        """A variable of a function around the model-building one may be another the next time that function runs."""
        value = super().read_name(name, scope, env)
        if scope.kind != "function" or id(scope) in self.frames or name.startswith("__"):
            return value
        if isinstance(value, (Function, Class)):
            self.fixed_outer[name] = value
        if not is_static(value) or is_open(value):
            return value
        if name in self.reserved:
            raise StageError(f"{name} is a parameter, and a variable of the function around")
        return self.from_around(name, value)


def flat_factory(
    base: Any, findings: Any, memory: Memory, function: Function, arguments: dict[str, Any], name: str
) -> Factory:
    """The function with every parameter fixed at the value seen, and its model as one class, one line a layer."""
    stager = FactoryStager(base, findings, memory, flat=True)
    fixed = {
        n: v
        for n, v in arguments.items()
        if not _is_rest(function, n) and not (isinstance(v, Instance) and next(iter(arguments)) == n)
    }
    try:
        factory = _evaluate(stager, function, arguments, name, fixed)
    except NeedsConstant as error:
        raise StageError(str(error)) from None
    factory.tier = "flat"
    return factory


def flat_expression(base: Any, findings: Any, memory: Memory, expression: ast.expr, env: Env, name: str) -> ModuleClass:
    """The model that an expression builds, as one class."""
    stager = FactoryStager(base, findings, memory, flat=True)
    stager.frame = Frame(None, "factory")
    around = Snapshot(env)
    try:
        inputs, outputs = graph_of(stager.eval(expression, env), stager)
    except NeedsConstant as error:
        raise StageError(str(error)) from None
    finally:
        around.restore()
    region = Block([op for op in stager.block.ops])
    moved = {y: stager.in_block(region, lambda y=y: stager.to_layout(y, Layout.KERAS)) for y in tensors(outputs)}
    region.ops.append(Return(replace_tensors(outputs, moved)))
    return ModuleClass(name, [], tensors(inputs), region, root=True)


def stage_factory(
    base: Any, findings: Any, memory: Memory, function: Function, arguments: dict[str, Any], name: str
) -> Factory:
    """The function as a factory and a class that keep its parameters.

    Raises StageError, Declined or ProgramError if the structure cannot be kept.
    """
    frozen: dict[str, Any] = {}
    lengths: dict[str, set[int]] = {}
    reasons: list[str] = []
    for _ in range(24):
        stager = FactoryStager(base, findings, memory)
        stager.frozen.update({(0, n): v for n, v in frozen.items()})
        try:
            factory = _evaluate(stager, function, arguments, name, frozen, lengths)
            factory.tier = "specialised" if factory.frozen else "structure"
            given = [n for n in factory.frozen if n not in frozen]
            if given:
                reasons.append(f"{', '.join(given)}: the structure follows from what is given here")
            factory.reasons = reasons
            return factory
        except StageError:
            if not lengths:
                raise
            frozen |= {n: arguments[n] for n in lengths}  # as one value they may be kept
            reasons.append(f"{', '.join(lengths)}: the items decide the structure")
            lengths.clear()
        except NeedsConstant as error:
            if error.place is not None and error.place not in memory.by_value:
                memory.by_value.append(error.place)
                continue
            if stager.narrow(error.sym):
                continue
            names = _freezable(count_in(error.sym), arguments, stager) - frozen.keys()
            names = names or _freezable(error.sym, arguments, stager) - frozen.keys()
            sequences = {n for n in names if is_sequence(arguments.get(n))} - lengths.keys()
            if sequences:
                lengths |= {n: set() for n in sequences}
                continue
            items = stager.items_behind(error.sym, lengths)
            for n, i in items:
                lengths[n].add(i)
            if items and all(len(lengths[n]) < len(arguments[n]) for n, _ in items):
                continue
            for n in names & lengths.keys():
                del lengths[n]
            if not names:
                raise StageError(f"{error} ({error.sym})") from None
            line = f" at line {stager.where().line}" if stager.stack else ""
            reasons.append(f"{', '.join(sorted(names))}: {error}{line}")
            for n in names:
                frozen[n] = arguments.get(n, MISSING)
    raise StageError("too many parameters decide the structure")


def count_in(sym: Sym) -> Sym:
    """Of `(size,) * count` the count, which may be all that has to be known of it; else the whole."""
    if isinstance(sym.expr, ast.BinOp) and isinstance(sym.expr.op, ast.Mult):
        sides = sym.expr.left, sym.expr.right
        for items, count in (sides, sides[::-1]):
            if isinstance(items, (ast.Tuple, ast.List)) and variables_in(count):
                return Sym(count)
    return sym


def _freezable(sym: Sym, arguments: dict[str, Any], stager: FactoryStager) -> set[str]:
    """The parameters (or attributes of self) that an expression depends on."""
    found: set[str] = set()
    lets = sources_of(stager.block)
    around = {s.expr.id: n for n, s in stager.outer_names.items()}  # type: ignore[attr-defined]
    todo, seen = list(sym.names()), set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in arguments:
            found.add(name)
        elif name in around:
            found.add(around[name])
        elif name in stager.input_dims:
            todo += stager.input_dims[name].names()
        else:
            todo += lets.get(name, ())
    return found


def sources_of(block: Block, tests: frozenset[str] = frozenset()) -> dict[str, set[str]]:
    """Variable → the names that its values, and the tests that choose among them, depend on."""
    found: dict[str, set[str]] = {}
    for op in block.ops:
        if isinstance(op, Let):
            found.setdefault(op.name, set()).update(names_in(op.value) | tests)
        for inner in blocks_of(op):
            decides = names_in(op.test if isinstance(op, Branch) else op.iterable)
            for name, names in sources_of(inner, tests | decides).items():
                found.setdefault(name, set()).update(names)
    return found


def _evaluate(
    stager: FactoryStager,
    function: Function,
    arguments: dict[str, Any],
    name: str,
    frozen: dict[str, Any],
    lengths: Mapping[str, Collection[int]] = {},  # noqa: B006 - never changed
) -> Factory:
    """`frozen` parameters have the value seen, those in `lengths` the number of items, and these items."""
    env = Env(function.env, "function", function.module)
    stager.frame = Frame(function, "factory")
    stager.reserved = set(arguments)
    for n, v in arguments.items():
        if isinstance(v, Instance) and next(iter(arguments)) == n:
            v = Instance(v.cls, dict(v.attributes), Sym.name("self"))

        elif n in lengths:
            v = stager.with_length(n, own_copy(v), lengths[n], function)
        elif is_static(v) and n not in frozen and not _is_rest(function, n):
            v = Sym.name(n, own_copy(witness_of(v)))
        else:
            v = own_copy(v)
        env.names[n] = v
    env.names["__function__"] = function
    env.names["__receiver__"] = next(iter(env.names.values()), None)
    stager.frames[id(env)] = stager.frame
    stager.frame.scopes.append(env)
    stager.visit(function.node)
    around = Snapshot(function.env, arguments.values())
    try:
        factory = _evaluate_in(env, stager, function, arguments, name, frozen)
        factory.effects = around.changed()
        return factory
    finally:
        around.restore()  # the next attempt starts from what this one found


def _evaluate_in(
    env: Env, stager: FactoryStager, function: Function, arguments: dict[str, Any], name: str, frozen: dict[str, Any]
) -> Factory:
    signal = stager.guarded(lambda: stager.exec_block(function.node.body, env))  # type: ignore[union-attr,arg-type]
    result = signal.value if isinstance(signal, ReturnSignal) else None
    if result is None and function.name == "__init__":
        raise StageError("a constructor that builds models")
    open_list = gathered_in(result)
    if open_list is not None:
        raise NotGathered(open_list.node)
    inputs, outputs = graph_of(result, stager)
    return _extract(stager, function, arguments, inputs, outputs, name, frozen)


def _is_rest(function: Function, name: str) -> bool:
    a = function.node.args
    return name in (getattr(a.kwarg, "arg", None), getattr(a.vararg, "arg", None))


def graph_of(result: Any, stager: Any) -> tuple[Any, Any]:
    """Inputs and outputs of what a builder returned: a model, or its input and output tensors."""
    open_part = alternative_in((result.inputs, result.outputs) if isinstance(result, Model) else result)
    if open_part is not None:
        raise NeedsConstant(open_part.test, "what the function returns depends on a parameter")
    if isinstance(result, Model):
        if result.inputs is None:
            raise StageError("a Sequential model without an input shape")
        return result.inputs, result.outputs
    if isinstance(result, (tuple, list)) and len(result) == 2 and has_tensors(result):
        inputs = tensors(result[0])
        if inputs and all(not stager.origins[x].inputs for x in inputs if x in stager.origins):
            return result[0], result[1]
    raise StageError("the function does not return one model")


def alternative_in(value: Any) -> Alternative | None:
    """The first value in a nested structure that depends on an open test."""
    if isinstance(value, Alternative):
        return value
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return next((a for a in map(alternative_in, items) if a is not None), None)


def _extract(
    stager: FactoryStager,
    function: Function,
    arguments: dict[str, Any],
    inputs: Any,
    outputs: Any,
    name: str,
    frozen: dict[str, Any],
) -> Factory:
    ops = stager.block.ops
    live = [i for i, op in enumerate(ops) if _makes_tensors(op)]
    first, last = (live[0], live[-1] + 1) if live else (len(ops), len(ops))
    region = Block(ops[first:last])
    prologue = Block(ops[:first])
    changed = bound_names(region)
    early = [op for op in prologue.ops if isinstance(op, Let) and op.name in changed]  # the start of a loop's variables
    prologue.ops = [op for op in prologue.ops if op not in early]
    region.ops[:0] = early
    moved = {y: stager.in_block(region, lambda y=y: stager.to_layout(y, Layout.KERAS)) for y in tensors(outputs)}
    region.ops.append(Return(replace_tensors(outputs, moved)))
    cls = ModuleClass(name, [], tensors(inputs), region, root=True)
    cls.sizes = tuple(stager.input_dims)
    outer_names = {s.expr.id: n for n, s in stager.outer_names.items()}  # type: ignore[attr-defined]
    local = tuple(dict.fromkeys(op.name for op in prologue.walk() if isinstance(op, Let)))
    cls.statics = (*[n for n in arguments if n not in frozen], *outer_names, *local)
    cls.defaults = _root_defaults(function, stager)
    cls.annotations = annotations_of(arguments, {})
    values = {**{n: Sym.name(n) for n in cls.statics}, **stager.input_dims}
    used = {n for statement in function.node.body for n in variables_in(statement)}  # type: ignore[union-attr]
    objects = {
        n: v
        for n, v in arguments.items()
        if (not is_static(v) or _is_rest(function, n) and n in used)
        and not (isinstance(v, Instance) and next(iter(arguments)) == n)
    }
    own = {n: v for n, v in {**frozen, **objects}.items() if n in arguments}
    fixed = own | stager.fixed_outer
    unused = {n: parts_of_keras(v) for n, v in own.items() if _is_rest(function, n) and parts_of_keras(v)}
    for n, parts in unused.items():
        rest = {k: v for k, v in fixed.pop(n).items() if k not in parts}
        fixed |= {n: rest} if rest else {}
    return Factory(
        function,
        cls,
        prologue,
        Block(ops[last:]),
        values,
        fixed,
        outer_names,
        parameters=tuple(arguments),
        unused=unused,
    )


def parts_of_keras(rest: Any) -> list[str]:
    """The names of the arguments in `**kwargs` that are modules of Keras."""
    return [
        k for k, v in (rest.items() if isinstance(rest, dict) else ()) if isinstance(v, ApiValue) and is_module(v.path)
    ]


def _root_defaults(function: Function, stager: FactoryStager) -> dict[str, Any]:
    """Literal defaults for the class's parameters, from those of the function."""
    defaults = signature_defaults(function)
    for label, value in stager.input_dims.items():
        if isinstance(value, Sym) and value.names() <= defaults.keys():
            known = substitute(value, defaults)
            if isinstance(known, Sym) and not known.names():
                try:
                    known = (
                        ast.literal_eval(known.expr) if not isinstance(known.expr, ast.Subscript) else _item(known.expr)
                    )
                except (ValueError, TypeError, IndexError):
                    continue
            if isinstance(known, int):
                defaults[label] = known
    return defaults


def _item(node: ast.Subscript) -> Any:
    return ast.literal_eval(node.value)[ast.literal_eval(node.slice)]


def _makes_tensors(op: Any) -> bool:
    if isinstance(op, Branch):
        return bool(op.phis) or any(isinstance(o, (Apply, Loop)) for o in (*op.then.walk(), *op.otherwise.walk()))
    return isinstance(op, (Apply, Loop))


def class_name(function: Function) -> str:
    """The class's name, from the function's: build_unet → Unet, VGG16 → VGG16Model."""
    name = function.name.strip("_")
    if (
        name
        in (
            "__init__",
            "init",
            "build_network",
            "build_model",
            "build",
            "create_model",
            "get_model",
            "make_model",
            "load_model",
            "model",
        )
        and function.owner is not None
    ):
        return cap_words(
            f"{function.owner.name}Model"
            if not function.owner.name.lower().endswith("model")
            else f"{function.owner.name}Net"
        )
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    named = cap_words(name)
    if named in ("Model", "Net", "Network", "Nn"):
        named = cap_words(function.module.path.stem)
    return f"{named}Model" if named == function.name else named
