"""Functions on tensors in code with tapes."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import ApiValue
from transpiler.ir.shape import Shape, TensorType
from transpiler.read.keras.evaluate.values import Unknown
from transpiler.rules.base import parse_signature
from transpiler.rules.ops import op_rules
from transpiler.rules.ops.base import Operand
from transpiler.rules.training.registry import LossRule, training_rules
from transpiler.training.tape_values import PLAIN, Data, Several, Size, Tensor, enclosed, tidy

if TYPE_CHECKING:
    from transpiler.training.tape import TapeWriter

RANKS: tuple[Shape, ...] = ((None,), (None, 7), (None, 7, 9), (None, 7, 9, 5))
"""Shapes that a function of a tensor of unknown rank is tried with."""
SUMS = ("tensorflow.add_n", "tensorflow.reduce_sum", "tensorflow.math.add_n")
DRAWS = {
    "tensorflow.random.normal": ("torch.randn", "shape, mean=0.0, stddev=1.0, dtype=None, seed=None, name=None"),
    "random.normal": ("torch.randn", "shape, mean=0.0, stddev=1.0, dtype=None, seed=None"),
    "tensorflow.random.uniform": ("torch.rand", "shape, minval=0, maxval=1, dtype=None, seed=None, name=None"),
    "random.uniform": ("torch.rand", "shape, minval=0, maxval=1, dtype=None, seed=None"),
}
"""Functions that draw numbers, with their arguments: the first two numbers are the start, and the width or the end."""
MAKES = {"ones": "torch.ones", "zeros": "torch.zeros"}
SHAPES = ("tensorflow.shape", "ops.shape")
NONE = ast.Constant(None)


class Functions:
    """The part of a region that calls functions of Keras and TensorFlow."""

    writer: TapeWriter
    see: Any
    taken: Any
    loss_value: Any
    text: Any
    atom: Any
    become: Any
    let_go: Any
    decline: Any
    value_of: Any
    arguments: Any
    losses_of: Any
    penalty: Any

    def api_call(self, node: ast.Call, value: ApiValue) -> Any:
        path = value.path.removeprefix("keras.")
        if path in SUMS and len(node.args) == 1 and self.losses_of(node.args[0]):
            return self.penalty(node)
        arguments = [*node.args, *(k.value for k in node.keywords)]
        roles = [self.see(a) for a in arguments]
        if path in ("tensorflow.print", "print"):
            for argument, role in zip(arguments, roles):
                self.let_go(argument, role)
            self.become(node.func, "print")
            return PLAIN
        if path in DRAWS and not any(isinstance(r, Tensor) for r in roles):
            return self.drawn(node, *DRAWS[path])
        leaf = path.rpartition(".")[2]
        if path in SHAPES and len(node.args) == 1 and isinstance(roles[0], Tensor):
            self.become(node, f"{self.atom(node.args[0])}.shape")
            return Size(roles[0].shape)
        if (
            path in (f"ops.{leaf}", f"tensorflow.{leaf}")
            and leaf in MAKES
            and not any(isinstance(r, Tensor) for r in roles)
        ):
            return self.made(node, MAKES[leaf])
        if path.startswith(("losses.", "metrics.")) and leaf in training_rules(LossRule):
            return self.loss_value(node, value)
        rule = op_rules().get(path)
        if "crossentropy" in leaf and any(isinstance(r, Tensor) and r.ending for r in roles):
            raise self.decline(node, f"{leaf}() of probabilities, whose logits Keras takes, is not translated")
        flat = [i for r in roles for i in (r.items if isinstance(r, Several) else (r,))]
        if not any(isinstance(r, Tensor) for r in flat) or rule is None:
            if any(isinstance(r, Tensor) for r in flat) or leaf[:1].isupper() or path.startswith("tensorflow."):
                raise self.decline(node, f"{ast.unparse(node.func)}() beside a tape is not translated")
            return Data()
        places: list[ast.expr] = []
        items: dict[ast.expr, Any] = {}
        for argument, role in zip(arguments, roles):
            inner = list(zip(argument.elts, role.items)) if isinstance(role, Several) else [(argument, role)]  # type: ignore[attr-defined]
            for item, own in inner:
                if isinstance(own, (Tensor, Data)):
                    self.taken(item, own, "torch.float32")
                    places.append(item)
                    items[item] = own
                elif isinstance(role, Several):
                    raise self.decline(argument, "this list beside a tape is not translated")
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
        learns = any(isinstance(r, Tensor) and r.learns for r in flat)
        return Tensor(results.pop() if len(results) == 1 else None, learns)

    def lowered(
        self, node: ast.Call, rule: Any, path: str, places: list[ast.expr], shapes: list[Any], texts: list[str]
    ) -> tuple[str, Shape]:
        """The text of a function on tensors of these shapes, and the shape of its result."""

        def taken(argument: ast.expr) -> Any:
            if isinstance(argument, (ast.List, ast.Tuple)) and any(item in places for item in argument.elts):
                return [taken(item) for item in argument.elts]
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

    def drawn(self, node: ast.Call, function: str, signature: str) -> Any:
        """Random numbers of a shape."""
        parameters = parse_signature(signature).parameters
        given = self.arguments(node, tuple(parameters))
        numbers = [n for n in parameters][1:3]
        start, end = (self.value_of(given[n]) if n in given else parameters[n].default for n in numbers)
        if not all(isinstance(v, (int, float)) for v in (start, end)) or self.value_of(
            given.get("dtype", NONE)
        ) not in (None, "float32"):
            raise self.decline(node, "the numbers that say what is drawn have to be known")
        text, role = self.of_shape(node, given.get("shape"), function)
        width = end if function == "torch.randn" else end - start
        text = f"{width!r} * {text}" if width != 1 else text
        self.become(node, f"{start!r} + {text}" if start else text)
        return role

    def made(self, node: ast.Call, function: str) -> Any:
        """Ones or zeros."""
        given = self.arguments(node, ("shape", "dtype", "name"))
        if self.value_of(given.get("dtype", NONE)) not in (None, "float32"):
            raise self.decline(node, "a tensor of another type than float32 is not translated here")
        text, role = self.of_shape(node, given.get("shape"), function)
        self.become(node, text)
        return role

    def of_shape(self, node: ast.Call, shape: ast.expr | None, function: str) -> tuple[str, Tensor]:
        """A call of a function that makes a tensor of a shape that is written out, or is that of a tensor."""
        role = self.see(shape) if shape is not None else None
        if isinstance(role, Size):
            text = self.text(shape)
            return f"{function}_like({text.removesuffix('.shape')})", Tensor(role.shape)
        sizes = shape.elts if isinstance(shape, (ast.List, ast.Tuple)) else []
        if not sizes:
            raise self.decline(node, "the shape of what is drawn has to be written out")
        values = [self.value_of(s) for s in sizes]
        shown = tuple(v if type(v) is int else None for v in values)
        return f"{function}({', '.join(map(self.text, sizes))}, device={self.writer.device})", Tensor(shown)


def without_all_axes(text: str, rank: int) -> str:
    """A reduction over all axes of a tensor, without their list."""
    axes = "0" if rank == 1 else f"({', '.join(map(str, range(rank)))})"
    return text.replace(f"(dim={axes})", "()") if rank else text
