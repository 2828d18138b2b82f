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
    node: ast.FunctionDef,
    text: str,
    prologue: Block,
    values: dict[str, str],
    sizes: dict[str, int],
    frozen: dict[str, Any],
    printed: dict[str, str],
    known: set[str],
) -> str:
    """The function `node` on tensors: what `forward` of the class in `text` does.

    `values` are what the parameters of the class stand for: variables of `prologue`, which computes with the `sizes` of the one
    input (the names for them → their axes), and parameters. `frozen` are the values of others and of sizes that it is made for.
    """
    named = (*sizes, *bound_names(prologue))
    forward = forward_of(text, values, {*values.values()} - {*named})
    first = forward.inputs[0]
    own = own_names(named, printed, forward.bound)
    made = statics(prologue, own)
    made += forward.made(forward.setup, first)
    attributes = {n: n for n in forward.constants} | {
        n: own.get(values[p], values[p]) for n, p in forward.values.items()
    }
    work = [with_attributes(line, attributes) for line in (*made, *forward.body)]
    used = variables_in(ast.parse("def f():\n" + "\n".join(f"    {line}" for line in work)))
    body = Lines()
    for name, value in frozen.items():
        body.add(*guard(f"{first}.shape[{sizes[name]}]" if name in sizes else name, value, False, ()))
    work[:0] = sizes_of(first, {own[n]: axis for n, axis in sizes.items() if own[n] in used and n not in frozen})
    for inner, name in zip(forward.inputs, [p.arg for p in (*node.args.posonlyargs, *node.args.args)]):
        if name != inner and re.search(rf"\b{name}\b", text):
            work.insert(0, f"{inner} = {name}")
        else:
            work = [renamed_variable(line, inner, name) for line in work]
    body.add(*work)
    return function_text(node, "Tensor", body, known)


def maker_text(
    node: ast.FunctionDef,
    inner: ast.FunctionDef,
    text: str,
    prologue: Block,
    values: dict[str, str],
    frozen: dict[str, Any],
    frozen_inner: dict[str, Any],
    printed: dict[str, str],
    known: set[str],
) -> str:
    """The function `node`, which makes and returns a function on tensors: what `forward` of the class in `text` does.

    `values` are what the parameters of the class stand for: variables of `prologue`, and parameters of `node`, which are
    `frozen` where a value is all it is made for. `frozen_inner` are those of the function that it returns.
    """
    named = bound_names(prologue)
    forward = forward_of(text, values, {*values.values()} - {*named})
    own = own_names(named, printed, forward.bound)
    attributes = {n: own.get(values[p], values[p]) for n, p in forward.values.items()}
    body = Lines()
    for name, value in frozen.items():
        body.add(*guard(name, value))
    body.add(*statics(prologue, own))
    given = {p: own.get(code, code) for p, code in values.items()}
    made = [(n, re.sub(r"(?<![\w.])\w+", lambda m: given.get(m[0], m[0]), code)) for n, code in forward.setup]
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


def method_lines(
    text: str, prologue: Block, values: dict[str, str], printed: dict[str, str], receiver: str
) -> list[str]:
    """The body of a method on tensors: `values` are what the parameters of the class stand for, attributes of its object."""
    named = bound_names(prologue)
    forward = forward_of(text, values, ())
    own = own_names(named, printed, forward.bound)
    held = {v: own.get(v, f"{receiver}.{v}") for v in values.values()}
    given = {p: held[v] for p, v in values.items()}
    attributes = {n: n for n in forward.constants} | {n: held[values[p]] for n, p in forward.values.items()}
    made = [re.sub(r"(?<![\w.])\w+", lambda m: held.get(m[0], m[0]), line) for line in statics(prologue, own)]
    setup = [(n, re.sub(r"(?<![\w.])\w+", lambda m: given.get(m[0], m[0]), code)) for n, code in forward.setup]
    made += forward.made(setup, forward.inputs[-1])
    return [with_attributes(line, attributes) for line in (*made, *forward.body)]


def on_device(code: str, tensor: str) -> str:
    """A constant on the device of a tensor."""
    called = re.fullmatch(r"[\w.]+\((?:[^()]|\([^()]*\))*\)", code)
    return f"{code if called else f'({code})'}.to({tensor}.device)"


def own_names(names: Collection[str], printed: Mapping[str, str], bound: set[str]) -> dict[str, str]:
    """How static variables are called beside tensors that are `bound` to variables."""
    plain = {n: shown(n, printed) for n in names}
    return {n: f"{name}_0" if name in bound else name for n, name in plain.items()}


def statics(prologue: Block, own: Mapping[str, str]) -> list[str]:
    made = Lines()
    statements(prologue, made, dict(own))
    return [re.sub(r"\w+", lambda m: own.get(m[0], m[0]), line) for line in made.lines]


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
