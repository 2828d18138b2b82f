"""Tensors that are made of known values: buffers of the class under construction."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import Any

from transpiler.ir.model import Lowering
from transpiler.ir.naming import GLOBALS
from transpiler.ir.program import Member, Value
from transpiler.ir.statics import names_in_code


@dataclass(eq=False)
class Constant(Value):
    """A tensor with the text of the expression that makes it in the constructor."""

    text: str = ""
    data: Any = None
    """The numbers, where the program wrote them out: shapes and paddings are such constants."""
    home: Any = None
    """The class under construction that holds it."""
    member: Member = field(default_factory=lambda: Member("", "constant"))

    variable: str = ""
    """The constructor's variable that holds it, where the program gave it a name."""

    def __repr__(self) -> str:
        return self.text or super().__repr__()

    def open_names(self) -> frozenset[str]:
        """The names of the constructor that its text reads."""
        return names_in_code(self.text) - GLOBALS


class _Fill(ast.NodeTransformer):
    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def visit_Name(self, node: ast.Name) -> ast.expr:
        place = re.fullmatch(r"_arg_(\d+)_", node.id)
        return ast.parse(self.texts[int(place.group(1))], mode="eval").body if place else node


def folded(lowering: Lowering, texts: list[str]) -> list[str] | None:
    """The expressions that a lowering makes of constants; None if it has to stay in `forward`."""
    steps = lowering.steps
    if not steps or any(s.fn is None or s.helpers or s.module for s in steps):
        return None
    for step in steps:
        texts = [filled(step.fn or "", texts)]
    return [filled(t, texts) for t in lowering.outputs] if lowering.outputs else texts


def filled(template: str, texts: list[str]) -> str:
    """A template with expressions in its places, in parentheses where precedence asks for them."""
    tree = ast.parse(re.sub(r"\{(\d+)\}", r"_arg_\1_", template), mode="eval").body
    return ast.unparse(_Fill(texts).visit(tree))
