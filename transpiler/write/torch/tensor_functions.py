"""Functions on tensors that stay functions: what `forward` of a class does that holds nothing but constants."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from transpiler.ir.program import Block
from transpiler.ir.statics import bound_names
from transpiler.ir.trees import nodes, variables_in
from transpiler.write.torch.factory import doc_lines, signature, statements
from transpiler.write.torch.guards import guard
from transpiler.write.torch.layout import render
from transpiler.write.torch.pieces import Lines, shown

ATTRIBUTE = re.compile(r"        self\.(\w+) = (.*)$")
"""What a constructor sets."""

BUFFER = re.compile(r"nn\.Buffer\((.*), persistent=False\)$")
"""A constant that a class holds."""


NAME = re.compile(r"(?<![\w.])\w+")


@dataclass(frozen=True)
class Traced:
    """A function on tensors, as a class that holds nothing but constants and whose `forward` does what it does."""

    text: str
    """Of the class."""
    prologue: Block
    """What is computed with numbers before the class is constructed."""
    values: Mapping[str, str]
    """What the parameters of the class stand for: variables of `prologue`, parameters of the source, or sizes."""
    printed: Mapping[str, str]
    """How the numbered variables of `prologue` are printed."""

    def forward(self, others: Collection[str] = ()) -> Forward:
        """Its parts; the variables of its body are called like none of its values but those bound here, `others` among them."""
        return forward_of(self.text, self.values, {*self.values.values()} - {*others, *bound_names(self.prologue)})

    def own_names(self, bound: set[str], others: Collection[str] = ()) -> dict[str, str]:
        """How the static variables, and `others`, are called beside tensors that are `bound` to variables."""
        plain = {n: shown(n, self.printed) for n in (*others, *bound_names(self.prologue))}
        return {n: f"{name}_0" if name in bound else name for n, name in plain.items()}

    def statics(self, own: Mapping[str, str]) -> list[str]:
        """The statements on numbers, with its `own_names`."""
        made = Lines()
        statements(self.prologue, made, dict(own))
        return [re.sub(r"\w+", lambda m: own.get(m[0], m[0]), line) for line in made.lines]


@dataclass
class Forward:
    """What is taken from the text of a class."""

    inputs: list[str]
    setup: list[tuple[str, str]]
    """What the constructor does besides: ("", a statement), or an attribute and what it holds."""
    tensors: set[str]
    """The attributes that hold constant tensors."""
    values: dict[str, str]
    """Other attributes → the parameters of the class that they hold."""
    body: list[str]

    @property
    def constants(self) -> list[str]:
        """The attributes that hold what the constructor makes."""
        return [name for name, _ in self.setup if name]

    @property
    def tree(self) -> ast.Module:
        return ast.parse("def forward():\n" + "\n".join(f"    {line}" for line in self.body))

    @property
    def bound(self) -> set[str]:
        """The variables of the body."""
        return {n.id for n in nodes(self.tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}

    @property
    def called(self) -> set[str]:
        """The functions of the file that the body calls."""
        return {n.func.id for n in nodes(self.tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}

    def made(self, setup: list[tuple[str, str]], tensor: str) -> list[str]:
        """The statements of a `setup`, with constant tensors on the device of another one."""
        texts = [(n, on_device(code, tensor) if n in self.tensors else code) for n, code in setup]
        return [f"{name} = {code}" if name else code for name, code in texts]


def forward_of(text: str, parameters: Collection[str], taken: Collection[str]) -> Forward:
    """What the text of a class with these parameters has; its variables are none of the names that are `taken`."""
    lines = text.split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith("    def forward("))
    begin = next((i for i, line in enumerate(lines) if line.strip() == "super().__init__()"), start)
    made = [line for line in lines[begin + 1 : start] if line.strip()]
    found = [ATTRIBUTE.match(line) for line in made]
    forward = Forward(
        re.findall(r"(\w+): Tensor", lines[start].partition("->")[0]),
        [
            (m[1], BUFFER.sub(r"\1", m[2])) if m is not None else ("", line[8:])
            for m, line in zip(found, made)
            if m is None or m[2] not in parameters
        ],
        {m[1] for m in found if m is not None and BUFFER.match(m[2])},
        {m[1]: m[2] for m in found if m is not None and m[2] in parameters},
        [line[8:] for line in lines[start + 1 :] if line.strip()],
    )
    for name in sorted(forward.bound & {*taken, *forward.called}):
        forward.body = [re.sub(rf"(?<![\w.]){name}(?![\w(])", f"{name}_", line) for line in forward.body]
    return forward


def tensor_function_text(
    node: ast.FunctionDef, traced: Traced, sizes: Mapping[str, int], frozen: Mapping[str, Any], known: set[str]
) -> str:
    """The function `node` on tensors.

    `sizes` are the names of those of the one input → their axes, `frozen` the values of parameters and of sizes that it is made for.
    """
    forward = traced.forward(sizes)
    first = forward.inputs[0]
    own = traced.own_names(forward.bound, sizes)
    made = [*traced.statics(own), *forward.made(forward.setup, first)]
    attributes = {n: n for n in forward.constants}
    attributes |= {n: with_names(traced.values[p], own) for n, p in forward.values.items()}
    work = [with_attributes(line, attributes) for line in (*made, *forward.body)]
    used = variables_in(ast.parse("def f():\n" + "\n".join(f"    {line}" for line in work)))
    body = Lines()
    for name, value in frozen.items():
        body.add(*guard(f"{first}.shape[{sizes[name]}]" if name in sizes else name, value, False, ()))
    work[:0] = sizes_of(first, {own[n]: axis for n, axis in sizes.items() if own[n] in used and n not in frozen})
    for inner, name in zip(forward.inputs, [p.arg for p in (*node.args.posonlyargs, *node.args.args)]):
        if name != inner and re.search(rf"\b{name}\b", traced.text):
            work.insert(0, f"{inner} = {name}")
        else:
            work = [renamed_variable(line, inner, name) for line in work]
    body.add(*work)
    return function_text(node, "Tensor", body, known)


def maker_text(
    node: ast.FunctionDef,
    inner: ast.FunctionDef,
    traced: Traced,
    frozen: Mapping[str, Any],
    frozen_inner: Mapping[str, Any],
    known: set[str],
) -> str:
    """The function `node`, which makes and returns the function `inner` on tensors.

    The parameters of `node` are `frozen` where a value is all it is made for, those of `inner` `frozen_inner`.
    """
    forward = traced.forward()
    own = traced.own_names(forward.bound)
    given = {p: with_names(code, own) for p, code in traced.values.items()}
    attributes = {n: given[p] for n, p in forward.values.items()}
    body = Lines()
    for name, value in frozen.items():
        body.add(*guard(name, value))
    body.add(*traced.statics(own))
    made = [(n, with_names(code, given)) for n, code in forward.setup]
    others = [*attributes.values(), *forward.inputs, *forward.bound, inner.name]
    for name, code in made:
        elsewhere = {*others, *(w for n, c in made if n != name for w in re.findall(r"\w+", c))}
        variable = f"{name}_tensor" if name in elsewhere else name
        if name:
            attributes[name] = f"{variable}.to({forward.inputs[-1]}.device)" if name in forward.tensors else variable
        body.add(f"{variable} = {code}" if name else code)
    work = Lines()
    for name, value in frozen_inner.items():
        work.add(*guard(name, value))
    work.add(*(with_attributes(line, attributes) for line in forward.body))
    body.add(*([""] if body.lines else []), *function_text(inner, "Tensor", work, known).split("\n"), "")
    body.add(f"return {inner.name}")
    return function_text(node, "", body, known)


def method_lines(traced: Traced, receiver: str) -> list[str]:
    """The body of a method on tensors: the values are attributes of its object, the `receiver`."""
    forward = traced.forward(traced.values.values())
    own = traced.own_names(forward.bound)
    held = {v: own.get(v, f"{receiver}.{v}") for v in traced.values.values()}
    given = {p: held[v] for p, v in traced.values.items()}
    attributes = {n: n for n in forward.constants} | {n: given[p] for n, p in forward.values.items()}
    made = [with_names(line, held) for line in traced.statics(own)]
    made += forward.made([(n, with_names(code, given)) for n, code in forward.setup], forward.inputs[-1])
    return [with_attributes(line, attributes) for line in (*made, *forward.body)]


def on_device(code: str, tensor: str) -> str:
    """A constant on the device of a tensor."""
    called = re.fullmatch(r"[\w.]+\((?:[^()]|\([^()]*\))*\)", code)
    return f"{code if called else f'({code})'}.to({tensor}.device)"


def with_names(line: str, names: Mapping[str, str]) -> str:
    """A line with other names for variables."""
    return NAME.sub(lambda m: names.get(m[0], m[0]), line)


def with_attributes(line: str, attributes: Mapping[str, str]) -> str:
    return re.sub(r"\bself\.(\w+)", lambda m: attributes.get(m[1], m[0]), line)


def renamed_variable(line: str, old: str, new: str) -> str:
    return re.sub(rf"(?<![\w.]){old}(?!\w)", new, line)


def function_text(node: ast.FunctionDef, returns: str, body: Lines, known: set[str]) -> str:
    doc = ast.get_docstring(node, clean=False)
    head = signature(node, returns, known)
    return render("factory", signature=head, doc=[] if doc is None else doc_lines(doc), body=body.lines)


def sizes_of(tensor: str, axes: dict[str, int]) -> list[str]:
    """`height, width = x.shape[1:3]`: what binds variables to the sizes of a tensor, by their axes."""
    ordered = sorted(axes, key=lambda n: axes[n])
    places = [axes[n] for n in ordered]
    if len(places) > 1 and places == list(range(places[0], places[-1] + 1)):
        return [f"{', '.join(ordered)} = {tensor}.shape[{places[0]}:{places[-1] + 1}]"]
    return [f"{name} = {tensor}.shape[{axis}]" for name, axis in zip(ordered, places)]
