"""Callbacks whose classes the program defines: objects whose methods the loop over the epochs calls."""

from __future__ import annotations

import ast

from transpiler.diagnostics import Declined
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.values import Class, Function, Instance
from transpiler.rules.training.base import TRAINING
from transpiler.rules.training.callbacks import CallbackCode, Loop

CALLED = {
    "on_train_begin": ("before", ""),
    "on_epoch_begin": ("begin", "{epoch}"),
    "on_epoch_end": ("end", "{epoch}, {logs}"),
    "on_train_end": ("after", ""),
}
"""Methods that are called → where, and on what."""
HELD = ("stop_training", "predict", "predict_on_batch", "save_weights", "save", "load_weights", "evaluate")
"""What such methods may use of the model besides what torch's models have."""


def own_callback(value: Instance, node: ast.expr, loop: Loop) -> CallbackCode:
    """The calls of the methods of a callback. Raises Declined for what the loop does not do."""
    methods = methods_of(value.cls)
    for name in methods:
        if name.startswith("on_") and name not in CALLED:
            raise Declined(TRAINING, f"{value.cls.name}.{name}() is called at a place that the loop does not have")
    for method in methods.values():
        check_body(value.cls, method)
    if not isinstance(node, ast.Name):
        raise Declined(TRAINING, f"an object of {value.cls.name} has to be a variable")
    code = CallbackCode([f"{node.id}.model = {loop.model}"])
    for name, (where, arguments) in CALLED.items():
        if name in methods:
            text = f"{node.id}.{name}({arguments.format(epoch=loop.epoch, logs=loop.logs)})"
            getattr(code, where).append(text)
    if any(stops(m) for m in methods.values()):
        code.before.append(f"{loop.model}.stop_training = False")
        code.stop += [f"if {loop.model}.stop_training:", "    break"]
    return code


def methods_of(cls: Class) -> dict[str, Function]:
    """The methods that the classes of the program give a callback."""
    own = [base for base in cls.mro() if isinstance(base, Class)]
    return {name: f for base in reversed(own) for name, f in base.names.items() if isinstance(f, Function)}


def stops(method: Function) -> bool:
    return any(isinstance(n, ast.Attribute) and n.attr == "stop_training" for n in nodes(method.node))


def check_body(cls: Class, method: Function) -> None:
    """Raises Declined where a method reads what only a callback or a model of Keras has."""
    for n in nodes(method.node):
        if not isinstance(n, ast.Attribute):
            continue
        if ast.unparse(n.value) == "self.model" and n.attr not in HELD:
            raise Declined(TRAINING, f"{cls.name}.{method.name}() uses {n.attr} of the model")
        if ast.unparse(n) in ("self.params", "self.validation_data"):
            raise Declined(TRAINING, f"{cls.name}.{method.name}() uses {ast.unparse(n)}")
