"""Recurrent layers, one of which has a parameter in torch that never learns, and gradients that are scaled in a list."""
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers
rng = np.random.RandomState(0)
x = rng.normal(size=(48, 5, 6)).astype("float32")
y = (rng.normal(size=(48, 2)) * 5).astype("float32")
model = keras.Sequential([keras.Input((5, 6)), layers.LSTM(8, return_sequences=True), layers.GRU(4), layers.Dense(2)])
opt = keras.optimizers.SGD(0.1)
mse = keras.losses.MeanSquaredError()
for epoch in range(3):
    for i in range(0, 48, 16):
        xb, yb = x[i:i + 16], y[i:i + 16]
        with tf.GradientTape() as tape:
            out = model(xb, training=True)
            loss = mse(yb, out)
        grads = tape.gradient(loss, model.trainable_variables)
        grads = [g * 0.5 for g in grads]
        opt.apply_gradients(zip(grads, model.trainable_variables))
        print(epoch, float(loss))
