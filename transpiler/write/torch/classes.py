"""One staged program as the text of an `nn.Module` class."""

from __future__ import annotations

import ast
import re
from collections import Counter
from typing import Any

from transpiler.ir.expr import code_of
from transpiler.ir.liveness import use_counts
from transpiler.ir.naming import GLOBALS, MODULE_NAMES, Names, identifier
from transpiler.ir.program import (
    Apply,
    ForLoop,
    Let,
    Member,
    ModuleClass,
    Return,
    Value,
    tensors,
)
from transpiler.write.torch.constructor import ConstructorWriter
from transpiler.write.torch.flags import Flags, flags_of
from transpiler.write.torch.forward import ForwardWriter
from transpiler.write.torch.initial import Initializers
from transpiler.write.torch.layout import render
from transpiler.write.torch.pieces import Lines, annotation, docstring, parameter, shown

VERSION_NAME = re.compile(r"\b\w+?__v\d+\b")


class ClassWriter(ConstructorWriter, ForwardWriter):
    """Writes one class. `helpers` collects the names of helper classes it needs."""

    def __init__(
        self, cls: ModuleClass, printed: dict[str, str] | None = None, initial: Initializers | None = None
    ) -> None:
        self.cls = cls
        self.printed = printed or {}
        self.initial = initial or Initializers()
        self.attributes: dict[Member, str] = {}
        self.attribute_names = Names(MODULE_NAMES | {"logits"} if cls.logits else MODULE_NAMES)
        self.helpers: list[str] = []
        self.counts: Counter[Value] = use_counts(cls.block)
        self.variables: dict[Value, ast.expr] = {}
        self.flags = Flags()
        self.static_names = {p.name for p in cls.params} | {op.name for op in cls.block.walk() if isinstance(op, Let)}
        self.stored: dict[str, str] = {}
        """Static names that `forward` reads → the attributes that hold them."""
        self.constructed: dict[str, int] = {}
        """The attributes of submodules as they are constructed → their places in the program's order of construction."""
        self.chained: dict[str, list[int]] = {}
        """Those that are chains → the places of what they are made of."""
        self.inner: set[str] = set()
        """Those of them that a side of a branch binds: they are stored there."""

    @property
    def source_order(self) -> tuple[str, ...]:
        """The attributes of submodules in the program's order of construction; () if that is the order here.

        A chain is named part by part (`features.0`) where the program constructs something else in between.
        """
        parts = {name: self.chained.get(name, [place]) for name, place in self.constructed.items()}
        places: dict[str, int] = {}
        for name, own in parts.items():
            others = [place for n, known in parts.items() if n != name for place in known]
            between = any(min(own) < place < max(own) for place in others)
            places |= {f"{name}.{i}": p for i, p in enumerate(own)} if between else {name: min(own)}
        ordered = tuple(sorted(places, key=places.__getitem__))
        return () if ordered == tuple(places) else ordered

    def as_module(self, op: Apply) -> bool:
        """Whether the step is a submodule (it has weights or a training state, or is used twice)."""
        if op.step.module is None:
            return False
        if op.step.fn is None or op.step.stateful or op.step.weights:
            return True
        return op.member is not None and op.member.shared and op.step.fn is None

    def name_attributes(self) -> None:
        members: list[Member] = []
        looped: set[Member | None] = set()
        for op in self.cls.block.walk():
            if isinstance(op, ForLoop) and op.member not in looped:
                members.append(op.member)
                looped.update(o.member for o in op.body.walk() if isinstance(o, (Apply, ForLoop)))
            if (
                isinstance(op, Apply)
                and op.member is not None
                and op.member not in members
                and op.member not in looped
                and self.as_module(op)
            ):
                members.append(op.member)
        explicit = [m for m in members if m.name is not None]
        for m in explicit:
            self.attributes[m] = self.attribute_names.take(identifier(m.name or "layer", "layer"))
        rest = [m for m in members if m.name is None]
        for m, name in zip(rest, self.attribute_names.take_numbered([identifier(m.hint, "layer") for m in rest])):
            self.attributes[m] = name
        self.flags = flags_of(self.cls, self.attribute_names)

    def write(self) -> str:
        """The text of the class."""
        self.name_attributes()
        constructor = self.write_constructor()
        inputs = self.input_names()
        forward = self.write_forward(inputs)  # before the attributes that it turns out to read
        self.inner = self.stored.keys() - {p.name for p in self.cls.params}
        self.inner -= {op.name for op in self.cls.block.ops if isinstance(op, Let)}
        if self.inner:
            constructor = self.write_constructor()
        constructor.add(*(f"self.{a} = {name}" for name, a in self.stored.items() if name not in self.inner))
        given = [m for m in self.attributes if m.given]
        if self.cls.root and self.initial.shared and len(given) < len(self.attributes):
            constructor.add("self.apply(init_weights)")
        constructor.add(*(f"self.{self.attributes[m]} = {m.code}" for m in given))  # these have their weights already
        constructor.add(*(f"self.{label} = {code_of(dim)}" for label, dim in self.cls.outs.items()))
        constructor.lines = self.stored_at_once(constructor.lines)
        returned = next((op.value for op in self.cls.block.walk() if isinstance(op, Return)), None)
        text = render(
            "class",
            name=self.cls.name,
            doc=docstring(self.cls.doc) if self.cls.doc else [],
            params=[parameter(p) for p in self.cls.params],
            constructor=constructor.lines,
            inputs=inputs,
            returns=annotation(returned),
            forward=self.activated(inputs, returned) if self.cls.logits else forward.lines,
            logits=forward.lines if self.cls.logits else [],
        )
        return self.final_names(text)

    def write_constructor(self) -> Lines:
        out = Lines()
        out.add(*(f"self.{name} = {test}" for name, test in self.flags.first.items()))
        self.constructor(self.cls.block, out)
        return out

    def stored_at_once(self, lines: list[str]) -> list[str]:
        """The constructor without variables that nothing reads but the attributes that hold them."""
        read = Counter(name for line in lines for name in set(VERSION_NAME.findall(line)))
        shared = Counter(self.printed.get(name, name) for name in read)
        for name, attribute in self.stored.items():
            made, kept = f"{name} = ", f"self.{attribute} = {name}"
            assigned = [i for i, line in enumerate(lines) if line.lstrip().startswith(made)]
            stored = [i for i, line in enumerate(lines) if line.strip() == kept]
            paired = stored == [i + 1 for i in assigned] or len(assigned) == len(stored) == 1 and name not in self.inner
            if not paired or read[name] != len(assigned) + len(stored) or shared[self.printed.get(name, name)] > 1:
                continue
            for i in assigned:
                lines[i] = lines[i].replace(made, f"self.{attribute} = ", 1)
            lines = [line for i, line in enumerate(lines) if i not in stored]
        return lines

    def write_forward(self, inputs: list[str]) -> Lines:
        out = Lines()
        self.variables = {v: ast.Name(n, ast.Load()) for n, v in zip(inputs, self.cls.inputs)}
        self.forward_ops(self.cls.block.ops, out, dict(zip(inputs, self.cls.inputs)), set())
        return out

    def activated(self, inputs: list[str], returned: Any) -> list[str]:
        """`forward` of a class that computes its outputs without their activations in `logits`."""
        call = f"self.logits({', '.join(inputs)})"
        endings, values = self.cls.logits or [], tensors(returned)
        if len(values) == 1 and not isinstance(returned, dict):
            return [f"return {endings[0].format(call)}"]
        names = Names(GLOBALS | frozenset(inputs)).take_numbered([identifier(v.hint) for v in values])
        ends = [text.format(name) for text, name in zip(endings, names)]
        if isinstance(returned, dict):
            items = ", ".join(f"{k!r}: {text.format(f'outputs[{k!r}]')}" for k, text in zip(returned, endings))
            return [f"outputs = {call}", f"return {{{items}}}"]
        return [f"{', '.join(names)} = {call}", f"return {', '.join(ends)}"]

    def final_names(self, text: str) -> str:
        """Static variables by the names they are printed with, and submodules that are read by their attributes."""
        by_id = {str(id(m)): a for m, a in self.attributes.items()}
        text = re.sub(r"\bmember__(\d+)\b", lambda m: f"self.{by_id[m.group(1)]}", text)
        return shown(text, self.printed)

    def input_names(self) -> list[str]:
        if len(self.cls.inputs) == 1:
            return ["x"]
        names = Names(GLOBALS)
        return names.take_numbered([identifier(v.hint) for v in self.cls.inputs])
