"""Items of arrays of numpy: reading them, and changing them in the constructor of the generated class."""

from __future__ import annotations

import ast
from typing import Any

from transpiler.ir.expr import Sym
from transpiler.ir.program import Change
from transpiler.read.keras.evaluate import numbers
from transpiler.read.keras.evaluate.array_shapes import dtype_in, shape_in
from transpiler.read.keras.evaluate.arrays import ArrayList, NumpyArray, not_known, plain_code
from transpiler.read.keras.evaluate.indexing import indexed_shape, is_whole
from transpiler.read.keras.evaluate.syntax import as_load
from transpiler.read.keras.evaluate.values import Env, Unknown, has_tensors


class ArrayItems:
    """The part of the interpreter that knows items of arrays."""

    def getitem(self, value: Any, index: Any) -> Any:
        if isinstance(value, numbers.Array) and (index is None or isinstance(index, (tuple, list, NumpyArray))):
            value = self.array_of(value)
        if isinstance(value, NumpyArray):
            return self.array_item(value, index)
        result = super().getitem(value, index)  # type: ignore[misc]
        if isinstance(result, numbers.Array) and isinstance(value, numbers.Array) and value.code is not None:
            result.code = ast.Subscript(value.code, plain_code(index), ast.Load())
        return result

    def array_item(self, x: NumpyArray, index: Any) -> Any:
        items = list(index) if isinstance(index, tuple) else [index]
        if has_tensors(items) or any(isinstance(i, Unknown) for i in items):
            return Unknown("an array of numpy indexed by what is not known")
        basic = all(isinstance(i, (slice, int, Sym)) or i is None or i is Ellipsis for i in items)
        if basic and not any(isinstance(i, bool) for i in items):
            shape = self.item_shape(x.shape, items)
        elif len(items) == 1 and isinstance(items[0], (NumpyArray, list)):
            mask = dtype_in(items[0]) == "bool"
            picked = shape_in(items[0])
            shape = (None, *x.shape[len(picked) :]) if mask else (*picked, *x.shape[1:])
        else:
            return not_known(x, "this way of indexing an array is not evaluated")
        code = ast.Subscript(self.array_here(x), self.array_code(index), ast.Load())
        result = self.new_array(code, shape, x.dtype, [x, *items])
        return self.view_of(result, x) if basic else result

    def item_shape(self, shape: tuple[Any, ...], items: list[Any]) -> tuple[Any, ...]:
        turned = [i for i in items if isinstance(i, slice) and isinstance(i.step, int) and i.step < 0]
        whole = [i for i in turned if i.start is None and i.stop is None and i.step == -1]
        shown = [slice(None) if any(i is w for w in whole) else i for i in items]
        found = indexed_shape(shape, shown)
        if len(whole) == len(turned):
            return found
        return tuple(None for _ in found)

    def exec_AugAssign(self, node: ast.AugAssign, env: Env) -> None:
        target = node.target.value if isinstance(node.target, ast.Subscript) else node.target
        if isinstance(target, (ast.Name, ast.Attribute)):
            array = self.eval(as_load(target), env)
            if isinstance(array, NumpyArray):
                index = self.eval(node.target.slice, env) if isinstance(node.target, ast.Subscript) else slice(None)
                self.change_array(array, index, self.eval(node.value, env), node.op)
                return
        super().exec_AugAssign(node, env)  # type: ignore[misc]

    def unpack(self, target: Any, value: Any, env: Env) -> None:
        if isinstance(value, ArrayList):
            self.keep_array(value, "grids")
        super().unpack(target, value, env)  # type: ignore[misc]

    def set_item(self, container: Any, key: Any, value: Any) -> None:
        if isinstance(container, NumpyArray):
            self.change_array(container, key, value)
        else:
            super().set_item(container, key, value)  # type: ignore[misc]

    def change_array(self, x: NumpyArray, index: Any, value: Any, op: ast.operator | None = None) -> None:
        """`x[index] = value`, or with an operator `x[index] += value`: a statement of the constructor."""
        items = list(index) if isinstance(index, tuple) else [index]
        lost = any(isinstance(v, Unknown) for v in items) or isinstance(value, Unknown) or has_tensors([value, *items])
        if lost or x.home is not self.home or self.home is None:
            x.changed = True
            return
        if not x.variable:
            self.keep_array(x, "array")
        target = (
            x.code if op is not None and is_whole(index) else ast.Subscript(x.code, self.array_code(index), ast.Store())
        )
        wanted = self.array_code(value)
        statement = ast.Assign([target], wanted) if op is None else ast.AugAssign(target, op, wanted)
        statement.lineno = 0  # type: ignore[attr-defined]
        root = x.root or x.variable
        self.array_changes[root] = self.array_changes.get(root, 0) + 1
        self.emit(Change(ast.fix_missing_locations(statement), tuple({x.variable, root})))
