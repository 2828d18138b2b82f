"""Multi-head attention against both Keras generations; its call takes query, value and key one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from harness import GENERATIONS, KERAS2, KERAS3, compare, find, randomise, read, real, relative, tf, translate

from transpiler.diagnostics import Declined
from transpiler.ir.shape import TensorType
from transpiler.ir.weights import apply_transform, by_module


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(
    "code, sizes",
    [
        ("MultiHeadAttention(2, 4)", (8, 8)),
        ("MultiHeadAttention(3, 5, value_dim=2, use_bias=False)", (7, 6)),
        ("MultiHeadAttention(2, 3, output_shape=5)", (4, 6, 7)),
    ],
)
def test_heads(code, sizes, generation):
    rng = np.random.default_rng(3)
    live = real(code, generation)
    steps = (4, 5, 5)
    xs = [rng.normal(0, 1, (2, steps[i], size)) for i, size in enumerate(sizes)]
    live(*map(tf.constant, xs))
    randomise(live, rng)
    with tf.GradientTape(persistent=True) as tape:
        want = live(*map(tf.constant, xs))
        total = tf.reduce_sum(want**2)
    layer = read(code, generation)
    found = translate(layer, [TensorType((None, *x.shape[1:])) for x in xs])
    found.load(live)
    (have,) = found(*map(torch.from_numpy, xs))
    assert tuple(have.shape[1:]) == found.lowering.types[0].shape[1:]
    assert np.abs(have.detach().numpy() - want.numpy()).max() < 1e-6  # Keras holds 1 / √key_dim as a float32
    (have**2).sum().backward()
    for name, parameter, weight in found.parameters():
        variable = find(live, weight.source)
        gradient = tape.gradient(total, variable.value if generation == KERAS3 else variable).numpy()
        error = relative(apply_transform(gradient, weight.transform), parameter.grad.numpy())
        assert name == "key.bias" or error < 1e-6, f"gradient of {name} differs by {error:.1e}"
    assert len(found.parameters()) == len(live.trainable_weights)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("options", ["", ", attention_axes=1", ", attention_axes=(2,)", ", attention_axes=(1, 2)"])
def test_heads_over_chosen_axes(options, generation):
    code, rng = f"MultiHeadAttention(2, 3, value_dim=2{options})", np.random.default_rng(3)
    live, other = real(code, generation), (2, 3, 6, 5) if "(2,)" in options else (2, 5, 4, 5)
    xs = [rng.normal(0, 1, (2, 3, 4, 5)), rng.normal(0, 1, other if options[-4:] != "(1, 2)" else (2, 5, 6, 5))]
    live(*map(tf.constant, xs))
    randomise(live, rng)
    found = translate(read(code, generation), [TensorType((None, *x.shape[1:])) for x in xs])
    found.load(live)
    (have,) = found(*map(torch.from_numpy, xs))
    assert np.abs(have.detach().numpy() - live(*map(tf.constant, xs)).numpy()).max() < 1e-6
    assert tuple(have.shape[1:]) == found.lowering.types[0].shape[1:]


def test_one_group_of_weights_for_each_module():
    layer = read("MultiHeadAttention(2, 4)", KERAS3)
    (step,) = translate(layer, [TensorType((None, 3, 8))] * 2).lowering.steps
    assert [sorted(g) for g in by_module(step.weights)] == [["bias", "weight"]] * 4


def test_legacy_fans():
    layer = read("MultiHeadAttention(8, 16)", KERAS2)
    (step,) = translate(layer, [TensorType((None, 3, 64))] * 2).lowering.steps
    assert step.fans["query.weight"] == (512, 1024)
    assert step.fans["output.weight"] == (128, 512)
    layer = read("MultiHeadAttention(8, 16)", KERAS3)
    assert translate(layer, [TensorType((None, 3, 64))] * 2).lowering.steps[0].fans is None


def test_other_axes_are_declined():
    with pytest.raises(Declined):
        translate(read("MultiHeadAttention(2, 4, attention_axes=(2,))", KERAS3), [TensorType((None, 3, 8))] * 2)


def test_dropout_acts_on_the_scores_in_training():
    found = compare("Attention(dropout=0.5)", (2, 3, 4), (2, 5, 4))
    found.train(True)
    x, y = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    assert not torch.equal(found(x, y)[0], found(x, y)[0])
