"""Weights that the program gives its layers: where they are copied into the result, and where that is declined."""

from pathlib import Path

import pytest
from test_added_losses import converted

HEAD = """
import numpy as np
from tensorflow import keras
from tensorflow.keras import layers

rng = np.random.RandomState(0)
words = sorted(set(open(__file__).read().split()))
matrix = rng.rand(len(words), 4)
"""
MODEL = """
model = keras.Sequential([keras.Input((3,), dtype="int32")])
model.add(layers.Embedding(len(words), 4, {argument}))
{between}
model.add(layers.{last})
"""
DENSE = "Dense(1, kernel_initializer=keras.initializers.Constant(rng.rand(4, 1)))"
BUILDER = """
def build(kernel):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="dense")])
    model.get_layer("dense").set_weights([kernel, np.zeros(2)])
    return model

model = build(rng.rand(4, 2))
"""
LOOP = """
model = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.Dense(4)])
for layer in model.layers:
    layer.set_weights([rng.rand(4, 4), rng.rand(4)])
"""
FROZEN = """
inputs = keras.Input((3,), dtype="int32")
embedding = layers.Embedding(len(words), 4, trainable=False)
model = keras.Model(inputs, layers.Dense(1)(embedding(inputs)))
embedding.set_weights([{given}])
print(embedding.get_weights()[0].shape, model.layers[-1].get_weights())
"""


def text_of(source: str, folder: Path) -> tuple[str, list[str]]:
    return converted(HEAD + source, folder, "tf_keras")


def test_an_initializer_of_a_matrix_is_a_parameter_of_the_class(tmp_path: Path):
    argument = "embeddings_initializer=keras.initializers.Constant(matrix), trainable=False"
    text, errors = text_of(MODEL.format(argument=argument, between="", last="Dense(1)"), tmp_path)
    assert not errors
    assert "def __init__(self, num_words: int, matrix: Tensor) -> None:" in text
    assert "with_weights(nn.Embedding(num_words, 4), matrix).requires_grad_(False)" in text
    assert "Net(len(words), torch.as_tensor(matrix))" in text
    assert "init_weights" in text  # of the layers that are given none


def test_arrays_are_drawn_in_the_order_of_the_source(tmp_path: Path):
    argument = "weights=[rng.rand(len(words), 4)]"
    text, errors = text_of(MODEL.format(argument=argument, between="print(words)", last="Dense(1)"), tmp_path)
    assert not errors and text.index("torch.as_tensor(rng.rand(len(words), 4))") < text.index("print(words)")
    text, errors = text_of(MODEL.format(argument=argument, between="", last=DENSE), tmp_path)
    assert not errors and text.index("torch.as_tensor(rng.rand(len(words), 4))") < text.index(
        "as_tensor(rng.rand(4, 1)"
    )
    _, errors = text_of(MODEL.format(argument=argument, between="x = rng.rand(3)", last=DENSE), tmp_path)
    assert any("changes while the model is built" in e for e in errors)


@pytest.mark.parametrize(
    ("source", "why"),
    (
        (BUILDER, "set_weights() of a layer is not translated here"),
        (LOOP, "the layers of a loop are not translated one by one"),
        (FROZEN.format(given="matrix, matrix"), "2 arrays for 1 weights"),
        (MODEL.format(argument="", between="", last="Bidirectional(layers.LSTM(2), weights=[matrix])"), "initial weights given as arrays"),
        (MODEL.format(argument="weights=[matrix, matrix]", between="", last="Dense(1)"), "weights= of this Embedding"),
        (MODEL.format(argument="", between="", last="Dense(1)") + "model.layers[0].set_weights(list(rng.rand(1, 9, 4)))", "no list of arrays"),
    ),
)  # fmt: skip
def test_weights_that_cannot_be_given_are_declined(source: str, why: str, tmp_path: Path):
    _, errors = text_of(source, tmp_path)
    assert any(why in e for e in errors)


def test_weights_of_a_layer_in_a_variable(tmp_path: Path):
    text, errors = text_of(FROZEN.format(given="matrix"), tmp_path)
    assert not errors
    assert "model.embedding.weight.data.copy_(torch.as_tensor(matrix))" in text
    assert "model.embedding.weight.detach().cpu().numpy().copy().shape" in text
    assert "[model.dense.weight.detach().T.cpu().numpy().copy(), model.dense.bias" in text
