"""Which generation of Keras a program can be for: what it uses that Keras 3 does not have."""

from __future__ import annotations

import ast
from typing import Any

from transpiler.ir.model import KERAS3, ApiObject, ApiValue
from transpiler.read.keras.evaluate.values import Model
from transpiler.read.keras.names import OLD_UTILITIES

PACKAGES = (
    "activations", "api", "applications", "backend", "callbacks", "config", "constraints", "datasets", "distillation",
    "distribution", "dtype_policies", "export", "initializers", "layers", "legacy", "losses", "metrics",
    "mixed_precision", "models", "ops", "optimizers", "preprocessing", "quantizers", "random", "regularizers",
    "saving", "src", "tree", "utils", "visualization", "wrappers",
)  # fmt: skip
"""The packages in `keras` of Keras 3."""
INNER = (
    "api", "applications", "datasets", "legacy.saving", "ops", "optimizers.legacy", "optimizers.schedules",
    "preprocessing.image", "preprocessing.sequence", "src", "utils.bounding_boxes", "utils.legacy",
)  # fmt: skip
"""Those of its packages that have modules in them, and these modules."""
OLD_METHODS = (
    "fit_generator", "evaluate_generator", "predict_generator", "predict_classes", "predict_proba", "reset_states",
)  # fmt: skip
"""Methods that models of Keras 3 do not have."""
OLD_ARGUMENTS = (
    "nb_epoch",
    "nb_worker",
    "samples_per_epoch",
    "nb_val_samples",
    "workers",
    "max_queue_size",
    "use_multiprocessing",
)
"""Arguments that methods of these models do not have."""
STILL_TAKEN = ("alpha",)
"""Older names of arguments of layers that Keras 3 takes as well."""


class Generations:
    """The part of the recorder that notes what Keras 3 does not have."""

    generation: str

    def begin_generations(self) -> None:
        self.only_legacy: dict[str, None] = {}
        """What the program uses that only legacy Keras has, as a person would call it."""

    def note_legacy(self, what: str) -> None:
        """Notes something, if the program itself says it, and not the source of Keras."""
        module = self.stack[-1][0] if self.stack else None  # type: ignore[attr-defined]
        own = module is None or not module.name.startswith(("keras.", "tf_keras."))
        if own and self.generation == KERAS3:
            self.only_legacy.setdefault(what)

    def import_module(self, name: str) -> Any:
        if is_gone(name):
            self.note_legacy(name)
        return super().import_module(name)  # type: ignore[misc]

    def import_name(self, name: str, module: Any, attribute: str) -> Any:
        if isinstance(module, ApiValue) and name == "keras.utils" and attribute in OLD_UTILITIES:
            self.note_legacy(f"{name}.{attribute}")
        return super().import_name(name, module, attribute)  # type: ignore[misc]

    def call_api(self, api: ApiValue, args: list[Any], kwargs: dict[str, Any]) -> Any:
        result = super().call_api(api, args, kwargs)  # type: ignore[misc]
        if isinstance(result, ApiObject) and api.path.startswith("keras.optimizers.") and ".legacy." not in api.path:
            for name in ("lr", "decay"):
                if name in kwargs:
                    self.note_legacy(f"{name}= of an optimizer")
        return result

    def make_layer(self, rule: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        for name in kwargs:
            if name in rule.renames and name not in STILL_TAKEN:
                self.note_legacy(f"{name}= of {rule.keras[0]}")
        return super().make_layer(rule, args, kwargs)  # type: ignore[misc]

    def model_method(self, model: Model, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        node = self.stack[-1][1] if self.stack else None  # type: ignore[attr-defined]
        if name in OLD_METHODS and isinstance(node, ast.Call):
            self.note_legacy(f"{name}() of a model")
        for argument in kwargs:
            if argument in OLD_ARGUMENTS:
                self.note_legacy(f"{argument}= of {name}()")
        return super().model_method(model, name, args, kwargs)  # type: ignore[misc]


def is_gone(name: str) -> bool:
    """Whether a dotted name is a module of `keras` that Keras 3 does not have."""
    parts = name.split(".")
    if parts[0] != "keras" or len(parts) < 2:
        return False
    return parts[1] not in PACKAGES or len(parts) > 2 and not {parts[1], ".".join(parts[1:3])} & set(INNER)
