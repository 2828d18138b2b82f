"""The orders in which Keras lists layers, and in which its own layers save their variables, are those that are known of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from transpiler.ir.model import KERAS2
from transpiler.pipeline import convert_file
from transpiler.read.keras.saved import NAMES, ORDER
from transpiler.rules.registry import layer_rules

CHILD = """
import json, sys
from transpiler.verify import live
keras = live.import_framework(sys.argv[1])
names = {"keras": keras, **vars(keras.layers)}
found = {}
for text, shapes in json.loads(sys.stdin.read()):
    try:
        layer = eval(text, names)
        inputs = [keras.Input(s[1:]) for s in shapes]
        layer(inputs[0] if len(inputs) == 1 else inputs)
    except Exception:
        continue
    for part in live.all_layers(layer):
        kinds = ("_trainable_variables", "_non_trainable_variables", "_trainable_weights", "_non_trainable_weights")
        own = [live.leaf(v) for kind in kinds[:2] if sys.argv[1] == "keras3" for v in getattr(part, kind)]
        own = own or [live.leaf(v) for kind in kinds[2:] if sys.argv[1] != "keras3" for v in getattr(part, kind)]
        found.setdefault(text, []).append(own)
print("FOUND" + json.dumps(found))
"""


@pytest.mark.parametrize("generation", ["keras3", "tf_keras"])
def test_variables_are_saved_in_the_order_that_is_known(generation):
    rules = {id(r): r for r in layer_rules().values()}.values()
    examples = []
    for rule in rules:
        for text, *shapes in rule.examples:
            several = isinstance(shapes[0][0], (tuple, list))
            examples.append((text, shapes[0] if several else [shapes[0]]))
    command = [sys.executable, "-c", CHILD, generation]
    done = subprocess.run(command, input=json.dumps(examples), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.rpartition("FOUND")[2])
    assert len(found) > 150
    attributes = {leaf: attribute for attribute, leaves in NAMES.items() for leaf in leaves}
    for text, parts in found.items():
        for names in parts:
            known = [attributes.get(n, n) for n in names]
            assert [n for n in known if n in ORDER] == sorted((n for n in known if n in ORDER), key=ORDER.index), (
                text,
                names,
            )
            assert all(n in ORDER or "seed" in n or "vector" in n for n in known), (text, names)


BRANCHES = """
import tensorflow as tf
from tf_keras import Input, Model, backend as K, layers

def build():
    i = Input((4,))
    skip = layers.Dense(4, name="skip")(i)
    x = layers.Dense(4, name="first")(i)
    x = layers.Dense(4, name="second")({branch})
    return Model(i, layers.Dense(2, name="head")({joined}))
"""
ONE_LAYER = (
    ("x", "x + skip"), ("x", "skip + x"), ("x", "1 - skip * x"), ("-x", "x ** 2.0 - skip"), ("x[:, ::2]", "x / skip"),
    ("x", "tf.math.multiply(skip, x)"), ("tf.nn.silu(x)", "tf.concat([skip, x], axis=-1)"), ("tf.cast(x > 0.5, tf.float32)", "skip * x"),
    ("x", "tf.where(x > 0.0, skip, x)"), ("x", "tf.add(y=skip, x=x)"),
)  # fmt: skip
OTHERS = (
    ("x", "sum([skip, x])"), ("x", "tf.reduce_mean([skip, x], axis=0)"), ("K.mean(x, axis=-1, keepdims=True)", "x + skip"),
    ("x[:]", "x + skip"), ("x[:, ::-1]", "x + skip"), ("tf.identity(x)", "x + skip"),
)  # fmt: skip
LISTED = """
import json, sys
from transpiler.verify import live
live.import_framework("tf_keras")
listed = []
for text in json.load(sys.stdin):
    scope = {}
    exec(text, scope)
    listed.append([x.name for x in scope["build"]().layers if x.weights])
print("FOUND" + json.dumps(listed))
"""


def test_layers_are_listed_as_legacy_keras_lists_them_where_each_function_is_a_layer(tmp_path):
    texts = [BRANCHES.format(branch=branch, joined=joined) for branch, joined in (*ONE_LAYER, *OTHERS)]
    done = subprocess.run([sys.executable, "-c", LISTED], input=json.dumps(texts), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    uncertain = []
    for text, listed in zip(texts, json.loads(done.stdout.rpartition("FOUND")[2]), strict=True):
        source = Path(tmp_path / "net.py")
        source.write_text(text)
        saved = convert_file(source, entries=["build()"], generation=KERAS2).entries[0].saved
        uncertain.append(saved.uncertain)
        assert saved.uncertain or [x.name for x in saved.layers if x.variables] == listed, text
    assert uncertain == [False] * len(ONE_LAYER) + [True] * len(OTHERS)
