import numpy as np
from keras.layers import Dense
from keras.models import Sequential


def batches(n):
    while True:
        yield np.random.rand(n, 4), np.random.rand(n, 3)


model = Sequential([Dense(3, input_shape=(4,))])
model.compile(loss="mse", optimizer="sgd")
history = model.fit_generator(batches(8), 5, epochs=3, validation_data=batches(4), validation_steps=2, workers=2)
print(model.evaluate_generator(generator=batches(8), steps=3))
