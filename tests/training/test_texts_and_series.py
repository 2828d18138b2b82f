"""Functions of Keras on texts, sequences and images: the same values."""

from __future__ import annotations

import importlib
import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
from helpers_by_name import helper

from transpiler.pipeline import Conversion, convert_file

TEXTS = ["The cat sat on the mat.", "the dog; the DOG & a cat", "", "a bird on a tree\tand a b", "İstanbul tree"]
NEW = ["a cat and an owl", "", "the the mat"]
text = importlib.import_module("keras.src.legacy.preprocessing.text")
sequence = importlib.import_module("keras.src.legacy.preprocessing.sequence")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_words": 5},
        {"num_words": 4, "oov_token": "<unk>"},
        {"oov_token": "<unk>", "lower": False, "filters": "."},
        {"char_level": True, "num_words": 9},
        {"split": "a", "analyzer": None},
        {"analyzer": lambda given: given.split("t")},
    ],
)
def test_a_tokenizer(options):
    wanted, found = text.Tokenizer(**options), helper("Tokenizer")(**options)
    for texts in (TEXTS, NEW, [["a", "List", "the"]]):
        wanted.fit_on_texts(texts)
        found.fit_on_texts(texts)
    for name in ("word_index", "index_word", "word_counts", "word_docs", "index_docs", "document_count"):
        assert getattr(wanted, name) == getattr(found, name), name
    numbers = wanted.texts_to_sequences([*NEW, *TEXTS])
    assert found.texts_to_sequences([*NEW, *TEXTS]) == numbers
    assert found.sequences_to_texts([*numbers, [1, 99]]) == wanted.sequences_to_texts([*numbers, [1, 99]])
    for mode in ("binary", "count", "freq", "tfidf"):
        np.testing.assert_allclose(found.texts_to_matrix(NEW, mode), wanted.texts_to_matrix(NEW, mode), rtol=1e-14)


@pytest.mark.parametrize("given", TEXTS)
def test_words_and_their_hashes(given: str):
    assert helper("text_to_word_sequence")(given) == text.text_to_word_sequence(given)
    assert helper("text_to_word_sequence")(given, "t", False, "a") == text.text_to_word_sequence(given, "t", False, "a")
    assert helper("hashing_trick")(given, 50, "md5") == text.hashing_trick(given, 50, "md5")
    assert helper("hashing_trick")(given, 50) == text.hashing_trick(given, 50)
    assert helper("hash_words")(given, 7, lower=False) == text.one_hot(given, 7, lower=False)


@pytest.mark.parametrize(
    "options",
    [
        {"length": 4},
        {"length": 6, "sampling_rate": 2, "stride": 3, "batch_size": 2},
        {"length": 3, "start_index": 4, "end_index": 15, "batch_size": 5, "reverse": True},
        {"length": 3, "batch_size": 4, "shuffle": True},
    ],
)
def test_windows_of_a_series(options):
    data, targets = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20)
    wanted, found = sequence.TimeseriesGenerator(data, targets, **options), helper("TimeseriesGenerator")(
        data, targets, **options
    )
    assert len(wanted) == len(found) > 0
    for i in range(len(wanted)):
        np.random.seed(i)
        this = wanted[i]
        np.random.seed(i)
        for a, b in zip(this, found[i]):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "options", [{}, {"negative_samples": 0.5, "categorical": True}, {"seed": 3, "window_size": 1}, {"shuffle": False}]
)
def test_skip_grams(options):
    table = sequence.make_sampling_table(30, 0.1)
    np.testing.assert_array_equal(helper("make_sampling_table")(30, 0.1), table)
    words = [3, 0, 7, 12, 29, 7, 1, 5]
    for sampling in (None, table):
        random.seed(1)
        wanted = sequence.skipgrams(words, 30, sampling_table=sampling, **options)
        random.seed(1)
        assert helper("skipgrams")(words, 30, sampling_table=sampling, **options) == wanted


@pytest.mark.parametrize("options", [{}, {"order": 1}, {"axis": 1, "order": np.inf}])
def test_normalize(options):
    keras = importlib.import_module("keras.utils")
    x = np.random.default_rng(0).normal(size=(3, 4, 2))
    x[0] = 0
    np.testing.assert_array_equal(helper("normalize")(x, **options), keras.normalize(x, **options))


@pytest.mark.parametrize(
    "options",
    [
        "sequence_length=4",
        "sequence_length=3, sampling_rate=2, sequence_stride=3, batch_size=2",
        "sequence_length=3, start_index=4, end_index=15, batch_size=5",
    ],
)
@pytest.mark.parametrize("targets", ["targets", "None", "targets[:16]"])
def test_a_dataset_of_windows(options: str, targets: str):
    same(f"data = keras.utils.timeseries_dataset_from_array(series, {targets}, {options})\n")


HEAD = """import numpy as np
from tensorflow import keras
from tensorflow.keras.preprocessing import image_dataset_from_directory

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
series, targets = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20)
"""


def converted(script: str) -> Conversion:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.py"
        path.write_text(HEAD + script)
        return convert_file(path, generation="keras3")


def errors(conversion: Conversion) -> list[str]:
    return [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]


def same(script: str) -> tuple[dict, dict]:
    conversion = converted(script)
    assert not errors(conversion)
    scopes: tuple[dict, dict] = {}, {}
    exec(HEAD + script, scopes[0])
    exec(conversion.modules[0].text, scopes[1])
    wanted, found = (
        [[np.asarray(p) for p in (item if isinstance(item, (tuple, list)) else [item])] for item in scope["data"]]
        for scope in scopes
    )
    assert len(wanted) == len(found) > 0
    for this, other in zip(wanted, found):
        assert [a.shape for a in this] == [a.shape for a in other]
        for a, b in zip(this, other):
            np.testing.assert_allclose(b, a, rtol=1e-6, atol=1e-4)
    return scopes


def write_images(folder: Path, mode: str = "RGB") -> None:
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for name, count in (("cats", 5), ("dogs", 6), (".hidden", 1)):
        (folder / name / "more").mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (9 + i, 8, 3)).astype("uint8")
            place = folder / name / ("more" if i == 2 else "") / f"image{i}.png"
            image.fromarray(pixels).convert(mode).save(place)
        (folder / name / "notes.txt").write_text("no image")


FOLDERS = (
    "shuffle=False, image_size=(8, 8)",
    "shuffle=False, image_size=(6, 11), batch_size=4, label_mode='binary'",
    "shuffle=False, image_size=(6, 7), label_mode='categorical', class_names=['dogs', 'cats']",
    "shuffle=False, image_size=6, label_mode=None",
    "shuffle=False, image_size=(6, 7), labels=None",
    "shuffle=False, image_size=(6, 7), labels=[3, 1, 2, 3, 1, 0, 0, 1, 2, 3, 1, 0]",
    "shuffle=False, image_size=(6, 7), validation_split=0.3, subset='training'",
    "image_size=(6, 7), validation_split=0.3, subset='validation', seed=9, batch_size=1, shuffle=False",
)


@pytest.mark.parametrize("options", FOLDERS)
def test_a_folder_of_images(options: str, tmp_path: Path):
    write_images(tmp_path)
    scopes = same(
        f"data = keras.utils.image_dataset_from_directory({str(tmp_path)!r}, {options})\nnames = data.class_names\n"
    )
    assert scopes[0]["names"] == scopes[1]["names"]


def test_a_folder_of_grey_images(tmp_path: Path):
    write_images(tmp_path, "L")
    same(
        f"data = image_dataset_from_directory({str(tmp_path)!r}, color_mode='grayscale', shuffle=False, image_size=(5, 6))\n"
    )
    same(f"data = image_dataset_from_directory({str(tmp_path)!r}, shuffle=False, image_size=(5, 6))\n")


def test_a_split_of_mixed_images_has_the_samples_of_keras(tmp_path: Path):
    write_images(tmp_path)
    script = f"""options = dict(validation_split=0.4, seed=4, image_size=(6, 6), batch_size=3)
train = image_dataset_from_directory({str(tmp_path)!r}, subset="training", validation_split=0.4, seed=4, image_size=(6, 6))
train = train.cache().shuffle(100).prefetch(1)
one, two = image_dataset_from_directory({str(tmp_path)!r}, subset="both", validation_split=0.4, seed=4, image_size=(6, 6))
paths = one.file_paths, two.file_paths
data = two
"""
    scopes = same(script)
    assert scopes[0]["paths"] == scopes[1]["paths"]
    sums = [
        sorted(round(float(x), 2) for batch, _ in s["train"] for x in np.asarray(batch).sum((1, 2, 3))) for s in scopes
    ]
    np.testing.assert_allclose(sums[0], sums[1], rtol=1e-6)


def test_images_and_arrays(tmp_path: Path):
    write_images(tmp_path)
    keras = importlib.import_module("keras.utils")
    path = str(tmp_path / "cats" / "image0.png")
    for options in (
        {},
        {"color_mode": "grayscale"},
        {"target_size": (5, 4), "interpolation": "bicubic"},
        {"color_mode": "rgba"},
    ):
        wanted = keras.img_to_array(keras.load_img(path, **options))
        found = helper("img_to_array")(helper("load_img")(path, **options))
        np.testing.assert_array_equal(found, wanted)
        for scale in (True, False):
            images = [np.asarray(f(wanted, scale=scale)) for f in (helper("array_to_img"), keras.array_to_img)]
            np.testing.assert_array_equal(*images)
    helper("save_img")(str(tmp_path / "saved.png"), wanted, scale=False)
    np.testing.assert_array_equal(keras.img_to_array(keras.load_img(tmp_path / "saved.png", color_mode="rgba")), wanted)


DECLINED = {
    "from keras.preprocessing.text import Tokenizer\nt = Tokenizer()\nprint(t.to_json())\n": "to_json()",
    "from keras.preprocessing.text import Tokenizer\nt = Tokenizer(nb_words=3)\n": "nb_words",
    "data = image_dataset_from_directory('x', interpolation='area')\n": "interpolation",
    "data = image_dataset_from_directory('x', batch_size=None)\n": "batch_size=None",
    "data = image_dataset_from_directory('x', crop_to_aspect_ratio=True)\n": "",
    "data = keras.utils.timeseries_dataset_from_array(series, None, 3).shuffle(2)\n": "shuffle() of batches",
}


@pytest.mark.parametrize("script", DECLINED)
def test_what_is_declined_is_named(script: str):
    found = errors(converted(script))
    assert found and any(DECLINED[script] in message for message in found)
