"""Walking Python syntax trees, the source's and the result's."""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping, Sequence
from typing import Any

_PLAIN = frozenset(
    {"ctx", "op", "ops", "id", "attr", "kind", "type_comment", "conversion", "is_async", "simple", "level", "module"}
)
"""Fields that hold no statement and no expression."""


@functools.cache
def _branches(kind: type[ast.AST]) -> tuple[str, ...]:
    return () if kind is ast.Constant else tuple(f for f in kind._fields if f not in _PLAIN)


def nodes(tree: ast.AST) -> list[ast.AST]:
    """`tree` and every node under it, parents first, without operators and contexts: `ast.walk`, a few times faster."""
    found = [tree]
    for node in found:
        for field in _branches(type(node)):
            child = getattr(node, field, None)
            if isinstance(child, ast.AST):
                found.append(child)
            elif isinstance(child, list):
                found += [c for c in child if isinstance(c, ast.AST)]
    return found


def with_names(tree: ast.AST, values: Mapping[str, ast.expr]) -> Any:
    """The tree with variables replaced; parts without any are shared with `tree`, which is left as it is."""
    if isinstance(tree, ast.Name):
        return values.get(tree.id, tree)
    changed: dict[str, Any] = {}
    for field in _branches(type(tree)):
        child = getattr(tree, field, None)
        if isinstance(child, ast.AST):
            new: Any = with_names(child, values)
            if new is not child:
                changed[field] = new
        elif isinstance(child, list):
            items = [with_names(c, values) if isinstance(c, ast.AST) else c for c in child]
            if any(a is not b for a, b in zip(items, child)):
                changed[field] = items
    if not changed:
        return tree
    return type(tree)(**{f: changed.get(f, getattr(tree, f, None)) for f in tree._fields})


def variables_in(tree: ast.AST) -> set[str]:
    """The names that a tree reads or binds as variables; not the floats, which generated code holds as names too."""
    return {n.id for n in nodes(tree) if isinstance(n, ast.Name) and not n.id[:1].isdigit()}


def header(statement: ast.stmt) -> str:
    """The head of a compound statement: `def main():`, `for k in range(3):`; "" for a plain one."""
    return ast.unparse(statement).partition("\n")[0] if hasattr(statement, "body") else ""


def flattened(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Statements that run at most once, in order: those inside of `with`, `if` and `try` in place of these."""
    found: list[ast.stmt] = []
    for statement in body:
        if isinstance(statement, ast.With):
            found += flattened(statement.body)
        elif isinstance(statement, ast.If):
            found += flattened([*statement.body, *statement.orelse])
        elif isinstance(statement, ast.Try):
            found += flattened([*statement.body, *(s for h in statement.handlers for s in h.body)])
            found += flattened([*statement.orelse, *statement.finalbody])
        else:
            found.append(statement)
    return found
