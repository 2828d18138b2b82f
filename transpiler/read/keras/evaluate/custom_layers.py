"""Layers and models that the program defines itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from transpiler.ir.expr import Sym, same
from transpiler.ir.model import KERAS2, Layer
from transpiler.ir.program import Block, Value, replace_tensors, tensors
from transpiler.ir.shape import TensorType
from transpiler.read.keras.evaluate.api import REPORT_METHODS, TRAINING_METHODS, WEIGHT_METHODS
from transpiler.read.keras.evaluate.constants import Constant
from transpiler.read.keras.evaluate.interpreter import Interpreter
from transpiler.read.keras.evaluate.layer_names import AutomaticName
from transpiler.read.keras.evaluate.own_models import note_data
from transpiler.read.keras.evaluate.program_classes import (
    MODEL_KINDS,
    OWN_KINDS,
    TRAINING,
    is_mode,
    is_own_layer,
    keras_base,
    mentions_mode,
)
from transpiler.read.keras.evaluate.values import (
    Bound,
    Class,
    Function,
    Instance,
    LambdaLayer,
    Model,
    Native,
    Super,
    TensorShape,
    Unknown,
    has_tensors,
    own_copy,
)
from transpiler.rules.base import COMMON


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
        if not isinstance(init, Function):  # a wrapper takes the layer that it wraps
            return {n: v for n, v in {**dict(zip(("layer",), self.args)), **self.kwargs}.items() if n not in COMMON}
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
        masking = self.computes_mask(layer)
        layer.attributes.update(name=cls.name.lower(), built=False, trainable=True, supports_masking=masking)
        layer.attributes["__common__"] = {"index": len(self.layers), "span": self.where()}
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
        else:
            self.base_init(layer, args, kwargs)

    def visit_class(self, cls: Class) -> None:
        """Called for each class of the program whose code goes into the result."""

    def init_model(self, layer: Instance, args: list[Any], kwargs: dict[str, Any]) -> None:
        """`Model.__init__`, with the inputs and outputs of a graph or without."""
        sequential = keras_base(layer.cls) == "Sequential"
        if not sequential and not has_tensors(args) and not has_tensors(kwargs):
            return
        if layer.cls.lookup("call") is not None:
            raise self.declined("K2T107", f"{layer.cls.name} has a graph and a call() of its own")
        model = self.make_sequential(args, kwargs) if sequential else self.make_model(args, kwargs)
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
            if args and keras_base(layer.cls) in MODEL_KINDS:
                note_data(layer, args[0])
            return Unknown(f"what {layer.cls.name} makes of values that are not evaluated")
        if not self.called:
            layer.attributes.setdefault("__seen__", (args, kwargs))
        self.build_custom_layer(layer, args, kwargs)
        heard, masks = self.hear_masks(layer, method, args, kwargs)
        self.called.append([])
        self.called_on.append(inputs)
        try:
            result = self.run_method(layer, method, args, self.call_arguments(method, args, heard))
            self.pass_masks(layer, args[0] if args else next(iter(kwargs.values()), None), masks, result)
        finally:
            inner = self.called.pop()
            self.called_on.pop()
        layer.attributes.setdefault("__inner__", []).extend(inner)
        for y in tensors(result):
            self.nested.pop(y, None)  # a model inside that made it is a part of this layer
        self.remember(
            inputs,
            tensors(result),
            lambda new: self.call_custom_layer(layer, *replace_tensors([args, kwargs], dict(zip(inputs, new)))),
            layer,
        )
        return result

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
        rest = a is not None and a.kwarg is not None
        found = {k: v for k, v in kwargs.items() if k not in optional or v is not None and (k in accepted or rest)}
        if self.generation != KERAS2 and "mask" in accepted and "mask" in kwargs:
            found["mask"] = kwargs["mask"]
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

    def check_call_arguments(self, layer: Layer, args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The mode of the model, handed on by a layer of the program, is what the layer goes by anyway."""
        training = kwargs.get("training")
        if is_mode(training):
            del kwargs["training"]
        elif self.called and isinstance(training, bool) and self.depends_on_training(layer) and not layer.rule.fixed_modes:  # fmt: skip
            raise self.declined("K2T404", f"training={training} inside call() is not translated")
        return super().check_call_arguments(layer, [a for a in args if not is_mode(a)], kwargs)

    def call_decides_mode(self) -> bool:
        return bool(self.called) or super().call_decides_mode()

    def call_model(self, model: Model, args: list[Any], kwargs: dict[str, Any]) -> Any:
        kwargs = {k: v for k, v in kwargs.items() if k != "training" or not is_mode(v)}
        return super().call_model(model, [a for a in args if not is_mode(a)], kwargs)

    def truth(self, value: Any) -> Any:
        test = super().truth(value)
        if not mentions_mode(test):
            return test
        if self.fixed_mode is not None:
            raise self.declined("K2T404", f"training={self.fixed_mode} for a layer of the program is not translated")
        return self.mode_truth(test)

    def mode_truth(self, test: Sym) -> Any:
        """The truth of a test on the mode of the model: here that of inference."""
        return bool(test.witness)

    def setattr(self, target: Any, name: str, value: Any) -> None:
        if is_own_layer(target) and not name.startswith("__"):
            self.name_part(target, name, value)
            if name == "trainable":
                self.attribute_set(target, name, value)
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
            value.hint = name if value.hint == "weight" else value.hint
        elif isinstance(value, Constant):
            value.member.hint = name

    def missing_attribute(self, value: Instance, name: str) -> Any:
        if is_own_layer(value):
            if "__graph__" in value.attributes:
                return self.getattr(value.attributes["__graph__"], name)
            if name in ("add_weight", "add_variable"):
                return Native("add_weight", lambda *a, **k: self.add_weight(value, list(a), k))
            if name == "build" and keras_base(value.cls) in MODEL_KINDS:
                return Native(name, lambda *a, **k: self.model_method(value, name, list(a), k))
            if name == "__setattr__":
                return Native(name, lambda n, v: None if isinstance(n, AutomaticName) else self.setattr(value, n, v))
            if name in ("dtype", "compute_dtype", "variable_dtype"):
                return "float32"
            if name == "add_loss":
                return Native(name, lambda *a, **k: self.add_layer_loss(value, *a[:1], *list(k.values())[:1]))
            if name == "add_metric":
                return Native(name, lambda *a, **k: self.report_metric(value))
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

    def report_metric(self, layer: Instance) -> None:
        self.report("K2T401", f"add_metric() in {layer.cls.name} is left out", "Measure it in your training loop.")

    def super_of_api(self, value: Super, name: str) -> Any:
        layer = value.receiver
        if is_own_layer(layer):
            if name in ("add_weight", "add_variable"):
                return Native("add_weight", lambda *a, **k: self.add_weight(layer, list(a), k))
            if name == "__init__":
                return Native(name, lambda *a, **k: self.base_init(layer, list(a), k))
            if name == "build":
                return Native(name, lambda *a, **k: self.base_build(layer, list(a)))
            if name == "__call__":
                return Native(name, lambda *a, **k: self.call_custom_layer(layer, list(a), k))
            if name == "add" and "__graph__" in layer.attributes:
                return self.getattr(layer.attributes["__graph__"], name)
            if name == "__setattr__":
                return Native(name, lambda n, v: self.setattr(layer, n, v))
            if name == "compute_mask":
                return Native(name, lambda inputs, mask=None: mask)
            if name == "get_config" and "__config__" in layer.attributes:
                return Native(name, lambda: dict(layer.attributes["__config__"]))
            if name in ("get_config", "compute_output_shape", "from_config"):
                return Native(name, lambda *a, **k: Unknown(f"{name}() of {layer.cls.name}"))
        return super().super_of_api(value, name)

    def base_build(self, layer: Instance, args: list[Any]) -> None:
        """`Layer.build`, or that of a wrapper, which builds the layer it wraps."""
        layer.attributes["built"] = True
        inner = layer.attributes.get("layer")
        if keras_base(layer.cls) == "Wrapper" and isinstance(inner, Layer) and not self.is_built(inner):
            self.build_layer(inner, *args)

    def base_init(self, layer: Instance, args: list[Any], kwargs: dict[str, Any]) -> None:
        """`Layer.__init__` or `Model.__init__`."""
        if kwargs.get("activity_regularizer") is not None:
            self.report("K2T402", f"the activity_regularizer of {layer.cls.name} is left out", "Add it to your loss.")
        if kwargs.get("dtype") not in (None, "float32"):
            raise self.declined("K2T107", f"{layer.cls.name} computes in {kwargs['dtype']!r}")
        layer.attributes["__common__"] |= {k: v for k, v in kwargs.items() if k in COMMON and v is not None}
        if isinstance(kwargs.get("name"), (str, Sym)):
            layer.attributes["name"] = kwargs["name"]
        if keras_base(layer.cls) == "Wrapper":
            self.setattr(layer, "layer", args[0] if args else kwargs.get("layer"))
        if keras_base(layer.cls) in MODEL_KINDS:
            self.init_model(layer, args, kwargs)
