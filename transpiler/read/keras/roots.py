"""Models that the program defines as classes of its own, and that are asked for themselves."""

from __future__ import annotations

import ast
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import NeedsConstant
from transpiler.ir.program import ModuleClass, Return, Static, Value, replace_tensors, tensors
from transpiler.ir.shape import Layout, TensorType
from transpiler.read.keras.evaluate.signals import ProgramError
from transpiler.read.keras.evaluate.stage_layers import rest_names
from transpiler.read.keras.evaluate.stager import Stager
from transpiler.read.keras.evaluate.staging import Frame, Memory, StageError, is_static
from transpiler.read.keras.evaluate.values import Function, Instance, Model, Origin


def traced(layer: Instance, interpreter: Any, types: list[TensorType]) -> Model:
    """The model's graph from inputs of these types, or as the program itself has called it before.

    Raises Declined if neither is known, and for a model that Keras could not call so.
    """
    if types:
        given: list[Any] = [new_input(interpreter, t) for t in types]
        args, kwargs = [given[0] if len(given) == 1 else given], {}
    elif "__seen__" in layer.attributes:
        args, kwargs = layer.attributes["__seen__"]
        fresh = {x: new_input(interpreter, x.type.in_layout(Layout.KERAS)) for x in tensors([args, *kwargs.values()])}
        args, kwargs = replace_tensors([args, kwargs], fresh)
    else:
        raise Declined(
            "K2T202",
            f"the input shape of {layer.cls.name} is not known before it is called",
            "Give it with --input-shape, or call the model's build() with it.",
        )
    try:
        outputs = interpreter.call(layer, args, kwargs)
    except ProgramError as error:
        raise Declined("K2T201", f"{layer.cls.name} raises {type(error.value).__name__}: {error.value}") from None
    return Model([*args, *kwargs.values()], outputs)


def new_input(interpreter: Any, kind: TensorType) -> Value:
    value = Value(TensorType((None, *kind.shape[1:]), kind.dtype), "x")
    interpreter.origins[value] = Origin([], [value], lambda xs: None)
    return value


def root_class(base: Any, findings: Any, memory: Memory, layer: Instance, graph: Model) -> ModuleClass:
    """The class of a model for the inputs of `graph`, with the parameters of its own constructor, all of them.

    Raises StageError or Declined if it cannot be kept so.
    """
    stager = Stager(base, findings, memory)
    stager.frame = Frame(None, "factory")
    stager.at_root = True
    visited = list(memory.visited)
    fresh = {x: new_input(stager, x.type) for x in tensors(graph.inputs)}
    try:
        made = layer.attributes.get("__made__")
        if made is None or not made.untouched(layer):
            raise StageError("the model was changed after it was made")
        found = stager.stage_constructor(layer, made, replace_tensors(graph.inputs, fresh), {})
    except NeedsConstant as error:
        raise StageError(str(error)) from None
    if found is None:
        memory.visited[:] = visited
        raise StageError("its constructor cannot be kept")
    stager.visit_class(layer.cls)
    cls = found[0].cls
    ending = cls.block.ops[-1]
    assert isinstance(ending, Return)
    cls.block.ops.pop()
    moved = {
        y: stager.in_block(cls.block, lambda y=y: stager.to_layout(y, Layout.KERAS)) for y in tensors(ending.value)
    }
    cls.block.ops.append(Return(replace_tensors(ending.value, moved)))
    cls.root = True
    keep_signature(cls, layer, made)
    return cls


def keep_signature(cls: ModuleClass, layer: Instance, made: Any) -> None:
    """Gives a class all parameters of the source's constructor, in their order; those it is fixed for are checked."""
    init = layer.cls.lookup("__init__")
    if not isinstance(init, Function):
        return
    bound = made.bound(layer)
    rest = rest_names(init.node)
    names = [n for n in bound if n not in rest]
    fixed = [n for n in names if n not in cls.statics]
    for name in fixed:
        if not is_static(bound[name]):
            raise StageError(f"{name} is an object, which the class would have to be given")
    guards = [Static(guard(n, bound[n])) for n in fixed]
    cls.block.ops[:0] = guards
    lists = {n: bound[n] for n, d in all_defaults(init).items() if n in fixed and isinstance(d, list) and d == bound[n]}
    cls.defaults = {**cls.defaults, **lists}
    cls.statics = (*names, *[n for n in cls.statics if n not in names])
    cls.signature, cls.guards = tuple(names), tuple(fixed)


def all_defaults(function: Function) -> dict[str, Any]:
    """The defaults of a function's positional parameters."""
    names = [p.arg for p in function.node.args.args]
    return dict(zip(names[len(names) - len(function.defaults) :], function.defaults))


def guard(name: str, value: Any) -> ast.stmt:
    """What keeps a fixed parameter from being used with another value."""
    differs = "is not" if value is None or isinstance(value, bool) else "!="
    message = f"K2T301: converted for {name}={value!r} only"
    return ast.parse(f"if {name} {differs} {value!r}:\n    raise NotImplementedError({message!r})").body[0]
