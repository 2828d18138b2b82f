"""Several inputs and targets that variables hold, in lists or by their names."""

from pathlib import Path

import numpy as np
import pytest
from run_scripts import printed_as_it_is

from transpiler.options import PLAIN
from transpiler.pipeline import convert_file

SCRIPT = """
import numpy as np
import keras
from keras import layers

a, b = np.sin(np.arange(96.0)).reshape(24, 4), np.cos(np.arange(48.0)).reshape(24, 2)
first, second = keras.Input((4,), name="a"), keras.Input((2,), name="b")
h = layers.Concatenate()([first, second])
outputs = [layers.Dense(n, kernel_initializer="ones", name=name)(h) for n, name in ((1, "p"), (2, "q"))]
model = keras.Model([first, second], outputs)
model.compile("sgd", ["mse", "mae"])
xs, ys = {xs}, {ys}
held = ({xs}, {ys})
h = model.fit(xs, ys, epochs=2, verbose=0, validation_data=held, batch_size=8, shuffle=False)
print(h.history["loss"][1], h.history["val_loss"][1], model.evaluate(xs, ys, verbose=0)[0])
print(np.mean(model.predict(xs, verbose=0)[0]))
"""
LIST, DICT = "[a, b]", '{"b": b, "a": a}'
TARGETS, NAMED = "[a[:, :1], b]", '{"q": b, "p": a[:, :1]}'


def script(folder: Path, xs: str, ys: str) -> Path:
    path = folder / "script.py"
    path.write_text(SCRIPT.replace("{xs}", xs).replace("{ys}", ys), encoding="utf-8")
    return path


def test_the_items_of_lists_are_read_one_by_one(tmp_path: Path):
    conversion = convert_file(script(tmp_path, LIST, TARGETS))
    text = conversion.modules[0].text
    assert not [f for f in conversion.all_findings if f.severity.name == "ERROR"]
    assert "torch.as_tensor(xs[1]," in text and "torch.as_tensor(held[1][0]," in text and "predict(model, xs)" in text


@pytest.mark.slow
@pytest.mark.parametrize(("xs", "ys"), [(LIST, TARGETS), (DICT, TARGETS), (DICT, NAMED)])
def test_such_scripts_print_what_the_originals_print(xs: str, ys: str, tmp_path: Path):
    keras, result = printed_as_it_is(script(tmp_path, xs, ys), tmp_path, "keras3", PLAIN)
    assert len(keras) == len(result) == 4
    np.testing.assert_allclose(result, keras, rtol=1e-4)


@pytest.mark.parametrize("xs", ["[a, b, a]", '{"a": a, "c": b}', "list(map(np.asarray, np.load('x.npy')))"])
def test_what_does_not_fit_the_inputs_is_declined(xs: str, tmp_path: Path):
    assert [f for f in convert_file(script(tmp_path, xs, TARGETS)).all_findings if f.severity.name == "ERROR"]
