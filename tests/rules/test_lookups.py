"""Values that become numbers, and numbers that become ones among zeros."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from harness import GENERATIONS, read, real, tf, translate

from transpiler.diagnostics import Declined
from transpiler.ir.model import KERAS2, KERAS3
from transpiler.ir.shape import TensorType

NUMBERS = np.random.default_rng(3).integers(0, 9, (6, 4))


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(
    ("code", "shape"),
    [
        ("IntegerLookup(vocabulary=[3, 1, 7])", (6, 4)),
        ("IntegerLookup(vocabulary=[3, 1, 7], num_oov_indices=3)", (6, 4)),
        ("IntegerLookup(vocabulary=[3, 1, 7], mask_token=0)", (6, 4)),
        ("IntegerLookup(vocabulary=[3, 1, 7], mask_token=0, num_oov_indices=2)", (6, 4)),
        ("IntegerLookup(vocabulary=[-1, 3, 1, 7])", (6, 4)),
        ("IntegerLookup(vocabulary=[0, -1, 3, 1, 7], mask_token=0)", (2, 3, 4)),
        ("IntegerLookup(vocabulary=[8, 7, 6, 5, 4, 3, 2, 1, 0], num_oov_indices=0)", (6, 4)),
        ("IntegerLookup(vocabulary=[3, 1, 7], output_mode='one_hot')", (6, 1)),
        ("IntegerLookup(vocabulary=[3, 1, 7], output_mode='multi_hot')", (6, 4)),
        ("IntegerLookup(vocabulary=[3, 1, 7], output_mode='count', num_oov_indices=2)", (6, 4)),
        ("CategoryEncoding(9, output_mode='count')", (6, 4)),
    ],
)
def test_numbers_are_keras_s(code: str, shape: tuple[int, ...], generation: str):
    x = NUMBERS.reshape(-1)[: int(np.prod(shape))].reshape(shape)
    translation = translate(read(code, generation), [TensorType((None, *shape[1:]), "int64")])
    (have,) = translation(torch.from_numpy(x))
    want = real(code, generation)(tf.constant(x)).numpy()
    assert np.array_equal(want, have.numpy())
    assert have.shape[1:] == translation.lowering.types[0].shape[1:]


@pytest.mark.parametrize("shape", [(6, 4), (3, 2, 4), (3, 8, 1)])
def test_one_hot_of_several_axes(shape: tuple[int, ...]):
    x = NUMBERS.reshape(shape)
    for code in ("CategoryEncoding(9, output_mode='one_hot')", "Discretization([2, 5], output_mode='one_hot')"):
        translation = translate(read(code, KERAS3), [TensorType((None, *shape[1:]), "int64")])
        have = translation(torch.from_numpy(x))[0].numpy()
        want = real(code, KERAS3)(tf.constant(x)).numpy()
        assert np.array_equal(want, have)
        assert have.shape[1:] == translation.lowering.types[0].shape[1:]


def test_numbers_that_a_whole_vocabulary_lacks():
    code = "IntegerLookup(vocabulary=[1, 2], num_oov_indices=0)"
    translation = translate(read(code, KERAS3), [TensorType((None, 4), "int64")])
    with pytest.raises(ValueError, match="lacks"):
        translation(torch.tensor([[1, 2, 3, 1]]))


@pytest.mark.parametrize(
    ("code", "generation", "shape"),
    [
        ("IntegerLookup()", KERAS3, (None, 4)),
        ("IntegerLookup(vocabulary='words.txt')", KERAS3, (None, 4)),
        ("IntegerLookup(vocabulary=[1, 2], invert=True)", KERAS3, (None, 4)),
        ("IntegerLookup(vocabulary=[1, 2], output_mode='count', mask_token=0)", KERAS3, (None, 4)),
        ("IntegerLookup(vocabulary=[1, 2], output_mode='tf_idf', idf_weights=[1.0, 2.0])", KERAS3, (None, 4)),
        ("CategoryEncoding(3)", KERAS3, (None, 4, 2)),
        ("CategoryEncoding(3, output_mode='one_hot')", KERAS2, (None, 4)),
        ("Discretization(num_bins=3)", KERAS3, (None, 4)),
    ],
)
def test_what_is_not_exact_is_declined(code: str, generation: str, shape: tuple):
    with pytest.raises(Declined):
        translate(read(code, generation), [TensorType(shape, "int64")])
