"""Functions that build models: the part that makes the tensors becomes a class, the rest stays a function around it."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transpiler.ir.expr import MISSING, ArrayExample, NeedsConstant, Sym, witness_of
from transpiler.ir.liveness import remove_dead
from transpiler.ir.model import ApiValue
from transpiler.ir.naming import cap_words
from transpiler.ir.program import (
    Apply,
    Block,
    Branch,
    Construction,
    Let,
    Loop,
    ModuleClass,
    Return,
    Value,
    constructions,
    replace_tensors,
    tensors,
)
from transpiler.ir.shape import Layout
from transpiler.ir.statics import bound_names, names_in, put_in, sources_of, used_names
from transpiler.ir.trees import flattened, nodes, variables_in
from transpiler.read.keras.call_order import in_keras_order
from transpiler.read.keras.constructors import (
    Statements,
    count_made,
    models_of,
    only_trains,
    statements_of,
    without_keras,
)
from transpiler.read.keras.evaluate.effects import Snapshot
from transpiler.read.keras.evaluate.freezing import freeze_called
from transpiler.read.keras.evaluate.gathered import NotGathered, gathered_in
from transpiler.read.keras.evaluate.program_classes import is_own_layer
from transpiler.read.keras.evaluate.run_time import RunTime
from transpiler.read.keras.evaluate.signals import ReturnSignal
from transpiler.read.keras.evaluate.stage_models import (
    hoist_models,
    models_in,
    show,
    sink_into_models,
)
from transpiler.read.keras.evaluate.staging import (
    Frame,
    HiddenSize,
    Memory,
    StageError,
    annotations_of,
    is_sequence,
    is_static,
    number_of,
    signature_defaults,
    substitute,
    what_it_makes,
)
from transpiler.read.keras.evaluate.values import (
    Env,
    Function,
    Instance,
    Model,
    alternative_in,
    has_tensors,
    own_copy,
)
from transpiler.read.keras.factory_stager import FactoryStager, depends_on
from transpiler.read.keras.names import is_module
from transpiler.read.keras.workers import keep_others, move_down


@dataclass(eq=False)
class Factory:
    """A model-building function of the result: its statements, and what it returns."""

    function: Function
    prologue: Block
    """Its statements before it returns."""
    returned: Any
    """The construction of the model's class; of several models, a tuple or list of the variables that hold them."""
    frozen: dict[str, Any]
    outer_names: dict[str, str] = field(default_factory=dict)
    """Numbered names → what they stand for: attributes of `self`, variables of the functions around."""
    printed: dict[str, str] = field(default_factory=dict)
    """How the numbered variables of `prologue` are printed."""
    tier: str = "structure"
    reasons: list[str] = field(default_factory=list)
    """Why parameters were fixed."""
    unused: dict[str, list[str]] = field(default_factory=dict)
    """The parameter `**kwargs` → what was given in it that is Keras itself, of which the result has no use."""
    effects: bool = False
    """Whether the function changed something that outlives its call."""
    statements: Statements | None = None
    """Of a constructor that sets attributes to models: what becomes of its statements."""
    as_tensors: bool = False
    """Whether the source returns the tensors of the model in place of the model."""
    calls: list[ast.AST] = field(default_factory=list)
    """The functions of other builders that it calls."""
    numbers: list[RunTime] = field(default_factory=list)
    """What its classes are given that the data decide."""
    open_inputs: bool = False
    """Whether the number of axes of what its models take depends on a parameter."""
    open_outputs: bool = False
    """The same of what they return."""
    input_places: dict[str, ast.AST] = field(default_factory=dict)
    """The parameters of its classes that are sizes of inputs → where the source makes these inputs."""
    kinds: list[Any] = field(default_factory=list)
    """Ranks and types of the inputs and outputs of its models: it serves calls that give the same."""

    @property
    def root(self) -> ModuleClass | None:
        """The class of the one model that is returned."""
        return self.returned.cls if isinstance(self.returned, Construction) else None

    @property
    def classes(self) -> list[ModuleClass]:
        """The classes of the models that the function makes."""
        made = [c.cls for c in constructions(self.prologue)]
        return made if self.root is None else [*made, self.root]


def is_receiver(function: Function, name: str) -> bool:
    """Whether a parameter is the object whose method the function is."""
    first = (*function.node.args.posonlyargs, *function.node.args.args)[:1]
    return function.owner is not None and [p.arg for p in first] == [name]


def flat_factory(
    base: Any, findings: Any, memory: Memory, function: Function, arguments: dict[str, Any], name: str
) -> Factory:
    """The function with every parameter fixed at the value seen, and its model as one class, one line a layer."""
    stager = FactoryStager(base, findings, memory, flat=True)
    fixed = {
        n: v
        for n, v in arguments.items()
        if not _is_rest(function, n)
        and not isinstance(v, Model)
        and not (isinstance(v, Instance) and is_receiver(function, n))
        and (function.node not in memory.workers or n in memory.workers[function.node].read)
    }
    try:
        factory = _evaluate(stager, function, arguments, name, fixed)
    except NeedsConstant as error:
        unknown = sorted(stager.at_run.keys() & _freezable(error.sym, {}, stager))
        raise StageError(depends_on(unknown[0]) if unknown else str(error)) from None
    factory.tier = "flat"
    return factory


def stage_factory(
    base: Any, findings: Any, memory: Memory, function: Function, arguments: dict[str, Any], name: str
) -> Factory:
    """The function as a factory and a class that keep its parameters.

    Raises StageError, Declined or ProgramError if the structure cannot be kept.
    """
    frozen: dict[str, Any] = {}
    lengths: dict[str, set[Any]] = {}
    reasons: list[str] = []
    for _ in range(24):
        stager = FactoryStager(base, findings, memory)
        stager.frozen.update({(0, n): v for n, v in frozen.items()})
        try:
            factory = _evaluate(stager, function, arguments, name, frozen, lengths)
            factory.tier = "specialised" if factory.frozen or stager.inlined else "structure"
            if stager.inlined:
                reasons.append(f"{stager.inlined[0]}() is written out for its arguments here")
            given = [n for n in factory.frozen if n not in frozen]
            if given:
                reasons.append(f"{', '.join(given)}: the structure follows from what is given here")
            factory.reasons = reasons
            return factory
        except StageError:
            if not lengths:
                raise
            frozen |= {n: arguments[n] for n in lengths}  # as one value they may be kept
            reasons.append(f"{', '.join(lengths)}: the items decide the structure")
            lengths.clear()
        except NeedsConstant as error:
            if error.place is not None and error.place not in memory.by_value:
                memory.by_value.append(error.place)
                continue
            if stager.narrow(error.sym):
                continue
            names = _freezable(count_in(error.sym), arguments, stager) - frozen.keys()
            names = names or _freezable(error.sym, arguments, stager) - frozen.keys()
            sequences = {n for n in names if is_sequence(arguments.get(n))} - lengths.keys()
            dictionaries = {n for n in names if _has_items(function, n, arguments.get(n))} - lengths.keys()
            lengths |= {n: set() for n in sequences | dictionaries}
            if sequences:
                continue
            items = stager.items_behind(error.sym, lengths)
            for n, i in items:
                lengths[n].add(i)
            if items and all(len(lengths[n]) < len(arguments[n]) for n, _ in items):
                continue
            for n in names & lengths.keys():
                del lengths[n]
            if not names:
                raise StageError(f"{error} ({error.sym})") from None
            line = f" at line {stager.where().line}" if stager.stack else ""
            reasons.append(f"{', '.join(sorted(names))}: {error}{line}")
            for n in sorted(names):
                frozen[n] = arguments.get(n, MISSING)
    raise StageError("too many parameters decide the structure")


def count_in(sym: Sym) -> Sym:
    """Of `(size,) * count` the count, which may be all that has to be known of it; else the whole."""
    if isinstance(sym.expr, ast.BinOp) and isinstance(sym.expr.op, ast.Mult):
        sides = sym.expr.left, sym.expr.right
        for items, count in (sides, sides[::-1]):
            if isinstance(items, (ast.Tuple, ast.List)) and variables_in(count):
                return Sym(count)
    return sym


def _freezable(sym: Sym, arguments: dict[str, Any], stager: FactoryStager) -> set[str]:
    """The parameters (or attributes of self) that an expression depends on."""
    found: set[str] = set()
    lets = sources_of(stager.block)
    around = {s.expr.id: n for n, s in stager.outer_names.items()}  # type: ignore[attr-defined]
    todo, seen = list(sym.names()), set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in arguments:
            found.add(name)
        elif name in around:
            found.add(around[name])
        elif name in stager.input_dims:
            todo += stager.input_dims[name].names()
        else:
            todo += lets.get(name, ())
    return found


def _evaluate(
    stager: FactoryStager,
    function: Function,
    arguments: dict[str, Any],
    name: str,
    frozen: dict[str, Any],
    lengths: Mapping[str, Collection[Any]] = {},  # noqa: B006 - never changed
) -> Factory:
    """`frozen` parameters have the value seen, those in `lengths` these items; sequences also their number of items."""
    env = Env(function.env, "function", function.module)
    stager.function, stager.frame = function, Frame(function, "factory")
    stager.reserved = set(arguments)
    for n, v in arguments.items():
        if isinstance(v, Instance) and is_receiver(function, n):
            v = Instance(v.cls, dict(v.attributes), Sym.name("self"))
        elif n in lengths and isinstance(v, dict):
            v = stager.with_items(n, own_copy(v), lengths[n], function)
        elif n in lengths:
            v = stager.with_length(n, own_copy(v), lengths[n], function)
        elif is_static(v) and n not in frozen and (not _is_rest(function, n) or _is_open_rest(function, n, v)):
            v = Sym.name(n, own_copy(witness_of(v)))
        else:
            v = own_copy(v)
        env.names[n] = v
    env.names["__function__"] = function
    env.names["__receiver__"] = next(iter(env.names.values()), None)
    stager.scope, stager.own_name = env, name
    stager.is_script = function.node in stager.memory.at_top
    stager.frames[id(env)] = stager.frame
    stager.frame.scopes.append(env)
    for n, v in arguments.items():
        if isinstance(v, Model) and v.inputs is not None and function.node not in stager.memory.written_out:
            env.names[n] = stager.given_model(n, v, function.node)
    if function.node not in stager.memory.workers:
        stager.visit(function.node, function.module)
    around = Snapshot(function.env, arguments.values())
    try:
        factory = _evaluate_in(env, stager, function, arguments, name, frozen)
        factory.effects = around.changed() or any(
            name.startswith("self.") and read_elsewhere(name.removeprefix("self."), function) for name in env.names
        )
        return factory
    finally:
        around.restore()  # the next attempt starts from what this one found


def _evaluate_in(
    env: Env, stager: FactoryStager, function: Function, arguments: dict[str, Any], name: str, frozen: dict[str, Any]
) -> Factory:
    works = stager.memory.workers.get(function.node)
    body = works.body if works is not None else function.node.body  # type: ignore[union-attr]
    signal = stager.guarded(lambda: stager.exec_block(body, env))  # type: ignore[arg-type]
    result = signal.value if isinstance(signal, ReturnSignal) else None
    if works is not None or result is None and function.name == "__init__":
        return _with_statements(env, stager, function, arguments, name, frozen)
    open_list = gathered_in(result)
    if open_list is not None:
        raise NotGathered(open_list.node)
    models = models_in(result)
    if models is not None:
        stager.keep_apart(models)
        returned: Any = type(result)(m.code for m in models)
    elif isinstance(result, Model) and result.code is not None:
        returned = result.code
    else:
        returned = graph_of(result, stager)
    factory = _extract(stager, function, arguments, returned, name, frozen, stager.losses_of(result))
    factory.as_tensors = models is None and not isinstance(result, Model)
    factory.calls = stager.builders_called
    return factory


def _with_statements(
    env: Env, stager: FactoryStager, function: Function, arguments: dict[str, Any], name: str, frozen: dict[str, Any]
) -> Factory:
    """A constructor of a plain class that sets attributes to models, or a function that trains what it makes."""
    works = function.node in stager.memory.workers
    held = {n: m for n, m in models_of(env, not works).items() if n not in arguments}
    models, counts = held.values(), [*(count for _, count in stager.statements_begun), count_made(stager)]
    if not models or stager.flat and not works or is_own_layer(next(iter(arguments.values()), None)):
        raise StageError("a function that does more than build a model")
    stager.keep_apart(models)
    made = [(s, after - count) for (s, count), after in zip(stager.statements_begun, counts[1:])]
    worker = stager.memory.workers.get(function.node)
    body = flattened(function.node.body) if works else function.node.body  # type: ignore[union-attr,arg-type]
    statements = statements_of(body, made, held, worker.refilled if worker is not None else ())
    if worker is not None:
        keep_others(statements, env, worker.read)
        move_down(statements, [use for uses in stager.at_run.values() for use in uses])
        for statement in statements.about_models:
            stager.visit(statement, function.module)
    else:
        without_keras(statements, env)
    factory = _extract(stager, function, arguments, tuple(m.code for m in models), name, frozen)
    factory.statements, factory.calls = statements, stager.builders_called
    return factory


def check_sizes(factory: Factory) -> None:
    """Raises HiddenSize for a size of an input that a class is given and that is a variable of another class."""
    here = bound_names(factory.prologue) | factory.outer_names.keys()
    whole = [factory.returned] if isinstance(factory.returned, Construction) else []
    for construction in [*constructions(factory.prologue), *whole]:
        for parameter in construction.cls.params:
            place = factory.input_places.get(parameter.name)
            read = names_in(construction.values[parameter.name]) if place is not None else set()
            if any(number_of(n) and n not in here for n in read):
                raise HiddenSize(place)


def read_elsewhere(attribute: str, function: Function) -> bool:
    """Whether an attribute that a method sets is public, or read in other code of its file."""
    own = {id(n) for n in nodes(function.node)}
    return not attribute.startswith("_") or any(
        isinstance(n, ast.Attribute) and n.attr == attribute and id(n) not in own for n in nodes(function.module.tree)
    )


def _is_rest(function: Function, name: str) -> bool:
    a = function.node.args
    return name in (getattr(a.kwarg, "arg", None), getattr(a.vararg, "arg", None))


def _has_items(function: Function, name: str, value: Any) -> bool:
    """Whether a parameter is a dictionary of which single items may be fixed."""
    return type(value) is dict and is_static(value) and not _is_rest(function, name)


def _is_open_rest(function: Function, name: str, value: Any) -> bool:
    """Whether of the `**kwargs` of a builder single ones are asked for by name, and no more is done with them."""
    asked: list[ast.expr] = []
    for node in nodes(function.node):
        if isinstance(node, ast.Subscript):
            asked.append(node.value)
        elif isinstance(node, ast.Compare) and all(isinstance(op, (ast.In, ast.NotIn)) for op in node.ops):
            asked += node.comparators
        elif isinstance(node, ast.Attribute) and node.attr in ("get", "keys"):
            asked.append(node.value)
    read = [n for n in nodes(function.node) if isinstance(n, ast.Name) and n.id == name]
    return isinstance(value, dict) and is_static(value) and all(any(n is place for place in asked) for n in read)


def graph_of(result: Any, stager: Any) -> tuple[Any, Any]:
    """Inputs and outputs of what a builder returned: a model, or its input and output tensors."""
    open_part = alternative_in((result.inputs, result.outputs) if isinstance(result, Model) else result)
    if open_part is not None:
        raise NeedsConstant(open_part.test, "what the function returns depends on a parameter")
    if isinstance(result, Model):
        if result.inputs is None:
            raise StageError("a Sequential model without an input shape")
        return result.inputs, result.outputs
    if isinstance(result, (tuple, list)) and len(result) == 2 and has_tensors(result):
        inputs = tensors(result[0])
        if inputs and all(not stager.origins[x].inputs for x in inputs if x in stager.origins):
            return result[0], result[1]
    raise StageError("the function does not return one model")


def _extract(
    stager: FactoryStager,
    function: Function,
    arguments: dict[str, Any],
    returned: Any,
    name: str,
    frozen: dict[str, Any],
    losses: Sequence[Value] = (),
) -> Factory:
    """Parts the block of a builder into the statements of the factory and the class of the model.

    `returned` is the graph (inputs, outputs) of the one model that has no class yet, or the variables of models.
    """
    if freeze_called(stager.block, stager.built):
        raise StageError("a layer of another class is frozen")
    graph = returned if has_tensors(returned) else ((), ())
    if stager.module_names:  # models are called on their own inputs, which nothing may need
        remove_dead(stager.block, {*tensors(graph[1]), *losses, *stager.frame.kept.values()})
    prologue, region = _parts(stager.block.ops)
    hoist_models(prologue, region, stager.module_names)
    stager.check_made_in_order(prologue, region)
    made = list(constructions(prologue))
    if has_tensors(returned):
        inputs, outputs = returned
        changed = bound_names(region)
        early = [
            op for op in prologue.ops if isinstance(op, Let) and op.name in changed
        ]  # the start of a loop's variables
        prologue.ops = [op for op in prologue.ops if op not in early]
        region.ops[:0] = early
        in_keras_order(stager, region, inputs, outputs)
        moved = {y: stager.in_block(region, lambda y=y: stager.to_layout(y, Layout.KERAS)) for y in tensors(outputs)}
        kept = stager.in_block(region, lambda: stager.with_losses(stager.frame.kept, list(losses)))
        region.ops.append(Return(replace_tensors(outputs, moved), kept))
        returned = Construction(ModuleClass(name, [], tensors(inputs), region, root=True, masks=stager.masks), {})
        made.append(returned)
    elif region.ops:
        raise StageError("what the function makes is more than its models")
    sink_into_models(prologue, stager.module_names)
    for i, construction in enumerate(made):
        show(construction.cls, [place for m, *place in stager.memory.show.get(function.node, ()) if m == i])
    outer_names = {s.expr.id: n for n, s in stager.outer_names.items()}  # type: ignore[attr-defined]
    local = tuple(dict.fromkeys(op.name for op in prologue.walk() if isinstance(op, Let)))
    models = [n for n in (*arguments, *local) if n in stager.module_names]
    for construction in made:
        cls = construction.cls
        cls.sizes = tuple(stager.input_dims)
        parameters = [n for n in arguments if n not in frozen]
        cls.statics = tuple(dict.fromkeys((*models, *parameters, *outer_names, *local)))
        cls.defaults = _root_defaults(function, stager)
        at_run = {s.code: witness_of(s) for s in map(stager.outer_names.__getitem__, stager.at_run)}
        given = {n: "Tensor" for n, seen in at_run.items() if isinstance(seen, ArrayExample)}
        annotated = annotations_of({**arguments, **at_run}, {})
        cls.annotations = {**annotated, **given, **dict.fromkeys(models, "nn.Module")}
        construction.values = {**{n: Sym.name(n) for n in cls.statics}, **stager.input_dims}
    put_in(prologue, stager.input_dims)  # those names are the classes' own
    used = {n for statement in function.node.body for n in variables_in(statement)}  # type: ignore[union-attr]
    works = stager.memory.workers.get(function.node)
    if works is not None:
        used &= works.read
    objects = {
        n: v
        for n, v in arguments.items()
        if (works is None or n in used)
        and (not is_static(v) or _is_rest(function, n) and n in used and not _is_open_rest(function, n, v))
        and n not in stager.module_names
        and not only_trains(function.node, n, v)
        and not (isinstance(v, Instance) and is_receiver(function, n))
    }
    own = {n: v for n, v in {**frozen, **objects}.items() if n in arguments}
    fixed = own | stager.fixed_outer
    unused = {n: parts_of_keras(v) for n, v in own.items() if _is_rest(function, n) and parts_of_keras(v)}
    for n, parts in unused.items():
        rest = {k: v for k, v in fixed.pop(n).items() if k not in parts}
        fixed |= {n: rest} if rest else {}
    factory = Factory(function, prologue, returned, fixed, outer_names, unused=unused)
    factory.input_places = stager.input_places
    factory.numbers = [use for uses in stager.at_run.values() for use in uses]
    factory.open_inputs = any(x in stager.poly for c in made for x in c.cls.inputs)
    factory.open_outputs = any(x in stager.poly for c in made for x in tensors(c.cls.block.ops[-1].value))
    return factory


def parts_of_keras(rest: Any) -> list[str]:
    """The names of the arguments in `**kwargs` that are modules of Keras."""
    return [
        k for k, v in (rest.items() if isinstance(rest, dict) else ()) if isinstance(v, ApiValue) and is_module(v.path)
    ]


def _parts(ops: list[Any]) -> tuple[Block, Block]:
    """The statements around the operations on tensors, and these, from the first to the last.

    Statements after the last one stay with the operations if they read what is between them.
    """
    live = [i for i, op in enumerate(ops) if _makes_tensors(op)]
    first, last = (live[0], live[-1] + 1) if live else (len(ops), len(ops))
    around, region = Block(ops[:first]), Block(ops[first:last])
    for op in ops[last:]:
        inside = bound_names(region)
        reads = used_names(Block([op]), let_values=True) | bound_names(Block([op]))
        (region if reads & inside else around).ops.append(op)
    return around, region


def _root_defaults(function: Function, stager: FactoryStager) -> dict[str, Any]:
    """Literal defaults for the class's parameters, from those of the function."""
    defaults = signature_defaults(function)
    for label, value in stager.input_dims.items():
        if isinstance(value, Sym) and value.names() <= defaults.keys():
            known = substitute(value, defaults)
            if isinstance(known, Sym) and not known.names():
                try:
                    known = (
                        ast.literal_eval(known.expr) if not isinstance(known.expr, ast.Subscript) else _item(known.expr)
                    )
                except (ValueError, TypeError, IndexError):
                    continue
            if isinstance(known, int):
                defaults[label] = known
    return defaults


def _item(node: ast.Subscript) -> Any:
    return ast.literal_eval(node.value)[ast.literal_eval(node.slice)]


def _makes_tensors(op: Any) -> bool:
    if isinstance(op, Branch):
        return bool(op.phis) or any(isinstance(o, (Apply, Loop)) for o in (*op.then.walk(), *op.otherwise.walk()))
    return isinstance(op, (Apply, Loop))


def class_name(function: Function) -> str:
    """The class's name, from the function's: build_unet → Unet, VGG16 → VGG16Model."""
    name = function.name.strip("_")
    if (
        name
        in (
            "__init__",
            "init",
            "build_network",
            "build_model",
            "build",
            "create_model",
            "get_model",
            "make_model",
            "load_model",
            "model",
        )
        and function.owner is not None
    ):
        return cap_words(
            f"{function.owner.name}Model"
            if not function.owner.name.lower().endswith("model")
            else f"{function.owner.name}Net"
        )
    named = cap_words(what_it_makes(name))
    if named in ("Model", "Net", "Network", "Nn"):
        named = cap_words(function.module.path.stem)
    return f"{named}Model" if named == function.name else named
