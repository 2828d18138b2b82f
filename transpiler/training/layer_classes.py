"""Classes of layers that are given to builders: those of torch in their place."""

from __future__ import annotations

import ast

from transpiler.ir.model import ApiValue
from transpiler.read.keras.evaluate.values import Function
from transpiler.rules.registry import module_class
from transpiler.training.file import FileTraining


def write_layer_classes(file: FileTraining) -> None:
    """Names the classes of torch where code that stays gives a factory a class of layers, itself or by a variable."""
    for node in [n for n in file.scopes.scope if isinstance(n, ast.Call) and n not in file.gone]:
        function = file.names_of_file.get(node.func.id) if isinstance(node.func, ast.Name) else None
        if not isinstance(function, Function) or function.node not in file.factories:
            continue
        for given in (*node.args, *(k.value for k in node.keywords)):
            written = held_by(file, given) if isinstance(given, ast.Name) else given
            if stands := module_class(ApiValue(file.path_of(given))):
                file.replace_expression(given if written is None else written, stands)


def held_by(file: FileTraining, name: ast.Name) -> ast.expr | None:
    """What the file sets a variable of its top level to, where it does so once; None for what it imports."""
    statements = [s for s in file.source.tree.body if isinstance(s, ast.Assign)]
    found = [s.value for s in statements if [t.id for t in s.targets if isinstance(t, ast.Name)] == [name.id]]
    return found[0] if len(found) == 1 and file.scopes.bound.get((None, name.id)) == 1 else None
