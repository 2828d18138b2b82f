"""Names that only legacy Keras has: they say for which Keras a program is, and mean what they meant."""

from pathlib import Path

import pytest

from transpiler.ir.model import AUTO
from transpiler.pipeline import Conversion, convert_file

OLD = """
import numpy as np
from keras.models import Sequential
from keras.layers.core import Activation, Dense, Flatten
from keras.layers.convolutional import Convolution2D
from keras.layers.advanced_activations import LeakyReLU
from keras.layers.merge import concatenate
from keras.optimizers import SGD
from keras.utils import np_utils

x = np.load("x.npy")
y = np_utils.to_categorical(np.load("y.npy"), 3)
model = Sequential()
model.add(Convolution2D(4, 3, 3, border_mode="same", subsample=(2, 2), init="he_normal", input_shape=(8, 8, 3)))
model.add(LeakyReLU(alpha=0.1))
model.add(Flatten())
model.add(Dense(output_dim=3, activation="softmax"))
model.compile(loss="categorical_crossentropy", optimizer=SGD(lr=0.1), metrics=["accuracy"])
model.fit(x, y, nb_epoch=2)
print(model.predict_proba(x))
"""
NEW = """
import numpy as np
from keras.models import Sequential
from keras.layers import Activation, Dense, Flatten
from keras.layers import Conv2D
from keras.layers import LeakyReLU
from keras.layers import concatenate
from keras.optimizers import SGD
from keras.utils import to_categorical

x = np.load("x.npy")
y = to_categorical(np.load("y.npy"), 3)
model = Sequential()
model.add(Conv2D(4, 3, padding="same", strides=(2, 2), kernel_initializer="he_normal", input_shape=(8, 8, 3)))
model.add(LeakyReLU(alpha=0.1))
model.add(Flatten())
model.add(Dense(3, activation="softmax"))
model.compile(loss="categorical_crossentropy", optimizer=SGD(learning_rate=0.1), metrics=["accuracy"])
model.fit(x, y, epochs=2)
print(model.predict(x))
"""
SMALL = """
import numpy as np
from keras import Input, Sequential
from keras.layers import Dense

x = np.ones((2, 4))
model = Sequential([Input((4,)), Dense({units}, activation="sigmoid")])
"""
SAID = {
    "model.fit_generator(iter([(x, x)]), steps_per_epoch=1)": "fit_generator() of a model",
    "model.fit(x, x, nb_epoch=2)": "nb_epoch= of fit()",
    "model.reset_states()": "reset_states() of a model",
    "print(model.predict_classes(x))": "predict_classes() of a model",
    "from keras.optimizers import Adam\nopt = Adam(lr=0.1)": "lr= of an optimizer",
    "from keras.layers import Dropout\nlast = Dropout(p=0.1)": "p= of Dropout",
    "from keras.layers.core import Flatten": "keras.layers.core",
    "from keras.preprocessing.text import Tokenizer": "keras.preprocessing.text",
    "from keras import utils\nfrom keras.utils import np_utils": "keras.utils.np_utils",
    "import keras.objectives": "keras.objectives",
}
UNSAID = (
    "from keras.layers import LeakyReLU\nlast = LeakyReLU(alpha=0.1)",
    "from keras.optimizers.schedules import ExponentialDecay",
    "from keras.applications.resnet50 import preprocess_input",
    "from keras.datasets.mnist import load_data",
    "from keras.src.layers import Dense",
    "from tensorflow.keras.preprocessing.text import Tokenizer",
    "print(model.predict(x))",
)


def converted(text: str, folder: Path, generation: str = AUTO) -> Conversion:
    path = folder / "script.py"
    path.write_text(text, encoding="utf-8")
    return convert_file(path, generation=generation)


def test_old_names_mean_what_todays_mean_to_legacy_keras(tmp_path: Path):
    old, new = converted(OLD, tmp_path), converted(NEW, tmp_path, "tf_keras")
    assert not [f for f in old.all_findings if f.severity.name == "ERROR"]
    assert old.modules[0].text == new.modules[0].text
    assert old.assumptions == ["legacy Keras, as Keras 3 does not have keras.layers.core"]


@pytest.mark.parametrize("text", SAID)
def test_what_keras_3_does_not_have_says_that_it_is_legacy_keras(text: str, tmp_path: Path):
    assert converted(f"{SMALL.format(units=2)}{text}\n", tmp_path).assumptions == [
        f"legacy Keras, as Keras 3 does not have {SAID[text]}"
    ]


@pytest.mark.parametrize("text", UNSAID)
def test_what_both_have_says_nothing(text: str, tmp_path: Path):
    assert converted(f"{SMALL.format(units=2)}{text}\n", tmp_path).assumptions == []


def test_who_asks_for_keras_3_gets_it(tmp_path: Path):
    conversion = converted(OLD, tmp_path, "keras3")
    assert conversion.assumptions == [] and "keras.layers.core" in conversion.only_legacy


@pytest.mark.parametrize(
    ("units", "text"),
    ((3, "print(predict(model, x).argmax(axis=-1))"), (1, 'print((predict(model, x) > 0.5).astype("int32"))')),
)
def test_classes_are_the_likeliest_ones(units: int, text: str, tmp_path: Path):
    conversion = converted(f"{SMALL.format(units=units)}print(model.predict_classes(x))\n", tmp_path)
    assert text in conversion.modules[0].text.replace("'", '"')
