"""Layers as the program wrote them, and the PyTorch steps they become."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from transpiler.diagnostics import Span
from transpiler.ir.expr import Sym, constant
from transpiler.ir.shape import TensorType

if TYPE_CHECKING:
    from transpiler.rules.base import LayerRule

KERAS3, KERAS2 = "keras3", "tf_keras"
"""The two generations that verification can run."""

AUTO = "auto"
"""The generation that the source names."""


@dataclass(frozen=True, eq=False)
class ApiValue:
    """A public name of Keras or TensorFlow, by its canonical path: `keras.layers.Dense`, `tensorflow.nn.relu`."""

    path: str

    @property
    def leaf(self) -> str:
        return self.path.rpartition(".")[2]

    def __repr__(self) -> str:
        return self.path


@dataclass(frozen=True, eq=False)
class ApiObject:
    """The result of calling a public class that is not a layer: an initializer, a regularizer, an optimizer."""

    api: ApiValue
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def leaf(self) -> str:
        return self.api.leaf

    def __repr__(self) -> str:
        return f"{self.api}(…)"


@dataclass(frozen=True, eq=False)
class Given:
    """A weight that starts as a tensor which the constructor makes or is given: its text, and its shape as Keras has it.

    The shape is None for an array that only the program has.
    """

    code: Sym
    shape: tuple[Any, ...] | None


class Args:
    """The bound arguments of one layer or op: `a.filters` is a plain value, a `Sym`, or a value of the program."""

    def __init__(self, values: dict[str, Any], given: frozenset[str], generation: str = KERAS3) -> None:
        self._values = values
        self.given = given
        """The names that the source passed itself."""
        self.generation = generation

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def get(self, name: str, default: Any = None) -> Any:
        return self._values.get(name, default)

    def const(self, name: str) -> Any:
        """The value of `name`, which the translation must know; raises `NeedsConstant` if it is kept open."""
        return constant(self._values[name], f"`{name}` decides how this is translated")

    def lower(self, name: str) -> Any:
        """Like `const`, with strings in lower case (Keras accepts "SAME")."""
        value = self.const(name)
        return value.lower() if isinstance(value, str) else value

    def replace(self, **values: Any) -> Args:
        return Args({**self._values, **values}, self.given | values.keys(), self.generation)


Transform = tuple[tuple[Any, ...], ...]
"""How a Keras array becomes a torch array: primitives applied in order, each a tuple (name, *arguments).

    ("permute", axes)            transpose by `axes`
    ("reshape", shape)           reshape; -1 allowed once
    ("gates", axis, order)       split `axis` in len(order) equal parts and join them in `order`
    ("take", axis, index)        one index of an axis, which disappears
    ("flip", axis)               reverse an axis
    ("expand", axis)             insert an axis of size 1
    ("merge", axis)              join an axis and the one after it
    ("windows", kernel, strides) of (*in, C, *out, D) what a window at each place of `out` sees: (*out, C, *kernel, D)
    ("fill", value)              a constant, for a torch parameter that Keras does not have (`Weight("")`)

`ir/weights.py` carries them out.
"""


@dataclass(frozen=True)
class Weight:
    """Where a torch parameter or buffer comes from.

    `source` is the attribute path of the variable on the live Keras layer (`kernel`, `cell.recurrent_kernel`,
    `forward_layer.cell.bias`), `a|b` where the generations name it differently. `optional` marks a variable that is
    absent when the layer was built without it.
    """

    source: str
    transform: Transform = ()
    optional: bool = False


def held_at(weights: Mapping[str, Weight], owner: str) -> dict[str, Weight]:
    """`weights` as looked up from a layer that holds their own layer as its attribute `owner`."""

    def path(source: str) -> str:
        return "|".join(f"{owner}.{p}" for p in source.split("|")) if source else ""

    return {k: replace(w, source=path(w.source)) for k, w in weights.items()}


@dataclass(frozen=True)
class Step:
    """One PyTorch operation of a layer's translation.

    `module` is the constructor of an `nn.Module` (`nn.Conv2d(3, 64, kernel_size=3)`), `fn` an expression over the
    inputs written `{0}`, `{1}` … (`F.relu({0})`). With both, the writer chooses: the module inside an
    `nn.Sequential`, the function elsewhere. With a module alone it is called on all inputs of the step. A function
    that names `{self}` is how the module is called: `{self}({0}, ({1}[None], {2}[None]))[0]`.
    """

    module: str | None = None
    fn: str | None = None
    hint: str = "layer"
    weights: Mapping[str, Weight] = field(default_factory=dict)
    init: Mapping[str, Any] = field(default_factory=dict)
    """Torch parameter → Keras initializer (a name, an `ApiObject` or a `Sym`), in the layer's own terms."""
    fans: tuple[Any, Any] | Mapping[str, tuple[Any, Any]] | None = None
    """Keras's (fan_in, fan_out) where torch computes others from the torch shape; by parameter where these differ."""
    helpers: tuple[str, ...] = ()
    """Helper classes and functions that this step needs in the generated file."""
    result: str | None = None
    """What to take from a module that returns more than one tensor, over its return value `{0}`: `{0}[0]`."""
    comment: str = ""
    permutes: tuple[int, ...] | None = None
    """Set on a bare permute, so that a permute and its inverse cancel."""
    stateful: bool = False
    """Acts differently in training although it holds no weights (Dropout): always a module."""
    takes: tuple[int, ...] = ()
    """Operands of the whole call (its inputs, then the masks it reads) that this step takes after its own arguments."""


@dataclass(frozen=True)
class MaskOf:
    """The mask of an output: `fn` over the `inputs` and the `masks` of inputs that are named, by number, in this order."""

    shape: tuple[Any, ...] = ()
    fn: str = "{0}"
    inputs: tuple[int, ...] = ()
    masks: tuple[int, ...] = ()
    joins: bool = False
    """Whether it is the mask itself where all masks are one."""


@dataclass
class Lowering:
    """What a layer call becomes: steps in order (each takes the result of the one before), and the types it returns.

    With several outputs, `outputs` takes each of them from the last step's result.
    """

    steps: list[Step]
    types: list[TensorType]
    outputs: tuple[str, ...] = ()


@dataclass(eq=False)
class Layer:
    """A layer object of the program: its rule, its bound arguments and where it was made.

    `index` counts constructions over the whole program: weights are paired in this order.
    """

    rule: LayerRule
    args: Args
    name: str | None = None
    index: int = 0
    span: Span | None = None
    attributes: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<{type(self.rule).__name__} {self.name or self.index}>"


def literal(value: Any) -> bool:
    """Whether `value` may be written into the generated code as it stands."""
    if isinstance(value, (tuple, list)):
        return all(map(literal, value))
    return value is None or isinstance(value, (bool, int, float, str, Sym))
