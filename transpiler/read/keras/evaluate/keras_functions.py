"""Functions of Keras and TensorFlow with a meaning of their own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from transpiler.diagnostics import Finding, Severity, excerpt
from transpiler.ir.expr import Sym, witness_of
from transpiler.ir.model import ApiValue, Layer
from transpiler.ir.program import Value, tensors
from transpiler.ir.shape import product
from transpiler.read.keras.evaluate.api import (
    EXPORTS,
)
from transpiler.read.keras.evaluate.constants import Constant
from transpiler.read.keras.evaluate.program_classes import TRAINING
from transpiler.read.keras.evaluate.values import (
    Env,
    Function,
    LambdaLayer,
    Model,
    Native,
    Unknown,
)
from transpiler.read.keras.parse import parse
from transpiler.rules.registry import layer_rules

IN_TRAIN_PHASE = """
def in_train_phase(x, alt, training=None):
    if TRAINING if training is None else training:
        return x() if callable(x) else x
    return alt() if callable(alt) else alt
"""
"""`K.in_train_phase` of legacy Keras."""
COND = """
def cond(pred, true_fn=None, false_fn=None, name=None):
    return true_fn() if pred else false_fn()
"""
"""`tf.cond` and `ops.cond`, where what decides is known when the model is built or is the mode of the module."""


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

    def api_learning_phase(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return TRAINING

    def api_in_train_phase(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return self.run_function(self.function_of(IN_TRAIN_PHASE), args, kwargs)

    def api_in_test_phase(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        x, alt, *rest = args
        return self.run_function(self.function_of(IN_TRAIN_PHASE), [alt, x, *rest], kwargs)

    def api_cond(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return self.run_function(self.function_of(COND), args, kwargs)

    def api_print_tensor(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """`K.print_tensor`, `tf.compat.v1.Print`: the tensor, which nothing prints."""
        self.report_print(path)
        return args[0] if args else kwargs.get("x", kwargs.get("input_"))

    api_Print = api_print_tensor

    def api_print(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        self.report_print(path)

    def report_print(self, path: str) -> None:
        self.report("K2T405", f"{path}() is left out", "Print where forward computes it.", Severity.NOTE)

    def api_count_params(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        value = args[0] if args else kwargs.get("x")
        size = product(value.type.shape) if isinstance(value, Value) else None
        return Unknown(f"{path}() is not evaluated") if size is None else size

    def api_get_value(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """`K.get_value`, `K.eval` of numbers and of tensors of known values; what a variable holds is not known here."""
        value = args[0] if args else kwargs.get("x")
        known = isinstance(value, (Constant, int, float, Sym))
        return value if known else Unknown(f"{path}() of a variable is not evaluated")

    api_eval = api_get_value

    def api_standardize_dtype(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """The name of a dtype."""
        value = args[0] if args else kwargs.get("dtype")
        name = value.leaf if isinstance(value, ApiValue) else value
        known = isinstance(name, str) and re.fullmatch(r"bool|bfloat16|(float|u?int)\d+", name)
        return "float32" if name is None else name if known else Unknown(f"{path}() is not evaluated")

    def api_is_float_dtype(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        name = self.api_standardize_dtype(path, args, kwargs)
        return name if isinstance(name, Unknown) else name.startswith(("float", "bfloat"))

    def api_is_int_dtype(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        name = self.api_standardize_dtype(path, args, kwargs)
        return name if isinstance(name, Unknown) else name.startswith(("int", "uint"))

    def api_result_type(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """The dtype of arithmetic on these: the one there is, or the one of floats; Python's own numbers give way."""
        own = {float: "float32", int: "int32", bool: "bool"}
        weak = [own[a] for a in args if isinstance(a, type) and a in own]
        names = [self.api_standardize_dtype(path, [a], {}) for a in args if not isinstance(a, type)]
        unknown = next((n for n in names if isinstance(n, Unknown)), None)
        if unknown is not None or len(weak) + len(names) < len(args) or not args:
            return unknown or Unknown(f"{path}() is not evaluated")
        floats = {n for n in names if n.startswith(("float", "bfloat"))}
        if not floats and "float32" in weak:
            return "float32"
        found = floats or set(names) or set(weak)
        return found.pop() if len(found) == 1 else Unknown(f"{path}() is not evaluated")

    def api_get_item(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        given = {**dict(zip(("x", "key"), args)), **kwargs}
        return self.getitem(given["x"], given["key"])

    def function_of(self, text: str) -> Function:
        """A function given as its source."""
        source = parse(text, Path("<keras>"), "<keras>")
        env = Env(None, "module", source, {"TRAINING": TRAINING})
        return Function(source.tree.body[0], env, self, [None])  # type: ignore[arg-type]

    def api_set_floatx(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        self.check_setting("floatx", args[0] if args else kwargs.get("value"), "float32", "Use model.to(dtype).")

    def api_set_epsilon(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        self.check_setting("epsilon", args[0] if args else kwargs.get("value"), 1e-7, "Give epsilons to the layers.")

    def check_setting(self, name: str, value: Any, usual: Any, advice: str) -> None:
        """Warns of a setting of Keras that is left out."""
        if value != usual:
            span = self.where()
            message = f"set_{name}({value!r}) is left out: the result is that for {usual!r}"
            self.findings.add(Finding("K2T403", Severity.WARNING, message, advice, span, excerpt(span)))

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
        self.sets_data_format = True
        if args and isinstance(args[0], str):
            self.image_data_format = args[0]

    def api_set_image_dim_ordering(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        self.sets_data_format = True
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

    def api_get_uid(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> int:
        """Numbers from one up, as in a program that builds nothing before."""
        prefix = str(next(iter((*args, *kwargs.values())), ""))
        self.uids[prefix] = self.uids.get(prefix, 0) + 1
        return self.uids[prefix]

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
