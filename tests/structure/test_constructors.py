"""Constructors of plain classes that set attributes to models: all other statements stay as they are."""

from __future__ import annotations

from pathlib import Path

import torch
from held import assert_same, convert, load, write

from transpiler.diagnostics import Severity
from transpiler.pipeline import convert_file

HEAD = """
import keras
from keras.layers import *
from keras.models import Model, Sequential
from keras.optimizers import Adam
"""

PAIR = f"""{HEAD}
class Pair:
    def __init__(self, width, letters):
        if width < 1:
            raise ValueError("width")
        self.letters = letters
        self.index = {{c: i for i, c in enumerate(letters)}}
        self.size = len(self.letters) + 1
        optimizer = Adam(0.1)

        one = keras.Input((self.size,))
        x = Dense(width, activation="tanh")(one)

        # what is compared
        self.tower = Model(one, Dense(width)(x))
        self.cache = {{}}

        a, b = keras.Input((self.size,)), keras.Input((self.size,))
        y = Subtract()([self.tower(a), self.tower(b)])
        self.model = Model([a, b], Dense(1)(y))
        self.model.compile(optimizer, "mse")
        self.ready = True
"""


def test_models_are_constructed_where_they_were(tmp_path: Path):
    conversion = convert(PAIR, "Pair(3, 'abc').model", tmp_path)
    assert conversion.entries[0].tier == "structure"
    names = load(conversion.modules[0].text)
    for entry in ("Pair(3, 'abc').model", "Pair(5, 'abcdef').model", "Pair(2, 'x').tower"):
        assert_same(names, PAIR, entry, tmp_path)
    made = names["Pair"](3, "abc")
    assert made.model.tower is made.tower and made.ready and made.index == {"a": 0, "b": 1, "c": 2}
    assert "optimizer" not in conversion.modules[0].text and "# what is compared" in conversion.modules[0].text


def test_models_that_methods_build_and_one_of_both(tmp_path: Path):
    source = f"""{HEAD}
class Gan:
    def __init__(self, size=6):
        self.size = size
        self.critic = self.build_critic()
        self.generator = self.build_generator()
        z = keras.Input((3,))
        self.critic.trainable = False
        self.combined = Model(z, self.critic(self.generator(z)))

    def build_generator(self):
        inputs = keras.Input((3,))
        return Model(inputs, Dense(self.size)(inputs))

    def build_critic(self):
        return Sequential([keras.Input((self.size,)), Dense(4, activation="relu"), Dense(1)])

if __name__ == "__main__":
    gan = Gan()
"""
    conversion = convert_file(write(source, tmp_path))
    assert not [f for f in conversion.findings if f.severity >= Severity.ERROR]
    names = load(conversion.modules[0].text)
    gan = names["Gan"](8)
    assert gan.combined.generator is gan.generator and gan.combined.critic is gan.critic
    x = torch.randn(2, 3)
    assert torch.equal(gan.combined(x), gan.critic(gan.generator(x)))


def test_what_is_not_sure_is_declined(tmp_path: Path):
    twice = f"""{HEAD}
class Net:
    def __init__(self, width):
        x = keras.Input((4,))
        self.model = Model(x, Dense(width)(x))
        width = width + 1
        self.model = Model(x, Dense(width)(self.model(x)))

net = Net(3)
"""
    conversion = convert_file(write(twice, tmp_path))
    assert any(f.severity >= Severity.ERROR for f in conversion.findings)
