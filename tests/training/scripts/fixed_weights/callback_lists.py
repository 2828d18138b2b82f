"""Callbacks in a list that is made step by step, arguments of `fit` in a dictionary, and what is read of the training."""

import numpy as np
from tensorflow import keras
from tensorflow.keras import layers
from tensorflow.keras.callbacks import EarlyStopping, ReduceLROnPlateau

stops = True
logs = False
x = np.random.default_rng(0).random((20, 12)).astype("float32")
y = x.sum(1)
model = keras.Sequential(
    [
        keras.Input((12,)),
        layers.Dense(4, activation="relu", kernel_initializer="identity"),
        layers.Dense(1, kernel_initializer="ones"),
    ]
)
model.compile("adam", loss="mse", metrics=["mae"])
callbacks = []
if stops:
    callbacks.append(EarlyStopping(monitor="loss", patience=2, min_delta=0.5))
if logs:
    callbacks.append(keras.callbacks.CSVLogger("log.csv"))
callbacks.append(ReduceLROnPlateau(monitor="loss", patience=1, factor=0.5, min_delta=1.0))
callbacks += [keras.callbacks.TerminateOnNaN()]
settings = dict(batch_size=5, epochs=8, shuffle=False, verbose=0)
history = model.fit(x, y, callbacks=callbacks, **settings)
print(history.history["loss"], history.history["mae"])
print([float(e) for e in history.epoch], len(model.metrics_names) * 1.0)
