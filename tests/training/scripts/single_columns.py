"""A curve through points: numbers without an axis of their own for a model that takes one."""
import numpy as np
from tensorflow import keras

rng = np.random.default_rng(5)
x = np.linspace(-1.0, 1.0, 48)
y = 2 * x**2 - 1 + 0.1 * rng.random(48)

model = keras.Sequential(
    [keras.Input(shape=(1,)), keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(1)]
)
model.compile(optimizer="adam", loss="mse")
history = model.fit(x, y, validation_data=(x[::3], y[::3]), epochs=3, batch_size=16, shuffle=False, verbose=0)
print(history.history["loss"], history.history["val_loss"])
print(model.evaluate(x[:24], y[:24], verbose=0))
print(model.predict(x[:4], verbose=0), model.predict(np.array([0.5]), verbose=0))
