"""ImageDataGenerator: the same images from the same random numbers, files, and what is declined."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path

import numpy as np
import pytest

from transpiler.pipeline import Conversion, convert_file

HEAD = """import numpy as np
from tensorflow import keras
from tensorflow.keras.preprocessing.image import ImageDataGenerator

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (7, 8, 6, 3)).astype("uint8")
labels = rng.integers(0, 4, 7)
weights = rng.random(7)


def halved(image):
    return image / 2 - 1


"""


def converted(text: str) -> Conversion:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.py"
        path.write_text(HEAD + text)
        return convert_file(path, generation="keras3")


def errors(conversion: Conversion) -> list[str]:
    return [f.message for f in conversion.all_findings if f.severity.name == "ERROR"]


def both(text: str) -> tuple[dict, dict]:
    """The names of a script and of its result after they ran, from the same random numbers."""
    conversion = converted(text)
    assert not errors(conversion)
    scopes: tuple[dict, dict] = {}, {}
    np.random.seed(5)
    exec(HEAD + text, scopes[0])
    np.random.seed(5)
    exec(conversion.modules[0].text, scopes[1])
    return scopes


def same(text: str, tolerance: float = 1e-5) -> None:
    wanted, found = (scope["data"] for scope in both(text))
    assert len(wanted) == len(found) > 0
    for this, other in zip(wanted, found):
        this, other = (x if isinstance(x, tuple) else (x,) for x in (this, other))
        assert [(a.shape, a.dtype) for a in this] == [(a.shape, a.dtype) for a in other]
        for a, b in zip(this, other):
            np.testing.assert_allclose(b, a, rtol=tolerance, atol=tolerance * 255)


PLAIN = (
    "rescale=1.0 / 255",
    "rescale=1.0 / 255, horizontal_flip=True, vertical_flip=True",
    "samplewise_center=True, samplewise_std_normalization=True",
    "featurewise_center=True, featurewise_std_normalization=True, rescale=0.5",
    "featurewise_std_normalization=True",
    "preprocessing_function=halved, rescale=2",
    "channel_shift_range=30.0",
    "**dict(horizontal_flip=True, rescale=1 / 255)",
    "validation_split=0.3",
)
"""Options that need no library besides Keras."""
WARPED = (
    "rotation_range=40",
    "width_shift_range=0.3, height_shift_range=0.2, fill_mode='constant', cval=7.0",
    "width_shift_range=2, height_shift_range=[-1, 3], fill_mode='reflect'",
    "shear_range=30.0, zoom_range=0.4, fill_mode='wrap'",
    "zoom_range=[0.5, 2.5], rotation_range=90, fill_mode='reflect', horizontal_flip=True",
    "rotation_range=20, width_shift_range=0.2, shear_range=0.2, zoom_range=0.2, horizontal_flip=True, rescale=1 / 255",
)
FLOWS = """generator.fit(images)
flow = generator.flow(images, labels, batch_size=3, sample_weight=weights, seed=11)
data = [next(flow) for _ in range(5)] + [flow[i] for i in (1, 0, 2)]
data += [flow for flow, _ in zip(generator.flow(images, batch_size=4, shuffle=False), range(3))]
"""


@pytest.mark.parametrize("options", PLAIN)
def test_images_that_keep_their_place(options: str):
    same(f"generator = ImageDataGenerator({options})\n{FLOWS}")


@pytest.mark.parametrize("options", WARPED)
def test_images_that_are_moved(options: str):
    pytest.importorskip("scipy")
    module = importlib.import_module("keras.src.legacy.preprocessing.image")
    if not hasattr(module.scipy.ndimage, "interpolation"):  # which newer ones have no more
        module.scipy.ndimage.interpolation = module.scipy.ndimage
    same(f"generator = ImageDataGenerator({options})\n{FLOWS}")


@pytest.mark.parametrize("options", ["brightness_range=(0.5, 1.5)", "brightness_range=[0.2, 3.0], rescale=0.1"])
def test_images_in_another_light(options: str):
    pytest.importorskip("PIL")
    same(f"generator = ImageDataGenerator({options})\n{FLOWS}")
    same(f"images = images * 1.0 - 9\ngenerator = ImageDataGenerator({options})\n{FLOWS}")


def test_a_part_is_kept_for_validation():
    text = """generator = ImageDataGenerator(validation_split=0.4)
labels = labels * 0
data = list(zip(range(3), generator.flow(images, labels, subset="training", shuffle=False)))
data += list(zip(range(3), generator.flow(images, labels, subset="validation", shuffle=False)))
data = [batch for _, batch in data]
"""
    same(text)


def write_images(folder: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for name, count in (("cats", 5), ("dogs", 3), ("owls", 4)):
        (folder / name / "more").mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (9 + i, 8, 3)).astype("uint8")
            place = folder / name / ("more" if i == 2 else "") / f"image{i}.png"
            image.fromarray(pixels).save(place)
        (folder / name / "notes.txt").write_text("no image")


@pytest.mark.parametrize(
    "options",
    [
        "target_size=(8, 8), batch_size=5, shuffle=False",
        "target_size=(6, 7), class_mode='sparse', seed=3, interpolation='bilinear'",
        "target_size=(6, 7), classes=['dogs', 'cats'], class_mode='binary', color_mode='grayscale', batch_size=2",
        "target_size=(6, 7), class_mode=None, subset='validation', shuffle=False",
        "target_size=(6, 7), subset='training', shuffle=False",
    ],
)
def test_images_of_folders(options: str, tmp_path: Path):
    write_images(tmp_path)
    text = f"""generator = ImageDataGenerator(rescale=1 / 255, validation_split=0.34)
flow = generator.flow_from_directory({str(tmp_path)!r}, {options})
data = [next(flow) for _ in range(4)]
facts = [flow.samples, flow.n, flow.class_indices, list(flow.classes), flow.filenames, flow.num_classes, len(flow)]
"""
    same(text)
    wanted, found = both(text)
    assert wanted["facts"] == found["facts"]


DECLINED = {
    "generator = ImageDataGenerator(zca_whitening=True)": "zca_whitening",
    "generator = ImageDataGenerator(True)": "no names",
    "generator = ImageDataGenerator(fill_mode='mirror')": "fill_mode",
    "generator = ImageDataGenerator()\ngenerator.fit(images, augment=True)": "augment",
    "generator = ImageDataGenerator()\nflow = generator.flow(images, save_to_dir='here')": "save_to_dir",
    "generator = ImageDataGenerator()\nflow = generator.flow([images, images])": "several arrays",
    "generator = ImageDataGenerator()\nflow = generator.flow_from_dataframe(None)": "flow_from_dataframe",
    "generator = ImageDataGenerator()\nflow = generator.flow_from_directory('x', class_mode='input')": "class_mode",
}


@pytest.mark.parametrize("text", DECLINED)
def test_what_is_declined_is_named(text: str):
    assert any(DECLINED[text] in message for message in errors(converted(text + "\n")))


def test_arguments_that_say_the_default_are_left_out(tmp_path: Path):
    path = tmp_path / "script.py"
    path.write_text(
        """
import numpy as np
from tensorflow import keras
from tensorflow.keras.preprocessing.image import ImageDataGenerator

model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(1)])
x = np.ones((4, 8, 8, 3))
images = ImageDataGenerator(featurewise_center=False, zca_whitening=False, zca_epsilon=1e-06, rotation_range=0, shear_range=0.,
                            fill_mode='nearest', horizontal_flip=True, rescale=None, data_format=None, dtype=None)
print(images.flow(x))
""",
        encoding="utf-8",
    )
    conversion = convert_file(path, generation="keras3")
    assert not conversion.all_findings
    text = conversion.modules[0].text
    assert "images = ImageDataGenerator(horizontal_flip=True)" in text
    assert "def __init__(self, horizontal_flip=False)" in text


def test_a_generator_that_changes_nothing():
    same(
        "data = [b for b, _ in zip(ImageDataGenerator(horizontal_flip=False).flow(images, batch_size=3, shuffle=False), range(2))]\n"
    )
