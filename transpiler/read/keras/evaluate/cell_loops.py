"""`RNN` over cells that the program defines: the cell becomes a module, which a loop over the steps calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from transpiler.ir.expr import code_of, same
from transpiler.ir.model import KERAS2, Layer, Lowering, Step
from transpiler.ir.program import Apply, Block, Value, tensors
from transpiler.ir.shape import Layout, TensorType
from transpiler.read.keras.evaluate.custom_layers import Made
from transpiler.read.keras.evaluate.masks import PLAIN, CallMasks, parameters_of
from transpiler.read.keras.evaluate.program_classes import is_own_layer
from transpiler.read.keras.evaluate.values import Class, Function, Instance, Origin, TensorShape
from transpiler.rules.base import LayerRule
from transpiler.rules.bidirectional import MERGES, Bidirectional
from transpiler.rules.cells import RNN

OWN = "__directions__"
"""The attribute of a Bidirectional layer that has the two layers which Keras makes of the one it is given."""


@dataclass(frozen=True)
class Run:
    """How cells are run: over `x` (batch, steps, …), backwards or not, with a mask or without; what is asked of them."""

    x: Value
    states: Sequence[Value]
    mask: Value | None
    backwards: bool
    sequences: bool
    return_state: bool
    zeros: bool

    def call(self, count: int) -> str:
        """The call of the loop, over operands: the sequence, the mask if there is one, and `count` states."""
        turned = ".flip(1)" if self.backwards else ""
        first = 1 if self.mask is None else 2
        states = f"({', '.join(f'{{{first + i}}}' for i in range(count))}{',' if count == 1 else ''})"
        if self.mask is None:
            return f"run_cell({{self}}, {{0}}{turned}, {states})"
        return (
            f"run_masked_cell({{self}}, {{0}}{turned}, {states}, {{1}}{turned}{', zeros=True' if self.zeros else ''})"
        )


def own_cells(layer: Any) -> list[Any]:
    """The cells that an RNN runs one after the other, if one of them is the program's own; else none."""
    if not isinstance(layer, Layer) or not isinstance(layer.rule, RNN):
        return []
    cells = list(RNN.stack(layer.args) or [layer.args.cell])
    return cells if any(isinstance(c, Instance) for c in cells) else []


class CellLoops:
    """The part of the interpreter that knows them."""

    def make_layer(self, rule: LayerRule, args: list[Any], kwargs: dict[str, Any]) -> Any:
        layer = super().make_layer(rule, args, kwargs)  # type: ignore[misc]
        if isinstance(rule, Bidirectional) and own_cells(layer.args.layer):
            a = layer.args
            if a.backward_layer is not None or a.layer.args.const("go_backwards"):
                raise self.declined("K2T102", "Bidirectional of such layers is not translated")  # type: ignore[attr-defined]
            layer.attributes[OWN] = [self.copied_rnn(a.layer, backwards) for backwards in (False, True)]
        return layer

    def apply_layer(self, layer: Layer, xs: list[Value], how: CallMasks = PLAIN) -> Any:
        ways = layer.attributes.get(OWN) or ([layer] if own_cells(layer) else [])
        if not ways:
            return super().apply_layer(layer, xs, how)  # type: ignore[misc]
        a, given = ways[0].args, list(xs)
        masks, _ = self.masks_for(layer.rule, xs, how)  # type: ignore[attr-defined]
        x, *states = self.to_layouts(xs, Layout.KERAS)  # type: ignore[attr-defined]
        _, read = self.mask_operands(layer.rule, layer.args, [x, *states], masks, how.heard)  # type: ignore[attr-defined]
        sequences, zeros = a.const("return_sequences"), a.const("zero_output_for_mask")
        run = Run(x, states, read[0] if read else None, False, sequences, a.const("return_state"), zeros)
        if layer in ways:
            made, computed = self.run_cells(layer, replace(run, backwards=a.const("go_backwards")))
            outputs = made[:1]
        else:
            outputs, made, computed = self.run_both_ways(layer, run)
        mask = masks[0] if sequences else None
        result = [self.with_mask(y, [*given, x], mask if y in outputs else None) for y in made]  # type: ignore[attr-defined]
        among = tensors(how.given)
        count = len(given)

        def replay(new: list[Value]) -> Any:
            return self.apply_layer(layer, new[:count], how.moved(dict(zip(among, new[count:]))))

        self.remember([*given, *among, *computed], result, replay, layer)  # type: ignore[attr-defined]
        self.nested.update({y: (layer, [*given, *among], result) for y in result})  # type: ignore[attr-defined]
        layer.attributes.setdefault("calls", []).append((given, result))
        return result[0] if len(result) == 1 else result

    def visit_cell(self, cls: Class) -> None:
        """Called for each class of the program whose objects a loop over the steps calls."""

    # --- cells --------------------------------------------------------------------------------------------------------

    def run_cells(self, layer: Layer, run: Run) -> tuple[list[Value], list[Value]]:
        """The output of a layer and, if asked for, the states after it; and what single calls of its cells compute."""
        cells, computed = own_cells(layer), list[Value]()
        if len(cells) > 1 and (run.states or run.return_state):
            raise self.declined("K2T103", "a stack of cells with initial states or return_state is not translated")  # type: ignore[attr-defined]
        if layer.args.const("stateful"):
            raise self.declined("K2T102", "stateful=True of an RNN over the program's own cells is not translated")  # type: ignore[attr-defined]
        if layer.args.get("trainable") is False:
            raise self.declined("K2T102", "RNN(trainable=False) of such cells is not translated")  # type: ignore[attr-defined]
        made = [run.x]
        for i, cell in enumerate(cells):
            last = i == len(cells) - 1
            one = replace(run, x=made[0], sequences=run.sequences or not last, zeros=run.zeros and last)
            if isinstance(cell, Instance):
                self.check_cell(cell)
                self.visit_cell(cell.cls)
                made, found = self.run_over_steps(cell, one, len(cells) > 1)
            else:
                made = found = self.run_keras_cell(layer, cell, one)
            computed += found
            if run.backwards and not last:
                mask = run.mask and self.flipped(run.mask)
                run = replace(run, backwards=False, mask=mask)
        return made, computed

    def run_keras_cell(self, layer: Layer, cell: Any, run: Run) -> list[Value]:
        """A cell of Keras among others."""
        rule, own = layer.rule.run(layer.args, cell)  # type: ignore[attr-defined]
        own = own.replace(return_sequences=run.sequences, go_backwards=run.backwards, zero_output_for_mask=run.zeros)
        lowering = rule.lower(own, [replace(run.x.type, masked=run.mask is not None)])
        steps = [
            replace(s, weights={k: replace(w, source=w.source.removeprefix("cell.")) for k, w in s.weights.items()})
            for s in lowering.steps
        ]
        masks = [] if run.mask is None else [run.mask]
        made = self.emit_lowering(replace(lowering, steps=steps), [run.x], cell, masks=masks)  # type: ignore[attr-defined]
        self.remember([run.x], made, lambda new: self.run_keras_cell(layer, cell, replace(run, x=new[0])), cell)  # type: ignore[attr-defined]
        return made

    def flipped(self, x: Value) -> Value:
        step = Step(fn="{0}.flip(1)", hint=x.hint)
        (y,) = self.emit_lowering(Lowering([step], [x.type]), [x], None, x.hint)  # type: ignore[attr-defined]
        self.same_batch([x], [y])  # type: ignore[attr-defined]
        self.remember([x], [y], lambda new: [self.flipped(new[0])])  # type: ignore[attr-defined]
        return y

    def check_cell(self, cell: Instance) -> None:
        """Raises Declined for a cell that Keras cannot run, or that the loop would not run as Keras does."""
        name = cell.cls.name
        if not is_own_layer(cell):
            raise self.declined("K2T102", f"RNN({name}): a cell that derives from a layer of Keras is not translated")  # type: ignore[attr-defined]
        build = cell.cls.lookup("build")
        if self.generation != KERAS2 and isinstance(build, Function) and len(parameters_of(build)[0]) > 1:  # type: ignore[attr-defined]
            raise self.declined("K2T104", f"RNN of Keras 3 builds {name} with the shape of its inputs alone")  # type: ignore[attr-defined]

    def zero_states(self, cell: Instance, x: Value) -> list[Value]:
        """What the states are before the first step, where the call does not say."""
        own = cell.cls.lookup("get_initial_state")
        if own is not None:
            given = {"batch_size": self.size(x, 0)}  # type: ignore[attr-defined]
            if self.generation == KERAS2:  # type: ignore[attr-defined]
                given |= {"inputs": None, "dtype": x.type.dtype}
            found = tensors(self.run_method(cell, own, [], given))  # type: ignore[attr-defined]
            if not found:
                raise self.declined("K2T102", f"get_initial_state() of {cell.cls.name} is not evaluated")  # type: ignore[attr-defined]
            return found
        made: list[tuple[Any, Value]] = []
        states = []
        for size in self.sizes_of_states(cell):
            known = next((state for other, state in made if same(other, size)), None)
            states.append(known or self.zero_state(x, size))
            made.append((size, states[-1]))
        return states

    def sizes_of_states(self, cell: Instance) -> list[tuple[Any, ...]]:
        """The shape of each state of a cell, without batch."""
        found = self.getattr(cell, "state_size")  # type: ignore[attr-defined]
        several = isinstance(found, (list, tuple)) and not isinstance(found, TensorShape)
        sizes = [tuple(s) if isinstance(s, TensorShape) else (s,) for s in (found if several else [found])]
        if not sizes or not all(is_number(d) for size in sizes for d in size):
            raise self.declined("K2T102", f"the state_size of {cell.cls.name} is not evaluated")  # type: ignore[attr-defined]
        return sizes

    def zero_state(self, x: Value, size: tuple[Any, ...]) -> Value:
        dims = ", ".join(code_of(d) for d in size)
        kind = TensorType((x.type.shape[0], *size), x.type.dtype)
        step = Step(fn=f"{{0}}.new_zeros(len({{0}}), {dims})", hint="state")
        (state,) = self.emit_lowering(Lowering([step], [kind]), [x], None, "state")  # type: ignore[attr-defined]
        self.same_batch([x], [state])  # type: ignore[attr-defined]
        self.remember([x], [state], lambda new: [self.zero_state(new[0], size)])  # type: ignore[attr-defined]
        return state

    def run_over_steps(self, cell: Instance, run: Run, stacked: bool) -> tuple[list[Value], list[Value]]:
        """As `run_cells`, for one cell."""
        states = list(run.states) or self.zero_states(cell, run.x)
        y, after, op = self.one_step_of_cell(cell, run.x, states, stacked)
        sizes = (y.type.shape[0], run.x.type.shape[1], *y.type.shape[1:]) if run.sequences else y.type.shape
        results = [Value(TensorType(sizes, y.type.dtype), "x")]
        results += [Value(s.type, s.hint) for s in after] if run.return_state else []
        self.same_batch([run.x], results)  # type: ignore[attr-defined]
        output, text = "{0}[0]" if run.sequences else "{0}[0][:, -1]", run.call(len(states))
        if op is not None:
            outputs = (output, *(f"{{0}}[{i + 1}]" for i in range(len(after)))) if run.return_state else ()
            step = replace(
                op.step,
                fn=text if outputs else output.replace("{0}", text),
                stateful=True,
                helpers=("run_cell" if run.mask is None else "run_masked_cell",),
            )
            operands = [run.x, *([] if run.mask is None else [run.mask]), *states]
            self.emit(Apply(results, operands, step, op.member, outputs, self.where()))  # type: ignore[attr-defined]
        return results, [y, *after]

    def one_step_of_cell(
        self, cell: Instance, x: Value, states: list[Value], stacked: bool
    ) -> tuple[Value, list[Value], Apply | None]:
        """What the cell makes of one step: the output, the states, and the call of its module where there is one."""
        name = cell.cls.name
        step = Value(TensorType((x.type.shape[0], *x.type.shape[2:]), x.type.dtype), "inputs")
        begin = [Value(s.type, s.hint) for s in states]
        for value in (step, *begin):
            self.origins[value] = Origin([], [value], lambda xs: None)  # type: ignore[attr-defined]
        self.same_batch([x], [step, *begin])  # type: ignore[attr-defined]
        outer, self.block = self.block, Block()
        try:
            result = self.call(cell, [step, tuple(begin)], {})  # type: ignore[attr-defined]
            written = self.block.ops
        finally:
            self.block = outer
        if not isinstance(result, (list, tuple)) or len(result) != 2 or not isinstance(result[0], Value):
            raise self.declined("K2T102", f"call() of {name} does not return an output and its states")  # type: ignore[attr-defined]
        y, after = result[0], tensors(result[1])
        if stacked and isinstance(result[1], Value) and self.generation != KERAS2:  # type: ignore[attr-defined]
            raise self.declined("K2T104", f"Keras 3 takes the states of {name} apart: in a stack they have to be a list")  # type: ignore[attr-defined]
        if len(after) != len(states) or not all(
            same(s.type.shape[1:], t.type.shape[1:]) for s, t in zip(after, states)
        ):
            raise self.declined("K2T104", f"the states that {name} returns are not like those it takes")  # type: ignore[attr-defined]
        if self.has_statistics(cell, set()):  # type: ignore[attr-defined]
            raise self.declined("K2T102", f"{name} holds a BatchNormalization, which Keras updates once too often")  # type: ignore[attr-defined]
        if not self.writes:  # type: ignore[attr-defined]
            return y, after, None
        *before, op = written
        if not isinstance(op, Apply) or op.args != [step, *begin] or any(isinstance(o, Apply) for o in before):
            raise self.declined("K2T102", f"{name} reads tensors that are neither its inputs nor its states")  # type: ignore[attr-defined]
        for other in before:
            self.emit(other)  # type: ignore[attr-defined]
        return y, after, op

    # --- both ways ----------------------------------------------------------------------------------------------------

    def copied_rnn(self, layer: Layer, backwards: bool) -> Layer:
        """A layer of the same configuration, with cells of its own."""
        cells = [self.copied_cell(c) if isinstance(c, Instance) else self.copied(c) for c in own_cells(layer)]  # type: ignore[attr-defined]
        cell = cells if RNN.stack(layer.args) is not None else cells[0]
        args = layer.args.replace(
            cell=cell, go_backwards=backwards, zero_output_for_mask=layer.args.const("return_sequences")
        )
        made = Layer(layer.rule, args, layer.name, len(self.layers), layer.span)  # type: ignore[attr-defined]
        self.layers.append(made)  # type: ignore[attr-defined]
        return made

    def copied_cell(self, cell: Instance) -> Instance:
        """A cell made of the configuration of another: what `get_config` says, else what its constructor was given."""
        made: Made = cell.attributes["__made__"]
        if cell.cls.lookup("from_config") is not None:
            raise self.declined("K2T107", f"from_config() of {cell.cls.name} is not translated")  # type: ignore[attr-defined]
        if cell.cls.lookup("get_config") is None:
            if self.generation == KERAS2 and (made.args or made.kwargs):  # type: ignore[attr-defined]
                raise self.declined("K2T104", f"Bidirectional needs get_config() of {cell.cls.name}")  # type: ignore[attr-defined]
            return self.instantiate(cell.cls, list(made.args), dict(made.kwargs))  # type: ignore[attr-defined]
        cell.attributes["__config__"] = {}
        config = self.call(self.getattr(cell, "get_config"), [], {})  # type: ignore[attr-defined]
        del cell.attributes["__config__"]
        if not isinstance(config, dict):
            raise self.declined("K2T107", f"get_config() of {cell.cls.name} is not evaluated")  # type: ignore[attr-defined]
        return self.instantiate(cell.cls, [], config)  # type: ignore[attr-defined]

    def run_both_ways(self, layer: Layer, run: Run) -> tuple[list[Value], list[Value], list[Value]]:
        """The outputs of a Bidirectional layer, all it returns, and what single calls of its cells compute."""
        half, merge = len(run.states) // 2, layer.args.const("merge_mode")
        if run.mask is not None and run.return_state and self.generation != KERAS2:  # type: ignore[attr-defined]
            raise self.declined("K2T104", "Keras 3 fails for Bidirectional with return_state and a mask")  # type: ignore[attr-defined]
        ahead, back = layer.attributes[OWN]
        (y, *after), computed = self.run_cells(ahead, replace(run, states=run.states[:half]))
        (z, *others), more = self.run_cells(back, replace(run, states=run.states[half:], backwards=True))
        if run.sequences:
            z = self.flipped(z)
        outputs = [y, z] if merge is None else [self.merged(y, z, merge)]
        return outputs, [*outputs, *after, *others], [*computed, *more]

    def merged(self, y: Value, z: Value, merge: str) -> Value:
        width = y.type.shape[-1] + z.type.shape[-1] if merge == "concat" else y.type.shape[-1]
        kind = replace(y.type, shape=(*y.type.shape[:-1], width))
        (result,) = self.emit_lowering(Lowering([Step(fn=MERGES[merge], hint="x")], [kind]), [y, z], None)  # type: ignore[attr-defined]
        self.same_batch([y], [result])  # type: ignore[attr-defined]
        self.remember([y, z], [result], lambda new: [self.merged(*new, merge)])  # type: ignore[attr-defined]
        return result


def is_number(value: Any) -> bool:
    """Whether a size is known or an open number."""
    return isinstance(value, int) or hasattr(value, "witness") and isinstance(value.witness, int)
