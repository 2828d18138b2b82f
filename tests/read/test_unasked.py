"""What `--entry` does not ask for stays as it is, with all that it needs."""

from __future__ import annotations

import types
from pathlib import Path

import torch

from transpiler.pipeline import convert_file

PROGRAM = """
import keras
from keras.layers import *
from keras.models import Model

START = keras.initializers.VarianceScaling(2.0)
SEED = keras.utils.set_random_seed


def other(n):
    i = keras.Input((n,))
    return Model(i, Dense(n, kernel_initializer=START)(i))


def build(n=3):
    i = keras.Input((n,))
    return Model(i, Dense(n)(i))
"""


def converted(program: str, folder: Path, **options: str) -> str:
    file = folder / "prog.py"
    file.write_text(program)
    conversion = convert_file(file, entries=["build()"], **options)
    assert [f for f in conversion.findings if f.severity.name == "ERROR"] == []
    return conversion.modules[0].text


def test_functions_that_stay_keep_what_they_read(tmp_path: Path):
    text = converted(PROGRAM, tmp_path)
    assert "from keras.layers import *" in text and "START = keras" in text and "SEED" not in text


def test_a_star_that_nothing_needs_goes(tmp_path: Path):
    start, end = PROGRAM.index("START"), PROGRAM.index("def build")
    assert "keras" not in converted(PROGRAM[:start] + PROGRAM[end:], tmp_path).replace("Keras", "")


ATTENTION = """
import tf_keras as keras
from tf_keras import layers


def block(x, heads, dim):
    y = layers.MultiHeadAttention(heads, dim)(x, x)
    return layers.LayerNormalization()(x + y)


def build(n=6, d=8, heads=2, depth=2):
    i = keras.Input((n, d))
    x = layers.Dense(d, kernel_initializer="random_normal")(i)
    for _ in range(depth):
        x = block(x, heads, 5)
    return keras.Model(i, layers.Dense(3)(x))
"""


def test_sizes_that_decide_how_far_weights_spread_are_handed_on(tmp_path: Path):
    module = types.ModuleType("prog")
    exec(compile(converted(ATTENTION, tmp_path), "prog.py", "exec"), vars(module))
    torch.manual_seed(0)
    model = module.build(4, 64, 16, 1)
    weight = model.blocks[0].attention.query.weight  # Keras takes 16 heads of 64 to 5, not 64 to 80
    limit = (6 / (16 * 64 + 5 * 64)) ** 0.5
    assert 0.95 * limit < weight.abs().max() <= limit
