"""Arguments of layers whose values are each translated in their own way stay open, in loops and classes too."""

from __future__ import annotations

from pathlib import Path

import pytest
from held import assert_same, build, convert, load
from torch import nn

HEAD = """
import keras
from keras.layers import *
from keras.models import Model, Sequential

"""
KEPT = {
    "a padding for each iteration": (
        """
def build(shape=(32, 3), kernels=(3, 5), padding="same"):
    x = inputs = keras.Input(shape)
    paddings = padding if isinstance(padding, list) else [padding] * len(kernels)
    for i in range(len(kernels)):
        x = Conv1D(4 + i, kernels[i], strides=2, padding=paddings[i])(x)
        if i < len(kernels) - 1:
            x = MaxPooling1D(2, padding="valid" if i else padding)(x)
    return Model(inputs, Dense(3)(Flatten()(x)))
""",
        ("build()", "build((29, 2), (3, 2, 1), 'valid')", "build(kernels=(4,))"),
    ),
    "a padding in capitals": (
        """
def block(x, filters, padding):
    return ReLU()(Conv2D(filters, 3, padding=padding)(x))

def build(n=4, padding="SAME"):
    i = keras.Input((9, 8, 3))
    x = Flatten()(block(block(i, n, padding), n, padding))
    return Model(i, Dense(2)(x))
""",
        ("build()", "build(3, 'VALID')", "build(padding='valid')"),
    ),
    "how upsampling goes between cells": (
        """
def build(n=2, how="nearest"):
    i = keras.Input((5, 6, 3))
    return Model(i, Conv2D(4, 3)(UpSampling2D(n, interpolation=how)(i)))
""",
        ("build()", "build(3, 'bilinear')"),
    ),
    "how upsampling goes, decided by branches": (
        """
def grow(x, n, how):
    if how is False:
        n = n + 1
    elif how == "nearest":
        how = True
        kind = "nearest"
    elif how is True or how == "bilinear":
        how = True
        kind = "bilinear"
    else:
        raise ValueError("Invalid")
    if how:
        x = UpSampling2D(2, interpolation=kind)(x)
    else:
        x = Conv2DTranspose(n, 2, strides=2, padding="same")(x)
    return Conv2D(n, 3, padding="same")(x)

def build(n=3, how=True, depth=2):
    x = inputs = keras.Input((5, 6, 3))
    for k in range(depth):
        x = grow(x, n + k, how)
    return Model(inputs, x)
""",
        ("build()", "build(4, 'nearest')", "build(2, False)", "build(how='bilinear', depth=1)"),
    ),
    "a padding that a function in a loop takes": (
        """
def block(x, filters, padding):
    x = Conv2D(filters, (5, 1), strides=2, padding=padding)(x)
    x = BatchNormalization()(x)
    x = Conv2D(filters, (1, x.shape[2]))(x)
    return Permute((1, 3, 2))(x)

def build(shape=(34, 3), depth=2, padding="same"):
    inputs = keras.Input(shape)
    x = Reshape((*shape, 1))(inputs)
    paddings = [padding for _ in range(depth)] if isinstance(padding, str) else padding
    for i in range(depth):
        x = block(x, 6, paddings[i])
    return Model(inputs, Dense(3)(GlobalAveragePooling2D()(x)))
""",
        ("build()", "build((33, 1), 1, 'valid')", "build((31, 2), 3, ['same', 'valid', 'same'])"),
    ),
    "a padding from the object around": (
        """
class Network:
    def __init__(self, kernels=None, padding="same"):
        self.kernels = kernels
        self.padding = padding

    def build(self, shape):
        self._kernels = [5, 3] if self.kernels is None else self.kernels
        x = inputs = keras.Input(shape)
        for i in range(len(self._kernels)):
            x = Conv1D(4, kernel_size=self._kernels[i], strides=2, padding=self.padding)(x)
        return Model(inputs, Dense(2)(Flatten()(x)))
""",
        ("Network().build((24, 2))", "Network([3, 3, 2], 'valid').build((30, 1))"),
    ),
    "the last of several recurrent layers": (
        """
def build(shape=(9, 3), depth=2, units=(4, 5, 3), sequences=False, both=True, rate=0.0):
    x = inputs = keras.Input(shape)
    for i in range(depth):
        last = i == (depth - 1)
        layer = GRU(units[i], return_sequences=(not last) or sequences)
        if both:
            x = Bidirectional(layer)(x)
        else:
            x = layer(x)
        if not last and rate > 0:
            x = Dropout(rate)(x)
    return Model(inputs, Dense(2)(x))
""",
        (
            "build()",
            "build(depth=1)",
            "build((7, 2), 3, (2, 3, 4), True)",
            "build(depth=3, both=False, rate=0.5)",
            "build(sequences=True, both=False)",
        ),
    ),
    "recurrent layers over a list": (
        """
def build(shape=(9, 3), units=[4, 5]):
    x = inputs = keras.Input(shape)
    for i, n in enumerate(units):
        x = Bidirectional(LSTM(n, return_sequences=i < len(units) - 1))(x)
    return Model(inputs, Dense(2)(x))
""",
        ("build()", "build(units=[3])", "build((5, 2), [2, 3, 4])"),
    ),
    "sequences that only a parameter decides": (
        """
def build(shape=(9, 3), units=4, sequences=True):
    x = inputs = keras.Input(shape)
    for i in range(2):
        flag = i < 2 - 1
        if sequences:
            flag = i < 2
        x = LSTM(units, return_sequences=flag)(x)
    return Model(inputs, Dense(2)(x))
""",
        ("build()", "build(sequences=False)", "build((5, 2), 3, False)"),
    ),
    "a list of the activations of recurrent layers": (
        """
def build(shape=(9, 3), depth=2, activation="tanh", gate="sigmoid"):
    x = inputs = keras.Input(shape)
    activations = [activation] * depth
    for i in range(depth):
        x = LSTM(3 + i, activation=activations[i], recurrent_activation=gate, return_sequences=True)(x)
        x = SimpleRNN(4, activation=activations[i], return_sequences=True)(x)
    return Model(inputs, Dense(2)(x))
""",
        ("build()", "build(depth=3)", "build((5, 2), 1, 'tanh')"),
    ),
    "inputs of another rank on each side": (
        """
def build(shape, latent, temporal):
    inputs = keras.Input(shape)
    x = GRU(6, return_sequences=temporal)(inputs)
    x = Dense(latent)(x)
    encoder = Model(inputs, x, name="encoder")
    if not temporal:
        start = keras.Input((latent,))
        y = RepeatVector(shape[0])(start)
    else:
        start = keras.Input(x.shape[1:])
        y = start
    y = GRU(6, return_sequences=True)(y)
    return encoder, Model(start, Dense(shape[1])(y), name="decoder")
""",
        (
            "Sequential(list(build((7, 3), 4, False)))",
            "Sequential(list(build((6, 2), 5, True)))",
            "Sequential(list(build((5, 1), 3, False)))",
        ),
    ),
    "single keyword arguments": (
        """
def build(shape=(8,), width=4, **kwargs):
    if "wide" in kwargs.keys():
        width = 64 if kwargs["wide"] > 2 else 32
    inputs = keras.Input(shape)
    return Model(inputs, Dense(2)(Dense(width * kwargs.get("times", 1))(inputs)))
""",
        ("build()", "build(wide=3, times=2)", "build((6,), 5, wide=1)"),
    ),
    "an input whose size another model knows": (
        """
def build(shape=(8, 3), depth=2, latent=4, temporal=False):
    x = inputs = keras.Input(shape)
    for i in range(depth):
        x = Dense(latent + i)(x)
    if not temporal:
        before = x.shape[1:]
        x = Dense(latent)(Flatten()(x))
    else:
        before = x.shape[1:]
    encoder = Model(inputs, x, name="encoder")
    start = keras.Input((latent,)) if not temporal else keras.Input(before)
    return encoder, Model(start, Dense(2)(start), name="decoder")
""",
        ("Sequential(list(build()))", "Sequential(list(build((5, 2), 3, 5)))"),
    ),
    "sequences that another builder returns": (
        """
def encoder(shape, temporal):
    inputs = keras.Input(shape)
    x = Conv1D(4, 3)(inputs)
    if not temporal:
        x = GlobalAveragePooling1D()(x)
    return Model(inputs, Dense(3)(x))

def build(shape=(7, 3), temporal=False, width=2):
    inputs = keras.Input(shape)
    y = encoder(shape, temporal)(inputs)
    return Model(inputs, Dense(width)(y))
""",
        ("build()", "build((8, 2), True)", "build(width=3)"),
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_argument_holds_for_other_values(name: str, tmp_path: Path):
    source, uses = KEPT[name]
    conversion = convert(HEAD + source, uses[0], tmp_path)
    assert conversion.entries[0].tier == "structure", conversion.findings
    names = load(conversion.modules[0].text) | {"Sequential": lambda models: nn.Sequential(*models)}
    for entry in uses:
        assert_same(names, HEAD + source, entry, tmp_path)


def test_a_convolution_that_pads_either_way_is_one_submodule(tmp_path: Path):
    source, uses = KEPT["a padding that a function in a loop takes"]
    text = convert(HEAD + source, uses[0], tmp_path).modules[0].text
    assert text.count("permute(") == 2, text
    assert "self.use_padding" not in text


REFUSED = {
    "another rank than was seen of what a builder returns": (
        """
def encoder(shape, temporal):
    inputs = keras.Input(shape)
    x = Conv1D(4, 3)(inputs)
    if not temporal:
        x = GlobalAveragePooling1D()(x)
    return Model(inputs, Dense(3)(x))

def build(shape=(7, 3), temporal=False):
    inputs = keras.Input(shape)
    return Model(inputs, Dense(2)(Flatten()(encoder(shape, temporal)(inputs))))
""",
        "build()",
        {"build(temporal=True)": "K2T301: converted for temporal=False only"},
    ),
    "a padding that is not known": (
        KEPT["a padding for each iteration"][0],
        "build()",
        {"build(padding='full')": "the padding 'full' is not known here"},
    ),
    "upsampling that torch does in another way": (
        KEPT["how upsampling goes between cells"][0],
        "build()",
        {"build(how='bicubic')": "K2T102: UpSampling2D.interpolation=…. is translated for 'nearest' and 'bilinear'"},
    ),
    "no recurrent layer": (
        KEPT["the last of several recurrent layers"][0],
        "build()",
        {"build(depth=0)": "K2T302: a loop without an iteration is not translated"},
    ),
    "an activation that torch's own layer does not have": (
        KEPT["a list of the activations of recurrent layers"][0],
        "build()",
        {
            "build(activation='relu')": "K2T302: only activation='tanh' is translated",
            "build(gate='hard_sigmoid')": "K2T302: only recurrent_activation='sigmoid' is translated",
        },
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_values_are_refused(name: str, tmp_path: Path):
    source, seen, refused = REFUSED[name]
    names = load(convert(HEAD + source, seen, tmp_path).modules[0].text)
    for entry, message in refused.items():
        with pytest.raises((NotImplementedError, ValueError), match=message):
            build(names, entry)
