"""Models made of models: builders that call builders, and functions that build several.

As in test_held_back: converted once, then used at arguments that the conversion did not see, and compared in value with
a flat conversion of these.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from held import assert_same, convert, load, write

from transpiler.diagnostics import Severity
from transpiler.pipeline import convert_file

HEAD = """
import keras
from keras.layers import *
from keras.models import Model, Sequential
"""

AUTOENCODER = HEAD + """
def encoder(size, widths=(6, 4)):
    inputs = x = keras.Input((size,))
    for width in widths:
        x = Dense(width, activation="relu")(x)
    return Model(inputs, x)

def decoder(width, size):
    inputs = keras.Input((width,))
    x = Dense(8, activation="relu")(inputs)
    return Model(inputs, Dense(size)(x))
"""
TWO = HEAD + """
def parts(size, width, blocks=1):
    inputs = keras.Input((size, size, 2))
    x = inputs
    for i in range(blocks):
        x = Conv2D(width, 3, padding="same", activation="relu")(x)
    encoder = Model(inputs, x, name="encoder")
    latent = keras.Input((size, size, width), name="latent")
    decoder = Model(latent, Conv2D(2, 1)(Conv2D(width * 2, 3, padding="same")(latent)), name="decoder")
    return encoder, decoder
"""
CASES = {
    "builders that call builders": (
        AUTOENCODER + """
def build(size=8, width=3):
    e = encoder(size, (5, width))
    d = decoder(width, size)
    inputs = keras.Input((size,))
    return Model(inputs, Dense(width)(d(e(inputs))))
""",
        ("build()", "build(4, 7)", "build(9, 2)"),
        ["encoder(", "decoder("],
    ),
    "a Sequential of models": (
        AUTOENCODER + """
def build(size=8, width=3):
    return Sequential([encoder(size, (width,)), decoder(width, size), Dense(2)])
""",
        ("build()", "build(4, 7)"),
        ["encoder(", "decoder("],
    ),
    "one model twice": (
        AUTOENCODER + """
def build(size=8):
    a, b = keras.Input((size,)), keras.Input((size,))
    tower = encoder(size)
    return Model([a, b], Dense(1)(Concatenate()([tower(a), tower(b)])))
""",
        ("build()", "build(5)"),
        ["tower = encoder("],
    ),
    "a head on the output of a model": (
        AUTOENCODER + """
def build(size=8, width=3):
    base = encoder(size, widths=(width, width * 2))
    x = Dense(width)(base.output)
    return Model(base.input, Dense(2)(x))
""",
        ("build()", "build(5, 2)"),
        ["base = encoder("],
    ),
    "several models of one builder": (
        TWO + """
def build(size=6, width=3):
    encoder, decoder = parts(size, width, blocks=2)
    x = keras.Input((size, size, 2))
    y = decoder(encoder(x))
    return Model(x, Dense(width)(Flatten()(y)))
""",
        ("build()", "build(5, 2)"),
        ["encoder, decoder = parts("],
    ),
    "models as methods": (
        HEAD + """
class Gan:
    def __init__(self, size=4):
        self.size = size

    def generator(self):
        inputs = keras.Input((self.size,))
        return Model(inputs, Dense(6, activation="tanh")(inputs))

    def critic(self, units):
        model = Sequential()
        model.add(Dense(units, input_shape=(6,)))
        model.add(Dense(1))
        return model

    def build(self, units=3):
        generator = self.generator()
        critic = self.critic(units)
        z = keras.Input((self.size,))
        return Model(z, critic(generator(z)))
""",
        ("Gan().build()", "Gan(7).build(2)"),
        ["self.generator()", "self.critic("],
    ),
    "a builder that another wraps": (
        AUTOENCODER + """
def build(size=8, **kwargs):
    return encoder(size, **kwargs)

def small(size=8, width=2):
    return encoder(size, widths=[width])
""",
        ("small()", "small(5, 4)"),
        ["return encoder("],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_models_stay_models(name: str, tmp_path: Path):
    source, entries, calls = CASES[name]
    conversion = convert(source, entries[0], tmp_path)
    text = conversion.modules[0].text
    assert conversion.entries[0].tier == "structure", [f.message for f in conversion.findings]
    for call in calls:
        assert call in text
    for entry in entries:
        assert_same(load(text), source, entry, tmp_path)


def test_a_builder_that_nothing_calls_in_the_end_is_not_written(tmp_path: Path):
    source = AUTOENCODER + """
def build(size=8):
    base = encoder(size)
    return Model(base.input, Dense(3)(base.layers[1].output))
"""
    text = convert(source, "build()", tmp_path).modules[0].text
    assert "class Build" in text and "class Encoder" not in text


def test_given_models_keep_their_weights(tmp_path: Path):
    """The class that is given a model gives its own layers initial weights, not those of the model."""
    source, entries, _ = CASES["builders that call builders"]
    text = convert(source, entries[0], tmp_path).modules[0].text
    init = next(
        f
        for c in ast.parse(text).body
        if isinstance(c, ast.ClassDef) and c.name == "Build"
        for f in c.body
        if isinstance(f, ast.FunctionDef) and f.name == "__init__"
    )
    lines = [ast.unparse(s) for s in init.body]
    assert lines.index("self.apply(init_weights)") < lines.index("self.e = e")


def test_several_models_share_what_they_share(tmp_path: Path):
    source = TWO + """
def build(size=6, width=3):
    inputs = keras.Input((size, size, 2))
    x = Conv2D(width, 3, activation="relu")(inputs)
    features = Model(inputs, x, name="features")
    classifier = Model(inputs, Dense(2)(Flatten()(x)), name="classifier")
    return features, classifier
"""
    names = load(convert(source, "build()[1]", tmp_path).modules[0].text)
    assert names


def test_the_models_of_a_script_share_what_they_share(tmp_path: Path):
    source = f"""{HEAD}
latent = 3
inputs = keras.Input((8, 8, 1))
x = Conv2D(4, 3, strides=2, padding="same", activation="relu")(inputs)
encoder = Model(inputs, Dense(latent)(Flatten()(x)), name="encoder")
encoder.summary()
code = keras.Input((latent,))
x = Reshape((8, 8, 1))(Dense(64)(code))
decoder = Model(code, x, name="decoder")
autoencoder = Model(inputs, decoder(encoder(inputs)))
"""
    conversion = convert_file(write(source, tmp_path))
    assert not [f for f in conversion.findings if f.severity >= Severity.ERROR]
    names = load(conversion.modules[0].text)
    assert names["autoencoder"].encoder is names["encoder"]
    assert names["autoencoder"].decoder is names["decoder"]
    assert [e.expression for e in conversion.entries] == ["encoder", "decoder", "autoencoder"]
    x = torch.randn(2, 8, 8, 1)
    assert torch.equal(names["autoencoder"](x), names["decoder"](names["encoder"](x)))


def test_a_builder_is_given_models(tmp_path: Path):
    source = AUTOENCODER + """
def both(first, second, classes=3):
    first.trainable = False
    inputs = keras.Input((8,))
    return Model(inputs, Dense(classes)(second(first(inputs))))

e = encoder(8)
d = decoder(4, 8)
model = both(e, d)
"""
    conversion = convert_file(write(source, tmp_path))
    assert not [f for f in conversion.findings if f.severity >= Severity.ERROR]
    names = load(conversion.modules[0].text)
    assert names["model"].first is names["e"] and names["model"].second is names["d"]
    x = torch.randn(2, 8)
    assert torch.equal(names["model"](x), names["model"].dense(names["d"](names["e"](x))))
    assert names["both"](names["e"], names["d"], 7)(x).shape == (2, 7)


def test_an_entry_composes_models(tmp_path: Path):
    conversion = convert(TWO, "keras.Sequential(list(parts(6, 3)))", tmp_path)
    (plan,) = conversion.entries
    assert plan.tier == "structure" and "parts(6, 3)" in plan.torch_expression


def test_a_builder_serves_only_calls_like_the_one_it_was_converted_for(tmp_path: Path):
    """The file shows no call of `tower` but those of `build`: with images and with vectors."""
    source = f"""{HEAD}
def tower(shape):
    inputs = keras.Input(shape)
    return Model(inputs, Dense(3)(inputs))

def build(size=5):
    a, b = tower((size,)), tower((size, 2))
    x, y = keras.Input((size,)), keras.Input((size, 2))
    return Model([x, y], Concatenate()([a(x), Flatten()(b(y))]))
"""
    for entry in ("build()", "build(4)"):
        text = convert(source, entry, tmp_path).modules[0].text
        assert_same(load(text), source, entry, tmp_path)


def test_models_that_share_a_layer_do_not_become_two_classes(tmp_path: Path):
    source = HEAD + """
def build(n=4, h=5):
    a, b = keras.Input((n,)), keras.Input((n,))
    shared = Dense(h)
    return Model(a, Dense(3)(shared(a))), Model(b, Dense(2)(shared(b)))
"""
    conversion = convert_file(write(source, tmp_path))
    assert "share a layer" in " ".join(f.message for f in conversion.findings if f.severity >= Severity.ERROR)


def test_a_model_and_a_part_of_it(tmp_path: Path):
    source = HEAD + """
def build(n=4, h=5):
    i = keras.Input((n,))
    x = Dense(h, activation="relu")(i)
    return Model(i, Dense(2)(x), name="full"), Model(i, x, name="features")
"""
    names = load(convert(source, "build()[0]", tmp_path).modules[0].text)
    full, features = names["build"](3, 2)
    assert full.features is features


def test_models_with_loops_in_them_are_called(tmp_path: Path):
    source = HEAD + """
def build(size=5, latent=2, widths=(4, 3)):
    inputs = x = keras.Input((size,))
    for width in widths:
        x = Dense(width, activation="relu")(x)
    encoder = Model(inputs, [Dense(latent)(x), Dense(latent)(x)], name="encoder")
    code = x = keras.Input((latent,))
    for width in reversed(widths):
        x = Dense(width, activation="relu")(x)
    decoder = Model(code, Dense(size)(x), name="decoder")
    return encoder, decoder, Model(inputs, decoder(encoder(inputs)[1]), name="vae")
"""
    conversion = convert(source, "build()[2]", tmp_path)
    assert conversion.entries[0].tier == "structure"
    encoder, decoder, vae = load(conversion.modules[0].text)["build"](6, 3, (7,))
    x = torch.randn(2, 6)
    assert torch.equal(vae(x), decoder(encoder(x)[1]))


def test_sizes_that_one_model_alone_reads_are_computed_in_its_class(tmp_path: Path):
    program = HEAD + """
def parts(size, widths, out=3):
    inputs = x = keras.Input((size,))
    found = []
    for width in widths:
        x = Dense(width, activation="relu")(x)
        found.append(x)
    x = Dense(out)(x)
    found.append(x)
    encoder = Model(inputs, Dense(out)(Concatenate()(found)), name="encoder")
    latent = keras.Input((out,))
    decoder = Model(latent, Dense(size)(latent), name="decoder")
    return encoder, decoder

def build(size=6, widths=(4, 5)):
    encoder, decoder = parts(size, widths)
    return Sequential([encoder, decoder])
"""
    conversion = convert(program, "build()", tmp_path)
    assert conversion.entries[0].tier == "structure"
    names = load(conversion.modules[0].text)
    for entry in ("build()", "build(5, (3, 4, 2))"):
        assert_same(names, program, entry, tmp_path)


def test_layers_made_before_a_model_of_another_builder_keep_their_place(tmp_path: Path):
    source = AUTOENCODER + """
def build(size=4):
    last = Dense(size)
    base = encoder(size, (size,))
    inputs = keras.Input((size,))
    return Model(inputs, last(base(inputs)))
"""
    conversion = convert(source, "build()", tmp_path)
    assert_same(load(conversion.modules[0].text), source, "build()", tmp_path)
    assert conversion.entries[0].tier == "flat"


SCRIPT = HEAD + """
def tower(k, n=4):
    i = keras.Input((n,))
    return Model(i, Dense(k)(i))

"""


@pytest.mark.parametrize(
    "lines, same, parameters",
    [
        ("a = tower(3)\nold = a\na = tower(3)\n", "names['m'].a1 is names['old']", {"a": 15, "old": 15}),
        ("a = tower(3)\nold = tower(4)\na, old = old, a\n", "names['a'] is not names['old']", {"a": 20, "old": 15}),
    ],
)
def test_names_of_models_that_a_script_gives_anew(lines: str, same: str, parameters: dict[str, int], tmp_path: Path):
    end = "i = keras.Input((4,))\nm = Model(i, concatenate([old(i), a(i)]))\n"
    conversion = convert_file(write(SCRIPT + lines + end, tmp_path))
    assert not [f for f in conversion.findings if f.severity >= Severity.WARNING]
    names = load(conversion.modules[0].text)
    assert {n: sum(p.numel() for p in names[n].parameters()) for n in parameters} == parameters
    assert eval(same)


def test_a_list_of_models_that_the_result_does_not_have_is_reported(tmp_path: Path):
    source = SCRIPT + """
models = []
for k in (3, 4):
    models.append(tower(k))
i = keras.Input((4,))
m = Model(i, concatenate([x(i) for x in models]))
count = len(models)
"""
    conversion = convert_file(write(source, tmp_path))
    errors = [f for f in conversion.findings if f.severity >= Severity.ERROR]
    assert [f.excerpt.strip() for f in errors] == ["count = len(models)"]


def test_an_entry_that_is_given_models_converts_what_makes_them(tmp_path: Path):
    source = SCRIPT + """
def use(base, k=2):
    i = keras.Input((4,))
    return Model(i, Dense(k)(base(i)))

m = use(tower(3))
"""
    for entry in ("m", "use(tower(5))"):
        conversion = convert(source, entry, tmp_path)
        names = load(conversion.modules[0].text)
        assert eval(conversion.entries[0].torch_expression, names)(torch.randn(2, 4)).shape == (2, 2)


def test_static_and_class_methods_stay_what_they_are(tmp_path: Path):
    source = HEAD + """
class Net:
    @staticmethod
    def build(n=4):
        i = keras.Input((n,))
        return Model(i, Dense(3)(i))
"""
    text = convert(source, "Net.build()", tmp_path).modules[0].text
    assert "    @staticmethod\n    def build(n=4)" in text
    assert load(text)["Net"]().build(5)(torch.randn(2, 5)).shape == (2, 3)


def test_helper_functions_stand_at_the_top_level(tmp_path: Path):
    source = HEAD + """
class Gan:
    def __init__(self):
        self.critic = self.build()
        z = keras.Input((4,))
        self.model = Model(z, self.critic(z))

    def build(self):
        model = Sequential([keras.Input((4,)), Dense(3)])
        model.summary()
        return model
"""
    text = convert(source, "Gan().model", tmp_path).modules[0].text
    assert "\ndef init_weights" in text
    load(text)


def test_the_value_of_and_and_or(tmp_path: Path):
    source = SCRIPT + """
def build(n=4, flag=True, base=None, rate=None):
    units = flag and 5
    base = base or tower(6)
    rate = rate or 0.0
    i = keras.Input((n,))
    return Model(i, Dense(int(rate) + 2)(Dense(units or 3)(base(i))))
"""
    text = convert(source, "build()", tmp_path).modules[0].text
    for call in ("build()", "build(4, False)", "build(flag=False, rate=3.0)"):
        assert_same(load(text), source, call, tmp_path)
