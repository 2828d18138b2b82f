"""Functions on tensors in code with tapes."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import ApiValue
from transpiler.ir.shape import Shape, TensorType
from transpiler.read.keras.evaluate.values import Unknown
from transpiler.rules.ops import op_rules
from transpiler.rules.ops.base import Operand
from transpiler.training.tape_values import PLAIN, Data, Several, Tensor, enclosed, tidy

if TYPE_CHECKING:
    from transpiler.training.tape import TapeWriter

RANKS: tuple[Shape, ...] = ((None,), (None, 7), (None, 7, 9), (None, 7, 9, 5))
"""Shapes that a function of a tensor of unknown rank is tried with."""
SUMS = ("tensorflow.add_n", "tensorflow.reduce_sum", "tensorflow.math.add_n")
DRAWS = {
    "tensorflow.random.normal": "torch.randn",
    "random.normal": "torch.randn",
}


class Functions:
    """The part of a region that calls functions of Keras and TensorFlow."""

    writer: TapeWriter
    see: Any
    want: Any
    text: Any
    become: Any
    let_go: Any
    decline: Any
    value_of: Any
    arguments: Any
    losses_of: Any
    penalty: Any

    def api_call(self, node: ast.Call, value: ApiValue) -> Any:
        path = value.path.removeprefix("keras.")
        if path in SUMS and len(node.args) == 1 and (found := self.losses_of(node.args[0])):
            return self.penalty(node, found)
        arguments = [*node.args, *(k.value for k in node.keywords)]
        roles = [self.see(a) for a in arguments]
        if path in ("tensorflow.print", "print"):
            for argument, role in zip(arguments, roles):
                self.let_go(argument, role)
            self.become(node.func, "print")
            return PLAIN
        if path in DRAWS and not any(isinstance(r, Tensor) for r in roles):
            return self.drawn(node, DRAWS[path])
        leaf = path.rpartition(".")[2]
        rule = op_rules().get(path)
        if not any(isinstance(r, Tensor) for r in roles) or rule is None:
            if any(isinstance(r, Tensor) for r in roles) or leaf[:1].isupper() or path.startswith("tensorflow."):
                raise self.decline(node, f"{ast.unparse(node.func)}() beside a tape is not translated")
            return Data()
        places: list[ast.expr] = []
        items: dict[ast.expr, Any] = {}
        for argument, role in zip(arguments, roles):
            if isinstance(role, (Tensor, Data)):
                if isinstance(role, Data):
                    self.want(argument, role, "torch.float32")
                places.append(argument)
                items[argument] = role
            elif isinstance(role, Several):
                raise self.decline(argument, "lists of tensors beside a tape are not translated")
        shapes = [items[p].shape if isinstance(items[p], Tensor) else None for p in places]
        texts = [self.text(p) for p in places]
        kinds: set[tuple[str, Any]] = set()
        known_shapes = [s for s in shapes if s is not None]
        for rank in RANKS if None in shapes else ((),):
            tried = [rank if s is None else s for s in shapes]
            if None in shapes and known_shapes and len(rank) < max(map(len, known_shapes)):
                continue
            kinds.add(self.lowered(node, rule, path, places, tried, texts))
        if len({text for text, _ in kinds}) != 1:
            raise self.decline(node, f"{ast.unparse(node.func)}() of a tensor of unknown shape is not translated")
        text = next(iter(kinds))[0]
        results = {shape for _, shape in kinds}
        self.become(node, text)
        learns = any(isinstance(r, Tensor) and r.learns for r in roles)
        return Tensor(results.pop() if len(results) == 1 else None, learns)

    def lowered(
        self, node: ast.Call, rule: Any, path: str, places: list[ast.expr], shapes: list[Any], texts: list[str]
    ) -> tuple[str, Shape]:
        """The text of a function on tensors of these shapes, and the shape of its result."""

        def taken(argument: ast.expr) -> Any:
            if argument in places:
                i = places.index(argument)
                return Operand(i, TensorType(tuple(shapes[i]), "float32"))
            value = argument.value if isinstance(argument, ast.Constant) else self.value_of(argument)
            if value is None and not isinstance(argument, ast.Constant) or isinstance(value, Unknown):
                raise self.decline(argument, f"{ast.unparse(argument)} has to be known here")
            return value

        positional = [taken(a) for a in node.args]
        named = {str(k.arg): taken(k.value) for k in node.keywords}
        try:
            lowering = rule.lower(path, rule.bind(path, positional, named, self.writer.generation))
        except (Declined, TypeError, AttributeError, KeyError, IndexError) as error:
            raise self.decline(node, f"{ast.unparse(node.func)}(): {error}") from None
        text = "{0}"
        for i, step in enumerate(lowering.steps):
            if step.fn is None or "{self}" in step.fn or i and step.takes:
                raise self.decline(node, f"{ast.unparse(node.func)}() beside a tape is not translated")
            for helper in step.helpers:
                self.writer.need(helper)
            given = [text] if i else texts
            text = without_all_axes(step.fn.format(*map(enclosed, given)), len(shapes[0]))
        if lowering.outputs or len(lowering.types) != 1:
            raise self.decline(node, f"{ast.unparse(node.func)}() beside a tape is not translated")
        return tidy(text), lowering.types[0].shape

    def drawn(self, node: ast.Call, function: str) -> Any:
        """Random numbers of a shape."""
        given = self.arguments(node, ("shape",))
        shape = given.get("shape")
        sizes = shape.elts if isinstance(shape, (ast.List, ast.Tuple)) else []
        if not sizes:
            raise self.decline(node, "the shape of what is drawn has to be written out")
        self.become(node, f"{function}({', '.join(map(ast.unparse, sizes))}, device={self.writer.device})")
        values = [self.value_of(s) for s in sizes]
        return Tensor(tuple(v if type(v) is int else None for v in values))


def without_all_axes(text: str, rank: int) -> str:
    """A reduction over all axes of a tensor, without their list."""
    axes = "0" if rank == 1 else f"({', '.join(map(str, range(rank)))})"
    return text.replace(f"(dim={axes})", "()") if rank else text
