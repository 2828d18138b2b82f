"""What training code leaves behind: pipelines, toggles, arguments of calls that are gone, and functions on data."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from typing import Any

from transpiler.diagnostics import Declined, Severity
from transpiler.ir.model import ApiObject
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.pipelines import SIGNATURES
from transpiler.read.keras.evaluate.training_calls import TrainingCall
from transpiler.rules.training.base import TRAINING
from transpiler.training.file import FileTraining
from transpiler.training.image_generators import ImageGenerators
from transpiler.training.makers import is_read, made_by_makers
from transpiler.training.source import items_of
from transpiler.training.utilities import UtilityWriter

ADDING = ("append", "extend", "insert")
"""Methods that add to a list."""


def write_leftovers(file: FileTraining) -> None:
    """Rewrites or removes what only training code used."""
    write_pipelines(file)
    refuse_unknown_steps(file)
    drop_toggles(file)
    drop_arguments(file)
    drop_attributes(file)
    ImageGenerators(file).write()
    UtilityWriter(file).write()


def write_pipelines(file: FileTraining) -> None:
    """Pipelines of `tf.data`, in code that stays."""
    made = file.pipelines.pipelines
    inner = {n.func.value for n in made if isinstance(n.func, ast.Attribute)}
    for node in made:
        statement = file.statement_of(node)
        if node in inner or statement in file.trained:
            continue
        try:
            text = file.pipelines.text(node)
        except Declined as declined:
            file.declined[node] = declined
            continue
        targets = [ast.unparse(t) for t in statement.targets] if isinstance(statement, ast.Assign) else []
        if targets == [text]:
            file.edit.removed.add(statement)
        else:
            file.edits.setdefault(statement, {})[node] = text


def refuse_unknown_steps(file: FileTraining) -> None:
    """Steps of pipelines after code of which nobody knows whether it runs are declined, those that never run are named."""
    made, scopes = file.pipelines.pipelines, file.scopes
    held = {
        (scopes.scope[statement], t.id)
        for statement in {scopes.statement[n] for n in made}
        if isinstance(statement, ast.Assign) and statement.value in made
        for t in statement.targets
        if isinstance(t, ast.Name)
    }
    branches = {n for s in scopes.scope if isinstance(s, (ast.If, ast.IfExp)) for n in nodes(s)}
    unseen = [
        n
        for n in scopes.scope
        if isinstance(n, ast.Call)
        and n not in made
        and n not in file.gone
        and isinstance(n.func, ast.Attribute)
        and n.func.attr in SIGNATURES
        and isinstance(n.func.value, ast.Name)
        and (scopes.scope[n], n.func.value.id) in held
    ]
    lost = {scopes.scope[n] for n in unseen if n not in branches}
    for node in unseen:
        if scopes.scope[node] in lost:
            file.declined[node] = Declined(TRAINING, "what this step of a tf.data.Dataset is done to is not known")
            continue
        text = f"{ast.unparse(node.func)}() stays as it is: the program does not come here"
        file.note(TRAINING, text, node, Severity.WARNING, "Translate it by hand if it can run.")


def drop_toggles(file: FileTraining) -> None:
    """What sets `trainable`, where all of the training is translated: the optimizers say it, or `requires_grad_`."""
    if any(f.declined for f in file.project):
        return
    requires_grad = {s: lines for f in file.project for s, lines in f.requires_grad.items()}
    for toggle in [t for f in file.project for t in f.settled_toggles]:
        statement: Any = toggle.statement
        if statement not in file.scopes.scope or toggle.receiver is None and statement not in requires_grad:
            continue
        file.handled_statements.add(statement)
        if lines := requires_grad.get(statement):
            file.edit.replaced[statement] = "\n".join(lines)
        else:
            file.edit.removed.add(statement)
    active = {t.statement for t in file.interpreter.toggles}
    idle = [s for s in file.interpreter.toggling if s in file.scopes.scope and not active.intersection(nodes(s))]
    file.edit.removed.update(s for s in idle if s not in file.gone)


def drop_arguments(file: FileTraining) -> None:
    """Removes assignments of what only went into calls that are translated: optimizers, lists of callbacks."""
    found = made_for_training(file) | made_by_makers(file)
    kept = [s for s in file.scopes.statements() if isinstance(s, ast.Assign) and s not in file.gone]
    filling = fillings(file)
    names = {
        t.id: s for s in kept for t in s.targets if len(s.targets) == 1 and isinstance(t, ast.Name)
        and file.scopes.bound.get((file.scopes.scope[s], t.id)) == 1 + sum(isinstance(f, ast.AugAssign) for f in filling.get(t.id, {}))
    }  # fmt: skip
    candidates: dict[str, ast.Assign] = {}
    handled = {n for f in file.project for n in f.handled}
    passed = {k.value.id for n in handled for k in n.keywords if k.arg is None and isinstance(k.value, ast.Name)}

    def goes(name: str, statement: ast.Assign) -> bool:
        known, more = {*candidates, *file.own_callbacks}, filling.get(name, {})
        if name in passed:
            return all(
                isinstance(v, ast.Constant) or only_of(v, found, known)
                for v in (items_of(statement.value) or {}).values()
            )
        empty = bool(more) and isinstance(statement.value, ast.List) and not statement.value.elts
        return (empty or only_of(statement.value, found, known)) and all(
            only_of(item, found, known) or is_callback(item, file) for items in more.values() for item in items
        )

    while more := {n: s for n, s in names.items() if n not in candidates and goes(n, s)}:
        candidates |= more
    inside = {n for call in handled for n in nodes(call)}
    candidates = {n: s for n, s in candidates.items() if not read_elsewhere(file, n, s, inside)}
    changed = True
    while changed:
        gone = {*candidates.values(), *(s for n in candidates for s in filling.get(n, ()))}
        read = {
            n.id
            for n, statement in file.scopes.statement.items()
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and statement not in gone and n not in inside
        }
        changed = bool(candidates.keys() & read)
        candidates = {n: s for n, s in candidates.items() if n not in read}
    file.edit.removed |= set(candidates.values())
    remove_fillings(file, {s for n in candidates for s in filling.get(n, ())})


def read_elsewhere(file: FileTraining, name: str, statement: ast.stmt, inside: Collection[ast.AST]) -> bool:
    """Whether another file reads a variable of the top level that a statement sets, beside what goes."""
    others = [f for f in file.project if f is not file]
    return file.scopes.scope[statement] is None and is_read(name, file, others, inside)


def drop_attributes(file: FileTraining) -> None:
    """Removes statements that only keep such objects in attributes: `self.callbacks.append(EarlyStopping())`."""
    found = made_for_training(file)
    holding: dict[str, dict[ast.stmt, list[ast.expr]]] = {}
    for statement in [s for s in file.scopes.statements() if s not in file.gone]:
        target, added = filled_by(statement)
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, added = statement.targets[0], [statement.value]
        if isinstance(target, ast.Attribute):
            holding.setdefault(target.attr, {})[statement] = added
    inside = {n for f in file.project for call in f.handled for n in nodes(call)}
    for attribute, statements in holding.items():
        items = [n for added in statements.values() for n in added if not (isinstance(n, ast.List) and not n.elts)]
        reads = [
            n for n in file.scopes.scope if isinstance(n, ast.Attribute) and n.attr == attribute and n not in inside
        ]
        unread = all(file.scopes.statement[n] in statements for n in reads)
        if items and unread and all(only_of(n, found, ()) for n in items):
            file.edit.removed |= set(statements)


def filled_by(statement: ast.stmt) -> tuple[ast.expr | None, list[ast.expr]]:
    """The list that a statement adds to, and what it adds: `xs.append(x)`, `xs += [x]`, `xs.extend([x])`."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Add):
        return statement.target, [statement.value]
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in ADDING:
        return call.func.value, list(call.args)
    return None, []


def fillings(file: FileTraining) -> dict[str, dict[ast.stmt, list[ast.expr]]]:
    """Variable → the statements that add to the list in it, and what they add."""
    found: dict[str, dict[ast.stmt, list[ast.expr]]] = {}
    for statement in [s for s in file.scopes.statements() if s not in file.gone]:
        target, added = filled_by(statement)
        if isinstance(target, ast.Name):
            found.setdefault(target.id, {})[statement] = added
    return found


def remove_fillings(file: FileTraining, gone: set[ast.stmt]) -> None:
    """Removes statements, and the branches that decide on nothing else, which are settled as the program has them."""
    branches = [s for s in file.scopes.statements() if isinstance(s, ast.If)]
    whole = [b for b in branches if gone & set(b.body) and all(s in gone for s in (*b.body, *b.orelse))]
    for branch in whole:
        file.note("K2T301", f"the callbacks are those for {ast.unparse(branch.test)} as it is here", branch)
    file.edit.removed |= {*whole} | {s for s in gone if not any(s in nodes(b) for b in whole)}


def is_callback(node: ast.expr, file: FileTraining) -> bool:
    """Whether an expression makes a callback, perhaps in a branch that is not taken."""
    return isinstance(node, ast.Call) and file.path_of(node.func).startswith("keras.callbacks.")


def made_for_training(file: FileTraining) -> set[ast.Call]:
    """The calls that made the objects of Keras which went into calls that are translated."""
    evaluations = [e for f in file.project for n in f.handled for e in file.calls.get(n, ())]
    return {node for e in evaluations for v in e.arguments.values() for node in made_by(v, e)}


def made_by(value: Any, evaluation: TrainingCall) -> Iterator[ast.Call]:
    """The calls that made the objects of Keras in an argument."""
    if isinstance(value, ApiObject):
        if value in evaluation.objects:
            yield evaluation.objects[value]
        value = [*value.args, *value.kwargs.values()]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    for item in items:
        yield from made_by(item, evaluation)


def only_of(node: ast.expr, calls: Collection[ast.AST], names: Collection[str]) -> bool:
    """Whether an expression is nothing but such calls and variables, in lists."""
    if isinstance(node, (ast.List, ast.Tuple)):
        return bool(node.elts) and all(only_of(n, calls, names) for n in node.elts)
    return node in calls or isinstance(node, ast.Name) and node.id in names
