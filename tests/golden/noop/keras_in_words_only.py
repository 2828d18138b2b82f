# This used to be keras code: keras.layers.Dense(3), tf.keras.Model
"""Talks about `from keras import layers`, and imports nothing of it."""

TEXT = "import keras; model = keras.Sequential()"
NAMES = {"keras.layers.Dense": "torch.nn.Linear"}


def keras(x):
    return x + 1


print(keras(1), TEXT, NAMES)
