"""Layers that are frozen or set free, as `requires_grad_` of the modules or parameters that stand for them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.conversion import WeightUnit
from transpiler.ir.model import KERAS2, Layer
from transpiler.ir.program import Apply, Loop, ModuleClass, constructions
from transpiler.ir.trees import nodes
from transpiler.read.keras.evaluate.toggles import Toggle
from transpiler.read.keras.evaluate.values import Model
from transpiler.read.keras.trainable import layers_in, parts_of
from transpiler.read.keras.units import layers_with_units
from transpiler.rules.training.base import TRAINING
from transpiler.training.places import places_of
from transpiler.training.source import Scopes
from transpiler.training.weight_arguments import owner_of
from transpiler.write.torch.classes import ClassWriter

NAMED = 4
"""So many modules are listed by name; more are counted."""

Change = dict[int, bool]
"""Layers, by their ids → whether they train from there on."""


class RequiresGrad:
    """Writes what a statement sets for the layers of some models."""

    def __init__(self, interpreter: Any, class_of_model: Callable[[Model], ModuleClass | None], scopes: Scopes) -> None:
        self.interpreter, self.class_of_model, self.scopes = interpreter, class_of_model, scopes

    def lines(self, statement: ast.AST) -> list[str]:
        """The lines that stand for a statement that sets `trainable`. Raises Declined where the layers cannot be told."""
        toggles = self.interpreter.toggles
        found = [t for t in toggles if t.statement is statement]
        for name in read_outside(statement, self.scopes, self.interpreter.toggling):
            raise Declined(TRAINING, f"{name} is set where layers are frozen or set free, and read elsewhere")
        if self.interpreter.generation == KERAS2:
            check_containers(found, toggles, self.interpreter)
        if len({id(t.target) for t in found}) < len(found):
            return self.repeated(found)
        if not all(isinstance(t.value, bool) for t in found):
            raise Declined(TRAINING, "what is frozen here is not known")
        before = toggles.index(found[0])
        known = state_of(toggles[:before], self.interpreter)
        change = state_of(found, self.interpreter)
        news = {part: value for part, value in change.items() if known.get(part, True) != value}
        lines = [self.of_change(news, found[0].held)]
        for name, model in found[0].held.items():
            if news and parts_of(model, self.interpreter) == change.keys():
                lines.append(self.in_model(name, model, change, list(found[0].held.items())))
        return min(reversed(lines), key=len)

    def repeated(self, found: Sequence[Toggle]) -> list[str]:
        """The same for a statement that runs several times: it has to name one model."""
        receiver = found[0].receiver
        if receiver is None or any(t.value is not found[0].value for t in found) or self.constants(found[0].target):
            raise Declined(TRAINING, "layers that are frozen or set free again and again are not translated")
        return [f"{ast.unparse(receiver)}.requires_grad_({found[0].value})"]

    def of_change(self, change: Change, held: Mapping[str, Model]) -> list[str]:
        """The lines for a change of layers, through the variables that hold models."""
        lines: list[str] = []
        if not change:
            return lines
        models = sorted(held.items(), key=lambda item: len(parts_of(item[1], self.interpreter)))
        for name, model in models:
            own = parts_of(model, self.interpreter)
            if own and change.keys() <= own:
                return self.in_model(name, model, change, models)
        for name, model in models:
            own = parts_of(model, self.interpreter) & change.keys()
            if own:
                lines += self.in_model(name, model, {part: change.pop(part) for part in own}, models)
        if change:
            raise Declined(TRAINING, "the layers that are frozen or set free belong to no model that a variable holds")
        return lines

    def in_model(self, name: str, model: Model, change: Change, models: Sequence[tuple[str, Model]]) -> list[str]:
        """The lines for layers of one model; what most of its layers are set to is said of the whole."""
        own = parts_of(model, self.interpreter)
        lines: list[str] = []
        values = sorted(set(change.values()), key=lambda v: (-sum(x is v for x in change.values()), not v))
        if own == change.keys():
            lines = [f"{name}.requires_grad_({values[0]})", *(self.constants_again(name, model) if values[0] else ())]
            values = values[1:]
        for value in values:
            lines += self.of_layers(name, model, {p for p, v in change.items() if v is value}, value, models)
        return lines

    def of_layers(
        self, name: str, model: Model, layers: set[int], value: bool, models: Sequence[tuple[str, Model]]
    ) -> list[str]:
        """The lines that set some layers of a model, not all."""
        cls = self.class_of_model(model)
        if cls is None:
            raise Declined(TRAINING, "the layers that are frozen or set free are in no class of the result")
        given = {part for _, inner in models if inner is not model for part in parts_of(inner, self.interpreter)}
        own = [x for x in layers_in(model, self.interpreter) if id(x) not in given or not layers.isdisjoint(given)]
        places = places_of(cls, own, self.interpreter.built)
        named = [place.replace("model.", f"{name}.", 1) for (x, _), place in (places or {}).items() if x in layers]
        known = bool(named) and layers <= {x for x, _ in places or {}}
        if known and len(named) <= NAMED:
            return of_modules(named, value)
        if in_order(cls):
            if value and self.constants(model):
                raise Declined(
                    TRAINING, "layers that are set free beside weights which Keras does not have are not translated"
                )
            lines = self.counted(name, model, layers, value)
            if lines:
                return lines
        if known:
            return of_modules(named, value)
        for other, inner in models:
            inside = parts_of(inner, self.interpreter)
            if inner is not model and layers <= inside < parts_of(model, self.interpreter):
                return self.of_layers(other, inner, layers, value, models)
        raise Declined(TRAINING, "layers that are frozen or set free here and there are not translated")

    def counted(self, name: str, model: Model, layers: set[int], value: bool) -> list[str]:
        """The lines for layers by their places among all parameters, or by kinds among all modules that hold some; [] if neither."""
        modules = [
            (id(layer) in layers, kind, count)
            for layer, unit in layers_with_units(model, self.interpreter)
            for kind, count in modules_of(layer, unit, self.interpreter)
        ]
        taken = [is_taken for is_taken, _, count in modules for _ in range(count)]
        cut = as_slice([i for i, is_taken in enumerate(taken) if is_taken], len(taken))
        if cut is not None:
            return [f"for parameter in list({name}.parameters()){cut}:", f"    parameter.requires_grad_({value})"]
        places = [i for i, (is_taken, _, _) in enumerate(modules) if is_taken]
        inside = {modules[i][1] for i in places}
        left_out = {kind for is_taken, kind, _ in modules[places[0] : places[-1] + 1] if not is_taken}
        if "" in inside | left_out or inside & left_out or 1 not in (len(inside), len(left_out)):
            return []
        one, others = (inside, left_out) if len(inside) == 1 else (left_out, inside)
        (single,) = one
        if any(single.rpartition(".")[2] in kind for kind in others):  # which derives from it: Conv2dSame
            return []
        first, end = places[0], places[-1] + 1
        while first > 0 and modules[first - 1][1] in left_out:
            first -= 1
        while end < len(modules) and modules[end][1] in left_out:
            end += 1
        test = f"    if {'' if len(inside) == 1 else 'not '}isinstance(layer, {single}):"
        setting = f"        layer.requires_grad_({value})"
        cut = as_slice(range(first, end), len(modules))
        if cut == "[:]":
            return [f"for layer in {name}.modules():", test, setting]
        holders = f"[m for m in {name}.modules() if any(True for _ in m.parameters(recurse=False))]"
        known = self.scopes.names_at(self.scopes.source.tree.body[0])
        layers = "modules" if "layers" in known else "layers"  # which a file may import from Keras
        return [f"{layers} = {holders}", f"for layer in {layers}{cut}:", test, setting]

    def constants(self, model: Model) -> list[tuple[str, str]]:
        """(type of a module, parameter) of what Keras does not have and the result holds as a constant."""
        if not isinstance(model, Model):
            return []
        found: dict[tuple[str, str], None] = {}
        for layer in layers_in(model, self.interpreter):
            built = self.interpreter.built.get(layer) if isinstance(layer, Layer) else None
            for step in built.steps if built is not None else ():
                for parameter, weight in step.weights.items():
                    if not weight.source and not is_buffer(parameter):
                        found[(step.module or "").partition("(")[0], parameter] = None
        return list(found)

    def constants_again(self, name: str, model: Model) -> list[str]:
        """The lines that keep those constants when the whole model is set free."""
        lines: list[str] = []
        for kind, parameter in self.constants(model):
            if "." in parameter or not kind:
                raise Declined(TRAINING, "a model with weights which Keras does not have is not set free")
            lines += [
                f"for layer in {name}.modules():",
                f"    if isinstance(layer, {kind}):",
                f"        layer.{parameter}.requires_grad_(False)  # a constant",
            ]
        return lines


def read_outside(statement: ast.AST, scopes: Scopes, toggling: Sequence[ast.stmt]) -> list[str]:
    """The variables that a statement sets besides those of its loops, and that other statements read."""
    bound = [t.id for s in nodes(statement) if isinstance(s, ast.Assign) for t in s.targets if isinstance(t, ast.Name)]
    inside = {n for s in toggling for n in nodes(s)}
    read = {
        n.id
        for n, scope in scopes.scope.items()
        if isinstance(n, ast.Name)
        and isinstance(n.ctx, ast.Load)
        and n not in inside
        and scope is scopes.scope.get(statement)
    }
    return [n for n in bound if n in read]


def check_containers(found: Sequence[Toggle], toggles: Sequence[Toggle], interpreter: Any) -> None:
    """Raises Declined for layers that are set free inside of a frozen model that is called: legacy Keras trains none of it."""
    called = {id(inner): inner for inner, _, _ in interpreter.nested.values() if isinstance(inner, Model)}
    until = toggles.index(found[-1]) + 1
    frozen = {id(t.target): t.value is False for t in toggles[:until] if id(t.target) in called and not t.by_layer}
    free = {
        part
        for t in found
        if t.value is True and id(t.target) not in called
        for part in parts_of(t.target, interpreter)
    }
    if any(is_frozen and parts_of(called[i], interpreter) & free for i, is_frozen in frozen.items()):
        raise Declined(
            TRAINING,
            "layers that are set free inside of a frozen model, of which legacy Keras trains none, are not translated",
        )


def state_of(toggles: Sequence[Toggle], interpreter: Any) -> Change:
    """What some assignments leave behind."""
    return {part: t.value for t in toggles for part in parts_of(t.target, interpreter)}


def of_modules(named: Sequence[str], value: bool) -> list[str]:
    """The lines that set all parameters of some modules."""
    if len(named) == 1:
        return [f"{named[0]}.requires_grad_({value})"]
    return [f"for layer in ({', '.join(named)}):", f"    layer.requires_grad_({value})"]


def modules_of(layer: Any, unit: WeightUnit, interpreter: Any) -> list[tuple[str, int]]:
    """(type, number of parameters) of each module that stands for a layer and has any; the type is "" where it is not known."""
    built = interpreter.built.get(layer) if isinstance(layer, Layer) else None
    steps = [s for s in built.steps if s.weights] if built is not None else []
    kinds = [(s.module or "").partition("(")[0] for s in steps] if len(steps) == len(unit.modules) else []
    found = []
    for i, module in enumerate(unit.modules):
        optional = [n for n, weight in module.items() if weight.optional]
        uses = owner_of(layer).args.get("use_bias") if optional and isinstance(layer, Layer) else True
        if not isinstance(uses, bool):
            raise Declined(TRAINING, "whether layers that are frozen or set free have a bias is not known")
        count = sum(not is_buffer(n) for n in module if uses or n not in optional)
        found += [(kinds[i] if kinds else "", count)] if count else []
    return found


def is_buffer(parameter: str) -> bool:
    return parameter.rpartition(".")[2].startswith("running_")


def as_slice(numbers: Sequence[int], count: int) -> str | None:
    """`[:3]` for numbers that follow one another, among so many; None for others."""
    if len(list(groupby(enumerate(numbers), key=lambda item: item[1] - item[0]))) != 1:
        return None
    first, last = numbers[0], numbers[-1] + 1
    if last == count and first:
        return f"[-{count - first}:]" if count - first < first else f"[{first}:]"
    return f"[{first or ''}:{last if last < count else ''}]"


def in_order(cls: ModuleClass) -> bool:
    """Whether `parameters()` of a class has the weights in the order in which the program constructs the layers."""
    writer = ClassWriter(cls)
    text = writer.write()
    if writer.source_order or "nn.Parameter" in text or any(m.given for m in writer.attributes):
        return False
    for op in cls.block.walk():
        if isinstance(op, Loop):
            made = [o for o in op.body.walk() if isinstance(o, Apply) and o.member is not None and holds(o)]
            if len(made) > 1:  # one list of modules after the other
                return False
    return all(in_order(made.cls) for made in constructions(cls.block))


def holds(op: Apply) -> bool:
    return bool(op.step.weights) or op.member is not None and op.member.construction is not None
