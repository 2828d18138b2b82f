"""`RNN` over cells that the program defines, alone, in stacks with Keras's cells, both ways, and with masks."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from transpiler.pipeline import convert_file
from transpiler.verify import verify_file

KERAS3 = """
    import keras
    from keras import Input, Model, layers, ops


    @keras.saving.register_keras_serializable()
    class Cell(layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.state_size = units

        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
            self.turn = self.add_weight(shape=(self.units, self.units), initializer="orthogonal", name="turn")

        def call(self, inputs, states):
            after = ops.tanh(ops.matmul(inputs, self.kernel) + ops.matmul(states[0], self.turn))
            return after * 2, [after]

        def get_config(self):
            config = super().get_config()
            config.update({"units": self.units})
            return config


    class GatedCell(layers.Layer):
        def __init__(self, units):
            super().__init__()
            self.state_size = [units, units]
            self.gates = layers.Dense(3 * units)
            self.dropout = layers.Dropout(0.2)

        def call(self, inputs, states, training=None):
            h, c = states
            z = self.gates(ops.concatenate([self.dropout(inputs, training=training), h], axis=-1))
            i, f, o = ops.split(z, 3, axis=-1)
            c = ops.sigmoid(f) * c + ops.sigmoid(i)
            h = ops.tanh(c) * o
            return h, (h, c)


    def alone(units=8, steps=6, features=5):
        x = inputs = Input((steps, features))
        x = layers.RNN(Cell(units), return_sequences=True, unroll=True)(x)
        x, h, c = layers.RNN(GatedCell(4), return_sequences=True, return_state=True)(x)
        x = layers.RNN(GatedCell(4), go_backwards=True)(x, initial_state=[h, c])
        return Model(inputs, layers.Dense(2)(x))


    def stack(units=8, steps=6, features=5):
        x = inputs = Input((steps, features))
        x = layers.RNN([Cell(units), layers.LSTMCell(3), Cell(4)], return_sequences=True)(x)
        x = layers.RNN(layers.StackedRNNCells([layers.GRUCell(3), Cell(4)]), go_backwards=True)(x)
        return Model(inputs, layers.Dense(2)(x))


    def both(units=8, steps=6, features=5):
        x = inputs = Input((steps, features))
        x = layers.Bidirectional(layers.RNN(Cell(units), return_sequences=True))(x)
        x = layers.Bidirectional(layers.RNN(Cell(units), return_sequences=True), merge_mode="ave")(x)
        y, h, g = layers.Bidirectional(layers.RNN(Cell(units), return_state=True), merge_mode="mul")(x)
        return Model(inputs, layers.Dense(2)(layers.Concatenate()([y, h, g])))


    def masked(units=8, vocabulary=20):
        inputs = Input((None,), dtype="int32")
        x = layers.Embedding(vocabulary, 6, mask_zero=True)(inputs)
        x = layers.RNN(Cell(units), return_sequences=True, zero_output_for_mask=True)(x)
        x = layers.RNN([Cell(units), layers.GRUCell(5), Cell(4)], return_sequences=True, go_backwards=True)(x)
        x = layers.Bidirectional(layers.RNN(Cell(3), return_sequences=True))(x)
        x, h = layers.RNN(Cell(units), return_state=True)(x)
        return Model(inputs, [x, h])
"""
LEGACY = """
    import tensorflow as tf
    import tf_keras as keras
    from tf_keras import backend as K
    from tf_keras import layers


    class Cell(layers.AbstractRNNCell):
        def __init__(self, units, **kwargs):
            self.units = units
            super().__init__(**kwargs)

        @property
        def state_size(self):
            return self.units

        @property
        def output_size(self):
            return self.units

        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
            self.turn = self.add_weight(shape=(self.units, self.units), name="turn")
            self.built = True

        def call(self, inputs, states):
            output = K.dot(inputs, self.kernel) + K.dot(states[0], self.turn)
            return output, output

        def get_config(self):
            return dict(super().get_config(), units=self.units)


    class Counting(layers.Layer):
        def __init__(self, units):
            super().__init__()
            self.units = units
            self.state_size = [tf.TensorShape([units]), tf.TensorShape([1])]
            self.dense = layers.Dense(units, activation="tanh")

        def get_initial_state(self, inputs=None, batch_size=None, dtype=None):
            return [tf.ones((batch_size, self.units), dtype), tf.zeros((batch_size, 1), dtype)]

        def call(self, inputs, states, training=None):
            h, n = states
            h = self.dense(tf.concat([inputs, h / (n + 1)], -1))
            return h, [h, n + 1]


    def build(units=8, steps=6, features=5):
        x = inputs = keras.Input((steps, features))
        x = layers.Masking()(x)
        x = layers.RNN(Cell(units), return_sequences=True)(x)
        x = layers.Bidirectional(layers.RNN(Cell(4), return_sequences=True))(x)
        x, h, n = layers.RNN(Counting(4), return_state=True)(x)
        return keras.Model(inputs, [layers.Dense(2)(x), n])
"""


def written(text: str, folder: Path) -> Path:
    path = folder / "cells.py"
    path.write_text(textwrap.dedent(text))
    return path


def test_cells_of_the_program(tmp_path: Path):
    entries = ["alone()", "stack()", "both()", "masked()"]
    results = verify_file(written(KERAS3, tmp_path), entries=entries, generation="keras3")
    assert [(r.status, r.tier) for r in results] == [("pass", "structure")] * 4, results


def test_cells_of_legacy_keras(tmp_path: Path):
    (result,) = verify_file(written(LEGACY, tmp_path), entries=["build()"])
    assert (result.status, result.tier) == ("pass", "structure"), result


def test_a_cell_is_called_by_a_loop(tmp_path: Path):
    done = convert_file(written(KERAS3, tmp_path), entries=["alone()"])
    lines = [line.strip() for line in done.modules[-1].text.splitlines() if "run_cell(" in line]
    assert lines[1:] == [
        "x = run_cell(self.cell, x, (x.new_zeros(len(x), self.units),))[0]",
        "x, h, c = run_cell(self.gated_cell1, x, (state, state))",
        "return self.dense(run_cell(self.gated_cell2, x.flip(1), (h, c))[0][:, -1])",
    ]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("self.dropout = layers.Dropout(0.2)", "self.dropout = layers.BatchNormalization()", "once too often"),
        ("return h, (h, c)", "return h, h", "not like those it takes"),
        ("return h, (h, c)", "return h", "does not return an output and its states"),
        ("self.state_size = [units, units]", "self.state_size = None", "state_size of GatedCell is not evaluated"),
        ("def build(self, input_shape):", "def build(self, input_shape, states_shape):", "shape of its inputs alone"),
        ("RNN(Cell(units), return_sequences=True, unroll", "RNN(Cell(units), trainable=False, unroll", "trainable=False"),
        ("layers.RNN(Cell(units), return_sequences=True, unroll=True)", "layers.RNN(Cell(units), stateful=True)", "stateful"),  # fmt: skip
    ],
)
def test_cells_that_the_loop_would_run_differently_are_declined(old: str, new: str, why: str, tmp_path: Path):
    assert old in KERAS3
    done = convert_file(written(KERAS3.replace(old, new), tmp_path), entries=["alone()"])
    assert any(why in f.message for f in done.findings), done.findings


def test_a_bare_state_in_a_stack_of_keras_3_is_declined(tmp_path: Path):
    """Keras 3 takes its first sample where the batch is 1."""
    text = KERAS3.replace("return after * 2, [after]", "return after * 2, after")
    done = convert_file(written(text, tmp_path), entries=["stack()"])
    assert any("in a stack they have to be a list" in f.message for f in done.findings), done.findings
