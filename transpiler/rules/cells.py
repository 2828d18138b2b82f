"""Recurrent cells, and `RNN` that runs one of them over the steps."""

from __future__ import annotations

from collections.abc import Sequence

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Layer, Lowering, MaskOf, Step
from transpiler.ir.shape import Layout, TensorType
from transpiler.rules.base import LayerRule
from transpiler.rules.recurrent import GRU, KERAS1_NAMES, LSTM, Recurrent, SimpleRNN

CELL = (
    "use_bias=True, kernel_initializer='glorot_uniform', recurrent_initializer='orthogonal', bias_initializer='zeros', "
    "{extra}kernel_regularizer=None, recurrent_regularizer=None, bias_regularizer=None, kernel_constraint=None, "
    "recurrent_constraint=None, bias_constraint=None, dropout=0.0, recurrent_dropout=0.0, seed=None, "
    "implementation=None{more}"
)


class _Cell(LayerRule):
    """A cell is translated inside the `RNN` that runs it."""

    renames = KERAS1_NAMES

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        raise Declined("K2T103", f"{self.keras[0]} called by itself is not translated", "Put it into an RNN layer.")


class LSTMCell(_Cell):
    """The cell of `LSTM`."""

    keras = ("LSTMCell",)
    signature = "units, activation='tanh', recurrent_activation='sigmoid', " + CELL.format(
        extra="unit_forget_bias=True, ", more=""
    )


class GRUCell(_Cell):
    """The cell of `GRU`."""

    keras = ("GRUCell",)
    signature = "units, activation='tanh', recurrent_activation='sigmoid', " + CELL.format(
        extra="", more=", reset_after=True"
    )


class SimpleRNNCell(_Cell):
    """The cell of `SimpleRNN`."""

    keras = ("SimpleRNNCell",)
    signature = "units, activation='tanh', " + CELL.format(extra="", more="")


LAYERS: dict[type, Recurrent] = {LSTMCell: LSTM(), GRUCell: GRU(), SimpleRNNCell: SimpleRNN()}
"""Cell → the layer that runs it."""


class RNN(LayerRule):
    """The recurrent layer of its cell."""

    keras = ("RNN",)
    signature = (
        "cell, return_sequences=False, return_state=False, go_backwards=False, stateful=False, unroll=False, "
        "zero_output_for_mask=False, time_major=False"
    )
    unsupported = Recurrent.unsupported
    call_tensors = Recurrent.call_tensors
    examples = (
        ("RNN(LSTMCell(4))", (2, 5, 3)),
        ("RNN(GRUCell(4, reset_after=False), return_sequences=True)", (2, 5, 3)),
        ("RNN(SimpleRNNCell(4, activation='relu'), go_backwards=True, return_state=True)", (2, 5, 3)),
    )

    takes_mask = True

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def whole(self, a: Args) -> tuple[Recurrent, Args]:
        """The layer that runs this cell, and its arguments."""
        cell = a.cell
        rule = LAYERS.get(type(cell.rule)) if isinstance(cell, Layer) else None
        if rule is None:
            raise Declined("K2T102", f"RNN({cell!r}): only one LSTMCell, GRUCell or SimpleRNNCell is translated")
        own = {k: a.get(k) for k in ("return_sequences", "return_state", "go_backwards", "zero_output_for_mask")}
        return rule, cell.args.replace(**own)

    def reads_masks(self, a: Args, xs: Sequence[TensorType]) -> tuple[int, ...]:
        rule, own = self.whole(a)
        return rule.reads_masks(own, xs)

    def output_masks(self, a: Args, xs: Sequence[TensorType]) -> list[MaskOf | None]:
        rule, own = self.whole(a)
        return rule.output_masks(own, xs)

    def lower(self, a: Args, xs: Sequence[TensorType]) -> Lowering:
        rule, own = self.whole(a)
        return rule.lower(own, xs)
