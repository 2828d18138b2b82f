"""Models that draw random numbers: translated as torch draws them, and compared with the same numbers on both sides."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from verify_plans import unit

from transpiler.ir.model import KERAS2, KERAS3
from transpiler.pipeline import convert_file
from transpiler.verify import Result, verify_file
from transpiler.verify.draws import numbers

LAYER = """
import keras
from keras import layers, ops


class Sampling(layers.Layer):
    def __init__(self, deviation=1.0, seed=1337, **kwargs):
        super().__init__(**kwargs)
        self.deviation = deviation
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=None):
        mean, log_var = inputs
        batch, dim = ops.shape(mean)[0], ops.shape(mean)[1]
        noise = keras.random.normal(shape=(batch, dim), stddev=self.deviation, seed=self.seed_generator)
        if training:
            noise = noise * keras.random.truncated_normal((batch, 1), 0.5, 0.25)
        return mean + ops.exp(0.5 * log_var) * noise


class Mixture(layers.Layer):
    def call(self, x):
        low = keras.random.uniform(ops.shape(x))
        moved = x + keras.random.uniform(ops.shape(x), -0.5, 0.25)
        kept = keras.random.uniform((ops.shape(x)[0], 1, 1, 4), seed=None) < 0.75
        start = keras.random.randint((ops.shape(x)[0],), 0, 3)
        return moved * ops.cast(kept, x.dtype) + low * ops.cast(start, x.dtype)[:, None, None, None]


def build(latent_dim=3):
    image = keras.Input((6, 6, 2))
    x = Mixture()(layers.Conv2D(4, 3, padding="same")(image))
    x = layers.Flatten()(layers.Conv2D(2, 3)(x))
    mean, log_var = layers.Dense(latent_dim)(x), layers.Dense(latent_dim)(x)
    return keras.Model(image, [mean, log_var, Sampling(0.5)([mean, log_var])])
"""

BACKEND = """
import tensorflow as tf
from tensorflow.keras import layers, models, backend as K

latent_dim, epsilon_std = 2, 0.1


def sampling(args):
    z_mean, z_log_var = args
    batch = K.shape(z_mean)[0]
    dim = K.int_shape(z_mean)[1]
    epsilon = K.random_normal(shape=(batch, dim), mean=0.0, stddev=epsilon_std)
    return z_mean + K.exp(0.5 * z_log_var) * epsilon


x = layers.Input((12,))
h = layers.Dense(16, activation="relu")(x)
z_mean = layers.Dense(latent_dim)(h)
z_log_var = layers.Dense(latent_dim)(h)
z = layers.Lambda(sampling, output_shape=(latent_dim,))([z_mean, z_log_var])
z = layers.Lambda(lambda t: t * K.random_bernoulli((1, latent_dim), p=0.5) + K.truncated_normal(K.shape(t)[1:]))(z)
z = layers.Lambda(lambda t: tf.random.normal(tf.shape(t), mean=t, stddev=K.abs(t)) + tf.random.uniform([latent_dim], 1, 3))(z)
z = layers.Lambda(lambda t: (tf.random.normal(tf.shape(t)) + t) * tf.random.normal(tf.shape(t), stddev=0.3))(z)
model = models.Model(x, layers.Dense(3)(z))
"""

FUNCTIONAL = """
from tf_keras import layers, models, backend as K

x = layers.Input((5,))
h = layers.Dense(4)(x)
model = models.Model(x, h + K.random_normal(K.shape(h), stddev=0.5))
"""

VARIABLES = """
from tf_keras import layers, models, backend as K


class Scale(layers.Layer):
    def build(self, shape):
        self.gain = K.random_normal_variable((4,), mean=1.0, scale=0.1)
        self.shift = K.random_uniform_variable((4,), -0.1, 0.1)

    def call(self, x):
        return x * self.gain + self.shift


def build():
    x = layers.Input((5,))
    return models.Model(x, Scale()(layers.Dense(4)(x)))
"""


@pytest.mark.parametrize("generation", [KERAS3, KERAS2])
@pytest.mark.parametrize("name", ["LAYER", "BACKEND", "FUNCTIONAL", "VARIABLES"])
def test_a_model_that_draws_is_compared_with_the_same_numbers(name: str, generation: str, tmp_path: Path):
    if (name, generation) in {("LAYER", KERAS2), ("FUNCTIONAL", KERAS3), ("VARIABLES", KERAS3)}:
        pytest.skip("of the other generation")
    path = tmp_path / "net.py"
    path.write_text(globals()[name])
    results = verify_file(path, generation=generation)
    assert [r.status for r in results] == ["pass"], results


def test_what_is_drawn_reads_as_a_person_would_write_it(tmp_path: Path):
    path = tmp_path / "net.py"
    path.write_text(LAYER)
    done = convert_file(path)
    text = done.modules[0].text
    assert "torch.randn_like(mean)" in text
    assert "nn.init.trunc_normal_(torch.empty(batch, 1, dtype=mean.dtype, device=mean.device))" in text
    assert ".uniform_(-0.5, 0.25)" in text and "torch.randint(3, (x.shape[0],), device=x.device)" in text
    assert [f.code for f in done.findings if "seed" in f.message] == ["K2T405"]


WRONG = {
    "a deviation": "x + 0.4 * torch.randn_like(x)",
    "one number for all samples": "x + 0.5 * torch.randn(1, 4, dtype=x.dtype)",
    "what is thrown away": "x + 0.5 * torch.randn_like(x) + 0 * torch.randn_like(x)",
}
NOISY = """
    from tf_keras import layers, models, backend as K

    def build():
        i = layers.Input((4,))
        x = layers.Dense(4)(i)
        return models.Model(i, layers.Lambda(lambda t: t + K.random_normal(K.shape(t), stddev=0.5))(x))
"""
NOISY_TORCH = """
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Linear(4, 4)

        def forward(self, x):
            x = self.dense(x)
            return {}

    def build():
        return Net()
"""


@pytest.mark.parametrize("wrong", [None, *WRONG])
def test_wrong_noise_is_found(wrong: str | None, verify: Callable[..., Result]):
    right = "x + 0.5 * torch.randn_like(x)"
    torch = NOISY_TORCH.format(WRONG.get(wrong or "", right))
    result = verify(NOISY, torch, [unit("Dense")], generation=KERAS2)
    assert result.status == ("fail" if wrong else "pass"), result


@pytest.mark.parametrize("shape", [(3, 4, 4), (2, 3, 3, 3), (2, 3, 4, 4)])
def test_numbers_do_not_depend_on_the_layout_where_the_shape_does_not_show_it(shape: tuple[int, ...]):
    drawn = numbers("normal", shape)
    turned = np.moveaxis(drawn, -1, 1)
    assert len(set(shape[1:])) > 1 or np.array_equal(turned, drawn)
    assert len(np.unique(drawn)) > drawn.size // 4


DRAWN_ONCE = {
    "when the model is built": "layers.Activation('relu')(x + tf.random.normal((4, 3)))",
    "by the seed of the call": "layers.Lambda(lambda t: t + keras.random.normal((4, 3), seed=1))(x)",
    "by a function without state": "layers.Lambda(lambda t: t + tf.random.stateless_normal((4, 3), seed=[1, 2]))(x)",
}


@pytest.mark.parametrize("name", DRAWN_ONCE)
def test_numbers_that_stay_the_same_are_declined(name: str, tmp_path: Path):
    path = tmp_path / "net.py"
    path.write_text(
        "import keras\nimport tensorflow as tf\nfrom keras import layers\n\n\ndef build():\n"
        f"    x = keras.Input((3,), batch_size=4)\n    return keras.Model(x, {DRAWN_ONCE[name]})\n"
    )
    errors = [f for f in convert_file(path, entries=["build()"]).findings if f.severity.name == "ERROR"]
    assert errors and re.search(r"random|seed|draw|numbers", errors[0].message), errors
