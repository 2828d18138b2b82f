"""Pipelines of `tf.data`: what they start from, and what is done to them."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from transpiler.ir.model import ApiValue
from transpiler.read.keras.evaluate.values import Unknown
from transpiler.rules.base import parse_signature

SOURCE = "tensorflow.data.Dataset.from_tensor_slices"
SIGNATURES = {
    "shuffle": "buffer_size, seed=None, reshuffle_each_iteration=True, name=None",
    "batch": "batch_size, drop_remainder=False, num_parallel_calls=None, deterministic=None, name=None",
    "prefetch": "buffer_size=None, name=None",
    "cache": "filename='', name=None",
    "take": "count, name=None",
    "skip": "count, name=None",
}
"""The methods that are translated."""


@dataclass(frozen=True, eq=False)
class Pipeline(Unknown):
    """A `tf.data.Dataset`, and the steps it was made by, `from_tensor_slices` first."""

    steps: tuple[tuple[str, Mapping[str, Any]], ...] = ()

    @property
    def known(self) -> bool:
        """Whether all of its steps are translated."""
        return all(name in SIGNATURES for name, _ in self.steps[1:])

    @property
    def batched(self) -> bool:
        return any(name == "batch" for name, _ in self.steps)


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
        """Calls that make pipelines → what they make."""

    def getattr(self, value: Any, name: str) -> Any:
        if isinstance(value, Pipeline):
            return PipelineMethod(value.reason, value, name)
        return super().getattr(value, name)  # type: ignore[misc]

    def call_api(self, api: ApiValue, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if api.path == SOURCE and len(args) == 1 and not kwargs:
            return self.note_pipeline(Pipeline("a tf.data.Dataset", (("from_tensor_slices", {}),)))
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
        steps = (*function.pipeline.steps, (name, given))
        return self.note_pipeline(replace(function.pipeline, steps=steps))

    def note_pipeline(self, made: Pipeline) -> Pipeline:
        node = self.stack[-1][1] if self.stack else None
        if isinstance(node, ast.Call):
            self.pipelines[node] = made
        return made
