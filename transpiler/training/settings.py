"""Settings of Keras that code on data asks for: they are constants, and so is which branch is taken."""

from __future__ import annotations

import ast

from transpiler.ir.expr import MISSING, constant_value
from transpiler.ir.trees import nodes
from transpiler.training.edits import edited
from transpiler.training.file import FileTraining

SETTINGS = {
    "keras.backend.image_data_format": "channels_last",
    "keras.config.image_data_format": "channels_last",
    "keras.backend.image_dim_ordering": "tf",
}
"""Functions without arguments → what they return where the program does not set it."""


FLOATS = ("keras.backend.set_floatx", "keras.config.set_floatx")


def write_settings(file: FileTraining) -> None:
    """Replaces questions for settings by their answers, in code that stays, and leaves out what sets them as they are."""
    for statement in file.source.tree.body:
        call = statement.value if isinstance(statement, ast.Expr) else None
        if isinstance(call, ast.Call) and len(call.args) == 1 and file.path_of(call.func) in FLOATS:
            kind = call.args[0]
            value = file.names_of_file.get(kind.id) if isinstance(kind, ast.Name) else getattr(kind, "value", None)
            bound = file.scopes.bound.get((None, getattr(kind, "id", "")), 0)
            if value == "float32" and bound < 2:
                file.edit.removed.add(statement)
    if file.interpreter.sets_data_format:
        return
    for node, statement in file.scopes.statement.items():
        if not isinstance(node, ast.Call) or node in file.gone or node.args or node.keywords:
            continue
        answer = SETTINGS.get(file.path_of(node.func))
        if answer is None:
            continue
        around = [n for n in nodes(statement) if isinstance(n, ast.IfExp) and any(c is node for c in nodes(n.test))]
        chosen = next((c for c in map(lambda n: side(file, n, node, answer), around) if c is not None), None)
        if chosen is not None:
            file.edits.setdefault(statement, {})[chosen[0]] = chosen[1]
        else:
            file.edits.setdefault(statement, {})[node] = repr(answer)
            file.settled_tests.add(statement)


def side(file: FileTraining, choice: ast.IfExp, call: ast.Call, answer: str) -> tuple[ast.IfExp, str] | None:
    """The text of the side of `a if test else b` that is taken; None if the test asks for more than a setting."""
    value = tested(edited_expression(file, choice.test, call, answer))
    taken = choice.body if value else choice.orelse
    if value is MISSING or any(isinstance(n, ast.Call) for n in nodes(taken)):
        return None
    return choice, ast.unparse(taken)


def edited_expression(file: FileTraining, expression: ast.expr, call: ast.Call, answer: str) -> str:
    """The text of an expression in which a call is replaced by what it returns."""
    statement = ast.copy_location(ast.Expr(expression), expression)
    return edited(file.source.text, statement, {call: repr(answer)})


def tested(text: str) -> bool | object:
    """Whether a test of constants holds; MISSING if it is anything else."""
    value = constant_value(ast.parse(f"({text})", mode="eval").body)
    return MISSING if value is MISSING else bool(value)
