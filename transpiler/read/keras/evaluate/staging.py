"""What the stager keeps of the functions it has seen, and the expressions it writes."""

from __future__ import annotations

import ast
import functools
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from transpiler.ir.expr import MISSING, ArrayExample, Sym, constant_value, is_open, is_record, same, to_ast, witness_of
from transpiler.ir.naming import identifier, printed_length
from transpiler.ir.program import (
    Block,
    Let,
    Member,
    ModuleClass,
    Value,
    tensors,
)
from transpiler.ir.shape import Layout, TensorType
from transpiler.ir.trees import nodes, variables_in, with_names
from transpiler.read.keras.evaluate.signals import NotKept, ProgramError, Signal
from transpiler.read.keras.evaluate.values import (
    Env,
    Function,
    Instance,
    Partial,
)

AXIS_NAMES = {
    3: ("length", "in_channels"),
    4: ("height", "width", "in_channels"),
    5: ("depth", "height", "width", "in_channels"),
}
MAX_SIZE_TEXT = 40
"""Longest size that is written out; a longer one is read from the submodule that has it."""

STATIC = (int, float, str, bool, type(None), bytes, ArrayExample)


class Again(NotKept):
    """The function has to be evaluated again, in the light of what `note` adds to the memory."""

    def note(self, memory: Memory) -> None:
        raise NotImplementedError


class NotFlat(Again):
    """Single layers of a model are needed: the function `node` that builds it has to be written out."""

    def __init__(self, node: ast.AST) -> None:
        super().__init__("single layers of a model are used")
        self.node = node

    def note(self, memory: Memory) -> None:
        memory.written_out.append(self.node)


class HiddenSize(Again):
    """The factory does not know the size of an input that the source makes at `place`: it is inside a model."""

    def __init__(self, place: ast.AST) -> None:
        super().__init__("a size inside a model is read outside it")
        self.place = place

    def note(self, memory: Memory) -> None:
        memory.hidden.append(self.place)


class StageError(NotKept):
    """The structure of this part cannot be kept; a lower tier is used."""


@dataclass(eq=False)
class Frame:
    """One class or factory under construction."""

    function: Function | None
    kind: str
    captures: dict[str, Sym] = field(default_factory=dict)
    homes: dict[str, Any] = field(default_factory=dict)
    """Captured name → the frame in whose names its value is written."""
    outer: Frame | None = None
    dims: dict[str, Any] = field(default_factory=dict)
    """Names made for the sizes of inputs → the expression or size that the caller passes."""
    reserved: set[str] = field(default_factory=set)
    """Names of constructor parameters that a captured value cannot have."""
    reads: dict[tuple[int, str], tuple[Env, str, Any]] = field(default_factory=dict)
    """What was read from scopes around the function: (scope, name, value)."""
    writes: set[tuple[int, str]] = field(default_factory=set)
    """What it set of objects from around it: (attributes by id, name). It need not ask around for that afterwards."""
    closed: dict[tuple[int, str], tuple[Any, Any]] = field(default_factory=dict)
    """What it takes as parameters of the calls that made its function: (scope, name) → the value there, the parameter."""
    scopes: list[Env] = field(default_factory=list)
    """The scopes of its calls: kept alive, as they are known by their ids."""
    kept: dict[str, Value] = field(default_factory=dict)
    """Attributes that its `forward` sets."""
    abandoned: bool = False
    """Whether its evaluation failed, so that nothing of it is written."""


@dataclass(eq=False)
class Staged:
    """A function that became a class: what a call of it needs to know."""

    cls: ModuleClass
    inputs: list[Value]
    result: Any
    statics: list[str]
    """Constructor parameters that come from the function's own, in order."""
    captures: dict[str, Sym]
    homes: dict[str, Any]
    dims: dict[str, tuple[int, int]]
    """Constructor parameters that are sizes: name → (input, axis)."""
    trivial: bool = False
    fields: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Constructor parameters that are fields of named tuples: name → (argument, field)."""
    reads: dict[tuple[int, str], tuple[Env, str, Any]] = field(default_factory=dict)
    effects: list[tuple[Instance, str, Any]] = field(default_factory=list)
    """The attributes of objects that each call sets, and the known values that it sets them to."""
    kept: Any = None
    """The arguments it was made for: kept alive, as objects among them are known by their ids."""
    mask_places: tuple[Any, ...] = ()
    """Where the masks of the tensors it was made for are (`MaskPlaces`)."""
    masks_of: tuple[int, ...] = ()
    """Tensors whose masks the class takes after its inputs."""
    first_inputs: list[Value] = field(default_factory=list)
    """Its inputs before masks that it does not read were dropped."""
    result_masks: list[Any] = field(default_factory=list)
    """The masks of its results, inside the class."""
    made_masks: dict[Value, Any] = field(default_factory=dict)
    """Those among them that it makes itself → the operations to make them again outside, or None."""
    returned: tuple[Value, ...] = ()
    """Those among them that it returns after its results."""

    @property
    def whole(self) -> Any:
        """All that `forward` returns."""
        if not self.returned:
            return self.result
        return (*(self.result if isinstance(self.result, (list, tuple)) else (self.result,)), *self.returned)

    @functools.cached_property
    def result_shapes(self) -> list[tuple[Any, ...]]:
        """The shape of each tensor of the result, in terms of the class's parameters where that is possible."""
        lets: dict[str, list[Let]] = {}
        for op in self.cls.block.walk():
            if isinstance(op, Let):
                lets.setdefault(op.name, []).append(op)
        top = [op.name for op in self.cls.block.ops if isinstance(op, Let)]
        known = {n: lets[n][0].value for n in top if len(lets[n]) == 1}
        return [tuple(expand_lets(d, known) for d in t.type.shape) for t in tensors(self.result)]

    def still_holds(self) -> bool:
        """Whether what the function read from around it is what is there now."""
        return all(unchanged(scope.names.get(name, MISSING), value) for scope, name, value in self.reads.values())


def unchanged(now: Any, before: Any) -> bool:
    """Whether a value is what it was when `before` was taken, an own copy of it."""
    if now is before:
        return True
    if isinstance(before, (list, tuple)):
        return type(now) is type(before) and len(now) == len(before) and all(map(unchanged, now, before))
    if isinstance(before, dict):
        return isinstance(now, dict) and now.keys() == before.keys() and all(unchanged(now[k], v) for k, v in before.items())  # fmt: skip
    return same(now, before)


def places_of(result: Any, flat: bool = False) -> tuple[str, ...]:
    """How each tensor is taken from what `forward` returns, `{0}`; () if it is the tensor itself.

    Raises StageError for structures inside structures, unless they are returned as one, `flat`.
    """
    if flat:
        return tuple(f"{{0}}[{i}]" for i in range(len(tensors(result))))
    if isinstance(result, Value) or isinstance(result, (list, tuple)) and len(result) == 1:
        return ()
    if not isinstance(result, (list, tuple, dict)):
        raise StageError("which tensors are returned depends on a parameter")
    items = list(result.items()) if isinstance(result, dict) else list(enumerate(result))
    if any(tensors(v) for _, v in items if not isinstance(v, Value)):
        raise StageError("tensors are returned in a nested structure")
    return tuple(f"{{0}}[{key!r}]" for key, v in items if isinstance(v, Value))


def size_labels(outputs: list[Value]) -> list[list[str]]:
    """The attributes of a class that show the sizes of its results, for each axis of each tensor."""
    suffixes = [""] if len(outputs) == 1 else [str(i + 1) for i in range(len(outputs))]
    ranks = (x.type.rank for x in outputs)
    return [[f"out_{axis_name(n, axis).removeprefix('in_')}{s}" for axis in range(n)] for n, s in zip(ranks, suffixes)]


def expand_lets(dim: Any, known: dict[str, Any]) -> Any:
    """A size with variables that are assigned once, outside loops and branches (`known`), written out."""
    for _ in range(8):
        if not isinstance(dim, Sym) or known.keys().isdisjoint(dim.names()):
            break
        dim = substitute(dim, {n: known[n] for n in dim.names() if n in known})
    return dim


def is_sequence(value: Any) -> bool:
    """Whether a value is a sequence of which the length may be fixed; an empty list may be there to be filled."""
    return type(value) in (list, tuple) and bool(value) and is_static(value)


def items_of(name: str, value: Any) -> Any:
    """A sequence with the length of `value` whose items are those of the variable `name`."""
    whole = Sym.name(name, witness_of(value))
    return type(value)(whole[i] for i in range(len(value)))


def number_of(name: str) -> int:
    """The number that a static variable was given when it was made; 0 for a name of the source."""
    return int(name.rpartition("__v")[2]) if "__v" in name else 0


def whole_of(items: Any) -> Any:
    """A sequence that consists of all the items of one variable as that variable, for what reads nothing but these items."""
    owner = items[0].expr.value if isinstance(items[0], Sym) and isinstance(items[0].expr, ast.Subscript) else None
    if not isinstance(owner, ast.Name):
        return items
    expected = items_of(owner.id, list(items))
    return Sym.name(owner.id, witness_of(items)) if all(map(same, items, expected)) else items


def what_it_makes(name: str) -> str:
    """The name of a function without the verb: build_unet, _get_unet → unet."""
    name = name.strip("_")
    for verb in ("build_", "create_", "make_", "get_", "define_"):
        name = name.removeprefix(verb)
    return name


def is_static(value: Any) -> bool:
    """Whether a value can be a parameter of a generated class."""
    if isinstance(value, Sym):
        return True
    if isinstance(value, (list, tuple)):
        return not is_record(value) and all(map(is_static, value))
    if isinstance(value, dict):
        return all(isinstance(k, STATIC) and is_static(v) for k, v in value.items())
    return isinstance(value, STATIC)


@dataclass(eq=False)
class Worker:
    """What is evaluated of a function that also trains the models that it makes."""

    body: list[ast.stmt]
    """Its statements up to the last that makes something."""
    read: set[str]
    """The variables that the models may depend on."""
    refilled: Collection[ast.AST] = ()
    """The calls that only give a model other weights."""


@dataclass(frozen=True)
class KeptFunction:
    """A function on tensors that the result has as well, so that others may call it."""

    name: str
    tensors: tuple[str, ...]
    """Its first parameters."""
    ranks: tuple[int, ...]
    """How many axes these have."""
    options: frozenset[str]
    """Other parameters that it takes any value for."""


@dataclass
class Memory:
    """What all stagers of one conversion share, so that a helper becomes one class however many models use it."""

    classes: dict[Any, Staged | None] = field(default_factory=dict)
    static_functions: list[Function] = field(default_factory=list)
    recursive: list[Any] = field(default_factory=list)
    """Keys of classes whose functions were found to call themselves."""
    assumed: dict[Any, Staged] = field(default_factory=dict)
    """What calls of a function are taken to give while its class is under construction, by the key of the class."""
    untied: list[Any] = field(default_factory=list)
    """Keys of classes for which that was not found: the function is written inline."""
    visited: dict[Any, Any] = field(default_factory=dict)
    """The syntax nodes of functions and classes whose code went into classes → the modules they stand in."""
    on_tensors: dict[ast.AST, KeptFunction] = field(default_factory=dict)
    """Functions on tensors that losses and metrics may call as they do in the source."""
    inlined: list[Any] = field(default_factory=list)
    """Functions that turned out not to work as classes of their own."""
    written_out: list[ast.AST] = field(default_factory=list)
    """Functions that build models of which single layers are needed: evaluated without classes and loops."""
    hidden: list[ast.AST] = field(default_factory=list)
    """Calls that make inputs with sizes that only the class of another model knows."""
    ranks_needed: list[ast.AST] = field(default_factory=list)
    """Builders of models of which a caller needs the open ranks: their calls are written inline."""
    builders: dict[ast.AST, Any] = field(default_factory=dict)
    """Builders that are called by the one being converted, by the nodes of their functions → their factories."""
    apart: list[ast.AST] = field(default_factory=list)
    """Calls that make models which have to be classes of their own."""
    called_apart: list[ast.AST] = field(default_factory=list)
    """The same for models that are called; written out flat they need not be."""
    unrolled: list[ast.For] = field(default_factory=list)
    """Loops that fill a list which is used in a way that needs its single tensors."""
    comprehensions: dict[ast.AST, ast.For] = field(default_factory=dict)
    """Comprehensions of tensors → the loops that they are evaluated as."""
    looked_up: list[ast.AST] = field(default_factory=list)
    """Lookups in tables whose entries decide the structure: the entry seen is translated."""
    one_sided: list[ast.AST] = field(default_factory=list)
    """Branches that decide the structure of what follows: the side seen is translated."""
    decided: list[ast.AST] = field(default_factory=list)
    """Branches that decide which layers lead to the outputs of the model: their tests have to be known."""
    separate: list[ast.AST] = field(default_factory=list)
    """Functions of which not every call needs all results: each call gets a class of its own."""
    unsaid: dict[str, Any] = field(default_factory=dict)
    """Names for sizes that differ between the tensors of a list → the loop that fills it; for sizes that only another
    builder knows → the signal to raise where they are needed."""
    workers: dict[ast.AST, Worker] = field(default_factory=dict)
    """Functions that also train the models that they make."""
    at_top: dict[ast.AST, list[ast.stmt]] = field(default_factory=dict)
    """Functions that stand for the top level of a script → its statements about models; all others stay."""
    show: dict[ast.AST, list[tuple[int, int, int]]] = field(default_factory=dict)
    """Builders → sizes that the classes of their models have to show: (model, tensor of its output, axis)."""
    shown: list[tuple[Member, Any, str]] = field(default_factory=list)
    """Submodules whose size (key of the class, attribute) a caller may read."""
    cells: set[ast.AST] = field(default_factory=set)
    """Classes of cells: `forward` returns the output and all states side by side."""
    mask_returns: list[ast.AST] = field(default_factory=list)
    """Functions and classes that make masks which are read outside them."""
    counter: int = 0
    frozen: dict[tuple[int, str], Any] = field(default_factory=dict)
    """Parameters fixed at the value seen: (function node, name) → value."""
    varied: set[tuple[int, str]] = field(default_factory=set)
    """(function node, variable or argument.field): what differs between the calls of a function, besides its arguments."""
    frozen_here: set[Any] = field(default_factory=set)
    """Places in the source (`Span`) that set `trainable`, where the result does so too."""
    by_value: list[Any] = field(default_factory=list)
    """Layers in the source that are translated for every value of an open argument."""
    lengths: dict[tuple[int, str], Any] = field(default_factory=dict)
    """Parameters that are sequences of a known length, of open items: (function node, name) → anything."""
    preferred: dict[tuple[int, str], Layout] = field(default_factory=dict)
    """The layout in which a function takes a tensor: (function node, parameter) → layout."""


def annotations_of(arguments: dict[str, Any], captures: dict[str, Any]) -> dict[str, str]:
    """Annotations for parameters whose values were seen: counts and texts, not what may be a rate as well."""
    found = {}
    for name, value in {**captures, **arguments}.items():
        seen = witness_of(value)
        if isinstance(seen, (bool, str)) or type(seen) is int and seen > 1:
            found[name] = type(seen).__name__
    return found


def holds_open(value: Any) -> bool:
    """Whether a value holds, however deep inside, what only the calls that made it know."""
    if isinstance(value, Partial):
        return holds_open([*value.args, *value.keywords.values()])
    if isinstance(value, (list, tuple)):
        return any(map(holds_open, value))
    return any(map(holds_open, value.values())) if isinstance(value, dict) else is_open(value)


def is_iterable_static(value: Any) -> bool:
    """A sequence of static values, known or open."""
    if isinstance(value, Sym):
        return isinstance(value.witness, (list, tuple, range))
    return isinstance(value, range) or isinstance(value, (list, tuple)) and is_static(value)


def defaults_of(function: Function) -> dict[str, Any]:
    """The defaults of a function's parameters."""
    a = function.node.args
    names = [p.arg for p in (*a.posonlyargs, *a.args)]
    found = dict(zip(names[len(names) - len(function.defaults) :], function.defaults))
    return found | {p.arg: d for p, d in zip(a.kwonlyargs, function.kw_defaults) if d is not MISSING}


def signature_defaults(function: Function) -> dict[str, Any]:
    """The literal defaults of a function's parameters."""
    found = defaults_of(function)
    return {n: d for n, d in found.items() if is_static(d) and not is_open(d) and not isinstance(d, (list, dict))}


@dataclass(eq=False)
class Side:
    """One side of a branch after its evaluation."""

    block: Block
    signal: Signal | None = None
    failed: bool = False
    error: Exception | None = None


def raise_of(error: ProgramError) -> ast.stmt:
    """The `raise` statement for an exception of the program."""
    value = error.value
    if isinstance(value, Sym):
        return ast.Raise(value.expr, None)
    if isinstance(value, BaseException):
        name = type(value).__name__
        parts = [to_ast(a) for a in value.args if is_static(a)]
        return ast.Raise(ast.Call(ast.Name(name, ast.Load()), parts, []), None)
    return ast.Raise(ast.Call(ast.Name("ValueError", ast.Load()), [ast.Constant(str(value))], []), None)


def substitute(value: Any, values: dict[str, Any]) -> Any:
    """An expression with names replaced by values; simplified again."""
    if not isinstance(value, Sym):
        return value
    return _rebuild(value.expr, values, value.witness)


def _rebuild(node: ast.expr, values: dict[str, Any], witness: Any = MISSING) -> Any:
    from transpiler.ir.expr import binary

    if isinstance(node, ast.Name) and node.id in values:
        return values[node.id]
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Subscript):
        owner, index = _rebuild(node.value, values), _rebuild(node.slice, values)
        if isinstance(owner, (tuple, list)) and isinstance(index, int) and not isinstance(index, bool):
            return owner[index]
        if isinstance(owner, Sym) and isinstance(index, int):
            return owner[index]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return -node.operand.value  # type: ignore[operator]
    if isinstance(node, ast.BinOp):
        left, right = _rebuild(node.left, values), _rebuild(node.right, values)
        if not isinstance(left, ast.AST) and not isinstance(right, ast.AST):
            try:
                return binary(node.op, left, right)
            except TypeError:
                pass

    if isinstance(node, ast.IfExp):
        test = _rebuild(node.test, values)
        if not isinstance(test, Sym):
            return _rebuild(node.body if test else node.orelse, values, witness)

    filled = with_names(node, {n: to_ast(v) for n, v in values.items() if n in variables_in(node)})
    known = constant_value(filled)
    if known is not MISSING:
        return known
    seen = observe_names(node, values)
    return Sym(filled, seen if seen is not MISSING else witness)


def observe_names(node: ast.expr, values: dict[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return witness_of(values[node.id]) if node.id in values else MISSING
    return MISSING


def decided_equal(test: ast.expr, a: Any, b: Any) -> Any:
    """The one size that `a` (where the test holds) and `b` (elsewhere) are, if the test compares them; else MISSING.

    `a != b` in the test makes them equal where it fails, `a == b` where it holds.
    """
    pair = {ast.dump(to_ast(a)), ast.dump(to_ast(b))}
    for joined, op, value in ((ast.Or, ast.NotEq, a), (ast.And, ast.Eq, b)):
        parts = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, joined) else [test]
        for part in parts:
            compared = isinstance(part, ast.Compare) and len(part.ops) == 1 and isinstance(part.ops[0], op)
            if compared and {ast.dump(part.left), ast.dump(part.comparators[0])} == pair:
                return value
    return MISSING


def is_short(value: Any) -> bool:
    """Whether a size reads well where it is used: a name, a number, or a little arithmetic."""
    if not isinstance(value, Sym) or isinstance(value.expr, ast.Name):
        return True
    return printed_length(value.code) <= MAX_SIZE_TEXT and not any(
        isinstance(n, (ast.IfExp, ast.Call, ast.Compare)) for n in nodes(value.expr)
    )


def has_batch(kind: TensorType) -> bool:
    """Whether the first axis of a tensor is that of the samples, or open for another reason."""
    return kind.shape[:1] == (None,)


def axis_name(rank: int, axis: int) -> str:
    names = AXIS_NAMES.get(rank)
    if names and axis:
        return names[axis - 1]
    return "in_features" if axis == rank - 1 else f"size{axis}"


def staged_hint(name: str) -> str:
    return identifier(name)
