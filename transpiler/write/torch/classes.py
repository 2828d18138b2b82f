"""One staged program as the text of an `nn.Module` class."""

from __future__ import annotations

import ast
import functools
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from transpiler.ir.expr import Sym, code_of, is_open
from transpiler.ir.liveness import all_uses, results_of, use_counts
from transpiler.ir.naming import GLOBALS, MODULE_NAMES, Names, identifier, singular
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
    Return,
    Static,
    Value,
    tensors,
)
from transpiler.ir.statics import member_names, used_names
from transpiler.ir.trees import nodes
from transpiler.rules.base import call
from transpiler.write.torch.initial import Initializers
from transpiler.write.torch.layout import render

MAX_NESTED = 76
"""Longest expression that a further call is wrapped around."""

MAX_CHOICE = 84
"""Longest conditional submodule on one line; a longer one becomes an if statement."""

MAX_POSITIONAL = 3

VERSION = re.compile(r"\b(\w+?)__v(\d+)\b")
"""A static variable of the staged program, as the stager numbers it."""


@dataclass
class Lines:
    """Text under construction, with indentation."""

    lines: list[str] = field(default_factory=list)
    level: int = 0

    def add(self, *lines: str) -> None:
        self.lines += ["    " * self.level + line if line else "" for line in lines]

    def indented(self) -> Lines:
        return Lines(self.lines, self.level + 1)

    def text(self) -> str:
        return "\n".join(self.lines)


def _template(text: str) -> ast.expr:
    """A step's template as an expression, its places named `_arg_0_`."""
    return ast.parse(re.sub(r"\{(\w+)\}", r"_arg_\1_", text), mode="eval").body


class _Fill(ast.NodeTransformer):
    def __init__(self, values: dict[str, ast.expr]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.values.get(node.id, node)


def fill(template: str, **values: ast.expr) -> ast.expr:
    """`{0}.mean(dim=1)` with its places filled in, parentheses where precedence asks for them."""
    node = _template(template)
    named = {f"_arg_{k.removeprefix('p')}_": v for k, v in values.items()}
    named |= {k.removeprefix("p"): v for k, v in values.items() if not k.removeprefix("p").isdigit() and k != "self"}
    return _Fill(named).visit(node)


def fill_args(template: str, args: Iterable[ast.expr]) -> ast.expr:
    return fill(template, **{f"p{i}": a for i, a in enumerate(args)})


class ClassWriter:
    """Writes one class. `helpers` collects the names of helper classes it needs."""

    def __init__(
        self, cls: ModuleClass, printed: dict[str, str] | None = None, initial: Initializers | None = None
    ) -> None:
        self.cls = cls
        self.printed = printed or {}
        self.initial = initial or Initializers()
        self.attributes: dict[Member, str] = {}
        self.attribute_names = Names(MODULE_NAMES)
        self.helpers: list[str] = []
        self.counts: Counter[Value] = use_counts(cls.block)
        self.variables: dict[Value, ast.expr] = {}
        self.flags: dict[Branch, str] = {}
        self.static_names = {p.name for p in cls.params} | {op.name for op in cls.block.walk() if isinstance(op, Let)}
        self.stored: dict[str, str] = {}
        """Static names that `forward` reads → the attributes that hold them."""
        self.inner: set[str] = set()
        """Those of them that a side of a branch binds: they are stored there."""

    # --- attributes --------------------------------------------------------------------------------------------

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
        for op in self.cls.block.walk():
            if isinstance(op, Branch) and op.phis and not op.by_mode:
                self.flags[op] = self.attribute_names.take(flag_name(op))

    # --- the constructor -----------------------------------------------------------------------------------------

    def constructor(self, block: Block, out: Lines) -> None:
        """Writes the static part of a block; between variables, submodules in the program's order of construction."""
        pending: list[Member | Branch | ForLoop] = []
        made: set[Member] = set()

        def flush() -> None:
            while pending:
                waiting = {f"member__{id(m)}" for m in pending if isinstance(m, Member)}
                ready = [m for m in pending if not any(n in waiting for n in read_by(m))] or pending
                item = min(ready, key=order_of)
                pending.remove(item)
                if isinstance(item, Member):
                    self.construct_member(item, out)
                else:
                    self.construct_other(item, out)

        for op in block.ops:
            if isinstance(op, Apply):
                if op.member is not None and op.member in self.attributes and op.member not in made:
                    made.add(op.member)
                    pending.append(op.member)
                    self.need(op)
            elif isinstance(op, (Branch, ForLoop)) and not any(isinstance(o, Let) for o in Block([op]).walk()):
                pending.append(op)
            else:
                flush()
                self.construct_other(op, out)
        flush()

    def need(self, op: Apply) -> None:
        for h in op.step.helpers:
            if h not in self.helpers:
                self.helpers.append(h)

    def construct_other(self, op: Any, out: Lines) -> None:
        if isinstance(op, Let):
            out.add(*op.comments)
            value = op.value.code if isinstance(op.value, Sym) else ""
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
        name = f"self.{self.attributes[member]}"
        if member.choice is not None:
            then, otherwise = (self.sequence(side) for side in (member.choice.then, member.choice.otherwise))
            text = f"{name} = {then} if {member.choice.test.code} else {otherwise}"
            if len(text) > MAX_CHOICE:
                out.add(f"if {member.choice.test.code}:", f"    {name} = {then}", "else:", f"    {name} = {otherwise}")
                return
            out.add(text)
            return
        out.add(f"{name} = {self.member_code(member)}")

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
        holder = "nn.Sequential(*" if op.sequential else "nn.ModuleList("
        short = self.comprehension(op)
        if short:
            out.add(f"self.{attribute} = {holder}[{short}])")
            return
        taken = {*self.printed.values(), *(p.label for p in self.cls.params)}
        name = next(n for n in (attribute, "modules", "layers", f"{attribute}_list") if n not in taken)
        out.add(f"{name}: list[nn.Module] = []")
        self.fill_list(op, name, out)
        out.add(f"self.{attribute} = {holder}{name})")

    def comprehension(self, op: ForLoop) -> str:
        """The list of a loop that does nothing but construct one submodule, as a comprehension; "" for other loops."""
        if len(op.body.ops) != 1 or not isinstance(op.body.ops[0], Apply):
            return ""
        call_op = op.body.ops[0]
        self.need(call_op)
        assert call_op.member is not None
        code, target = self.member_code(call_op.member), ast.unparse(op.target)
        shown = target if names_of(code) & names_of(target) else "_"
        return f"{code} for {shown} in {code_of(op.iterable)}"

    def fill_list(self, op: ForLoop, name: str, out: Lines) -> None:
        """The loop that appends submodules to the list `name`; nested loops append to the same list."""
        inner = Lines([], out.level + 1)
        codes: list[str] = []
        made: list[int] = []

        def flush() -> None:
            if codes:
                inner.add(f"{name}.append({codes[0]})" if len(codes) == 1 else f"{name} += [{', '.join(codes)}]")
                codes.clear()

        for o in op.body.ops:
            if isinstance(o, Apply):
                self.need(o)
                assert o.member is not None
                code = self.member_code(o.member)
                if any(f"member__{number}." in code for number in made):
                    flush()
                    code = appended(code, made, name)
                codes.append(code)
                made.append(id(o.member))
                continue
            flush()
            if isinstance(o, ForLoop):
                self.fill_list(o, name, inner)
                made.clear()
                continue
            at = len(inner.lines)
            self.construct_other(o, inner)
            inner.lines[at:] = [appended(line, made, name) for line in inner.lines[at:]]
        flush()
        target = ast.unparse(op.target)
        used = names_of("\n".join(inner.lines))
        parts = [ast.unparse(t) for t in op.target.elts] if isinstance(op.target, ast.Tuple) else [target]
        shown = ", ".join(p if used & names_of(p) else "_" for p in parts)
        out.add(f"for {shown} in {code_of(op.iterable)}:")
        out.lines += inner.lines

    def construct_branch(self, op: Branch, out: Lines) -> None:
        if op.by_mode:
            for side in (op.then, op.otherwise):  # what a side raises, it raises in `forward`
                self.constructor(Block([o for o in side.ops if not isinstance(o, Static)]), out)
            return
        if op in self.flags:
            out.add(f"self.{self.flags[op]} = {op.test.code}")
        inner = Lines([], out.level + 1)
        self.constructor(op.then, inner)
        other = Lines([], out.level + 1)
        self.constructor(op.otherwise, other)
        write_if(out, op.test.code, negated(op.test), inner.lines, other.lines)

    # --- forward ------------------------------------------------------------------------------------------------------

    def forward(self, block: Block, out: Lines) -> None:
        self.forward_ops(block.ops, out, {}, set())

    def forward_ops(self, ops: list[Any], out: Lines, holders: dict[str, Value], live_after: set[Value]) -> None:
        last_use = self.last_uses(ops, live_after)
        for index, op in enumerate(ops):
            if isinstance(op, Apply):
                self.forward_apply(ops, index, op, out, holders, last_use)
            elif isinstance(op, Branch) and (op.phis or op.by_mode):
                self.forward_branch(op, index, out, holders, last_use)
            elif isinstance(op, ForLoop):
                self.forward_loop(op, index, out, holders, last_use)
            elif isinstance(op, Return):
                out.add(f"return {self.structure(op.value)}")

    def forward_branch(
        self, op: Branch, index: int, out: Lines, holders: dict[str, Value], last_use: dict[Value, int]
    ) -> None:
        live = {v for v, last in last_use.items() if last > index}
        for result, *ends in op.phis:
            for end, side in zip(ends, (op.then, op.otherwise)):
                if self.counts[end] == 1 and any(end in results_of(o) for o in side.ops):
                    end.hint = result.hint
        before = dict(holders)
        names = {r: self.variable(r, index, holders, last_use) for r, _, _ in op.phis}
        sides: list[Lines] = []
        for block, position in ((op.then, 1), (op.otherwise, 2)):
            lines = Lines([], out.level + 1)
            for o in block.ops if op.by_mode else ():
                if isinstance(o, Static):
                    lines.add(*ast.unparse(o.statement).splitlines())
            self.forward_ops(block.ops, lines, dict(before), live | {phi[position] for phi in op.phis})
            moves = [(names[phi[0]], ast.unparse(self.variables[phi[position]])) for phi in op.phis]
            moves = [(n, v) for n, v in moves if n != v]
            if len(moves) == 1:
                lines.add(f"{moves[0][0]} = {moves[0][1]}")
            elif moves:
                lines.add(f"{', '.join(n for n, _ in moves)} = {', '.join(v for _, v in moves)}")
            sides.append(lines)
        flag = op.test.code if op.by_mode else f"self.{self.flags[op]}"
        opposite = negated(op.test) if op.by_mode else f"not {flag}"
        write_if(out, flag, opposite, sides[0].lines, sides[1].lines)
        for r, n in names.items():
            self.variables[r] = ast.Name(n, ast.Load())

    def forward_loop(
        self, op: ForLoop, index: int, out: Lines, holders: dict[str, Value], last_use: dict[Value, int]
    ) -> None:
        own = f"self.{self.attributes[op.member]}"
        if op.sequential:
            initial, _, _, result = op.carried[0]
            text = f"{own}({ast.unparse(self.variables[initial])})"
            name = self.variable(result, index, holders, last_use)
            out.add(f"{name} = {text}")
            self.variables[result] = ast.Name(name, ast.Load())
            return
        names: dict[Value, str] = {}
        """The tensors that an iteration reads → variables."""
        ends: dict[Value, list[str]] = {}
        """The tensors that it computes → the variables that hold them after it."""
        for initial, start, end, result in op.carried:
            names[start] = self.variable(result, index, holders, last_use)
            ends.setdefault(end, []).append(names[start])
            current = ast.unparse(self.variables[initial])
            if current != names[start]:
                out.add(f"{names[start]} = {current}")
            self.variables[result] = ast.Name(names[start], ast.Load())
        lists = [(self.variable(series, index, holders, last_use), item) for series, item in op.gathered]
        for (series, _), (name, _) in zip(op.gathered, lists):
            self.variables[series] = ast.Name(name, ast.Load())
        inner = Names(GLOBALS | frozenset(holders))
        block = inner.take("block")
        for _, item, _ in op.zipped:
            names[item] = inner.take(identifier(item.hint))
        call_op = next(o for o in op.body.ops if isinstance(o, Apply))
        args = [names[v] for v in call_op.args if v in names] + [ast.unparse(self.variables[v]) for v in op.extra]
        call = f"{block}({', '.join(args)})"
        head = self.loop_head(op, block, names)
        if not op.carried and len(lists) == 1 and call_op.results == [lists[0][1]]:
            out.add(f"{lists[0][0]} = [{call} {head}]")
            return
        out.add(*(f"{name} = []" for name, _ in lists), f"{head}:")
        out.add(*(f"    {name}.append({names[item]})" for name, item in lists if item in names))
        hints = {item: singular(name) for name, item in reversed(lists)}
        computed = {r: ends.get(r) or [inner.take(hints.get(r, "rest"))] for r in call_op.results}
        if len(computed) == 1:
            out.add(f"    {' = '.join([*next(iter(computed.values())), call])}")
        else:
            out.add(f"    {', '.join(held[0] for held in computed.values())} = {call}")
            out.add(*(f"    {' = '.join([*held[1:], held[0]])}" for held in computed.values() if len(held) > 1))
        out.add(*(f"    {name}.append({computed[item][0]})" for name, item in lists if item in computed))

    def loop_head(self, op: ForLoop, block: str, names: dict[Value, str]) -> str:
        """`for` over the submodules of a loop, and over the lists of tensors that it reads beside them."""
        own = f"self.{self.attributes[op.member]}"
        if not op.zipped:
            return f"for {block} in {own}"
        sources = [(ast.unparse(self.variables[series]), backwards) for series, _, backwards in op.zipped]
        texts = [f"reversed({text})" if backwards else text for text, backwards in sources]
        strict = [] if code_of(op.iterable).startswith("zip(") else ["strict=True"]
        items = ", ".join([block, *(names[item] for _, item, _ in op.zipped)])
        return f"for {items} in zip({', '.join([own, *texts, *strict])})"

    def last_uses(self, ops: list[Any], live_after: set[Value]) -> dict[Value, int]:
        last: dict[Value, int] = {}
        for index, op in enumerate(ops):
            for v in all_uses(op):
                last[v] = index
        for v in live_after:
            last[v] = len(ops)
        return last

    def forward_apply(
        self, ops: list[Any], index: int, op: Apply, out: Lines, holders: dict[str, Value], last_use: dict[Value, int]
    ) -> None:
        expression = self.expression(op)
        if op.step.fn == "{self}" or self.inlines(ops, index, op, expression):  # a parameter is named, not computed
            self.variables[op.results[0]] = expression
            return
        if len(op.results) == 1 and not op.outputs:
            name = self.variable(op.results[0], index, holders, last_use)
            text = ast.unparse(expression)
            self.comment(op, out)
            if text != name:
                out.add(f"{name} = {text}" + (f"  # {op.step.comment}" if op.step.comment else ""))
            self.variables[op.results[0]] = ast.Name(name, ast.Load())
            return
        self.forward_several(op, expression, index, out, holders, last_use)

    def comment(self, op: Apply, out: Lines) -> None:
        out.add(*op.comments)

    def forward_several(
        self,
        op: Apply,
        expression: ast.expr,
        index: int,
        out: Lines,
        holders: dict[str, Value],
        last_use: dict[Value, int],
    ) -> None:
        used = [r for r in op.results if self.counts[r]]
        outputs = op.outputs or tuple(f"{{0}}[{i}]" for i in range(len(op.results)))
        if len(used) == 1:
            template = outputs[op.results.index(used[0])]
            name = self.variable(used[0], index, holders, last_use)
            out.add(f"{name} = {ast.unparse(fill_args(template, [expression]))}")
            self.variables[used[0]] = ast.Name(name, ast.Load())
            return
        if sorted(outputs) == sorted(f"{{0}}[{i}]" for i in range(len(op.results))):
            results = [op.results[outputs.index(f"{{0}}[{i}]")] for i in range(len(outputs))]
            names = [self.variable(r, index, holders, last_use) if r in used else "_" for r in results]
            out.add(f"{', '.join(names)} = {ast.unparse(expression)}")
            self.variables |= {r: ast.Name(n, ast.Load()) for r, n in zip(results, names)}
            return
        temporary = Names(GLOBALS | frozenset(holders)).take("out")
        out.add(f"{temporary} = {ast.unparse(expression)}")
        for r in used:
            name = self.variable(r, index, holders, last_use)
            value = fill_args(outputs[op.results.index(r)], [ast.Name(temporary, ast.Load())])
            out.add(f"{name} = {ast.unparse(value)}")
            self.variables[r] = ast.Name(name, ast.Load())

    def variable(self, value: Value, index: int, holders: dict[str, Value], last_use: dict[Value, int]) -> str:
        """A variable for `value`: the name it had in the source, unless that still holds a tensor that is read later."""
        base = identifier(value.hint)
        base = f"{base}_" if base in GLOBALS else base
        candidate, i = base, 1
        while candidate in holders and last_use.get(holders[candidate], -1) > index:
            i += 1
            candidate = f"{base}{i}" if not base[-1].isdigit() else f"{base}_{i}"
        holders[candidate] = value
        return candidate

    def expression(self, op: Apply) -> ast.expr:
        args = [self.variables[a] for a in op.args]
        step = op.step
        if op.member is not None and op.member in self.attributes:
            own = ast.Attribute(ast.Name("self", ast.Load()), self.attributes[op.member], ast.Load())
            if step.fn is not None and "{self}" in step.fn:
                return fill(step.fn, self=own, **{f"p{i}": a for i, a in enumerate(args)})
            called = ast.Call(own, args, [])
            return fill_args(step.result, [called]) if step.result else called
        self.need(op)
        if step.fn is None:
            raise AssertionError(f"{step} has no function form")
        return fill(step.fn, **{f"p{i}": a for i, a in enumerate(args)}, **self.stored_names(step.fn))

    def stored_names(self, template: str) -> dict[str, ast.expr]:
        """Static names in an expression of `forward`: the constructor keeps them as attributes."""
        found: dict[str, ast.expr] = {}
        for node in nodes(_template(template)):
            if isinstance(node, ast.Name) and (node.id in self.static_names):
                if node.id not in self.stored:
                    self.stored[node.id] = self.attribute_names.take(VERSION.sub(r"\1", node.id))
                found[f"p{node.id}"] = ast.Attribute(ast.Name("self", ast.Load()), self.stored[node.id], ast.Load())
        return found

    def inlines(self, ops: list[Any], index: int, op: Apply, expression: ast.expr) -> bool:
        """Whether the result is written into the one expression that uses it, in the next operation."""
        if (
            len(op.results) != 1
            or op.outputs
            or self.counts[op.results[0]] != 1
            or index + 1 >= len(ops)
            or op.comments
        ):
            return False
        if op.step.comment:
            return False
        value, following = op.results[0], ops[index + 1]
        if isinstance(following, Return):
            return len(ast.unparse(expression)) < MAX_NESTED and following.value is value
        if not isinstance(following, Apply) or value not in following.args or following.outputs:
            return False
        if following.step.comment:
            return False
        if len(following.args) > 1 and any(
            isinstance(self.variables.get(a), ast.Call) for a in following.args if a is not value
        ):
            return False
        return (
            len(ast.unparse(expression)) + len(self.attributes.get(following.member, following.step.fn or ""))
            < MAX_NESTED
        )

    def structure(self, value: Any) -> str:
        if isinstance(value, Value):
            return ast.unparse(self.variables[value])
        if isinstance(value, (list, tuple)):
            items = [self.structure(v) for v in value]
            return items[0] if len(items) == 1 else ", ".join(items)
        if isinstance(value, dict):
            return "{" + ", ".join(f"{k!r}: {self.structure(v)}" for k, v in value.items()) + "}"
        return code_of(value)

    # --- the class --------------------------------------------------------------------------------------------------------

    def write(self) -> str:
        """The text of the class."""
        self.name_attributes()
        constructor = Lines()
        self.constructor(self.cls.block, constructor)
        inputs = self.input_names()
        forward = self.write_forward(inputs)  # before the attributes that it turns out to read
        self.inner = self.stored.keys() - {p.name for p in self.cls.params}
        self.inner -= {op.name for op in self.cls.block.ops if isinstance(op, Let)}
        if self.inner:
            constructor = Lines()
            self.constructor(self.cls.block, constructor)
        constructor.add(*(f"self.{a} = {name}" for name, a in self.stored.items() if name not in self.inner))
        if self.cls.root and self.initial.shared:
            constructor.add("self.apply(init_weights)")
        constructor.add(*(f"self.{label} = {code_of(dim)}" for label, dim in self.cls.outs.items()))
        returned = next((op.value for op in self.cls.block.walk() if isinstance(op, Return)), None)
        text = render(
            "class",
            name=self.cls.name,
            doc=docstring(self.cls.doc) if self.cls.doc else [],
            params=[parameter(p) for p in self.cls.params],
            constructor=constructor.lines,
            inputs=inputs,
            returns=annotation(returned),
            forward=forward.lines,
        )
        return self.final_names(text)

    def write_forward(self, inputs: list[str]) -> Lines:
        out = Lines()
        self.variables = {v: ast.Name(n, ast.Load()) for n, v in zip(inputs, self.cls.inputs)}
        self.forward_ops(self.cls.block.ops, out, dict(zip(inputs, self.cls.inputs)), set())
        return out

    def final_names(self, text: str) -> str:
        """Static variables by the names they are printed with, and submodules that are read by their attributes."""
        by_id = {str(id(m)): a for m, a in self.attributes.items()}
        text = re.sub(r"\bmember__(\d+)\b", lambda m: f"self.{by_id[m.group(1)]}", text)
        return VERSION.sub(lambda m: self.printed.get(m.group(0), m.group(1)), text)

    def input_names(self) -> list[str]:
        if len(self.cls.inputs) == 1:
            return ["x"]
        names = Names(GLOBALS)
        return names.take_numbered([identifier(v.hint) for v in self.cls.inputs])


def read_by(item: Member | Branch | ForLoop) -> set[str]:
    """The static names that constructing an operation's submodules reads."""
    return member_names(item) if isinstance(item, Member) else used_names(Block([item]), let_values=True)


def order_of(item: Member | Branch | ForLoop) -> int:
    """Where the first submodule of an operation stands in the program's order of construction."""
    if isinstance(item, Member):
        return item.order
    blocks = (item.then, item.otherwise) if isinstance(item, Branch) else (item.body,)
    return min((op.member.order for b in blocks for op in b.walk() if isinstance(op, Apply) and op.member), default=0)


def appended(code: str, made: list[int], name: str) -> str:
    """`code` with the submodules that an iteration appended to the list `name` read from there; `made` has their ids."""
    for place, number in enumerate(reversed(made), start=1):
        code = code.replace(f"member__{number}.", f"{name}[-{place}].")
    return code


def parameter(p: Param) -> str:
    """A constructor's parameter as it stands in the signature."""
    annotated = f": {p.annotation}" if p.annotation else ""
    default = (
        f" = {code_of(p.default)}" if p.has_default and annotated else f"={code_of(p.default)}" if p.has_default else ""
    )
    return f"{p.label}{annotated}{default}"


def annotation(value: Any) -> str:
    """The return annotation of `forward`."""
    if isinstance(value, dict):
        return "dict[str, Tensor]"
    if isinstance(value, (list, tuple)) and len(value) > 1:
        return f"tuple[{', '.join('Tensor' for _ in tensors(value))}]"
    return "Tensor"


def docstring(doc: str) -> list[str]:
    """The lines of a docstring; the quotes that end a long one stand alone."""
    quotes = "'''" if '"""' in doc else '"""'
    raw = "r" if "\\" in doc else ""
    lines = doc.splitlines()
    return [f"{raw}{quotes}{doc}{quotes}"] if len(lines) == 1 else [f"{raw}{quotes}{lines[0]}", *lines[1:], quotes]


def negated(test: Sym) -> str:
    """The text of the opposite test."""
    opposite = {
        ast.Is: ast.IsNot,
        ast.IsNot: ast.Is,
        ast.Eq: ast.NotEq,
        ast.NotEq: ast.Eq,
        ast.In: ast.NotIn,
        ast.NotIn: ast.In,
    }
    node = test.expr
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return ast.unparse(node.operand)
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in opposite:
        return ast.unparse(ast.Compare(node.left, [opposite[type(node.ops[0])]()], node.comparators))
    return ast.unparse(ast.UnaryOp(ast.Not(), node))


def write_if(out: Lines, test: str, opposite: str, then: list[str], otherwise: list[str]) -> None:
    """An `if` with the sides that have something in them; an `if` alone on the other side becomes `elif`."""
    if not then:
        if otherwise:
            out.add(f"if {opposite}:")
            out.lines += otherwise
        return
    out.add(f"if {test}:")
    out.lines += then
    if not otherwise:
        return
    indent = "    " * (out.level + 1)
    own = [line for line in otherwise if line.startswith(indent) and not line.startswith(indent + " ")]
    if (
        own
        and own[0].startswith(indent + "if ")
        and all(line.startswith((indent + "elif ", indent + "else:")) for line in own[1:])
    ):
        out.add("el" + otherwise[0].strip())
        out.lines += [line[4:] for line in otherwise[1:]]
    else:
        out.add("else:")
        out.lines += otherwise


def construction_code(cls: ModuleClass, values: dict[str, Any]) -> str:
    """The call that constructs an object of a generated class; arguments equal to their defaults are left out."""
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for param in cls.params:
        value = values[param.name]
        if param.has_default:
            if is_open(value) or value != param.default or type(value) is not type(param.default):
                named[param.label] = value
        elif len(positional) < MAX_POSITIONAL or param.name in cls.sizes:
            positional.append(value)
        else:
            named[param.label] = value
    return call(cls.name, *positional, **named)


def let_code(op: Let) -> str:
    """An assignment in the constructor; one that makes a list longer by an item appends it."""
    value = op.value.expr if isinstance(op.value, Sym) else None
    longer = isinstance(value, ast.List) and len(value.elts) == 2 and isinstance(value.elts[0], ast.Starred)
    if longer and ast.unparse(value.elts[0].value) == op.name:
        return f"{op.name}.append({ast.unparse(value.elts[1])})"
    return f"{op.name} = {code_of(op.value)}"


def flag_name(op: Branch) -> str:
    """The attribute under which `forward` finds the outcome of a test made in the constructor."""
    names = [n.id for n in nodes(op.test.expr) if isinstance(n, ast.Name)]
    subject = VERSION.sub(r"\1", names[0]) if names else identifier(op.phis[0][0].hint)
    return subject if subject.startswith(("use_", "has_", "include_", "is_", "with_", "no_")) else f"use_{subject}"


@functools.lru_cache(maxsize=1024)
def names_of(code: str) -> frozenset[str]:
    return frozenset(re.findall(r"[A-Za-z_]\w*", code))
