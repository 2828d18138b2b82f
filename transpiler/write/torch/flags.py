"""The attributes that tell `forward` how tests of the constructor came out: one for each distinct test."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from transpiler.ir.facts import opposite
from transpiler.ir.naming import Names
from transpiler.ir.program import Apply, Block, Branch, Change, ForLoop, Let, ModuleClass, blocks_of, constructions
from transpiler.ir.statics import names_in
from transpiler.ir.trees import nodes, variables_in
from transpiler.write.torch.pieces import flag_name

Path = tuple[tuple[Branch, int], ...]
"""The sides of branches that an operation stands in, from the outermost."""

_PURE = frozenset(("len", "isinstance", "min", "max", "any", "all", "sum", "int", "float", "str", "bool"))
_CERTAIN = (ast.Name, ast.Constant, ast.Tuple, ast.Compare, ast.BoolOp, ast.UnaryOp)


@dataclass
class Flags:
    """Which attribute holds the outcome of a branch's test, and where it is set."""

    names: dict[Branch, str] = field(default_factory=dict)
    denied: set[Branch] = field(default_factory=set)
    """Branches that ask for the opposite of what their attribute holds."""
    set_at: dict[Branch, str] = field(default_factory=dict)
    """Branches at which the constructor sets their attribute → to what; for the others it is set by then."""
    first: dict[str, str] = field(default_factory=dict)
    """Attributes that are set before all else → their tests."""


def flags_of(cls: ModuleClass, names: Names) -> Flags:
    """The flags of a class, named in the order in which their branches stand."""
    found = Flags()
    groups: dict[tuple[str, Branch | None], list[tuple[Branch, Path]]] = {}
    bindings = Counter(op.name for op in cls.block.walk() if isinstance(op, Let))
    looped = {n for op in cls.block.walk() if isinstance(op, ForLoop) for n in variables_in(op.target)}
    parameters = {p.name for p in cls.params}
    changed = {n for n, count in bindings.items() if count > 1 or n in parameters} | looped
    steady = not _changes_something(cls)
    for op, path in _branches(cls.block, ()):
        shared = steady and not names_in(op.test) & changed and _is_pure(op.test.expr)
        test, denied = affirmed(op.test.expr)
        groups.setdefault((ast.unparse(test), None if shared else op), []).append((op, path))
        found.denied |= {op} if denied else set()
    for (code, _), group in groups.items():
        name = names.take(flag_name(group[0][0]))
        found.names |= {op: name for op, _ in group}
        heads = [(op, path) for i, (op, path) in enumerate(group) if not any(path[: len(p)] == p for _, p in group[:i])]
        test = group[0][0].test
        if len(heads) > 1 and names_in(test) <= parameters and _is_certain(test.expr):
            found.first[name] = code
        else:
            found.set_at |= {op: code for op, _ in heads}
    return found


def affirmed(test: ast.expr) -> tuple[ast.expr, bool]:
    """A test as its flag is called: for what is there, `use_x` for `not x` and for `x is None`; whether it was denied."""
    denied = False
    while isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        test, denied = test.operand, not denied
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Is):
        test, denied = opposite(test), not denied
    return test, denied


def _branches(block: Block, path: Path) -> Iterator[tuple[Branch, Path]]:
    """The branches that `forward` decides by a flag; those in loops only decide what is in a list."""
    for op in block.ops:
        if isinstance(op, Branch):
            if op.phis and not op.by_mode:
                yield op, path
            for side, inner in enumerate(blocks_of(op)):
                yield from _branches(inner, (*path, (op, side)))


def _changes_something(cls: ModuleClass) -> bool:
    """Whether the constructor of a class, or of one that it constructs, changes what a variable holds."""
    classes = {cls}
    todo = [cls]
    while todo:
        block = todo.pop().block
        if any(isinstance(op, Change) for op in block.walk()):
            return True
        members = [op.member for op in block.walk() if isinstance(op, Apply) and op.member is not None]
        for member in members:  # grows
            members += [*member.parts, *(member.choice.then + member.choice.otherwise if member.choice else ())]
        made = [m.construction for m in members if m.construction is not None]
        new = [c.cls for c in (*made, *constructions(block)) if c.cls not in classes]
        classes |= set(new)
        todo += dict.fromkeys(new)
    return False


def _is_pure(test: ast.expr) -> bool:
    """Whether a test calls nothing but functions of Python's that only look."""
    called = [n.func for n in nodes(test) if isinstance(n, ast.Call)]
    return all(isinstance(f, ast.Name) and f.id in _PURE for f in called)


def _is_certain(test: ast.expr) -> bool:
    """Whether a test fails for no value: comparisons for equality and identity alone."""
    operators = {type(o) for n in nodes(test) if isinstance(n, ast.Compare) for o in n.ops}
    return all(isinstance(n, _CERTAIN) for n in nodes(test)) and operators <= {ast.Eq, ast.NotEq, ast.Is, ast.IsNot}
