"""Layers that the program defines itself."""

from __future__ import annotations

from typing import Any

from transpiler.ir.model import Step, Weight
from transpiler.ir.program import Member, Value, replace_tensors, tensors
from transpiler.ir.shape import Layout, TensorType
from transpiler.read.keras.evaluate.program_classes import keras_base
from transpiler.read.keras.evaluate.values import (
    Bound,
    Class,
    Instance,
    LambdaLayer,
    Native,
    Origin,
    Super,
    Unknown,
)
from transpiler.rules.base import COMMON


class CustomLayers:
    """The part of the interpreter that calls custom layers."""

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
