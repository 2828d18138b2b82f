"""A table of measurements, read and trained on in a function: shapes, counts and loops over what only the file says."""

import io

import keras
import numpy as np
from keras import layers

TABLE = "\n".join(
    ",".join(f"{np.sin(7 * i + 3 * j):.4f}" for j in range(5)) + f",{i % 3}" for i in range(48)
)


def dense_block(x, units):
    x = layers.Dense(units, activation="relu")(x)
    return layers.BatchNormalization()(x)


def main():
    table = np.loadtxt(io.StringIO(TABLE), delimiter=",")
    x_train, labels = table[:, :-1].astype("float32"), table[:, -1].astype("int64")
    scale = []
    for column in x_train.T:
        scale.append(column.std())
    x_train = x_train / np.array(scale, dtype="float32")
    num_classes = int(np.max(labels)) + 1
    width = x_train.shape[1] * 2

    inputs = keras.Input(shape=(x_train.shape[1],))
    x = dense_block(inputs, width)
    x = dense_block(x, width + num_classes)
    outputs = layers.Dense(num_classes, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x_train, labels, batch_size=12, epochs=3, verbose=0)
    print(history.history["loss"], history.history["accuracy"])
    print("loss", float(model.evaluate(x_train, labels, verbose=0)[0]))


main()
