"""A model with a step of its own, which is given the weights of samples that `fit` makes of those of their classes."""
import numpy as np
import tensorflow as tf
from tensorflow import keras


class CustomModel(keras.Model):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.mse_metric = keras.metrics.MeanSquaredError(name="mse")
        self.loss_fn = keras.losses.SparseCategoricalCrossentropy()

    @tf.function
    def train_step(self, data):
        x, y, sample_weight = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.loss_fn(y, y_pred, sample_weight=sample_weight)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        self.loss_tracker.update_state(loss)
        self.mse_metric.update_state(tf.zeros_like(y_pred), y_pred)
        return {"loss": self.loss_tracker.result(), "mse": self.mse_metric.result()}

    @property
    def metrics(self):
        return [self.loss_tracker, self.mse_metric]


inputs = keras.Input(shape=(6,))
x = keras.layers.Dense(8, activation="relu")(inputs)
outputs = keras.layers.Dense(3, activation="softmax")(x)
model = CustomModel(inputs, outputs)
schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.5)
model.compile(optimizer=keras.optimizers.SGD(schedule))

rng = np.random.default_rng(1)
x = rng.random((50, 6))
y = rng.integers(0, 3, size=(50,))
history = model.fit(x, y, class_weight={0: 1.0, 1: 2.5, 2: 0.5}, epochs=3, batch_size=16)
for name in ("loss", "mse"):
    print(np.round(history.history[name], 6) + 0.0)
