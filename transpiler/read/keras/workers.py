"""Functions and blocks that make models and go on to train them: `main()`, what stands under `__name__ == "__main__"`, the body
of a loop.

They are converted as constructors are (`constructors`): the statements about layers become the construction of the models'
classes, all others stay.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transpiler.ir.expr import code_of
from transpiler.ir.program import tensors
from transpiler.ir.trees import flattened, header, nodes, variables_in
from transpiler.read.keras.constructors import Statements, place_of_models
from transpiler.read.keras.evaluate.api import TRAINING_METHODS
from transpiler.read.keras.evaluate.effects import Snapshot
from transpiler.read.keras.evaluate.interpreter import Interpreter
from transpiler.read.keras.evaluate.loaded_models import LOADED
from transpiler.read.keras.evaluate.own_models import is_holder
from transpiler.read.keras.evaluate.program_classes import keras_base
from transpiler.read.keras.evaluate.run_time import RunTime, run_time_in
from transpiler.read.keras.evaluate.stage_models import models_in
from transpiler.read.keras.evaluate.staging import StageError, is_static
from transpiler.read.keras.evaluate.syntax import assigned_names, changed_in
from transpiler.read.keras.evaluate.values import Env, Function, Instance, Model, has_tensors


@dataclass(eq=False)
class Activation:
    """One call of a function of the program that returned a model or the tensors of one."""

    function: Function
    arguments: dict[str, Any]
    result: Any
    assumed: dict[str, Any] = field(default_factory=dict)
    before: Snapshot | None = None
    """The state of the program before the statement or the entry that made the call."""
    inner: list[Activation] = field(default_factory=list)
    """The calls of this kind that it made in turn."""
    block: str = ""
    """The head of the statement that the function is made of, to find it by: `def main():`, `for k in range(3):`."""
    works: bool = False
    """Whether the function also trains or asks a model that it makes, so that its other statements stay."""
    numbers: list[RunTime] = field(default_factory=list)
    """Those of its arguments that the data decide."""


MAKING = ("compile", "add_loss", "add_metric")
"""Methods of training that say how a model is made."""

OF_BUILDERS = ("compile", "load_weights", "get_weights", "set_weights")
"""What functions call that do nothing but build a model."""


class Workers:
    """The part of the recorder that notes which functions and blocks build models, and which also train them."""

    models: list[Model]
    origins: Mapping[Any, Any]
    training_calls: Mapping[ast.Call, Sequence[Any]]

    def begin_work(self) -> None:
        self.activations: list[Activation] = []
        self.trainers: set[ast.AST] = set()
        """Functions that train what builders made that they call, and build nothing themselves."""
        self.making: set[ast.AST] = set()
        """Calls that made layers, tensors or models."""
        self.blocks: list[Activation] = []
        """Blocks of statements that make models and train them: as functions of what changes from round to round."""
        self.makers: dict[int, ast.AST] = {}
        """The calls that made models, by the ids of these."""

    def eval_Call(self, node: ast.Call, env: Any) -> Any:
        before, models = self._made(), len(self.models)  # type: ignore[attr-defined]
        result = super().eval_Call(node, env)  # type: ignore[misc]
        if self._made() > before:  # type: ignore[attr-defined]
            self.making.add(node)
        for model in self.models[models:]:
            self.makers.setdefault(id(model), node)
        return result

    def note_activation(
        self, function: Function, given: Any, receiver: Any, result: Any, before: int, first: int, failed: bool = False
    ) -> None:
        """Notes a call that made models; one that failed if it has trained them before."""
        if not isinstance(function.node, ast.FunctionDef):
            return
        made, inner = self.models[before:], self.activations[first:]
        own = own_models(made, inner)
        of_keras = any(isinstance(r, Instance) and keras_base(r.cls) is not None for r in receiver)
        works = works_on(function, own, self.training_calls, receiver)
        if not works and not own and function.name != "__init__" and trains(function, self.training_calls):
            self.trainers.add(function.node)
            return
        builds = (
            works
            or not failed
            and (
                isinstance(result, Model)
                and LOADED not in result.attributes
                or models_in(result) is not None
                or is_open_graph(result, self)
                or (function.name == "__init__" and not of_keras and makes_own(made, inner, receiver))
            )
        )
        if not builds:
            return
        bound = Interpreter.bind(self, function, *given).names  # type: ignore[arg-type]
        given = {k: v for k, v in bound.items() if not k.startswith("__")}
        arguments = {k: self.at_run_time(v, k) for k, v in given.items()}  # type: ignore[attr-defined]
        result = made if result is None or works and not isinstance(result, Model) else result
        self.activations.append(
            Activation(function, arguments, result, before=self.before, inner=inner, block=header(function.node), works=works, numbers=list(run_time_in(list(given.values()))))  # type: ignore[attr-defined]
        )

    @contextlib.contextmanager
    def watched(self, body: list[ast.stmt], env: Env, whole: ast.stmt, wanted: bool = True) -> Iterator[None]:
        """Notes whether the statements evaluated inside make models and train them: the `body` of the statement `whole`."""
        before, first = len(self.models), len(self.activations)
        start = Snapshot(env) if wanted and any(is_training(n) for s in body for n in nodes(s)) else None
        try:
            yield
        finally:
            own = own_models(self.models[before:], self.activations[first:]) if start is not None else []
            function = block_function(body, env, self, whole) if own else None
            if function is not None and works_on(function, own, self.training_calls):
                again = {a.arg: env.names[a.arg] for a in function.node.args.args if a.arg in env.names}
                inner, head = self.activations[first:], header(whole)
                made = Activation(function, again, own, before=start, inner=inner, block=head, works=True)
                self.activations.append(made)
                self.blocks = [a for a in self.blocks if a.function.node.body[0] is not body[0]] + [made]  # type: ignore[union-attr]

    def is_block(self, statement: ast.stmt) -> bool:
        """Whether a statement of the top level, or all of it that makes models, is such a block."""
        inside = set(nodes(statement)) if self.blocks else set()
        return any(a.function.node.body[0] in inside for a in self.blocks)  # type: ignore[union-attr]

    def exec_For(self, node: ast.For, env: Env) -> Any:
        with self.watched(node.body, env, node):
            return super().exec_For(node, env)  # type: ignore[misc]

    def exec_While(self, node: ast.While, env: Env) -> Any:
        with self.watched(node.body, env, node):
            return super().exec_While(node, env)  # type: ignore[misc]


def is_training(node: ast.AST) -> bool:
    """Whether an expression looks like a call that trains or asks a model."""
    return isinstance(node, ast.Attribute) and node.attr in TRAINING_METHODS and node.attr not in MAKING


def block_function(body: list[ast.stmt], env: Env, interpreter: Any, whole: ast.stmt) -> Function:
    """Statements as a function; those of a loop as one of the variables that the loop changes."""
    changed = assigned_names([whole]) if isinstance(whole, (ast.For, ast.While)) else []
    own = assigned_first(body)
    names = [ast.arg(n) for n in changed if n not in own and is_static(env.names.get(n, whole))]
    node = ast.FunctionDef("the block", ast.arguments([], names, None, [], [], None, []), body, [], None)
    ast.copy_location(node, body[0])
    return Function(node, env, interpreter)


def assigned_first(body: Sequence[ast.stmt]) -> set[str]:
    """The variables that statements assign before any of them reads these."""
    found: set[str] = set()
    read: set[str] = set()
    for statement in body:
        read |= {n.id for n in nodes(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)} - found
        if isinstance(statement, ast.Assign):
            found |= {t.id for t in statement.targets if isinstance(t, ast.Name)} - read
    return found


def bindings_of(activation: Activation) -> str:
    """Statements in one line that give the parameters their values, as far as these are plain."""
    known = {n: v for n, v in activation.arguments.items() if is_static(v)}
    return "; ".join(f"{n} = {code_of(v)}" for n, v in known.items())


def is_open_graph(value: Any, interpreter: Any) -> bool:
    """Whether a function returned the inputs and the outputs of a graph."""
    if (
        not isinstance(value, (tuple, list))
        or len(value) != 2
        or not has_tensors(value[0])
        or not has_tensors(value[1])
    ):
        return False
    origins = [interpreter.origins.get(x) for x in tensors(value[0])]
    return all(o is not None and not o.inputs for o in origins)


def makes_own(made: Iterable[Model], inner: Iterable[Any], receiver: Sequence[Any]) -> bool:
    """Whether a constructor makes models by itself; a model that trains others may have builders make them."""
    holder = any(map(is_holder, receiver))
    return bool(own_models(made, [a for a in inner if a.works or holder]))


def own_models(made: Iterable[Model], inner: Iterable[Any]) -> list[Model]:
    """Those of the models made during a call that no builder returned which it called."""
    results = [a.result for a in inner]
    returned = {id(m) for r in results for m in (r if isinstance(r, (list, tuple)) else [r])}
    return [m for m in made if id(m) not in returned]


def works_on(
    function: Function, models: Sequence[Model], calls: Mapping[ast.Call, Sequence[Any]], receiver: Sequence[Any] = ()
) -> bool:
    """Whether a function does more with models than to compile them, or is a method that leaves them in its `receiver`."""
    known = {id(m) for m in models}
    if not known or function.name == "__init__":
        return False
    held = [v for r in receiver if isinstance(r, Instance) and keras_base(r.cls) is None for v in r.attributes.values()]
    if function.owner is not None and any(id(v) in known for v in held):
        return True
    node = function.node
    return any(
        id(e.model) in known and e.method not in OF_BUILDERS
        for n in nodes(node)
        for e in calls.get(n, ())  # type: ignore[call-overload]
    )


def trains(function: Function, calls: Mapping[ast.Call, Sequence[Any]]) -> bool:
    """Whether a function does more with models, whoever made them, than builders do."""
    return any(e.method not in OF_BUILDERS for n in nodes(function.node) for e in calls.get(n, ()))  # type: ignore[call-overload]


def making_part(body: Sequence[ast.stmt], making: Collection[ast.AST]) -> list[ast.stmt]:
    """The statements up to the last that makes layers or models; `making` are the calls that do."""
    last = max(i for i, s in enumerate(body) if any(n in making for n in nodes(s)))
    return list(body[: last + 1])


def read_for(body: Sequence[ast.stmt], making: Collection[ast.AST]) -> set[str]:
    """The variables that the layers and models which some statements make may depend on."""
    needed = [s for s in flattened(body) if any(n in making for n in nodes(s))]
    found: set[str] = set()
    while needed:
        found = found.union(*map(variables_in, needed))
        needed = [s for s in flattened(body) if found & {*assigned_names([s])} and not variables_in(s) <= found]
    return found


def move_down(found: Statements, numbers: Sequence[RunTime]) -> None:
    """Makes models below what they are given that the data decide. Raises StageError where that cannot be done."""
    own = [n for n in numbers if n.scope is not None and n.scope.kind == "function"]
    kept = [s for s in found.body if s not in found.about_models]
    for statement, pairs in list(found.assigned.items()):
        if not own:
            break
        later = [s for s in found.about_models if s.lineno >= statement.lineno]
        place = place_of_models(later, kept, [name for name, _ in pairs], own)
        if place is not statement:
            found.assigned.setdefault(place, []).extend(found.assigned.pop(statement))


def keep_others(found: Statements, env: Env, read: set[str]) -> None:
    """Checks that the statements that stay can do without those that go. Raises StageError where they cannot.

    A loop or another statement as a whole is about models if something in it is. `read` is what models may depend on.
    """
    models = {name for pairs in found.assigned.values() for name, _ in pairs}
    inside = {n for s in found.about_models for n in nodes(s)}
    found.about_models = [s for s in found.body if any(n in inside for n in nodes(s))]
    kept = [s for s in found.body if s not in found.about_models]
    for statement in found.about_models:
        calls = [n.func for n in nodes(statement) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
        if any(map(is_training, calls)):
            raise StageError("a model is made and trained in one statement, such as a loop")
    for name in sorted(read & {n for s in kept for n in changed_in(s)}):
        scope = env.scope_of(name)
        if scope is not None and scope is not env and isinstance(scope.names[name], (list, dict, set)):
            raise StageError(f"{name}, which a model depends on, may change beside it")
    gone = set(assigned_names(found.about_models)) - set(assigned_names(kept)) - models
    read = sorted(gone & {n.id for s in kept for n in nodes(s) if isinstance(n, ast.Name)})
    if read:
        raise StageError(f"{read[0]}, which is a part of a model, is used beside it")
