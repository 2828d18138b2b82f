"""Values of the program under evaluation that are not plain Python values."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transpiler.ir.expr import MISSING, Sym, is_record, rebuilt
from transpiler.ir.program import Value

if TYPE_CHECKING:
    from transpiler.read.keras.evaluate.interpreter import Interpreter
    from transpiler.read.keras.parse import SourceModule


@dataclass(frozen=True, eq=False)
class Unknown:
    """A value that could not be determined. It spreads through everything that uses it, and harms nothing else."""

    reason: str

    def __repr__(self) -> str:
        return f"<unknown: {self.reason}>"


@dataclass(frozen=True, eq=False)
class Generator(Unknown):
    """What a generator of the program returns."""


@dataclass(frozen=True, eq=False)
class LayerVariable(Unknown):
    """A variable of one of Keras's own layers, of which only the shape is known here."""

    shape: tuple[Any, ...] = ()


PRETRAINED = "__pretrained__"
"""The attribute of a model that Keras has weights for: where the program makes it."""


class Env:
    """The names of one scope, and the scope around it."""

    def __init__(
        self, parent: Env | None, kind: str, module: SourceModule, names: dict[str, Any] | None = None
    ) -> None:
        self.parent, self.kind, self.module = parent, kind, module
        self.names: dict[str, Any] = names if names is not None else {}
        self.globals: set[str] = set()
        self.nonlocals: set[str] = set()
        self.ended = False
        """Whether the call it belongs to has ended."""
        self.over = False
        """Whether that has left no function that reads it either."""

    def scope_of(self, name: str) -> Env | None:
        """The scope that binds `name`; class scopes are not seen from the functions inside them."""
        scope: Env | None = self.top if name in self.globals else self
        while scope is not None:
            if name in scope.names and (scope is self or scope.kind != "class"):
                return scope
            if scope.parent is None:
                return scope.scope_beyond(name)
            scope = scope.parent
        return None

    def scope_beyond(self, name: str) -> Env | None:
        """Where a name is bound that the outermost scope does not have."""
        return None

    @property
    def top(self) -> Env:
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope

    def assign(self, name: str, value: Any) -> None:
        if name in self.globals:
            self.top.names[name] = value
            return
        if name in self.nonlocals and self.parent:
            found = self.parent.scope_of(name)
            if found:
                found.names[name] = value
                return
        self.names[name] = value


class EntryEnv(Env):
    """The scope of set-up code and entries: its own names, then those of the file being converted."""

    def __init__(self, module: SourceModule, target: Any, builtins: Any) -> None:
        super().__init__(None, "module", module)
        self._target, self._builtins = target, builtins

    def scope_beyond(self, name: str) -> Env | None:
        if name in self._builtins:
            return None
        found = self._target()
        return found.scope_of(name) if found is not None else None


@dataclass
class Calling:
    """The interpreter that calls a real function right now: functions of the program that it calls are evaluated there."""

    interpreter: Interpreter | None = None


calling = Calling()


@dataclass(eq=False)
class Function:
    """A function or lambda of the program, with the scope it closes over."""

    node: ast.FunctionDef | ast.Lambda
    env: Env
    interpreter: Interpreter
    defaults: list[Any] = field(default_factory=list)
    kw_defaults: list[Any] = field(default_factory=list)
    owner: Class | None = None
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.node.name if isinstance(self.node, ast.FunctionDef) else "<lambda>"

    @property
    def module(self) -> SourceModule:
        return self.env.module

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Lets real functions (`sorted`, `functools.reduce`) call back into the program."""
        return (calling.interpreter or self.interpreter).call(self, list(args), kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Function:
        return self

    def __repr__(self) -> str:
        return f"<function {self.name}>"


@dataclass(eq=False)
class Native:
    """A function of the interpreter itself: it receives the evaluated arguments."""

    name: str
    function: Callable[..., Any]
    outward: bool = False
    """Whether the result depends on the world: of open arguments it stays a call in the generated code."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<native {self.name}>"


@dataclass(eq=False)
class Class:
    """A class of the program."""

    name: str
    bases: list[Any]
    names: dict[str, Any]
    env: Env
    node: ast.ClassDef

    def mro(self) -> list[Any]:
        """This class, then its bases depth first, each once."""
        found: list[Any] = [self]
        for base in self.bases:
            for c in base.mro() if isinstance(base, Class) else [base]:
                if c in found:
                    found.remove(c)
                found.append(c)
        return found

    def lookup(self, name: str, after: Class | None = None, mro: list[Any] | None = None) -> Any:
        chain = mro or self.mro()
        start = chain.index(after) + 1 if after in chain else 0
        for c in chain[start:]:
            if isinstance(c, Class) and name in c.names:
                return c.names[name]
        return None

    def __deepcopy__(self, memo: dict[int, Any]) -> Class:
        return self

    def __repr__(self) -> str:
        return f"<class {self.name}>"


@dataclass(eq=False)
class Instance:
    """An object of a class of the program."""

    cls: Class
    attributes: dict[str, Any] = field(default_factory=dict)
    code: Sym | None = None

    @property
    def native(self) -> Any:
        """The part that is one of Python's own types, in an object of a class that derives from one."""
        return self.attributes.get("__native__", MISSING)

    def __eq__(self, other: Any) -> Any:
        """Lets real containers compare objects of the program as the program would."""
        method = self.cls.lookup("__eq__")
        if isinstance(method, Function):
            return (calling.interpreter or method.interpreter).call(method, [self, other], {})
        if self.native is MISSING:
            return self is other
        return self.native == (other.native if isinstance(other, Instance) else other)

    def __lt__(self, other: Any) -> Any:
        method = self.cls.lookup("__lt__")
        if isinstance(method, Function):
            return (calling.interpreter or method.interpreter).call(method, [self, other], {})
        if self.native is MISSING:
            return NotImplemented
        return self.native < (other.native if isinstance(other, Instance) else other)

    def __hash__(self) -> int:
        method = self.cls.lookup("__hash__")
        if isinstance(method, Function):
            return (calling.interpreter or method.interpreter).call(method, [self], {})
        if isinstance(self.cls.lookup("__eq__"), Function):
            raise TypeError(f"unhashable type: {self.cls.name!r}")
        return id(self) if self.native is MISSING else hash(self.native)

    def __copy__(self) -> Instance:
        return Instance(self.cls, {n: copy.copy(v) if n == "__native__" else v for n, v in self.attributes.items()})

    def __deepcopy__(self, memo: dict[int, Any]) -> Instance:
        made = memo[id(self)] = Instance(self.cls)
        made.attributes.update(copy.deepcopy(self.attributes, memo))
        return made

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Lets real functions (`map`, `functools.reduce`) call an object of the program."""
        method = self.cls.lookup("__call__")
        if not isinstance(method, Function):
            raise TypeError(f"{self!r} is not callable")
        return (calling.interpreter or method.interpreter).call(self, list(args), kwargs)

    def __repr__(self) -> str:
        return self._text("__repr__")

    def __str__(self) -> str:
        return self._text("__str__", "__repr__")

    def _text(self, *methods: str) -> str:
        for found in map(self.cls.lookup, methods):
            text = found.interpreter.call(found, [self], {}) if isinstance(found, Function) else None
            if isinstance(text, str):
                return text
        return f"<{self.cls.name} object>" if self.native is MISSING else str(self.native)


@dataclass(eq=False)
class Bound:
    """A method with the object it was taken from."""

    function: Any
    receiver: Any

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return (calling.interpreter or self.function.interpreter).call(self, list(args), kwargs)


@dataclass(eq=False)
class Partial:
    """`functools.partial` of any callable value."""

    function: Any
    args: tuple[Any, ...]
    keywords: dict[str, Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if calling.interpreter is None:
            raise TypeError("a partial of the program is called outside its evaluation")
        return calling.interpreter.call(self, list(args), kwargs)


@dataclass(eq=False)
class Super:
    cls: Class
    receiver: Any


@dataclass(eq=False)
class Property:
    getter: Any
    setter: Any = None


@dataclass(eq=False)
class Wrapped:
    """A `staticmethod` or `classmethod`."""

    kind: str
    function: Any


@dataclass(eq=False)
class Module:
    """An imported module whose source is evaluated, or one made by the program (`types.ModuleType`)."""

    name: str
    names: dict[str, Any]
    source: SourceModule | None = None

    def __repr__(self) -> str:
        return f"<module {self.name}>"


@dataclass(eq=False)
class Model:
    """A Keras model: `inputs` and `outputs` in the structure the source gave them.

    A Sequential model has `layers`; its graph exists once its input shape is known.
    """

    inputs: Any = None
    outputs: Any = None
    name: str | None = None
    layers: list[Any] | None = None
    index: int = 0
    span: Any = None
    attributes: dict[str, Any] = field(default_factory=dict)
    cls: Class | None = None
    code: Sym | None = None

    @property
    def sequential(self) -> bool:
        return self.layers is not None

    def __repr__(self) -> str:
        return f"<model {self.name or ''}>"


@dataclass(eq=False)
class LambdaLayer:
    """A layer that only calls a function of the program: `Lambda(f)`, `Activation(f)`."""

    function: Any
    kwargs: dict[str, Any] = field(default_factory=dict)
    name: str | None = None
    mask: Any = None
    """What it says of its output's mask: a function of the inputs and their masks, a mask, or None."""


@dataclass(eq=False)
class Origin:
    """How a tensor was made: enough to make it again from other inputs (a model called as a layer)."""

    inputs: Any
    outputs: list[Value]
    replay: Callable[[Any], Any]
    layer: Any = None


@dataclass(eq=False)
class TensorShape:
    """`x.get_shape()` / `tf.TensorShape`: a shape with methods."""

    dims: tuple[Any, ...]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.dims)

    def __len__(self) -> int:
        return len(self.dims)

    def __getitem__(self, index: Any) -> Any:
        return TensorShape(self.dims[index]) if isinstance(index, slice) else self.dims[index]

    def __add__(self, other: Any) -> TensorShape:
        return TensorShape((*self.dims, *other)) if isinstance(other, (tuple, list, TensorShape)) else NotImplemented

    def __radd__(self, other: Any) -> TensorShape:
        return TensorShape((*other, *self.dims)) if isinstance(other, (tuple, list)) else NotImplemented


class SizeTensor(list):
    """`tf.shape(x)`: sizes, of which the open ones are read at run time; arithmetic is by element."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return SizeTensor(found) if isinstance(index, slice) else found


@dataclass(eq=False)
class Alternative:
    """One of two values, by a condition that the generated code keeps open. Uses are split under the condition."""

    test: Sym
    then: Any
    otherwise: Any
    home: Any = field(default=None, repr=False)
    """The class or factory under construction whose names the test is written in."""


@dataclass(eq=False)
class Method:
    """A method of a value of the evaluator (a tensor's `get_shape`, a model's `add`)."""

    name: str
    receiver: Any


def is_tensor(value: Any) -> bool:
    return isinstance(value, Value)


def has_tensors(value: Any) -> bool:
    """Whether a nested structure contains a tensor."""
    if isinstance(value, Value):
        return True
    if isinstance(value, (list, tuple, set)):
        return any(map(has_tensors, value))
    if isinstance(value, dict):
        return any(map(has_tensors, value.values()))
    if isinstance(value, Alternative):
        return has_tensors(value.then) or has_tensors(value.otherwise)
    return getattr(type(value), "holds_tensors", False)


def alternative_in(value: Any) -> Alternative | None:
    """The first value in a nested structure that depends on an open test."""
    if isinstance(value, Alternative):
        return value
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return next((a for a in map(alternative_in, items) if a is not None), None)


def own_copy(value: Any) -> Any:
    """The value with its lists, dictionaries and sets copied, so that changing them leaves the original alone."""
    if type(value) in (list, tuple, set) or is_record(value):
        return rebuilt(value, map(own_copy, value))
    return {k: own_copy(v) for k, v in value.items()} if type(value) is dict else value
