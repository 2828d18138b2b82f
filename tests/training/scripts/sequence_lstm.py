"""An LSTM that is fed by a Sequence of batches."""

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers


class Batches(keras.utils.Sequence):
    """Random crops of a long series."""

    def __init__(self, series, labels, batch_size, **kwargs):
        super().__init__(**kwargs)
        self.series, self.labels, self.batch_size = series, labels, batch_size

    def __len__(self):
        return len(self.series) // self.batch_size

    def __getitem__(self, index):
        at = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return self.series[at], keras.utils.to_categorical(self.labels[at], 3)


def make_model():
    inputs = keras.Input((20, 4))
    x = layers.LSTM(8, return_sequences=True)(inputs)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


tf.random.set_seed(3)
rng = np.random.default_rng(3)
labels = rng.integers(0, 3, 60)
series = rng.normal(size=(60, 20, 4)) + labels[:, None, None]
train = Batches(series[:40], labels[:40], 8)
test = Batches(series[40:], labels[40:], 10)

model = make_model()
model.compile(keras.optimizers.Adam(0.01, clipnorm=1.0), loss="categorical_crossentropy", metrics=["acc"])
history = model.fit(train, epochs=3, validation_data=test, verbose=0)
print(history.history["loss"], history.history["val_acc"])
loss, accuracy = model.evaluate(test, verbose=0)
print(f"loss {loss:.5f} accuracy {accuracy:.3f}")
