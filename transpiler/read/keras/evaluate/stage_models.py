"""Models that stay modules of their own: what another builder returns, and the several models of one builder."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import MISSING, Sym, to_ast, witness_of
from transpiler.ir.liveness import all_uses, remove_dead, results_of
from transpiler.ir.model import ApiValue, Layer, Step
from transpiler.ir.naming import cap_words, script_class_name
from transpiler.ir.program import (
    Apply,
    Block,
    Construction,
    Let,
    Member,
    ModuleClass,
    Return,
    Value,
    holds_weights,
    replace_tensors,
    tensors,
)
from transpiler.ir.shape import Layout, TensorType
from transpiler.ir.statics import bound_names, names_in, used_names
from transpiler.ir.trees import variables_in
from transpiler.read.keras.call_order import in_keras_order
from transpiler.read.keras.evaluate.constants import Constant
from transpiler.read.keras.evaluate.equal_calls import merge_equal_calls
from transpiler.read.keras.evaluate.interpreter import Interpreter
from transpiler.read.keras.evaluate.shared_layers import Twin, twins_of
from transpiler.read.keras.evaluate.staging import (
    Again,
    Memory,
    NotFlat,
    StageError,
    axis_name,
    expand_lets,
    is_static,
    places_of,
    staged_hint,
    substitute,
    unchanged,
    what_it_makes,
)
from transpiler.read.keras.evaluate.values import EntryEnv, Env, Function, Instance, Model, Origin

UNKNOWN = object()
"""Stands for a size that has no name where it is asked for."""


class Apart(Again):
    """Models that a builder makes have to become classes of their own: `nodes` are the calls that make them."""

    def __init__(self, nodes: list[ast.AST]) -> None:
        super().__init__("several models are made")
        self.nodes = nodes

    def note(self, memory: Memory) -> None:
        memory.apart += self.nodes


class CalledApart(Apart):
    """Models whose steps cannot be done once more where they are called: their classes can be called there."""

    def note(self, memory: Memory) -> None:
        memory.called_apart += self.nodes


class Show(Again):
    """A size that only the class of another builder's model knows is needed: the class has to show it.

    `place` is (which of its models, which tensor of its output, axis).
    """

    def __init__(self, maker: ast.AST, place: tuple[int, int, int]) -> None:
        super().__init__("a size of another builder's model is needed")
        self.maker, self.place = maker, place

    def note(self, memory: Memory) -> None:
        memory.show.setdefault(self.maker, []).append(self.place)


class StagedModels:
    """The part of a builder's stager that keeps models: each is then a variable that holds a module.

    A `Model` with `code` is such a variable. Its inputs and outputs are those of a call on inputs of its own; a call on
    other tensors calls the same module.
    """

    # --- models that another builder returns -----------------------------------------------------------------------

    def call_function(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Any:
        found = self.call_builder(function, args, kwargs)
        return super().call_function(function, args, kwargs) if found is None else found

    def call_builder(self, function: Function, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """A call of another builder stays one; None if that cannot be."""
        factory = self.memory.builders.get(function.node)
        if factory is None or self.flat or function.node in (*self.memory.written_out, *self.memory.ranks_needed):
            return None
        if factory.open_inputs and not self.is_entry():
            return None
        if self.frame.kind != "factory" or self.in_loop or self.in_side or self.running:
            return None
        callee, method = self.callee(function, args)
        given = args[1:] if method else args
        if callee is None or not all(is_static(v) or is_module(v) for v in (*given, *kwargs.values())):
            return None
        bound = Interpreter.bind(self, function, args, kwargs).names
        bound = {n: v for n, v in bound.items() if not n.startswith("__")}
        if not all(unchanged(witness_of(bound[n]), v) for n, v in factory.frozen.items() if n in bound):
            return None
        if method and self.layers_made():
            return None  # the call would have to move before layers that Keras makes first
        texts = [to_ast(v.code if is_module(v) else v) for v in (*given, *kwargs.values())]
        call = ast.Call(callee, texts[: len(given)], [ast.keyword(k, v) for k, v in zip(kwargs, texts[len(given) :])])
        name = self.fresh(self.target_of_call() or variable_for(function.name))
        built = self.models_of(factory, Sym.name(name), bound)
        if built is None:
            return None
        several = factory.returned if isinstance(factory.returned, (tuple, list)) else ()
        self.emit(Let(name, Sym(call, MISSING), items=len(several)))
        self.module_names.add(name)
        self.builders_called.append(function.node)
        return built()

    def is_entry(self) -> bool:
        """Whether what is under construction is an entry, which has no parameters."""
        return self.scope is not None and isinstance(self.scope.parent, EntryEnv)

    def layers_made(self) -> bool:
        """Whether the builder itself has made layers so far."""
        return any(isinstance(op, Apply) and op.member is not None and not op.member.given for op in self.block.walk())

    def callee(self, function: Function, args: list[Any]) -> tuple[ast.expr | None, bool]:
        """How the function under construction can name another one, and whether as a method of `self`."""
        node = self.stack[-1][1] if self.stack else None
        receiver = args[0] if args else None
        own = isinstance(receiver, Instance) and receiver.cls.lookup(function.name) is function
        assert self.scope is not None
        if not isinstance(node, ast.Call) or own and not isinstance(node.func, ast.Attribute):
            return None, False
        if self.is_entry():  # an entry's own text is evaluated where the result is used
            return (None if self.names_keras(node.func) else node.func), own
        if isinstance(receiver, Instance) and own:
            code = receiver.code
            return (ast.Attribute(code.expr, function.name, ast.Load()) if code is not None else None), own
        if isinstance(node.func, ast.Name) and self.scope.top.names.get(node.func.id) is function:
            return ast.Name(node.func.id, ast.Load()), False
        return None, False

    def names_keras(self, node: ast.expr) -> bool:
        assert self.scope is not None
        return any(isinstance(self.scope.top.names.get(n), ApiValue) for n in variables_in(node))

    def target_of_call(self) -> str:
        """The variable or attribute that the call in progress is assigned to; "" if there is none."""
        nodes = [node for _, node in self.stack[-2:]]
        if len(nodes) < 2 or not isinstance(nodes[0], ast.Assign) or nodes[0].value is not nodes[1]:
            return ""
        target = nodes[0].targets[0]
        name = target.id if isinstance(target, ast.Name) else getattr(target, "attr", "")
        return name.strip("_")

    def models_of(self, factory: Any, code: Sym, bound: dict[str, Any]) -> Any:
        """A function that makes what a call of the builder gives; None if its models are not known well enough."""
        if isinstance(factory.returned, Construction):
            return lambda: self.model_of(factory, factory.returned, code, bound, 0)
        if not isinstance(factory.returned, (tuple, list)):
            return None
        made = {op.name: op.value for op in factory.prologue.ops if isinstance(op, Let)}
        parts = [made.get(v.code) if isinstance(v, Sym) else None for v in factory.returned]
        if not all(isinstance(p, Construction) for p in parts):
            return None
        return lambda: type(factory.returned)(
            self.model_of(factory, part, code[i], bound, i) for i, part in enumerate(parts)  # type: ignore[arg-type]
        )

    def model_of(self, factory: Any, made: Construction, code: Sym, bound: dict[str, Any], index: int) -> Any:
        """One model that a builder returned, called on inputs of its own."""
        maker = factory.function.node
        ending = made.cls.block.ops[-1]
        assert isinstance(ending, Return)
        lets = [op for op in (*factory.prologue.ops, *made.cls.block.ops) if isinstance(op, Let)]
        names = [op.name for block in (factory.prologue, made.cls.block) for op in block.walk() if isinstance(op, Let)]
        known = {op.name: op.value for op in lets if names.count(op.name) == 1 and isinstance(op.value, Sym)}

        def here(x: Value, otherwise: Any) -> Value:
            sizes = [self.size_here(d, known, made.values, bound) for d in x.type.shape]
            for axis, (size, dim) in enumerate(zip(sizes, x.type.shape)):
                if size is UNKNOWN:
                    sizes[axis] = otherwise(axis, dim.witness)
            return Value(TensorType(tuple(sizes), x.type.dtype), x.hint)

        def shown(i: int, axis: int, witness: Any) -> Sym:
            label = shown_as(outputs, i, axis)
            if label in made.cls.outs:
                return Sym(ast.Attribute(code.expr, label, ast.Load()), witness, True)
            return self.unsaid_size(Show(maker, (index, i, axis)), witness)

        outputs = tensors(ending.value)
        inputs = [
            self.own_input(here(x, lambda _, witness: self.unsaid_size(NotFlat(maker), witness)))
            for x in made.cls.inputs
        ]
        found = {y: here(y, functools.partial(shown, i)) for i, y in enumerate(outputs)}
        model = Model(
            inputs[0] if len(inputs) == 1 else inputs,
            replace_tensors(ending.value, found),
            span=self.where(),
            index=len(self.layers),
        )
        model.code, model.attributes["__maker__"] = code, maker
        model.attributes["__masked__"] = [y in made.cls.masks for y in outputs]
        self.layers.append(model)
        self.models.append(model)
        if factory.open_outputs and not self.is_entry():
            self.of_builder.update(dict.fromkeys(tensors(model.outputs), maker))
        model.outputs = self.call_module(model, model.inputs)
        return (model.inputs, model.outputs) if factory.as_tensors else model

    def given_model(self, name: str, seen: Model, maker: ast.AST) -> Model:
        """A model that the builder is given, with the sizes of the one that was seen."""
        inputs = {x: self.own_input(Value(x.type.in_layout(Layout.KERAS), x.hint)) for x in tensors(seen.inputs)}
        outputs = {y: Value(y.type.in_layout(Layout.KERAS), y.hint) for y in tensors(seen.outputs)}
        model = Model(
            replace_tensors(seen.inputs, inputs), replace_tensors(seen.outputs, outputs), index=len(self.layers)
        )
        model.code, model.attributes["__maker__"] = Sym.name(name), maker
        masks = seen.attributes.get("__masks__", {})
        model.attributes["__masked__"] = [y in masks for y in tensors(seen.outputs)]
        self.module_names.add(name)
        model.outputs = self.call_module(model, model.inputs)
        return model

    def own_input(self, value: Value) -> Value:
        self.origins[value] = Origin([], [value], lambda xs: None)
        return value

    def unsaid_size(self, signal: Again, witness: Any) -> Sym:
        """A size without a name here: where it turns out to be needed, `signal` is raised."""
        label = self.fresh(f"size_{len(self.memory.unsaid)}")  # which its text tells from others
        self.memory.unsaid[label] = signal
        return Sym.name(label, witness, True)

    def size_here(self, dim: Any, known: dict[str, Any], values: dict[str, Any], bound: dict[str, Any]) -> Any:
        """A size of another builder's model in the names of the function under construction; UNKNOWN if it has none."""
        if not isinstance(dim, Sym):
            return dim
        found = substitute(expand_lets(dim, known), values)
        found = substitute(expand_lets(found, known), bound) if isinstance(found, Sym) else found
        return UNKNOWN if isinstance(found, Sym) and not self.is_own(found) else found

    def is_own(self, value: Sym) -> bool:
        """Whether an expression reads nothing but what the function under construction has."""
        lets = {op.name for op in self.block.walk() if isinstance(op, Let)}
        outer = {s.code for s in self.outer_names.values()}
        return value.names() <= lets | outer | self.reserved | self.input_dims.keys()

    # --- calling them ----------------------------------------------------------------------------------------------

    def call_model(self, model: Model, args: list[Any], kwargs: dict[str, Any]) -> Any:
        apart = self.memory.apart if self.flat else self.memory.apart + self.memory.called_apart
        node = model.attributes.get("__node__")
        if model.code is None and model.inputs is not None and node in apart:
            self.carve_all(m for m in self.models if m.attributes.get("__node__") in apart)
        if model.code is None:
            try:
                return super().call_model(model, args, kwargs)
            except (Declined, StageError):
                if self.flat or node is None or node in apart or model.inputs is None or not self.can_carve():
                    raise
                raise CalledApart([node]) from None
        training = kwargs.get("training") if self.fixed_mode is None else self.fixed_mode
        if isinstance(training, (bool, int)) and self.call_decides_mode() and self.has_modes(model):
            result = self.call_module(model, args[0] if args else kwargs.get("inputs"), "train" if training else "eval")
        else:
            result = self.call_module(model, args[0] if args else kwargs.get("inputs"))
        self.nested.update({y: (model, tensors(args or kwargs), tensors(result)) for y in tensors(result)})
        return result

    def has_modes(self, model: Model) -> bool:
        """Whether layers of a model act differently in training, as far as they are known here."""
        layers = {id(x): x for x in (o.layer for o in self.origins_of(model))}
        return not layers or any(not isinstance(x, Layer) or self.depends_on_training(x) for x in layers.values())

    def origins_of(self, model: Model) -> list[Any]:
        """Where the tensors of a model come from, those of layers."""
        todo, found, seen = list(tensors(model.outputs)), [], set()
        while todo:
            x = todo.pop()
            origin = self.origins.get(x)
            if x in seen or origin is None:
                continue
            seen.add(x)
            todo += origin.inputs
            found += [origin] if origin.layer is not None else []
        return found

    def call_module(self, model: Model, inputs: Any, mode: str = "") -> Any:
        """A call of the module that a variable holds, which is put into a mode before if there is one."""
        if self.frame.kind != "factory" or self.in_loop:
            raise StageError("a model is called by a helper or in a loop")
        given, declared = tensors(inputs), tensors(model.inputs)
        if len(given) != len(declared):
            raise StageError("the model takes another number of inputs")
        xs = [self.to_layout(self.as_declared(d, x), Layout.KERAS) for d, x in zip(declared, given)]
        results = [Value(y.type.in_layout(Layout.KERAS), y.hint) for y in tensors(model.outputs)]
        self.kept.update(results)
        self.of_layers.update(results)
        for known in (self.poly, self.of_builder):
            known |= {r: known[y] for y, r in zip(tensors(model.outputs), results) if y in known}
        call = self.module_call(model, xs, results)
        if mode:
            operands = ", ".join(f"{{{i}}}" for i in range(len(xs)))
            call.step = replace(call.step, fn=f"{{self}}.{mode}()({operands})")
        self.emit(call)
        self.masks_of_model(model, given, results)
        self.remember(given, results, lambda new: tensors(self.call_module(model, new, mode)))
        result = replace_tensors(model.outputs, dict(zip(tensors(model.outputs), results)))
        return result[0] if isinstance(result, (list, tuple)) and len(result) == 1 else result

    def module_call(self, model: Model, xs: list[Value], results: list[Value]) -> Apply:
        member = model.attributes.get("__member__")
        if member is None:
            assert model.code is not None
            hint = staged_hint(model.code.code.split("__v")[0])
            step = Step(module=model.code.code, hint=hint, stateful=True)
            member = Member(model.code.code, hint, None, None, step, shared=True, order=model.index, given=True)
            model.attributes["__member__"] = member
        return Apply(results, xs, member.step, member, places_of(model.outputs), self.where())

    # --- several models of one builder -----------------------------------------------------------------------------

    def make_model(self, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return self.made_at(super().make_model(args, kwargs))

    def make_sequential(self, args: list[Any], kwargs: dict[str, Any]) -> Model:
        return self.made_at(super().make_sequential(args, kwargs))

    def made_at(self, model: Any) -> Any:
        if isinstance(model, Model):
            model.attributes["__node__"] = self.stack[-1][1] if self.stack else None
        return model

    def named(self, value: Any, name: str, env: Env) -> Any:
        if isinstance(value, Model):
            if self.is_script and env is self.scope or "__variable__" not in value.attributes:
                value.attributes["__variable__"] = name.rpartition(".")[2].strip("_")
            if value.code is not None and not isinstance(value.code.expr, ast.Name):
                self.rename(value, name)
        return super().named(value, name, env)

    def rename(self, model: Model, name: str) -> None:
        """Gives one of several models that a builder returned a variable of its own."""
        variable = self.fresh(name)
        self.emit(Let(variable, model.code))
        self.module_names.add(variable)
        model.code = Sym.name(variable)
        member = model.attributes["__member__"]
        member.code, member.hint = variable, staged_hint(variable.split("__v")[0])
        member.step = replace(member.step, module=variable, hint=member.hint)

    def carve(self, model: Model) -> None:
        """Makes a class of the operations between a model's inputs and its outputs, and a variable that holds it.

        Raises StageError where something else than the model's outputs is read outside, or the other way round.
        """
        if not self.can_carve():
            raise StageError("a model is made by a helper, in a loop or under a condition")
        inputs, outputs = tensors(model.inputs), tensors(model.outputs)
        ops = self.block.ops
        region, needed = self.region_of(model)
        if not {x for x in needed if not isinstance(x, Constant)} <= {*inputs}:
            raise StageError("a model depends on a tensor that is not one of its inputs")
        if not region:
            raise StageError("a model without layers")
        self.check_order(region)
        twins = self.twins_of(model, region)
        self.merge_calls(model, region)
        outputs = tensors(model.outputs)
        last = ops.index(region[-1])
        block = with_variables(region, ops[: last + 1])
        rest = [op for op in ops if op not in block.ops]
        if bound_names(block) & used_names(Block(rest), let_values=True):
            raise StageError("a size inside a model is read outside it")
        in_keras_order(self, block, model.inputs, model.outputs)
        moved = {y: self.in_block(block, lambda y=y: self.to_layout(y, Layout.KERAS)) for y in outputs}
        kept = self.in_block(block, lambda: self.with_losses({}, self.losses_of(model)))
        block.ops.append(Return(replace_tensors(model.outputs, moved), kept))
        variable = model.attributes.get("__variable__") or model.name or "model"
        title = cap_words(model.name or variable, "Model") if variable != "model" else self.own_name
        title = script_class_name(variable, model.name) if self.is_script else title
        cls = ModuleClass(title, [], inputs, block, root=True, masks=self.masks)
        name = self.fresh(staged_hint(variable))
        self.module_names.add(name)
        model.code = Sym.name(name)
        turned = Block()
        results = [self.in_block(turned, lambda y=y: self.before_permute(y)) for y in outputs]
        calls = {region[-1]: [self.module_call(model, inputs, results), *turned.ops]}
        calls |= {list(t.ops.values())[-1]: self.call_of_twin(model, t) for t in twins}
        self.kept.update(outputs)
        made: list[Any] = [Let(name, Construction(cls, {}))]
        gone = {op for t in twins for op in t.ops.values()}
        first = min(i for i, op in enumerate(ops) if op in calls or op in gone)
        if used_names(block, let_values=True) & bound_names(Block(ops[first:last])) - bound_names(block):
            raise StageError("two models share a layer, of which sizes are known too late")
        parts = [[op] if op in rest and op not in gone else calls.get(op, []) for op in ops]
        ops[:] = [op for part in (*parts[:first], made, *parts[first:]) for op in part]

    def twins_of(self, model: Model, region: list[Any]) -> list[Twin]:
        """Where a model's operations occur again, as other models call its layers. Raises StageError where only some do."""
        others = [op for op in self.block.ops if op not in region]
        shared = members_of(region) & members_of(others)
        if not shared:
            return []
        ends = {x for m in self.models if m is not model for x in (*tensors(m.outputs), *self.losses_of(m))}
        twins = twins_of(region, tensors(model.inputs), tensors(model.outputs), others, ends, shared)
        if twins is None or self.losses_of(model):
            raise StageError("two models share a layer")
        return twins

    def call_of_twin(self, model: Model, twin: Twin) -> list[Any]:
        """The operations that call a model in the place of its own operations on other tensors."""
        block = Block()
        given = [twin.values.get(x) or twin.turned[x] for x in tensors(model.inputs)]
        xs = [self.in_block(block, lambda x=x: self.to_layout(x, Layout.KERAS)) for x in given]
        turned, results = Block(), []
        for y in tensors(model.outputs):
            known = twin.values.get(y) or Value(y.type, y.hint)
            results.append(self.in_block(turned, lambda known=known: self.before_permute(known)))
        self.kept.update(x for x in twin.values.values())
        return [*block.ops, self.module_call(model, xs, results), *turned.ops]

    def merge_calls(self, model: Model, region: list[Any]) -> None:
        """Leaves out calls of other models that a model makes twice on the same tensors."""
        made = {op.name: op.value for op in self.block.ops if isinstance(op, Let)}
        classes = {n: v.cls for n, v in made.items() if isinstance(v, Construction)}
        block, losses = Block(region), self.losses_of(model)
        merged = merge_equal_calls(block, [*tensors(model.outputs), *losses], classes)
        if merged:
            model.outputs = replace_tensors(model.outputs, merged)
            model.attributes["__losses__"] = [merged.get(x, x) for x in losses]
            self.block.ops[:] = [op for op in self.block.ops if op in block.ops or op not in region]
            region[:] = block.ops

    def check_made_in_order(self, prologue: Block, region: Block) -> None:
        """Raises StageError where a model would be made before layers that Keras makes first."""
        if made_too_early(prologue, region, self.module_names) is not None:
            raise StageError("a layer is made before a model that is made on its own")

    def can_carve(self) -> bool:
        return self.frame.kind == "factory" and not self.in_loop and not self.in_side

    def keep_apart(self, models: Iterable[Model]) -> None:
        """Makes classes of all these models. Raises Apart where the function has to be evaluated again for that."""
        nodes = [m.attributes.get("__node__") for m in models if m.code is None]
        if None in nodes:
            raise StageError("a model of a class of the program is one of several")
        if any(node not in self.memory.apart for node in nodes):
            raise Apart(nodes)
        remove_dead(self.block, {x for m in models for x in (*tensors(m.outputs), *self.losses_of(m))})
        self.carve_all(models)

    def carve_all(self, models: Iterable[Model]) -> None:
        """Makes classes of several models, of those that are parts of others first."""
        whole = [m for m in models if m.code is None and m.inputs is not None]
        for model in sorted(whole, key=lambda m: len(self.region_of(m)[0])):
            self.carve(model)

    def region_of(self, model: Model) -> tuple[list[Any], set[Value]]:
        """The operations between a model's inputs and its outputs, and the tensors that they start from."""
        region: list[Any] = []
        needed = {*tensors(model.outputs), *self.losses_of(model)}
        for op in reversed(self.block.ops):
            made = results_of(op)
            if made and not needed.isdisjoint(made):
                region.insert(0, op)
                needed = needed.difference(made) | set(all_uses(op))
        return region, needed

    def before_permute(self, y: Value) -> Value:
        """The tensor in Keras's layout that `y`, which what follows goes on with, is made from."""
        kept = self.to_layout(y, Layout.KERAS)
        if kept is y:
            return y
        self.block.ops.clear()
        result = Value(kept.type, y.hint)
        self.to_layout(result, y.type.layout)
        self.block.ops[-1].results = [y]
        self.permuted[y] = result
        return result

    def check_order(self, region: list[Any]) -> None:
        """Raises StageError where Keras makes a model's layers in turns with others: weights are paired by that order."""
        inside = orders_in(Block(region))
        outside = orders_in(Block([op for op in self.block.ops if op not in region]))
        if inside and any(min(inside) < n < max(inside) for n in outside):
            raise StageError("the layers of two models are made in turns")


def variable_for(name: str) -> str:
    """A variable for what a builder returns: build_encoder → encoder, encoder → encoder_model."""
    short = what_it_makes(name)
    return staged_hint(short if short != name else f"{name}_model")


def shown_as(outputs: list[Value], index: int, axis: int) -> str:
    """The attribute in which the class of a model shows a size of its output."""
    name = axis_name(outputs[index].type.rank, axis).removeprefix("in_")
    return f"out_{name}{index + 1 if len(outputs) > 1 else ''}"


def show(cls: ModuleClass, places: Iterable[tuple[int, int]]) -> None:
    """Makes a class show sizes of its output: which tensor, which axis."""
    ending = cls.block.ops[-1]
    assert isinstance(ending, Return)
    outputs = tensors(ending.value)
    for index, axis in places:
        cls.outs[shown_as(outputs, index, axis)] = outputs[index].type.shape[axis]
    cls.key = cls


def with_variables(region: list[Any], ops: list[Any]) -> Block:
    """The operations of a region with the variables they change, and those computed from these, in the order of `ops`."""
    inside = bound_names(Block(region))
    found: list[Any] = []
    for op in ops:
        if op in region or isinstance(op, Let) and (op.name in inside or read_by(op) & inside):
            found.append(op)
            inside |= bound_names(Block([op]))
    return Block(found)


def members_of(ops: Iterable[Any]) -> set[Member]:
    """The layers that operations call, those inside classes of models included."""
    found: set[Member] = set()
    for op in Block(list(ops)).walk():
        if isinstance(op, Apply) and op.member is not None and not op.member.given:
            found.add(op.member)
        elif is_construction(op):
            found |= members_of(op.value.cls.block.ops)
    return found


def models_in(result: Any) -> list[Model] | None:
    """The models of a tuple or list of models; None for anything else."""
    if not isinstance(result, (tuple, list)) or len(result) == 0 or not all(isinstance(m, Model) for m in result):
        return None
    return list(result)


def hoist_models(prologue: Block, region: Block, variables: Iterable[str]) -> None:
    """Moves the variables that hold models, and what they are made from, before the class of the builder's own model.

    A variable stays where layers of the class are made before it, or where what it needs is assigned more than once.
    """
    for op in list(region.ops):
        if not isinstance(op, Let) or op.name not in variables:
            continue
        before = region.ops[: region.ops.index(op)]
        needed = [op]
        for other in reversed(before):
            if bound_names(Block([other])) & {n for o in needed for n in read_by(o)}:
                needed.insert(0, other)
        once = all(
            isinstance(o, Let) and o.name not in bound_names(Block([x for x in region.ops if x is not o]))
            for o in needed
        )
        if once and not orders_in(Block(before)):
            region.ops[:] = [o for o in region.ops if o not in needed]
            prologue.ops += needed


def sink_into_models(prologue: Block, models: Iterable[str]) -> None:
    """Moves variables that only one model's class reads into that class, in place; not those that hold `models`."""
    made = [op.value.cls for op in prologue.ops if is_construction(op)]
    if not made:
        return
    for op in reversed([o for o in prologue.ops if isinstance(o, Let) and o.name not in models]):
        if sum(isinstance(o, Let) and o.name == op.name for o in prologue.walk()) != 1:
            continue
        others = Block([o for o in prologue.ops if o is not op and not is_construction(o)])
        users = [cls for cls in made if op.name in used_names(cls.block, let_values=True)]
        if len(users) == 1 and op.name not in used_names(others, let_values=True):
            prologue.ops.remove(op)
            users[0].block.ops.insert(0, op)


def made_too_early(prologue: Block, region: Block, variables: Iterable[str]) -> str | None:
    """The first variable of a model that would be made before layers that Keras makes first: that order pairs weights."""
    made = [op for op in prologue.ops if isinstance(op, Let) and op.name in variables]
    blocks = [region, *(op.value.cls.block for op in made if is_construction(op))]
    applied = [o for block in blocks for o in block.walk() if isinstance(o, Apply) and o.member is not None]
    given = {o.member.code: [o.member.order] for o in applied if o.member is not None and o.member.given}
    orders = [orders_in(op.value.cls.block) if is_construction(op) else given.get(op.name, []) for op in made]
    orders.append(orders_in(region))
    for i, op in enumerate(made):
        if any(n < max(orders[i]) for later in orders[i + 1 :] for n in later if orders[i]):
            return op.name
    return None


def orders_in(block: Block) -> list[int]:
    """The places in the program's order of construction of what a block makes that may hold weights."""
    return [o.member.order for o in block.walk() if holds_weights(o)]


def is_module(value: Any) -> bool:
    return isinstance(value, Model) and value.code is not None


def read_by(let: Let) -> set[str]:
    """The names that the value of a variable may read; all that its class may, as its parameters are not known yet."""
    if isinstance(let.value, Construction):
        block = let.value.cls.block
        return used_names(block, let_values=True) - bound_names(block)
    return names_in(let.value)


def is_construction(op: Any) -> bool:
    return isinstance(op, Let) and isinstance(op.value, Construction)
