"""Callbacks of the program's own that act on every batch and change the learning rate."""

import numpy as np
from tensorflow import keras
from tensorflow.keras import backend as K
from tensorflow.keras import layers


class CyclicRate(keras.callbacks.Callback):
    """A learning rate that rises and falls."""

    def __init__(self, low, high, steps):
        super().__init__()
        self.low, self.high, self.steps = low, high, steps
        self.count = 0
        self.rates = []

    def rate(self):
        share = abs(self.count / self.steps % 2 - 1)
        return self.low + (self.high - self.low) * (1 - share)

    def on_train_begin(self, logs=None):
        self.model.optimizer.learning_rate = self.rate()

    def on_train_batch_end(self, batch, logs=None):
        self.count += 1
        self.rates.append(float(self.model.optimizer.learning_rate))
        self.model.optimizer.learning_rate.assign(self.rate())

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            self.high /= 2
            self.model.optimizer.learning_rate *= 0.5

    def on_train_end(self, logs):
        self.last = logs["val_loss"]


class BatchLosses(keras.callbacks.Callback):
    """The losses as they are after every batch."""

    def on_train_begin(self, logs={}):
        self.losses = []
        self.told = [len(logs)]

    def on_train_batch_end(self, batch, logs={}):
        self.losses.append((batch, logs.get("loss"), logs["mean_absolute_error"]))


rng = np.random.default_rng(5)
x = rng.normal(size=(50, 4)).astype("float32")
y = x.sum(axis=1, keepdims=True)
model = keras.Sequential([keras.Input((4,)), layers.Dense(6, activation="tanh"), layers.Dense(1)])
model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", metrics=["mean_absolute_error"])
cyclic = CyclicRate(0.001, 0.05, 5)
losses = BatchLosses()
history = model.fit(x, y, batch_size=16, epochs=4, validation_split=0.2, callbacks=[cyclic, losses], verbose=0)
print(history.history["loss"], history.history["val_loss"])
print(cyclic.rates, cyclic.last, losses.losses, losses.told)
print(float(K.get_value(model.optimizer.learning_rate)))
