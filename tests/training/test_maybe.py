"""Training in code of which nobody knows how often it runs: what it does is translated, what it changes is unknown after it."""

from pathlib import Path

import pytest

from transpiler.pipeline import convert_file

HEAD = """
import numpy as np
from keras import Input, Sequential
from keras.layers import Dense

x, y = np.load("x.npy"), np.load("y.npy")
steps = len(x) // 4
done = np.load("done.npy")

def build(units):
    return Sequential([Input((4,)), Dense(units), Dense(1)])

class Agent:
    def __init__(self):
        self.units = 3
        self.model = build(3)
        self.model.compile("sgd", "mse")

agent = Agent()
units, sizes = 3, [3]
net = build(2)
net.compile("sgd", "mse")
"""
TRAINED = {
    "a loop over batches": "for i in range(steps):\n    print(net.train_on_batch(x[i], y[i]))",
    "a loop that gathers": "losses = []\nfor i in range(steps):\n    losses.append(net.train_on_batch(x, y))",
    "an endless loop": "while True:\n    print(net.train_on_batch(x, y))\n    if done[0]:\n        break",
    "a loop until": "while not done[0]:\n    print(net.train_on_batch(x, y))",
    "a branch": "if done[0]:\n    agent.units = 4\n    net.fit(x, y)",
    "a branch of an object": "if done[0]:\n    agent.units = 4\n    agent.model.fit(x, y)",
    "a list of items": "print([net.predict(a) for a in x], [net.train_on_batch(a, b) for a, b in zip(x, y)])",
    "many rounds": "for i in range(1000000):\n    net.train_on_batch(x, y)",
    "after a return": "def learn():\n    if done[0]:\n        return None\n    agent.units = 4\n    return net.train_on_batch(x, y)\nlearn()",
}
UNKNOWN = {
    "a name": "for i in range(steps):\n    units = 4",
    "a name that a later round changes": "a = units\nfor i in range(steps):\n    units = a\n    a = 4",
    "a list": "for i in range(steps):\n    sizes.append(4)\nunits = sizes[-1]",
    "a list by another name": "other = sizes\nfor i in range(steps):\n    other.append(4)\nunits = len(sizes)",
    "an attribute": "while done[0]:\n    agent.units += 1\nunits = agent.units",
    "what a call in a loop changes": "def grow(items):\n    for i in range(steps):\n        items.append(4)\ngrow(sizes)\nunits = len(sizes)",
}
KNOWN = {
    "a loop over known items": "for n in (2, 3):\n    units = n",
    "a list over known items": "units = [n for n in (2, 3)][-1]",
}
DECLINED = {
    "a model": "for i in range(steps):\n    net = build(3)\nnet.fit(x, y)",
    "a layer": "if done[0]:\n    net.add(Dense(1))\nnet.fit(x, y)",
    "which compile is in force": "if done[0]:\n    agent.units = 4\n    net.compile('adam', 'mae')\nnet.fit(x, y)",
    "what is trained": "for i in range(steps):\n    net.trainable = False\nnet.fit(x, y)",
}


def converted(text: str, folder: Path) -> tuple[str, list[str]]:
    path = folder / "script.py"
    path.write_text(f"{HEAD}{text}\n", encoding="utf-8")
    conversion = convert_file(path, generation="keras3")
    return conversion.modules[0].text, [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]


@pytest.mark.parametrize("name", TRAINED)
def test_it_is_trained(name: str, tmp_path: Path):
    text, errors = converted(TRAINED[name], tmp_path)
    assert not errors
    assert "run_epoch(" in text and ".fit(" not in text and ".train_on_batch(" not in text


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_it_changes_is_unknown(name: str, tmp_path: Path):
    text, errors = converted(f"{UNKNOWN[name]}\nlast = Sequential([Input((4,)), Dense(units)])", tmp_path)
    assert errors if name == "an attribute" else not errors and "last = Last(units)" in text


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_known_stays_known(name: str, tmp_path: Path):
    text, errors = converted(f"{KNOWN[name]}\nlast = Sequential([Input((4,)), Dense(units)])", tmp_path)
    assert not errors
    assert "nn.Linear(4, 3)" in text or "Linear(4, units)" in text


@pytest.mark.parametrize("name", DECLINED)
def test_what_may_build_a_model_is_declined(name: str, tmp_path: Path):
    text, errors = converted(DECLINED[name], tmp_path)
    assert errors or "net.fit(x, y)" in text
