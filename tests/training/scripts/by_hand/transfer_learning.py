"""A frozen base below a new head, then all of it with a smaller rate."""
import numpy as np
from tensorflow import keras
from tensorflow.keras import layers

rng = np.random.default_rng(5)
x_train = rng.normal(size=(64, 8, 8, 3)).astype("float32")
y_train = (x_train.mean(axis=(1, 2, 3)) > 0).astype("float32")


def make_base():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="relu")(inputs)
    x = layers.Conv2D(8, 3, activation="relu")(x)
    return keras.Model(inputs, x, name="base")


base_model = make_base()
base_model.trainable = False

inputs = keras.Input((8, 8, 3))
x = base_model(inputs, training=False)
x = layers.GlobalAveragePooling2D()(x)
x = layers.Dropout(0.2)(x)
outputs = layers.Dense(1)(x)
model = keras.Model(inputs, outputs)

model.compile(
    optimizer=keras.optimizers.Adam(0.01),
    loss=keras.losses.BinaryCrossentropy(from_logits=True),
    metrics=[keras.metrics.BinaryAccuracy()],
)
history = model.fit(x_train, y_train, epochs=3, verbose=0)
print(history.history["loss"])

base_model.trainable = True
model.compile(
    optimizer=keras.optimizers.Adam(1e-4),
    loss=keras.losses.BinaryCrossentropy(from_logits=True),
    metrics=[keras.metrics.BinaryAccuracy()],
)
history = model.fit(x_train, y_train, epochs=3, verbose=0)
print(history.history["loss"])
