"""Learning rates that a program sets and reads by hand."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from transpiler.training.file import FileTraining


def rate_places(places: Iterable[ast.AST], receiver: str) -> list[tuple[ast.AST, ast.expr | None]]:
    """Where a program sets the learning rate of the optimizer of a model (to which value), and where it reads it (None)."""
    names = {f"{receiver}.optimizer.{n}" for n in ("lr", "learning_rate")}
    found: list[tuple[ast.AST, ast.expr | None]] = []
    for node in places:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and ast.unparse(node.targets[0]) in names:
            found.append((node.targets[0], node.value))
        if not isinstance(node, ast.Call):
            continue
        function = ast.unparse(node.func)
        leaf, first = function.rpartition(".")[2], ast.unparse(node.args[0]) if node.args else ""
        if leaf == "set_value" and first in names and len(node.args) == 2:
            found.append((node, node.args[1]))
        elif leaf == "assign" and function.rpartition(".")[0] in names and node.args:
            found.append((node, node.args[0]))
        elif (
            leaf in ("get_value", "eval") and first in names or leaf == "numpy" and function.rpartition(".")[0] in names
        ):
            found.append((node, None))
    return found


def write_rates(file: FileTraining, receiver: str, optimizer: str) -> None:
    """Learning rates that the program sets and reads by hand."""
    for node, value in rate_places(file.scopes.statement, receiver):
        if node in file.gone:
            continue
        if value is None:
            file.replace_expression(node, f"{optimizer}.param_groups[0]['lr']")
        else:
            lines = [f"for group in {optimizer}.param_groups:", f"    group['lr'] = {ast.unparse(value)}"]
            file.replace(file.scopes.statement[node], "\n".join(lines))
