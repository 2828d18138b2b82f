"""The program's own layers as classes."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Any

from transpiler.ir.expr import NeedsConstant, Sym, is_open, to_ast, witness_of
from transpiler.ir.model import Layer, Step
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
from transpiler.read.keras.evaluate.staging import (
    Frame,
    Staged,
    axis_name,
    is_short,
    staged_hint,
    substitute,
)
from transpiler.read.keras.evaluate.values import (
    Class,
    Instance,
)
from transpiler.rules.base import COMMON, LayerRule


class StagedLayers:
    """The part of the stager that keeps custom layers."""

    def make_layer(self, rule: LayerRule, args: list[Any], kwargs: dict[str, Any]) -> Any:
        layer = super().make_layer(rule, args, kwargs)
        layer.attributes["__home__"] = self.frame
        return layer

    def apply_layer(self, layer: Layer, xs: list[Value]) -> Any:
        """A layer made outside the class that calls it: its open arguments become constructor parameters there."""
        self.check_own(layer)
        home = layer.attributes.get("__home__")
        if home is not self.frame and self.frame.kind == "class":
            layer.attributes["__home__"] = self.frame
            mine = layer.rule._own_names()
            own = [n for n in layer.args if (n not in COMMON or n in mine) and is_open(layer.args.get(n))]
            taken = {n: self.capture(n, as_symbol(layer.args.get(n)), home) for n in own}
            layer.args = layer.args.replace(**taken)
        return super().apply_layer(layer, xs)

    def make_custom_layer(self, cls: Class, args: list[Any], kwargs: dict[str, Any]) -> Instance:
        layer = super().make_custom_layer(cls, args, kwargs)
        layer.attributes["__home__"] = self.frame
        return layer

    def instance_attribute(self, value: Instance, name: str) -> Any:
        found = super().instance_attribute(value, name)
        home = value.attributes.get("__home__")
        if isinstance(found, Sym) and home is not None and home is not self.frame and self.frame.kind == "class":
            return self.capture(name, found, home)
        return found

    def call_custom_layer(self, layer: Instance, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """A layer of the program becomes a class: `build` and `__init__` are its constructor, `call` is `forward`."""
        self.check_own(layer)
        known = layer.attributes.get("__staged__")
        given = tensors(args)
        if known is None:
            self.visit(layer.cls.node)
            known = layer.attributes["__staged__"] = self.stage_custom_layer(layer, args, kwargs)
            member = self.construct_custom(layer, known, given)
        else:
            member = layer.attributes["__member__"]
            member.shared = True
        return self.apply_custom(known, member, given, args)

    def stage_custom_layer(self, layer: Instance, args: list[Any], kwargs: dict[str, Any]) -> Staged:
        frame = Frame(None, "class", outer=self.frame)
        outer_frame, outer_block, outer_layers = self.frame, self.block, self.own_layers
        dims: dict[str, tuple[int, int]] = {}
        given = tensors(args)
        inputs = [self.general_input(x.hint, x, Layout.KERAS, i, dims, len(given) > 1) for i, x in enumerate(given)]
        self.frame, self.block, self.own_layers = frame, Block(), None
        try:
            result = super().call_custom_layer(layer, replace_tensors(args, dict(zip(given, inputs))), kwargs)
            block = self.block
        except NeedsConstant:
            self.frame, self.block = frame, Block()
            layer.attributes["built"] = False
            layer.attributes.pop("__weights__", None)
            dims.clear()
            inputs = [Value(x.type.in_layout(Layout.KERAS), x.hint) for x in given]
            result = super().call_custom_layer(layer, replace_tensors(args, dict(zip(given, inputs))), kwargs)
            block = self.block
        finally:
            self.frame, self.block, self.own_layers = outer_frame, outer_block, outer_layers
        block.ops.append(Return(result))
        doc = ast.get_docstring(layer.cls.node) or ""
        cls = ModuleClass(
            layer.cls.name,
            [],
            inputs,
            block,
            doc=doc,
            sizes=tuple(dims),
            statics=tuple(frame.captures),
            key=layer.cls.node,
        )
        return Staged(cls, inputs, result, [], dict(frame.captures), dict(frame.homes), dims)

    def construct_custom(self, layer: Instance, staged: Staged, given: list[Value]) -> Member:
        values: dict[str, Any] = {label: given[i].type.shape[axis] for label, (i, axis) in staged.dims.items()}
        for name, outer in staged.captures.items():
            values[name] = (
                outer
                if self.frame is staged.homes.get(name) or self.frame.kind == "factory"
                else self.capture(name, outer, staged.homes.get(name))
            )
        name = layer.attributes["__common__"].get("name")
        member = Member(
            "",
            staged_hint(staged.cls.name),
            name if isinstance(name, str) else None,
            order=layer.attributes["__common__"]["index"],
        )
        member.construction = Construction(staged.cls, values)
        member.step = Step(module=f"{staged.cls.name}()", hint=member.hint, stateful=True)
        layer.attributes["__member__"] = member
        layer.attributes["__values__"] = values
        return member

    def apply_custom(self, staged: Staged, member: Member, given: list[Value], args: list[Any]) -> Any:
        xs = [self.to_layout(x, Layout.KERAS) for x in given]
        values = dict(member.construction.values) if member.construction else {}
        values |= {label: given[i].type.shape[axis] for label, (i, axis) in staged.dims.items()}
        results = self.results_of(staged, values, member)
        self.kept.update(results)
        assert member.step is not None
        self.emit(Apply(results, xs, member.step, member, span=self.where()))
        self.remember(given, results, lambda new: self.apply_custom(staged, member, new, args))
        return replace_tensors(staged.result, dict(zip(tensors(staged.result), results)))

    def construct_again(self, member: Member, staged: Staged, old: list[Value], new: list[Value]) -> Any:
        xs = [self.to_layout(x, i.type.layout) for x, i in zip(new, staged.inputs)]
        results = [Value(o.type, o.hint) for o in old]
        member.shared = True
        assert member.step is not None
        self.emit(Apply(results, xs, member.step, member))
        return results

    def results_of(self, staged: Staged, values: dict[str, Any], member: Member) -> list[Value]:
        """The tensors that a call of a staged function gives, their sizes in the caller's terms."""
        outputs = tensors(staged.result)
        results = []
        for i, (output, shape) in enumerate(zip(outputs, staged.result_shapes)):
            suffix = "" if len(outputs) == 1 else str(i + 1)
            labels = [f"out_{axis_name(len(shape), axis).removeprefix('in_')}{suffix}" for axis in range(len(shape))]
            sizes = tuple(self.outside(d, staged, values, member, label) for d, label in zip(shape, labels))
            results.append(Value(replace(output.type, shape=sizes), output.hint))
        return results

    def outside(self, dim: Any, staged: Staged, values: dict[str, Any], member: Member, label: str) -> Any:
        """The size of a result in the caller's terms: written out if it is short, else read from the submodule."""
        if not isinstance(dim, Sym):
            return dim
        if dim.names() <= values.keys():
            known = substitute(dim, values)
            if is_short(known):
                return known
        staged.cls.outs[label] = dim
        member.exposed |= (staged.cls.key, label) in self.memory.demands
        return Sym(ast.Attribute(ast.Name(f"member__{id(member)}", ast.Load()), label, ast.Load()), dim.witness, True)


def as_symbol(value: Any) -> Sym:
    """An open value as one expression."""
    return value if isinstance(value, Sym) else Sym(to_ast(value), witness_of(value))
