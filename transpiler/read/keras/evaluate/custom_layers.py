"""Layers and models that the program defines itself."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from transpiler.ir.expr import Sym, code_of, same
from transpiler.ir.model import KERAS2, ApiValue, Layer, Lowering, Step, Weight
from transpiler.ir.program import Apply, Block, Member, Value, replace_tensors, tensors
from transpiler.ir.shape import TensorType
from transpiler.read.keras.evaluate.api import REPORT_METHODS, TRAINING_METHODS, WEIGHT_METHODS
from transpiler.read.keras.evaluate.interpreter import Interpreter
from transpiler.read.keras.evaluate.program_classes import (
    OWN_KINDS,
    TRAINING,
    is_mode,
    is_own_layer,
    keras_base,
    mentions_mode,
)
from transpiler.read.keras.evaluate.program_initializers import Drawn
from transpiler.read.keras.evaluate.values import (
    Bound,
    Class,
    Function,
    Instance,
    LambdaLayer,
    Model,
    Native,
    Origin,
    Super,
    TensorShape,
    Unknown,
    has_tensors,
    own_copy,
)
from transpiler.rules.base import COMMON, parse_signature
from transpiler.rules.initializers import weight_code
from transpiler.rules.ops import DynamicDim

RANDOM = {
    "uniform": ("torch.rand", "shape, minval=0.0, maxval=1.0, dtype=None, seed=None, name=None"),
    "random_uniform": ("torch.rand", "shape, minval=0.0, maxval=1.0, dtype=None, seed=None, name=None"),
    "normal": ("torch.randn", "shape, mean=0.0, stddev=1.0, dtype=None, seed=None, name=None"),
    "random_normal": ("torch.randn", "shape, mean=0.0, stddev=1.0, dtype=None, seed=None, name=None"),
}
"""Functions that draw random numbers: torch's for the plain distribution, and how they are called."""


@dataclass(eq=False)
class Made:
    """How an object of a class of the program was made: arguments, the attributes it then had, what was computed."""

    args: list[Any]
    kwargs: dict[str, Any]
    attributes: dict[str, Any]
    ops: list[Any] = field(default_factory=list)

    def bound(self, layer: Instance) -> dict[str, Any]:
        """The arguments of the constructor by name."""
        init = layer.cls.lookup("__init__")
        if not isinstance(init, Function):
            return {}
        names = Interpreter.bind(init.interpreter, init, [layer, *self.args], self.kwargs).names
        return {n: v for n, v in names.items() if not n.startswith("__") and v is not layer}

    def untouched(self, layer: Instance) -> bool:
        """Whether the object still is as its constructor left it, apart from what `build` and calls do themselves."""
        now = {k: v for k, v in layer.attributes.items() if not k.startswith("__")}
        return all(k in now and (now[k] is v or same(now[k], v)) for k, v in self.attributes.items())


class CustomLayers:
    """The part of the interpreter that calls custom layers."""

    def instantiate(self, cls: Class, args: list[Any], kwargs: dict[str, Any]) -> Any:
        kind = keras_base(cls)
        if kind in OWN_KINDS:
            return self.make_custom_layer(cls, args, kwargs)
        if kind is not None:
            raise self.declined("K2T107", f"{cls.name}, a subclass of {kind}, is not translated yet")
        return super().instantiate(cls, args, kwargs)

    def make_custom_layer(self, cls: Class, args: list[Any], kwargs: dict[str, Any]) -> Instance | Model:
        """An object of a layer's or model's class; a model that gives its own graph to Keras is a functional one."""
        layer = Instance(cls)
        common = {k: kwargs[k] for k in kwargs if k in COMMON}
        name = common.get("name")
        name = name if isinstance(name, (str, Sym)) else cls.name.lower()
        layer.attributes.update(name=name, built=False, trainable=True, supports_masking=False)
        layer.attributes["__common__"] = {**common, "index": len(self.layers), "span": self.where()}
        self.layers.append(layer)
        self.owners.append(layer)
        try:
            self.run_constructor(layer, args, kwargs)
        finally:
            self.owners.pop()
        kept = {k: own_copy(v) for k, v in layer.attributes.items() if not k.startswith("__") and k != "built"}
        layer.attributes["__made__"] = Made(args, kwargs, kept)
        return layer.attributes.get("__graph__", layer)

    def run_constructor(self, layer: Instance, args: list[Any], kwargs: dict[str, Any]) -> None:
        init = layer.cls.lookup("__init__")
        if init is not None:
            self.call(Bound(init, layer), args, kwargs)
        elif keras_base(layer.cls) != "Layer":
            self.init_model(layer, args, kwargs)

    def visit_class(self, cls: Class) -> None:
        """Called for each class of the program whose code goes into the result."""

    def init_model(self, layer: Instance, args: list[Any], kwargs: dict[str, Any]) -> None:
        """`Model.__init__`, with the inputs and outputs of a graph or without."""
        if not has_tensors(args) and not has_tensors(kwargs):
            return
        if layer.cls.lookup("call") is not None:
            raise self.declined("K2T107", f"{layer.cls.name} has a graph and a call() of its own")
        model = self.make_model(args, kwargs)
        model.cls = layer.cls
        model.attributes = layer.attributes
        layer.attributes["__graph__"] = model

    def call(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if isinstance(function, LambdaLayer):
            return self.call_lambda(function, args, kwargs)
        if is_own_layer(function) and function.cls.lookup("__call__") is None:
            return self.call_custom_layer(function, args, kwargs)
        return super().call(function, args, kwargs)

    def call_custom_layer(self, layer: Instance, args: list[Any], kwargs: dict[str, Any]) -> Any:
        method = layer.attributes.get("call") or layer.cls.lookup("call")
        if method is None:
            raise self.declined("K2T107", f"{layer.cls.name} has no call()")
        inputs = tensors([*args, *kwargs.values()])
        if not inputs and not self.called:
            return Unknown(f"what {layer.cls.name} makes of values that are not evaluated")
        if any(x.type.masked for x in inputs):
            raise self.declined(
                "K2T105", f"{layer.cls.name} may act on the mask of its input, and masks are not translated yet"
            )
        if not self.called:
            layer.attributes.setdefault("__seen__", (args, kwargs))
        self.build_custom_layer(layer, args, kwargs)
        self.called.append([])
        self.called_on.append(inputs)
        try:
            result = self.run_method(layer, method, args, self.call_arguments(method, args, kwargs))
        finally:
            inner = self.called.pop()
            self.called_on.pop()
        layer.attributes.setdefault("__inner__", []).extend(inner)
        self.remember(
            inputs,
            tensors(result),
            lambda new: self.call_custom_layer(layer, *replace_tensors([args, kwargs], dict(zip(inputs, new)))),
            layer,
        )
        return result

    def call_api(self, api: ApiValue, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if api.leaf in RANDOM and "random" in api.path and self.called_on and not self.initializing:
            return self.random_tensor(api, args, kwargs)
        return super().call_api(api, args, kwargs)

    def random_tensor(self, api: ApiValue, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Random numbers that a layer draws in `call`, for every sample of its input anew."""
        function, signature = RANDOM[api.leaf]
        try:
            bound = parse_signature(signature).bind(*args, **kwargs)
        except TypeError as error:
            raise self.declined("K2T102", f"{api}: {error}") from None
        bound.apply_defaults()
        shape, low, high = list(bound.arguments.values())[:3]
        sizes = list(shape) if isinstance(shape, (list, tuple)) else []
        numbers = all(isinstance(v, (int, float)) for v in (low, high))
        if not sizes or not isinstance(sizes[0], DynamicDim) or not numbers or not all(isinstance(d, (int, Sym)) for d in sizes[1:]):  # fmt: skip
            raise self.declined("K2T106", f"{api} of this shape is not translated")
        given = self.called_on[-1][0]
        dims = "".join(f", {code_of(d)}" for d in sizes[1:])
        step = Step(fn=f"{function}(len({{0}}){dims}, dtype={{0}}.dtype, device={{0}}.device)", hint="noise")
        drawn = self.emit_lowering(Lowering([step], [TensorType((None, *sizes[1:]))]), [given], None)
        self.remember([given], drawn, lambda new: self.random_tensor(api, args, kwargs))
        shift, scale = (low, high - low) if function == "torch.rand" else (low, high)
        scaled = drawn[0] if scale == 1 else self.binop(ast.Mult(), drawn[0], scale)
        return scaled if shift == 0 else self.binop(ast.Add(), scaled, shift)

    def run_method(self, layer: Instance, method: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """A call of a method as a part of what calls it."""
        if isinstance(method, Function) and method is layer.cls.lookup(method.name):
            return self.run_function(method, [layer, *args], kwargs)
        if isinstance(method, Function):
            return self.run_function(method, args, kwargs)
        return self.call(method, args, kwargs)

    def call_arguments(self, method: Any, args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The keywords for `call`: `training` is the mode of the model, and a mask that is None is none."""
        a = method.node.args if isinstance(method, Function) else None
        accepted = {p.arg for p in (*a.args, *a.kwonlyargs)} if a is not None else set()
        optional = ("training", "mask")
        found = {k: v for k, v in kwargs.items() if k not in optional or v is not None and k in accepted}
        if a is not None and "training" in [p.arg for p in a.args[len(args) + 1 :]] + [p.arg for p in a.kwonlyargs]:
            found.setdefault("training", TRAINING)
        return found

    def build_custom_layer(self, layer: Instance, args: list[Any], kwargs: dict[str, Any]) -> None:
        """Runs `build` with the shapes of the inputs, as Keras does before the first call."""
        if layer.attributes["built"]:
            return
        layer.attributes["built"] = True
        self.owners.append(layer)
        try:
            self.run_build(layer, args, kwargs)
        finally:
            self.owners.pop()

    def run_build(self, layer: Instance, args: list[Any], kwargs: dict[str, Any]) -> None:
        build = layer.attributes.get("build") or layer.cls.lookup("build")
        if build is None:
            return
        first = args[0] if args else next(iter(kwargs.values()), None)
        parameters = [p.arg for p in build.node.args.args[1:]] if isinstance(build, Function) else []
        if self.generation != KERAS2 and len(parameters) > 1:
            method = layer.cls.lookup("call")
            names = [p.arg for p in method.node.args.args[1:]] if isinstance(method, Function) else []
            given = {**dict(zip(names, args)), **kwargs}
            shapes = {f"{n}_shape": self.shapes_of(v) for n, v in given.items() if has_tensors(v)}
            self.run_method(layer, build, [], {k: v for k, v in shapes.items() if k in parameters})
            return
        self.run_method(layer, build, [self.shapes_of(first)], {})

    def shapes_of(self, value: Any) -> Any:
        """The shapes of the tensors in a structure, as `build` gets them."""
        if isinstance(value, Value):
            return self.as_shape(value.type.shape)
        if isinstance(value, dict):
            return {k: self.shapes_of(v) for k, v in value.items()}
        return [self.shapes_of(v) for v in value] if isinstance(value, (list, tuple)) else None

    def output_shape_of(self, layer: Layer | LambdaLayer, input_shape: Any) -> Any:
        """`compute_output_shape` of a layer."""
        several = isinstance(input_shape, list) and any(isinstance(s, (list, tuple, TensorShape)) for s in input_shape)
        shapes = input_shape if several else [input_shape]
        if any(isinstance(s, Unknown) or any(isinstance(d, Unknown) for d in s) for s in shapes):
            return Unknown("the output shape for an unknown input shape")
        types = [TensorType(tuple(s)) for s in shapes]
        if isinstance(layer, Layer):
            found = layer.rule.output_shape(layer.args, types)
            return [self.as_shape(s) for s in found] if isinstance(found, list) else self.as_shape(found)
        outer, self.block = self.block, Block()
        try:
            result = self.call(layer, [Value(t, "x") for t in types], {})
        finally:
            self.block = outer
        return self.shapes_of(result)

    def as_shape(self, shape: tuple[Any, ...]) -> Any:
        return TensorShape(shape) if self.generation == KERAS2 else shape

    def getattr(self, value: Any, name: str) -> Any:
        if isinstance(value, LambdaLayer):
            return self.lambda_attribute(value, name)
        return super().getattr(value, name)

    def lambda_attribute(self, layer: LambdaLayer, name: str) -> Any:
        if name == "name":
            return layer.name or "lambda"
        if name == "compute_output_shape":
            return Native(name, lambda shape: self.output_shape_of(layer, shape))
        if name in ("call", "__call__"):
            return Native(name, lambda *a, **k: self.call_lambda(layer, list(a), k))
        return Native(name, lambda *a, **k: None) if name == "build" else Unknown(f"{name} of a Lambda layer")

    def remember(self, inputs: list[Value], outputs: list[Value], replay: Any, layer: Any = None) -> None:
        if layer is not None and self.called and not any(known is layer for known in self.called[-1]):
            self.called[-1].append(layer)
        super().remember(inputs, outputs, replay, layer)

    def check_call_arguments(self, layer: Layer, args: list[Any], kwargs: dict[str, Any]) -> None:
        """The mode of the model, handed on by a layer of the program, is what the layer goes by anyway."""
        if is_mode(kwargs.get("training")):
            del kwargs["training"]
        super().check_call_arguments(layer, [a for a in args if not is_mode(a)], kwargs)

    def call_model(self, model: Model, args: list[Any], kwargs: dict[str, Any]) -> Any:
        kwargs = {k: v for k, v in kwargs.items() if k != "training" or not is_mode(v)}
        return super().call_model(model, [a for a in args if not is_mode(a)], kwargs)

    def truth(self, value: Any) -> Any:
        test = super().truth(value)
        return self.mode_truth(test) if mentions_mode(test) else test

    def mode_truth(self, test: Sym) -> Any:
        """The truth of a test on the mode of the model: here that of inference."""
        return bool(test.witness)

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
        self.emit(Apply([value], [], step, member))
        self.origins[value] = Origin([], [value], lambda xs: None)
        return value

    def api_Variable(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """`tf.Variable` in a layer's constructor or `build`: a weight of that layer."""
        names = ("initial_value", "trainable") if path.startswith("tensorflow.") else ("initializer", "shape")
        given = {**dict(zip(names, args)), **kwargs}
        start = given.get("initial_value", given.get("initializer"))
        if not self.owners or not isinstance(start, Drawn) or not isinstance(start.shape, (tuple, list)):
            return Unknown(f"{path}() is not evaluated")
        if self.generation != KERAS2 and path.startswith("tensorflow."):
            raise self.declined(
                "K2T107",
                "Keras 3 does not count a tf.Variable among the weights of a layer",
                "Use add_weight(), or convert with --keras tf_keras.",
            )
        kept = {k: v for k, v in given.items() if k in ("trainable", "name", "dtype")}
        return self.add_weight(self.owners[-1], [], {**kept, "shape": start.shape, "initializer": start.initializer})

    def check_weight_arguments(self, given: dict[str, Any]) -> None:
        for name in ("regularizer", "constraint"):
            if given.get(name) is not None:
                self.report(
                    "K2T402",
                    f"the {name} of this weight acts in training alone and is left out",
                    "Add the term to your loss, or use the optimizer's weight_decay.",
                )

    def setattr(self, target: Any, name: str, value: Any) -> None:
        if is_own_layer(target) and not name.startswith("__"):
            self.name_part(target, name, value)
        super().setattr(target, name, value)

    def name_part(self, owner: Instance, name: str, value: Any) -> None:
        """What a layer is made of is called as the attribute that holds it."""
        if isinstance(value, (list, tuple)):
            for i, item in enumerate(value):
                self.name_part(owner, f"{name.removesuffix('s')}{i + 1}", item)
        elif isinstance(value, dict):
            for key, item in value.items():
                self.name_part(owner, f"{name}_{key}", item)
        elif isinstance(value, Layer):
            value.attributes.setdefault("attribute", name)
        elif is_own_layer(value):
            value.attributes["__common__"].setdefault("attribute", name)
        elif isinstance(value, Value) and value in owner.attributes.get("__weights__", ()):
            member = owner.attributes["__weights__"][value]
            member.name = member.name or name

    def missing_attribute(self, value: Instance, name: str) -> Any:
        if is_own_layer(value):
            if name in ("add_weight", "add_variable"):
                return Native("add_weight", lambda *a, **k: self.add_weight(value, list(a), k))
            if "__graph__" in value.attributes:
                return self.getattr(value.attributes["__graph__"], name)
            if name == "build" and keras_base(value.cls) != "Layer":
                return Native(name, lambda *a, **k: self.model_method(value, name, list(a), k))
            if name in ("dtype", "compute_dtype", "variable_dtype"):
                return "float32"
            if name in ("add_loss", "add_metric"):
                return Native(name, lambda *a, **k: self.report_loss(value, name))
            if name in (*TRAINING_METHODS, *WEIGHT_METHODS, *REPORT_METHODS):
                return Native(name, lambda *a, **k: self.model_method(value, name, list(a), k))
        return super().missing_attribute(value, name)

    def model_method(self, model: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if isinstance(model, Instance) and name == "build":
            return self.build_model(model, *args, **kwargs)
        return super().model_method(model, name, args, kwargs)

    def build_model(self, model: Instance, input_shape: Any) -> None:
        """`Model.build`, which calls the model on inputs of a shape, or of several."""
        several = isinstance(input_shape, list) and any(isinstance(s, (list, tuple)) for s in input_shape)
        shapes = input_shape if several else [input_shape]
        inputs = [self.make_input({"shape": tuple(s)[1:]}, []) for s in shapes]
        self.call(model, [inputs if several else inputs[0]], {})

    def report_loss(self, layer: Instance, name: str) -> None:
        self.report("K2T401", f"{name}() in {layer.cls.name} is left out", "Add the term in your training loop.")

    def super_of_api(self, value: Super, name: str) -> Any:
        layer = value.receiver
        if is_own_layer(layer):
            if name in ("add_weight", "add_variable"):
                return Native("add_weight", lambda *a, **k: self.add_weight(layer, list(a), k))
            if name == "__init__":
                return Native(name, lambda *a, **k: self.base_init(layer, list(a), k))
            if name == "build":
                return Native(name, lambda *a, **k: layer.attributes.update(built=True))
            if name == "__call__":
                return Native(name, lambda *a, **k: self.call_custom_layer(layer, list(a), k))
            if name == "__setattr__":
                return Native(name, lambda n, v: self.setattr(layer, n, v))
            if name in ("get_config", "compute_output_shape", "compute_mask", "from_config"):
                return Native(name, lambda *a, **k: Unknown(f"{name}() of {layer.cls.name}"))
        return super().super_of_api(value, name)

    def base_init(self, layer: Instance, args: list[Any], kwargs: dict[str, Any]) -> None:
        """`Layer.__init__` or `Model.__init__`."""
        if kwargs.get("activity_regularizer") is not None:
            self.report("K2T402", f"the activity_regularizer of {layer.cls.name} is left out", "Add it to your loss.")
        if kwargs.get("dtype") not in (None, "float32"):
            raise self.declined("K2T107", f"{layer.cls.name} computes in {kwargs['dtype']!r}")
        layer.attributes["__common__"] |= {k: v for k, v in kwargs.items() if k in COMMON and v is not None}
        if isinstance(kwargs.get("name"), (str, Sym)):
            layer.attributes["name"] = kwargs["name"]
        if keras_base(layer.cls) != "Layer":
            self.init_model(layer, args, kwargs)
