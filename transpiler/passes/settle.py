"""From what the stager recorded to classes ready to be written: what is dead goes, parameters are found, names chosen."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable
from typing import Any

from transpiler.ir.expr import Sym, code_of
from transpiler.ir.liveness import remove_dead
from transpiler.ir.program import (
    Apply,
    Block,
    Branch,
    ForLoop,
    Let,
    Loop,
    Member,
    ModuleClass,
    Param,
    Value,
    blocks_of,
    constructions,
)
from transpiler.ir.statics import (
    bound_names,
    choose_columns,
    names_in,
    names_outside,
    needed_names,
    remove_dead_lets,
    rename_static,
    used_names,
)
from transpiler.passes.chains import group_chains
from transpiler.passes.loops import settle_loops
from transpiler.passes.printed import printed_names
from transpiler.passes.structure import CannotKeep, check_iterations, check_taken, choose_modules, fuse, resume, sink
from transpiler.passes.unread import leave_out_unread


class Settler:
    """Settles classes, those that others construct first."""

    def __init__(self) -> None:
        self.demands: set[tuple[Any, str]] = set()
        """Sizes that classes read from the objects they construct: (key of the class, attribute)."""
        self.done: set[ModuleClass] = set()
        self.printed: dict[ModuleClass, dict[str, str]] = {}

    def settle(self, cls: ModuleClass) -> None:
        if cls in self.done:
            return
        self.done.add(cls)
        for made in list(constructions(cls.block)):
            self.settle(made.cls)
        self.sort(cls)
        check_iterations(cls.block)
        check_taken(cls.block)
        choose_modules(cls.block)
        cls.outs = {label: dim for label, dim in cls.outs.items() if (cls.key, label) in self.demands}
        keep = names_in(list(cls.outs.values()))
        choose_columns(cls.block, needed_names(cls.block, keep))
        remove_dead_lets(cls.block, keep)
        coalesce(cls.block, cls)
        settle_loops(cls.block, cls, self.new_class)
        group_chains(cls.block, cls.root)
        self.find_params(cls)
        check_sizes(cls.block)
        self.printed[cls] = printed_names(cls)
        for param in cls.params:
            param.label = self.printed[cls][param.name]

    def sort(self, cls: ModuleClass) -> None:
        """Drops what is dead, and puts together what the same test decides, in place."""
        remove_dead(cls.block, set())
        fuse(cls.block)
        resume(cls.block)
        remove_dead(cls.block, set())
        comments_once(cls.block)
        sink(cls.block)

    def leave_out_unread(self, roots: Iterable[ModuleClass]) -> None:
        """Layers that lead to no output of models go from all the classes these are made of. Raises CannotKeep."""
        classes = [cls for cls in inner_first(roots) if cls not in self.done]
        for cls in classes:
            self.sort(cls)
        leave_out_unread(classes[::-1])

    def find_demands(self, root: ModuleClass) -> None:
        """Notes which sizes classes read from the objects they construct, before anything is settled.

        What a class needs decides which parameters those inside it get, and a size that is read is needed: to a fixpoint.
        """
        classes = [c for c in self.needed(root) if c not in self.done]
        for cls in classes:
            remove_dead(cls.block, set())
        known, params = -1, -1
        while (known, params) != (len(self.demands), sum(len(c.params) for c in classes)):
            known, params = len(self.demands), sum(len(c.params) for c in classes)
            for cls in classes:
                keep = names_in([dim for label, dim in cls.outs.items() if (cls.key, label) in self.demands])
                needed = needed_names(cls.block, keep)
                own = bound_names(cls.block)
                cls.params = [Param(n) for n in (*cls.sizes, *cls.statics) if n in needed and n not in own]
                self.demands |= self.reads_of(cls, needed)

    def reads_of(self, cls: ModuleClass, needed: set[str] | None = None) -> set[tuple[Any, str]]:
        """The sizes that a class reads from the objects it constructs, for variables that are `needed`."""
        owners = {str(id(m)): m.construction.cls.key for m in all_members(cls.block) if m.construction is not None}
        outs = [d for label, d in cls.outs.items() if needed is None or (cls.key, label) in self.demands]
        found = set()
        for text in (*block_texts(cls.block, needed), *map(text_of, outs)):
            for number, label in re.findall(r"\bmember__(\d+)\.(\w+)", text):
                if number in owners:
                    found.add((owners[number], label))
        return found

    def needed(self, root: ModuleClass) -> list[ModuleClass]:
        """The settled classes that `root` is made of, itself last."""
        return inner_first([root])

    def reads(self, classes: Iterable[ModuleClass]) -> set[tuple[Any, str]]:
        """The sizes that settled classes read from the objects they construct: (key of the class, attribute)."""
        return set().union(*map(self.reads_of, classes))

    def new_class(
        self, name: str, inputs: list[Value], block: Block, free: list[str], outs: dict[str, Any]
    ) -> ModuleClass:
        """A class outlined from a loop's body; its parameters are the static names that the body reads."""
        cls = ModuleClass(name, [], inputs, block, statics=tuple(free), outs=outs)
        cls.key = cls
        self.demands |= {(cls, label) for label in outs}
        self.settle(cls)
        return cls

    def find_params(self, cls: ModuleClass) -> None:
        """The constructor's parameters: sizes first, then what the source's function took, then what it captured."""
        keep = names_in(list(cls.outs.values()))
        remove_dead_lets(cls.block, keep)
        coalesce(cls.block, cls)
        free = (used_names(cls.block, let_values=True) | keep) - bound_names(cls.block)
        names = [*cls.signature, *(n for n in (*cls.sizes, *cls.statics) if n in free and n not in cls.signature)]
        with_default = len(names)
        while with_default > 0 and names[with_default - 1] in cls.defaults:
            with_default -= 1
        cls.params = []
        for i, name in enumerate(names):
            has_default = i >= with_default
            annotation = (
                "int"
                if name in cls.sizes
                else annotation_of(cls.defaults.get(name)) if has_default else cls.annotations.get(name, "")
            )
            cls.params.append(Param(name, cls.defaults.get(name) if has_default else None, has_default, annotation))


def check_sizes(block: Block) -> None:
    """Raises CannotKeep where a class needs a size that its user does not know."""

    def check(member: Any) -> None:
        if member.construction is not None:
            for param in member.construction.cls.params:
                if param.name in member.construction.cls.sizes and member.construction.values.get(param.name) is None:
                    raise CannotKeep(
                        f"{member.construction.cls.name} needs the {param.name} of its input, which is open",
                        member.construction.cls,
                    )
        for part in (
            *member.parts,
            *(member.choice.then if member.choice else ()),
            *(member.choice.otherwise if member.choice else ()),
        ):
            check(part)

    for op in block.walk():
        if isinstance(op, Apply) and op.member is not None:
            check(op.member)


def comments_once(block: Block) -> None:
    """Of a statement that was evaluated several times, as in a loop that is written out, the comments stand once."""
    seen: set[int] = set()
    for op in block.walk():
        if isinstance(op, Apply) and op.comments:
            op.comments = () if id(op.comments) in seen else op.comments
            seen.add(id(op.comments))


def inner_first(classes: Iterable[ModuleClass], within: Collection[ModuleClass] | None = None) -> list[ModuleClass]:
    """The classes and all that they construct (of those `within`), each after what it constructs itself."""
    found: list[ModuleClass] = []
    seen: set[ModuleClass] = set()

    def visit(cls: ModuleClass) -> None:
        seen.add(cls)
        for made in constructed(cls):
            if made not in seen and (within is None or made in within):
                visit(made)
        found.append(cls)

    for cls in classes:
        if cls not in seen:
            visit(cls)
    return found


def constructed(cls: ModuleClass) -> list[ModuleClass]:
    """The classes of the output that a class constructs, in order."""
    inside = [m.construction for m in all_members(cls.block) if m.construction is not None]
    return list(dict.fromkeys(c.cls for c in (*inside, *constructions(cls.block))))


def all_members(block: Block) -> Iterable[Member]:
    """Every submodule of a block, those inside others included."""

    def inside(member: Member) -> Iterable[Member]:
        yield member
        for part in (
            *member.parts,
            *(member.choice.then if member.choice else ()),
            *(member.choice.otherwise if member.choice else ()),
        ):
            yield from inside(part)

    for op in block.walk():
        if isinstance(op, Apply) and op.member is not None:
            yield from inside(op.member)


def static_texts(cls: ModuleClass) -> Iterable[str]:
    """The expressions that the constructor of a class computes, as text."""
    yield from block_texts(cls.block)
    yield from map(text_of, cls.outs.values())


def block_texts(block: Block, needed: set[str] | None = None) -> Iterable[str]:
    """The expressions of a block as text; with `needed`, only of the variables among them."""
    for member in all_members(block):
        yield member.code
        if member.choice is not None:
            yield member.choice.test.code
        if member.construction is not None:
            yield from (text_of(member.construction.values.get(p.name)) for p in member.construction.cls.params)
    for op in block.walk():
        if isinstance(op, Let) and (needed is None or op.name in needed):
            yield text_of(op.value)
        elif isinstance(op, Apply):
            yield op.step.fn or ""
            yield from op.outputs
        elif isinstance(op, Branch):
            yield op.test.code
        elif isinstance(op, (Loop, ForLoop)):
            yield text_of(op.iterable)


def text_of(value: Any) -> str:
    try:
        return code_of(value)
    except TypeError:
        return ""


def check_reads(cls: ModuleClass) -> None:
    """Raises CannotKeep where a size is read from a submodule that is no attribute of its own."""
    looped = {
        id(o.member)
        for op in cls.block.walk()
        if isinstance(op, ForLoop)
        for o in op.body.walk()
        if isinstance(o, Apply)
    }
    own = {id(op.member) for op in cls.block.walk() if isinstance(op, Apply)} - looped
    inside = Block([op for op in cls.block.walk() if isinstance(op, ForLoop)])
    in_loops = {n for text in block_texts(inside) for n in re.findall(r"\bmember__(\d+)\b", text)}
    for text in static_texts(cls):
        for number in re.findall(r"\bmember__(\d+)\b", text):
            if int(number) not in own and not (int(number) in looped and number in in_loops):
                raise CannotKeep("a size is read from a submodule inside another")


def annotation_of(default: Any) -> str:
    return {bool: "bool", int: "int", float: "float", str: "str"}.get(type(default), "")


def settle_statements(block: Block, read: set[str], parameters: Iterable[str]) -> dict[str, str]:
    """Tidies the static statements of a function, in place, and returns how its variables are printed.

    `read` are the names that are read after the statements.
    """
    if not block.ops:
        return {}
    remove_dead_lets(block, read)
    frame = ModuleClass("", [Param(n) for n in parameters], [], block, outs={n: Sym.name(n) for n in read})
    coalesce(block, frame)
    return printed_names(frame)


def coalesce(block: Block, cls: ModuleClass) -> None:
    """A variable that only carries a value to the end of a loop or branch is that loop's variable, in place."""
    for op in block.ops:
        if isinstance(op, Branch):
            coalesce(op.then, cls)
            coalesce(op.otherwise, cls)
            _coalesce_end(op.then, cls)
            _coalesce_end(op.otherwise, cls)
        elif isinstance(op, (Loop, ForLoop)):
            coalesce(op.body, cls)
            _coalesce_end(op.body, cls)


def _coalesce_end(body: Block, cls: ModuleClass) -> None:
    outside = names_outside(body, cls)
    for last in reversed([op for op in body.ops if isinstance(op, Let)]):
        lets = [op for op in body.ops if isinstance(op, Let)]
        value = last.value
        if last not in lets:
            continue
        if not isinstance(value, Sym) or not isinstance(value.expr, ast.Name):
            continue
        earlier = lets[: lets.index(last)]
        source = next((x for x in earlier if x.name == value.expr.id and x.name not in outside), None)
        if source is not None and isinstance(source.value, Sym) and source.value.code == last.name:  # a = b; …; b = a
            between = body.ops[body.ops.index(source) + 1 : body.ops.index(last)]
            if last.name not in used_names(Block(between), let_values=True) and last.name not in bound_names(
                Block(between)
            ):
                body.ops.remove(last)
                body.ops.remove(source)
                rename_static(body, source.name, last.name)
            continue
        if source is None:
            if value.expr.id in outside | bound_outside(body, cls):
                continue
            if _carried_out(body, value.expr.id, last):
                body.ops.remove(last)
                rename_static(body, value.expr.id, last.name)
            else:
                _coalesce_branch(body, last, value.expr.id)
            _without_self_lets(body)
            continue
        if sum(x.name == source.name for x in lets) != 1:
            continue
        between = body.ops[body.ops.index(source) + 1 : body.ops.index(last)]
        if last.name in used_names(Block(between), let_values=True) | bound_names(Block(between)):
            rest = Block([op for op in body.ops if op not in (source, last)])
            if source.name not in used_names(rest, True) and not names_in(source.value) & bound_names(Block(between)):
                last.value = source.value  # b = f(a); … a …; a = b
                body.ops.remove(source)
            continue
        body.ops.remove(last)
        rename_static(body, source.name, last.name)


def _coalesce_branch(body: Block, last: Let, source: str) -> None:
    """`b = a` at the end of a body, where branches or loops inside it have assigned `a`: they assign `b` instead."""
    binders = [i for i, op in enumerate(body.ops) if source in bound_names(Block([op]))]
    if not binders:
        return
    between = Block(body.ops[binders[0] : body.ops.index(last)])
    if last.name not in used_names(between, let_values=True) | bound_names(between):
        body.ops.remove(last)
        rename_static(body, source, last.name)


def bound_outside(body: Block, cls: ModuleClass) -> set[str]:
    """The static names that a class binds elsewhere than in `body`, its parameters included."""
    inside, body.ops = body.ops, []
    try:
        return bound_names(cls.block) | {p.name for p in cls.params} | {*cls.sizes, *cls.statics}
    finally:
        body.ops = inside


def _carried_out(body: Block, name: str, last: Let) -> bool:
    """Whether `name` is a variable that one branch of a body assigns and the assignment `last` alone reads.

    It can then have the name of that assignment's variable, unless something reads or binds that one in between.
    """
    makers = [op for op in body.ops if name in bound_names(Block([op]))]
    if len(makers) != 1 or not isinstance(makers[0], Branch):
        return False
    rest = Block([op for op in body.ops if op is not makers[0] and op is not last])
    between = Block(body.ops[body.ops.index(makers[0]) + 1 : body.ops.index(last)])
    return (
        name not in used_names(rest, let_values=True)
        and not _mentions(between, last.name)
        and _last_word(Block([makers[0]]), name, last.name)
    )


def _last_word(block: Block, name: str, other: str) -> bool:
    """Whether nothing in a block reads or binds `other` once `name` is assigned, which only branches do, and reads `name` only then."""
    assigned = False
    for op in block.ops:
        if isinstance(op, Let) and op.name == name:
            assigned = True
        elif isinstance(op, Branch) and name in bound_names(Block([op])):
            if assigned or not (_last_word(op.then, name, other) and _last_word(op.otherwise, name, other)):
                return False
            assigned = True
        elif _mentions(Block([op]), name) or assigned and _mentions(Block([op]), other):
            return False
    return True


def _mentions(block: Block, name: str) -> bool:
    return name in used_names(block, let_values=True) or name in bound_names(block)


def _without_self_lets(block: Block) -> None:
    """Drops assignments of a variable to itself, in place."""
    block.ops[:] = [
        op for op in block.ops if not (isinstance(op, Let) and isinstance(op.value, Sym) and op.value.code == op.name)
    ]
    for op in block.ops:
        for inner in blocks_of(op):
            _without_self_lets(inner)
