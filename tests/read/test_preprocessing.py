"""`preprocess_input` is the one of the application that the source names, however it is imported."""

from __future__ import annotations

import types
from pathlib import Path

import pytest
import torch

from transpiler.pipeline import convert_file

FORMULAS = {
    "vgg16": lambda x: x.flip(-1) - torch.tensor([103.939, 116.779, 123.68]),
    "resnet50": lambda x: x.flip(-1) - torch.tensor([103.939, 116.779, 123.68]),
    "mobilenet_v2": lambda x: x / 127.5 - 1.0,
    "densenet": lambda x: (x / 255.0 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225]),
    "efficientnet": lambda x: x,
}
IMPORTS = {
    "from keras": "from keras.applications.{0} import preprocess_input",
    "from tf.keras": "from tensorflow.keras.applications.{0} import preprocess_input",
    "by name": "import tensorflow as tf\npreprocess_input = tf.keras.applications.{0}.preprocess_input",
    "module": "from keras.applications import {0}\n\ndef preprocess_input(x):\n    return {0}.preprocess_input(x)",
}


@pytest.mark.parametrize("how", IMPORTS)
@pytest.mark.parametrize("module", FORMULAS)
def test_preprocessing_of_an_application(module: str, how: str, tmp_path: Path):
    program = f"""
import keras
{IMPORTS[how].format(module)}

def build():
    i = keras.Input((8, 8, 3))
    return keras.Model(i, preprocess_input(i))
"""
    file = tmp_path / "prog.py"
    file.write_text(program)
    conversion = convert_file(file, entries=["build()"])
    names = types.ModuleType("prog")
    exec(compile(conversion.modules[0].text, "prog.py", "exec"), vars(names))
    x = torch.rand(2, 8, 8, 3) * 255
    assert torch.allclose(names.build()(x), FORMULAS[module](x), atol=1e-4)
