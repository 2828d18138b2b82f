"""Parts of models that no model of the program uses: each becomes a class of its own, or stays a function on tensors."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any

from transpiler.diagnostics import Declined, Finding, Findings
from transpiler.ir.expr import code_of
from transpiler.ir.liveness import use_counts
from transpiler.ir.naming import cap_words
from transpiler.ir.program import Apply, ModuleClass, Static
from transpiler.ir.statics import bound_names, names_in, used_names
from transpiler.ir.trees import nodes
from transpiler.passes.settle import all_members, constructed
from transpiler.read.keras.evaluate.logits import MADE_BY
from transpiler.read.keras.evaluate.measures import Measured
from transpiler.read.keras.evaluate.staging import KeptFunction, Memory, is_static, unchanged
from transpiler.read.keras.evaluate.values import Class, Function
from transpiler.read.keras.factory import Factory
from transpiler.read.keras.measuring import LOGITS, measured_in, measuring
from transpiler.read.keras.parts import Example, examples_of
from transpiler.read.keras.program import Program
from transpiler.rewrite.outcome import GENERATED, TensorFunction, Written
from transpiler.write.torch.initial import steps_of

Keep = Callable[[Function, dict[str, Any]], tuple[Factory, list[ModuleClass]]]
"""Has a builder kept in the best tier that works. Raises Declined if none does."""


class LoneParts:
    """Converts parts of one program."""

    def __init__(self, program: Program, memory: Memory, findings: Findings, keep: Keep) -> None:
        self.program, self.memory, self.findings, self.keep = program, memory, findings, keep
        self.reason = ""
        """Why a part was not kept, where that is known."""
        self.on_tensors: dict[ast.AST, KeptFunction] = {}
        """The functions among the parts so far that take any tensors of their ranks."""

    def convert(self, part: Function | Class) -> tuple[Written, Finding | None] | None:
        """What becomes of a part, and what there is to say of it; None where nothing that works is found."""
        self.reason = ""
        measured = measured_in(part, self.program)
        self.memory.on_tensors = self.on_tensors if isinstance(part, Function) else {}
        if measured is not None:
            self.program.interpreter.fixed_variables = not sets_variables(part)
            try:
                written = self.as_measure(part, measured)  # type: ignore[arg-type]
            finally:
                self.program.interpreter.fixed_variables = False
            if written is None:
                self.program.interpreter.unmeasured[measured.function.node] = self.reason
            return written and (written, None)
        self.program.interpreter.open_inputs = True
        try:
            return self.as_part(part)
        finally:
            self.program.interpreter.open_inputs = False

    def as_part(self, part: Function | Class) -> tuple[Written, Finding | None] | None:
        """A layer or a function on tensors that nothing says anything about."""
        for example in examples_of(part, self.program):
            visited = dict(self.memory.visited)
            written = self.as_class(part, example) or self.as_function(part, example)
            if written is not None:
                self.may_be_called(written)
                return written, example.finding
            self.memory.visited.clear()
            self.memory.visited.update(visited)
        return None

    def as_measure(self, part: Function, measured: Measured) -> Written | None:
        """A loss or a metric, or a function that makes one; of logits where a crossentropy in it takes these."""
        logits, of = None, measured.function
        if changed := self.program.interpreter.changed_since(measured):
            self.reason = f"{changed}, which it reads, changes later"
            return None
        if len(measured.ranks) > 1:
            self.reason = "the outputs that it measures have different numbers of axes"
            return None
        if measured.activations != {""}:
            known = sorted(measured.activations & {*MADE_BY})[:1] or [*MADE_BY][:1]
            example = measuring(part, measured, known[0], self.program)
            logits = example and self.as_function(part, example, of)
        if logits is None or not takes_logits(logits, known[0]):
            example = measuring(part, measured, "", self.program)
            written = example and self.as_function(part, example, of)
            if written is None or not self.does_for_all(written, measured):
                return None
            if logits is not None:
                self.may_be_called(written)
            return written
        if measured.activations == {*known}:
            return logits if self.does_for_all(logits, measured) else None
        self.reason = "Keras takes the logits of a sigmoid or softmax in it, and not all models that it measures end in the same one"
        return None

    def may_be_called(self, written: Written) -> None:
        """Notes a function that computes the same wherever its tensors come from."""
        made = written.function
        if made is None or made.inner is not None or made.source.owner is not None or written.root is None:
            return
        inputs = written.root.inputs
        names, ranks = tuple(x.hint for x in inputs), tuple(x.type.rank for x in inputs)
        self.on_tensors[made.source.node] = KeptFunction(made.source.name, names, ranks, made.options)

    def does_for_all(self, written: Written, measured: Measured) -> bool:
        """Whether what a measure has become does for all calls, and that of its maker for all arguments that the program gives it."""
        if changed := self.program.interpreter.changed_since(measured):
            self.reason = f"it changes {changed}"
            return False
        assert written.function is not None and written.root is not None
        around = written.function.around
        given = [
            m.given
            for m in self.program.interpreter.made_functions.values()
            if m.function.node is measured.function.node
        ]
        raises = any(
            isinstance(n, ast.Raise)
            for op in (*around.prologue.walk(), *written.root.block.walk())
            if isinstance(op, Static)
            for n in nodes(op.statement)
        )
        frozen = {*around.frozen}
        if all(
            unchanged(v, first[n]) if n in frozen else not raises or alike(v, first[n])
            for first in given[:1]
            for g in given
            for n, v in g.items()
        ):
            return True
        self.reason = "it is made with different arguments, and becomes code for one of them"
        return False

    def try_out(self, function: Function, arguments: dict[str, Any]) -> tuple[Factory, list[ModuleClass]] | None:
        marks = len(self.findings.items)
        try:
            return self.keep(function, arguments)
        except Declined as declined:
            self.reason = self.reason or declined.message.partition(": ")[2] or declined.message
            return None
        finally:
            del self.findings.items[marks:]

    def as_class(self, part: Function | Class, example: Example) -> Written | None:
        """A layer of the program, or a function that applies layers or makes such functions."""
        kept = self.try_out(example.function, example.arguments)
        if kept is None:
            return None
        factory, classes = kept
        own = (
            [part.node] if isinstance(part, Class) else [n for n in nodes(part.node) if isinstance(n, ast.FunctionDef)]
        )
        cls = next((c for c in classes if getattr(getattr(c, "source", None), "node", None) in own), None)
        if factory.tier != "structure" or cls is None:
            return None
        if cls.source.node is not part.node:  # type: ignore[attr-defined]
            stands_for(cls, part)  # a function that the part makes
        cls.root = any(steps_of([cls, *constructed(cls)]))  # it starts its own weights
        return Written(self.program.source, [c for c in classes if c is not factory.root], None, cls)

    def as_function(self, part: Function | Class, example: Example, measure: Function | None = None) -> Written | None:
        """A function that constructs nothing; it must do for inputs of any size what it does for those seen."""
        kept = self.try_out(example.any_size, example.arguments | example.sizes) if isinstance(part, Function) else None
        if kept is None:
            return None
        factory, classes = kept
        function = tensor_function(part, factory, classes, example, measure)  # type: ignore[arg-type]
        return function and Written(self.program.source, [], None, factory.root, function=function)


def stands_for(cls: ModuleClass, part: Any) -> None:
    """Has the class of a function that another one makes take that one's place: its name, docstring and parameters."""
    cls.source = part  # type: ignore[attr-defined]
    cls.name = cap_words(part.name.strip("_"))
    cls.doc = cls.doc or ast.get_docstring(part.node) or ""
    order = {p.arg: i for i, p in enumerate((*part.node.args.posonlyargs, *part.node.args.args))}
    cls.params.sort(key=lambda p: (p.has_default, p.name not in cls.sizes, order.get(p.name, len(order))))


def sets_variables(part: Function | Class) -> bool:
    """Whether a part may set variables of Keras or TensorFlow."""
    called = {getattr(n, "attr", getattr(n, "id", "")) for n in nodes(part.node)}
    return bool(called & {"assign", "assign_add", "assign_sub", "update", "update_add", "update_sub", "set_value"})


def alike(value: Any, other: Any) -> bool:
    """Whether what raises for one value hardly raises for the other: they differ in numbers with a fraction alone."""
    if isinstance(value, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(value) == len(other) and all(map(alike, value, other))
    return isinstance(value, float) and isinstance(other, float) or unchanged(value, other)


def takes_logits(written: Written, activation: str) -> bool:
    """Whether a loss that is given logits does more with them than to apply the activation."""
    root = written.root
    assert root is not None
    logits, reads = root.inputs[-1], [op for op in root.block.walk() if isinstance(op, Apply)]
    applied = [op for op in reads if op.args == [logits] and re.fullmatch(MADE_BY[activation], op.step.fn or "")]
    return use_counts(root.block)[logits] > len(applied)


def tensor_function(
    function: Function, factory: Factory, classes: list[ModuleClass], example: Example, measure: Function | None
) -> TensorFunction | None:
    """The function if it can stay one: it constructs nothing, and of its parameters the tensors alone are open.

    Those of a `measure` that follow its tensors may have any value, and those of a function that makes one.
    """
    root = classes[-1] if len(classes) == 1 else None
    of = measure or function
    inner = of if of.node is not function.node else None
    if (
        root is None
        or isinstance(of.node, ast.Lambda)
        or not is_static(function.defaults)
        or not is_static(of.defaults)
    ):
        return None
    if {n.arg for n in nodes(function.node) if isinstance(n, ast.arg)} & GENERATED:
        return None  # `F`, say, which means something else in the result
    a = of.node.args
    inputs = [x.hint for x in root.inputs]
    positional = [p.arg for p in (*a.posonlyargs, *a.args)][function.owner is not None :]
    tensors_only = positional[: len(inputs)]
    same_names = inputs == [*tensors_only[:-1], *({LOGITS} & {*inputs} or tensors_only[-1:])]
    always = {op.member for op in root.block.ops if isinstance(op, Apply)}  # not in branches, as constructors have them
    constants = all(m.code.startswith("nn.Buffer(") and m in always for m in all_members(root.block))
    if not same_names or not constants or a.kwonlyargs or a.vararg or a.kwarg:
        return None
    values = factory.returned.values
    given = {*example.arguments} if measure is not None else set()
    bound = bound_names(factory.prologue)
    if {code_of(v) for v in values.values()} - {*example.sizes, *bound, *given}:
        return None  # a parameter that was no tensor in the example: in a call it may be one
    if len(root.inputs) > 1 and (root.params or factory.frozen):
        of_sizes = names_in([values[p.name] for p in root.params]) | {*factory.frozen}
        if (of_sizes | used_names(factory.prologue, let_values=True)) & {*example.sizes}:
            return None  # whose sizes they are is not known
    sizes = {n: axis for axis, n in enumerate(example.sizes, start=1)}
    options = given - {*factory.frozen}
    return TensorFunction(function, factory, sizes, inner, LOGITS in inputs, frozenset(options))
