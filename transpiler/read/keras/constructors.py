"""Functions that do more than build models: constructors of plain classes (`self.model = Model(…)`), and `workers`.

The statements about layers become the construction of the models' classes; all others stay as they are, so what the classes
are given is named as the function names it: by its parameters, attributes and variables.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from transpiler.ir.model import ApiObject, ApiValue
from transpiler.ir.program import Apply, Block, Branch, Construction, Let, Static
from transpiler.ir.statics import bound_names
from transpiler.ir.trees import nodes, variables_in
from transpiler.read.keras.evaluate.api import TRAINING_METHODS
from transpiler.read.keras.evaluate.run_time import RunTime
from transpiler.read.keras.evaluate.staging import StageError
from transpiler.read.keras.evaluate.syntax import assigned_names, changed_in
from transpiler.read.keras.evaluate.values import Env, Model

OF_TRAINING = ("keras.optimizers.", "keras.losses.", "keras.metrics.", "keras.callbacks.")


@dataclass(eq=False)
class Statements:
    """What the statements of a function do, as far as models go."""

    body: list[ast.stmt]
    about_models: list[ast.stmt] = field(default_factory=list)
    """Those that make layers or tensors: they go."""
    variables: dict[ast.AST, Any] = field(default_factory=dict)
    """The calls that make the models in the source → the variables that hold these in the result."""
    assigned: dict[ast.stmt, list[tuple[str, str]]] = field(default_factory=dict)
    """Statement → the attributes or variables that it binds to models, with those that hold these: `self.model`, `model__v3`."""


def models_of(env: Env, attributes: bool = True) -> dict[str, Model]:
    """The variables that hold models at the end of a function, in the order in which the models were made.

    Of constructors these are `attributes` alone; models that have two names, and parameters, have to be told apart.
    """
    own = {n: v for n, v in env.names.items() if isinstance(v, Model) and (n.startswith("self.") or not attributes)}
    found = {n: v for i, (n, v) in enumerate(own.items()) if not any(m is v for m in list(own.values())[:i])}
    return dict(sorted((found if not attributes else own).items(), key=lambda item: item[1].index))


def statements_of(
    body: list[ast.stmt], made: list[tuple[ast.stmt, int]], models: dict[str, Model], refilled: Collection[ast.AST] = ()
) -> Statements:
    """`made` says for each statement that was evaluated how much it made of layers and tensors; `refilled` are the calls
    that only give a model other weights.

    Raises StageError where an attribute or variable does not hold its model from one assignment to the end.
    """
    found = Statements(body, [s for s, count in made if count])
    body = [s for s in body if not isinstance(s, ast.Assign) or s.value not in refilled]
    targets = {s: [ast.unparse(t) for t in s.targets] for s in body if isinstance(s, ast.Assign)}
    every = [n for s in body for n in nodes(s) if isinstance(getattr(n, "ctx", None), ast.Store)]
    for name, model in models.items():
        places = [s for s, texts in targets.items() if name in texts]
        if len(places) != 1 or sum(ast.unparse(n) == name for n in every) != 1 or model.code is None:
            raise StageError(f"{name} is set more than once, or not by an assignment of its own")
        found.assigned.setdefault(places[0], []).append((name, model.code.code))
        found.variables[model.attributes.get("__node__")] = model.code
    return found


def source_names(prologue: Block, found: Statements, parameters: list[str]) -> dict[str, str]:
    """How the constructor itself names the variables that the classes are given.

    Raises StageError for a variable that it does not have, or that does not keep its value.
    """
    stores = Counter(
        ast.unparse(n)
        for s in found.body
        for n in nodes(s)
        if isinstance(n, (ast.Name, ast.Attribute)) and isinstance(n.ctx, ast.Store)
    )
    names = {variable: attribute for pairs in found.assigned.values() for attribute, variable in pairs}
    for op in prologue.ops:
        if isinstance(op, Static) or isinstance(op, Branch) and not bound_names(Block([op])):
            continue  # what it checks, it checks as before
        if not isinstance(op, Let):
            raise StageError("a constructor decides what it builds")
        if op.name in names or isinstance(op.value, Construction) or op.items:
            continue
        if stores[op.hint] != 1 or op.hint in parameters:
            raise StageError(f"{op.hint or op.name} has more than one value in the constructor")
        names[op.name] = op.hint
    if any(stores[p] for p in parameters):
        raise StageError("a parameter of the constructor is assigned again")
    return names


def count_made(stager: Any) -> int:
    """How many layers, models, tensors and operations on tensors there are so far."""
    made = len(stager.layers) + len(stager.origins) + stager.losses_added
    return made + sum(isinstance(op, Apply) for op in stager.block.ops)


def without_keras(found: Statements, env: Env) -> None:
    """Adds to what goes the variables of Keras, such as optimizers, that only training needs.

    Raises StageError for another statement that uses Keras.
    """

    def uses_keras(node: ast.AST) -> bool:
        scopes = {n: env.scope_of(n) for n in variables_in(node)}
        return any(isinstance(s.names[n], (ApiValue, ApiObject)) for n, s in scopes.items() if s is not None)

    def trains(statement: ast.stmt) -> bool:
        call = statement.value if isinstance(statement, ast.Expr) else None
        return (
            isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in TRAINING_METHODS
        )

    kept = [s for s in found.body if s not in found.about_models and not trains(s)]
    for statement in kept:
        if not uses_keras(statement) or isinstance(statement, (ast.Import, ast.ImportFrom)):
            continue
        own = {t.id for t in getattr(statement, "targets", ()) if isinstance(t, ast.Name)}
        others = [s for s in kept if s is not statement]
        if not own or any(own & variables_in(s) for s in others):
            raise StageError("a statement of the constructor uses Keras")
        found.about_models.append(statement)


def only_trains(node: ast.AST, name: str, value: Any) -> bool:
    """Whether a parameter is an optimizer or the like that is read in calls such as `compile()` alone."""
    api = value.api if isinstance(value, ApiObject) else value
    if not isinstance(api, ApiValue) or not api.path.startswith(OF_TRAINING):
        return False
    calls = [n for n in nodes(node) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
    trained = [part for c in calls if c.func.attr in TRAINING_METHODS for part in (*c.args, *c.keywords)]
    inside = {id(n) for part in trained for n in nodes(part)}
    return all(id(n) in inside for n in nodes(node) if isinstance(n, ast.Name) and n.id == name)


def first_reads(numbers: Sequence[RunTime], statements: Sequence[ast.stmt]) -> list[RunTime]:
    """Where the source reads each number; not where it reads one again that none of the `statements` between has changed."""
    found: list[RunTime] = []
    for number in sorted((n for n in numbers if hasattr(n.code, "lineno")), key=lambda n: n.code.lineno):
        names = {name for name, _ in number.read}
        known = [n for n in found if n.text == number.text]
        between = [s for s in statements if known and known[-1].code.lineno <= s.lineno <= number.code.lineno]
        if not known or any(names & {*assigned_names([s]), *changed_in(s)} for s in between):
            found.append(number)
    return found


def place_of_models(
    statements: Sequence[ast.stmt],
    others: Sequence[ast.stmt],
    models: Collection[str],
    numbers: Sequence[RunTime],
    below: int = 0,
) -> ast.stmt:
    """The one of the `statements` that make models where the result does so; the `others` around them stay.

    It is the first below line `below` unless something before reads a model, and below all that knows the `numbers`, what the
    data decide. Raises StageError where there is none.
    """
    first = statements[0]

    def between(place: ast.stmt) -> list[ast.stmt]:
        return [s for s in others if first.lineno < s.lineno < place.lineno]

    def read_before(place: ast.stmt) -> set[str]:
        return set(models).intersection(*[set().union(*map(variables_in, between(place)))])

    wanted = next((s for s in statements if s.lineno > below), first)
    place = first if read_before(wanted) else wanted
    lines = [(n.code.lineno, n) for n in first_reads(numbers, [*statements, *others])]
    last = max((line for line, _ in lines), default=0)
    if last > (place.end_lineno or place.lineno):
        found = next((s for s in statements if (s.end_lineno or s.lineno) >= last), None)
        if found is None or read_before(found):
            raise StageError("a model is used before the data are known that decide its sizes")
        place = found
    for line, number in lines:
        names = {name for name, _ in number.read}
        for statement in others:
            if line < statement.lineno < place.lineno and (
                number.is_computed() or names & {*assigned_names([statement]), *changed_in(statement)}
            ):
                raise StageError(f"{number.text} changes while the model is built")
    return place
