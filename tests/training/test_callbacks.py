"""Every callback against Keras's own: when it acts, over 25 epochs of losses that are given."""

from __future__ import annotations

import copy
import csv
import json
import math
import os
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tf_keras
import torch
from torch import nn

from transpiler.diagnostics import Declined
from transpiler.ir.model import ApiObject, ApiValue
from transpiler.ir.naming import Names
from transpiler.pipeline import convert_file
from transpiler.rules.training.callbacks import CallbackCode, CallbackRule, Loop
from transpiler.rules.training.registry import known, training_rules
from transpiler.write.torch.layout import render

PACKAGES = {"keras3": keras, "tf_keras": tf_keras}
EPOCHS = 25
STEPS = np.random.default_rng(4).normal(size=(2, EPOCHS)) * 0.3
LOSSES = np.round(np.exp(-0.1 * np.arange(EPOCHS)) + np.abs(STEPS) * 0.3, 3)
"""Of training and of validation, for each epoch: they fall, and rise again now and then."""
STOPPING: list[dict[str, Any]] = [
    {"patience": 3},
    {"patience": 0},
    {"patience": 2, "min_delta": 0.05, "monitor": "loss"},
    {"patience": 4, "mode": "max"},
    {"patience": 4, "restore_best_weights": True},
    {"patience": 2, "start_from_epoch": 9},
    {"patience": 3, "start_from_epoch": 9, "restore_best_weights": True},
    {"patience": 6, "baseline": 0.6},
    {"patience": 3, "baseline": 0.9, "restore_best_weights": True, "min_delta": 0.01},
    {"patience": 2, "baseline": 0.01, "start_from_epoch": 4},
]
PLATEAUS: list[dict[str, Any]] = [
    {"patience": 2},
    {"patience": 0, "factor": 0.5},
    {"patience": 1, "factor": 0.5, "min_lr": 0.02},
    {"patience": 2, "factor": 0.5, "cooldown": 1},
    {"patience": 1, "factor": 0.8, "cooldown": 3},
    {"patience": 2, "factor": 0.8, "cooldown": 2, "min_delta": 0.1, "monitor": "loss"},
    {"patience": 2, "factor": 0.8, "cooldown": 5, "mode": "max"},
]


def lowered(name: str, arguments: dict[str, Any], generation: str, first: str = "0") -> CallbackCode:
    value = ApiObject(ApiValue(f"keras.callbacks.{name}"), (), arguments)
    rule, bound = known(CallbackRule, value, generation)
    values = {"loss": "train_loss", "val_loss": "val_loss"}
    return rule.lower(bound, Loop("model", "optimizer", "epoch", values, frozenset(), Names().take, "", "0", first))


def by_torch(code: CallbackCode, first: str = "0", stop_at: int = EPOCHS, **names: Any) -> SimpleNamespace:
    """What happens in a loop with the code of a callback; the weight of the model is the number of the epoch."""
    model = nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    seen = SimpleNamespace(epochs=[], rates=[], model=model)

    def train(epoch: int) -> float:
        if epoch == stop_at:
            raise KeyboardInterrupt
        seen.epochs.append(epoch)
        seen.rates.append(optimizer.param_groups[0]["lr"])
        model.weight.data.fill_(epoch)
        return float(LOSSES[0, epoch])

    text = render(
        "training/fit",
        lines=code.before,
        history=None,
        values={},
        kept={},
        epoch="epoch",
        begin=code.begin,
        end=code.end,
        stop=code.stop,
        after=code.after,
        first=first,
        epochs=str(EPOCHS),
        trained=["train_loss"],
        held_out=["val_loss"],
        train_call="train(epoch)",
        val_call="validate(epoch)",
        used=True,
        prints=False,
    )
    own = {"model": model, "optimizer": optimizer, "train": train, "validate": lambda epoch: float(LOSSES[1, epoch])}
    modules = {m.__name__: m for m in (copy, csv, json, math, os, torch, warnings)}
    exec(text, {**modules, **own, **names})
    return seen


def by_keras(name: str, arguments: dict[str, Any], generation: str) -> SimpleNamespace:
    package = PACKAGES[generation]
    inputs = package.Input((1,))
    model = package.Model(inputs, package.layers.Dense(1, use_bias=False)(inputs))
    optimizers = package.optimizers if generation == "keras3" else package.optimizers.legacy
    model.compile(optimizers.SGD(0.1), "mse")
    model.stop_training = False
    callback = getattr(package.callbacks, name)(**arguments)
    callback.set_model(model)
    seen = SimpleNamespace(epochs=[], rates=[], model=model)
    callback.on_train_begin()
    for epoch in range(EPOCHS):
        callback.on_epoch_begin(epoch)
        seen.epochs.append(epoch)
        seen.rates.append(float(np.asarray(model.optimizer.learning_rate)))
        model.set_weights([np.full((1, 1), epoch)])
        callback.on_epoch_end(epoch, {"loss": float(LOSSES[0, epoch]), "val_loss": float(LOSSES[1, epoch])})
        if model.stop_training:
            break
    callback.on_train_end()
    return seen


@pytest.mark.parametrize("generation", PACKAGES)
@pytest.mark.parametrize(
    ("name", "arguments"),
    [*(("EarlyStopping", a) for a in STOPPING), *(("ReduceLROnPlateau", a) for a in PLATEAUS)],
    ids=lambda v: v if isinstance(v, str) else "-".join(f"{k}{n}" for k, n in v.items()),
)
def test_it_acts_when_keras_does(name: str, arguments: dict[str, Any], generation: str):
    expected = by_keras(name, arguments, generation)
    found = by_torch(lowered(name, arguments, generation))
    assert found.epochs == expected.epochs
    np.testing.assert_allclose(found.rates, expected.rates, rtol=1e-6)
    assert found.model.weight.item() == expected.model.get_weights()[0].item()


def test_the_cases_differ():
    stops = [len(by_torch(lowered("EarlyStopping", a, "keras3")).epochs) for a in STOPPING]
    rates = [tuple(by_torch(lowered("ReduceLROnPlateau", a, "keras3")).rates) for a in PLATEAUS]
    assert len(set(stops)) > 5 and len(set(rates)) == len(PLATEAUS)


@pytest.mark.parametrize("generation", PACKAGES)
@pytest.mark.parametrize(
    "arguments",
    [{}, {"save_best_only": True}, {"save_best_only": True, "initial_value_threshold": 0.5}, {"period": 4}],
    ids=lambda v: "-".join(v),
)
def test_files_are_written_when_keras_writes_them(arguments: dict, generation: str, tmp_path: Path):
    if "period" in arguments and generation == "keras3":
        pytest.skip("this generation does not have it")
    by_keras("ModelCheckpoint", {"filepath": str(tmp_path / "k{epoch}.h5"), **arguments}, generation)
    by_torch(lowered("ModelCheckpoint", {"filepath": str(tmp_path / "t{epoch}.h5"), **arguments}, generation))
    written = {p.name for p in tmp_path.iterdir()}
    assert {n[1:-3] for n in written if n[0] == "t"} == {n[1:-3] for n in written if n[0] == "k"}
    assert any(n[0] == "t" for n in written)


@pytest.mark.parametrize("generation", PACKAGES)
def test_a_log_goes_on(generation: str, tmp_path: Path):
    for append in (False, True, True):
        arguments = {"separator": ";", "append": append}
        by_keras("CSVLogger", {"filename": str(tmp_path / "keras.csv"), **arguments}, generation)
        by_torch(lowered("CSVLogger", {"filename": str(tmp_path / "torch.csv"), **arguments}, generation))
    expected = (tmp_path / "keras.csv").read_text().split()
    assert (tmp_path / "torch.csv").read_text().split() == expected
    assert len(expected) == 1 + 3 * EPOCHS


@pytest.mark.parametrize("generation", PACKAGES)
@pytest.mark.parametrize("delete", [True, False])
def test_a_training_goes_on_where_it_was_interrupted(generation: str, delete: bool, tmp_path: Path):
    package = PACKAGES[generation]
    inputs = package.Input((1,))
    model = package.Model(inputs, package.layers.Dense(1, use_bias=False)(inputs))
    model.compile(package.optimizers.SGD(0.1), "mse")
    epochs: list[int] = []
    stops = [7, EPOCHS]

    def begin(epoch: int, logs: Any) -> None:
        if epoch == stops[0]:
            raise KeyboardInterrupt
        epochs.append(epoch)

    arguments = {"delete_checkpoint": delete}
    for _ in range(2):
        backup = package.callbacks.BackupAndRestore(str(tmp_path / "keras"), **arguments)
        watch = package.callbacks.LambdaCallback(on_epoch_begin=begin)
        try:
            model.fit(np.ones((2, 1)), np.ones((2, 1)), epochs=EPOCHS, callbacks=[backup, watch], verbose=0)
        except KeyboardInterrupt:
            stops.pop(0)
    code = lowered("BackupAndRestore", {"backup_dir": str(tmp_path / "torch"), **arguments}, generation, "start")
    with pytest.raises(KeyboardInterrupt):
        by_torch(code, "start", stop_at=7)
    second = by_torch(code, "start")
    assert [*range(7), *second.epochs] == epochs
    left = by_torch(code, "start").epochs
    assert left == ([*range(EPOCHS)] if delete else [])


@pytest.mark.parametrize("generation", PACKAGES)
@pytest.mark.parametrize("arguments", [{}, {"send_as_json": True, "headers": {"a": "b"}, "path": "/x/"}], ids=str)
def test_a_server_is_told_the_same(arguments: dict, generation: str, monkeypatch: pytest.MonkeyPatch):
    requests = pytest.importorskip("requests")
    told: list[Any] = []

    def post(url: str, data: Any = None, json: Any = None, headers: Any = None) -> None:
        told.append((url, data, json, headers))

    monkeypatch.setattr(requests, "post", post)
    by_keras("RemoteMonitor", arguments, generation)
    expected = told.copy()
    told.clear()
    code = lowered("RemoteMonitor", arguments, generation)
    by_torch(code, post=post, RequestException=requests.exceptions.RequestException)
    assert told == expected and len(told) == EPOCHS

    def fail(*args: Any, **kwargs: Any) -> None:
        raise requests.exceptions.RequestException

    with pytest.warns(UserWarning, match="Could not reach"):
        by_torch(code, post=fail, RequestException=requests.exceptions.RequestException)


def test_histograms_are_written_every_few_epochs():
    written: list[tuple[str, int]] = []

    class SummaryWriter:
        def __init__(self, folder: str) -> None: ...

        def add_scalar(self, title: str, value: float, epoch: int) -> None: ...

        def add_histogram(self, name: str, weight: torch.Tensor, epoch: int) -> None:
            written.append((name, epoch))

        def close(self) -> None: ...

    by_torch(lowered("TensorBoard", {"log_dir": "x", "histogram_freq": 4}, "keras3"), SummaryWriter=SummaryWriter)
    assert written == [("weight", epoch) for epoch in range(0, EPOCHS, 4)]


@pytest.mark.parametrize("name", ["EarlyStopping", "ModelCheckpoint", "ReduceLROnPlateau"])
@pytest.mark.parametrize("monitor", ["val_accuracy", "val_auc", "val_f1_score", "val_mae", "fmeasure"])
def test_legacy_keras_goes_by_names(monitor: str, name: str):
    known_by_name = {"filepath": "x"} if name == "ModelCheckpoint" else {}
    callback = getattr(tf_keras.callbacks, name)(monitor=monitor, **known_by_name)
    assert training_rules(CallbackRule)[name].rises(monitor) == bool(callback.monitor_op(2.0, 1.0))


def test_every_callback_is_tried():
    here = {"EarlyStopping", "ReduceLROnPlateau", "ModelCheckpoint", "CSVLogger", "BackupAndRestore", "RemoteMonitor"}
    in_scripts = {"LearningRateScheduler", "LambdaCallback", "TerminateOnNaN", "TensorBoard"}
    of_keras = {"History"}  # and others of which nothing is left
    assert {rule.names[0] for rule in training_rules(CallbackRule).values()} == here | in_scripts | of_keras


def test_files_of_every_few_epochs_need_the_first_epoch():
    with pytest.raises(Declined, match="every few epochs"):
        lowered("ModelCheckpoint", {"filepath": "x", "period": 2}, "tf_keras", "start")


SCRIPT = """\
import numpy as np
import {package} as keras

inputs = keras.Input((4,))
model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
model.compile("adam", loss="mse", metrics=[keras.metrics.BinaryIoU(), keras.metrics.MeanSquaredError("how far")])
x = np.ones((20, 4))
callbacks = [
    keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=1, factor=0.5, min_delta=100.0),
    keras.callbacks.CSVLogger("log.csv"),
]
history = model.fit(x, x[:, :1], epochs=20, verbose=0, callbacks=callbacks)
numbers = history.history
"""


@pytest.mark.parametrize("generation", PACKAGES)
def test_the_learning_rate_is_among_the_numbers_of_an_epoch(
    generation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(package=PACKAGES[generation].__name__))
    monkeypatch.chdir(tmp_path)
    numbers, logs = [], []
    for text in (path.read_text(), convert_file(path).modules[0].text):
        names: dict[str, Any] = {}
        exec(text, names)
        numbers.append(names["numbers"])
        logs.append(list(csv.DictReader(Path("log.csv").read_text().splitlines())))
    assert set(numbers[0]) == set(numbers[1])
    rate = {"keras3": "learning_rate", "tf_keras": "lr"}[generation]
    np.testing.assert_allclose(numbers[1][rate], numbers[0][rate], rtol=1e-6)
    assert list(logs[0][0]) == list(logs[1][0])
    np.testing.assert_allclose(*([float(row[rate]) for row in log] for log in logs), rtol=1e-6)
