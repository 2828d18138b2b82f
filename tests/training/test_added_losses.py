"""What `add_loss` becomes, and where it is declined."""

from pathlib import Path

from transpiler.pipeline import convert_file

HEAD = """
import numpy as np
from tensorflow import keras
from tensorflow.keras import backend as K
from tensorflow.keras import layers

x = np.zeros((8, 4), "float32")
"""
LAYER = """
class Penalty(layers.Layer):
    def call(self, inputs):
        {body}
        return inputs

inputs = keras.Input((4,))
penalty = Penalty()
h = penalty(layers.Dense(3)(inputs))
{between}
model = keras.Model(inputs, layers.Dense(4)(h))
model.compile("sgd", "mse")
model.fit(x, x, verbose=0)
"""
ENCODER = """
inputs = keras.Input((4,))
mean = layers.Dense(2)(inputs)
z = layers.Lambda(lambda m: m + K.random_normal(shape=K.shape(m)))(mean)
encoder = keras.Model(inputs, [mean, z], name="encoder")
code = keras.Input((2,))
decoder = keras.Model(code, layers.Dense(4)(code), name="decoder")
outputs = decoder(encoder(inputs)[1])
model = keras.Model(inputs, outputs)
model.add_loss(K.mean(K.square(outputs - inputs)) + K.mean(K.square({read})))
model.compile("sgd")
model.fit(x, verbose=0)
"""


def converted(text: str, tmp_path: Path, generation: str = "keras3") -> tuple[str, list[str]]:
    path = tmp_path / "script.py"
    path.write_text(HEAD + text)
    conversion = convert_file(path, generation=generation, allow_partial=True)
    return conversion.modules[0].text, [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]


def test_a_layer_keeps_what_it_adds(tmp_path: Path):
    body = "self.add_loss(keras.ops.mean(inputs))"
    text, errors = converted(LAYER.format(body=body, between=""), tmp_path)
    assert not errors
    assert "self.added_loss = x.mean(dim=(0, 1))" in text
    assert "F.mse_loss(output, y) + added_losses(model)" in text


def test_keras_3_adds_up_the_numbers_of_a_term(tmp_path: Path):
    text, errors = converted(LAYER.format(body="self.add_loss(0.1 * inputs)", between=""), tmp_path)
    assert not errors
    assert "self.added_loss = (0.1 * x).sum" in text


def test_a_layer_that_is_called_twice_is_declined(tmp_path: Path):
    body = "self.add_loss(keras.ops.mean(inputs))"
    text, errors = converted(LAYER.format(body=body, between="h = penalty(h)"), tmp_path)
    assert any("called more than once" in e for e in errors)
    assert "run_epoch" not in text


def test_one_call_stands_for_two_alike(tmp_path: Path):
    text, errors = converted(ENCODER.format(read="mean"), tmp_path, "tf_keras")
    assert not errors
    assert text.count("self.encoder(x)") == 1
    assert "loss = model.added_loss" in text


def test_numbers_that_are_drawn_twice_are_drawn_twice(tmp_path: Path):
    text, errors = converted(ENCODER.format(read="z"), tmp_path, "tf_keras")
    assert not errors
    assert text.count("self.encoder(x)") == 2
