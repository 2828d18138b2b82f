"""An item that an open number takes out of a known list of tensors: one side of a branch for each of them."""

from __future__ import annotations

import ast
from typing import Any

from transpiler.ir.expr import Sym
from transpiler.ir.naming import singular
from transpiler.ir.program import Block, Branch, Let, Static, Value
from transpiler.read.keras.evaluate.stage_tables import equals

MAX_ITEMS = 6
"""Most items of a list that are all translated."""


class StagedItems:
    """The part of the stager that reads such lists. What leads to one item alone is then made on that side alone."""

    reading: list[ast.AST]

    def getitem(self, value: Any, index: Any) -> Any:
        if isinstance(value, (list, tuple)) and self.may_be_any(value, index):
            return self.one_item(value, index)
        return super().getitem(value, index)  # type: ignore[misc]

    def may_be_any(self, items: list[Any] | tuple[Any, ...], index: Any) -> bool:
        """Whether an open number may take any of these tensors, which can take one another's place."""
        if not isinstance(index, Sym) or type(index.witness) is not int or self.used_with_others or self.in_try:  # type: ignore[attr-defined]
            return False
        if not self.reading or self.reading[-1] in self.memory.unrolled:  # type: ignore[attr-defined]
            return False
        count = len(items)
        if not 1 < count <= MAX_ITEMS or not -count <= index.witness < count:
            return False
        tensors = all(isinstance(x, Value) and x.type.rank and x not in self.poly for x in items)  # type: ignore[attr-defined]
        return tensors and len({(x.type.rank, x.type.dtype) for x in items}) == 1

    def one_item(self, items: list[Value] | tuple[Value, ...], index: Sym) -> Value:
        """Any of the items; a number that is none of theirs raises."""
        count = len(items)
        bounds = ast.Call(ast.Name("range", ast.Load()), [ast.Constant(-count), ast.Constant(count)], [])
        error = ast.parse("raise IndexError('list index out of range')").body[0]
        self.raise_unless(Sym(ast.Compare(index.expr, [ast.In()], [bounds]), True), Static(error))  # type: ignore[attr-defined]
        source = self.reading[-1]
        named = isinstance(source, ast.Subscript) and isinstance(source.value, ast.Name)
        name = singular(source.value.id) if named else "index"  # type: ignore[attr-defined]
        place = Sym.name(self.fresh(name), index.witness % count, True)  # type: ignore[attr-defined]
        self.emit(Let(place.code, self.binop(ast.Mod(), index, count), name))  # type: ignore[attr-defined]

        *others, found = items
        block, last = self.block, None  # type: ignore[attr-defined]
        for number, item in reversed([*enumerate(others)]):
            branch = Branch(equals(place, number), Block(), Block([last] if last else []), taken=source)
            self.around[branch.then] = self.around[branch.otherwise] = block  # type: ignore[attr-defined]
            if last:
                self.around[last.then] = self.around[last.otherwise] = branch.otherwise  # type: ignore[attr-defined]
            found, last = self.merge_tensors(branch, item, found), branch  # type: ignore[attr-defined]
        self.emit(last)  # type: ignore[attr-defined]
        return found
