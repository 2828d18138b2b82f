"""Models with masks against both generations of Keras; verification draws padding at the ends, inside and in whole rows."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from transpiler.pipeline import convert_file
from transpiler.verify import verify_file

HEAD = """
from {keras} import Input, Model, Sequential, layers
from {keras}.layers import *
import {keras} as keras
import tensorflow as tf
"""
BOUND = 1e-9

RECURRENT = """
def build():
    tokens = Input((6,), dtype="int32")
    x = Embedding(9, 4, mask_zero=True)(tokens)
    sequences = Dropout(0.1)(LSTM(3, return_sequences=True)(x))
    outputs = [
        sequences,
        GRU(3)(sequences),
        LSTM(3, go_backwards=True, return_sequences=True)(x),
        LSTM(2, activation="relu", recurrent_dropout=0.1)(x),
        SimpleRNN(3, activation="softsign", return_sequences=True)(Dense(3)(x)),
        GRU(2, reset_after=False)(BatchNormalization(trainable=False)(x)),
        Bidirectional(LSTM(3))(x),
        Bidirectional(GRU(3, return_sequences=True), merge_mode="sum")(x),
        Bidirectional(LSTM(3, return_sequences=True, activation="relu"))(x),
        Bidirectional(LSTM(3, activation="relu"))(x),
        Bidirectional(GRU(2, dropout=0.1))(x),
        *LSTM(3, return_state=True)(x),
        *GRU(3, return_state=True, return_sequences=True)(x),
        RNN(GRUCell(3))(x),
        GlobalAveragePooling1D()(LayerNormalization()(x)),
    ]
    return Model(tokens, outputs)

def steps():
    inputs = Input((7, 3))
    x = Masking(1.5)(inputs)
    return Model(inputs, [x, GRU(4)(x), GRU(4, return_sequences=True, zero_output_for_mask=True)(x)])

def explicit():
    inputs, tokens = Input((5, 3)), Input((5,), dtype="int32")
    embedding = Embedding(7, 3, mask_zero=True)
    embedding(tokens)
    mask = embedding.compute_mask(tokens)
    scores = Dense(5)(inputs)
    return Model([inputs, tokens], [LSTM(4)(inputs, mask=mask), GlobalAveragePooling1D()(inputs, mask=mask)])
"""
MERGES = """
def build():
    first, second, plain = Input((6,), dtype="int32"), Input((6,), dtype="int32"), Input((6, 4))
    x, y = (Embedding(4, 4, mask_zero=True)(t) for t in (first, second))
    outputs = [
        LSTM(3)(layer(tensors))
        for layer in (Add(), Average(), Concatenate(), Subtract())
        for tensors in ([x, y], [x, plain])
    ]
    outputs += [LSTM(3)(Concatenate(axis=1)([x, y])), LSTM(3)(Dot(axes=2)([x, y])), LSTM(3)(Flatten()(x)[:, :, None])]
    return Model([first, second, plain], outputs)
"""
PROGRAMS = {"recurrent": (RECURRENT, ("build()", "steps()", "explicit()")), "merges": (MERGES, ("build()",))}


def write(text: str, keras: str, folder: Path) -> Path:
    path = folder / "prog.py"
    path.write_text(HEAD.format(keras=keras) + textwrap.dedent(text))
    return path


@pytest.mark.parametrize("generation", ["keras3", "tf_keras"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_masks_flow_as_in_keras(name: str, generation: str, tmp_path: Path):
    text, entries = PROGRAMS[name]
    path = write(text, "keras" if generation == "keras3" else "tensorflow.keras", tmp_path)
    for result in verify_file(path, entries=list(entries), generation=generation):
        assert result.status == "pass", result.reason
        assert (result.status, result.reason) == ("pass", "")
        assert max(part["max_rel"] for part in (result.forward, result.training, result.gradients)) < BOUND


def test_a_mask_that_nobody_reads_is_not_written(tmp_path: Path):
    text = """
    def build():
        return Sequential([Input((6,), dtype="int32"), Embedding(9, 4, mask_zero=True), Dense(3), Flatten(), Dense(2)])
    """
    conversion = convert_file(write(text, "keras", tmp_path), entries=["build()"])
    assert "mask" not in conversion.modules[0].text.partition("class Build")[2].replace("mask_zero", "")
