"""Training that an Accelerator prepares: texts, and two processes beside one. Whole scripts are in test_scripts."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from transpiler.options import ACCELERATE, LIGHTNING, PLAIN
from transpiler.pipeline import Conversion, convert_file
from transpiler.verify.run import verify_file

HEAD = """
import numpy as np
import tensorflow as tf
from tensorflow import keras

x, y = np.random.rand(20, 4), np.random.randint(0, 2, (20, 1))
"""
NET = "model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation='sigmoid')])\n"


def converted(text: str, folder: Path, trainer: str = ACCELERATE) -> tuple[Conversion, str]:
    path = folder / "script.py"
    path.write_text(HEAD + text)
    done = convert_file(path, generation="keras3", trainer=trainer)
    return done, done.modules[0].text


def test_the_sample_is_what_convert_writes(root: Path):
    done = convert_file(root / "samples" / "training_keras.py", trainer=ACCELERATE)
    assert done.modules[0].text == (root / "samples" / "training_accelerate.py").read_text()


PROCESSES = """
import os

import numpy as np
from tensorflow import keras
from tensorflow.keras import layers

rng = np.random.default_rng(0)
x = rng.normal(size=(64, 6)).astype("float32")
y = (x[:, 0] > 0).astype("int64")
model = keras.Sequential([
    keras.Input((6,)), layers.Dense(8, activation="relu", kernel_regularizer="l2"), layers.Dense(2, activation="softmax"),
])
model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
saving = keras.callbacks.ModelCheckpoint("best.keras", save_best_only=True)
stopping = keras.callbacks.EarlyStopping(patience=1)
history = model.fit(x, y, epochs=4, batch_size=16, shuffle=False, validation_data=(x, y), callbacks=[saving, stopping])
model = keras.models.load_model("best.keras")
found = [*history.history["loss"], *history.history["val_loss"], *model.evaluate(x, y, batch_size=16)]
np.save(f"found{os.getpid()}.npy", found)
"""


@pytest.mark.slow
def test_two_processes_compute_what_one_does(tmp_path: Path):
    """Each has half of every batch; numbers of epochs are those of both, and one of them writes the file."""
    path = tmp_path / "script.py"
    path.write_text(PROCESSES)
    text = convert_file(path, generation="keras3", trainer=ACCELERATE).modules[0].text
    assert text.count("\nmodel = ") == 1
    path.write_text(text.replace("\nmodel = ", "\ntorch.manual_seed(0)\nmodel = "))
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"}
    found: list[list[np.ndarray]] = []
    files: list[Path] = []
    for command in ([], ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "29517"]):
        done = subprocess.run(
            [sys.executable, *command, str(path)], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.count("epoch 1/4") == 1
        files = [
            p for p in sorted(tmp_path.glob("found*.npy"), key=lambda p: p.stat().st_mtime) if p not in files
        ] + files
        found.append([np.load(p) for p in files])
    (one,), both = found
    assert len(one) == 10 and len(both) == 3
    for other in both:
        np.testing.assert_allclose(other, one, rtol=1e-5)


@pytest.mark.parametrize(
    ("training", "why"),
    [
        ("for i in range(3):\n    model.train_on_batch(x, y)\n", "batches that are handed over one by one"),
        ("model.fit(x, y, callbacks=[keras.callbacks.CSVLogger('log.csv')])\n", "the callback CSVLogger"),
        (
            "def batches():\n    while True:\n        yield x, y\n\nmodel.fit(batches(), steps_per_epoch=3)\n",
            "data that no DataLoader gives",
        ),
        (
            "class Data(keras.utils.PyDataset):\n    def __len__(self):\n        return 2\n"
            "    def __getitem__(self, i):\n        return x, y\n\nmodel.fit(Data())\n",
            "data that comes in batches",
        ),
    ],
    ids=["batches", "callback", "generator", "dataset"],
)
def test_what_several_processes_would_do_otherwise_stays_a_plain_loop(training: str, why: str, tmp_path: Path):
    done, text = converted(f"{NET}model.compile('sgd', 'mse')\n{training}", tmp_path)
    assert "ccelerat" not in text and "run_epoch(" in text
    assert [(f.code, f.message) for f in done.all_findings if f.code != "K2T501"] == [
        ("K2T502", f"{why}: this stays a plain loop of one process")
    ]


def test_verify_trains_what_the_accelerator_is_given(tmp_path: Path):
    (tmp_path / "script.py").write_text(
        f"{HEAD}{NET}model.compile('adam', 'binary_crossentropy')\nmodel.fit(x, y, epochs=3)\n"
    )
    (result,) = verify_file(tmp_path / "script.py", generation="keras3", steps=20, trainer=ACCELERATE)
    assert result.reason == "" and result.fitting["steps"] == 20


SCOPE = """
strategy = tf.distribute.MirroredStrategy()
print(f"devices: {strategy.num_replicas_in_sync}")
with strategy.scope():
    # the model
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
model.fit(x, y, batch_size=4 * strategy.num_replicas_in_sync)
"""
IN_MAIN = "def main():\n" + "".join(f"    {line}\n" for line in SCOPE.strip().splitlines()) + "\nmain()\n"
LEFT_OUT = (
    "tf.distribute is left out: the result trains on one device; --trainer accelerate or lightning is for several"
)


@pytest.mark.parametrize("source", [SCOPE, IN_MAIN], ids=["script", "main"])
@pytest.mark.parametrize("trainer", [PLAIN, LIGHTNING, ACCELERATE])
def test_scopes_of_strategies_are_left_out(source: str, trainer: str, tmp_path: Path):
    done, text = converted(source, tmp_path, trainer)
    assert [f.message for f in done.all_findings] == ([LEFT_OUT] if trainer == PLAIN else [])
    assert "strategy" not in text and "tensorflow" not in text
    count = "accelerator.num_processes" if trainer == ACCELERATE else "1"
    assert f'print(f"devices: {{{count}}}")' in text and f"batch_size=4 * {count}" in text
    assert "# the model\n" in text or source is SCOPE
    if trainer == ACCELERATE and source is SCOPE:
        assert text.index("accelerator = Accelerator(") < text.index("accelerator.num_processes")


@pytest.mark.parametrize(
    "use", ["data = strategy.experimental_distribute_dataset(x)\n", "strategy.run(print)\n"], ids=["data", "run"]
)
def test_other_uses_of_strategies_are_errors(use: str, tmp_path: Path):
    body = f"strategy = tf.distribute.MirroredStrategy()\n{use}{NET}print(model.predict(x))\n"
    for source in (body, "def main():\n" + "".join(f"    {line}\n" for line in body.splitlines()) + "\nmain()\n"):
        done, _ = converted(source, tmp_path)
        assert any(
            f.severity.name == "ERROR" and "this use of tf.distribute is not translated" in f.message
            for f in done.all_findings
        )
