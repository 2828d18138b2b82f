"""Functions of Keras on data, which become functions on numpy arrays that the result brings along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Utility:
    """A function: its names, and the helper with the same arguments or a function of torch."""

    names: tuple[str, ...]
    helper: str = ""
    drops: bool = False
    """Whether it is a base of classes that need none."""
    function: str = ""
    libraries: Mapping[str, str] = field(default_factory=dict)
    """Names of the function that come from libraries → their modules."""
    signature: str | None = None
    """The arguments that are translated, where the function of Keras has others."""
    layout: bool = False
    """Whether what it returns depends on the order of the axes of images."""


WORDS = "num_words=None, skip_top=0, maxlen=None"
MARKS = "start_char=1, oov_char=2, index_from=3"


def data_set(name: str, signature: str = "", layout: bool = False) -> Utility:
    """`load_data` of a data set of Keras."""
    return Utility((f"keras.datasets.{name}.load_data",), f"load_{name}", signature=signature, layout=layout)


def of_images(name: str, signature: str) -> Utility:
    """A function on images and their files."""
    return Utility((f"keras.utils.{name}", f"keras.preprocessing.image.{name}"), name, signature=signature, layout=True)


ALL = (
    Utility(("keras.utils.to_categorical",), "to_categorical"),
    Utility(
        (
            "keras.utils.pad_sequences",
            "keras.preprocessing.sequence.pad_sequences",
        ),
        "pad_sequences",
    ),
    Utility(
        ("keras.utils.get_file", "keras.utils.data_utils.get_file"),
        "get_file",
        signature="fname=None, origin=None, *, md5_hash=None, file_hash=None, cache_subdir='datasets', cache_dir=None",
    ),
    data_set("mnist", "path='mnist.npz'"),
    data_set("fashion_mnist"),
    data_set("cifar10", layout=True),
    data_set("cifar100", "label_mode='fine'", layout=True),
    data_set("imdb", f"path='imdb.npz', {WORDS}, seed=113, {MARKS}"),
    data_set("reuters", f"path='reuters.npz', {WORDS}, test_split=0.2, seed=113, {MARKS}"),
    data_set("boston_housing", "path='boston_housing.npz', test_split=0.2, seed=113"),
    data_set("california_housing", "version='large', path='california_housing.npz', test_split=0.2, seed=113"),
    Utility(("keras.datasets.imdb.get_word_index",), "imdb_word_index", signature="path='imdb_word_index.json'"),
    Utility(
        ("keras.datasets.reuters.get_word_index",), "reuters_word_index", signature="path='reuters_word_index.json'"
    ),
    Utility(("keras.datasets.reuters.get_label_names",), "reuters_label_names"),
    Utility(
        ("keras.preprocessing.text.Tokenizer",),
        "Tokenizer",
        signature="num_words=None, filters='', lower=True, split=' ', char_level=False, oov_token=None, analyzer=None",
    ),
    Utility(("keras.preprocessing.text.text_to_word_sequence",), "text_to_word_sequence"),
    Utility(("keras.preprocessing.text.hashing_trick",), "hashing_trick"),
    Utility(("keras.preprocessing.text.one_hot",), "hash_words"),
    Utility(
        ("keras.preprocessing.sequence.TimeseriesGenerator",),
        "TimeseriesGenerator",
        signature="data, targets, length, sampling_rate=1, stride=1, start_index=0, end_index=None, shuffle=False, "
        "reverse=False, batch_size=128",
    ),
    Utility(("keras.preprocessing.sequence.skipgrams",), "skipgrams"),
    Utility(("keras.preprocessing.sequence.make_sampling_table",), "make_sampling_table"),
    Utility(("keras.utils.normalize",), "normalize"),
    of_images("load_img", "path, color_mode='rgb', target_size=None, interpolation='nearest'"),
    of_images("img_to_array", "img, dtype='float32'"),
    of_images("array_to_img", "x, scale=True"),
    of_images("save_img", "path, x, file_format=None, scale=True"),
    Utility(("keras.preprocessing.image.ImageDataGenerator",), function="ImageDataGenerator"),
    Utility(("tensorflow.random.set_seed", "tensorflow.set_random_seed"), function="torch.manual_seed"),
    Utility(("keras.utils.set_random_seed",), "set_random_seed"),
    Utility(("keras.callbacks.Callback",), drops=True),
    Utility(
        ("keras.utils.Sequence", "keras.utils.PyDataset"),
        function="Dataset",
        libraries={"Dataset": "torch.utils.data"},
    ),
)
UTILITIES = {name: utility for utility in ALL for name in utility.names}
"""Every function by the names that it has today."""
