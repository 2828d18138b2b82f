"""A loop with a tape that keeps sums and means: of losses, and of metrics that are the mean of a loss."""
import numpy as np
import tensorflow as tf
from tensorflow import keras

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softplus")])
optimizer = keras.optimizers.SGD(0.05)
loss_fn = keras.losses.Poisson(reduction="sum")
seen = keras.metrics.Sum()
error = keras.metrics.MeanAbsoluteError()
far = keras.metrics.MeanSquaredLogarithmicError("far")
rng = np.random.default_rng(3)
x = rng.normal(size=(40, 4)).astype("float32")
y = rng.uniform(0.1, 2, size=(40, 3)).astype("float32")
for epoch in range(3):
    seen.reset_state()
    error.reset_state()
    for start in range(0, 40, 16):
        batch, wanted = x[start : start + 16], y[start : start + 16]
        with tf.GradientTape() as tape:
            output = model(batch, training=True)
            loss = loss_fn(wanted, output)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        seen.update_state(output)
        error.update_state(wanted, output)
        far.update_state(wanted, output)
    print("epoch %d: %.6f %.6f %.6f %.6f" % (epoch, loss, seen.result(), error.result(), far.result()))
