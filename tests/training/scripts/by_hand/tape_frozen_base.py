"""A base that is frozen as a whole below a new head, trained with a tape."""
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers
rng = np.random.RandomState(0)
x = rng.normal(size=(48, 6)).astype("float32")
y = rng.normal(size=(48, 2)).astype("float32")
base = keras.Sequential([keras.Input((6,)), layers.Dense(8, activation="tanh"), layers.Dense(8, activation="tanh")])
base.trainable = False
inputs = keras.Input((6,))
h = base(inputs)
outputs = layers.Dense(2)(h)
model = keras.Model(inputs, outputs)
opt = keras.optimizers.SGD(0.5)
mse = keras.losses.MeanSquaredError()
for epoch in range(6):
    with tf.GradientTape() as tape:
        out = model(x, training=True)
        loss = mse(y, out)
    grads = [g * 0.5 for g in tape.gradient(loss, model.trainable_weights)]
    opt.apply_gradients(zip(grads, model.trainable_weights))
    print(epoch, float(loss))
