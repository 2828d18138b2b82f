"""Masks and classes: a class takes the masks that it reads, and returns those that are read outside."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from transpiler.ir.expr import NeedsConstant, same
from transpiler.ir.liveness import remove_dead, use_counts
from transpiler.ir.program import Apply, Block, Branch, Return, Value, tensors
from transpiler.ir.statics import names_in_code
from transpiler.read.keras.evaluate.gathered import NotGathered
from transpiler.read.keras.evaluate.masks import LostMask
from transpiler.read.keras.evaluate.staging import Again, Memory, Staged, StageError
from transpiler.read.keras.evaluate.values import Model

MODULES = {"torch", "F", "nn"}


class MaskReturned(Again):
    """A mask that a class makes is read outside: the class made from `node` has to return it."""

    def __init__(self, node: ast.AST) -> None:
        super().__init__("a mask is read outside the class that makes it")
        self.node = node

    def note(self, memory: Memory) -> None:
        if self.node in memory.mask_returns:
            raise StageError("a mask is read outside the class that makes it")
        memory.mask_returns.append(self.node)


@dataclass(frozen=True)
class MaskPlaces:
    """The masks of the tensors given to a class: `extra` operands after them, and for each tensor where its mask is."""

    extra: list[Value]
    places: tuple[int | str | None, ...]
    """The number of an operand, "lost", or None where there is no mask."""

    @property
    def owners(self) -> list[int]:
        """For each extra operand a tensor that has it as its mask."""
        first = len(self.places)
        return [self.places.index(first + k) for k in range(len(self.extra))]


class StagedMasks:
    """The part of the stager that hands masks into classes and out of them."""

    def mask_places(self, given: Sequence[Value]) -> MaskPlaces:
        extra: list[Value] = []
        places: list[int | str | None] = []
        for x in given:
            mask = self.masks.get(x)  # type: ignore[attr-defined]
            if isinstance(mask, Value) and mask not in given and mask not in extra:
                extra.append(mask)
            known = [*given, *extra]
            places.append(known.index(mask) if isinstance(mask, Value) else "lost" if mask is not None else None)
        return MaskPlaces(extra, tuple(places))

    def take_masks(self, given: Sequence[Value], found: MaskPlaces, inputs: Sequence[Value]) -> None:
        """Inside a class: its inputs have the masks that the tensors given have."""
        for x, place, inner in zip(given, found.places, inputs):
            if x in self.planned_masks:  # type: ignore[attr-defined]
                self.masks[inner] = self.lost("a mask that Keras 3 has taken off goes into a helper")  # type: ignore[attr-defined]
            elif place == "lost":
                self.masks[inner] = self.masks[x]  # type: ignore[attr-defined]
            elif place is not None:
                self.masks[inner] = inputs[place]  # type: ignore[attr-defined,index]

    def finish_masks(self, staged: Staged, found: MaskPlaces, node: ast.AST) -> Staged:
        """Keeps of the masks that a class was given those it reads, and notes what masks its results have."""
        given = len(found.places)
        block, outputs = staged.cls.block, tensors(staged.result)
        staged.result_masks = [self.mask_outside(y) for y in outputs]
        staged.first_inputs, staged.mask_places = list(staged.inputs), found.places
        staged.made_masks = {
            m: recipe(block, m, staged.inputs)
            for m in staged.result_masks
            if isinstance(m, Value) and m not in staged.inputs
        }
        if node in self.memory.mask_returns:  # type: ignore[attr-defined]
            self.return_masks(staged)
        if not found.extra:
            return staged
        remove_dead(block, set())
        counts = use_counts(block)
        kept = [k for k in range(len(found.extra)) if counts[staged.inputs[given + k]]]
        now = {i: i for i in range(given)} | {given + k: given + n for n, k in enumerate(kept)}
        staged.inputs = [x for i, x in enumerate(staged.inputs) if i in now]
        staged.cls.inputs = staged.inputs
        staged.dims = {n: (now[i], axis) for n, (i, axis) in staged.dims.items() if i in now}
        staged.cls.sizes = tuple(staged.dims)
        owners = found.owners
        staged.masks_of = tuple(owners[k] for k in kept)
        return staged

    @staticmethod
    def returned_masks(staged: Staged) -> list[Value]:
        """Tensors for the masks that a class returns besides its results."""
        shapes = [tuple(d if isinstance(d, int) else None for d in m.type.shape) for m in staged.returned]
        return [Value(replace(m.type, shape=s), m.hint) for m, s in zip(staged.returned, shapes)]

    def mask_outside(self, y: Value) -> Any:
        if y in self.planned_masks:  # type: ignore[attr-defined]
            return self.lost("a mask that Keras 3 has taken off leaves a helper")  # type: ignore[attr-defined]
        return self.masks.get(y)  # type: ignore[attr-defined]

    def return_masks(self, staged: Staged) -> None:
        """Adds to what the class returns the masks of its results that cannot be made again outside."""
        more = [m for m, steps in staged.made_masks.items() if steps is None]
        if isinstance(staged.result, dict) or any(isinstance(v, (list, tuple, dict)) for v in listed(staged.result)):
            raise StageError("a mask is read outside the class that makes it")
        staged.returned = tuple(more)
        op = staged.cls.block.ops[-1]
        assert isinstance(op, Return)
        op.value = staged.whole

    def operands(self, staged: Staged, given: Sequence[Value]) -> list[Value]:
        """What the class is called on: the tensors given, then the masks that it reads."""
        if self.mask_places(given).places != staged.mask_places:
            raise StageError("a class is called on tensors with other masks")
        masks = [self.masks[given[i]] for i in staged.masks_of]  # type: ignore[attr-defined]
        return [*given, *masks]

    def masks_before(self, staged: Staged, given: Sequence[Value]) -> dict[Value, Any]:
        """The masks of what a class returns, as far as they need nothing but its inputs: made here, before it is called."""
        known: dict[Value, Any] = dict(zip(staged.first_inputs, [*given, *self.mask_places(given).extra]))
        for mask, steps in staged.made_masks.items():
            if mask not in staged.returned:
                known[mask] = self.lost_in(staged) if steps is None else self.made_again(steps, mask, known)
        return known

    def give_masks(self, staged: Staged, known: dict[Value, Any], results: Sequence[Value]) -> None:
        """Notes the masks of what a class returned."""
        known.update(zip(staged.returned, results[len(tensors(staged.result)) :]))
        for y, mask in zip(results, staged.result_masks):
            if mask is not None:
                self.masks[y] = known[mask] if isinstance(mask, Value) else mask  # type: ignore[attr-defined]

    def masks_of_model(self, model: Model, given: Sequence[Value], results: Sequence[Value]) -> None:
        """A model that is a module of its own takes and returns no masks."""
        if any(x in self.masks for x in given):  # type: ignore[attr-defined]
            raise StageError("a tensor with a mask goes into a model")
        own = [y in self.masks for y in tensors(model.outputs)]  # type: ignore[attr-defined]
        for y, masked in zip(results, model.attributes.get("__masked__", own)):
            if masked:
                self.masks[y] = LostMask(lambda: StageError("the mask of what a model returns is read"))  # type: ignore[attr-defined]

    # --- loops and branches ------------------------------------------------------------------------------------------

    def same_mask(self, start: Value, end: Value, node: ast.AST) -> bool:
        """Whether the mask of what a loop carries stays the same; if not, reading it inside or after unrolls the loop."""
        if self.masks.get(end) is self.masks.get(start) and end not in self.planned_masks:  # type: ignore[attr-defined]
            return True
        known = self.masks.get(start)  # type: ignore[attr-defined]
        self.masks[start] = LostMask(lambda: NotGathered(node))  # type: ignore[attr-defined]
        return isinstance(known, LostMask)

    def mask_after(self, start: Value, end: Value, result: Value, node: ast.AST) -> None:
        self.same_mask(start, end, node)
        if start in self.masks:  # type: ignore[attr-defined]
            self.masks[result] = self.masks[start]  # type: ignore[attr-defined]

    def join_masks(self, branch: Branch, result: Value, a: Value, b: Value) -> None:
        """The mask of what two sides of a branch computed."""
        masks = [self.mask_outside(x) for x in (a, b)]
        if masks[0] is masks[1]:
            self.set_mask(result, masks[0])  # type: ignore[attr-defined]
        elif all(isinstance(m, Value) and m.type.rank == masks[0].type.rank for m in masks):
            shape = tuple(d if same(d, e) else None for d, e in zip(masks[0].type.shape, masks[1].type.shape))
            joined = Value(replace(masks[0].type, shape=shape), "mask")
            branch.phis.append((joined, *masks))
            self.made_once(joined)  # type: ignore[attr-defined]
            self.masks[result] = joined  # type: ignore[attr-defined]
        else:
            error = NeedsConstant(branch.test, "whether there is a mask depends on it")
            self.masks[result] = LostMask(lambda: error)  # type: ignore[attr-defined]

    def lost_in(self, staged: Staged) -> LostMask:
        return LostMask(lambda: MaskReturned(staged.cls.key))

    def made_again(self, steps: list[Apply], mask: Value, known: dict[Value, Any]) -> Any:
        """A mask made once more, of the tensors outside."""
        local = dict(known)
        for op in steps:
            args = [local[x] for x in op.args]
            lost = next((x for x in args if isinstance(x, LostMask)), None)
            if lost is not None:
                return lost
            (old,) = op.results
            shape = tuple(d if isinstance(d, int) else None for d in old.type.shape)
            new = Value(replace(old.type, shape=shape), old.hint)
            args = [self.to_layout(x, a.type.layout) for x, a in zip(args, op.args)]  # type: ignore[attr-defined]
            self.emit(Apply([new], args, op.step))  # type: ignore[attr-defined]
            self.same_batch(args[:1], [new])  # type: ignore[attr-defined]
            local[old] = new
        return local[mask]


def listed(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (list, tuple)) else [result]


def recipe(block: Block, mask: Value, inputs: Sequence[Value]) -> list[Apply] | None:
    """The operations that make a mask of nothing but inputs of the class; None if it takes more than that."""
    makers = {r: op for op in block.ops if isinstance(op, Apply) for r in op.results}
    steps: list[Apply] = []

    def follow(x: Value) -> bool:
        if x in inputs:
            return True
        op = makers.get(x)
        if op is None or op.member is not None or op.step.fn is None or len(op.results) != 1:
            return False
        if op.step.helpers or free(op.step.fn):
            return False
        if not all(map(follow, op.args)):
            return False
        if op not in steps:
            steps.append(op)
        return True

    return steps if follow(mask) else None


def free(text: str) -> set[str]:
    """The names in the text of a step that stand for variables."""
    names = set(names_in_code(text.replace("{", "_arg_").replace("}", "_")))
    return {n for n in names if not n.startswith("_arg_")} - MODULES
