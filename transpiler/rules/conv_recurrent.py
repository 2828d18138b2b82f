"""LSTMs whose gates are convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS2, Args, MaskOf, Step, Weight
from transpiler.ir.shape import Layout, Shape, TensorType
from transpiler.rules import spatial
from transpiler.rules.base import LayerRule, Raw, call, keywords, permute_step
from transpiler.rules.convolution import Window, padded_conv, padding_of
from transpiler.rules.initializers import forget_bias
from transpiler.rules.recurrent import KERAS1_NAMES, called, check_recurrent, function, stateful
from transpiler.rules.spatial import Grid


class _ConvLSTM(LayerRule):
    """Two convolutions, one of the steps and one of the state, whose channels are the four gates."""

    ndim: ClassVar[int]
    signature = (
        "filters, kernel_size, strides=1, padding='valid', data_format=None, dilation_rate=1, activation='tanh', "
        "recurrent_activation='sigmoid', use_bias=True, kernel_initializer='glorot_uniform', "
        "recurrent_initializer='orthogonal', bias_initializer='zeros', unit_forget_bias=True, kernel_regularizer=None, "
        "recurrent_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None, "
        "recurrent_constraint=None, bias_constraint=None, dropout=0.0, recurrent_dropout=0.0, seed=None, "
        "return_sequences=False, return_state=False, go_backwards=False, stateful=False"
    )
    renames = {k: v for k, v in KERAS1_NAMES.items() if v not in ("units",)}
    takes_mask = True
    call_tensors = ("sequences", "initial_state")

    @property
    def mask_axes(self) -> int:  # type: ignore[override]
        return self.ndim + 1

    def defaults(self, generation: str) -> dict[str, Any]:
        return {"recurrent_activation": "hard_sigmoid"} if generation == KERAS2 else {}

    def wants(self, a: Args, xs: Sequence[TensorType]) -> Layout:
        return spatial.spatial_layout(a)

    def reads_masks(self, a: Args, xs: Sequence[TensorType]) -> tuple[int, ...]:
        return (0,) if xs[0].masked else ()

    def output_masks(self, a: Args, xs: Sequence[TensorType]) -> list[MaskOf | None]:
        return [MaskOf(masks=(0,))] if xs[0].masked and a.const("return_sequences") else []

    def image(self, a: Args, x: TensorType) -> Grid:
        """One step of the input."""
        if x.rank != self.ndim + 3:
            raise Declined("K2T104", f"{self.keras[0]} needs {self.ndim + 3} axes, the input has {x.rank}")
        return Grid.of(a, TensorType((x.shape[0], *x.shape[2:]), x.dtype), self.ndim)

    def check(self, a: Args, xs: Sequence[TensorType]) -> None:
        if len(xs) not in (1, 3):
            raise Declined("K2T103", f"{self.keras[0]} with {len(xs) - 1} initial states")
        if xs[0].masked and (len(xs) > 1 or a.const("return_state")):
            raise Declined("K2T105", f"the states of a masked {self.keras[0]}")
        check_recurrent(a, xs)

    def output_shape(self, a: Args, xs: Sequence[TensorType]) -> Shape | list[Shape]:
        grid, window = self.image(a, xs[0]), Window.of(a, self.ndim)
        batch, *rest = grid.shape(window.sizes(grid.sizes, padding_of(a, window)), a.filters)
        state = (batch, *rest)
        y = (batch, xs[0].shape[1], *rest) if a.const("return_sequences") else state
        return [y, state, state] if a.const("return_state") else y

    def outputs(self, a: Args) -> tuple[str, ...]:
        if not a.const("return_sequences"):
            return "{0}[1][0]", "{0}[1][0]", "{0}[1][1]"
        turned = "" if spatial.channels_first(a) else ".transpose(1, 2)"
        return f"{{0}}[0]{turned}", "{0}[1][0]", "{0}[1][1]"

    def steps(self, a: Args, xs: Sequence[TensorType], y: TensorType) -> list[Step]:
        grid, n, gates = self.image(a, xs[0]), self.ndim, a.filters * 4
        channels, bias = (grid.known_channels(), gates), a.const("use_bias")
        pads, conv, helpers = padded_conv(a, Window.of(a, n), grid.sizes, channels, bias=bias)
        kernel = spatial.size_argument(a.kernel_size, n)
        state = call(f"nn.Conv{n}d", a.filters, gates, kernel_size=kernel, padding="same", bias=False)
        activation, first = function(a.activation, a)
        gate, second = function(a.recurrent_activation, a)
        defaults = {"activation": "torch.tanh", "gate": "torch.sigmoid"}
        axes = (("permute", (n + 1, n, *range(n))),)  # (kh, kw, in, out) -> (out, in, kh, kw)
        weights = {
            "input.weight": Weight("cell.kernel", axes),
            "state.weight": Weight("cell.recurrent_kernel", axes),
        }
        init = {"input.weight": a.kernel_initializer, "state.weight": a.recurrent_initializer}
        if bias:
            weights["input.bias"] = Weight("cell.bias")
            forget = a.const("unit_forget_bias")
            init["input.bias"] = forget_bias(a.bias_initializer) if forget else a.bias_initializer
        options = keywords(defaults, activation=activation, gate=gate)
        swap = permute_step((0, 2, 1, *range(3, n + 3)))  # (N, C, T, ...) -> (N, T, C, ...), and back
        swaps = [] if spatial.channels_first(a) else [swap]
        before = [*swaps, *([Step(fn="{0}.flip(1)", hint="x")] if a.const("go_backwards") else []), *pads]
        sequences, several = a.const("return_sequences"), a.const("return_state")
        result = None if several else "{0}[0]" if sequences else "{0}[1][0]"
        given = len(xs) > 1
        if given:  # the states are for the last step alone
            before = [replace(s, module=None) for s in before]
        rates = keywords(
            {"dropout": 0.0, "recurrent_dropout": 0.0}, dropout=a.dropout, recurrent_dropout=a.recurrent_dropout
        )
        name = "DroppedConvLSTM" if rates else "ConvLSTM"
        module, helpers = call(name, Raw(conv), Raw(state), **options, **rates), (name, *helpers, *first, *second)
        if a.const("stateful"):
            module, weights, init, helpers = stateful(module, weights, init, helpers)
        call_text = "{self}({0}, ({1}, {2}))" if given else None
        if xs[0].masked:
            call_text = f"masked_loop({{self}}, {{0}}, {{1}}{'.flip(1)' if a.const('go_backwards') else ''})"
            result, helpers = "{0}[0]" if sequences else "{0}[0][:, -1]", (*helpers, "masked_loop")
        lstm = Step(
            module=module,
            hint="conv_lstm",
            weights=weights,
            init=init,
            helpers=helpers,
            takes=(1,) if xs[0].masked else (1, 2) if given and before else (),
            **called(call_text, result),
        )
        return [*before, lstm, *(swaps if sequences and not several else [])]


class ConvLSTM1D(_ConvLSTM):
    """Over steps of signals."""

    ndim, keras = 1, ("ConvLSTM1D",)
    examples = (
        ("ConvLSTM1D(4, 3, padding='same', return_sequences=True)", (2, 5, 6, 3)),
        ("ConvLSTM1D(4, 2, strides=2, use_bias=False, go_backwards=True)", (2, 5, 7, 3)),
    )


class ConvLSTM2D(_ConvLSTM):
    """Over steps of images."""

    ndim, keras = 2, ("ConvLSTM2D",)
    examples = (
        ("ConvLSTM2D(4, 3)", (2, 4, 6, 7, 3)),
        ("ConvLSTM2D(3, 2, return_sequences=True, return_state=True)", (2, 3, 4, 5, 2)),
        ("ConvLSTM2D(3, 2, return_state=True, go_backwards=True)", (2, 3, 4, 5, 2)),
        ("ConvLSTM2D(4, (3, 2), padding='same', return_sequences=True, activation='relu')", (2, 4, 6, 7, 3)),
        ("ConvLSTM2D(3, 3, strides=2, padding='same', recurrent_activation='sigmoid')", (2, 3, 6, 7, 2)),
        ("ConvLSTM2D(3, 3, dropout=0.2, recurrent_dropout=0.1)", (2, 3, 6, 7, 2)),
    )


class ConvLSTM3D(_ConvLSTM):
    """Over steps of volumes."""

    ndim, keras = 3, ("ConvLSTM3D",)
    examples = (("ConvLSTM3D(2, 2, padding='same', return_sequences=True)", (2, 3, 3, 4, 3, 2)),)
