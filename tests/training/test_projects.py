"""Training code spread over the files of a project: converted together, run, and compared with the originals."""

from pathlib import Path

import numpy as np
import pytest
from run_projects import PROJECTS, converted, errors_of, printed_by_project

SCRIPTS = {
    "segmentation": ["train.py"],
    "classifier": ["train.py", "predict.py"],
    "fine_tuning": ["train.py", "again.py"],
    "packaged": ["seg/train.py"],
}
FRESH = ("train.py", "again.py", "seg/train.py")
"""Scripts that make and train models; the others go on with what these have saved."""
QUICK = ("segmentation",)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in SCRIPTS])
def test_the_scripts_of_a_project_print_what_the_originals_print(name: str, tmp_path: Path):
    _, found = printed_by_project(PROJECTS / name, SCRIPTS[name], FRESH, tmp_path)
    for keras, result in found.values():
        assert len(keras) == len(result) > 3
        np.testing.assert_allclose(result, keras, rtol=2e-3, atol=2e-4)


NET = """
from tensorflow import keras

def build(width=3):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(width)])
"""
DATA = """
import numpy as np
x, y = np.zeros((8, 4), "float32"), np.zeros((8, 3), "float32")
"""


def texts(folder: Path, **files: str) -> tuple[dict[str, str], list[str]]:
    """The results for the files of a project, and what is declined."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    conversion = converted(folder)
    return {m.name: m.text for m in conversion.modules}, errors_of(conversion)


def test_scripts_that_call_their_models_alike_have_classes_of_their_own(tmp_path: Path):
    script = (
        DATA + "from tensorflow import keras\nmodel = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3{})])\n"
    )
    fit = "model.compile('sgd', 'mse')\nmodel.fit(x, y, verbose=0)\n"
    written, errors = texts(tmp_path, a=script.format("") + fit, b=script.format(", activation='relu'") + fit)
    assert not errors
    assert "relu" not in written["a"].lower() and "relu" in written["b"].lower()


def test_a_model_at_the_top_level_is_trained_where_it_is_imported(tmp_path: Path):
    net = "from tensorflow import keras\nmodel = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])\n"
    train = DATA + "from net import model\nmodel.compile('sgd', 'mse')\nmodel.fit(x, y, verbose=0)\n"
    written, errors = texts(tmp_path, net=net, train=train, zz="from net import model as other\n")
    assert not errors
    assert "class " not in written["train"] and "optimizer = torch.optim.SGD(model.parameters()" in written["train"]


def test_an_optimizer_is_made_where_its_compile_stands(tmp_path: Path):
    net = NET + "\ndef prepare(model, rate):\n    model.compile(keras.optimizers.SGD(rate), 'mse')\n"
    train = DATA + "from net import build, prepare\nm = build()\nprepare(m, 0.1)\nm.fit(x, y, verbose=0)\n"
    written, errors = texts(tmp_path, net=net, train=train)
    assert not errors
    assert "model.optimizer = torch.optim.SGD(model.parameters(), lr=rate)" in written["net"]
    assert "run_epoch(m, train_loader, m.optimizer)" in written["train"]


def test_a_number_of_another_file_is_imported_unless_its_name_means_something_else(tmp_path: Path):
    net = "from tensorflow import keras\nRATE = 0.5\n" + NET.replace(
        "return keras.Sequential", "model = keras.Sequential"
    ) + "    model.compile(keras.optimizers.SGD(RATE * 2 / width), 'mse')\n    return model\n"  # fmt: skip
    train = DATA + "{}from net import build\nmodel = build(3)\nmodel.fit(x, y, verbose=0)\n"
    written, errors = texts(tmp_path, net=net, train=train.format(""))
    assert not errors
    assert "lr=RATE * 2 / 3" in written["train"] and "from net import build, RATE" in written["train"]
    written, errors = texts(tmp_path, net=net, train=train.format("RATE = 7\n"))
    assert not errors
    assert "lr=0.333" in written["train"]


def test_functions_that_only_make_callbacks_and_optimizers_go_where_all_they_make_is_written(tmp_path: Path):
    made = """
from tensorflow.keras.callbacks import EarlyStopping, TerminateOnNaN

def get_callbacks(patience):
    {}
    return [EarlyStopping("loss", patience=patience), TerminateOnNaN()]
"""
    train = (
        DATA + "from net import build\nfrom made import get_callbacks\nmodel = build()\nmodel.compile('sgd', 'mse')\n"
    )
    fit = "model.fit(x, y, verbose=0, callbacks=get_callbacks(2))\n"
    written, errors = texts(tmp_path, net=NET, made=made.format("assert True"), train=train + fit)
    assert any("get_callbacks()" in e for e in errors)  # it may do more than make callbacks
    written, errors = texts(tmp_path, net=NET, made=made.format("pass"), train=train + fit)
    assert not errors
    assert "get_callbacks" not in written["made"] + written["train"]
    written, errors = texts(
        tmp_path, net=NET, made=made.format("pass"), train=train + fit + "print(get_callbacks(1))\n"
    )
    assert any("get_callbacks()" in e for e in errors)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {
                "losses": "from keras import backend as K\ndef error(a, b):\n    return K.mean(K.abs(a - b))\n",
                "net": "from losses import error\n" + NET + "\ndef ready():\n    m = build()\n    m.compile('sgd', error)\n    return m\n",
                "train": DATA + "from net import ready\ndef error(a, b):\n    return 1\nm = ready()\nm.fit(x, y)\nprint(error(1, 2))\n",
            },
            "error() of another file cannot be imported by that name",
        ),
        (
            {
                "net": NET + """
class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)
    def call(self, x):
        return self.dense(x)
    def train_step(self, data):
        return {"loss": 0.0}
""",
                "train": DATA + "from net import Own\nm = Own()\nm.compile('sgd', 'mse')\nm.fit(x, y)\n",
            },
            "Own, which trains in steps of its own, stands in another file",
        ),
        (
            {
                "setup": "import tensorflow as tf\ndef set_up():\n    tf.random.set_seed(3)\n    tf.debugging.enable_check_numerics()\n",
                "train": "from setup import set_up\nset_up()\n" + DATA + NET + "m = build()\nm.compile('sgd', 'mse')\nm.fit(x, y)\n",
            },
            "tf is a part of Keras, and the code around the models goes on reading it",
        ),
    ],
)  # fmt: skip
def test_what_is_declined_across_files(files: dict[str, str], message: str, tmp_path: Path):
    _, errors = texts(tmp_path, **files)
    assert any(message in e for e in errors), errors
    assert not any("internal" in e or "Please report" in e for e in errors)


def test_what_is_said_of_a_compile_is_said_where_it_stands(tmp_path: Path):
    net = NET + "\ndef prepare(model):\n    model.compile(keras.optimizers.SGD(0.1), 'mse')\n"
    train = DATA + "from net import build, prepare\nm = build()\nprepare(m)\nm.fit(x, y, verbose=0)\n"
    for name, text in {"net": net, "train": train}.items():
        (tmp_path / f"{name}.py").write_text(text)
    notes = [f for f in converted(tmp_path, trainer="lightning").all_findings if f.code == "K2T502"]
    assert {Path(f.span.file).name for f in notes if f.span is not None} == {"net.py"}
