"""Branches whose condition nobody knows are passed over only where they cannot change the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from transpiler.pipeline import Conversion, convert_file

HEAD = """
import os
import logging
import keras
from keras.layers import Dense

logger = logging.getLogger("x")

class Log:
    def __init__(self):
        self.level = 2

    def info(self, text):
        if self.level > 1:
            print(text)

log = Log()

def fetch(name, urls):
    path = os.path.join("weights", name)
    if os.path.isfile(path):
        log.info(f"{name} is there")
        return path
    for url in urls:
        try:
            log.info(url)
            break
        except OSError as error:
            last = error
    return path
"""

PASSED = {
    "names": 'x = 1\n    if os.path.exists("a"):\n        x = 2\n        logger.info("there")',
    "weights": 'if os.path.exists("a"):\n        model.load_weights("a")',
    "a function that looks at the disk": 'path = fetch("a", ["u", "v"])',
    "making a folder": 'if not os.path.exists("out"):\n        os.makedirs("out")',
    "an error": 'if not os.path.exists("out"):\n        raise FileNotFoundError("out")',
}
DECLINED = {
    "a layer": 'if os.path.exists("a"):\n        model.add(Dense(2))',
    "a list": 'if os.path.exists("a"):\n        sizes.append(7)',
    "a list by another name": 'if os.path.exists("a"):\n        more = sizes\n        more.append(7)',
    "a list in a function": 'if os.path.exists("a"):\n        grow(sizes)',
    "an item": 'if os.path.exists("a"):\n        sizes[0] = 7',
    "an attribute": 'if os.path.exists("a"):\n        log.level = 1',
    "a method that sets one": 'if os.path.exists("a"):\n        switch.on()',
    "a model is returned": 'if os.path.exists("a"):\n        return model',
    "the backend": 'if os.path.exists("a"):\n        keras.backend.set_image_data_format("channels_first")',
}


def converted(statements: str, folder: Path) -> Conversion:
    program = f"""{HEAD}
class Switch:
    def on(self):
        self.value = True

switch = Switch()

def grow(items):
    items.append(9)

def build():
    sizes = [3]
    model = keras.Sequential([keras.Input((4,)), Dense(3)])
    {statements}
    for size in sizes:
        model.add(Dense(size))
    return model
"""
    file = folder / "prog.py"
    file.write_text(program)
    return convert_file(file, entries=["build()"])


@pytest.mark.parametrize("name", PASSED)
def test_what_changes_nothing_is_passed_over(name: str, tmp_path: Path):
    conversion = converted(PASSED[name], tmp_path)
    assert [e.tier for e in conversion.entries] == ["structure"], conversion.findings


@pytest.mark.parametrize("name", DECLINED)
def test_what_changes_something_is_declined(name: str, tmp_path: Path):
    conversion = converted(DECLINED[name], tmp_path)
    assert not conversion.entries
    assert "K2T201" in {f.code for f in conversion.findings}


def test_what_is_taken_of_the_environment_is_said(tmp_path: Path):
    statements = 'if os.environ.get("DEEP"):\n        model.add(Dense(2))\n    os.environ["SEED"] = "1"\n    seed = os.environ["SEED"]'
    conversion = converted(statements, tmp_path)
    assert conversion.assumptions == ["the environment variable DEEP is not set"]
