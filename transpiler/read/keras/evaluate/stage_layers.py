"""The program's own layers as classes."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from transpiler.ir.expr import NeedsConstant, Sym, first_symbol, is_open, same, to_ast, witness_of
from transpiler.ir.model import Layer, Step
from transpiler.ir.program import (
    MODE,
    Apply,
    Block,
    Construction,
    Member,
    ModuleClass,
    Return,
    Static,
    Value,
    replace_tensors,
    tensors,
)
from transpiler.ir.shape import Layout
from transpiler.ir.statics import sources, sources_of, used_names
from transpiler.read.keras.evaluate.custom_layers import Made
from transpiler.read.keras.evaluate.effects import Snapshot
from transpiler.read.keras.evaluate.signals import ProgramError
from transpiler.read.keras.evaluate.stage_unbound import OneSided
from transpiler.read.keras.evaluate.staging import (
    Frame,
    Staged,
    StageError,
    annotations_of,
    has_batch,
    holds_open,
    is_sequence,
    is_short,
    is_static,
    items_of,
    places_of,
    raise_of,
    signature_defaults,
    size_labels,
    staged_hint,
    substitute,
    unchanged,
    whole_of,
)
from transpiler.read.keras.evaluate.values import (
    Alternative,
    Class,
    Function,
    Instance,
    LambdaLayer,
    Model,
    Origin,
    has_tensors,
    own_copy,
)
from transpiler.rules.base import COMMON, LayerRule


class OuterSize(NeedsConstant):
    """A class needs the value of a size that is open where the layer is called."""


class StagedLayers:
    """The part of the stager that keeps custom layers."""

    def make_layer(self, rule: LayerRule, args: list[Any], kwargs: dict[str, Any]) -> Any:
        for place, value in (*enumerate(args), *kwargs.items()):
            if isinstance(value, Alternative):
                return self.split(value, lambda v, p=place: self.make_layer(rule, *replaced(args, kwargs, p, v)))
        layer = super().make_layer(rule, args, kwargs)
        layer.attributes["__home__"] = self.frame
        return layer

    def apply_layer(self, layer: Layer, xs: list[Value], *masks: Any) -> Any:
        """A layer made outside the class that calls it: its open arguments become constructor parameters there."""
        self.check_own(layer)
        self.check_place(layer)
        home = layer.attributes.get("__home__")
        if home is not self.frame and self.frame.kind == "class":
            layer.attributes["__home__"] = self.frame
            mine = layer.rule._own_names()
            own = [n for n in layer.args if (n not in COMMON or n in mine) and is_open(layer.args.get(n))]
            taken = {n: self.capture(n, as_symbol(layer.args.get(n)), home) for n in own}
            layer.args = layer.args.replace(**taken)
        result = super().apply_layer(layer, xs, *masks)
        for name, values in layer.rule.open_values.items():
            value = layer.args.get(name)
            if isinstance(value, Sym) and not (value.possible and value.possible <= set(values)):
                self.check_among(value, values, f"{layer.rule.keras[0]}({name}=…)")
        return result

    def check_among(self, value: Sym, values: tuple[Any, ...], what: str) -> None:
        """Has the result raise where `value` is none of `values`."""
        test = self.truth(Sym(ast.Compare(value.expr, [ast.In()], [to_ast(values)]), True))
        if isinstance(test, Sym):
            error = NotImplementedError(f"K2T102: {what} is translated for {' and '.join(map(repr, values))}")
            self.raise_unless(test, Static(raise_of(ProgramError(error))))

    def check_place(self, layer: Layer | Instance) -> None:
        """Raises Declined for a layer that two classes call: each would construct its own."""
        place = self.places.setdefault(layer, self.frame)
        if place is not self.frame and not place.abandoned:
            raise self.declined("K2T107", "a layer is called by two classes, which would not share it in torch")
        self.places[layer] = self.frame

    def make_custom_layer(self, cls: Class, args: list[Any], kwargs: dict[str, Any]) -> Instance | Model:
        """The object is made here for what is asked of it; its class runs the constructor again, in its own names."""
        if self.flat:
            return super().make_custom_layer(cls, args, kwargs)
        outer, comments, self.block = self.block, self.comments, Block()
        try:
            layer = super().make_custom_layer(cls, args, kwargs)
        finally:
            made, self.block, self.comments = self.block, outer, comments
        if isinstance(layer, Model):
            self.block.ops += made.ops
            return layer
        layer.attributes["__home__"] = self.frame
        layer.attributes["__made__"].ops = made.ops
        return layer

    def instance_attribute(self, value: Instance, name: str) -> Any:
        found = super().instance_attribute(value, name)
        if isinstance(found, OneSided):
            self.write_constructor(value)
            found = self.attribute_bound(value, name, found)
        home = value.attributes.get("__home__")
        if home is None:
            return self.captured(name, found, self.setter_of(value, name)) if holds_open(found) else found
        if is_open(found):
            self.write_constructor(value)
            if isinstance(found, (list, dict)) and home is not self.frame:
                raise NeedsConstant(first_symbol(found))
            return self.captured(name, found, home)
        return found

    def setter_of(self, value: Instance, name: str) -> Frame | None:
        """The class or factory under construction that set an attribute of an object, the innermost if several did."""
        frame: Frame | None = self.frame
        while frame is not None and (id(value.attributes), name) not in frame.writes:
            frame = frame.outer
        return frame

    def write_constructor(self, layer: Instance) -> None:
        """What the object's constructor computed is written where the object is made, as it is read outside its class."""
        made = layer.attributes.get("__made__")
        if made is not None and layer.attributes.get("__home__") is self.frame:
            self.block.ops += made.ops
            made.ops = []

    def mode_truth(self, test: Sym) -> Any:
        if test.code in (MODE, f"not {MODE}"):
            return test
        if test.code in (f"{MODE} is None", f"{MODE} is not None"):
            return bool(test.witness)
        if is_logic(test.expr):
            return test
        raise self.declined("K2T404", f"a decision on {test.code.replace('self.', '')} is not translated")

    def call_custom_layer(self, layer: Instance, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """A layer of the program becomes a class: `__init__` and `build` are its constructor, `call` is `forward`."""
        self.check_own(layer)
        given = tensors([*args, *kwargs.values()])
        kinds = [[x.type.rank for x in given], self.mask_places(given).places]
        self.check_place(layer)
        known = self.staged_layers.get(layer)
        if known is None:
            self.visit_class(layer.cls)
            staged, values = self.stage_custom_layer(layer, args, kwargs)
            member = self.construct_custom(layer, staged, values, self.operands(staged, given))
            self.staged_layers[layer] = staged, member, kinds, watched(layer)
        else:
            staged, member, before, changed = known
            if changed():
                raise self.declined(
                    "K2T107",
                    f"{layer.cls.name} is called again after it was changed",
                    "Make a second object, or pass what changes as an argument of call().",
                )
            if before != kinds or not self.fits(staged, member, self.operands(staged, given)):
                raise self.declined("K2T107", f"{layer.cls.name} is shared between inputs of different kinds or sizes")
            member.shared = True
        return self.apply_custom(staged, member, args, kwargs)

    def fits(self, staged: Staged, member: Member, given: list[Value]) -> bool:
        """Whether tensors have the sizes that an object of a class was constructed for, where it goes by them."""
        assert member.construction is not None
        read = used_names(staged.cls.block, let_values=True)
        for name, (index, axis) in staged.dims.items():
            made, now = member.construction.values.get(name), given[index].type.shape[axis]
            if name not in read or same(made, now):
                continue
            if not is_open((made, now)) or witness_of(made) != witness_of(now):
                return False
            raise NeedsConstant(now if isinstance(now, Sym) else made, "a layer is shared between inputs of open sizes")
        return True

    def visit_class(self, cls: Class) -> None:
        """A class of the program becomes one of the result, its methods parts of `forward`."""
        for base in cls.mro():
            if isinstance(base, Class):
                self.visit(base.node, base.env.module)
                self.memory.inlined += [f.node for f in base.names.values() if isinstance(f, Function)]

    def visit_cell(self, cls: Class) -> None:
        self.memory.cells.add(cls.node)

    def stage_custom_layer(
        self, layer: Instance, args: list[Any], kwargs: dict[str, Any]
    ) -> tuple[Staged, dict[str, Any]]:
        """The class of an object and what its constructor is given: made from its class, else from this very object."""
        made = layer.attributes.get("__made__")
        if made is not None and not self.flat and made.untouched(layer):
            found = self.stage_constructor(layer, made, args, kwargs)
            if found is not None:
                return found
        self.write_constructor(layer)
        given = tensors([*args, *kwargs.values()])
        layouts = self.layouts_of(layer.cls.node, given)
        for _ in range(len(given) * 4 + 1):
            try:
                return self.stage_as_layer(layer, lambda: layer, args, kwargs, {}, layouts), {}
            except OuterSize as error:
                raise NeedsConstant(error.sym, str(error)) from None
            except NeedsConstant as error:
                layer.attributes["built"] = False
                layer.attributes.pop("__weights__", None)
                self.fix(layer.cls.node, error, {})
        raise StageError(f"too many sizes decide the structure of {layer.cls.name}")

    def stage_constructor(
        self, layer: Instance, made: Made, args: list[Any], kwargs: dict[str, Any]
    ) -> tuple[Staged, dict[str, Any]] | None:
        """The class as its source has it, parameters of the constructor included; None if it cannot be kept so."""
        init = layer.cls.lookup("__init__")
        bound = made.bound(layer)
        rest = rest_names(init.node) if isinstance(init, Function) else []
        node = layer.cls.node
        inside = [v for n, v in bound.items() if not is_static(v) and not has_tensors(v) and n not in rest]
        if any(map(holds_open, inside)):
            return None
        for _ in range(12):
            opened = {
                n: v
                for n, v in bound.items()
                if is_static(v) and n not in rest and ((id(node), n) not in self.memory.frozen or is_open(v))
            }
            key = self.layer_key(node, bound, opened, args, kwargs)
            own = not holds_layers(list(bound.values()))  # a layer that is given is a part of this object alone
            known = self.memory.classes.get(key) if own else None
            if known is not None and known.still_holds():
                self.frame.reads.update(known.reads)
                return known, opened
            if node in self.active:
                return None
            self.active.append(node)
            layouts = self.layouts_of(node, tensors([*args, *kwargs.values()]))
            again = functools.partial(self.make_again, layer, init, bound, opened)
            try:
                staged = self.stage_as_layer(layer, again, args, kwargs, opened, layouts)
                if not (self.at_root and len(self.active) == 1) and self.takes_permuted(node, staged):
                    continue
                staged.cls.defaults = signature_defaults(init) if isinstance(init, Function) else {}
                if own:
                    self.memory.classes[key] = staged
                return staged, opened
            except OuterSize as error:
                raise NeedsConstant(error.sym, str(error)) from None
            except NeedsConstant as error:
                self.fix(node, error, opened)
            except StageError:
                return None
            finally:
                self.active.remove(node)
        return None

    def fix(self, node: ast.ClassDef, error: NeedsConstant, opened: dict[str, Any]) -> None:
        """Fixes the parameters and sizes that a decision depends on. Raises what does not depend on this class."""
        dims, lets = self.last_attempt
        names = [n for n in sources(error.sym, lets) if n in opened or n in dims]
        if not names:
            raise error
        for name in names:
            if is_sequence(opened.get(name)) and not self.of_open_items(node, name, opened[name]):
                self.memory.lengths[id(node), name] = True
                continue
            if is_open(opened.get(name)):
                raise error.about(as_symbol(opened[name]))
            self.memory.frozen[id(node), name] = True

    def layouts_of(self, node: ast.ClassDef, given: list[Value]) -> list[Layout]:
        """The layouts in which a class takes these tensors."""
        if self.at_root and not self.active:
            return [Layout.KERAS for _ in given]
        return [self.memory.preferred.get((id(node), str(i)), x.type.layout) for i, x in enumerate(given)]

    def layer_key(
        self,
        node: ast.ClassDef,
        bound: dict[str, Any],
        opened: dict[str, Any],
        args: list[Any],
        kwargs: dict[str, Any],
    ) -> Any:
        """What decides the class of an object: arguments that are fixed, and the kinds of the others and of the inputs."""

        def kind(value: Any) -> Any:
            if isinstance(value, Value):
                return ("tensor", value.type.rank, has_batch(value.type))
            if isinstance(value, (list, tuple)):
                return (type(value).__name__, *map(kind, value))
            if isinstance(value, dict):
                return tuple((k, kind(v)) for k, v in value.items() if k != "name")
            return repr(value) if is_static(value) else id(value)

        fixed = tuple((n, kind(v)) for n, v in bound.items() if n not in opened)
        lengths = tuple((n, len(v)) for n, v in opened.items() if self.of_open_items(node, n, v))
        given = tensors([*args, *kwargs.values()])
        layouts = self.layouts_of(node, given)
        sizes = repr([x.type.shape for x in given]) if any(k[0] == id(node) for k in self.memory.frozen) else ""
        root = self.at_root and not self.active
        masks = self.mask_places(given).places
        return (id(node), root, fixed, tuple(opened), lengths, tuple(layouts), masks, sizes, kind(args), kind(kwargs))

    def general_argument(self, node: ast.ClassDef, name: str, value: Any) -> Any:
        """A constructor's argument in the names of its class."""
        return items_of(name, value) if self.of_open_items(node, name, value) else Sym.name(name, witness_of(value))

    def make_again(self, layer: Instance, init: Any, bound: dict[str, Any], opened: dict[str, Any]) -> Instance:
        """An object like `layer`, made in the names of the class under construction."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        if isinstance(init, Function):
            general = {n: self.general_argument(layer.cls.node, n, v) if n in opened else v for n, v in bound.items()}
            a = init.node.args
            args = [general[p.arg] for p in (*a.posonlyargs, *a.args)[1:]]
            args += list(general[a.vararg.arg]) if a.vararg else []
            kwargs = {p.arg: general[p.arg] for p in a.kwonlyargs}
            kwargs |= general[a.kwarg.arg] if a.kwarg else {}
        else:
            made = layer.attributes["__made__"]
            args, kwargs = made.args, made.kwargs
        again = super().make_custom_layer(layer.cls, args, kwargs)
        if isinstance(again, Model):
            raise StageError("a model that is its own graph")
        again.attributes["__home__"] = self.frame
        return again

    def stage_as_layer(
        self,
        layer: Instance,
        make: Callable[[], Instance],
        args: list[Any],
        kwargs: dict[str, Any],
        reserved: Collection[str],
        layouts: list[Layout],
    ) -> Staged:
        """Evaluates constructor, `build` and `call` of a layer as one class."""
        frame = Frame(None, "class", outer=self.frame)
        frame.reserved = set(reserved)
        outer = self.frame, self.block, self.own_layers, self.in_loop, self.facts, self.comments
        self.frame, self.block, self.in_loop, self.facts = frame, Block(), 0, []
        self.own_layers = None
        dims: dict[str, tuple[int, int]] = {}
        given = tensors([*args, *kwargs.values()])
        inputs: list[Value] = []
        masks = self.mask_places(given)
        for i, (x, layout) in enumerate(zip([*given, *masks.extra], [*layouts, *[Layout.KERAS] * len(masks.extra)])):
            open_input = self.general_input(x.hint, x, layout, i, dims, len(given) > 1, reserved)
            inputs.append(self.with_fixed_sizes(open_input, layer.cls.node, x, i, dims))
        self.take_masks(given, masks, inputs)
        frame.reserved |= dims.keys()
        try:
            inner = make()
            moved_args, moved_kwargs = replace_tensors([args, kwargs], dict(zip(given, inputs)))
            result = super().call_custom_layer(inner, moved_args, moved_kwargs)
            if not has_tensors(result) or is_open(result):
                raise StageError(f"{layer.cls.name} does not return tensors alone")
            self.one_rank(result)
            places_of(result, layer.cls.node in self.memory.cells)
            block = self.block
        except BaseException:
            frame.abandoned = True
            raise
        finally:
            self.last_attempt = dims, sources_of(self.block)
            outer[0].reads.update(frame.reads)
            self.frame, self.block, self.own_layers, self.in_loop, self.facts, self.comments = outer
        block.ops.append(Return(result, frame.kept))
        cls = ModuleClass(
            layer.cls.name,
            [],
            inputs,
            block,
            doc=ast.get_docstring(layer.cls.node) or "",
            sizes=tuple(dims),
            statics=(*reserved, *frame.captures),
            key=layer.cls.node,
        )
        cls.source = layer.cls  # type: ignore[attr-defined]
        cls.annotations = annotations_of(dict(reserved) if isinstance(reserved, dict) else {}, frame.captures)
        staged = Staged(
            cls,
            inputs,
            result,
            list(reserved),
            dict(frame.captures),
            dict(frame.homes),
            dims,
            reads=frame.reads,
            kept=(args, kwargs),
        )
        return self.finish_masks(staged, masks, layer.cls.node)

    def with_fixed_sizes(
        self, value: Value, node: ast.ClassDef, given: Value, index: int, dims: dict[str, tuple[int, int]]
    ) -> Value:
        """An input of a class with the sizes that decide its structure as they are seen."""
        frozen = self.memory.frozen
        everything = self.flat or self.at_root and self.active == [node]
        fixed = [n for n, (i, _) in dims.items() if i == index and (everything or (id(node), n) in frozen)]
        if not fixed:
            return value
        shape = list(value.type.shape)
        for name in fixed:
            axis = dims[name][1]
            shape[axis] = given.type.shape[axis]
            if isinstance(shape[axis], Sym):
                raise OuterSize(shape[axis], "the size of an input decides the structure")
        result = Value(replace(value.type, shape=tuple(shape)), value.hint)
        self.origins[result] = Origin([], [result], lambda xs: None)
        return result

    def construct_custom(self, layer: Instance, staged: Staged, values: dict[str, Any], given: list[Value]) -> Member:
        node = layer.cls.node
        values = {n: whole_of(v) if self.of_open_items(node, n, v) else v for n, v in values.items()}
        values |= {label: given[i].type.shape[axis] for label, (i, axis) in staged.dims.items()}
        for name, outer in staged.captures.items():
            values[name] = (
                outer
                if self.frame is staged.homes.get(name) or self.frame.kind == "factory"
                else self.capture(name, outer, staged.homes.get(name))
            )
        common = layer.attributes["__common__"]
        name = common.get("attribute", common.get("name"))
        member = Member(
            "", staged_hint(staged.cls.name), name if isinstance(name, str) else None, order=common["index"]
        )
        member.construction = Construction(staged.cls, own_copy(values))
        member.step = Step(module=f"{staged.cls.name}()", hint=member.hint, stateful=True)
        return member

    def apply_custom(self, staged: Staged, member: Member, args: list[Any], kwargs: dict[str, Any]) -> Any:
        given = tensors([*args, *kwargs.values()])
        operands = self.operands(staged, given)
        xs = [self.to_layout(x, i.type.layout) for x, i in zip(operands, staged.inputs)]
        values = dict(member.construction.values) if member.construction else {}
        values |= {label: operands[i].type.shape[axis] for label, (i, axis) in staged.dims.items()}
        results = self.results_of(staged, values, member)
        self.kept.update(results)
        self.of_layers.update(results)
        assert member.step is not None
        masks = self.masks_before(staged, given)
        places = places_of(staged.whole, staged.cls.key in self.memory.cells)
        self.emit(Apply(results, xs, member.step, member, places, self.where()))
        self.give_masks(staged, masks, results)
        self.remember(
            given,
            results,
            lambda new: self.apply_custom(staged, member, *replace_tensors([args, kwargs], dict(zip(given, new)))),
        )
        return replace_tensors(staged.result, dict(zip(tensors(staged.result), results)))

    def construct_again(self, member: Member, staged: Staged, old: list[Value], new: list[Value]) -> Any:
        if self.fixed_mode is not None:
            raise StageError("a model is called with a mode of its own")
        xs = [self.to_layout(x, i.type.layout) for x, i in zip(self.operands(staged, new), staged.inputs)]
        results = [Value(o.type, o.hint) for o in old]
        member.shared = True
        assert member.step is not None
        masks = self.masks_before(staged, new)
        self.emit(Apply(results, xs, member.step, member, places_of(staged.whole, staged.cls.key in self.memory.cells)))
        self.give_masks(staged, masks, results)
        return results

    def results_of(self, staged: Staged, values: dict[str, Any], member: Member) -> list[Value]:
        """The tensors that a call of a staged function gives, their sizes in the caller's terms."""
        outputs = tensors(staged.result)
        results = []
        for output, shape, labels in zip(outputs, staged.result_shapes, size_labels(outputs)):
            sizes = tuple(self.outside(d, staged, values, member, label) for d, label in zip(shape, labels))
            results.append(Value(replace(output.type, shape=sizes), output.hint))
        return [*results, *self.returned_masks(staged)]

    def outside(self, dim: Any, staged: Staged, values: dict[str, Any], member: Member, label: str) -> Any:
        """The size of a result in the caller's terms: written out if it is short, else read from the submodule."""
        if not isinstance(dim, Sym):
            return dim
        if dim.names() <= values.keys():
            known = substitute(dim, values)
            if is_short(known):
                return known
        staged.cls.outs[label] = dim
        self.memory.shown.append((member, staged.cls.key, label))
        return Sym(ast.Attribute(ast.Name(f"member__{id(member)}", ast.Load()), label, ast.Load()), dim.witness, True)


def is_logic(test: ast.expr) -> bool:
    """Whether a test joins the mode and tests without it by `and`, `or` and `not`."""
    if isinstance(test, ast.BoolOp):
        return all(map(is_logic, test.values))
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return is_logic(test.operand)
    return ast.unparse(test) == MODE or MODE not in ast.unparse(test)


def watched(layer: Instance) -> Callable[[], bool]:
    """A function that tells whether an object of the program was changed since; whether it is trained does not count."""

    def attributes() -> dict[str, Any]:
        return {n: v for n, v in layer.attributes.items() if n != "trainable" and not n.startswith("__")}

    before = own_copy(attributes())
    inner = Snapshot(None, before.values())
    return lambda: not unchanged(attributes(), before) or inner.changed()


def replaced(args: list[Any], kwargs: dict[str, Any], place: int | str, value: Any) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call with another value in one place."""
    if isinstance(place, str):
        return args, {**kwargs, place: value}
    return [*args[:place], value, *args[place + 1 :]], kwargs


def holds_layers(value: Any) -> bool:
    """Whether a value is a layer or a model, or a structure with one."""
    if isinstance(value, (list, tuple)):
        return any(map(holds_layers, value))
    if isinstance(value, dict):
        return holds_layers(list(value.values()))
    return isinstance(value, (Layer, LambdaLayer, Model, Instance))


def rest_names(node: Any) -> list[str]:
    """The names of the parameters that take what is left of the arguments."""
    return [p.arg for p in (node.args.vararg, node.args.kwarg) if p is not None]


def as_symbol(value: Any) -> Sym:
    """An open value as one expression."""
    return value if isinstance(value, Sym) else Sym(to_ast(value), witness_of(value))
