"""Fine-tuning: the head on a frozen base is trained, then the upper layers as well, then all but the normalizations."""

import numpy as np
from tensorflow import keras
from tensorflow.keras import layers

rng = np.random.default_rng(3)
y = np.arange(24) % 2
x = rng.normal(size=(24, 8, 8, 3)) * (0.5 + 0.5 * y[:, None, None, None])

images = keras.Input(shape=(8, 8, 3))
h = layers.Conv2D(8, 3, padding="same", use_bias=False)(images)
h = layers.BatchNormalization()(h)
h = layers.ReLU()(h)
for filters in (8, 12):
    h = layers.SeparableConv2D(filters, 3, padding="same", activation="tanh")(h)
    h = layers.BatchNormalization()(h)
h = layers.Conv2D(16, 3)(h)
h = layers.BatchNormalization()(h)
base_model = keras.Model(images, layers.ReLU()(h), name="base")
base_model.trainable = False

inputs = keras.Input(shape=(8, 8, 3))
h = base_model(inputs)
h = layers.GlobalAveragePooling2D()(h)
outputs = layers.Dense(1)(h)
model = keras.Model(inputs, outputs)

loss = keras.losses.BinaryCrossentropy(from_logits=True)
model.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])
history = model.fit(x, y, epochs=2, batch_size=8, verbose=0)
print(history.history["loss"])

base_model.trainable = True
for layer in base_model.layers[:5]:
    layer.trainable = False
model.compile(keras.optimizers.SGD(0.1), loss)
history = model.fit(x, y, epochs=2, batch_size=8, verbose=0)
print(history.history["loss"])

for layer in base_model.layers:
    if isinstance(layer, layers.BatchNormalization):
        layer.trainable = False
    else:
        layer.trainable = True
model.compile(keras.optimizers.SGD(0.1), loss)
history = model.fit(x, y, epochs=2, batch_size=8, verbose=0)
print(history.history["loss"])

for number, layer in enumerate(base_model.layers):
    layer.trainable = number > 7
model.compile(keras.optimizers.SGD(0.1), loss)
history = model.fit(x, y, epochs=2, batch_size=8, verbose=0)
print(history.history["loss"])
