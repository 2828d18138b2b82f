"""Scripts as far as building a model needs them."""

from pathlib import Path

from transpiler.verify.run import verify_file
from transpiler.verify.scripts import with_numbers

SCRIPT = """
import keras
from keras import layers

words = open("no such file").read().split()
n = len(words)


def block(x, n):
    return layers.Dense(n, activation="relu")(x)


inputs = keras.Input((n,))
model = keras.Model(inputs, layers.Dense(len(words))(block(block(inputs, 5), n * 2)))
"""


def test_numbers_stand_for_what_needs_the_data():
    text = "n = len(c)\ndef f(x, n):\n    return g(n, len(c))\nh = lambda n: n\nm(n, len(\n  c), é=n)\n"
    found = "n = 7\ndef f(x, n):\n    return g(n, 7)\nh = lambda n: n\nm(3, 7\n, é=3)\n"
    assert with_numbers(text, {"n": 3, "len(c)": 7}) == found


def test_a_script_is_verified_without_its_data(tmp_path: Path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    (result,) = verify_file(path, generation="keras3")
    assert result.status == "pass", result
