"""Code that makes models and trains them in one place, where that is declined."""

from pathlib import Path

import pytest
from test_added_losses import converted

TRAIN = """
def train(flag, sizes=(3,)):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4)])
    {statement}
    model.compile("sgd", "mse")
    model.fit(x, x, verbose=0)

train(np.random.random() > 0.5)
"""
LOOP = """
sizes = [3]
for k in range(2):
    model = keras.Sequential([keras.Input((4,)), *[layers.Dense(n) for n in sizes], layers.Dense(4)])
    model.compile("sgd", "mse")
    model.fit(x, x, verbose=0)
    {statement}
"""
OWN = """
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(4)

    def call(self, x{argument}):
        return self.dense(x)

    {method}

model = Net()
model.compile("sgd", "mse")
model.fit(x, x, verbose=0)
"""


def test_a_branch_that_nobody_knows_may_train(tmp_path: Path):
    text, errors = converted(TRAIN.format(statement="if flag: model.load_weights('a.h5')"), tmp_path)
    assert not [e for e in errors if "fit()" in e]
    assert "def train(flag, sizes=(3,)):" in text and "run_epoch(model, train_loader, optimizer)" in text


def test_how_a_branch_that_nobody_knows_compiles_is_not_known(tmp_path: Path):
    text, errors = converted(TRAIN.format(statement="if flag: model.compile('adam', 'mae')"), tmp_path)
    assert "Adam" not in text  # the compile after it holds
    text, errors = converted(TRAIN.format(statement="").replace("model.fit", "if flag: model.compile('adam', 'mae')\n    model.fit"), tmp_path)  # fmt: skip
    assert any("not compiled by code that could be evaluated" in e for e in errors)


def test_what_changes_from_round_to_round_is_declined(tmp_path: Path):
    text, errors = converted(LOOP.format(statement="print(k)"), tmp_path)
    assert not errors and "for k in range(2):\n    model = " in text
    _, errors = converted(LOOP.format(statement="sizes.append(5)"), tmp_path)
    assert any("may change beside it" in e for e in errors)


@pytest.mark.parametrize(
    "method", ("def train_step(self, data): return {}", "@property\n    def metrics(self): return []")
)
def test_a_class_that_trains_in_its_own_way_is_declined(method: str, tmp_path: Path):
    text, errors = converted(OWN.format(argument=", training=None", method=method), tmp_path)
    assert any("of its own" in e for e in errors)
    assert "run_epoch" not in text


WINDOWS = """
def windows(series, n):
    found = []
    for i in range(len(series) - n):
        found.append(series[i : i + n])
    return np.array(found)

def train(series, n):
    x = windows(series, n)
    size = x.shape[1]
    model = keras.Sequential([keras.Input((size,)), layers.Dense(size)])
    model.compile("sgd", "mse")
    model.fit(x, x, verbose=0)
    return model

model = train(np.arange(9.0), 4)
plot = np.zeros((5, 4))
plot[1:] = model.predict(np.ones((4, 4)), verbose=0)
plot[0], plot.flags.writeable = 7, True
"""


def test_what_a_script_computes_beside_its_models_stays(tmp_path: Path):
    """A function on data that a function calls which makes a model; items of an array that are set."""
    text, errors = converted(WINDOWS, tmp_path)
    assert not errors
    assert "def windows(series, n):" in text and "model = Net(size)" in text
    assert "plot[1:] = predict(model, np.ones((4, 4)))" in text and "plot[0], plot.flags.writeable = 7, True" in text
    compile(text, "result", "exec")
