"""Two heads that methods make, with a loss of each by name, on windows of a series that functions cut."""

import numpy as np
import tensorflow as tf
from tensorflow.keras.layers import *
from tensorflow.keras.models import Model


class Builder:
    def trunk(self, x, units):
        x = Conv1D(units, 3, padding="same", kernel_initializer=tf.keras.initializers.Constant(0.2))(x)
        x = Activation("relu")(x)
        return MaxPooling1D(2)(x)

    def level(self, x):
        x = Flatten()(self.trunk(x, 4))
        return Activation("linear", name="level")(Dense(1, kernel_initializer="ones")(x))

    def direction(self, x, classes=2):
        x = Flatten()(self.trunk(x, 3))
        x = Dense(classes, kernel_initializer="identity")(x)
        return Activation("softmax", name="direction")(x)

    def model(self, steps):
        inputs = Input((steps, 1))
        return Model(inputs, [self.level(inputs), self.direction(inputs)])


def windows(series, steps):
    x, y = [], []
    for i in range(len(series) - steps):
        x.append(series[i : i + steps])
        y.append(series[i + steps])
    return np.array(x)[..., None], np.array(y)


def dataset(x, level, rises):
    return tf.data.Dataset.from_tensor_slices((x, (level, rises))).batch(8)


def train(model, series, steps):
    x, y = windows(series, steps)
    rises = np.eye(2, dtype="float32")[(y > x[:, -1, 0]).astype(int)]
    level = y[:, None]
    model.compile(
        optimizer=tf.keras.optimizers.Adam(0.01),
        loss={"level": "mse", "direction": "categorical_crossentropy"},
        loss_weights={"level": 1.0, "direction": 0.5},
        metrics={"direction": "accuracy"},
    )
    data = dataset(x[:40], level[:40], rises[:40])
    held = dataset(x[40:], level[40:], rises[40:])
    history = model.fit(data, epochs=3, validation_data=held, verbose=0)
    for name in sorted(history.history):
        print(name, history.history[name])
    levels, directions = model.predict(x[40:], verbose=0)
    plot = np.empty_like(series)
    plot[:] = np.nan
    plot[40 + steps : 40 + steps + len(levels)] = levels[:, 0]
    print(np.nansum(plot), directions.mean(axis=0))


series = (np.sin(np.arange(60) / 3) + np.arange(60) / 30).astype("float32")
model = Builder().model(8)
train(model, series, 8)
