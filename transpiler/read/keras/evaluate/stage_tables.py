"""Dictionaries of the program that are read by an open key: registries of functions, tables of settings."""

from __future__ import annotations

import ast
from collections.abc import Callable, Hashable
from typing import Any

from transpiler.ir.expr import MISSING, NeedsConstant, Sym, same, to_ast
from transpiler.ir.program import Block, Branch, Let, Static
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.signals import Signal
from transpiler.read.keras.evaluate.staging import STATIC, StageError, is_static
from transpiler.read.keras.evaluate.values import Alternative

MAX_ENTRIES = 4
"""Most entries of a table of functions or classes that are all translated."""


class StagedTables:
    """The part of the stager that looks things up.

    What the constructor can compute stays a lookup. Otherwise the few entries of a small table are alternatives; of a
    larger one, and of one whose entries decide the structure, the entry seen is translated, and other keys raise.
    """

    lookups: dict[str, ast.AST]
    """Lookups that the constructor does, as dumped syntax → where the source does them."""
    reading: list[ast.AST]
    """The subscripts and calls under evaluation, the innermost last."""

    def eval_Subscript(self, node: ast.Subscript, env: Any) -> Any:
        return self.at_place(node, lambda: super(StagedTables, self).eval_Subscript(node, env))  # type: ignore[misc]

    def eval_Call(self, node: ast.Call, env: Any) -> Any:
        return self.at_place(node, lambda: super(StagedTables, self).eval_Call(node, env))  # type: ignore[misc]

    def at_place(self, node: ast.AST, action: Callable[[], Any]) -> Any:
        self.reading.append(node)
        try:
            return action()
        finally:
            self.reading.pop()

    def open_item(self, value: Any, index: Any) -> Any:
        if not is_table(value, index):
            return super().open_item(value, index)  # type: ignore[misc]
        return self.looked_up(value, index, lambda: super(StagedTables, self).open_item(value, index))  # type: ignore[misc]

    def call_real_open(self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        whole = lambda: super(StagedTables, self).call_real_open(function, args, kwargs)  # type: ignore[misc] # noqa: E731
        table = getattr(function, "__self__", None)
        if getattr(function, "__name__", "") != "get" or kwargs or not is_table(table, args[0]):
            return whole()
        return self.looked_up(table, args[0], whole)

    def looked_up(self, table: dict[Any, Any], key: Sym, in_constructor: Callable[[], Any]) -> Any:
        place = self.reading[-1] if self.reading else None
        if is_static(table) and (place not in self.memory.looked_up or self.used_with_others):  # type: ignore[attr-defined]
            found = in_constructor()
            if isinstance(found, Sym) and place is not None:
                self.lookups[ast.dump(found.expr)] = place
            return found
        if not is_static(table) and len(table) <= MAX_ENTRIES:
            return self.one_of(table, key)
        return self.entry_seen(table, key)

    def one_of(self, table: dict[Any, Any], key: Sym) -> Any:
        """Any of the entries; a key that is none of theirs raises."""
        known = Sym(ast.Compare(key.expr, [ast.In()], [to_ast(tuple(table))]), True)
        self.raise_unless(known, Static(ast.Raise(ast.Call(ast.Name("KeyError", ast.Load()), [key.expr], []))))
        *others, last = table.items()
        found = last[1]
        for k, v in reversed(others):
            found = Alternative(equals(key, k), v, found, self.frame)  # type: ignore[attr-defined]
        return found

    def entry_seen(self, table: dict[Any, Any], key: Sym) -> Any:
        """The entry for the key that was seen; others raise. Raises NeedsConstant where others may well come."""
        if self.used_with_others:
            raise NeedsConstant(key)
        error = StageError(f"of a table, only the entry for {key.witness!r} is translated")
        test = equals(key, key.witness)
        if self.truth(test) is not True:  # type: ignore[attr-defined]
            self.raise_unless(test, Static(self.decline_side(error)))  # type: ignore[attr-defined]
            self.know(key)
        return table[key.witness]

    @property
    def used_with_others(self) -> bool:
        """Whether what is evaluated is used with other values as well: a class, or an iteration of a loop."""
        return self.frame.kind != "factory" or bool(self.in_kept_loop)  # type: ignore[attr-defined]

    def know(self, key: Sym) -> None:
        """Gives the variables that hold a key the value that it has from here on."""
        if self.in_side or self.in_loop:  # type: ignore[attr-defined]
            return
        for scope in self.scopes_under_way():  # type: ignore[attr-defined]
            scope.names.update({n: key.witness for n, v in scope.names.items() if isinstance(v, Sym) and same(v, key)})

    def raise_unless(self, test: Sym, statement: Static) -> None:
        def failing() -> Signal | None:
            self.emit(statement)  # type: ignore[attr-defined]
            return None

        other = self.side(failing, test, False)  # type: ignore[attr-defined]
        branch = Branch(test, Block(), other.block)
        self.emit(branch)  # type: ignore[attr-defined]
        self.lift(branch, False)  # type: ignore[attr-defined]

    def narrow(self, value: Sym) -> bool:
        """Whether a lookup or a branch that `value` comes from can be narrowed to what was seen of it, from now on.

        That leaves more open than fixing the parameters that it depends on.
        """
        memory, read = self.memory, self.behind(value)  # type: ignore[attr-defined]
        names = [n.id for n in read if isinstance(n, ast.Name)]
        places = [self.lookups.get(ast.dump(n)) for n in read if isinstance(n, (ast.Subscript, ast.Call))]
        for narrowed, found in ((memory.looked_up, places), (memory.one_sided, [self.joined.get(n) for n in names])):
            place = next((p for p in found if p is not None and p not in narrowed), None)
            if place is not None:
                narrowed.append(place)
                return True
        return False

    def behind(self, value: Sym, block: Block | None = None) -> list[ast.AST]:
        """The syntax of an expression and of the variables that it reads, as far as `block` defines them."""
        lets: dict[str, list[Any]] = {}
        for op in (block or self.block).walk():  # type: ignore[attr-defined]
            if isinstance(op, Let) and is_static(op.value):
                lets.setdefault(op.name, []).append(op.value)
        todo: list[Any] = [value]
        read: list[ast.AST] = []
        seen: set[str] = set()
        while todo:
            for node in nodes(to_ast(todo.pop())):
                read.append(node)
                if isinstance(node, ast.Name) and node.id not in seen:
                    seen.add(node.id)
                    todo += lets.get(node.id, [])
        return read


def is_table(value: Any, key: Any) -> bool:
    """Whether a known dictionary is read by an open key that was seen to be one of its keys."""
    if not isinstance(value, dict) or not isinstance(key, Sym) or not all(isinstance(k, STATIC) for k in value):
        return False
    return key.witness is not MISSING and isinstance(key.witness, Hashable) and key.witness in value


def equals(key: Sym, value: Any) -> Sym:
    return Sym(ast.Compare(key.expr, [ast.Eq()], [to_ast(value)]), key.witness == value)
