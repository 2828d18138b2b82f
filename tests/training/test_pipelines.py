"""What pipelines of tf.data become: the same samples and batches, or a reason."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from transpiler.pipeline import Conversion, convert_file

HEAD = """import numpy as np
import tensorflow as tf
from tensorflow import keras

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (7, 6, 5, 3)).astype("uint8")
labels = rng.integers(0, 4, 7)
numbers = rng.normal(size=(7, 4)).astype("float32")


def slices(*arrays):
    return arrays

"""
SOURCE = "tf.data.Dataset.from_tensor_slices"


def converted(text: str) -> Conversion:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.py"
        path.write_text(HEAD + text)
        return convert_file(path, generation="keras3")


def errors(conversion: Conversion) -> list[str]:
    return [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]


def both(text: str) -> tuple[list, list]:
    """What `data`, which the text makes, yields under TensorFlow and under torch."""
    conversion = converted(text)
    assert not errors(conversion)
    scopes: tuple[dict, dict] = {}, {}
    exec(HEAD + text, scopes[0])
    exec(conversion.modules[0].text, scopes[1])
    return tuple([flat(item) for item in scope["data"]] for scope in scopes)  # type: ignore[return-value]


def flat(item) -> list[np.ndarray]:
    return [a for part in item for a in flat(part)] if isinstance(item, (tuple, list)) else [np.asarray(item)]


def same(text: str) -> None:
    wanted, found = both(text)
    assert len(wanted) == len(found) > 0
    for this, other in zip(wanted, found):
        assert [a.shape for a in this] == [a.shape for a in other]
        for a, b in zip(this, other):
            np.testing.assert_allclose(b, a, rtol=2e-6, atol=1e-6)


FUNCTIONS = {
    "images": (
        "tf.cast(x, tf.float32) / 255.0",
        "tf.cast(x, 'float32') * (1.0 / 255) - 0.5",
        "x / 255",
        "tf.image.flip_left_right(x)",
        "tf.image.flip_up_down(x)",
        "tf.image.resize(x, (9, 4))",
        "tf.image.resize(x, [3, 8], method='bilinear')",
        "tf.image.per_image_standardization(x)",
        "tf.image.convert_image_dtype(x, tf.float32)",
        "tf.image.rgb_to_grayscale(tf.cast(x, tf.float32))",
        "tf.image.grayscale_to_rgb(x[..., :1])",
        "tf.transpose(x, [2, 0, 1])",
        "tf.reduce_mean(tf.cast(x, tf.float32), axis=-1, keepdims=True)",
        "tf.reduce_max(tf.cast(x, tf.float32))",
        "(tf.cast(x, tf.float32), tf.cast(x[0, 0] > 100, tf.float32))",
        "tf.image.adjust_brightness(tf.cast(x, tf.float32), 0.2)",
    ),
    "labels": ("tf.one_hot(x, 4)", "tf.one_hot(x, depth=5)", "tf.expand_dims(x, 0)", "-x", "keras.ops.one_hot(x, 4)"),
    "numbers": (
        "tf.reshape(x, (2, 2))",
        "tf.reshape(x, [-1, 1])",
        "tf.squeeze(tf.expand_dims(x, axis=-1), axis=-1)",
        "tf.clip_by_value(x, -0.5, 0.5)",
        "tf.exp(x) + tf.math.square(x) ** 2",
        "(x - numbers.mean(axis=0)) / numbers.std(axis=0)",
        "(x[:2], x[-1], tf.abs(x)[tf.newaxis])",
    ),
}


@pytest.mark.parametrize(("array", "text"), [(a, t) for a, texts in FUNCTIONS.items() for t in texts])
def test_a_function_of_map(array: str, text: str):
    same(f"data = {SOURCE}({array}).map(lambda x: {text})\n")


PIPELINES = (
    f"{SOURCE}(numbers).batch(3)",
    f"{SOURCE}(numbers).batch(3, drop_remainder=True).skip(1)",
    f"{SOURCE}((numbers, labels)).take(5).skip(1).batch(3).cache().prefetch(2)",
    f"{SOURCE}(((numbers, images), labels)).batch(4)",
    f"{SOURCE}([1.0, 2.0, 5.0]).batch(2)",
    f"{SOURCE}((numbers, labels)).batch(3).repeat(2).take(5)",
    f"{SOURCE}((numbers, labels)).batch(3).repeat().take(7)",
    f"{SOURCE}((numbers, labels)).batch(3).unbatch().batch(5)",
    f"tf.data.Dataset.zip(({SOURCE}(numbers), {SOURCE}(labels))).batch(2)",
    f"tf.data.Dataset.zip({SOURCE}(numbers).batch(3), {SOURCE}(labels).batch(2))",
    f"{SOURCE}((numbers, labels)).map(lambda x, y: (x * 2, y)).batch(3).map(lambda x, y: (y, x[:, 0])).take(-1)",
)


@pytest.mark.parametrize("text", PIPELINES)
def test_a_pipeline(text: str):
    same(f"data = {text}\n")


@pytest.mark.parametrize("repeat", ["repeat(3).batch(4)", "repeat().batch(4).take(6)"])
def test_batches_run_over_the_ends_of_repeated_samples(repeat: str):
    same(f"data = {SOURCE}((numbers, labels))\ndata = data.{repeat}\n")


def test_a_generator_starts_anew_in_every_pass():
    text = """
def samples(count):
    for i in range(count):
        yield numbers[i], labels[i]

data = tf.data.Dataset.from_generator(samples, args=(5,), output_types=(tf.float32, tf.int64), output_shapes=((4,), ()))
data = data.batch(2).map(lambda x, y: (x + 1, y)).repeat(2)
"""
    same(text)


def test_every_sample_comes_once_in_a_mixed_pass():
    text = f"data = {SOURCE}(labels * 10 + np.arange(7))\ndata = data.shuffle(7).repeat(2).batch(7)\n"
    wanted, found = both(text)
    for this, other in zip(wanted, found):
        assert Counter(this[0].tolist()) == Counter(other[0].tolist())


MAKER = f"""
def make(training, augment=False):
    ds = {SOURCE}((np.arange(500), np.arange(500)))
    if training:
        ds = ds.shuffle(500)
    if augment:
        ds = ds.map(lambda x, y: (x + 1, y))
    return ds.batch(250)

"""


def test_a_function_mixes_some_of_the_datasets_that_it_makes():
    """`if training: ds = ds.shuffle(…)`: each call of the function mixes what it mixed."""
    assert "shuffle=training" in converted(MAKER + "data = make(True), make(False)\n").modules[0].text
    same(MAKER + "mixed = make(True)\ndata = make(False)\n")
    same(MAKER + "data = make(False, augment=True)\nmixed = make(True, augment=True)\n")
    wanted, found = both(MAKER + "plain = make(False)\ndata = make(True)\n")
    for items in (wanted, found):
        first = items[0][0]
        assert len(set(first.tolist())) == 250 and (first != np.arange(250)).any()


def test_what_else_differs_from_call_to_call_is_declined():
    text = MAKER.replace("if training:", "if np.random.random() < training:") + "data = make(True), make(False)\n"
    assert any("is done to is not known" in m for m in errors(converted(text)))
    text = MAKER.replace("ds.shuffle(500)", "ds.repeat()") + "data = make(True), make(False)\n"
    assert any("differs from call to call" in m for m in errors(converted(text)))


def test_random_functions_draw_from_the_same_range():
    text = f"""
def augment(x):
    x = tf.cast(x, tf.float32)
    x = tf.image.random_brightness(x, 10.0)
    return tf.image.random_flip_left_right(x)

data = {SOURCE}(images[:1])
data = data.repeat(200).batch(200).map(augment)
"""
    wanted, found = both(text)
    for items in (wanted, found):
        pixels = items[0][0]
        shifts = pixels.mean(axis=(1, 2, 3)) - pixels.mean(axis=(1, 2, 3))[0]
        np.testing.assert_allclose(shifts, 0, atol=1e-3)  # one change of brightness for the whole batch
        flipped = (pixels[:, 0, 0] != pixels[0, 0, 0]).any(axis=-1).mean()
        assert 0.3 < flipped < 0.7


DECLINED = {
    f"{SOURCE}(images).map(lambda x: tf.image.random_hue(x, 0.1))": "tensorflow.image.random_hue() in a lambda",
    f"{SOURCE}(images).map(lambda x: tf.image.rgb_to_grayscale(x))": "that no cast makes one of floats",
    f"{SOURCE}(images).map(lambda x: tf.image.resize(x, (3, 3), method='area'))": "method",
    f"{SOURCE}(images).map(lambda x: tf.image.random_flip_left_right(x, seed=1))": "seed",
    f"{SOURCE}(images).map(lambda x: tf.image.random_flip_left_right(x)).cache()": "random numbers",
    f"{SOURCE}(images).map(tf.image.flip_left_right)": "anything but a function of the program",
    f"{SOURCE}(numbers).map(lambda x: model(x[None]))": "in a lambda",
    f"{SOURCE}({{'a': numbers}})": "dictionaries",
    f"{SOURCE}(slices(numbers, labels))": "not written out",
    f"{SOURCE}(numbers).shuffle(3).take(2)": "take() after shuffle()",
    f"{SOURCE}(numbers).window(2)": "window",
}


@pytest.mark.parametrize("text", DECLINED)
def test_a_pipeline_that_is_declined(text: str):
    (message,) = errors(converted(f"data = {text}\n"))
    assert DECLINED[text] in message


def test_a_function_that_is_used_elsewhere_is_declined():
    text = f"def half(x):\n    return tf.cast(x, tf.float32) / 2\n\ndata = {SOURCE}(images).map(half)\nprint(half(images))\n"
    assert any("used outside of map()" in m for m in errors(converted(text)))


def test_training_goes_with_its_pipeline():
    text = f"data = {SOURCE}((numbers, labels)).map(lambda x, y: (tf.sin(x), y)).batch(2)\nmodel.compile(loss='mse')\nmodel.fit(data)\n"
    found = errors(converted(text))
    assert len(found) == 3 and all("tensorflow.sin() in a lambda" in m for m in found)
