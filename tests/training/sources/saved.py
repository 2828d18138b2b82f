import os
import numpy as np
from tensorflow import keras
from tensorflow.keras import layers

def build():
    return keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="tanh"), layers.Dense(1)])

model = build()
target = build()
if os.path.exists("w.weights.h5"):
    model.load_weights("w.weights.h5")
target.set_weights(model.get_weights())
model.compile("adam", "mae")
model.fit(np.ones((8, 4)), np.ones((8, 1)), verbose=2)
model.save_weights("w.weights.h5")
model.save(f"m{1}.keras")
print(model.predict(np.ones((2, 4))))
