"""Learning rates that a program sets and reads by hand."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS3
from transpiler.ir.trees import nodes
from transpiler.rules.training.base import TRAINING
from transpiler.training.file import FileTraining

NAMES = ("lr", "learning_rate")


def rate_places(places: Iterable[ast.AST], receiver: str) -> list[tuple[ast.AST, ast.expr | None]]:
    """Where a program sets the learning rate of the optimizer of a model (to which value), and where it reads it (None)."""
    names = {f"{receiver}.optimizer.{n}" for n in NAMES}
    found: list[tuple[ast.AST, ast.expr | None]] = []
    for node in places:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and ast.unparse(node.targets[0]) in names:
            found.append((node.targets[0], node.value))
        if isinstance(node, ast.AugAssign) and ast.unparse(node.target) in names:
            found.append((node.target, node.value))
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
    write_places(file, rate_places(file.scopes.statement, receiver), optimizer)


def write_places(file: FileTraining, places: Iterable[tuple[ast.AST, ast.expr | None]], optimizer: str) -> None:
    for node, value in places:
        if file.generation == KERAS3 and any(isinstance(n, ast.Attribute) and n.attr == "lr" for n in nodes(node)):
            raise Declined(TRAINING, "optimizers of Keras 3 have no lr: to set it changes nothing; write learning_rate")
        statement = file.scopes.statement[node]
        if node in file.gone:
            continue
        if value is None:
            file.replace_expression(node, f"{optimizer}.param_groups[0]['lr']")
            continue
        if isinstance(statement, ast.Expr) and statement.value is not node:
            raise Declined(TRAINING, "a learning rate that is set inside of another expression is not translated")
        sign = f"{SIGNS[type(statement.op)]}=" if isinstance(statement, ast.AugAssign) else "="
        lines = [f"for group in {optimizer}.param_groups:", f"    group['lr'] {sign} {ast.unparse(value)}"]
        file.replace(statement, "\n".join(lines))


SIGNS = {ast.Mult: "*", ast.Div: "/", ast.Add: "+", ast.Sub: "-", ast.Pow: "**"}


def rates_in_class(tree: ast.AST) -> tuple[list[tuple[ast.AST, ast.expr | None]], list[ast.Call]]:
    """Where the class of a callback sets and reads the learning rate of its model, and where it asks whether there is one.

    Raises Declined for anything else that it does with the optimizer.
    """
    inside = list(nodes(tree))
    found = rate_places(inside, "self.model")
    asked = [
        n for n in inside
        if isinstance(n, ast.Call) and ast.unparse(n.func) == "hasattr" and len(n.args) == 2
        and ast.unparse(n.args[0]) == "self.model.optimizer" and isinstance(n.args[1], ast.Constant) and n.args[1].value in NAMES
    ]  # fmt: skip
    known = {id(n) for place, _ in found for n in nodes(place) if not is_value(n, place, found)}
    known |= {id(n) for call in asked for n in nodes(call)}
    whole = {f"self.model.optimizer.{n}" for n in NAMES}
    reads = [n for n in inside if isinstance(n, ast.Attribute) and ast.unparse(n) in whole and id(n) not in known]
    known |= {id(n) for read in reads for n in nodes(read)}
    for n in inside:
        if isinstance(n, ast.Attribute) and ast.unparse(n) == "self.model.optimizer" and id(n) not in known:
            raise Declined(TRAINING, "a callback that does more with an optimizer than to change its learning rate")
    return [*found, *((n, None) for n in reads)], asked


def is_value(node: ast.AST, place: ast.AST, found: Iterable[tuple[ast.AST, ast.expr | None]]) -> bool:
    """Whether a node belongs to what a place is set to."""
    return any(p is place and value is not None and node in nodes(value) for p, value in found)


def sets_rate(tree: ast.AST) -> bool:
    """Whether the class of a callback sets the learning rate of its model."""
    return any(value is not None for _, value in rate_places(nodes(tree), "self.model"))
