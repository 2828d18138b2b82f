"""Losses that the program defines as classes, on weighted samples."""
import numpy as np
import tensorflow as tf
from tensorflow import keras


class Absolute(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return tf.abs(y_true - y_pred)


rng = np.random.default_rng(1)
x = rng.random((50, 6)).astype("float32")
y = rng.random((50, 1)).astype("float32")
sw = rng.random((50,)).astype("float32")

inputs = keras.Input(shape=(6,))
h = keras.layers.Dense(8, activation="relu")(inputs)
model = keras.Model(inputs, keras.layers.Dense(1)(h))
loss = Absolute()
model.compile(optimizer="adam", loss=loss)
history = model.fit(x, y, sample_weight=sw, epochs=3, batch_size=16, verbose=0)
print(history.history["loss"])
print(model.evaluate(x, y, verbose=0))
