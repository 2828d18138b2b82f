"""Masks: which tensor carries which, as each generation of Keras hands them from layer to layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from transpiler.ir.model import KERAS2, KERAS3, Args, Layer, Lowering, MaskOf, Step
from transpiler.ir.program import Apply, Value, replace_tensors, tensors
from transpiler.ir.shape import TensorType
from transpiler.read.keras.evaluate.values import Function, Instance, LambdaLayer, Origin, has_tensors
from transpiler.rules.base import LayerRule


@dataclass(frozen=True, eq=False)
class LostMask:
    """A mask that Keras has here and the generated code does not: `error()` is raised where something reads it."""

    error: Callable[[], Exception]
    taken_by: Value | None = None
    """What came out of the layer that took it off: what is computed of that surely sees no mask."""


@dataclass(frozen=True)
class CallMasks:
    """What a call of one of Keras's layers says about masks."""

    given: dict[int, Any] = field(default_factory=dict)
    """The masks given by name: input → mask; after the inputs, one that belongs to none."""
    heard: bool = True
    """Whether the layer is told the masks of its inputs; else it only hands them on."""
    flags: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the call, for the rule."""
    kept: bool = False
    """Whether the masks are part of Keras 3's graph."""

    def moved(self, mapping: dict[Value, Any]) -> CallMasks:
        return replace(self, given=replace_tensors(self.given, mapping))


PLAIN = CallMasks()
Mask = Value | LostMask | None


def packed(value: Any, leaves: Any) -> Any:
    """The leaves of a structure of tensors replaced one by one, in order."""
    if isinstance(value, (list, tuple)):
        return [packed(v, leaves) for v in value]
    if isinstance(value, dict):
        return {k: packed(v, leaves) for k, v in value.items()}
    return next(leaves)


def leaves_of(value: Any) -> list[Any]:
    """The leaves of a structure, None included."""
    if isinstance(value, (list, tuple)):
        return [x for v in value for x in leaves_of(v)]
    if isinstance(value, dict):
        return [x for v in value.values() for x in leaves_of(v)]
    return [value]


class Masks:
    """The part of the interpreter that knows masks. They are ordinary tensors; what nobody reads is not written."""

    masks: dict[Value, Any]

    def mask_of(self, x: Any) -> Value | None:
        """The mask that a tensor carries. Raises what a mask that was lost raises."""
        return self.readable(self.masks.get(x) if isinstance(x, Value) else None)

    @staticmethod
    def readable(mask: Mask) -> Value | None:
        if isinstance(mask, LostMask):
            raise mask.error()
        return mask

    def masks_in(self, value: Any, kept: bool = False) -> Any:
        """The masks of the tensors in a structure, in the same structure; `kept` in Keras 3's graph."""
        planned = [self.planned_masks.get(x) if kept and isinstance(x, Value) else None for x in leaves_of(value)]
        return packed(value, iter([p or self.mask_of(x) for p, x in zip(planned, leaves_of(value))]))

    def lost(self, reason: str, taken_by: Value | None = None) -> LostMask:
        return LostMask(lambda: self.declined("K2T105", reason), taken_by)  # type: ignore[attr-defined]

    def set_mask(self, x: Value, mask: Mask) -> None:
        if mask is None:
            self.masks.pop(x, None)
        else:
            self.masks[x] = mask

    def with_mask(self, y: Value, given: Sequence[Value], mask: Mask, planned: Mask = None) -> Value:
        """`y` with a mask; if it is one of the tensors `given`, which keeps its own, another name for it."""
        if self.masks.get(y) is mask and planned is mask:
            return y
        if y in given:
            (z,) = [Value(y.type, y.hint)]
            self.emit(Apply([z], [y], Step(fn="{0}")))  # type: ignore[attr-defined]
            self.same_batch([y], [z])  # type: ignore[attr-defined]
            y = z
        self.set_mask(y, mask)
        if planned is not None and planned is not mask:
            self.planned_masks[y] = planned
        return y

    def setattr(self, target: Any, name: str, value: Any) -> None:
        if isinstance(target, Value) and name == "_keras_mask":
            self.set_mask(target, value)
        else:
            super().setattr(target, name, value)  # type: ignore[misc]

    # --- layers of Keras ----------------------------------------------------------------------------------------------

    def masks_of_call(self, layer: Layer, xs: list[Value], kwargs: dict[str, Any], arguments: list[Any]) -> CallMasks:
        """What a call with these tensor arguments says about masks, taken out of `kwargs`."""
        rule, kept = layer.rule, self.keeps_masks(arguments, kwargs)
        given: dict[int, Mask] = {}
        flags: dict[str, Any] = {}
        for name in rule.call_flags:
            flag = kwargs.pop(name, False)
            if not isinstance(flag, bool):
                raise self.declined("K2T102", f"{name}= of this {rule.keras[0]} cannot be evaluated")  # type: ignore[attr-defined]
            flags |= {name: True} if flag else {}
        whole = kwargs.pop("mask", None) if rule.takes_mask or kwargs.get("mask") is None else None
        if whole is not None:
            leaves = leaves_of(whole)
            given = dict(enumerate([*leaves, *[None] * (len(xs) - len(leaves))]))
        for name, place in rule.mask_arguments(self.generation).items():  # type: ignore[attr-defined]
            mask = kwargs.pop(name, None)
            if mask is not None:
                place = len(xs) if place is None else place
                given[place], flags = mask, flags | ({name: True} if place == len(xs) else {})
        if any(m is not None and not isinstance(m, Value) for m in given.values()):
            raise self.declined("K2T105", f"the mask given to this {rule.keras[0]} is not a tensor")  # type: ignore[attr-defined]
        alone = self.generation == KERAS2 or len(arguments) == 1 or whole is not None  # type: ignore[attr-defined]
        return CallMasks(given, alone or rule.hears_all, flags, kept)

    def keeps_masks(self, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
        """Whether Keras 3 notes the masks of a call in its graph: `Layer.__call__` fills them into keywords that are its own
        unless it converts the arguments first, as it does for anything but one tensor of floats."""
        if self.generation == KERAS2 or self.called or kwargs or len(args) != 1:  # type: ignore[attr-defined]
            return False
        return isinstance(args[0], Value) and args[0].type.dtype.startswith("float")

    def masks_for(self, rule: LayerRule, xs: Sequence[Value], how: CallMasks) -> tuple[list[Mask], list[Mask]]:
        """The masks that a call on tensors goes by, those of no input last; and those when the graph is built."""
        own, planned = [self.mask_beside(x, xs) for x in xs], [self.planned_mask(x) for x in xs]
        if how.kept and rule.takes_mask:
            own = [p or m for p, m in zip(planned, own)]
        more = range(len(xs), max([len(xs), *(k + 1 for k in how.given)]))
        return tuple([*(how.given.get(i, m) for i, m in enumerate(ms)), *(how.given.get(i) for i in more)] for ms in (own, planned))  # type: ignore[return-value]

    def planned_mask(self, x: Value) -> Mask:
        return self.planned_masks.get(x, self.masks.get(x))

    def mask_beside(self, x: Value, xs: Sequence[Value]) -> Mask:
        """The mask of one input of a call: none if another one was made by what took it off."""
        mask = self.masks.get(x)
        if isinstance(mask, LostMask) and mask.taken_by is not None and any(self.follows(y, mask.taken_by) for y in xs):
            return None
        return mask

    def follows(self, y: Value, x: Value) -> bool:
        """Whether a tensor is surely computed after another, of it."""
        todo, seen = [y], set()
        while todo:
            value = todo.pop()
            if value is x:
                return True
            if value not in seen:
                seen.add(value)
                origin = self.origins.get(value)  # type: ignore[attr-defined]
                todo += origin.inputs if origin is not None else []
        return False

    def take_masks_off(self, xs: Sequence[Value], y: Value) -> None:
        """Keras 3's MultiHeadAttention takes the masks off its inputs, for whatever is called after it."""
        for x in xs:
            if x not in self.masks or isinstance(self.masks[x], LostMask):
                continue
            if self.called:  # type: ignore[attr-defined]
                del self.masks[x]
                continue
            self.planned_masks[x] = self.masks[x]
            self.masks[x] = self.lost(
                "whether MultiHeadAttention has taken the mask off depends on the order of calls", y
            )

    def mask_operands(
        self, rule: LayerRule, args: Args, xs: Sequence[Value], masks: Sequence[Mask], heard: bool
    ) -> tuple[list[TensorType], list[Value]]:
        """The types of a layer's inputs as its rule takes them, and the masks that its steps read."""
        reads = rule.reads_masks(args, self.mask_kinds(xs, masks)) if heard else ()
        types = [replace(x.type, masked=i in reads) for i, x in enumerate(xs)]
        read = [self.as_bool(self.readable(masks[i])) for i in reads]
        for i, mask in zip(reads, read):
            wanted = xs[i].type.rank - rule.mask_axes if i < len(xs) else xs[0].type.rank
            if mask.type.rank != wanted:
                raise self.declined("K2T105", f"{rule.keras[0]} with a mask of {mask.type.rank} axes")  # type: ignore[attr-defined]
        return types, read

    @staticmethod
    def mask_kinds(xs: Sequence[Value], masks: Sequence[Mask]) -> list[TensorType]:
        return [replace(x.type, masked=m is not None) for x, m in zip(xs, masks)]

    def as_bool(self, mask: Any) -> Value:
        return mask if mask.type.dtype == "bool" else self.apply_operator("{0} != 0", [mask], "bool")  # type: ignore[attr-defined]

    def masks_after(
        self, rule: LayerRule, args: Args, xs: Sequence[Value], masks: Sequence[Mask], count: int
    ) -> list[Mask]:
        """The masks of the outputs of a layer."""
        plans = rule.output_masks(args, self.mask_kinds(xs, masks))
        found = [self.planned(p, xs, masks) if p is not None else None for p in plans[:count]]
        return [*found, *[None] * (count - len(found))]

    def planned(self, plan: MaskOf, xs: Sequence[Value], masks: Sequence[Mask]) -> Mask:
        """The mask that a rule describes, written into the block."""
        taken = [masks[i] for i in plan.masks]
        lost = next((m for m in taken if isinstance(m, LostMask)), None)
        if lost is not None:
            return lost
        operands = [*(xs[i] for i in plan.inputs), *taken]
        if plan.fn == "{0}" or plan.joins and len(set(taken)) == 1:
            return operands[0]
        if any(m.type.rank != xs[i].type.rank - 1 for m, i in zip(taken, plan.masks)):  # type: ignore[union-attr]
            return self.lost("a mask with other axes than the steps of its tensor is not translated")
        return self.make_mask(plan, operands)

    def make_mask(self, plan: MaskOf, operands: list[Any]) -> Value:
        lowering = Lowering([Step(fn=plan.fn, hint="mask")], [TensorType(plan.shape, "bool")])
        (mask,) = self.emit_lowering(lowering, operands, None, "mask")  # type: ignore[attr-defined]
        self.same_batch(operands[:1], [mask])  # type: ignore[attr-defined]
        self.origins[mask] = Origin(operands, [mask], lambda new: [self.make_mask(plan, new)])  # type: ignore[attr-defined]
        return mask

    def computed_mask(self, layer: Layer, inputs: Any, mask: Any = None) -> Any:
        """`layer.compute_mask(inputs, mask)`."""
        xs, given = tensors(inputs), leaves_of(mask)
        whole = [*given, *[None] * (len(xs) - len(given))]
        found = self.masks_after(layer.rule, layer.args, xs, whole, 1)
        return self.readable(found[0])

    # --- layers of the program ----------------------------------------------------------------------------------------

    def hear_masks(
        self, layer: Instance, method: Any, args: list[Any], kwargs: dict[str, Any]
    ) -> tuple[dict[str, Any], Any]:
        """The keywords of a call with the masks that Keras fills in, and the masks that `compute_mask` gets."""
        names, rest = parameters_of(method)
        given = {**dict(zip(names, args)), **kwargs}
        first = args[0] if args else next(iter(kwargs.values()), None)
        if self.generation == KERAS3:  # type: ignore[attr-defined]
            return self.hear_masks3(names, given, first, kwargs)
        if "mask" in given:
            return kwargs, given["mask"]
        expects = "mask" in names or rest
        if not expects and not layer.attributes.get("supports_masking"):
            return kwargs, None
        if not any(x in self.masks for x in tensors(first)):
            return kwargs, None
        if not expects and not self.computes_mask(layer):
            return kwargs, packed(first, iter([self.masks.get(x) for x in leaves_of(first)]))
        masks = self.masks_in(first)
        return ({**kwargs, "mask": masks} if expects else kwargs), masks

    def hear_masks3(
        self, names: list[str], given: dict[str, Any], first: Any, kwargs: dict[str, Any]
    ) -> tuple[dict[str, Any], Any]:
        found = {k: v for k, v in given.items() if k in names and has_tensors(v)}
        heard = dict(kwargs)
        if len(found) == 1 and "mask" in names and given.get("mask") is None:
            heard["mask"] = self.masks_in(next(iter(found.values())), self.keeps_masks(list(given.values()), kwargs))
        elif len(found) > 1:
            for name, value in found.items():
                if f"{name}_mask" in names and given.get(f"{name}_mask") is None:
                    heard[f"{name}_mask"] = self.masks_in(value)
        if heard.get("mask") is not None:
            return heard, heard["mask"]
        return heard, packed(
            first, iter([self.masks.get(x) if isinstance(x, Value) else None for x in leaves_of(first)])
        )

    @staticmethod
    def computes_mask(layer: Instance) -> bool:
        return layer.attributes.get("compute_mask") is not None or layer.cls.lookup("compute_mask") is not None

    def pass_masks(self, layer: Instance, first: Any, masks: Any, result: Any) -> None:
        """What Keras does about the masks of what a layer of the program returns."""
        outputs = [y for y in leaves_of(result) if isinstance(y, Value)]
        if layer.attributes.get("supports_masking") and self.generation == KERAS3 and len(self.called) == 1:  # type: ignore[attr-defined]
            self.check_planned(layer, outputs, masks)
        if not layer.attributes.get("supports_masking") or all(self.masks.get(y) is not None for y in outputs):
            return
        if self.computes_mask(layer):
            masks = self.run_compute_mask(layer, first, masks)
        if masks is None:
            return
        for y, mask in zip(outputs, leaves_of(masks)):
            if mask is None and (self.generation == KERAS3 or y not in self.masks):  # type: ignore[attr-defined]
                continue
            if self.generation == KERAS2 or y not in self.masks:  # type: ignore[attr-defined]
                self.masks[y] = mask

    def check_planned(self, layer: Instance, outputs: list[Value], masks: Any) -> None:
        """Gives up masks that layers inside have made where the graph has others, those of the inputs."""
        if self.computes_mask(layer) or masks is None:
            return
        for y, mask in zip(outputs, leaves_of(masks)):
            if mask is not None and self.masks.get(y) not in (None, mask):
                self.masks[y] = self.lost(
                    f"{layer.cls.name} has one mask when its graph is built and another when it runs"
                )

    def run_compute_mask(self, layer: Instance, first: Any, masks: Any) -> Any:
        lost = next((m for m in leaves_of(masks) if isinstance(m, LostMask)), None)
        if lost is not None:
            raise lost.error()
        method = layer.attributes.get("compute_mask") or layer.cls.lookup("compute_mask")
        return self.run_method(layer, method, [first, masks], {})  # type: ignore[attr-defined]

    def lambda_masks(self, layer: LambdaLayer, args: list[Any], result: Any) -> Any:
        """`Lambda(mask=…)`: a function of inputs and masks, or the mask itself."""
        mask = layer.mask
        if mask is None:
            return
        first = args[0] if args else None
        found = self.call(mask, [first, self.masks_in(first)], {}) if isinstance(mask, Function) else mask  # type: ignore[attr-defined]
        for y, m in zip(tensors(result), leaves_of(found)):
            self.set_mask(y, m)


def parameters_of(method: Any) -> tuple[list[str], bool]:
    """The names of the parameters of `call` after `self`, and whether it takes any other keyword."""
    if not isinstance(method, Function):
        return [], False
    a = method.node.args
    return [p.arg for p in (*a.posonlyargs, *a.args)[1:]] + [p.arg for p in a.kwonlyargs], a.kwarg is not None
