"""`load_model`: which model it brings back, in lines; what they compute is compared by the script `loaded_models`."""

from pathlib import Path

import pytest

from transpiler.pipeline import Conversion, convert_file

HEAD = """
import numpy as np
from tensorflow import keras
from tensorflow.keras import layers
from tensorflow.keras.callbacks import ModelCheckpoint
from tensorflow.keras.models import load_model, save_model

x, y = np.ones((6, 4)), np.ones((6, 1))

def build(units=4):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(units), layers.Dense(1)])
    model.compile("adam", "mse")
    return model

"""
NET = "model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])\nmodel.compile('adam', 'mse')\n"
FILLED = 'model.load_state_dict(torch.load("m.pt", weights_only=True))\n'


def converted(text: str, folder: Path, generation: str = "keras3") -> tuple[Conversion, str]:
    path = folder / "script.py"
    path.write_text(HEAD + text)
    done = convert_file(path, generation=generation)
    return done, done.modules[0].text


CASES = {
    "the same variable": (NET + "model.save('m.h5')\nmodel = load_model('m.h5')\nprint(model.predict(x))\n", [FILLED]),
    "a function that saves": (
        NET + "save_model(model, 'm.h5')\nmodel = keras.models.load_model('m.h5', compile=False)\n",
        ['torch.save(model.state_dict(), "m.pt")\n' + FILLED],
    ),
    "deleted before": (
        NET + "model.save('m.keras')\ndel model\nmodel = load_model('m.keras')\n",
        ['"m.pt")\n' + FILLED],
    ),
    "another variable": (
        NET + "model.save('m.h5')\nother = load_model('m.h5')\nprint(other.predict(x))\n",
        ["other = copy.deepcopy(model)\n" + FILLED.replace("model.load", "other.load"), "print(predict(other, x))"],
    ),
    "a shared part": (
        "i = keras.Input((4,))\nh = layers.Dense(2)(i)\nencoder = keras.Model(i, h)\n"
        "model = keras.Model(i, layers.Dense(4)(h))\nmodel.save('m.h5')\nmodel = load_model('m.h5')\n",
        ["model = copy.deepcopy(model)\n" + FILLED],
    ),
    "where the model is not at hand": (
        "def train():\n    model = build(8)\n    model.fit(x, y)\n    model.save('m.h5')\n\n"
        "def test():\n    model = load_model('m.h5')\n    print(model.evaluate(x, y))\n\n"
        "def best():\n    return load_model('m.h5')\n\ntrain()\ntest()\nbest()\n",
        ["    model = build(units=8)\n    " + FILLED, "    " + FILLED + "    return model\n"],
    ),
    "names of the epoch": (
        NET + "model.fit(x, y, callbacks=[ModelCheckpoint('m.{epoch:02d}.h5')])\nmodel = load_model('m.01.h5')\n",
        ['torch.save(model.state_dict(), f"m.{epoch + 1:02d}.pt")', FILLED.replace("m.pt", "m.01.pt")],
    ),
    "a path that is not known": (
        NET + "path = input()\nmodel.save(path)\nmodel = load_model(path)\n",
        ["torch.save(model.state_dict(), path)", "model.load_state_dict(torch.load(path, weights_only=True))"],
    ),
    "a loop": (
        "for k in range(2):\n    path = f'm{k}.h5'\n"
        + "".join(f"    {line}\n" for line in NET.splitlines())
        + "    model.fit(x, y, callbacks=[ModelCheckpoint(path)])\n    model = load_model(path)\n",
        ["    model = Net()\n", "    model.load_state_dict(torch.load(path, weights_only=True))\n"],
    ),
    "training goes on": (
        "def main():\n    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])\n    model.compile('adam', 'mse')\n"
        "    model.fit(x, y)\n    model.save('m.h5')\n    del model\n    model = load_model('m.h5')\n    model.fit(x, y)\n\n"
        "main()\n",
        ["    " + FILLED, "train_loss = run_epoch(model, train_loader, optimizer)"],
    ),
    "compiled again": (
        NET + "model.fit(x, y, callbacks=[ModelCheckpoint('m.h5')])\nmodel = load_model('m.h5')\n"
        "model.compile('sgd', 'mse')\nmodel.fit(x, y)\n",
        [FILLED, "optimizer2 = torch.optim.SGD("],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_loaded_model_becomes(name: str, tmp_path: Path):
    source, wanted = CASES[name]
    done, text = converted(source, tmp_path)
    assert not [f.message for f in done.all_findings if f.severity.name == "ERROR"]
    for lines in wanted:
        assert lines in text
    compile(text, "script.py", "exec")


ON = "training goes on with the optimizer that load_model() brings back"
DECLINED = {
    "made elsewhere": (
        "model = load_model('m.h5')\nprint(model.predict(x))\n",
        "has not saved a model as 'm.h5' before",
    ),
    "saved later": (NET + "other = load_model('m.h5')\nmodel.save('m.h5')\n", "has not saved a model as 'm.h5' before"),
    "weights alone": (
        NET + "model.save_weights('m.h5')\nother = load_model('m.h5')\n",
        "has not saved a model as 'm.h5' before",
    ),
    "other paths": (
        NET + "model.save(input())\nother = load_model(input())\n",
        "has not saved a model as input() before",
    ),
    "a path that changes": (
        NET + "path = input()\nmodel.save(path)\npath = input()\nother = load_model(path)\n",
        "has not saved a model as path before",
    ),
    "the optimizer of a checkpoint": (
        NET + "model.fit(x, y, callbacks=[ModelCheckpoint('m.h5')])\nmodel = load_model('m.h5')\nmodel.fit(x, y)\n",
        ON,
    ),
    "the optimizer of before": (
        NET + "model.save('m.h5')\nmodel.fit(x, y)\nmodel = load_model('m.h5')\nmodel.fit(x, y)\n",
        ON,
    ),
    "a second one that trains": (NET + "model.save('m.h5')\nother = load_model('m.h5')\nother.fit(x, y)\n", ON),
    "not compiled": (
        NET + "model.save('m.h5')\nmodel = load_model('m.h5', compile=False)\nmodel.evaluate(x, y)\n",
        "not compiled",
    ),
    "inside": (NET + "model.save('m.h5')\nprint(load_model('m.h5').predict(x))\n", "inside of another expression"),
}


@pytest.mark.parametrize("name", DECLINED)
def test_a_loaded_model_is_declined(name: str, tmp_path: Path):
    source, message = DECLINED[name]
    done, _ = converted(source, tmp_path)
    assert any(f.severity.name == "ERROR" and message in f.message for f in done.all_findings), done.all_findings
