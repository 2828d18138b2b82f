"""Recurrent layers in whole models: states that outlive a call, stacks of cells and convolutions over masked steps."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from transpiler.pipeline import convert_file
from transpiler.verify import verify_file
from transpiler.write.torch import helpers

SOURCE = """
    from {keras} import Input, Model, layers


    def stateful(units=4, batch=4, steps=6, features=5):
        x = inputs = Input(batch_shape=(batch, steps, features))
        x = layers.LSTM(units, return_sequences=True, stateful=True)(x)
        x = layers.GRU(3, return_sequences=True, stateful=True, reset_after=False)(x)
        x = layers.Bidirectional(layers.LSTM(units, return_sequences=True, stateful=True))(x)
        x, h = layers.SimpleRNN(3, stateful=True, return_state=True, go_backwards=True)(x)
        return Model(inputs, [layers.Dense(2)(x), h])


    def video(batch=4, steps=3):
        x = inputs = Input(batch_shape=(batch, steps, 6, 6, 2))
        return Model(inputs, layers.ConvLSTM2D(3, 3, stateful=True, padding="same")(x))


    def masked(units=4, steps=5):
        x = inputs = Input((steps, 6))
        x = layers.Masking()(x)
        x = layers.RNN([layers.LSTMCell(units), layers.GRUCell(3, dropout=0.2)], return_sequences=True)(x)
        x = layers.RNN([layers.GRUCell(units), layers.SimpleRNNCell(6)], zero_output_for_mask=True)(x)
        return Model(inputs, x)


    def masked_video(steps=4):
        x = inputs = Input((steps, 36))
        x = layers.TimeDistributed(layers.Reshape((6, 6, 1)))(layers.Masking()(x))
        x = layers.ConvLSTM2D(3, 3, return_sequences=True)(x)
        return Model(inputs, layers.ConvLSTM2D(2, 2, go_backwards=True, dropout=0.3)(x))
"""


def written(keras: str, folder: Path) -> Path:
    path = folder / "model.py"
    path.write_text(textwrap.dedent(SOURCE.replace("{keras}", keras)))
    return path


@pytest.mark.parametrize("keras", ["keras", "tf_keras"])
def test_recurrent_layers_in_models(keras: str, tmp_path: Path):
    entries = ["stateful()", "video()", "masked()"]
    entries += ["masked_video()"] if keras == "keras" else []  # legacy Keras fails for a Reshape of masked steps
    generation = "keras3" if keras == "keras" else keras
    results = verify_file(written(keras, tmp_path), entries=entries, generation=generation)
    assert [(r.status, r.tier) for r in results] == [("pass", "structure")] * len(entries), results


def test_verify_sees_states_that_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    original = helpers._helper
    kept = "self.h, self.c = h.detach(), None if c is None else c.detach()"
    assert kept in original("Stateful")[0]

    def forgetful(name: str) -> tuple[str, tuple[str, ...]]:
        text, needs = original(name)
        return text.replace(kept, "pass"), needs

    monkeypatch.setattr(helpers, "_helper", forgetful)
    (result,) = verify_file(written("keras", tmp_path), entries=["video()"], generation="keras3")
    assert result.status == "fail", result


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("return_state=True, go_backwards=True)(x)", "return_state=True)(x, initial_state=x[:, 0, :3])", "initial states"),
        ("Bidirectional(layers.LSTM(units, ", "Bidirectional(layers.LSTM(units, activation='relu', ", "Bidirectional"),
        ("= layers.LSTM(units, return_sequences=True, stateful=True)(x)", "= layers.LSTM(units, return_sequences=True, stateful=True)(layers.Masking()(x))", "masked"),  # fmt: skip
    ],
)
def test_states_that_are_not_held_are_declined(old: str, new: str, why: str, tmp_path: Path):
    path = written("keras", tmp_path)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    done = convert_file(path, entries=["stateful()"])
    assert any("tateful" in f.message and why in f.message for f in done.findings), done.findings
