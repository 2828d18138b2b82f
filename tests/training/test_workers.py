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


TRAINERS = """
def make(n{argument}):
    model = keras.Sequential([keras.Input((n,))])
    for units in (3, 2):
        model.add(layers.Dense(units))
    model.add(layers.Dense(4))
    {early}
    return model

def train(x, epochs=2):
    low, high = np.sort(np.array([epochs, 1]))
    model = make(x.shape[1])
    {late}
    history = model.fit(x, x, epochs=epochs, verbose=0)
    return {result}

trained = train(np.ones((6, 4)))
"""


@pytest.mark.parametrize("result", ("model", "model, history"))
@pytest.mark.parametrize("early", (True, False))
def test_a_function_that_trains_what_a_builder_made_is_no_builder(result: str, early: bool, tmp_path: Path):
    """It was taken for one, and the result did not train."""
    compiled = "model.compile('sgd', 'mse')"
    code = TRAINERS.format(
        argument="", early=compiled if early else "pass", late="pass" if early else compiled, result=result
    )
    text, errors = converted(code, tmp_path)
    assert not errors
    assert "model = make(x.shape[1])" in text and "run_epoch(model, train_loader, optimizer)" in text
    scope: dict = {"__name__": "result"}
    exec(text, scope)
    model = scope["trained"][0] if "," in result else scope["trained"]
    assert isinstance(model, scope["nn"].Module)


def test_numbers_of_a_fit_inside_of_another_expression(tmp_path: Path):
    fit = "model.fit(x, x, epochs=3, verbose=0).history['loss']"
    code = TRAINERS.format(argument="", early="pass", late="model.compile('sgd', 'mse')", result=fit)
    text, errors = converted(code, tmp_path)
    assert not errors
    scope: dict = {"__name__": "result"}
    exec(text, scope)
    assert len(scope["trained"]) == 3
    _, errors = converted(code.replace(f"return {fit}", f"return print(low), {fit}"), tmp_path)
    assert any("inside of another expression" in e for e in errors)  # which would print after it


BLOCK = """
class Block(layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.inner = keras.Sequential([layers.Dense(units, activation="relu"), layers.Dense(4)])

    def call(self, x):
        return x + self.inner(x)

inputs = keras.Input((4,))
block = Block(3)
model = keras.Model(inputs, block(inputs))
model.compile("sgd", "mse")
model.fit(x, x, verbose=0)
"""


def test_a_layer_with_a_model_inside_is_no_builder(tmp_path: Path):
    text, errors = converted(BLOCK, tmp_path)
    assert not errors and "class Block(nn.Module):" in text
