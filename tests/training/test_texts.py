"""What training code becomes, where it is not run beside the original: the lines that matter."""

from pathlib import Path

import pytest
import torch

from transpiler.pipeline import convert_file
from transpiler.training.edits import taken_branch

SOURCES = Path(__file__).parent / "sources"
CASES = {
    "steps_by_hand": (
        "self.optimizer = Adam(self.model.parameters(), lr=2e-3, betas=(0.5, 0.999))",
        "loss = run_epoch(\n                self.model,",
        "print(predict(self.model, x[:2]))",
    ),
    "rates_by_hand": ('for group in optimizer.param_groups:\n    group["lr"] = 1e-05',),
    "compiled_twice": ("optimizer2 = torch.optim.SGD(m.parameters(), lr=1e-3)", "train_loss = run_epoch2(m,"),
    "by_generator": (
        "    train_loss = run_epoch(model, map(to_tensors, islice(train_batches, 5)), optimizer)\n"
        "    val_loss = run_epoch(model, map(to_tensors, islice(val_batches, 2)))",
        "print(run_epoch(model, map(to_tensors, islice(batches(8), 3))))",
    ),
    "saved": (
        'if os.path.exists("w.pt"):\n    model.load_state_dict(torch.load("w.pt", weights_only=True))',
        "target.load_state_dict(model.state_dict())",
        'torch.save(model.state_dict(), f"m{1}.pt")',
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_source_becomes_these_lines(name: str):
    conversion = convert_file(SOURCES / f"{name}.py", generation="keras3")
    assert not [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]
    for lines in CASES[name]:
        assert lines in conversion.modules[0].text


def test_nothing_of_a_group_is_translated_where_a_part_is_not(tmp_path: Path):
    path = tmp_path / "script.py"
    path.write_text(
        (SOURCES / "compiled_twice.py").read_text().replace("m.fit(x, y)\nm.compile", "m.fit(x, y, **{})\nm.compile")
    )
    conversion = convert_file(path, generation="keras3")
    messages = [f.message for f in conversion.all_findings if f.code == "K2T401"]
    assert any("with * or **" in m for m in messages)
    assert "Adam(" not in conversion.modules[0].text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("model.fit(x, y, validation_data=(x, y), validation_steps=1)", "a number of steps beside arrays"),
        ("model.evaluate(x, y, steps=1)", "a number of steps beside arrays"),
        (
            "for _ in range(2):\n    model.fit(x, y)\n    print(model.make_test_function())",
            "the method make_test_function()",
        ),
    ],
)
def test_what_is_not_translated_is_said(tmp_path: Path, call: str, message: str):
    path = tmp_path / "script.py"
    path.write_text(
        "import numpy as np\nfrom keras import Sequential, layers\n\n"
        "model = Sequential([layers.Input((4,)), layers.Dense(3)])\nmodel.compile(loss='mse', optimizer='sgd')\n"
        f"x, y = np.zeros((64, 4)), np.zeros((64, 3))\n{call}\n"
    )
    errors = [f.message for f in convert_file(path, generation="keras3").all_findings if f.severity.name == "ERROR"]
    assert any(message in m for m in errors)


def test_a_metric_of_the_program_sees_targets_as_keras_hands_them_over():
    """Keras 3 gives targets of one axis to metrics as they are: they spread over the outputs, of two."""
    path = SOURCES / "own_metric.py"
    original, converted = {}, {}
    exec(path.read_text(), original)
    exec(convert_file(path, generation="keras3").modules[0].text, converted)
    with torch.no_grad():
        converted["model"].dense.weight.fill_(1.0)
    model, x, y = converted["model"], torch.tensor(original["x"]).float(), torch.arange(4.0)
    assert converted["run_epoch"](model, [(x, y)]) == pytest.approx(original["numbers"], rel=1e-6)
    assert "spread(y.view_as(output), output)" in convert_file(path, generation="tf_keras").modules[0].text


@pytest.mark.parametrize(
    ("size", "made"),
    [
        ("Dense(size)", ""),
        ("Conv1D(4, (size,))", ""),
        ("Dense(3, input_shape=(size,))", "nn.Linear(size, 3)"),
        ("Input((size,))", "nn.Linear(size, 2)"),
    ],
)
def test_a_size_that_only_the_data_know_is_no_shape_of_an_input(tmp_path: Path, size: str, made: str):
    path = tmp_path / "script.py"
    path.write_text(
        "import keras\nfrom keras.layers import *\nsize = len(set(open('text').read()))\n"
        f"model = keras.Sequential()\nmodel.add({size})\nmodel.add(Dense(2))\n"
    )
    conversion = convert_file(path, generation="keras3")
    codes = {f.code for f in conversion.all_findings if f.severity.name == "ERROR"}
    if made:
        assert not codes and made in conversion.modules[0].text and "model = Net(size)" in conversion.modules[0].text
    else:
        assert codes & {"K2T201", "K2T202"} and "K2T006" not in codes


def test_a_function_that_no_model_uses_does_not_take_a_tensor_for_a_number(tmp_path: Path):
    path = tmp_path / "script.py"
    path.write_text(
        "from keras import Sequential, backend as K, layers\n\n"
        "def hits(y_true, y_pred):\n    return K.mean(K.equal(y_true, K.cast(y_pred < 0.5, y_true.dtype)))\n\n"
        "model = Sequential([layers.Input((4,)), layers.Dense(3)])\n"
    )
    found = convert_file(path, generation="keras3").all_findings
    assert any("hits() was not converted" in f.message for f in found)


def test_training_before_and_after_layers_are_frozen_by_one_function(tmp_path: Path):
    path = tmp_path / "script.py"
    path.write_text(
        "import numpy as np\nfrom keras.layers import Dense\nfrom keras.models import Sequential\n\n"
        "def train(model):\n    model.compile(loss='mse', optimizer='sgd')\n"
        "    model.fit(np.zeros((8, 4)), np.zeros((8, 3)))\n\n"
        "base = [Dense(3, input_shape=(4,))]\nmodel = Sequential(base + [Dense(3)])\ntrain(model)\n"
        "for layer in base:\n    layer.trainable = False\ntrain(model)\n"
    )
    conversion = convert_file(path, generation="keras3")
    assert not [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]
    assert "\ntrain(model)\nmodel.dense1.requires_grad_(False)\ntrain(model)\n" in conversion.modules[0].text


QUESTIONS = """
import numpy as np
from keras import Sequential, backend as K, layers

x = np.zeros((4, 8, 8))
if K.image_data_format() == "channels_first":
    x = x.reshape(4, 1, 8, 8)
else:
    # as images mostly are
    x = x.reshape(4, 8, 8, 1)
axis = 1 if K.image_data_format() == "channels_first" else 3
print(K.image_data_format())
model = Sequential([layers.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3)])
model.compile(loss="mse", optimizer="sgd")
model.fit(x, np.zeros((4, 3)))
"""


def test_code_on_data_asks_for_no_settings_of_keras(tmp_path: Path):
    path = tmp_path / "script.py"
    path.write_text(QUESTIONS)
    conversion = convert_file(path, generation="keras3")
    text = conversion.modules[0].text
    assert not [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]
    assert '\n# as images mostly are\nx = x.reshape(4, 8, 8, 1)\naxis = 3\nprint("channels_last")\n' in text
    path.write_text(QUESTIONS.replace("x = np", "K.set_image_data_format('channels_last')\nx = np"))
    assert [f for f in convert_file(path, generation="keras3").all_findings if f.severity.name == "ERROR"]


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("if 1 == 2:\n    a = 1\nelif 2 == 2:\n    b = 1\n    c = 2\nelse:\n    d = 1", "b = 1\nc = 2"),
        ("if 1 == 1:\n    a = 1\nelse:\n    d = 1", "a = 1"),
        ("if 1 == 2:\n    a = 1", ""),
        ("if a == 2:\n    a = 1", "if a == 2:\n    a = 1"),
        ("if 1 == 2: a = 1\nelse: a = 2", "if 1 == 2: a = 1\nelse: a = 2"),
    ],
)
def test_the_branch_that_constants_take(text: str, taken: str):
    assert taken_branch(text) == taken


def test_an_optimizer_of_two_models_is_noted(tmp_path: Path):
    path = tmp_path / "script.py"
    path.write_text(
        "import numpy as np\nfrom keras import Sequential, layers, optimizers\n\nadam = optimizers.Adam(1e-3)\n"
        "x, y = np.zeros((8, 4)), np.zeros((8, 3))\n"
        + "".join(
            f"{m} = Sequential([layers.Input((4,)), layers.Dense(3)])\n{m}.compile(loss='mse', optimizer=adam)\n"
            f"{m}.train_on_batch(x, y)\n"
            for m in "ab"
        )
    )
    notes = [f.message for f in convert_file(path, generation="tf_keras").all_findings if f.code == "K2T501"]
    assert any("each model has its own" in n for n in notes)


def test_an_import_of_keras_is_not_kept_for_a_variable_of_a_helper(tmp_path: Path):
    path = tmp_path / "script.py"
    path.write_text(
        "import numpy as np\nfrom tensorflow import keras\nfrom tensorflow.keras.preprocessing import sequence\n\n"
        "x = sequence.pad_sequences([[1, 2], [3]], maxlen=4)\n"
        "model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])\n"
        "print(model.predict(x))\n"
    )
    conversion = convert_file(path)
    assert not [f for f in conversion.all_findings if f.severity.name == "ERROR"]
    assert "tensorflow" not in conversion.modules[0].text
