"""Keras's data sets: read from the same files, with the same splits."""

import gzip
import importlib
import io
import json
import pickle
import tarfile

import numpy as np
import pytest
from helpers_by_name import helper

from transpiler.pipeline import convert_file

RNG = np.random.default_rng(0)
WORDS = (
    {},
    {"num_words": 30, "skip_top": 5, "seed": 3},
    {"maxlen": 9, "start_char": None, "oov_char": None, "num_words": 20},
    {"start_char": None, "index_from": 0, "num_words": 20},
)
CASES = (
    ("mnist", ({},)),
    ("fashion_mnist", ({},)),
    ("boston_housing", ({}, {"test_split": 0.3, "seed": 1})),
    ("california_housing", ({}, {"version": "small"}, {"test_split": 0.35, "seed": 1})),
    ("imdb", WORDS),
    ("reuters", (*WORDS, {"test_split": 0.4})),
    ("cifar100", ({}, {"label_mode": "coarse"})),
    pytest.param("cifar10", ({},), marks=pytest.mark.slow),
)


def texts(count: int) -> np.ndarray:
    found = np.empty(count, dtype=object)
    found[:] = [list(map(int, RNG.integers(1, 60, size=RNG.integers(2, 15)))) for _ in range(count)]
    return found


def images(count: int, labels: list[bytes]) -> dict[bytes, object]:
    data = (np.arange(count * 3072) % 251).astype("uint8").reshape(count, 3072)
    return {b"data": data, **{name: [i % 7 for i in range(count)] for name in labels}}


def archive(path, members: dict[str, object]) -> None:
    with tarfile.open(path, "w") as file:
        for name, value in members.items():
            content = pickle.dumps(value)
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))


def write_files(name: str, folder) -> None:
    """Small files of the format that Keras downloads; those of CIFAR-10 have their full size."""
    if name == "mnist":
        parts = {f"{k}_{p}": RNG.integers(0, 255, s) for p, n in (("train", 5), ("test", 3)) for k, s in (("x", (n, 28, 28)), ("y", n))}  # fmt: skip
        np.savez(folder / "mnist.npz", **{k: np.asarray(v, "uint8") for k, v in parts.items()})
    elif name == "fashion_mnist":
        (folder / "fashion-mnist").mkdir()
        for part, count in (("train", 6), ("t10k", 4)):
            with gzip.open(folder / "fashion-mnist" / f"{part}-labels-idx1-ubyte.gz", "wb") as file:
                file.write(bytes(8) + RNG.integers(0, 10, count).astype("uint8").tobytes())
            with gzip.open(folder / "fashion-mnist" / f"{part}-images-idx3-ubyte.gz", "wb") as file:
                file.write(bytes(16) + RNG.integers(0, 255, (count, 28, 28)).astype("uint8").tobytes())
    elif name.endswith("housing"):
        np.savez(folder / f"{name}.npz", x=RNG.normal(size=(700, 4)), y=RNG.normal(size=700))
    elif name == "imdb":
        np.savez(folder / "imdb.npz", x_train=texts(20), y_train=RNG.integers(0, 2, 20), x_test=texts(15), y_test=RNG.integers(0, 2, 15))  # fmt: skip
    elif name == "reuters":
        np.savez(folder / "reuters.npz", x=texts(25), y=RNG.integers(0, 46, 25))
    elif name == "cifar100":
        labels = [b"fine_labels", b"coarse_labels"]
        archive(folder / "cifar-100-python-target_archive", {f"cifar-100-python/{m}": images(n, labels) for m, n in (("train", 9), ("test", 5))})  # fmt: skip
    elif name == "cifar10":
        members = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
        archive(folder / "cifar-10-batches-py-target_archive", {f"cifar-10-batches-py/{m}": images(10000, [b"labels"]) for m in members})  # fmt: skip


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A folder for data sets that both sides read; Keras takes small files for the whole ones."""
    utils = importlib.import_module("keras.src.utils.file_utils")
    monkeypatch.setattr(utils, "validate_file", lambda *args, **kwargs: True)
    monkeypatch.setattr(utils.config, "keras_home", lambda: str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "datasets").mkdir()
    return tmp_path / "datasets"


@pytest.mark.parametrize(("name", "calls"), CASES)
def test_a_data_set_is_the_same(name: str, calls, cache):
    write_files(name, cache)
    keras = importlib.import_module(f"keras.datasets.{name}")
    load = helper(f"load_{name}")
    for arguments in calls:
        for wanted, found in zip(sum(keras.load_data(**arguments), ()), sum(load(**arguments), ())):
            assert wanted.shape == found.shape and wanted.dtype == found.dtype
            np.testing.assert_array_equal(wanted, found)


@pytest.mark.parametrize("name", ["imdb", "reuters"])
def test_words_and_topics_are_the_same(name: str, cache):
    (cache / f"{name}_word_index.json").write_text(json.dumps({"the": 1, "of": 2}))
    keras = importlib.import_module(f"keras.datasets.{name}")
    assert helper(f"{name}_word_index")() == keras.get_word_index()
    if name == "reuters":
        assert helper("reuters_label_names")() == keras.get_label_names()


MODEL = """
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
"""


def converted(tmp_path, text: str, **options):
    path = tmp_path / "script.py"
    path.write_text("from tensorflow import keras\n" + text + MODEL)
    return convert_file(path, generation="keras3", **options)


def test_a_file_may_have_a_function_of_the_same_name(tmp_path):
    text = "def load_imdb(words):\n    return keras.datasets.imdb.load_data(num_words=words)\n\ndata = load_imdb(9)\n"
    (module,) = converted(tmp_path, text).modules
    assert "def load_imdb_(\n" in module.text
    assert "def load_imdb(words):\n    return load_imdb_(num_words=words)" in module.text


def test_arguments_that_are_not_translated_are_named(tmp_path):
    conversion = converted(tmp_path, "(x, y), test = keras.datasets.mnist.load_data(cache_dir='here')\n")
    (finding,) = [f for f in conversion.all_findings if f.severity.name == "ERROR"]
    assert finding.code == "K2T401" and "cache_dir" in finding.message


def test_a_file_is_fetched_to_the_same_place(tmp_path):
    import hashlib

    import keras

    for folder in ("there", "k", "t"):
        (tmp_path / folder).mkdir()
    (tmp_path / "there" / "words.txt").write_text("a b c")
    origin, wrong = (tmp_path / "there" / "words.txt").as_uri(), "0" * 32
    digest = hashlib.md5(b"a b c").hexdigest()
    get_file = helper("get_file")
    for given in (
        {"fname": "w.txt"},
        {"md5_hash": digest},
        {"fname": "x", "cache_subdir": "texts", "file_hash": digest},
    ):
        paths = [f(origin=origin, cache_dir=str(tmp_path / n), **given) for n, f in (("k", keras.utils.get_file), ("t", get_file))]  # fmt: skip
        contents = [open(path).read() for path in paths]  # noqa: SIM115
        assert contents == ["a b c"] * 2
        assert paths[0].removeprefix(str(tmp_path / "k")) == str(paths[1]).removeprefix(str(tmp_path / "t"))
    with pytest.raises(ValueError):
        get_file("w.txt", origin, md5_hash=wrong, cache_dir=str(tmp_path / "t"))
    conversion = converted(tmp_path, "path = keras.utils.get_file('a', 'https://b/c', untar=True)\n")
    assert any("untar" in f.message for f in conversion.all_findings)
