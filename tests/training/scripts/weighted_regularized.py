"""A classifier with weights of classes, and regularizers."""

import numpy as np
from tensorflow import keras
from tensorflow.keras import layers, regularizers

WEIGHT_DECAY = 1e-3
inputs = keras.Input((10, 10, 3))
x = layers.Conv2D(6, 3, kernel_regularizer=regularizers.l2(WEIGHT_DECAY), activation="relu")(inputs)
x = layers.Conv2D(6, 3, kernel_regularizer=regularizers.l2(WEIGHT_DECAY), activation="relu")(x)
x = layers.GlobalAveragePooling2D()(x)
outputs = layers.Dense(4, activation="softmax", bias_regularizer=regularizers.l1_l2(0.1, 0.2))(x)
model = keras.Model(inputs, outputs)
model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
rng = np.random.default_rng(0)
x, y = rng.normal(size=(40, 10, 10, 3)), rng.integers(0, 4, (40, 1))
h = model.fit(x, y, epochs=2, class_weight={0: 1.0, 1: 3.0, 2: 0.5, 3: 1.0}, validation_split=0.2, verbose=0)
print(h.history["loss"], h.history["val_loss"], h.history["accuracy"])
