"""A class that trains its model batch by batch."""

import numpy as np
from keras.layers import Dense, Input
from keras.models import Sequential
from keras.optimizers import Adam


def build():
    model = Sequential()
    model.add(Input((5,)))
    model.add(Dense(16, activation="relu"))
    model.add(Dense(1, activation="sigmoid"))
    return model


class Trainer:
    def __init__(self):
        self.model = build()
        self.model.compile(loss="binary_crossentropy", optimizer=Adam(0.002, 0.5), metrics=["accuracy"])

    def train(self, epochs, batch_size=16):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(64, 5))
        y = (x[:, :1] > 0).astype("float32")
        for epoch in range(epochs):
            idx = np.arange(batch_size) + epoch
            loss = self.model.train_on_batch(x[idx], y[idx])
            print("%d [loss: %f, acc.: %.2f%%]" % (epoch, loss[0], 100 * loss[1]))
        print(self.model.predict(x[:2]))


if __name__ == "__main__":
    Trainer().train(5)
