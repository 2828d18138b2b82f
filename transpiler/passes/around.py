"""Names of variables in the function that stays around a class."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from transpiler.ir.program import Block, Branch, Change, ForLoop, Let, Loop, ModuleClass, Param
from transpiler.ir.statics import names_in, used_names
from transpiler.ir.trees import variables_in
from transpiler.passes.settle import printed_names

Holders = dict[str, set[str]]
"""A printed name → the variables whose value it may have."""


def names_around(params: list[str], block: Block, passed: dict[str, Any]) -> dict[str, str]:
    """How the variables of a builder are printed; by their plain names wherever each of these has one value at a time.

    `params` are the builder's own parameters, `passed` what it gives to the class.
    """
    holders: Holders = {n: {n} for n in params}
    if _runs(block, holders) and _reads(names_in(list(passed.values())), holders):
        return {}
    return printed_names(ModuleClass("", [Param(n) for n in params], [], block, outs=passed))


def _base(name: str) -> str:
    return name.split("__v")[0]


def _reads(names: Iterable[str], holders: Holders) -> bool:
    """Whether every name that is read has the value that is meant."""
    return all(holders.get(_base(n), {n}) == {n} for n in names)


def _binds(name: str, holders: Holders) -> None:
    holders[_base(name)] = {name}


def _runs(block: Block, holders: Holders) -> bool:
    """Whether plain names do for a block; `holders` are then as after it."""
    for op in block.ops:
        if isinstance(op, Let):
            if not _reads(names_in(op.value), holders):
                return False
            _binds(op.name, holders)
        elif isinstance(op, Branch):
            other = {n: set(v) for n, v in holders.items()}
            if not _reads(names_in(op.test), holders) or not _runs(op.then, holders) or not _runs(op.otherwise, other):
                return False
            for n, v in other.items():
                holders[n] = holders.get(n, set()) | v
        elif isinstance(op, (Loop, ForLoop)):
            for _ in range(2):
                for n in variables_in(op.target):
                    _binds(n, holders)
                if not _reads(names_in(op.iterable), holders) or not _runs(op.body, holders):
                    return False
        else:
            names = used_names(Block([op]), True) | (set(op.names) if isinstance(op, Change) else set())
            if not _reads(names, holders):
                return False
    return True
