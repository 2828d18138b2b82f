"""Layers: constructing them and calling them on tensors."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined, Severity
from transpiler.ir.expr import MISSING, NeedsConstant, Sym
from transpiler.ir.model import KERAS2, ApiObject, ApiValue, Args, Layer, Lowering, Step
from transpiler.ir.program import Value, replace_tensors, tensors
from transpiler.ir.shape import TensorType
from transpiler.read.keras.evaluate.api import (
    CONSTANTS,
    MODEL_CLASSES,
    layer_functions,
)
from transpiler.read.keras.evaluate.emit import types_of
from transpiler.read.keras.evaluate.keras_ops import first_unknown
from transpiler.read.keras.evaluate.layer_names import AutomaticName
from transpiler.read.keras.evaluate.masks import PLAIN, CallMasks
from transpiler.read.keras.evaluate.program_classes import configured
from transpiler.read.keras.evaluate.signals import ProgramError
from transpiler.read.keras.evaluate.values import (
    Alternative,
    Bound,
    Class,
    Function,
    LambdaLayer,
    Method,
    Model,
    Origin,
    TensorShape,
    Unknown,
    has_tensors,
    is_tensor,
)
from transpiler.rules.activations import activation_steps
from transpiler.rules.base import TRAINING_ONLY, LayerRule, parse_signature
from transpiler.rules.declined import reason
from transpiler.rules.registry import layer_rules


def initialized(args: Args) -> list[str]:
    """The initializers of the variables of a layer, in the order in which Keras lists these; none where that is not known."""
    names = [n for n in args if n.endswith("_initializer")]
    off = {"bias_initializer": "use_bias", "beta_initializer": "center", "gamma_initializer": "scale"}
    found = [n for n in names if n not in off or args.get(off[n], True) is True]
    unsure = any(args.get(off.get(n, ""), True) not in (True, False) for n in names)
    return [] if unsure or "moving_mean_initializer" in names else sorted(found, key=lambda n: n.startswith("beta"))


VARIABLES = {"keras.backend.variable": "keras.backend.constant", "tensorflow.Variable": "tensorflow.constant"}
"""What makes variables → what makes constants."""


class KerasLayers:
    """The part of the interpreter that knows layers."""

    fixed_variables: bool

    def make_layer(self, rule: LayerRule, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if isinstance(kwargs.get("name"), (Unknown, AutomaticName)):
            kwargs = {k: v for k, v in kwargs.items() if k != "name"}  # a name computes nothing
        args, kwargs = self.with_numbers(rule, args, kwargs)
        unknown = first_unknown(
            [*args, *(v for k, v in kwargs.items() if k != "weights")]
        )  # those are not carried over
        if unknown is not None:
            raise self.declined(
                "K2T201",
                f"an argument of {rule.keras[0]} cannot be evaluated: {unknown.reason}",
                "Give its value with --setup.",
            )
        args, kwargs = self.plain_arguments(args, {k: configured(v) for k, v in kwargs.items()})
        data_format = kwargs.get("data_format")
        if data_format is None and self.image_data_format == "channels_first" and "data_format" in rule._own_names():
            kwargs = {**kwargs, "data_format": "channels_first"}
        bound = self.with_initializers(self.with_weights(rule.bind(args, kwargs, self.generation)))
        name = bound.get("name")
        layer = Layer(rule, bound, name if isinstance(name, str) else None, len(self.layers), self.where())
        self.layers.append(layer)
        self.check_training_arguments(layer)
        activation = bound.get("activation")
        if isinstance(activation, (Function, Bound)):
            layer.args = bound.replace(activation=None)
            layer.attributes["activation_function"] = activation
        return layer

    def with_numbers(
        self, rule: LayerRule, args: list[Any], kwargs: dict[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of a layer with numbers where they are known at run time alone."""
        names = [*parse_signature(rule.signature).parameters, *("" for _ in args)]
        if "input_shape" in kwargs:
            kwargs = {**kwargs, "input_shape": self.sizes_at_run_time(kwargs["input_shape"], rule.keras[0])}
        named = {k: v if k == "weights" else self.at_run_time(v, k) for k, v in kwargs.items()}
        return [self.at_run_time(v, name) for v, name in zip(args, names)], named

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
            advice = "Give the layer initializers, or load the converted weights with load_state_dict."
            self.report("K2T403", f"weights= of this {layer.rule.keras[0]} is not translated", advice, Severity.ERROR)

    def with_weights(self, args: Args) -> Args:
        """The arguments of a layer whose `weights=` are given, as the initializers of these weights; as they are otherwise."""
        given = args.get("weights")
        given = given if isinstance(given, list) or given is None or self.generation == KERAS2 else [given]
        names = initialized(args)
        if not isinstance(given, list) or len(given) != len(names):
            return args
        starts = {n: self.given_tensor(v) for n, v in zip(names, given)}
        if None in starts.values():
            return args
        own = {"unit_forget_bias": False} if "unit_forget_bias" in args else {}
        return args.replace(**starts, **own, weights=None)

    def make_input(self, kwargs: dict[str, Any], args: list[Any]) -> Value:
        names = ("shape", "batch_size", "name", "dtype", "sparse", "tensor")
        given = {**dict(zip(names, args)), **kwargs}
        if given.get("tensor") is not None:
            raise self.declined("K2T102", "Input(tensor=…) wraps a value that exists only at run time")
        shape = given.get("shape", given.get("input_shape"))
        batch_shape = given.get("batch_shape", given.get("batch_input_shape"))
        if batch_shape is not None:
            shape = tuple(batch_shape)[1:]
        shape = self.at_run_time(shape, "shape")
        unknown = first_unknown(shape)
        if unknown is not None or shape is None:
            raise self.declined(
                "K2T202",
                f"the shape of this input cannot be evaluated{f': {unknown.reason}' if unknown else ''}",
                "Give it with --setup or an --entry that passes it.",
            )
        if isinstance(shape, Alternative):
            shape = self.chosen(shape, "the shape of this input depends on a parameter")
        if isinstance(shape, Sym) and shape.witness is MISSING:
            raise NeedsConstant(shape)
        if isinstance(shape, (int, Sym)) and not self.has_length(shape):
            shape = (shape,)
        dims = self.dims_of(shape)
        dtype = given.get("dtype")
        dtype = dtype if isinstance(dtype, str) else getattr(dtype, "leaf", None) or "float32"
        name = given.get("name")
        value = Value(TensorType((None, *dims), dtype), name if isinstance(name, str) and name.isidentifier() else "x")
        if isinstance(name, str):
            self.input_names[value] = name
        self.origins[value] = Origin([], [value], lambda xs: None)
        self.graph_inputs.add(value)
        return value

    def chosen(self, value: Alternative, why: str) -> Any:
        """The one of two values that is meant here. Raises NeedsConstant if that is not known."""
        raise NeedsConstant(value.test, why)

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
        if self.fixed_variables and api.path in VARIABLES and args:
            dtype = {n: v for n, v in kwargs.items() if n == "dtype"}
            return self.call_api(ApiValue(VARIABLES[api.path]), args[:1], dtype)
        leaf, path = api.leaf, api.path
        if path.startswith("keras."):
            if leaf in layer_rules() and leaf != "InputLayer" and not path.startswith("keras.initializers."):
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
            if path == "keras.layers.VersionAwareLayers":  # by which legacy applications have the layers
                return ApiValue("keras.layers")
            if path.startswith("keras.applications."):
                return self.call_application(path, args, kwargs)
        handler = getattr(self, "api_" + leaf, None)
        if handler is not None:
            return handler(path, args, kwargs)
        if leaf in CONSTANTS and not has_tensors(args):
            return CONSTANTS[leaf]
        if self.takes_op(path, args, kwargs):
            return self.call_op(path, args, kwargs)
        if has_tensors(args) or has_tensors(kwargs):
            if len(args) == 1 and isinstance(args[0], Value) and not kwargs:
                steps = self.activation_function(api, args[0])
                if steps is not None:
                    return self.emit_lowering(Lowering(steps, [args[0].type]), args, None, span=self.where())[0]
            why = f": {reason(path)}" if reason(path) else ""
            raise self.declined(
                "K2T106",
                f"{path} on tensors is not translated{why}",
                "Rewrite this part with layers, or translate it by hand.",
            )
        if leaf[:1].isupper() or path.split(".")[1:2] in (
            ["initializers"],
            ["regularizers"],
            ["constraints"],
            ["optimizers"],
        ):
            if path.startswith("keras.layers.") and leaf not in ("InputSpec",):
                why = reason(path)
                message = (
                    f"the layer {leaf} is not translated: {why}" if why else f"the layer {leaf} has no translation yet"
                )
                raise self.declined("K2T101", message, "Replace it, or translate it by hand.")
            return ApiObject(api, tuple(args), kwargs)
        why = f": {reason(path)}" if reason(path) else ""
        unknown = first_unknown([*args, *kwargs.values()])
        return unknown if unknown is not None else Unknown(f"{path}() is not evaluated{why}")

    def activation_function(self, api: ApiValue, x: Value) -> list[Step] | None:
        try:
            return activation_steps(api, x.type, self.generation)
        except Declined:
            return None

    def remember(self, inputs: list[Value], outputs: list[Value], replay: Any, layer: Any = None) -> None:
        for y in outputs:
            if y not in inputs:
                self.origins[y] = Origin(inputs, outputs, replay, layer)
            else:
                self.unchanged.setdefault(y, []).extend([layer] if layer is not None else [])

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
        if rest and layer.rule.takes_mask and self.generation == KERAS2:
            kwargs["mask"] = rest.pop(0)  # which stands before the initial state there
        for name in layer.rule.call_tensors[1:]:
            value = rest.pop(0) if rest else kwargs.pop(name, None)
            if value is not None:
                given[name] = value
        if rest and layer.rule.takes_mask:
            kwargs["mask"] = rest.pop(0)
        xs = tensors(list(given.values()))
        how = self.masks_of_call(layer, xs, kwargs, [*given.values()])
        how.flags.update(self.check_call_arguments(layer, rest, kwargs))
        if not xs or not all(
            is_tensor(v) or isinstance(v, (list, tuple)) and all(map(is_tensor, v)) for v in given.values()
        ):
            if has_tensors(inputs) or not inputs:
                raise self.declined("K2T103", f"this call of {layer.rule.keras[0]} is not understood")
            raise ProgramError(ValueError(f"{layer!r} was called on {inputs!r}, which is not a tensor"))
        return self.apply_layer(layer, xs, how)

    def check_call_arguments(self, layer: Layer, args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """What the other arguments of a call ask of the rule; raises Declined for those that are not translated."""
        training = kwargs.pop("training", None)
        fixed: dict[str, Any] = {}
        if training is not None and layer.rule.steps is not LayerRule.steps and self.depends_on_training(layer):
            if self.call_decides_mode() and isinstance(training, (bool, int)) and layer.rule.fixed_modes:
                fixed["training"] = bool(training)
            else:
                self.training_flag(training)
        if args or kwargs:
            names = ", ".join(kwargs) or "a second positional argument"
            raise self.declined("K2T102", f"calling {layer.rule.keras[0]} with {names} is not translated")
        return fixed

    def mode_of(self, layer: Layer) -> dict[str, Any]:
        """What a call of a model that fixes the mode says to one of its layers."""
        if self.fixed_mode is None or not self.depends_on_training(layer):
            return {}
        if not layer.rule.fixed_modes:
            raise self.declined("K2T404", f"training={self.fixed_mode} for {layer.rule.keras[0]} is not translated")
        return {"training": self.fixed_mode}

    def call_decides_mode(self) -> bool:
        """Whether `training=` of a call holds whatever the mode of the model: in Keras 3 that overrides it."""
        return self.generation == KERAS2

    def depends_on_training(self, layer: Layer) -> bool:
        return layer.rule.keras[0] in (
            "BatchNormalization",
            "Dropout",
            "GaussianNoise",
            "GaussianDropout",
            "AlphaDropout",
        ) or layer.rule.keras[0].startswith(("SpatialDropout", "Random"))

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

    def apply_layer(self, layer: Layer, xs: list[Value], how: CallMasks = PLAIN) -> Any:
        rule, given = layer.rule, list(xs)
        flags = {**self.mode_of(layer), **how.flags}
        args = layer.args.replace(**flags) if flags else layer.args
        masks, planned = self.masks_for(rule, xs, how)
        wanted = rule.wants(args, self.mask_kinds(xs, masks) if how.heard else types_of(xs))
        xs = self.to_layouts(xs, wanted)
        types, read = self.mask_operands(rule, args, xs, masks, how.heard)
        lowering = rule.lower(args, types)
        after = self.masks_after(rule, args, xs, masks, len(lowering.types))
        later = after if planned == masks else self.masks_after(rule, args, xs, planned, len(lowering.types))
        result = self.emit_lowering(lowering, xs, layer, span=layer.span, masks=read)
        self.same_batch(xs[:1], result)
        activation = layer.attributes.get("activation_function")
        if activation is not None:
            result = [self.in_keras_order(activation, y) for y in result]
        result = [self.with_mask(y, [*given, *xs], m, later[i]) for i, (y, m) in enumerate(zip(result, after))]
        if rule.takes_masks_off and self.generation != KERAS2:
            self.take_masks_off(given, result[0])
        among = tensors(how.given)
        self.remember(
            [*given, *among],
            result,
            lambda new: self.apply_layer(layer, new[: len(given)], how.moved(dict(zip(among, new[len(given) :])))),
            layer,
        )
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
        mask = args[2] if len(args) > 2 else kwargs.get("mask")
        layer = LambdaLayer(function, dict(kwargs.get("arguments") or {}), kwargs.get("name"), mask)
        self.layers.append(layer)
        return layer

    def call_lambda(self, layer: LambdaLayer, args: list[Any], kwargs: dict[str, Any]) -> Any:
        kwargs = {k: v for k, v in kwargs.items() if k != "training"}
        given = dict(kwargs)
        inputs = tensors([*args, *kwargs.values()])
        mask = kwargs.pop("mask", None)
        if isinstance(layer.function, Function) and "mask" in [p.arg for p in layer.function.node.args.args]:
            kwargs["mask"] = self.masks_in(args[0] if args else None) if mask is None else mask
        self.called_on.append(inputs)
        try:
            result = self.call(layer.function, list(args), {**layer.kwargs, **kwargs})
        finally:
            self.called_on.pop()
        if not has_tensors(result):
            raise self.declined("K2T106", "this Lambda does not return a tensor")
        outputs = tensors(result)
        self.lambda_masks(layer, args, result)
        self.remember(
            inputs,
            outputs,
            lambda new: self.call_lambda(layer, *replace_tensors([args, given], dict(zip(inputs, new)))),
            layer,
        )
        return result
