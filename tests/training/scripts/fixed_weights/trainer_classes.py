"""A project in classes: one builds and compiles the model, another one trains it with the callbacks that it gathers."""

import argparse
import os

import numpy as np
from keras.callbacks import EarlyStopping, ModelCheckpoint
from keras.layers import Dense, Input
from keras.models import Sequential
from keras.optimizers import Adam


class Base:
    def __init__(self, config):
        self.config = config
        self.model = None

    def load(self, path):
        self.model.load_weights(path)


class Regressor(Base):
    def __init__(self, config, features):
        super().__init__(config)
        self.rate = config["rate"]
        self.features = features
        self.build()

    def build(self):
        self.model = Sequential()
        self.model.add(Input((self.features,)))
        self.model.add(Dense(self.config["units"], activation="tanh", kernel_initializer="identity"))
        self.model.add(Dense(1, kernel_initializer="ones"))
        self.model.compile(loss="mse", optimizer=Adam(self.rate), metrics=["mae"])


class Trainer:
    def __init__(self, model, data, config):
        self.model, self.data, self.config = model, data, config
        self.callbacks = []
        self.losses = []
        self.gather()

    def gather(self):
        path = os.path.join(self.config["folder"], "best.weights.h5")
        self.callbacks.append(ModelCheckpoint(path, monitor="val_loss", save_best_only=True, save_weights_only=True))
        self.callbacks.append(EarlyStopping(monitor="val_mae", mode="min", patience=2))

    def train(self, x_val, y_val):
        history = self.model.fit(
            self.data[0],
            self.data[1],
            epochs=self.config["epochs"],
            batch_size=self.config["batch_size"],
            validation_data=(x_val, y_val),
            callbacks=self.callbacks,
            shuffle=False,
            verbose=0,
        )
        self.losses.extend(history.history["loss"])
        return history.history["val_mae"]


class Net:
    """A model and what is done with it, in one class."""

    def __init__(self, features, hidden=(4, 3), rate=0.01):
        self.hidden, self.rate, self.features = hidden, rate, features
        self.model = self.build()

    def build(self):
        model = Sequential([Input((self.features,))])
        for units in self.hidden:
            model.add(Dense(units, activation="relu", kernel_initializer="ones"))
        model.add(Dense(1, kernel_initializer="ones"))
        model.compile(optimizer=Adam(learning_rate=self.rate * 2), loss="mse")
        return model

    def fit(self, x, y, epochs):
        return self.model.fit(x, y, epochs=epochs, batch_size=10, shuffle=False, verbose=0)

    def predict(self, x):
        return self.model.predict(x, verbose=0).flatten()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=0.05)
    args = parser.parse_args([])
    config = {"rate": args.rate, "units": 3, "epochs": 6, "batch_size": 10, "folder": "."}
    x = np.random.default_rng(0).random((50, 5)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    regressor = Regressor(config, x.shape[1])
    trainer = Trainer(regressor.model, (x[:40], y[:40]), config)
    print(trainer.train(x[40:], y[40:]))
    print(trainer.losses)
    regressor.load("best.weights.h5")
    print(regressor.model.evaluate(x, y, verbose=0))
    net = Net(x.shape[1], rate=args.rate)
    print(net.fit(x, y, 2).history["loss"], net.fit(x, y, 1).history["loss"])
    print(net.predict(x[:3]))


if __name__ == "__main__":
    main()
