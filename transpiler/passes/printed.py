"""How the static variables of the staged program are printed: by the names they have in the source."""

from __future__ import annotations

from transpiler.ir.expr import Sym
from transpiler.ir.program import Apply, Block, Branch, ForLoop, Let, Loop, ModuleClass, Return
from transpiler.ir.statics import member_names, names_in, names_in_code, used_names
from transpiler.ir.trees import variables_in


def forward_names(block: Block) -> set[str]:
    """The static names that the expressions of `forward` read."""
    applied = [op for op in block.walk() if isinstance(op, Apply)]
    steps = [text for op in applied for text in (op.step.fn, *op.outputs) if text]
    steps += [pick.step.fn for op in block.walk() if isinstance(op, ForLoop) for pick in op.picked if pick.step.fn]
    return {n for fn in steps for n in names_in_code(fn.replace("{", "_arg_").replace("}", "_"))}


def printed_names(cls: ModuleClass) -> dict[str, str]:
    """How each numbered static variable is printed: by its plain name, unless another of that name is still read."""
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
                start = position
                walk(op.then)
                end, position = position, start  # the sides exclude each other
                walk(op.otherwise)
                position = max(position, end)
            elif isinstance(op, (Loop, ForLoop)):
                start = position
                for name in variables_in(op.target):
                    define(name)
                position += 1
                use(names_in(op.iterable))  # after the target: `for x in x` is legal, but nobody writes it
                before = set(first)
                walk(op.body)
                position += 1
                for n in before:  # read in the loop: alive until its end
                    if last.get(n, -1) > start and first[n] <= start + 1:
                        last[n] = position
            elif not isinstance(op, Return):
                use(used_names(Block([op]), True))

    for p in cls.params:
        first[p.name] = 0
        last[p.name] = 0
    walk(cls.block)
    position += 1
    use(names_in(list(cls.outs.values())))
    use(forward_names(cls.block))  # the constructor stores them at its end
    printed: dict[str, str] = {p.name: p.name for p in cls.params if "__v" not in p.name}
    values = [op.value for op in cls.block.walk() if isinstance(op, Let)]
    read = {n for v in values if isinstance(v, Sym) for n in variables_in(v.expr)}  # functions that are called as well
    around = {n for n in (*last, *read) if "__v" not in n} - printed.keys()
    for name in sorted((n for n in first if "__v" in n), key=lambda n: (first[n], n)):
        base = name.split("__v")[0]
        candidate, i = base, 1
        while candidate in around or any(
            shown == candidate
            and (first[n] < last[name] or first[n] == first[name])
            and first[name] < max(last[n], first[n] + 1)
            for n, shown in printed.items()
        ):
            i += 1
            candidate = f"{base}{i}"
        printed[name] = candidate
    return printed
