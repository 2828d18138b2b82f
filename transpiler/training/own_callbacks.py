"""Callbacks whose classes the program defines: objects whose methods the loop over the epochs calls."""

from __future__ import annotations

import ast

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS3
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.values import Class, Function, Instance
from transpiler.rules.training.base import TRAINING
from transpiler.rules.training.callbacks import CallbackCode, Loop
from transpiler.training.file import FileTraining
from transpiler.training.rates import rates_in_class, write_places

CALLED = {
    "on_train_begin": ("before", (), "{}"),
    "on_epoch_begin": ("begin", ("{epoch}",), "{}"),
    "on_epoch_end": ("end", ("{epoch}",), "{logs}"),
    "on_train_end": ("after", (), "{logs}"),
}
"""Methods that are called → where, on what, and what they are told last."""
BATCHES = ("on_train_batch_begin", "on_train_batch_end")
OLD_NAMES = {"on_batch_begin": "on_train_batch_begin", "on_batch_end": "on_train_batch_end"}
"""Methods that are called before and after each batch, and what they were called."""
HELD = ("stop_training", "predict", "predict_on_batch", "save_weights", "save", "load_weights", "evaluate")
"""What such methods may use of the model besides what torch's models have."""


def own_callback(value: Instance, node: ast.expr, loop: Loop) -> CallbackCode:
    """The calls of the methods of a callback. Raises Declined for what the loop does not do."""
    methods = methods_of(value.cls)
    batches = batch_hooks(value.cls)
    for name in methods:
        if name.startswith("on_") and name not in CALLED and OLD_NAMES.get(name, name) not in BATCHES:
            raise Declined(TRAINING, f"{value.cls.name}.{name}() is called at a place that the loop does not have")
    for name, method in methods.items():
        check_body(value.cls, method, bool(batches) and name not in CALLED)
    if not isinstance(node, ast.Name):
        raise Declined(TRAINING, f"an object of {value.cls.name} has to be a variable")
    code = CallbackCode([f"{node.id}.model = {loop.model}"])
    if any(uses_optimizer(c.node) for c in classes_of(value.cls)):
        code.before.append(f"{node.id}.optimizer = {loop.optimizer}")
    code.batches = {node.id: batches} if batches else {}
    for name, (where, arguments, told) in CALLED.items():
        if name in methods:
            given = [a.format(epoch=loop.epoch) for a in arguments]
            if name == "on_epoch_end" or hears(methods[name]):
                given.append(told.replace("{logs}", loop.logs))
            getattr(code, where).append(f"{node.id}.{name}({', '.join(given)})")
    if any(stops(m) for m in methods.values()):
        code.before.append(f"{loop.model}.stop_training = False")
        code.stop += [f"if {loop.model}.stop_training:", "    break"]
    return code


def classes_of(cls: Class) -> list[Class]:
    """The classes of the program that make up that of a callback."""
    return [base for base in cls.mro() if isinstance(base, Class)]


def methods_of(cls: Class) -> dict[str, Function]:
    """The methods that the classes of the program give a callback."""
    own = classes_of(cls)
    return {name: f for base in reversed(own) for name, f in base.names.items() if isinstance(f, Function)}


def batch_hooks(cls: Class) -> tuple[str, ...]:
    """The methods of a callback that are called before and after each batch, by the names that they have."""
    methods = methods_of(cls)
    old = {new: name for name, new in OLD_NAMES.items() if name in methods}
    return tuple(name for new in BATCHES if (name := new if new in methods else old.get(new, "")))


def uses_optimizer(tree: ast.AST) -> bool:
    return any(isinstance(n, ast.Attribute) and ast.unparse(n) == "self.model.optimizer" for n in nodes(tree))


def adapt_class(file: FileTraining, cls: Class) -> None:
    """Has the classes of a callback change the learning rate of torch's optimizer. Raises Declined for what else they do with it."""
    for own in classes_of(cls):
        if not uses_optimizer(own.node):
            continue
        if any(isinstance(n, ast.Attribute) and ast.unparse(n) == "self.optimizer" for n in nodes(own.node)):
            raise Declined(TRAINING, f"{own.name} has an optimizer of its own")
        home = file.home_of(own.node)
        places, asked = rates_in_class(own.node)
        write_places(home, places, "self.optimizer")
        for call in asked:
            statement = home.scopes.statement[call]
            has_it = file.generation != KERAS3 or getattr(call.args[1], "value", "") != "lr"
            if has_it and isinstance(statement, ast.If) and not statement.orelse and is_not(statement.test, call):
                home.edits.setdefault(statement, {})[statement] = ""  # which does not come about
            else:
                home.edits.setdefault(statement, {})[call] = repr(has_it)


def is_not(test: ast.expr, node: ast.expr) -> bool:
    return isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) and test.operand is node


def hears(method: Function) -> bool:
    """Whether a method reads what it is told last, or has to be told something."""
    a = method.node.args
    if not a.args or a.vararg is not None:
        return True
    last = a.args[-1].arg
    return not a.defaults or any(isinstance(n, ast.Name) and n.id == last for s in method.node.body for n in nodes(s))


def stops(method: Function) -> bool:
    return any(isinstance(n, ast.Attribute) and n.attr == "stop_training" for n in nodes(method.node))


def check_body(cls: Class, method: Function, in_batch: bool) -> None:
    """Raises Declined where a method reads what only a callback or a model of Keras has.

    What runs `in_batch` may not use the model, which would not be in the mode of the training after it.
    """
    for n in nodes(method.node):
        if not isinstance(n, ast.Attribute):
            continue
        known = ("optimizer",) if in_batch else (*HELD, "optimizer")
        if ast.unparse(n.value) == "self.model" and n.attr not in known:
            raise Declined(TRAINING, f"{cls.name}.{method.name}() uses {n.attr} of the model")
        if ast.unparse(n) in ("self.params", "self.validation_data"):
            raise Declined(TRAINING, f"{cls.name}.{method.name}() uses {ast.unparse(n)}")
