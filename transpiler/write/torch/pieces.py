"""Pieces of generated text: lines with indentation, templates of steps, small statements."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from transpiler.ir.expr import Sym, code_of, is_open
from transpiler.ir.facts import opposite
from transpiler.ir.naming import identifier
from transpiler.ir.program import (
    Branch,
    Construction,
    Let,
    ModuleClass,
    Param,
    tensors,
)
from transpiler.ir.trees import nodes
from transpiler.rules.base import call

VERSION = re.compile(r"\b(\w+?)__v(\d+)\b")
"""A static variable of the staged program, as the stager numbers it."""

MAX_POSITIONAL = 3


def shown(text: str, printed: Mapping[str, str]) -> str:
    """A text with its numbered variables as `printed` says, the others by their plain names."""
    return VERSION.sub(lambda m: printed.get(m.group(0), m.group(1)), text)


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


def template_of(text: str) -> ast.expr:
    """A step's template as an expression, its places named `_arg_0_`."""
    return ast.parse(re.sub(r"\{(\w+)\}", r"_arg_\1_", text), mode="eval").body


class _Fill(ast.NodeTransformer):
    def __init__(self, values: dict[str, ast.expr]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.values.get(node.id, node)


def fill(template: str, **values: ast.expr) -> ast.expr:
    """`{0}.mean(dim=1)` with its places filled in, parentheses where precedence asks for them."""
    node = template_of(template)
    named = {f"_arg_{k.removeprefix('p')}_": v for k, v in values.items()}
    named |= {k.removeprefix("p"): v for k, v in values.items() if not k.removeprefix("p").isdigit() and k != "self"}
    return _Fill(named).visit(node)


def fill_args(template: str, args: Iterable[ast.expr]) -> ast.expr:
    return fill(template, **{f"p{i}": a for i, a in enumerate(args)})


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
    node = test.expr
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return ast.unparse(node.operand)
    return ast.unparse(opposite(node))


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
    if is_chain(otherwise, out.level + 1):
        out.add("el" + otherwise[0].strip())
        out.lines += [line[4:] for line in otherwise[1:]]
    else:
        out.add("else:")
        out.lines += otherwise


def is_chain(lines: list[str], level: int) -> bool:
    """Whether the lines of a side are a single `if`, with what belongs to it."""
    indent = "    " * level
    own = [line for line in lines if line.startswith(indent) and not line.startswith(indent + " ")]
    parts = (indent + "elif ", indent + "else:")
    return bool(own) and own[0].startswith(indent + "if ") and all(line.startswith(parts) for line in own[1:])


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
    if isinstance(op.value, Construction):
        return f"{op.name} = {construction_code(op.value.cls, op.value.values)}"
    value = op.value.expr if isinstance(op.value, Sym) else None
    longer = isinstance(value, ast.List) and len(value.elts) == 2 and isinstance(value.elts[0], ast.Starred)
    if longer and ast.unparse(value.elts[0].value) == op.name:
        return f"{op.name}.append({ast.unparse(value.elts[1])})"
    return f"{op.name} = {code_of(op.value)}"


def flag_name(op: Branch) -> str:
    """The attribute under which `forward` finds the outcome of a test made in the constructor."""
    keys = [
        n.slice.value for n in nodes(op.test.expr) if isinstance(n, ast.Subscript) and isinstance(n.slice, ast.Constant)
    ]
    named = [k for k in keys if isinstance(k, str) and k.isidentifier()]
    names = named or [n.id for n in nodes(op.test.expr) if isinstance(n, ast.Name)]
    subject = VERSION.sub(r"\1", names[0]) if names else identifier(op.phis[0][0].hint)
    return subject if subject.startswith(("use_", "has_", "include_", "is_", "with_", "no_")) else f"use_{subject}"


@functools.lru_cache(maxsize=1024)
def names_of(code: str) -> frozenset[str]:
    return frozenset(re.findall(r"[A-Za-z_]\w*", code))


def appended(code: str, made: list[int], name: str) -> str:
    """`code` with the submodules that an iteration appended to the list `name` read from there; `made` has their ids."""
    for place, number in enumerate(reversed(made), start=1):
        code = code.replace(f"member__{number}.", f"{name}[-{place}].")
    return code
