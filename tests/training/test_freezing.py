"""What is set to be trained or not after a model was compiled."""

import subprocess
import sys
from pathlib import Path

import pytest
from run_scripts import child

from transpiler.pipeline import convert_file

SCRIPT = """
import numpy as np
from tensorflow import keras
from tensorflow.keras import layers

x, y = np.zeros((8, 4), "float32"), np.zeros((8, 1), "float32")
inputs = keras.Input((4,))
model = keras.Model(inputs, layers.Dense(1)(layers.Dense(3, name="first")(inputs)))
{before}
model.compile("sgd", "mse")
{between}
model.fit(x, y, verbose=0)
{after}
"""
FREEZE, FREE = "model.layers[1].trainable = False", "model.layers[1].trainable = True"


def converted(tmp_path: Path, generation: str, **places: str) -> tuple[str, list[str]]:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(**{"before": "", "between": "", "after": "", **places}))
    conversion = convert_file(path, generation=generation)
    return conversion.modules[0].text, [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]


@pytest.mark.parametrize("generation", ("keras3", "tf_keras"))
def test_a_layer_that_is_frozen_before_is_frozen_in_the_result(generation: str, tmp_path: Path):
    text, errors = converted(tmp_path, generation, before=FREEZE)
    assert "requires_grad_(False)" in text
    assert not errors


@pytest.mark.parametrize("places", ({"before": FREEZE, "between": FREE}, {"between": FREEZE}))
def test_what_is_set_between_compile_and_fit_counts_in_keras_3_alone(places: dict[str, str], tmp_path: Path):
    text, errors = converted(tmp_path, "keras3", **places)
    assert not errors
    assert [line for line in text.splitlines() if line.startswith("model.first.requires_grad_")] == [
        f"model.first.requires_grad_({s.rpartition(' ')[2]})" for s in places.values()
    ]
    _, errors = converted(tmp_path, "tf_keras", **places)
    assert any("frozen or set free" in e for e in errors)


def test_what_decides_may_not_be_read_elsewhere(tmp_path: Path):
    flags = "last = None\nfor layer in model.layers:\n    layer.trainable = layer.name != 'first'\n    last = 1"
    text, errors = converted(tmp_path, "keras3", after=f"{flags}\nmodel.compile('sgd', 'mse')\nmodel.fit(x, y)")
    assert not errors and "model.first.requires_grad_(False)" in text
    _, errors = converted(
        tmp_path, "keras3", after=f"{flags}\nmodel.compile('sgd', 'mse')\nmodel.fit(x, y)\nprint(last)"
    )
    assert any("last" in e for e in errors)


@pytest.mark.parametrize(
    ("name", "known"), (("dense", False), ("dense_1", False), ("embedding", True), ("first", True))
)
def test_numbers_in_the_names_that_keras_gives_are_not_known(name: str, known: bool, tmp_path: Path):
    loop = f"for layer in model.layers:\n    if layer.name == '{name}':\n        layer.trainable = False"
    _, errors = converted(tmp_path, "keras3", after=f"{loop}\nmodel.compile('sgd', 'mse')\nmodel.fit(x, y)")
    assert bool(errors) != known


APPLICATION = """
import numpy as np
from tensorflow import keras
from tensorflow.keras import layers
from tensorflow.keras.applications import {name}

base = {name}(weights=None, include_top=False, input_shape=({size}, {size}, 3){more})
base.trainable = False
inputs = keras.Input(({size}, {size}, 3))
model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(base(inputs))))
model.compile("sgd", "mse")
model.fit(np.zeros((1, {size}, {size}, 3)), np.zeros((1, 2)), verbose=0)
{toggles}
model.compile("sgd", "mse")
"""
SLICE = "base.trainable = True\nfor layer in base.layers[:{}]:\n    layer.trainable = False"
UPPER = "for layer in base.layers[-{}:]:\n    if not isinstance(layer, layers.BatchNormalization):\n        layer.trainable = True"
NAMED = """
base.trainable = True
free = False
for layer in base.layers:
    if layer.name == "{}":
        free = True
    layer.trainable = free
"""
APPLICATIONS = (
    ("MobileNetV2", 32, ", alpha=0.35", SLICE.format(100)),
    ("MobileNetV2", 32, ", alpha=0.35", UPPER.format(30)),
    ("VGG16", 32, "", NAMED.format("block5_conv1")),
    ("ResNet50", 32, "", SLICE.format(143)),
    ("ResNet50", 32, "", NAMED.format("conv5_block1_1_conv")),
    ("EfficientNetB0", 32, "", UPPER.format(20)),
    ("DenseNet121", 32, "", SLICE.format(313)),
    ("Xception", 71, "", SLICE.format(116)),
)


def test_legacy_keras_trains_nothing_of_a_frozen_model(tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(
        APPLICATION.format(name="MobileNetV2", size=32, more=", alpha=0.35", toggles=f"{UPPER.format(30)}")
    )
    errors = [f.message for f in convert_file(script, generation="tf_keras").all_findings]
    assert any("inside of a frozen model" in e for e in errors)


@pytest.mark.parametrize(
    ("name", "size", "more", "toggles"),
    [pytest.param(*case, marks=[] if i < 2 else pytest.mark.slow) for i, case in enumerate(APPLICATIONS)],
)
@pytest.mark.parametrize("generation", ("keras3", "tf_keras"))
def test_parts_of_applications_that_are_trained(
    generation: str, name: str, size: int, more: str, toggles: str, tmp_path: Path
):
    script = tmp_path / "script.py"
    if generation == "tf_keras" and toggles.startswith("for"):
        toggles = f"base.trainable = True\nfor layer in base.layers:\n    layer.trainable = False\n{toggles}"
    script.write_text(APPLICATION.format(name=name, size=size, more=more, toggles=toggles))
    conversion = convert_file(script, generation=generation)
    assert not [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]
    counts = "import math\nprint(sorted(math.prod(w.shape) for w in {}))"
    script.write_text(f"{script.read_text()}\n" + counts.format("model.trainable_weights"))
    text = f"{conversion.modules[0].text}\n" + counts.format("model.parameters() if w.requires_grad")
    (tmp_path / "script_torch.py").write_text(text)
    keras = child("plain_child.py", tmp_path, generation, generation, script)
    result = subprocess.run([sys.executable, tmp_path / "script_torch.py"], capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == keras.splitlines()[-1] != "[]", result.stderr[-2000:]


def test_kinds_of_modules_of_which_one_derives_from_the_other_are_told_apart(tmp_path: Path):
    """A strided convolution with "same" padding is a class of its own, which `isinstance(layer, nn.Conv2d)` would take in."""
    script = tmp_path / "script.py"
    made = [
        (
            f"h = layers.Conv2D(3, 3, name='a{n}')(h)"
            if n % 2
            else f"h = layers.Conv2D(3, 3, 2, padding='same', name='b{n}')(h)"
        )
        for n in range(12)
    ]
    script.write_text(
        "import numpy as np\nfrom tensorflow import keras\nfrom tensorflow.keras import layers\n\ni = h = keras.Input((None, None, 3))\n"
        + "\n".join(made)
        + "\nmodel = keras.Model(i, h)\nx, y = np.zeros((1, 900, 900, 3)), np.zeros((1, 3))\n"
        "model.compile('sgd', 'mse')\nmodel.fit(x, y)\n"
        "for layer in model.layers:\n    if layer.name.startswith('a'):\n        layer.trainable = False\n"
        "model.compile('sgd', 'mse')\nmodel.fit(x, y)\n"
    )
    conversion = convert_file(script, generation="keras3")
    text = conversion.modules[0].text
    assert "self.b0 = Conv2dSame(" in text and "isinstance(layer, nn.Conv2d)" not in text
    assert "for layer in (model.a1, model.a3, model.a5," in text
