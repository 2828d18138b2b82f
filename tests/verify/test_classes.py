"""Layers and models that a program defines as classes: converted, run under Keras and under torch, compared."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from transpiler.pipeline import Conversion, convert_file
from transpiler.verify import InputSpec, verify_file

HEAD = """
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers
"""

SIAMESE = """
class Encoder(keras.Model):
    def __init__(self, latent, **kwargs):
        super().__init__(**kwargs)
        self.body = keras.Sequential([layers.Dense(16, activation="relu", input_shape=(12,)), layers.Dense(latent)])
        inputs = keras.Input((12,))
        self.side = keras.Model(inputs, layers.Dense(latent)(layers.BatchNormalization()(inputs)))

    def call(self, x):
        return self.body(x) + self.side(x)


class Gate(layers.Layer):
    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self.layer = layer

    def call(self, x, gate=None):
        y = self.layer(x)
        return y if gate is None else y * gate


class Siamese(keras.Model):
    def __init__(self, latent=4):
        super().__init__()
        self.encoder = Encoder(latent)
        self.gate = Gate(layers.Dense(latent, activation="sigmoid"))
        self.head = layers.Dense(2)

    def call(self, inputs):
        a, b = inputs
        x, y = self.encoder(a), self.encoder(b)
        return self.head(self.gate(x, gate=y) + self.gate(y, x))


def build(latent=5):
    i, j = keras.Input((12,)), keras.Input((12,))
    return keras.Model([i, j], Siamese(latent)([i, j]))
"""

LATE = """
class Late(layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], self.units), initializer="he_uniform")
        self.bias = self.add_weight(name="b", shape=(self.units,), initializer="zeros")
        self.inner = layers.Dense(self.units)
        super().build(input_shape)

    def call(self, x):
        return self.inner(tf.matmul(x, self.kernel) + self.bias)


class Net(keras.Model):
    def __init__(self, units=6, **kwargs):
        super().__init__(**kwargs)
        self.first = Late(units)
        self.second = Late(units)
        self.last = layers.Dense(units)

    def build(self, input_shape):
        self.extra = layers.Dense(6)
        super().build(input_shape)

    def call(self, x, training=None):
        if training:
            x = x * 2.0
        return self.last(self.second(self.first(x))) + self.extra(x)
"""

BLOCKS = """
class Block(layers.Layer):
    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.parts = []

    def add(self, layer):
        self.parts.append(layer)
        self.parts[-1].build(self.shape)
        self.shape = self.parts[-1].compute_output_shape(self.shape)

    def build(self, input_shape):
        self.shape = input_shape
        for i in range(2):
            self.add(layers.Conv1D(self.filters, 3, padding="causal", name="conv{}".format(i)))
            self.add(layers.BatchNormalization())
        same = self.filters == input_shape[-1]
        self.match = layers.Lambda(lambda x: x) if same else layers.Conv1D(self.filters, 1)
        super().build(input_shape)

    def call(self, inputs, training=None):
        x = inputs
        for layer in self.parts:
            x = layer(x)
        return [layers.add([x, self.match(inputs)]), x]


def build(filters=(4, 6, 6)):
    inputs = x = keras.Input((10, 6))
    skips = []
    for i, f in enumerate(filters):
        x, skip = Block(f, name="block_%d" % i)(x)
        skips.append(skip)
    return keras.Model(inputs, layers.Dense(3)(layers.concatenate(skips)))
"""

STACKS = """
class Stack(keras.Sequential):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.add(layers.Dense(units, activation="relu"))
        super().add(layers.BatchNormalization())
        self.add(layers.Dense(2))


class Holder(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.body = Stack(units)

    def call(self, x):
        return self.body(x)


def build(units=6):
    inputs = keras.Input((5,))
    return keras.Model(inputs, Holder(units)(Stack(units)(inputs)))  # what is called last is constructed first
"""

DEPTH = """
class StochasticDepth(layers.Layer):
    def __init__(self, drop_prob, **kwargs):
        super().__init__(**kwargs)
        self.drop_prob = drop_prob

    def call(self, x, training=None):
        if training:
            keep_prob = 1 - self.drop_prob
            shape = (tf.shape(x)[0],) + (1,) * (len(x.shape) - 1)
            random_tensor = keep_prob + tf.random.uniform(shape, 0, 1, dtype=x.dtype)
            return (x / keep_prob) * tf.floor(random_tensor)
        return x


class Linear(layers.Layer):
    def __init__(self, units=4):
        super().__init__()
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), name="w")

    @tf.function
    def call(self, inputs):
        return tf.matmul(inputs, self.w)


class Net(keras.Model):
    def __init__(self, rate=0.2):
        super().__init__()
        self.linear = Linear(6)
        self.attention = layers.MultiHeadAttention(2, 3, dropout=0.1)
        self.drop = StochasticDepth(rate)

    def call(self, x, training=None):
        x = self.linear(x)
        y = self.drop(self.attention(x, x, training=training), training=training)
        return {"sum": x + y, "first": x}
"""

VARIABLES = """
class Linear(layers.Layer):
    def __init__(self, units=4):
        super().__init__()
        self.units = units

    def build(self, input_shape):
        start = tf.random_normal_initializer()
        shape = (input_shape[-1], self.units)
        self.w = tf.Variable(initial_value=start(shape=shape, dtype=self.dtype), trainable=True)
        self.b = tf.Variable(initial_value=tf.zeros((self.units,), dtype=self.dtype), trainable=True)

    @tf.function
    def call(self, inputs):
        return tf.matmul(inputs, self.w) + self.b

def build():
    inputs = keras.Input((3,))
    return keras.Model(inputs, Linear()(inputs))
"""

GRAPH = """
class Net(keras.Model):
    def __init__(self, inputs, widths, head=True, **kwargs):
        x = inputs
        for w in widths:
            x = layers.Conv2D(w, 3, padding="same", activation="relu")(x)
        if head:
            x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
        super().__init__(inputs=inputs, outputs=x, **kwargs)


class Small(Net):
    def __init__(self, inputs, **kwargs):
        super().__init__(inputs, (4, 6), **kwargs)
"""

CASES: dict[str, tuple[str, str, tuple[tuple[int, ...], ...] | None, str]] = {
    "a model of two inputs in a graph": (SIAMESE, "build()", None, "structure"),
    "a model of two inputs": (SIAMESE, "Siamese()", ((2, 12), (2, 12)), "structure"),
    "layers made when the model is built": (LATE, "Net()", ((2, 6),), "structure"),
    "layers built by hand": (BLOCKS, "build()", None, "structure"),
    "random numbers and a dictionary": (DEPTH, "Net()", ((2, 5, 3),), "structure"),
    "subclasses of Sequential": (STACKS, "build()", None, "structure"),
    "a graph made in the constructor": (GRAPH, "Small(keras.Input((9, 8, 3)), name='small')", None, "specialised"),
}


@pytest.mark.parametrize("generation", ["keras3", "tf_keras"])
@pytest.mark.parametrize("name", CASES)
def test_both_sides_compute_the_same(name: str, generation: str, tmp_path: Path):
    source, entry, shapes, tier = CASES[name]
    path = tmp_path / "prog.py"
    path.write_text(HEAD + source)
    (result,) = verify_file(path, entries=[entry], generation=generation, inputs=InputSpec(None, shapes))
    assert result.reason == ""
    assert (result.status, result.tier) == ("pass", tier)


def test_variables_of_tensorflow_are_weights_of_legacy_keras_alone(tmp_path: Path):
    path = tmp_path / "prog.py"
    path.write_text(HEAD + VARIABLES)
    (result,) = verify_file(path, entries=["build()"], generation="tf_keras")
    assert (result.reason, result.status) == ("", "pass")
    (result,) = verify_file(path, entries=["build()"], generation="keras3")
    assert result.status == "declined"
    assert "tf.Variable" in result.reason


def convert(source: str, tmp_path: Path, *entries: str, **options: object) -> Conversion:
    path = tmp_path / "prog.py"
    path.write_text(HEAD + textwrap.dedent(source))
    return convert_file(path, entries=entries, **options)  # type: ignore[arg-type]


DECLINED = {
    "a layer shared by two classes": """
        class A(layers.Layer):
            def __init__(self, inner):
                super().__init__()
                self.inner = inner
            def call(self, x):
                return self.inner(x)

        def build():
            i = keras.Input((3,))
            inner = layers.Dense(3)
            return keras.Model(i, A(inner)(A(inner)(i)))
        """,
    "a value that depends on training": """
        class A(layers.Layer):
            def call(self, x, training=None):
                scale = 2.0 if training else 1.0
                return x * scale

        def build():
            i = keras.Input((3,))
            return keras.Model(i, A()(i))
        """,
    "the weights of the base class": """
        class A(layers.Dense):
            def call(self, x):
                return tf.matmul(x, self.kernel)

        def build():
            i = keras.Input((3,))
            return keras.Model(i, A(3)(i))
        """,
    "an initializer that depends on more": """
        def start(shape, dtype=None):
            return tf.random.normal(shape) * tf.random.normal(shape)

        def build():
            i = keras.Input((3,))
            return keras.Model(i, layers.Dense(3, kernel_initializer=start)(i))
        """,
}


@pytest.mark.parametrize("name", DECLINED)
def test_what_is_not_exact_is_declined(name: str, tmp_path: Path):
    conversion = convert(DECLINED[name], tmp_path, "build()")
    assert conversion.entries == []
    assert {f.code for f in conversion.findings if f.severity.name == "ERROR"} <= {
        "K2T102",
        "K2T107",
        "K2T203",
        "K2T404",
    }


def test_a_model_without_a_shape_says_what_is_missing(tmp_path: Path):
    conversion = convert(LATE, tmp_path, "Net()")
    assert [f.code for f in conversion.findings] == ["K2T202"]
    assert "--input-shape" in conversion.findings[0].advice


def test_what_a_layer_adds_to_its_base_is_kept(tmp_path: Path):
    source = """
        class Scaled(layers.Dense):
            def call(self, x):
                return super().call(x) * 0.5

        def build():
            i = keras.Input((3,))
            return keras.Model(i, Scaled(3)(i))
        """
    assert "* 0.5" in convert(source, tmp_path, "build()").modules[0].text


def test_the_gelu_of_the_operations_is_the_approximate_one(tmp_path: Path):
    source = """
        def build():
            i = keras.Input((3,))
            x = layers.Dense(3, activation=keras.ops.gelu)(i)
            return keras.Model(i, layers.Dense(3, activation="gelu")(x))
        """
    text = convert(source, tmp_path, "build()").modules[0].text
    assert text.count("nn.GELU(approximate='tanh')") + text.count('nn.GELU(approximate="tanh")') == 1
    assert text.count("nn.GELU()") == 1


def test_a_layer_that_call_keeps_at_inference_is_frozen(tmp_path: Path):
    source = """
        class A(layers.Layer):
            def __init__(self):
                super().__init__()
                self.norm = layers.BatchNormalization()
            def call(self, x):
                return self.norm(x, training=False)

        def build():
            i = keras.Input((3,))
            return keras.Model(i, A()(i))
        """
    assert "self.norm = FrozenBatchNorm1d(" in convert(source, tmp_path, "build()").modules[0].text


def test_an_open_argument_of_an_initializer_is_fixed(tmp_path: Path):
    source = """
        def build(start=0.5):
            i = keras.Input((3,))
            return keras.Model(i, layers.Dense(3, bias_initializer=keras.initializers.Constant(start))(i))
        """
    text = convert(source, tmp_path, "build()").modules[0].text
    assert "nn.init.constant_(module.bias, 0.5)" in text
    assert "if start != 0.5" in text


def test_a_layer_under_its_older_name_is_paired_by_its_class(tmp_path: Path):
    source = """
        def build():
            i = keras.Input((5, 5, 1))
            return keras.Model(i, layers.Convolution2D(2, 3)(i))
        """
    (entry,) = convert(source, tmp_path, "build()").entries
    assert [u.keras_class for u in entry.units] == ["Conv2D"]
