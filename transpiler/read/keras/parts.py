"""Parts of models that no model of the program uses: layers and functions on tensors, tried out in a model of their own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transpiler.diagnostics import Finding, Severity
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.values import Class, Env, Function, Model
from transpiler.read.keras.examples import FRAMEWORK, attempts, likely_shapes, model_around, tensor_parameters
from transpiler.read.keras.parse import parse
from transpiler.read.keras.program import Program

CHANNELS = 16
"""Tried first, as widths are made up as 16: what adds its input to its output needs both the same."""


@dataclass(frozen=True)
class Example:
    """A function that builds a model of one part, with arguments with which that works."""

    function: Function
    arguments: dict[str, Any]
    any_size: Function
    """The same for inputs whose sizes are parameters as well, by the names in `sizes`."""
    sizes: dict[str, int]
    finding: Finding | None = None
    """What was made up for it."""


def examples_of(part: Function | Class, program: Program) -> Iterator[Example]:
    """Models of one part, for inputs of several ranks, the likely ones first."""
    interpreter = program.interpreter
    if isinstance(part, Class):
        init = part.lookup("__init__")
        made = init if isinstance(init, Function) else None
        tensors, names = ["x"], [p.arg for p in made.node.args.args[:1]] if made is not None else []
        shapes = [s for n in ("call", "build") if isinstance(f := part.lookup(n), Function) for s in likely_shapes(f)]
        calls = attempts(made, names) if made is not None else iter([{}])
    else:
        tensors = tensor_parameters(part) or (["x"] if makes_functions(part) else [])
        if not tensors:
            return
        shapes, calls = likely_shapes(part), attempts(part, tensor_parameters(part))
    env = Env(None, "module", program.source, {**program.evaluate().names, "made_of": part})
    interpreter.exec_module_body(parse(FRAMEWORK, Path("<part>"), "<part>").tree.body, env)
    for given in list(calls):
        for shape in dict.fromkeys((*((*s[:-1], CHANNELS) for s in shapes), *shapes)):
            arguments = ", ".join(f"{n}={n}" for n in given)
            inner = ", ".join(f"{n}={n}" for n in [*tensors, *given])
            applied = isinstance(part, Class) or not tensor_parameters(part)
            call = f"made_of({arguments})(x)" if applied else f"made_of({inner})"
            function = Function(model_around(call, tensors, given, shape), env, interpreter)
            if builds(function, given, program):
                shown = ", ".join([f"an input of shape {shape}", *(f"{n}={v!r}" for n, v in given.items())])
                message = f"{part.name}: {shown} {'were' if given else 'was'} assumed, as nothing supplies it"
                span = program.source.span(part.node)
                finding = Finding("K2T304", Severity.NOTE, message, "Pass --entry with the arguments you use.", span)
                sizes = dict(zip(size_names(len(shape)), shape))
                any_size = Function(model_around(call, tensors, given, tuple(sizes)), env, interpreter)
                yield Example(function, given, any_size, sizes, finding)
                return


def size_names(rank: int) -> list[str]:
    """Variables for the sizes of an input without batch."""
    return [f"length{i}" for i in range(rank)] if rank > 4 else ["depth", "height", "width", "channels"][4 - rank :]


def makes_functions(function: Function) -> bool:
    """Whether a function returns one of its own: `def block(filters): def apply(x): …; return apply`."""
    inner = [n.name for n in function.node.body if isinstance(n, ast.FunctionDef)]  # type: ignore[union-attr]
    returned = [n.value for n in nodes(function.node) if isinstance(n, ast.Return)]
    return any(isinstance(v, ast.Lambda) or isinstance(v, ast.Name) and v.id in inner for v in returned)


def builds(function: Function, given: dict[str, Any], program: Program) -> bool:
    """Whether a call with these arguments builds a model."""
    interpreter = program.interpreter
    interpreter.begin_task()
    marks, calls = len(interpreter.findings.items), len(interpreter.activations)
    try:
        return isinstance(interpreter.call(function, [], dict(given)), Model)
    except Exception:  # what was made up may be of any wrong kind
        return False
    finally:
        del interpreter.findings.items[marks:], interpreter.activations[calls:]
