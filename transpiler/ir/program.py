"""A staged program: tensors, the modules that make them, and the loops and branches around both.

A block holds what one class needs, in source order. Static operations (`Let`, `Static`) belong to the constructor
alone; tensor operations (`Apply`) belong to both: the module is constructed where it stands, and called in `forward`.
`Loop` and `Branch` exist on both sides. Names of static variables are unique identifiers; the naming pass prints them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from transpiler.diagnostics import Span
from transpiler.ir.expr import Sym, rebuilt
from transpiler.ir.model import Layer, Step
from transpiler.ir.shape import TensorType


@dataclass(eq=False)
class Value:
    """One tensor (SSA: made once). `hint` is the name it had in the source."""

    type: TensorType
    hint: str = "x"

    def __repr__(self) -> str:
        return f"%{self.hint}{list(self.type.shape)}"


Initial = list[Value] | Value
"""What is in a list before a loop appends to it: some tensors, or a list of them."""


@dataclass(eq=False)
class Choice:
    """A submodule that is one of two, by a static test; an empty side is the identity."""

    test: Sym
    then: list[Member]
    otherwise: list[Member]


@dataclass(eq=False)
class Construction:
    """A submodule that is an object of a class of the output: the class, and values for its parameters by name."""

    cls: ModuleClass
    values: dict[str, Any]


@dataclass(eq=False)
class Member:
    """A submodule: an attribute of the class under construction, made once and perhaps called often."""

    code: str
    hint: str
    name: str | None = None
    """The name the source gave the layer, if it did."""
    layer: Layer | None = None
    step: Step | None = None
    shared: bool = False
    """Used more than once: never dissolved into a function call."""
    order: int = 0
    """Its place in the program's construction order: weights are paired by it."""
    choice: Choice | None = None
    construction: Construction | None = None
    parts: list[Member] = field(default_factory=list)
    """The submodules of an `nn.Sequential`."""
    exposed: bool = False
    """A size of its result is read: it has to stay an attribute of its own."""
    given: bool = False
    """Constructed elsewhere: `code` is the variable that holds it."""


@dataclass(eq=False)
class Let:
    """A static variable of the constructor. Several `Let`s of one `name` are assignments to one variable.

    The value is a static value, or a `Construction`: the variable then holds a model.
    """

    name: str
    value: Any
    hint: str = ""
    comments: tuple[str, ...] = ()
    items: int = 0
    """How many models the value consists of, if it is a tuple or list of them."""


@dataclass(eq=False)
class Static:
    """A statement of the constructor that is kept for its effect: `assert`, `raise`."""

    statement: ast.stmt


@dataclass(eq=False)
class Change(Static):
    """A statement of the constructor that changes what variables hold: kept where one of `names` is needed."""

    names: tuple[str, ...]


@dataclass(eq=False)
class Apply:
    """`results = step(args)`: through `member` if the step is a module, else as an expression over the arguments."""

    results: list[Value]
    args: list[Value]
    step: Step
    member: Member | None = None
    outputs: tuple[str, ...] = ()
    span: Span | None = None
    comments: tuple[str, ...] = ()


@dataclass(eq=False)
class Pick(Apply):
    """Takes one tensor, or a part, out of a list of tensors: `results = args[0][index]`."""

    index: Any = None


@dataclass(eq=False)
class Listed(Apply):
    """Makes a list of tensors: `results = [*args[0], args[1], …]`, or of all `args` where it does not start from a list."""

    longer: bool = False
    """Whether the first argument is a list that it starts from."""
    node: ast.AST | None = None
    """The code of the source that makes or fills the list."""

    @classmethod
    def of(cls, result: Value, items: list[Value], node: ast.AST | None, start: Value | None = None) -> Listed:
        args = [start, *items] if start is not None else items
        texts = [f"{'*' * (start is not None and i == 0)}{{{i}}}" for i in range(len(args))]
        return cls([result], args, Step(fn=f"[{', '.join(texts)}]"), longer=start is not None, node=node)

    @property
    def items(self) -> list[Value]:
        """The tensors that it puts into the list."""
        return self.args[1:] if self.longer else self.args


@dataclass(eq=False)
class Branch:
    """`if test`: both sides may construct modules; `phis` joins what they compute, as (result, then, otherwise)."""

    test: Sym
    then: Block
    otherwise: Block
    phis: list[tuple[Value, Value, Value]] = field(default_factory=list)
    taken: ast.AST | None = None
    """Where the source takes an item out of a list by an open number, if that is what the branch does."""
    node: ast.AST | None = None
    """The `if` of the source."""

    @property
    def by_mode(self) -> bool:
        """Whether `forward` decides it, by the mode of the module: both sides are then constructed."""
        return MODE in self.test.code


@dataclass(eq=False)
class Part:
    """What a loop runs over, side by side with other parts. `columns` are lists of sizes that are as long as `iterable`:

    (variable, list). Where one of them is read and `target` is not, the loop runs over that list instead.
    """

    target: ast.expr
    iterable: Any
    columns: list[tuple[str, Sym]] = field(default_factory=list)


@dataclass(eq=False)
class Loop:
    """`for target in iterable`: `carried` lists (initial, at the start of the body, at its end, after the loop).

    `gathered` lists (list of tensors after the loop, the tensor that an iteration appends to it, what is in the list
    before: tensors, or one list of them), `zipped` (list of tensors, its item in an iteration, whether it is read backwards).
    """

    target: ast.expr
    iterable: Any
    body: Block
    carried: list[tuple[Value, Value, Value, Value]] = field(default_factory=list)
    gathered: list[tuple[Value, Value, Initial]] = field(default_factory=list)
    zipped: list[tuple[Value, Value, bool]] = field(default_factory=list)
    node: ast.AST | None = None
    """The loop in the source."""
    parts: list[Part] = field(default_factory=list)
    """What it runs over, while it is not settled which sizes are read; `target` has all variables."""


@dataclass(eq=False)
class ForLoop:
    """A loop whose body is one submodule an iteration: all are constructed by the loop, and called one after the other.

    `carried` lists (initial, at the start of an iteration, at its end, after the loop), `gathered` and `zipped` are as
    in `Loop`. With `sequential` the submodules thread a single tensor and form an `nn.Sequential`.
    """

    target: ast.expr
    iterable: Any
    body: Block
    """`Let`s, and one `Apply` (or a chain of them, if sequential) that calls the submodule."""
    member: Member
    carried: list[tuple[Value, Value, Value, Value]]
    extra: list[Value] = field(default_factory=list)
    """Tensors from outside that each iteration reads as well."""
    sequential: bool = False
    gathered: list[tuple[Value, Value, Initial]] = field(default_factory=list)
    zipped: list[tuple[Value, Value, bool]] = field(default_factory=list)
    picked: list[Pick] = field(default_factory=list)
    """What `forward` takes from lists before it calls the submodule of an iteration."""


@dataclass(eq=False)
class Return:
    """The end of `forward`, in the structure the source returned: tensors in lists, tuples and dicts."""

    value: Any
    kept: dict[str, Value] = field(default_factory=dict)
    """Attributes that it sets before."""


@dataclass(eq=False)
class Block:
    ops: list[Any] = field(default_factory=list)

    def walk(self) -> Iterator[Any]:
        """Every operation, those in loops and branches included."""
        for op in self.ops:
            yield op
            for inner in blocks_of(op):
                yield from inner.walk()


def holds_weights(op: Any) -> bool:
    """Whether an operation constructs something that may hold weights."""
    return isinstance(op, Apply) and op.member is not None and bool(op.step.weights or op.member.construction)


def constructions(block: Block) -> Iterator[Construction]:
    """What a block constructs of classes of the output, as submodules and as variables."""
    for op in block.walk():
        if isinstance(op, Apply) and op.member is not None and op.member.construction is not None:
            yield op.member.construction
        elif isinstance(op, Let) and isinstance(op.value, Construction):
            yield op.value


def blocks_of(op: Any) -> tuple[Block, ...]:
    """The blocks inside an operation: the sides of a branch, the body of a loop."""
    if isinstance(op, Branch):
        return op.then, op.otherwise
    return (op.body,) if isinstance(op, (Loop, ForLoop)) else ()


@dataclass(eq=False)
class Param:
    """A parameter of the class's constructor."""

    name: str
    default: Any = None
    has_default: bool = False
    annotation: str = ""
    label: str = ""
    """How the name is printed."""


@dataclass(eq=False)
class ModuleClass:
    """A class to be written: constructor parameters, inputs of `forward`, and the block that both are made from."""

    name: str
    params: list[Param]
    inputs: list[Value]
    block: Block
    doc: str = ""
    outs: dict[str, Any] = field(default_factory=dict)
    """Sizes of the result that only the class knows, by attribute (`out_channels`); written where a caller reads them."""
    key: Any = None
    """What the class was made from, the same in every evaluation of the program."""
    sizes: tuple[str, ...] = ()
    """Names of constructor parameters that are sizes of inputs, in order."""
    statics: tuple[str, ...] = ()
    """Names that may become constructor parameters, in order, after the sizes."""
    defaults: dict[str, Any] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    signature: tuple[str, ...] = ()
    """Names that are constructor parameters whether or not they are read, in order, before all others."""
    guards: tuple[str, ...] = ()
    """Those of them that it is fixed for: it raises for other values."""
    root: bool = False
    """Whether it stands for a whole model: inputs and outputs are then in Keras order."""
    masks: dict[Value, Any] = field(default_factory=dict)
    """The tensors that carry masks, of a whole model."""
    logits: list[str] | None = None
    """The activations of its outputs, over `{0}`, where what comes before them is a method of its own."""


def made_by(op: Any) -> ModuleClass | None:
    """The class of the submodule that an operation calls, if it is one of the program's."""
    made = op.member.construction if isinstance(op, Apply) and op.member is not None else None
    return made.cls if made is not None else None


MODE = "self.training"
"""What tells in `forward` whether the module is in training."""


def tensors(value: Any) -> list[Value]:
    """The tensors in a nested structure, in order."""
    if isinstance(value, Value):
        return [value]
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in tensors(v)]
    if isinstance(value, dict):
        return [t for v in value.values() for t in tensors(v)]
    return []


def replace_tensors(value: Any, mapping: dict[Value, Any]) -> Any:
    """The same structure with tensors replaced."""
    if isinstance(value, Value):
        return mapping.get(value, value)
    if isinstance(value, (list, tuple)):
        return rebuilt(value, (replace_tensors(v, mapping) for v in value))
    if isinstance(value, dict):
        return {k: replace_tensors(v, mapping) for k, v in value.items()}
    return value
