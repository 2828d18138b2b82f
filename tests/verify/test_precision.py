"""Models that ask for float32 by name, or that TensorFlow computes in float32 only, are proved in float64 as well."""

from __future__ import annotations

import pytest
from verify_plans import unit

RESCALED = """
    import keras
    from keras import layers

    def build():
        inputs = keras.Input((4, 4, 3))
        x = layers.Rescaling(1 / 255)(inputs)
        return keras.Model(inputs, layers.Conv2D(2, 3)(x))
"""
RESCALED_TORCH = """
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 3)

        def forward(self, x):
            return self.conv((x / 255).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    build = Net
"""


@pytest.mark.parametrize("generation", ["keras3", "tf_keras"])
def test_constants_that_keras_casts_are_exact(verify, generation):
    result = verify(RESCALED, RESCALED_TORCH, [unit("Conv2D")], generation=generation)
    assert result.status == "pass", result.reason
    assert result.forward["max_rel"] < 1e-12
    wrong = verify(RESCALED, RESCALED_TORCH.replace("/ 255", "/ 255.001"), [unit("Conv2D")], generation=generation)
    assert wrong.status == "fail"
    assert wrong.first_divergence["part"] == "input"
    assert "Rescaling" in wrong.first_divergence["after"][0]


SINGLE = """
    import tensorflow as tf
    import keras
    from keras import layers

    def build():
        inputs = keras.Input((6, 6, 6, 2), dtype="float32")
        x = layers.Lambda(lambda t: tf.cast(t, tf.float32) * tf.ones((2,), tf.float32))(inputs)
        x = layers.MaxPooling3D(2, padding="same", strides=(1, 2, 2))(x)
        return keras.Model(inputs, layers.Dense(3)(x))
"""
SINGLE_TORCH = """
    import torch.nn.functional as F
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Linear(2, 3)

        def forward(self, x):
            x = F.pad(x.permute(0, 4, 1, 2, 3), (0, 0, 0, 0, 0, 1), value=float("-inf"))
            return self.dense(F.max_pool3d(x, 2, (1, 2, 2)).permute(0, 2, 3, 4, 1))

    build = Net
"""


@pytest.mark.parametrize("generation", ["keras3", "tf_keras"])
def test_what_asks_for_float32_is_promoted(verify, generation):
    result = verify(SINGLE, SINGLE_TORCH, [unit("Dense")], generation=generation)
    assert result.status == "pass", result.reason
    assert result.forward["dtype"] == "float64"
    assert result.forward["max_rel"] < 1e-12
    assert result.gradients["max_rel"] < 1e-12
    assert "what the original asks for in float32 was promoted to float64" in result.assumptions


ROUNDED = """
    import keras
    from keras import layers, ops

    def build():
        inputs = keras.Input((3, 4))
        angle = 1.0 / 10000 ** (ops.arange(4) / 3)
        return keras.Model(inputs, layers.Dense(2)(inputs + ops.cast(ops.sin(angle), "float32")))
"""
ROUNDED_TORCH = """
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.sines = nn.Buffer(torch.sin(1.0 / 10000 ** (torch.arange(4) / 3)), persistent=False)
            self.dense = nn.Linear(4, 2)

        def forward(self, x):
            return self.dense(x + self.sines)

    build = Net
"""


def test_constants_that_the_original_rounds_to_float32_are_promoted(verify):
    result = verify(ROUNDED, ROUNDED_TORCH, [unit("Dense")])
    assert result.status == "pass", result.reason
    assert "what the original asks for in float32 was promoted to float64" in result.assumptions


def test_single_precision_may_move_a_result_as_far_as_it_moves_keras():
    import numpy as np

    from transpiler.verify.torch_side import Check

    def check(floatx, output, trained):
        meta = {
            "floatx": floatx,
            "kappa": 1.0,
            "training_kappa": 1.0,
            "cases": [[[2]]],
            "draws": [[]],
            "training_draws": [],
        }
        return Check(None, None, meta, {"out|0|0": np.array([1, output]), "train|0": np.array([1, trained])}, None)

    exact, single = check("float64", 0.5, 0.5), check("float32", 0.50002, 0.9)
    single.allow_for_rounding(exact)
    assert single.limit == pytest.approx(2e-4)
    assert single.training_limit == pytest.approx(100 * 2**-23)  # another result altogether explains nothing


WINDOWS = """
    import keras
    from keras import layers, ops

    def build():
        inputs = keras.Input((4, 6))
        window = ops.hanning(4) + ops.hamming(4) + ops.kaiser(4, 3.0)
        q = ops.reshape(inputs * ops.expand_dims(window, -1), (-1, 4, 2, 3))
        y = ops.dot_product_attention(q, q, q)
        return keras.Model(inputs, layers.Dense(2)(ops.reshape(y, (-1, 4, 6))))
"""
WINDOWS_TORCH = """
    import torch
    import torch.nn.functional as F
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            window = torch.hann_window(4, periodic=False) + torch.hamming_window(4, periodic=False)
            window = window + torch.kaiser_window(4, periodic=False, beta=3.0)
            self.window = nn.Buffer(window.unsqueeze(-1), persistent=False)
            self.dense = nn.Linear(6, 2)

        def forward(self, x):
            q = (x * self.window).reshape(-1, 4, 2, 3).transpose(1, 2)
            return self.dense(F.scaled_dot_product_attention(q, q, q).transpose(1, 2).reshape(-1, 4, 6))

    build = Net
"""


def test_windows_and_scales_that_are_made_in_float32_are_exact(verify):
    result = verify(WINDOWS, WINDOWS_TORCH, [unit("Dense")])
    assert result.status == "pass", result.reason
    assert result.forward["max_rel"] < 1e-12
