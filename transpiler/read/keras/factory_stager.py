"""Evaluating one model-building function: its parameters, what it reads from around it, its inputs."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import MISSING, NeedsConstant, Sym, code_of, is_open, same, witness_of
from transpiler.ir.liveness import all_uses
from transpiler.ir.model import Step
from transpiler.ir.program import (
    Apply,
    Block,
    Branch,
    Static,
    Value,
)
from transpiler.ir.shape import TensorType
from transpiler.ir.statics import bound_names
from transpiler.read.keras.constructors import count_made
from transpiler.read.keras.evaluate.effects import Snapshot
from transpiler.read.keras.evaluate.freezing import called_in, layers_within, set_trainable
from transpiler.read.keras.evaluate.interpreter import Interpreter
from transpiler.read.keras.evaluate.run_time import RunTime, name_of
from transpiler.read.keras.evaluate.signals import ProgramError
from transpiler.read.keras.evaluate.stage_models import (
    StagedModels,
)
from transpiler.read.keras.evaluate.stage_ranks import Ranks
from transpiler.read.keras.evaluate.stage_unbound import OneSided
from transpiler.read.keras.evaluate.stager import Stager
from transpiler.read.keras.evaluate.staging import (
    Memory,
    StageError,
    axis_name,
    is_static,
    items_of,
)
from transpiler.read.keras.evaluate.undecided import changes_data_alone
from transpiler.read.keras.evaluate.values import (
    Class,
    EntryEnv,
    Env,
    Function,
    Instance,
    Model,
    Origin,
    Unknown,
    has_tensors,
    own_copy,
)


class FactoryStager(StagedModels, Stager):
    """The stager of one model-building function."""

    def __init__(self, base: Any, findings: Any, memory: Memory, flat: bool = False) -> None:
        super().__init__(base, findings, memory, flat)
        self.input_dims: dict[str, Any] = {}
        self.outer_names: dict[str, Sym] = {}
        """What the function reads from around it, `self.width` or `width` → the name for it."""
        self.inputs_made: list[Value] = []
        self.inputs_merged: dict[tuple[Value, Value], Value] = {}
        """The inputs made on the sides of a branch → the one input that they are."""
        self.reserved: set[str] = set()
        """The function's own parameters."""
        self.function: Function | None = None
        self.at_run: dict[str, list[RunTime]] = {}
        """Those of them that are known when the program runs, wherever they are read."""
        self.fixed_outer: dict[str, Any] = {}
        """What of that decided the structure, with the values seen."""
        self.known_items: dict[str, Any] = {}
        """Items of dictionaries that decided the structure, as code → the values seen."""
        self.scope: Env | None = None
        """The variables of the function itself; attributes of `self` that it sets are among them, as `self.width`."""
        self.input_places: dict[str, ast.AST] = {}
        """The names for sizes of inputs → where the source makes these inputs."""
        self.module_names: set[str] = set()
        """The variables that hold models."""
        self.builders_called: list[ast.AST] = []
        self.statements_begun: list[tuple[ast.stmt, int]] = []
        """The statements of the function that were begun, and what there was of layers and tensors before each."""
        self.own_name = ""
        self.is_script = False
        """Whether the function stands for the top level of a file."""
        """What the class of the function's own model is called."""
        self.inlined: list[str] = []
        """The functions that an entry calls and that are written out for its arguments."""

    def exec(self, node: ast.stmt, env: Env) -> Any:
        """A statement of a constructor that needs a value, and makes no layers, leaves what it sets unknown: it stays."""
        function = self.frame.function
        works = function is not None and (
            function.node in self.memory.workers or node not in self.memory.at_top.get(function.node, [node])
        )
        if env is not self.scope or function is None or not (works or function.name == "__init__"):
            return super().exec(node, env)
        made, visited = count_made(self), dict(self.memory.visited)
        self.statements_begun.append((node, made))
        try:
            signal = super().exec(node, env)
            if count_made(self) == made:
                self.memory.visited = visited  # what it calls stays, as it does
            return signal
        except (Declined, ProgramError, NeedsConstant) as error:
            plain = isinstance(node, ast.Assign) and isinstance(error, NeedsConstant)
            passes = plain or works and changes_data_alone(node, env, self.builtins)
            if not passes or count_made(self) != made:
                raise
            self.memory.visited = visited
            self.forget(node, Unknown(str(error)), env)
            return None

    def call_function(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if function.node in self.memory.builders or has_tensors(args) or has_tensors(kwargs):
            args, kwargs = [self.at_run_time(a) for a in args], {k: self.at_run_time(v, k) for k, v in kwargs.items()}
        return super().call_function(function, args, kwargs)

    def run_function(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Any:
        layers = len(self.layers)
        result = super().run_function(function, args, kwargs)
        named = isinstance(function.node, ast.FunctionDef)
        if named and len(self.layers) > layers and self.scope is not None and isinstance(self.scope.parent, EntryEnv):
            self.inlined.append(function.name)
        return result

    def attribute_set(self, target: Any, name: str, value: Any) -> None:
        if name != "trainable":
            return
        if self.in_side or self.in_kept_loop:
            raise StageError("what is trained depends on a parameter")
        if isinstance(value, Sym):
            raise NeedsConstant(value, "what is trained depends on a parameter")
        shared = isinstance(target, Model) and (target.attributes.get("__compiled__") or self.is_held(target))
        layers = None if shared else layers_within(target, self.parts_of)
        if layers is None or not isinstance(value, bool) or not called_in(self.block, layers, self.built):
            self.memory.frozen_here.discard(self.where())
            super().attribute_set(target, name, value)
            return
        self.memory.frozen_here.add(self.where())
        for layer in layers:
            set_trainable(layer, value, layer in self.built)

    def parts_of(self, model: Model) -> list[Any]:
        return list(model.layers or []) if model.sequential else self.graph(model).layers()

    def is_held(self, model: Model) -> bool:
        """Whether others know a model: it was given to the function, or an object holds it."""
        names = self.scope.names if self.scope is not None else {}
        held = [v for n, v in names.items() if n in self.reserved or "." in n]
        held += [v for o in names.values() if isinstance(o, Instance) for v in o.attributes.values()]
        return any(v is model for v in held)

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
        place = self.stack[-1][1] if self.stack else None
        if place in self.memory.hidden:
            raise StageError("the size of an input is known inside another model alone")
        for axis, dim in enumerate(value.type.shape[1:], start=1):
            if not isinstance(dim, Sym) or dim in self.at_run_symbols():
                shape.append(dim)
                continue
            label = axis_name(value.type.rank, axis)
            if label in self.reserved:
                label = f"in_{label}"
            while label in self.input_dims and not same(self.input_dims[label], dim):
                label = (
                    f"{value.hint}_{label.removeprefix('in_')}"
                    if value.hint != "x" and f"{value.hint}_{label.removeprefix('in_')}" not in self.input_dims
                    else f"{label}2"
                )
            self.input_dims[label] = dim
            if place is not None:
                self.input_places[label] = place
            shape.append(Sym.name(label, dim.witness, True))
        made = Value(TensorType(tuple(shape), value.type.dtype), value.hint)
        self.origins[made] = Origin([], [made], lambda xs: None)
        self.graph_inputs.add(made)
        self.inputs_made.append(made)
        return made

    def merge_tensors(self, branch: Branch, a: Value, b: Value) -> Value:
        """Two inputs of one kind, one made on each side of a branch and not read there, are one input."""
        if (a, b) in self.inputs_merged:
            return self.inputs_merged[a, b]
        of_one_kind = a.type.rank == b.type.rank and a.type.dtype == b.type.dtype
        if a is b or a not in self.inputs_made or b not in self.inputs_made:
            return super().merge_tensors(branch, a, b)
        if not of_one_kind:
            return self.merge_input_ranks(branch, a, b)
        if any(x in (a, b) for side in (branch.then, branch.otherwise) for op in side.walk() for x in all_uses(op)):
            return super().merge_tensors(branch, a, b)
        own = [[self.input_dims[d.code] if isinstance(d, Sym) else d for d in x.type.shape] for x in (a, b)]
        self.inputs_made = [x for x in self.inputs_made if x not in (a, b)]
        others = {code_of(d) for x in self.inputs_made for d in x.type.shape}
        for label in {code_of(d) for x in (a, b) for d in x.type.shape} - others:
            self.input_dims.pop(label, None)
        sizes = tuple(self.merge_dim(branch.test, *pair) for pair in zip(*own))
        return self.with_named_sizes(Value(TensorType(sizes, a.type.dtype), a.hint if a.hint != "x" else b.hint))

    def merge_input_ranks(self, branch: Branch, a: Value, b: Value) -> Value:
        """One input for one made on each side of a branch: what it is on a side is read there."""
        sizes = {n for x in (a, b) for d in x.type.shape if isinstance(d, Sym) for n in self.input_dims[d.code].names()}
        if a.type.dtype != b.type.dtype or sizes & bound_names(Block([branch])):
            return super().merge_tensors(branch, a, b)
        seen = a if branch.test.witness is MISSING or branch.test.witness else b
        merged = Value(self.of_any_rank(branch.test, seen, a, b), a.hint if a.hint != "x" else b.hint)
        for side, x in ((branch.then, a), (branch.otherwise, b)):
            side.ops.insert(0, Apply([x], [merged], Step(fn="{0}")))
        self.poly[merged] = Ranks(branch.test, *(replace(x.type, open_rank=True) for x in (a, b)), self.frame)
        self.origins[merged] = Origin([], [merged], lambda xs: self.not_again())
        self.inputs_made = [x for x in self.inputs_made if x not in (a, b)] + [merged]
        self.inputs_merged[a, b] = merged
        return merged

    def instance_attribute(self, value: Instance, name: str) -> Any:
        place = f"self.{name}"
        if value.code is not None and self.scope is not None and place in self.scope.names:
            return self.own_attribute(place)
        if value.code is None:
            return super().instance_attribute(value, name)
        found = Interpreter.instance_attribute(self, value, name)
        if not is_static(found) or name.startswith("__"):
            return found
        return self.from_around(f"self.{name}", found)

    def own_attribute(self, place: str) -> Any:
        """An attribute of `self` that the function has set."""
        assert self.scope is not None
        value = self.scope.names[place]
        if isinstance(value, OneSided):
            return self.bound(value)
        if self.frame.kind == "class":
            self.frame.reads[id(self.scope), place] = (self.scope, place, own_copy(value))
        return self.captured(place.removeprefix("self.").strip("_"), value, self.frames[id(self.scope)])

    def setattr(self, target: Any, name: str, value: Any) -> None:
        """Attributes that the function itself sets on `self` are variables of it."""
        if not isinstance(target, Instance) or target.code is None:
            return super().setattr(target, name, value)
        if self.scope is None or self.frame.kind != "factory" or self.running or (self.in_loop and not self.flat):
            raise StageError("an attribute of self is set by a helper or in a loop")
        self.scope.names[f"self.{name}"] = self.named(value, f"self.{name}", self.scope)

    def merge_names(
        self, branch: Branch, before: dict[str, Any], then: dict[str, Any], otherwise: dict[str, Any], env: Env,
        outside: Snapshot,
    ) -> None:  # fmt: skip
        """An attribute that one side of a branch sets is on the other side what it was."""
        for name in then.keys() ^ otherwise.keys():
            receiver = env.names.get("__receiver__")
            if name.startswith("self.") and name.removeprefix("self.") in getattr(receiver, "attributes", {}):
                was = self.from_around(name, receiver.attributes[name.removeprefix("self.")])  # type: ignore[union-attr]
                then, otherwise = {name: was, **then}, {name: was, **otherwise}
        super().merge_names(branch, before, then, otherwise, env, outside)

    def from_around(self, text: str, value: Any) -> Any:
        """A static value that the function reads from around it: open as a parameter is, or fixed at what was seen."""
        if self.flat or (0, text) in self.frozen:
            self.fixed_outer[text] = value
            return value
        if text not in self.outer_names:
            self.outer_names[text] = Sym.name(self.fresh(text), witness_of(value))
        symbol = self.outer_names[text]
        return symbol if self.frame.kind == "factory" else self.capture(symbol.code, symbol, None)

    def run_time_number(self, value: RunTime, use: str) -> Any:
        """A number that the data decide is a parameter; what is built must not depend on it otherwise."""
        held: RunTime | None = value
        while held is not None and not self.is_read_here(held):
            held = held.bound
        if held is None:
            raise StageError(f"{value.text} is known only where it is computed, when the program runs")
        text = held.text
        if (0, text) in self.frozen:
            raise self.declined("K2T201", depends_on(text))
        uses = self.at_run.setdefault(text, [])
        uses.append(held)
        if not uses[0].same_as(held):
            raise StageError(f"{text} changes while the model is built")
        if text not in self.outer_names:
            self.outer_names[text] = Sym.name(self.fresh(name_of(held.code) or use or "size"), self.example(held, use))
        symbol = self.outer_names[text]
        return symbol if self.frame.kind == "factory" else self.capture(symbol.code, symbol, None)

    def choice(self, value: Any, node: ast.If | ast.For | ast.IfExp, env: Env) -> Any:
        """Where every loop is unrolled and every branch taken as it was seen, nothing may go by what only the run knows."""
        chosen = super().choice(value, node, env)
        if self.flat and isinstance(value, RunTime) and isinstance(chosen, Sym):
            raise self.declined("K2T201", depends_on(value.text))
        return chosen

    def at_run_symbols(self) -> list[Sym]:
        """The parameters for numbers that the data decide: they have names of their own where they are sizes of inputs."""
        return [self.outer_names[text] for text, (value, *_) in self.at_run.items() if name_of(value.code)]

    def is_read_here(self, value: RunTime) -> bool:
        """Whether the result can read the expression of a value where it constructs its classes."""
        function = self.function
        if function is None or value.scope is None or value.scope.module is not function.module:
            return False
        return value.scope.kind == "module" or value.scope is self.scope and self.keeps_around()

    def keeps_around(self) -> bool:
        function = self.function
        return function is not None and (
            function.node in self.memory.at_top or function.node in self.memory.workers or function.name == "__init__"
        )

    def names_around(self) -> frozenset[str]:
        return frozenset(s.code for s in self.outer_names.values())

    def decided_by(self, test: Sym, value: Sym) -> bool:
        names = value.names()
        return (
            self.frame.kind == "factory"
            and bool(names)
            and names <= test.names() & (self.reserved | self.names_around())
        )

    def with_length(self, name: str, seen: Any, known: Collection[int], function: Function) -> Any:
        """A sequence with as many open items as were seen, of which some are `known`; the factory raises for others."""

        what = f"{name} with {len(seen)} item{'s' * (len(seen) != 1)}"
        self.require(f"len({name}) == {len(seen)}", what, function)
        for i in known:
            self.require(f"{name}[{i}] == {code_of(seen[i])}", f"{name}[{i}] = {code_of(seen[i])}", function)
        items = items_of(name, seen)
        return type(items)(seen[i] if i in known else item for i, item in enumerate(items))

    def with_items(self, name: str, seen: dict[Any, Any], known: Collection[Any], function: Function) -> Sym:
        """A dictionary of which some items are `known`; the factory raises for others. What else is in it stays open."""
        whole = Sym.name(name, own_copy(witness_of(seen)))
        for key in known:
            item, value = whole[key], code_of(seen[key])
            same_as = "is" if seen[key] is None or isinstance(seen[key], bool) else "=="
            self.require(f"{item.code} {same_as} {value}", f"{item.code} = {value}", function)
            self.known_items[item.code] = seen[key]
        return whole

    def require(self, test: str, what: str, function: Function) -> None:
        only = Declined("K2T302", f"only {what} is translated", "", function.module.span(function.node))
        self.raise_unless(Sym.parse(test, True), Static(self.decline_side(only)))

    def getitem(self, value: Any, index: Any) -> Any:
        found = super().getitem(value, index)
        if not isinstance(value, Sym) or not isinstance(found, Sym) or self.frame.kind != "factory":
            return found
        return own_copy(self.known_items.get(found.code, found))

    def items_behind(self, value: Sym, holders: Mapping[str, Collection[Any]]) -> list[tuple[str, Any]]:
        """The items of parameters that are read for a value; none if that is all there is to know of one."""
        found: list[tuple[str, Any]] = []
        for node in self.behind(value):
            if (
                isinstance(node, ast.Subscript)
                and isinstance(node.value, ast.Name)
                and isinstance(node.slice, ast.Constant)
            ):
                name, index = node.value.id, node.slice.value
                if isinstance(index, (int, str)) and name in holders and index not in holders[name]:
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


def depends_on(text: str) -> str:
    return f"what is built depends on {text}, which is known only when the program runs"
