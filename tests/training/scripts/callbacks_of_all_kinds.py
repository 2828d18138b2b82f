"""Callbacks of all kinds."""

import numpy as np
from tensorflow import keras
from tensorflow.keras import layers
from tensorflow.keras.callbacks import Callback, CSVLogger, LambdaCallback, LearningRateScheduler, TerminateOnNaN


def step_decay(epoch):
    return 0.01 if epoch < 2 else 0.01 * 0.5 ** (epoch - 1)


class Best(Callback):
    """Remembers the best loss, and stops when it is good enough."""

    def __init__(self, goal):
        super().__init__()
        self.goal = goal
        self.best = float("inf")
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        self.best = min(self.best, logs.get("val_loss"))
        self.seen.append(float(self.model.predict(np.ones((1, 4)), verbose=0)[0, 0]))
        if self.best < self.goal:
            self.model.stop_training = True


inputs = keras.Input((4,))
model = keras.Model(inputs, layers.Dense(1)(layers.Dense(8, activation="relu")(inputs)))
model.compile("rmsprop" if False else "adam", loss="mae")
rng = np.random.default_rng(2)
x = rng.normal(size=(80, 4))
y = x.sum(axis=1, keepdims=True)
best = Best(0.75)
seen = []
callbacks = [
    LearningRateScheduler(step_decay),
    best,
    LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["loss"])),
    CSVLogger("log.csv"),
    TerminateOnNaN(),
]
history = model.fit(x, y, epochs=12, batch_size=8, validation_data=(x[:20], y[:20]), callbacks=callbacks, verbose=0)
print(float(len(seen)), best.best, best.seen, [float(v) for v in seen])
print(open("log.csv").read()[-50:])
