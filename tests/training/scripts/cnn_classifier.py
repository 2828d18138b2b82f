"""A small convolutional classifier."""

import keras
import numpy as np
from keras import layers

num_classes = 3
rng = np.random.default_rng(1)
labels = rng.integers(0, num_classes, 96)
images = rng.normal(size=(96, 12, 12, 1)) + labels[:, None, None, None]
images = (images - images.mean()) / images.std()
x_train, x_test = images[:72].astype("float32"), images[72:].astype("float32")
y_train = keras.utils.to_categorical(labels[:72], num_classes)
y_test = keras.utils.to_categorical(labels[72:], num_classes)

model = keras.Sequential(
    [
        keras.Input(shape=(12, 12, 1)),
        layers.Conv2D(8, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(16, 3, activation="relu"),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(num_classes, activation="softmax"),
    ]
)
batch_size = 8
epochs = 3
schedule = keras.optimizers.schedules.ExponentialDecay(0.005, decay_steps=5, decay_rate=0.9)
model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.Adam(schedule), metrics=["accuracy"])
history = model.fit(x_train, y_train, batch_size=batch_size, epochs=epochs, validation_split=0.1, verbose=0)
print(history.history["loss"], history.history["accuracy"])
print(history.history["val_loss"], history.history["val_accuracy"])

score = model.evaluate(x_test, y_test, verbose=0)
print("Test loss:", float(score[0]))
print("Test accuracy:", float(score[1]))
