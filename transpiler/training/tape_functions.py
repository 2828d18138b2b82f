"""Functions on tensors in code with tapes."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import ApiValue
from transpiler.ir.program import Value
from transpiler.ir.shape import Shape
from transpiler.rules.base import parse_signature
from transpiler.rules.ops import op_rules
from transpiler.rules.ops.base import dtype_name
from transpiler.rules.training.registry import LossRule, training_rules
from transpiler.training.tape_gradient_lists import ELEMENTWISE
from transpiler.training.tape_lowered import Lowered
from transpiler.training.tape_values import PLAIN, Data, Several, Size, Tensor

if TYPE_CHECKING:
    from transpiler.training.tape import TapeWriter

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
CONSTANTS = {
    "tensorflow.constant": "value, dtype=None, shape=None, name=None",
    "tensorflow.convert_to_tensor": "value, dtype=None, dtype_hint=None, name=None",
    "ops.convert_to_tensor": "x, dtype=None, sparse=None, ragged=None",
}
CASTS = ("tensorflow.cast", "ops.cast")
WANTED = {"float32": "torch.float32", "int32": "torch.long", "int64": "torch.long"}


class Functions(Lowered):
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
    want: Any
    is_none: Any
    of_elements: Any
    check_norms: Any

    def api_call(self, node: ast.Call, value: ApiValue) -> Any:
        path = value.path.removeprefix("keras.")
        if node in self.writer.training.pipelines.pipelines:
            self.become(node, self.writer.training.pipelines.text(node))
            return Data()
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
        if path in SHAPES and len(node.args) == 1 and isinstance(roles[0], (Tensor, Data)):
            self.become(node, f"{self.atom(node.args[0])}.shape")
            return Size(roles[0].shape)
        if (
            path in (f"ops.{leaf}", f"tensorflow.{leaf}")
            and leaf in MAKES
            and not any(isinstance(r, Tensor) for r in roles)
        ):
            return self.made(node, MAKES[leaf])
        if path in CONSTANTS and not isinstance(roles[0], Tensor):
            return self.constant(node, path, roles[0])
        if path in CASTS and isinstance(roles[0], Data) and roles[0].place is not None:
            return self.cast(node, roles[0])
        if path.startswith(("losses.", "metrics.")) and leaf in training_rules(LossRule):
            return self.loss_value(node, value)
        if path == "tensorflow.clip_by_norm" and self.of_elements and len(node.args) == 2 and not node.keywords:
            self.check_norms(node, self.of_elements, True)
            item, limit = self.atom(node.args[0]), self.text(node.args[1])
            self.become(node, f"{item} * ({limit} / {item}.norm().clamp(min={limit}))")
            return roles[0]
        rule = op_rules().get(path)
        if "crossentropy" in leaf and any(isinstance(r, Tensor) and r.ending for r in roles):
            raise self.decline(node, f"{leaf}() of probabilities, whose logits Keras takes, is not translated")
        flat = [i for r in roles for i in (r.items if isinstance(r, Several) else (r,))]
        if rule is None or not any(isinstance(r, (Tensor, Data)) for r in flat):
            if any(isinstance(r, Tensor) for r in flat) or leaf[:1].isupper() or path.startswith("tensorflow."):
                raise self.decline(node, f"{ast.unparse(node.func)}() beside a tape is not translated")
            return Data()
        if self.of_elements and (leaf not in ELEMENTWISE or any(k.arg == "axis" for k in node.keywords)):
            raise self.decline(node, f"{ast.unparse(node.func)}() of gradients is not translated")
        return self.of_tensors(node, rule, path, roles)

    def drawn(self, node: ast.Call, function: str, signature: str) -> Any:
        """Random numbers of a shape."""
        parameters = parse_signature(signature).parameters
        given = self.arguments(node, tuple(parameters))
        numbers = [n for n in parameters][1:3]
        start, end = (self.value_of(given[n]) if n in given else parameters[n].default for n in numbers)
        dtype = self.dtype_of(given.get("dtype"))
        if not all(isinstance(v, (int, float)) for v in (start, end)) or dtype not in ("", "float32"):
            raise self.decline(node, "the numbers that say what is drawn have to be known")
        text, role = self.of_shape(node, given.get("shape"), function)
        width = end if function == "torch.randn" else end - start
        text = f"{width!r} * {text}" if width != 1 else text
        self.become(node, f"{start!r} + {text}" if start else text)
        return role

    def made(self, node: ast.Call, function: str) -> Any:
        """Ones or zeros."""
        given = self.arguments(node, ("shape", "dtype", "name"))
        if self.dtype_of(given.get("dtype")) not in ("", "float32"):
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

    def constant(self, node: ast.Call, path: str, role: Any) -> Tensor:
        """A tensor of numbers that the program has: written out, or in an array."""
        given = self.arguments(node, tuple(parse_signature(CONSTANTS[path]).parameters))
        value = node.args[0] if node.args else None
        if value is None or set(given) - {"value", "x", "dtype", "name"}:
            raise self.decline(node, f"this call of {ast.unparse(node.func)}() is not translated")
        dtype = self.dtype_of(given.get("dtype"))
        if isinstance(role, Data) and role.place is not None:
            return self.cast(node, role) if dtype else self.as_it_is(node, value, role)
        if isinstance(role, Several):
            for item, inner in zip(value.elts, role.items):  # type: ignore[attr-defined]
                if isinstance(inner, (Tensor, Data)):
                    raise self.decline(item, "a tensor made of others here is not translated")
        numbers = [n for n in ast.walk(value) if isinstance(n, ast.Constant)]
        written = not any(isinstance(n, (ast.Name, ast.Call)) for n in ast.walk(value)) and bool(numbers)
        kind = {int: "int64", float: "float32", bool: "bool"}
        own = ""
        if written:
            found = {kind.get(type(n.value), "") for n in numbers}
            own = "float32" if found == {"int64", "float32"} else found.pop() if len(found) == 1 else ""
            if not own:
                raise self.decline(node, f"{ast.unparse(value)} as a tensor is not translated")
        known = self.known_array(value)
        own = own or (known.known if known is not None else "")
        shape = known.shape if known is not None else shape_written(value)
        statement = self.writer.training.scopes.statement[node]
        target = statement.targets[0] if isinstance(statement, ast.Assign) and statement.value is node else None
        bound = self.value_of(target) if isinstance(target, ast.Name) and target.id not in self.roles else None
        shape = bound.type.shape if shape is None and isinstance(bound, Value) else shape
        self.let_go(value, role)
        option = f", dtype=torch.{dtype}" if dtype and (dtype != own or not written) else ""
        function = "torch.tensor" if isinstance(value, (ast.List, ast.Tuple, ast.Constant)) else "torch.as_tensor"
        self.become(node, f"{function}({self.text(value)}{option}, device={self.writer.device})")
        if dtype or own:
            return Tensor(shape, dtype=dtype or own)
        return Tensor(shape, source=Data(shape=shape), dtype="")

    def cast(self, node: ast.Call, role: Data) -> Tensor:
        """Data as a tensor of a type, which it gets where it is bound."""
        value = node.args[0]
        given = self.arguments(node, ("x", "dtype", "name"))
        dtype = self.dtype_of(given.get("dtype"))
        if not dtype or dtype not in WANTED:
            raise self.decline(node, f"this call of {ast.unparse(node.func)}() is not translated")
        self.become(node, self.want(value, role, WANTED[dtype]))
        return Tensor(role.shape, dtype="int64" if dtype == "int32" else dtype)

    def as_it_is(self, node: ast.Call, value: ast.expr, role: Data) -> Tensor:
        """Data as a tensor of the type that its other uses give it."""
        role.bare = True
        self.become(node, self.text(value))
        return Tensor(role.shape, source=role, dtype="")

    def dtype_of(self, node: ast.expr | None) -> str:
        """The name of a dtype that is given as an argument; "" for none."""
        if node is None or self.is_none(node):
            return ""
        value = self.value_of(node)
        try:
            name = dtype_name(value) if value is not None else ""
        except Declined:
            name = ""
        if not name or isinstance(value, str) and value == "float64" or getattr(value, "leaf", "") == "float64":
            raise self.decline(node, f"the type {ast.unparse(node)} is not translated here")
        return {"float": "float32"}.get(name, name)


def shape_written(node: ast.expr) -> Shape | None:
    """The shape of numbers that are written out; None for others."""
    if isinstance(node, (ast.List, ast.Tuple)):
        inner = {shape_written(n) for n in node.elts}
        only = inner.pop() if len(inner) == 1 else None
        return (len(node.elts), *only) if only is not None else None
    if isinstance(node, ast.UnaryOp):
        return shape_written(node.operand)
    return () if isinstance(node, ast.Constant) or isinstance(node, ast.Attribute) and node.attr == "pi" else None


def makes_tensors(path: str) -> bool:
    """Whether a function of TensorFlow or Keras makes tensors of what it is given."""
    own = path.removeprefix("keras.")
    return own in op_rules() or own in DRAWS or own in CONSTANTS
