"""Training that is not translated, as the result would compute something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from transpiler.pipeline import Conversion, convert_file

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
LEARN = """
def learn(model):
    model.fit(x, y)

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


CHECKPOINT = """
from keras.callbacks import ModelCheckpoint
model = Sequential([Input((4,)), Dense(1)])
model.compile("sgd", "mse")
best = ModelCheckpoint("best.keras", "loss", save_best_only=True)
for i in range(2):
    model.fit(x, y, callbacks=[best])
"""

TRAINED = """
model = Sequential([Input((4,)), Dense(1)])
model.compile("sgd", "mse")
history = model.fit(x, y)
"""


def conversion(text: str, folder: Path) -> Conversion:
    path = folder / "script.py"
    path.write_text(HEAD + text, encoding="utf-8")
    return convert_file(path, generation="keras3")


def errors(text: str, folder: Path) -> list[str]:
    return [f.message for f in conversion(text, folder).all_findings if f.severity.name == "ERROR"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            f"{LEARN.replace('fit', 'train_on_batch')}for net in (build(), build()):\n    learn(net)\n    learn(net)\n",
            AGAIN,
        ),
        (SHARED, "goes on after another compile() with what it has gathered before"),
        (CHECKPOINT, "one ModelCheckpoint of several fits remembers the best of all"),
        (
            TRAINED.replace('"mse")', '"mse", metrics=["mae"], weighted_metrics=["mae"])'),
            "evaluate() of Keras 3 gives mae twice",
        ),
        (f"{TRAINED}print(history.params)\n", "history.params is not translated"),
        (f"{TRAINED}print(model.metrics)\n", "model.metrics is not translated"),
        (
            f"{TRAINED.replace('fit(x, y', 'fit(x, y, initial_epoch=1, epochs=2')}print(history.epoch)\n",
            "history.epoch",
        ),
        (
            f"settings = {{'epochs': 2}}\nsettings['epochs'] = 3\n{TRAINED.replace('fit(x, y', 'fit(x, y, **settings')}",
            "with * or **",
        ),
        (SCALARS, "outputs of one number without an axis"),
    ],
)
def test_what_would_be_another_training_is_declined(text: str, reason: str, tmp_path: Path) -> None:
    found = errors(text, tmp_path)
    assert found and any(reason in message for message in found), found


def test_a_model_that_a_loop_makes_is_trained_there(tmp_path: Path) -> None:
    assert not errors("for i in range(3):\n    net = build()\n    net.fit(x, y)\n", tmp_path)


def test_calls_beside_what_is_rewritten_are_not_left_without_a_word(tmp_path: Path) -> None:
    text = (
        TRAINED
        + 'if not len(x):\n    model.load_weights("w.weights.h5")\nelse:\n    model.save_weights("w.weights.h5")\n'
    )
    found = [f.message for f in conversion(text, tmp_path).all_findings]
    assert any(m.startswith("load_weights() stays as it is") for m in found), found


def test_the_history_between_two_models_is_read_as_it_is(tmp_path: Path) -> None:
    text = TRAINED + 'print(history.history["loss"])\n'
    text += text.replace("model", "other")
    done = conversion(text, tmp_path)
    assert done.modules[0].text.count('print(history["loss"])') == 2


def test_a_callback_that_is_read_afterwards_is_not_dropped(tmp_path: Path) -> None:
    text = """
from keras.callbacks import EarlyStopping
model = Sequential([Input((4,)), Dense(1)])
model.compile("sgd", "mse")
stopping = EarlyStopping("loss")
model.fit(x, y, callbacks=[stopping])
print(stopping.stopped_epoch, model.evaluate(x, y))
"""
    done = conversion(text, tmp_path)
    codes = {f.code for f in done.all_findings if f.severity.name == "ERROR"}
    assert codes and "K2T006" not in codes


def test_a_checkpoint_whose_file_is_loaded_is_dropped_with_its_variable(tmp_path: Path) -> None:
    text = """
from keras.callbacks import ModelCheckpoint
model = Sequential([Input((4,)), Dense(1)])
model.compile("sgd", "mse")
best = ModelCheckpoint("best.weights.h5", "loss", save_best_only=True, save_weights_only=True)
model.fit(x, y, callbacks=[best])
model.load_weights("best.weights.h5")
"""
    done = conversion(text, tmp_path)
    assert "ModelCheckpoint" not in done.modules[0].text and "keras" not in done.modules[0].text


def test_generators_to_validate_with_are_noted_to_differ(tmp_path: Path) -> None:
    text = """
def batches():
    while True:
        yield x, y

model = Sequential([Input((4,)), Dense(1)])
model.compile("sgd", "mse")
model.fit(batches(), steps_per_epoch=2, epochs=2, validation_data=batches(), validation_steps=2)
"""
    assert any(f.code == "K2T501" for f in conversion(text, tmp_path).all_findings)


@pytest.mark.parametrize(
    ("generation", "metrics", "names"),
    [
        ("keras3", "", "['loss']"),
        ("keras3", ", metrics=['mae']", "['loss', 'compile_metrics']"),
        ("tf_keras", ", metrics=['mae']", "['loss', 'mae']"),
    ],
)
def test_names_of_metrics_are_those_of_the_generation(
    generation: str, metrics: str, names: str, tmp_path: Path
) -> None:
    path = tmp_path / "script.py"
    path.write_text(
        HEAD + TRAINED.replace('"mse"', f'"mse"{metrics}') + "print(model.metrics_names)\n", encoding="utf-8"
    )
    done = convert_file(path, generation=generation)
    assert f"print({names})" in done.modules[0].text.replace('"', "'")


def test_callbacks_of_a_branch_are_settled_with_a_note(tmp_path: Path) -> None:
    text = """
from keras.callbacks import EarlyStopping
stops = True
callbacks = []
if stops:
    callbacks.append(EarlyStopping("loss"))
model = Sequential([Input((4,)), Dense(1)])
model.compile("sgd", "mse")
model.fit(x, y, callbacks=callbacks)
"""
    done = conversion(text, tmp_path)
    assert "the callbacks are those for stops as it is here" in [f.message for f in done.all_findings]
    assert "callbacks" not in done.modules[0].text
