"""Shared layers with running statistics: each call moves them, in the order in which Keras makes the calls."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from transpiler.verify import verify_file

HEAD = """
from tensorflow import keras
from tensorflow.keras import layers
"""

MODELS = {
    "branches with a layer after the shared one": """
        def build():
            i = keras.Input((8, 2))
            norm = layers.BatchNormalization()
            outs = [layers.Dense(3)(norm(layers.Dense(4)(i))) for k in range(3)]
            return keras.Model(i, layers.Concatenate()(outs))
        """,
    "outputs in another order than the calls": """
        def build():
            i = keras.Input((8, 2))
            norm = layers.BatchNormalization()
            a = norm(layers.Dense(4)(i))
            b = norm(layers.Dense(4)(i))
            return keras.Model(i, layers.Concatenate()([b, a]))
        """,
    "two shared layers and branches of different lengths": """
        def build():
            i = keras.Input((8, 2))
            first, second = layers.BatchNormalization(), layers.BatchNormalization()
            a = second(layers.Dense(4)(first(i)))
            b = second(layers.Dense(4)(first(layers.ReLU()(i))))
            return keras.Model(i, layers.Subtract()([a, layers.Dense(4)(b)]))
        """,
    "values of the constructor between the calls": """
        import numpy as np

        def build(n=3):
            i = keras.Input((8, 4))
            norm, last = layers.BatchNormalization(), layers.Dense(3)
            outs = []
            for k in range(n):
                kernel = np.eye(4) * (k + 1)
                kernel[k] += 1
                start = keras.initializers.Constant(kernel)
                x = layers.Dense(4, use_bias=False, kernel_initializer=start)(i)
                outs.append(last(norm(x)))
            return keras.Model(i, layers.Concatenate()(outs))
        """,
    "a loop that stays a loop": """
        def build(n=2):
            i = keras.Input((8, 4))
            norm = layers.BatchNormalization()
            x = i
            for k in range(n):
                x = layers.Dense(4)(x)
            y = layers.Dense(4)(norm(x))
            return keras.Model(i, layers.Add()([y, layers.Dense(4)(norm(i))]))
        """,
    "a side of a branch": """
        def build(deep=True):
            i = x = keras.Input((4,))
            if deep:
                norm = layers.BatchNormalization()
                b = norm(layers.Dense(4)(layers.ReLU()(layers.Dense(4)(i))))
                a = norm(layers.Dense(4)(i))
                x = layers.Add()([b, layers.Dense(4)(layers.ReLU()(layers.Dense(4)(a)))])
            return keras.Model(i, layers.Dense(1)(x))
        """,
    "a branch between the calls and the end": """
        def build(deep=False):
            i = keras.Input((4,))
            norm = layers.BatchNormalization()
            a, b = norm(layers.Dense(4)(i)), norm(layers.Dense(4)(i))
            if deep:
                a = layers.Dense(4)(layers.ReLU()(a))
            b = layers.ReLU()(b)
            return keras.Model(i, layers.Dense(1)(layers.Add()([a, b])))
        """,
    "a function": """
        def block(x):
            norm = layers.BatchNormalization()
            b = norm(layers.Dense(4)(layers.ReLU()(layers.Dense(4)(x))))
            a = norm(layers.Dense(4)(x))
            return layers.Add()([b, layers.Dense(4)(layers.ReLU()(layers.Dense(4)(a)))])

        def build():
            i = keras.Input((4,))
            return keras.Model(i, block(block(i)))
        """,
    "a layer of the program": """
        class Norm(layers.Layer):
            def __init__(self):
                super().__init__()
                self.norm = layers.BatchNormalization()

            def call(self, x):
                return self.norm(x) * 2.0

        def build():
            i = keras.Input((4,))
            norm = Norm()
            b = norm(layers.Dense(4)(layers.ReLU()(layers.Dense(4)(i))))
            a = norm(layers.Dense(4)(i))
            return keras.Model(i, layers.Add()([b, layers.Dense(4)(layers.ReLU()(layers.Dense(4)(a)))]))
        """,
    "a model": """
        def build():
            i, j = keras.Input((4,)), keras.Input((4,))
            norm = keras.Model(j, layers.ReLU()(layers.BatchNormalization()(j)))
            b = norm(layers.Dense(4)(layers.ReLU()(layers.Dense(4)(i))))
            a = norm(layers.Dense(4)(i))
            return keras.Model(i, layers.Add()([b, layers.Dense(4)(layers.ReLU()(layers.Dense(4)(a)))]))
        """,
}


@pytest.mark.parametrize("generation", ["keras3", "tf_keras"])
@pytest.mark.parametrize("name", MODELS)
def test_running_statistics_are_those_of_keras(name: str, generation: str, tmp_path: Path):
    path = tmp_path / "prog.py"
    path.write_text(HEAD + textwrap.dedent(MODELS[name]))
    (result,) = verify_file(path, entries=["build()"], generation=generation)
    assert (result.reason, result.status) == ("", "pass")
