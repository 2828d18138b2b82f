"""Calls of functions of the program: those on tensors become classes."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import MISSING, NeedsConstant, Sym, first_symbol, is_open, observe, rebuilt, to_ast, witness_of
from transpiler.ir.facts import fact
from transpiler.ir.liveness import own_uses
from transpiler.ir.model import ApiValue, Layer, Step
from transpiler.ir.naming import cap_words
from transpiler.ir.program import (
    Apply,
    Block,
    Construction,
    Member,
    ModuleClass,
    Return,
    Value,
    replace_tensors,
    tensors,
)
from transpiler.ir.shape import Layout
from transpiler.ir.statics import sources, sources_of
from transpiler.ir.trees import nodes
from transpiler.read.keras.call_order import check_call_order
from transpiler.read.keras.evaluate.api import WEIGHT_METHODS
from transpiler.read.keras.evaluate.arrays import NumpyArray
from transpiler.read.keras.evaluate.constants import Constant
from transpiler.read.keras.evaluate.effects import Snapshot
from transpiler.read.keras.evaluate.gathered import NotGathered, gathered_in
from transpiler.read.keras.evaluate.graph import Graph
from transpiler.read.keras.evaluate.signals import ProgramError, ReturnSignal
from transpiler.read.keras.evaluate.stage_varying import StagedVarying, as_declared, records, title
from transpiler.read.keras.evaluate.staging import (
    Frame,
    NotFlat,
    Staged,
    StageError,
    annotations_of,
    axis_name,
    has_batch,
    is_iterable_static,
    is_sequence,
    is_static,
    items_of,
    places_of,
    signature_defaults,
    staged_hint,
    whole_of,
)
from transpiler.read.keras.evaluate.syntax import assigned_names, is_generator
from transpiler.read.keras.evaluate.values import (
    Bound,
    Class,
    Env,
    Function,
    Instance,
    Model,
    Origin,
    Unknown,
    alternative_in,
    has_tensors,
    own_copy,
)
from transpiler.read.keras.parse import SourceModule

MAX_ITEMS_KNOWN = 8
"""Most items of an open sequence that are taken one by one where its length is known."""


def has_functions(function: ast.AST) -> bool:
    """Whether a function makes others, which may read its variables when it has ended."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.GeneratorExp, ast.ClassDef)
    return any(isinstance(n, kinds) for n in nodes(function) if n is not function)


def replaced_items(values: dict[Any, Any], items: dict[Any, Any]) -> dict[Any, Any]:
    """A dictionary of the same type with other values."""
    copied = copy.copy(values)
    copied.update(items)
    return copied


def is_buffer(op: Apply) -> bool:
    """Whether an operation only makes a constant."""
    return isinstance(op.results[0], Constant)


class StagedCalls(StagedVarying):
    """The part of the stager that keeps functions."""

    def call_real(self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        if (
            function in (enumerate, zip, reversed)
            and args
            and all(map(is_iterable_static, args))
            and is_static(list(kwargs.values()))
        ):
            name = function.__name__  # type: ignore[attr-defined]
            call = ast.Call(
                ast.Name(name, ast.Load()),
                [to_ast(a) for a in args],
                [ast.keyword(k, to_ast(v)) for k, v in kwargs.items()],
            )
            return Sym(call, observe(lambda a, k: list(function(*a, **k)), list(args), dict(kwargs)))
        return super().call_real(function, args, kwargs)

    def iterate(self, value: Any) -> Any:
        if (
            isinstance(value, Sym)
            and not value.names() - {"enumerate", "zip", "reversed", "range"}
            and value.witness is not MISSING
        ):
            return list(value.witness)
        if isinstance(value, Sym):
            length = self.known_length(value)
            if length is not None:
                return [value[i] for i in range(length)]
        return super().iterate(value)

    def has_length(self, shape: Any) -> bool:
        return isinstance(shape, Sym) and self.known_length(shape) is not None or super().has_length(shape)

    def dims_of(self, shape: Any) -> tuple[Any, ...]:
        length = self.known_length(shape) if isinstance(shape, Sym) else None
        if length is None or isinstance(shape.witness, (list, tuple)) and len(shape.witness) == length:
            return super().dims_of(shape)
        return tuple(shape[i] for i in range(length))

    def known_length(self, value: Sym) -> int | None:
        """How many items an open sequence has, where the side of a branch says so: `if len(shape) == 2`."""
        call = ast.Call(ast.Name("len", ast.Load()), [value.expr], [])
        tests = {fact(ast.Compare(call, [ast.Eq()], [ast.Constant(n)]), True): n for n in range(MAX_ITEMS_KNOWN)}
        return next((tests[known] for known in reversed(self.facts) if known in tests), None)

    def call_function(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if isinstance(function.node, ast.Lambda):
            return self.run_function(function, args, kwargs)
        args, kwargs = list(map(self.narrowed, args)), {k: self.narrowed(v) for k, v in kwargs.items()}
        values = [*args, *kwargs.values()]
        if any(map(has_tensors, values)):
            return self.call_tensor_function(function, args, kwargs)
        if any(map(is_open, values)) and all(is_static(v) or isinstance(v, Instance) for v in values):
            found = self.static_call(function, args, kwargs)
            if found is not None:
                return found
        return self.run_function(function, args, kwargs)

    def make_model(self, args: list[Any], kwargs: dict[str, Any]) -> Any:
        model = super().make_model(args, kwargs)
        if isinstance(model, Model):
            model.attributes["__maker__"] = self.running[-1] if self.running else None
        return model

    def graph(self, model: Model) -> Graph:
        """Raises NotFlat where classes or loops have taken the place of layers."""
        found = super().graph(model)
        if any(y in self.kept for node in found.nodes for y in (*node.inputs, *node.outputs)):
            self.not_flat(model)
        return found

    def graph_of_calls(self, model: Model) -> Graph:
        """The graph with layers of the program as they are; raises NotFlat where other classes or loops are in it."""
        found = super().graph(model)
        if any(y in self.kept and y not in self.of_layers for node in found.nodes for y in node.outputs):
            self.not_flat(model)
        return found

    def not_flat(self, model: Model) -> None:
        """Raises NotFlat for the function that built a model, or StageError if that is of no use."""
        maker = model.attributes.get("__maker__")
        if maker is None or maker in self.memory.written_out:
            raise StageError("single layers of the model are used")
        raise NotFlat(maker)

    def static_call(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """A call of a function that has nothing to do with tensors stays a call; None if it has."""
        if not self.exportable(function):
            return None
        seen, seen_kwargs = [witness_of(a) for a in args], {k: witness_of(v) for k, v in kwargs.items()}
        if any(v is MISSING for v in (*seen, *seen_kwargs.values())):
            return None  # nobody knows what it returns: a number, a tuple
        outer, self.block = self.block, Block()
        try:
            witness = self.run_function(function, seen, seen_kwargs)
            if self.block.ops or not is_static(witness):
                return None
        except (ProgramError, Declined, NeedsConstant):
            return None
        finally:
            self.block = outer
        self.use_static(function)
        callee = ast.Name(function.name, ast.Load())
        return Sym(
            ast.Call(callee, [to_ast(a) for a in args], [ast.keyword(k, to_ast(v)) for k, v in kwargs.items()]), witness
        )

    def use_static(self, function: Function) -> None:
        if function not in self.memory.static_functions:
            self.memory.static_functions.append(function)

    def exportable(self, function: Function) -> bool:
        """Whether the function can stand in the output as it is: module level, and free of Keras and of the unknown."""
        if (
            function.env.kind != "module"
            or function.owner is not None
            or not isinstance(function.node, ast.FunctionDef)
        ):
            return False
        own = {a.arg for a in nodes(function.node.args) if isinstance(a, ast.arg)} | set(
            assigned_names(function.node.body)
        )
        for node in nodes(function.node):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                return False
            if isinstance(node, ast.Name) and node.id not in own and node.id not in self.builtins:
                value = function.env.names.get(node.id, MISSING)
                if isinstance(value, Function) and value is not function:
                    if not self.exportable(value):
                        return False
                elif isinstance(value, (ApiValue, Unknown, Class, Instance, Model, Layer)) or value is MISSING:
                    return False
        return True

    def run_function(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Any:
        self.check_recursion(function, args, kwargs)
        self.visit(function.node, function.module)
        outer, self.in_loop = self.in_loop, 0
        outer_flat, self.flat = self.flat, self.flat or function.node in self.memory.written_out
        self.running.append(function.node)
        scopes, began = self.frame.scopes, len(self.frame.scopes)
        try:
            return super().run_function(function, args, kwargs)
        finally:
            for scope in scopes[began : began + 1]:
                scope.ended = True
                scope.over = not has_functions(function.node)
            self.in_loop, self.flat = outer, outer_flat
            self.running.pop()

    def visit(self, node: Any, module: SourceModule) -> None:
        self.memory.visited.setdefault(node, module)

    def call_tensor_function(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Any:
        open_rank = self.has_open_rank(*tensors([*args, *kwargs.values()]))
        inline = open_rank or self.gathers and gathered_in([args, kwargs]) is not None
        if self.flat or inline or function.node in self.memory.inlined:
            return self.run_function(function, args, kwargs)
        if self.calls_itself(function, args, kwargs):
            return self.call_itself(function, args, kwargs)
        if is_generator(function.node):
            raise StageError("generators are not kept")
        try:
            staged, arguments = self.stage_class(function, args, kwargs)
        except StageError:
            staged = None
        if staged is None or staged.trivial:
            return self.run_function(function, args, kwargs)
        found = self.construct(staged, arguments)
        self.leave_behind(staged)
        return found

    def stage_class(
        self, function: Function, args: list[Any], kwargs: dict[str, Any]
    ) -> tuple[Staged | None, dict[str, Any]]:
        """The class for a call of `function` with arguments of these kinds, made now or found again."""
        self.compare_calls(function, self.arguments_of(function, args, kwargs))
        for _ in range(12):
            arguments = self.arguments_of(function, args, kwargs)
            fixed = [v for n, v in arguments.items() if (id(function.node), n) in self.memory.frozen and is_open(v)]
            if fixed:  # an earlier call found that its value decides the structure
                raise NeedsConstant(first_symbol(fixed[0]))
            key = self.class_key(function, arguments)
            known = self.memory.classes.get(key)
            if known is not None and known.still_holds() and function.node not in self.memory.separate:
                self.frame.reads.update(known.reads)
                return known, arguments
            classes, marks = set(self.memory.classes), len(self.findings.items)
            try:
                self.memory.classes[key] = None
                staged = self.evaluate_class(function, arguments)
                if key in self.memory.recursive and staged.effects:
                    raise StageError(f"{function.name} calls itself, and changes what lives outside it")
                if key in self.memory.recursive and key not in self.memory.untied:
                    del self.findings.items[marks:]
                    staged = self.tie(key, staged, function, arguments, classes)
                if self.takes_permuted(function.node, staged):
                    del self.memory.classes[key]
                    continue
                self.memory.classes[key] = staged
                return staged, arguments
            except NeedsConstant as error:
                del self.memory.classes[key]
                self.freeze(function, arguments, error)
            except (StageError, Declined, ProgramError):
                del self.memory.classes[key]
                if not self.freeze_varying(function, arguments):
                    raise
        raise StageError("too many parameters decide the structure")

    def takes_permuted(self, node: ast.AST, staged: Staged) -> bool:
        """Whether a function or layer only ever permutes one of its tensors: it is then given that tensor permuted."""
        found = False
        for i, x in enumerate(staged.inputs):
            name = str(i) if isinstance(node, ast.ClassDef) else x.hint
            uses = [op for op in staged.cls.block.walk() if x in own_uses(op)]
            known = self.memory.preferred.get((id(node), name))
            if known is None and uses and all(isinstance(op, Apply) and op.step.permutes for op in uses):
                self.memory.preferred[id(node), name] = Layout.FIRST if x.type.layout is Layout.KERAS else Layout.KERAS
                found = True
        return found

    def freeze(self, function: Function, arguments: dict[str, Any], error: NeedsConstant) -> None:
        """Fixes the parameters that a decision depends on at the values of this call."""
        fixed = False
        names = sources(error.sym, self.last_lets)
        fields = self.record_parameters(function, arguments)
        for name in names:
            if name in fields:
                argument, field = fields[name]
                if is_open(getattr(arguments[argument], field)):
                    raise error.about(first_symbol(getattr(arguments[argument], field)))
                self.memory.frozen[id(function.node), f"{argument}.{field}"] = fixed = True
            if name in arguments and (id(function.node), name) not in self.memory.frozen:
                if is_sequence(arguments[name]) and (id(function.node), name) not in self.memory.lengths:
                    self.memory.lengths[id(function.node), name] = True
                    fixed = True
                    continue
                if is_open(arguments[name]):
                    raise error.about(first_symbol(arguments[name]))
                self.memory.frozen[id(function.node), name] = True
                fixed = True
        if not fixed:
            captured = next((self.last_captures[n] for n in names if n in self.last_captures), None)
            if captured is not None:
                raise error.about(captured)
            raise StageError(f"the value of {error.sym} decides the structure") from None

    def of_open_items(self, node: ast.AST, name: str, value: Any) -> bool:
        """Whether a parameter of a function or layer is a sequence of which the length alone is fixed."""
        return (id(node), name) in self.memory.lengths and is_sequence(value)

    last_captures: dict[str, Sym] = {}
    last_lets: dict[str, set[str]] = {}

    def class_key(self, function: Function, arguments: dict[str, Any]) -> Any:
        def kind(name: str, value: Any) -> Any:
            if isinstance(value, Value):
                layout = self.memory.preferred.get((id(function.node), name), value.type.layout)
                return ("tensor", value.type.rank, has_batch(value.type), layout)
            if has_tensors(value) and isinstance(value, (list, tuple)):
                return tuple(kind(f"{name}{i + 1}", v) for i, v in enumerate(value))
            if has_tensors(value) and isinstance(value, dict):
                return tuple((k, kind(inner, v)) for (k, v), inner in zip(value.items(), self.item_names(name, value)))
            if (id(function.node), name) in self.memory.frozen:
                return ("frozen", repr(value))
            if self.of_open_items(function.node, name, value):
                return (type(value).__name__, len(value))
            if is_static(value):
                return "static"
            if records({name: value}):
                return self.record_key(function, name, value)
            return ("object", id(value.function) if isinstance(value, Bound) else id(value))

        masks = self.mask_places(tensors(list(arguments.values()))).places
        return (
            id(function.node),
            self.closure_key(function),
            masks,
            tuple((n, kind(n, v)) for n, v in arguments.items()),
        )

    def item_names(self, name: str, values: dict[Any, Any]) -> list[str]:
        """What the items of a dictionary argument are called: by their keys, where these are names."""
        named = all(isinstance(k, str) and k.isidentifier() for k in values)
        return [k if named else f"{name}{i + 1}" for i, k in enumerate(values)]

    def evaluate_class(self, function: Function, arguments: dict[str, Any]) -> Staged:
        self.visit(function.node, function.module)
        frame = Frame(function, "class", outer=self.frame)
        inputs: list[Value] = []
        dims: dict[str, tuple[int, int]] = {}
        self.check_inside(function, arguments)
        fields = self.record_parameters(function, arguments)
        given = tensors(list(arguments.values()))
        several, masks = len(given) > 1, self.mask_places(given)
        reserved = {*arguments, *fields}

        def general(name: str, value: Any) -> Any:
            if isinstance(value, Value):
                layout = self.memory.preferred.get((id(function.node), name), value.type.layout)
                inner = self.general_input(name, value, layout, len(inputs), dims, several, reserved)
                inputs.append(inner)
                return inner
            if isinstance(value, (list, tuple)) and has_tensors(value):
                return rebuilt(value, (general(f"{name}{i + 1}", v) for i, v in enumerate(value)))
            if isinstance(value, dict) and has_tensors(value):
                items = zip(value.items(), self.item_names(name, value))
                return replaced_items(value, {k: general(inner, v) for (k, v), inner in items})
            if has_tensors(value):
                raise StageError(f"{function.name} takes tensors inside {name}")
            if isinstance(value, Instance) and value.code is None and not is_static(value):
                return value
            if not is_static(value) or (id(function.node), name) in self.memory.frozen:
                return value
            if self.of_open_items(function.node, name, value):
                return items_of(name, value)
            return Sym.name(name, witness_of(value))

        outer_frame, outer_block, outer_loop, outer_facts = self.frame, self.block, self.in_loop, self.facts
        outer_comments, outer_layers, outside = self.comments, self.own_layers, None
        self.frame, self.block, self.in_loop, self.facts = frame, Block(), 0, []
        self.own_layers = len(self.layers)
        self.active.append(function.node)
        self.called_on.append(inputs)
        try:
            env = Env(function.env, "function", function.module)
            env.names.update({n: general(n, v) for n, v in arguments.items()})
            frame.closed = self.closed_places(function, env.names)
            for label, (name, part) in fields.items():
                value = Sym.name(label, witness_of(getattr(arguments[name], part)))
                env.names[name] = env.names[name]._replace(**{part: value})
            for mask in masks.extra:
                general(mask.hint, mask)
            self.take_masks(given, masks, inputs)
            env.names["__function__"] = function
            receiver = next(iter(arguments.values()), None)
            env.names["__receiver__"] = receiver
            self.frames[id(env)] = frame
            frame.scopes.append(env)
            frame.reserved = {*dims, *fields, *(n for n, v in arguments.items() if not isinstance(v, NumpyArray))}
            outside = Snapshot(function.env, env.names.values())
            signal = self.guarded(lambda: self.exec_block(function.node.body, env))  # type: ignore[union-attr,arg-type]
            result = signal.value if isinstance(signal, ReturnSignal) else None
            open_list = gathered_in(result)
            if open_list is not None and isinstance(open_list.node, ast.If):
                raise NotGathered(open_list.node)  # without that branch it is a class
            if open_list is not None:
                raise StageError(f"{function.name} returns a list of open length")
            if not has_tensors(result) or alternative_in(result) is not None:
                raise StageError(f"{function.name} does not return a tensor")
            if isinstance(result, Model):
                raise StageError("a model is returned")
            if is_open(result):
                raise StageError(f"{function.name} returns more than tensors")
            if any(x in self.poly for x in tensors(result)):
                raise StageError(f"the rank of what {function.name} returns depends on a parameter")
            places_of(result)
            effects = self.effects_of(function, arguments, outside)
            check_call_order(self.block)
            block = self.block
        finally:
            if outside is not None:
                outside.restore()
            self.own_layers = outer_layers
            outer_frame.reads.update(frame.reads)
            self.last_captures, self.last_lets = frame.captures, sources_of(self.block)
            self.active.pop()
            self.called_on.pop()
            self.frame, self.block, self.in_loop, self.facts = outer_frame, outer_block, outer_loop, outer_facts
            self.comments = outer_comments
        block.ops.append(Return(result, frame.kept))
        cls = ModuleClass(cap_words(title(function).strip("_")), [], inputs, block, doc=ast.get_docstring(function.node) or "")  # type: ignore[arg-type]
        cls.key = function.node
        whole = {label: getattr(arguments[name], part) for label, (name, part) in fields.items()}
        cls.annotations = annotations_of(arguments | whole, frame.captures)
        cls.defaults = signature_defaults(function)
        statics = [
            n
            for n, v in arguments.items()
            if is_static(v) and not has_tensors(v) and (id(function.node), n) not in self.memory.frozen
        ]
        statics += fields
        cls.sizes, cls.statics = tuple(dims), as_declared(function, (*statics, *frame.captures))
        staged = Staged(
            cls,
            inputs,
            result,
            statics,
            dict(frame.captures),
            dict(frame.homes),
            dims,
            False,
            fields,
            frame.reads,
            arguments,
        )
        staged.effects = effects
        staged = self.finish_masks(staged, masks, function.node)
        staged.trivial = not any(isinstance(op, Apply) and op.step.module and not is_buffer(op) for op in block.walk())
        if not staged.trivial:
            cls.source = function  # type: ignore[attr-defined]
            cls.staged = staged  # type: ignore[attr-defined]
        return staged

    def general_input(
        self,
        name: str,
        value: Value,
        layout: Layout,
        index: int,
        dims: dict[str, tuple[int, int]],
        several: bool,
        reserved: Collection[str] = (),
    ) -> Value:
        """A tensor parameter of a class: its sizes become names, of which those that are used become parameters."""
        shape: list[Any] = []
        for axis, d in enumerate(value.type.shape):
            if axis == 0 and d is None:  # the batch
                shape.append(None)
                continue
            label = axis_name(value.type.rank, axis)
            label = f"{name}_{label.removeprefix('in_')}" if several else label
            while label in dims or label in reserved:
                label = f"in_{label}"
            dims[label] = (index, axis)
            shape.append(Sym.name(label, MISSING if d is None else witness_of(d), True))
        inner = Value(replace(value.type, shape=tuple(shape)).in_layout(layout), name)
        self.origins[inner] = Origin([], [inner], lambda xs: None)
        return inner

    def construct(self, staged: Staged, arguments: dict[str, Any]) -> Any:
        """A call of a staged function: its class is constructed here, and called on the tensors."""
        given = tensors(list(arguments.values()))
        arguments = arguments | {label: getattr(arguments[n], part) for label, (n, part) in staged.fields.items()}
        operands = self.operands(staged, given)
        xs = [self.to_layout(x, i.type.layout) for x, i in zip(operands, staged.inputs)]
        node = staged.cls.key
        values: dict[str, Any] = {
            n: whole_of(arguments[n]) if self.of_open_items(node, n, arguments[n]) else arguments[n]
            for n in staged.statics
        }
        for label, (index, axis) in staged.dims.items():
            values[label] = xs[index].type.shape[axis]
        for name, outer in staged.captures.items():
            values[name] = (
                outer
                if self.frame is staged.homes.get(name) or self.frame.kind == "factory"
                else self.capture(name, outer, staged.homes.get(name))
            )
        member = Member("", staged_hint(staged.cls.name), None, None, None, order=len(self.layers))
        member.construction = Construction(staged.cls, own_copy(values))
        self.layers.append(member)
        step = Step(module=f"{staged.cls.name}()", hint=member.hint, stateful=True)
        member.step = step
        results = self.results_of(staged, values, member)
        self.kept.update(results)
        masks = self.masks_before(staged, given)
        self.emit(Apply(results, xs, step, member, places_of(staged.whole), self.where()))
        self.give_masks(staged, masks, results)
        self.remember(given, results, lambda new: self.construct_again(member, staged, results, new))
        return replace_tensors(staged.result, dict(zip(tensors(staged.result), results)))

    def keep_loss(self, value: Value) -> None:
        if self.in_side or self.in_loop:
            raise StageError("a loss is added in a branch or a loop")
        self.frame.kept = self.with_losses(self.frame.kept, [value])

    def model_method(self, model: Model, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if self.in_side and name in WEIGHT_METHODS:
            raise self.declined("K2T403", f"{name}() is not translated", "Convert the weights and use load_state_dict.")
        return super().model_method(model, name, args, kwargs)
