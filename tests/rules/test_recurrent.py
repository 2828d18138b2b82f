"""Recurrent layers against both Keras generations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from harness import GENERATIONS, KERAS3, compare, randomise, read, real, tf, translate

from transpiler.diagnostics import Declined
from transpiler.ir.shape import TensorType

SHAPE = (3, 6, 4)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize(
    "layer",
    [
        "LSTM(3{})",
        "LSTM(3, activation='softsign'{})",
        "LSTM(3, activation=None, recurrent_activation='hard_sigmoid'{})",
        "GRU(3{})",
        "GRU(3, reset_after=False{})",
        "GRU(3, reset_after=False, use_bias=False{})",
        "GRU(3, activation='softsign', recurrent_activation='tanh', go_backwards=True{})",
        "SimpleRNN(3, activation='relu'{})",
        "SimpleRNN(3, activation='sigmoid', use_bias=False{})",
    ],
)
def test_recurrent(layer, sequences, state, generation):
    code = layer.format(f", return_sequences={sequences}, return_state={state}")
    compare(code, SHAPE, generation=generation)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize(
    "layer",
    [
        "LSTM(3{})",
        "LSTM(3, activation='relu'{})",
        "GRU(3, use_bias=False{})",
        "GRU(3, reset_after=False{})",
        "SimpleRNN(3{})",
        "SimpleRNN(3, activation='sigmoid'{})",
        "LSTM(3, dropout=0.2{})",
        "LSTM(3, dropout=0.2, activation='relu'{})",
        "SimpleRNN(3, recurrent_dropout=0.2{})",
        "RNN(LSTMCell(3){})",
        "LSTM(3, dropout=0.2, recurrent_dropout=0.2{})",
    ],
)
def test_bidirectional(layer, merge, generation):
    for sequences in (False, True):
        inner = layer.format(f", return_sequences={sequences}")
        compare(f"Bidirectional({inner}, merge_mode={merge!r})", SHAPE, generation=generation)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_bidirectional_states(generation):
    for layer in ("LSTM(3, return_state=True, return_sequences=True)", "GRU(3, return_state=True)"):
        compare(f"Bidirectional({layer})", SHAPE, generation=generation)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(
    "pair",
    [
        "LSTM(3{0}), backward_layer=LSTM(3, activation='softsign', go_backwards=True{0})",
        "LSTM(3, use_bias=False{0}), backward_layer=LSTM(3, go_backwards=True{0})",
        "GRU(3{0}), backward_layer=GRU(3, go_backwards=True, kernel_initializer='zeros'{0})",
        "GRU(3{0}), backward_layer=SimpleRNN(3, go_backwards=True, dropout=0.5{0})",
        "RNN(LSTMCell(3){0}), backward_layer=LSTM(3, go_backwards=True{0})",
    ],
)
def test_backward_layers_of_their_own(pair, generation):
    for options in ("", ", return_sequences=True"):
        compare(f"Bidirectional({pair.format(options)}, merge_mode='concat')", SHAPE, generation=generation)
    compare(f"Bidirectional({pair.format(', return_sequences=True')}, merge_mode='mul')", SHAPE, generation=generation)


def test_a_dropout_of_each_direction_is_its_own():
    found = compare("Bidirectional(LSTM(3, dropout=0.5, activation='relu', return_sequences=True))", SHAPE)
    assert [str(m) for m in found.modules[0].modules()].count("SharedDropout()") == 2


@pytest.mark.parametrize(
    "code",
    [
        "Bidirectional(LSTM(3), backward_layer=LSTM(3))",
        "Bidirectional(LSTM(3), backward_layer=LSTM(4, go_backwards=True))",
        "Bidirectional(LSTM(3, go_backwards=True))",
        "Bidirectional(Dense(3))",
    ],
)
def test_directions_that_do_not_fit_are_declined(code):
    with pytest.raises(Declined):
        translate(read(code, KERAS3), [TensorType((None, *SHAPE[1:]))])


def test_initial_states_are_handed_over():
    """Keras takes them as `initial_state=`; the inputs of the step are the sequence and then the states."""
    rng = np.random.default_rng(1)
    for code, count in (
        ("LSTM(3)", 2),
        ("GRU(3, return_sequences=True)", 1),
        ("GRU(3, reset_after=False)", 1),
        ("SimpleRNN(3)", 1),
        ("LSTM(3, activation='relu')", 2),
        ("LSTM(3, dropout=0.3)", 2),
        ("GRU(3, go_backwards=True, return_sequences=True)", 1),
        ("SimpleRNN(3, activation='sigmoid', dropout=0.3, go_backwards=True)", 1),
        ("Bidirectional(LSTM(3))", 4),
        ("Bidirectional(GRU(3, return_sequences=True))", 2),
    ):
        live = real(code, KERAS3)
        x = rng.normal(0, 1, SHAPE)
        states = [rng.normal(0, 1, (SHAPE[0], 3)) for _ in range(count)]
        live(tf.constant(x))
        randomise(live, rng)
        want = live(tf.constant(x), initial_state=[tf.constant(s) for s in states])
        types = [TensorType((None, *SHAPE[1:])), *[TensorType((None, 3))] * count]
        found = translate(read(code, KERAS3), types)
        found.load(live)
        found.train(False)
        (have,) = found(torch.from_numpy(x), *map(torch.from_numpy, states))
        assert np.abs(have.detach().numpy() - want.numpy()).max() < 1e-9, code


@pytest.mark.parametrize("options", ["", ", padding='same', return_sequences=True", ", go_backwards=True, strides=2"])
def test_initial_states_of_convolutions(options):
    code, shape, rng = f"ConvLSTM2D(3, 3{options}, return_state=True)", (2, 4, 7, 8, 2), np.random.default_rng(1)
    live, x = real(code, KERAS3), rng.normal(0, 1, shape)
    _, *found = live(tf.constant(x))
    randomise(live, rng)
    states = [rng.normal(0, 1, s.shape) for s in found]
    wanted = live(tf.constant(x), initial_state=[tf.constant(s) for s in states])
    types = [TensorType((None, *v.shape[1:])) for v in (x, *states)]
    translation = translate(read(code, KERAS3), types)
    translation.load(live)
    for want, have in zip(wanted, translation(*map(torch.from_numpy, (x, *states))), strict=True):
        assert np.abs(have.detach().numpy() - want.numpy()).max() < 1e-9


def test_dropout_of_inputs_is_shared_over_the_steps():
    found = compare("LSTM(3, dropout=0.5, return_sequences=True)", SHAPE)
    dropout = found.modules[0].train()
    y = dropout(torch.ones(50, 6, 4))
    assert torch.equal(y, y[:, :1].expand_as(y))
    assert sorted(y.unique().tolist()) == [0, 2]


def test_dropout_of_states_acts_in_training_only():
    found = compare("SimpleRNN(3, recurrent_dropout=0.5, return_sequences=True)", SHAPE)
    x = torch.randn(SHAPE)
    found.train(False)
    assert torch.equal(found(x)[0], found(x)[0])
    found.train(True)
    assert not torch.equal(found(x)[0], found(x)[0])


def test_float_ids_are_truncated_as_in_keras():
    found = translate(read("Embedding(5, 4)", KERAS3), [TensorType((None, 6), "float32")])
    assert [s.fn or s.module for s in found.lowering.steps] == ["{0}.long()", "nn.Embedding(5, 4)"]


def products(code: str, generation: str, states: bool) -> tuple[list[float], list[float]]:
    """The shares of the values that one step gives where weights, and inputs or states, are 1: by Keras and by torch."""
    count, x, h = 4000, np.ones((4000, 1, 1)), np.zeros((4000, 1))
    live, layer = real(code, generation), read(code, generation)
    many = layer.rule.states if states else 0
    given = {"initial_state": [tf.constant(h + 1), *[tf.constant(h)] * (many - 1)]} if states else {}
    live(tf.constant(x))
    for weight in live.weights:
        weight.assign(np.full(weight.shape, 0.0 if "bias" in weight.name else 1.0))
    x = 1 - x if states else x
    want = live(tf.constant(x), training=True, **given).numpy()
    found = translate(layer, [TensorType((None, 1, 1)), *[TensorType((None, 1))] * many])
    for module in filter(None, found.modules):
        module.double()
    found.load(live)
    found.train(True)
    (have,) = found(torch.from_numpy(x), *map(torch.from_numpy, [h + 1, *[h] * (many - 1)] if states else []))
    values = np.unique(np.round(want, 3))
    return [[float((np.round(y, 3) == v).sum()) / count for v in values] for y in (want, have.detach().numpy())]  # type: ignore[return-value]


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("states", [False, True])
@pytest.mark.parametrize("layer", ["LSTM(1{})", "GRU(1{})", "GRU(1{}, reset_after=False)"])
def test_gates_drop_each_on_their_own_where_states_are_dropped(layer, states, generation):
    linear = ", dropout=0.5, recurrent_dropout=0.5, activation='linear', recurrent_activation='linear'"
    want, have = products(layer.format(linear), generation, states)
    assert len(want) > 1 and sum(have) > 0.999 and np.abs(np.subtract(want, have)).max() < 0.05, (want, have)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_without_dropped_states_all_gates_see_one_input(generation):
    linear = ", dropout=0.5, activation='linear', recurrent_activation='linear'"
    want, have = products(f"LSTM(1{linear})", generation, False)
    assert len(want) == 2 and np.abs(np.subtract(want, have)).max() < 0.05, (want, have)


@pytest.mark.parametrize(
    "code", ["LSTM(3, dropout=0.2, implementation=1)", "GRU(3, dropout=1.0)", "LSTM(3, recurrent_dropout=1.0)"]
)
def test_dropout_that_depends_on_how_it_is_computed_is_declined(code):
    with pytest.raises(Declined):
        translate(read(code, KERAS3), [TensorType((None, *SHAPE[1:]))])


def test_masking_clears_steps():
    layer = read("Masking(2.0)", KERAS3)
    found = translate(layer, [TensorType((None, 3, 2))])
    x = torch.tensor([[[2.0, 2.0], [2.0, 1.0], [0.0, 3.0]]])
    assert found(x)[0].tolist() == [[[0, 0], [2, 1], [0, 3]]]
    assert np.array_equal(real("Masking(2.0)", KERAS3)(tf.constant(x.numpy())).numpy(), found(x)[0].numpy())
