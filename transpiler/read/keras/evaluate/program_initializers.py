"""Initializers that the program defines: functions of a shape, and classes that are called with one."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import ArrayExample, NeedsConstant, Sym, binary, code_of, to_ast, witness_of
from transpiler.ir.model import ApiObject, ApiValue, Args, Given
from transpiler.read.keras.evaluate.arrays import NumpyArray
from transpiler.read.keras.evaluate.constants import Constant
from transpiler.read.keras.evaluate.run_time import RunTime, as_tensor
from transpiler.read.keras.evaluate.signals import ProgramError
from transpiler.read.keras.evaluate.values import Bound, Class, Env, Function, Instance, Native, Partial, Super, Unknown
from transpiler.rules.base import parse_signature
from transpiler.rules.initializers import canonical
from transpiler.rules.ops.constants import shape_of

CREATED = {
    "zeros": ("Constant", "shape, dtype=None, name=None", {"value": 0.0}),
    "ones": ("Constant", "shape, dtype=None, name=None", {"value": 1.0}),
    "full": ("Constant", "shape, value, dtype=None", {}),
    "fill": ("Constant", "shape, value, name=None", {}),
    "random_normal": ("RandomNormal", "shape, mean=0.0, stddev=1.0, dtype=None, seed=None, name=None", {}),
    "normal": ("RandomNormal", "shape, mean=0.0, stddev=1.0, dtype=None, seed=None, name=None", {}),
    "random_uniform": ("RandomUniform", "shape, minval=0.0, maxval=1.0, dtype=None, seed=None, name=None", {}),
    "uniform": ("RandomUniform", "shape, minval=0.0, maxval=1.0, dtype=None, seed=None, name=None", {}),
    "truncated_normal": ("TruncatedNormal", "shape, mean=0.0, stddev=1.0, dtype=None, seed=None, name=None", {}),
}
"""Functions that make a tensor of a shape: the initializer that fills a weight alike, and how they are called."""

LOCATION = {"Constant": ("value",), "RandomNormal": ("mean",), "TruncatedNormal": ("mean",), "RandomUniform": ("minval", "maxval")}  # fmt: skip
"""The arguments of an initializer that a constant is added to; a factor goes to these and to `stddev`."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A tensor made by an initializer of the program, as what would have drawn it."""

    initializer: ApiObject
    shape: Any = None


class ProgramInitializers:
    """The part of the interpreter that finds out what such an initializer draws."""

    def with_initializers(self, args: Args) -> Args:
        """The arguments of a layer with initializers as the rules know them."""
        own = {n: args.get(n) for n in args if n.endswith("initializer")}
        return args.replace(**{n: self.initializer_of(v) for n, v in own.items()})

    def initializer_of(self, value: Any, shape: tuple[Any, ...] | None = None) -> Any:
        """An initializer as the rules know it; `shape` is that of the weight, where it is known.

        Raises Declined for one whose values are neither constant nor drawn from a distribution that torch has.
        """
        if not is_programmed(value):
            return self.given_initializer(value) or value
        outer, self.initializing = self.initializing, True
        given = Unknown("the shape of a weight") if shape is None else shape
        try:
            result = self.initial_value(value, given)
        except (ProgramError, NeedsConstant) as error:
            result = Unknown(str(getattr(error, "value", error)))
        finally:
            self.initializing = outer
        if isinstance(result, Drawn):
            return result.initializer
        name = value.cls.name if isinstance(value, Instance) else getattr(value, "name", "of the program")
        raise self.declined("K2T102", f"the initializer {name} is neither constant nor a known distribution")

    def given_initializer(self, value: Any) -> Given | None:
        """`Constant(value=…)` of an array or a list, as the tensor that the weight starts as; None for any other."""
        if not isinstance(value, ApiObject) or canonical(value.leaf) != "constant" or not is_initializer(value.api):
            return None
        return self.given_tensor(value.args[0] if value.args else value.kwargs.get("value"))

    def given_tensor(self, made: Any) -> Given | None:
        """What a weight starts as, where it is an array or a list, or what the program knows when it runs."""
        array = self.arrays_read[id(made)][1] if id(made) in self.arrays_read else made
        if isinstance(array, RunTime):
            self.arrays_given |= {id(made): made} if array is not made else {}
            return Given(self.run_time_array(array), None)
        if isinstance(witness_of(made), ArrayExample):  # a parameter of a builder
            return Given(Sym(as_tensor(to_ast(made)), witness_of(made)), None)
        if isinstance(made, (list, tuple)) and shape_of(made):
            return Given(Sym.parse(f"torch.tensor({code_of(as_floats(made))})"), shape_of(made) or ())
        if isinstance(made, NumpyArray):
            return Given(
                Sym(ast.Call(ast.parse("torch.from_numpy", mode="eval").body, [self.array_here(made)], [])), made.shape
            )
        if not isinstance(made, Constant):
            return None
        made = self.brought_here(made)
        return Given(Sym.parse(made.variable or made.text), made.type.shape)

    def initial_value(self, value: Any, shape: Any) -> Any:
        if isinstance(value, Instance):
            self.visit_class(value.cls)
            method = value.cls.lookup("__call__")
            if method is None:
                base = value.attributes.get("__base__")
                return Drawn(base) if base is not None else None
            value = Bound(method, value)
        function = value.function if isinstance(value, Bound) else value
        if not isinstance(function, Function):
            return self.call(value, [shape], {})
        names = [p.arg for p in (*function.node.args.args, *function.node.args.kwonlyargs)]
        args = [value.receiver, shape] if isinstance(value, Bound) else [shape]
        return self.run_function(function, args, {"dtype": "float32"} if "dtype" in names else {})

    def instantiate(self, cls: Class, args: list[Any], kwargs: dict[str, Any]) -> Any:
        made = super().instantiate(cls, args, kwargs)
        if isinstance(made, Instance) and cls.lookup("__init__") is None:
            self.base_initializer(made, args, kwargs)
        return made

    def base_initializer(self, instance: Instance, args: list[Any], kwargs: dict[str, Any]) -> None:
        """The constructor of Keras's own initializer, for a class that derives from it."""
        base = initializer_base(instance.cls)
        if base is not None and base.leaf != "Initializer":
            instance.attributes["__base__"] = ApiObject(base, tuple(args), kwargs)

    def super_of_api(self, value: Super, name: str) -> Any:
        instance = value.receiver
        if isinstance(instance, Instance) and initializer_base(instance.cls) is not None:
            if name == "__init__":
                return Native(name, lambda *a, **k: self.base_initializer(instance, list(a), k))
            if name == "__call__" and "__base__" in instance.attributes:
                return Native(name, lambda *a, **k: Drawn(instance.attributes["__base__"]))
        return super().super_of_api(value, name)

    def eval_Call(self, node: ast.Call, env: Env) -> Any:
        """What a variable of a layer starts with is evaluated as an initializer is."""
        outer = self.initializing
        if self.owners and ast.unparse(node.func).rpartition(".")[2] == "Variable":
            self.initializing = True
        try:
            return super().eval_Call(node, env)
        finally:
            self.initializing = outer

    def call_api(self, api: ApiValue, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if api.leaf.endswith("_initializer") or is_initializer(api) and canonical(api.leaf) == "constant":
            return ApiObject(ApiValue(f"keras.initializers.{api.leaf}"), tuple(args), kwargs)
        if self.initializing and api.leaf in CREATED and not api.path.startswith("keras.initializers"):
            return self.created(api, args, kwargs)
        return super().call_api(api, args, kwargs)

    def created(self, api: ApiValue, args: list[Any], kwargs: dict[str, Any]) -> Any:
        kind, signature, fixed = CREATED[api.leaf]
        try:
            bound = parse_signature(signature).bind(*args, **kwargs)
        except TypeError as error:
            raise Declined("K2T102", f"{api}: {error}") from None
        bound.apply_defaults()
        wanted = {"Constant": ("value",), "RandomUniform": ("minval", "maxval")}.get(kind, ("mean", "stddev"))
        values = {n: fixed.get(n, bound.arguments.get(n)) for n in wanted}
        return Drawn(ApiObject(ApiValue(f"keras.initializers.{kind}"), (), values), bound.arguments["shape"])

    def call_keras(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if self.initializing and isinstance(function, ApiObject) and is_initializer(function.api):
            return Drawn(function, args[0] if args else kwargs.get("shape"))
        return super().call_keras(function, args, kwargs)

    def binop(self, op: ast.operator, left: Any, right: Any) -> Any:
        if isinstance(left, Drawn) or isinstance(right, Drawn):
            return self.moved(op, left, right)
        return super().binop(op, left, right)

    def moved(self, op: ast.operator, left: Any, right: Any) -> Any:
        """A drawn tensor plus or times a number."""
        drawn, number = (left, right) if isinstance(left, Drawn) else (right, left)
        made = drawn.initializer
        places = LOCATION.get(made.leaf, ())
        reverse = drawn is right and isinstance(op, (ast.Sub, ast.Div))
        if not places or made.args or isinstance(number, (Drawn, Unknown)) or reverse:
            return Unknown("arithmetic on drawn values")
        if isinstance(op, (ast.Mult, ast.Div)):
            places = (*places, *(n for n in made.kwargs if n == "stddev"))
        elif not isinstance(op, (ast.Add, ast.Sub)):
            return Unknown("arithmetic on drawn values")
        changed = {n: binary(op, made.kwargs[n], number) for n in places}
        if not isinstance(changed.get("stddev", 0.0), (int, float)) or changed.get("stddev", 0.0) < 0:
            return Unknown("a deviation that is not known")
        return Drawn(ApiObject(made.api, (), {**made.kwargs, **changed}), drawn.shape)


def as_floats(value: Any) -> Any:
    """Nested lists of numbers as lists of floats; open numbers stay."""
    if isinstance(value, (list, tuple)):
        return [as_floats(v) for v in value]
    return value if isinstance(value, Sym) else float(value)


def is_programmed(value: Any) -> bool:
    """Whether an initializer is code of the program."""
    return isinstance(value, (Instance, Function, Bound, Partial))


def is_initializer(api: ApiValue) -> bool:
    """Whether a name is that of an initializer: `keras.initializers.HeNormal`, `tf.random_normal_initializer`."""
    modules = ("keras.initializers", "tensorflow.python.ops.init_ops")
    return api.path.startswith(modules) or api.leaf.endswith("_initializer")


def initializer_base(cls: Class) -> ApiValue | None:
    """The initializer of Keras that a class of the program derives from."""
    return next((b for b in cls.mro() if isinstance(b, ApiValue) and b.path.startswith("keras.initializers.")), None)
