"""A live Keras of either generation: what differs between the two, and what a model holds."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType, ModuleType
from typing import Any

from transpiler.ir.model import KERAS2
from transpiler.rules.augmentation import augmentations
from transpiler.verify import legacy

NOISE = ("rate", "dropout", "recurrent_dropout", "stddev", "drop_path_rate", "drop_rate", "drop_prob", "_dropout")
"""Attributes that are zero when a layer draws no noise."""


_imported: dict[str, ModuleType] = {}


def import_framework(generation: str) -> ModuleType:
    """Imports TensorFlow and Keras of the generation, nothing more: no tensor, no layer. Safe to repeat."""
    if generation in _imported:
        return _imported[generation]
    _imported[generation] = _import(generation)
    import tensorflow as tf

    tf.function = _not_compiled  # under the name that programs use: what runs in their functions is observed as well
    return _imported[generation]


def _not_compiled(function: Any = None, **options: Any) -> Any:
    """Stands for `tf.function`, with and without arguments."""
    return (lambda f: f) if function is None else function


def _import(generation: str) -> ModuleType:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if generation == KERAS2:
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tensorflow as tf

    if generation != KERAS2:
        import keras

        _speed_up_grouped_convolutions(tf)
        return keras
    import tf_keras

    legacy.install()
    sys.modules["keras"] = tf_keras
    tf.keras = tf_keras
    return tf_keras


def _speed_up_grouped_convolutions(tf: ModuleType) -> None:
    """Grouped convolutions in eager Keras 3 are compiled anew in every call, and slow in float64.

    With one channel a group they are depthwise ones, which TensorFlow has; others are compiled once per shape.
    """
    from keras.src.backend.tensorflow import nn

    original = nn.conv

    @tf.function(jit_compile=True)
    def compiled(inputs: Any, kernel: Any, **options: Any) -> Any:
        return original(inputs, kernel, **options)

    def conv(inputs: Any, kernel: Any, strides: Any = 1, padding: Any = "valid", data_format: Any = None, dilation_rate: Any = 1) -> Any:  # fmt: skip
        options = {"strides": strides, "padding": padding, "data_format": data_format, "dilation_rate": dilation_rate}
        grouped = data_format == "channels_last" and inputs.shape[-1] != kernel.shape[-2]
        if not grouped or not tf.executing_eagerly() or not hasattr(inputs, "numpy"):
            return original(inputs, kernel, **options)
        plain = set(tf.nest.flatten([strides, dilation_rate])) == {1}
        if len(kernel.shape) == 4 and kernel.shape[2] == 1 and plain:
            height, width, _, filters = kernel.shape
            depthwise = tf.reshape(kernel, [height, width, inputs.shape[-1], filters // inputs.shape[-1]])
            return tf.nn.depthwise_conv2d(inputs, depthwise, [1, 1, 1, 1], padding.upper())
        return compiled(inputs, tf.convert_to_tensor(kernel), **options)

    nn.conv = conv


@dataclass
class Construction:
    """One layer as it was made: by which line, and whether inside another layer."""

    layer: Any
    nested: bool
    file: str
    line: int


class Recorder:
    """Logs every layer construction, and lets an observer see every layer call."""

    def __init__(self, keras: ModuleType, is_user_file: Any) -> None:
        self.keras, self.is_user_file = keras, is_user_file
        self.log: list[Construction] = []
        self.observer: Any = None
        self._patch()

    def _patch(self) -> None:
        layer_class, recorder = self.keras.layers.Layer, self
        init, call = layer_class.__init__, layer_class.__call__

        def __init__(this: Any, *args: Any, **kwargs: Any) -> None:
            if not any(c.layer is this for c in recorder.log[-3:]):
                recorder.log.append(recorder._construction(this))
            init(this, *args, **kwargs)

        def __call__(this: Any, *args: Any, **kwargs: Any) -> Any:
            if recorder.observer is None:
                return call(this, *args, **kwargs)
            return recorder.observer(this, lambda *a, **k: call(this, *a, **k), args, kwargs)

        for new, old in ((__init__, init), (__call__, call)):
            new.__wrapped__ = old  # type: ignore[attr-defined]  # signatures of subclasses are read through it
            new.__signature__ = inspect.signature(old)  # type: ignore[attr-defined]  # where none of their own is
        layer_class.__init__, layer_class.__call__ = __init__, __call__

    def _construction(self, layer: Any) -> Construction:
        nested, file, line = False, "", 0
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            owner = self._owner(frame)
            if owner is not layer:
                nested = nested or self._is_layer(owner)
                if not file and self.is_user_file(frame.f_code.co_filename):
                    file, line = frame.f_code.co_filename, frame.f_lineno
            frame = frame.f_back
        return Construction(layer, nested, file, line)

    def _owner(self, frame: FrameType) -> Any:
        code = frame.f_code
        return frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None

    def _is_layer(self, value: Any) -> bool:
        return isinstance(value, self.keras.layers.Layer) and not isinstance(value, self.keras.Model)


def all_layers(model: Any) -> list[Any]:
    """The model and every layer inside it, each once."""
    seen: dict[int, Any] = {}
    for layer in model._flatten_layers(include_self=True, recursive=True):
        seen.setdefault(id(layer), layer)
    return list(seen.values())


def direct_layers(layer: Any) -> Iterator[Any]:
    yield from layer._flatten_layers(include_self=False, recursive=False)


def unit_layers(model: Any, keras: ModuleType, log: list[Construction]) -> list[Construction]:
    """The layers with weights that the program itself made, in the order it made them.

    Models, layers that the program defines and wrappers around these stand for the variables they made themselves;
    what they hold counts on its own. Any other layer that is held by one belongs to it.
    """
    units: dict[int, Any] = {}

    def visit(layer: Any) -> None:
        inside = layer._flatten_layers(include_self=True, recursive=True)
        if any(isinstance(x, keras.Model) or is_of_program(type(x)) for x in inside):
            if own_variables(layer):
                units[id(layer)] = layer
            for child in direct_layers(layer):
                visit(child)
        elif layer.weights:
            units[id(layer)] = layer

    visit(model)
    first: dict[int, Construction] = {}
    for construction in log:
        if id(construction.layer) in units:
            first.setdefault(id(construction.layer), construction)
    return list(first.values())


def is_of_program(cls: type) -> bool:
    """Whether a class derives from Keras's bare `Layer`, `Wrapper` or `Model`, and is not Keras's own."""
    known = next(c for c in cls.__mro__ if c.__module__.partition(".")[0] in ("keras", "tf_keras"))
    return known is not cls and known.__name__ in ("Layer", "AbstractRNNCell", "Wrapper", "Model", "Functional")


def leaf(variable: Any) -> str:
    """The variable's own name: `kernel`, `moving_mean`."""
    return variable.name.rpartition("/")[2].partition(":")[0]


def raw(variable: Any) -> Any:
    """The TensorFlow variable behind a Keras one."""
    return getattr(variable, "_value", variable)


def float_weights(model: Any) -> list[Any]:
    """The weights that numbers can be drawn for, each once, in the model's order."""
    metrics = [m for layer in all_layers(model) for m in getattr(layer, "_metrics", None) or ()]
    states = {
        id(v) for metric in metrics for v in getattr(metric, "weights", ())
    }  # which legacy Keras counts among the weights
    seen = {id(v): v for v in model.weights if raw(v).dtype.is_floating and id(v) not in states}
    return list(seen.values())


def own_variables(layer: Any) -> list[Any]:
    names = ("_trainable_variables", "_non_trainable_variables", "_trainable_weights", "_non_trainable_weights")
    return [v for name in names for v in getattr(layer, name, ()) or ()]


def take_up_weights(model: Any) -> None:
    """Lets layers that keep copies of their weights renew them, as loading weights does: Normalization."""
    for layer in all_layers(model):
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def owners(model: Any) -> dict[int, Any]:
    """Variable → the layer that made it."""
    found: dict[int, Any] = {}
    for layer in all_layers(model):
        for variable in own_variables(layer):
            found.setdefault(id(variable), layer)
    return found


def variable_at(layer: Any, source: str) -> Any:
    """The variable at an attribute path of a layer (`cell.kernel`, `blocks.0.bias`), or None.

    The last part may also be the name of a variable that the layer made. `a|b` names two paths, of which the first
    that exists counts.
    """
    found = (_variable_at(layer, path) for path in source.split("|"))
    return next((v for v in found if v is not None), None)


def _variable_at(layer: Any, path: str) -> Any:
    *parents, last = path.split(".")
    owner = layer
    for part in parents:
        owner = owner[int(part)] if part.isdigit() else getattr(owner, part, None)
        if owner is None:
            return None
    if last.isdigit():
        return owner[int(last)]
    value = getattr(owner, last, None)
    if hasattr(value, "numpy") and hasattr(value, "assign"):
        return value
    return next((v for v in own_variables(owner) if leaf(v) == last), None)


def silence(model: Any) -> list[tuple[Any, str, Any]]:
    """Switches all noise off and returns what was on: (layer, attribute, value)."""
    changed = []
    for layer in all_layers(model):
        targets = {name: 0.0 for name in NOISE} | {"survival_probability": 1.0, "keep_prob": 1.0}
        for name, quiet in targets.items():
            value = getattr(layer, name, None)
            if isinstance(value, (int, float)) and not isinstance(value, bool) and value != quiet:
                try:
                    setattr(layer, name, quiet)
                except AttributeError:  # a read-only view of the cell's attribute, which is set as well
                    continue
                changed.append((layer, name, float(value)))
        if any(c.__name__ in augmentations() for c in type(layer).__mro__):
            changed.append((layer, "call", layer.call))
            layer.call = functools.partial(_at_inference, layer.call)
    return changed


def _at_inference(call: Any, inputs: Any, training: Any = None) -> Any:
    """What a layer does at inference, whatever it is asked for."""
    return call(inputs, training=False)


def restore(changed: list[tuple[Any, str, Any]]) -> None:
    for layer, name, value in changed:
        setattr(layer, name, value)
