"""`clone_model`: a model of the same graph, with new layers of the same configuration or those that a function gives."""

from __future__ import annotations

from typing import Any

from transpiler.ir.model import KERAS2, Layer
from transpiler.ir.program import Value, replace_tensors, tensors
from transpiler.read.keras.evaluate.graph import Node
from transpiler.read.keras.evaluate.values import LambdaLayer, Model
from transpiler.rules.base import parse_signature

SIGNATURE = "model, input_tensors=None, clone_function=None, call_function=None, recursive=False"


class ModelClones:
    """The part of the interpreter that clones models."""

    def api_clone_model(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        try:
            given = parse_signature(SIGNATURE).bind(*args, **kwargs)
        except TypeError as error:
            raise self.declined("K2T102", f"clone_model: {error}") from None
        given.apply_defaults()
        model, inputs, function, call_function, recursive = given.arguments.values()
        if not isinstance(model, Model) or model.cls is not None or model.inputs is None:
            raise self.declined("K2T103", "cloning this model is not translated", "Build it a second time instead.")
        if call_function is not None or recursive is not False:
            raise self.declined("K2T102", "clone_model with call_function or recursive is not translated")
        copies: dict[int, Any] = {}

        def copy(layer: Any) -> Any:
            if id(layer) not in copies:
                copies[id(layer)] = self.copied(layer) if function is None else self.call(function, [layer], {})
            return copies[id(layer)]

        layers = self.model_layers(model)  # single layers are needed, whichever way the model was built
        if inputs is None:
            inputs = replace_tensors(model.inputs, {x: self.input_like(x) for x in tensors(model.inputs)})
        if len(tensors(inputs)) != len(tensors(model.inputs)):
            raise self.declined("K2T103", "clone_model with inputs of another structure is not translated")
        if model.sequential:
            first = tensors(inputs)[0]
            return self.make_sequential([[first, *map(copy, layers)], model.name], {})
        if self.generation == KERAS2:  # there the layers are made before any is called
            for layer in layers:
                if not self.is_input_layer(layer):
                    copy(layer)
        return self.make_model([inputs, self.graph_again(model, tensors(inputs), copy), model.name], {})

    def graph_again(self, model: Model, inputs: list[Value], copy: Any) -> Any:
        """The outputs of a model's graph over other inputs, through copies of its layers."""
        mapping: dict[Value, Any] = dict(zip(tensors(model.inputs), inputs))
        for node in self.graph(model).calls():
            if self.is_input_layer(node.layer):
                continue
            xs = [mapping.get(x, x) for x in node.inputs]
            result = tensors(self.call_copy(node, xs, copy))
            if len(result) != len(node.outputs):
                raise self.declined("K2T103", "a layer was cloned as one with other outputs")
            mapping.update(zip(node.outputs, result))
        return replace_tensors(model.outputs, mapping)

    def call_copy(self, node: Node, xs: list[Value], copy: Any) -> Any:
        made = node.layer if node.layer is None else copy(node.layer)
        if isinstance(made, Layer) and isinstance(node.layer, Layer):
            return self.apply_layer(made, xs)
        if made is not node.layer:
            return self.call(made, [xs[0] if len(xs) == 1 else xs], {})
        if isinstance(made, Model):
            return self.call_model(made, [xs[0] if len(xs) == 1 else xs], {})
        return self.origins[node.outputs[0]].replay(xs)

    def copied(self, layer: Any) -> Any:
        """A new layer of the same configuration."""
        if isinstance(layer, LambdaLayer):
            return layer
        if not isinstance(layer, Layer):
            raise self.declined("K2T103", "cloning a layer or model inside a model is not translated")
        inner = {n: self.copied(v) for n in layer.args if isinstance(v := layer.args.get(n), Layer)}
        args = layer.args.replace(**inner) if inner else layer.args
        made = Layer(layer.rule, args, layer.name, len(self.layers), layer.span)
        kept = ("trainable", "activation_function", "class_name")
        made.attributes.update({k: v for k, v in layer.attributes.items() if k in kept})
        self.layers.append(made)
        return made

    def input_like(self, x: Value) -> Value:
        return self.make_input({"shape": x.type.shape[1:], "dtype": x.type.dtype, "name": x.hint}, [])

    def is_input_layer(self, layer: Any) -> bool:
        return any(layer is known for known in self.input_layers.values())
