"""The weights that layers of the program make, and the random numbers they draw."""

from __future__ import annotations

from typing import Any

from transpiler.ir.model import KERAS2, ApiObject, ApiValue, Step, Weight
from transpiler.ir.program import Apply, Member, Value
from transpiler.ir.shape import TensorType
from transpiler.read.keras.evaluate.arrays import NumpyArray
from transpiler.read.keras.evaluate.constants import Constant
from transpiler.read.keras.evaluate.program_initializers import Drawn
from transpiler.read.keras.evaluate.values import Instance, Origin, TensorShape, Unknown
from transpiler.rules.initializers import weight_code
from transpiler.rules.ops.base import is_float


class CustomWeights:
    """The part of the interpreter that makes the tensors of custom layers which are not computed."""

    def add_weight(self, layer: Instance, args: list[Any], kwargs: dict[str, Any]) -> Value:
        """A weight of a custom layer: a parameter of the class under construction."""
        given = dict(kwargs)
        if args and isinstance(args[0], str):
            given["name"], args = args[0], args[1:]
        order = ("shape", "initializer") if self.generation != KERAS2 else ("shape", "dtype", "initializer")
        given = {**dict(zip(order, args)), **given}
        shape = given.get("shape")
        shape = () if shape is None else tuple(shape) if isinstance(shape, (tuple, list, TensorShape)) else (shape,)
        if any(d is None or isinstance(d, Unknown) for d in shape):
            raise self.declined("K2T202", "the shape of this weight is not known")
        dtype = given.get("dtype")
        if dtype is not None and "float" not in str(getattr(dtype, "leaf", dtype)):
            raise self.declined("K2T107", "a weight that does not hold floats is not translated")
        self.check_weight_arguments(given)
        initializer = self.initializer_of(given.get("initializer"), shape)
        code, helpers = weight_code(shape, initializer, given.get("trainable") is not False)
        hint = str(given.get("name") or "weight").rpartition("/")[2]
        value = Value(TensorType(shape), hint)
        step = Step(module=code, fn="{self}", hint=hint, weights={"": Weight(hint)}, helpers=helpers)
        member = Member(code, hint, None, None, step, order=layer.attributes["__common__"]["index"])
        layer.attributes.setdefault("__weights__", {})[value] = member
        layer.attributes.setdefault("__saved__", {})[value] = (given.get("name"), given.get("trainable") is not False)
        self.emit(Apply([value], [], step, member))
        self.origins[value] = Origin([], [value], lambda xs: None)
        return value

    def api_Variable(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """`tf.Variable` in a layer's constructor or `build`: a weight of that layer."""
        names = ("initial_value", "trainable") if path.startswith("tensorflow.") else ("initializer", "shape")
        given = {**dict(zip(names, args)), **kwargs}
        return self.variable_of(path, given, given.get("initial_value", given.get("initializer")))

    def api_variable(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """`K.variable`, which makes a `tf.Variable` of floats."""
        given = {"dtype": "float32", **dict(zip(("value", "dtype", "name", "constraint"), args)), **kwargs}
        return self.variable_of(path, given, given.get("value"))

    def api_random_normal_variable(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """`K.random_normal_variable(shape, mean, scale)`: a weight of the layer that is being made."""
        return self.drawn_variable(path, "RandomNormal", ("mean", "stddev"), ("mean", "scale"), args, kwargs)

    def api_random_uniform_variable(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return self.drawn_variable(path, "RandomUniform", ("minval", "maxval"), ("low", "high"), args, kwargs)

    def drawn_variable(
        self,
        path: str,
        kind: str,
        own: tuple[str, ...],
        names: tuple[str, ...],
        args: list[Any],
        kwargs: dict[str, Any],
    ) -> Any:
        given = {"dtype": "float32", **dict(zip(("shape", *names, "dtype", "name", "seed"), args)), **kwargs}
        values = {mine: given.get(name) for mine, name in zip(own, names)}
        start = Drawn(ApiObject(ApiValue(f"keras.initializers.{kind}"), (), values), given.get("shape"))
        return self.variable_of(path, {k: given[k] for k in ("dtype", "name") if k in given}, start)

    def variable_of(self, path: str, given: dict[str, Any], start: Any) -> Any:
        """A variable of the layer that is being made, which starts as `start`."""
        if not self.owners:
            return Unknown(f"{path}() is not evaluated")
        floats = type(start) is float or str(getattr(given.get("dtype"), "leaf", given.get("dtype"))).startswith(
            "float"
        )
        if type(start) in (int, float) and floats:
            start = Drawn(ApiObject(ApiValue("keras.initializers.Constant"), (float(start),)), ())
        start = self.as_tensors(start, False)
        if isinstance(start, (NumpyArray, Constant)):
            if not is_float(self.dtype_of_variable(start, given.get("dtype"))):
                return self.array_tensor(start) if isinstance(start, NumpyArray) else start
            constant = ApiObject(ApiValue("keras.initializers.Constant"), (start,))
            start = Drawn(constant, start.shape if isinstance(start, NumpyArray) else start.type.shape)
        if not isinstance(start, Drawn) or not isinstance(start.shape, (tuple, list)):
            return Unknown(f"{path}() is not evaluated")
        if self.generation != KERAS2 and path.startswith(("tensorflow.", "keras.backend.")):
            raise self.declined(
                "K2T107",
                "Keras 3 does not count a tf.Variable among the weights of a layer",
                "Use add_weight(), or convert with --keras tf_keras.",
            )
        kept = {k: v for k, v in given.items() if k in ("trainable", "name", "dtype", "constraint")}
        return self.add_weight(self.owners[-1], [], {**kept, "shape": start.shape, "initializer": start.initializer})

    def dtype_of_variable(self, start: NumpyArray | Constant, dtype: Any) -> str:
        own = start.dtype if isinstance(start, NumpyArray) else start.type.dtype
        return own if dtype is None else str(getattr(dtype, "leaf", dtype))

    def check_weight_arguments(self, given: dict[str, Any]) -> None:
        for name in ("regularizer", "constraint"):
            if given.get(name) is not None:
                self.report(
                    "K2T402",
                    f"the {name} of this weight acts in training alone and is left out",
                    "Add the term to your loss, or use the optimizer's weight_decay.",
                )
