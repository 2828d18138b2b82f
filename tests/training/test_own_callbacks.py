"""Callbacks of the program's own: what they may do with batches and with the learning rate."""

from pathlib import Path

import pytest

from transpiler.options import LIGHTNING
from transpiler.pipeline import Conversion, convert_file

SCRIPT = """
import numpy as np
import keras
from keras import backend as K
from keras import layers

class Own(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

{methods}

class Other(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        print(batch)

x = np.ones((6, 4))
model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
model.compile({optimizer}, "mse")
own = Own()
other = Other()
model.fit(x, x[:, :1], callbacks={callbacks}, verbose=0)
"""


def conversion(
    folder: Path,
    methods: str,
    callbacks: str = "[own]",
    optimizer: str = '"sgd"',
    trainer: str = "plain",
    generation: str = "auto",
) -> Conversion:
    path = folder / "script.py"
    body = "\n".join(f"    {line}" for line in methods.splitlines())
    path.write_text(SCRIPT.format(methods=body, callbacks=callbacks, optimizer=optimizer), encoding="utf-8")
    return convert_file(path, trainer=trainer, generation=generation)


def errors(done: Conversion) -> list[str]:
    return [f.message for f in done.all_findings if f.severity.name == "ERROR"]


END = "def on_train_batch_end(self, batch, logs=None):\n    "
EPOCH = "def on_epoch_end(self, epoch, logs=None):\n    "


@pytest.mark.parametrize(
    ("methods", "written"),
    [
        (f"{END}self.seen.append(logs['loss'])", 'callback.on_train_batch_end(number, {"loss": total_loss / count})'),
        ("def on_batch_begin(self, batch, logs={}):\n    self.seen.append(batch)", "callback.on_batch_begin(number, {})"),
        (f"{END}self.model.optimizer.learning_rate = 0.1", 'for group in self.optimizer.param_groups:\n            group["lr"] = 0.1'),
        (f"{EPOCH}K.set_value(self.model.optimizer.lr, K.get_value(self.model.optimizer.lr) * 0.9)",
         'group["lr"] = self.optimizer.param_groups[0]["lr"] * 0.9'),
        (f"{EPOCH}if not hasattr(self.model.optimizer, 'lr'):\n        raise ValueError\n    print(float(self.model.optimizer.lr))",
         "logs=None):\n\n        print(float(self.optimizer.param_groups[0][\"lr\"]))"),
        ("def on_epoch_begin(self, epoch, logs):\n    print(epoch)", "own.on_epoch_begin(epoch, {})"),
        ("def on_train_end(self, logs=None):\n    print(logs)", 'own.on_train_end({"loss": train_loss})'),
        ("def on_train_end(self, logs=None):\n    print(1)", "own.on_train_end()"),
    ],
)  # fmt: skip
def test_what_they_do_stays(methods: str, written: str, tmp_path: Path):
    done = conversion(tmp_path, methods)
    assert not errors(done) and written in done.modules[0].text


@pytest.mark.parametrize(
    ("methods", "callbacks", "reason"),
    [
        (f"{END}self.seen.append(self.model.predict(np.ones((1, 4))))", "[own]", "uses predict of the model"),
        (f"{END}self.model.stop_training = True", "[own]", "uses stop_training of the model"),
        (f"{END}self.look()\ndef look(self):\n    self.model.evaluate(0)", "[own]", "uses evaluate of the model"),
        (f"{EPOCH}print(self.model.optimizer.iterations)", "[own]", "does more with an optimizer"),
        (f"{EPOCH}self.optimizer = self.model.optimizer.lr", "[own]", "has an optimizer of its own"),
        (f"{END}print(logs)", "[own, other]", "callbacks with different methods for batches"),
        ("def on_test_batch_end(self, batch, logs=None):\n    pass", "[own]", "a place that the loop does not have"),
    ],
)
def test_what_the_loop_cannot_do_is_declined(methods: str, callbacks: str, reason: str, tmp_path: Path):
    found = errors(conversion(tmp_path, methods, callbacks))
    assert any(reason in message for message in found), found


def test_keras_3_knows_no_lr(tmp_path: Path):
    setting = f"{EPOCH}self.model.optimizer.lr = 0.1"
    assert not errors(conversion(tmp_path, setting))  # a program of legacy Keras
    found = errors(conversion(tmp_path, setting, generation="keras3"))
    assert any("optimizers of Keras 3 have no lr" in message for message in found), found


def test_a_rate_that_decays_is_not_changed_as_well(tmp_path: Path):
    decaying = "keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5))"
    found = errors(conversion(tmp_path, f"{EPOCH}self.model.optimizer.learning_rate = 0.1", optimizer=decaying))
    assert any("changes a learning rate which decays" in message for message in found), found


def test_momentum_follows_a_rate_that_changes(tmp_path: Path):
    done = conversion(
        tmp_path, f"{EPOCH}self.model.optimizer.learning_rate = 0.1", optimizer="keras.optimizers.SGD(0.1, 0.9)"
    )
    assert not errors(done) and "torch.optim.SGD(" not in done.modules[0].text


def test_methods_for_batches_need_a_plain_loop(tmp_path: Path):
    done = conversion(tmp_path, f"{END}self.seen.append(batch)", trainer=LIGHTNING)
    assert not errors(done) and "L.LightningModule" not in done.modules[0].text
    assert any("called for each batch: this stays a plain loop" in f.message for f in done.all_findings)
