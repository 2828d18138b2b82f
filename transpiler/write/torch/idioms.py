"""Expressions taken over from the source in their shortest exact form."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator

from transpiler.ir.trees import nodes
from transpiler.write.torch.segments import replace, segment

_CANDIDATE = re.compile(r"isinstance\(.* or isinstance\(|in \w+\.keys\(\)", re.S)
Change = tuple[ast.expr, ast.expr, str]
"""The expressions where a change begins and ends, on one line, and the text in their place."""


def idiomatic(text: str) -> str:
    """Generated text, one simple statement a line, with its expressions in their shortest form."""
    if not _CANDIDATE.search(text):
        return text
    lines = text.splitlines()
    while change := next(_changes(ast.parse("\n".join(lines)), lines), None):
        replace(lines, *change)
    return "\n".join(lines)


def _changes(tree: ast.Module, lines: list[str]) -> Iterator[Change]:
    for node in nodes(tree):
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            yield from _one_isinstance(node, lines)
        elif isinstance(node, ast.FunctionDef) and node.args.kwarg is not None:
            yield from _without_keys(node, node.args.kwarg.arg)


def _one_isinstance(node: ast.BoolOp, lines: list[str]) -> Iterator[Change]:
    """`isinstance(a, str) or isinstance(a, list)`: one call with both types, Python's own."""
    for first, second in zip(node.values, node.values[1:]):
        kinds = [_kinds(operand) for operand in (first, second)]
        if not all(kinds) or segment(first, lines, second) != f"{segment(first, lines)} or {segment(second, lines)}":
            continue
        subjects = {segment(operand.args[0], lines) for operand in (first, second)}  # type: ignore[attr-defined]
        if len(subjects) == 1:
            yield first, second, f"isinstance({subjects.pop()}, ({', '.join(kinds[0] + kinds[1])}))"


def _kinds(node: ast.expr) -> list[str]:
    """The types that `isinstance` compares a variable or attribute with, if all are Python's own; [] for all else."""
    call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance"
    if not call or len(node.args) != 2 or node.keywords or not _is_path(node.args[0]):  # type: ignore[attr-defined]
        return []
    kinds = node.args[1]  # type: ignore[attr-defined]
    names = [k.id if isinstance(k, ast.Name) else "" for k in (kinds.elts if isinstance(kinds, ast.Tuple) else [kinds])]
    return names if all(isinstance(getattr(builtins, name, None), type) for name in names) else []


def _is_path(node: ast.expr) -> bool:
    """Whether an expression only names something: `a`, `self.a`."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def _without_keys(function: ast.FunctionDef, keywords: str) -> Iterator[Change]:
    """`key in kwargs.keys()` of a function's own `**kwargs`, which is a dictionary: `key in kwargs`."""
    own = [n for n in nodes(function) if isinstance(n, ast.Name) and n.id == keywords]
    others = [n for n in nodes(function) if isinstance(n, ast.arg) and n.arg == keywords and n != function.args.kwarg]
    if others or any(not isinstance(n.ctx, ast.Load) for n in own):
        return
    for node in nodes(function):
        if isinstance(node, ast.Compare) and isinstance(node.ops[-1], (ast.In, ast.NotIn)):
            last = node.comparators[-1]
            method = last.func if isinstance(last, ast.Call) and not last.args and not last.keywords else None
            if isinstance(method, ast.Attribute) and method.attr == "keys" and method.value in own:
                yield last, last, keywords
