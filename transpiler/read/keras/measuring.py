"""Losses and metrics of a program, tried out in models that do nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.measures import Measured
from transpiler.read.keras.evaluate.staging import is_static
from transpiler.read.keras.evaluate.values import Class, Env, Function, Instance, Native
from transpiler.read.keras.examples import FRAMEWORK, model_around
from transpiler.read.keras.parse import parse
from transpiler.read.keras.parts import Example, builds, size_names
from transpiler.read.keras.program import Program

LOGITS = "logits"
"""What the predictions are called where they are logits."""

ACTIVATIONS = "from keras.activations import sigmoid as make_sigmoid, softmax as make_softmax\n"


def measured_in(part: Function | Class, program: Program) -> Measured | None:
    """What is known of a part that is a loss or a metric, or a function that makes one."""
    measured = program.interpreter.measured
    found = [measured[n] for n in nodes(part.node) if n in measured] if isinstance(part, Function) else []
    return found[0] if len(found) == 1 else None


def measuring(part: Function, measured: Measured, activation: str, program: Program) -> Example | None:
    """A model of a loss or a metric: of targets and outputs of the shape that the outputs of a model have.

    With an activation, the outputs are its results, and the inputs of the model its logits. What is given besides has any value:
    other parameters of the function, those of the function that makes it, and numbers that the object of a loss keeps.
    """
    of = measured.function
    positional = [p.arg for p in (*of.node.args.posonlyargs, *of.node.args.args)][measured.owner is not None :]
    names, options = positional[:2], dict(zip(positional[::-1], of.defaults[::-1]))
    maker = maker_of(part, measured, program)
    if len(names) != 2 or LOGITS in names or maker is None:
        return None
    options = {n: v for n, v in options.items() if n in positional[2:] and n not in maker.given}
    given = maker.given | dict(reversed(options.items()))
    sizes = dict(zip(size_names(len(measured.shape) - 1), measured.shape[1:]))
    if {*given} & {*names, LOGITS, *sizes}:
        return None
    env = Env(None, "module", program.source, {**program.evaluate().names, "made_of": maker.value})
    program.interpreter.exec_module_body(parse(FRAMEWORK + ACTIVATIONS, Path("<part>"), "<part>").tree.body, env)
    target, prediction = names
    before = [*maker.before, *([f"{prediction} = make_{activation}({LOGITS})"] if activation else [])]
    tensors = [target, LOGITS if activation else prediction]
    call = f"{maker.made}({', '.join([*names, *(f'{n}={n}' for n in options)])})"
    whole = Function(model_around(call, tensors, given, tuple(measured.shape[1:]), before), env, program.interpreter)
    any_size = Function(model_around(call, tensors, given, tuple(sizes), before), env, program.interpreter)
    if not builds(whole, given, program):
        return None
    return Example(whole, given, any_size, {n: s for n, s in sizes.items() if s is not None})


@dataclass(frozen=True)
class Maker:
    """How a measure comes to be in the model around it: `made`, after the statements `before`, of the `value` of `made_of`."""

    value: Any
    made: str
    given: dict[str, Any]
    before: tuple[str, ...] = ()


def maker_of(part: Function, measured: Measured, program: Program) -> Maker | None:
    if measured.owner is not None:
        kept = {n: v for n, v in measured.owner.attributes.items() if is_static(v) and n.isidentifier()}
        kept = {n: v for n, v in kept.items() if not n.startswith("__")}
        cls = measured.owner.cls
        before = ("own = made_of()", *(f"own.{n} = {n}" for n in kept))
        return Maker(Native(cls.name, lambda: Instance(cls)), f"own.{measured.function.name}", kept, before)
    if part.node is measured.function.node:
        return Maker(part, "made_of", {})
    made = program.interpreter.made_functions.get(id(measured.function))
    if made is None or made.maker.node is not part.node:
        return None
    return Maker(part, f"made_of({', '.join(f'{n}={n}' for n in made.given)})", dict(made.given))
