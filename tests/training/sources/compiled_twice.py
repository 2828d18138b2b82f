import numpy as np, keras
from keras import layers
m = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="relu"), layers.Dense(1)])
x, y = np.ones((20, 4)), np.ones((20, 1))
m.compile("adam", "mse")
m.fit(x, y)
m.compile(keras.optimizers.SGD(1e-3), "mae")
m.fit(x, y)
print(m.evaluate(x, y))
