"""Arguments of layers whose values are each translated in their own way stay open, in loops and classes too."""

from __future__ import annotations

from pathlib import Path

import pytest
from held import assert_same, build, convert, load

HEAD = """
import keras
from keras.layers import *
from keras.models import Model

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
}


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_argument_holds_for_other_values(name: str, tmp_path: Path):
    source, uses = KEPT[name]
    conversion = convert(HEAD + source, uses[0], tmp_path)
    assert conversion.entries[0].tier == "structure", conversion.findings
    names = load(conversion.modules[0].text)
    for entry in uses:
        assert_same(names, HEAD + source, entry, tmp_path)


def test_a_convolution_that_pads_either_way_is_one_submodule(tmp_path: Path):
    source, uses = KEPT["a padding that a function in a loop takes"]
    text = convert(HEAD + source, uses[0], tmp_path).modules[0].text
    assert text.count("permute(") == 2, text
    assert "self.use_padding" not in text


REFUSED = {
    "a padding that is not known": (
        KEPT["a padding for each iteration"][0],
        "build()",
        {"build(padding='full')": "the padding 'full' is not known here"},
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_values_are_refused(name: str, tmp_path: Path):
    source, seen, refused = REFUSED[name]
    names = load(convert(HEAD + source, seen, tmp_path).modules[0].text)
    for entry, message in refused.items():
        with pytest.raises((NotImplementedError, ValueError), match=message):
            build(names, entry)
