"""Models: functional, Sequential, nested; what the program asks of them."""

from __future__ import annotations

from dataclasses import replace
from types import NoneType
from typing import Any

from transpiler.diagnostics import Declined, Finding, Severity, excerpt
from transpiler.ir.expr import NeedsConstant, Sym
from transpiler.ir.model import ApiValue, Layer, Step
from transpiler.ir.program import Apply, Value, replace_tensors, tensors
from transpiler.read.keras.evaluate.api import (
    REPORT_METHODS,
    TRAINING_METHODS,
    WEIGHT_METHODS,
)
from transpiler.read.keras.evaluate.constants import Constant
from transpiler.read.keras.evaluate.layer_names import automatic_name
from transpiler.read.keras.evaluate.signals import ProgramError
from transpiler.read.keras.evaluate.values import (
    PRETRAINED,
    Alternative,
    Method,
    Model,
    Module,
    TensorShape,
    Unknown,
    has_tensors,
)
from transpiler.read.keras.names import is_framework


class KerasModels:
    """The part of the interpreter that knows models."""

    def make_model(self, args: list[Any], kwargs: dict[str, Any]) -> Any:
        aliases = {"input": "inputs", "output": "outputs"}
        given = {**dict(zip(("inputs", "outputs", "name"), args)), **{aliases.get(k, k): v for k, v in kwargs.items()}}
        inputs, outputs = given.get("inputs"), given.get("outputs")
        if isinstance(outputs, Alternative):
            return self.split(outputs, lambda v: self.make_model([inputs, v], {}))
        for value in (inputs, outputs):
            if isinstance(value, Unknown):
                raise self.declined("K2T201", f"the model's tensors cannot be evaluated: {value.reason}")
            if not has_tensors(value):
                raise self.declined(
                    "K2T103", "a Model needs input and output tensors here", "Subclassed models are not translated yet."
                )
        name = given.get("name")
        model = Model(
            inputs, outputs, name if isinstance(name, str) else None, span=self.where(), index=len(self.layers)
        )
        self.layers.append(model)
        self.models.append(model)
        model.attributes["__masks__"] = self.masks
        self.model_made(model)
        return model

    def model_made(self, model: Model) -> None:
        """Called for each functional model."""

    def make_sequential(self, args: list[Any], kwargs: dict[str, Any]) -> Model:
        given = {**dict(zip(("layers", "name"), args)), **kwargs}
        name = given.get("name")
        model = Model(
            name=name if isinstance(name, str) else None, layers=[], span=self.where(), index=len(self.layers)
        )
        self.layers.append(model)
        self.models.append(model)
        model.attributes["__masks__"] = self.masks
        for layer in given.get("layers") or []:
            self.sequential_add(model, layer)
        return model

    def sequential_add(self, model: Model, layer: Any) -> None:
        assert model.layers is not None
        if isinstance(layer, Unknown):
            raise self.declined("K2T201", f"this layer cannot be evaluated: {layer.reason}")
        if isinstance(layer, Value):  # keras.Input(...)
            model.inputs = model.outputs = layer
            return
        model.layers.append(layer)
        if model.inputs is None:
            shape = self.first_shape(layer)
            if shape is not None:
                model.inputs = model.outputs = self.make_input({"shape": shape[0], "dtype": shape[1]}, [])
        if model.outputs is not None:
            try:
                model.outputs = self.call(layer, [model.outputs], {})
            except Declined as declined:
                if declined.code != "K2T202" or not self.takes_any_length(model.layers[0]):
                    raise
                model.inputs = model.outputs = None  # its shape is said later, by `build`

    def takes_any_length(self, layer: Any) -> bool:
        """Whether a layer says of its inputs no more than that they are numbers of words."""
        return (
            isinstance(layer, Layer)
            and layer.rule.keras[0] == "Embedding"
            and self.first_shape(layer)
            == (
                (None,),
                "int32",
            )
        )

    def first_shape(self, layer: Any) -> tuple[Any, Any] | None:
        """The input shape (without batch) that a Sequential's first layer declares, and its dtype."""
        if isinstance(layer, Layer):
            a = layer.args
            dtype = "int32" if layer.rule.keras[0] == "Embedding" else None
            if a.get("batch_input_shape") is not None:
                return a.get("batch_input_shape")[1:], dtype
            if a.get("input_shape") is not None:
                return a.get("input_shape"), dtype
            if a.get("input_dim") is not None and layer.rule.keras[0] != "Embedding":
                length = a.get("input_length")
                return ((a.input_dim,) if length is None else (length, a.input_dim)), dtype
            if layer.rule.keras[0] == "Embedding":
                return (a.get("input_length"),), dtype
            inner = a.get("layer")
            return self.first_shape(inner) if isinstance(inner, Layer) else None
        if isinstance(layer, Model) and layer.inputs is not None:
            xs = tensors(layer.inputs)
            return xs[0].type.shape[1:], xs[0].type.dtype
        return None

    def call_model(self, model: Model, args: list[Any], kwargs: dict[str, Any]) -> Any:
        training, outer = kwargs.get("training"), self.fixed_mode
        if training is not None and self.call_decides_mode() and isinstance(training, (bool, int)):
            self.fixed_mode = bool(training)
            try:
                return self.call_model(model, args, {**kwargs, "training": None})
            finally:
                self.fixed_mode = outer
        if training is not None:
            self.training_flag(training)
        if kwargs.get("mask") is not None:
            raise self.declined("K2T105", "a model called with a mask is not translated")
        inputs = args[0] if args else kwargs.get("inputs")
        if not tensors(inputs) and inputs is not None and model.inputs is not None and tensors(model.inputs):
            return Unknown("what a model makes of an array")
        if model.sequential and model.inputs is None:
            result = inputs
            for layer in model.layers or []:
                result = self.call(layer, [result], {})
        else:
            result = self.replay(model, inputs)
        given, made = tensors(inputs), tensors(result)
        self.nested.update({y: (model, given, made) for y in made if y not in given})
        return result

    def replay(self, model: Model, inputs: Any) -> Any:
        """The model's graph once more, from other inputs: the same layers are called again."""
        old, new = tensors(model.inputs), tensors(inputs)
        if len(old) != len(new):
            raise ProgramError(ValueError(f"the model takes {len(old)} inputs, {len(new)} were given"))
        mapping: dict[Value, Any] = {o: self.as_declared(o, n) for o, n in zip(old, new)}

        def value_of(x: Value) -> Any:
            if isinstance(x, Constant):
                return x
            if x not in mapping:
                origin = self.origins.get(x)
                if origin is None or not origin.inputs:
                    raise self.declined("K2T103", "this model depends on a tensor that is not one of its inputs")
                result = tensors(origin.replay([value_of(i) for i in origin.inputs]))
                mapping.update(zip(origin.outputs, result))
            return mapping[x]

        outputs = {x: value_of(x) for x in tensors(model.outputs)}
        result = replace_tensors(model.outputs, outputs)
        return result[0] if isinstance(result, (list, tuple)) and len(result) == 1 else result

    def as_declared(self, declared: Value, given: Value) -> Value:
        """A tensor whose sizes are open, with those that the model's input declares: Keras takes no others."""
        pairs = zip(declared.type.shape, given.type.shape)
        sizes = tuple(d if isinstance(g, Sym) and isinstance(d, int) else g for d, g in pairs)
        if sizes == given.type.shape or len(sizes) != given.type.rank:
            return given
        known = Value(replace(given.type, shape=sizes), given.hint)
        self.emit(Apply([known], [given], Step(fn="{0}")))
        self.set_mask(known, self.masks.get(given))
        self.remember([given], [known], lambda new: self.as_declared(declared, new[0]))
        return known

    def call_application(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """A function of `keras.applications`, or of one of its modules: several have a function of one name."""
        home, _, name = path.rpartition(".")
        part = home.rpartition(".")[2]
        own = self.loader.application(name, self.generation, "*" if home == "keras.applications" else part)
        module = (
            self.import_module(own) if own is not None else self.api_attribute(ApiValue("keras.applications"), part)
        )
        if not isinstance(module, Module) or isinstance(module.names.get(name), (ApiValue, NoneType)):
            raise self.declined(
                "K2T106",
                f"the source of keras.applications.{name} was not found",
                "Install keras, or name its folder with --path.",
            )
        return self.call(self.getattr(module, name), args, kwargs)

    def call_method(self, method: Method, args: list[Any], kwargs: dict[str, Any]) -> Any:
        receiver, name = method.receiver, method.name
        if isinstance(receiver, TensorShape):
            if name in ("as_list", "as_proto", "to_list"):
                return list(receiver.dims)
            if name == "num_elements":
                return None
            if name == "count":
                return receiver.dims.count(*args)
        if isinstance(receiver, Value):
            if name in ("get_shape", "_shape_tuple"):
                return TensorShape(receiver.type.shape)
            if self.op_rule(f"ops.{name}") is not None:
                return self.call_op(f"ops.{name}", [receiver, *args], kwargs)
            if name in ("set_shape",):
                return None
        if isinstance(receiver, Model):
            return self.model_method(receiver, name, args, kwargs)
        if isinstance(receiver, Layer):
            if name == "call" or name == "__call__":
                return self.call_layer(receiver, args, kwargs)
            if name == "compute_mask":
                return self.computed_mask(receiver, *args, **kwargs)
            if name == "compute_output_shape":
                return self.output_shape_of(receiver, *args, **kwargs)
            if name == "build":
                return self.build_layer(receiver, *args, **kwargs)
            if name == "set_weights":
                message = "set_weights() of a layer is not translated here"
                advice = "Give the layer its weights as initializers, such as Constant(…), or set them after the model is made."
                self.report("K2T403", message, advice, Severity.ERROR)
            if name in ("set_weights", "get_weights", "get_config"):
                return Unknown(f"{name}() of a layer")
            if name == "get_output_at":
                return receiver.attributes["calls"][args[0]][1][0]
        raise self.declined("K2T103", f"the method {name}() of {receiver!r} is not translated")

    def model_method(self, model: Model, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if name == "add" and model.sequential:
            return self.sequential_add(model, args[0] if args else kwargs["layer"])
        if name == "call":
            return self.call_model(model, args, kwargs)
        if name == "get_layer":
            return self.get_layer(model, *args, **kwargs)
        if name == "add_loss":
            return self.add_model_loss(model, args[0] if args else next(iter(kwargs.values()), None))
        if name in TRAINING_METHODS:
            model.attributes.setdefault("__compiled__", True)
            self.report(
                "K2T401",
                f"{name}() is training code, which is not translated",
                "Write the training loop around the converted model.",
            )
            return Unknown(f"the result of {name}()")
        if name == "load_weights" and is_framework(self.stack[-1][0].name):
            return self.note_pretrained(model)
        if name in WEIGHT_METHODS:
            self.report(
                "K2T403", f"{name}() is not translated", "Convert the weights and use load_state_dict / torch.save."
            )
            return Unknown(f"the result of {name}()")
        guessed = bool(model.layers) and self.takes_any_length(model.layers[0])  # type: ignore[index]
        if name == "build" and model.sequential and model.inputs is None:
            shape = args[0] if args else kwargs.get("input_shape")
            dtype = {"dtype": "int32"} if guessed else {}
            model.inputs = model.outputs = self.make_input({"shape": tuple(shape)[1:], **dtype}, [])
            for layer in model.layers or []:
                model.outputs = self.call(layer, [model.outputs], {})
            return None
        if name in REPORT_METHODS or name == "build":
            return Unknown(f"the result of {name}()")
        if name == "pop" and model.sequential and model.layers:
            raise self.declined("K2T103", "taking layers off a model is not translated yet")
        raise self.declined("K2T103", f"the method {name}() of a model is not translated")

    def note_pretrained(self, model: Model) -> Unknown:
        """An application of Keras that reads the weights which Keras has: noted where the program makes it."""
        module, node = next((m, n) for m, n in reversed(self.stack) if not is_framework(m.name))
        span = module.span(node)
        model.attributes[PRETRAINED] = span
        advice = "Convert the file that Keras has in ~/.keras/models with keras2torch weights, and load it with load_state_dict."
        message = f"the weights that Keras has for {model.name or 'this model'} are not loaded"
        self.findings.add(Finding("K2T403", Severity.WARNING, message, advice, span, excerpt(span)))
        return Unknown("the result of load_weights()")

    def get_layer(self, model: Model, name: Any = None, index: Any = None) -> Any:
        for given in (name, index):
            if isinstance(given, Sym):
                raise NeedsConstant(given, "which layer is meant decides the structure")
        if isinstance(index, int):
            return self.getitem(self.model_layers(model), index)
        if not isinstance(name, str):
            raise self.declined("K2T103", "the name given to get_layer() cannot be evaluated")
        layers = model.layers or [] if model.sequential else [n.layer for n in self.graph(model).nodes]
        for layer in layers:
            if layer is not None and getattr(layer, "name", None) == name:
                return layer
        unnamed = {layer.rule.keras[0] for layer in layers if isinstance(layer, Layer) and layer.name is None}
        if any(name.rstrip("_0123456789") == automatic_name(n) for n in unnamed):
            raise self.declined("K2T103", f"the automatic name {name} is not evaluated", "Give that layer a name.")
        raise ProgramError(ValueError(f"No such layer: {name}."))
