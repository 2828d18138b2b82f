"""A dictionary of settings that a builder is given stays open but for the items that decide the structure."""

from __future__ import annotations

from pathlib import Path

import pytest
from held import assert_same, convert, load

HEAD = """
import keras
from keras.layers import *
from keras.models import Model
"""

SETTINGS = HEAD + """
def block(x, cfg):
    if cfg["wide"]:
        return Dense(cfg["units"] * 2, activation=cfg["activation"])(x)
    return Dense(cfg["units"])(x)

def build(cfg, optimizer=keras.optimizers.Adam(1e-3)):
    inputs = keras.Input((cfg["size"],))
    x = Dense(cfg["units"])(inputs)
    layers = []
    for i in range(cfg["depth"]):
        layers.append(block(x if i == 0 else layers[-1], cfg))
    model = Model(inputs, Concatenate()([x] + layers))
    model.compile(optimizer=optimizer)
    return model
"""
SEEN = "build(dict(size=5, units=3, depth=2, wide=True, activation='tanh'))"


def test_items_that_decide_nothing_stay_open(tmp_path: Path):
    conversion = convert(SETTINGS, SEEN, tmp_path)
    assert conversion.entries[0].tier == "structure"
    names = load(conversion.modules[0].text)
    for entry in (SEEN, "build({'size': 4, 'units': 6, 'depth': 2, 'wide': False, 'activation': None, 'more': 1})"):
        assert_same(names, SETTINGS, entry, tmp_path)


def test_items_that_decide_are_checked(tmp_path: Path):
    names = load(convert(SETTINGS, SEEN, tmp_path).modules[0].text)
    with pytest.raises(NotImplementedError, match=r"only cfg\['depth'\] = 2 is translated"):
        names["build"]({"size": 4, "units": 6, "depth": 3, "wide": True, "activation": "relu"})


@pytest.mark.parametrize(
    "change", ["cfg['depth'] = cfg['depth'] + 1", "cfg.update(depth=3)", "cfg = {**cfg, 'depth': 3}"]
)
def test_a_dictionary_that_is_changed(change: str, tmp_path: Path):
    program = SETTINGS.replace("    inputs =", f"    {change}\n    inputs =", 1)
    names = load(convert(program, SEEN, tmp_path).modules[0].text)
    assert_same(names, program, SEEN, tmp_path)


def test_an_optimizer_that_decides_is_fixed(tmp_path: Path):
    program = SETTINGS.replace("    layers = []", "    if optimizer is None:\n        x = Dense(3)(x)\n    layers = []")
    assert convert(program, SEEN, tmp_path).entries[0].tier == "specialised"
