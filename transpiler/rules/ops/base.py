"""What a rule for a function on tensors is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from transpiler.diagnostics import Declined
from transpiler.ir.expr import Sym, code_of
from transpiler.ir.model import ApiValue, Args, Lowering, Step
from transpiler.ir.shape import Layout, Shape, TensorType
from transpiler.rules.base import parse_signature, renamed, show

SIZE = "size"
"""The dtype of a size read at run time (`tf.shape(x)[0]`): a Python number in the generated code, of rank 0."""

HOMES = ("backend", "ops", "ops.numpy", "ops.nn", "tensorflow", "tensorflow.math", "tensorflow.nn", "tensorflow.linalg")
"""Where functions on tensors are usually found, without the leading `keras.`."""


def paths(*leaves: str) -> tuple[str, ...]:
    """The functions of these names in their usual homes."""
    return tuple(f"{home}.{leaf}" for leaf in leaves for home in HOMES)


def numpy_paths(*leaves: str) -> tuple[str, ...]:
    """The functions of numpy of these names in `keras.ops`."""
    return tuple(f"{home}.{leaf}" for leaf in leaves for home in ("ops", "ops.numpy"))


@dataclass(frozen=True)
class Operand:
    """A tensor among the arguments of a function: its type, and its place `{0}`, `{1}` … in the steps."""

    index: int
    type: TensorType

    def __str__(self) -> str:
        return f"{{{self.index}}}"

    @property
    def shape(self) -> Shape:
        return self.type.shape

    @property
    def rank(self) -> int:
        return self.type.rank

    @property
    def dtype(self) -> str:
        return self.type.dtype


@dataclass(frozen=True)
class Example:
    """A call and the shapes of the tensors in it, batch included: a test in every generation that has the function.

    A shape that begins with a number and "ids" is of integers below that number; one that begins with "bool", of truths.
    """

    code: str
    inputs: dict[str, tuple[Any, ...]]


def example(code: str, **inputs: tuple[Any, ...]) -> Example:
    """An example; a tensor `x` of shape (2, 3, 4) if none is given."""
    return Example(code, inputs or {"x": (2, 3, 4)})


class OpRule:
    """One function on tensors, or a family of them: names, signature, shape rule, PyTorch form, examples."""

    names: ClassVar[tuple[str, ...]] = ()
    """Canonical paths without the leading `keras.`: `backend.exp`, `ops.exp`, `tensorflow.exp`."""
    signature: ClassVar[str] = "x"
    signatures: ClassVar[dict[str, str]] = {}
    """Signatures of single paths, or of all in a home (`backend`), where these differ."""
    renames: ClassVar[dict[str, str]] = {}
    """Names of arguments → the signature's."""
    inputs: ClassVar[tuple[str, ...]] = ("x",)
    """The arguments that are tensors (`xs`: a list of them); all others have to be known when the model is built."""
    literal: ClassVar[tuple[str, ...]] = ()
    """Those of them that stay lists where they are lists of numbers."""
    batched: ClassVar[bool] = False
    """Whether the first axis of the result is surely that of the tensors, where that is open."""
    creates: ClassVar[bool] = False
    """Whether it makes a tensor from values that are known when the model is built."""
    draws: ClassVar[bool] = False
    """Whether it draws random numbers, other ones in each call."""
    results: ClassVar[tuple[str, ...]] = ()
    """The names of the results, where there are several that have names."""
    any_layout: ClassVar[bool] = False
    """Whether it does the same in every layout."""
    examples: ClassVar[tuple[Example, ...]] = ()

    def bind(self, path: str, args: Sequence[Any], kwargs: dict[str, Any], generation: str) -> Args:
        home, _, leaf = path.rpartition(".")
        signature = parse_signature(self.signatures.get(path) or self.signatures.get(home) or self.signature)
        names = signature.parameters
        kwargs = renamed({k: v for k, v in kwargs.items() if k != "name"}, self.renames, names)
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise Declined("K2T102", f"{leaf}: {error}") from None
        given = frozenset(bound.arguments)
        bound.apply_defaults()
        return Args(dict(bound.arguments), given, generation)

    def wants(self, path: str, a: Args) -> Layout | tuple[Layout, ...] | None:
        """The layout the tensors must have, or that of each; None if any will do (those of one rank then share one)."""
        return None if self.any_layout else Layout.KERAS

    def lower(self, path: str, a: Args) -> Lowering:
        """The translation, where tensors among the arguments are `Operand`s."""
        raise NotImplementedError

    def keeps_batch(self, path: str, a: Args) -> bool:
        """Whether the first axis of this result is surely that of the tensors, where that is open."""
        return self.batched

    def number(self, path: str, a: Args) -> Any:
        """(function of Python, arguments) for a call on numbers alone; None if it has no such meaning.

        An operator is given by the name of its syntax node.
        """
        return None


def as_is(value: Any) -> Any:
    """What some functions do to numbers."""
    return value


def leaf_of(path: str) -> str:
    return path.rpartition(".")[2]


def home_of(path: str) -> str:
    return path.partition(".")[0]


def operands(value: Any) -> list[Operand]:
    """The tensors in an argument, in order."""
    if isinstance(value, Operand):
        return [value]
    if isinstance(value, (list, tuple)):
        return [o for v in value for o in operands(v)]
    return []


def tensor(a: Args, name: str = "x") -> Operand:
    """The argument `name`, which has to be a tensor."""
    value = a.get(name)
    if not isinstance(value, Operand) or value.dtype == SIZE:
        raise Declined("K2T103", f"{show_operand(value)} in place of a tensor is not translated")
    return value


def tensor_list(a: Args, name: str) -> list[Operand]:
    """The argument `name`, which has to be a list of tensors."""
    value = a.get(name)
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, Operand) and v.dtype != SIZE for v in value):
        raise Declined("K2T103", f"a list of tensors is needed, {show_operand(value)} is not translated")
    return list(value)


def show_operand(value: Any) -> str:
    if isinstance(value, Operand):
        return "a size that is read at run time" if value.dtype == SIZE else "a tensor"
    return "a list" if isinstance(value, (list, tuple)) else show(value)


def operand_text(value: Any) -> str:
    """A tensor, a Python number or a kept parameter as an operand of an expression."""
    if isinstance(value, Operand):
        return str(value)
    if isinstance(value, (Sym, int, float)):
        text = code_of(value)
        return text if text.isidentifier() or isinstance(value, (int, float)) and value >= 0 else f"({text})"
    raise Declined("K2T103", f"{show_operand(value)} as an operand of a tensor is not translated")


def size_text(value: Any) -> str:
    """A size as an argument: a number, a kept parameter, or a size read at run time."""
    if isinstance(value, Operand):
        if value.dtype != SIZE:
            raise Declined("K2T103", "a size computed by tensor operations is not translated")
        return str(value)
    if isinstance(value, (int, Sym)) and not isinstance(value, bool):
        return code_of(value)
    raise Declined("K2T103", f"{show(value)} as a size is not translated")


def sizes_text(values: Iterable[Any]) -> str:
    return ", ".join(map(size_text, values))


def size_of(value: Any) -> Any:
    """A size as an axis of a shape: open if it is read at run time."""
    return None if isinstance(value, Operand) else value


def axis_of(a: Args, rank: int, name: str = "axis") -> int:
    """The axis argument, which has to be one known axis, counted from the front."""
    axis = a.const(name)
    axis = axis[0] if isinstance(axis, (list, tuple)) and len(axis) == 1 else axis
    if type(axis) is not int:
        raise Declined("K2T103", f"{name}={show(axis)} is not translated here")
    if not -rank <= axis < rank:
        raise Declined("K2T102", f"{name}={axis} is not an axis of a tensor with {rank} axes")
    return axis % rank


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """The shape of an elementwise operation, by numpy's rule."""
    rank = max(map(len, shapes), default=0)
    dims: list[Any] = []
    for axis in range(rank):
        column = [s[axis - rank + len(s)] for s in shapes if axis - rank + len(s) >= 0]
        wide = [d for d in column if not (type(d) is int and d == 1)]
        known = [d for d in wide if d is not None]
        dims.append((known[0] if known else None) if wide else 1)
    return tuple(dims)


DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64")
NARROW = DTYPES[1:4]
"""Integers that numbers of Python make wider in Keras, and do not in torch."""


def is_float(dtype: str) -> bool:
    return dtype.startswith(("float", "bfloat"))


def promoted(dtypes: Iterable[str]) -> str:
    """The dtype of arithmetic on these: floats win, then wider integers."""
    found = sorted(set(dtypes) - {SIZE}, key=lambda d: (is_float(d), DTYPES.index(d) if d in DTYPES else 0, d))
    if found[-2:] == ["uint8", "int8"]:
        return "int16"
    return found[-1] if found else SIZE


def elementwise(template: str, xs: Sequence[Operand], dtype: str | None = None, **step: Any) -> Lowering:
    """A lowering of one expression that keeps layout and broadcasts shapes."""
    widest = max(xs, key=lambda x: x.rank)
    y = TensorType(broadcast([x.shape for x in xs]), dtype or promoted(x.dtype for x in xs), widest.type.layout)
    return Lowering([Step(fn=template, hint="x", **step)], [y])


def one(template: str, shape: Shape, dtype: str, layout: Layout = Layout.KERAS, **step: Any) -> Lowering:
    """A lowering of one expression to one tensor."""
    return Lowering([Step(fn=template, **step)], [TensorType(shape, dtype).in_layout(layout)])


def dtype_name(value: Any) -> str:
    """A dtype argument (a name, `tf.int32`, `np.float32`) as a name: "float" for those of the model.

    Raises Declined for half precision and for what is no dtype.
    """
    name = value if isinstance(value, str) else value.leaf if isinstance(value, ApiValue) else None
    name = {float: "float32", int: "int64", bool: "bool"}.get(value, name) if isinstance(value, type) else name
    if name in ("float32", "float64", "float", "double"):
        return "float"
    if name in DTYPES or name == "int":
        return {"int": "int32"}.get(name, name)
    raise Declined("K2T103", f"the dtype {show_operand(value)} is not translated")


def torch_dtype(name: str) -> str:
    """The text of the torch dtype of that name; floats follow the model."""
    return "torch.get_default_dtype()" if is_float(name) else f"torch.{name}"


def as_float(x: Operand) -> str:
    """A tensor as floats of the model."""
    return str(x) if is_float(x.dtype) else f"{x}.to(torch.get_default_dtype())"


def as_index(x: Operand) -> str:
    """A tensor as int64, which torch wants for indices."""
    return str(x) if x.dtype == "int64" else f"{x}.long()"


def tensor_type(shape: Shape, dtype: str) -> TensorType:
    return TensorType(shape, "float32" if dtype == "float" else dtype)
