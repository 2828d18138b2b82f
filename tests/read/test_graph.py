"""`model.layers` in Keras's order, which numbers in the source refer to."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.read.test_python import evaluate
from transpiler.ir.model import ApiObject

HEAD = """
import keras
from keras import layers, Model, Sequential, Input
L = layers
"""
MODELS = {
    "a chain": """
i = Input((8, 8, 3))
x = L.Conv2D(2, 3, name="a")(i)
x = L.Flatten(name="b")(x)
model = Model(i, L.Dense(2, name="c")(x))
""",
    "branches of several lengths": """
i = Input((8, 8, 3))
a = L.Conv2D(2, 3, padding="same", name="a1")(i)
a = L.Conv2D(2, 3, padding="same", name="a2")(a)
a = L.Conv2D(2, 3, padding="same", name="a3")(a)
b = L.Conv2D(2, 1, name="b1")(i)
c = L.ReLU(name="c1")(L.Conv2D(2, 1, name="c0")(i))
x = L.Concatenate(name="join")([b, a, c])
model = Model(i, L.Add(name="sum")([x, L.Conv2D(6, 1, name="late")(x)]))
""",
    "several inputs and outputs, in another order": """
p, q = Input((4,), name="p"), Input((5,), name="q")
x, y = L.Dense(3, name="x")(p), L.Dense(3, name="y")(q)
both = L.Add(name="both")([y, x])
out = L.Dense(1, name="out")(both)
model = Model([p, q], [L.Dense(2, name="side")(x), out])
""",
    "a layer used twice": """
i = Input((4,))
shared = L.Dense(4, name="shared")
x = L.ReLU(name="r")(shared(i))
model = Model(i, L.Add(name="sum")([shared(x), L.Dense(4, name="d")(x)]))
""",
    "models inside": """
inner_in = Input((4,))
inner = Model(inner_in, L.Dense(3, name="in2")(L.Dense(2, name="in1")(inner_in)), name="inner")
seq = Sequential([Input((3,)), L.Dense(5, name="s1"), L.ReLU(name="s2")], name="seq")
i = Input((4,))
model = Model(i, L.Dense(1, name="out")(seq(inner(i))))
""",
    "part of a model": """
i = Input((4,))
x = L.Dense(3, name="a")(i)
y = L.Dense(3, name="b")(x)
whole = Model(i, L.Dense(1, name="c")(y))
model = Model(whole.input, whole.get_layer("b").output)
""",
    "a sequential model": """
model = Sequential([Input((4,)), L.Dense(3, name="a"), L.ReLU(name="b")])
""",
}


def name(layer: Any) -> str:
    return "input" if isinstance(layer, ApiObject) or type(layer).__name__ == "InputLayer" else layer.name


@pytest.mark.parametrize("case", MODELS)
@pytest.mark.parametrize("package", ["keras", "tf_keras"])
def test_layers_are_in_keras_order(case: str, package: str, tmp_path: Path):
    source = HEAD + textwrap.dedent(MODELS[case])
    found = evaluate(source + "found = model.layers\n", tmp_path)["found"]
    names: dict[str, Any] = {}
    exec(source.replace("import keras", f"import {package} as keras").replace("from keras", f"from {package}"), names)
    assert [name(layer) for layer in found] == [name(layer) for layer in names["model"].layers]


def test_layers_by_number_and_by_name(tmp_path: Path):
    source = HEAD + MODELS["branches of several lengths"]
    names = evaluate(source + "a = model.get_layer(index=2).name\nb = model.layers[-2].name\n", tmp_path)
    keras: dict[str, Any] = {}
    exec(source, keras)
    assert (names["a"], names["b"]) == (keras["model"].layers[2].name, keras["model"].layers[-2].name)
