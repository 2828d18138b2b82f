"""Where the module of a layer is in the class that stands for a model: `conv1`, `classifier[2]`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from transpiler.ir.model import Step
from transpiler.ir.program import Apply, Member, ModuleClass
from transpiler.training.weight_arguments import every_layer
from transpiler.write.torch.classes import ClassWriter


def places_of(root: ModuleClass, layers: Iterable[Any], built: Any) -> dict[tuple[int, int], str] | None:
    """(layer, number of its module) → the expression of the module over `model`.

    Modules are paired as weights are: both sides in the order in which the program constructs them. None where that is
    not one module after the other, in loops and branches. Models that the class is given are left out.
    """
    modules, wanted = list(_modules(root, "model")), wanted_of(layers, built)
    if len(modules) != len(wanted) or not all(same(m[1], w[2]) for m, w in zip(modules, wanted)):
        return None
    return {(id(layer), i): place for (place, _), (layer, i, _) in zip(modules, wanted)}


def holders_of(root: ModuleClass, layers: Iterable[Any], built: Any) -> dict[tuple[int, int], str] | None:
    """The same where one attribute holds any number of modules, as those of a loop: `model.blocks.modules()` for each of these.

    None where more attributes do.
    """
    modules, wanted = list(_modules(root, "model")), wanted_of(layers, built)
    open_ones = [i for i, (_, code) in enumerate(modules) if not code]
    if len(open_ones) != 1:
        return None
    before, (place, _), after = modules[: open_ones[0]], modules[open_ones[0]], modules[open_ones[0] + 1 :]
    rest = len(wanted) - len(before) - len(after)
    filled = [*before, *[(f"{place}{ALL}", "")] * max(rest, 0), *after]
    if rest < 0 or not all(not code or same(code, w[2]) for (_, code), w in zip(filled, wanted)):
        return None
    return {(id(layer), i): place for (place, _), (layer, i, _) in zip(filled, wanted)}


ALL = ".modules()"


def wanted_of(layers: Iterable[Any], built: Any) -> list[tuple[Any, int, str]]:
    """(layer, number of its module, constructor) for all modules with weights, in the order of construction."""
    return [
        (layer, i, step.module)
        for layer in sorted({id(x): x for x in every_layer(layers)}.values(), key=lambda x: x.index)
        if layer in built
        for i, step in enumerate(built[layer].steps)
        if step.module is not None and step.weights
    ]


def same(code: str, module: str) -> bool:
    """Whether both construct modules of one type."""
    return code.partition("(")[0] == module.partition("(")[0]


def _modules(cls: ModuleClass, owner: str) -> Iterator[tuple[str, str]]:
    """(expression, constructor) of the modules with weights, in order; "" is that of what is no single module."""
    writer = ClassWriter(cls)
    writer.name_attributes()
    steps = {op.member: op.step for op in cls.block.ops if isinstance(op, Apply)}
    for member in sorted(writer.attributes, key=lambda m: m.order):
        place = f"{owner}.{writer.attributes[member]}"
        yield from _of_member(member, steps[member], place) if member in steps else ((place, ""),)


def _of_member(member: Member, step: Step | None, place: str) -> Iterator[tuple[str, str]]:
    if member.given:
        return
    if member.choice is not None:
        yield place, ""
    elif member.construction is not None:
        yield from _modules(member.construction.cls, place)
    elif member.parts:
        for i, part in enumerate(member.parts):
            yield from _of_member(part, part.step, f"{place}[{i}]")
    elif step is None or step.module is None:
        yield place, ""
    elif step.weights:
        yield place, step.module
