"""Functions of Keras and TensorFlow with a meaning of their own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from transpiler.ir.expr import Sym, witness_of
from transpiler.ir.model import ApiValue, Layer
from transpiler.ir.program import Value, tensors
from transpiler.read.keras.evaluate.api import (
    EXPORTS,
)
from transpiler.read.keras.evaluate.constants import Constant
from transpiler.read.keras.evaluate.values import (
    LambdaLayer,
    Model,
    Native,
    Unknown,
)
from transpiler.rules.registry import layer_rules


class KerasFunctions:
    """One method `api_<name>` for each function."""

    def api_int_shape(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        value = args[0] if args else kwargs["x"]
        return value.type.shape if isinstance(value, Value) else Unknown("the shape of something that is not a tensor")

    def api_shape(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if not args or not isinstance(args[0], Value):
            return Unknown(f"{path}() is not evaluated")
        sizes = self.dynamic_shape(args[0])
        return tuple(sizes) if path.startswith("keras.ops.") else sizes

    def api_rank(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return args[0].type.rank if args and isinstance(args[0], Value) else Unknown(f"{path}() is not evaluated")

    def api_dtype(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return args[0].type.dtype if args and isinstance(args[0], Value) else Unknown(f"{path}() is not evaluated")

    def api_ndim(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return args[0].type.rank if isinstance(args[0], Value) else Unknown("ndim of something that is not a tensor")

    def api_is_keras_tensor(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return isinstance(args[0], Value)

    def api_is_sparse(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return False if isinstance(args[0], Value) else Unknown("whether something that is no tensor is sparse")

    def api_get_source_inputs(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        found: list[Value] = []

        def visit(x: Value) -> None:
            origin = self.origins.get(x)
            if (origin is None or not origin.inputs) and x not in found and not isinstance(x, Constant):
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
        """What objects are called by is as good as they are; the name of an activation can be called, too."""
        value = next(iter((*args, *kwargs.values())), None)
        if path != "keras.activations.get" or witness_of(value) is not None:
            return value
        return Sym(value.expr, "linear") if isinstance(value, Sym) else "linear"

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
