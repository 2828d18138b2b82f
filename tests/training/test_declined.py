"""Training that is not translated, as the result would compute something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from transpiler.pipeline import convert_file

HEAD = """
import numpy as np
from keras import Input, Model, Sequential, optimizers
from keras.layers import Dense, Reshape

x, y = np.ones((6, 4)), np.ones((6, 1))

def build():
    model = Sequential([Input((4,)), Dense(1)])
    model.compile("adam", "mse")
    return model

"""

AGAIN = "is trained again and again by the same call"
AGENT = """
class Agent:
    def __init__(self):
        self.model = build()

    def learn(self):
        self.model.fit(x, y)

agent = Agent()
agent.learn()
agent.learn()
"""

SHARED = """
model = Sequential([Input((4,)), Dense(1)])
optimizer = optimizers.Adam(0.01)
model.compile(optimizer, "mse")
model.fit(x, y)
model.compile(optimizer, "mae")
model.fit(x, y)
"""

SCALARS = """
inputs = Input((4,))
model = Model(inputs, Reshape(())(Dense(1)(inputs)))
model.compile("adam", "mse")
model.fit(x, y)
"""


def errors(text: str, folder: Path) -> list[str]:
    path = folder / "script.py"
    path.write_text(HEAD + text, encoding="utf-8")
    done = convert_file(path, generation="keras3")
    return [f.message for f in done.all_findings if f.severity.name == "ERROR"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("net = build()\nfor i in range(3):\n    net.fit(x, y)\n", AGAIN),
        (AGENT, AGAIN),
        (SHARED, "goes on after another compile() with what it has gathered before"),
        (SCALARS, "outputs of one number without an axis"),
    ],
)
def test_what_would_be_another_training_is_declined(text: str, reason: str, tmp_path: Path) -> None:
    found = errors(text, tmp_path)
    assert found and any(reason in message for message in found), found


def test_a_model_that_a_loop_makes_is_trained_there(tmp_path: Path) -> None:
    assert not errors("for i in range(3):\n    net = build()\n    net.fit(x, y)\n", tmp_path)
