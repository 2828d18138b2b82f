"""Functions that build models: the part that makes the tensors becomes a class, the rest stays a function around it."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from transpiler.ir.expr import MISSING, NeedsConstant, Sym, is_open, witness_of
from transpiler.ir.naming import cap_words
from transpiler.ir.program import (
    Apply,
    Block,
    Branch,
    Let,
    Loop,
    ModuleClass,
    Return,
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
    is_static,
    signature_defaults,
    substitute,
)
from transpiler.read.keras.evaluate.values import (
    Class,
    Env,
    Function,
    Instance,
    Model,
    Origin,
    alternative_in,
    has_tensors,
    own_copy,
)

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
    reasons: list[str] = []
    for _ in range(16):
        stager = FactoryStager(base, findings, memory)
        stager.frozen.update({(0, n): v for n, v in frozen.items()})
        try:
            factory = _evaluate(stager, function, arguments, name, frozen)
            factory.tier = "specialised" if factory.frozen else "structure"
            given = [n for n in factory.frozen if n not in frozen]
            if given:
                reasons.append(f"{', '.join(given)}: the structure follows from what is given here")
            factory.reasons = reasons
            return factory
        except NeedsConstant as error:
            names = _freezable(error.sym, arguments, stager) - frozen.keys()
            if not names:
                raise StageError(f"{error} ({error.sym})") from None
            place = f" at line {stager.where().line}" if stager.stack else ""
            reasons.append(f"{', '.join(sorted(names))}: {error}{place}")
            for n in names:
                frozen[n] = arguments.get(n, MISSING)
    raise StageError("too many parameters decide the structure")


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
    stager: FactoryStager, function: Function, arguments: dict[str, Any], name: str, frozen: dict[str, Any]
) -> Factory:
    env = Env(function.env, "function", function.module)
    for n, v in arguments.items():
        if isinstance(v, Instance) and next(iter(arguments)) == n:
            v = Instance(v.cls, dict(v.attributes), Sym.name("self"))

        elif is_static(v) and n not in frozen and not _is_rest(function, n):
            v = Sym.name(n, own_copy(witness_of(v)))
        else:
            v = own_copy(v)
        env.names[n] = v
    env.names["__function__"] = function
    env.names["__receiver__"] = next(iter(env.names.values()), None)
    stager.frame = Frame(function, "factory")
    stager.reserved = set(arguments)
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
    return Factory(function, cls, prologue, Block(ops[last:]), values, fixed, outer_names)


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
