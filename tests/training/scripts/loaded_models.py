"""The best weights are kept in a file; then the model is loaded, copied from a file, and trained on."""

import os
import tempfile

import numpy as np
from tensorflow import keras
from tensorflow.keras import layers
from tensorflow.keras.models import load_model

FOLDER = tempfile.mkdtemp()
FINAL = os.path.join(FOLDER, "final.keras")


def build_model(units=8):
    inputs = keras.Input((5,))
    x = layers.Dense(units, activation="relu")(inputs)
    outputs = layers.Dense(3, activation="softmax")(x)
    return keras.Model(inputs, outputs)


def score(x, y):
    final = load_model(FINAL)
    return final.evaluate(x, y, verbose=0)


rng = np.random.default_rng(3)
x = rng.normal(size=(160, 5)).astype("float32")
y = (x[:, 0] + 0.4 * rng.normal(size=160) > 0).astype("int64") + (x[:, 1] > 0.5)

model = build_model(units=12)
model.compile(optimizer=keras.optimizers.Adam(0.05), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
saving = keras.callbacks.ModelCheckpoint("best.keras", monitor="val_loss", save_best_only=True)
history = model.fit(x, y, epochs=12, batch_size=16, validation_split=0.25, callbacks=[saving], verbose=0)
print(history.history["val_loss"])
print(model.evaluate(x, y, verbose=0))

model = load_model("best.keras")
print("best:", model.evaluate(x, y, verbose=0))
print(model.predict(x[:2], verbose=0).tolist())

model.compile(optimizer=keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.save(FINAL)
model.fit(x, y, epochs=2, batch_size=32, verbose=0)
print("on:", model.evaluate(x, y, verbose=0))

before = keras.models.load_model(FINAL, compile=False)
print("as it was:", before.predict(x[:2], verbose=0).tolist())
print("as it is:", model.predict(x[:2], verbose=0).tolist())
print("in a function:", score(x, y))
