"""Recurrent cells, and `RNN` that runs one of them over the steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.model import Args, Layer, Lowering, MaskOf, Step, Weight
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


OPTIONS = ("return_sequences", "return_state", "go_backwards", "zero_output_for_mask", "stateful")
"""The arguments of `RNN` that the layer of a cell takes as well."""


class StackedRNNCells(_Cell):
    """Cells of which each reads what the one before gives."""

    keras = ("StackedRNNCells",)
    signature = "cells"


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
        ("RNN(StackedRNNCells([LSTMCell(4), GRUCell(6, reset_after=False), SimpleRNNCell(2)]))", (2, 5, 3)),
        ("RNN([LSTMCell(4), LSTMCell(6)], return_sequences=True, go_backwards=True)", (2, 5, 3)),
    )

    takes_mask = True

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return Layout.KERAS

    def whole(self, a: Args) -> tuple[Recurrent, Args]:
        """The layer that runs this cell, and its arguments."""
        return self.run(a, a.cell)

    def run(self, a: Args, cell: Any) -> tuple[Recurrent, Args]:
        rule = LAYERS.get(type(cell.rule)) if isinstance(cell, Layer) else None
        if rule is None:
            raise Declined("K2T102", f"RNN({cell!r}): only LSTMCell, GRUCell and SimpleRNNCell are translated")
        own = {k: a.get(k) for k in OPTIONS}
        return rule, cell.args.replace(**own)

    @staticmethod
    def stack(a: Args) -> Sequence[Any] | None:
        """The cells of a stack."""
        cell = a.cell
        if isinstance(cell, Layer) and isinstance(cell.rule, StackedRNNCells):
            cell = cell.args.cells
        return cell if isinstance(cell, (list, tuple)) else None

    def reads_masks(self, a: Args, xs: Sequence[TensorType]) -> tuple[int, ...]:
        return (0,) if xs[0].masked else ()

    def output_masks(self, a: Args, xs: Sequence[TensorType]) -> list[MaskOf | None]:
        return [MaskOf(masks=(0,))] if xs[0].masked and a.const("return_sequences") else []

    def lower(self, a: Args, xs: Sequence[TensorType]) -> Lowering:
        cells = self.stack(a)
        if cells is not None:
            return self.lower_stack(a, cells, xs)
        rule, own = self.whole(a)
        return rule.lower(own, xs)

    def lower_stack(self, a: Args, cells: Sequence[Any], xs: Sequence[TensorType]) -> Lowering:
        """One recurrent layer after the other."""
        if len(xs) > 1 or a.const("return_state"):
            raise Declined("K2T103", "a stack of cells with initial states or return_state is not translated")
        if xs[0].masked and a.const("go_backwards"):
            raise Declined("K2T105", "a stack of cells that goes backwards over a masked input is not translated")
        if a.const("stateful"):
            raise Declined("K2T102", "a stateful stack of cells is not translated")
        steps: list[Step] = []
        types = list(xs)
        for i, cell in enumerate(cells):
            last = i == len(cells) - 1
            rule, own = self.run(a, cell)
            own = own.replace(
                return_sequences=own.const("return_sequences") if last else True,
                go_backwards=own.const("go_backwards") if i == 0 else False,
                zero_output_for_mask=own.get("zero_output_for_mask") if last else False,
            )
            done = rule.lower(own, types)
            types = [replace(t, masked=xs[0].masked) for t in done.types]
            steps += [replace(s, weights=in_stack(s.weights, i)) for s in done.steps]
        return Lowering(steps, types)


def in_stack(weights: dict[str, Weight], place: int) -> dict[str, Weight]:
    """The weights of a cell that is the one at `place` of a stack."""
    return {k: replace(w, source=w.source.replace("cell.", f"cell.cells.{place}.")) for k, w in weights.items()}
