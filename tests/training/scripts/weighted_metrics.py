"""A classifier of samples with weights, and metrics that take these into account."""

import numpy as np
from tensorflow import keras
from tensorflow.keras import layers

model = keras.Sequential([keras.Input((6,)), layers.Dense(5, activation="tanh"), layers.Dense(1, activation="sigmoid")])
model.compile("sgd", "binary_crossentropy", metrics=["accuracy"], weighted_metrics=["binary_accuracy", "mae"])
rng = np.random.default_rng(0)
x, y, weights = rng.normal(size=(40, 6)), rng.integers(0, 2, (40, 1)), rng.random(40)
h = model.fit(
    x[:30],
    y[:30],
    epochs=2,
    batch_size=8,
    sample_weight=weights[:30],
    validation_data=(x[30:], y[30:], weights[30:]),
    verbose=0,
)
for name in ("loss", "accuracy", "binary_accuracy", "mae", "val_loss", "val_binary_accuracy", "val_mae"):
    print(name, h.history[name])
print(model.evaluate(x, y, sample_weight=weights, verbose=0))
