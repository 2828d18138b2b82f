"""Layers and functions with drawn arguments: the translation computes what Keras computes, and what Keras rejects is rejected.

`pytest tests/rules/test_drawn.py --drawn 300` draws as many cases of each family; `--hypothesis-seed` makes it repeatable.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from drawn import FAMILIES, Case
from drawn_ops import OPS, Drawn
from harness import caller, compare, input_types, read, real, translate
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy
from test_ops import SCOPE, converted, promoted
from test_ops import compare as compare_call

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS2, KERAS3
from transpiler.rules.ops.base import Example

FEW = 8
"""How many cases of each family an ordinary run draws."""
SHARE = 0.4
"""At least this share of many drawn cases has to be compared: the rest is rejected by Keras, or declined."""

REGRESSIONS = [
    Case("AveragePooling1D(strides=(1,))", ((1, 5, 1),)),
    Case("Conv1D(1, (4,), dilation_rate=(2,))", ((1, 6, 1),)),
    Case("DepthwiseConv1D((4,), dilation_rate=2)", ((1, 6, 1),)),
    Case("MaxPooling2D(4)", ((1, 5, 3, 1),)),
    Case("Conv2DTranspose(1, 1, strides=(1, 1), output_padding=(0, 1))", ((1, 2, 2, 1),), KERAS2),
    Case("Conv1DTranspose(1, (2,), padding='same', output_padding=(0,))", ((1, 2, 1),)),
    Case("Conv1DTranspose(1, (1,), strides=(2,), output_padding=(0,), dilation_rate=2)", ((1, 2, 1),)),
    Case("Attention()", ((1, 1, 1), (1, 1, 2))),
    Case("AdditiveAttention()", ((1, 1, 2), (1, 1, 3), (1, 1, 2)), KERAS2),
    Case("GroupQueryAttention(1, 2, 2)", ((1, 1, 1), (1, 2, 1)), options={"named": ("query", "value")}),
    Case("LSTM(1, unroll=True, zero_output_for_mask=True)", ((1, 2, 1),), options={"masks": (0,)}),
    Case("Bidirectional(LSTM(1, return_sequences=True, unroll=True))", ((1, 2, 1),), options={"masks": (0,)}),
    Case("RNN(LSTMCell(1), zero_output_for_mask=True)", ((1, 1, 1),), options={"training": False, "masks": (0,)}),
    Case("GroupQueryAttention(2, 1, 1)", ((1, 1, 1), (1, 2, 2)), options={"named": ("query", "value")}),
]
"""What was once drawn and failed."""
REGRESSION_CALLS: list[Drawn] = [
    (
        Example("keras.losses.binary_crossentropy(abs(x), K.sigmoid(y), from_logits=True)", {"x": (7, 1), "y": (7, 1)}),
        KERAS2,
    ),
    (Example("x[..., None, :]", {"x": (2, 2)}), KERAS3),
    (Example("x[..., 0, :]", {"x": (2, 3, 4)}), KERAS3),
    (Example("x[:, ..., 1, :, None]", {"x": (2, 3, 4, 5)}), KERAS3),
]


class ChannelsLast:
    """A layer of Keras that computes with the channels last what it would compute with the channels first."""

    def __init__(self, code: str, generation: str) -> None:
        self.layer = real(code.replace("'channels_first'", "'channels_last'"), generation)

    def __call__(self, x: tf.Tensor, **mode: bool) -> tf.Tensor:
        y = self.layer(tf.transpose(x, (0, *range(2, x.ndim), 1)), **mode)
        return tf.transpose(y, (0, y.ndim - 1, *range(1, y.ndim - 1))) if y.ndim > 2 else y

    def __getattr__(self, name: str) -> object:
        return getattr(self.layer, name)


def live_layer(case: Case) -> object:
    return ChannelsLast(case.code, case.generation) if case.channels_first else real(case.code, case.generation)


def masks_of(case: Case) -> dict[int, np.ndarray]:
    """Masks that leave nothing out, to see whether Keras takes them."""
    return {i: np.ones(case.shapes[i][:2], bool) for i in case.options.get("masks", ())}


def outcome(case: Case) -> str:
    """What became of a case: `same`, `declined`, or `rejected` by Keras and the converter. Fails for anything else."""
    ids = case.options.get("ids")
    rng = np.random.default_rng(0)
    arrays = [tf.constant(rng.integers(0, ids, s) if ids else rng.normal(size=s)) for s in case.shapes]
    try:
        arrays = [tf.cast(x, case.options.get("dtype", x.dtype)) for x in arrays]
        named, flags = case.options.get("named", ()), case.options.get("flags", {})
        caller(live_layer(case), arrays, named, flags, masks_of(case))()
    except (tf.errors.UnimplementedError, tf.errors.NotFoundError):
        return "no kernel"
    except Exception as error:
        try:
            layer, types = read(case.code, case.generation), input_types(
                list(case.shapes), "int64" if ids else "float32"
            )
            layer.args = layer.args.replace(**flags)
            masked = layer.rule.reads_masks(
                layer.args, [replace(x, masked=i in masks_of(case)) for i, x in enumerate(types)]
            )
            translate(layer, [replace(x, masked=i in masked) for i, x in enumerate(types)])
        except Declined:
            return "rejected"
        raise AssertionError(f"Keras rejects what is translated: {type(error).__name__}: {error}") from None
    try:
        compare(case.code, *case.shapes, generation=case.generation, live=live_layer(case), **case.options)
    except Declined:
        return "declined"
    return "same"


def outcome_of_call(drawn: Drawn) -> str:
    """What became of a call: `same`, `declined`, or `rejected` by Keras. Fails for anything else."""
    call, generation = drawn
    rng = np.random.default_rng(0)
    try:
        promoted(call.code, SCOPE[generation] | {n: tf.constant(rng.normal(size=s)) for n, s in call.inputs.items()})
    except Exception:
        return "rejected"
    with tempfile.TemporaryDirectory() as folder:
        try:
            converted(call, generation, Path(folder))
        except AssertionError:
            return "declined"
        compare_call(call, generation, Path(folder))
    return "same"


def draw_many(strategy: SearchStrategy[Any], judge: Callable[[Any], str], count: int) -> None:
    """Judges `count` cases, or the same few if that is 0."""
    outcomes: Counter[str] = Counter()

    @settings(
        max_examples=count or FEW,
        derandomize=not count,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def holds(case: Any) -> None:
        outcomes[judge(case)] += 1

    holds()
    print(dict(outcomes))
    assert outcomes["same"] >= (SHARE * count or 1), outcomes


@pytest.mark.parametrize("family", FAMILIES)
def test_drawn_layers(family: str, request: pytest.FixtureRequest):
    draw_many(FAMILIES[family], outcome, request.config.getoption("--drawn"))


@pytest.mark.parametrize("family", OPS)
def test_drawn_functions(family: str, request: pytest.FixtureRequest):
    draw_many(OPS[family], outcome_of_call, request.config.getoption("--drawn"))


@pytest.mark.parametrize("case", REGRESSIONS, ids=lambda c: f"{c.code}-{c.shapes}-{c.generation}")
def test_what_once_failed(case: Case):
    assert outcome(case) in ("same", "declined", "rejected")


@pytest.mark.parametrize("drawn", REGRESSION_CALLS, ids=lambda d: d[0].code)
def test_a_call_that_once_failed(drawn: Drawn):
    assert outcome_of_call(drawn) in ("same", "declined")
