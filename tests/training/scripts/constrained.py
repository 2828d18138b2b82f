"""A classifier whose weights are kept within bounds."""

import numpy as np
from tensorflow import keras
from tensorflow.keras import constraints, layers, regularizers

model = keras.Sequential(
    [
        keras.Input((8, 8, 3)),
        layers.Conv2D(4, 3, kernel_constraint=constraints.MaxNorm(0.5, axis=[0, 1, 2]), bias_constraint="non_neg"),
        layers.Reshape((-1, 4)),
        layers.LSTM(6, kernel_constraint=constraints.UnitNorm(), recurrent_constraint=constraints.MinMaxNorm(0.5, 1.0)),
        layers.Dense(5, activation="relu", kernel_regularizer=regularizers.L1(0.01)),
        layers.Dense(
            3,
            activation="softmax",
            kernel_constraint=constraints.MinMaxNorm(0.2, 0.8, rate=0.5, axis=1),
            kernel_regularizer=regularizers.L2(0.1),
        ),
    ]
)
model.compile(keras.optimizers.SGD(0.5), "categorical_crossentropy", metrics=["accuracy"])
rng = np.random.default_rng(0)
x, y = rng.normal(size=(40, 8, 8, 3)), np.eye(3)[rng.integers(0, 3, 40)]
h = model.fit(x, y, epochs=2, batch_size=8, verbose=0)
print(h.history["loss"], h.history["accuracy"])
