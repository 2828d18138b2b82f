"""Keras's own layers save their variables in the order that is known of them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

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
