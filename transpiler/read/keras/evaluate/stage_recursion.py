"""Functions that call themselves: one class whose constructor makes another object of the class.

What a call gives has to be known where the function calls itself, before its class is made. So the function is first
evaluated with these calls left out, which gives the kinds of its tensors; then again with calls that are taken to give
such tensors, until what it gives is what was taken. Sizes that are no constants are read from the object:
`self.level.out_channels`.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field, fields, replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import MISSING, NeedsConstant, Sym, first_symbol, is_open, witness_of
from transpiler.ir.program import Block, ModuleClass, Value, replace_tensors, tensors
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.effects import Snapshot
from transpiler.read.keras.evaluate.interpreter import Interpreter
from transpiler.read.keras.evaluate.signals import NotKept, ProgramError
from transpiler.read.keras.evaluate.staging import Staged, StageError, is_static, places_of, size_labels
from transpiler.read.keras.evaluate.values import Function

MAX_ROUNDS = 4
"""How often what a call is taken to give is corrected by what it gives."""


MAX_CLASSES = 3
"""How many classes for different kinds of arguments are made of one function inside each other."""


class CallsItself(StageError):
    """A call of the function under evaluation, left out as nothing is known yet of what it gives."""


@dataclass(eq=False)
class Assumed(Staged):
    """What calls of a function are taken to give while its class is under construction."""

    sizes: list[tuple[Any, ...]] = field(default_factory=list)
    """The sizes of each tensor: a constant, None where open, or MISSING for what only the object knows."""


class StagedRecursion:
    """The part of the stager that keeps functions that call themselves."""

    def arguments_of(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a call by parameter, defaults included, and what the function reads of calls that have ended."""
        bound = Interpreter.bind(self, function, args, kwargs).names  # type: ignore[arg-type]
        own = {k: v for k, v in bound.items() if not k.startswith("__")}
        return own | self.closed_arguments(function)

    def calls_itself(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> bool:
        """Whether a call is to be of the class under construction; for arguments of other kinds there is another class."""
        active = self.active.count(function.node)
        if active == 0 or active >= MAX_CLASSES:
            return active > 0
        return self.class_key(function, self.arguments_of(function, args, kwargs)) in self.memory.classes

    def call_itself(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """A call on tensors of a function whose class is under construction."""
        arguments = self.arguments_of(function, args, kwargs)
        key = self.class_key(function, arguments)
        assumed = self.memory.assumed.get(key)
        if assumed is not None:
            assumed.result_shapes = self.assumed_shapes(assumed, function, arguments)
            return self.construct(assumed, arguments)
        if key in self.memory.classes and key not in self.memory.untied:
            self.memory.recursive.append(key)
            raise CallsItself(f"{function.name} calls itself")
        return self.run_function(function, args, kwargs)

    def check_recursion(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> None:
        """Raises NeedsConstant where a function that is written inline calls itself with open arguments.

        Tests on them would stay open, and the evaluation would not end.
        """
        if function.node not in self.running:
            return
        tests = [n.test for n in nodes(function.node) if isinstance(n, (ast.If, ast.IfExp, ast.While))]
        tested = {n.id for test in tests for n in nodes(test) if isinstance(n, ast.Name)}
        given = self.arguments_of(function, args, kwargs)
        found = [n for n, v in given.items() if is_static(v) and is_open(v) and n in tested]
        if found:
            raise NeedsConstant(first_symbol(given[found[0]]), f"{function.name} calls itself")

    def tie(self, key: Any, staged: Staged, function: Function, arguments: dict[str, Any], known: set[Any]) -> Staged:
        """The class of a function that calls itself; `staged` is the one without these calls.

        `known` are the keys of the classes that were there before. Raises StageError if what the calls give is not found.
        """
        try:
            for _ in range(MAX_ROUNDS):
                assumed = self.memory.assumed[key] = assumption(staged)
                self.forget_classes(key, known)
                staged = self.evaluate_class(function, arguments)
                if fits(assumed, staged):
                    return adopted(staged, assumed)
            self.memory.untied.append(key)
        except Exception:
            self.forget_classes(key, known)
            raise
        finally:
            self.memory.assumed.pop(key, None)
        self.forget_classes(key, known)
        raise StageError(f"what {function.name} gives depends on itself")

    def forget_classes(self, key: Any, known: set[Any]) -> None:
        """Leaves only the `known` classes, and `key` as that of the class under construction."""
        for made in self.memory.classes.keys() - known:
            del self.memory.classes[made]
        self.memory.classes[key] = None

    def assumed_shapes(self, assumed: Assumed, function: Function, arguments: dict[str, Any]) -> list[tuple[Any, ...]]:
        """The shapes of the tensors that a call is taken to give, with the sizes of the values seen."""
        seen = self.sizes_seen(function, arguments)
        known = seen if list(map(len, seen)) == list(map(len, assumed.sizes)) else assumed.sizes
        return [
            tuple(Sym(OBJECT, s, True) if size is MISSING else size for size, s in zip(sizes, witnesses))
            for sizes, witnesses in zip(assumed.sizes, known)
        ]

    def sizes_seen(self, function: Function, arguments: dict[str, Any]) -> list[tuple[Any, ...]]:
        """The sizes of what a call gives for the values that were seen; [] if they are not known."""
        given = {n: witness_of(v) if is_static(v) else v for n, v in arguments.items()}
        if any(v is MISSING for v in given.values()):
            return []
        given = replace_tensors(given, {x: with_sizes_seen(x) for x in tensors(given)})
        outside = Snapshot(function.env, given.values())
        outer = self.block, self.flat, self.facts, len(self.layers), len(self.findings.items)
        self.block, self.flat, self.facts = Block(), True, []
        try:
            result = self.run_function(function, [], given)
        except (ProgramError, Declined, NeedsConstant, NotKept):
            return []
        finally:
            self.block, self.flat, self.facts = outer[:3]
            del self.layers[outer[3] :], self.findings.items[outer[4] :]
            outside.restore()
        return [tuple(map(witness_of, x.type.shape)) for x in tensors(result)]


OBJECT = ast.Name("self", ast.Load())
"""Stands for a size that is read from the object: no parameter of a class has this name."""


def with_sizes_seen(x: Value) -> Value:
    """A tensor with the sizes that were seen, open where they were not."""
    sizes = (None if d is None or witness_of(d) is MISSING else witness_of(d) for d in x.type.shape)
    return Value(replace(x.type, shape=tuple(sizes)), x.hint)


def assumption(staged: Staged) -> Assumed:
    """Calls that give what `staged` gives."""
    cls = ModuleClass(staged.cls.name, [], staged.inputs, Block(), key=staged.cls.key)
    values = {f.name: getattr(staged, f.name) for f in fields(Staged)} | {"cls": cls, "trivial": False}
    return Assumed(**values, sizes=sizes_of(staged))


def sizes_of(staged: Staged) -> list[tuple[Any, ...]]:
    return [tuple(MISSING if isinstance(d, Sym) else d for d in shape) for shape in staged.result_shapes]


def fits(assumed: Assumed, staged: Staged) -> bool:
    """Whether a class gives what its own calls were taken to give: open sizes may turn out to be known."""
    taken, given = tensors(assumed.result), tensors(staged.result)
    if type(assumed.result) is not type(staged.result) or len(taken) != len(given):
        return False
    if places_of(assumed.result) != places_of(staged.result) or assumed.captures.keys() != staged.captures.keys():
        return False
    if any(replace(a.type, shape=b.type.shape) != b.type for a, b in zip(taken, given)):
        return False
    pairs = (p for a, b in zip(assumed.sizes, sizes_of(staged)) for p in zip(a, b, strict=True))
    return all(a is None or a == b or a is MISSING and b is not None for a, b in pairs)


def adopted(staged: Staged, assumed: Assumed) -> Staged:
    """`staged` with the class that its own calls construct."""
    read = assumed.cls.outs
    labels = size_labels(tensors(staged.result))
    dims = {label: d for pair in zip(labels, staged.result_shapes) for label, d in zip(*pair, strict=True)}
    vars(assumed.cls).update(vars(staged.cls))
    staged.cls = assumed.cls
    staged.cls.outs |= {label: dims[label] for label in read}
    return staged
