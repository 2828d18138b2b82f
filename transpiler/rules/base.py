"""What a rule is: one class that holds everything about one Keras layer."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Container, Sequence
from typing import Any, ClassVar

from transpiler.diagnostics import Declined
from transpiler.ir.expr import Sym, code_of, constant, is_open, same
from transpiler.ir.model import KERAS3, ApiObject, Args, Lowering, MaskOf, Step
from transpiler.ir.shape import Layout, Shape, TensorType

COMMON = {
    "name": None,
    "trainable": True,
    "dtype": None,
    "autocast": True,
    "input_shape": None,
    "input_dim": None,
    "batch_input_shape": None,
    "batch_shape": None,
    "batch_size": None,
    "input_dtype": None,
    "weights": None,
    "activity_regularizer": None,
}
"""Arguments that every Keras layer takes. They are read by the evaluator, not by the rules."""

TRAINING_ONLY = ("regularizer", "constraint")
"""Arguments by suffix that act in training alone; the reader reports them."""


@functools.cache
def parse_signature(text: str) -> inspect.Signature:
    """The signature written as in a `def`: "units, activation=None"."""
    node = ast.parse(f"def f({text}): pass").body[0].args  # type: ignore[attr-defined]
    positional = [*node.posonlyargs, *node.args]
    defaults = [inspect.Parameter.empty] * (len(positional) - len(node.defaults))
    defaults += [ast.literal_eval(d) for d in node.defaults]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(a.arg, kind, default=d) for a, d in zip(positional, defaults)]
    if node.vararg:
        parameters.append(inspect.Parameter(node.vararg.arg, inspect.Parameter.VAR_POSITIONAL))
    for a, d in zip(node.kwonlyargs, node.kw_defaults):
        default = inspect.Parameter.empty if d is None else ast.literal_eval(d)
        parameters.append(inspect.Parameter(a.arg, inspect.Parameter.KEYWORD_ONLY, default=default))
    return inspect.Signature(parameters)


@functools.cache
def parameter_names(text: str) -> frozenset[str]:
    """The parameters of a signature."""
    return frozenset(parse_signature(text).parameters)


class LayerRule:
    """One Keras layer: its names and signature, its shape rule, its PyTorch form, its weights, what it declines.

    A subclass is found by the registry's package walk; nothing else lists it. One instance serves all layers.
    """

    keras: ClassVar[tuple[str, ...]] = ()
    """The class names it has in `keras.layers`, today's first."""
    class_name: ClassVar[str] = ""
    """The name of its class, where `keras` has other names for it only."""
    module_class: ClassVar[str] = ""
    """The class of torch that a program names where it named the layer's class, as an argument of a builder."""
    functions: ClassVar[tuple[str, ...]] = ()
    """The functions of `keras.layers` that make this layer and call it: `add` for `Add`."""
    signature: ClassVar[str] = ""
    """Today's constructor, as in a `def`; what every layer takes (`name`, `dtype` …) is left out."""
    renames: ClassVar[dict[str, str]] = {}
    """Older argument names → today's."""
    call_tensors: ClassVar[tuple[str, ...]] = ("inputs",)
    """The arguments of the layer's call that are tensors or lists of them; the inputs of a step, in this order."""
    unsupported: ClassVar[dict[str, str]] = {}
    """Argument → why a value other than the default is declined."""
    open_values: ClassVar[dict[str, tuple[Any, ...]]] = {}
    """Argument that the steps take as it comes → the values it may have: for others the result raises."""
    mask: ClassVar[str] = "drops"
    """What happens to the mask of the input: the output `keeps` it or the layer `drops` it (see `output_masks`)."""
    takes_mask: ClassVar[bool] = False
    """Whether the layer's call has an argument `mask`."""
    mask_axes: ClassVar[int] = 1
    """How many axes less than the input a mask has that the steps read."""
    call_flags: ClassVar[tuple[str, ...]] = ()
    """Further arguments of the layer's call, True or False: `a.get(…)` has them for that call."""
    fixed_modes: ClassVar[bool] = False
    """Whether the rule reads `training`: True or False where the call fixes what it otherwise takes from the model."""
    takes_masks_off: ClassVar[bool] = False
    """Whether Keras 3 leaves the inputs without masks."""
    hears_all: ClassVar[bool] = False
    """Whether Keras 3 fills in masks where the call has several tensor arguments (it has one for each)."""
    moves: ClassVar[bool] = False
    """Whether the values are only moved, so that integers stay integers."""
    examples: ClassVar[tuple[tuple[str, tuple[int, ...]], ...]] = ()
    """(constructor call, input shape with batch) pairs: each is a test and a row of the documentation."""

    def bind(self, args: Sequence[Any], kwargs: dict[str, Any], generation: str = KERAS3) -> Args:
        """The constructor's arguments by name, defaults filled in.

        Raises Declined for an argument the rule does not know, and for a value it names as unsupported.
        """
        kwargs = renamed(kwargs, self.renames, parse_signature(self.signature).parameters)
        own = self._own_names()
        common = {k: kwargs.pop(k) for k in list(kwargs) if k in COMMON and k not in own}
        try:
            bound = self._signature().bind(*args, **kwargs)
        except TypeError as error:
            raise Declined("K2T102", f"{self.keras[0]}: {error}", "Check the arguments of this layer.") from None
        given = frozenset(bound.arguments) | frozenset(common)
        bound.apply_defaults()
        defaults = self.defaults(generation)
        values = {**COMMON, **defaults, **common}
        values |= {k: v for k, v in bound.arguments.items() if k in given or k not in values or k in own}
        values |= {k: v for k, v in defaults.items() if k not in given}
        for name, why in self.unsupported.items():
            if name in given and not same(values[name], defaults.get(name, self._signature().parameters[name].default)):
                raise Declined("K2T102", f"{self.keras[0]}({name}={show(values[name])}): {why}")
        return Args(values, given, generation)

    def defaults(self, generation: str) -> dict[str, Any]:
        """Defaults that differ from the signature's in the given Keras generation."""
        return {}

    def _signature(self) -> inspect.Signature:
        return parse_signature(self.signature)

    def _own_names(self) -> frozenset[str]:
        return parameter_names(self.signature)

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout | None:
        """The layout the inputs must have; None if any will do (all inputs then share one)."""
        return None

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape | list[Shape]:
        """The shape, in Keras order, of the output (a list for a layer with several outputs)."""
        return xs[0].shape

    def output_layout(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return xs[0].layout if xs else Layout.KERAS

    def output_dtype(self, a: Args, xs: Sequence[TensorType]) -> str:
        if self.moves:
            return xs[0].dtype
        return xs[0].dtype if xs and xs[0].dtype.startswith("float") else "float32"

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        """The PyTorch form for inputs of types `xs`, which are in the layout `wants` asked for."""
        raise NotImplementedError

    def variables(self, a: Args, x: TensorType) -> dict[str, Shape]:
        """The shapes of the layer's variables by name, as far as they are needed before it is called."""
        return {}

    def outputs(self, a: Args) -> tuple[str, ...]:
        """For several outputs: how each is taken from the last step's result `{0}`."""
        return ()

    def gathered(self, a: Args, x: TensorType, count: Any, total: Any) -> Lowering | None:
        """The translation of a call on a list `{0}` of `count` tensors, the sum of whose last sizes is `total`.

        `x` is the type that all of them have, open where they differ. None where the list has to be written out.
        """
        return None

    def mask_arguments(self, generation: str) -> dict[str, int | None]:
        """Further arguments of the layer's call that are masks: name → the input it is of, None for none."""
        return {}

    def reads_masks(self, a: Args, xs: Sequence[TensorType]) -> tuple[int, ...]:
        """The inputs whose masks the steps read, of those that are `masked`: operands after the inputs."""
        return ()

    def output_masks(self, a: Args, xs: Sequence[TensorType]) -> list[MaskOf | None]:
        """How the masks of the outputs follow from inputs and their masks."""
        return [MaskOf(masks=(0,))] if self.mask == "keeps" and xs[0].masked else []

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        """Raises Declined for inputs that Keras itself rejects or the rule does not cover."""

    def lower(self, a: Args, xs: Sequence[TensorType]) -> Lowering:
        """The whole translation of one call."""
        self.check(a, xs)
        shapes = self.output_shape(a, xs)
        several = isinstance(shapes, list)
        layout, dtype = self.output_layout(a, xs), self.output_dtype(a, xs)
        types = [
            TensorType(s, dtype, layout if len(s) > 2 else Layout.KERAS, any(x.open_rank for x in xs))
            for s in (shapes if several else [shapes])
        ]
        steps = self.steps(a, xs, types[0])
        return Lowering(steps, types, self.outputs(a) if several else ())


def renamed(kwargs: dict[str, Any], renames: dict[str, str], names: Container[str]) -> dict[str, Any]:
    """Arguments by today's `names`; an older name beside today's counts only if it says something.

    Raises Declined if both do, NeedsConstant if that is open.
    """
    found = {k: v for k, v in kwargs.items() if k in names or k not in renames}
    for old, value in kwargs.items():
        new = renames.get(old, old)
        if old in found or value is None and new in found:
            continue
        if new in found:
            constant(value, f"whether {old}= is given decides what {new}= means")
            raise Declined("K2T102", f"{old}= and {new}= are one argument")
        found[new] = value
    return found


def show(value: Any) -> str:
    """A value for a message."""
    try:
        return code_of(value)
    except TypeError:
        return repr(value)


def call(function: str, *args: Any, **kwargs: Any) -> str:
    """The text of a call: positional values, then keywords; `Raw` text is passed through."""
    parts = [a if isinstance(a, Raw) else code_of(a) for a in args]
    parts += [f"{k}={v if isinstance(v, Raw) else code_of(v)}" for k, v in kwargs.items()]
    return f"{function}({', '.join(parts)})"


class Raw(str):
    """Text of generated code that `call` does not quote."""


def keywords(defaults: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """`kwargs` without those that equal torch's own `defaults`."""
    return {k: v for k, v in kwargs.items() if k not in defaults or is_open(v) or v != defaults[k]}


def per_axis(value: Any, rank: int) -> tuple[Any, ...]:
    """An argument such as `kernel_size` as one value per spatial axis.

    Raises Declined if a sequence of another length was given.
    """
    if isinstance(value, Sym):
        if isinstance(value.witness, (tuple, list)):
            return tuple(value[i] for i in range(rank))
        return (value,) * rank
    if isinstance(value, (tuple, list)):
        if len(value) == 1:
            return tuple(value) * rank
        if len(value) != rank:
            raise Declined("K2T102", f"{rank} sizes are needed, {show(value)} has {len(value)}")
        return tuple(value)
    return (value,) * rank


def compact(values: Sequence[Any]) -> Any:
    """One value if all axes agree, else the tuple: what torch's `kernel_size=` takes."""
    values = tuple(values)
    return values[0] if all(same(v, values[0]) for v in values) else values


def permute_step(order: Sequence[int]) -> Step:
    """A bare permute."""
    return Step(fn=f"{{0}}.permute({', '.join(map(str, order))})", permutes=tuple(order), hint="x")


def initializer_name(value: Any) -> str:
    """The canonical name of an initializer given by name or as an object without arguments; "" if it is neither."""
    if isinstance(value, ApiObject):
        return value.leaf
    return value if isinstance(value, str) else ""
