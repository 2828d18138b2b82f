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
