"""A loop that calls its model where it needs the outputs, in the loss and in a metric."""
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers
rng = np.random.RandomState(0)
x = rng.normal(size=(64, 6)).astype("float32")
y = (x[:, :1] * 2 + 1).astype("float32")
model = keras.Sequential([keras.Input((6,)), layers.Dense(8), layers.BatchNormalization(), layers.ReLU(), layers.Dense(1)])
mse = keras.losses.MeanSquaredError()
opt = keras.optimizers.Adam(0.01)
mae = keras.metrics.MeanAbsoluteError()
for epoch in range(3):
    for i in range(0, 64, 16):
        xb, yb = x[i:i + 16], y[i:i + 16]
        with tf.GradientTape() as tape:
            loss = mse(yb, model(xb, training=True))
        variables = model.trainable_variables
        opt.apply_gradients(zip(tape.gradient(loss, variables), variables))
        mae.update_state(yb, model(xb, training=False))
    print(epoch, float(loss), float(mae.result()))
    mae.reset_state()
