"""What Keras's own names do when the program calls them: layers, models, shapes, backend functions."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from transpiler.diagnostics import Declined, Findings, Severity
from transpiler.ir.expr import NeedsConstant, Sym, is_open
from transpiler.ir.model import KERAS2, ApiObject, ApiValue, Layer, Lowering, Step, Weight
from transpiler.ir.program import Member, Value, replace_tensors, tensors
from transpiler.ir.shape import Layout, TensorType
from transpiler.read.keras.evaluate.emit import Emitter, types_of
from transpiler.read.keras.evaluate.interpreter import Interpreter, ProgramError
from transpiler.read.keras.evaluate.values import (
    Alternative,
    Bound,
    Class,
    Function,
    Instance,
    LambdaLayer,
    Method,
    Model,
    Module,
    Native,
    Origin,
    Super,
    TensorShape,
    Unknown,
    has_tensors,
    is_tensor,
)
from transpiler.read.keras.names import Loader, canonical
from transpiler.rules.activations import activation_steps
from transpiler.rules.base import COMMON, TRAINING_ONLY, LayerRule
from transpiler.rules.ops import OPERATOR, OpRule, op_rules, operator_lowering
from transpiler.rules.registry import layer_rules

MODEL_CLASSES = ("Model", "Functional")
TRAINING_METHODS = (
    "compile", "fit", "fit_generator", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch",
    "add_loss", "add_metric", "evaluate_generator", "predict_generator",
)  # fmt: skip
WEIGHT_METHODS = ("load_weights", "save_weights", "save", "set_weights", "get_weights")
REPORT_METHODS = ("summary", "get_config", "to_json", "count_params", "reset_states")
EXPORTS = {
    "keras.layers": lambda: (
        *layer_rules(),
        "Input",
        "Layer",
        "Lambda",
        "InputSpec",
        "Wrapper",
        "RNN",
        *layer_functions(),
    ),
    "keras.models": lambda: ("Model", "Sequential", "load_model", "model_from_json", "clone_model"),
    "keras.backend": lambda: tuple(n.rpartition(".")[2] for n in op_rules() if n.startswith("backend."))
    + tuple(CONSTANTS),
    "keras.optimizers": lambda: ("Adam", "SGD", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam"),
    "keras.regularizers": lambda: ("l1", "l2", "l1_l2", "L1", "L2"),
    "keras.initializers": lambda: (
        "he_normal",
        "he_uniform",
        "glorot_uniform",
        "glorot_normal",
        "RandomNormal",
        "Constant",
        "Zeros",
        "Ones",
    ),
}
CONSTANTS = {
    "image_data_format": "channels_last",
    "image_dim_ordering": "tf",
    "backend": "tensorflow",
    "floatx": "float32",
    "epsilon": 1e-7,
    "learning_phase": 0,
    "set_image_data_format": None,
    "set_image_dim_ordering": None,
    "set_floatx": None,
    "set_epsilon": None,
    "clear_session": None,
    "set_session": None,
    "set_learning_phase": None,
    "validate_activation": None,
    "set_random_seed": None,
    "set_seed": None,
    "disable_eager_execution": None,
    "set_visible_devices": None,
    "get_visible_devices": [],
    "list_physical_devices": [],
    "is_keras_tensor": True,
}


def layer_functions() -> dict[str, LayerRule]:
    """Lower-case functions that make a layer and call it (`add`, `concatenate`)."""
    return {f: rule for rule in layer_rules().values() for f in getattr(rule, "functions", ())}


class KerasInterpreter(Interpreter, Emitter):
    """The interpreter with Keras: every layer call is written into the block under construction."""

    def __init__(self, loader: Loader, generation: str, findings: Findings) -> None:
        Interpreter.__init__(self, loader, generation, findings)
        Emitter.__init__(self)
        self.layers: list[Any] = []
        """Every layer object and model, in construction order."""
        self.models: list[Model] = []
        self.image_data_format = "channels_last"
        self.ops = op_rules()

    # --- construction ------------------------------------------------------------------------------------------------

    def make_layer(self, rule: LayerRule, args: list[Any], kwargs: dict[str, Any]) -> Any:
        for value in (*args, *kwargs.values()):
            if isinstance(value, Unknown):
                raise self.declined(
                    "K2T201",
                    f"an argument of {rule.keras[0]} cannot be evaluated: {value.reason}",
                    "Give its value with --setup.",
                )
        kwargs = {k: configured(v) for k, v in kwargs.items()}
        data_format = kwargs.get("data_format")
        if data_format is None and self.image_data_format == "channels_first" and "data_format" in rule._own_names():
            kwargs = {**kwargs, "data_format": "channels_first"}
        bound = rule.bind(args, kwargs, self.generation)
        name = bound.get("name")
        layer = Layer(rule, bound, name if isinstance(name, str) else None, len(self.layers), self.where())
        self.layers.append(layer)
        self.check_training_arguments(layer)
        activation = bound.get("activation")
        if isinstance(activation, (Function, Bound)):
            layer.args = bound.replace(activation=None)
            layer.attributes["activation_function"] = activation
        return layer

    def check_training_arguments(self, layer: Layer) -> None:
        for name in layer.args:
            if name.endswith(TRAINING_ONLY) and layer.args.get(name) is not None:
                self.report(
                    "K2T402",
                    f"{name} of this {layer.rule.keras[0]} acts on the training loss and is left out",
                    "Add the term to your loss, or use the optimizer's weight_decay.",
                )
        if layer.args.get("trainable") is False:
            layer.attributes["trainable"] = False
        if layer.args.get("weights") is not None:
            self.report("K2T403", "weights= is not carried over", "Load the converted weights with load_state_dict.")

    def make_input(self, kwargs: dict[str, Any], args: list[Any]) -> Value:
        names = ("shape", "batch_size", "name", "dtype", "sparse", "tensor")
        given = {**dict(zip(names, args)), **kwargs}
        if given.get("tensor") is not None:
            raise self.declined("K2T102", "Input(tensor=…) wraps a value that exists only at run time")
        shape = given.get("shape", given.get("input_shape"))
        batch_shape = given.get("batch_shape", given.get("batch_input_shape"))
        if batch_shape is not None:
            shape = tuple(batch_shape)[1:]
        if isinstance(shape, Unknown) or shape is None:
            raise self.declined(
                "K2T202",
                "the shape of this input cannot be evaluated",
                "Give it with --setup or an --entry that passes it.",
            )
        if isinstance(shape, (int, Sym)) and not self.has_length(shape):
            shape = (shape,)
        dims = self.dims_of(shape)
        dtype = given.get("dtype")
        dtype = dtype if isinstance(dtype, str) else getattr(dtype, "leaf", None) or "float32"
        name = given.get("name")
        value = Value(TensorType((None, *dims), dtype), name if isinstance(name, str) and name.isidentifier() else "x")
        self.origins[value] = Origin([], [value], lambda xs: None)
        return value

    def has_length(self, shape: Any) -> bool:
        return not isinstance(shape, int) and isinstance(getattr(shape, "witness", None), (list, tuple, TensorShape))

    def dims_of(self, shape: Any) -> tuple[Any, ...]:
        """A shape argument as dims; an open one gives an item for each observed axis."""
        if isinstance(shape, Sym):
            if not self.has_length(shape):
                raise NeedsConstant(shape)
            dims = []
            last = len(shape.witness) - 1
            for i, w in enumerate(shape.witness):
                dims.append(None if w is None else shape[-1 if i == last else i])
            return tuple(dims)
        return tuple(shape)

    # --- calls ----------------------------------------------------------------------------------------------------------

    def call_keras(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if isinstance(function, ApiValue):
            return self.call_api(function, args, kwargs)
        if isinstance(function, Layer):
            return self.call_layer(function, args, kwargs)
        if isinstance(function, LambdaLayer):
            return self.call_lambda(function, args, kwargs)
        if isinstance(function, Model):
            return self.call_model(function, args, kwargs)
        if isinstance(function, Method):
            return self.call_method(function, args, kwargs)
        if isinstance(function, ApiObject):
            if has_tensors(args):
                raise self.declined("K2T106", f"{function} called on a tensor is not translated")
            if args and isinstance(args[0], (Class, Function)):
                return args[0]
            return Unknown(f"the result of {function}")
        raise ProgramError(TypeError(f"{function!r} is not callable"))

    def call_api(self, api: ApiValue, args: list[Any], kwargs: dict[str, Any]) -> Any:
        leaf, path = api.leaf, api.path
        if path.startswith("keras."):
            if leaf in layer_rules() and leaf != "InputLayer":
                return self.make_layer(layer_rules()[leaf], args, kwargs)
            if leaf in ("Input", "InputLayer"):
                value = self.make_input(kwargs, args)
                return value
            if leaf in MODEL_CLASSES:
                return self.make_model(args, kwargs)
            if leaf == "Sequential":
                return self.make_sequential(args, kwargs)
            if leaf == "Lambda":
                return self.make_lambda(args, kwargs)
            if leaf in layer_functions() and ".layers" in path and (has_tensors(args) or has_tensors(kwargs)):
                return self.call_layer_function(layer_functions()[leaf], args, kwargs)
            if path.startswith("keras.applications."):
                return self.call_application(leaf, args, kwargs)
        handler = getattr(self, "api_" + leaf, None)
        if handler is not None:
            return handler(path, args, kwargs)
        if leaf in CONSTANTS and not has_tensors(args):
            return CONSTANTS[leaf]
        rule = self.op_rule(path)
        if rule is not None and (has_tensors(args) or has_tensors(kwargs)):
            return self.call_op(rule, leaf, args, kwargs)
        if has_tensors(args) or has_tensors(kwargs):
            if len(args) == 1 and isinstance(args[0], Value) and not kwargs:
                steps = self.activation_function(api, args[0])
                if steps is not None:
                    return self.emit_lowering(Lowering(steps, [args[0].type]), args, None, span=self.where())[0]
            raise self.declined(
                "K2T106",
                f"{path} on tensors is not translated",
                "Rewrite this part with layers, or translate it by hand.",
            )
        if leaf[:1].isupper() or path.split(".")[1:2] in (
            ["initializers"],
            ["regularizers"],
            ["constraints"],
            ["optimizers"],
        ):
            if path.startswith("keras.layers.") and leaf not in ("InputSpec",):
                raise self.declined(
                    "K2T101", f"the layer {leaf} has no translation yet", "Replace it, or translate it by hand."
                )
            return ApiObject(api, tuple(args), kwargs)
        return Unknown(f"{path}() is not evaluated")

    def activation_function(self, api: ApiValue, x: Value) -> list[Step] | None:
        try:
            return activation_steps(api, x.type, self.generation)
        except Declined:
            return None

    def op_rule(self, path: str) -> OpRule | None:
        return self.ops.get(path.removeprefix("keras."))

    def call_op(self, rule: OpRule, leaf: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        for value in (*args, *kwargs.values()):
            unknown = next(
                (v for v in (value if isinstance(value, (list, tuple)) else [value]) if isinstance(v, Unknown)), None
            )
            if unknown is not None:
                raise self.declined("K2T201", f"an argument of {leaf} cannot be evaluated: {unknown.reason}")
        bound = rule.bind(args, kwargs, self.generation)
        xs = tensors([bound.get(n) for n in bound])
        xs = self.to_layouts(xs, rule.wants(bound, types_of(xs)))
        lowering = rule.lower_named(leaf, bound, types_of(xs))  # type: ignore[attr-defined]
        result = self.emit_lowering(lowering, xs, None, span=self.where())
        inputs = tensors([bound.get(n) for n in bound])

        def replay(new: list[Value]) -> Any:
            mapping = dict(zip(inputs, new))
            return self.call_op(rule, leaf, replace_tensors(args, mapping), replace_tensors(kwargs, mapping))

        self.remember(inputs, result, replay)
        return result[0] if len(result) == 1 else result

    def remember(self, inputs: list[Value], outputs: list[Value], replay: Any, layer: Any = None) -> None:
        for y in outputs:
            if y not in inputs:
                self.origins[y] = Origin(inputs, outputs, replay, layer)

    def call_layer_function(self, rule: LayerRule, args: list[Any], kwargs: dict[str, Any]) -> Any:
        kwargs = dict(kwargs)
        inputs, rest = (args[0], args[1:]) if args else (kwargs.pop("inputs"), [])
        return self.call(self.make_layer(rule, list(rest), kwargs), [inputs], {})

    def call_layer(self, layer: Layer, args: list[Any], kwargs: dict[str, Any]) -> Any:
        kwargs = dict(kwargs)
        inputs = args[0] if args else kwargs.pop("inputs", None)
        if isinstance(inputs, Alternative):
            return self.split(inputs, lambda v: self.call_layer(layer, [v, *args[1:]], kwargs))
        if isinstance(inputs, Unknown):
            raise self.declined("K2T201", f"the input of this layer cannot be evaluated: {inputs.reason}")
        given = {"inputs": inputs} if layer.rule.call_tensors == ("inputs",) else {layer.rule.call_tensors[0]: inputs}
        rest = list(args[1:])
        for name in layer.rule.call_tensors[1:]:
            value = rest.pop(0) if rest else kwargs.pop(name, None)
            if value is not None:
                given[name] = value
        self.check_call_arguments(layer, rest, kwargs)
        xs = tensors(list(given.values()))
        if not xs or not all(
            is_tensor(v) or isinstance(v, (list, tuple)) and all(map(is_tensor, v)) for v in given.values()
        ):
            if has_tensors(inputs) or not inputs:
                raise self.declined("K2T103", f"this call of {layer.rule.keras[0]} is not understood")
            raise ProgramError(ValueError(f"{layer!r} was called on {inputs!r}, which is not a tensor"))
        return self.apply_layer(layer, xs)

    def check_call_arguments(self, layer: Layer, args: list[Any], kwargs: dict[str, Any]) -> None:
        training = kwargs.pop("training", None)
        if training is not None and layer.rule.steps is not LayerRule.steps and self.depends_on_training(layer):
            self.training_flag(training)
        if kwargs.get("mask") is None:
            kwargs.pop("mask", None)
        if args or kwargs:
            names = ", ".join(kwargs) or "a second positional argument"
            raise self.declined("K2T102", f"calling {layer.rule.keras[0]} with {names} is not translated")

    def depends_on_training(self, layer: Layer) -> bool:
        return layer.rule.keras[0] in (
            "BatchNormalization",
            "Dropout",
            "GaussianNoise",
            "GaussianDropout",
            "AlphaDropout",
        ) or layer.rule.keras[0].startswith("SpatialDropout")

    def training_flag(self, training: Any) -> None:
        if self.generation == KERAS2 and not isinstance(training, (Unknown, Value)):
            raise self.declined(
                "K2T404",
                "training= fixed at a call is not translated",
                "Call .train() or .eval() on that part yourself.",
            )
        self.report(
            "K2T404",
            "training= at this call is left to .train() and .eval(), which Keras 3 lets override it too",
            "",
            Severity.NOTE,
        )

    def apply_layer(self, layer: Layer, xs: list[Value]) -> Any:
        rule, given = layer.rule, list(xs)
        masked = [x for x in xs if x.type.masked]
        if masked and rule.mask == "consumes":
            raise self.declined(
                "K2T105",
                f"{rule.keras[0]} acts on the mask of its input, and masks are not translated yet",
                "Drop mask_zero/Masking, or translate this part by hand.",
            )
        wanted = rule.wants(layer.args, types_of(xs))
        xs = self.to_layouts(xs, wanted)
        lowering = rule.lower(layer.args, types_of(xs))
        result = self.emit_lowering(lowering, xs, layer, span=layer.span)
        activation = layer.attributes.get("activation_function")
        if activation is not None:
            result = [self.in_keras_order(activation, y) for y in result]
        self.remember(given, result, lambda new: self.apply_layer(layer, new), layer)
        layer.attributes.setdefault("calls", []).append((given, result))
        return result[0] if len(result) == 1 and not lowering.outputs else list(result)

    def in_keras_order(self, function: Any, x: Value) -> Value:
        """Calls a function of the program on a tensor: its axes are then those the program knows."""
        result = self.call(function, [x], {})
        if not isinstance(result, Value):
            raise self.declined("K2T106", "an activation function has to return one tensor")
        return result

    def make_lambda(self, args: list[Any], kwargs: dict[str, Any]) -> Any:
        kwargs = dict(kwargs)
        function = args[0] if args else kwargs.pop("function")
        layer = LambdaLayer(function, dict(kwargs.get("arguments") or {}), kwargs.get("name"))
        self.layers.append(layer)
        return layer

    def call_lambda(self, layer: LambdaLayer, args: list[Any], kwargs: dict[str, Any]) -> Any:
        kwargs = {k: v for k, v in kwargs.items() if k not in ("training", "mask")}
        inputs = tensors(args)
        result = self.call(layer.function, list(args), {**layer.kwargs, **kwargs})
        if not has_tensors(result):
            raise self.declined("K2T106", "this Lambda does not return a tensor")
        outputs = tensors(result)
        self.remember(
            inputs,
            outputs,
            lambda new: self.call_lambda(layer, replace_tensors(args, dict(zip(inputs, new))), kwargs),
            layer,
        )
        return result

    # --- models ---------------------------------------------------------------------------------------------------------

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
            model.outputs = self.call(layer, [model.outputs], {})

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
        if kwargs.get("training") is not None:
            self.training_flag(kwargs["training"])
        inputs = args[0] if args else kwargs.get("inputs")
        if model.sequential and model.inputs is None:
            result = inputs
            for layer in model.layers or []:
                result = self.call(layer, [result], {})
            return result
        return self.replay(model, inputs)

    def replay(self, model: Model, inputs: Any) -> Any:
        """The model's graph once more, from other inputs: the same layers are called again."""
        old, new = tensors(model.inputs), tensors(inputs)
        if len(old) != len(new):
            raise ProgramError(ValueError(f"the model takes {len(old)} inputs, {len(new)} were given"))
        mapping: dict[Value, Any] = dict(zip(old, new))

        def value_of(x: Value) -> Any:
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

    def call_application(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        module = self.loader.application(name)
        if module is None:
            raise self.declined(
                "K2T106",
                f"the source of keras.applications.{name} was not found",
                "Install keras, or name its folder with --path.",
            )
        return self.call(self.getattr(self.import_module(module), name), args, kwargs)

    # --- attributes --------------------------------------------------------------------------------------------------------

    def keras_attribute(self, value: Any, name: str) -> Any:
        if isinstance(value, ApiValue):
            return self.api_attribute(value, name)
        if isinstance(value, Value):
            return self.tensor_attribute(value, name)
        if isinstance(value, TensorShape):
            if name == "dims":
                return list(value.dims)
            if name in ("rank", "ndims"):
                return len(value.dims)
            return Method(name, value)
        if isinstance(value, Layer):
            return self.layer_attribute(value, name)
        if isinstance(value, Model):
            return self.model_attribute(value, name)
        return Unknown(f"{value!r}.{name} is not evaluated")

    def api_attribute(self, value: ApiValue, name: str) -> Any:
        if name == "__version__":
            return {"tensorflow": "2.21.0", "keras": "2.15.0" if self.generation == KERAS2 else "3.15.1"}.get(
                value.path, "9.9.9"
            )
        if name in ("__name__", "__path__", "__file__"):
            return value.leaf
        path = canonical(f"{value.path}.{name}")
        if (
            value.path == "keras.applications"
            or path.startswith("keras.applications.")
            and path.count(".") == 2
            and name[:1].islower()
        ):
            found = self.loader.find(path) or self.loader.find(path.replace("keras.", "keras.src.", 1))
            if found and name != "applications":
                source = self.loader.parse_file(found[0], path, found[1])
                return self.modules.get(path) or self.evaluate_module(source)
        return ApiValue(path)

    def tensor_attribute(self, x: Value, name: str) -> Any:
        if name == "shape":
            return TensorShape(x.type.shape)
        if name in ("_keras_shape", "_shape"):
            return x.type.shape
        if name == "dtype":
            return x.type.dtype
        if name in ("ndim", "rank"):
            return x.type.rank
        if name == "name":
            return x.hint
        if name in ("_keras_history", "_keras_mask", "op", "graph"):
            return Unknown(f"a tensor's {name}")
        return Method(name, x)

    def layer_attribute(self, layer: Layer, name: str) -> Any:
        if name in layer.attributes and name not in ("calls", "activation_function"):
            return layer.attributes[name]
        if name == "name":
            return layer.name or f"{layer.rule.keras[0].lower()}_{layer.index}"
        calls = layer.attributes.get("calls", [])
        if name in ("output", "input", "output_shape", "input_shape") and calls:
            found = calls[0][1] if name.startswith("output") else calls[0][0]
            value = found[0] if len(found) == 1 else list(found)
            return value if not name.endswith("shape") else value.type.shape
        if name == "trainable":
            return layer.attributes.get("trainable", True)
        if name in layer.args:
            return layer.args.get(name)
        if name == "__class__":
            return ApiValue(f"keras.layers.{layer.rule.keras[0]}")
        return Method(name, layer)

    def model_attribute(self, model: Model, name: str) -> Any:
        if name in model.attributes:
            return model.attributes[name]
        if name in ("input", "output", "inputs", "outputs"):
            value = model.inputs if name.startswith("in") else model.outputs
            flat = tensors(value)
            return flat if name.endswith("s") else (flat[0] if len(flat) == 1 else flat)
        if name in ("input_shape", "output_shape"):
            flat = tensors(model.inputs if name.startswith("in") else model.outputs)
            return flat[0].type.shape if len(flat) == 1 else [t.type.shape for t in flat]
        if name == "layers":
            return self.model_layers(model)
        if name == "name":
            return model.name or "model"
        if model.cls is not None:
            found = model.cls.lookup(name)
            if found is not None:
                return self.bind_member(found, model, model.cls)
        return Method(name, model)

    def model_layers(self, model: Model) -> list[Any]:
        """The layers of a model, inputs left out, in the order in which its graph first reaches them."""
        if model.sequential:
            return list(model.layers or [])
        order: list[Any] = []
        seen: set[Value] = set()

        def visit(x: Value) -> None:
            if x in seen:
                return
            seen.add(x)
            origin = self.origins.get(x)
            for i in origin.inputs if origin else ():
                visit(i)
            if origin and origin.layer is not None and origin.layer not in order:
                order.append(origin.layer)

        for y in tensors(model.outputs):
            visit(y)
        return order

    def attribute_set(self, target: Any, name: str, value: Any) -> None:
        if name == "trainable" and value is not True:
            self.report(
                "K2T404",
                "trainable=False is left to the training code",
                "Set requires_grad_(False) and .eval() on that part yourself.",
            )

    # --- methods --------------------------------------------------------------------------------------------------------------

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
            rule = self.op_rule(f"ops.{name}")
            if rule is not None:
                return self.call_op(rule, name, [receiver, *args], kwargs)
            if name in ("set_shape",):
                return None
        if isinstance(receiver, Model):
            return self.model_method(receiver, name, args, kwargs)
        if isinstance(receiver, Layer):
            if name == "call" or name == "__call__":
                return self.call_layer(receiver, args, kwargs)
            if name in ("build", "set_weights", "get_weights", "compute_output_shape", "get_config"):
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
        if name in TRAINING_METHODS:
            self.report(
                "K2T401",
                f"{name}() is training code, which is not translated",
                "Write the training loop around the converted model.",
            )
            return Unknown(f"the result of {name}()")
        if name in WEIGHT_METHODS:
            self.report(
                "K2T403", f"{name}() is not translated", "Convert the weights and use load_state_dict / torch.save."
            )
            return Unknown(f"the result of {name}()")
        if name == "build" and model.sequential and model.inputs is None:
            shape = args[0] if args else kwargs.get("input_shape")
            model.inputs = model.outputs = self.make_input({"shape": tuple(shape)[1:]}, [])
            for layer in model.layers or []:
                model.outputs = self.call(layer, [model.outputs], {})
            return None
        if name in REPORT_METHODS or name == "build":
            return Unknown(f"the result of {name}()")
        if name == "pop" and model.sequential and model.layers:
            raise self.declined("K2T103", "taking layers off a model is not translated yet")
        raise self.declined("K2T103", f"the method {name}() of a model is not translated")

    def get_layer(self, model: Model, name: Any = None, index: Any = None) -> Any:
        layers = self.model_layers(model)
        if isinstance(name, str):
            for layer in layers:
                if getattr(layer, "name", None) == name:
                    return layer
            raise ProgramError(ValueError(f"No such layer: {name}."))
        raise self.declined("K2T103", "get_layer by index is not translated yet")

    # --- operators on tensors --------------------------------------------------------------------------------------------------

    def tensor_binary(self, op: ast.operator, left: Any, right: Any) -> Any:
        template = OPERATOR.get(type(op).__name__)
        if template is None:
            raise self.declined("K2T103", f"the operator {type(op).__name__} on tensors is not translated")
        return self.apply_operator(template, [left, right])

    def tensor_unary(self, op: ast.unaryop, value: Value) -> Any:
        template = {"USub": "-{0}", "UAdd": "{0}", "Invert": "~{0}"}[type(op).__name__]
        return self.apply_operator(template, [value])

    def tensor_compare(self, op: ast.cmpop, left: Any, right: Any) -> Any:
        sign = {"Lt": "<", "LtE": "<=", "Gt": ">", "GtE": ">=", "Eq": "==", "NotEq": "!="}[type(op).__name__]
        return self.apply_operator(f"{{0}} {sign} {{1}}", [left, right], "bool")

    def apply_operator(self, template: str, operands: list[Any], dtype: str | None = None) -> Value:
        for operand in operands:
            if isinstance(operand, Unknown):
                raise self.declined("K2T201", f"an operand cannot be evaluated: {operand.reason}")
            if isinstance(operand, (list, tuple, Instance, Module)):
                raise self.declined("K2T103", f"{operand!r} as an operand of a tensor is not translated")
        inputs = tensors(operands)
        xs = self.to_layouts(inputs, None if len({x.type.rank for x in inputs}) == 1 else Layout.KERAS)
        moved = dict(zip(inputs, xs))
        lowering = operator_lowering(template, [moved[o].type if isinstance(o, Value) else o for o in operands], dtype)
        result = self.emit_lowering(lowering, xs, None, span=self.where())
        self.remember(
            inputs,
            result,
            lambda new: self.apply_operator(template, replace_tensors(operands, dict(zip(inputs, new))), dtype),
        )
        return result[0]

    def tensor_getitem(self, value: Value, index: Any) -> Any:
        """Indexing by ints, slices, None and `...`, in Keras order."""
        items = list(index) if isinstance(index, tuple) else [index]
        if any(not isinstance(i, (int, slice, type(None), type(Ellipsis))) or isinstance(i, bool) for i in items):
            raise self.declined("K2T103", "this way of indexing a tensor is not translated")
        if any(isinstance(i, slice) and i.step is not None and (is_open(i.step) or i.step < 0) for i in items):
            raise self.declined("K2T103", "a negative step over a tensor is not translated")
        x = self.to_layout(value, Layout.KERAS)
        shape = indexed_shape(x.type.shape, items)
        text = ", ".join(_index_text(i) for i in items)
        result = self.emit_lowering(Lowering([Step(fn=f"{{0}}[{text}]")], [TensorType(shape, x.type.dtype)]), [x], None)
        self.remember([value], result, lambda new: self.tensor_getitem(new[0], index))
        return result[0]

    # --- functions with a meaning of their own ------------------------------------------------------------------------------------

    def api_int_shape(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        value = args[0] if args else kwargs["x"]
        return value.type.shape if isinstance(value, Value) else Unknown("the shape of something that is not a tensor")

    def api_shape(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if not args or not isinstance(args[0], Value):
            return Unknown(f"{path}() is not evaluated")
        return self.dynamic_shape(args[0])

    def dynamic_shape(self, x: Value) -> Any:
        from transpiler.rules.ops import DynamicDim

        return [
            DynamicDim() if i == 0 else Unknown("an open size") if d is None else d for i, d in enumerate(x.type.shape)
        ]

    def api_ndim(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return args[0].type.rank if isinstance(args[0], Value) else Unknown("ndim of something that is not a tensor")

    def api_is_keras_tensor(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return isinstance(args[0], Value)

    def api_get_source_inputs(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        found: list[Value] = []

        def visit(x: Value) -> None:
            origin = self.origins.get(x)
            if (origin is None or not origin.inputs) and x not in found:
                found.append(x)
            for i in origin.inputs if origin else ():
                visit(i)

        for x in tensors(args):
            visit(x)
        return found

    def api_set_image_data_format(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        if args and isinstance(args[0], str):
            self.image_data_format = args[0]

    def api_set_image_dim_ordering(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        self.image_data_format = "channels_first" if args[0] == "th" else "channels_last"

    def api_image_data_format(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> str:
        return self.image_data_format

    def api_image_dim_ordering(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> str:
        return "th" if self.image_data_format == "channels_first" else "tf"

    def api_standardize_data_format(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return args[0] if args and args[0] is not None else self.image_data_format

    def api_exists(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return False

    def api_get(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return args[0] if args else None

    def api_name_scope(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return None

    def api_keras_export(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return Native("keras_export", lambda f: f)

    api_register_keras_serializable = api_function = api_keras_export

    def is_keras_instance(self, value: Any, kind: ApiValue) -> bool:
        leaf = kind.leaf
        if isinstance(value, Model):
            return leaf in ("Model", "Layer", "Functional") or leaf == "Sequential" and value.sequential
        if isinstance(value, (Layer, LambdaLayer)):
            return leaf == "Layer" or isinstance(value, Layer) and layer_rules().get(leaf) is value.rule
        if isinstance(value, Value):
            return leaf in ("Tensor", "KerasTensor")
        return False

    def exported_names(self, path: str) -> Iterable[str]:
        found = EXPORTS.get(path)
        return found() if found else ()

    # --- the program's own layers ---------------------------------------------------------------------------------------------------

    def instantiate(self, cls: Class, args: list[Any], kwargs: dict[str, Any]) -> Any:
        kind = keras_base(cls)
        if kind == "Layer":
            return self.make_custom_layer(cls, args, kwargs)
        if kind is not None:
            raise self.declined("K2T107", f"{cls.name}, a subclass of {kind}, is not translated yet")
        return super().instantiate(cls, args, kwargs)

    def make_custom_layer(self, cls: Class, args: list[Any], kwargs: dict[str, Any]) -> Instance:
        layer = Instance(cls)
        common = {k: kwargs[k] for k in kwargs if k in COMMON}
        layer.attributes.update(
            name=common.get("name") or cls.name.lower(), built=False, trainable=True, supports_masking=False
        )
        layer.attributes["__common__"] = {**common, "index": len(self.layers), "span": self.where()}
        self.layers.append(layer)
        init = cls.lookup("__init__")
        if init is not None:
            self.call(Bound(init, layer), args, kwargs)
        return layer

    def call(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if isinstance(function, LambdaLayer):
            return self.call_lambda(function, args, kwargs)
        if (
            isinstance(function, Instance)
            and keras_base(function.cls) == "Layer"
            and function.cls.lookup("__call__") is None
        ):
            return self.call_custom_layer(function, args, kwargs)
        return super().call(function, args, kwargs)

    def call_custom_layer(self, layer: Instance, args: list[Any], kwargs: dict[str, Any]) -> Any:
        kwargs = {k: v for k, v in kwargs.items() if k not in ("training",) and not (k == "mask" and v is None)}
        inputs = tensors(args)
        if any(x.type.masked for x in inputs):
            raise self.declined(
                "K2T105", f"{layer.cls.name} may act on the mask of its input, and masks are not translated yet"
            )
        xs = {x: self.to_layout(x, Layout.KERAS) for x in inputs}
        moved = replace_tensors(args, xs)
        if not layer.attributes["built"]:
            build = layer.cls.lookup("build")
            layer.attributes["built"] = True
            if build is not None:
                shapes = [x.type.shape for x in tensors(moved)]
                self.call(Bound(build, layer), [shapes[0] if isinstance(args[0], Value) else shapes], {})
        method = layer.cls.lookup("call")
        if method is None:
            raise self.declined("K2T107", f"{layer.cls.name} has no call()")
        accepted = {a.arg for a in (*method.node.args.args, *method.node.args.kwonlyargs)}
        result = self.call(Bound(method, layer), moved, {k: v for k, v in kwargs.items() if k in accepted})
        outputs = tensors(result)
        self.remember(
            inputs,
            outputs,
            lambda new: self.call_custom_layer(layer, replace_tensors(args, dict(zip(inputs, new))), kwargs),
            layer,
        )
        return result

    def add_weight(self, layer: Instance, args: list[Any], kwargs: dict[str, Any]) -> Value:
        """A weight of a custom layer: a parameter of the class under construction."""
        given = {
            **dict(zip(("shape", "initializer"), args if not args or not isinstance(args[0], str) else args[1:])),
            **kwargs,
        }
        if args and isinstance(args[0], str):
            given["name"] = args[0]
        shape = given.get("shape") or ()
        shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
        if any(d is None or isinstance(d, Unknown) for d in shape):
            raise self.declined("K2T202", "the shape of this weight is not known")
        value = Value(TensorType(shape), "weight")
        source = f"__weight__{len(layer.attributes.setdefault('__weights__', []))}"
        layer.attributes["__weights__"].append(value)
        from transpiler.ir.expr import code_of

        hint = str(given.get("name") or "weight").rpartition("/")[2]
        dims = ", ".join(map(code_of, shape)) or "()"
        step = Step(
            module=f"nn.Parameter(torch.empty({dims}))",
            fn="{self}",
            hint=hint,
            weights={"": Weight(source)},
            init={"": given.get("initializer", "glorot_uniform")},
        )
        member = Member(step.module or "", hint, None, None, step)
        member.layer = layer  # type: ignore[assignment]
        from transpiler.ir.program import Apply

        self.emit(Apply([value], [], step, member))
        self.origins[value] = Origin([], [value], lambda xs: None)
        return value

    def missing_attribute(self, value: Instance, name: str) -> Any:
        if keras_base(value.cls) == "Layer" and name in ("add_weight", "add_variable"):
            return Native("add_weight", lambda *a, **k: self.add_weight(value, list(a), k))
        return super().missing_attribute(value, name)

    def super_of_api(self, value: Super, name: str) -> Any:
        if isinstance(value.receiver, Instance) and keras_base(value.receiver.cls) == "Layer":
            if name in ("add_weight", "add_variable"):
                return Native("add_weight", lambda *a, **k: self.add_weight(value.receiver, list(a), k))
            if name in ("__init__", "build"):
                return Native(name, lambda *a, **k: None)
        return super().super_of_api(value, name)


def configured(value: Any) -> Any:
    """An object given as its configuration, `{"class_name": …, "config": …}`."""
    if (
        isinstance(value, dict)
        and isinstance(value.get("class_name"), str)
        and isinstance(value.get("config", {}), dict)
    ):
        return ApiObject(ApiValue(f"keras.{value['class_name']}"), (), value.get("config", {}))
    return value


def keras_base(cls: Class) -> str | None:
    """The Keras class that a class of the program derives from: "Layer", "Model", "Conv2D" …"""
    for base in cls.mro():
        if (
            isinstance(base, ApiValue)
            and base.path.startswith("keras.")
            and base.leaf in ("Layer", "Model", "Sequential", "Functional", *layer_rules(), "RNN", "Wrapper")
        ):
            return base.leaf
    return None


def indexed_shape(shape: tuple[Any, ...], items: list[Any]) -> tuple[Any, ...]:
    """The shape of `x[items]`."""
    used = sum(1 for i in items if i is not None and i is not Ellipsis)
    dims: list[Any] = []
    rest = list(shape)
    for item in items:
        if item is None:
            dims.append(1)
        elif item is Ellipsis:
            count = len(shape) - used
            dims += rest[:count]
            rest = rest[count:]
        elif isinstance(item, slice):
            size = rest.pop(0)
            dims.append(_sliced(size, item))
        else:
            rest.pop(0)
            used -= 1
            used += 1
    return tuple(dims + rest)


def _sliced(size: Any, item: slice) -> Any:
    if item.start is None and item.stop is None and item.step is None:
        return size
    if size is None or is_open((item.start, item.stop, item.step)) or isinstance(size, Sym):
        if not is_open((item.start, item.step)) and isinstance(item.stop, Sym) and item.start in (None, 0):
            return item.stop
        if (
            isinstance(size, Sym)
            and item.step is None
            and isinstance(item.start, int)
            and item.stop is None
            and item.start >= 0
        ):
            return size - item.start
        return None
    return len(range(*item.indices(size)))


def _index_text(item: Any) -> str:
    from transpiler.ir.expr import code_of

    if item is Ellipsis:
        return "..."
    if isinstance(item, slice):
        start, stop, step = ("" if p is None else code_of(p) for p in (item.start, item.stop, item.step))
        return f"{start}:{stop}" + (f":{step}" if step else "")
    return code_of(item)
