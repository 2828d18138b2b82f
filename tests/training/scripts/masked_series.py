"""Series of other lengths, filled up with a value that is masked: errors of every step that counts."""
import numpy as np
from tensorflow import keras
from tensorflow.keras import layers

inputs = keras.Input((6, 3))
x = layers.Masking(mask_value=-1.0)(inputs)
x = layers.GRU(4, return_sequences=True)(x)
x = layers.Dropout(0.2)(x)
outputs = layers.Dense(1)(x)
model = keras.Model(inputs, outputs)
model.compile(optimizer="adam", loss="mse", metrics=["mae"])

rng = np.random.default_rng(1)
x = rng.random((50, 6, 3)).astype("float32")
for i, series in enumerate(x):
    series[i % 7 :] = -1.0
y = rng.random((50, 6, 1)).astype("float32")
history = model.fit(x, y, epochs=3, batch_size=16, verbose=0)
print(history.history["loss"], history.history["mae"])
print(model.evaluate(x, y, verbose=0))
