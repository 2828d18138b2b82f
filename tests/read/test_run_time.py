"""Numbers that only the data of a program know, or its command line: parameters of the classes, or declined."""

from pathlib import Path

import pytest

from transpiler.pipeline import convert_file

HEAD = "import sys\n\nimport keras\nimport numpy as np\nfrom keras import layers\n\n"


def converted(body: str, folder: Path) -> tuple[str, list[str]]:
    path = folder / "script.py"
    path.write_text(HEAD + body, encoding="utf-8")
    conversion = convert_file(path, allow_partial=True)
    return conversion.modules[0].text, [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]


MODEL = "model = keras.Sequential([keras.Input((5,)), layers.Dense({size})])\n"
GIVEN = {
    "a length": ("words = open('a').read().split()\n", "len(words)", "num_words"),
    "a variable": ("n = len(open('a').read())\n", "n", "n"),
    "a variable of a tuple": ("x, n = np.load('a')\n", "n", "n"),
    "a size": ("x = np.load('a')\n", "x.shape[1]", "units"),
    "the greatest label": ("y = np.load('a')\n", "np.max(y) + 1", "max_y"),
    "an argument of the program": ("n = int(sys.stdin.read())\nclass A: pass\n", "n", "n"),
    "an item": ("import json\nconfig = json.load(open('a'))\n", 'config["units"]', "units"),
    "a list filled by an unknown loop": ("words = []\nfor line in open('a'):\n    words.append(line)\n", "len(words)", "num_words"),
    "the same with a condition": ("words = []\nfor line in open('a'):\n    if line in words:\n        continue\n    words.append(line)\n", "len(words)", "num_words"),
    "a count in an unknown loop": ("n = 1\nfor line in open('a'):\n    n += 1\n", "n", "n"),
    "a count in a loop with an end that is unknown": ("f = open('a')\nn = 1\nwhile f.readline():\n    n += 1\n", "n", "n"),
    "what a failed statement changes": ("words = [1]\ntry:\n    words.extend(w for w in open('a'))\nfinally:\n    pass\n", "len(words)", "num_words"),
    "a list made longer by what is unknown": ("words = [1]\nwords.extend(open('a').read().split())\n", "len(words)", "num_words"),
    "a dictionary with unknown keys": ("words = {'a': 1}\nwords[open('a').read()] = 1\n", "len(words)", "num_words"),
    "a set with unknown items": ("words = {'a'}\nwords.add(open('a').read())\n", "len(words)", "num_words"),
    "a comprehension over what is unknown": ("words = [w for w in open('a')]\n", "len(words)", "num_words"),
    "a list that a comprehension over what is unknown fills": ("words = [1]\n[words.append(w) for w in open('a')]\n", "len(words)", "num_words"),
    "a comprehension with an unknown filter": ("words = {w for w in 'abc' if w in open('a').read()}\n", "len(words)", "num_words"),
    "what a function changes in an unknown loop": ("words = []\ndef note(w):\n    words.append(w)\nfor line in open('a'):\n    note(line)\n", "len(words)", "num_words"),
    "a list that another holds": ("words = []\nheld = {'words': words}\nfor line in open('a'):\n    held['words'].append(line)\n", "len(words)", "num_words"),
}  # fmt: skip


@pytest.mark.parametrize("name", GIVEN)
def test_a_number_of_the_data_is_a_parameter(name: str, tmp_path: Path):
    before, size, parameter = GIVEN[name]
    text, errors = converted(before + MODEL.format(size=size), tmp_path)
    assert not errors
    plus = " + 1" if size.endswith("+ 1") else ""
    assert f"nn.Linear(5, {parameter}{plus})" in text and f"Net({size.removesuffix(' + 1')})" in text


def test_it_is_read_where_the_program_knows_it(tmp_path: Path):
    body = (
        "model = keras.Sequential()\nn = len(sys.argv[1])\nmodel.add(keras.Input((n,)))\nmodel.add(layers.Dense(n))\n"
    )
    text, errors = converted(body, tmp_path)
    assert (
        not errors
        and text.index("n = len(sys.argv[1])") < text.index("class Net")
        and text.endswith("model = Net(n)\n")
    )


def test_a_number_that_changes_meanwhile_is_declined(tmp_path: Path):
    body = (
        "words = list(open('a'))\nmodel = keras.Sequential([keras.Input((5,))])\nmodel.add(layers.Dense(len(words)))\n"
        "words.append(1)\nmodel.add(layers.Dense(len(words)))\n"
    )
    _, errors = converted(body, tmp_path)
    assert any("len(words) changes while the model is built" in e for e in errors)
    again = body.replace("words.append(1)", "words = list(open('b'))")
    assert any("len(words) changes while the model is built" in e for e in converted(again, tmp_path)[1])


def test_what_is_built_must_not_depend_on_it(tmp_path: Path):
    body = "model = keras.Sequential([keras.Input((5, 2)), layers.LSTM(3, go_backwards=sys.argv[2])])\n"
    _, errors = converted(body, tmp_path)
    assert any("depends on sys.argv[2], which is known only when the program runs" in e for e in errors)
    body = "n = len(sys.argv[1])\nmodel = keras.Sequential([keras.Input((5,))])\nif n > 3:\n    model.add(layers.Dense(n))\n"
    assert converted(body, tmp_path)[1]
    text, errors = converted(MODEL.format(size="3, activation=sys.argv[1]"), tmp_path)
    assert not errors and "model = Net(sys.argv[1])" in text and "get_activation(activation)" in text


@pytest.mark.parametrize(
    ("data", "size"),
    [
        ("(x, y), _ = keras.datasets.mnist.load_data()", 28),
        ("(x, y), _ = keras.datasets.cifar10.load_data()\nx = x.astype('float32') / 255\nx -= np.mean(x)", 32),
        ("(x, y), _ = keras.datasets.mnist.load_data()\nx = x.reshape(-1, 784)[:100]", 784),
        ("(x, y), _ = keras.datasets.imdb.load_data()\nx = keras.utils.pad_sequences(x, maxlen=80)", 80),
        ("(y, x), _ = keras.datasets.mnist.load_data()\nx = keras.utils.to_categorical(x, 10)", 10),
        ("x = np.zeros((len(sys.argv), 12))\nfor i in range(len(sys.argv)):\n    x[i] = 1", 12),
        ("x = np.concatenate([keras.datasets.mnist.load_data()[0][0]] * 2)", 28),
    ],
)
def test_shapes_of_data_are_followed(data: str, size: int, tmp_path: Path):
    text, errors = converted(f"{data}\n" + MODEL.format(size="x.shape[1]"), tmp_path)
    assert not errors and f"nn.Linear(5, {size})" in text


@pytest.mark.parametrize(
    ("layer", "made"),
    [
        ("layers.Conv2D(4, 3, input_shape=x.shape[1:])", "nn.Conv2d(in_channels, 4"),
        ("layers.LSTM(4, input_shape=x.shape[1:])", "nn.LSTM(in_channels, 4"),
        ("layers.Dense(4, input_shape=x.shape[1:])", "nn.Linear(in_features, 4"),
    ],
)
def test_a_whole_shape_that_the_data_decide(layer: str, made: str, tmp_path: Path):
    text, errors = converted(f"x = np.load('a')\nmodel = keras.Sequential([{layer}])\n", tmp_path)
    assert not errors and made in text


def test_builders_are_called_with_what_the_data_decide(tmp_path: Path):
    body = (
        "def make(n):\n    return keras.Sequential([keras.Input((n,)), layers.Dense(n)])\n\n"
        "words = open('a').read()\nmodel = make(len(words))\n"
    )
    text, errors = converted(body, tmp_path)
    assert not errors and "model = make(len(words))" in text and "def __init__(self, in_features: int, n: int)" in text


TENSORS = {
    "an array": ("w = np.load('a')\n", "x * w", "an operand cannot be evaluated"),
    "an item": ("import json\nw = json.load(open('a'))['w']\n", "x * w", "an operand cannot be evaluated"),
    "an array in a function": ("w = np.load('a')\ndef f(x, w):\n    return x * w\n", "f(x, w)", "an operand cannot be evaluated"),
    "numbers of Keras": ("", "x + keras.random.normal((5,))", "cannot be evaluated"),
}  # fmt: skip


@pytest.mark.parametrize("name", TENSORS)
def test_what_meets_a_tensor_must_be_a_number(name: str, tmp_path: Path):
    before, used, reason = TENSORS[name]
    model = f"x = keras.Input((5,))\nmodel = keras.Model(x, {used})\n"
    _, errors = converted(before + model, tmp_path)
    assert any(reason in e for e in errors)


def test_numbers_may_meet_tensors(tmp_path: Path):
    body = "words = open('a').read()\nx = keras.Input((5,))\nmodel = keras.Model(x, x / len(words))\n"
    text, errors = converted(body, tmp_path)
    assert not errors and "return x / self.num_words" in text


def test_a_variable_of_a_builder_is_not_the_one_outside(tmp_path: Path):
    body = (
        "words = open('a').read()\ndef make(n):\n    model = keras.Sequential([keras.Input((3,))])\n"
        "    if n // 2 > 10:\n        model.add(layers.Dense(4))\n    model.add(layers.Dense(n))\n    return model\n\n"
        "model = make(len(words))\n"
    )
    path = tmp_path / "script.py"
    path.write_text(HEAD + body, encoding="utf-8")
    assert not [f for f in convert_file(path).all_findings if "left out" in f.message]
