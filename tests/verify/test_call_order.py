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
}


@pytest.mark.parametrize("generation", ["keras3", "tf_keras"])
@pytest.mark.parametrize("name", MODELS)
def test_running_statistics_are_those_of_keras(name: str, generation: str, tmp_path: Path):
    path = tmp_path / "prog.py"
    path.write_text(HEAD + textwrap.dedent(MODELS[name]))
    (result,) = verify_file(path, entries=["build()"], generation=generation)
    assert (result.reason, result.status) == ("", "pass")
