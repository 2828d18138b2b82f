"""A model that is built where it is trained, in a function of its sizes."""

import keras
import numpy as np
from keras import layers


def load(n=48):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(n, 6)).astype("float32")
    return x, x.sum(axis=1, keepdims=True)


def main(units=8, depth=2, learning_rate=0.05, epochs=3):
    x, y = load()
    hidden = units * 2
    inputs = keras.Input((6,))
    h = layers.Dense(hidden, activation="tanh")(inputs)
    for _ in range(depth):
        h = layers.Dense(units, activation="tanh")(h)
    model = keras.Model(inputs, layers.Dense(1)(h))
    model.compile(optimizer=keras.optimizers.SGD(learning_rate), loss="mse", metrics=["mae"])
    if np.isfinite(x).all():
        history = model.fit(x, y, epochs=epochs, batch_size=16, verbose=0)
    print(history.history["loss"], history.history["mae"])
    print(model.evaluate(x, y, verbose=0))
    return model


if __name__ == "__main__":
    trained = main()
    print(trained.predict(load(4)[0], verbose=0))
