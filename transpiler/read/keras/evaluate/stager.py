"""Keeps the program's structure: functions stay classes, loops stay loops, branches stay branches.

The stager evaluates the same source as the concrete interpreter, with the parameters of functions kept open (`Sym`).
What depends on them is written as an expression; tensors carry shapes in these expressions. A function that maps
tensors to tensors is evaluated once for each combination of kinds of arguments and becomes a class; calling it again is
constructing that class. Where a decision needs a value (`NeedsConstant`), the parameter is frozen and the function is
evaluated again; where that does not help, the call is written inline.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from transpiler.diagnostics import Declined, Findings
from transpiler.ir.expr import MISSING, Sym, is_open, is_record, rebuilt, same
from transpiler.ir.naming import GLOBALS
from transpiler.ir.program import (
    Let,
    Value,
)
from transpiler.read.keras.evaluate.arrays import ArrayList, NumpyArray, RandomSource
from transpiler.read.keras.evaluate.constants import Constant
from transpiler.read.keras.evaluate.filling import Filling
from transpiler.read.keras.evaluate.keras_calls import KerasInterpreter
from transpiler.read.keras.evaluate.stage_arguments import StagedArguments
from transpiler.read.keras.evaluate.stage_arrays import StagedArrays
from transpiler.read.keras.evaluate.stage_branches import StagedBranches
from transpiler.read.keras.evaluate.stage_calls import StagedCalls
from transpiler.read.keras.evaluate.stage_effects import StagedEffects
from transpiler.read.keras.evaluate.stage_given import StagedGiven
from transpiler.read.keras.evaluate.stage_items import StagedItems
from transpiler.read.keras.evaluate.stage_kept import StagedKept
from transpiler.read.keras.evaluate.stage_last import StagedLast
from transpiler.read.keras.evaluate.stage_layers import StagedLayers
from transpiler.read.keras.evaluate.stage_list_changes import StagedListChanges
from transpiler.read.keras.evaluate.stage_lists import StagedLists
from transpiler.read.keras.evaluate.stage_loops import StagedLoops
from transpiler.read.keras.evaluate.stage_masks import StagedMasks
from transpiler.read.keras.evaluate.stage_ranks import Ranks, StagedRanks
from transpiler.read.keras.evaluate.stage_recursion import StagedRecursion
from transpiler.read.keras.evaluate.stage_sequentials import StagedSequentials
from transpiler.read.keras.evaluate.stage_tables import StagedTables
from transpiler.read.keras.evaluate.stage_unbound import OneSided, StagedUnbound
from transpiler.read.keras.evaluate.staging import (
    Frame,
    Memory,
    StageError,
    holds_open,
    is_static,
    substitute,
)
from transpiler.read.keras.evaluate.syntax import is_handed_on
from transpiler.read.keras.evaluate.values import (
    Env,
    Function,
    Instance,
    has_tensors,
    own_copy,
)


class Stager(
    StagedSequentials,
    StagedRanks,
    StagedGiven,
    StagedItems,
    StagedTables,
    StagedUnbound,
    StagedEffects,
    StagedArguments,
    StagedArrays,
    StagedLayers,
    StagedMasks,
    StagedKept,
    StagedCalls,
    StagedRecursion,
    StagedListChanges,
    StagedLists,
    StagedLast,
    StagedLoops,
    StagedBranches,
    KerasInterpreter,
):
    """Evaluates functions with open parameters and writes classes that keep their structure.

    With `flat`, nothing is kept: calls are written inline, loops unrolled.
    """

    writes = True

    def __init__(self, base: KerasInterpreter, findings: Findings, memory: Memory, flat: bool = False) -> None:
        super().__init__(base.loader, base.generation, findings)
        self.modules, self.module_order = base.modules, base.module_order
        self.missing_imports = base.missing_imports
        self.asked_environment = base.asked_environment
        self.image_data_format, self.open_inputs = base.image_data_format, base.open_inputs
        self.fixed_variables = base.fixed_variables
        self.made_up, self.arrays_read, self.arrays_given = base.made_up, base.arrays_read, base.arrays_given
        self.frame = Frame(None, "factory")
        self.frames: dict[int, Frame] = {}
        self.memory, self.flat = memory, flat
        self.poly: dict[Value, Ranks] = {}
        self.of_builder: dict[Value, ast.AST] = {}
        self.given_modules: dict[tuple[Any, str], Any] = {}
        self.lookups: dict[str, ast.AST] = {}
        self.most: dict[str, Any] = {}
        self.variants: dict[Any, Any] = {}
        self.replaced: list[Any] = []
        self.merging: ast.If | None = None
        self.joined: dict[str, ast.If] = {}
        """Variables that are known on the side seen of a branch → that branch in the source."""
        self.reading: list[ast.AST] = []
        self.active: list[Any] = []
        self.running: list[Any] = []
        """The functions that are evaluated right now, the innermost last."""
        self.assigned: dict[ast.AST, str] = {}
        """The expression of the last assignment of a name → that name."""
        self.picked: dict[Value, tuple[Any, Any]] = {}
        self.kept: set[Value] = set()
        """Results of classes and loops: what made them is no longer there layer by layer."""
        self.of_layers: set[Value] = set()
        """Those of them that single layers and models of the program made."""
        self.places: dict[Any, Frame] = {}
        """For each layer, the class or factory that calls it."""
        self.staged_layers: dict[Instance, Any] = {}
        """For each layer of the program that was called: its class, its submodule, and the kinds of its inputs."""
        self.last_attempt: tuple[dict[str, tuple[int, int]], dict[str, set[str]]] = {}, {}
        """The names that the last class of a layer gave to the sizes of its inputs, and what its variables depend on."""
        self.at_root = False
        """Whether a whole model is staged as a class of the program: it takes its inputs as Keras does."""
        self.in_side = 0
        self.in_loop = self.in_kept_loop = 0
        self.facts: list[tuple[str, bool]] = []
        """Tests decided by where the evaluation is: inside a side of their branch, or past one whose other side raises."""
        self.frozen: dict[tuple[int, str], Any] = {}
        self.first_seen: dict[tuple[int, str], str] = {}
        self.sources: dict[RandomSource, RandomSource] = {}
        """For each generator of random numbers made around all classes, the one that stands for it."""
        self.own_layers: int | None = None
        """Layers made before this number belong to what is around the class or loop under construction."""

    def check_own(self, layer: Any) -> None:
        """Raises StageError for a layer made outside the class or loop under construction: there it would be made anew."""
        if self.own_layers is not None and not any(known is layer for known in self.layers[self.own_layers :]):
            raise StageError("a layer is used that was made elsewhere")

    def logits_behind(self, x: Value, activation: str) -> Value | None:
        """As in `Logits`; a function does not know what makes its arguments, where it is called this may be known."""
        try:
            return super().logits_behind(x, activation)
        except Declined:
            if self.frame.kind != "class" or self.frame.function is None or x not in self.called_on[-1]:
                raise
            raise StageError("a crossentropy takes the logits of an argument") from None

    @property
    def home(self) -> Any:
        return self.frame

    def fresh(self, name: str) -> str:
        """A static variable of its own; one for an attribute of `self` has the attribute's name."""
        self.memory.counter += 1
        base = name.split("__v")[0]
        if "." in base:
            base = base.rpartition(".")[2].strip("_")
        return f"{base}__v{self.memory.counter}"

    def bind(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Env:
        env = super().bind(function, args, kwargs)
        self.frames[id(env)] = self.frame
        self.frame.scopes.append(env)  # keeps the id alive
        return env

    def read_name(self, name: str, scope: Env, env: Env) -> Any:
        value = scope.names[name]
        if isinstance(value, OneSided):
            return self.bound(value)
        if isinstance(value, Value) and value in self.poly:
            return self.with_known_rank(value)
        if isinstance(value, Filling) and scope is not env:
            raise StageError(f"{name} is used by a function while a loop fills it")
        there, parameter = self.frame.closed.get((id(scope), name), (MISSING, None))
        if there is value:
            return parameter
        if self.frame.kind == "class" and self.frames.get(id(scope)) is not self.frame:
            self.frame.reads[id(scope), name] = (scope, name, own_copy(value))
        if scope.kind == "module":
            return self.read_global(name, value, scope)
        return self.captured(name, value, self.frames.get(id(scope)))

    def default(self, function: Function, name: str, value: Any) -> Any:
        return self.captured(name, value, self.frames.get(id(function.env))) if holds_open(value) else value

    def captured(self, name: str, value: Any, home: Frame | None) -> Any:
        """A value read from an enclosing function: a class takes it as a constructor parameter."""
        if home is None or home is self.frame or self.frame.kind == "factory":
            return value
        if isinstance(value, Constant):
            return value
        if has_tensors(value):
            raise StageError(f"{name} is a tensor of the function around")
        if isinstance(value, tuple) and is_open(value):
            labels = value._fields if is_record(value) else range(1, len(value) + 1)  # type: ignore[attr-defined]
            joint = "_" if is_record(value) else ""
            return rebuilt(value, [self.captured(f"{name}{joint}{n}", v, home) for n, v in zip(labels, value)])
        if not isinstance(value, Sym):
            function = self.frame.function
            if isinstance(value, dict) and function is not None and is_handed_on(function.node, name):
                return {k: self.captured(f"{name}_{k}", v, home) for k, v in value.items()}
            if holds_open(value):
                raise StageError(f"{name} of the function around holds what only that knows")
            return value
        return self.capture(name, value, home)

    def text_here(self, x: Constant) -> str:
        """What the text of a constant reads becomes parameters of the class that uses it."""
        if self.frame.kind != "class" or not isinstance(x.home, Frame):
            return super().text_here(x)
        names = {n: self.capture(n, Sym.name(n), x.home).code for n in sorted(x.open_names())}
        return substitute(Sym.parse(x.text), {n: Sym.name(c) for n, c in names.items()}).code

    def array_from(self, x: NumpyArray) -> ast.expr:
        """What the code of an array reads becomes parameters of the class that uses it."""
        if not isinstance(x.home, Frame):
            return x.code
        read = Sym(x.code).free_names - GLOBALS - {"int", "float", "bool"}
        return substitute(Sym(x.code), {n: self.capture(n, Sym.name(n), x.home) for n in sorted(read)}).expr

    def keep_array(self, x: Any, name: str) -> None:
        if not x.variable:
            x.variable = self.fresh(name)
            self.emit(Let(x.variable, Sym(x.code), name))
            x.code = ast.Name(x.variable, ast.Load())
            for i, item in enumerate(x if isinstance(x, ArrayList) else ()):
                item.code = ast.Subscript(x.code, ast.Constant(i), ast.Load())

    def source_here(self, source: RandomSource) -> ast.expr:
        """A generator is made once, where the class under construction or what is around it makes it."""
        if not source.made:
            return source.code
        if source.home is None:
            if self.frame.kind == "class":
                raise StageError("random numbers are drawn from a generator around this function")
            source = self.sources.setdefault(source, RandomSource(source.code, self.home, True))
        if source.home is self.home:
            self.keep_array(source, "rng")
            return source.code
        if not source.variable:
            raise StageError("random numbers are drawn from a generator around this function")
        return self.capture(source.variable, Sym.name(source.variable), source.home).expr

    def capture(self, name: str, value: Sym, home: Frame | None) -> Sym:
        name = name.split("__v")[0]
        while name in self.frame.reserved or not same(self.frame.captures.get(name, value), value):
            name = f"outer_{name}"
        self.frame.captures[name] = value
        self.frame.homes[name] = home
        return Sym.name(name, value.witness)

    def scopes_under_way(self) -> Iterator[Env]:
        """The scopes of the calls that have led here, and of those made meanwhile."""
        frame: Frame | None = self.frame
        while frame is not None:
            yield from (scope for scope in frame.scopes if not scope.over)
            frame = frame.outer

    def read_global(self, name: str, value: Any, scope: Env) -> Any:
        return value

    def statement_begins(self, node: ast.stmt, env: Env) -> None:
        self.comments = env.module.comments_of(node) if env.kind != "module" else ()
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            self.assigned = {node.value: node.targets[0].id}

    def named(self, value: Any, name: str, env: Env) -> Any:
        if isinstance(value, Sym) and not isinstance(value.expr, (ast.Name, ast.Attribute, ast.Constant)):
            variable = self.fresh(name)
            self.emit(Let(variable, value, name))
            return Sym.name(variable, value.witness)
        if isinstance(value, (NumpyArray, ArrayList, RandomSource)) and value.home is self.home:
            self.keep_array(value, name)
        if isinstance(value, Constant) and not value.variable and value.home is self.home:
            value.variable = self.fresh(name)
            self.emit(Let(value.variable, Sym.parse(value.text), name))
        if isinstance(value, (list, tuple)) and is_open(value) and is_static(value) and isinstance(value, tuple):
            return value
        return super().named(value, name, env)
