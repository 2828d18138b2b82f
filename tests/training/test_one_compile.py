"""One `compile` that several models go through, or that is called again and again: it has to say the same each time."""

from pathlib import Path

import pytest

from transpiler.pipeline import convert_file

HEAD = """
import numpy as np
import keras
from keras import layers, regularizers

x = np.ones((6, 4))

def net(l2=0.1, last=None):
    return keras.Sequential([keras.Input((4,)), layers.Dense(1, last, kernel_regularizer=regularizers.l2(l2)), layers.Dense(1)])

"""
BUILDER = """
def build(loss, metric):
    model = net({net})
    model.compile("sgd", loss, metrics=[metric])
    return model

for l, m in {pairs}:
    model = build(l, m)
    model.fit(x, x[:, :1], verbose=0)
"""
FUNCTION = """
def run(loss, metric):
    model = net({net})
    model.compile("sgd", loss, metrics=[metric])
    return model.fit(x, x[:, :1], verbose=0)

for l, m in {pairs}:
    run(l, m)
"""
LOOP = """
for l, m in {pairs}:
    model = net({net})
    model.compile("sgd", l, metrics=[m])
    model.fit(x, x[:, :1], verbose=0)
"""
SAME, LOSSES, METRICS = "[('mse', 'mae')] * 2", "[('mse', 'mae'), ('mae', 'mae')]", "[('mse', 'mae'), ('mse', 'mape')]"


def errors(text: str, folder: Path) -> list[str]:
    path = folder / "script.py"
    path.write_text(HEAD + text, encoding="utf-8")
    return [f.message for f in convert_file(path).all_findings if f.severity.name == "ERROR"]


@pytest.mark.parametrize("form", [BUILDER, FUNCTION, LOOP])
def test_what_is_the_same_each_time_is_translated(form: str, tmp_path: Path):
    assert not errors(form.format(net="", pairs=SAME), tmp_path)


@pytest.mark.parametrize("form", [BUILDER, FUNCTION, LOOP])
@pytest.mark.parametrize("pairs", [LOSSES, METRICS])
def test_other_losses_or_metrics_are_declined(form: str, pairs: str, tmp_path: Path):
    found = errors(form.format(net="", pairs=pairs), tmp_path)
    assert any("different losses or metrics" in message for message in found), found


@pytest.mark.parametrize("form", [BUILDER, FUNCTION])
def test_other_regularizers_are_declined(form: str, tmp_path: Path):
    form = form.replace("(loss, metric)", "(loss, metric, l2)").replace("(l, m)", "(l, m, 0.1 if m == 'mae' else 0.2)")
    pairs = "[('mse', 'mae'), ('mse', 'mape')]"
    found = errors(form.format(net="l2", pairs=pairs).replace("metrics=[metric]", "metrics=['mae']"), tmp_path)
    assert any("regularized or constrained in different ways" in message for message in found), found
