"""Models of the program's own classes in training: what they are called on, as far as their data is known, and their graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from transpiler.ir.program import Value, tensors
from transpiler.ir.shape import TensorType
from transpiler.read.keras.evaluate.arrays import DataArray, NumpyArray
from transpiler.read.keras.evaluate.values import Instance

OVERRIDDEN = ("compile", "fit", "evaluate", "predict", "train_step", "test_step", "predict_step", "train_on_batch") + (
    "compute_loss",
    "compute_metrics",
    "metrics",
    "losses",
    "make_train_function",
    "make_test_function",
)
"""What Keras calls in training, and a class may do in its own way."""


def own_way(model: Any) -> str:
    """The method with which a class trains in its own way; "" for none."""
    return next((name for name in OVERRIDDEN if model.cls.lookup(name) is not None), "")


def is_holder(model: Any) -> bool:
    """Whether a model of the program's is there for its training alone: it holds others, and is not called itself."""
    return (
        isinstance(model, Instance) and model.cls.lookup("call") is None and model.cls.lookup("train_step") is not None
    )


def note_data(model: Instance, data: Any) -> None:
    """Remembers what a model is called on when it is given arrays of known shapes."""
    if "__seen__" in model.attributes:
        return
    several = isinstance(data, (list, tuple))
    values = [_batch(x) for x in (data if several else [data])]
    if values and all(v is not None for v in values):
        model.attributes["__seen__"] = ([values if several else values[0]], {})


def _seen(model: Instance) -> list[TensorType]:
    """The kinds of inputs that a model is called on."""
    return [x.type for x in tensors(model.attributes.get("__seen__", ((), {}))[0])]


def _batch(data: Any) -> Value | None:
    """A batch of an array, as Keras gives it to a model."""
    if (
        not isinstance(data, (NumpyArray, DataArray))
        or not data.shape
        or any(type(d) is not int for d in data.shape[1:])
    ):
        return None
    if data.dtype.startswith("float"):
        return Value(TensorType((None, *data.shape[1:]), "float32"), "x")
    return Value(TensorType((None, *data.shape[1:]), data.dtype), "x") if data.dtype.startswith("int") else None


def graph_of(value: Any) -> Any:
    """The graph of a model of the program's classes, if it has one; any other value as it is."""
    return value.attributes.get("__trace__", value) if isinstance(value, Instance) else value


def with_graphs(calls: Mapping[Any, Sequence[Any]]) -> dict[Any, list[Any]]:
    """Calls of training methods with the graphs of models of the program's classes in the place of these."""
    renewed: dict[int, Any] = {}
    models = [c.model for found in calls.values() for c in found if isinstance(c.model, Instance)]
    traced = [m for m in models if "__trace__" in m.attributes]

    def graph_of(model: Any) -> Any:
        """The graph of a model, or of another of its class that is called on the same kinds of inputs."""
        alike = [m for m in traced if m is model or m.cls is model.cls and _seen(m) == _seen(model)]
        return next((m.attributes["__trace__"] for m in sorted(alike, key=lambda m: m is not model)), None)

    def new(call: Any) -> Any:
        if isinstance(call, bool) or call is None:
            return call
        if id(call) not in renewed:
            graph = graph_of(call.model) if isinstance(call.model, Instance) else None
            known = call if graph is None else replace(call, model=graph)
            renewed[id(call)] = known if call.compiled is None else replace(known, compiled=new(call.compiled))
        return renewed[id(call)]

    return {node: [new(c) for c in found] for node, found in calls.items()}
