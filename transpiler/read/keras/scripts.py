"""Scripts that build models at their top level: the function that does what one does, and what only renames its models."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from transpiler.ir.model import Layer
from transpiler.ir.program import Block
from transpiler.ir.statics import names_in, used_names
from transpiler.ir.trees import nodes
from transpiler.read.keras.constructors import place_of_models
from transpiler.read.keras.evaluate.syntax import assigned_names, free_names
from transpiler.read.keras.evaluate.values import Model
from transpiler.read.keras.factory import Factory
from transpiler.read.keras.program import Program
from transpiler.read.keras.trainable import toggles_of_training


def body_of_script(program: Program, models: list[str], renamed: list[ast.stmt]) -> list[ast.stmt]:
    """The body of a function that does what the script does, from the first statement about models to the last.

    What runs in between changes the variables that they use, so all of it is there except what could not be
    evaluated and what needs nothing but the finished model. Names that functions read stay the module's.
    """
    source, interpreter = program.source, program.interpreter
    left = toggles_of_training(interpreter)
    about = [s for s in source.tree.body if (id(s) in interpreter.statement_marks or s in renamed) and s not in left]
    marked = [i for i, s in enumerate(source.tree.body) if s in about]
    between = source.tree.body[marked[0] : marked[-1] + 1]
    body = [
        s
        for s in between
        if id(s) in interpreter.statement_marks
        or (
            not isinstance(s, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef))
            and id(s) not in interpreter.failed_marks
            and id(s) not in interpreter.tape_marks
            and not any(n in interpreter.left_out or n in interpreter.history_reads for n in nodes(s))
        )
    ]
    body = [s for s in body if s not in left]
    inner = [n for s in source.tree.body for n in nodes(s) if isinstance(n, (ast.FunctionDef, ast.Lambda))]
    read = {n for f in inner for n in free_names(f)}
    names = [n for n in assigned_names(body) if n in read]
    results: list[ast.expr] = [ast.Name(name, ast.Load()) for name in models]
    returned = results[0] if len(results) == 1 else ast.Tuple(results, ast.Load())
    return [*([ast.Global(names)] if names else []), *body, ast.Return(returned)]


def places_of_models(
    factory: Factory, statements: Sequence[ast.stmt], others: Sequence[ast.stmt], models: Sequence[str], below: int
) -> list[tuple[ast.stmt, Block]]:
    """What makes the models of a script, by the one of its `statements` where each part stands in the result.

    Each model stands below the numbers that it needs of the data. Raises StageError where one cannot.
    """
    variables = [names_in(v) for v in (factory.returned if len(models) > 1 else [])]
    groups: list[tuple[ast.stmt, Block]] = []
    left = list(statements)
    for op in [*factory.prologue.ops, None]:
        read = used_names(Block([op]), let_values=True) if op is not None else names_in(factory.returned)
        made = [n for n, v in zip(models, variables) if getattr(op, "name", None) in v] if op is not None else models
        needed = [n for n in factory.numbers if any(factory.outer_names.get(r) == n.text for r in read)]
        place = place_of_models(left, others, made, needed, below)
        left = left[left.index(place) :]
        if not groups or groups[-1][0] is not place:
            groups.append((place, Block([])))
        groups[-1][1].ops += [op] if op is not None else []
    return groups


def renamings(program: Program, models: dict[str, Model]) -> list[ast.stmt]:
    """Statements (`best = model`, `a, b = b, a`) that have to move along with those that make the `models`.

    They can stay if what they read is the same once all models are made; if one cannot, all are given.
    """
    source, interpreter = program.source, program.interpreter
    names = program.evaluate().names
    body = source.tree.body
    marked = [i for i, s in enumerate(body) if id(s) in interpreter.statement_marks]
    loads = {n for n, name in interpreter.left_out.items() if name == "load_model"}
    found: list[ast.stmt] = []
    moves = False
    for i, statement in enumerate(body[marked[0] :] if marked else (), start=marked[0] if marked else 0):
        bound = assigned_names([statement])
        if id(statement) in interpreter.statement_marks or not isinstance(statement, ast.Assign):
            continue
        if not bound or not all(isinstance(names.get(n), Model) for n in bound) or statement.value in loads:
            continue
        found.append(statement)
        read = {n.id for n in nodes(statement.value) if isinstance(n, ast.Name)}
        later = {*assigned_names(body[i:])}
        moves = moves or bool(read & later) or any(holds_models(names.get(n)) for n in read)
    return found if moves else []


def is_used_part(value: Any, interpreter: Any) -> bool:
    """Whether a value is a Sequential model of no weights and of no input shape of its own, which others have called.

    Each model that calls it has such layers of its own in the result.
    """
    if not isinstance(value, Model) or not value.sequential or value.inputs is not None:
        return False
    known = [interpreter.built.get(layer) if isinstance(layer, Layer) else None for layer in value.layers or ()]
    return bool(known) and all(b is not None and not any(s.weights for s in b.steps) for b in known)


def holds_models(value: Any) -> bool:
    """Whether a value is a list, tuple or dictionary with models in it, which the result does not have."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return any(isinstance(item, Model) or holds_models(item) for item in items)
