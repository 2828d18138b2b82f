"""Attributes of layers, models and tensors; operators on tensors."""

from __future__ import annotations

import ast
from typing import Any

from transpiler.ir.model import KERAS2, ApiObject, ApiValue, Layer, Lowering, Step
from transpiler.ir.program import Value, tensors
from transpiler.ir.shape import Layout, TensorType
from transpiler.read.keras.evaluate.graph import Graph, Node, graph_of
from transpiler.read.keras.evaluate.indexing import (
    backwards,
    check_index,
    index_text,
    indexed_shape,
    is_backwards,
    is_whole,
    parts_of,
    slices_of,
    without_trailing,
)
from transpiler.read.keras.evaluate.layer_names import AutomaticName, InputName, automatic_name
from transpiler.read.keras.evaluate.values import (
    LayerVariable,
    Method,
    Model,
    TensorShape,
    Unknown,
)
from transpiler.read.keras.names import canonical, installed_names
from transpiler.rules.ops.base import Operand
from transpiler.rules.ops.operators import OPERATOR

WEIGHTS = tuple(f"{kind}{what}" for kind in ("", "trainable_", "non_trainable_") for what in ("weights", "variables"))
"""The lists of its variables that a model has."""


class KerasTensors:
    """The part of the interpreter that knows tensors."""

    def getattr(self, value: Any, name: str) -> Any:
        if isinstance(value, LayerVariable) and name == "shape":
            return value.shape
        return super().getattr(value, name)  # type: ignore[misc]

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
        if isinstance(value, ApiObject) and value.api.path == "keras.layers.InputLayer" and name == "name":
            return InputName(value.kwargs["name"])
        return Unknown(f"{value!r}.{name} is not evaluated")

    def api_attribute(self, value: ApiValue, name: str) -> Any:
        if name == "__version__":
            return {"tensorflow": "2.21.0", "keras": "2.21.0" if self.generation == KERAS2 else "3.15.1"}.get(
                value.path, "9.9.9"
            )
        if name in ("__name__", "__path__", "__file__"):
            return value.leaf
        if name == "newaxis":
            return None
        path = canonical(f"{value.path}.{name}")
        if (
            value.path == "keras.applications"
            or path.startswith("keras.applications.")
            and path.count(".") == 2
            and name[:1].islower()
        ):
            parts = path.partition(".")[2]
            places = [f"{keras}.{src}{parts}" for keras in installed_names(self.generation) for src in ("src.", "")]
            found = next(filter(None, map(self.loader.find, places)), None)
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
        if name == "_keras_mask":
            return self.mask_of(x)
        if name in ("_keras_history", "op", "graph"):
            return Unknown(f"a tensor's {name}")
        return Method(name, x)

    def layer_attribute(self, layer: Layer, name: str) -> Any:
        if name in layer.attributes and name not in ("calls", "activation_function"):
            return layer.attributes[name]
        if name == "name":
            return layer.name or AutomaticName(
                f"{automatic_name(layer.rule.class_name or layer.rule.keras[0])}_{layer.index}"
            )
        if name == "activation" and "activation" in layer.args:
            return self.activation_of(layer)
        calls = layer.attributes.get("calls", [])
        if name in ("output", "input", "output_shape", "input_shape") and calls:
            found = calls[0][1] if name.startswith("output") else calls[0][0]
            value = found[0] if len(found) == 1 else list(found)
            return value if not name.endswith("shape") else self.tensor_attribute(value, "_keras_shape")
        if name == "trainable":
            return layer.attributes.get("trainable", True)
        if name == "built":
            return self.is_built(layer)
        shape = self.variables_of(layer).get(name)
        if shape is not None:
            return LayerVariable(f"the {name} of a {layer.rule.keras[0]} is read", shape)
        if name in layer.args:
            return layer.args.get(name)
        if name == "__class__":
            return ApiValue(f"keras.layers.{layer.rule.keras[0]}")
        return Method(name, layer)

    def is_built(self, layer: Layer) -> bool:
        return "calls" in layer.attributes or "built_for" in layer.attributes

    def build_layer(self, layer: Layer, input_shape: Any) -> None:
        """`layer.build(shape)`: the layer has variables, whether or not it is called."""
        if isinstance(input_shape, (tuple, list, TensorShape)) and self.rule_variables(layer, tuple(input_shape)):
            layer.attributes["built_for"] = tuple(input_shape)

    def variables_of(self, layer: Layer) -> dict[str, Any]:
        """The shapes of a layer's variables by name, where it has them by now and they are known."""
        calls = layer.attributes.get("calls")
        shape = layer.attributes.get("built_for", calls[0][0][0].type.shape if calls and calls[0][0] else None)
        return {} if shape is None else self.rule_variables(layer, shape)

    def rule_variables(self, layer: Layer, shape: tuple[Any, ...]) -> dict[str, Any]:
        return layer.rule.variables(layer.args, TensorType(shape))

    def activation_of(self, layer: Layer) -> Any:
        """The activation of a layer: a function, however it was given."""
        given = layer.attributes.get("activation_function") or layer.args.get("activation")
        if given is None or isinstance(given, str):
            return ApiValue(f"keras.activations.{given or 'linear'}")
        return given

    def model_attribute(self, model: Model, name: str) -> Any:
        if name in model.attributes:
            return model.attributes[name]
        if name in ("input", "output", "inputs", "outputs"):
            value = model.inputs if name.startswith("in") else model.outputs
            flat = tensors(value)
            return flat if name.endswith("s") else (flat[0] if len(flat) == 1 else flat)
        if name in ("input_shape", "output_shape"):
            flat = tensors(model.inputs if name.startswith("in") else model.outputs)
            shapes = [self.tensor_attribute(t, "_keras_shape") for t in flat]
            return shapes[0] if len(shapes) == 1 else shapes
        if name == "layers":
            return self.model_layers(model)
        if name == "name":
            return model.name or "model"
        if model.cls is not None:
            found = model.cls.lookup(name)
            if found is not None:
                return self.bind_member(found, model, model.cls)
        if name in WEIGHTS:
            return Unknown("the weights of a model")
        return Method(name, model)

    def model_layers(self, model: Model) -> list[Any]:
        """`model.layers`: all of them, inputs included, in Keras's order.

        Raises Declined where functions among the layers make it uncertain: legacy Keras has layers for them.
        """
        if model.sequential:
            return list(model.layers or [])
        graph = self.graph(model)
        if self.generation == KERAS2 and any(n.layer is None for n in graph.nodes):
            raise self.declined("K2T103", "the list of layers of a model with functions in it is not evaluated")
        return graph.layers()

    def graph(self, model: Model) -> Graph:
        """The graph of a functional model."""
        declared = tensors(model.inputs)

        def node_of(x: Value) -> Node:
            origin = self.origins.get(x)
            if x in declared or origin is None or not origin.inputs:
                if x not in self.input_layers:
                    self.input_layers[x] = ApiObject(ApiValue("keras.layers.InputLayer"), (), {"name": x.hint})
                return Node(self.input_layers[x], [], [x])
            inner, inputs, outputs = self.nested.get(x, (origin.layer, origin.inputs, origin.outputs))
            return Node(inner, tensors(inputs), outputs)

        return graph_of(tensors(model.outputs), node_of)

    def attribute_set(self, target: Any, name: str, value: Any) -> None:
        if name == "trainable" and value is not True:
            self.report(
                "K2T404",
                "trainable=False is left to the training code",
                "Set requires_grad_(False) and .eval() on that part yourself.",
            )

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

    def tensor_getitem(self, value: Value, index: Any) -> Any:
        """Indexing by ints, slices, None and `...`, in Keras order; what only slices may stay channels first."""
        items = list(index) if isinstance(index, tuple) else [index]
        check_index(items)
        turned = backwards(items, value.type.rank)
        if turned:
            value = self.call_op("ops.flip", [value], {"axis": turned})
            items = [slice(None) if is_backwards(i) else i for i in items]
        sizes = tensors([parts_of(i) for i in items])
        shape = indexed_shape(value.type.shape, items)
        first = slices_of(items, value.type) if value.type.layout is Layout.FIRST else None
        x = value if first is not None else self.to_layout(value, Layout.KERAS)
        places = {s: str(Operand(i, s.type)) for i, s in enumerate(sizes, start=1)}
        written = without_trailing(first if first is not None else items)
        text = ", ".join(index_text(i, places) for i in written)
        kind = TensorType(shape, x.type.dtype).in_layout(x.type.layout)
        if not written:
            self.unchanged.setdefault(x, [])
            return x
        result = self.apply_lowering(Lowering([Step(fn=f"{{0}}[{text}]")], [kind]), [x, *sizes])
        if is_whole(items[0]) or items[0] is Ellipsis:
            self.same_batch([x], result)
        self.remember([value], result, lambda new: self.tensor_getitem(new[0], index))
        self.single.add(result[0])
        return result[0]
