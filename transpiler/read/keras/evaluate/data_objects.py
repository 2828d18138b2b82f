"""Objects of Keras that hold or make data: generators of images, tokenizers, batches."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transpiler.ir.model import ApiValue
from transpiler.read.keras.evaluate.values import Unknown

MAKERS: Mapping[str, tuple[str, ...]] = {
    "keras.preprocessing.image.ImageDataGenerator": ("flow", "flow_from_directory"),
    "keras.preprocessing.text.Tokenizer": (),
}
"""Classes → their methods that return batches."""
KNOWN = {
    "keras.preprocessing.text.Tokenizer": (
        "fit_on_texts", "texts_to_sequences", "sequences_to_texts", "texts_to_matrix", "sequences_to_matrix",
    ),
}  # fmt: skip
"""Classes → the methods that are translated. What is translated of generators of images depends on the file."""
ATTRIBUTES = {
    "keras.preprocessing.text.Tokenizer": (
        "word_index", "index_word", "word_counts", "word_docs", "index_docs", "document_count", "num_words", "oov_token",
    ),
}  # fmt: skip
"""Classes → the attributes that hold data."""
BATCHES = ("keras.preprocessing.sequence.TimeseriesGenerator",)
"""Classes that are batches themselves."""


OF_BATCHES = (
    "class_indices",
    "num_classes",
    "classes",
    "class_names",
    "samples",
    "n",
    "filenames",
    "filepaths",
    "batch_size",
)
"""Attributes of batches of images that say what is in the folder."""


@dataclass(frozen=True, eq=False)
class Batches(Unknown):
    """Numbered batches of arrays, as many as `len()` says."""


@dataclass(frozen=True, eq=False)
class DataObject(Unknown):
    """An object that makes batches or arrays."""

    path: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)
    """The arguments by name that it was made with."""


@dataclass(frozen=True, eq=False)
class DataMethod(Unknown):
    """A method of such an object."""

    path: str = ""
    name: str = ""


def holds_data(value: Any, name: str) -> bool:
    """Whether an attribute of such an object says what is in the data."""
    if isinstance(value, DataObject):
        return name in ATTRIBUTES.get(value.path, ())
    return isinstance(value, Batches) and name in OF_BATCHES


class DataObjects:
    """The part of the recorder that follows them."""

    stack: list[Any]

    def begin_data(self) -> None:
        self.data_objects: dict[ast.Call, DataObject] = {}
        """Calls that make such objects → what they make."""
        self.data_calls: dict[ast.Call, tuple[str, str, Mapping[str, Any]]] = {}
        """Calls of their methods → the class, the method, and the arguments that have names."""

    def getattr(self, value: Any, name: str) -> Any:
        if isinstance(value, DataObject) and holds_data(value, name):
            return super().getattr(value, name)  # type: ignore[misc]
        if isinstance(value, DataObject):
            return DataMethod(value.reason, value.path, name)
        return super().getattr(value, name)  # type: ignore[misc]

    def call_api(self, api: ApiValue, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if api.path in BATCHES:
            return Batches(f"a {api.leaf}")
        if api.path not in MAKERS:
            return super().call_api(api, args, kwargs)  # type: ignore[misc]
        made = DataObject(f"a {api.leaf}", api.path, dict(kwargs))
        node = self.stack[-1][1] if self.stack else None
        if isinstance(node, ast.Call):
            self.data_objects[node] = made
        return made

    def call_unknown(self, function: Unknown, args: list[Any], kwargs: dict[str, Any]) -> Any:
        node = self.stack[-1][1] if self.stack else None
        if isinstance(function, DataMethod) and isinstance(node, ast.Call):
            self.data_calls[node] = function.path, function.name, dict(kwargs)
        if isinstance(function, DataMethod) and function.name in MAKERS[function.path]:
            return Batches(f"what {function.name}() returns")
        return super().call_unknown(function, args, kwargs)  # type: ignore[misc]
