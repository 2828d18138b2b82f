"""A staged program as text, for tests and for people who debug a pass."""

from __future__ import annotations

import ast
from typing import Any

from transpiler.ir.program import Apply, Block, Branch, ForLoop, Let, Loop, Member, ModuleClass, Return, Static, Value


class Printer:
    """Numbers tensors in order of appearance."""

    def __init__(self) -> None:
        self.numbers: dict[Value, int] = {}

    def value(self, v: Value) -> str:
        number = self.numbers.setdefault(v, len(self.numbers))
        return f"%{number}"

    def typed(self, v: Value) -> str:
        layout = "" if v.type.rank < 3 else f" {v.type.layout.value}"
        return f"{self.value(v)}: [{', '.join('?' if d is None else str(d) for d in v.type.shape)}]{layout}"

    def block(self, block: Block, indent: str = "") -> list[str]:
        return [indent + line for op in block.ops for line in self.op(op)]

    def op(self, op: Any) -> list[str]:
        if isinstance(op, Let):
            return [f"let {op.name} = {op.value}"]
        if isinstance(op, Static):
            return [ast.unparse(op.statement)]
        if isinstance(op, Return):
            kept = [f"keep {name} = {self.value(x)}" for name, x in op.kept.items()]
            return [*kept, f"return {self.structure(op.value)}"]
        if isinstance(op, Apply):
            made = self.member(op.member) if op.member is not None else op.step.fn
            args = ", ".join(map(self.value, op.args))
            return [f"{', '.join(map(self.typed, op.results))} = {made} ({args})"]
        if isinstance(op, Branch):
            phis = [f"  phi {self.typed(r)} = {self.value(a)} | {self.value(b)}" for r, a, b in op.phis]
            lines = [f"if {op.test}:", *self.block(op.then, "  "), "else:", *self.block(op.otherwise, "  "), *phis]
            return lines
        if isinstance(op, (Loop, ForLoop)):
            carried = [
                f"  carried {self.value(i)} -> {self.typed(s)} .. {self.value(e)} -> {self.typed(r)}"
                for i, s, e, r in op.carried
            ]
            gathered = [f"  gathered {self.value(item)} -> {self.typed(series)}" for series, item, _ in op.gathered]
            zipped = [
                f"  zipped {'reversed ' * backwards}{self.value(series)} -> {self.typed(item)}"
                for series, item, backwards in op.zipped
            ]
            head = [f"for {ast.unparse(op.target)} in {op.iterable}:", *carried, *gathered, *zipped]
            return [*head, *self.block(op.body, "  ")]
        return [repr(op)]

    def structure(self, value: Any) -> str:
        if isinstance(value, Value):
            return self.value(value)
        if isinstance(value, (list, tuple)):
            return f"({', '.join(map(self.structure, value))})"
        return repr(value)

    def member(self, m: Member) -> str:
        if m.choice is not None:
            then, otherwise = (
                " > ".join(map(self.member, side)) or "identity" for side in (m.choice.then, m.choice.otherwise)
            )
            return f"({then} if {m.choice.test} else {otherwise})"
        if m.construction is not None:
            return f"{m.construction.cls.name}({', '.join(f'{k}={v}' for k, v in m.construction.values.items())})"
        if m.parts:
            return " > ".join(map(self.member, m.parts))
        return m.code


def pprint(program: ModuleClass | Block) -> str:
    """The text of a class or a block."""
    printer = Printer()
    if isinstance(program, Block):
        return "\n".join(printer.block(program))
    inputs = ", ".join(map(printer.typed, program.inputs))
    return "\n".join([f"class {program.name}({inputs}):", *printer.block(program.block, "  ")])
