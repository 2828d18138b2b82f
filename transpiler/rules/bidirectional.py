"""Recurrent layers in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of, same
from transpiler.ir.model import KERAS3, Args, Layer, MaskOf, Step, Weight
from transpiler.ir.shape import Dim, Layout, Shape, TensorType
from transpiler.rules.base import LayerRule, call
from transpiler.rules.cells import RNN
from transpiler.rules.recurrent import Recurrent, called, stateful

SHARED = ("return_sequences", "return_state", "stateful")
"""What the layers of both directions have to agree on."""

MERGES = {
    "concat": "torch.cat(({0}, {1}), dim=-1)",
    "sum": "{0} + {1}",
    "mul": "{0} * {1}",
    "ave": "({0} + {1}) / 2",
}
"""How the outputs of two modules become one."""

Direction = tuple[Recurrent, Args]


@dataclass(frozen=True)
class Way:
    """The module of one direction: whether torch has it, whether it drops inputs first, and its helpers."""

    module: str
    own: bool
    dropped: bool
    helpers: tuple[str, ...]

    @staticmethod
    def of(rule: Recurrent, a: Args, x: TensorType) -> Way:
        module, own, helpers = rule.modules(a, x)
        if not rule.input_dropout(a) or rule.gates_drop(a):
            return Way(module, own, False, helpers)
        module = f"nn.Sequential({call('SharedDropout', p=a.dropout, axes=(1,))}, {module})"
        return Way(module, own, True, ("SharedDropout", *helpers))


class Bidirectional(LayerRule):
    """A recurrent layer in both directions: torch's `bidirectional=True`, whose reverse half is in step order too."""

    keras = ("Bidirectional",)
    signature = "layer, merge_mode='concat', weights=None, backward_layer=None"
    unsupported = {
        "weights": "initial weights given as arrays are not translated",
    }
    takes_mask = True
    call_tensors = ("sequences", "initial_state")
    examples = (
        ("Bidirectional(LSTM(4))", (2, 5, 3)),
        ("Bidirectional(LSTM(4, return_sequences=True), merge_mode='sum')", (2, 5, 3)),
        ("Bidirectional(GRU(4, return_sequences=True))", (2, 5, 3)),
        ("Bidirectional(GRU(4, reset_after=False), merge_mode='ave')", (2, 5, 3)),
        ("Bidirectional(SimpleRNN(4, return_sequences=True), merge_mode=None)", (2, 5, 3)),
        ("Bidirectional(LSTM(4, return_state=True))", (2, 5, 3)),
        ("Bidirectional(RNN(GRUCell(4)))", (2, 5, 3)),
        ("Bidirectional(LSTM(4), backward_layer=LSTM(4, activation='relu', go_backwards=True))", (2, 5, 3)),
    )

    def directions(self, a: Args) -> tuple[Direction, Direction]:
        """The rules and the arguments of the layers that read forwards and backwards."""
        forward, backward = self.direction(a.layer), self.direction(a.backward_layer or a.layer)
        if forward[1].const("go_backwards"):
            raise Declined("K2T102", "Bidirectional of a layer that goes backwards itself is not translated")
        if a.backward_layer is not None:
            one, other = ([x.const(name) for name in SHARED] for _, x in (forward, backward))
            if one != other or not backward[1].const("go_backwards"):
                raise Declined("K2T104", "Keras fails for a backward layer that does not fit the forward layer")
            if forward[0].states != backward[0].states or not same(forward[1].units, backward[1].units):
                raise Declined("K2T102", "Bidirectional of layers with states of other sizes is not translated")
        return forward, backward

    @staticmethod
    def direction(layer: Any) -> Direction:
        if isinstance(layer, Layer) and isinstance(layer.rule, RNN):
            return layer.rule.whole(layer.args)
        if not isinstance(layer, Layer) or not isinstance(layer.rule, Recurrent):
            raise Declined("K2T102", f"Bidirectional({layer!r}): only recurrent layers of Keras are translated")
        return layer.rule, layer.args

    def inner(self, a: Args) -> Direction:
        """The rule and the arguments of the layer that reads forwards."""
        return self.directions(a)[0]

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        rule, inner = self.inner(a)
        rule.check(inner, xs[:1])
        if a.const("merge_mode") not in ("concat", "sum", "mul", "ave", None):
            raise Declined("K2T104", f"the merge mode {a.merge_mode!r} is unknown")
        if len(xs) not in (1, 1 + 2 * rule.states):
            raise Declined("K2T103", f"Bidirectional with {len(xs) - 1} initial states")

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape | list[Shape]:
        rule, inner = self.inner(a)
        batch, steps = xs[0].shape[:2]
        front = (batch, steps) if inner.const("return_sequences") else (batch,)
        width: Dim = inner.units * 2 if a.merge_mode == "concat" else inner.units
        ys = [(*front, width)] * (2 if a.merge_mode is None else 1)
        states = [(batch, inner.units)] * (2 * rule.states) if inner.const("return_state") else []
        return [*ys, *states] if len(ys) + len(states) > 1 else ys[0]

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        rule, inner = self.inner(a)
        ways = [Way.of(*direction, xs[0]) for direction in self.directions(a)]
        merged = ways[0].module == ways[1].module and all(way.own and not way.dropped for way in ways)
        weights: dict[str, Weight] = {}
        init: dict[str, Any] = {}
        for (cell_rule, args), way, name in zip(self.directions(a), ways, ("forward", "backward")):
            if merged:
                pattern = "{}_l0" if name == "forward" else "{}_l0_reverse"
            else:
                pattern = f"{name}_rnn.{'1.' if way.dropped else ''}{{}}{'_l0' if way.own else ''}"
            found, starts = cell_rule.cell(args).weights(args, f"{name}_layer.cell.", "")
            weights |= {pattern.format(k): w for k, w in found.items()}
            init |= {pattern.format(k): v for k, v in starts.items()}
        helpers = tuple(dict.fromkeys(h for way in ways for h in way.helpers))
        if merged:
            module = f"{ways[0].module[:-1]}, bidirectional=True)"
        else:
            module, helpers = f"BothWays({ways[0].module}, {ways[1].module})", ("BothWays", *helpers)
        if inner.const("stateful"):
            if not merged:
                raise Declined("K2T102", "a stateful Bidirectional that torch has not is not translated")
            module, weights, init, helpers = stateful(module, weights, init, helpers)
        if len(xs) > 1 and not merged:
            raise Declined("K2T103", "initial states of a Bidirectional that torch has not are not translated")
        several = isinstance(self.output_shape(a, xs), list)
        states, result = self.state_text(rule, len(xs) - 1), None if several else self.results(a)[0]
        call_text = f"{{self}}({{0}}, {states})" if states else None
        if xs[0].masked:
            call_text = self.masked_call(rule, inner, merged, len(xs), states)
            helpers = (*helpers, "masked_rnn" if merged else "masked_both")
        step = Step(
            takes=(len(xs),) if xs[0].masked else (),
            module=module,
            hint=rule.keras[0].lower().replace("simple", ""),
            weights=weights,
            init=init,
            helpers=helpers,
            **called(call_text, result),
        )
        return [step]

    def reads_masks(self, a: Args, xs: Sequence[TensorType]) -> tuple[int, ...]:
        return (0,) if xs[0].masked else ()

    def output_masks(self, a: Args, xs: Sequence[TensorType]) -> list[MaskOf | None]:
        _, inner = self.inner(a)
        if not xs[0].masked or not inner.const("return_sequences"):
            return []
        return [MaskOf(masks=(0,))] * (2 if a.merge_mode is None else 1)

    @staticmethod
    def masked_call(rule: Recurrent, inner: Args, own: bool, place: int, states: str | None) -> str:
        """As for one direction; what stands at masked steps is always 0."""
        if inner.const("return_state") and inner.generation == KERAS3:
            raise Declined("K2T104", "Keras 3 fails for Bidirectional with return_state and a mask")
        if inner.const("return_sequences") and inner.get("unroll"):
            raise Declined("K2T104", "Keras reads the mask backwards in a Bidirectional with unroll=True")
        if own:
            return f"masked_rnn({{self}}, {{0}}, {{{place}}}, {f'{states}, ' if states else ''}zeros=True)"
        if states or inner.const("return_state"):
            raise Declined("K2T105", f"the states of a masked Bidirectional({rule.keras[0]}) that torch has not")
        return f"masked_both({{self}}, {{0}}, {{{place}}})"

    @staticmethod
    def state_text(rule: Recurrent, count: int) -> str | None:
        """How the initial states (forward, then backward) are handed over."""
        if count == 0:
            return None
        stacked = [f"torch.stack([{{{1 + k}}}, {{{1 + k + rule.states}}}])" for k in range(rule.states)]
        return stacked[0] if len(stacked) == 1 else f"({', '.join(stacked)})"

    def results(self, a: Args) -> tuple[str, ...]:
        """The merged output (or both), over what the module returns."""
        rule, inner = self.inner(a)
        merge = {"sum": "sum", "mul": "prod", "ave": "mean"}
        if inner.const("return_sequences"):
            both = "{0}[0]"
            units = code_of(inner.units)
            if a.merge_mode == "concat":
                return (both,)
            if a.merge_mode is None:
                return f"{both}[..., :{units}]", f"{both}[..., {units}:]"
            return (f"{both}.unflatten(2, (2, {units})).{merge[a.merge_mode]}(2)",)
        last = "{0}[1]" if rule.states == 1 else "{0}[1][0]"  # (2, batch, units)
        if a.merge_mode == "concat":
            return (f"{last}.transpose(0, 1).flatten(1)",)
        if a.merge_mode is None:
            return f"{last}[0]", f"{last}[1]"
        return (f"{last}.{merge[a.merge_mode]}(0)",)

    def outputs(self, a: Args) -> tuple[str, ...]:
        rule, inner = self.inner(a)
        if not inner.const("return_state"):
            return self.results(a)
        paths = ["{0}[1]"] if rule.states == 1 else [f"{{0}}[1][{k}]" for k in range(rule.states)]
        return (*self.results(a), *(f"{p}[{way}]" for way in (0, 1) for p in paths))
