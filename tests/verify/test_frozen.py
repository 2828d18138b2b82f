"""`trainable = False` set from outside: no gradients, and BatchNormalization goes by its moving statistics in training too."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from transpiler.pipeline import convert_file
from transpiler.verify import print_results, verify_file

PROGRAM = """
import {keras} as keras
from {keras} import layers


def block(x, n):
    x = layers.Conv2D(n, 3, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def base():
    i = keras.Input((8, 8, 3))
    return keras.Model(i, block(block(i, 4), 6))


def nested(n=4):
    inner = base()
    inner.trainable = False
    i = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(inner(i{mode}))
    return keras.Model(i, layers.Dense(n)(x))


def some(n=4, k=3):
    inner = base()
    inner.trainable = False
    for layer in inner.layers[k:]:
        layer.trainable = True
    x = layers.GlobalAveragePooling2D()(inner.output)
    return keras.Model(inner.input, layers.Dense(n)(x))


def whole(n=4, freeze=False):
    i = keras.Input((8, 8, 3))
    early = layers.BatchNormalization()
    early.trainable = False
    late = layers.BatchNormalization()
    x = layers.Flatten()(late(layers.Conv2D(n, 3)(early(i))))
    model = keras.Model(i, layers.Dense(n)(x))
    late.trainable = False
    if freeze:
        for layer in model.layers:
            layer.trainable = False
    return model
"""

OWN = """
import keras
from keras import layers


class Own(layers.Layer):
    def __init__(self, n):
        super().__init__()
        self.dense = layers.Dense(n)

    def call(self, x):
        return self.dense(x)


def build(n=4):
    i = keras.Input((8,))
    own = Own(n)
    own.trainable = False
    return keras.Model(i, own(i))
"""


@pytest.mark.parametrize("keras", ["keras", "tf_keras"])
def test_frozen_layers(keras: str, tmp_path: Path):
    file = tmp_path / "prog.py"
    file.write_text(PROGRAM.format(keras=keras, mode=", training=False" if keras == "tf_keras" else ""))
    entries = ["nested()", "some()", "whole()"]
    assert [(r.entry, r.status, r.reason, r.trained_apart) for r in verify_file(file, entries=entries)] == [
        (e, "pass", "", []) for e in entries
    ]
    conversions = [convert_file(file, entries=[e]) for e in entries]
    assert not [f.excerpt for c in conversions for f in c.findings if f.code == "K2T404"]  # nothing is left to do
    texts = [c.modules[0].text for c in conversions]
    found = [(t.count(" FrozenBatchNorm2d("), t.count("nn.BatchNorm2d(")) for t in texts]
    assert found == [(3, 0), (2, 1), (3, 0)]  # one more for the class itself
    assert "what is trained depends on a parameter" in texts[2]


GAN = """
import keras
from keras import layers

def build():
    i = keras.Input((4,))
    critic = keras.Model(i, layers.Dense(1)(layers.BatchNormalization()(i)))
    critic.compile("adam", "mse")
    critic.trainable = False
    z = keras.Input((3,))
    return keras.Model(z, critic(layers.Dense(4)(z)))
"""


def test_a_part_that_is_trained_by_itself_is_left_to_the_training_code(tmp_path: Path):
    file = tmp_path / "prog.py"
    file.write_text(GAN)
    conversion = convert_file(file, entries=["build()"])
    assert "Frozen" not in conversion.modules[0].text and "K2T404" in {f.code for f in conversion.findings}


def test_a_frozen_layer_of_the_program_is_reported(tmp_path: Path):
    file = tmp_path / "prog.py"
    file.write_text(OWN)
    found = convert_file(file, entries=["build()"]).findings
    assert [(f.code, f.excerpt) for f in found] == [("K2T404", "own.trainable = False")]


HANDED_ON = """
import tf_keras as keras
from tf_keras import layers

class Own(layers.Layer):
    def __init__(self, n, **options):
        super().__init__(**options)
        self.dense = layers.Dense(n)

    def call(self, x):
        return self.dense(x)

def build():
    i = keras.Input((4,))
    return keras.Model(i, layers.Dense(2)(Own(6, trainable=False)(i)))
"""


def test_what_is_trained_on_one_side_only_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "prog.py"
    file.write_text(HANDED_ON)
    (result,) = verify_file(file, entries=["build()"])
    assert result.status == "pass"
    assert result.trained_apart == ["trained in the result, frozen in Keras: own.dense.weight, own.dense.bias"]
    print_results([result], sys.stdout)
    assert result.trained_apart[0] in capsys.readouterr().out
