"""The constructor's own variables: which are needed, and what a class must be given."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable
from typing import Any

from transpiler.ir.expr import Sym
from transpiler.ir.liveness import results_of
from transpiler.ir.model import Given
from transpiler.ir.program import (
    Apply,
    Block,
    Branch,
    Change,
    Construction,
    ForLoop,
    Let,
    Loop,
    Member,
    ModuleClass,
    Static,
)
from transpiler.ir.trees import nodes, variables_in


@functools.lru_cache(maxsize=4096)
def names_in_code(code: str) -> frozenset[str]:
    """The names that a piece of generated code reads."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return frozenset()
    bound = {n.id for n in nodes(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return frozenset(n.id for n in nodes(tree) if isinstance(n, ast.Name)) - bound


def names_in(value: Any) -> set[str]:
    """The names that a static value reads."""
    if isinstance(value, Sym):
        return set(value.free_names)
    if isinstance(value, (list, tuple, set)):
        return set().union(*map(names_in, value)) if value else set()
    if isinstance(value, dict):
        return names_in(list(value.values()))
    if isinstance(value, Given):
        return names_in(value.code)
    if isinstance(value, ast.AST):
        return variables_in(value)
    if isinstance(value, Construction):
        return set().union(*(names_in(value.values.get(p.name)) for p in value.cls.params))
    return set()


def member_names(member: Member) -> set[str]:
    """The names that constructing a submodule reads."""
    found = set(names_in_code(member.code)) if member.code else set()
    if member.choice is not None:
        found |= names_in(member.choice.test)
        for part in (*member.choice.then, *member.choice.otherwise):
            found |= member_names(part)
    found |= names_in(member.construction)
    for part in member.parts:
        found |= member_names(part)
    if member.step is not None:
        for value in member.step.init.values():
            found |= names_in(value)
    return found


def used_names(block: Block, let_values: bool) -> set[str]:
    """The names that the operations of a block read; the right sides of `Let`s only on request."""
    found: set[str] = set()
    for op in block.walk():
        if isinstance(op, Apply):
            if op.member is not None:
                found |= member_names(op.member)
            if op.step.fn and (op.member is None or op.step.module is None):
                found |= {
                    n
                    for n in names_in_code(op.step.fn.replace("{", "_arg_").replace("}", "_"))
                    if not n.startswith("_arg_")
                }
        elif isinstance(op, Branch):
            found |= names_in(op.test)
        elif isinstance(op, (Loop, ForLoop)):
            found |= names_in(op.iterable)
        elif isinstance(op, Static) and (let_values or not isinstance(op, Change)):
            found |= names_in(op.statement)
        elif isinstance(op, Let) and let_values:
            found |= names_in(op.value)
    return found


def remove_dead_lets(block: Block, keep: Iterable[str] = ()) -> None:
    """Drops `Let`s that nothing needs, in place. A variable that only feeds itself is not needed."""
    _drop(block, needed_names(block, keep))


def needed_names(block: Block, keep: Iterable[str] = ()) -> set[str]:
    """The static names that the operations of a block and `keep` need, through the `Let`s that make them."""
    values: dict[str, list[Any]] = {}
    for op in block.walk():
        if isinstance(op, Let):
            values.setdefault(op.name, []).append(op.value)
        elif isinstance(op, Change):
            for name in op.names:
                values.setdefault(name, []).append(op.statement)
    todo = [*used_names(block, let_values=False), *keep]
    needed: set[str] = set()
    while todo:
        name = todo.pop()
        if name in needed:
            continue
        needed.add(name)
        for value in values.get(name, ()):
            todo.extend(names_in(value))
    return needed


def _drop(block: Block, needed: set[str]) -> None:
    kept = []
    for op in block.ops:
        if isinstance(op, Let) and op.name not in needed:
            continue
        if isinstance(op, Change) and needed.isdisjoint(op.names):
            continue
        if isinstance(op, Branch):
            _drop(op.then, needed)
            _drop(op.otherwise, needed)
            if not op.then.ops and not op.otherwise.ops and not op.phis:
                continue
        elif isinstance(op, (Loop, ForLoop)):
            _drop(op.body, needed)
            if not op.body.ops and not results_of(op):
                continue
        kept.append(op)
    block.ops[:] = kept


def bound_names(block: Block) -> set[str]:
    """The static variables that a block binds itself."""
    found: set[str] = set()
    for op in block.walk():
        if isinstance(op, Let):
            found.add(op.name)
        elif isinstance(op, (Loop, ForLoop)):
            found |= variables_in(op.target)
    return found


def names_outside(body: Block, cls: ModuleClass) -> set[str]:
    """The static names that a class reads elsewhere than in `body`."""
    inside, body.ops = body.ops, []
    try:
        return used_names(cls.block, let_values=True) | names_in(list(cls.outs.values()))
    finally:
        body.ops = inside
