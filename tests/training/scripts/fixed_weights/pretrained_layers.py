"""Layers of legacy Keras that are made with weights."""

import numpy as np
from tensorflow.keras.layers import Conv1D, Dense, Embedding, Flatten
from tensorflow.keras.models import Sequential

rng = np.random.RandomState(0)
lines = [[int(n) for n in rng.randint(0, 9, 5)] for _ in range(24)]
count = max(max(line) for line in lines) + 1
matrix = rng.rand(count, 4)
x = np.array(lines)
y = rng.rand(24, 1)

model = Sequential()
model.add(Embedding(count, 4, weights=[matrix], input_length=5, trainable=False))
model.add(Conv1D(3, 2, weights=[rng.rand(2, 4, 3), rng.rand(3)]))
model.add(Flatten())
model.add(Dense(2, activation="tanh", weights=[rng.rand(12, 2) - 0.5, np.ones(2)]))
model.add(Dense(1, use_bias=False, weights=[np.ones((2, 1))]))
model.compile("sgd", "mse")
history = model.fit(x, y, epochs=3, batch_size=8, shuffle=False, verbose=0)
print(history.history["loss"])
print(model.predict(x, verbose=0)[:4])
