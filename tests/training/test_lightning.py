"""Training as a LightningModule: texts, and what its parts do. Whole scripts are in test_scripts."""

import re
from pathlib import Path

from transpiler.options import LIGHTNING
from transpiler.pipeline import Conversion, convert_file
from transpiler.verify.run import verify_file

HEAD = """
import numpy as np
from tensorflow import keras

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
x, y = np.random.rand(20, 4), np.random.randint(0, 2, (20, 1))
"""


def converted(text: str, folder: Path) -> tuple[Conversion, str]:
    path = folder / "script.py"
    path.write_text(HEAD + text)
    done = convert_file(path, generation="keras3", trainer=LIGHTNING)
    return done, done.modules[0].text


def test_the_sample_is_what_convert_writes(root: Path):
    done = convert_file(root / "samples" / "training_keras.py", trainer=LIGHTNING)
    assert done.modules[0].text == (root / "samples" / "training_lightning.py").read_text()


def test_metrics_that_are_no_means_are_kept_by_torchmetrics(tmp_path: Path):
    done = (
        "model.compile('sgd', 'binary_crossentropy', metrics=[keras.metrics.Precision(), 'accuracy'])\n"
        "model.fit(x, y, epochs=3, batch_size=8, validation_data=(x, y))\n"
        "print(model.evaluate(x, y))\n"
    )
    path = tmp_path / "script.py"
    path.write_text(HEAD + done)
    (result,) = verify_file(path, generation="keras3", steps=20, trainer=LIGHTNING)
    assert result.reason == "" and result.fitting["steps"] == 20
    _, text = converted(done, tmp_path)
    assert "class Precision(torchmetrics.Metric):" in text
    scope: dict = {"__name__": "script"}
    exec(text, scope)
    assert len(scope["evaluate"](scope["module"], scope["val_loader"])) == 3


def test_lightning_s_own_callback_is_taken_where_it_does_the_same(tmp_path: Path):
    _, text = converted(
        "model.compile('sgd', 'mse')\n"
        "stop = keras.callbacks.EarlyStopping('loss', patience=4, min_delta=0.1)\n"
        "model.fit(x, y, epochs=3, callbacks=[stop])\n",
        tmp_path,
    )
    assert "from lightning.pytorch.callbacks import EarlyStopping" in text
    assert 'EarlyStopping("loss", mode="min", patience=4, check_finite=False, min_delta=0.1)' in text


def test_batches_handed_over_one_by_one_stay_a_plain_loop(tmp_path: Path):
    done, text = converted(
        "model.compile('sgd', 'mse')\nfor i in range(3):\n    print(model.train_on_batch(x, y))\n", tmp_path
    )
    assert "lightning" not in text and "run_epoch(" in text
    assert [f.code for f in done.all_findings] == ["K2T502"]


def test_a_callback_that_reads_variables_of_a_function_goes_with_a_plain_loop(tmp_path: Path):
    done, text = converted(
        "def train(name):\n"
        "    model.compile('sgd', 'mse')\n"
        "    model.fit(x, y, callbacks=[keras.callbacks.CSVLogger(name)])\n"
        "train('log.csv')\n",
        tmp_path,
    )
    assert "def run_epoch(" in text and "L.LightningModule" not in text
    assert any(f.code == "K2T502" and "reads name of a function" in f.message for f in done.all_findings)


def test_callbacks_of_lightning_and_of_the_result_have_names_of_their_own(tmp_path: Path):
    fit = "model.fit(x, y, epochs=3, callbacks=[keras.callbacks.EarlyStopping('loss'{})])\n"
    restoring = fit.format(", restore_best_weights=True")
    for fits in (fit.format("") + restoring, restoring + fit.format("")):
        _, text = converted(f"model.compile('sgd', 'mse')\n{fits}", tmp_path)
        names = re.findall(r"^class (\w+)", text, flags=re.M) + re.findall(
            r"^from .* import (EarlyStopping)$", text, flags=re.M
        )
        assert len(set(names)) == len(names)
