"""The statements of a script that only give its models other names."""

from __future__ import annotations

import ast
from typing import Any

from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.syntax import assigned_names
from transpiler.read.keras.evaluate.values import Model
from transpiler.read.keras.program import Program


def renamings(program: Program, models: dict[str, Model]) -> list[ast.stmt]:
    """Statements (`best = model`, `a, b = b, a`) that have to move along with those that make the `models`.

    They can stay if what they read is the same once all models are made; if one cannot, all are given.
    """
    source, interpreter = program.source, program.interpreter
    names = program.evaluate().names
    body = source.tree.body
    marked = [i for i, s in enumerate(body) if id(s) in interpreter.statement_marks]
    found: list[ast.stmt] = []
    moves = False
    for i, statement in enumerate(body[marked[0] :] if marked else (), start=marked[0] if marked else 0):
        bound = assigned_names([statement])
        if id(statement) in interpreter.statement_marks or not isinstance(statement, ast.Assign):
            continue
        if not bound or not all(isinstance(names.get(n), Model) for n in bound):
            continue
        found.append(statement)
        read = {n.id for n in nodes(statement.value) if isinstance(n, ast.Name)}
        later = {*assigned_names(body[i:])}
        moves = moves or bool(read & later) or any(holds_models(names.get(n)) for n in read)
    return found if moves else []


def holds_models(value: Any) -> bool:
    """Whether a value is a list, tuple or dictionary with models in it, which the result does not have."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return any(isinstance(item, Model) or holds_models(item) for item in items)
