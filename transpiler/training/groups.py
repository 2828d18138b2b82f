"""Which calls on models go together: those on what one `compile` made ready, and where that is bound.

A builder that compiles its model becomes a factory, so the optimizer is made where the program binds what the builder returns.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from transpiler.read.keras.evaluate.training_calls import TrainingCall
from transpiler.training.file import FileTraining


@dataclass
class Group:
    """Calls on models that one `compile` made ready."""

    owner: ast.Call | None
    """The `compile`; None for models that are not compiled."""
    nodes: list[ast.Call] = field(default_factory=list)
    compiles: list[TrainingCall] = field(default_factory=list)
    """The evaluations of the `compile` for these models."""
    measures: bool = False
    """Whether anything trains or measures one of the models."""
    bound: list[ast.Assign] = field(default_factory=list)
    """The statements that bind the models, where these stand in code that stays and the `compile` does not."""
    name: str = ""
    """What they bind: `model`, `self.model`."""
    places: dict[ast.Assign, str] = field(default_factory=dict)
    """All statements that bind one of the models, and the name that each binds; {} where one is not known."""

    @property
    def receiver(self) -> str:
        """What the model is called where it becomes a compiled one."""
        own = self.owner.func if self.owner is not None else None
        return self.name or (ast.unparse(own.value) if isinstance(own, ast.Attribute) else "")


def groups_of(file: FileTraining, calls: Mapping[ast.Call, Sequence[TrainingCall]]) -> Iterator[Group]:
    """The groups of these calls, by the `compile` in force for each."""
    by_compile: dict[ast.Call | None, list[tuple[ast.Call, TrainingCall]]] = {}
    for node, evaluations in calls.items():
        for e in evaluations:
            owner = node if e.method == "compile" else e.compiled.node if e.compiled is not None else None
            by_compile.setdefault(owner, []).append((node, e))
    for owner, found in by_compile.items():
        compiles = list(file.calls.get(owner, ())) if owner is not None else []
        if owner is not None and owner not in file.gone:
            group = Group(owner, list(dict.fromkeys(n for n, _ in found)), compiles, measured(found))
            if owner not in file.scopes.scope:  # of another file, which makes the optimizer
                group.name = file.receiver_of(found[0][0])
            yield group
            continue
        for models in together(file, found):
            own = [(n, e) for n, e in found if id(e.model) in models]
            its = [c for c in compiles if id(c.model) in models]
            its = its or [e.compiled for _, e in own if e.compiled is not None]  # of the model that was saved
            group = Group(owner, list(dict.fromkeys(n for n, _ in own)), its, measured(own))
            if owner is not None:
                bind(file, group, own)
            yield group


def measured(found: Sequence[tuple[ast.Call, TrainingCall]]) -> bool:
    """Whether one of these calls needs what `compile` says."""
    return any(e.method not in ("compile", "predict", "predict_on_batch") for _, e in found)


def together(file: FileTraining, found: list[tuple[ast.Call, TrainingCall]]) -> list[set[int]]:
    """The models, by their ids, parted into those that no statement and no call has in common."""
    parts: list[tuple[set[int], set[ast.AST]]] = []
    for node, evaluation in found:
        model = id(evaluation.model)
        models, places = {model}, {node, *(s for s, _ in bindings(file, model))}
        for part in [p for p in parts if p[0] & models or p[1] & places]:
            parts.remove(part)
            models, places = models | part[0], places | part[1]
        parts.append((models, places))
    return [models for models, _ in parts]


def bindings(file: FileTraining, model: int) -> list[tuple[ast.Assign, ast.expr]]:
    """Where the first code that stays binds a model which a call has returned."""
    found = [(s, t) for s, t in file.interpreter.bound.get(model, ()) if s in file.scopes.scope]
    return [(s, t) for s, t in found if s not in file.gone or s in file.rebuilt][:1]


def bind(file: FileTraining, group: Group, evaluations: list[tuple[ast.Call, TrainingCall]]) -> None:
    """Notes where a group's models are bound, if that is known of each, under the name by which all that trains calls them."""
    found = [bindings(file, id(c.model)) for c in group.compiles if any(e.compiled is c for _, e in evaluations)]
    places = dict(pair for pairs in found for pair in pairs)
    names = {ast.unparse(t) for t in places.values()}
    scopes = {file.scopes.scope[s] for s in places}
    learning = [n for n, e in evaluations if e.method in ("fit", "train_on_batch")]
    if places and all(found):
        group.places = {s: ast.unparse(t) for s, t in places.items()}
    if not all(found) or len(names) != 1 or len(scopes) != 1:
        return
    target = next(iter(places.values()))
    alike = all(same_variable(file, target, n.func.value) for n in learning if isinstance(n.func, ast.Attribute))
    if alike and (isinstance(target, ast.Name) or times_set(file, target) == len(places)):
        group.bound, group.name = list(places), names.pop()


def same_variable(file: FileTraining, target: ast.expr, receiver: ast.expr) -> bool:
    """Whether an expression reads the variable, or the attribute of whatever object, that a target sets."""
    if isinstance(target, ast.Attribute):
        apart = file.class_of(target) is not file.class_of(receiver) and ast.unparse(receiver) == ast.unparse(target)
        return isinstance(receiver, ast.Attribute) and receiver.attr == target.attr and not apart
    if not isinstance(target, ast.Name) or not isinstance(receiver, ast.Name) or receiver.id != target.id:
        return False
    own, here = file.scopes.scope[target], file.scopes.scope[receiver]
    return own is here or own is None and (here, receiver.id) not in file.scopes.bound


def times_set(file: FileTraining, target: ast.expr) -> int:
    """How many statements of the file set an attribute of this name."""
    attributes = [n for n in file.scopes.scope if isinstance(n, ast.Attribute) and not isinstance(n.ctx, ast.Load)]
    return sum(n.attr == target.attr for n in attributes) if isinstance(target, ast.Attribute) else 0
