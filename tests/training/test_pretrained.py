"""Applications of Keras that scripts make with the weights that Keras has for them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from run_scripts import child, numbers

from transpiler.pipeline import convert_file

MODEL = """
import numpy as np
from tensorflow import keras
from tensorflow.keras.applications import MobileNetV2

base = MobileNetV2(alpha=0.35, include_top=False, input_shape=(32, 32, 3), weights={weights})
{more}
base.trainable = False
x = np.linspace(0, 1, 32 * 32 * 3).reshape(1, 32, 32, 3).astype("float32")
print(base.predict(x, verbose=0)[0, 0, 0, :6] * 1e3)
"""


@pytest.mark.parametrize("generation", ("keras3", "tf_keras"))
def test_weights_that_keras_has_are_read_from_a_file_that_is_made_of_its_own(generation: str, tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(MODEL.format(weights="'imagenet'", more=""))
    conversion = convert_file(script, generation=generation)
    (told,) = [f for f in conversion.all_findings if f.code == "K2T403"]
    assert told.span is not None and told.span.line == 6
    name = told.message.rpartition(" ")[2]
    assert f'base.load_state_dict(torch.load("{name}", weights_only=True))' in conversion.modules[0].text
    (tmp_path / "script_torch.py").write_text(conversion.modules[0].text)

    known = tmp_path / "known.py"
    known.write_text(MODEL.format(weights="None", more="base.save_weights('known.weights.h5')"))
    wanted = numbers(child("plain_child.py", tmp_path, generation, generation, known))
    command = [sys.executable, "-m", "transpiler", "weights", script, "known.weights.h5", "--entry", "base"]
    done = subprocess.run([*command, "-o", name, "--keras", generation], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    run = subprocess.run([sys.executable, "script_torch.py"], cwd=tmp_path, capture_output=True, text=True)
    np.testing.assert_allclose(numbers(run.stdout), wanted, rtol=1e-3, atol=1e-5, err_msg=run.stderr[-1000:])


def test_in_builders_it_is_said_that_they_are_not_loaded(tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(
        "from tensorflow import keras\n\n\ndef build():\n    base = keras.applications.VGG16(include_top=False, input_shape=(32, 32, 3))\n"
        "    return keras.Model(base.input, keras.layers.Dense(2)(base.output))\n"
    )
    (told,) = [f for f in convert_file(script).all_findings if f.code == "K2T403"]
    assert told.span is not None and (told.span.file, told.span.line) == (str(script), 5)
