"""Functions of a program that are losses or metrics of its models."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from transpiler.ir.model import ApiValue
from transpiler.ir.program import Value, tensors
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.own_models import with_graphs
from transpiler.read.keras.evaluate.staging import unchanged
from transpiler.read.keras.evaluate.values import Class, Env, Function, Instance, Model, own_copy

PLAIN_LOSS = ("keras.losses.Loss", "keras.Loss")


@dataclass
class Measured:
    """What a loss or a metric is given as predictions: the outputs of models, batch first."""

    function: Function
    shape: tuple[Any, ...]
    activations: set[str] = field(default_factory=set)
    """What has made them, as far as crossentropies take its logits: see `Logits.recovered`."""
    owner: Instance | None = None
    """The object whose method it is: a loss that the program defines as a class."""
    ranks: set[int] = field(default_factory=set)
    """The numbers of axes of all these outputs."""
    read: Mapping[tuple[Env, str], Any] = field(default_factory=dict)
    """What the function read from around it then: see `read_by`."""


@dataclass(frozen=True)
class MadeFunction:
    """A function that another one has made and returned."""

    function: Function
    maker: Function
    given: Mapping[str, Any]
    """The arguments of the maker by name, with its defaults."""
    node: ast.Call
    read: Mapping[tuple[Env, str], Any] = field(default_factory=dict)
    """What the maker read from around it then: see `read_by`."""


class Measures:
    """The part of the recorder that notes what models are measured by."""

    recovered: Any
    bind: Any
    training_calls: dict[ast.Call, list[Any]]
    calling: list[tuple[ast.Call, Any]]

    def begin_measures(self) -> None:
        self.measured: dict[ast.AST, Measured] = {}
        """Functions that are losses or metrics of models, by their nodes."""
        self.unmeasured: dict[ast.AST, str] = {}
        """Those of them that do not become functions on tensors, and why."""
        self.made_functions: dict[int, MadeFunction] = {}
        """How functions were made that other functions have returned, by their ids."""

    def call_function(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Any:
        made = super().call_function(function, args, kwargs)  # type: ignore[misc]
        if isinstance(made, Function) and made.env.names.get("__function__") is function and self.calling:
            given = {n: v for n, v in self.bind(function, args, kwargs).names.items() if not n.startswith("__")}
            self.made_functions[id(made)] = MadeFunction(made, function, given, self.calling[-1][0], read_by(function))
        return made

    def note_measured(self, model: Any, arguments: Mapping[str, Any]) -> None:
        """Notes the functions that `compile` is given as `loss` and `metrics`."""
        outputs = tensors(getattr(model, "outputs", None))
        for name in ("loss", "metrics", "weighted_metrics"):
            for value, on in measures_of(arguments.get(name), outputs, name == "loss"):
                owner = value if isinstance(value, Instance) else None
                function = value if owner is None else owner.cls.lookup("call")
                for output in on if isinstance(function, Function) else ():
                    known = Measured(function, output.type.shape, owner=owner, read=read_by(function))
                    known = self.measured.setdefault(function.node, known)
                    known.activations.add(self.recovered(output))
                    known.ranks.add(output.type.rank)

    def note_measures_of_own(self) -> None:
        """Notes what models of the program's classes are compiled with, now that their graphs are known."""
        for call in [c for found in with_graphs(self.training_calls).values() for c in found if c.method == "compile"]:
            if isinstance(call.model, Model):
                self.note_measured(call.model, call.arguments)

    def changed_since(self, measured: Measured) -> str:
        """A variable that a loss or a metric reads, or a function that makes it, and that is another now; "" for none."""
        made = [m for m in self.made_functions.values() if m.function.node is measured.function.node]
        reads = [(measured.read, measured.function), *((m.read, m.maker) for m in made)]
        for before, function in reads:
            now = read_by(function)
            changed = next((name for (env, name), v in before.items() if not unchanged(now.get((env, name)), v)), "")
            if changed:
                return changed
        return ""


def read_by(function: Function) -> dict[tuple[Env, str], Any]:
    """What a function, or what it calls of the program, may read of what is around it, and what it holds now.

    Variables by their scopes and names, and the attributes `holder.name` of objects and classes of the program.
    """
    todo, seen, found = [function], set[ast.AST](), dict[tuple[Env, str], Any]()
    while todo:
        of = todo.pop()
        if of.node in seen:
            continue
        seen.add(of.node)
        names = [n for n in nodes(of.node) if isinstance(n, ast.Name)]
        own = {n.id for n in names if isinstance(n.ctx, ast.Store)}
        own |= {n.arg for n in nodes(of.node) if isinstance(n, ast.arg)}
        attributes = [n for n in nodes(of.node) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)]
        for name in {n.id for n in names} - own:
            scope = of.env.scope_of(name)
            if scope is None or name not in scope.names:
                continue
            value = scope.names[name]
            found[scope, name] = own_copy(value)
            todo += [value] if isinstance(value, Function) else []
            held = value.attributes if isinstance(value, Instance) else value.names if isinstance(value, Class) else {}
            for attribute in [n.attr for n in attributes if n.value.id == name and n.attr in held]:  # type: ignore[attr-defined]
                found[scope, f"{name}.{attribute}"] = own_copy(held[attribute])
    return found


def is_own_loss(value: Any) -> bool:
    """Whether a value is an object of a loss's class of the program."""
    bases = [b for b in value.cls.mro() if isinstance(b, ApiValue)] if isinstance(value, Instance) else []
    return any(b.path in PLAIN_LOSS for b in bases)


def measures_of(value: Any, outputs: list[Value], in_order: bool) -> Iterator[tuple[Function | Instance, list[Value]]]:
    """The functions and losses of the program in an argument of `compile`, each with the outputs that it may measure.

    `in_order`: a list has an item for each output.
    """
    if isinstance(value, Function) or is_own_loss(value):
        yield value, outputs
    elif isinstance(value, dict):
        for item in value.values():
            yield from measures_of(item, outputs, False)
    elif isinstance(value, (list, tuple)):
        apart = in_order and len(value) == len(outputs)
        for i, item in enumerate(value):
            yield from measures_of(item, outputs[i : i + 1] if apart else outputs, False)
