"""`tf.distribute`: what a strategy is asked for, where the result needs none as its training is that of one process or of Accelerate."""

from __future__ import annotations

import ast

from transpiler.diagnostics import Severity
from transpiler.options import PLAIN
from transpiler.rules.training.base import TRAINING
from transpiler.training.file import FileTraining

HOME = "tensorflow.distribute."
COUNT = "num_replicas_in_sync"


def write_strategies(file: FileTraining) -> None:
    """Leaves out strategies and opens their scopes; what else is done with one is reported."""
    made = {n: s for n, s in file.scopes.statement.items() if is_strategy(file, n)}
    held = {s.targets[0].id: s for n, s in made.items() if binds_alone(s, n)}  # type: ignore[attr-defined]
    uses = [n for n in file.scopes.scope if isinstance(n, ast.Name) and n.id in held and isinstance(n.ctx, ast.Load)]
    attributes = {n.value: n for n in file.scopes.scope if isinstance(n, ast.Attribute)}
    wrong = [n for n in uses if getattr(attributes.get(n), "attr", "") not in ("scope", COUNT)]
    wrong += [n for n, s in made.items() if s not in held.values()]
    for node in wrong:
        file.note(TRAINING, "this use of tf.distribute is not translated", node, Severity.ERROR)
    if wrong or not held:
        return
    for node in uses:
        attribute = attributes[node]
        if attribute.attr == "scope":
            file.edit.opened.add(f"{node.id}.scope()")
        else:
            replace_count(file, attribute)
    processes = file.functions.get("accelerator", "")
    for i, statement in enumerate(held.values()):
        if processes and not i and statement in file.source.tree.body:  # which asks for devices where the strategy did
            file.replace(statement, file.functions.pop("accelerator"))
        else:
            file.edit.removed.add(statement)
    if file.trainer == PLAIN:
        text = "tf.distribute is left out: the result trains on one device; --trainer accelerate or lightning is for several"
        file.note("K2T502", text, next(iter(held.values())))


def is_strategy(file: FileTraining, node: ast.AST) -> bool:
    path = file.path_of(node.func) if isinstance(node, ast.Call) and node not in file.gone else ""
    return path.startswith(HOME) and path.endswith("Strategy") or path == f"{HOME}get_strategy"


def binds_alone(statement: ast.stmt, node: ast.AST) -> bool:
    """Whether a statement gives the value of a call to one variable, and does nothing else."""
    plain = isinstance(statement, ast.Assign) and statement.value is node and len(statement.targets) == 1
    return plain and isinstance(statement.targets[0], ast.Name)  # type: ignore[attr-defined]


def replace_count(file: FileTraining, attribute: ast.Attribute) -> None:
    """Writes how many processes train in the place of how many replicas do."""
    file.replace_anywhere(attribute, "accelerator.num_processes" if "accelerator" in file.functions else "1")
