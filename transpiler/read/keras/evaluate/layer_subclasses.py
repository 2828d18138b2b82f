"""Classes of the program that derive from one of Keras's own layers."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import NeedsConstant
from transpiler.ir.model import Layer
from transpiler.ir.program import tensors
from transpiler.read.keras.evaluate.masks import parameters_of
from transpiler.read.keras.evaluate.program_classes import keras_base
from transpiler.read.keras.evaluate.signals import ProgramError
from transpiler.read.keras.evaluate.values import Bound, Class, Function, Instance, Native, Super, Unknown, has_tensors
from transpiler.rules.registry import layer_rules

STATE = ("build", "add_weight", "compute_mask", "__call__")
"""What a subclass must leave to Keras: its weights, and when it is called."""

NOISE = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout", "GaussianNoise", "AlphaDropout")  # fmt: skip
"""Layers that hand on their input outside training."""


def is_subclassed(value: Any) -> bool:
    """Whether a value is an object of a class that derives from one of Keras's own layers."""
    return isinstance(value, Instance) and keras_base(value.cls) in layer_rules()


class LayerSubclasses:
    """The part of the interpreter that knows them: each is the layer it derives from, and what its `call` adds."""

    def instantiate(self, cls: Class, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if keras_base(cls) not in layer_rules():
            return super().instantiate(cls, args, kwargs)
        changed = next((n for n in STATE if cls.lookup(n) is not None), None)
        if changed is not None:
            raise self.declined("K2T107", f"{cls.name} changes {changed}() of {keras_base(cls)}")
        self.visit_class(cls)
        instance = Instance(cls)
        init = cls.lookup("__init__")
        if init is not None:
            self.call(Bound(init, instance), args, kwargs)
        else:
            self.make_base(instance, args, kwargs)
        if "__layer__" not in instance.attributes:
            raise self.declined("K2T107", f"{cls.name} does not call the constructor of {keras_base(cls)}")
        if instance.attributes.get("trainable") is False:
            base = instance.attributes["__layer__"]
            base.args = base.args.replace(trainable=False)
        return instance

    def make_base(self, instance: Instance, args: list[Any], kwargs: dict[str, Any]) -> None:
        """The constructor of Keras's layer: the layer that the object stands for."""
        layer = self.make_layer(layer_rules()[keras_base(instance.cls)], args, kwargs)
        layer.attributes["class_name"] = instance.cls.name
        instance.attributes["__layer__"] = layer

    def call(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if is_subclassed(function):
            return self.call_subclassed(function, args, kwargs)
        return super().call(function, args, kwargs)

    def call_subclassed(self, instance: Instance, args: list[Any], kwargs: dict[str, Any]) -> Any:
        plain = self.plain_layer(instance)
        method = instance.cls.lookup("call")
        masked = [x for x in tensors([*args, *kwargs.values()]) if x in self.masks]
        if plain is not None:
            hears = method is None or "mask" in parameters_of(method)[0] or plain.args.get("trainable") is False
            if masked and plain.rule.takes_mask and not hears:
                raise self.declined("K2T105", f"call() of {instance.cls.name} does not hand on the mask it is given")
            return self.call_layer(plain, args, kwargs)
        if masked and "mask" in parameters_of(method)[0]:
            raise self.declined("K2T105", f"call() of {instance.cls.name} takes a mask, which is not translated")
        self.called.append([])
        try:
            result = self.run_method(instance, method, args, self.call_arguments(method, args, kwargs))
        finally:
            inner = self.called.pop()
            for layer in inner if self.called else ():
                self.called[-1].append(layer)
        if not has_tensors(result):
            raise self.declined("K2T107", f"call() of {instance.cls.name} does not return a tensor")
        for y in tensors(result) if masked else ():
            self.masks.setdefault(y, self.lost(f"the mask of what {instance.cls.name} returns is not translated"))
        return result

    def plain_arguments(self, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of a layer, layers among them as the rules know them."""

        def plain(value: Any) -> Any:
            return self.plain_layer(value) or value if is_subclassed(value) else value

        return [plain(a) for a in args], {k: plain(v) for k, v in kwargs.items()}

    def plain_layer(self, instance: Instance) -> Layer | None:
        """Keras's layer itself, if `call` only hands its input on to it; with `training=False`, what that makes of it."""
        layer, method = instance.attributes["__layer__"], instance.cls.lookup("call")
        if method is None:
            return layer
        if "__plain__" not in instance.attributes:
            instance.attributes["__plain__"] = self.probe(instance, method, layer)
        return instance.attributes["__plain__"]

    def probe(self, instance: Instance, method: Function, layer: Layer) -> Layer | None:
        """What `call` does to an input that nothing is known of: the layer if it hands it on unchanged, else None."""
        given, taken = object(), object()  # nothing can be done to them but to hand them on
        before, seen = dict(instance.attributes), []

        def base_call(*args: Any, **kwargs: Any) -> Any:
            seen.append((args, kwargs))
            return taken

        instance.attributes["__base_call__"] = base_call
        reports = len(self.findings.items)
        try:
            result = self.run_function(method, [instance, given], {})
        except (ProgramError, Declined, NeedsConstant, TypeError, AttributeError):
            result = None
        finally:
            instance.attributes.clear()
            instance.attributes.update(before)
        del self.findings.items[reports:]
        if result is not taken or len(seen) != 1 or seen[0][0][:1] != (given,):
            return None
        _, kwargs = seen[0]
        training = kwargs.get("training")
        if training is None:
            return layer
        return self.at_inference(layer) if training is False else None

    def at_inference(self, layer: Layer) -> Layer | None:
        """The layer as `call(x, training=False)` has it."""
        if layer.rule.keras[0] == "BatchNormalization":
            layer.args = layer.args.replace(trainable=False)
            return layer
        return None if layer.rule.keras[0] in NOISE else layer

    def missing_attribute(self, value: Instance, name: str) -> Any:
        if is_subclassed(value) and "__layer__" in value.attributes:
            layer = value.attributes["__layer__"]
            if name in ("kernel", "bias", "gamma", "beta", "weights", "moving_mean", "moving_variance", "embeddings"):
                raise self.declined("K2T107", f"{value.cls.name} reads the {name} of {keras_base(value.cls)}")
            return self.layer_attribute(layer, name)
        return super().missing_attribute(value, name)

    def super_of_api(self, value: Super, name: str) -> Any:
        instance = value.receiver
        if is_subclassed(instance):
            if name == "__init__":
                return Native(name, lambda *a, **k: self.make_base(instance, list(a), k))
            if name == "call":
                probing = instance.attributes.get("__base_call__")
                return Native(name, probing or (lambda *a, **k: self.base_call(instance, list(a), k)))
            return Native(name, lambda *a, **k: Unknown(f"{name}() of {instance.cls.name}"))
        return super().super_of_api(value, name)

    def base_call(self, instance: Instance, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """`super().call(x)`: Keras's layer, at inference where the program says so."""
        layer = instance.attributes["__layer__"]
        if isinstance(kwargs.get("training"), bool):
            training = kwargs.pop("training")
            if training or self.at_inference(layer) is None:
                raise self.declined("K2T404", f"training={training} in {instance.cls.name} is not translated")
        return self.call_layer(layer, args, kwargs)
