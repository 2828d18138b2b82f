import numpy as np
from keras import Sequential, layers, ops


def spread(y_true, y_pred):
    return ops.mean(ops.abs(y_true - y_pred))


model = Sequential([layers.Input((2,)), layers.Dense(1, kernel_initializer="ones")])
model.compile(loss="mse", optimizer="sgd", metrics=[spread])
x = np.arange(8.0).reshape(4, 2)
numbers = model.evaluate(x, np.arange(4.0), verbose=0)
