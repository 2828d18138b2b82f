"""A model that is a class of the program, trained by fit()."""

import keras
import numpy as np
from keras import layers


class Net(keras.Model):
    def __init__(self, units=8, **kwargs):
        super().__init__(**kwargs)
        self.hidden = layers.Dense(units, activation="relu")
        self.drop = layers.Dropout(0.3)
        self.out = layers.Dense(1)

    def call(self, x, training=False):
        return self.out(self.drop(self.hidden(x), training=training))


rng = np.random.default_rng(1)
x = rng.normal(size=(32, 6)).astype("float32")
y = x.sum(axis=1, keepdims=True)
model = Net(8)
model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
history = model.fit(x, y, epochs=2, batch_size=8, verbose=0)
print(history.history["loss"], history.history["mae"])
print(model.evaluate(x, y, verbose=0))
print(model.predict(x[:2], verbose=0))
