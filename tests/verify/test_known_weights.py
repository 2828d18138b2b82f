"""Weights whose start is known: the torch model starts with the very numbers that Keras starts with."""

from __future__ import annotations

import sys
import textwrap
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from transpiler.pipeline import Conversion, convert_file

HEAD = """
import numpy as np
import tensorflow as tf
import keras
from keras import layers, ops
"""

STARTS = {
    "a bias as a list": """
        def build(units=3):
            i = keras.Input((4,))
            start = keras.initializers.Constant([0.5, -1, 2.0])
            return keras.Model(i, layers.Dense(units, kernel_initializer="ones", bias_initializer=start)(i))
        """,
    "a kernel as lists": """
        def build():
            i = keras.Input((2,))
            start = keras.initializers.Constant(value=[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
            return keras.Model(i, layers.Dense(3, kernel_initializer=start, trainable=False)(i))
        """,
    "a kernel computed by tensor operations": """
        def build(length=6, terms=3):
            t = tf.cast(tf.range(length), tf.float32) / length
            basis = tf.stack([t ** float(p) for p in range(terms)])
            i = keras.Input((terms,))
            start = keras.initializers.Constant(basis)
            return keras.Model(i, layers.Dense(length, use_bias=False, kernel_initializer=start)(i))
        """,
    "the kernel of a convolution": """
        def build():
            i = keras.Input((5, 6, 2))
            values = tf.reshape(tf.range(36.0), (3, 3, 2, 2))
            x = layers.Conv2D(2, 3, padding="same", kernel_initializer=keras.initializers.Constant(values))(i)
            deep = keras.initializers.Constant(tf.reshape(tf.range(18.0), (3, 3, 2, 1)) - 4)
            return keras.Model(i, layers.DepthwiseConv2D(3, depthwise_initializer=deep)(x))
        """,
    "an array of numpy": """
        def build(size=4):
            kernel = np.ones((size, 2, 1))
            kernel[np.arange(size) % 2 == 0] *= -1
            kernel[1:, :, 0] += np.linspace(0, 1, size)[1:, None] ** 2
            i = keras.Input((6, 2))
            start = keras.initializers.Constant(kernel.tolist())
            return keras.Model(i, layers.Conv1D(1, size, kernel_initializer=start, use_bias=False)(i))
        """,
    "arrays that are filled in a loop": """
        def build(units=3):
            i = keras.Input((4,))
            x = i
            for n in (2, 3):
                picks = np.zeros((4, 4), dtype=np.float32)
                for row in range(4):
                    picks[row, (row * n) % 4] = n
                x = layers.Dense(4, use_bias=False, kernel_initializer=keras.initializers.Constant(picks))(x)
            return keras.Model(i, x)
        """,
    "an array that is changed after it was used": """
        def build():
            i = keras.Input((2,))
            kernel = np.full((2, 2), 3.0)
            half = kernel / 2
            last = kernel[1]
            x = layers.Dense(2, kernel_initializer=keras.initializers.Constant(kernel))(i)
            last *= 5
            x = layers.Dense(2, kernel_initializer=keras.initializers.Constant(kernel + half))(x)
            return keras.Model(i, x)
        """,
    "an array of the function around": """
        def block(x, kernel):
            return layers.ReLU()(layers.Dense(2, kernel_initializer=keras.initializers.Constant(kernel))(x))

        def build(scale=2.0):
            i = keras.Input((2,))
            kernel = np.array([[1.0, -2.0], [3.0, 4.0]]) * scale
            return keras.Model(i, block(block(i, kernel), kernel.T + 1))
        """,
    "an array of the module": """
        SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])

        def build():
            i = keras.Input((5, 5, 1))
            start = keras.initializers.Constant(SOBEL.reshape(3, 3, 1, 1).astype(np.float32))
            return keras.Model(i, layers.Conv2D(1, 3, kernel_initializer=start, use_bias=False)(i))
        """,
    "arrays among tensors": """
        class Positions(layers.Layer):
            def __init__(self, size, **kwargs):
                super().__init__(**kwargs)
                rows, columns = np.meshgrid(np.arange(size), np.arange(size + 1), indexing="ij")
                grid = np.stack([rows, columns], axis=-1).reshape(-1, 2)
                self.distance = keras.Variable(np.abs(grid[:, 0] - grid[:, 1]), trainable=False, dtype="int32")
                self.scale = keras.Variable(1.0 / (1 + grid.sum(axis=-1)), trainable=False, dtype="float32")

            def call(self, x):
                return x * ops.take(self.scale, self.distance, axis=0) + np.sin(np.arange(6).reshape(1, 6)).astype(np.float32) / 2

        def build():
            i = keras.Input((6,))
            return keras.Model(i, Positions(2)(i))
        """,
    "positions as sines and cosines": """
        def encoding(length, dim):
            angles = np.arange(length)[:, np.newaxis] / np.power(10000, 2 * (np.arange(dim) // 2)[None] / np.float32(dim))
            angles[:, 0::2] = np.sin(angles[:, 0::2])
            angles[:, 1::2] = np.cos(angles[:, 1::2])
            return tf.cast(angles[np.newaxis, ...], dtype=tf.float32)

        class Positions(layers.Layer):
            def __init__(self, length, dim, **kwargs):
                super().__init__(**kwargs)
                self.encoding = encoding(length, dim)

            def call(self, x):
                return x + self.encoding[:, :5, :]

        def build(length=16, dim=6):
            i = keras.Input((5, dim))
            return keras.Model(i, Positions(length, dim)(i))
        """,
    "the weight of a layer of the program": """
        class Scale(layers.Layer):
            def build(self, shape):
                start = keras.initializers.Constant([1.0, 2.0, 3.0])
                self.scale = self.add_weight(shape=(3,), initializer=start, name="scale")

            def call(self, x):
                return x * self.scale

        def build():
            i = keras.Input((3,))
            return keras.Model(i, Scale()(i))
        """,
}


def convert(source: str, folder: Path, entry: str = "build()") -> Conversion:
    path = folder / "prog.py"
    path.write_text(HEAD + textwrap.dedent(source))
    return convert_file(path, entries=[entry])


def run(text: str, name: str) -> dict[str, Any]:
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), vars(module))
    return vars(module)


@pytest.mark.parametrize("name", STARTS)
def test_both_start_with_the_same_weights(name: str, tmp_path: Path):
    conversion = convert(STARTS[name], tmp_path)
    assert conversion.entries, [f.message for f in conversion.findings]
    keras_model = eval(conversion.entries[0].expression, run(HEAD + textwrap.dedent(STARTS[name]), "theirs"))
    torch_model = eval(conversion.entries[0].torch_expression, run(conversion.modules[0].text, "ours"))
    x = np.random.default_rng(0).normal(size=(2, *keras_model.input_shape[1:])).astype("float32")
    with torch.no_grad():
        found = torch_model.eval()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, np.array(keras_model(x)), rtol=1e-5, atol=1e-5)


def test_what_is_not_trained_is_not_trained(tmp_path: Path):
    conversion = convert(STARTS["a kernel as lists"], tmp_path)
    model = eval(conversion.entries[0].torch_expression, run(conversion.modules[0].text, "ours"))
    assert not any(p.requires_grad for p in model.parameters())


def test_random_arrays_are_drawn_in_the_constructor(tmp_path: Path):
    source = """
        def build(seed=0):
            rng = np.random.default_rng(seed)
            i = keras.Input((4,))
            picks = np.zeros((4, 2))
            picks[rng.permutation(4)[:2], np.arange(2)] = 1.0
            start = keras.initializers.Constant(picks)
            return keras.Model(i, layers.Dense(2, use_bias=False, kernel_initializer=start)(i))
        """
    conversion = convert(source, tmp_path)
    names = run(conversion.modules[0].text, "ours")
    weights = [names["build"](seed).dense.weight.detach().numpy() for seed in (3, 3, 4)]
    picks = np.zeros((4, 2))
    picks[np.random.default_rng(3).permutation(4)[:2], np.arange(2)] = 1.0
    np.testing.assert_array_equal(weights[0], picks.T)
    np.testing.assert_array_equal(weights[0], weights[1])


CHANGED = {
    "an array of the module that a function changes": """
        KERNEL = np.ones((2, 2))

        def change():
            KERNEL[0] = 5

        change()

        def build():
            i = keras.Input((2,))
            return keras.Model(i, layers.Dense(2, kernel_initializer=keras.initializers.Constant(KERNEL))(i))
        """,
    "what was computed before an array changed": """
        def build():
            i = keras.Input((2,))
            kernel = np.ones((2, 2))
            held = [kernel + 1]
            kernel[0] = 5
            return keras.Model(i, layers.Dense(2, kernel_initializer=keras.initializers.Constant(held[0]))(i))
        """,
    "random numbers of the module": """
        KERNEL = np.random.default_rng(0).normal(size=(2, 2))

        def build():
            i = keras.Input((2,))
            return keras.Model(i, layers.Dense(2, kernel_initializer=keras.initializers.Constant(KERNEL))(i))
        """,
}


@pytest.mark.parametrize("name", CHANGED)
def test_an_array_that_is_not_what_its_code_makes_is_given_or_declined(name: str, tmp_path: Path):
    conversion = convert(CHANGED[name], tmp_path)
    errors = [f.code for f in conversion.findings if f.severity.name == "ERROR"]
    if "of the module" in name:  # the class is given what is in the variable when it is made
        assert not errors and "return Build(torch.as_tensor(KERNEL))" in conversion.modules[0].text
    else:
        assert errors == ["K2T203"]


@pytest.mark.parametrize(
    "layer", ["layers.LSTM(1, bias_initializer=start)", "layers.Conv1D(2, 3, kernel_initializer=start)"]
)
def test_a_start_that_does_not_fit_is_declined(layer: str, tmp_path: Path):
    source = f"""
        def build():
            i = keras.Input((5, 2))
            start = keras.initializers.Constant([0.0, 1.0, 2.0, 3.0])
            return keras.Model(i, {layer}(i))
        """
    assert [f.code for f in convert(source, tmp_path).findings] == ["K2T102"]
