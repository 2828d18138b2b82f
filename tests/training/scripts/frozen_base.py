"""A frozen base with batch normalization under a new head."""

import numpy as np
from tensorflow import keras
from tensorflow.keras import layers

rng = np.random.default_rng(3)
labels = rng.integers(0, 2, 40)
x = rng.normal(size=(40, 6, 6, 2)).astype("float32") + labels[:, None, None, None]
y = labels.astype("float32")

inputs = keras.Input((6, 6, 2))
h = layers.Conv2D(4, 3, padding="same")(inputs)
h = layers.BatchNormalization()(h)
h = layers.ReLU()(h)
base = keras.Model(inputs, h, name="base")
base.trainable = False

image = keras.Input((6, 6, 2))
h = base(image, training=False)
h = layers.GlobalAveragePooling2D()(h)
outputs = layers.Dense(1, activation="sigmoid")(h)
model = keras.Model(image, outputs)
model.compile(optimizer=keras.optimizers.SGD(0.1), loss="binary_crossentropy", metrics=["accuracy"])
history = model.fit(x, y, epochs=2, batch_size=8, verbose=0)
print(history.history["loss"], history.history["accuracy"])

base.trainable = True
model.compile(optimizer=keras.optimizers.SGD(0.01), loss="binary_crossentropy", metrics=["accuracy"])
history = model.fit(x, y, epochs=2, batch_size=8, verbose=0)
print(history.history["loss"])
print(model.evaluate(x, y, verbose=0))
