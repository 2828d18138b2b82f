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
NORMALIZED = """
def build(scale=True):
    tokens = Input((6,), dtype="int32")
    x = LSTM(3, return_sequences=True)(Embedding(9, 4, mask_zero=True)(tokens))
    x = BatchNormalization(momentum=0.9, scale=scale)(x)
    x = BatchNormalization(scale=False, center=False)(x)
    return Model(tokens, GRU(2)(x))

def frozen():
    tokens = Input((6,), dtype="int32")
    norm = BatchNormalization()
    x = norm(LSTM(3, return_sequences=True)(Embedding(9, 4, mask_zero=True)(tokens)))
    norm.trainable = False
    return Model(tokens, GRU(2)(x))
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
ATTENTION = """
def build():
    first, second = Input((5,), dtype="int32"), Input((4,), dtype="int32")
    embedding = Embedding(5, 6, mask_zero=True)
    outputs = []
    for layer in (
        Attention(), Attention(use_scale=True), Attention(score_mode="concat"), Attention(dropout=0.1),
        AdditiveAttention(), MultiHeadAttention(2, 4), MultiHeadAttention(2, 3, dropout=0.2),
    ):
        q, v = embedding(first), embedding(second)
        y = layer(q, v) if isinstance(layer, MultiHeadAttention) else layer([q, v])
        outputs += [y, LSTM(3)(y)]
    q = embedding(first)
    outputs.append(LSTM(2)(Add()([q, MultiHeadAttention(2, 4)(q, q)])))
    plain = Dense(6)(embedding(second))
    outputs.append(Attention()([plain, plain, plain]))
    return Model([first, second], outputs)

def decoder():
    tokens, allowed, plain = Input((5,), dtype="int32"), Input((5, 5), dtype="bool"), Input((5, 6))
    x = Embedding(5, 6, mask_zero=True)(tokens)
    y = MultiHeadAttention(2, 4)(plain, plain, use_causal_mask=True)
    z = MultiHeadAttention(2, 4)(x, plain, attention_mask=allowed, use_causal_mask=True)
    return Model([tokens, allowed, plain], [y, z])

def softmax():
    scores, kept = Input((4, 5)), Input((4, 5), dtype="bool")
    return Model([scores, kept], [Softmax()(scores, mask=kept), Softmax(axis=1)(scores, kept)])
"""
LAYERS = """
class Pool(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, shape):
        self.w = self.add_weight(name="w", shape=(shape[-1], 1))

    def call(self, x, mask=None):
        scores = tf.squeeze(tf.matmul(tf.tanh(x), tf.expand_dims(self.w[:, 0], 1)[None] * tf.ones_like(x[:, :1, :1])), -1)
        weights = tf.exp(scores)
        if mask is not None:
            weights = weights * tf.cast(mask, weights.dtype)
        weights = weights / (tf.reduce_sum(weights, axis=1, keepdims=True) + 1e-7)
        return tf.reduce_sum(x * tf.expand_dims(weights, -1), axis=1)

    def compute_mask(self, inputs, mask=None):
        return None

class Nonzero(layers.Layer):
    def call(self, x):
        return x * 2.0

    def compute_mask(self, x, mask=None):
        return {any}({unequal}(x, 0.0), axis=-1)

class Encoder(layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.lstm = LSTM(units, return_sequences=True)
        self.dense = Dense(units)

    def call(self, x):
        return self.dense(self.lstm(x))

class Words(layers.Layer):
    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.embedding = Embedding(9, size, mask_zero=True)

    def call(self, tokens):
        return self.embedding(tokens)

    def compute_mask(self, tokens, mask=None):
        return self.embedding.compute_mask(tokens)

class Ends(layers.Layer):
    def call(self, x):
        mask = getattr(x, "_keras_mask", None)
        return x if mask is None else x * tf.cast(mask, x.dtype)[:, :, None]

def build():
    tokens, steps = Input((6,), dtype="int32"), Input((5, 3))
    x = Embedding(9, 4, mask_zero=True)(tokens)
    outputs = [Pool()(x), Pool()(LSTM(3, return_sequences=True)(x)), LSTM(2)(Nonzero()(steps)), LSTM(2)(Encoder(3)(x))]
    outputs += [LSTM(2)(Words(4)(tokens)), Ends()(x), LSTM(2)(Lambda(lambda x: x * 2.0)(x))]
    outputs.append(LSTM(2)(Lambda(lambda x: x * 3.0, mask=lambda x, m: m)(x)))
    return Model([tokens, steps], outputs)
"""
STRUCTURE = """
def block(x, units):
    x = LSTM(units, return_sequences=True)(x)
    return Dropout(0.1)(x)

def words(tokens, size):
    return Embedding(9, size, mask_zero=True)(Reshape((6,))(tokens))

def build(depth=3, units=4, twice=True):
    tokens = Input((6,), dtype="int32")
    x = words(tokens, units)
    for _ in range(depth):
        x = block(x, units)
    if twice:
        x = Dense(units)(x)
    x = block(x, units)
    return Model(tokens, LSTM(units)(x))

def translate(units=4):
    source, target = Input((6,), dtype="int32"), Input((5,), dtype="int32")
    _, h, c = LSTM(units, return_state=True)(Embedding(9, 3, mask_zero=True)(source))
    y = LSTM(units, return_sequences=True)(Embedding(8, 3, mask_zero=True)(target), initial_state=[h, c])
    return Model([source, target], Dense(7, activation="softmax")(y))

def stacked():
    model = Sequential([Input((6,), dtype="int32"), Embedding(9, 4, mask_zero=True)])
    model.add(Bidirectional(LSTM(3, return_sequences=True)))
    model.add(LSTM(3))
    model.add(Dense(2))
    return model
"""
PROGRAMS = {
    "recurrent": (RECURRENT, ("build()", "steps()", "explicit()")),
    "normalized": (NORMALIZED, ("build()", "frozen()")),
    "merges": (MERGES, ("build()",)),
    "attention": (ATTENTION, ("build()", "decoder()", "softmax()")),
    "layers": (LAYERS, ("build()",)),
    "structure": (STRUCTURE, ("build()", "translate()", "stacked()")),
}


def write(text: str, keras: str, folder: Path) -> Path:
    path = folder / "prog.py"
    own = keras == "keras"  # whose masks are computed of symbolic tensors, which TensorFlow's functions do not take
    text = textwrap.dedent(text).replace("{any}", "keras.ops.any" if own else "tf.reduce_any")
    text = text.replace("{unequal}", "keras.ops.not_equal" if own else "tf.not_equal")
    path.write_text(HEAD.format(keras=keras) + text)
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


UNHEARD = """
class Norm({base}):
    def call(self, inputs, training=None):
        return super().call(inputs, training=training)

def build():
    tokens = Input((6,), dtype="int32")
    return Model(tokens, Norm({arguments})(Embedding(9, 4, mask_zero=True)(tokens)))
"""


@pytest.mark.parametrize(("base", "arguments"), [("layers.BatchNormalization", ""), ("layers.GRU", "3")])
def test_a_call_that_does_not_hand_on_the_mask_is_declined(base: str, arguments: str, tmp_path: Path):
    path = tmp_path / "model.py"
    text = HEAD.replace("{keras}", "keras") + UNHEARD.replace("{base}", base).replace("{arguments}", arguments)
    path.write_text(textwrap.dedent(text))
    done = convert_file(path, entries=["build()"])
    assert any("does not hand on the mask" in f.message for f in done.findings), done.findings
