"""What of the source went into a result: the lines of its functions, classes and statements."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from transpiler.ir.trees import nodes
from transpiler.read.keras.parse import SourceModule


def lines_used(
    visited: Mapping[Any, SourceModule], statements: Iterable[tuple[SourceModule, ast.stmt]]
) -> dict[Path, frozenset[int]]:
    """The lines of the functions and classes in `visited` and of the `statements`, by file.

    Of a class, the methods that went into nothing do not count.
    """
    found: dict[Path, set[int]] = {}
    own = {module: set(nodes(module.tree)) for module in set(visited.values())}
    for node, module in visited.items():
        if node not in own[module]:  # a function that stands for a script or for an entry
            continue
        lines = lines_of(node)
        if isinstance(node, ast.ClassDef):
            unused = [n for n in node.body if isinstance(n, ast.FunctionDef) and n not in visited]
            lines -= {line for n in unused for line in lines_of(n)}
        found.setdefault(module.path, set()).update(lines)
    for module, statement in statements:
        found.setdefault(module.path, set()).update(lines_of(statement))
    return {path: frozenset(lines) for path, lines in found.items()}


def lines_of(node: Any) -> set[int]:
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
    return set(range(first, (node.end_lineno or first) + 1))
