import numpy as np, keras
from keras import layers
m = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="relu"), layers.Dense(1)])
x, y = np.ones((20, 4)), np.ones((20, 1))
m.compile("adam", "mse")
m.fit(x, y)
m.optimizer.learning_rate = 1e-5
m.fit(x, y)
keras.backend.set_value(m.optimizer.learning_rate, 0.1)
m.fit(x, y)
