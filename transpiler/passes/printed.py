"""How the static variables of the staged program are printed: by the names they have in the source."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Mapping

from transpiler.ir.program import Apply, Block, Branch, ForLoop, Let, Loop, ModuleClass, Return, Static
from transpiler.ir.statics import member_names, names_in, names_in_code, used_names
from transpiler.ir.trees import variables_in


def forward_names(block: Block) -> set[str]:
    """The static names that the expressions of `forward` read."""
    steps = [op.step.fn for op in block.walk() if isinstance(op, Apply) and op.step.fn]
    return {n for fn in steps for n in names_in_code(fn.replace("{", "_arg_").replace("}", "_"))}


def printed_names(cls: ModuleClass) -> dict[str, str]:
    """How a class prints each numbered variable."""
    fixed = {p.name: p.name for p in cls.params if "__v" not in p.name}
    at_end = names_in(list(cls.outs.values())) | forward_names(cls.block)  # the constructor stores them at its end
    return printed_variables(cls.block, [p.name for p in cls.params], at_end, fixed)


def printed_variables(
    block: Block, given: Iterable[str], at_end: Collection[str], fixed: Mapping[str, str]
) -> dict[str, str]:
    """Each numbered variable by its plain name, unless another of that name is still read.

    `given` are defined at the start, `at_end` are read after the block; `fixed` are printed as they say.
    """
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    position = 0

    def use(names: set[str]) -> None:
        for n in names:
            last[n] = position

    def define(name: str) -> None:
        first.setdefault(name, position)
        last[name] = max(last.get(name, position), position)

    def walk(block: Block) -> None:
        nonlocal position
        for op in block.ops:
            position += 1
            if isinstance(op, Apply):
                if op.member is not None:
                    use(member_names(op.member))
            elif isinstance(op, Let):
                use(names_in(op.value))
                define(op.name)
            elif isinstance(op, Branch):
                use(names_in(op.test))
                walk(op.then)
                walk(op.otherwise)
            elif isinstance(op, (Loop, ForLoop)):
                start = position
                use(names_in(op.iterable))
                for name in variables_in(op.target):
                    define(name)
                before = set(first)
                walk(op.body)
                position += 1
                for n in before:  # read in the loop: alive until its end
                    if last.get(n, -1) > start and first[n] <= start + 1:
                        last[n] = position
            elif not isinstance(op, Return):
                use(used_names(Block([op]), True))

    for name in given:
        first[name] = 0
        last[name] = 0
    walk(block)
    position += 1
    use(set(at_end))
    printed = dict(fixed)
    for name in sorted((n for n in first if "__v" in n and n not in fixed), key=lambda n: (first[n], n)):
        base = name.split("__v")[0]
        candidate, i = base, 1
        while any(
            shown == candidate
            and n in first
            and (first[n] < last[name] or first[n] == first[name])
            and first[name] < max(last[n], first[n] + 1)
            for n, shown in printed.items()
        ):
            i += 1
            candidate = f"{base}{i}"
        printed[name] = candidate
    return printed


def factory_names(
    block: Block, given: Collection[str], at_end: Collection[str], fixed: Mapping[str, str]
) -> dict[str, str]:
    """How a function of the result prints its variables: by plain names, where each is then the variable that is meant."""
    mixed = mixed_up(block, given, at_end, fixed)
    printed = printed_variables(block, given, at_end, fixed) if mixed else fixed
    return {n: shown for n, shown in printed.items() if n in fixed or n.split("__v")[0] in mixed}


def mixed_up(block: Block, given: Collection[str], at_end: Collection[str], fixed: Mapping[str, str]) -> set[str]:
    """The plain names under which a block without loops would read another variable than is meant."""
    found: set[str] = set()

    def read(names: Iterable[str], holds: dict[str, str]) -> None:
        for name in set(names) - fixed.keys():
            plain = name.split("__v")[0]
            if holds.get(plain, name) != name:
                found.add(plain)

    def walk(block: Block, holds: dict[str, str]) -> bool:
        """Whether what comes after the block is reached. Notes in `holds` which variable a plain name then is."""
        for op in block.ops:
            if isinstance(op, Let):
                read(names_in(op.value), holds)
                holds[op.name.split("__v")[0]] = op.name
            elif isinstance(op, Branch):
                read(names_in(op.test), holds)
                sides = [dict(holds), dict(holds)]
                ends = [side for inner, side in zip((op.then, op.otherwise), sides) if walk(inner, side)]
                if not ends:
                    return False
                holds |= {n: v if all(e.get(n) == v for e in ends) else "" for e in ends for n, v in e.items()}
            else:
                read(used_names(Block([op]), True), holds)
                if isinstance(op, Static) and isinstance(op.statement, ast.Raise):
                    return False
        return True

    holds = {n: n for n in given}
    walk(block, holds)
    read(at_end, holds)
    return found
