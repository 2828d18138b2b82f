"""A variational autoencoder with layers that draw and that add to the loss."""

import keras
import numpy as np
from keras import layers, ops


class Sampling(layers.Layer):
    def call(self, inputs):
        z_mean, z_log_var = inputs
        epsilon = keras.random.normal(shape=ops.shape(z_mean))
        return z_mean + ops.exp(0.5 * z_log_var) * epsilon


class KLDivergence(layers.Layer):
    def __init__(self, weight=1.0, **kwargs):
        super().__init__(**kwargs)
        self.weight = weight

    def call(self, inputs):
        z_mean, z_log_var = inputs
        kl = -0.5 * ops.sum(1 + z_log_var - ops.square(z_mean) - ops.exp(z_log_var), axis=-1)
        self.add_loss(self.weight * ops.mean(kl))
        return inputs


rng = np.random.default_rng(1)
x = rng.uniform(size=(32, 8)).astype("float32")
inputs = keras.Input((8,))
h = layers.Dense(6, activation="relu")(inputs)
z_mean = layers.Dense(2)(h)
z_log_var = layers.Dense(2)(h)
z_mean, z_log_var = KLDivergence(0.1)([z_mean, z_log_var])
z = Sampling()([z_mean, z_log_var])
h = layers.Dense(6, activation="relu")(z)
outputs = layers.Dense(8, activation="sigmoid")(h)
vae = keras.Model(inputs, outputs)
vae.compile(optimizer="adam", loss="binary_crossentropy")
history = vae.fit(x, x, epochs=2, batch_size=12, verbose=0)
print(history.history["loss"])
print(vae.evaluate(x, x, verbose=0))
print(vae.predict(x[:2], verbose=0))
