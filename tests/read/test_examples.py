"""Files are converted whole, without anybody saying how their functions are called."""

from __future__ import annotations

import types
from pathlib import Path

import pytest
import torch

from transpiler.pipeline import Conversion, convert_file

HEAD = "import keras\nfrom keras.layers import *\nfrom keras.models import Model, Sequential\n"

PROGRAMS = {
    "builders with parameters of unknown values": (
        """
def build(input_shape, n_classes, growth, use_bias):
    i = keras.Input(input_shape)
    x = Conv1D(growth, 3, padding="same", use_bias=use_bias)(i)
    return Model(i, Dense(n_classes)(GlobalAveragePooling1D()(x)))
""",
        "build((30, 4), 3, 8, False)",
        (30, 4),
        (3,),
    ),
    "builders called by builders only": (
        """
def first(shape):
    i = keras.Input(shape)
    return i, Dense(4)(i)

def second(shape):
    i = keras.Input(shape)
    return i, Dense(4, activation="relu")(Dense(6)(i))

def assemble(n, encoder):
    i, x = encoder((6,))
    return Model(i, Dense(n)(x))

def small(n):
    return assemble(n, first)

def large(n):
    model = assemble(n, second)
    return model
""",
        "large(5)",
        (6,),
        (5,),
    ),
    "blocks that no model here uses": (
        """
def conv_block(x, filters, strides=1):
    x = Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
    return ReLU()(BatchNormalization()(x))
""",
        "ConvBlock(3, 8, 2)",
        (3, 9, 9),
        (8, 5, 5),
    ),
    "functions that make blocks": (
        """
def block(units, depth):
    def apply(x):
        for _ in range(depth):
            x = Dense(units, activation="tanh")(x) + x
        return x
    return apply
""",
        "Block(16, 16, 3)",
        (16,),
        (16,),
    ),
    "layers in a model at the top level that others call": (
        """
augment = Sequential([RandomFlip("horizontal"), Rescaling(0.5)])

def build(n):
    i = keras.Input((8, 8, 3))
    return Model(i, Dense(n)(Flatten()(augment(i))))
""",
        "build(4)",
        (8, 8, 3),
        (4,),
    ),
    "layers that no model here uses": (
        """
class Gate(Layer):
    def __init__(self, units, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale
        self.dense = Dense(units, activation="sigmoid")

    def call(self, x):
        return self.dense(x) * self.scale
""",
        "Gate(7, 5, scale=2.0)",
        (7,),
        (5,),
    ),
    "models that nobody makes here": (
        """
class Net(keras.Model):
    def __init__(self, hidden, n_classes):
        super().__init__()
        self.hidden = Dense(hidden, activation="relu")
        self.out = Dense(n_classes)

    def call(self, x, training=False):
        return self.out(self.hidden(x))
""",
        "Net(7, 5, 4)",
        (7,),
        (4,),
    ),
    "methods of plain classes": (
        """
class Network:
    def __init__(self, filters=4):
        self.filters = filters

    def build_network(self, input_shape):
        i = keras.Input(input_shape)
        x = LSTM(self.filters, return_sequences=True)(i)
        return i, Flatten()(x)
""",
        "Network(3).build_network((5, 2))",
        (5, 2),
        (15,),
    ),
}


def whole(program: str, folder: Path) -> Conversion:
    file = folder / "prog.py"
    file.write_text(HEAD + program)
    conversion = convert_file(file)
    assert not [f for f in conversion.findings if f.severity.name == "ERROR"], conversion.findings
    return conversion


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_file_is_converted_whole(name: str, tmp_path: Path):
    program, expression, shape, result = PROGRAMS[name]
    conversion = whole(program, tmp_path)
    assert {f.code for f in conversion.findings} <= {"K2T304"}
    text = conversion.modules[0].text
    assert "keras" not in text.replace("Keras", "")
    module = types.ModuleType("prog")
    exec(compile(text, "prog.py", "exec"), vars(module))
    model = eval(expression, vars(module))
    assert tuple(model(torch.zeros(2, *shape)).shape) == (2, *result)


def test_what_was_made_up_is_said(tmp_path: Path):
    program, *_ = PROGRAMS["blocks that no model here uses"]
    (finding,) = whole(program, tmp_path).findings
    assert finding.code == "K2T304" and "an input of shape (64, 64, 16), filters=16 were assumed" in finding.message


def test_a_function_that_fits_nothing_is_an_error(tmp_path: Path):
    file = tmp_path / "prog.py"
    file.write_text(HEAD + "def odd(x, table):\n    return Dense(table['units'][2])(x)\n")
    conversion = convert_file(file)
    assert [f.code for f in conversion.findings] == ["K2T203"]


def test_a_function_on_tensors_stays_a_function(tmp_path: Path):
    program = """
import numpy as np
from keras import ops

def preprocess(x, data_format=None):
    \"\"\"Centres images.\"\"\"
    if data_format == "channels_first":
        raise ValueError(data_format)
    mean = ops.convert_to_tensor(np.array([0.5, 0.25, 0.125]), dtype=x.dtype)
    return (x[..., ::-1] / 255.0 - mean) * 2.0
"""
    text = whole(program, tmp_path).modules[0].text
    module = types.ModuleType("prog")
    exec(compile(text, "prog.py", "exec"), vars(module))
    x = torch.rand(2, 4, 4, 3)
    expected = (x.flip(-1) / 255.0 - torch.tensor([0.5, 0.25, 0.125])) * 2.0
    assert torch.allclose(module.preprocess(x), expected) and module.preprocess.__doc__ == "Centres images."
    with pytest.raises(NotImplementedError, match="converted for data_format=None only"):
        module.preprocess(x, "channels_last")


SIZED = {
    "padding by size": "def f(x):\n    return tf.nn.max_pool2d(x, 3, 2, 'SAME')\n",
    "a window by size": "def f(x):\n    k = tf.ones((3, 3, 3, 2))\n    return tf.nn.conv2d(x, k, 2, 'SAME')\n",
    "sizes of its input": """
def f(x):
    n = K.int_shape(x)[1] * x.shape[2]
    return tf.reshape(x, (-1, n, x.shape[3])) / x.shape[-1] + tf.cast(tf.shape(x)[2], 'float32')
""",
    "a name that a size has as well": """
def f(image):
    height = tf.reduce_mean(image)
    return image * image.shape[1] / height
""",
    "two tensors": "def f(a, b):\n    return K.mean(K.square(a) * K.abs(b), axis=-1) / K.sum(b)\n",
}


@pytest.mark.parametrize("name", SIZED)
def test_a_function_on_tensors_does_the_same_at_any_size(name: str, tmp_path: Path):
    tf = pytest.importorskip("tensorflow")
    head = "import tensorflow as tf\nfrom tensorflow.keras import backend as K\n"
    text = whole(f"{head}{SIZED[name]}", tmp_path).modules[0].text
    ours, theirs = types.ModuleType("ours"), types.ModuleType("theirs")
    exec(compile(text, "ours.py", "exec"), vars(ours))
    exec(compile(head + SIZED[name], "theirs.py", "exec"), vars(theirs))
    for size in ((8, 8), (9, 6), (7, 10)):
        xs = [torch.rand(2, *size, 3) for _ in range(theirs.f.__code__.co_argcount)]
        expected = theirs.f(*(tf.constant(x.numpy()) for x in xs)).numpy()
        assert torch.allclose(ours.f(*xs), torch.from_numpy(expected), atol=1e-5)


def test_a_function_that_reads_sizes_of_two_tensors_is_left(tmp_path: Path):
    file = tmp_path / "prog.py"
    file.write_text(
        HEAD
        + "from keras import backend as K\ndef joined(a, b):\n    return K.abs(a) * a.shape[-1] + K.abs(b) * b.shape[1]\n"
    )
    assert [f.code for f in convert_file(file).findings] == ["K2T203"]


def test_limits_hold_for_each_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("transpiler.read.keras.evaluate.statements.MAX_STEPS", 1500)
    builders = "".join(f"""
def build{i}():
    for _ in range(500):
        pass
    return Sequential([keras.Input((4,)), Dense({i})])
""" for i in range(1, 8))
    assert len(whole(builders, tmp_path).entries) == 7
