"""Pipelines of `tf.data`: what they start from, and what is done to them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from transpiler.ir.model import ApiValue
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.arrays import DataArray, NumpyArray, Shape
from transpiler.read.keras.evaluate.values import Function, Unknown
from transpiler.rules.base import parse_signature

FOLDER = (
    "directory, labels='inferred', label_mode='int', class_names=None, color_mode='rgb', batch_size=32, "
    "image_size=(256, 256), shuffle=True, seed=None, validation_split=None, subset=None, interpolation='bilinear'"
)
SERIES = (
    "data, targets, sequence_length, sequence_stride=1, sampling_rate=1, batch_size=128, shuffle=False, seed=None, "
    "start_index=None, end_index=None"
)
SOURCES = {
    "tensorflow.data.Dataset.from_tensor_slices": "tensors, name=None",
    "tensorflow.data.Dataset.from_generator": (
        "generator, output_types=None, output_shapes=None, args=None, output_signature=None, name=None"
    ),
    "tensorflow.data.Dataset.zip": "datasets, name=None",
    "keras.utils.image_dataset_from_directory": FOLDER,
    "keras.preprocessing.image_dataset_from_directory": FOLDER,
    "keras.utils.timeseries_dataset_from_array": SERIES,
    "keras.preprocessing.timeseries_dataset_from_array": SERIES,
}
"""Functions that make pipelines, and their arguments."""
SIGNATURES = {
    "shuffle": "buffer_size, seed=None, reshuffle_each_iteration=True, name=None",
    "batch": "batch_size, drop_remainder=False, num_parallel_calls=None, deterministic=None, name=None",
    "prefetch": "buffer_size=None, name=None",
    "cache": "filename='', name=None",
    "take": "count, name=None",
    "skip": "count, name=None",
    "repeat": "count=None, name=None",
    "unbatch": "name=None",
    "with_options": "options, name=None",
    "map": "map_func, num_parallel_calls=None, deterministic=None, synchronous=None, use_unbounded_threadpool=False, "
    "name=None",
}
"""The methods that are translated."""


@dataclass(frozen=True, eq=False)
class Pipeline(Unknown):
    """A `tf.data.Dataset`, and the steps it was made by, the one that starts it first."""

    steps: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    base: Pipeline | None = None
    """The pipeline that its last step was done to."""

    @property
    def known(self) -> bool:
        """Whether all of its steps are translated."""
        return all(name in SIGNATURES for name, _ in self.steps[1:]) and all(p.known for p in self.zipped)

    @property
    def structure(self) -> Any:
        """Tuples of what its items are made of: None for an array; "" where that is not known."""
        name, given = self.steps[0]
        changed = any(step in ("map", "") for step, _ in self.steps)
        return given.get("structure", "") if not changed else ""

    @property
    def items(self) -> Any:
        """What an item is made of, as tuples of `DataArray`s and of None for what is not known."""
        name, given = self.steps[0]
        parts = tuple(p.items for p in self.zipped) if self.zipped else given.get("items")
        if any(step in ("map", "") for step, _ in self.steps):
            return None
        for step, _ in self.steps[1:]:
            if step in ("batch", "unbatch"):
                parts = each_array(parts, with_batch if step == "batch" else without_batch)
        return parts

    @property
    def zipped(self) -> tuple[Pipeline, ...]:
        """The pipelines whose items it puts together."""
        return self.steps[0][1].get("parts", ()) if self.steps else ()

    @property
    def batched(self) -> bool:
        names = [name for name, _ in self.steps if name in ("batch", "unbatch")]
        if names:
            return names[-1] == "batch"
        return any(p.batched for p in self.zipped) or self.steps[0][1].get("batch_size") is not None

    @property
    def endless(self) -> bool:
        """Whether it goes on for ever."""
        repeats = [given.get("count") in (None, -1) for name, given in self.steps if name == "repeat"]
        taken = self.steps and self.steps[-1][0] == "take"
        return not taken and (any(repeats) or bool(self.zipped) and all(p.endless for p in self.zipped))


@dataclass(frozen=True, eq=False)
class PipelineMethod(Unknown):
    """A method of a pipeline."""

    pipeline: Pipeline = field(default_factory=lambda: Pipeline(""))
    name: str = ""


class Pipelines:
    """The part of the recorder that follows pipelines."""

    stack: list[Any]

    def begin_pipelines(self) -> None:
        self.pipelines: dict[ast.Call, Pipeline] = {}
        """Calls that make pipelines → what they made last."""
        self.made_pipelines: dict[ast.Call, list[Pipeline]] = {}
        """Calls that make pipelines → all that they made."""
        self.tries = False
        """Whether the program has run, and functions are called with what is made up: what is known of calls then holds."""
        self.mapped: dict[ast.AST, Function] = {}
        """Functions of the program that pipelines send their items through, and those that these call."""

    def getattr(self, value: Any, name: str) -> Any:
        if isinstance(value, Pipeline):
            return PipelineMethod(value.reason, value, name)
        return super().getattr(value, name)  # type: ignore[misc]

    def call_api(self, api: ApiValue, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if api.path in SOURCES:
            name = api.path.rpartition(".")[2]
            if name == "zip" and len(args) > 1 and not kwargs:
                args = [tuple(args)]
            try:
                given = dict(parse_signature(SOURCES[api.path]).bind(*args, **kwargs).arguments)
            except TypeError:
                return super().call_api(api, args, kwargs)  # type: ignore[misc]
            parts = given.get("datasets", ())
            if "_from_" in name and not name.startswith("from_"):
                return self.note_pipeline(loader(name, given), 2 if given.get("subset") == "both" else 0)
            if name != "zip":
                known: dict[str, Any] = {}
                if "tensors" in given:
                    items = each_array(given["tensors"], without_batch)
                    known = {"structure": structure_of(given["tensors"]), "items": items}
                return self.note_pipeline(Pipeline("a tf.data.Dataset", ((name, known),)))
            if isinstance(parts, (list, tuple)) and all(isinstance(p, Pipeline) for p in parts):
                return self.note_pipeline(Pipeline("a tf.data.Dataset", ((name, {"parts": tuple(parts)}),)))
        return super().call_api(api, args, kwargs)  # type: ignore[misc]

    def call_unknown(self, function: Unknown, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if not isinstance(function, PipelineMethod):
            return super().call_unknown(function, args, kwargs)  # type: ignore[misc]
        given: Mapping[str, Any] = {}
        name = function.name
        if name in SIGNATURES:
            try:
                given = dict(parse_signature(SIGNATURES[name]).bind(*args, **kwargs).arguments)
            except TypeError:
                name = ""
        if name == "map":
            self.note_mapped(given.get("map_func"))
        steps = (*function.pipeline.steps, (name, given))
        return self.note_pipeline(replace(function.pipeline, steps=steps, base=function.pipeline))

    def note_pipeline(self, made: Pipeline, several: int = 0) -> Pipeline | list[Pipeline]:
        """Remembers which call made a pipeline, or several that are alike."""
        node = self.stack[-1][1] if self.stack else None
        if isinstance(node, ast.Call) and not (self.tries and node in self.pipelines):
            self.pipelines[node] = made
            self.made_pipelines.setdefault(node, []).append(made)
        return [made] * several if several else made

    def note_mapped(self, function: Any) -> None:
        """Remembers a function that items go through, and those of the program that it calls."""
        if not isinstance(function, Function) or function.node in self.mapped:
            return
        self.mapped[function.node] = function
        for node in nodes(function.node):
            scope = function.env.scope_of(node.id) if isinstance(node, ast.Name) else None
            if scope is not None:
                self.note_mapped(scope.names[node.id])  # type: ignore[attr-defined]


def loader(name: str, given: Mapping[str, Any]) -> Pipeline:
    """What reads a folder or an array in batches."""
    size = given.get("batch_size", True)
    shuffled = given.get("shuffle", "image" in name)
    return Pipeline("a tf.data.Dataset", ((name, {"batch_size": size, "shuffled": shuffled}),))


def structure_of(value: Any) -> Any:
    """Tuples of arrays as tuples of None."""
    return tuple(structure_of(v) for v in value) if isinstance(value, tuple) else None


def each_array(value: Any, change: Callable[[Shape, str], DataArray]) -> Any:
    """Tuples of arrays with each of these changed; None for what is no array of a known shape."""
    if isinstance(value, tuple):
        return tuple(each_array(v, change) for v in value)
    return change(value.shape, value.dtype) if isinstance(value, (NumpyArray, DataArray)) else None


def without_batch(shape: Shape, dtype: str) -> DataArray:
    """One item of an array."""
    return DataArray("an item of a tf.data.Dataset", shape[1:], dtype)


def with_batch(shape: Shape, dtype: str) -> DataArray:
    """A batch of items."""
    return DataArray("a batch of a tf.data.Dataset", (None, *shape), dtype)
