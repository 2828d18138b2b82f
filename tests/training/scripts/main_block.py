"""A script of which all that matters stands under `__name__ == "__main__"`."""

import keras
import numpy as np
from keras.layers import Dense
from keras.models import Sequential

EPOCHS = 3

if __name__ == "__main__":
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, 48)
    x = rng.normal(size=(48, 5)).astype("float32") + labels[:, None]
    y = keras.utils.to_categorical(labels, 3)

    # the model
    model = Sequential()
    model.add(Dense(8, input_shape=(5,), activation="relu"))
    units = 6
    for _ in range(2):
        model.add(Dense(units, activation="relu"))
    model.add(Dense(3, activation="softmax"))
    optimizer = keras.optimizers.SGD(learning_rate=0.1)
    model.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy"])

    # its training
    history = model.fit(x, y, epochs=EPOCHS, batch_size=16, validation_split=0.25, verbose=0)
    print(history.history["loss"], history.history["accuracy"])
    print(history.history["val_loss"], history.history["val_accuracy"])
    print("first:", model.predict(x, verbose=0)[0])
