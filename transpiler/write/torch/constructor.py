"""The constructor of a class: its submodules, in the order in which Keras makes its layers."""

from __future__ import annotations

import ast
from typing import Any

from transpiler.ir.expr import Sym, code_of
from transpiler.ir.naming import printed_length
from transpiler.ir.program import (
    Apply,
    Block,
    Branch,
    Change,
    ForLoop,
    Let,
    Loop,
    Member,
    Static,
)
from transpiler.ir.statics import bound_names, member_names, names_outside, used_names
from transpiler.ir.trees import variables_in
from transpiler.write.torch.pieces import Lines, appended, construction_code, let_code, names_of, negated, write_if

MAX_CHOICE = 84
"""Longest conditional submodule on one line; a longer one becomes an if statement."""
MAX_ITEM = 96
"""The same, of one that is appended to a list."""


class ConstructorWriter:
    """The part of the writer that writes `__init__`."""

    def constructor(self, block: Block, out: Lines) -> None:
        """Writes the static part of a block; between variables, submodules in the program's order of construction."""
        pending: list[Member | Branch | ForLoop] = []
        made: set[Member] = set()

        def flush(at: int) -> None:
            last = max(map(order_of, pending), default=-1)
            for op in block.ops[at:]:  # made earlier, though called later
                early = isinstance(op, Apply) and op.member in self.attributes and op.member not in made
                if (
                    early
                    and op.member.order < last
                    and not member_names(op.member) & bound_names(Block(block.ops[at:]))
                ):
                    made.add(op.member)
                    pending.append(op.member)
                    self.need(op)
            while pending:
                waiting = {f"member__{id(m)}" for m in pending if isinstance(m, Member)}
                ready = [m for m in pending if not any(n in waiting for n in read_by(m))] or pending
                item = min(ready, key=order_of)
                pending.remove(item)
                if isinstance(item, Member):
                    self.construct_member(item, out)
                else:
                    self.construct_other(item, out)

        for at, op in enumerate(block.ops):
            if isinstance(op, Apply):
                if (
                    op.member is not None
                    and op.member in self.attributes
                    and op.member not in made
                    and not op.member.given
                ):
                    made.add(op.member)
                    pending.append(op.member)
                    self.need(op)
            elif isinstance(op, (Branch, ForLoop)) and not any(
                isinstance(o, (Let, Change)) for o in Block([op]).walk()
            ):
                pending.append(op)
            else:
                flush(at)
                self.construct_other(op, out)
        flush(len(block.ops))

    def need(self, op: Apply) -> None:
        for h in op.step.helpers:
            if h not in self.helpers:
                self.helpers.append(h)

    def construct_other(self, op: Any, out: Lines) -> None:
        if isinstance(op, Let):
            out.add(*op.comments)
            value = op.value.code.removeprefix("[*").removesuffix("]") if isinstance(op.value, Sym) else ""
            if self.printed.get(value, value) != self.printed.get(op.name, op.name):  # else it goes on under its name
                out.add(let_code(op))
            if op.name in self.inner:
                out.add(f"self.{self.stored[op.name]} = {op.name}")
        elif isinstance(op, Static):
            out.add(*ast.unparse(op.statement).splitlines())
        elif isinstance(op, Branch):
            self.construct_branch(op, out)
        elif isinstance(op, ForLoop):
            self.construct_loop(op, out)
        elif isinstance(op, Loop):
            raise AssertionError("loops are settled before they are written")

    def construct_member(self, member: Member, out: Lines) -> None:
        self.constructed.setdefault(self.attributes[member], member.order)
        if member.parts:
            self.chained[self.attributes[member]] = [part.order for part in member.parts]
        name = f"self.{self.attributes[member]}"
        if member.choice is not None:
            then, otherwise = (self.sequence(side) for side in (member.choice.then, member.choice.otherwise))
            text = f"{name} = {then} if {member.choice.test.code} else {otherwise}"
            if printed_length(text) > MAX_CHOICE:
                parts = longer_and_longer(member)
                if len(parts) > 1:
                    self.construct_parts(member, parts, out)
                    return
                out.add(f"if {member.choice.test.code}:", f"    {name} = {then}", "else:", f"    {name} = {otherwise}")
                return
            out.add(text)
            return
        out.add(f"{name} = {self.member_code(member)}")

    def construct_parts(self, member: Member, parts: list[tuple[str, list[Member]]], out: Lines) -> None:
        """A chain of submodules that goes on as far as one test after the other holds."""
        attribute = self.attributes[member]
        name = self.list_name(attribute)
        out.add(f"{name}: list[nn.Module] = []")
        inner = out
        for test, added in parts:
            inner.add(f"if {test}:")
            inner = Lines(inner.lines, inner.level + 1)
            codes = [self.member_code(m) for m in added]
            inner.add(f"{name}.append({codes[0]})" if len(codes) == 1 else f"{name} += [{', '.join(codes)}]")
        out.add(f"self.{attribute} = nn.Sequential(*{name})")

    def list_name(self, attribute: str) -> str:
        """A free name for the list of the submodules of an attribute."""
        taken = {*self.printed.values(), *(p.label for p in self.cls.params)}
        return next(n for n in (attribute, "modules", "layers", f"{attribute}_list") if n not in taken)

    def sequence(self, members: list[Member]) -> str:
        if not members:
            return "nn.Identity()"
        codes = [self.member_code(m) for m in members]
        return codes[0] if len(codes) == 1 else f"nn.Sequential({', '.join(codes)})"

    def member_code(self, member: Member) -> str:
        """The expression that constructs a submodule."""
        if member.parts:
            return f"nn.Sequential({', '.join(self.member_code(p) for p in member.parts)})"
        if member.choice is not None:
            return f"({self.sequence(member.choice.then)} if {member.choice.test.code} else {self.sequence(member.choice.otherwise)})"
        if member.construction is not None:
            return construction_code(member.construction.cls, member.construction.values)
        return self.initial.wrap(member.code, member.step)

    def construct_loop(self, op: ForLoop, out: Lines) -> None:
        attribute = self.attributes[op.member]
        self.constructed.setdefault(attribute, order_of(op))
        holder = "nn.Sequential(*" if op.sequential else "nn.ModuleList("
        short = self.comprehension(op)
        if short:
            out.add(f"self.{attribute} = {holder}[{short}])")
            return
        name = self.list_name(attribute)
        out.add(f"{name}: list[nn.Module] = []")
        self.fill_list(op, name, out)
        out.add(f"self.{attribute} = {holder}{name})")

    def comprehension(self, op: ForLoop) -> str:
        """The list of a loop that does nothing but construct one submodule, as a comprehension; "" for other loops."""
        if len(op.body.ops) != 1 or not isinstance(op.body.ops[0], Apply) or self.read_after(op):
            return ""
        call_op = op.body.ops[0]
        self.need(call_op)
        assert call_op.member is not None
        code, target = self.member_code(call_op.member), ast.unparse(op.target)
        shown = target if names_of(code) & names_of(target) else "_"
        return f"{code} for {shown} in {code_of(op.iterable)}"

    def read_after(self, op: ForLoop) -> set[str]:
        """The variables of a loop that are read elsewhere: they have their last values after it."""
        return variables_in(op.target) & names_outside(op.body, self.cls)

    def fill_list(self, op: ForLoop, name: str, out: Lines) -> None:
        """The loop that appends submodules to the list `name`; nested loops append to the same list."""
        inner = Lines([], out.level + 1)
        self.append_all(op.body, name, inner)
        target = ast.unparse(op.target)
        used = names_of("\n".join(inner.lines)) | self.read_after(op)
        parts = [ast.unparse(t) for t in op.target.elts] if isinstance(op.target, ast.Tuple) else [target]
        shown = ", ".join(p if used & names_of(p) else "_" for p in parts)
        out.add(f"for {shown} in {code_of(op.iterable)}:")
        out.lines += inner.lines

    def append_all(self, block: Block, name: str, out: Lines) -> None:
        """The statements that append the submodules of a block to the list `name`."""
        codes: list[str] = []
        made: list[int] = []

        def flush() -> None:
            if codes:
                out.add(f"{name}.append({codes[0]})" if len(codes) == 1 else f"{name} += [{', '.join(codes)}]")
                codes.clear()

        for o in block.ops:
            if isinstance(o, Apply):
                self.need(o)
                assert o.member is not None
                code = self.member_code(o.member)
                if any(f"member__{number}." in code for number in made):
                    flush()
                    code = appended(code, made, name)
                elif o.member.choice is not None and printed_length(code) > MAX_ITEM:
                    flush()
                    self.append_choice(o.member, name, out)
                    made.append(id(o.member))
                    continue
                codes.append(code)
                made.append(id(o.member))
                continue
            flush()
            if isinstance(o, ForLoop):
                self.fill_list(o, name, out)
                made.clear()
            elif isinstance(o, Branch) and o.phis:
                sides = [Lines([], out.level + 1), Lines([], out.level + 1)]
                self.append_all(o.then, name, sides[0])
                self.append_all(o.otherwise, name, sides[1])
                write_if(out, o.test.code, negated(o.test), sides[0].lines, sides[1].lines)
                made.clear()
            else:
                at = len(out.lines)
                self.construct_other(o, out)
                out.lines[at:] = [appended(line, made, name) for line in out.lines[at:]]
        flush()

    def append_choice(self, member: Member, name: str, out: Lines) -> None:
        """The `if` statement that appends one submodule or another to the list `name`."""
        assert member.choice is not None
        sides: list[list[str]] = []
        for chosen in (member.choice.then, member.choice.otherwise):
            inner = Lines([], out.level + 1)
            if len(chosen) == 1 and chosen[0].choice is not None:
                self.append_choice(chosen[0], name, inner)
            else:
                inner.add(f"{name}.append({self.sequence(chosen)})")
            sides.append(inner.lines)
        write_if(out, member.choice.test.code, negated(member.choice.test), *sides)

    def construct_branch(self, op: Branch, out: Lines) -> None:
        if op.by_mode:
            for side in (op.then, op.otherwise):  # what a side raises, it raises in `forward`
                self.constructor(Block([o for o in side.ops if not isinstance(o, Static)]), out)
            return
        if op in self.flags.set_at:
            out.add(f"self.{self.flags.names[op]} = {self.flags.set_at[op]}")
        inner = Lines([], out.level + 1)
        self.constructor(op.then, inner)
        other = Lines([], out.level + 1)
        self.constructor(op.otherwise, other)
        write_if(out, op.test.code, negated(op.test), inner.lines, other.lines)


def longer_and_longer(member: Member) -> list[tuple[str, list[Member]]]:
    """The parts of a chain of submodules, each with a test that decides whether the chain goes on: with this part, at least.

    Each part ends where a conditional submodule follows that is nothing or the rest of the chain.
    """
    choice = member.choice
    if choice is None or choice.then and choice.otherwise:
        return []
    *added, last = choice.then or choice.otherwise
    rest = longer_and_longer(last) if added else []
    test = choice.test.code if choice.then else negated(choice.test)
    return [(test, added if rest else [*added, last]), *rest]


def read_by(item: Member | Branch | ForLoop) -> set[str]:
    """The static names that constructing an operation's submodules reads."""
    return member_names(item) if isinstance(item, Member) else used_names(Block([item]), let_values=True)


def order_of(item: Member | Branch | ForLoop) -> int:
    """Where the first submodule of an operation stands in the program's order of construction."""
    if isinstance(item, Member):
        return item.order
    blocks = (item.then, item.otherwise) if isinstance(item, Branch) else (item.body,)
    return min((op.member.order for b in blocks for op in b.walk() if isinstance(op, Apply) and op.member), default=0)
