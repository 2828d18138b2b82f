"""Models cloned by `clone_model`: converted, run under Keras and under torch, compared."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from transpiler.pipeline import convert_file
from transpiler.verify import verify_file

HEAD = """
from tensorflow import keras
from tensorflow.keras import layers

def base():
    i = keras.Input((8, 8, 3), name="image")
    conv = layers.Conv2D(4, 3, padding="same")
    x = layers.Activation("relu")(layers.BatchNormalization()(conv(i)))
    y = layers.ReLU()(layers.Conv2D(4, 1)(x))
    z = layers.Conv2D(4, 1)(layers.MaxPooling2D(1)(x))
    x = layers.Add()([x, z, y])
    return keras.Model(i, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
"""

CLONES = {
    "a clone has weights of its own": """
        def build():
            model = base()
            i = keras.Input((8, 8, 3))
            return keras.Model(i, layers.Subtract()([model(i), keras.Sequential([keras.models.clone_model(model)], name="second")(i)]))
        """,
    "other layers in place of some": """
        def build():
            def convert(layer):
                if isinstance(layer, layers.ReLU) or isinstance(layer, layers.Activation) and layer.activation == keras.activations.relu:
                    return layers.PReLU(shared_axes=[1, 2], name=layer.name.replace("relu", "prelu"))
                if isinstance(layer, layers.Dense):
                    return layers.Dense(5, use_bias=False)
                return layer

            i = keras.Input((8, 8, 3))
            return keras.models.clone_model(base(), input_tensors=i, clone_function=convert)
        """,
    "a sequential model": """
        def build():
            model = keras.Sequential([keras.Input((6,)), layers.Dense(4, activation="relu"), layers.Dense(4), layers.Dense(2)])
            i = keras.Input((6,))
            return keras.Model(i, layers.Concatenate()([model(i), keras.Sequential([keras.models.clone_model(model)], name="second")(i)]))
        """,
    "a layer that is called twice": """
        def build():
            i = keras.Input((6,))
            shared = layers.Dense(6)
            model = keras.Model(i, shared(layers.Activation("tanh")(shared(i))))
            return keras.models.clone_model(model)
        """,
}


@pytest.mark.parametrize("generation", ["keras3", "tf_keras"])
@pytest.mark.parametrize("name", CLONES)
def test_a_cloned_model(name: str, generation: str, tmp_path: Path):
    path = tmp_path / "prog.py"
    path.write_text(HEAD + textwrap.dedent(CLONES[name]))
    (result,) = verify_file(path, entries=["build()"], generation=generation)
    assert (result.reason, result.status) == ("", "pass")


DECLINED = {
    "a model in the model": """
        def build():
            i = keras.Input((8, 8, 3))
            return keras.models.clone_model(keras.Model(i, layers.Dense(2)(base()(i))))
        """,
    "a layer of the program": """
        class Twice(layers.Layer):
            def call(self, x):
                return x * 2

        def build():
            i = keras.Input((6,))
            return keras.models.clone_model(keras.Model(i, Twice()(i)))
        """,
    "a function that calls": """
        def build():
            return keras.models.clone_model(base(), call_function=lambda layer, *args, **kwargs: layer(*args, **kwargs))
        """,
}


@pytest.mark.parametrize("name", DECLINED)
def test_a_clone_that_is_not_decided_is_declined(name: str, tmp_path: Path):
    path = tmp_path / "prog.py"
    path.write_text(HEAD + textwrap.dedent(DECLINED[name]))
    conversion = convert_file(path, entries=["build()"])
    assert {f.code for f in conversion.findings if f.severity.name == "ERROR"} <= {"K2T102", "K2T103"}
    assert conversion.entries == []
