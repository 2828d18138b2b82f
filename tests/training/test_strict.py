"""`--strict`: the exact form where an idiomatic one is off by little, and no other."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from transpiler.cli import app
from transpiler.pipeline import convert_file
from transpiler.verify.run import verify_file

NORMS = """
import numpy as np
from tensorflow import keras
from tensorflow.keras import layers

x, y = np.random.rand(20, 8, 8, 3), np.random.rand(20, 1)
model = keras.Sequential([
    keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Flatten(),
    layers.Dense(8), layers.BatchNormalization(momentum=0.9), layers.Dense(1),
])
model.compile("adam", "mse")
model.fit(x, y, epochs=2, validation_split=0.2)
"""
WORDS = """
import numpy as np
from tensorflow import keras
from tensorflow.keras import layers

x, y = np.zeros((6, 4)), np.zeros((6, 1))
model = keras.Sequential([keras.Input((4,)), layers.Embedding(9, 3), layers.Flatten(), layers.Dense(1)])
model.compile("adam", "mse")
model.fit(x, y)
"""
GENERATOR = """
import numpy as np
from tensorflow import keras

def batches():
    while True:
        yield np.zeros((6, 4)), np.zeros((6, 1))

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(batches(), steps_per_epoch=3, validation_data=batches(), validation_steps=2)
"""
SHARED = """
import numpy as np
from tensorflow import keras

x, y = np.zeros((6, 4)), np.zeros((6, 1))
optimizer = keras.optimizers.Adam(0.1)
a = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
b = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
a.compile(optimizer, "mse")
b.compile(optimizer, "mse")
a.train_on_batch(x, y)
b.train_on_batch(x, y)
"""


def converted(source: str, folder: Path, strict: bool, generation: str = "keras3"):
    path = folder / "script.py"
    path.write_text(source)
    return convert_file(path, generation=generation, strict=strict)


@pytest.mark.parametrize(("strict", "variance"), [(True, "as in Keras"), (False, "unbiased")])
def test_running_variances(strict: bool, variance: str, tmp_path: Path):
    (tmp_path / "script.py").write_text(NORMS)
    (result,) = verify_file(tmp_path / "script.py", generation="keras3", steps=20, strict=strict)
    assert result.reason == "" and result.fitting["steps"] == 20
    assert result.training["state"]["running_variance"] == [variance]
    notes = [f.code for f in converted(NORMS, tmp_path, strict).all_findings]
    assert notes == ([] if strict else ["K2T501"])


def test_the_fused_kernel_of_legacy_keras_does_as_torch_does(tmp_path: Path):
    text = converted(NORMS, tmp_path, True, "tf_keras").modules[0].text
    assert "= nn.BatchNorm2d(4," in text and " BiasedBatchNorm1d(8," in text
    images = NORMS.replace("layers.BatchNormalization(momentum=0.9), ", "")
    assert not converted(images, tmp_path, False, "tf_keras").all_findings
    assert [f.code for f in converted(NORMS, tmp_path, False, "tf_keras").all_findings] == ["K2T501"]


@pytest.mark.parametrize("source", [WORDS, GENERATOR, SHARED], ids=["words", "generator", "shared"])
def test_what_has_no_exact_form_is_declined(source: str, tmp_path: Path):
    assert "K2T501" in [f.code for f in converted(source, tmp_path, False).all_findings]
    found = converted(source, tmp_path, True).all_findings
    assert any(f.severity.name == "ERROR" and "--strict: " in f.message for f in found)
    assert "K2T501" not in [f.code for f in found]


@pytest.mark.parametrize(
    ("table", "options", "strict"), [("", ["--strict"], True), ("strict = true", [], True), ("strict = true", ["--no-strict"], False)]
)  # fmt: skip
def test_the_option_and_the_configuration(table: str, options: list[str], strict: bool, tmp_path: Path):
    (tmp_path / "pyproject.toml").write_text(f"[tool.keras2torch]\n{table}\n")
    (tmp_path / "script.py").write_text(NORMS)
    done = CliRunner().invoke(app, ["convert", str(tmp_path / "script.py"), *options])
    assert ("BiasedBatchNorm2d(4" in done.output) == strict


def test_programs_that_turn_out_to_be_for_legacy_keras_are_exact_as_well(tmp_path: Path):
    source = (
        "import numpy as np\nfrom keras.models import Sequential\nfrom keras.layers import BatchNormalization, Dense\n"
        "from keras.optimizers import SGD\nx, y = np.zeros((8, 3)), np.zeros((8, 1))\n"
        "model = Sequential([Dense(3, input_shape=(3,)), BatchNormalization(), Dense(1)])\n"
        "model.compile(SGD(lr=0.1), 'mse')\nmodel.fit(x, y, verbose=0)\n"
    )
    exact, plain = (converted(source, tmp_path, strict, "auto").modules[0].text for strict in (True, False))
    assert "Biased" in exact and "Biased" not in plain
