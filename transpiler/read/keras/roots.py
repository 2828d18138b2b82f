"""Models that the program defines as classes of its own, and that are asked for themselves."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from transpiler.diagnostics import Declined, Finding, Severity, excerpt
from transpiler.ir.expr import NeedsConstant
from transpiler.ir.model import KERAS3
from transpiler.ir.program import Apply, ModuleClass, Return, Static, Value, replace_tensors, tensors
from transpiler.ir.shape import Layout, TensorType
from transpiler.read.keras.evaluate.own_models import own_way
from transpiler.read.keras.evaluate.signals import ProgramError
from transpiler.read.keras.evaluate.stage_layers import rest_names
from transpiler.read.keras.evaluate.stager import Stager
from transpiler.read.keras.evaluate.staging import Frame, Memory, StageError, is_static
from transpiler.read.keras.evaluate.values import Class, Function, Instance, Model, Origin

OF_KERAS = (
    ("__init__", "build", "call", "get_config", "from_config", "compute_output_shape", "compute_mask", "config")
    + ("state_size", "output_size", "get_initial_state")
)  # fmt: skip
"""Methods of layers and models that have no place in torch, or their own."""
TRAINED_BY = ("train_step", "test_step", "predict_step", "compute_loss", "metrics")
"""Methods that Keras calls in training."""


def traced(layer: Instance, interpreter: Any, types: list[TensorType]) -> Model:
    """The model's graph from inputs of these types, or as the program itself has called it before.

    Raises Declined if neither is known, and for a model that Keras could not call so.
    """
    if layer.cls.lookup("call") is None and (way := own_way(layer)):
        raise Declined("K2T401", f"{layer.cls.name} has a {way}() of its own and no call(), which is not translated")
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
    graph = Model([*args, *kwargs.values()], outputs)
    graph.attributes |= {"__of__": layer, "__masks__": interpreter.masks}
    layer.attributes["__trace__"] = graph
    return graph


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
    visited = dict(memory.visited)
    fresh = {x: new_input(stager, x.type) for x in tensors(graph.inputs)}
    try:
        made = layer.attributes.get("__made__")
        if made is None or not made.untouched(layer):
            raise StageError("the model was changed after it was made")
        found = stager.stage_constructor(layer, made, replace_tensors(graph.inputs, fresh), {})
    except NeedsConstant as error:
        raise StageError(str(error)) from None
    if found is None:
        memory.visited = visited
        raise StageError("its constructor cannot be kept")
    stager.visit_class(layer.cls)
    cls = found[0].cls
    ending = cls.block.ops[-1]
    assert isinstance(ending, Return)
    cls.block.ops.pop()
    moved = {
        y: stager.in_block(cls.block, lambda y=y: stager.to_layout(y, Layout.KERAS)) for y in tensors(ending.value)
    }
    cls.block.ops.append(Return(replace_tensors(ending.value, moved), ending.kept))
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


def findings_of_root(
    layer: Instance, cls: ModuleClass, inputs: list[TensorType], generation: str, classes: Iterable[ModuleClass]
) -> Iterator[Finding]:
    """What there is to say of a model that is a class of its own; `classes` are those it is made of."""
    span = layer.cls.env.module.span(layer.cls.node)
    shapes = ", ".join(str(t.shape) for t in inputs)
    yield Finding("K2T304", Severity.NOTE, f"{layer.cls.name} is converted for inputs of shape {shapes}", "", span)
    method = layer.cls.lookup("call")
    names = [a.arg for a in (*method.node.args.args, *method.node.args.kwonlyargs)] if method else []
    if generation == KERAS3 and "training" not in names and any(map(has_modes, classes)):
        message = f"call() of {layer.cls.name} takes no `training`: its fit() in Keras 3 leaves its layers at inference"
        yield Finding("K2T404", Severity.NOTE, message, "In torch, train() switches them.", span)
    if cls.guards:
        message = f"{layer.cls.name} is converted for one value of {', '.join(cls.guards)}"
        yield Finding("K2T301", Severity.WARNING, message, "It raises for other values.", span, excerpt(span))


def has_modes(cls: ModuleClass) -> bool:
    """Whether a class has submodules that act differently in training."""
    members = [op for op in cls.block.walk() if isinstance(op, Apply) and op.member and not op.member.construction]
    return any(op.step.stateful or "running_mean" in op.step.weights for op in members)


def layer_entry(expression: str, cls: ModuleClass, layer: Instance) -> str:
    """The entry as the result builds it: a call of the class keeps the arguments that the class still takes."""
    node = ast.parse(expression, mode="eval").body
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == layer.cls.name:
        node.keywords = [k for k in node.keywords if k.arg is None or k.arg in cls.signature]
    return ast.unparse(node)


def left_out_methods(classes: Iterable[ModuleClass], visited: Collection[Any]) -> Iterator[Finding]:
    """The methods of the program's classes whose code went into no class of the result."""
    sources = [s for s in (getattr(c, "source", None) for c in classes) if isinstance(s, Class)]
    for cls in dict.fromkeys(b for s in sources for b in s.mro() if isinstance(b, Class)):
        for name, method in cls.names.items():
            method = getattr(method, "function", getattr(method, "getter", method))
            if not isinstance(method, Function) or name in OF_KERAS or method.node in visited:
                continue
            span = cls.env.module.span(method.node)
            message = f"the method {name}() of {cls.name} is left out"
            code = "K2T401" if name in TRAINED_BY else "K2T107"
            yield Finding(code, Severity.WARNING, message, "Write it by hand, if you need it.", span, excerpt(span))
