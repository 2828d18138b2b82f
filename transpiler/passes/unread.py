"""Layers that lead to no output of a model: Keras leaves them out of functional models, and so do the classes."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator
from functools import reduce
from typing import Any

from transpiler.ir.liveness import own_uses, remove_dead, results_of, use_counts
from transpiler.ir.program import Apply, Block, Branch, Loop, ModuleClass, Return, Value
from transpiler.passes.needs import NEVER, Condition, Needs, both, either, holds
from transpiler.passes.structure import CannotKeep, called_class, leaves_unread, makes_unread

Calls = dict[ModuleClass, list[tuple[ModuleClass, Apply]]]
"""The classes of functions → the calls of them: the class that makes each, and the operation."""


def leave_out_unread(classes: list[ModuleClass]) -> None:
    """Takes layers that lead to no output of a model out of the classes of functions, in place; `classes` are all there are.

    Raises CannotKeep where they lead to an output from one object of a class and not from another, or where a test decides.
    """
    while True:
        for cls in classes:
            remove_dead(cls.block, set())
        calls = calls_in(classes)
        if any([drop_results(cls, found) for cls, found in calls.items()]):
            continue
        for cls, found in calls.items():
            if any(leaves_unread(cls, read) for read in reads(found)):
                message = f"not every call of {cls.name} needs all of its results"
                raise CannotKeep(message, cls, separate=len(found) > 1)
        if not drop_input(classes, calls):
            return


def calls_in(classes: Iterable[ModuleClass]) -> Calls:
    found: Calls = {}
    for user in classes:
        for op in user.block.walk():
            made = called_class(op)
            if made is not None:
                found.setdefault(made.cls, []).append((user, op))
    return found


def reads(calls: list[tuple[ModuleClass, Apply]]) -> list[set[int]]:
    """The results that each call reads, by number."""
    return [{i for i, x in enumerate(op.results) if use_counts(user.block)[x]} for user, op in calls]


def drop_results(cls: ModuleClass, calls: list[tuple[ModuleClass, Apply]]) -> bool:
    """Takes results that no call reads out of a class, in place, if layers lead to them; whether it did."""
    if len(calls[0][1].results) < 2:
        return False
    read = set().union(*reads(calls))
    if not read or len(read) == len(calls[0][1].results) or not leaves_unread(cls, read):
        return False
    ending = next(op for op in cls.block.ops if isinstance(op, Return))
    ending.value = only(ending.value, read)
    for _, op in calls:
        op.results = [x for i, x in enumerate(op.results) if i in read]
        op.outputs = places_in(ending.value)
    return True


def only(returned: Any, numbers: Collection[int]) -> Any:
    """Of the tensors that a class returns those of some numbers; a single one as it is."""
    items = list(returned.items()) if isinstance(returned, dict) else list(enumerate(returned))
    kept = [pair for i, pair in enumerate(p for p in items if isinstance(p[1], Value)) if i in numbers]
    if len(kept) == 1:
        return kept[0][1]
    return dict(kept) if isinstance(returned, dict) else tuple(x for _, x in kept)


def places_in(returned: Any) -> tuple[str, ...]:
    """How each tensor is taken from what a class returns; () if it is the tensor itself."""
    if isinstance(returned, Value):
        return ()
    return tuple(f"{{0}}[{key!r}]" for key in (returned if isinstance(returned, dict) else range(len(returned))))


def drop_input(classes: list[ModuleClass], calls: Calls) -> bool:
    """Takes an input that a class never reads out of it, in place, if layers lead to it; whether it did.

    Raises CannotKeep for layers that a test, or what a class is given, makes needed or not.
    """
    others: dict[ModuleClass, Needs] = {}
    for user in classes:
        needs = others[user] if user in others else Needs(user, others)
        for values in () if isinstance(user.key, ast.ClassDef) else unneeded(needs):
            tests = {branch for x in values for branch in needs.deciding(needs.needed.get(x, NEVER))}
            for op, i in calls_with(values, user.block):
                cls = op.member.construction.cls  # type: ignore[union-attr]
                conditions = [found[i] for found in needs.of_class(cls).inputs]
                if all(c == NEVER for c in conditions):
                    for _, call in calls[cls]:
                        del call.args[i]
                    del cls.inputs[i]
                    return True
                tests.update(branch for c in conditions for branch in needs.of_class(cls).deciding(c))
            raise CannotKeep("layers lead to the outputs for some arguments only", user, tests=list(tests))
    return False


def unneeded(needs: Needs) -> Iterator[list[Value]]:
    """The results for which operations of a class make layers, where these are not needed whenever they are made."""

    def look(block: Block, path: Condition) -> Iterator[list[Value]]:
        for op in block.ops:
            results = results_of(op)
            anywhere = reduce(either, (needs.needed.get(x, NEVER) for x in results), NEVER)
            if isinstance(op, Branch):
                for side, outcome in ((op.then, True), (op.otherwise, False)):
                    yield from look(side, path if op.by_mode else both(path, needs.outcome(op.test, outcome, ())))
            elif isinstance(op, Loop):  # whether all of its iterations are needed is for `check_iterations` to say
                yield from look(op.body, both(path, anywhere))
            elif called_class(op) is not None or not holds(anywhere, path):
                rest = [x for x in results if not holds(needs.needed.get(x, NEVER), path)]
                if makes_unread(op, [x for x in results if x not in rest]):
                    yield rest

    return look(needs.cls.block, needs.passed())


def calls_with(values: Iterable[Value], block: Block) -> list[tuple[Apply, int]]:
    """The calls of classes of functions, and the places of their arguments, that some tensors lead to."""
    reached, before = set(values), -1
    while before != len(reached):
        before = len(reached)
        for op in block.walk():
            if not reached.isdisjoint(own_uses(op)):
                reached.update(results_of(op))
                reached.update(start for _, start, _, _ in getattr(op, "carried", ()))
                reached.update(item for _, item, _ in getattr(op, "zipped", ()))
    return [(op, i) for op in block.walk() if called_class(op) for i, x in enumerate(op.args) if x in reached]
