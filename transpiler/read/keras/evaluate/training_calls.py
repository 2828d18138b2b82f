"""What a program does with its models besides building them: `compile`, `fit`, `predict` …"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import NeedsConstant
from transpiler.ir.model import KERAS2, ApiObject, Layer
from transpiler.read.keras.evaluate.api import WEIGHT_METHODS
from transpiler.read.keras.evaluate.loaded_models import LEARNED, STALE, LoadedModels, keyword
from transpiler.read.keras.evaluate.measures import Measures
from transpiler.read.keras.evaluate.own_models import note_data
from transpiler.read.keras.evaluate.signals import ProgramError
from transpiler.read.keras.evaluate.toggles import Toggles
from transpiler.read.keras.evaluate.undecided import scopes_around
from transpiler.read.keras.evaluate.values import Bound, Function, Instance, Method, Model, Native, Super, Unknown
from transpiler.rules.base import parse_signature, renamed

SIGNATURES = {
    "compile": (
        "optimizer='rmsprop', loss=None, loss_weights=None, metrics=None, weighted_metrics=None, run_eagerly=False, "
        "steps_per_execution=1, jit_compile='auto', auto_scale_loss=True"
    ),
    "fit": (
        "x=None, y=None, batch_size=None, epochs=1, verbose='auto', callbacks=None, validation_split=0.0, "
        "validation_data=None, shuffle=True, class_weight=None, sample_weight=None, initial_epoch=0, "
        "steps_per_epoch=None, validation_steps=None, validation_batch_size=None, validation_freq=1, "
        "max_queue_size=10, workers=1, use_multiprocessing=False"
    ),
    "evaluate": (
        "x=None, y=None, batch_size=None, verbose='auto', sample_weight=None, steps=None, callbacks=None, "
        "max_queue_size=10, workers=1, use_multiprocessing=False, return_dict=False"
    ),
    "predict": (
        "x, batch_size=None, verbose='auto', steps=None, callbacks=None, max_queue_size=10, workers=1, "
        "use_multiprocessing=False"
    ),
    "fit_generator": (
        "x, steps_per_epoch=None, epochs=1, verbose=1, callbacks=None, validation_data=None, validation_steps=None, "
        "validation_freq=1, class_weight=None, max_queue_size=10, workers=1, use_multiprocessing=False, shuffle=True, "
        "initial_epoch=0"
    ),
    "evaluate_generator": (
        "x, steps=None, callbacks=None, max_queue_size=10, workers=1, use_multiprocessing=False, verbose=0"
    ),
    "predict_generator": (
        "x, steps=None, callbacks=None, max_queue_size=10, workers=1, use_multiprocessing=False, verbose=0"
    ),
    "predict_classes": "x, batch_size=32, verbose=0",
    "predict_proba": "x, batch_size=32, verbose=0",
    "train_on_batch": "x, y=None, sample_weight=None, class_weight=None, reset_metrics=True, return_dict=False",
    "test_on_batch": "x, y=None, sample_weight=None, reset_metrics=True, return_dict=False",
    "predict_on_batch": "x",
    "save": "filepath, overwrite=True, include_optimizer=True, save_format=None, signatures=None, options=None",
    "save_model": "model, filepath, overwrite=True, include_optimizer=True, save_format=None, signatures=None, options=None",
    "save_weights": "filepath, overwrite=True, save_format=None, options=None",
    "load_weights": "filepath, by_name=False, skip_mismatch=False, options=None",
    "get_weights": "",
    "set_weights": "weights",
    "reset_states": "",
    "load_model": "filepath, custom_objects=None, compile=True, safe_mode=True, options=None",
}
"""Today's methods of a model that belong to training; legacy Keras has others between them by keyword only."""

LEGACY_SIGNATURES = {
    "compile": (
        "optimizer='rmsprop', loss=None, metrics=None, loss_weights=None, weighted_metrics=None, run_eagerly=None, "
        "steps_per_execution=None, jit_compile=None, pss_evaluation_shards=0, sample_weight_mode=None"
    ),
}
RENAMES = {"nb_epoch": "epochs", "nb_worker": "workers", "generator": "x"}
WITHOUT_COMPILE = (*WEIGHT_METHODS, "load_model", "reset_states")
"""Methods that mean the same however the model is compiled."""
OLD_METHODS = {
    "fit_generator": "fit",
    "evaluate_generator": "evaluate",
    "predict_generator": "predict",
    "predict_proba": "predict",
    "predict_classes": "predict",
}
"""Old methods → those of today that take the same arguments for the same; `predict_classes` takes the result further."""


class History(Unknown):
    """What `fit` returns: the call was `of`."""

    def __init__(self, reason: str, of: TrainingCall) -> None:
        super().__init__(reason)
        self.of = of


class Logs(Unknown):
    """`history.history`: the numbers of every epoch, by name."""


class NotKept(Unknown):
    """What Keras keeps of a training and the result does not: `name` of what a `fit` returned, or of a compiled model."""

    def __init__(self, name: str, of: Any, trained: bool = False) -> None:
        super().__init__(f"{name} of a training")
        self.name, self.of, self.trained = name, of, trained


LEARNING = ("fit", "train_on_batch")
"""Methods that change weights."""

NOT_KEPT = ("metrics_names", "metrics", "history")
"""Attributes of compiled models that are such."""


@dataclass(frozen=True, eq=False)
class TrainingCall:
    """One evaluation of a call: what its arguments were, and the `compile` that is in force for the model."""

    node: ast.Call
    method: str
    model: Any
    arguments: Mapping[str, Any]
    given: frozenset[str]
    compiled: TrainingCall | None = None
    moment: int = 0
    """How often `trainable` was set before."""
    env: Any = None
    """The scope of the call."""
    objects: Mapping[ApiObject, ast.Call] = field(default_factory=dict)
    """The calls that made the objects of Keras which the program has so far."""
    stale: bool = False
    """Whether the model goes on with an optimizer from a file."""


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """One evaluation of `get_weights()` or `set_weights()` of a layer: the model it is a part of, and its expression."""

    layer: Any
    model: Model | None
    owner: str


def bound_call(method: str, args: list[Any], kwargs: dict[str, Any], generation: str) -> dict[str, Any] | None:
    """The arguments of a training method that were given, by name; None if they do not fit."""
    text = (generation == KERAS2 and LEGACY_SIGNATURES.get(method)) or SIGNATURES.get(method)
    if text is None:
        return None
    signature = parse_signature(text)
    try:
        return dict(signature.bind(*args, **renamed(kwargs, RENAMES, signature.parameters)).arguments)
    except TypeError:
        return None


def argument_nodes(
    call: ast.Call, method: str, generation: str, keywords: dict[str, ast.expr] | None = None
) -> dict[str, ast.expr] | None:
    """The expressions of a call's arguments by name; None where `*` or `**` hides them.

    `keywords` are those by name, where a `**` could be written out.
    """
    if any(isinstance(a, ast.Starred) for a in call.args):
        return None
    if keywords is None and any(k.arg is None for k in call.keywords):
        return None
    named = keywords if keywords is not None else {k.arg: k.value for k in call.keywords if k.arg}
    own = name_called(call)
    method = own if OLD_METHODS.get(own) == method or own == "save_model" else method
    return bound_call(method, list(call.args), named, generation)


def name_called(call: ast.Call) -> str:
    """The method or function that a call names."""
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def model_of(call: ast.Call) -> ast.expr:
    """The expression for the model that a training method is called on."""
    if name_called(call) == "save_model":
        return call.args[0] if call.args else next(k.value for k in call.keywords if k.arg == "model")
    assert isinstance(call.func, ast.Attribute)
    return call.func.value


class TrainingCalls(Measures, Toggles, LoadedModels):
    """The part of the recorder that notes what is done with models."""

    generation: str
    stack: list[Any]
    left_out: dict[ast.Call, str]
    note_steps: Any

    def begin_training(self) -> None:
        self.training_calls: dict[ast.Call, list[TrainingCall]] = {}
        """Calls of training methods → their evaluations."""
        self.object_nodes: dict[ApiObject, ast.Call] = {}
        """Objects of Keras that are no layers → the calls that made them."""
        self.begin_toggles()
        self.calling: list[tuple[ast.Call, Any]] = []
        """The calls under evaluation, and their scopes."""
        self.history_reads: set[ast.Attribute] = set()
        """Where the numbers of the epochs are taken from what `fit` returned."""
        self.not_kept: dict[ast.Attribute, NotKept] = {}
        """Where the program reads what the result does not keep."""
        self.bound: dict[int, list[tuple[ast.Assign, ast.expr]]] = {}
        """Compiled models, by their ids → the statements that bind what a call returned to them, and what they bind."""
        self.layer_weights: dict[ast.Call, list[LayerWeights]] = {}
        """Calls of `get_weights()` and `set_weights()` of layers → their evaluations."""
        self.begin_files()
        self.begin_measures()

    def eval_Call(self, node: ast.Call, env: Any) -> Any:
        self.calling.append((node, env))
        try:
            return super().eval_Call(node, env)  # type: ignore[misc]
        finally:
            self.calling.pop()

    def unknown_branch(self, test: Unknown, node: ast.If, rest: list[ast.stmt], env: Any) -> Any:
        """Nobody knows how a model is compiled that one side of such a branch compiles."""
        seen = {n: len(c) for n, c in self.training_calls.items()}
        result = super().unknown_branch(test, node, rest, env)  # type: ignore[misc]
        for call in [c for n, found in self.training_calls.items() for c in found[seen.get(n, 0) :]]:
            if call.method == "compile":
                call.model.attributes["__compiled__"] = None
        return result

    def assign(self, target: ast.expr, value: Any, env: Any) -> None:
        super().assign(target, value, env)  # type: ignore[misc]
        statement = self.stack[-1][1] if self.stack else None
        made = isinstance(statement, ast.Assign) and isinstance(statement.value, (ast.Call, ast.Tuple))
        if made and isinstance(value, Model) and "__compiled__" in value.attributes:
            self.bound.setdefault(id(value), []).append((statement, target))

    def call_method(self, method: Method, args: list[Any], kwargs: dict[str, Any]) -> Any:
        node, env = self.calling[-1] if self.calling else (None, None)
        if isinstance(method.receiver, Layer) and method.name in ("get_weights", "set_weights") and node is not None:
            model, owner = self.holder_of(method.receiver, node, env)
            self.left_out[node] = method.name
            self.layer_weights.setdefault(node, []).append(LayerWeights(method.receiver, model, owner))
        return super().call_method(method, args, kwargs)  # type: ignore[misc]

    def holder_of(self, layer: Layer, node: ast.Call, env: Any) -> tuple[Model | None, str]:
        """The model that a layer is taken from, or the only one of a variable that it is a part of, and its expression."""
        of = node.func.value if isinstance(node.func, ast.Attribute) else node.func
        taken = of.value if isinstance(of, ast.Subscript) else of.func if isinstance(of, ast.Call) else None
        if isinstance(taken, ast.Attribute) and taken.attr in ("layers", "get_layer"):
            plain = isinstance(taken.value, (ast.Name, ast.Attribute))
            model = self.eval(taken.value, env) if plain else None  # type: ignore[attr-defined]
            return (model, ast.unparse(taken.value)) if isinstance(model, Model) else (None, "")
        models = {
            n: v for scope in scopes_around(env) for n, v in reversed(scope.names.items()) if isinstance(v, Model)
        }
        found = [(v, n) for n, v in models.items() if any(x is layer for x in v.layers or self.graph(v).layers())]  # type: ignore[attr-defined]
        return found[0] if len({id(v) for v, _ in found}) == 1 else (None, "")

    def eval_Attribute(self, node: ast.Attribute, env: Any) -> Any:
        result = super().eval_Attribute(node, env)  # type: ignore[misc]
        if isinstance(result, Logs) and node.attr == "history":
            self.history_reads.add(node)
        if isinstance(result, NotKept) and node.value not in self.not_kept:
            self.not_kept[node] = result
        return result

    def getattr(self, value: Any, name: str) -> Any:
        if isinstance(value, History) and name == "history":
            return Logs(value.reason)
        compiled = isinstance(value, Model) and "__compiled__" in value.attributes
        if isinstance(value, History):
            return NotKept(name, value.of)
        if compiled and name in NOT_KEPT and name not in value.attributes:
            used = [c for found in self.training_calls.values() for c in found if c.model is value]
            return NotKept(name, value, any(c.method in ("fit", "evaluate", "train_on_batch") for c in used))
        return super().getattr(value, name)  # type: ignore[misc]

    def note_object(self, value: Any) -> None:
        node = self.stack[-1][1] if self.stack else None
        if isinstance(value, ApiObject) and isinstance(node, ast.Call):
            self.object_nodes[value] = node

    def note_training(
        self, node: ast.Call, model: Any, name: str, args: list[Any], kwargs: dict[str, Any]
    ) -> TrainingCall:
        """Remembers an evaluation of a training method; a `compile` is in force from here on."""
        arguments = bound_call(name, args, kwargs, self.generation)
        if arguments is None:
            arguments = {"": Unknown("its arguments are not evaluated")}
        if isinstance(model, Instance) and name not in ("compile", *WITHOUT_COMPILE):
            note_data(model, arguments.get("x"))
        known = model.attributes.get("__compiled__")
        call = TrainingCall(
            node,
            OLD_METHODS.get(name, name),
            model,
            arguments,
            frozenset(arguments),
            known if name != "compile" and isinstance(known, TrainingCall) else None,
            len(self.toggles),
            next((env for n, env in reversed(self.calling) if n is node), None),
            self.object_nodes,
            bool(model.attributes.get(STALE)),
        )
        self.training_calls.setdefault(node, []).append(call)
        if name == "compile":
            model.attributes["__compiled__"] = call
            model.attributes.pop(STALE, None)
            self.note_measured(model, arguments)
        self.note_steps(model)
        if call.method in LEARNING:
            model.attributes[LEARNED] = model.attributes.get(LEARNED, 0) + 1
        path = (argument_nodes(node, name, self.generation) or {}).get("filepath") if name == "save" else None
        self.note_saved(call, path)
        return call

    def api_save_model(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """`save_model(model, path)`, which is `model.save(path)`."""
        node, bound = self.stack[-1][1], bound_call("save_model", args, kwargs, self.generation)
        model = bound.pop("model", None) if bound is not None else None
        if isinstance(model, (Model, Instance)) and isinstance(node, ast.Call) and "tensorflow.saved" not in path:
            self.left_out[node] = "save"  # type: ignore[attr-defined]
            self.note_training(node, model, "save", [], bound or {})
            return None
        return Unknown("the result of save_model()")

    def api_load_model(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """A model from a file, where the program has saved it there; Unknown otherwise."""
        module, node = self.stack[-1]
        bound = bound_call("load_model", args, kwargs, self.generation)
        if bound is None or not isinstance(node, ast.Call):
            return Unknown("a call of load_model that is not understood")
        env = next((e for n, e in reversed(self.calling) if n is node), None)
        place = node.args[0] if node.args else keyword(node, "filepath")
        file = self.file_named(bound.get("filepath"), place, env)
        if file is None:
            name = ast.unparse(place) if place is not None else "this file"
            model: Any = Unknown(f"the program has not saved a model as {name} before, so its layers are not known")
        else:
            model = self.model_in(file, node, module.tree, env, bound.get("compile", True))
        self.left_out[node] = "load_model"  # type: ignore[attr-defined]
        call = TrainingCall(node, "load_model", model, bound, frozenset(bound), env=env)
        self.training_calls.setdefault(node, []).append(call)
        return model

    def super_of_api(self, value: Super, name: str) -> Any:
        model = value.receiver
        if name == "compile" and isinstance(model, (Instance, Model)):
            graph = model.attributes.get("__graph__", model)
            return Native(name, lambda *a, **k: self.note_own_compile(graph, list(a), k))
        return super().super_of_api(value, name)  # type: ignore[misc]

    def note_own_compile(self, model: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
        """`super().compile(…)` in a class that compiles in its own way: the call of that method is the `compile`."""
        outer = [n for n, _ in self.calling if isinstance(n.func, ast.Attribute) and n.func.attr == "compile"]
        if len(outer) > 1:
            self.left_out[outer[0]] = "compile"
            self.note_training(outer[0], model, "compile", args, kwargs)

    def visit_callbacks(self, model: Any, given: Any) -> None:
        """Evaluates the methods of callbacks of the program, for what they do with the model."""
        for callback in given if isinstance(given, (list, tuple)) else [given]:
            if not isinstance(callback, Instance):
                continue
            callback.attributes["model"] = model
            logs = Unknown("the numbers of an epoch")
            for name, args in (("on_train_begin", [logs]), ("on_epoch_begin", [0, logs]), ("on_epoch_end", [0, logs]),
                               ("on_train_end", [logs])):  # fmt: skip
                method = callback.cls.lookup(name)
                if isinstance(method, Function):
                    with contextlib.suppress(Declined, ProgramError, NeedsConstant):
                        self.call(Bound(method, callback), args, {})
