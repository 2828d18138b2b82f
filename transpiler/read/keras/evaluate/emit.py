"""Writing what tensors do into the block under construction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import ArrayExample, NeedsConstant, Sym, is_open, witness_of
from transpiler.ir.model import ApiObject, Given, Layer, Lowering, Step
from transpiler.ir.program import Apply, Block, Member, Value
from transpiler.ir.shape import Layout, TensorType, to_first, to_keras
from transpiler.read.keras.evaluate.constants import Constant
from transpiler.read.keras.evaluate.masks import LostMask
from transpiler.read.keras.evaluate.values import Origin
from transpiler.rules.initializers import UNTRAINED, check_place, fans_of, given_code, init_call


@dataclass(eq=False)
class Built:
    """What a layer became when it was first called: its submodules by step."""

    members: dict[int, Member] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)


class Emitter:
    """Keeps the block that tensor operations are written to, and the submodules made so far."""

    writes = False
    """Whether the result is written from what is emitted."""

    def __init__(self) -> None:
        self.block = Block()
        self.built: dict[Layer, Built] = {}
        self.origins: dict[Value, Origin] = {}
        self.nested: dict[Value, tuple[Any, list[Value], list[Value]]] = {}
        """What a model called as a layer returned → the model, its inputs and its outputs in that call."""
        self.unchanged: dict[Value, list[Any]] = {}
        """Tensors that were returned as they were: Keras has another one after it. The layers that did so."""
        self.single: set[Value] = set()
        """Tensors made by what is one layer of legacy Keras: an operator, an index, a function of TensorFlow itself."""
        self.input_layers: dict[Value, ApiObject] = {}
        self.around: dict[Block, Block] = {}
        """The body of a loop → the block that the loop stands in."""
        self.makers: dict[Value, Apply] = {}
        """A tensor → the operation that makes it."""
        self.permuted: dict[Value, Value] = {}
        """A permuted tensor → the tensor it was permuted from."""
        self.permutes: dict[tuple[Value, Layout], tuple[Block, Value]] = {}
        """What has been permuted already, and in which block."""
        self.brought: dict[tuple[Constant, Any], tuple[Block, Constant]] = {}
        """A constant made elsewhere, and the class that uses it → its copy there."""
        self.masks: dict[Value, Value | LostMask] = {}
        """A tensor → the mask that Keras carries along with it."""
        self.planned_masks: dict[Value, Value | LostMask] = {}
        """A tensor → its mask when Keras 3 builds the graph, where it has another one when the graph runs."""
        self.batches: dict[Value, Value] = {}
        """A tensor → the one whose batch it surely has."""
        self.comments: tuple[str, ...] = ()
        """Comments of the statement under evaluation, for the first operation it makes."""

    @property
    def home(self) -> Any:
        """The class under construction."""
        return None

    def emit(self, op: Any) -> None:
        if isinstance(op, Apply):
            op.args = [self.brought_here(x) if isinstance(x, Constant) else x for x in op.args]
        if isinstance(op, Apply) and self.comments:
            op.comments, self.comments = self.comments, ()
        if isinstance(op, Apply):
            self.makers.update(dict.fromkeys(op.results, op))
        self.block.ops.append(op)

    def emit_constant(self, text: str, kind: TensorType, data: Any = None, hint: str = "constant") -> Constant:
        """A buffer of the class under construction."""
        step = Step(module=f"nn.Buffer({text}, persistent=False)", fn="{self}", hint=hint, stateful=True)
        member = Member(step.module or "", hint, None, None, step)
        x = Constant(kind, hint, text, data, self.home, member)
        self.emit(Apply([x], [], step, member))
        return x

    def brought_here(self, x: Constant) -> Constant:
        """A constant that another class or the module made, made again in the class under construction."""
        if x.home is self.home:
            return x
        known = self.brought.get((x, self.home))
        if known is None or known[0] is not self.block:
            made = self.emit_constant(self.text_here(x), x.type, x.data, x.hint)
            known = self.brought[x, self.home] = (self.block, made)
        return known[1]

    def text_here(self, x: Constant) -> str:
        """The text of a constant that was made elsewhere, in the names of the class under construction."""
        if x.open_names():
            raise Declined("K2T103", "a constant that depends on variables around this function is not translated")
        return x.text

    def reaches(self, block: Block) -> bool:
        """Whether what a block has made is there in the current one: the same, or a loop's body in it."""
        inner: Block | None = self.block
        while inner is not None and inner is not block:
            inner = self.around.get(inner)
        return inner is block

    def to_layout(self, x: Value, layout: Layout | None) -> Value:
        """`x` with its axes in the given order; a permute is written where needed."""
        if layout is None or x.type.rank <= 2 or x.type.layout is layout:
            return x
        before = self.permuted.get(x)
        if before is not None and before.type.layout is layout:
            return before
        known = self.permutes.get((x, layout))
        if known is not None and self.reaches(known[0]):
            return known[1]
        order = to_first(x.type.rank) if layout is Layout.FIRST else to_keras(x.type.rank)
        if isinstance(x, Constant):
            turned = f"{x.text}.permute({', '.join(map(str, order))})"
            return self.emit_constant(turned, x.type.in_layout(layout), None, x.hint)
        y = Value(x.type.in_layout(layout), x.hint)
        step = Step(
            fn=f"{{0}}.permute({', '.join(map(str, order))})", permutes=order, comment=_orders(x.type.rank, layout)
        )
        self.emit(Apply([y], [x], step))
        self.permuted[y] = x
        self.same_batch([x], [y])
        if x in self.masks:
            self.masks[y] = self.masks[x]
        self.permutes[x, layout] = (self.block, y)
        return y

    def to_layouts(self, xs: list[Value], layout: Layout | None) -> list[Value]:
        """All in `layout`; with None, all in the layout that the first image-like one has."""
        if layout is None:
            wide = [x for x in xs if x.type.rank > 2]
            if len({x.type.layout for x in wide}) <= 1 and len({x.type.rank for x in wide}) <= 1:
                return xs
            same_rank = len({x.type.rank for x in xs}) == 1
            layout = Layout.FIRST if same_rank and any(x.type.layout is Layout.FIRST for x in wide) else Layout.KERAS
        return [self.to_layout(x, layout) for x in xs]

    def same_batch(self, xs: list[Value], results: list[Value]) -> None:
        """Notes that results have the batch of the operands, if these have one."""
        open_ones = {self.batches.get(x, x) for x in xs if x.type.shape[:1] == (None,)}
        if len(open_ones) == 1:
            (batch,) = open_ones
            for y in results:
                if y.type.shape[:1] == (None,) and y is not batch:
                    self.batches[y] = batch

    def emit_lowering(
        self,
        lowering: Lowering,
        xs: list[Value],
        layer: Layer | None,
        hint: str = "x",
        span: Any = None,
        masks: Sequence[Value] = (),
    ) -> list[Value]:
        """Writes the steps of one call and returns its outputs; `masks` are operands for the steps that take them."""
        built = self.built.setdefault(layer, Built()) if layer is not None else Built()
        first_call = not built.steps
        if layer is not None and first_call and layer.attributes.get("trainable") is False:
            lowering = Lowering([untrained(s) for s in lowering.steps], lowering.types, lowering.outputs)
        if not first_call:
            frozen = not self.writes or layer is not None and layer.attributes.get("trainable") is False
            if [plain_module(s, frozen) for s in built.steps] != [plain_module(s, frozen) for s in lowering.steps]:
                raise Declined(
                    "K2T103",
                    "this layer is shared between inputs that need different modules",
                    "Use one layer for each input size.",
                )
            steps = [replace(s, module=b.module) for s, b in zip(lowering.steps, built.steps)]
            lowering = Lowering(steps, lowering.types, lowering.outputs)
        if first_call:
            for step in lowering.steps:
                for parameter, value in step.init.items():
                    if isinstance(value, Given):
                        note_shape(value, layer, step.weights[parameter].source, xs)
                        given_code(value, step.weights[parameter].transform)
                    elif isinstance(value, ApiObject) and is_open([*value.args, *value.kwargs.values()]):
                        found = next(v for v in (*value.args, *value.kwargs.values()) if isinstance(v, Sym))
                        raise NeedsConstant(found, "the arguments of an initializer decide what is written")
                    check_place(value, step.weights[parameter].transform if parameter in step.weights else ())
                    init_call(
                        value, parameter or "weight", fans_of(step, parameter)
                    )  # raises Declined here, where the place is known
        built.steps = list(lowering.steps)
        current = xs
        last = len(lowering.steps) - 1
        for i, step in enumerate(lowering.steps):
            final = i == last
            results = [Value(t, hint) for t in lowering.types] if final else [Value(lowering.types[0], hint)]
            member = None
            if step.module is not None:
                member = built.members.get(i)
                if member is None:
                    main = layer is not None and i == _main_step(lowering.steps)
                    name = layer.attributes.get("attribute", layer.name) if main else None
                    member = built.members[i] = Member(
                        step.module, step.hint, name, layer, step, order=layer.index if layer is not None else 0
                    )
                else:
                    member.shared = True
            taken = [[*xs, *masks][k] for k in step.takes]
            self.emit(Apply(results, [*current, *taken], step, member, lowering.outputs if final else (), span))
            current = results
        if not lowering.steps:
            if lowering.types and lowering.types[0] != xs[0].type:
                y = Value(lowering.types[0], hint)
                self.emit(Apply([y], xs[:1], Step(fn="{0}")))
                return [y]
            return list(xs[:1])
        return current


def note_shape(value: Given, layer: Layer | None, variable: str, xs: list[Value]) -> None:
    """Gives what stands for an array in the conversion the shape of the weight that starts as this array."""
    example = value.code.witness
    if isinstance(example, ArrayExample) and layer is not None and xs:
        shape = layer.rule.variables(layer.args, xs[0].type).get(variable)
        known = shape is not None and all(isinstance(witness_of(d), int) for d in shape)
        example.shape = tuple(map(witness_of, shape)) if known else example.shape


def plain_module(step: Step, frozen: bool) -> str:
    """The module of a step as it is where the layer trains; of a `frozen` layer, batch normalization too."""
    module = (step.module or "").removesuffix(UNTRAINED)
    return module.replace("FrozenBatchNorm", "nn.BatchNorm", 1) if frozen else module


def untrained(step: Step) -> Step:
    """The step of a layer made with `trainable=False`."""
    return replace(step, module=f"{step.module}{UNTRAINED}") if step.weights else step


def _main_step(steps: list[Step]) -> int:
    """The step that carries the layer's own name: the first with weights, else the first module."""
    for i, step in enumerate(steps):
        if step.weights:
            return i
    return next((i for i, s in enumerate(steps) if s.module), 0)


def _orders(rank: int, layout: Layout) -> str:
    letters = {3: "NLC", 4: "NHWC", 5: "NDHWC"}.get(rank)
    if letters is None:
        return ""
    first = letters[0] + letters[-1] + letters[1:-1]
    return f"{letters} -> {first}" if layout is Layout.FIRST else f"{first} -> {letters}"


def types_of(xs: list[Value]) -> list[TensorType]:
    return [x.type for x in xs]
