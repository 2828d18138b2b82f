"""Builders that compile their models with what they are given."""

import re
from pathlib import Path

import numpy as np
import pytest
from run_scripts import printed_as_it_is

from transpiler.options import PLAIN
from transpiler.pipeline import convert_file
from transpiler.verify.run import verify_file

HEAD = """
import numpy as np
import keras
from keras import Input, Sequential, optimizers
from keras.layers import Dense

x = np.sin(np.arange(96.0)).reshape(24, 4)
y = x.sum(axis=1, keepdims=True)
"""
BUILD = """
def build(units, rate, kind="adam", decay=0.5):
    model = Sequential([Input((4,)), Dense(units, kernel_initializer="ones"), Dense(1, kernel_initializer="ones")])
    {choice}
    model.compile({optimizer}, "mse")
    return model
"""
SEARCH = """
for kind, r in (("adam", 0.1), ("sgd", 0.02)):
    net = build({given})
    h = net.fit(x, y, epochs=2, verbose=0)
    print(h.history["loss"][0], h.history["loss"][1])
"""
CHAIN = """if kind == "adam":
        opt = optimizers.Adam(rate)
    elif kind == "rms":
        opt = optimizers.RMSprop(rate)
    else:
        opt = optimizers.SGD(rate, momentum=0.9)"""
LATER = """opt = optimizers.Adam(rate)
    if kind == "sgd":
        opt = optimizers.SGD(rate)"""
SCHEDULE = "optimizers.SGD(optimizers.schedules.ExponentialDecay(rate, 4, {}))"
CASES = {
    "direct": ("", "optimizers.SGD(rate)", "3, r", "optimizer = torch.optim.SGD(net.parameters(), lr=r)"),
    "variable": (
        "opt = optimizers.SGD(learning_rate=rate * 0.5)",
        "opt",
        "3, rate=r",
        "optimizer = torch.optim.SGD(net.parameters(), lr=r * 0.5)",
    ),
    "name": ("", "kind", "3, r, kind", 'model.optimizer = Adam(model.parameters(), lr=1e-3)\n    elif kind == "sgd":'),
    "chain": (CHAIN, "opt", "3, r, kind", "else:\n        model.optimizer = torch.optim.SGD(model.parameters(), lr=rate, mom"),
    "chain not seen": (CHAIN, "opt", "3, r, kind", 'elif kind == "rms":\n        model.optimizer = RMSprop('),
    "twice": (LATER, "opt", "3, r, kind", 'lr=rate)\n    if kind == "sgd":\n        model.optimizer = torch.optim.SGD('),
    "choice": (
        "",
        "optimizers.Adam(rate) if kind == 'adam' else optimizers.SGD(rate)",
        "3, r, kind",
        'if kind == "adam":\n        model.optimizer = Adam(model.parameters(), lr=rate)\n    else:',
    ),
    "unpacked": ("", "optimizers.SGD(rate)", "**{'units': 3, 'rate': r}", "model.optimizer = torch.optim.SGD(model.parameters(), lr=rate)"),
    "schedule": ("", SCHEDULE.format("0.5"), "3, r", "scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 **"),
    "read later": ("", SCHEDULE.format("decay"), "3, r, decay=r", "LambdaLR(model.optimizer, lambda step: decay **"),
}  # fmt: skip


def script(choice: str, optimizer: str, given: str) -> str:
    return HEAD + BUILD.format(choice=choice or "pass", optimizer=optimizer) + SEARCH.format(given=given)


@pytest.mark.parametrize("name", CASES)
def test_the_optimizer_is_made_with_what_the_builder_is_given(name: str, tmp_path: Path):
    choice, optimizer, given, expected = CASES[name]
    path = tmp_path / "script.py"
    path.write_text(script(choice, optimizer, given), encoding="utf-8")
    conversion = convert_file(path)
    assert not [f for f in conversion.all_findings if f.severity.name == "ERROR"]
    text = re.sub(r"\(\s+(?=\S)", "(", conversion.modules[0].text)
    assert expected in text


@pytest.mark.parametrize("name", ["chain", pytest.param("read later", marks=pytest.mark.slow),
                                  *(pytest.param(n, marks=pytest.mark.slow) for n in ("direct", "variable", "name", "twice", "unpacked", "schedule"))])  # fmt: skip
def test_such_a_search_prints_what_the_original_prints(name: str, tmp_path: Path):
    path = tmp_path / "script.py"
    path.write_text(script(*CASES[name][:3]), encoding="utf-8")
    keras, result = printed_as_it_is(path, tmp_path, "keras3", PLAIN)
    assert len(keras) == len(result) == 4
    np.testing.assert_allclose(result, keras, rtol=1e-4)


@pytest.mark.slow
def test_models_that_are_trained_again_and_again_by_one_call_have_optimizers_of_their_own(tmp_path: Path):
    path = tmp_path / "script.py"
    text = script("", '"adam"', "3, r").partition("\nfor kind")[0]
    text += "def learn(model):\n    print(model.fit(x, y, verbose=0).history['loss'][0])\n\n"
    text += "for net in (build(3, 0.1), build(4, 0.1)):\n    learn(net)\n    learn(net)\n    learn(net)\n"
    path.write_text(text, encoding="utf-8")
    keras, result = printed_as_it_is(path, tmp_path, "keras3", PLAIN)
    assert len(keras) == len(result) == 6
    np.testing.assert_allclose(result, keras, rtol=1e-4)


@pytest.mark.parametrize(
    ("choice", "optimizer"),
    [
        ("rate = rate / 2", "optimizers.SGD(rate)"),
        (CHAIN.replace("RMSprop(rate)", "RMSprop(rate, centered=units > 3)"), "opt"),
        ("table = {'adam': optimizers.Adam, 'sgd': optimizers.SGD}", "table[kind](rate)"),
        ("clip = optimizers.SGD(rate, clipnorm=rate)", "clip"),
    ],
)
def test_what_the_parameters_do_not_decide_alone_is_declined(choice: str, optimizer: str, tmp_path: Path):
    path = tmp_path / "script.py"
    path.write_text(script(choice, optimizer, "3, r, kind"), encoding="utf-8")
    found = [f.message for f in convert_file(path).all_findings if f.severity.name == "ERROR"]
    assert any("compiles its models with different optimizers" in m for m in found), found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["direct", "chain"])
def test_steps_of_such_a_training_are_the_same(name: str, tmp_path: Path):
    path = tmp_path / "script.py"
    last = '\nnet = build(3, 0.3, "sgd")\nnet.fit(x, y, verbose=0)\n'
    path.write_text(script(*CASES[name][:3]) + last, encoding="utf-8")
    assert {r.reason for r in verify_file(path, steps=5)} == {""}


def test_a_number_that_a_function_changes_by_global_is_written_as_it_was(tmp_path: Path):
    text = """
RATE = 0.1

def change():
    global RATE
    RATE = 0.5

def make(units):
    model = Sequential([Input((4,)), Dense(units)])
    model.compile(optimizers.SGD(RATE), "mse")
    return model

def main():
    model = make(1)
    change()
    model.fit(x, y, verbose=0)

main()
"""
    (tmp_path / "script.py").write_text(HEAD + text)
    assert "torch.optim.SGD(model.parameters(), lr=0.1)" in convert_file(tmp_path / "script.py").modules[0].text
