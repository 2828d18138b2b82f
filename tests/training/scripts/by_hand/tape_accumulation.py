"""Gradient accumulation and clipping in a custom loop."""
import numpy as np
import tensorflow as tf
from tensorflow import keras

rng = np.random.RandomState(2)
X = rng.normal(size=(64, 10)).astype("float32")
Y = (X @ rng.normal(size=(10, 1))).astype("float32")

model = keras.Sequential([
    keras.layers.Input(shape=(10,)),
    keras.layers.Dense(16, activation="relu"),
    keras.layers.Dense(1),
])
mse = keras.losses.MeanSquaredError()
opt = keras.optimizers.SGD(learning_rate=0.05, momentum=0.9)
n_accum = 4
batch = 8


def compute_gradients(x, y):
    with tf.GradientTape() as tape:
        pred = model(x, training=True)
        loss = mse(y, pred) / n_accum
    return loss, tape.gradient(loss, model.trainable_variables)


for epoch in range(3):
    accum = [tf.zeros_like(v) for v in model.trainable_variables]
    total = 0.0
    for step in range(0, len(X), batch):
        loss, grads = compute_gradients(X[step:step + batch], Y[step:step + batch])
        accum = [a + g for a, g in zip(accum, grads)]
        total += float(loss)
        if (step // batch + 1) % n_accum == 0:
            accum, norm = tf.clip_by_global_norm(accum, 1.0)
            opt.apply_gradients(zip(accum, model.trainable_variables))
            accum = [tf.zeros_like(v) for v in model.trainable_variables]
    print("epoch", epoch, "loss", total, "norm", float(norm))
