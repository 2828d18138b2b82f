"""Losses that the program defines as classes, which give one number for a batch."""
import numpy as np
import tensorflow as tf
from tensorflow import keras


class DiceLoss(keras.losses.Loss):
    def __init__(self, smooth=1e-6):
        super().__init__()
        self.smooth = smooth

    def call(self, y_true, y_pred):
        intersection = tf.reduce_sum(y_true * y_pred)
        total = tf.reduce_sum(y_true) + tf.reduce_sum(y_pred)
        return 1 - (2.0 * intersection + self.smooth) / (total + self.smooth)


rng = np.random.default_rng(1)
x = rng.random((50, 6)).astype("float32")
truth = (x.sum(axis=1, keepdims=True) > 3).astype("float32")

inputs = keras.Input(shape=(6,))
h = keras.layers.Dense(8, activation="relu")(inputs)
model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(h))
model.compile(optimizer="adam", loss=DiceLoss(), metrics=["accuracy"])
history = model.fit(x, truth, epochs=3, batch_size=16, verbose=0)
print(history.history["loss"], history.history["accuracy"])
print(model.evaluate(x, truth, verbose=0))
