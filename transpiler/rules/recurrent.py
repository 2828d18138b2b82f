"""LSTM, GRU and SimpleRNN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from transpiler.diagnostics import Declined
from transpiler.ir.expr import Sym, is_open
from transpiler.ir.model import Args, Layer, MaskOf, Step, Transform, Weight
from transpiler.ir.shape import Layout, Shape, TensorType
from transpiler.rules.activations import activation_name, callable_text
from transpiler.rules.base import LayerRule, Raw, call, keywords
from transpiler.rules.initializers import FROZEN_ZEROS, forget_bias

KERAS1_NAMES = {
    "output_dim": "units",
    "init": "kernel_initializer",
    "inner_init": "recurrent_initializer",
    "inner_activation": "recurrent_activation",
    "W_regularizer": "kernel_regularizer",
    "U_regularizer": "recurrent_regularizer",
    "b_regularizer": "bias_regularizer",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
}
AFTER_ACTIVATIONS = (
    "use_bias=True, kernel_initializer='glorot_uniform', recurrent_initializer='orthogonal', bias_initializer='zeros', "
    "{extra}kernel_regularizer=None, recurrent_regularizer=None, bias_regularizer=None, activity_regularizer=None, "
    "kernel_constraint=None, recurrent_constraint=None, bias_constraint=None, dropout=0.0, recurrent_dropout=0.0, "
    "seed=None, return_sequences=False, return_state=False, go_backwards=False, stateful=False, unroll=False, "
    "time_major=False, implementation=None, zero_output_for_mask=False, input_length=None, consume_less=None, "
    "use_cudnn='auto'{more}"
)
"""The arguments that all recurrent layers share."""

NONE: Transform = ()
EXACT = {"activation": "tanh", "recurrent_activation": "sigmoid"}


@dataclass(frozen=True)
class Cell:
    """One direction of a recurrent layer: its torch parameters and how they follow from Keras's."""

    kernel: Transform
    recurrent: Transform
    bias: Transform
    recurrent_bias: Transform | None
    """None where Keras has no second bias: torch's is then always 0."""

    def weights(self, a: Args, prefix: str, suffix: str) -> tuple[dict[str, Weight], dict[str, Any]]:
        """torch parameter → source and → initializer; `suffix` is torch's (`_l0`, `_l0_reverse`)."""
        weights = {
            f"weight_ih{suffix}": Weight(f"{prefix}kernel", self.kernel),
            f"weight_hh{suffix}": Weight(f"{prefix}recurrent_kernel", self.recurrent),
        }
        init = {f"weight_ih{suffix}": a.kernel_initializer, f"weight_hh{suffix}": a.recurrent_initializer}
        if a.const("use_bias"):
            bias = forget_bias(a.bias_initializer) if a.get("unit_forget_bias") else a.bias_initializer
            weights[f"bias_ih{suffix}"] = Weight(f"{prefix}bias", self.bias)
            init[f"bias_ih{suffix}"] = bias
            if self.recurrent_bias is None:
                weights[f"bias_hh{suffix}"] = Weight("", (("fill", 0.0),))
                init[f"bias_hh{suffix}"] = FROZEN_ZEROS
            else:
                weights[f"bias_hh{suffix}"] = Weight(f"{prefix}bias", self.recurrent_bias)
                init[f"bias_hh{suffix}"] = bias
        return weights, init


class Recurrent(LayerRule):
    """A recurrent layer: torch's own where it is exact, else a loop over the steps."""

    renames = KERAS1_NAMES
    takes_mask = True
    unsupported = {
        "time_major": "steps before the batch are not translated",
    }
    call_tensors = ("sequences", "initial_state")
    states: ClassVar[int] = 1
    gates: ClassVar[int] = 1
    """How many gates draw masks of their own where states are dropped."""
    exact: ClassVar[dict[str, str]] = {}
    """The activations for which torch's own layer is exact, where it cannot be told another."""

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        if xs[0].rank != 3:
            raise Declined("K2T104", f"{self.keras[0]} needs (batch, steps, features), the input has {xs[0].rank} axes")
        if xs[0].channels is None:
            raise Declined("K2T202", "the number of features of the steps is not known", "Give the input a shape.")
        if len(xs) not in (1, 1 + self.states):
            raise Declined("K2T103", f"{self.keras[0]} with {len(xs) - 1} initial states")
        check_recurrent(a, xs)
        if (
            self.gates > 1
            and self.input_dropout(a)
            and not self.recurrent_dropout(a)
            and a.const("implementation") == 1
        ):
            raise Declined(
                "K2T102", "implementation=1 draws a mask for each gate, or fails, depending on the activations"
            )

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape | list[Shape]:
        batch, steps = xs[0].shape[:2]
        y = (batch, steps, a.units) if a.const("return_sequences") else (batch, a.units)
        return [y, *[(batch, a.units)] * self.states] if a.const("return_state") else y

    def reads_masks(self, a: Args, xs: Sequence[TensorType]) -> tuple[int, ...]:
        return (0,) if xs[0].masked else ()

    def output_masks(self, a: Args, xs: Sequence[TensorType]) -> list[MaskOf | None]:
        return [MaskOf(masks=(0,))] if xs[0].masked and a.const("return_sequences") else []

    def cell(self, a: Args) -> Cell:
        """How the weights correspond."""
        raise NotImplementedError

    def own(self, a: Args, *, bidirectional: bool = False) -> tuple[str, dict[str, Any]] | None:
        """torch's class and its further arguments; None where it is not exact."""
        raise NotImplementedError

    def is_exact(self, a: Args) -> bool:
        """Whether the activations are those of torch's own layer; raises NeedsConstant where that is open."""
        return all(is_activation(a.get(name), value) for name, value in self.exact.items())

    def loop(self, a: Args) -> tuple[str, dict[str, Any], tuple[str, ...]]:
        """The helper class, its further arguments, and the helpers its activations need."""
        raise NotImplementedError

    def modules(self, a: Args, x: TensorType, prefix: str = "cell.") -> tuple[str, bool, tuple[str, ...]]:
        """The constructor for one direction, whether it is torch's own, and its helpers."""
        sizes = (x.channels, a.units)
        bias = keywords({"bias": True}, bias=a.const("use_bias"))
        own = self.own(a)
        if own and not self.recurrent_dropout(a):
            name, more = own
            return call(name, *sizes, **more, **bias, batch_first=True), True, ()
        name, more, helpers = self.loop(a)
        if self.recurrent_dropout(a):
            rates = {"recurrent_dropout": a.recurrent_dropout}
            if self.gates_drop(a):
                name, rates = name.replace("Loop", "Dropped"), {"dropout": a.dropout, **rates}
            more |= keywords({"dropout": 0.0}, **rates)
        return call(name, *sizes, **bias, **more), False, (name, *helpers)

    @staticmethod
    def recurrent_dropout(a: Args) -> bool:
        """Whether the state is dropped in training, which torch's own layers do not do."""
        return is_open(a.recurrent_dropout) or bool(a.recurrent_dropout)

    def gates_drop(self, a: Args) -> bool:
        """Whether every gate draws masks of its own, for the inputs too: Keras does where it drops states."""
        if self.gates == 1 or not self.recurrent_dropout(a):
            return False
        if is_open(a.recurrent_dropout) and (is_open(a.dropout) or a.dropout):
            a.const("recurrent_dropout")  # which decides how the inputs are dropped
        return True

    @staticmethod
    def input_dropout(a: Args) -> bool:
        return is_open(a.dropout) or bool(a.dropout)

    def before(self, a: Args) -> list[Step]:
        """What happens to the input before the steps are taken."""
        found = []
        if a.const("go_backwards"):
            found.append(Step(fn="{0}.flip(1)", hint="x"))
        if self.input_dropout(a) and not self.gates_drop(a):  # one mask for all steps
            module = call("SharedDropout", p=a.dropout, axes=(1,))
            found.append(Step(module=module, hint="dropout", stateful=True, helpers=("SharedDropout",)))
        return found

    @staticmethod
    def state_text(count: int) -> str | None:
        """How initial states are handed over."""
        if count == 0:
            return None
        states = [f"{{{i}}}[None]" for i in range(1, count + 1)]
        return states[0] if count == 1 else f"({', '.join(states)})"

    def masked_call(self, a: Args, own: bool, place: int, states: str | None) -> str:
        """How the module is called with the mask that is operand `place` of the step."""
        mask = f"{{{place}}}.flip(1)" if a.const("go_backwards") else f"{{{place}}}"
        if a.const("zero_output_for_mask") and a.get("unroll"):
            raise Declined(
                "K2T104", "Keras fails for unroll=True with zero_output_for_mask, or reads the mask backwards"
            )
        zeros = ", zeros=True" if a.const("zero_output_for_mask") else ""
        if own:
            return f"masked_rnn({{self}}, {{0}}, {mask}{f', {states}' if states else ''}{zeros})"
        if states or self.states > 1 and a.const("return_state"):
            raise Declined(
                "K2T105", f"the states of a masked {self.keras[0]} with activations or dropout that torch has not"
            )
        return f"masked_loop({{self}}, {{0}}, {mask}{zeros})"

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        before = self.before(a)
        if len(xs) > 1:  # the states are for the last step alone
            before = [replace(s, fn=s.fn or "{self}({0})") for s in before]
        module, own, helpers = self.modules(a, xs[0])
        weights, init = self.cell(a).weights(a, "cell.", "_l0" if own else "")
        if a.const("stateful"):
            module, weights, init, helpers = stateful(module, weights, init, helpers)
        result = None if a.const("return_state") else self.result(a)
        states = self.state_text(len(xs) - 1)
        if xs[0].masked:
            call_text: str | None = self.masked_call(a, own, len(xs), states)
            helpers = (*helpers, "masked_rnn" if own else "masked_loop")
        else:
            call_text = f"{{self}}({{0}}, {states})" if states else None
        given = range(1, len(xs)) if before else ()
        step = Step(
            takes=(*given, *((len(xs),) if xs[0].masked else ())),
            module=module,
            hint=self.keras[0].lower().replace("simple", ""),
            weights=weights,
            init=init,
            helpers=helpers,
            **called(call_text, result),
        )
        return [*before, step]

    def result(self, a: Args) -> str:
        """The output, over what the module returns."""
        return "{0}[0]" if a.const("return_sequences") else "{0}[0][:, -1]"

    def outputs(self, a: Args) -> tuple[str, ...]:
        if self.states == 1:
            return self.result(a), "{0}[1][0]"
        return self.result(a), *(f"{{0}}[1][{k}][0]" for k in range(self.states))


def check_recurrent(a: Args, xs: Sequence[TensorType]) -> None:
    """Raises Declined for what no recurrent layer translates of states that outlive the call, and of dropout."""
    if any(not is_open(rate) and not 0 <= rate < 1 for rate in (a.dropout, a.recurrent_dropout)):
        raise Declined("K2T102", "Keras drops nothing at a rate of 1, or fails")
    if a.const("stateful") and len(xs) > 1:
        raise Declined("K2T103", "stateful=True with initial states is not translated")
    if a.const("stateful") and xs[0].masked:
        raise Declined("K2T105", "stateful=True with a masked input is not translated")


def stateful(
    module: str, weights: dict[str, Weight], init: dict[str, Any], helpers: tuple[str, ...]
) -> tuple[str, dict[str, Weight], dict[str, Any], tuple[str, ...]]:
    """A recurrent module that starts where it ended in the call before."""
    weights, init = ({f"rnn.{k}": v for k, v in found.items()} for found in (weights, init))
    return f"Stateful({module})", weights, init, ("Stateful", *helpers)


def called(text: str | None, result: str | None) -> dict[str, str | None]:
    """How a step's module is called and what is taken from it; without initial states it is called plainly."""
    if text is None:
        return {"result": result}
    return {"fn": result.replace("{0}", text) if result else text}


def is_activation(value: Any, *names: str | None) -> bool:
    """Whether an activation is one of `names`; raises NeedsConstant for one kept open that was seen to be."""
    if isinstance(value, Sym) and isinstance(value.witness, str) and value.witness not in names:
        return False  # torch's own layer does not serve what was seen: the loop over the steps takes any
    return not isinstance(value, Layer) and activation_name(value) in names


def function(value: Any, a: Args) -> tuple[Raw, tuple[str, ...]]:
    """An activation as a callable in the generated code."""
    if isinstance(value, Layer):
        raise Declined("K2T102", f"the activation {value!r} of a recurrent layer is not translated")
    text, helpers = callable_text(value, a.generation)
    return Raw(text), helpers


TRANSPOSED: Transform = (("permute", (1, 0)),)


class LSTM(Recurrent):
    """`nn.LSTM`: the gates stand in the same order, and Keras has one bias."""

    keras = ("LSTM", "CuDNNLSTM")
    module_class = "nn.LSTM"
    gates = 4
    signature = "units, activation='tanh', recurrent_activation='sigmoid', " + AFTER_ACTIVATIONS.format(
        extra="unit_forget_bias=True, ", more=""
    )
    states = 2
    exact = EXACT
    examples = (
        ("LSTM(4)", (2, 5, 3)),
        ("LSTM(4, return_sequences=True, use_bias=False)", (2, 5, 3)),
        ("LSTM(4, return_sequences=True, return_state=True, go_backwards=True)", (2, 5, 3)),
        ("LSTM(4, activation='relu', recurrent_activation='hard_sigmoid')", (2, 5, 3)),
        ("LSTM(4, dropout=0.2, recurrent_dropout=0.1)", (2, 5, 3)),
    )

    def cell(self, a: Args) -> Cell:
        return Cell(TRANSPOSED, TRANSPOSED, NONE, None)

    def own(self, a: Args, *, bidirectional: bool = False) -> tuple[str, dict[str, Any]] | None:
        return ("nn.LSTM", {}) if self.is_exact(a) else None

    def loop(self, a: Args) -> tuple[str, dict[str, Any], tuple[str, ...]]:
        activation, first = function(a.activation, a)
        gate, second = function(a.recurrent_activation, a)
        more = {"activation": activation, "gate": gate}
        defaults = {"activation": "torch.tanh", "gate": "torch.sigmoid"}
        return "LoopLSTM", keywords(defaults, **more), (*first, *second)


class GRU(Recurrent):
    """`nn.GRU` with the gates in torch's order; with `reset_after=False` a loop, which torch does not have."""

    keras = ("GRU", "CuDNNGRU")
    module_class = "nn.GRU"
    gates = 3
    exact = EXACT
    signature = "units, activation='tanh', recurrent_activation='sigmoid', " + AFTER_ACTIVATIONS.format(
        extra="", more=", reset_after=True"
    )
    examples = (
        ("GRU(4)", (2, 5, 3)),
        ("GRU(4, reset_after=False, return_sequences=True)", (2, 5, 3)),
        ("GRU(4, return_state=True, use_bias=False)", (2, 5, 3)),
        ("GRU(4, activation='relu', recurrent_activation='hard_sigmoid')", (2, 5, 3)),
    )

    def cell(self, a: Args) -> Cell:
        gates = ("gates", 0, (1, 0, 2))  # z, r, h -> r, z, n
        kernel = (("permute", (1, 0)), gates)
        if not a.const("reset_after"):
            return Cell(kernel, kernel, (gates,), None)
        return Cell(kernel, kernel, (("take", 0, 0), gates), (("take", 0, 1), gates))

    def own(self, a: Args, *, bidirectional: bool = False) -> tuple[str, dict[str, Any]] | None:
        return ("nn.GRU", {}) if self.is_exact(a) and a.const("reset_after") else None

    def loop(self, a: Args) -> tuple[str, dict[str, Any], tuple[str, ...]]:
        activation, first = function(a.activation, a)
        gate, second = function(a.recurrent_activation, a)
        defaults = {"activation": "torch.tanh", "gate": "torch.sigmoid", "reset_after": True}
        more = {"activation": activation, "gate": gate, "reset_after": a.const("reset_after")}
        return "LoopGRU", keywords(defaults, **more), (*first, *second)


class SimpleRNN(Recurrent):
    """`nn.RNN`; another activation than tanh and relu takes a loop."""

    keras = ("SimpleRNN",)
    module_class = "nn.RNN"
    signature = "units, activation='tanh', " + AFTER_ACTIVATIONS.format(extra="", more="")
    examples = (
        ("SimpleRNN(4)", (2, 5, 3)),
        ("SimpleRNN(4, activation='relu', return_sequences=True, go_backwards=True)", (2, 5, 3)),
        ("SimpleRNN(4, activation=None, return_state=True)", (2, 5, 3)),
    )

    def cell(self, a: Args) -> Cell:
        return Cell(TRANSPOSED, TRANSPOSED, NONE, None)

    def own(self, a: Args, *, bidirectional: bool = False) -> tuple[str, dict[str, Any]] | None:
        if isinstance(a.activation, Sym) and a.activation.witness in ("tanh", "relu"):
            return "nn.RNN", {"nonlinearity": a.activation}  # which raises for any other
        if is_activation(a.activation, "tanh"):
            return "nn.RNN", {}
        return ("nn.RNN", {"nonlinearity": "relu"}) if is_activation(a.activation, "relu") else None

    def loop(self, a: Args) -> tuple[str, dict[str, Any], tuple[str, ...]]:
        activation, helpers = function(a.activation, a)
        return "LoopRNN", keywords({"activation": "torch.tanh"}, activation=activation), helpers
